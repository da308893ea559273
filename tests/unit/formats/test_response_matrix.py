"""Wide tables: a row per learner and a column per item; a Q-matrix, long or wide."""

from __future__ import annotations

import pytest

from edukit.formats import response_matrix
from edukit.formats.delimited import read_table
from edukit.schema import DataError
from edukit.validation import validate_all


def test_a_matrix_is_one_row_per_filled_cell(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Pupil;Class;q1;10^n);分數\n007;7A;1;0,5;\n😀;7B;;;0\n", encoding="utf-8")
    about = {"Class": "class_id"}
    assert response_matrix.recognise(read_table(path), about) and not response_matrix.recognise(read_table(path))
    notes: list[str] = []
    tables = validate_all(response_matrix.read(path, say=notes.append, about=about))
    log = tables["interactions"]
    assert log[["learner_id", "item_id", "correct", "class_id"]].to_numpy().tolist() == [
        ["007", "q1", 1.0, "7A"],
        ["007", "10^n)", 0.5, "7A"],
        ["😀", "分數", 0.0, "7B"],
    ]
    assert "3 empty cells were left out" in notes[0] and set(tables["q_matrix"]["concept_id"]) == {"q1", "10^n)", "分數"}


def test_every_fault_of_a_matrix_is_told_at_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("who,q1,q2\na,1,0\na,x,1\n,7,1\n")
    with pytest.raises(DataError) as error:
        response_matrix.read(path)
    told = str(error.value)
    assert "hold a learner's id; found nothing in 1 of 3 rows (first: row 3)" in told
    assert "each learner once; found 1 of 3 rows that repeat one (first: row 2)" in told
    assert "found 'x' and others in 2 of 6 cells (first: row 2, column q1)" in told
    path.write_text("who,q1,q2\na,,\n")
    with pytest.raises(DataError, match="at least one mark"):
        response_matrix.read(path)


def test_a_q_matrix_is_long_or_wide(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text("Question,Skill,note\nq1,a,x\nq1,b,x\nq1,b,y\nq2,a,\n")
    long = response_matrix.read_q_matrix(path)
    path.write_text("item,b,a\nq1,1,1\nq2,,1\nq3,0,1\n")
    wide = response_matrix.read_q_matrix(path)
    assert long.to_numpy().tolist() == [["q1", "a"], ["q1", "b"], ["q2", "a"]]
    assert wide.to_numpy().tolist() == [["q1", "b"], ["q1", "a"], ["q2", "a"], ["q3", "a"]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Question,Skill\nq1,\n", "both be filled; found nothing in 1 of 1 rows"),
        ("x\nq1\n", "must have the columns item_id and concept_id"),
        ("item,a\nq1,2\n", "column a must hold 0 or 1"),
        ("item,a\nq1,1\nq1,1\n", "hold each item once; found 'q1'"),
    ],
)
def test_faults_of_a_q_matrix_are_named(tmp_path, text, told):
    path = tmp_path / "q.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        response_matrix.read_q_matrix(path)
    assert told in str(error.value)


def read(tmp_path, text: str, notes: list[str] | None = None, about=None):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    return validate_all(response_matrix.read(path, say=(notes if notes is not None else []).append, about=about))["interactions"]


def test_totals_traits_and_means_are_no_items_and_no_learners(tmp_path):
    notes: list[str] = []
    text = "Name,ID,Gender,q1,Sum,q2,Total,Score %\nAnn,007,f,1,0,yes,0.5,50%\nMax,8,m,0,1,1,1,1\nAverage,,,0.5,0.5,0.5,0.5,75%\n"
    log = read(tmp_path, text.replace("Average,,", "Average,average,"), notes)
    assert sorted(log["item_id"].unique()) == ["Sum", "q1", "q2"] and sorted(log["learner_id"].unique()) == ["007", "8"]
    assert "Name, Gender, Total, Score %" in notes[0] and "1 rows of means" in notes[1]


def test_points_need_a_row_of_full_points(tmp_path):
    notes: list[str] = []
    text = "class,student,q1,q2\n{}7a,Max,1,5\n7a,b,4,\n"
    log = read(tmp_path, text.format(",max,4,10\n"), notes, {"class": "class_id", "student": "learner_id"})
    assert log[["learner_id", "item_id", "correct"]].to_numpy().tolist() == [["Max", "q1", 0.25], ["Max", "q2", 0.5], ["b", "q1", 1.0]]
    assert "holds the full points" in notes[0] and set(log["class_id"]) == {"7a"}
    assert response_matrix.recognise(read_table(tmp_path / "a.csv"), {"class": "class_id", "student": "learner_id"})
    with pytest.raises(DataError, match="found '5' and others in 2 of 3 cells .first: row 1, column q2.. Points need a row called max"):
        read(tmp_path, text.format(""), about={"class": "class_id", "student": "learner_id"})
    assert len(read(tmp_path, "who,q1,q2\nMax,1,1\nb,0,1\nc,0,1\n")) == 6  # a learner called Max


def test_a_matrix_without_a_header_is_refused_and_names_are_not_printed(tmp_path):
    with pytest.raises(DataError, match="must name the items in its first row; found marks there"):
        read(tmp_path, "Ann Lee,1,0,1\nb,0,0,1\n")
    with pytest.raises(DataError) as error:
        read(tmp_path, "Name,q1,q2\nAnn Lee,1,0\nAnn Lee,1,0\n")
    assert "found 1 of 2 rows that repeat one" in str(error.value) and "Ann" not in str(error.value)
