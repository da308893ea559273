"""Registers of every shape are read, broken ones name their faults, and what was planted in attendance is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from edukit.data.attendance import absence_runs, attendance_summary, read_register, weekday_absence
from edukit.data.synthetic import Synthetic, World
from edukit.schema import DataError
from edukit.validation import validate

LETTERS = {"P": "present", "L": "late", "A": "absent", "E": "excused"}
DAYS = pd.bdate_range("2025-09-01", periods=60, tz="UTC")


def register(**learners: str) -> pd.DataFrame:
    """One letter a school day for each learner; a dot is a day without a record."""
    rows = [(who, day, LETTERS[c]) for who, marks in learners.items() for day, c in zip(DAYS, marks, strict=False) if c != "."]
    return pd.DataFrame(rows, columns=["learner_id", "date", "status"])


@pytest.fixture(scope="module")
def embedded() -> World:
    return Synthetic(learners_per_class=12).world()


def test_long_and_wide_registers_give_the_same_table(tmp_path: Path):
    (tmp_path / "long.csv").write_text("Pupil;Day;Mark;Minutes;Class\nana;01/09/2025;p;;7a\nana;02/09/2025;L;12;7a\n"
                                       "^n);01/09/2025;U;3;7a\n^n);02/09/2025;;;7a\n")
    (tmp_path / "wide.csv").write_text("\ufeffstudent,class,name,2025-09-01,2025-09-02\nana,7a,Ana,P,late\n^n),7a,Bo,u,\n", encoding="utf-8")
    long = read_register(tmp_path / "long.csv", codes={"u": "late"}, date_format="%d/%m/%Y")
    wide = read_register(tmp_path / "wide.csv", codes={"U": "late"}, ignore=("name",))
    assert long["minutes_late"].fillna(-1).tolist() == [-1, 12, 3] and long["status"].tolist() == ["present", "late", "late"]
    key = ["learner_id", "date", "status", "class_id"]
    pd.testing.assert_frame_equal(long[key].sort_values(key[:2], ignore_index=True), wide[key].sort_values(key[:2], ignore_index=True))


@pytest.mark.parametrize(("text", "words"), [
    ("learner,date,status\na,2025-09-01,X\na,soon,Q\n", ["must hold a date in every record; found soon", "in every record; found X (1", "Q (1"]),
    ("who,date,status\na,2025-09-01,P\n", ["must have one column for the learner", "found who, date, status"]),
    ("learner,name,2025-09-01\na,A,P\n", ["one column per day whose name is a date (ISO8601); found name"]),
    ("learner\na\n", ["found no day"]), ("", ["empty file"]),
    ("learner,date,status\na,2025-09-01,P\na,2025-09-01,A\n", ["must hold each (learner_id, date) once"]),
    ("learner,date,status,minutes\na,2025-09-01,L,-3\n", ["minutes_late must be at least 0"])])
def test_broken_registers_name_their_faults(tmp_path: Path, text: str, words: list[str]):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read_register(tmp_path / "r.csv")
    assert all(w in str(error.value) for w in words), str(error.value)


def test_runs_cross_weekends_and_holidays_but_not_presence_or_missing_records():
    table = register(a="PPPPAAEPPA", b="PPPPPPPPPP", c="AA.AAPPPPP")
    table = table[table["date"] != DAYS[5]]  # a holiday: nobody has a record
    runs = validate(absence_runs(table), "absence_runs")
    assert runs[["learner_id", "days", "excused", "ongoing"]].values.tolist() == [
        ["a", 2, 0.5, False], ["a", 1, 0, True], ["c", 2, 0, False], ["c", 2, 0, False]]
    assert runs["start"].iloc[0] == DAYS[4] and runs["end"].iloc[0] == DAYS[6]


def test_the_calendar_is_that_of_the_class():
    table = register(a="PAPAP", b="PPPPP").assign(class_id=lambda t: t["learner_id"])
    table = table[~((table["learner_id"] == "a") & (table["date"] == DAYS[2]))]  # the class of a had no school on day 3
    assert absence_runs(table)["days"].tolist() == [2]
    assert absence_runs(table.drop(columns="class_id"))["days"].tolist() == [1, 1]


def test_summary_counts_what_is_there_and_leaves_open_what_is_not():
    table = register(a="PLPALEPLPP" * 2, b="AAA").assign(minutes_late=lambda t: np.where(t["status"] == "late", 6.0, np.nan))
    found = validate(attendance_summary(table), "attendance_summary").set_index("learner_id")
    a, b = found.loc["a"], found.loc["b"]
    assert (a["days"], a["absent"], a["unexcused"], a["late"], a["minutes_late"], a["longest_run"]) == (20, 0.2, 0.1, 6 / 16, 6, 1)
    assert a["absent_low"] < 0.2 < a["absent_high"] and a["change"] == 0 and a["slope_low"] < 0 < a["slope_high"]
    assert b["absent"] == 1 and b["absent_high"] == 1 and b["longest_run"] == 3 and b[["late", "minutes_late", "change", "slope"]].isna().all()


def test_slope_and_its_interval_agree_with_least_squares():
    rng = np.random.default_rng(5)
    table = register(a="".join(np.where(rng.random(60) < np.linspace(0, 0.7, 60), "A", "P")))
    found = attendance_summary(table).iloc[0]
    t, y = ((table["date"] - table["date"].min()) / pd.Timedelta(days=28)).to_numpy(), (table["status"] == "present").to_numpy(float)
    x = np.column_stack([np.ones(60), t])
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    inverse = np.linalg.inv(x.T @ x)
    error = np.sqrt((inverse @ (x.T * (y - x @ beta) ** 2) @ x @ inverse)[1, 1] * 60 / 58)
    assert found["slope"] == pytest.approx(beta[1]) and found["slope_high"] - found["slope"] == pytest.approx(1.959964 * error)
    assert found["slope_high"] < 0 and found["change"] == pytest.approx(y[30:].mean() - y[:30].mean())


def test_a_friday_pattern_is_found_with_an_exact_chance():
    marks = np.array(list("P" * 60))
    marks[4::5][:8] = "A"
    marks[[1, 22]] = "E"
    found = validate(weekday_absence(register(a="".join(marks), b="P" * 60)), "weekday_absence").set_index(["learner_id", "weekday"])
    friday = found.loc[("a", 4)]
    assert (friday["days"], friday["absent"], friday["elsewhere"]) == (12, 8, 2 / 48)
    assert friday["p"] == pytest.approx(fisher_exact([[8, 4], [2, 46]], alternative="greater").pvalue)
    assert friday["p_adjusted"] == pytest.approx(5 * friday["p"])
    assert found.loc["a"]["p"].drop(4).min() > 0.3 and found.loc["b"]["p"].isna().all()


def test_one_in_twenty_is_the_most_that_chance_finds():
    rng = np.random.default_rng(8)
    table = register(**{f"l{n}": "".join(np.where(rng.random(60) < 0.15, "A", "P")) for n in range(200)})
    by = weekday_absence(table).groupby("learner_id")["p_adjusted"].min()
    assert (by < 0.05).mean() < 0.08
    summary = attendance_summary(table)
    assert 0.01 < ((summary["slope_low"] > 0) | (summary["slope_high"] < 0)).mean() < 0.10


def test_planted_patterns_of_the_classroom_are_recovered(embedded: World):
    table, pattern = embedded.tables["attendance"], embedded.learners.set_index("learner_id")["attendance"]
    summary = validate(attendance_summary(table), "attendance_summary").set_index("learner_id")
    p = weekday_absence(table).set_index(["learner_id", "weekday"])["p_adjusted"].unstack().reindex(summary.index)
    assert (p[0] < 0.001)[pattern == "mondays"].mean() > 0.95 and (p.min(axis=1) < 0.001)[pattern == "steady"].mean() < 0.02
    falls = (summary["slope_high"] < 0) & (summary["change"] < -0.1)
    assert falls[pattern == "declining"].mean() >= 0.9 and falls[pattern == "steady"].mean() < 0.02
    assert (summary["longest_run"] >= 6)[pattern == "absence_run"].all() and not (summary["longest_run"] >= 6)[pattern == "steady"].any()


def test_later_days_change_no_run_that_had_ended():
    full = register(a="PAAPPAAAPP", b="PPPPPPPPPP")
    early = full[full["date"] <= DAYS[6]]
    before, after = absence_runs(early), absence_runs(full)
    ended = before[~before["ongoing"]]
    assert len(ended) == 1 and before["ongoing"].tolist() == [False, True]
    pd.testing.assert_frame_equal(ended, after.iloc[:1])


def test_row_order_does_not_matter():
    table = register(a="PAAPPAAAPP" * 3, b="PLLLPPEPPA" * 3)
    mixed = table.sample(frac=1, random_state=1)
    for derive in (absence_runs, attendance_summary, weekday_absence):
        pd.testing.assert_frame_equal(derive(table), derive(mixed))
