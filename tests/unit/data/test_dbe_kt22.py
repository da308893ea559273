"""DBE-KT22: each quirk on invented rows, a clear error for each broken file, exact counts on the real part."""

from __future__ import annotations

import runpy
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from edukit.data.dbe_kt22 import DbeKt22
from edukit.schema import DataError, has_order
from edukit.validation import validate_all


@pytest.fixture
def dbe(tmp_path):
    def write(variant: str) -> DbeKt22:
        runpy.run_path(str(Path(__file__).parents[2] / "invented/dbe_kt22.py"))["write"](tmp_path, variant)
        return DbeKt22(variant=variant, path=str(tmp_path))
    return write


def tables_of(loader: DbeKt22) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def pairs(table: pd.DataFrame, *columns: str) -> set[tuple]:
    return set(table[list(columns)].itertuples(index=False, name=None))


def test_part_is_one_row_a_response_with_concepts_in_the_q_matrix(dbe):
    tables = tables_of(dbe("part"))
    log = tables["interactions"]
    assert len(log) == 4 and log.loc[log["learner_id"] == "1400", "order"].tolist() == [0, 1, 2]
    assert pairs(tables["q_matrix"], "item_id", "concept_id") == {("12", "10"), ("12", "2"), ("7", "2")}
    assert tables["concepts"]["concept_id"].tolist() == ["1", "2", "10"]  # 1 is in no question
    assert tables["learners"].set_index("learner_id")["published_part"].to_dict() == {"1400": "valid", "4": "test"}


@pytest.mark.parametrize("variant, expected", [("part", {("2", "1"), ("10", "2"), ("10", "1")}), ("full", {("2", "1"), ("10", "2")})])
def test_from_is_the_prerequisite_of_to(dbe, variant, expected):
    assert pairs(tables_of(dbe(variant))["prerequisites"], "concept_id", "requires_id") == expected


def test_full_orders_by_start_and_keeps_hints_changes_choices_and_attempts(dbe):
    tables = tables_of(dbe("full"))
    log = tables["interactions"].sort_values(["learner_id", "order"])
    assert has_order(log) and log["learner_id"].tolist() == ["8", "8", "9"] and log["response"].tolist() == ["70", "71", "80"]
    assert log["attempt"].tolist() == [1, 2, 1] and log["correct"].tolist() == [0, 1, 1] and log["answer_changes"].tolist() == [2, 0, 1]
    assert log["hints"].tolist()[:2] == [1, 0] and pd.isna(log["hints"].iloc[2])
    assert log["response_time_s"].tolist()[:2] == [60, 41] and pd.isna(log["response_time_s"].iloc[2])  # it ended before it began
    assert str(log["timestamp"].iloc[2]) == "2021-08-01 09:00:00+00:00"


def test_full_names_wording_keys_feedback_and_studies(dbe):
    tables = tables_of(dbe("full"))
    assert tables["concepts"]["name"].tolist() == ["Relation", "Key, ^n)", "concept 10"]
    items = tables["items"].set_index("item_id")
    assert items.loc["7", ["name", "answer_key"]].tolist() == ["Which, of\nthese?", "71"]
    assert items.loc["12", ["name", "answer_key"]].tolist() == ["Joins", "80|81"]
    assert items["options"].to_dict() == {"7": 2, "12": 3}
    assert pairs(tables["surveys"], "survey_id", "learner_id", "rating") == {("difficulty", "8", 0.0), ("difficulty", "8", 1.0), ("trust", "8", 2.0)}
    people = tables["learners"].set_index("learner_id")["specialization_id"]
    assert people["8"] == "3|5" and pd.isna(people["9"])
    assert all("specialization_id" not in table for name, table in tables.items() if name != "learners")


def test_full_does_without_feedback_and_without_studies(dbe):
    loader = dbe("full")
    place = Path(loader.path)
    (place / "Student_Specialization.csv").unlink()
    text = (place / "Transaction.csv").read_text("utf-8-sig")
    (place / "Transaction.csv").write_text(text.replace(",1,2,true", ",,,true").replace(",0,,false", ",,,false"))
    tables = tables_of(loader)
    assert "surveys" not in tables and list(tables["learners"]) == ["learner_id"]
    assert [p.name for p in loader.files(place)][-1] == "Question_Choices.csv"


@pytest.mark.parametrize("variant, file, old, new, wanted", [
    ("part", "interactions_valid_test.csv", "kc_ids", "kcs", "must have the columns kc_ids"),
    ("part", "interactions_valid_test.csv", "test,4,0,0,7,2,1", "test,4,0,0,7", r"kc_ids must be numbers|correct must be a number; found nan in 1 of 4"),
    ("part", "interactions_valid_test.csv", "10_2,1\nvalid,1400,1", "10-2,1\nvalid,1400,1", r"found '10-2' in 1 of 4 rows \(first: line 2\)"),
    ("part", "KC_Relationships_mapped.csv", "2,10\n", "2,\n", r"to_knowledgecomponent_id must be a number; found nan in 1 of 4 rows \(first: line 3\)"),
    ("full", "Transaction.csv", "answer_state", "state", "must have the columns answer_state"),
    ("full", "Transaction.csv", "2021-08-02T09:00:00Z", "yesterday", "start_time must be a date and time; found 'yesterday' in 1 of 3"),
    ("full", "Transaction.csv", ",true,,8", ",maybe,,8", "answer_state must be true or false; found 'maybe'"),
    ("full", "KCs.csv", "description", "text", "must have the columns description"),
])
def test_a_broken_file_is_named_with_its_first_fault(dbe, variant, file, old, new, wanted):
    loader = dbe(variant)
    path = Path(loader.path) / file
    text = path.read_text("utf-8-sig")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=wanted) as error:
        tables_of(loader)
    assert file in str(error.value)


def test_an_empty_or_wrongly_encoded_file_is_refused(dbe):
    loader = dbe("full")
    path = Path(loader.path) / "KCs.csv"
    path.write_bytes("id,name,description\n1,clé,\n".encode("latin-1"))
    with pytest.raises(DataError, match="must be encoded as"):
        tables_of(loader)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        tables_of(loader)


@pytest.mark.realdata
def test_real_counts(edukit_data):
    tables = tables_of(DbeKt22(path=str(edukit_data / "dbe_kt22")))
    log, q, edges = (tables[name] for name in ("interactions", "q_matrix", "prerequisites"))
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique(), round(log["correct"].mean(), 3)) == (47_608, 431, 212, .766)
    assert q["concept_id"].nunique() == 93 and len(tables["concepts"]) == 98
    assert set(q.groupby("item_id")["concept_id"].size()) == {1, 2, 3, 4}
    graph = nx.DiGraph(zip(edges["requires_id"], edges["concept_id"], strict=True))
    assert len(edges) == 101 and nx.is_directed_acyclic_graph(graph) and nx.dag_longest_path_length(graph) == 4
    assert (edges["requires_id"].astype(int) < edges["concept_id"].astype(int)).sum() == 89  # what the card says of the direction
    assert has_order(log)
