"""Pseudonyms need the key, and no published table lets anyone compute a number about fewer than k learners."""

from __future__ import annotations

import os
import stat

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edukit.governance.privacy import TOTAL, Aggregate, K, Pseudonymiser, aggregate, load_key, suppress
from edukit.schema import DataError

KEY = bytes(range(32))


# ---- pseudonyms --------------------------------------------------------------------------------------


def test_pseudonyms_are_stable_distinct_readable_and_need_the_key():
    ids = pd.Series(["Ann", "Bob", "Ann", "10^n)", "é", None], index=[5, 3, 9, 1, 0, 7])
    first = Pseudonymiser(KEY).pseudonyms(ids, "learner")
    assert first.equals(Pseudonymiser(KEY).pseudonyms(ids, "learner"))
    assert first.index.equals(ids.index) and first.isna().tolist() == ids.isna().tolist()
    assert first.nunique() == 4 and first[5] == first[9]
    assert first.dropna().str.fullmatch(r"learner-[0-9a-f]{12,}").all()
    other_key, other_kind = Pseudonymiser(KEY[::-1]), Pseudonymiser(KEY).pseudonyms(ids, "class")
    assert not set(first.dropna()) & set(other_key.pseudonyms(ids, "learner").dropna())
    assert not {p.split("-")[1] for p in first.dropna()} & {p.split("-")[1] for p in other_kind.dropna()}
    assert other_key.key_version != Pseudonymiser(KEY).key_version


def test_pseudonyms_come_back_with_the_key_only():
    ids = pd.Series(["Ann", "Bob", "Ann", "10^n)"])
    pseudonyms = Pseudonymiser(KEY).pseudonyms(ids, "learner")
    assert Pseudonymiser(KEY).reveal(pseudonyms, ids, "learner").tolist() == ids.tolist()
    assert Pseudonymiser(KEY[::-1]).reveal(pseudonyms, ids, "learner").isna().all()


def test_key_is_in_no_representation():
    shown = repr(Pseudonymiser(KEY)) + Pseudonymiser(KEY).key_version
    assert KEY.hex() not in shown and repr(KEY) not in shown


def test_collision_is_refused(monkeypatch):
    monkeypatch.setattr("edukit.governance.privacy.DIGITS", 1)
    with pytest.raises(DataError, match="unique"):
        Pseudonymiser(KEY).pseudonyms(pd.Series(range(40)).astype("str"), "learner")


def test_short_key_is_refused():
    with pytest.raises(DataError, match="32 bytes"):
        Pseudonymiser(b"secret")


def test_key_file_is_private_kept_and_checked(tmp_path):
    path = tmp_path / "keys" / "school.key"
    key = load_key(path)
    assert len(key) == 32 and load_key(path) == key
    assert load_key(tmp_path / "other.key") != key
    assert [p.name for p in path.parent.iterdir()] == ["school.key"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("not a key")
    with pytest.raises(DataError, match="hex digits"):
        load_key(path)
    assert path.read_text() == "not a key"


# ---- suppression: attacks ----------------------------------------------------------------------------


def with_totals(counts: np.ndarray, sums: np.ndarray, both: bool) -> pd.DataFrame:
    """Cells r x c with the totals of each column, and of each row and of everything where ``both``."""
    r, c = counts.shape
    cells = pd.DataFrame({"row": np.repeat([f"r{i}" for i in range(r)], c), "column": np.tile([f"c{j}" for j in range(c)], r),
                          "n": counts.ravel(), "total": sums.ravel()})
    parts = [cells, cells.groupby("column", as_index=False)[["n", "total"]].sum().assign(row=TOTAL)]
    if both:
        parts.append(pd.concat(parts).groupby("row", as_index=False)[["n", "total"]].sum().assign(column=TOTAL))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(mean=table["total"] / table["n"].replace(0, np.nan))


def lines_of(table: pd.DataFrame) -> list[tuple[np.ndarray, int]]:
    """Every usable line: positions of its parts, position of its total."""
    lines = []
    for along, across in ((table["row"], table["column"]), (table["column"], table["row"])):
        is_total, labels = (along == TOTAL).to_numpy(), across.to_numpy(object)
        lines += [(np.flatnonzero((labels == labels[total]) & ~is_total), int(total)) for total in np.flatnonzero(is_total)]
    return lines


def determined(table: pd.DataFrame) -> np.ndarray:
    """Positions of hidden cells that the linear equations of all lines determine (the strongest subtraction attack)."""
    hidden = np.flatnonzero(table["hidden"])
    place = {cell: i for i, cell in enumerate(hidden)}
    equations = []
    for parts, total in lines_of(table):
        equation = np.zeros(len(hidden))
        for cell, sign in [*((p, 1) for p in parts), (total, -1)]:
            if cell in place:
                equation[place[cell]] = sign
        equations.append(equation)
    if not len(hidden):
        return hidden
    _, singular, basis = np.linalg.svd(np.array(equations))
    free = basis[(singular > 1e-9).sum():]
    return hidden[np.abs(free).max(axis=0, initial=0) < 1e-9]


tables = st.tuples(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 10**6))


