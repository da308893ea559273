"""Files as schools save them: encodings, separators, ids that look like something else, marks in many forms, workbooks."""

from __future__ import annotations

import datetime
import zipfile

import openpyxl
import pandas as pd
import pytest

from edukit.formats.delimited import fault, read_marks, read_sheet, read_strings, read_table, separator_of
from edukit.schema import DataError

HARD = 'Lerner;Frage;"Note\n(Anteil)"\n 007 ;NA;0,5\n\n;;\n99999999999999999999999;null;"Ä;ö"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_cells_stay_as_they_were_written_whatever_the_encoding(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(HARD.encode(encoding))
    table = read_strings(path)
    assert list(table.columns) == ["Lerner", "Frage", "Note\n(Anteil)"]
    assert table.to_numpy().tolist() == [["007", "NA", "0,5"], ["99999999999999999999999", "null", "Ä;ö"]]


def test_excels_separator_line_repeated_and_empty_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=|\na|a|\n1|2|3\n")
    assert read_strings(path).to_dict("list") == {"a": ["1"], "a (2)": ["2"], "(column 3)": ["3"]}
    assert [separator_of(t) for t in ("a;b\n1,5;2\n", "a\tb\n", 'a,b\n"x;y",1\n', "alone\n")] == [";", "\t", ",", ","]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "found an empty file (0 bytes)"),
        (b" \n\n", "found an empty file"),
        (b"a,b\n", "must hold rows below its header"),
        (b"a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
        (b'a,b\n1,"2\n3,4\n', "a quotation mark left open"),
        (b"\x00\x01\x02PNG", "found a zero byte at position 0"),
        (b"\xff\xfe\x00", "must be a text file"),
    ],
)
def test_what_is_no_table_is_told_so(tmp_path, raw, told):
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(DataError) as error:
        read_strings(path)
    assert told in str(error.value) and str(path) in str(error.value)


def test_marks_in_every_form():
    written = pd.Series(["1", "0", "Yes", "no", "TRUE", "wrong", "0,25", "50 %", "1.5", "-1", "x", None, "inf", "1e-1"], dtype="str")
    share, bad = read_marks(written)
    assert share[:8].tolist() == [1, 0, 1, 0, 1, 0, 0.25, 0.5] and share[13] == 0.1
    assert written[bad].tolist() == ["1.5", "-1", "x", "inf"] and pd.isna(share[11])
    share, bad = read_marks(pd.Series(["1", "2,5", "6", "80%", "1", None], dtype="str"), pd.Series(["4", "5", "5", "9", "0", "1"], dtype="str"))
    assert share[:2].tolist() == [0.25, 0.5] and share[3] == 0.8 and bad.tolist() == [False, False, True, False, True, False]
    assert "found 'x' in 1 of 1 rows (first: row 1)" in fault("a", "be b", pd.Series(["x"]), pd.Series([True]))


def test_a_workbook_gives_values_as_a_person_would_write_them(tmp_path):
    book = openpyxl.Workbook()
    page = book.active
    for row in (["id", "n", "when", "ok", None], ["007", 3.0, datetime.datetime(2025, 1, 2, 3, 4), True], [None] * 4, ["b", 2.5, None, "=1+1"]):
        page.append(row)
    book.create_sheet("second").append(["x"])
    path = tmp_path / "a.xlsx"
    book.save(path)
    table = read_table(path)
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == [["007", "3", "2025-01-02T03:04:00", "True"], ["b", "2.5", None, None]]
    with pytest.raises(DataError, match="a sheet called third; found Sheet, second"):
        read_sheet(path, "third")
    with pytest.raises(DataError, match="below its header; found none"):
        read_sheet(path, "second")


def test_merged_headers_empty_and_damaged_workbooks_are_named(tmp_path, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(["Test 1", None])
    book.active.append(["a", "b"])
    book.active.merge_cells("A1:B1")
    path = tmp_path / "a.xlsx"
    book.save(path)
    with pytest.raises(DataError, match="no name for column 2: are cells of the header merged"):
        read_sheet(path)
    monkeypatch.setattr("edukit.formats.delimited.SHEET_CELLS", 3)
    with pytest.raises(DataError, match="at most 3 cells"):
        read_sheet(path)
    monkeypatch.setattr("edukit.formats.delimited.SHEET_BYTES", 10)
    with pytest.raises(DataError, match="unpack to at most 10 bytes"):
        read_sheet(path)
    path.write_bytes(b"PK\x03\x04 rubbish")
    with pytest.raises(DataError, match="must be an Excel workbook"):
        read_sheet(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.txt", "x")
    monkeypatch.undo()
    with pytest.raises(DataError, match="must be an Excel workbook"):
        read_sheet(path)
    openpyxl.Workbook().save(path)
    with pytest.raises(DataError, match="must hold rows"):
        read_sheet(path)
