"""Readers on invented raw rows that carry the real files' quirks, and on the real files where they are here: exact counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, save_npz

from edukit.data.assistments2009 import Assistments2009
from edukit.data.junyi import Junyi
from edukit.data.school_csv import SchoolCsv, match_columns
from edukit.schema import DataError, has_order
from edukit.validation import validate_all

EXERCISES = (
    "name,live,prerequisites,h_position,v_position,creation_date,seconds_per_fast_problem,pretty_display_name,short_display_name,topic,area\n"
    "beta,TRUE,alpha,1,1,2012-10-11,9,乙,乙,t1,algebra\n"
    "alpha,TRUE,,1,1,2012-10-11,9,甲,甲,t1,algebra\n"
    'gamma,TRUE,"alpha,beta",1,1,2012-10-11,9,,,,\n'
    "beta,FALSE,alpha,1,1,2012-10-12,9,乙,乙,t1,algebra\n"
    'delta^n),TRUE,"delta^n),gamma",1,1,2012-10-11,9,丁,丁,t2,geometry\n'
)


@pytest.fixture
def junyi(tmp_path) -> Path:
    (tmp_path / "junyi_Exercise_table.csv").write_text(EXERCISES, encoding="utf-8-sig")
    (tmp_path / "response.csv").write_text("0,0,1\n0,1,0\n7,3,1\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def lpp(tmp_path) -> Path:
    header = "user_id\titem_id\ttimestamp\tcorrect\tskill_id\n"
    (tmp_path / "preprocessed_data_train.csv").write_text(header + "0\t2\t0\t1\t5\n0\t0\t0\t0\t5\n0\t2\t0\t1\t5\n")
    (tmp_path / "preprocessed_data_test.csv").write_text(header + "9\t1\t0\t1\t6\n")
    save_npz(tmp_path / "q_mat.npz", csr_matrix(np.array([[1, 0], [0, 1], [1, 1]])))
    return tmp_path


def read(loader) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def test_junyi_joins_by_sorted_names_and_keeps_any_string(junyi):
    tables = read(Junyi(path=str(junyi)))
    assert tables["interactions"]["item_id"].tolist() == ["alpha", "beta", "gamma"]
    assert len(tables["concepts"]) == 4 and not has_order(tables["interactions"])
    edges = set(map(tuple, tables["prerequisites"][["concept_id", "requires_id"]].to_numpy()))
    assert edges == {("beta", "alpha"), ("gamma", "alpha"), ("gamma", "beta"), ("delta^n)", "gamma")}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "found an empty file"),
        ("0,0,1\n0,1", "'0,1,' in 1 of 2 lines (first: line 2)"),
        ("0,99,1\n", "unknown item 99"),
        ("0,0,2\n", "found 2 in 1 of 1 rows"),
        ("0,0,1\n0,0,1\n", "found a duplicate"),
        ("a,0,1\n", "three whole numbers"),
    ],
)
def test_junyi_names_what_is_wrong_with_responses(junyi, content, told):
    (junyi / "response.csv").write_text(content)
    with pytest.raises(DataError) as error:
        read(Junyi(path=str(junyi)))
    assert told in str(error.value)


def test_wrong_encoding_missing_column_and_missing_file_are_named(junyi):
    table = junyi / "junyi_Exercise_table.csv"
    table.write_bytes(EXERCISES.encode("utf-16"))
    with pytest.raises(DataError, match="must be encoded as utf-8-sig; found byte 0xff at position 0"):
        read(Junyi(path=str(junyi)))
    table.write_text(EXERCISES.replace("prerequisites", "requires"))
    with pytest.raises(DataError, match="must have the columns prerequisites"):
        read(Junyi(path=str(junyi)))
    table.unlink()
    with pytest.raises(DataError, match="edukit data card junyi"):
        read(Junyi(path=str(junyi)))
    with pytest.raises(DataError, match="variant of junyi must be one of"):
        Junyi(variant="other").raw_dir()


def test_lpp_is_one_row_per_response_in_order_with_the_publishers_parts(lpp):
    tables = read(Assistments2009(path=str(lpp)))
    log = tables["interactions"]
    assert log["order"].tolist() == [0, 1, 2, 0] and len(tables["q_matrix"]) == 4
    assert dict(zip(tables["learners"]["learner_id"], tables["learners"]["published_part"], strict=True)) == {"0": "train", "9": "test"}
    (lpp / "q_mat.npz").write_bytes((lpp / "q_mat.npz").read_bytes()[:60])
    with pytest.raises(DataError, match="must be a sparse item x concept matrix"):
        read(Assistments2009(path=str(lpp)))


def test_akt_folds_a_response_repeated_per_concept_and_refuses_a_cut_file(tmp_path):
    lines = "1,70001\n7,7,7,8\n1,2,1,2,\n0,0,0,1\n"
    for fold in range(1, 6):
        (tmp_path / f"assist2009_pid_test{fold}.csv").write_text(lines.replace("70001", "") if fold > 1 else lines)
    for name, content in (("skill.json", {"Box and Whisker": 1, "10^n)": 2}), ("problems.json", {}), ("user.json", {})):
        (tmp_path / name).write_text(json.dumps(content))
    for fold in range(2, 6):
        (tmp_path / f"assist2009_pid_test{fold}.csv").write_text(f"{fold},1\n8\n2\n1\n")
    tables = read(Assistments2009(variant="akt", path=str(tmp_path)))
    log = tables["interactions"]
    assert log.loc[log["learner_id"] == "1", "item_id"].tolist() == ["7", "7", "8"]  # concepts 1 and 2 in one response, then a new attempt, then item 8
    assert tables["q_matrix"].groupby("item_id")["concept_id"].nunique().to_dict() == {"7": 2, "8": 1}
    (tmp_path / "assist2009_pid_test1.csv").write_text("1,70001\n7,7\n1,2\n0\n")
    with pytest.raises(DataError, match="as many concepts and answers as questions; found 2, 2, 1"):
        read(Assistments2009(variant="akt", path=str(tmp_path)))


RAW = (
    "order_id,user_id,problem_id,original,correct,skill_id,skill_name,hint_count,student_class_id,teacher_id,ms_first_response,answer_text\n"
    "30,5,100,1,1,7,Área^n),0,11,3,4200,88\n10,5,100,1,0,7,Área^n),2,11,3,-5,x\n20,5,101,1,1,7,Área^n),0,11,3,10,\n20,5,101,1,1,8,,0,11,3,10,\n"
    "40,5,102,0,1,7,Área^n),0,11,3,10,\n50,6,103,1,1,,,0,11,3,10,\n"
)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_raw_folds_skills_drops_scaffolds_and_sorts_by_order_id(tmp_path, encoding):
    (tmp_path / "raw.csv").write_text(RAW, encoding=encoding)
    tables = read(Assistments2009(variant="raw", path=str(tmp_path), file="raw.csv"))
    log, q = tables["interactions"], tables["q_matrix"]
    assert log["item_id"].tolist() == ["100", "101", "100", "103"] and log["correct"].tolist() == [0, 1, 1, 1] and log["order"].tolist() == [0, 1, 2, 0]
    assert q[q["item_id"] == "101"]["concept_id"].tolist() == ["7", "8"] and q[q["item_id"] == "103"]["concept_id"].tolist() == ["unnamed"]
    assert tables["concepts"].set_index("concept_id")["name"].to_dict() == {"7": "Área^n)", "8": "8", "unnamed": "unnamed"}
    assert log["class_id"].unique().tolist() == ["11"] and log["response_time_s"].tolist() == [0, 0.01, 4.2, 0.01]


def test_a_schools_csv_is_read_by_usual_names_and_says_when_order_is_unknown(tmp_path):
    assert match_columns(["Student ID", "Question", "Score", "Class"]) == {
        "Student ID": "learner_id",
        "Question": "item_id",
        "Score": "correct",
        "Class": "class_id",
    }
    path = tmp_path / "ours.csv"
    path.write_text("Student ID;Question;Score;Class\nAnn;q1;1;7A\nAnn;q2;0;7A\n李;q1;yes;7B\n", encoding="utf-8")
    tables = read(SchoolCsv(path=str(path)))
    assert tables["interactions"]["learner_id"].tolist() == ["Ann", "Ann", "李"] and tables["interactions"]["correct"].tolist() == [1, 0, 1]
    assert not has_order(tables["interactions"]) and set(tables["concepts"]["concept_id"]) == {"q1", "q2"}
    path.write_text("student,question,score,time\nA,q1,1,2025-01-02\nA,q2,0,2025-01-01\n", encoding="utf-8")
    log = read(SchoolCsv(path=str(path)))["interactions"]
    assert log["item_id"].tolist() == ["q2", "q1"] and log["order"].tolist() == [0, 1]
    path.write_text("student,question\nA,q1\n", encoding="utf-8")
    with pytest.raises(DataError, match="column for correct; found student, question"):
        read(SchoolCsv(path=str(path)))


@pytest.mark.realdata
def test_real_junyi_counts(edukit_data):
    tables = read(Junyi(path=str(edukit_data / "junyi")))
    log, edges = tables["interactions"], tables["prerequisites"]
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique()) == (353_835, 10_000, 706)
    assert round(log["correct"].mean(), 3) == 0.652 and len(edges) == 979 and len(tables["concepts"]) == 835
    assert pd.concat([edges["concept_id"], edges["requires_id"]]).nunique() == 776
    assert tables["concepts"]["area"].nunique() == 8 and tables["concepts"]["topic"].nunique() == 40


@pytest.mark.realdata
def test_real_assistments_counts(edukit_data):
    tables = read(Assistments2009(path=str(edukit_data / "assistments2009" / "lpp")))
    assert (len(tables["interactions"]), tables["learners"].shape[0], tables["q_matrix"]["item_id"].nunique()) == (278_336, 3_114, 17_708)
    tables = read(Assistments2009(variant="akt", path=str(edukit_data / "assistments2009" / "akt")))
    log, q = tables["interactions"], tables["q_matrix"]
    assert (log["learner_id"].nunique(), log["item_id"].nunique(), q["concept_id"].nunique()) == (4_150, 16_891, 110)
    assert round(len(q) / q["item_id"].nunique(), 3) == 1.197
    raw = Assistments2009(variant="raw", path=str(edukit_data / "assistments2009"), file="raw_sample_15_students.csv")
    kept = Assistments2009(variant="raw", path=raw.path, file=raw.file, scaffolds=True)
    rows = read(kept)["interactions"]
    assert len(rows) == 1_887 - 339 and rows["learner_id"].nunique() == 15
    assert len(read(raw)["interactions"]) < len(rows)
