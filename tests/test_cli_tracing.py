"""A tracked model in use: it answers for a learner never seen, explains itself, and is refreshed on newer data; against a real tracking database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import recipe, serving
from typer.testing import CliRunner

from edukit import splits
from edukit.cli import app
from edukit.evaluation import RunReport, tracking
from edukit.formats import graph_file
from edukit.schema import DataError

CONCEPTS = ("adding", "=cmd()", "<b>x</b>", "drawing")
ITEMS, EACH = 40, 20
NOTHING_ELSE = ("old0", "old17")  # learners of the training data


def log(who: str, learners: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """A Rasch world; ``shift`` makes even items harder and odd ones easier."""
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(99).normal(0, 1, ITEMS) + shift * np.where(np.arange(ITEMS) % 2, -1, 1)
    item = np.stack([rng.permutation(ITEMS)[:EACH] for _ in range(learners)])
    right = rng.random(item.shape) < 1 / (1 + np.exp(hard[item] - rng.normal(0, 1, (learners, 1))))
    return pd.DataFrame({"learner_id": np.repeat([f"{who}{u}" for u in range(learners)], EACH), "item_id": [f"q{i}" for i in item.ravel()],
                         "correct": right.ravel().astype(int), "order": np.tile(np.arange(EACH), learners),
                         "concept_id": [CONCEPTS[i % 4] for i in item.ravel()]})


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("tracing")
    pd.DataFrame({"concept": ["=cmd()"], "requires": ["adding"]}).to_csv(place / "graph.csv", index=False)
    log("old", 200, 1).to_csv(place / "old.csv", index=False)
    log("new", 200, 2, shift=1.5).to_csv(place / "shifted.csv", index=False)
    log("few", 60, 3).to_csv(place / "few.csv", index=False)
    pd.DataFrame({"item_id": ["q0", "q1", "q5", "nobody_asked"], "correct": [1, 0, 1, 1]}).to_csv(place / "ann.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUKIT_OUTPUTS", str(place / "outputs"))
        yield place


def trace(place: Path, *words: str) -> RunReport:
    return recipe.start("trace", "data=school_csv", f"data.path={place / 'old.csv'}", f"data.graph={place / 'graph.csv'}", "draws=20", *words)


@pytest.fixture(scope="module")
def run(place) -> str:
    """Id of a tracked run of irt on the old data."""
    report = trace(place, "tracing=irt")
    return tracking.run_in(place / "outputs" / "tracking", report.folder)


def asked(*words: object) -> str:
    done = CliRunner().invoke(app, ["learner", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_last_is_the_newest_model_that_knows_the_items_and_is_named(place, tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    rows = log("toy", 30, 4)
    rows.assign(item_id="toy-" + rows["item_id"]).to_csv(tmp_path / "toy.csv", index=False)
    real = trace(place, "tracing=irt", f"data.path={place / 'few.csv'}")
    toy = trace(place, "tracing=irt", f"data.path={tmp_path / 'toy.csv'}")
    fit, newest = (tracking.run_in(tmp_path / "tracking", report.folder) for report in (real, toy))
    assert serving.tracked("last").run_id == newest and serving.tracked("last", items=rows["item_id"]).run_id == fit
    told = CliRunner().invoke(app, ["learner", "last", str(place / "ann.csv"), "--json"], catch_exceptions=False)
    assert f"note: last is irt of run {fit[:8]}" in told.stderr and json.loads(told.stdout), "three of the four items of the history are its own"
    strange = pd.Series(["toy-q0", "x", "y", "z"])
    assert serving.tracked("last", items=strange).run_id == newest, "where none knows half, the one that knows most"


def test_a_run_is_found_by_id_prefix_last_folder_and_report(place, run):
    root, rows = place / "outputs" / "tracking", log("ann", 1, 5)
    report = RunReport.read(tracking.find(root, run)[1])
    folder = next((place / "outputs" / "trace").iterdir())
    ways = [serving.tracked(word, root) for word in (run, run[:10], "last", str(folder), str(folder / "run_report.json"))]
    assert {way.run_id for way in ways} == {run} and report.experiment == "trace"
    for way in ways[1:]:
        pd.testing.assert_frame_equal(way.model.mastery(rows), ways[0].model.mastery(rows))
    state = ways[0].model.start()
    for row in rows.itertuples():
        state = ways[0].model.step(state, row.item_id, float(row.correct))
    live = ways[0].model.mastery_of(state)["mastery"].to_numpy()
    assert live == pytest.approx(ways[0].model.mastery(rows)["mastery"].to_numpy(), abs=1e-9)


def test_the_learner_command_answers_with_uncertainty_and_says_what_it_does_not_know(place, run):
    said = CliRunner().invoke(app, ["learner", run[:8], str(place / "ann.csv")], catch_exceptions=False)
    assert "3 of 4 concepts" not in said.stdout and "2 of 4 concepts practised" in said.stdout and "not enough data: 2 concepts" in said.stdout
    assert "order of the file" in said.stderr and "never heard of them" in said.stderr and "nobody_asked" in said.stderr
    assert not any(name in said.stdout + said.stderr for name in NOTHING_ELSE)


def test_json_and_csv_hold_every_concept_and_names_are_text(place, run):
    out = place / "ann_mastery.csv"
    rows = json.loads(CliRunner().invoke(app, ["learner", run, str(place / "ann.csv"), "--json", "--csv", str(out)], catch_exceptions=False).stdout)
    assert {row["concept_id"] for row in rows} == set(CONCEPTS)
    by = {row["concept_id"]: row for row in rows}
    assert by["adding"]["state"] == "estimated" and by["drawing"]["state"] == "not enough data" and by["drawing"]["n"] == 0 and by["drawing"]["sd"] > 0
    written = pd.read_csv(out, encoding="utf-8-sig").set_index("concept_id")
    assert "'=cmd()" in written.index and "<b>x</b>" in written.index and written.loc["adding", "mastery"] == pytest.approx(by["adding"]["mastery"])


def test_several_learners_are_told_apart(place, run):
    both = place / "both.csv"
    log("zoe", 2, 6).drop(columns="concept_id").to_csv(both, index=False)
    said = asked(run, both, "--top", 1)
    assert "learner zoe0" in said and "learner zoe1" in said
    assert "of one learner; found 2" in str(CliRunner().invoke(app, ["learner", run, str(both), "--explain", "adding"]).exception)


def test_a_model_without_order_answers_too(place):
    report = trace(place, "tracing=irt_static", "split=cells")
    said = asked(report.folder, place / "ann.csv", "--explain", "adding")
    assert "Mastery of adding is estimated at" in said and "irt_static" in asked(report.folder, place / "ann.csv")


def test_explaining_names_prerequisites_and_draws(place, run):
    picture = place / "why.png"
    said = asked(run, place / "ann.csv", "--explain", "=cmd()", "--figure", picture)
    assert "responses on the prerequisite adding: +" in said and "wrong on item q1 (-" in said and picture.stat().st_size > 5_000
    told = json.loads(asked(run, place / "ann.csv", "--explain", "=cmd()", "--json"))
    assert [part["relation"] for part in told["concepts"]] == ["itself", "prerequisite", "other"] and told["sentence"] in said


def test_a_learner_is_drawn_response_by_response(place, run):
    picture, both = place / "way.png", place / "both_ways.csv"
    assert "2 of 4 concepts practised" in asked(run, place / "ann.csv", "--figure", picture) and picture.stat().st_size > 5_000
    log("zoe", 2, 6).drop(columns="concept_id").to_csv(both, index=False)
    assert "follows one learner; found 2" in str(CliRunner().invoke(app, ["learner", run, str(both), "--figure", str(picture)]).exception)


def test_a_run_of_no_model_or_of_a_foreign_class_is_refused(place, run, tmp_path):
    root = place / "outputs" / "tracking"
    with pytest.raises(DataError, match="no run"):
        serving.tracked("0123456789", root)
    with pytest.raises(DataError, match="must hold tracked runs"):
        serving.tracked("abc", tmp_path)
    with pytest.raises(DataError, match="must hold a tracked model"):
        serving.tracked("last", tmp_path)
    assert not list(tmp_path.iterdir())
    content = json.loads((tracking.find(root, run)[1] / "run_report.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"x")
    for target in ("os.system", "edukit.reproducibility.os.system", "edukit.tracing.irt.np.ndarray", "edukit.tracing.nothing.IRT", ""):
        content["config"]["tracing"] = {"_target_": target}
        (tmp_path / "run_report.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="must be a run of a model of edukit.tracing"):
            serving.tracked(str(tmp_path), root)


def test_bad_input_is_one_error_in_a_real_process(place, run):
    (place / "foreign.csv").write_text("item_id,correct\nx1,1\nx2,0\n")
    done = subprocess.run([sys.executable, "-m", "edukit.cli", "learner", run, "foreign.csv"], cwd=place, env=dict(os.environ), capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 2 and "must hold items that the model knows; found none in 2" in done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    for words, told in ((("ann.csv", "--explain", "no such"), "none of its 4"), (("nowhere.csv",), "found no such file")):
        assert told in str(CliRunner().invoke(app, ["learner", run, str(place / words[0]), *words[1:]]).exception)


def test_shifted_items_are_reported_and_the_better_model_is_promoted(place, run, capsys):
    root = place / "outputs" / "tracking"
    report = recipe.start("refresh", f"run={run}", f"++data.path={place / 'shifted.csv'}", "draws=150")
    said = capsys.readouterr().out
    assert report.value("promoted") == 1 and "promoted where" in said and "stays above -0.002" in said
    gain = report.table(name="auc_difference").iloc[0]
    assert gain["low"] > 0 and report.value("auc", model="irt (new)") > report.value("auc", model="irt (old)")
    assert "drift in" in said and "item_change" in said.split("drift in")[1].split("(")[0]
    new = tracking.run_in(root, report.folder)
    tags = {r.info.run_id: r.data.tags for r in tracking._all(tracking._client(root))}
    assert tags[new]["refresh"] == "promoted" and tags[new]["refreshes"] == run == tags[new]["mlflow.parentRunId"]
    assert tags[run]["refresh"] == f"replaced by {new}"
    assert serving.tracked("last", root).run_id == new
    assert serving.tracked("last", root).graph.parents("=cmd()") == ["adding"]
    kept = graph_file.read(report.folder / "graph.json").tables["prerequisites"]
    assert kept[["concept_id", "requires_id"]].to_numpy().tolist() == [["=cmd()", "adding"]]
    assert report.config["tracing"]["_target_"] == "edukit.tracing.irt.IRT" and report.config["graph"]["_target_"].endswith("Expert")


def test_fewer_learners_than_can_tell_keep_the_old_model(place, run, capsys):
    root = place / "outputs" / "tracking"
    before = serving.tracked("last", root).run_id
    report = recipe.start("refresh", f"run={run}", f"++data.path={place / 'few.csv'}", "draws=20")
    said = capsys.readouterr().out
    assert report.value("promoted") == 0 and "12 learners whom neither model has seen, 30 are needed" in said and "not promoted" in said
    assert serving.tracked("last", root).run_id == before
    tags = {r.info.run_id: r.data.tags for r in tracking._all(tracking._client(root))}
    assert tags[run]["refresh"] == "kept" and tags[tracking.run_in(root, report.folder)]["refresh"] == "not promoted"


def test_worse_data_is_not_promoted(place, run, capsys):
    """All training answers are turned round: what the new model learns from them helps no held-out learner."""
    worse = log("odd", 200, 7).sort_values(["learner_id", "order"], kind="stable", ignore_index=True)
    train = splits.by_learner(worse, 0).rows["train"]
    worse.loc[train, "correct"] = 1 - worse.loc[train, "correct"]
    worse.to_csv(place / "worse.csv", index=False)
    report = recipe.start("refresh", f"run={run}", f"++data.path={place / 'worse.csv'}", "draws=50")
    gain = report.table(name="auc_difference").iloc[0]
    assert gain["n"] == 800 and gain["high"] < -0.1 and report.value("promoted") == 0 and "not promoted" in capsys.readouterr().out


def test_a_model_without_order_is_refreshed_on_new_learners(place, capsys):
    old = trace(place, "tracing=irt_static")
    report = recipe.start("refresh", f"run={old.folder}", f"++data.path={place / 'shifted.csv'}", "draws=150")
    assert report.value("promoted") == 1 and report.table(name="auc_difference")["n"].iloc[0] == 40 * EACH / 5
    assert "item_change" in capsys.readouterr().out.split("drift in")[1].split("(")[0]


def test_a_refresh_refuses_what_it_cannot_do(place, run):
    with pytest.raises(DataError, match="continues the model and the graph of its run; found edukit.tracing.bkt.BKT"):
        recipe.start("refresh", f"run={run}", "tracing=bkt")
    with pytest.raises(DataError, match="has the options path, kind.*found pth"):
        recipe.start("refresh", f"run={run}", "++data.pth=x")
    with pytest.raises(DataError, match="was not fitted or tested on; found none in 4,000"):
        recipe.start("refresh", f"run={run}")


def test_the_short_command_is_the_experiment(place, run):
    words = [sys.executable, "-m", "edukit.cli", "refresh", run[:9], f"data.path={place / 'few.csv'}", "draws=20"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert RunReport.read(Path(done.stdout.strip().split("\n")[-1])).config["run"] == run
