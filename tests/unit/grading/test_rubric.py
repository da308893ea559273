"""Rubrics: whatever text they hold comes back from yaml and table; a broken file is one error that names every fault."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.grading.rubric import Criterion, Level, Rubric, alternatives, rubrics_of
from edukit.reproducibility import bundled
from edukit.schema import DataError
from edukit.validation import validate

EXAMPLES = sorted(bundled("conf").glob("rubrics/*.yaml"))
ODD = ["=cmd()", "<script>alert(1)</script>", "\x00\x07\x1b[31m", "yes", "null", "1.10", "- a: b # c", "{[", "'\"\\", " two  spaces ", "\u2028\x85\ufeff",
       "水は蒸発する", "مرحبا", "🌧️", "~", "", "a\r\nb\tc", "!!python/object:os.system", "&a *a", "---", "\u200b"]
text = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
name = text.filter(lambda t: bool(t.strip()))
line = name.filter(lambda t: len(t.splitlines()) == 1)
levels = st.lists(st.tuples(st.floats(0, 1e12), text, st.lists(text, max_size=2)), min_size=1, max_size=3, unique_by=lambda level: level[0])
criteria = st.lists(st.tuples(name, levels, st.lists(line, max_size=2), st.floats(1e-6, 1e6)), min_size=1, max_size=3, unique_by=lambda one: one[0])


def made(rubric_id, title, version, parts) -> Rubric:
    return Rubric(rubric_id, tuple(Criterion(one, tuple(Level(*level) for level in of), tuple(elements), weight) for one, of, elements, weight in parts),
                  version, title)


@settings(max_examples=40, deadline=None)
@given(rubric_id=name, title=text, version=name, parts=criteria)
def test_any_rubric_comes_back_from_yaml_as_it_was(tmp_path_factory, rubric_id, title, version, parts):
    rubric = made(rubric_id, title, version, parts)
    path = tmp_path_factory.mktemp("rubric") / "r.yaml"
    back = Rubric.read(rubric.write(path))
    assert back == rubric and back.fingerprint == rubric.fingerprint


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_come_back_from_yaml_and_from_the_table(path, tmp_path):
    rubric = Rubric.read(path)
    assert Rubric.read(rubric.write(tmp_path / "r.yaml")) == rubric
    assert Rubric.from_table(rubric.table(), rubric.title) == rubric
    assert rubrics_of(pd.concat([rubric.table(), replace(rubric, rubric_id="other").table()]))["other"].criteria == rubric.criteria


def test_one_megabyte_of_text_is_read_and_written_in_a_few_seconds(tmp_path):
    long = "The water goes <b>up</b> = into the air. 水\n" * 25_000
    rubric = Rubric("long", (Criterion("c", (Level(0, long), Level(1, "b", (long,)))),))
    begun = time.process_time()
    assert len(long) > 1_000_000 and Rubric.read(rubric.write(tmp_path / "r.yaml")) == rubric
    assert time.process_time() - begun < 5


def test_words_that_yaml_takes_for_values_stay_words(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("rubric_id: on\nversion: 1.10\ncriteria:\n- criterion_id: no\n  key_elements: [yes, 12, null]\n  levels:\n  - {score: 0, descriptor: off}\n"
                    "  - score: 1e0\n    descriptor: 2026-01-01\n")
    rubric = Rubric.read(path)
    assert (rubric.rubric_id, rubric.version, rubric.title, rubric.criteria[0].criterion_id) == ("on", "1.10", "on", "no")
    assert rubric.criteria[0].key_elements == ("yes", "12", "null") and [level.score for level in rubric.criteria[0].levels] == [0, 1]
    assert [level.descriptor for level in rubric.criteria[0].levels] == ["off", "2026-01-01"] and rubric.criteria[0].weight == 1


def test_every_fault_of_a_file_is_named_at_once(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("rubric_id: [a]\ncriteria:\n- levels: 3\n"
                    "- criterion_id: a\n  wight: 3\n  key_elements: [{a: b}]\n  levels:\n  - {score: x, descriptor: d}\n  - 7\n")
    with pytest.raises(DataError) as told:
        Rubric.read(path)
    for words in ("rubric_id must be text", "criteria[1] must have criterion_id", "levels of criteria[1] must be a list; found '3'", "found wight",
                  "criteria[2].key_elements[1] must be text", "criteria[2].levels[1].score must be a number from 0 on; found 'x'",
                  "criteria[2].levels[2] must hold descriptor, score"):
        assert words in str(told.value)
    assert str(told.value).count(str(path)) == len(str(told.value).splitlines())


@pytest.mark.parametrize(("content", "words"), [
    (b"", "must hold criteria, rubric_id"), (b"- a\n", "must hold criteria, rubric_id"), (b"\xff\xfe\x00", "must be a rubric in yaml"),
    (b"a: [", "must be a rubric in yaml"), (b"a: 1\na: 2\n", "the key 'a' twice"), (b"[" * 200_000, "more than 20 deep"),
    (b"a: !!python/name:os.system x", "criteria"),
    (b"rubric_id: a\ncriteria: []\n", "at least one criterion"), (b"? [a]\n: b\n", "must be a rubric in yaml"), (b"\x00\x01", "must be a rubric in yaml"),
    (b"rubric_id: a\ncriteria:\n- criterion_id: c\n  weight: -1\n  levels:\n  - {score: 1, descriptor: d}\n  - {score: 1, descriptor: e}\n",
     "weight must be a number above 0; found -1"),
])
def test_what_is_no_rubric_is_one_error(tmp_path, content, words):
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        Rubric.read(tmp_path / "r.yaml")


def test_an_absent_file_is_one_error(tmp_path):
    with pytest.raises(DataError, match="found no file that can be read"):
        Rubric.read(tmp_path / "no.yaml")


@pytest.mark.parametrize(("level", "words"), [
    ({"score": math.nan}, "score must be a number from 0 on"), ({"score": -1}, "found -1"), ({"score": True}, "found True"),
    ({"descriptor": 3}, "descriptor must be text; found 3"), ({"exemplars": ("\ud800",)}, "half of a pair"),
])
def test_a_rubric_that_cannot_be_graded_by_is_refused(level, words):
    with pytest.raises(DataError, match=words):
        Rubric("r", (Criterion("c", (Level(**{"score": 0, "descriptor": "d", **level}),)),))


def test_a_changed_word_changes_the_fingerprint_and_the_kind_of_number_does_not():
    one, other = (Rubric("r", (Criterion("c", (Level(score, "d"),)),)) for score in (1, 1.0))
    assert one.fingerprint == other.fingerprint and len(one.fingerprint) == 64
    assert Rubric("r", (Criterion("c", (Level(1, "e"),)),)).fingerprint != one.fingerprint != replace(one, version="2").fingerprint


def test_the_total_weighs_each_share_of_the_top_level():
    rubric = made("r", "", "1", [("a", [(0, "x", ()), (4, "y", ())], [], 0.75), ("b", [(1, "x", ()), (2, "y", ())], [], 0.25)])
    assert rubric.total({"a": 4, "b": 2}, 8) == 8 and rubric.total({"a": 2, "b": 1}, 8) == 4 and rubric.total({"a": 4, "b": 1}) == 0.875
    assert math.isnan(rubric.total({"a": 4})) and math.isnan(rubric.total({"a": 4, "b": pd.NA}))
    with pytest.raises(DataError, match="found 'c'"):
        rubric.total({"c": 1})


def test_bars_separate_wordings_only_between_spaces():
    assert alternatives(" evaporates | turns to vapour |  boils ") == ["evaporates", "turns to vapour", "boils"] and alternatives("|x|") == ["|x|"]


def test_a_table_may_leave_out_what_is_optional():
    table = validate(pd.DataFrame({"rubric_id": "r", "criterion_id": "overall", "level": [0, 2], "descriptor": ["a", "b"]}), "rubrics")
    rubric = Rubric.from_table(table)
    assert rubric.criteria == (Criterion("overall", (Level(0, "a"), Level(2, "b"))),) and rubric.version == "1"
    two = pd.concat([table, table.assign(rubric_id="s")])
    with pytest.raises(DataError, match=r"found 2 \(r, s\)"):
        Rubric.from_table(two)
