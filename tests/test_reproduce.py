"""Papers are reproduced as a student meets them: every quick variant runs, the numbers are those of the experiment itself, and absent files are named."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edukit.experiments import recipe, reproduce
from omegaconf import OmegaConf
from typer.testing import CliRunner

from edukit.cli import app
from edukit.data import curriculum
from edukit.evaluation import RunReport
from edukit.metrics import record
from edukit.schema import DataError

LOG, PAIRS = "gervet2020_irt_assistments2009", "liang2018_random_forest_alcpl"  # tried with all tests
OTHERS = sorted(set(reproduce.papers()) - {LOG, PAIRS})  # most of them networks: tried with the notebooks, which take as long
PAPER = OmegaConf.create({
    "name": "doe2020_model_set",
    "published": {"metric": "auc", "number": 0.9, "verified": False, "source": "table 1", "protocol": "p", "checked": "c", "leak": "l"},
    "expected_here": {"low": 0.7, "high": 0.8, "why": "w"}, "found": {}, "others": [{"model": "item_mean"}],
    "cite": {"title": "T", "authors": "Doe", "venue": "V", "year": 2020}, "cost": {"minutes": 1, "memory_mb": 1}})
RUN = [record("auc", 0.75, 100, 0.72, 0.78, model="Net", split="learner"), record("auc", 0.6, 100, model="Net", split="learner", group="first 5 answers"),
       record("auc", 0.65, 100, 0.62, 0.68, model="item_mean", split="learner"), record("ece", 0.1, 100, model="Net", split="learner")]


def tried(name: str) -> RunReport:
    """One quick variant: the report holds the paper's number and ours, and says that invented data prove nothing."""
    report = recipe.start("reproduce", f"experiment={name}", "quick=true", "seed=1")
    paper = reproduce.papers()[name]
    assert report is not None and report.data["name"] == "synthetic" and report.config["paper"]["name"] == name
    published, found = (report.table(channel=channel) for channel in ("published", "found"))
    assert published["value"].tolist() == [paper.published.number] and len(found) == 1 + len(paper.others)
    assert found["model"].notna().all() and (found["n"] > 0).all() and found["value"].between(0, 1).all()
    assert published["model"].tolist() == found["model"].tolist()[:1] and report.table(channel="expected").empty
    assert (report.folder / report.figures["comparison"]).stat().st_size > 0
    return report


def test_quick_variant_of_a_log_runs():
    tried(LOG)


@pytest.mark.notebook
@pytest.mark.parametrize("name", OTHERS)
def test_quick_variant_of_the_others_runs(name: str):
    tried(name)


def test_quick_takes_the_place_of_the_data_and_keeps_the_paper_s_model():
    plain, quick = (recipe.config("reproduce", "experiment=piech2015_dkt_assistments2009", *words) for words in ((), ("seed=5", "tracing.dropout=0.5")))
    quick = reproduce.quickened(quick)
    assert quick.data._target_.endswith("Synthetic") and "variant" not in quick.data and "variant" in plain.data
    assert quick.tracing._target_ == plain.tracing._target_ and quick.tracing.item_bias is plain.tracing.item_bias is False
    assert (quick.tracing.hidden, quick.tracing.dropout, quick.seed) == (16, 0.5, 5)  # what the command line sets elsewhere stays


def test_the_run_behind_it_is_that_of_the_experiment_itself():
    cfg = recipe.config("reproduce", "experiment=gervet2020_irt_assistments2009", "seed=3")
    plain = recipe.config("trace", "data=assistments2009", "tracing=irt", "graph=none", "split=published", "seed=3")
    assert OmegaConf.to_container(reproduce.of_experiment(cfg, "trace"), resolve=True) == OmegaConf.to_container(plain, resolve=True)


