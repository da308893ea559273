"""How a learner works is measured as it was planted, beside enough others only, and what was not logged is said to be so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.working_pace import pace

START = pd.Timestamp("2026-01-05 09:00", tz="UTC")


def work(learner: str, days: list[int], each: int = 10, seconds: float = 30.0, hints: int = 0, seed: int = 0) -> pd.DataFrame:
    """On each day ``each`` answers to the same items, two minutes apart."""
    rng, rows = np.random.default_rng(seed), []
    for order in range(len(days) * each):
        moment = START + pd.Timedelta(days=days[order // each], minutes=2 * (order % each))
        rows.append((learner, f"q{order % 20}", float(rng.random() < 0.6), order, moment, order // 20 + 1, seconds * rng.lognormal(0, 0.2), hints))
    return pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order", "timestamp", "attempt", "response_time_s", "hints"])


OTHERS = pd.concat([work(f"o{u}", [0, 2, 4, 7], seed=u) for u in range(12)], ignore_index=True)


def measure(table: pd.DataFrame, words: str) -> pd.Series:
    rows = table[table["measure"].str.contains(words, regex=False)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_planted_pace_is_found():
    table = pace(work("slow", [0, 1, 21, 22, 35], seconds=66.0, hints=2, seed=99), OTHERS)
    ratio = measure(table, "against the median")
    assert ratio["value"] == pytest.approx(2.2, rel=0.1) and ratio["low"] < ratio["value"] < ratio["high"] and ratio["n"] == 50
    assert measure(table, "more than 2 times")["value"] > 0.5
    assert measure(table, "longest gap")["value"] == pytest.approx(20, abs=0.1)
    assert measure(table, "sessions (apart")["value"] == 5
    assert measure(table, "minutes of a session")["value"] == pytest.approx(19, abs=1)
    assert measure(table, "pauses (of")["value"] > 0
    assert measure(table, "days with answers a week")["value"] == pytest.approx(5 / (36 / 7))
    assert measure(table, "days with answers a week")["typical"] == pytest.approx(4 / (8 / 7))
    assert (measure(table, "hints")[["value", "typical"]] == [2, 0]).all()
    again = measure(table, "tried again")
    assert again["value"] == 1 and again["n"] == 20
    assert (table["state"][table["measure"] == "changes per answer"] == "not logged").all()


def test_what_was_not_logged_is_not_a_number():
    bare = work("x", [0, 3])[["learner_id", "item_id", "correct", "order"]]
    table = pace(bare, OTHERS)
    assert set(table.loc[table["state"] == "not logged", "kind"]) == {"pace", "pauses", "hesitation", "changes", "hints"}
    assert table.loc[table["state"] != "logged", ["value", "low", "high", "typical"]].isna().all(axis=None)
    unordered = pace(bare.assign(order=pd.Series(pd.NA, index=bare.index, dtype="Int64")), OTHERS)
    assert (unordered["state"] == "not logged").all()


def test_few_answers_and_few_others_are_not_enough():
    little = pace(work("x", [0], each=3), OTHERS)
    assert set(little.loc[little["kind"].isin(["hints", "hesitation"]), "state"]) == {"not enough data"}
    alone = pace(work("x", [0, 3, 6]), OTHERS[OTHERS["learner_id"].isin(["o0", "o1"])])
    assert alone["typical"].isna().all() and measure(alone, "against the median")["state"] == "not enough data"


def test_nobody_else_is_needed():
    table = pace(work("x", [0, 3, 6]), OTHERS.iloc[:0])
    assert measure(table, "seconds per answer")["state"] == "logged" and table["typical"].isna().all()
