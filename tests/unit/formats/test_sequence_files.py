"""Research formats: pyKT windows, three and four lines, triples; pads, trailing commas and repeats as in the real files."""

from __future__ import annotations

import pytest

from edukit.formats import sequence_files
from edukit.schema import DataError, has_order
from edukit.validation import validate_all

WINDOWS = (
    "fold,uid,questions,concepts,responses,timestamps,usetimes,selectmasks,is_repeat\n"
    '0,u1,"1,1,2","5,6,5","1,1,0","1700000000000,1700000000000,1700000060000","2000,2000,900","1,1,1","0,1,0"\n'
    '0,u1,"3,-1,-1","6,-1,-1","1,-1,-1","1700000120000,-1,-1","100,-1,-1","1,-1,-1","0,-1,-1"\n'
    '1,u2,"2,3,-1","5,6,-1","0,1,-1","1700000000000,1700000001000,-1","1,1,-1","1,1,-1","0,0,-1"\n'
)


def test_pykt_joins_windows_folds_concepts_and_drops_pads(tmp_path):
    path = tmp_path / "train_valid_sequences.csv"
    path.write_text(WINDOWS)
    assert sequence_files.recognise(WINDOWS) == "pykt"
    tables = validate_all(sequence_files.read_pykt(path))
    log = tables["interactions"]
    assert log["learner_id"].tolist() == ["u1", "u1", "u1", "u2", "u2"] and log["item_id"].tolist() == ["1", "2", "3", "2", "3"]
    assert log["order"].tolist() == [0, 1, 2, 0, 1] and log["correct"].tolist() == [1, 0, 1, 0, 1]
    assert log["response_time_s"].iloc[0] == 2 and str(log["timestamp"].iloc[0]) == "2023-11-14 22:13:20+00:00"
    assert tables["q_matrix"].groupby("item_id")["concept_id"].agg(list).to_dict() == {"1": ["5", "6"], "2": ["5"], "3": ["6"]}
    assert tables["learners"].set_index("learner_id")["fold"].to_dict() == {"u1": "0", "u2": "1"}


def test_pykt_context_of_overlapping_windows_counts_once(tmp_path):
    path = tmp_path / "test_window_sequences.csv"
    path.write_text('fold,uid,concepts,responses,selectmasks\n-1,u,"1,2_3,1","1,0,1","1,1,1"\n-1,u,"2_3,1,4","0,1,0","-1,-1,1"\n')
    tables = validate_all(sequence_files.read_pykt(path))
    assert tables["interactions"]["correct"].tolist() == [1, 0, 1, 0]
    assert tables["q_matrix"].set_index("item_id").loc["2_3", "concept_id"].tolist() == ["2", "3"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('fold,uid,questions,responses\n0,u,"1,2","1"\n', "found 2 questions, 1 responses (first: row 1"),
        ("fold,uid,responses\n0,u,1\n", "must have the columns questions or concepts"),
        ('uid,questions,responses,qidxs\nu,"1","1","0"\n', "found question sequences"),
        ('uid,questions,responses\nu,"1,2","1,x"\n', "an answer must be 0 or 1; found 'x' in 1 of 2 rows (first: row 2)"),
    ],
)
def test_pykt_faults_are_named(tmp_path, text, told):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        sequence_files.read_pykt(path)
    assert told in str(error.value)


def test_three_lines_number_their_records_and_drop_trailing_commas_and_pads(tmp_path):
    text = "3\n1,2,1,\n0,1,1,\n2\r\n5,6,-1\r\n1,0,-1\r\n"
    (tmp_path / "a.csv").write_text(text)
    assert sequence_files.recognise(text) == "three_line"
    notes: list[str] = []
    log = validate_all(sequence_files.read_three_line(tmp_path / "a.csv", notes.append))["interactions"]
    assert log["learner_id"].tolist() == ["1", "1", "1", "2", "2"] and log["item_id"].tolist() == ["1", "2", "1", "5", "6"]
    assert log["correct"].tolist() == [0, 1, 1, 1, 0] and "names no learner" in notes[0] and has_order(log)


def test_four_lines_with_concepts_or_with_a_learner(tmp_path):
    path = tmp_path / "a.csv"
    text = "1,70001\n7,7,7,8\n1,2,1,2,\n0,0,0,1\n2,70002\n8\n2\n1\n"
    path.write_text(text)
    assert sequence_files.recognise(text) == "three_line"
    tables = validate_all(sequence_files.read_three_line(path))
    log = tables["interactions"]
    assert log["learner_id"].tolist() == ["70001"] * 3 + ["70002"] and log["item_id"].tolist() == ["7", "7", "8", "8"]
    assert tables["q_matrix"].groupby("item_id")["concept_id"].nunique().to_dict() == {"7": 2, "8": 1}
    path.write_text("amy\n2\na,b\n1,0\nbob\n1\na\n1\namy\n1\nc\n1\n")
    log = validate_all(sequence_files.read_three_line(path))["interactions"]
    assert log["learner_id"].tolist() == ["amy", "amy", "amy", "bob"] and log["order"].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3\n1,2,1\n0,1\n", "found 2 answers and 3 items (first: line 1, 1 records in all)"),
        ("3\n1,2,1\n0,1,1\n2\n4,5\n", "records of three or four lines; found 5 lines"),
        ("1\n4\n7\n", "an answer must be 0 or 1; found '7'"),
        ("", "found an empty file"),
        ("1\n2\n1\n-1\n", "at least one answer; found 1 records that are empty or hold nothing but pads"),
    ],
)
def test_three_line_faults_are_named(tmp_path, text, told):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        sequence_files.read_three_line(path)
    assert told in str(error.value)


@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_triples_have_no_header_and_no_order(tmp_path, separator):
    path = tmp_path / "a.txt"
    text = "\n".join(separator.join(row) for row in (("0", "10", "1"), ("0", "007", "0"), ("NA", "10", "1"))) + "\n"
    path.write_text(text)
    assert sequence_files.recognise(text) == "triple"
    log = validate_all(sequence_files.read_triple(path))["interactions"]
    assert log["item_id"].tolist() == ["10", "007", "10"] and log["learner_id"].tolist() == ["0", "0", "NA"] and not has_order(log)


@pytest.mark.realdata
def test_real_akt_and_junyi_files(edukit_data):
    log = sequence_files.read_triple(edukit_data / "junyi" / "response.csv")["interactions"]
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique(), round(log["correct"].mean(), 3)) == (353_835, 10_000, 706, 0.652)
    folds = [sequence_files.read_three_line(edukit_data / "assistments2009" / "akt" / f"assist2009_pid_test{i}.csv") for i in range(1, 6)]
    assert sum(t["interactions"]["learner_id"].nunique() for t in folds) == 4_150
    assert len({i for t in folds for i in t["q_matrix"]["item_id"]}) == 16_891 and len({c for t in folds for c in t["q_matrix"]["concept_id"]}) == 110


def test_a_matrix_of_two_items_without_a_header_is_no_triple():
    assert sequence_files.recognise("s1,0,1\ns2,1,1\ns3,0,0\ns4,1,0\n") is None
    assert sequence_files.recognise("s1,q1,1\ns2,q1,1\ns1,q2,0\n") == sequence_files.recognise("1,0,1\n1,1,1\n2,0,1\n") == "triple"
