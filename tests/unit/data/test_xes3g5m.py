"""XES3G5M: windows joined without pads or repeats, and concepts placed in their tree."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.streaming import connect
from edukit.data.xes3g5m import QUESTIONS, TEST, TRAIN, Xes3g5m
from edukit.schema import DataError
from edukit.validation import validate_all


@pytest.fixture
def place(tmp_path) -> Path:
    place = tmp_path / "it's here"
    place.mkdir()
    runpy.run_path(str(Path(__file__).parents[2] / "invented" / "xes3g5m.py"))["write"](place, "")
    return place


def tables_of(place: Path) -> dict[str, pd.DataFrame]:
    loader = Xes3g5m(path=str(place))
    log = connect("300MB").execute(loader.streams(loader.raw_dir())["interactions"]).df()
    return validate_all({**loader.parse(place), "interactions": log})


def test_windows_are_joined_and_a_response_with_two_concepts_is_one_row(place):
    tables = tables_of(place)
    log = tables["interactions"].sort_values(["learner_id", "order"]).set_index("learner_id")
    assert log.loc["5", "item_id"].tolist() == ["0", "1", "0", "2"] and log.loc["5", "correct"].tolist() == [1, 0, 1, 0]
    assert log.loc["9", "item_id"].tolist() == ["2", "0"] and len(log) == 8
    assert log.loc["5", "timestamp"].iloc[2] == pd.Timestamp(1959422900000, unit="ms", tz="UTC")
    assert tables["q_matrix"].groupby("item_id")["concept_id"].apply(list).to_dict() == {"0": ["0", "1"], "1": ["2"], "2": ["2"]}
    assert dict(zip(tables["learners"]["learner_id"], tables["learners"]["published_part"], strict=True)) == {"5": "fold 3", "8": "fold 0", "9": "test"}


def test_history_that_a_window_repeats_is_not_counted_twice(place):
    before = tables_of(place)["interactions"]
    overlapping = (place / TRAIN).read_text().replace('"2,-1,-1","2,-1,-1","0,-1,-1","1959422950000,-1,-1","1,-1,-1"',
                                                      '"1,0,2","2,0_1,2","0,1,0","1959422831000,1959422900000,1959422950000","-1,-1,1"')
    (place / TRAIN).write_text(overlapping)
    columns = ["learner_id", "item_id", "correct", "timestamp"]
    pd.testing.assert_frame_equal(before[columns], tables_of(place)["interactions"][columns])


def test_concepts_have_their_place_in_the_tree_and_blanks_in_names_tell_them_apart(place):
    tables = tables_of(place)
    concepts = tables["concepts"].set_index("concept_id")
    assert concepts["name"].tolist() == ["加法", "加法", "圖形"] and concepts.loc["0", "description"] == "數----計算----加法"
    assert concepts.loc["1", "description"] == "數----計算----加法 " and concepts.loc["2", ["topic", "area"]].tolist() == ["數", "數"]
    assert concepts.loc["2", "description"] == "數----圖形 | 應用----幾何----圖形"
    items = tables["items"].set_index("item_id")
    assert items.loc["1", "answer_key"] == "B" and items.loc["1", "options"] == 2 and items["options"].isna().tolist() == [True, False, True]
    assert items.loc["0", "name"] == "3 + 4 10^n) 數" and pd.isna(items.loc["2", "answer_key"])


def test_lists_of_unequal_length_pass_no_check(place):
    (place / TEST).write_text('fold,uid,questions,concepts,responses,timestamps\n-1,9,"2,0","2,0_1","0","1959422831000,1959422840000"\n')
    with pytest.raises(DataError, match="interactions.correct must not be missing; found nothing in 1 of 8 rows"):
        tables_of(place)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        (TRAIN, "", "found an empty file"),
        (TRAIN, "fold,uid,questions\n0,1,2\n", "must have the columns concepts, responses, timestamps"),
        (TRAIN, 'fold,uid,questions,concepts,responses,timestamps\n0,1\n', "must be whole csv files"),
        (QUESTIONS, '{"0": {"content": "x"', "must be JSON in UTF-8"),
        (QUESTIONS, "[]", "must hold an object with an entry per id; found list of 0"),
        (QUESTIONS, '{"0": 7, "1": {}, "2": {}}', "found int (first: question '0')"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(place, file, content, told):
    (place / file).write_text(content)
    with pytest.raises(DataError) as error:
        Xes3g5m(path=str(place)).parse(place)
    assert told in str(error.value)
