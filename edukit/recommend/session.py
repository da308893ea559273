"""A live session: what one learner knows after each answer, what comes next and why, and a profile; restored to the bit from what was kept."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edukit.protocols import PrerequisiteGraph
from edukit.recommend import reasons
from edukit.recommend.estimate import Estimate
from edukit.recommend.policy import ConceptPolicy, View
from edukit.recommend.terrain import Terrain
from edukit.reproducibility import bundled, fingerprint
from edukit.schema import DataError

SURE = 0.5  # least readiness that a policy must ask for, so that nobody is led past what they are ready for
SETTINGS = 20  # plausible settings of the estimate behind an interval
PLAUSIBLE = {"prior": (0.15, 0.45), "learn": (0.05, 0.3), "guess": (0.05, 0.3), "slip": (0.03, 0.2)}
LOW, HIGH = 0.1, 0.9  # ends of an interval, as shares of the settings
ENOUGH = 3  # answers on a concept from which on its mastery is told
IN_REACH = 20  # concepts in reach that a profile lists


def policy_of(name: str) -> ConceptPolicy:
    """The policy of a yaml: the name of one of ``conf/recommend``, or a file.

    Raises
    ------
    DataError
        For a name or file that is not there, or that names no policy or a setting it does not have.
    """
    import yaml

    folder = bundled("conf") / "recommend"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        raise DataError(f"a policy must be one of {', '.join(sorted(p.stem for p in folder.glob('*.yaml')))}, or a yaml file; found {name!r}. See {folder}.")
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    target = settings.pop("_target_", "") if isinstance(settings, dict) else ""
    module, _, kind = str(target).rpartition(".")
    made = getattr(import_module("edukit.recommend.policies"), kind, None) if module == "edukit.recommend.policies" else None
    if not (isinstance(made, type) and issubclass(made, ConceptPolicy)):
        raise DataError(f"{path}: _target_ must be a policy of edukit.recommend.policies; found {target!r}. Copy one of {folder}.")
    try:
        return made(**settings)
    except TypeError as error:
        raise DataError(f"{path} must hold settings of {kind}; found others: {error}. Copy one of {folder}.") from None


@dataclass(frozen=True)
class Step:
    """What a learner is asked to do next.

    Parameters
    ----------
    step : how many answers came before it. concept_id, name : of the concept.
    item_id : the question; None where none fits, and the concept has to be learnt by other means.
    reason : in words the learner can check. readiness : P(what the concept requires is known). mastery : P(the concept is known).
    """

    step: int
    concept_id: str
    name: str
    item_id: str | None
    reason: str
    readiness: float
    mastery: float


class Course:
    """What all sessions of a service share: the graph as arrays, the policy, and what is thought of a learner never seen.

    Parameters
    ----------
    graph : concepts, prerequisites and q_matrix.
    policy : chooses; it must ask for a readiness of at least 0.5.

    Raises
    ------
    DataError
        For a graph without items, or a policy that does not look at readiness.
    """

    def __init__(self, graph: PrerequisiteGraph, policy: ConceptPolicy) -> None:
        if policy.ready < SURE:
            raise DataError(f"a live session needs a policy with ready of at least {SURE:g}, so that it never leads past what a learner is ready for; found "
                            f"{policy.name} with ready={policy.ready:g}. Use zpdes, or set ready.")
        self.terrain, self.policy = Terrain.of(graph), policy
        if not self.terrain.item_ids:
            raise DataError("a live session needs items to ask; found none in the q_matrix. Give --items, a table of item_id and concept_id.")
        self.unseen = Estimate().start(1, self.terrain)
        settings = {name: value for name, value in vars(policy).items() if not name.startswith("_")}
        self.fingerprint = fingerprint(type(policy).__name__, settings, list(self.terrain.concept_ids), list(self.terrain.item_ids), self.terrain.parents,
                                       self.terrain.weights, self.terrain.item_concepts, vars(Estimate()))

    @cached_property
    def plausible(self) -> Estimate:
        """The estimate of a learner never seen under :data:`SETTINGS` settings, one a row."""
        rng = np.random.default_rng(0)
        settings: dict[str, Any] = {name: rng.uniform(low, high, (SETTINGS, 1)) for name, (low, high) in PLAUSIBLE.items()}
        return Estimate(**settings).start(SETTINGS, self.terrain)

    def copy_of(self, estimate: Estimate) -> Estimate:
        """The same estimate, to be changed apart."""
        own = copy.copy(estimate)
        own.known, own.met = estimate.known.copy(), estimate.met.copy()
        return own


class Session:
    """One learner, live: :meth:`answer` and :meth:`next` in turn.

    Everything follows from the course, the seed and the answers in their order: the same answers give the same steps, before and after a restart.

    Parameters
    ----------
    course : shared by all sessions.
    learner_id : a pseudonym; it draws the luck of the policy.

    Examples
    --------
    >>> import pandas as pd
    >>> from edukit.graph.concept_graph import ConceptGraph
    >>> edges = pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "expert", "weight": 1.0})
    >>> q = pd.DataFrame({"item_id": ["a1", "b1"], "concept_id": ["a", "b"]})
    >>> session = Session(Course(ConceptGraph.from_tables(None, edges, q), policy_of("zpdes")), "learner-1")
    >>> session.next().item_id, session.answer("a1", 1.0), session.answer("a1", 1.0), session.next().item_id
    ('a1', None, None, 'b1')
    """

    def __init__(self, course: Course, learner_id: str) -> None:
        self.course, self.learner_id = course, learner_id
        self.progress = course.policy.begin(1, course.terrain)
        self.estimate = course.copy_of(course.unseen)
        self._seed = int.from_bytes(hashlib.sha256(learner_id.encode()).digest()[:8], "big")
        self._step: Step | None = None
        self._spread: tuple[int, Estimate] | None = None

    @property
    def steps(self) -> int:
        """Answers so far."""
        return int(self.progress.steps[0])

    def answer(self, item_id: str, correct: float) -> None:
        """Learn from an answer; an item that the graph does not name (any more) only counts as a step."""
        place = self.course.terrain.place_of_item.get(item_id)
        self._step = None
        if place is None:
            self.progress.steps += 1
            return
        item, mark = np.array([place]), np.array([float(correct)])
        self.course.policy.note(self.course.terrain, self.progress, item, mark)
        self.estimate.step(item, mark)

    def next(self) -> Step:
        """What comes next; the same until it is answered."""
        if self._step is None:
            policy, terrain = self.course.policy, self.course.terrain
            rng = np.random.default_rng([self._seed, self.steps])
            view = self._view()
            concept = int(rng.choice(len(terrain.concept_ids), p=policy.odds(view, rng)[0]))
            item = int(policy.item_of(terrain, view, np.array([concept]), rng)[0])
            item_id = terrain.item_ids[item] if item < len(terrain.item_ids) else None
            self._step = Step(self.steps, terrain.concept_ids[concept], terrain.names[concept], item_id,
                              reasons.reason(terrain, view, concept, policy.mastered, item_id is not None), float(view.ready[0, concept]),
                              float(view.mastery[0, concept]))
        return self._step

    def _view(self) -> View:
        return self.course.policy.view(self.course.terrain, self.progress, self.estimate.mastery())

    def profile(self, answers: list[tuple[str, float]]) -> dict[str, Any]:
        """Where the learner stands: mastery of what was answered, with an interval and n, and what is in reach.

        The interval holds the middle 80 % of the estimates under :data:`SETTINGS` plausible settings of guess, slip, learning and first knowledge: how
        much hangs on what is assumed, and no promise on how often it holds the truth.

        Parameters
        ----------
        answers : (item_id, correct) of all answers, in their order.
        """
        terrain, mastered, view = self.course.terrain, self.course.policy.mastered, self._view()
        spread = self._settings_after(answers)
        low, high = np.minimum(np.quantile(spread, LOW, axis=0), view.mastery[0]), np.maximum(np.quantile(spread, HIGH, axis=0), view.mastery[0])
        concepts = []
        for k in np.flatnonzero(self.progress.n[0]):
            n, known = int(self.progress.n[0, k]), float(view.mastery[0, k])
            told = n >= ENOUGH
            state = ("mastered" if known >= mastered else "learning") if told else "not enough data"
            concepts.append({"concept_id": terrain.concept_ids[k], "name": terrain.names[k], "n": n, "state": state, "mastery": known if told else None,
                             "low": float(low[k]) if told else None, "high": float(high[k]) if told else None})
        reach = np.flatnonzero(view.allowed[0])
        reach = reach[np.argsort(-view.ready[0, reach], kind="stable")]
        return {"n_answers": self.steps, "concepts": concepts, "n_in_reach": len(reach), "in_reach": [
            {"concept_id": terrain.concept_ids[k], "name": terrain.names[k], "readiness": float(view.ready[0, k]), "n": int(self.progress.n[0, k])}
            for k in reach[:IN_REACH]]}

    def _settings_after(self, answers: list[tuple[str, float]]) -> np.ndarray:
        """(SETTINGS, C) P(known) under each setting; what was worked out before is gone on from."""
        done, spread = self._spread or (0, self.course.copy_of(self.course.plausible))
        for item_id, correct in answers[done:]:
            place = self.course.terrain.place_of_item.get(item_id)
            if place is not None:
                spread.step(np.full(SETTINGS, place), np.full(SETTINGS, float(correct)))
        self._spread = len(answers), spread
        return spread.mastery()

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs, as plain values that JSON can hold."""
        known, met = self.estimate.known[0], self.estimate.met[0]
        return {"progress": self.progress.content(self.course.terrain), "known": known.tolist(), "met": np.flatnonzero(met).tolist()}

    def restore(self, state: dict[str, Any]) -> Session:
        """Go on where :meth:`state` was taken, of a course with the same fingerprint."""
        self.progress = self.course.policy.begin(1, self.course.terrain).fill(self.course.terrain, state["progress"])
        self.estimate.known[0], self.estimate.met[0] = state["known"], False
        self.estimate.met[0, state["met"]] = True
        self._step = None
        return self


def shown(step: Step) -> dict[str, Any]:
    """A step as plain values."""
    return dict(vars(step))
