"""Combinations of columns that single learners out are counted, and made coarser until they do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.governance.disclosure import disclosure, generalise, suppress_rows
from edukit.schema import DataError

SIX = ["gender", "region", "highest_education", "imd_band", "age_band", "disability"]


def people(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"town": rng.choice(list("abc"), n), "age": rng.integers(16, 70, n).astype(float), "sex": rng.choice(["f", "m"], n),
                         "mark": rng.choice(["pass", "fail", None], n, p=[0.5, 0.4, 0.1])})


def test_counts_are_those_of_a_group_by():
    table = people()
    table.loc[::50, "town"] = None
    found = disclosure(table, ["town", "age", "sex"], ["mark"], k=5)
    size = table.groupby(["town", "age", "sex"], dropna=False)["mark"].transform("size")
    assert (found.rows, found.smallest, found.unique, found.below) == (600, size.min(), (size == 1).sum(), (size < 5).sum())
    assert found.distribution["rows"].sum() == 600 and found.distribution["classes"].sum() == found.classes
    assert found.distribution.loc[0, "rows"] == found.unique
    values = table.groupby(["town", "age", "sex"], dropna=False)["mark"].agg(lambda one: one.nunique(dropna=False))
    assert found.diversity["smallest"].item() == values.min()
    assert 1 <= found.diversity["smallest_entropy"].item() <= values.min() + 1e-9


def test_the_column_that_adds_most_is_named_first():
    found = disclosure(people(), ["sex", "town", "age"], k=10)
    assert found.columns["column"].iloc[0] == "age" and found.columns["below_without"].iloc[0] == 0
    assert "age adds most" in str(found)


def test_a_combination_that_gives_the_secret_away_is_counted():
    table = pd.DataFrame({"town": ["a"] * 4 + ["b"] * 4, "illness": ["x"] * 4 + ["x", "y", "x", "y"]})
    row = disclosure(table, ["town"], ["illness"], k=2).diversity.iloc[0]
    assert (row["smallest"], row["rows_of_one_value"]) == (1, 4) and row["smallest_entropy"] == 1


def test_generalised_rows_are_alike_and_suppression_reaches_k():
    table = people()
    coarse = generalise(table, {"age": {"bands": [18, 30, 45]}, "town": {"hierarchy": {"a": ["north", "all"], "b": ["north", "all"], "c": ["south", "all"]}}})
    assert set(coarse["age"]) == {"under 18", "18-29", "30-44", "45 and over"} and set(coarse["town"]) == {"north", "south"}
    before, after = (disclosure(t, ["town", "age", "sex"]) for t in (table, coarse))
    assert after.below < before.below / 5
    kept, gone = suppress_rows(coarse, ["town", "age", "sex"])
    assert gone == after.below and disclosure(kept, ["town", "age", "sex"]).smallest >= 10
    assert table["age"].dtype == float, "the table itself is left as it was"


def test_every_rule():
    table = pd.DataFrame({"x": [1.5, 50, 99, None], "g": ["a", "b", None, "a"]})
    assert generalise(table, {"x": {"top": 90, "bottom": 10}})["x"].fillna(-1).tolist() == [10, 50, 90, -1]
    assert generalise(table, {"x": {"bands": [10]}})["x"].isna().tolist() == [False, False, False, True]
    assert generalise(table, {"g": {"groups": {"a": "one", "b": "one"}}})["g"].dropna().unique().tolist() == ["one"]
    assert generalise(table, {"g": {"hide": True}})["g"].unique().tolist() == ["*"]


@pytest.mark.parametrize(("act", "words"), [
    (lambda t: disclosure(t, ["nobody"]), "found nobody"), (lambda t: disclosure(t, []), "none named"), (lambda t: disclosure(t, ["town"], k=1), "k = 1"),
    (lambda t: disclosure(t.head(0), ["town"]), "0 rows"), (lambda t: generalise(t, {"town": {"group": {}}}), "found group"),
    (lambda t: generalise(t, {"town": {"groups": {"a": "x"}}}), "found none for"),
    (lambda t: generalise(t, {"town": {"hierarchy": {"a": ["x"]}, "level": 2}}), "must reach level 2"),
])
def test_what_is_wrong_is_said(act, words):
    with pytest.raises(DataError, match=words):
        act(people())


@pytest.mark.realdata
def test_oulad_has_k_5_and_course_and_term_single_out_9338_enrolments(edukit_data):
    """One row = one enrolment, as published (32,593); learners of several enrolments count once for each."""
    table = pd.read_csv(edukit_data / "oulad" / "student.csv", dtype="str", keep_default_na=False)
    alone = disclosure(table, SIX, ["final_result"])
    assert (alone.rows, alone.smallest, alone.unique) == (32_593, 5, 0)
    placed = disclosure(table, [*SIX, "code_module", "code_presentation"])
    assert (placed.smallest, placed.unique) == (1, 9_338)
