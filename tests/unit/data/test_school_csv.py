"""A school's own file: what each form becomes, what is decided on the way and said, and every fault at once."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from edukit.data.school_csv import KINDS, SchoolCsv
from edukit.formats.response_rows import match_columns, read_times
from edukit.schema import DataError, has_order
from edukit.validation import validate_all


def write(place: Path, text: str, name: str = "ours.csv") -> str:
    (place / name).write_text(text, encoding="utf-8")
    return str(place / name)


def read(path: str, notes: list[str] | None = None, **fields):
    return validate_all(SchoolCsv(path=path, **fields).read((notes if notes is not None else []).append))


def refused(path: str, **fields) -> str:
    with pytest.raises(DataError) as error:
        read(path, **fields)
    return str(error.value)


def test_ids_of_any_kind_stay_as_they_are(tmp_path):
    log = read(write(tmp_path, 'STUDENT ID;Question;Score\n 007 ;"10^n)\nb";1\nNA;null;0,5\n99999999999999999999;😀.*;no\n'))["interactions"]
    assert log["learner_id"].tolist() == ["007", "NA", "99999999999999999999"] and log["item_id"].tolist() == ["10^n)\nb", "null", "😀.*"]
    assert log["correct"].tolist() == [1, 0.5, 0] and not has_order(log)


def test_columns_are_shown_with_how_sure_they_are(tmp_path):
    shown = SchoolCsv(path=write(tmp_path, "learner_id,Question,Score,Time,Shoe size\na,q,1,35,40\nb,q,1,99,40\n")).columns()
    assert shown == [("learner_id", "learner_id", "sure"), ("Question", "item_id", "likely: check it"), ("Score", "correct", "likely: check it"),
                     ("Time", "", ""), ("Shoe size", "", "")]  # small numbers below Time are seconds spent, no time of day
    assert match_columns(["score", "correct"]) == {"correct": "correct"}
    shown = SchoolCsv(path=write(tmp_path, "who,class,q1,q2\na,x,1,0\n")).columns()
    assert [meaning for _, meaning, _ in shown] == ["learner_id", "class_id", "an item", "an item"]


@pytest.mark.parametrize(
    ("header", "marks", "shares"),
    [
        ("score", ("80%", "0 %"), [0.8, 0]),
        ("percentage", ("80", "0"), [0.8, 0]),
        ("score,points_possible", ("3,4", "1,2"), [0.75, 0.5]),
        ("score,max_score", ('"2,5",5', "50%,9"), [0.5, 0.5]),
        ("correct,max_score", ("1,4", "0,2"), [1, 0]),
        ("outcome", ("Right", "WRONG"), [1, 0]),
    ],
)
def test_marks_of_any_form_become_a_share(tmp_path, header, marks, shares):
    path = write(tmp_path, f"student,item,{header}\na,q1,{marks[0]}\na,q2,{marks[1]}\n")
    assert read(path)["interactions"]["correct"].tolist() == shares


def test_every_fault_is_told_at_once_with_its_row(tmp_path):
    told = refused(write(tmp_path, "student,question,score,time,attempt\na,q1,1,2025-01-01,1\n,q2,7,2025-01-02,1\nb,,0,someday,x\na,q1,1,2025-01-01,1\n"))
    assert "student (learner_id) must not be empty; found nothing in 1 of 4 rows (first: row 2)" in told
    assert "question (item_id) must not be empty; found nothing in 1 of 4 rows (first: row 3)" in told
    assert "score (correct) must be a mark" in told and "found '7'" in told and "max_score" in told
    assert "found 'someday' in 1 of 4 rows (first: row 3)" in told and "attempt (attempt) must be a whole number; found 'x'" in told
    assert "1 of 4 rows that repeat an earlier one in every column (first: row 4 repeats row 1)" in told
    told = refused(write(tmp_path, "colour,shape\na,b\nc,d\n"))
    assert all(f"must have a column for {needed}" in told for needed in ("learner_id", "item_id", "correct"))
    assert "at least one response with a mark" in refused(write(tmp_path, "student,item,score\na,b,\n"))


def test_repeated_answers_without_order_are_numbered_as_labels_and_said(tmp_path):
    notes: list[str] = []
    log = read(write(tmp_path, "student,item,score\na,q,0\na,q,1\nb,q,1\n"), notes)["interactions"]
    assert log["attempt"].tolist() == [1, 2, 1] and not has_order(log) and "which came first is not known" in notes[0]
    log = read(write(tmp_path, "student,item,score,attempt\na,q,0,2\na,q,0,1\n"))["interactions"]
    assert log["attempt"].tolist() == [2, 1]


def test_rows_that_differ_in_the_concept_only_are_one_response(tmp_path):
    notes: list[str] = []
    tables = read(write(tmp_path, "student,item,score,skill,skill_name\na,q,0,1,add\na,q,0,2,sub\nb,q,1,1,add\nb,r,1,,\n"), notes)
    assert len(tables["interactions"]) == 3 and tables["q_matrix"].to_numpy().tolist() == [["q", "1"], ["q", "2"], ["r", "r"]]
    assert any("further concept" in n for n in notes) and any("own concept" in n for n in notes)
    tables = read(write(tmp_path, "student,item,score,skill,order_id\na,q,0,1,10\na,q,0,2,10\na,q,0,1,12\n"))
    assert tables["interactions"]["order"].tolist() == [0, 1]
    assert "must state the concept of item 'r'" in refused(write(tmp_path, "student,item,score,skill\na,q,0,r\na,r,1,\n"))


def test_an_empty_mark_is_no_response(tmp_path):
    notes: list[str] = []
    assert len(read(write(tmp_path, "student,item,score\na,q,\na,r,1\n"), notes)["interactions"]) == 1 and "1 rows without a mark" in notes[0]


@pytest.mark.parametrize(
    ("rows", "items", "note"),
    [
        (("q1,2025-03-30T01:30:00+01:00,", "q2,2025-03-30T00:20:00Z,"), ["q2", "q1"], ""),  # mixed zones, the same clock in UTC
        (("q1,1700000060,", "q2,1700000000,"), ["q2", "q1"], ""),
        (("q1,1700000060000,", "q2,1700000000000,"), ["q2", "q1"], ""),
        (("q1,31/12/2024,", "q2,01/02/2024,"), ["q2", "q1"], ""),
        (("q1,2 Sep 2025 10:00,", "q2,1 Sep 2025 11:00,"), ["q2", "q1"], ""),
        (("q1,03/04/2025,", "q2,04/03/2025,"), ["q1", "q2"], "month, then day"),
        (("q1,2025-01-01,", "q2,2025-01-01,"), None, "100% of responses have the same time"),
        (("q1,2025-01-01,", "q2,,"), None, "some responses have no time"),
        (("q1,2025-01-02,5", "q2,2025-01-01,7"), ["q1", "q2"], ""),  # a column for the order goes before the time
        (("q1,,-1.5", "q2,,-3"), ["q2", "q1"], ""),
        (("q1,,5", "q2,,5"), None, "holds a place twice"),
    ],
)
def test_order_comes_from_a_column_or_from_times_or_is_unknown(tmp_path, rows, items, note):
    notes: list[str] = []
    log = read(write(tmp_path, "student,item,time,position,score\n" + "".join(f"a,{row},1\n" for row in rows)), notes)["interactions"]
    assert has_order(log) == (items is not None) and any(note in n for n in notes if "own concept" not in n) == bool(note)
    if items:
        assert log["item_id"].tolist() == items and log["order"].tolist() == [0, 1]


def test_few_ties_follow_the_file_and_german_dates_put_the_day_first(tmp_path):
    notes: list[str] = []
    rows = ["q1,02.01.2025 10:00", "q2,02.01.2025 10:00", "q3,01.02.2025 09:00", "q4,01.03.2025", "q5,1.4.2025"]
    log = read(write(tmp_path, "student,item,time,score\n" + "".join(f"a,{row},1\n" for row in rows)), notes)["interactions"]
    assert log["item_id"].tolist() == ["q1", "q2", "q3", "q4", "q5"] and "40% of responses" in notes[0]
    assert read_times(log["item_id"])[1].all()


def test_a_q_matrix_and_a_graph_of_the_school_are_joined(tmp_path):
    path = write(tmp_path, "student,item,score,skill\na,q1,1,x\na,q2,0,x\n")
    q = write(tmp_path, "item,add,sub\nq1,1,0\nq2,1,1\nq9,0,1\n", "q.csv")
    graph = write(tmp_path, "Concept,Prerequisite\nsub,add\nadd,count\n", "graph.csv")
    notes: list[str] = []
    tables = read(path, notes, q_matrix=q, graph=graph)
    assert len(tables["q_matrix"]) == 4 and tables["prerequisites"]["source"].unique().tolist() == ["school"]
    assert set(tables["concepts"]["concept_id"]) == {"add", "sub", "count"} and any("q.csv have no response" in n for n in notes)
    assert "found none for 1 of 2 ('q2')" in refused(path, q_matrix=write(tmp_path, "item,skill\nq1,a\n", "short.csv"))
    assert "must speak of concepts that the responses have ('x', ...)" in refused(path, graph=graph)
    assert "must have a column for requires_id" in refused(path, graph=write(tmp_path, "concept_id\nx\n", "g.csv"))
    loader = SchoolCsv(path=path, q_matrix=q, graph=graph)
    assert [p.name for p in loader.files(loader.raw_dir())] == ["ours.csv", "q.csv", "graph.csv"]
    with pytest.raises(DataError, match="needs the file nowhere.csv.*data.graph"):
        SchoolCsv(path=path, graph="nowhere.csv").raw_dir()


def test_a_graph_in_case_names_the_concepts(tmp_path):
    base, doc = "https://x.org/", {"identifier": "00000000-0000-4000-8000-000000000000", "title": "d", "creator": "c", "uri": "https://x.org/d"}
    ids = {name: f"00000000-0000-4000-8000-00000000000{i}" for i, name in enumerate(("add", "sub"), 1)}
    items = [{"identifier": i, "fullStatement": f"can {n}", "humanCodingScheme": n, "uri": base + i} for n, i in ids.items()]
    link = {"identifier": "00000000-0000-4000-8000-000000000009", "associationType": "precedes", "uri": base,
            "originNodeURI": {"identifier": ids["add"], "uri": base, "title": "add"},
            "destinationNodeURI": {"identifier": ids["sub"], "uri": base, "title": "sub"}}
    graph = write(tmp_path, json.dumps({"CFDocument": doc, "CFItems": items, "CFAssociations": [link]}), "graph.json")
    marks = "student,item,score,skill\na,q1,1,{}\na,q2,0,{}\na,q3,0,other\n"
    by_id = read(write(tmp_path, marks.format(ids["add"], ids["sub"])), graph=graph)
    assert by_id["prerequisites"][["concept_id", "requires_id"]].to_numpy().tolist() == [[ids["sub"], ids["add"]]]
    notes: list[str] = []
    by_code = read(write(tmp_path, marks.format("add", "sub")), notes, graph=graph)
    assert by_code["prerequisites"][["concept_id", "requires_id"]].to_numpy().tolist() == [["sub", "add"]]
    assert set(by_code["concepts"]["concept_id"]) == {"add", "sub", "other"} and any("joined by the names" in n for n in notes)
    assert by_code["concepts"].set_index("concept_id")["description"]["sub"] == "can sub"


FORMS = {
    "rows": "student,item,score\na,b,1\n",
    "matrix": "id,q1,q2\na,1,0\n007,,yes\n",
    "canvas": 'name,id,section,submitted,"1: x",1.0,n correct,n incorrect,score\nA,5,s,2025-01-01 10:00:00 UTC,y,1.0,1,0,1\n',
    "moodle": "Surname,ID number,Started on,Completed,Grade/1.00,Q. 1 /1.00\nA,5,1 May 2025 9:00 AM,1 May 2025 9:30 AM,1.00,1.00\n",
    "pykt": 'fold,uid,questions,responses\n0,1,"1,2","0,1"\n',
    "three_line": "2\n1,2\n0,1\n",
    "triple": "1,2,1\n1,3,0\n",
    "datashop": "Row\tAnon Student Id\tProblem Name\tProblem View\tStep Name\tFirst Attempt\tFirst Transaction Time\tKC (a)\n"
    "1\ts\tp\t1\tx\tcorrect\t2025-01-01 10:00:00\tadd\n",
}


@pytest.mark.parametrize("kind", FORMS)
def test_each_form_is_recognised_and_read(tmp_path, kind):
    path = write(tmp_path, FORMS[kind], "ours.txt")
    assert SchoolCsv(path=path).recognised() == kind and kind in KINDS
    tables = read(path)
    assert {"interactions", "q_matrix", "concepts"} <= set(tables)
    assert read(path, kind=kind)["interactions"].equals(tables["interactions"])


@pytest.mark.skipif(importlib.util.find_spec("edukit.formats.xapi") is None, reason="no xAPI codec")
def test_xapi_statements_without_concepts_are_their_own(tmp_path):
    statement = {"actor": {"account": {"homePage": "https://x.org", "name": "s1"}}, "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
                 "object": {"id": "https://x.org/q1"}, "result": {"success": True}, "timestamp": "2025-01-01T10:00:00Z"}
    path = write(tmp_path, json.dumps(statement) + "\n", "log.jsonl")
    assert SchoolCsv(path=path).recognised() == "xapi"
    assert len(read(path)["interactions"]) == 1 and len(read(path)["q_matrix"]) == 1


def test_a_workbook_and_a_folder_are_read_too(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["nothing"])
    page = book.create_sheet("responses")
    for row in (["student", "item", "score"], ["007", "q1", 1], [8, "q1", 0.5]):
        page.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read(str(tmp_path / "a.xlsx"), sheet="responses")["interactions"]["learner_id"].tolist() == ["007", "8"]
    with pytest.raises(DataError, match="must be a OneRoster export"):
        SchoolCsv(path=str(tmp_path)).recognised()
    for name, text in {"users": "sourcedId,role\ns,student\n", "classes": "sourcedId,courseSourcedId\nc,m\n",
                       "enrollments": "classSourcedId,userSourcedId,role\nc,s,student\n"}.items():
        write(tmp_path, text, f"{name}.csv")
    loader = SchoolCsv(path=str(tmp_path))
    assert loader.recognised() == "oneroster" and set(read(loader.path)) == {"learners", "enrolments"}
    assert [p.name for p in loader.files(loader.raw_dir())] == ["users.csv", "classes.csv", "enrollments.csv"]


def test_no_file_and_an_unknown_kind_are_named(tmp_path):
    for fields, told in (({}, "needs a file"), ({"path": "nowhere.csv"}, "no such file"), ({"path": "x", "kind": "other"}, "data.kind of school_csv")):
        with pytest.raises(DataError, match=told):
            SchoolCsv(**fields).raw_dir()


def test_an_id_goes_before_a_name_and_names_are_doubted(tmp_path):
    notes: list[str] = []
    rows = "Ann Lee,007,Half of 3?,q1,1\nAnn Lee,008,Half of 3?,q2,0\n"
    log = read(write(tmp_path, "Student,Student ID,Question,Question ID,Score\n" + rows), notes)["interactions"]
    assert log["learner_id"].tolist() == ["007", "008"] and log["item_id"].tolist() == ["q1", "q2"] and not any("names" in n for n in notes)
    read(write(tmp_path, "Student,Item,Score\nAnn Lee,q1,1\nLee Ann,q1,0\n"), notes)
    assert any("seems to hold names" in n for n in notes)
    log = read(write(tmp_path, "Student,Student ID,Item,Score\nA,,q1,1\nB,,q1,0\n"))["interactions"]
    assert log["learner_id"].tolist() == ["A", "B"]  # a column of ids that is empty is none


@pytest.mark.parametrize(
    ("header", "marks", "shares", "note"),
    [
        ("Percent", ("0.85", "1"), [0.85, 1], "taken as shares"),  # what a spreadsheet stores of 85 %
        ("percent", ("85", "1"), [0.85, 0.01], ""),
        ("percent", ("85%", "1%"), [0.85, 0.01], ""),
        ("is_correct,points_possible", ("1,4", "0,4"), [1, 0], ""),
        ("score,points_possible", ("1,4", "0,4"), [0.25, 0], "taken as points"),
        ("correct", ("WAHR", "FALSCH"), [1, 0], ""),
        ("correct", ("Oui", "non"), [1, 0], ""),
    ],
)
def test_a_scale_is_never_guessed_in_silence(tmp_path, header, marks, shares, note):
    notes: list[str] = []
    path = write(tmp_path, f"student,item,{header}\na,q1,{marks[0]}\na,q2,{marks[1]}\n")
    assert read(path, notes)["interactions"]["correct"].tolist() == shares
    assert any(note in n for n in notes if "own concept" not in n) == bool(note)


def test_ids_that_a_spreadsheet_lost_are_refused(tmp_path):
    for lost in ("1.23457E+11", "1,2E+15", "#N/A", "#BEZUG!"):
        assert "A spreadsheet lost the ids" in refused(write(tmp_path, f'student,item,score\n"{lost}",q1,1\nb,q1,0\n'))
        assert "A spreadsheet lost the ids" in refused(write(tmp_path, f'student,q1,q2\n"{lost}",1,0\nb,1,0\n'))
    assert read(write(tmp_path, "student,item,score\n1e5,q1,1\n100000,q1,0\n1_000,#1,0\n"))["interactions"]["learner_id"].nunique() == 3


def test_a_date_and_a_time_of_day_are_one_time_and_a_clock_alone_is_none(tmp_path):
    log = read(write(tmp_path, "student,item,score,Date,Time\na,q1,1,02.01.2025,9:05\na,q2,1,02.01.2025,8:05\na,q3,1,01.01.2025,10:00\n"))["interactions"]
    assert log["item_id"].tolist() == ["q3", "q2", "q1"] and str(log["timestamp"].iloc[2]) == "2025-01-02 09:05:00+00:00"
    log = read(write(tmp_path, "student,item,score,Time\na,q1,1,9:05\na,q2,1,8:05\n"))["interactions"]
    assert "timestamp" not in log and not has_order(log)


@pytest.mark.parametrize(
    ("written", "read_as", "bad", "note"),
    [
        (["13/02/2025", "02/14/2025"], ["2025-02-13", None], [False, True], "one column must have one order"),
        (["13/02/2025", "03/04/2025 9:05 PM"], ["2025-02-13", "2025-04-03 21:05"], [False, False], ""),
        (["02.14.2025", "03.04.2025"], ["2025-02-14", "2025-03-04"], [False, False], ""),
        (["13.02.2025", "02/14/2025"], ["2025-02-13", "2025-02-14"], [False, False], ""),  # each form has its own order
        (["13/02/25", "03/04/99"], ["2025-02-13", "1999-04-03"], [False, False], "two digits"),
        (["2025-01-02", "2025-03-04", "2025-05-06", "13/02/2025"], ["2025-01-02", "2025-03-04", "2025-05-06", "2025-02-13"], [False] * 4, "day for the month"),
        (["31/02/2025", "2025/03/04 10:00"], [None, "2025-03-04 10:00"], [True, False], ""),
    ],
)
def test_one_column_of_dates_has_one_order(written, read_as, bad, note):
    notes: list[str] = []
    found, unread = read_times(pd.Series(written, dtype="str"), notes.append)
    assert unread.tolist() == bad and any(note in n for n in notes) == bool(note)
    assert [None if pd.isna(t) else t for t in found] == [None if t is None else pd.Timestamp(t, tz="UTC") for t in read_as]


def test_concepts_in_one_cell_are_named_and_a_graph_may_hold_ids_and_names(tmp_path):
    notes: list[str] = []
    path = write(tmp_path, "student,item,score,skills\na,q1,1,add; sub\na,q2,0,mul\n")
    q = read(path, notes)["q_matrix"]
    assert q["concept_id"].tolist() == ["add; sub", "mul"] and any("look like a list ('add; sub')" in n for n in notes)
    graph = write(tmp_path, "concept_id,concept,requires,prerequisite\nmul,times,add; sub,plus\n", "graph.csv")
    assert read(path, graph=graph)["prerequisites"][["concept_id", "requires_id"]].to_numpy().tolist() == [["mul", "add; sub"]]
