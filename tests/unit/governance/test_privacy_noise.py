"""Noise is as large as theory says, each release is paid for, and a budget that is spent stays spent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from edukit.governance import privacy_noise
from edukit.governance.privacy_budget import Budget
from edukit.schema import DataError

pytest.importorskip("opendp", reason="noise needs OpenDP: pip install 'edukit[privacy]'")


@pytest.fixture
def plenty(tmp_path) -> Budget:
    return Budget("data", total=1e6, path=tmp_path / "ledger.db")


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 2.0])
def test_errors_of_counts_match_theory_within_5_percent(plenty, epsilon):
    """20,000 categories, each with noise of its own: the mean absolute error is known to about 1 %."""
    people = pd.Series(np.arange(500))
    drawn = privacy_noise.histogram(people % 20_000, people, range(20_000), epsilon, plenty, "many")
    error = (drawn["value"] - (np.arange(20_000) < 500)).abs()
    assert error.mean() == pytest.approx(drawn["error"].iloc[0], rel=0.05)
    assert (error <= drawn["value"] - drawn["low"]).mean() >= 0.945, "the interval holds the exact count at its level"


def test_errors_of_means_match_theory_within_5_percent(plenty):
    values, people = pd.Series(np.linspace(0, 100, 40)), pd.Series(np.arange(40))
    released = privacy_noise.mean(values, people, 0, 100, 1.0, plenty, "mark")
    noisy, _ = privacy_noise.mean_noise(40, 0, 100, 1.0)
    error = np.abs(np.array([noisy(values.tolist()) for _ in range(8_000)]) - 50)
    assert error.mean() == pytest.approx(released.error, rel=0.05) and released.error == pytest.approx(100 / 40)
    assert (error <= released.high - released.value).mean() == pytest.approx(0.95, abs=0.01)


def test_one_learner_moves_a_number_by_no_more_than_its_noise_covers(plenty):
    """With next to no noise the exact statistics show: a learner with a thousand rows counts once, a mark beyond the limit as the limit."""
    people = pd.Series([1] * 1000 + [2, 3, None])
    assert privacy_noise.count(people, 1e3, plenty, "learners").value == 3
    assert privacy_noise.count(people, 1e4, plenty, "rows", per_learner=5).value == 7
    marks = privacy_noise.mean(pd.Series([100.0] * 1000 + [0, 1e9, 50]), people, 0, 100, 1e4, plenty, "mark")
    assert marks.value == pytest.approx(200 / 3, abs=0.1)
    table = privacy_noise.histogram(pd.Series(["a"] * 999 + ["b", "a", "c", "a"]), people, ["a", "b"], 1e3, plenty, "kind")
    assert table["value"].tolist() == [2, 0]


def test_each_release_is_paid_for_and_the_ledger_refuses_when_the_budget_is_spent(tmp_path):
    budget = Budget("data", total=1.0, path=tmp_path / "ledger.db")
    people = pd.Series(np.arange(50))
    for number in range(10):
        privacy_noise.count(people, 0.1, budget, f"count {number}")
    assert budget.left == 0 and budget.entries()["what"].tolist()[-1] == "count 9" and budget.entries()["left"].iloc[4] == pytest.approx(0.5)
    with pytest.raises(DataError, match="only 0 is left"):
        privacy_noise.mean(people.astype(float), people, 0, 50, 1e-6, budget, "one more")
    assert len(budget.entries()) == 10 and Budget("other", path=budget.path).left == 1
    with pytest.raises(DataError, match="A budget that can be raised is none"):
        Budget("data", total=2.0, path=budget.path).spend(0.1, "x")


def test_entries_can_neither_be_changed_nor_taken_back(tmp_path):
    import sqlite3

    budget = Budget("data", path=tmp_path / "ledger.db")
    budget.spend(0.5, "x")
    for word in ("UPDATE spent SET epsilon = 1", "DELETE FROM spent", "UPDATE budgets SET total = 9", "DELETE FROM budgets"):
        with sqlite3.connect(budget.path) as database, pytest.raises(sqlite3.DatabaseError, match="only added to"):
            database.execute(word)
    assert budget.left == 0.5


SPENDER = """
import sys
from pathlib import Path
from edukit.governance.privacy_budget import Budget
from edukit.schema import DataError
budget, done = Budget("data", total=0.5, path=Path(sys.argv[1])), 0
try:
    while True:
        budget.spend(0.01, sys.argv[2])
        done += 1
        print(done, flush=True)
except DataError:
    pass
"""


def spender(path, name: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SPENDER, str(path), name], stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def test_two_processes_cannot_overspend_and_a_killed_one_has_spent(tmp_path):
    path = tmp_path / "ledger.db"
    killed = spender(path, "killed")
    told = [killed.stdout.readline() for _ in range(3)]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    budget = Budget("data", total=0.5, path=path)
    before = len(budget.entries())
    assert told[-1] == "3\n" and before >= 3
    both = [spender(path, name) for name in ("one", "two")]
    counted = [len(process.communicate(timeout=60)[0].split()) for process in both]
    killed.stdout.close()
    entries = budget.entries()
    assert before + sum(counted) == len(entries) == 50 and budget.left == 0


@pytest.mark.parametrize(("act", "words"), [
    (lambda b: privacy_noise.count(pd.Series([1]), 0.0, b, "x"), "epsilon must be above 0"),
    (lambda b: privacy_noise.count(pd.Series([1]), 1.0, b, "x", per_learner=0), "per_learner"),
    (lambda b: privacy_noise.mean(pd.Series([1.0]), pd.Series([1]), 2, 1, 1.0, b, "x"), "low must be below high"),
    (lambda b: privacy_noise.mean(pd.Series([None]), pd.Series([1]), 0, 1, 1.0, b, "x"), "Nothing was spent"),
    (lambda b: privacy_noise.histogram(pd.Series([1]), pd.Series([1]), [], 1.0, b, "x"), "must be listed"),
    (lambda b: Budget("", path=b.path), "fingerprint"),
])
def test_what_is_wrong_is_said(plenty, act, words):
    with pytest.raises(DataError, match=words):
        act(plenty)
    assert plenty.left == plenty.total


def test_without_opendp_the_error_says_what_to_install(plenty, monkeypatch):
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    with pytest.raises(DataError, match=r"pip install 'edukit\[privacy\]'"):
        privacy_noise.count(pd.Series([1]), 1.0, plenty, "x")
    assert plenty.left == plenty.total
