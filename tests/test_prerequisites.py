"""The benchmark of prerequisites as a command: cells on disk, a report that says what is met and what is not, and a leak that a random split shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import prerequisite_report, prerequisites
from typer.testing import CliRunner

from edukit.report import benchmark_figures
from edukit.schema import DataError

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


def test_the_learning_curve_uses_fewer_pairs_and_keeps_what_was_drawn_before(judged_topics):
    words = ["curve", "--data", "lecturebank_cd", "--track", "grouped", "--folds", "2", "--draws", "10", "--workers", "1"]
    said = call(*words, "--model", "degree_logistic")
    grown = pd.read_parquet(judged_topics / "curve.parquet")
    head = grown[(grown["name"] == "ap") & grown["group"].isna()]
    assert head["share"].tolist() == list(prerequisites.SHARES) and head["value"].iloc[-1] > head["value"].iloc[0]
    assert (judged_topics / "curve.png").stat().st_size > 5000 and "degree_logistic" in said
    for model in ("constant", "degree_logistic"):  # another model beside it; the same one again in its place
        call(*words, "--model", model)
    both = pd.read_parquet(judged_topics / "curve.parquet")
    assert len(both[both["model"] == "degree_logistic"]) == len(grown) and both["model"].nunique() == 2
    assert len(prerequisites._grown(judged_topics / "curve.parquet", folds=2)) == len(both)
    both.assign(key="of other code").to_parquet(judged_topics / "curve.parquet")
    assert prerequisites._grown(judged_topics / "curve.parquet", folds=2).empty


def test_a_cell_that_fails_is_named_and_stops_no_other(judged_topics, monkeypatch):
    answers = prerequisites.answers

    def fails_once(data, track, model, seed, fold, *more):
        if fold == 1:
            raise ValueError("no luck")
        return answers(data, track, model, seed, fold, *more)

    monkeypatch.setattr(prerequisites, "answers", fails_once)
    monkeypatch.setattr(prerequisites, "EVERY", 0)
    words = ["table", "--data", "lecturebank_cd", "--track", "grouped", "--model", "constant", "--folds", "3", "--seeds", "1", "--workers", "1"]
    done = CliRunner().invoke(prerequisites.app, words)
    assert isinstance(done.exception, DataError)
    assert "data lecturebank_cd, track grouped, model constant, seed 0, fold 1, share 1: ValueError: no luck" in str(done.exception)
    assert "3/3" in done.output, "a log shows that it is alive"
    assert len(list(judged_topics.rglob("*_seed*.parquet"))) == 2 and not (judged_topics / "report.txt").exists()
    monkeypatch.setattr(prerequisites, "answers", answers)
    assert "lecturebank_cd, grouped" in call(*words)


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


def scored(**values: float) -> list[dict]:
    """Records of ``model`` with average precision ``ap`` and other scores that do not change."""
    said = {"auc": 0.9, "f1": 0.6, "direction_accuracy": 0.95, "ece": 0.02, "kendall_tau": 0.1, "cycles": 1.0}
    return [{"data": "ucd", "track": "inductive", "split": "inductive", "group": None, "model": model, "name": name, "value": value, "low": value - 0.05,
             "high": value + 0.05, "n": 100} for model, ap in values.items() for name, value in {**said, "ap": ap}.items()]


def test_targets_name_the_best_model_and_say_what_is_not_met():
    metrics = pd.DataFrame(scored(name_logistic=0.99, logistic=0.70, blend=0.77))
    found = prerequisite_report.targets(metrics, ("name_logistic",)).set_index("name")
    assert set(found["model"]) == {"blend"} and found["met"].to_dict() == {"auc": True, "ap": True, "f1": False, "direction_accuracy": True}
    said = prerequisite_report.text(metrics, pd.DataFrame(), ("name_logistic",))
    assert said.count("NOT MET") == 1 and "0.600 [0.550,0.650]" in said


def test_a_target_not_met_stands_with_other_models_and_the_curve_and_says_where_it_is_met():
    easy = [{**row, "group": "annotated", "value": 0.9} for row in scored(blend=0.9) if row["name"] in ("auc", "ap", "f1")]
    metrics = pd.DataFrame(scored(name_logistic=0.99, logistic=0.61, kernel_svm=0.66, blend=0.71) + easy)
    grown = pd.DataFrame([{**row, "share": share, "value": share / 2} for share in (0.25, 1.0) for row in scored(blend=0.5, logistic=0.5)])
    found = prerequisite_report.targets(metrics, ("name_logistic",)).set_index(["name", "split"])
    assert not found.loc[("ap", "inductive"), "met"] and found.loc[("ap", "inductive"), "met_on"] == "inductive annotated only"
    said = prerequisite_report.text(metrics, pd.DataFrame(), ("name_logistic",), grown).splitlines()
    row = next(k for k, line in enumerate(said) if "NOT MET" in line and " ap " in line)
    assert said[row + 1].strip() == "alone: kernel_svm 0.660, logistic 0.610; learning from 25% 0.125, 100% 0.500"


@pytest.mark.parametrize(("share", "apart"), [(0.5, True), (0.02, False)])
def test_annotated_pairs_stand_alone_only_where_reversed_ones_change_the_score(share, apart):
    rng, n = np.random.default_rng(0), 600
    ends = np.array([(a, b) for a in range(CONCEPTS) for b in range(CONCEPTS) if a != b])[rng.permutation(CONCEPTS * (CONCEPTS - 1))[:n]]
    pairs = pd.DataFrame({"concept_id": ends[:, 0], "requires_id": ends[:, 1], "label": (rng.random(n) < 0.2) * 1.0, "origin": "annotated"})
    pairs.loc[(pairs["label"] == 0) & (rng.random(n) < share), "origin"] = "reversed"
    score = np.where(pairs["origin"] == "reversed", 0.6, 0.2 + 0.6 * rng.random(n))
    found = pairs.assign(score=score, reverse=0.1, threshold=0.5, seed=0, fold=0, implied=False, part="inductive", model="m")
    told = prerequisite_report.judged(found, {"concept_pairs": pairs}, (), 10)[0]
    assert ("annotated" in {row["group"] for row in told}) is apart


def test_reliability_is_that_of_the_best_model_that_is_no_floor():
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    found = pd.DataFrame({"label": (rng.random(4000) < p) * 1.0, "score": p, "part": "inductive", "origin": "annotated", "implied": False})
    rows = pd.concat([prerequisite_report.reliabilities(found.assign(model=m, score=s)) for m, s in (("blend", p), ("logistic", p**3))]).assign(data="ucd")
    best = prerequisite_report.calibrated(pd.DataFrame(scored(name_logistic=0.99, logistic=0.7, blend=0.8)), rows, ("name_logistic",))
    assert set(best["model"]) == {"blend"} and best["n"].sum() == 4000 and best["ece"].eq(0.02).all()
    assert (best["predicted"] - best["observed"]).abs().max() < 0.06
    assert len(benchmark_figures.reliabilities(best).axes) == 1
