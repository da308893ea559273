"""Tuning as a user runs it: killed and gone on with, the test part unread, a planted best setting found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from edukit.experiments import recipe, study, tune
from omegaconf import OmegaConf
from optuna.trial import TrialState

from edukit.evaluation import tracking
from edukit.reproducibility import bundled
from edukit.schema import DataError

# Knows the answers, but says them best where x is 0.3; keeps a line per fit.
TOY = '''
import time
from pathlib import Path


class Toy:
    """Predicts well where x is 0.3."""

    def __init__(self, x=0.9, way="plain", log="", pause=0.0):
        self.x, self.way, self.log, self.pause = x, way, log, pause

    def fit(self, interactions, graph, dif_groups=None):
        if self.x > 0.95:
            raise ValueError("x is far too large")
        with Path(self.log).open("a") as file:
            file.write(f"{self.x} {self.way} {len(interactions)} {interactions['correct'].sum()}\\n")
        time.sleep(self.pause)
        return self

    def predict(self, interactions):
        sure = 0.45 - min(abs(self.x - 0.3), 0.4) - 0.05 * (self.way == "poor")
        return 0.5 + sure * (2 * interactions["correct"] - 1)
'''
SMALL = ("data.classes=4", "data.learners_per_class=15", "learners=30", "draws=20")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Path:
    """One tracking folder for all: making its database takes seconds."""
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture
def toy(tmp_path: Path, tracked: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of a search over the toy model, whose fits are kept in fits.txt; children find it too."""
    (tmp_path / "toy_model.py").write_text(TOY)
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("EDUKIT_TRACKING", str(tracked))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    monkeypatch.syspath_prepend(str(tmp_path))
    return [*SMALL, "tracing._target_=toy_model.Toy", *(f"~tracing.{name}" for name in recipe.config("tune").tracing if name != "_target_"),
            "+tracing.x=0.9", "+tracing.way=plain", "+tracing.pause=0", f"+tracing.log={tmp_path / 'fits.txt'}",
            "space={x: [uniform, 0, 0.94], way: [plain, poor]}"]


def fits(tmp_path: Path) -> list[str]:
    return (tmp_path / "fits.txt").read_text().splitlines()


def test_a_killed_search_goes_on_under_one_parent_and_repeats_no_finished_trial(toy, tracked, tmp_path):
    words = [sys.executable, "-m", "edukit.cli", "run", "tune", *toy, "tracing.pause=1", "trials=4"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as first:
        for line in first.stdout:
            if line.startswith("trial 1/4"):
                break
        os.kill(first.pid, signal.SIGKILL)
    killed = fits(tmp_path)
    assert 2 <= len(killed) <= 3 and not list((tmp_path / "outputs" / "tune").glob("*/run_report.json"))
    said = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=400)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "1 of 4 are done already" in said.stdout or "2 of 4 are done already" in said.stdout
    assert "tracing.pause=1" in said.stdout.split("next ")[1].split("\n")[0] and "trials=" not in said.stdout.split("next ")[1].split("\n")[0]
    runs = tracking.runs(tracked)
    parent = runs.loc[runs["name"].str.startswith("sweep"), "run_id"]
    assert len(parent) == 1
    nested = runs[runs["parent"] == parent.iloc[0]]
    assert nested["name"].str.contains("trial").sum() == 4 and len(nested) == 5  # and the report of the search itself
    trials = pd.read_csv(next((tmp_path / "outputs" / "tune").glob("*/trials.csv")))
    assert sorted(trials["trial"]) == [0, 1, 2, 3]
    again = fits(tmp_path)[len(killed):]
    assert len(set(killed) | set(again)) == 4 and len(killed) + len(again) <= 6  # the two that were running are run again under their numbers


@pytest.fixture
def here(monkeypatch):
    """Trials run in a thread of this process: what they compute is the same, and no interpreter starts."""
    @contextmanager
    def pool(number, **tables):
        study.HELD.update(tables)
        with ThreadPoolExecutor(number) as threads:
            yield threads

    monkeypatch.setattr(tune, "workers", pool)


