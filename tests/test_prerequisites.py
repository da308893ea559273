"""The benchmark of prerequisites as a command: cells on disk, a report that says what is met and what is not, and a leak that a random split shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import prerequisite_report, prerequisites
from typer.testing import CliRunner

CONCEPTS, PAIRS = 36, 420


def call(*words: str) -> str:
    done = CliRunner().invoke(prerequisites.app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def judged_topics(tmp_path, monkeypatch):
    """Invented topics in a transitively closed order, with names that say nothing of it, in the layout of LectureBankCD."""
    place, rng = tmp_path / "data" / "prerequisites" / "lecturebank_cd", np.random.default_rng(0)
    place.mkdir(parents=True)
    words = [f"{a}{b}" for a in ("ka", "mo", "ri", "su", "te", "vu") for b in ("lan", "dor", "pim", "ses", "tuk", "vay")]
    order = rng.permutation(CONCEPTS)
    a, b = np.divmod(rng.choice(CONCEPTS**2, PAIRS, replace=False), CONCEPTS)
    rows = [f"{x + 1},{y + 1},{int(order[x] < order[y])}" for x, y in zip(a, b, strict=True) if x != y]
    (place / "CV.annotation.csv").write_text("\n".join(rows))
    (place / "CV.topics.tsv").write_text("\n".join(f"{k + 1}\t{word}" for k, word in enumerate(words)))
    monkeypatch.setenv("EDUKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / "out"))
    prerequisites._loaded.cache_clear()
    return tmp_path / "out" / "prerequisites"


def test_the_closure_rule_shines_where_rows_are_drawn_at_random_and_knows_nothing_of_new_concepts(judged_topics):
    words = ["table", "--data", "lecturebank_cd", "--model", "constant,closure_rule", "--folds", "3", "--seeds", "1", "--draws", "20"]
    said = call(*words, "--workers", "2")
    metrics = pd.read_parquet(judged_topics / "metrics.parquet")
    auc = prerequisite_report.parts(metrics[metrics["name"] == "auc"]).set_index(["model", "split"])["value"]
    assert auc["closure_rule", "random_leaky with implied"] > 0.9 and abs(auc["closure_rule", "inductive"] - 0.5) < 0.05
    assert auc["constant"].eq(0.5).all() and (judged_topics / "average_precision.png").stat().st_size > 5000
    assert "lecturebank_cd, inductive" in said and "lecturebank_cd, inductive" in (judged_topics / "report.txt").read_text()
    cells = {file: file.stat().st_mtime_ns for file in judged_topics.rglob("*_seed*.parquet")}
    assert len(cells) == 3 * 2 * 3  # tracks, models, folds
    call(*words, "--workers", "1")
    assert {file: file.stat().st_mtime_ns for file in judged_topics.rglob("*_seed*.parquet")} == cells


def test_the_learning_curve_uses_fewer_pairs_and_keeps_its_cells_apart(judged_topics):
    said = call("curve", "--data", "lecturebank_cd", "--model", "degree_logistic", "--track", "grouped", "--folds", "2", "--draws", "10", "--workers", "1")
    grown = pd.read_parquet(judged_topics / "curve.parquet")
    assert grown["share"].tolist() == list(prerequisites.SHARES) and grown["value"].iloc[-1] > grown["value"].iloc[0]
    assert (judged_topics / "curve.png").stat().st_size > 5000 and "degree_logistic" in said


def test_a_share_keeps_both_orders_of_a_pair_together():
    pairs = pd.DataFrame([(f"c{a}", f"c{b}") for a in range(12) for b in range(12) if a != b], columns=["concept_id", "requires_id"])
    fewer = prerequisites._fewer(pairs, 0.5, seed=0)
    ends = {tuple(row) for row in fewer.to_numpy()}
    assert len(fewer) == len(pairs) / 2 and all((b, a) in ends for a, b in ends)


def difference(data: str, low: float, model: str = "course_gnn") -> dict:
    return {"data": data, "split": "inductive", "model": model, "against": model + prerequisite_report.TWIN, "name": "ap",
            "difference": low + 0.01, "low": low, "high": low + 0.02}


@pytest.mark.parametrize(("lows", "shown"), [((0.01, 0.02, 0.001), True), ((0.01, 0.02, -0.001), False), ((0.01, 0.02), False)])
def test_a_graph_helps_only_where_three_intervals_lie_above_zero(lows, shown):
    table = pd.DataFrame([difference(f"set{k}", low) for k, low in enumerate(lows)])
    helps = prerequisite_report.graph_helps(table)
    assert bool(helps["shown"].all()) is shown and helps["helps"].sum() == sum(low > 0 for low in lows)


def test_targets_name_the_best_model_and_say_what_is_not_met():
    rows = [{"data": "ucd", "track": "inductive", "split": "inductive", "group": None, "model": model, "name": name, "value": value, "low": value - 0.05,
             "high": value + 0.05, "n": 100}
            for model, ap in (("name_logistic", 0.99), ("logistic", 0.70), ("blend", 0.77)) for name, value in
            (("auc", 0.9), ("ap", ap), ("f1", 0.6), ("direction_accuracy", 0.95), ("ece", 0.02), ("kendall_tau", 0.1), ("cycles", 1.0))]
    metrics = pd.DataFrame(rows)
    found = prerequisite_report.targets(metrics, ("name_logistic",)).set_index("name")
    assert set(found["model"]) == {"blend"} and found["met"].to_dict() == {"auc": True, "ap": True, "f1": False, "direction_accuracy": True}
    said = prerequisite_report.text(metrics, pd.DataFrame(), ("name_logistic",))
    assert said.count("NOT MET") == 1 and "0.600 [0.550,0.650]" in said
