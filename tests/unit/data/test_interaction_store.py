"""A log that never is in memory: checked, ranked, sorted and pseudonymised on its way to disk, and read in batches of whole learners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edukit.data.interaction_store import InteractionStore, draw
from edukit.governance.privacy import Pseudonymiser
from edukit.protocols import LearnerBatches
from edukit.schema import DataError
from edukit.validation import validate

KEYED = Pseudonymiser(bytes(32))
COLUMNS = 'who AS learner_id, item AS item_id, correct, time AS "order", make_timestamp(time * 1000000) AS timestamp, class AS class_id, text AS response'


def invented(learners: int = 40, seed: int = 0) -> pd.DataFrame:
    """Rows in no order, two of a learner at one time now and then, ids with every character that could break something."""
    rng = np.random.default_rng(seed)
    who = np.repeat([f"ann's \"{i}\" ü" for i in range(learners)], rng.integers(1, 30, learners))
    rng.shuffle(who)
    n = len(who)
    return pd.DataFrame({"who": who, "item": rng.choice(["10^n)", "b,c", "d;e", "7"], n), "correct": rng.integers(0, 2, n), "time": rng.integers(0, 20, n),
                         "class": rng.choice(["7a", "7b", None], n), "text": rng.choice(["", "x", None], n)})


def source(rows: pd.DataFrame, place: Path) -> str:
    place.mkdir(exist_ok=True)
    rows.to_parquet(place / "raw.parquet", index=False)
    return "read_parquet('" + str(place / "raw.parquet").replace("'", "''") + "')"


@pytest.fixture
def rows() -> pd.DataFrame:
    return invented()


@pytest.fixture
def log(rows, tmp_path) -> InteractionStore:
    return InteractionStore.write(f"SELECT {COLUMNS} FROM {source(rows, tmp_path / 'the o''clock')}", "interactions", tmp_path / "log's", KEYED)


def wanted(rows: pd.DataFrame, keyed: Pseudonymiser | None = KEYED) -> pd.DataFrame:
    """The same by pandas: learners by first appearance, rows by time and then as in the file."""
    frame = rows.assign(first=pd.factorize(rows["who"])[0]).sort_values(["first", "time"], kind="stable", ignore_index=True)
    who, room = (keyed.pseudonyms(frame[c], kind) if keyed else frame[c] for c, kind in (("who", "learner"), ("class", "class")))
    return validate(pd.DataFrame({"learner_id": who, "item_id": frame["item"], "correct": frame["correct"],
                                  "order": frame.groupby("who").cumcount(), "timestamp": pd.to_datetime(frame["time"], unit="s", utc=True).dt.as_unit("us"),
                                  "response": frame["text"], "class_id": room}), "interactions")


def test_it_holds_what_a_table_would(log, rows):
    assert isinstance(log, LearnerBatches) and log.columns == list(wanted(rows).columns)
    assert len(log) == len(rows) and log.learners == rows["who"].nunique() and set(log.filled) == {"learner_id", "item_id", "correct", "order", "timestamp"}
    pd.testing.assert_frame_equal(log.to_frame(), wanted(rows))
    assert 0.5 < log.bytes_in_memory / log.to_frame().memory_usage(deep=True).sum() < 2


@pytest.mark.parametrize("size", [1, 7, 50, 10**6])
def test_batches_are_whole_learners_sorted_and_the_same_every_time(log, rows, size):
    first, again = list(log.iter_learners(size)), list(log.iter_learners(size))
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
    together = pd.concat(first, ignore_index=True)
    assert (together.dtypes == wanted(rows).dtypes).all() and len(together) == len(rows)
    in_batches = together.assign(batch=np.repeat(range(len(first)), [len(b) for b in first])).groupby("learner_id")["batch"].nunique()
    assert (in_batches == 1).all() and (len(first) > 1 or size > len(rows))
    for batch in first:
        people = batch["learner_id"].drop_duplicates()
        assert len(people) == (batch["learner_id"] != batch["learner_id"].shift()).sum()
        assert (batch["order"] == batch.groupby("learner_id").cumcount()).all()


def test_the_same_rows_give_the_same_fingerprint_and_other_rows_another(log, rows, tmp_path):
    select = f"SELECT {COLUMNS} FROM {source(rows, tmp_path / 'again')}"
    again = InteractionStore.write(select, "interactions", tmp_path / "again" / "log", KEYED)
    assert again.fingerprint == log.fingerprint and InteractionStore.open(again.place).fingerprint == log.fingerprint
    other = InteractionStore.write(f"{select} WHERE time < 19", "interactions", tmp_path / "again" / "other", KEYED)
    assert other.fingerprint != log.fingerprint


def test_queries_see_the_log_and_say_what_is_wrong(log, rows):
    found = log.query("SELECT item_id, avg(correct) AS correct FROM log GROUP BY 1 ORDER BY 1").set_index("item_id")["correct"]
    assert found.to_dict() == pytest.approx(rows.groupby("item")["correct"].mean().to_dict())
    assert log.query("SELECT min(timestamp) AS t FROM log")["t"].dt.tz is not None
    with pytest.raises(DataError, match="SQL over the view `log`"):
        log.query("SELECT nonsense FROM log")


def sample(log, learners, seed):
    everyone = log.learner_ids()
    return log.of(everyone.iloc[draw(len(everyone), learners, seed)])


def test_learners_are_drawn_whole_whatever_the_key(log, rows, tmp_path):
    drawn = sample(log, 5, seed=3)
    assert drawn["learner_id"].nunique() == 5 and len(drawn) == rows["who"].map(rows["who"].value_counts())[
        KEYED.pseudonyms(rows["who"], "learner").isin(drawn["learner_id"])].groupby(rows["who"]).first().sum()
    assert sample(log, 5, seed=4)["learner_id"].tolist() != drawn["learner_id"].tolist() and len(sample(log, 99, seed=0)) == len(rows)
    plain = InteractionStore.write(f"SELECT {COLUMNS} FROM {source(rows, tmp_path / 'plain')}", "interactions", tmp_path / "plain" / "log")
    assert KEYED.pseudonyms(sample(plain, 5, seed=3)["learner_id"], "learner").tolist() == drawn["learner_id"].tolist()
    pd.testing.assert_frame_equal(plain.to_frame(), wanted(rows, None))
    with pytest.raises(DataError, match="at least 1"):
        draw(10, 0, 0)


def test_an_unknown_order_stays_unknown_and_then_no_response_may_be_twice(rows, tmp_path):
    raw = source(rows.drop_duplicates(["who", "item"]), tmp_path / "raw")
    select = 'SELECT who AS learner_id, item AS item_id, correct, NULL AS "order" FROM '
    log = InteractionStore.write(select + raw, "interactions", tmp_path / "log")
    assert log.to_frame()["order"].isna().all() and str(log.to_frame()["order"].dtype) == "Int64" and "order" not in log.filled
    twice = select + source(rows, tmp_path / "raw")
    table = pd.DataFrame({"learner_id": rows["who"], "item_id": rows["item"], "correct": rows["correct"], "order": pd.NA})
    with pytest.raises(DataError) as told:
        validate(table, "interactions")
    with pytest.raises(DataError) as streamed:
        InteractionStore.write(twice, "interactions", tmp_path / "twice")
    assert str(streamed.value) == str(told.value) and "found a duplicate" in str(told.value)


def test_every_fault_is_told_at_once_in_the_words_of_a_table_and_nothing_is_left(tmp_path):
    broken = pd.DataFrame({"learner_id": ["a", "", None, "d"], "item_id": ["i", "j", "i", "zz"], "correct": ["1", "2", "x", None], "order": [1.0, None, 2, 3],
                           "attempt": [1, 1.5, 0, None], "hints": [0.0, -1, 2, np.inf], "response_time_s": [-3.5, 1, np.nan, 2],
                           "timestamp": ["2020-01-01", "?", None, "2021-02-03"]})
    with pytest.raises(DataError) as told:
        validate(broken, "interactions", "card.md")
    place = tmp_path / "new"
    with pytest.raises(DataError) as streamed:
        InteractionStore.write(f"SELECT * FROM {source(broken, tmp_path / 'raw')}", "interactions", place / "log", KEYED,
                               others={"q_matrix": pd.DataFrame({"item_id": ["i", "j"]})}, source="card.md")
    mine, theirs = (str(error.value).split("\n") for error in (streamed, told))
    missing = "interactions.item_id must be found in q_matrix.item_id; found 'zz' in 1 of 4 rows (first: row 4). See card.md."
    assert sorted(set(mine) - {missing}) == sorted(theirs) and missing in mine and len(theirs) >= 9
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(("select", "words"), [
    ("SELECT 1 AS learner_id, 2 AS item_id", "must have the columns correct, order; found learner_id, item_id"),
    ('SELECT 1 AS learner_id, 2 AS item_id, 1 AS correct, 0 AS "order", 3 AS gender', "interactions has no column gender"),
    ('SELECT 1 AS learner_id, 2 AS item_id, 1 AS correct, 0 AS "order" WHERE false', "must have at least one row; found none"),
    ("SELECT * FROM read_csv('/nowhere/log.csv')", "could not be read from the raw files"),
    ("""SELECT CAST('x' AS INTEGER) AS learner_id, 2 AS item_id, 1 AS correct, 0 AS "order" """, "could not be read from the raw files"),
])
def test_what_cannot_be_read_is_said(tmp_path, select, words):
    with pytest.raises(DataError, match=words):
        InteractionStore.write(select, "interactions", tmp_path / "place" / "log")
    assert list((tmp_path / "place").iterdir()) == []


def test_ids_read_as_numbers_are_the_ids_a_table_would_have(tmp_path):
    raw = source(pd.DataFrame({"learner_id": [1.0, 2.0], "item_id": [10.0, 3.0], "correct": [True, False], "order": ["b", "a"]}), tmp_path / "raw")
    frame = InteractionStore.write(f"SELECT * FROM {raw}", "interactions", tmp_path / "log").to_frame()
    assert frame["item_id"].tolist() == ["10", "3"] and frame["correct"].tolist() == [1.0, 0.0] and frame["order"].tolist() == [0, 0]


def test_events_keep_the_order_of_the_file(tmp_path):
    clicks = pd.DataFrame({"learner_id": list("abab"), "day": [3, 1, -2, 1], "kind": ["quiz", "page", "page", "page"], "count": [1, 2, 3, None]})
    log = InteractionStore.write(f"SELECT * FROM {source(clicks, tmp_path / 'raw')}", "events", tmp_path / "log")
    frame = log.to_frame()
    assert frame["learner_id"].tolist() == list("aabb") and frame["day"].tolist() == [3, -2, 1, 1] and frame["count"].isna().sum() == 1


def test_a_damaged_part_is_found(log):
    part = next(log.place.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(DataError, match=f"found {part.name} absent or damaged"):
        InteractionStore.open(log.place)