@given(tables, st.sampled_from([0.1, 0.3, 0.5]))
@example((3, 5, True, 0), 0.1)  # the cell that must be hidden lies in no line of the one that would be given away
@settings(max_examples=120, deadline=None)
def test_no_subtraction_recovers_a_hidden_cell(drawn, empty):
    rows, columns, both, seed = drawn
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, *range(1, 26)], size=(rows, columns), p=[empty, *[(1 - empty) / 25] * 25])
    table = with_totals(counts, counts * rng.random(counts.shape), both)
    shown = suppress(table, "row", "column", "n", ["mean", "total"])
    small = table["n"].between(1, K - 1)
    assert shown["hidden"][small].all()
    assert shown.loc[shown["hidden"], ["n", "mean", "total"]].isna().all(axis=None)
    kept = ~shown["hidden"]
    assert shown.loc[kept, "n"].astype(int).equals(table.loc[kept, "n"]) and shown.loc[kept, "mean"].equals(table.loc[kept, "mean"])
    assert not len(determined(shown))
    n, mean, marks, hidden, is_small = (t.to_numpy() for t in (table["n"], table["mean"], table["total"], shown["hidden"], small))
    for parts, total in lines_of(shown):
        gone, known = parts[hidden[parts]], parts[~hidden[parts] & (n[parts] > 0)]
        if len(gone) and not hidden[total]:
            # weighted-mean attack: total mean * n - sum(known mean * n), over the learners that are left
            left = n[total] - n[known].sum()
            found = (mean[total] * n[total] - (mean[known] * n[known]).sum()) / left
            assert len(gone) >= 2 and left >= K
            assert np.isclose(found, marks[gone].sum() / n[gone].sum())  # so it is a mean of k learners or more
            assert left > is_small[gone].sum() + K * (~is_small[gone]).sum()  # nobody is at the lower end for certain


def test_a_table_without_small_cells_is_published_whole():
    table = with_totals(np.full((4, 3), 12), np.full((4, 3), 6.0), both=True)
    assert not suppress(table, "row", "column", "n", ["mean"])["hidden"].any()


def test_one_small_cell_costs_one_more_where_only_columns_have_totals():
    counts = np.array([[3, 20], [25, 21], [14, 22]])
    shown = suppress(with_totals(counts, counts / 2, both=False), "row", "column", "n", ["mean"])
    assert shown.loc[shown["hidden"], ["row", "column"]].to_numpy().tolist() == [["r0", "c0"], ["r2", "c0"]]


def test_two_small_cells_that_make_a_small_pair_hide_a_third():
    counts = np.array([[2], [3], [30], [40]])
    shown = suppress(with_totals(counts, counts / 2, both=False), "row", "column", "n", [])
    assert shown["hidden"].tolist() == [True, True, True, False, False]


