"""`edukit run learn_graph` as a user meets it: from judged pairs and from responses, with votes, with silence, and with combinations that cannot be."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import learn_graph, recipe
from typer.testing import CliRunner

from edukit.cli import app
from edukit.evaluation import RunReport
from edukit.formats import graph_file
from edukit.graph import pair_features
from edukit.graph.checking import check
from edukit.reproducibility import bundled
from edukit.schema import DataError
from edukit.text import WIDTH

QUICK = ("draws=20", "folds=2", "tracks=[grouped]", "graph=name_logistic")
SMALL = ("data.classes=4", "data.learners_per_class=15", "draws=20", "permutations=39", "halvings=2")
SUBJECTS = ("whole numbers", "fractions", "decimals", "ratios", "equations", "functions", "geometry", "statistics")
STEPS = ("Counting", "Adding", "Comparing", "Proving")


def invented(name: str):
    """A module of tests/invented."""
    found = importlib.util.spec_from_file_location(name, Path(__file__).parent / "invented" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Path:
    """Raw files of UCD with 32 concepts: each step of a subject requires the step before it, across subjects nothing requires anything."""
    place = tmp_path_factory.mktemp("judged")
    invented("ucd").write(place, "")
    yes, lines = [], []
    for subject in SUBJECTS:
        names = [f"{step}_{subject.replace(' ', '_')}" for step in STEPS]
        yes += [f"{b},{a}" for a, b in zip(names, names[1:], strict=False)]
        lines += ["\t".join([b, a, *"111", *[""] * 10]) for a, b in zip(names, names[1:], strict=False)]
        others = [f"{step}_{o.replace(' ', '_')}" for o in SUBJECTS if o > subject for step in STEPS[::2]]
        lines += ["\t".join([names[0], other, *"333", *[""] * 10]) for other in others]
    head = (place / "cs_annotations.tsv").read_text().split("\n")[0]
    (place / "cs_annotations.tsv").write_text("\n".join([head, *lines]) + "\n")
    (place / "cs_preqs.csv").write_text("\n".join(yes) + "\n")
    return place


def bag_of_words(texts) -> np.ndarray:
    """Stands for the sentence embeddings, whose model takes long to load: a direction per word."""
    found = np.stack([sum(np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH) for word in text.lower().split()) for text in texts])
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def _no_sentence_model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_features, "embed", bag_of_words)
        yield


@pytest.fixture
def outputs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    return tmp_path


def learnt(judged: Path, *more: str) -> RunReport:
    return recipe.start("learn_graph", "data=ucd", f"data.path={judged}", *QUICK, *more)


@pytest.fixture(scope="module")
def from_labels(judged, tmp_path_factory) -> RunReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUKIT_OUTPUTS", str(tmp_path_factory.mktemp("labels")))
        return learnt(judged)


def test_a_model_of_labels_stands_beside_the_floors_with_intervals(from_labels):
    table = from_labels.table(name="ap", group=None)
    assert set(table["model"]) == {"name_logistic", "constant", "closure_rule", "degree_logistic"} and set(table["split"]) == {"grouped"}
    assert (table["low"] <= table["value"]).all() and from_labels.value("ap", model="name_logistic") > from_labels.value("random_ap", model="constant") + 0.2
    assert {"ap_difference", "p_holm", "direction_accuracy", "ece", "kendall_tau", "cycles", "edges"} <= set(from_labels.table()["name"])
    assert from_labels.value("ap", model="name_logistic", group="random_negatives") > 0
    assert {"reliability", "comparison", "graph", "graph file"} <= set(from_labels.figures)


def test_every_answer_is_kept_with_its_fold_and_no_pair_is_asked_twice(from_labels):
    said = pd.read_parquet(from_labels.folder / "pairs.parquet")
    own = said[(said["model"] == "name_logistic") & (said["origin"] != "random")]
    assert {"score", "reverse", "threshold", "seed", "fold", "label", "part", "track"} <= set(own) and set(own["fold"]) == {0, 1}
    ends = pd.Series([*map(frozenset, own[["concept_id", "requires_id"]].to_numpy())])
    assert (ends.groupby(ends).nunique() == 1).all() and not own.duplicated(["concept_id", "requires_id", "seed"]).any()
    assert set(said["fold"].groupby([said["concept_id"], said["requires_id"], said["origin"] == "random"]).nunique().xs(False, level=-1)) == {1}


def test_the_learned_graph_is_a_graph_file_with_reasons(from_labels, tmp_path):
    path = from_labels.folder / "learned_graph.json"
    file = graph_file.read(path)
    edges = file.tables["prerequisites"]
    assert len(edges) == from_labels.value("edges") and not [f for f in check(file.tables) if f.fault] and len(file.history) == 1
    assert len(edges) and edges["weight"].between(0.5, 1).all() and edges["rationale"].str.contains("labelled").all() and edges["channel"].notna().all()
    pd.testing.assert_series_equal(pd.read_parquet(from_labels.folder / "prerequisites.parquet")["weight"].sort_values(ignore_index=True),
                                   edges["weight"].astype(float).sort_values(ignore_index=True))
    left = pd.read_parquet(from_labels.folder / "left_out.parquet")
    assert (left["probability"] < 0.5).all() and len(left) == from_labels.value("edges_left_out")
    run = CliRunner()
    for words in (["check", str(path)], ["diff", str(path), str(path)], ["export", str(path), str(tmp_path / "out.graphml")]):
        assert run.invoke(app, ["graph", *words]).exit_code == 0, words


def test_votes_become_labels_before_anything_is_split(from_labels, judged, outputs):
    path = outputs / "voted.json"
    path.write_bytes((from_labels.folder / "learned_graph.json").read_bytes())
    run = CliRunner()
    child, parent = "Adding_fractions", "Counting_fractions"
    for expert in ("Ana", "Ben"):
        assert run.invoke(app, ["graph", "vote", str(path), child, parent, "no", "--by", expert]).exit_code == 0
    report = learnt(judged, f"votes={path}")
    assert report.value("labels_changed") == 1 and report.value("labels_added") == 0
    said = pd.read_parquet(report.folder / "pairs.parquet")
    here = said[(said["concept_id"] == child) & (said["requires_id"] == parent)]
    assert len(here) and (here["label"] == 0).all()
    before = pd.read_parquet(from_labels.folder / "pairs.parquet")
    assert (before[(before["concept_id"] == child) & (before["requires_id"] == parent)]["label"] == 1).all()
    file = graph_file.read(report.folder / "learned_graph.json")
    assert set(file.tables["votes"]["rater_id"]) == {"Ana", "Ben"}
    assert report.split["fingerprint"] != from_labels.split["fingerprint"]


def test_votes_that_cannot_be_used_are_one_error(judged, outputs):
    empty = outputs / "votes.csv"
    empty.write_text("concept_id,requires_id,rater_id,vote\n")
    with pytest.raises(DataError, match="found none"):
        learnt(judged, f"votes={empty}")
    empty.write_text("concept_id,requires_id,rater_id,vote\nCounting_fractions,Cooking,Ana,yes\n")
    with pytest.raises(DataError, match="'Cooking'"):
        learnt(judged, f"votes={empty}")
    with pytest.raises(DataError, match="no such file"):
        learnt(judged, f"votes={outputs / 'absent.json'}")
    assert not (outputs / "learn_graph").exists() or not list((outputs / "learn_graph").iterdir())


@pytest.fixture(scope="module")
def from_logs(tmp_path_factory) -> RunReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUKIT_OUTPUTS", str(tmp_path_factory.mktemp("logs")))
        return recipe.start("learn_graph", *SMALL[2:], "data.classes=8")


def test_responses_give_edges_with_evidence_by_channel_intervals_and_stability(from_logs):
    edges = pd.read_parquet(from_logs.folder / "edges.parquet")
    name = "parent_correct_given_child_passed"
    assert (edges[f"{name}_low"] <= edges[f"{name}_high"]).all() and (edges["n"] >= 20).all() and edges["stability"].dropna().between(0, 1).all()
    assert {"exposure_conditional_low", "parent_first_high"} <= set(edges)
    assert from_logs.value("verdict", group="the logs carry information about pairs of concepts") < 0.05
    assert from_logs.value("split_half_overlap") > 3 * from_logs.value("split_half_overlap_chance")
    kept = graph_file.read(from_logs.folder / "learned_graph.json").tables["prerequisites"]
    assert len(kept) == len(edges) and kept["rationale"].str.contains("learners met both").all() and set(kept["channel"]) == {"responses"}


def test_logs_without_a_graph_give_no_edge(outputs, monkeypatch, capsys):
    real = recipe.load

    def shuffled(loader, say, **purpose):
        data = real(loader, say, **purpose)
        log = data.tables["interactions"]
        data.tables["interactions"] = log.assign(correct=np.random.default_rng(0).permutation(log["correct"]))
        return data

    monkeypatch.setattr(recipe, "load", shuffled)
    report = recipe.start("learn_graph", *SMALL)
    assert report.value("verdict", group="the logs carry no information here") > 0.05
    assert "the logs carry no information here: none of the" in capsys.readouterr().out
    file = graph_file.read(report.folder / "learned_graph.json")
    assert len(file.tables["prerequisites"]) == 0 == len(pd.read_parquet(report.folder / "prerequisites.parquet")) and len(file.tables["concepts"]) == 40
    assert "the logs carry no information here" in file.history[0].note and len(pd.read_parquet(report.folder / "evidence.parquet"))
    report = recipe.start("learn_graph", *SMALL, "graph=expert")  # what people say is not taken back by silent logs
    assert len(pd.read_parquet(report.folder / "prerequisites.parquet")) == 62
    report = recipe.start("learn_graph", *SMALL, "graph=fusion", "graph.text=false", "graph.exposure=false")
    assert len(pd.read_parquet(report.folder / "prerequisites.parquet")) == 0 and "the channel responses is left out" in capsys.readouterr().out


def test_the_fusion_beats_its_control_says_why_and_its_settings_reach_it(outputs, monkeypatch, capsys):
    from edukit.graph import fusion_trial

    made, real = [], fusion_trial.Fusion
    monkeypatch.setattr(fusion_trial, "Fusion", lambda **settings: made.append(settings) or real(**settings))
    report = recipe.start("learn_graph", *SMALL[2:], "data.classes=8", "graph=fusion", "graph.text=false", "graph.exposure=false", "graph.rounds=17")
    assert {settings["rounds"] for settings in made if "rounds" in settings} == {17} and "verdict" in {m["name"] for m in report.metrics}
    precision = {m["channel"]: m["value"] for m in report.metrics if m["name"] == "ap" and m["split"] == "covered"}
    assert precision["responses"] > 3 * precision[fusion_trial.EXCHANGED]
    edges = pd.read_parquet(report.folder / "edges.parquet")
    kept = graph_file.read(report.folder / "learned_graph.json").tables["prerequisites"]
    assert len(edges) == len(kept) > 0 and {"weight", "n", "responses", "prior"} <= set(edges)
    np.testing.assert_allclose(edges["weight"], 1 / (1 + np.exp(-edges["responses"] - edges["prior"])))  # one channel, one seed
    assert kept["rationale"].str.contains(r"log odds -\d\.\d before, responses \+\d\.\d; \d+ learners met both").all()
    said = capsys.readouterr().out
    assert "likeliest edges" in said and said.count("learners met both") == min(len(kept), learn_graph.TOLD)
    assert report.figures["reliability"] and pd.read_parquet(report.folder / "pairs.parquet")["responses"].dropna().between(0, 1).all()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("graph=logistic",), r"graph=logistic learns from judged pairs .* data synthetic holds .*graph=evidence, .*graph=noisy_and"),
        (("data=ucd",), r"graph=evidence reads responses .* data ucd holds .*graph=kernel_svm.* graph=logistic"),
        (("data=ucd", "graph=none"), r"graph=none learns nothing"),
        (("votes=votes.json",), "votes are labels"),
    ],
)
def test_a_model_that_cannot_learn_from_the_data_is_one_error_and_leaves_nothing(judged, outputs, words, found):
    path = (f"data.path={judged}",) if "data=ucd" in words else ()
    with pytest.raises(DataError, match=found):
        recipe.start("learn_graph", *words, *path)
    assert not list((outputs / "learn_graph").glob("*")) and not list((outputs / "learn_graph").glob(".*"))


def test_the_models_that_read_logs_say_so_and_no_other_does():
    for path in sorted((bundled("conf") / "graph").glob("*.yaml")):
        settings = recipe.config("learn_graph", f"graph={path.stem}").graph
        assert learn_graph.name_of(settings) == path.stem
        kind = learn_graph.reads(settings._target_)
        if kind in ("labels", "responses"):
            from hydra.utils import instantiate

            with pytest.raises(DataError, match="labelled pairs" if kind == "labels" else "interactions"):
                instantiate(settings).fit({"concepts": pd.DataFrame({"concept_id": ["a", "b"], "name": ["a", "b"]})})


def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(tmp_path)}
    words = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from edukit.cli import main; main()", "run",
             "learn_graph", "permutations=100000"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        for line in job.stdout:
            if "exchanging answers" in line:
                break
        time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        rest = job.communicate(timeout=60)
    assert job.returncode == 130 and "nothing half-written" in rest[1]
    assert not list((tmp_path / "learn_graph").iterdir())
