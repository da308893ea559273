"""A learner's history from a file: one learner or several, any sensible order, one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from edukit.formats.learner_history import ALONE, read
from edukit.schema import DataError


def write(place: Path, text: str) -> Path:
    file = place / "history.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_learner_it_is_one_and_without_an_order_the_rows_are_it(tmp_path):
    said = []
    found = read(write(tmp_path, "item_id,correct\nb,1\na,0\nb,yes\n"), said.append)
    assert found["learner_id"].eq(ALONE).all() and found["item_id"].tolist() == ["b", "a", "b"]
    assert found["correct"].tolist() == [1.0, 0.0, 1.0] and found["order"].tolist() == [0, 1, 2]
    assert len(said) == 1 and "order of the file" in said[0]


def test_order_or_else_time_sorts_each_learner_and_nothing_is_said(tmp_path):
    said = []
    text = "student;question;score;order\nann;x;1;30\nbob;y;0;2\nann;z;0;4\nbob;x;1;1\n"
    found = read(write(tmp_path, text), said.append)
    assert list(zip(found["learner_id"], found["item_id"], found["order"], strict=True)) == [("ann", "z", 0), ("ann", "x", 1), ("bob", "x", 0), ("bob", "y", 1)]
    timed = read(write(tmp_path, "item_id,correct,timestamp\nlate,1,2025-09-03 10:00\nearly,1,2025-09-01 10:00\n"), said.append)
    assert timed["item_id"].tolist() == ["early", "late"] and said == []


def test_rows_per_concept_are_one_response_and_unmarked_rows_are_none(tmp_path):
    said = []
    found = read(write(tmp_path, "item_id,correct,order,concept_id\nx,1,0,a\nx,1,0,b\ny,,1,a\n"), said.append)
    assert found["item_id"].tolist() == ["x"]
    assert any("further concept" in line for line in said) and any("without a mark" in line for line in said)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item_id\nx\n", "must have a column for correct"),
        ("question,score\nx,perhaps\n", "be a mark.*'perhaps' in 1 of 1 rows"),
        ("item_id,correct,order\nx,1,first\n", "order.*be a number in every row; found 'first'"),
        ("item_id,correct\n", "must hold rows below its header"),
        ("item_id,correct\nx,\n", "at least one response with a mark"),
        ("item_id,correct\n,1\n", "not be empty"),
        ("item_id,correct,timestamp\nx,1,in the morning\n", "be a date or a time"),
        ("", "found an empty file"),
    ],
)
def test_what_cannot_be_read_is_one_error(tmp_path, text, told):
    with pytest.raises(DataError, match=told):
        read(write(tmp_path, text))


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere.csv must be a file"):
        read(tmp_path / "nowhere.csv")
