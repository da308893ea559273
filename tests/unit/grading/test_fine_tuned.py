"""MiniLM tuned on graded answers beside a good one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from edukit import text
from edukit.grading.fine_tuned import FEWEST, FineTuned
from edukit.metrics import quadratic_weighted_kappa
from edukit.schema import DataError

QUICK = {"embeddings": False, "trees": 0, "unseen_trees": 20, "epochs": 2}
WORDS = "salt magnet river copper seed shadow liquid spring planet feather glass engine battery mirror cloud iron sugar candle".split()


class Comparing:
    """In the place of the network: it is told what it is tuned on, and says how many words two texts share."""

    def __init__(self, classes: int, *settings: object) -> None:
        self.classes, self.settings, self.seen = classes, settings, []

    def fit(self, pairs, epochs: int) -> Comparing:
        self.seen = [pairs(epoch) for epoch in range(epochs)]
        return self

    def probabilities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        share = np.array([len(set(a.split()) & set(b.split())) / len(set(a.split())) for a, b in zip(first, second, strict=True)])
        p = np.exp(-30 * (share[:, None] - np.linspace(0.2, 0.8, self.classes)) ** 2)
        return p / p.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "PairNetwork", Comparing)


def world(questions: int = 20, answers: int = 12, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers that hold four words of the reference (1) or one (0)."""
    rng = np.random.default_rng(seed)
    rows, asked = [], []
    for q in range(questions):
        wanted = rng.choice(WORDS, 5, replace=False)
        asked.append({"question_id": f"q{q}", "prompt": "what is it", "reference": " ".join(wanted), "max_score": 1.0})
        for a in range(answers):
            right = int(rng.integers(2))
            told = [*rng.choice(wanted, 4 if right else 1, replace=False), f"word{rng.integers(9)}"]
            rows.append({"answer_id": f"{q} {a}", "question_id": f"q{q}", "text": " ".join(rng.permutation(told)), "score": float(right)})
    return pd.DataFrame(rows), pd.DataFrame(asked)


def test_a_network_that_compares_well_gets_its_share_and_helps_unseen_questions():
    answers, questions = world()
    known = answers[answers["question_id"].isin(questions["question_id"][:14])]
    grader = FineTuned(**QUICK).fit(known, None, questions)
    assert grader.shares_["unseen"] > 0
    fresh = answers.drop(known.index)
    assert quadratic_weighted_kappa(fresh["score"].to_numpy(), grader.overall(fresh.drop(columns="score")).to_numpy()) > 0.9


def test_it_is_tuned_on_graded_answers_beside_the_reference_or_a_good_peer_and_never_beside_themselves():
    answers, questions = world()
    grader = FineTuned(**QUICK, peers=0.5).fit(answers, None, questions)
    reference = {" ".join(r.split()) for r in questions["reference"]}
    beside = 0
    for first, second, y in grader._network.seen:
        assert all(a != b for a, b in zip(first, second, strict=True)) and set(y) == {0, 1}
        good = {t for t, level in zip(second, y, strict=True) if level == 1}
        assert all(a in reference or a in good for a in first)
        beside += sum(a in reference for a in first)
        assert len(second) < len(answers)  # some are held out to choose the shares
    assert 0.3 < beside / sum(len(first) for first, _, _ in grader._network.seen) < 0.8
    assert grader._network.seen[0][0] != grader._network.seen[1][0]


def test_too_few_graded_answers_are_named():
    answers, questions = world()
    with pytest.raises(DataError, match=rf"{FEWEST} graded whole answers or more; found 30"):
        FineTuned(**QUICK).fit(answers.head(30), None, questions)


def test_settings_reach_the_network():
    answers, questions = world()
    grader = FineTuned(**QUICK, pieces=33, batch_size=4, learning_rate=1e-4, seed=9).fit(answers, None, questions)
    assert grader._network.settings == (33, 4, 1e-4, 9)