def test_ours_stands_beside_the_paper_s_and_is_judged_by_the_range():
    told = reproduce.beside(PAPER, RUN, quick=False)
    assert [(r["channel"], r["model"], r["value"], r["low"]) for r in told] == [
        ("published", "Net", 0.9, None), ("expected", "Net", None, 0.7), ("found", "Net", 0.75, 0.72), ("found", "item_mean", 0.65, 0.62)]
    assert reproduce.verdict(PAPER, told, quick=False) == "in the expected range"
    for value, word in ((0.69, "below"), (0.81, "above")):
        other = reproduce.beside(PAPER, [{**RUN[0], "value": value}, *RUN[1:]], quick=False)
        assert reproduce.verdict(PAPER, other, quick=False) == f"{word} the expected range"
    said = "\n".join(reproduce.text(PAPER, told, quick=False))
    assert "0.9 (not verified)" in said and "0.750 [0.720, 0.780], Net on 100 answers" in said and "in the expected range" in said
    quick = reproduce.text(PAPER, reproduce.beside(PAPER, RUN, quick=True), quick=True)
    assert not any(line.startswith("  expected") for line in quick) and any("says nothing about the paper" in line for line in quick)


def test_a_run_without_the_number_or_with_two_is_refused():
    for run in (RUN[2:], [*RUN, {**RUN[0], "split": "other"}]):
        with pytest.raises(DataError, match=r"must hold one record .*; found [02]"):
            reproduce.beside(PAPER, run, quick=False)


def test_a_closed_map_implies_itself_and_its_negatives_are_unrelated():
    concepts, edges = curriculum.concepts(), curriculum.prerequisites()
    pairs = reproduce.closed_map(concepts, edges)
    yes, no = ({*map(tuple, pairs.loc[pairs["label"] == label, reproduce.PAIR].to_numpy())} for label in (1, 0))
    assert {*map(tuple, edges[reproduce.PAIR].to_numpy())} < yes and len(yes) == len(no) == len(pairs) / 2
    assert all((a, d) in yes for (a, b), (c, d) in itertools.product(yes, yes) if b == c)
    assert not no & (yes | {(b, a) for a, b in yes})
    assert pairs.equals(reproduce.closed_map(concepts, edges)) and not pairs.equals(reproduce.closed_map(concepts, edges, seed=1))


def command(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess:
    environment = {**{k: v for k, v in os.environ.items() if k != "EDUKIT_DATA"}, "EDUKIT_OUTPUTS": str(place / "outputs"), **more}
    line = [sys.executable, "-m", "edukit.cli", "run", "reproduce", *words]
    return subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=300)


def test_without_a_paper_they_are_listed(tmp_path: Path):
    done = command(tmp_path)
    assert done.returncode == 0 and all(name in done.stdout for name in reproduce.papers()), done.stdout + done.stderr
    assert not (tmp_path / "outputs").exists()
    listed = CliRunner().invoke(app, ["experiments", "list"]).stdout
    assert all(name in listed for name in ("reproduce ", *reproduce.papers()))


def test_absent_files_are_named_with_what_works_without(tmp_path: Path):
    done = command(tmp_path, "experiment=piech2015_dkt_assistments2009", EDUKIT_DATA=str(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr and not (tmp_path / "outputs").exists(), done.stderr
    assert "edukit data fetch assistments2009_lpp" in done.stderr and "edukit run reproduce experiment=piech2015_dkt_assistments2009 quick=true" in done.stderr


def test_quick_variant_of_pairs_gives_python_the_numbers_of_the_command_line(tmp_path: Path):
    done = command(tmp_path, f"experiment={PAIRS}", "quick=true", "seed=1")
    assert done.returncode == 0, done.stdout + done.stderr
    theirs, mine = RunReport.read(Path(done.stdout.strip().split("\n")[-1])), tried(PAIRS)
    told = [[m for m in report.metrics if m["channel"] in reproduce.CHANNELS] for report in (theirs, mine)]
    assert told[0] == told[1] and told[0]


@pytest.mark.realdata
def test_a_paper_comes_back_on_its_own_data(edukit_data: Path):
    report = recipe.start("reproduce", f"experiment={LOG}", "draws=20")
    found, expected = (report.table(channel=channel).iloc[0] for channel in ("found", "expected"))
    assert expected["low"] <= found["value"] <= expected["high"]
