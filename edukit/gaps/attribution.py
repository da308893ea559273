"""What a class's need is associated with: missing prerequisites, what the class adds or lacks, flawed items, or more than one can tell.

The three shares come from joint draws of a fitted model that answers what would be mastered had something been otherwise. They are
associations under that model's assumptions. A label is a suggestion to look there first; it appraises nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.gaps.gap_map import GapMap
from edukit.governance.privacy import TOTAL
from edukit.metrics import shapley
from edukit.protocols import CounterfactualModel
from edukit.schema import DataError
from edukit.validation import validate

CAUSES = ("prior_knowledge", "teaching", "content")
LABELS = ("content", "curriculum_wide", "prior_knowledge", "teaching", "undetermined")
CLASSES_OF_A_TEACHER = 2  # with fewer, a teacher cannot be told from the class
LEAST_NEED = 0.05  # a share of a need that is nearly none would be any number


@dataclass(frozen=True)
class Attribution:
    """Split each cell's need among three causes, and name one where it is clear enough.

    With v(S) the class's mastery when the switches S are turned (all prerequisites mastered, class effect zero, clean items in place of
    all), a cause's share is its Shapley value over the need, draw by draw. In each draw the first rule that holds gives the label:
    content (the concept's items are flawed, and sound ones would add no less than its prerequisites would), curriculum-wide (most other classes
    fail with prerequisites set), prior knowledge (its share is large and mastery with prerequisites set is enough), teaching (the class effect is
    surely low, with classes to compare with), prior knowledge (its share is fair). The shares of these rules are those among sound items. The most
    frequent label is named if it is frequent enough.

    Parameters
    ----------
    interval : level of the intervals of shares and what-ifs; that of mastery is the map's.
    large_share, fair_share : of the need, for prior knowledge. ready_mastery : mastery with prerequisites set that is enough.
    low_effect : logits below which a class effect is low; effect_level : its least probability. min_classes : classes to compare with.
    ready_gain, class_gain : least gain in mastery that names prior knowledge (prerequisites set), and teaching (class effect zero).
    others_failing : share of the other classes; open_share : a concept that is hard for all is named where mastery is at least this share of
        mastery with prerequisites set; below, prerequisites are missing as well. unstuck : share of a concept's stuck classes that are not stuck
        by sound items. named : least probability of a label.

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II. Pearl (2009), Causality (do()).
    """

    interval: float = 0.80
    large_share: float = 0.50
    fair_share: float = 0.35
    ready_mastery: float = 0.55
    low_effect: float = -0.5
    effect_level: float = 0.80
    min_classes: int = 3
    ready_gain: float = 0.20
    class_gain: float = 0.25
    others_failing: float = 0.60
    open_share: float = 0.35
    unstuck: float = 0.80
    named: float = 0.60

    def __post_init__(self) -> None:
        for name in ("interval", "large_share", "fair_share", "ready_mastery", "effect_level", "ready_gain", "class_gain", "others_failing", "open_share",
                     "unstuck", "named"):
            if not 0 < getattr(self, name) < 1:
                raise DataError(f"Attribution.{name} must lie between 0 and 1; found {getattr(self, name)}. See conf/gaps/attribution.yaml.")

    def attribute(self, gaps: pd.DataFrame, model: CounterfactualModel, flawed_concepts: Collection[str] = (), rules: GapMap | None = None) -> pd.DataFrame:
        """Fill mastery, shares, labels and what-ifs of every estimated cell of a map from the model's draws.

        Parameters
        ----------
        gaps : table ``gaps`` of a map of the same responses. model : fitted on them.
        flawed_concepts : concepts whose items do not tell mastery (see :mod:`edukit.gaps.item_screen`); concepts of which most stuck classes
            are no longer stuck without their flawed items are added. rules : the map's target and marks; the default's where None.

        Returns
        -------
        table ``gaps``
            The same cells; those with fewer learners behind the model's mean than the map asks for have not enough data. Concepts with a badge (one
            item) keep their mastery and get no cause. Without any prerequisite in the model prior knowledge cannot be judged: it has no share, and
            only content can be named. With one class or none nothing is known of class effects.
        """
        rules = rules or GapMap()
        where = (pd.Index(model.class_ids_).get_indexer(gaps["class_id"]), pd.Index(model.concept_ids_).get_indexer(gaps["concept_id"]))
        behind = np.where((where[0] >= 0) & (where[1] >= 0), model.learners()[where], 0)
        gaps = _hidden(gaps, (gaps["state"] == "estimated").to_numpy() & (behind < rules.k))
        shown = (gaps["state"] == "estimated").to_numpy()
        at = (where[0][shown], where[1][shown])
        found = self._cells(model, at, np.isin(np.array(model.concept_ids_, object), list(flawed_concepts)), rules)
        table = gaps.copy()
        for name, values in found.items():
            fresh = pd.Series(pd.NA, index=table.index, dtype="str" if name in ("label", "missing_ancestor") else "Float64")
            fresh[shown] = values
            table[name] = fresh if name in ("label", "missing_ancestor") else fresh.astype("float64")
        table["stuck"] = (table["p_stuck"] >= rules.stuck_level).astype("boolean").where(shown)
        table["need"] = rules.target - table["mastery"]
        no_cause = table["badge"].notna() | ~table["stuck"].fillna(False).astype(bool)
        table.loc[no_cause, ["label", "label_probability", "missing_ancestor"]] = None
        no_share = table["badge"].notna() | ~(table["need"] > 0).fillna(False)
        table.loc[no_share, [f"{cause}{end}" for cause in CAUSES for end in ("", "_low", "_high")]] = np.nan
        hidden = pd.MultiIndex.from_frame(gaps.loc[gaps["state"] != "estimated", ["class_id", "concept_id"]])
        named = pd.MultiIndex.from_arrays([table["class_id"], table["missing_ancestor"]])
        table.loc[named.isin(hidden), "missing_ancestor"] = None  # it would say of a hidden cell that it is low
        return validate(table, "gaps")

    def levels(self, gaps: pd.DataFrame, teachers: pd.DataFrame) -> pd.DataFrame:
        """Whether what is associated with teaching is so for one class, or for the classes of its teacher together.

        Parameters
        ----------
        gaps : table of :meth:`attribute`, by classes.
        teachers : ``class_id, concept_id, teacher_id, p_low``, P(what the classes of a teacher share on the concept is below ``low_effect``).

        Returns
        -------
        DataFrame
            Per cell labelled teaching: ``class_id, concept_id, level``. ``teacher`` only where p_low exceeds ``effect_level``, with at least two
            estimated classes of the teacher and ``min_classes`` of others on the concept; else ``class``.
        """
        shown = gaps.loc[(gaps["state"] == "estimated") & (gaps["class_id"] != TOTAL), ["class_id", "concept_id", "label"]]
        table = shown.merge(teachers, on=["class_id", "concept_id"], how="left")
        own = table.groupby(["concept_id", "teacher_id"])["class_id"].transform("size")
        others = table.groupby("concept_id")["class_id"].transform("size") - own
        shared = (table["p_low"] > self.effect_level) & (own >= CLASSES_OF_A_TEACHER) & (others >= self.min_classes)
        found = table.assign(level=np.where(shared, "teacher", "class"))
        return found.loc[found["label"] == "teaching", ["class_id", "concept_id", "level"]].reset_index(drop=True)

    def _cells(self, model: CounterfactualModel, at: tuple[np.ndarray, np.ndarray], flawed: np.ndarray, rules: GapMap) -> dict[str, np.ndarray]:
        """Columns of the shown cells, N of them."""
        n = model.draws_kept
        judged = np.zeros((len(model.class_ids_), len(model.concept_ids_)), bool)
        judged[at] = True
        worlds = np.array([[[model.draws(n, p, c, i)[:, at[0], at[1]] for i in ("all", "clean")] for c in ("fitted", "zero")]
                           for p in ("observed", "mastered")])  # (2, 2, 2, n, N)
        mastery = worlds[0, 0, 0]
        need = np.maximum(rules.target - mastery, LEAST_NEED)
        shares = dict(zip(CAUSES, shapley(worlds, 3) / need, strict=True))
        label, probability = self._labels(model, at, judged, flawed, worlds, rules)
        columns: dict[str, np.ndarray] = {"label": label, "label_probability": probability}
        columns["missing_ancestor"] = self._missing_ancestor(model, at, judged, label, rules)
        columns |= {"mastery": mastery.mean(axis=0), "p_stuck": (mastery < rules.fail).mean(axis=0)}
        columns["low"], columns["high"] = np.quantile(mastery, [(1 - rules.interval) / 2, (1 + rules.interval) / 2], axis=0)
        told = {**shares, "if_ready": worlds[1, 0, 1], "if_typical_class": worlds[0, 1, 1], "if_clean_items": worlds[0, 0, 1]}
        if not model.edge_probabilities().any():
            told = {name: np.full_like(draws, np.nan) if name in ("prior_knowledge", "if_ready") else draws for name, draws in told.items()}
        if len(model.class_ids_) <= 2:  # no class to compare with: nothing is known of class effects
            told = {name: np.full_like(draws, np.nan) if name in ("teaching", "if_typical_class") else draws for name, draws in told.items()}
        for name, draws in told.items():
            columns[name] = draws.mean(axis=0)
            columns[f"{name}_low"], columns[f"{name}_high"] = np.quantile(draws, [(1 - self.interval) / 2, (1 + self.interval) / 2], axis=0)
        return columns

    def _labels(self, model: CounterfactualModel, at: tuple[np.ndarray, np.ndarray], judged: np.ndarray, flawed: np.ndarray,
                worlds: np.ndarray, rules: GapMap) -> tuple[np.ndarray, np.ndarray]:
        """(N,) label and its probability."""
        n, classes = model.draws_kept, len(model.class_ids_) - 1
        known, ready = worlds[0, 0, 1], worlds[1, 0, 1]
        prior = shapley(worlds[:, :, 1], 2)[0] / np.maximum(rules.target - known, LEAST_NEED)
        failing = (model.draws(n, "mastered", "fitted", "clean")[:, :classes] < rules.fail) & judged[:classes]  # (n, classes, C)
        own = np.where((at[0] < classes)[None], failing[:, np.minimum(at[0], max(classes - 1, 0)), at[1]], False) if classes else np.zeros(prior.shape, bool)
        others = judged[:classes].sum(axis=0)[at[1]] - (at[0] < classes)
        wide = (failing.sum(axis=1)[:, at[1]] - own > self.others_failing * others) & (others >= self.min_classes) & (known >= self.open_share * ready)
        low = (model.class_effects(n) < self.low_effect).mean(axis=0)[at] > self.effect_level
        low &= (worlds[0, 1, 1] - known).mean(axis=0) >= self.class_gain
        taught = low & (others >= self.min_classes) & (at[0] < classes)
        material = ready - known >= self.ready_gain
        flawed = flawed | self._unstuck(worlds, at, len(flawed), rules)
        content = flawed[at[1]] & ((known >= rules.fail) | (known - worlds[0, 0, 0] >= ready - known))
        orders = [content, wide, material & (prior >= self.large_share) & (ready >= self.ready_mastery), np.broadcast_to(taught, prior.shape),
                 material & (prior >= self.fair_share)]
        names = [0, 1, 2, 3, 2]
        if not model.edge_probabilities().any():
            orders, names = orders[:1], names[:1]
        drawn = np.select(orders, names, len(LABELS) - 1)  # (n, N)
        often = np.array([(drawn == k).mean(axis=0) for k in range(len(LABELS))])
        best = often[:-1].argmax(axis=0)
        probability = often[best, np.arange(len(best))]
        clear = probability >= self.named
        return np.where(clear, np.array(LABELS, object)[best], "undetermined"), np.where(clear, probability, often[-1])

    def _unstuck(self, worlds: np.ndarray, at: tuple[np.ndarray, np.ndarray], concepts: int, rules: GapMap) -> np.ndarray:
        """(C,) whether most of the concept's stuck cells are not stuck by its sound items."""
        stuck, still = ((worlds[0, 0, which] < rules.fail).mean(axis=0) >= rules.stuck_level for which in (0, 1))
        before, freed = (np.bincount(at[1], which, concepts) for which in (stuck, stuck & ~still))
        return (before > 0) & (freed >= self.unstuck * before)

    def _missing_ancestor(self, model: CounterfactualModel, at: tuple[np.ndarray, np.ndarray], judged: np.ndarray, label: np.ndarray,
                          rules: GapMap) -> np.ndarray:
        """(N,) the first concept, in topological order, among all the cell requires that the class surely fails; None elsewhere."""
        import networkx as nx

        edges = np.argwhere(model.edge_probabilities() >= 0.5)
        chart = nx.DiGraph([(int(parent), int(child)) for child, parent in edges])
        order = {node: place for place, node in enumerate(nx.topological_sort(chart))} if nx.is_directed_acyclic_graph(chart) else {}
        failing = (model.draws(model.draws_kept, items="clean") < rules.fail).mean(axis=0)
        found = np.full(len(label), None, object)
        for i in np.flatnonzero(label == "prior_knowledge"):
            known = nx.ancestors(chart, int(at[1][i])) if int(at[1][i]) in order else ()
            before = [node for node in known if judged[at[0][i], node] and failing[at[0][i], node] > 0.5]
            if before:
                found[i] = model.concept_ids_[min(before, key=order.__getitem__)]
        return found


def _hidden(gaps: pd.DataFrame, where: np.ndarray) -> pd.DataFrame:
    """The map with some cells said to have not enough data, and every number of them gone."""
    if not where.any():
        return gaps
    table = gaps.copy()
    table.loc[where, "state"] = "not enough data"
    for name in table.columns.difference(["class_id", "concept_id", "state", "items", "teacher_id", "term"]):
        table[name] = table[name].mask(where)
    return table
