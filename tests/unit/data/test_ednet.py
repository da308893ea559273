"""EdNet KT1: one file a learner, streamed; what is right is told by the table of questions."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.ednet import EdNet
from edukit.data.streaming import connect
from edukit.schema import DataError
from edukit.validation import validate_all


@pytest.fixture
def place(tmp_path) -> Path:
    place = tmp_path / "it's here"
    place.mkdir()
    runpy.run_path(str(Path(__file__).parents[2] / "invented" / "ednet.py"))["write"](place, "")
    return place


def responses(loader: EdNet) -> pd.DataFrame:
    select = loader.streams(loader.raw_dir())["interactions"]
    return connect("300MB").execute(f'SELECT * REPLACE (row_number() OVER (PARTITION BY learner_id ORDER BY "order") - 1 AS "order") FROM ({select})').df()


def test_one_row_a_chosen_option_ordered_by_time(place):
    loader = EdNet(path=str(place))
    tables = validate_all({**loader.parse(loader.raw_dir()), "interactions": responses(loader)})
    log = tables["interactions"].set_index("learner_id")
    assert log.loc["u7", "item_id"].tolist() == ["q3", "q2", "q1"] and log.loc["u7", "correct"].tolist() == [0, 1, 1]
    assert log.loc["u7", "response"].tolist() == ["c", "a", "b"] and log.loc["u7", "content_id"].tolist() == ["b2", "b2", "b1"]
    assert log.loc["u7", "response_time_s"].isna().tolist() == [True, False, False] and log.loc["u7", "response_time_s"].iloc[2] == 38
    assert log.loc["u7", "timestamp"].iloc[2] == pd.Timestamp(1965332027449, unit="ms", tz="UTC")
    assert log.index.tolist().count("u10") == 1  # the question that is not listed, and the one without an option, are left out


def test_tags_become_concepts_and_minus_one_is_no_tag(place):
    tables = EdNet(path=str(place)).parse(place)
    q = tables["q_matrix"].groupby("item_id")["concept_id"].apply(list).to_dict()
    assert q == {"q1": ["1", "2", "179"], "q2": ["unnamed"], "q3": ["2"]}
    assert tables["concepts"].set_index("concept_id").loc["179", ["name", "area"]].tolist() == ["tag 179", "part 1"]
    assert tables["items"].set_index("item_id")["answer_key"].to_dict() == {"q1": "b", "q2": "a", "q3": "d"}


def test_what_is_wrong_is_named(place):
    questions = place / "contents" / "questions.csv"
    whole = questions.read_text()
    questions.write_text("")
    with pytest.raises(DataError, match="found an empty file"):
        EdNet(path=str(place)).parse(place)
    questions.write_text(whole.replace("correct_answer", "answer"))
    with pytest.raises(DataError, match="must have the columns correct_answer"):
        EdNet(path=str(place)).parse(place)
    questions.write_bytes(whole.encode("utf-16"))
    with pytest.raises(DataError, match="must be encoded as utf-8-sig"):
        EdNet(path=str(place)).parse(place)
    for file in (place / "KT1").iterdir():
        file.write_text("timestamp,question_id\n1,q1\n")
    with pytest.raises(DataError, match="must have the columns solving_id, user_answer, elapsed_time"):
        EdNet(path=str(place)).streams(place)
    for file in (place / "KT1").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"needs KT1/u1.csv and so on"):
        EdNet(path=str(place)).raw_dir()
    questions.unlink()
    with pytest.raises(DataError, match="edukit data card ednet"):
        EdNet(path=str(place)).raw_dir()
