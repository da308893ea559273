"""Bad tables get one error that names place, wanted, found, count and first offender; good ones come out in the declared dtypes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edukit.schema import TABLES, DataError, has_order
from edukit.validation import validate, validate_all


def responses(**changes) -> pd.DataFrame:
    table = pd.DataFrame({"learner_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "correct": [1, 0, 1], "order": [0, 1, 0]})
    return table.assign(**changes)


def fault(table: pd.DataFrame, name: str = "interactions") -> str:
    with pytest.raises(DataError) as error:
        validate(table, name, source="data_cards/junyi.md")
    return str(error.value)


def test_correct_out_of_range_names_count_and_first_row():
    assert "interactions.correct must lie in [0, 1]; found 2 in 1 of 3 rows (first: row 2). See data_cards/junyi.md." in fault(responses(correct=[1, 2, 0]))


def test_missing_column_is_named_with_what_was_found():
    assert "interactions must have the column correct; found learner_id, item_id, order" in fault(responses().drop(columns="correct"))


def test_duplicate_response_names_its_key():
    assert "must hold each (learner_id, order) once; found a duplicate in 1 of 3 rows (first: row 2, learner_id=a, order=0)" in fault(
        responses(order=[0, 0, 0])
    )
    assert "(learner_id, item_id)" in fault(responses(item_id="x", order=None))


def test_all_faults_are_told_at_once():
    told = fault(responses(correct=["x", 5, 1], learner_id=["a", None, ""]))
    assert "correct must be a number; found 'x'" in told and "correct must lie in [0, 1]; found 5" in told
    assert "learner_id must not be missing" in told and "learner_id must be a non-empty id; found ''" in told


def test_order_is_known_in_every_row_or_in_none():
    assert "be known in every row or in none" in fault(responses(order=[0, None, 1]))
    unknown = validate(responses(order=None), "interactions")
    assert not has_order(unknown) and has_order(validate(responses(), "interactions"))


def test_sensitive_attributes_cannot_enter_interactions():
    assert "no column gender" in fault(responses(gender="f"))


def test_empty_table_and_unknown_values():
    assert "at least one row" in fault(responses().iloc[:0])
    day = pd.DataFrame({"learner_id": ["a"], "date": ["2025-09-01"], "status": ["asleep"]})
    assert "attendance.status must be one of present, late, absent, excused; found 'asleep'" in fault(day, "attendance")


def test_unknown_item_is_a_dangling_reference():
    q = pd.DataFrame({"item_id": ["x"], "concept_id": ["c"]})
    with pytest.raises(DataError, match=r"interactions.item_id must be found in q_matrix.item_id; found 'y' in 1 of 3 rows \(first: row 2\)"):
        validate_all({"interactions": responses(), "q_matrix": q})


def test_ids_of_numbers_become_plain_text():
    table = validate(responses(learner_id=[1.0, 1.0, 2.0]), "interactions")
    assert table["learner_id"].tolist() == ["1", "1", "2"] and table["correct"].dtype == np.float64


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True))
def test_any_text_is_an_id_and_comes_back_unchanged(ids):
    table = pd.DataFrame({"concept_id": ids, "name": ids})
    assert validate(table, "concepts")["concept_id"].tolist() == ids


def test_every_declared_table_has_meaning_and_known_key():
    for table in TABLES.values():
        assert table.row and all(c.meaning for c in table.columns) and set(table.key) <= set(table.names), table.name
