"""Scores, floors and groups: honest where data is thin, and blind to what a model must not see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation import RunReport, evaluate
from edukit.evaluation.run_report import latest
from edukit.schema import DataError


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "learner_id": np.repeat([f"l{i}" for i in range(60)], 20),
            "item_id": np.tile([f"q{i}" for i in range(20)], 60),
            "correct": rng.integers(0, 2, 1200).astype(float),
            "order": np.tile(np.arange(20), 60),
        }
    )


def test_floors_use_no_later_row_and_no_test_answer_for_items(rows):
    train, test = rows.iloc[:600], rows.iloc[600:]
    before = evaluate.floors(train, test)
    later = test.assign(correct=np.where(test["order"] >= 10, 1 - test["correct"], test["correct"]))
    after = evaluate.floors(train, later)
    early = (test["order"] <= 10).to_numpy()
    assert (before["learner_mean"][early] == after["learner_mean"][early]).all() and (before["learner_mean"][~early] != after["learner_mean"][~early]).any()
    assert (before["item_mean"] == after["item_mean"]).all()


def test_floors_on_random_answers_score_half(rows):
    test = rows.iloc[600:]
    for p in evaluate.floors(rows.iloc[:600], test).values():
        assert abs(evaluate.score(test, p, model="m", split="s", draws=2)[0]["value"] - 0.5) < 0.06


def test_every_group_gets_a_row_and_small_ones_no_number(rows):
    learners = pd.DataFrame(
        {"learner_id": [f"l{i}" for i in range(60)], "gender": ["f"] * 30 + ["m"] * 25 + ["x"] * 5, "band": [1, 2, 3] * 20, "published_part": "test"}
    )
    found = pd.DataFrame(evaluate.by_group(rows, np.full(len(rows), 0.5), learners, model="m", split="s"))
    assert {g.split(" (")[0] for g in found["group"]} == {"gender=f", "gender=m", "gender=x", "band=1", "band=2", "band=3"}
    thin = found[found["group"] == "gender=x (not enough data)"]
    assert len(thin) == 3 and thin["value"].isna().all() and thin["n"].isna().all()
    assert found.loc[found["group"] == "gender=f", "value"].notna().all()
    assert evaluate.by_group(rows, np.full(len(rows), 0.5), None, model="m", split="s") == []


def test_a_group_with_one_kind_of_answer_is_told_apart(rows):
    learners = pd.DataFrame({"learner_id": [f"l{i}" for i in range(60)], "group": ["a"] * 30 + ["b"] * 30})
    always = rows.assign(correct=np.where(rows["learner_id"].isin(learners["learner_id"][:30]), 1.0, rows["correct"]))
    found = pd.DataFrame(evaluate.by_group(always, np.full(len(rows), 0.5), learners, model="m", split="s"))
    assert found.loc[found["group"].str.startswith("group=a"), "value"].isna().all()


def test_first_answers_and_attempts_are_shown_apart(rows):
    again = pd.concat([rows, rows.assign(order=rows["order"] + 20)], ignore_index=True)
    found = pd.DataFrame(evaluate.by_part(again, np.full(len(again), 0.5), model="m", split="s"))
    n = found[found["name"] == "auc"].set_index("group")["n"].to_dict()
    assert n == {"first 5 answers": 300, "first 10 answers": 600, "first attempts": 1200, "later attempts": 1200}


def test_comparison_is_paired_and_holm_adjusted(rows):
    rng = np.random.default_rng(1)
    good = np.clip(rows["correct"] * 0.4 + 0.3 + rng.normal(0, 0.2, len(rows)), 0, 1).to_numpy()
    found = pd.DataFrame(evaluate.compare(rows, {"good": good, "noise": rng.random(len(rows)), "same": good}, against="good", split="s", draws=50))
    assert found.loc[(found["group"] == "minus noise") & (found["name"] == "auc_difference"), "low"].item() > 0
    assert found.loc[(found["group"] == "minus same") & (found["name"] == "auc_difference"), "value"].item() == 0
    assert found.loc[(found["group"] == "minus same") & (found["name"] == "p_holm"), "value"].item() == 1


def test_a_report_comes_back_as_it_was_and_finds_one_metric(tmp_path):
    metrics = evaluate.score(
        pd.DataFrame({"learner_id": list("abab"), "correct": [0.0, 1, 1, 0]}), np.array([0.2, 0.9, 0.6, 0.4]), model="m", split="s", draws=5
    )
    report = RunReport("trace", {"a": 1}, 3, {"label": "x"}, {}, metrics, {}, {})
    again = RunReport.read(report.save(tmp_path))
    assert again == report and again.value("auc") == 1.0 and "auc" in again._repr_html_()
    with pytest.raises(DataError, match="one metric nothing"):
        again.value("nothing")
    (tmp_path / "run_report.json").write_text("{")
    with pytest.raises(DataError, match="must be a run report"):
        RunReport.read(tmp_path)


def test_the_latest_run_is_found_and_not_its_tracked_copy(tmp_path):
    with pytest.raises(DataError, match="must hold a run; found none"):
        latest(tmp_path)
    report = RunReport("trace", {}, 0, {"label": "x"}, {}, [], {}, {})
    mine = report.save(tmp_path / "trace" / "2026-01-01")
    report.save(tmp_path / "tracking" / "artifacts" / "trace" / "1" / "artifacts")
    assert latest(tmp_path) == mine
