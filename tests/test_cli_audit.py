"""`edukit audit leakage` in a real process: a sound model passes, a planted leak ends with exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
from click.testing import Result
from typer.testing import CliRunner

from edukit.cli_audit import audit_app
from edukit.evaluation import audit_trail
from edukit.governance.privacy_budget import Budget
from edukit.schema import DataError

LEAKY = '''
import pandas as pd

class Leaky:
    """Predicts each response from the mean of all answers of its learner."""

    def fit(self, interactions, graph):
        return self

    def predict(self, interactions):
        return interactions.groupby("learner_id")["correct"].transform("mean")

    def save(self, path):
        path.write_text("nothing fitted")
'''


def audit(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "edukit.cli", "audit", "leakage", *words], env=dict(os.environ), capture_output=True, text=True, timeout=300,
                          **options)


def test_a_sound_model_passes_and_a_leaky_adapter_does_not(tmp_path):
    (tmp_path / "mine.py").write_text(LEAKY)
    sound = audit("irt", "--learners", "60", cwd=tmp_path)
    assert sound.returncode == 0 and "0 of 4 show a leak" in sound.stdout
    leaky = audit("mine.py:Leaky", "--learners", "60", cwd=tmp_path)
    assert leaky.returncode == 1
    assert "LEAK     later rows" in leaky.stdout


def test_a_csv_of_somebody_elses_predictions(tmp_path):
    rng = np.random.default_rng(1)
    answers = np.repeat((rng.random(2000) < 0.6).astype(float), 2)
    table = pd.DataFrame({"learner_id": np.repeat(np.arange(40), 100), "item_id": np.repeat(np.arange(2000) % 50, 2), "correct": answers})
    table.assign(probability=table.groupby("learner_id")["correct"].shift(fill_value=0.5)).to_csv(tmp_path / "theirs.csv", index=False)
    found = audit("--predictions", "theirs.csv", cwd=tmp_path)
    assert found.returncode == 1 and "LEAK     one row each" in found.stdout


def test_what_is_wrong_is_said_in_a_line(tmp_path):
    for words, told in (((), "either a MODEL or --predictions"), (("nothing",), "MODEL must be one of"), (("no.py:Model",), "found no no.py"),
                        (("--predictions", "no.csv"), "found no no.csv"), (("irt", "--data", "ucd_none"), "data must be one of")):
        found = audit(*words, cwd=tmp_path)
        assert found.returncode == 2 and told in found.stderr and "Traceback" not in found.stderr, found.stderr


# ---- what may leave ------------------------------------------------------------------------------------------------------


def asked(*words: str) -> Result:
    return CliRunner().invoke(audit_app, list(words))


def test_privacy_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.csv").write_text("year,n\n7,40\n8,38\n")
    sound = asked("privacy", str(tmp_path / "out"))
    assert sound.exit_code == 0 and "0 findings in 1 files" in sound.output
    (tmp_path / "out" / "b.json").write_text('{"who": "write to ann@school.org"}')
    (tmp_path / "out" / "a.csv").write_text("year,n\n7,40\n8,3\n")
    found = asked("privacy", str(tmp_path / "out"))
    assert found.exit_code == 1 and "2 findings" in found.output and "small cell" in found.output and "ann@school.org" not in found.output
    assert asked("privacy", str(tmp_path / "out"), "--k", "3").output.count("small cell") == 0
    assert isinstance(asked("privacy", str(tmp_path / "nothing")).exception, DataError)


def test_disclosure_of_a_table(tmp_path):
    rows = [f"{town},{sex},{mark}" for town in "ab" for sex in "fm" for mark in ("pass", "fail") for _ in range(6)]
    (tmp_path / "t.csv").write_text("town,sex,mark\n" + "\n".join(rows) + "\n")
    sound = asked("disclosure", str(tmp_path / "t.csv"), "--by", "town,sex", "--sensitive", "mark")
    assert sound.exit_code == 0 and "k = 12" in sound.output and "l = 2" in sound.output
    assert asked("disclosure", str(tmp_path / "t.csv"), "--by", "town,sex,mark").exit_code == 1


def test_what_is_left_of_a_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path))
    Budget("3fa9").spend(0.75, "learners by year")
    told = asked("budget", "3fa9")
    assert told.exit_code == 0 and "learners by year" in told.output and "0.25 of 1 is left" in told.output
    Budget("3fa9").spend(0.25, "mean mark")
    assert asked("budget", "3fa9").exit_code == 1


def test_fairness_of_somebody_elses_predictions(tmp_path):
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"learner_id": [f"s{n}" for n in range(1200)], "sex": np.tile(["f", "m"], 600)})
    y = rng.integers(0, 2, 1200)
    fair = np.clip(0.5 + 0.2 * (2 * y - 1) + rng.normal(0, 0.15, 1200), 0.01, 0.99)
    unfair = np.where(people["sex"] == "f", rng.random(1200), fair)
    people.to_csv(tmp_path / "groups.csv", index=False)
    for name, p, code in (("fair", fair, 0), ("unfair", unfair, 1)):
        people[["learner_id"]].assign(outcome=y, probability=p).to_csv(tmp_path / f"{name}.csv", index=False)
        assert asked("fairness", str(tmp_path / f"{name}.csv"), str(tmp_path / "groups.csv")).exit_code == code


def test_a_trail_that_was_changed_is_told(tmp_path):
    for run in ("one", "two"):
        audit_trail.append(tmp_path, command="edukit run trace", experiment="trace", data="synthetic", data_fingerprint="f", run=run, state="begun")
    whole = asked("trail", str(tmp_path))
    assert whole.exit_code == 0 and "2 lines, 0 faults" in whole.output
    file = tmp_path / audit_trail.FILE
    file.write_text(file.read_text().replace('"one"', '"three"'))
    assert asked("trail", str(tmp_path)).exit_code == 1