def test_the_planted_best_setting_is_found_its_importance_told_and_what_fails_counts(toy, here, tmp_path, capsys):
    report = recipe.start("tune", *toy, "space={x: [uniform, 0, 1], way: [plain, poor]}", "trials=16", "workers=1")
    told, table = capsys.readouterr().out, pd.read_csv(report.folder / "trials.csv")
    assert table["x"].iloc[0] == pytest.approx(0.3, abs=0.1) and table["way"].iloc[0] == "plain"
    assert report.value("log_loss", channel="best settings") < report.value("log_loss", channel="first settings") - 0.3
    shares = report.table(name="importance").set_index("group")["value"]
    assert shares["x"] > shares["way"] and shares.sum() == pytest.approx(1)
    assert f"tracing.x={table['x'].iloc[0]}" in told and "next        edukit run trace" in told
    failed = table[table["value"].isna()]
    assert len(table) == 16 and len(fits(tmp_path)) == 16 - len(failed) and (failed["x"] > 0.95).all()
    assert told.count("failed: ValueError: x is far too large") == len(failed) > 0


def test_trials_do_not_see_the_test_part_and_one_worker_repeats_exactly(toy, here, tmp_path, monkeypatch):
    words, honest, found = [*toy, "trials=3", "workers=1"], recipe.make_split, []

    def altered(data, kind, seed):
        split, log = honest(data, kind, seed), data["interactions"]
        rows = log.index[split.rows["test"]]
        log.loc[rows, "correct"] = 1 - log.loc[rows, "correct"]
        return split

    for place in ("one", "two"):
        monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / place))
        found.append(pd.read_csv(recipe.start("tune", *words).folder / "trials.csv").drop(columns="seconds"))
        monkeypatch.setattr(recipe, "make_split", altered)
    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert len(fits(tmp_path)) == 6 and fits(tmp_path)[:3] == fits(tmp_path)[3:]


def test_a_search_of_which_every_trial_fails_is_refused(toy, here):
    with pytest.raises(DataError, match="found 2 that failed, the first with: ValueError: x is far too large"):
        recipe.start("tune", *toy, "space={x: [0.96, 0.97]}", "trials=2", "workers=1")


@pytest.mark.parametrize(("words", "message"), [
    (["space=[learning_rate]"], "found learning_rate"),
    (["space={strength: [log, 3, 1]}"], "found \\['log', 3, 1\\]"),
    (["space=[items]"], "without a range"),
    (["space={}"], "found none"),
    (["objective=r2"], "found r2"),
    (["workers=0"], "workers=0"),
])
def test_a_search_that_cannot_be_read_is_refused_by_name(words, message):
    with pytest.raises(DataError, match=message):
        tune.run(recipe.config("tune", *words))


def test_every_model_has_something_to_look_for():
    cfg = recipe.config("tune")
    for path in sorted((bundled("conf") / "tracing").glob("*.yaml")):
        cfg.tracing = OmegaConf.load(path)
        space = tune.space_of(cfg)
        assert set(space) <= set(yaml.safe_load(path.read_text())), path.stem


def test_a_study_gone_on_with_draws_what_an_unbroken_one_draws(tmp_path):
    space, first = {"x": ["log", 0.01, 1.0], "n": ["int", 1, 9], "c": ["a", "b"]}, {"x": 0.1, "n": 20, "c": "b"}

    def drawn(file: str, stops: int) -> list[dict]:
        held = study.Study(tmp_path / file, space, "minimize", 3, first)
        found = []
        for turn in range(14):
            if turn == stops:
                held.ask()  # drawn, and then the process is killed
                held = study.Study(tmp_path / file, space, "minimize", 3, first)
            number, settings = held.ask()
            held.tell(number, {"value": abs(np.log(settings["x"] / 0.2)) + settings["n"] / 100, "seconds": 0.0})
            found.append(settings)
        assert len(held.scores) == 14 and all(t.state == TrialState.COMPLETE for t in held.study.trials)
        return found

    whole = drawn("whole.db", -1)
    assert whole == drawn("broken.db", 12) and (whole[0]["x"], whole[0]["c"]) == (0.1, "b") and whole[0]["n"] <= 9
    assert min(abs(np.log(s["x"] / 0.2)) for s in whole) < 0.3
