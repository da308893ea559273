"""Differences that are there are told, those that are not are not, and what a reader must not miss is a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation import comparison
from edukit.metrics import auc

LEARNERS, EACH = 150, 20


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Validation and test rows, and the true log-odds of both, one after the other."""
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 1.2, (2, LEARNERS * EACH)) + np.repeat(rng.normal(0, 0.5, (2, LEARNERS)), EACH, axis=1)
    made = [pd.DataFrame({"learner_id": np.repeat([f"{part}{i}" for i in range(LEARNERS)], EACH), "item_id": np.tile([f"q{i}" for i in range(EACH)], LEARNERS),
                          "order": np.tile(np.arange(EACH), LEARNERS), "correct": (rng.random(LEARNERS * EACH) < 1 / (1 + np.exp(-x))).astype(float)})
            for part, x in zip(("v", "t"), logit, strict=True)]
    return made[0], made[1], logit


def cells(logit: np.ndarray, noise: float, sharp: float = 1.0, seed: int = 0, n: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities of ``n`` fits of a model that errs by ``noise`` on the log-odds and is ``sharp`` times too sure."""
    rng = np.random.default_rng(seed)
    return [tuple(1 / (1 + np.exp(-sharp * (x + rng.normal(0, noise, len(x))))) for x in logit) for _ in range(n)]


@pytest.fixture(scope="module")
def judged(world) -> dict[str, comparison.Judged]:
    valid, test, logit = world
    made = {"good": cells(logit, 0.3, 3.0), "copy": cells(logit, 0.3, 3.0), "other_seed": cells(logit, 0.3, seed=9), "worse": cells(logit, 1.5, seed=1)}
    return {name: comparison.judge(name, some, [valid] * 3, test, draws=60) for name, some in made.items()}


def records(judged) -> list[dict]:
    return [r for one in judged.values() for r in one.records] + comparison.differences({name: one.auc for name, one in judged.items()}, 3000)


def test_a_planted_difference_is_told_and_copies_are_not(judged):
    said = comparison.sentences(records(judged))
    assert len(said) == 6 and "good and copy: not distinguishable, difference .000 [.000, .000]" in said
    assert all(f"{name} ranks better than worse: difference" in " ".join(said) for name in ("good", "copy", "other_seed"))
    assert sum("not distinguishable" in line for line in said) == 3


def test_scores_are_the_mean_over_cells_and_lie_in_their_intervals(judged, world):
    _, test, logit = world
    y = test["correct"].to_numpy()
    each = [auc(y, p) for _, p in cells(logit, 1.5, seed=1)]
    (one,) = [r for r in judged["worse"].records if r["name"] == "auc" and not r["group"] and r["split"] == "test"]
    (sd,) = [r for r in judged["worse"].records if r["name"] == "auc_sd"]
    assert one["value"] == pytest.approx(np.mean(each)) and one["low"] < one["value"] < one["high"] and sd["value"] == pytest.approx(np.std(each, ddof=1))
    assert one["value"] < auc(y, np.mean([p for _, p in cells(logit, 1.5, seed=1)], axis=0))  # what an ensemble would flatter


def test_over_confidence_is_repaired_and_test_answers_touch_no_calibrator(judged, world):
    valid, test, logit = world
    of = {(r["name"], r["channel"]): r["value"] for r in judged["good"].records if not r["group"] and r["split"] == "test"}
    assert of["ece", None] > 0.1 and of["ece", "calibrated"] < 0.03 and of["log_loss", "calibrated"] < of["log_loss", None]
    turned = comparison.judge("good", cells(logit, 0.3, 3.0), [valid] * 3, test.assign(correct=1 - test["correct"]), draws=2)
    assert turned.methods == judged["good"].methods
    assert all((a == b).all() for a, b in zip(turned.calibrated, judged["good"].calibrated, strict=True))


def test_cold_start_attempts_and_groups_have_rows_and_small_groups_no_number(world):
    valid, test, logit = world
    learners = pd.DataFrame({"learner_id": [f"t{i}" for i in range(LEARNERS)], "band": ["few"] * 9 + ["many"] * (LEARNERS - 9)})
    found = comparison.judge("m", cells(logit, 0.3, n=1), [valid], test, learners, draws=10).records
    groups = {r["group"]: r for r in found if r["name"] == "auc" and r["group"]}
    assert set(groups) == {"first 1 answers", "first 2 answers", "first 5 answers", "first 10 answers", "first 20 answers", "first 50 answers",
                           "first attempts", "band=few (not enough data)", "band=many"}
    assert groups["first 5 answers"]["n"] == 5 * LEARNERS and groups["first 1 answers"]["low"] < groups["first 1 answers"]["high"]
    assert groups["band=few (not enough data)"]["value"] is None and groups["band=few (not enough data)"]["n"] is None
    assert [r["value"] for r in found if r["name"] == "auc_sd"] == [None]


def test_verdicts_say_who_leads_who_loses_to_best_lr_and_which_calibration_misses(judged):
    found = comparison.verdicts(records(judged), networks=["worse"], floors=["other_seed"], plain="good")
    assert found[0].endswith("not distinguishable from it: " + ", ".join(m for m in _order(judged)[1:] if m != "worse") + ".")
    assert "Networks that rank better than Best-LR (good): none. Best-LR ranks better than: worse." in found
    assert any(line.startswith("worse is not shown to beat the floor other_seed") for line in found)
    planted = [{**r, "value": 0.05} if r["name"] == "ece" and r["channel"] and r["model"] == "worse" else r for r in records(judged)]
    assert "worse (.050)" in comparison.verdicts(planted, [], [], None)[-1]


def _order(judged) -> list[str]:
    return sorted(judged, key=lambda name: -judged[name].auc.mean)


def test_equal_models_are_rarely_told_apart():
    """Of 60 pairs of equally good models that were fitted three times, few may be called different."""
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y, units, signal = rng.integers(0, 2, 400).astype(float), np.repeat(np.arange(40), 10), rng.normal(0, 1, 400)
        scores = {name: comparison.over_cells(y, [signal + y + rng.normal(0, 1, 400) for _ in range(3)], units, auc, draws=40) for name in "ab"}
        wrong += comparison.differences(scores, 400)[1]["value"] < 0.05
    assert wrong <= 9


def test_few_cells_do_not_make_chance_look_like_a_difference():
    """Equally good models whose seeds scatter more than their learners, fitted three times: a normal distribution would call 17 % different."""
    rng, p = np.random.default_rng(1), []
    for _ in range(500):
        each, drawn = rng.normal(0.7, 0.02, (2, 3)) + rng.normal(0, 0.003, (2, 1)), rng.normal(0.7, 0.003, (2, 60, 1))
        scores = {name: comparison.CellScores(each[k], np.repeat(drawn[k], 3, axis=1), 200) for k, name in enumerate("ab")}
        p.append(comparison.differences(scores, 4000)[1]["value"])
    assert 0.01 < np.mean(np.array(p) < 0.05) < 0.11 and np.mean(np.array(p) < 0.005) < 0.05


@pytest.mark.parametrize(("learners", "answers", "draws"), [(1, None, 40), (9, None, 40), (40, 1.0, 40), (40, None, 1)])
def test_too_little_data_tells_no_models_apart(learners, answers, draws):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400).astype(float) if answers is None else np.full(400, answers)
    said = {"a": rng.random(400) + y, "b": rng.random(400)}
    scores = {name: comparison.over_cells(y, [p], np.arange(400) % learners, auc, draws=draws) for name, p in said.items()}
    found = comparison.differences(scores, 400)
    assert [r["value"] for r in found if r["name"] == "p_holm"] == [None] and found[0]["low"] is None
    assert comparison.sentences(found)[0].endswith("not enough data to tell them apart")
    own = [r for name in "ab" for r in [scores[name].record("auc", 400, model=name)] if np.isfinite(r["value"])]
    assert not any("distinguishable from every" in line for line in comparison.verdicts(own + found, [], [], None)[:1])
