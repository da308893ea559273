"""An attacker with linear programming recovers what plain suppression hides, and nothing of what complementary suppression hides."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic import random_concepts, simulate
from edukit.governance.privacy import aggregate, suppress
from edukit.governance.subtraction import ranges, recovered


def table(rng: np.random.Generator, rows: int, columns: int, largest: int, totals: str) -> pd.DataFrame:
    counts = rng.integers(0, largest, (rows, columns))
    frame = pd.DataFrame(counts, [f"r{i}" for i in range(rows)], [f"c{i}" for i in range(columns)])
    if "r" in totals:
        frame["all"] = frame.sum(axis=1)
    if "c" in totals:
        frame.loc["all"] = frame.sum()
    return frame.rename_axis("row").reset_index().melt("row", var_name="column", value_name="n")


def every_table(wide: np.ndarray, hidden: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every completion of a small table whose last row and column are totals, tried one by one; the range of each hidden cell."""
    found = []
    for values in product(range(1, int(wide.max()) + 1), repeat=len(hidden)):
        for place, value in zip(hidden, values, strict=True):
            wide[place] = value
        if (wide[:-1].sum(axis=0) == wide[-1]).all() and (wide[:, :-1].sum(axis=1) == wide[:, -1]).all():
            found.append(values)
    return [(min(column), max(column)) for column in zip(*found, strict=True)]


def test_ranges_are_those_of_trying_every_table():
    rng = np.random.default_rng(3)
    for _ in range(4):
        cells = table(rng, 3, 2, 6, "rc")
        wide = cells.pivot(index="row", columns="column", values="n").reindex(index=["r0", "r1", "r2", "all"], columns=["c0", "c1", "all"])
        inside = [(r, c) for r in range(3) for c in range(2) if wide.iloc[r, c] > 0]
        hidden = sorted(inside[i] for i in rng.permutation(len(inside))[:3])
        gone = {(wide.index[r], wide.columns[c]) for r, c in hidden}
        masked = cells.assign(n=cells["n"].astype("Int64").mask([pair in gone for pair in zip(cells["row"], cells["column"], strict=True)]))
        found = ranges(masked, "row", "column", "n").set_index(["row", "column"])
        wanted = every_table(wide.to_numpy().copy(), hidden)
        assert [tuple(found.loc[(wide.index[r], wide.columns[c])]) for r, c in hidden] == wanted


def test_plain_suppression_is_undone():
    rng = np.random.default_rng(0)
    cells = table(rng, 4, 4, 40, "rc")
    truth = cells["n"].copy()
    parts = (cells["row"] != "all") & (cells["column"] != "all")
    naive = cells.assign(n=cells["n"].astype("Int64").mask(parts & cells["n"].between(1, 9)))
    found = recovered(naive, "row", "column", "n")
    assert len(found) >= 2 and (found["low"] == truth[found.index]).all()


@pytest.mark.parametrize("totals", ["", "r", "c", "rc"])
def test_complementary_suppression_is_not(totals):
    rng = np.random.default_rng([1, len(totals)])
    for size in ((3, 3, 30), (6, 4, 25), (2, 8, 60), (5, 5, 12)):
        cells = table(rng, *size, totals)
        hidden = suppress(cells, "row", "column", "n", [])
        small = cells["n"] < 10
        for knows in (None, small):
            found = recovered(hidden, "row", "column", "n", small=knows)
            assert found.empty, (totals, size, found)


def test_nothing_is_recovered_from_what_is_exported_of_a_classroom():
    """Learners by class and concept, and by group: the tables from which maps and reports are made."""
    world = simulate(*random_concepts(seed=2), classes=5, learners_per_class=11, answered=0.25, seed=2)
    log = world.tables["interactions"].merge(world.tables["q_matrix"], on="item_id")
    log = log.drop_duplicates(["learner_id", "concept_id"])
    people = log.merge(world.tables["learners"], on="learner_id")
    for by in (["class_id", "concept_id"], ["class_id", "support"], ["gender", "language"]):
        cells = aggregate(people, by, ["correct"]).cells
        assert cells["hidden"].any() or by == ["gender", "language"]
        assert recovered(cells, *by, "n").empty
        assert cells.loc[cells["hidden"], ["n", "correct_mean", "correct_sum"]].isna().all(axis=None)


def test_lines_that_do_not_add_up_say_nothing():
    """A learner in two classes is counted twice: the total is less than its parts, and no subtraction helps."""
    cells = pd.DataFrame({"row": ["a", "b", "all"], "column": "x", "n": [None, 30, 20]})
    assert recovered(cells, "row", "column", "n").empty and len(ranges(cells, "row", "column", "n")) == 1
