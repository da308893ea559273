"""Exports of Canvas and Moodle, invented in their layout: pairs of answer and points, points-possible row, averages, decimal commas; no names."""

from __future__ import annotations

import openpyxl
import pytest

from edukit.formats import lms
from edukit.formats.delimited import read_strings
from edukit.schema import DataError
from edukit.validation import validate_all

CANVAS = (
    "name,id,sis_id,section,section_id,section_sis_id,submitted,attempt,"
    '"101: What is 1/2, as a decimal?\nThink.",1.0,"102: Say why",1.0,"103: Read this",0.0,n correct,n incorrect,score\n'
    '"Mock, Ann",11,S1,7A,5,,2025-09-01 09:00:00 UTC,1,0.5,1.0,because,0.5,,0.0,1,1,1.5\n'
    "Bo Ng,12,S2,7B,6,,2025-09-01 09:05:00 UTC,1,5,0.0,,,,0.0,0,2,0\n"
    "Bo Ng,12,S2,7B,6,,2025-09-02 09:05:00 UTC,2,0.5,1.5,x,1.0,,0.0,2,0,2\n"
    ",,,7B,6,,2025-09-02 09:06:00 UTC,1,0.5,1.0,x,1.0,,0.0,2,0,2\n"
)
GRADEBOOK = (
    'Student,ID,SIS User ID,SIS Login ID,Section,Quiz (1) (501),Essay (502),Practice (503),Final Score\n,,,,,Manual Posting,,,(read only)\n'
    '"    Points Possible",,,,,10,4,0,(read only)\n"Mock, Ann",11,S1,ann@x.org,7A,7.5,EX,1,75\n"Ng, Bo",12,S2,bo@x.org,7B,12,2,,99\n'
    '"Student, Test",99,,,7A,10,4,0,100\n'
)
MOODLE = (
    '\ufeffSurname,"First name","ID number","Email address",State,"Started on",Completed,"Time taken",Grade/10.00,"Q. 1 /5.00","Q. 2 /5.00"\n'
    'Mock,Ann,0011,ann@x.org,Finished,"1 September 2025  9:00 AM","1 September 2025  9:20 AM","20 mins",7.50,5.00,2.50\n'
    'Mock,Ann,0011,ann@x.org,Finished,"2 September 2025  9:00 AM","2 September 2025  9:20 AM","20 mins",5.00,5.00,"Requires grading"\n'
    'Ng,Bo,0012,bo@x.org,"In progress","1 September 2025  9:00 AM",-,-,-,-,0.00\n'
    '"Overall average",,,,,,,,6.25,5.00,1.25\n'
)
RESPONSES = (
    "Nachname;Vorname;E-Mail-Adresse;Status;Begonnen am;Beendet;Verbrauchte Zeit;Bewertung/10,00;Response 1;Right answer 1;Response 2;Right answer 2\n"
    "Mock;Ann;ann@x.org;Beendet;2025-09-01 09:00;2025-09-01 09:20;20 Min;10,00;B: zwei;B: zwei;-;x\n"
    "Ng;Bo;bo@x.org;Beendet;2025-09-01 09:00;2025-09-01 09:25;25 Min;0,00;A: eins;B: zwei;y;x\n"
)
PERSONAL = ("Mock", "Ann", "Bo Ng", "@x.org", "Ng")


def read(tmp_path, text, reader, notes=None):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    tables = validate_all(reader(path, say=(notes if notes is not None else []).append))
    held = "\n".join(table.to_csv() for table in tables.values())
    assert not any(word in held for word in PERSONAL)
    return tables


def test_a_canvas_quiz_gives_shares_answers_attempts_and_no_names(tmp_path):
    notes: list[str] = []
    tables = read(tmp_path, CANVAS, lms.read_canvas, notes)
    log = tables["interactions"]
    assert log[["learner_id", "item_id", "correct", "attempt", "class_id"]].to_numpy().tolist() == [
        ["11", "101", 1.0, 1, "7A"],
        ["11", "102", 0.5, 1, "7A"],
        ["12", "101", 0.0, 1, "7B"],
        ["12", "101", 1.0, 2, "7B"],
        ["12", "102", 1.0, 2, "7B"],
    ]
    assert log["response"].tolist() == ["0.5", "because", "5", "0.5", "x"] and str(log["timestamp"][0]) == "2025-09-01 09:00:00+00:00"
    assert tables["items"].set_index("item_id")["name"]["101"].startswith("What is 1/2") and log["order"].isna().all()
    assert len(notes) == 3 and "without points" in notes[0] and "without an id" in notes[1] and "above the full points" in notes[2]
    path = tmp_path / "a.csv"
    path.write_text(CANVAS.replace("name,id,", "name,other,"))
    with pytest.raises(DataError, match="anonymous survey"):
        lms.read_canvas(path)
    path.write_text('name,id,section,"101: x",n correct,n incorrect,score\na,1,s,y,1,0,1\n')
    with pytest.raises(DataError, match="a column of points behind each question"):
        lms.read_canvas(path)