def test_two_blocks_joined_by_one_cell_are_not_enough():
    """Every row and column hides two cells or more, and still the joining cell could be computed from the two blocks."""
    counts = np.full((4, 4), 40)
    counts[:2, :2] = counts[2:, 2:] = 8
    counts[1, 2] = 9
    table = with_totals(counts, counts / 2, both=True)
    naive = table.assign(hidden=table["n"] < K)
    assert {tuple(naive.loc[i, ["row", "column"]]) for i in determined(naive)} == {("r1", "c2")}
    assert not len(determined(suppress(table, "row", "column", "n", [])))


@pytest.mark.parametrize("change, words", [
    (lambda t: pd.concat([t, t]), "once"),
    (lambda t: t.assign(n=t["n"].astype("Int64").mask(t["row"] == "r0")), "missing"),
    (lambda t: t.assign(row=t["row"].mask(t["row"] == "r0")), "missing"),
])
def test_suppress_refuses_what_it_cannot_protect(change, words):
    with pytest.raises(DataError, match=words):
        suppress(change(with_totals(np.full((2, 2), 12), np.ones((2, 2)), both=False)), "row", "column", "n", [])


# ---- the gate ----------------------------------------------------------------------------------------


def learners(sizes: dict[tuple[str, str], int]) -> pd.DataFrame:
    groups = [group for group, n in sizes.items() for _ in range(n)]
    return pd.DataFrame({"learner_id": [f"l{i}" for i in range(len(groups))], "school": [g[0] for g in groups],
                         "result": [g[1] for g in groups], "score": np.linspace(0, 1, len(groups))})


def test_aggregate_counts_learners_not_rows_and_averages_rows():
    table = learners({("A", "pass"): 12, ("B", "pass"): 15})
    cells = aggregate(pd.concat([table, table]), ["school"], ["score"]).cells.set_index("school")
    assert cells["n"].to_dict() == {"A": 12, "B": 15, TOTAL: 27}
    assert cells.loc[TOTAL, "score_mean"] == pytest.approx(table["score"].mean())
    assert cells.loc["A", "score_sum"] == pytest.approx(2 * table["score"][:12].sum())


def test_aggregate_hides_small_cells_and_their_complements():
    sizes = {("A", "pass"): 4, ("A", "fail"): 20, ("B", "pass"): 30, ("B", "fail"): 11}
    cells = aggregate(learners(sizes), ["school", "result"], ["score"]).cells
    hidden = cells[cells["hidden"]]
    assert set(zip(hidden["school"], hidden["result"], strict=True)) == {(s, r) for s in "AB" for r in ("pass", "fail")}
    assert hidden[["n", "score_mean", "score_sum"]].isna().all(axis=None)
    assert sorted(cells.loc[~cells["hidden"], "n"]) == [24, 31, 34, 41, 65]


def test_an_aggregate_cannot_be_made_or_changed_by_hand():
    made = aggregate(learners({("A", "pass"): 12}), ["school"])
    with pytest.raises(TypeError, match="aggregate only"):
        Aggregate(("school",), 10, made.cells, object())
    cells = made.cells
    cells["n"] = 3
    assert (made.cells["n"] == 12).all()


@pytest.mark.parametrize("arguments, words", [
    ({"by": ["school", "result", "score"]}, "one or two"), ({"by": ["village"]}, "village"), ({"by": ["school"], "k": 1}, "at least 2"),
])
def test_aggregate_names_what_is_wrong(arguments, words):
    with pytest.raises(DataError, match=words):
        aggregate(learners({("A", "pass"): 12}), **arguments)


def test_a_group_called_all_is_refused():
    with pytest.raises(DataError, match="names totals"):
        aggregate(learners({(TOTAL, "pass"): 12}), ["school"])
