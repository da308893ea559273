"""Invented classrooms whose truth is known: what each class lacks, and why, by the generator's own experiment.

:func:`simulate` builds a :class:`World` over any concept graph; :class:`Synthetic` is the loader of the classroom embedded in edukit.

The model. Learner u of class c has ability θ_u ~ N(0, .9²) + N(0, .35²) (the second term one draw per class). Mastery of concept k is
drawn in topological order with probability σ(ease_k + θ_u + γ_ck + hard_k), times .12 if any prerequisite is missing. An item
answers 1 − slip if its concepts are mastered and guess if not, shifted by .35 θ_u on the logit scale (models that leave this out
are misspecified, as they are in life). Injected are: 4 concepts taught badly in 1-3 classes each (γ = −3.2); 3 roots missing for
75 % of the learners of 1-2 classes; 2 concepts with four fifths of their items broken (answered at .28 whatever the mastery);
1 concept of the deeper half hard in every class (hard = −4); 5 items biased against one group (P(correct) x .55 where the learner's
language is `additional`).
Learning over several terms is written backwards from that mastery: who masters a concept in the end knew it before, or learns it
while practising it in one of the terms, never before a prerequisite they master; nobody forgets. The truth is that of the last day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data import classroom, curriculum
from edukit.data.classroom import BROKEN_RATE, OPTIONS, sigmoid
from edukit.data.curriculum import ConceptMap, random_concepts
from edukit.metrics import shapley
from edukit.schema import DataError
from edukit.validation import validate_all

__all__ = ["CAUSES", "Synthetic", "World", "random_concepts", "simulate"]

CAUSES = ("prior_knowledge", "teaching", "content", "curriculum_wide")
EASE, EASE_SD, ABILITY_SD, CLASS_SD = 2.8, 0.4, 0.9, 0.35
NOT_READY, TAUGHT_BADLY, HARD, ROOT_MISSING = 0.12, -3.2, -4.0, 0.75
TARGET = 0.70  # need = target - apparent mastery
LOW, GAIN = 0.5, 0.25  # a cell is low below LOW; a cause counts if undoing it adds more than GAIN


@dataclass(frozen=True)
class World:
    """An invented cohort and the truth about it.

    Attributes
    ----------
    tables : interactions, concepts, items, q_matrix, prerequisites, learners (and attendance for the embedded classroom), validated.
    truth : one row per class and concept; see below.
    mastery : (B, C) bool, index learner_id, columns concept_id; on the last day.
    items : truth per item: item_id, concept_id (home), slip, guess, flaw (`none`, `broken`, `dif`).
    learners : truth per learner: learner_id, class_id, ability (and attendance pattern for the embedded classroom).
    mastered : (rows of interactions,) whether the learner mastered the item at that moment.

    Notes
    -----
    Columns of `truth`. `mastery`: the true share of the class that masters the concept. `apparent`: the same as the concept's own items
    report it, slip and guess removed; differs where items are broken. One gain per cause, each from the simulator's own do() with
    everything else, down to the random draws, left as it was: `prior_knowledge` (all direct prerequisites mastered), `teaching`
    (the class effect γ of the cell removed), `curriculum_wide` (the concept made as easy as others), all three in mastery, and
    `content` (clean items in place of all, in apparent mastery, so that it is mastery − apparent; may be negative).
    `label`: the cause with the largest gain among those that add more than .25 to a mastery (for content: an apparent mastery)
    below .5, else `none`. `injected`: what was planted in the cell itself (`missing_root`, `badly_taught`, `broken_items`,
    `hard_everywhere`, `none`); a cell with a missing root has no prerequisite to undo, so its label is `none`, yet responses
    cannot tell it from bad teaching: leave these cells out of a score. `missing_ancestor`: for prior_knowledge the first concept, in
    topological order, among all ancestors whose mastery in this class is below .5 (missing where there is none). `…_share` of
    prior_knowledge, teaching and content: Shapley value of the three do() in apparent mastery over the need (.70 - apparent; missing
    where there is none).
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    mastery: pd.DataFrame
    items: pd.DataFrame
    learners: pd.DataFrame
    mastered: np.ndarray


