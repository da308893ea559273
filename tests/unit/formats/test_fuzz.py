"""Hostile files: whatever a school's file holds, a reader returns valid tables or a DataError, and every id comes back as it was written."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.data.school_csv import KINDS, SchoolCsv
from edukit.formats.delimited import BLANKS
from edukit.schema import DataError
from edukit.validation import validate_all

steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
HARD = ("007", "NA", "null", "None", "nan", "-", "10^n)", "q.*[0]", "a|b;c\td", 'say "x"', "😀", "分數", "=1+1", "1e5", "True", "0.10", "a\nb", "\x1f\x0b",
        "12345678901234567890123")
ids = st.one_of(st.sampled_from(HARD), st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), min_size=1, max_size=12)).filter(
    lambda text: text == text.strip(BLANKS) and text)
rows = st.lists(st.tuples(ids, ids, st.sampled_from(["0", "1", "yes", "FALSE", "0,5", "50%", "0.25"]), ids), min_size=1, max_size=12,
                unique_by=lambda row: row[:2])


def saved(place: str, raw: bytes, name: str = "ours.csv") -> str:
    path = Path(place) / name
    path.write_bytes(raw)
    return str(path)


@steady
@given(rows, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n"]))
def test_every_id_comes_back_as_it_was_written(given_rows, separator, encoding, ending):
    written = pd.DataFrame(given_rows, columns=["student", "Question", "score", "skill"]).drop_duplicates(["student", "Question"])
    with tempfile.TemporaryDirectory() as place:
        path = saved(place, written.to_csv(index=False, sep=separator, lineterminator=ending, quoting=csv.QUOTE_ALL).encode(encoding))
        tables = validate_all(SchoolCsv(path=path, kind="rows").parse(Path(place)))
        for name, table in tables.items():
            table.to_parquet(Path(place) / f"{name}.parquet")
            table.to_csv(Path(place) / f"{name}.csv", index=False, quoting=csv.QUOTE_ALL)
        log, q = tables["interactions"], tables["q_matrix"]
        assert list(zip(log["learner_id"], log["item_id"], strict=True)) == list(zip(written["student"], written["Question"], strict=True))
        assert set(zip(q["item_id"], q["concept_id"], strict=True)) == set(zip(written["Question"], written["skill"], strict=True))
        for name in ("interactions", "q_matrix"):
            back = pd.read_parquet(Path(place) / f"{name}.parquet")
            text = pd.read_csv(Path(place) / f"{name}.csv", dtype="str", keep_default_na=False)
            for column in ("learner_id", "item_id", "concept_id"):
                if column in tables[name]:
                    assert back[column].tolist() == text[column].tolist() == tables[name][column].tolist()


cells = st.one_of(ids, st.sampled_from(["", "NaN", "inf", "-1", "1e400", "9" * 40, "2025-03-30T02:30:00+01:00", "2025-01-01 10:00", "31/12/2025", "0000-00-00",
                                        "99999-01-01", "1700000000", '"', "a\rb", "50 %", "1,5"]))
COLUMNS = ("student", "item", "score", "max_score", "time", "order", "attempt", "hints", "skill", "class", "id", "name", "section", "uid", "responses",
           "questions", "selectmasks", "1: x", "1.0", "n correct", "n incorrect", "Essay (5)", "Surname", "ID number", "Grade/10.00", "Q. 1 /1.00",
           "Response 1", "Right answer 1", "Started on", "Completed", "")
WHOLE = (("student", "item", "score"), ("student", "item", "score", "time", "skill"), ("id", "q1", "q2"), ("uid", "questions", "responses"),
         ("name", "id", "section", "1: x", "1.0", "n correct", "n incorrect"), ("Student", "ID", "Section", "Essay (5)"),
         ("Surname", "ID number", "Started on", "Completed", "Grade/10.00", "Q. 1 /1.00", "Response 1"), ())
headers = st.builds(lambda whole, more: [*whole, *more], st.sampled_from(WHOLE), st.lists(st.sampled_from(COLUMNS), max_size=4)).filter(bool)


@st.composite
def sheets(draw) -> bytes:
    """A file of random columns and cells, now and then with rows of another length, in some encoding."""
    header = draw(headers)
    lines = draw(st.lists(st.lists(cells, min_size=len(header) - draw(st.integers(0, 1)), max_size=len(header)), max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=draw(st.sampled_from([",", ";", "\t"]))).writerows([header, *lines])
    return text.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"])))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("xapi", "oneroster", "datashop")])
@settings(steady, max_examples=25)
@given(raw=st.one_of(sheets(), st.binary(max_size=200), st.text(st.characters(codec="utf-8"), max_size=80).map(str.encode)))
def test_no_file_breaks_a_reader_but_with_a_dataerror(kind, raw):
    with tempfile.TemporaryDirectory() as place:
        loader = SchoolCsv(path=saved(place, raw), kind=kind)
        try:
            validate_all(loader.read(lambda line: None))
        except DataError as error:
            assert str(error)


@steady
@given(st.lists(st.sampled_from(["1", "2", "1,0", "0,1,", "-1", "a,b", "1,70001", "", "x", "0,1,1,-1", "1_2,3"]), max_size=9), st.sampled_from(["\n", "\r\n"]))
def test_records_of_lines_are_read_or_refused(lines, ending):
    with tempfile.TemporaryDirectory() as place:
        for kind in ("auto", "three_line", "triple"):
            try:
                validate_all(SchoolCsv(path=saved(place, ending.join(lines).encode()), kind=kind).read())
            except DataError as error:
                assert str(error)


@settings(steady, max_examples=30)
@given(st.binary(max_size=300), st.sampled_from(["ours.xlsx", "ours.zip", "ours.json", "ours.jsonl"]))
def test_rubbish_by_any_name_is_refused(raw, name):
    with tempfile.TemporaryDirectory() as place:
        with pytest.raises(DataError):
            validate_all(SchoolCsv(path=saved(place, raw, name)).read())