def test_a_canvas_gradebook_is_scaled_by_its_points_possible(tmp_path):
    notes: list[str] = []
    tables = read(tmp_path, GRADEBOOK, lms.read_canvas, notes)
    assert tables["interactions"][["learner_id", "item_id", "correct", "class_id"]].to_numpy().tolist() == [
        ["11", "501", 0.75, "7A"],
        ["12", "501", 1.0, "7B"],
        ["12", "502", 0.5, "7B"],
    ]
    assert tables["items"]["name"].tolist() == ["Quiz (1)", "Essay"] and any("'EX'" in n for n in notes) and any("test student" in n for n in notes)
    with pytest.raises(DataError, match="the row `Points Possible`"):
        read(tmp_path, GRADEBOOK.replace("Points Possible", ""), lms.read_canvas)


def test_moodle_grades_leave_averages_and_ungraded_cells_out(tmp_path):
    notes: list[str] = []
    log = read(tmp_path, MOODLE, lms.read_moodle, notes)["interactions"]
    assert log[["learner_id", "item_id", "correct", "attempt"]].to_numpy().tolist() == [
        ["0011", "1", 1.0, 1],
        ["0011", "2", 0.5, 1],
        ["0011", "1", 1.0, 2],
        ["0012", "2", 0.0, 1],
    ]
    assert str(log["timestamp"][0]) == "2025-09-01 09:20:00+00:00" and any("averages" in n for n in notes) and any("Requires grading" in n for n in notes)


def test_moodle_responses_are_compared_with_the_right_answer_and_learners_numbered(tmp_path):
    notes: list[str] = []
    log = read(tmp_path, RESPONSES, lms.read_moodle, notes)["interactions"]
    assert log[["learner_id", "item_id", "correct", "response"]].to_numpy().tolist() == [
        ["1", "1", 1.0, "B: zwei"],
        ["2", "1", 0.0, "A: eins"],
        ["2", "2", 0.0, "y"],
    ]
    assert any("were numbered" in n for n in notes) and any("part marks" in n for n in notes)
    with pytest.raises(DataError, match="points of each question"):
        read(tmp_path, RESPONSES.replace("Right answer", "Other"), lms.read_moodle)
    with pytest.raises(DataError, match="tell learners apart"):
        read(tmp_path, "A;Started;Completed;Q. 1 /1,00\nx;2025-01-01;2025-01-02;1,00\n", lms.read_moodle)


def test_a_moodle_workbook_reads_like_its_csv(tmp_path):
    (tmp_path / "a.csv").write_text(MOODLE, encoding="utf-8")
    book = openpyxl.Workbook()
    table = read_strings(tmp_path / "a.csv")
    book.active.append(list(table.columns))
    for row in table.astype(object).where(table.notna(), None).to_numpy().tolist():
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert lms.read_moodle(tmp_path / "a.xlsx")["interactions"].equals(lms.read_moodle(tmp_path / "a.csv")["interactions"])


@pytest.mark.parametrize(
    ("text", "platform"),
    [(CANVAS, "canvas"), (GRADEBOOK, "canvas"), (MOODLE, "moodle"), (RESPONSES, "moodle"), ("student,question,score\na,b,1\n", None)],
)
def test_exports_are_recognised_by_their_header(tmp_path, text, platform):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    assert lms.recognise(list(read_strings(path).columns)) == platform


def test_a_gradebook_without_ids_is_refused_with_what_it_needs(tmp_path):
    path = tmp_path / "gradebook.csv"
    path.write_text("Student,Section,Essay (98765)\nPoints Possible,,10\nAnn,7a,9\n")
    with pytest.raises(DataError, match="must have the column id"):
        lms.read_canvas(path)