def _inject(graph: ConceptMap, classes: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Which cells (classes, C) carry which planted cause; a concept carries one at most."""
    n = len(graph.ids)
    requiring = np.isin(np.arange(n), [p for parents in graph.parents for p in parents])
    roots = rng.permutation(np.flatnonzero((graph.depth == 0) & requiring))[:3]
    rest = rng.permutation(np.setdiff1d(np.arange(n), roots))
    deep = rest[graph.depth[rest] >= max(1, np.median(graph.depth))]
    if len(roots) < 1 or len(deep) < 1 or len(rest) < 7:
        raise DataError(f"simulate needs a root that others require and 7 more concepts, some of them deeper; found {n} concepts and "
                        f"{len(roots)} such roots. Give it a larger map.")
    hard = deep[:1]
    rest = rest[rest != hard[0]]
    cells = {name: np.zeros((classes, n), bool) for name in ("missing_root", "badly_taught", "broken_items", "hard_everywhere")}
    for name, chosen, most in (("missing_root", roots, 2), ("badly_taught", rest[:4], 3)):
        for k in chosen:
            cells[name][rng.permutation(classes)[:rng.integers(1, min(most, max(classes - 1, 1)) + 1)], k] = True
    cells["broken_items"][:, rest[4:6]] = True
    cells["hard_everywhere"][:, hard] = True
    return cells


def _truth(graph: ConceptMap, logits: np.ndarray, shift: dict[str, np.ndarray], draw: np.ndarray, absent: np.ndarray, known: np.ndarray,
           items: pd.DataFrame, cells: dict[str, np.ndarray], class_ids: np.ndarray) -> pd.DataFrame:
    """Table of :attr:`World.truth`: every do() repeats the draw with one thing changed."""
    classes, n = cells["hard_everywhere"].shape
    ready = np.column_stack([known[:, parents].all(axis=1) for parents in graph.parents])
    mastery = known.reshape(classes, -1, n).mean(axis=1)

    def again(logits: np.ndarray, ready: np.ndarray | bool) -> np.ndarray:
        return ((draw < sigmoid(logits) * np.where(ready, 1, NOT_READY)) & ~absent).reshape(classes, -1, n).mean(axis=1)

    gains = {"prior_knowledge": again(logits, True) - mastery, "teaching": again(logits - shift["badly_taught"], ready) - mastery,
             "curriculum_wide": again(logits - shift["hard_everywhere"], ready) - mastery}
    own = items[items["second"] < 0]
    reads = ((BROKEN_RATE - own["guess"]) / (1 - own["slip"] - own["guess"])).clip(0, 1).where(own["flaw"] == "broken")
    broken, reading = reads.notna().groupby(own["first"]).mean().to_numpy(), reads.groupby(own["first"]).mean().fillna(0).to_numpy()
    apparent = mastery * (1 - broken) + reading * broken
    gains["content"] = mastery - apparent
    known_if = np.array([[mastery, mastery + gains["teaching"]], [mastery + gains["prior_knowledge"], again(logits - shift["badly_taught"], True)]])
    shares = shapley(np.stack([known_if * (1 - broken) + reading * broken, known_if], axis=2), 3)
    need = np.where(apparent < TARGET, TARGET - apparent, np.nan)
    counts = np.stack([np.where((apparent if c == "content" else mastery) < LOW, gains[c], 0) for c in CAUSES])
    label = np.where(counts.max(axis=0) > GAIN, np.array(CAUSES, object)[counts.argmax(axis=0)], "none")
    ancestors = np.zeros((n, n), bool)
    for k in graph.sequence:
        for p in graph.parents[k]:
            ancestors[k] |= ancestors[p] | (np.arange(n) == p)
    in_order = ancestors[:, graph.sequence][None] & (mastery[:, graph.sequence] < LOW)[:, None]
    missing = np.where((label == "prior_knowledge") & in_order.any(axis=2), graph.ids[graph.sequence][in_order.argmax(axis=2)], None)
    injected = np.full((classes, n), "none", object)
    for name, where in cells.items():
        injected[where] = name
    columns = {"mastery": mastery, "apparent": apparent, "label": label, **{c: gains[c] for c in CAUSES}, "injected": injected,
               "missing_ancestor": missing, **{f"{c}_share": share / need for c, share in zip(CAUSES[:3], shares, strict=True)}}
    return pd.DataFrame({"class_id": np.repeat(class_ids, n), "concept_id": np.tile(graph.ids, classes),
                         **{name: values.ravel() for name, values in columns.items()}})


def simulate(concepts: pd.DataFrame, prerequisites: pd.DataFrame, classes: int = 12, learners_per_class: int = 25,
             items_per_concept: int = 5, answered: float = 0.7, paired_items: float = 0.0, terms: int = 1, learned_in_class: float = 0.0,
             sorted_classes: bool = False, crossed_teachers: bool = False, skip_unmastered: float = 0.0, graph_noise: float = 0.0,
             seed: int = 0) -> World:
    """Invent a cohort over a concept map, with every cause of a gap planted and known.

    Parameters
    ----------
    concepts, prerequisites : tables of :mod:`edukit.schema`; see :func:`random_concepts` and :mod:`edukit.data.curriculum`.
    classes, learners_per_class : size of the cohort; learner ids run through the classes in order.
    items_per_concept : items that assess one concept alone.
    answered : share of the items a learner answers in the first term; .4 of them again in each later one.
    paired_items : share of all items that carry two concepts and need both mastered; they come on top of `items_per_concept`.
    terms : how often the class walks through the map.
    learned_in_class : probability that a concept mastered in the end is learned while practising, not before.
    sorted_classes : learners assigned to classes by ability.
    crossed_teachers : concepts of different depth taught by different teachers; otherwise one teacher has two whole classes.
    skip_unmastered : share of the responses left out where the learner does not master the item (missing not at random).
    graph_noise : share of the edges missing from, and as many false ones added to, the map in `tables`; the truth keeps the real one.
    seed : equal arguments give byte-identical tables.

    Raises
    ------
    DataError
        For an impossible size or share, a prerequisite that is no concept, a circle, or a map too small to plant the causes in.

    Examples
    --------
    >>> world = simulate(*random_concepts(seed=1), classes=4, seed=1)
    >>> len(world.truth), sorted(world.tables)
    (96, ['concepts', 'interactions', 'items', 'learners', 'prerequisites', 'q_matrix'])
    """
    sizes = {"classes": classes, "learners_per_class": learners_per_class, "items_per_concept": items_per_concept, "terms": terms}
    shares = {"answered": answered, "paired_items": paired_items, "learned_in_class": learned_in_class, "skip_unmastered": skip_unmastered,
              "graph_noise": graph_noise}
    wrong = [f"{k} must be at least 1; found {v}" for k, v in sizes.items() if v < 1]
    wrong += [f"{k} must lie in [0, 1{')' if k == 'paired_items' else ']'}; found {v}" for k, v in shares.items()
              if not 0 <= v <= 1 or (k == "paired_items" and v == 1)]
    if wrong:
        raise DataError(f"simulate: {'; '.join(wrong)}.")
    given = validate_all({"concepts": concepts, "prerequisites": prerequisites})
    graph, rng, people = ConceptMap.of(**given), np.random.default_rng(seed), classes * learners_per_class
    class_of = np.repeat(np.arange(classes), learners_per_class)
    class_ids = np.array([f"{7 + c // 26}{chr(65 + c % 26)}" for c in range(classes)], object)
    learner_ids = np.array([f"L{u + 1:0{max(3, len(str(people)))}d}" for u in range(people)], object)
    own = rng.normal(0, ABILITY_SD, people)
    ability = (np.sort(own) if sorted_classes else own) + rng.normal(0, CLASS_SD, classes)[class_of]
    cells = _inject(graph, classes, rng)
    absent = cells["missing_root"][class_of] & (rng.random((people, 1)) < ROOT_MISSING)
    shift = {"badly_taught": TAUGHT_BADLY * cells["badly_taught"][class_of], "hard_everywhere": HARD * cells["hard_everywhere"][class_of]}
    logits = rng.normal(EASE, EASE_SD, len(graph.ids)) + ability[:, None] + shift["badly_taught"] + shift["hard_everywhere"]
    draw, known = rng.random(logits.shape), np.zeros(logits.shape, bool)
    for k in graph.sequence:
        ready = known[:, graph.parents[k]].all(axis=1)
        known[:, k] = (draw[:, k] < sigmoid(logits[:, k]) * np.where(ready, 1, NOT_READY)) & ~absent[:, k]
    learners = pd.DataFrame({"learner_id": learner_ids, "gender": rng.choice(["female", "male"], people),
                             "language": rng.choice(["first", "additional"], people, p=[0.6, 0.4]),
                             "support": rng.choice(["no", "yes"], people, p=[0.85, 0.15])})
    items = classroom.write_items(graph, np.flatnonzero(cells["broken_items"].any(axis=0)), items_per_concept, paired_items, rng)
    stage = classroom.learning_terms(graph, known, terms, learned_in_class, rng)
    log = classroom.respond(graph, items, stage, ability, (learners["language"] == "additional").to_numpy(), class_of, terms, answered,
                            skip_unmastered, rng)
    if graph_noise:
        given["prerequisites"] = graph.blurred(given["prerequisites"], graph_noise, rng)
    of_class = class_of[log["learner"]]
    teacher = (of_class // 2 + (graph.depth[log["home"]] if crossed_teachers else 0)) % ((classes + 1) // 2)
    names = given["concepts"]["name"].to_numpy()[items["first"]]
    pairs = items[items["second"] >= 0]
    tables = validate_all({
        "interactions": pd.DataFrame({
            "learner_id": learner_ids[log["learner"]], "item_id": items["item_id"].to_numpy()[log["item"]], "correct": log["correct"],
            "order": log.groupby("learner").cumcount(), "attempt": log.groupby(["learner", "item"]).cumcount() + 1,
            "response": OPTIONS[log["option"]], "class_id": class_ids[of_class], "teacher_id": [f"T{t + 1:02d}" for t in teacher],
            "term": [f"term {t}" for t in log["term"]]}),
        "items": pd.DataFrame({"item_id": items["item_id"], "name": names + ", question " + items["item_id"].str.rsplit("-", n=1).str[1],
                               "answer_key": OPTIONS[items["key"]], "options": len(OPTIONS)}),
        "q_matrix": pd.DataFrame({"item_id": [*items["item_id"], *pairs["item_id"]],
                                  "concept_id": graph.ids[[*items["first"], *pairs["second"]]]}),
        "learners": learners, **given})
    return World(
        tables=tables, truth=_truth(graph, logits, shift, draw, absent, known, items, cells, class_ids),
        mastery=pd.DataFrame(known, index=pd.Index(learner_ids, name="learner_id"), columns=pd.Index(graph.ids, name="concept_id")),
        items=items.assign(concept_id=graph.ids[items["first"]])[["item_id", "concept_id", "slip", "guess", "flaw"]],
        learners=pd.DataFrame({"learner_id": learner_ids, "class_id": class_ids[class_of], "ability": ability}),
        mastered=log["mastered"].to_numpy())


@dataclass(frozen=True)
class Synthetic:
    """The classroom embedded in edukit: two terms over a map of 40 concepts of middle-school mathematics, all of it invented.

    Parameters
    ----------
    classes, learners_per_class, items_per_concept, terms, seed : see :func:`simulate`; about 15 % of the items carry two concepts.
    """

    name: ClassVar[str] = "synthetic"
    invented: ClassVar[bool] = True  # ids belong to nobody: they need no pseudonyms

    classes: int = 12
    learners_per_class: int = 25
    items_per_concept: int = 5
    terms: int = 2
    seed: int = 7

    def world(self) -> World:
        """The classroom together with its truth."""
        world = simulate(curriculum.concepts(), curriculum.prerequisites(), self.classes, self.learners_per_class, self.items_per_concept,
                         paired_items=0.15, terms=self.terms, learned_in_class=0.1, seed=self.seed)
        rng = np.random.default_rng([self.seed, 1])
        register, present, pattern = classroom.attendance(world.learners.set_index("learner_id")["class_id"], self.terms, rng)
        log = classroom.furnish(world.tables["interactions"], world.mastered, present, self.terms, rng)
        return replace(world, tables=validate_all({**world.tables, "interactions": log, "attendance": register}),
                       learners=world.learners.assign(attendance=pattern))

    def raw_dir(self) -> Path:
        """No folder is read; the current one stands in."""
        return Path()

    def files(self, raw_dir: Path) -> list[Path]:
        """None: everything is generated."""
        return []

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, concepts, items, q_matrix, prerequisites, learners, attendance."""
        return self.world().tables
