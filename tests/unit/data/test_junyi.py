"""Junyi's full log: microseconds, attempts joined with `&`, hints, exercises that the table lacks; and the cut beside it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.junyi import Junyi
from edukit.data.streaming import connect
from edukit.schema import DataError
from edukit.validation import validate_all

LOG = "junyi_ProblemLog_original.csv"


@pytest.fixture
def place(tmp_path) -> Path:
    place = tmp_path / "it's here"
    place.mkdir()
    runpy.run_path(str(Path(__file__).parents[2] / "invented" / "junyi.py"))["write"](place, "full")
    return place


def tables_of(place: Path) -> dict[str, pd.DataFrame]:
    loader = Junyi(variant="full", path=str(place))
    tables = loader.parse(loader.raw_dir())
    return validate_all({**tables, "interactions": connect("300MB").execute(loader.streams(place)["interactions"]).df()})


def test_the_full_log_in_microseconds(place):
    tables = tables_of(place)
    log = tables["interactions"].sort_values(["learner_id", "order"]).set_index("learner_id")
    assert log.loc["12", "item_id"].tolist() == ["a^n)", "a^n)", "b"] and log.loc["12", "correct"].tolist() == [0, 1, 0]
    assert log.loc["12", "timestamp"].iloc[2] == pd.Timestamp(1920714810324490, unit="us", tz="UTC")
    assert log.loc["12", "hints"].tolist() == [3, 0, 0] and log.loc["12", "attempt"].tolist() == [2, 1, 2]
    assert log.loc["12", "response_time_s"].isna().tolist() == [True, False, False] and log.loc["12", "response_time_s"].iloc[2] == 3
    concepts = tables["concepts"].set_index("concept_id")
    assert pd.isna(concepts.loc["unlisted", "topic"]) and concepts.loc["b", "topic"] == "t" and len(tables["prerequisites"]) == 1


def test_the_cut_streams_nothing_and_the_full_log_is_named_where_it_is_absent(place):
    assert Junyi(path=str(place)).streams(place) == {} and "interactions" not in Junyi(variant="full", path=str(place)).parse(place)
    (place / LOG).unlink()
    with pytest.raises(DataError, match=f"needs {LOG}"):
        Junyi(variant="full", path=str(place)).raw_dir()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "", "found an empty file"),
        (lambda text: text.replace("time_done", "time"), "must have the columns time_done"),
        (lambda text: text.replace(",true,1,", ",perhaps,1,"), "interactions.correct must not be missing; found nothing in 2 of 4 rows"),
        (lambda text: text.replace("1920714800000001", "soon"), "interactions.order must be known in every row or in none"),
        (lambda text: text + "12,b,0", "must be a whole csv file"),
    ],
)
def test_what_is_wrong_with_the_log_is_named(place, change, told):
    (place / LOG).write_text(change((place / LOG).read_text()))
    with pytest.raises(DataError) as error:
        tables_of(place)
    assert told in str(error.value)


@pytest.mark.realdata
def test_the_real_exercise_table_under_an_invented_log(edukit_data, place):
    (place / "junyi_Exercise_table.csv").write_bytes((edukit_data / "junyi" / "junyi_Exercise_table.csv").read_bytes())
    tables = tables_of(place)
    assert len(tables["concepts"]) == 835 + 3 and len(tables["prerequisites"]) == 979  # the three exercises of the invented log are not on the map
