"""CASE rubrics: ours come back exactly, others are read as far as they are understood, and the rest is told."""

from __future__ import annotations

import json
import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from edukit.formats.case_rubric import read, read_rubrics, write
from edukit.grading.rubric import Rubric
from edukit.grading.rubric_check import lint
from edukit.reproducibility import bundled
from edukit.schema import DataError
from edukit.validation import validate

EXAMPLES = sorted(bundled("conf").glob("rubrics/*.yaml"))
CHANGED = "2026-01-31T12:00:00"
odd = st.one_of(st.sampled_from(["=cmd()", "<script>x</script>", "a &amp; b", "x<sup>2</sup>", " two  spaces ", "水", "\x1b[31m", "\u2028"]),
                st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))


def foreign(**fields) -> dict:
    """A rubric as another tool writes it."""
    level = {"identifier": "l1", "uri": "u", "description": "<p>Names <b>no</b> cause</p>", "quality": "Beginning", "score": 0, "feedback": "Look again",
             "position": 1}
    top = {**level, "identifier": "l2", "description": "Names a cause", "score": 2.5, "position": 0, "feedback": ""}
    criterion = {"identifier": "c1", "uri": "u", "category": "Cause", "description": "What makes it dry", "weight": 0.5, "position": 2, "rubricId": "r",
                 "CFItemURI": {"identifier": "i"}, "CFRubricCriterionLevels": [top, level]}
    other = {**criterion, "identifier": "c2", "category": "Process", "position": 1, "description": None, "CFItemURI": None}
    return {"identifier": "6b2f1a3c-1111-2222-3333-444455556666", "uri": "u", "title": "Puddles", "description": "of water", "lastChangeDateTime": CHANGED,
            "CFRubricCriteria": [criterion, other], **fields}


def kept(tmp_path, content) -> object:
    path = tmp_path / "r.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_rubric_of_ours_comes_back_with_nothing_left_out(path, tmp_path):
    rubric = Rubric.read(path)
    file = write(rubric.table(), tmp_path / "r.json", changed=CHANGED, titles={rubric.rubric_id: rubric.title})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_frame_equal(read(file)["rubrics"], rubric.table().dropna(axis=1, how="all"))
    assert Rubric.read(file) == rubric and read_rubrics(file).titles == {rubric.rubric_id: rubric.title}
    before = file.read_bytes()
    assert write(rubric.table(), file, changed=CHANGED, titles={rubric.rubric_id: rubric.title}).read_bytes() == before


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(odd, min_size=2, max_size=2, unique=True), texts=st.lists(odd, min_size=4, max_size=4), weight=st.floats(0, 1e6))
def test_any_table_comes_back_as_it_was(tmp_path_factory, ids, texts, weight):
    rows = [{"rubric_id": rubric, "criterion_id": criterion, "level": level, "descriptor": texts[level], "weight": weight, "key_elements": texts[2],
             "exemplar": texts[3], "version": texts[0]} for rubric in ids for criterion in ids for level in (0, 1)]
    table = validate(pd.DataFrame(rows), "rubrics")
    file = write(table, tmp_path_factory.mktemp("case") / "r.json", changed=CHANGED)
    assert_frame_equal(read(file)["rubrics"], table)


def test_a_rubric_of_another_tool_is_read_and_the_rest_is_told(tmp_path):
    path = kept(tmp_path, {"CFDocument": {"title": "T"}, "CFItems": [{"identifier": "i"}], "CFRubrics": [foreign()]})
    with pytest.warns(UserWarning, match="not understood, and left out"):
        table = read(path)["rubrics"]
    assert table["criterion_id"].tolist() == ["Process", "Process", "Cause", "Cause"] and table["level"].tolist() == [2.5, 0, 2.5, 0]
    assert table["descriptor"].tolist() == ["Names a cause", "Names no cause"] * 2 and set(table["weight"]) == {0.5}
    left = read_rubrics(path).left_out.set_index(["part", "what"])["count"].to_dict()
    assert left == {("package", "CFItems"): 1, ("rubric", "description"): 1, ("criterion", "description"): 1, ("criterion", "CFItemURI"): 1,
                    ("level", "quality"): 4, ("level", "feedback"): 2}


def test_one_rubric_alone_a_list_and_a_wrapped_package_are_read_alike(tmp_path):
    tables = [read_rubrics(kept(tmp_path, content)).table for content in
              (foreign(), [foreign()], {"CFRubrics": [foreign()]}, {"CFPackage": {"CFRubrics": [foreign()]}}, {"CFRubric": foreign()})]
    for table in tables[1:]:
        assert_frame_equal(table, tables[0])


def test_without_categories_a_criterion_is_called_by_its_description_or_identifier(tmp_path):
    rubric = foreign()
    for n, criterion in enumerate(rubric["CFRubricCriteria"]):
        criterion.update(category="Same", description=f"What {n}")
    assert set(read_rubrics(kept(tmp_path, rubric)).table["criterion_id"]) == {"What 0", "What 1"}
    for criterion in rubric["CFRubricCriteria"]:
        del criterion["description"]
    assert set(read_rubrics(kept(tmp_path, rubric)).table["criterion_id"]) == {"c1", "c2"}


@pytest.mark.parametrize(("content", "words"), [
    ("{", "must be JSON in UTF-8"), ("[]", "must hold a CFRubric"), ("3", "must hold a CFRubric"), ('{"CFItems": []}', "found CFItems"),
    ("[" * 50_000, "must be JSON"),
    ({"CFRubrics": [{"title": "x"}]}, "must hold a CFRubric"), (foreign(CFRubricCriteria=[]), "must list CFRubricCriteria"),
    (foreign(CFRubricCriteria=[{"identifier": "c", "CFRubricCriterionLevels": [{"description": "d"}]}]), "must have a score; found none"),
    (foreign(CFRubricCriteria=[{"identifier": "c", "CFRubricCriterionLevels": [{"description": "d", "score": "two"}]}]), "must be a number; found 'two'"),
    (foreign(CFRubricCriteria=[{"identifier": "c", "CFRubricCriterionLevels": [{"description": "d", "score": 1}] * 2}]), "found a duplicate"),
    (foreign(CFRubricCriteria=[{"identifier": "c"}, 7]), "must list CFRubricCriteria"),
])
def test_what_is_no_rubric_is_one_error(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_rubrics(kept(tmp_path, content))


def test_a_level_without_words_is_read_and_left_to_the_check(tmp_path):
    odd_one = foreign(CFRubricCriteria=[{"identifier": ["c"], "extensions": "x", "CFRubricCriterionLevels": [{"score": 1}]}])
    rubric = Rubric.from_table(read_rubrics(kept(tmp_path, odd_one)).table)
    assert rubric.criteria[0].levels[0].descriptor == "" and "no descriptor" in " ".join(lint(rubric)["fault"])


def test_an_absent_file_is_one_error(tmp_path):
    with pytest.raises(DataError, match="no file that can be read"):
        read(tmp_path / "no.json")


def test_a_table_that_does_not_validate_is_not_written(tmp_path):
    with pytest.raises(DataError, match="descriptor"):
        write(pd.DataFrame({"rubric_id": ["r"], "criterion_id": ["c"], "level": [1.0]}), tmp_path / "r.json", changed=CHANGED)
    assert not list(tmp_path.iterdir())
