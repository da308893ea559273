"""The deep option: MiniLM tuned on graded answers, each beside a good answer to its question, mixed with the two routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from edukit import text
from edukit.grading.grader import RubricGrader
from edukit.grading.normal_form import normalise
from edukit.grading.rubric import Rubric
from edukit.grading.scales import OVERALL, scored
from edukit.grading.targets import Target
from edukit.schema import DataError

Array = np.ndarray
FEWEST = 100  # graded answers from which the weights are tuned
SHARES = np.linspace(0, 1, 11)
SHARPNESS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # powers of a probability; below 1 it is less sure


class FineTuned(RubricGrader):
    """The rubric grader, and a network that reads an answer beside a good one and is tuned to tell how good it is.

    The network is tuned on graded whole answers to all questions together; in a ``peers`` share of the pairs an answer of the top level stands in the place of
    the reference, so that it learns to compare. A tenth of the questions, and of the other answers a tenth, are held out: there its share beside the two routes
    is chosen, for questions with graded answers and for those without, and how sure it may be.

    Parameters
    ----------
    route, embeddings, trees, unseen_trees, folds, penalty, unseen_penalty, seed : as of :class:`~edukit.grading.grader.RubricGrader`.
    epochs, batch_size, learning_rate, pieces : of the tuning; about a minute an epoch and 1,000 answers on one core.
    peers : share of the pairs with a good answer of a learner as the reference.

    Attributes
    ----------
    shares_ : share of the network where a question has graded answers (``seen``), and where it has none (``unseen``). sharpness_ : power of its probabilities.

    References
    ----------
    Sung, Dhamecha and Mukhi (2019), AIED (transformers tuned to grade short answers). Camus and Filighera (2020), AIED.
    """

    kind: ClassVar[str] = "fine_tuned"

    def __init__(self, route: str = "auto", embeddings: bool = True, trees: int = 250, unseen_trees: int = 200, folds: int = 5, penalty: float = 1.0,
                 unseen_penalty: float = 20.0, epochs: int = 3, batch_size: int = 16, learning_rate: float = 5e-5, pieces: int = 80, peers: float = 0.3,
                 seed: int = 0) -> None:
        super().__init__(route, embeddings, trees, unseen_trees, folds, penalty, unseen_penalty, seed)
        self.epochs, self.batch_size, self.learning_rate, self.pieces, self.peers = epochs, batch_size, learning_rate, pieces, peers

    def fit(self, answers: pd.DataFrame, rubric: Rubric | pd.DataFrame | None, questions: pd.DataFrame) -> Self:
        """Learn both routes as :meth:`RubricGrader.fit`, then tune the network on whole answers with the commonest number of levels.

        Raises
        ------
        DataError
            Where fewer than 100 whole answers are graded.
        """
        if (n := int(scored(answers)[0]["score"].notna().sum())) < FEWEST:
            raise DataError(f"tuning must have {FEWEST} graded whole answers or more; found {n:,}. Use grading=rubric_grader, which needs none.")
        super().fit(answers, rubric, questions)
        size = self._unseen.levels_
        whole = [t for t in self._targets.values() if t.criterion_id == OVERALL and len(t.levels) == size]
        known = {t.key: self._learnt[t.key] for t in whole if len(self._learnt[t.key].y)}
        pairs = [(key, i, form, int(level)) for key, one in known.items() for i, (form, level) in enumerate(zip(one.forms, one.y, strict=True))]
        rng = np.random.default_rng(self.seed)
        away = {key for key, drawn in zip(known, rng.random(len(known)), strict=True) if drawn < 0.1 and len(known) >= 10}
        aside = rng.random(len(pairs)) < 0.1
        used = [p for p, out in zip(pairs, aside, strict=True) if not out and p[0] not in away]
        self._network = self._empty(size).fit(lambda epoch: self._pairs(used, np.random.default_rng([self.seed, epoch])), self.epochs)
        self._choose_shares([p for p, out in zip(pairs, aside, strict=True) if out and p[0] not in away], [p for p in pairs if p[0] in away])
        return self

    def _pairs(self, used: list[tuple[tuple[str, str], int, str, int]], rng: np.random.Generator) -> tuple[list[str], list[str], Array]:
        """Of one epoch: what stands in the place of the reference, the answers, and their levels."""
        top = self._unseen.levels_ - 1
        good: dict[tuple[str, str], list[str]] = {}
        for key, _, form, level in used:
            if level == top:
                good.setdefault(key, []).append(form)
        first = []
        for key, _, form, _ in used:
            peers = good.get(key, [])
            drawn = peers[rng.integers(len(peers))] if len(peers) > 1 and rng.random() < self.peers else form
            first.append(drawn if drawn != form else self._beside(self._targets[key]))
        return first, [form for _, _, form, _ in used], np.array([level for *_, level in used])

    def _beside(self, target: Target) -> str:
        """What an answer is read beside: a good answer where one is known, else the wording of the question, else its name."""
        return (*target.asked.models, target.asked.prompt or normalise(target.question_id))[0]

    def _choose_shares(self, seen: list, unseen: list) -> None:
        """Share and sharpness by log-loss on what was held out, of questions with graded answers, and of whole questions."""
        self.shares_, self.sharpness_ = {"seen": 0.5, "unseen": 0.5}, 0.8
        told = [(name, *self._both(rows, name)) for name, rows in (("seen", seen), ("unseen", unseen)) if len(rows) >= 20]
        if not told:
            return

        def loss(p: Array, y: Array) -> float:
            return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-6)).sum())

        self.sharpness_ = min(SHARPNESS, key=lambda power: sum(min(loss(_mixed(p, q, power, s), y) for s in SHARES) for _, p, q, y in told))
        for name, p, q, y in told:
            self.shares_[name] = float(min(SHARES, key=lambda s: loss(_mixed(p, q, self.sharpness_, s), y)))
        self.shares_.update({} if len(told) == 2 else {"unseen" if told[0][0] == "seen" else "seen": self.shares_[told[0][0]]})

    def _both(self, rows: list, name: str) -> tuple[Array, Array, Array]:
        """What the two routes and the network say of graded answers that neither had seen, and their levels."""
        routes = np.array([(self._learnt[key].both if name == "seen" else self._learnt[key].unseen)[i] for key, i, _, _ in rows])
        network = self._network.probabilities([self._beside(self._targets[key]) for key, *_ in rows], [form for _, _, form, _ in rows])
        return routes, network, np.array([level for *_, level in rows])

    def _said(self, target: Target, forms: Sequence[str]) -> Array:
        p = super()._said(target, forms)
        if target.criterion_id != OVERALL or len(target.levels) != self._network.classes:
            return p
        share = self.shares_["unseen" if target.seen is None else "seen"]
        distinct = sorted(set(forms) - {""})
        if not distinct or not share:
            return p
        network = dict(zip(distinct, self._network.probabilities([self._beside(target)] * len(distinct), distinct), strict=True))
        there = np.array([form != "" for form in forms])
        p[there] = _mixed(p[there], np.array([network[form] for form in forms if form]), self.sharpness_, share)
        return p

    def _empty(self, classes: int) -> text.PairNetwork:
        return text.PairNetwork(classes, self.pieces, self.batch_size, self.learning_rate, self.seed)

    def _state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        told, arrays = super()._state()
        arrays |= {f"network.{name}": value for name, value in self._network.arrays().items()}
        return {**told, "shares": self.shares_, "sharpness": self.sharpness_, "classes": self._network.classes}, arrays

    def _restored(self, told: dict[str, Any], arrays: dict[str, Array]) -> Self:
        super()._restored(told, arrays)
        self.shares_, self.sharpness_ = told["shares"], told["sharpness"]
        self._network = self._empty(told["classes"]).restored({n.removeprefix("network."): v for n, v in arrays.items() if n.startswith("network.")})
        return self


def _mixed(routes: Array, network: Array, power: float, share: float) -> Array:
    """The routes' probabilities with a share of the network's, which are first made less sure."""
    softer = network**power
    return (1 - share) * routes + share * softer / softer.sum(1, keepdims=True)
