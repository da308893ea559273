"""One form of an answer, whatever keyboard it came from."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.grading.normal_form import LONGEST, normalise, stem, stems, words


@pytest.mark.parametrize(
    "spelt",
    ["The water's level RISES", "the  water\u2019s\tlevel\nrises ", "\ufeffThe wa\u200bter\u02bcs level ri\u00adses", "The water's\u00a0level\u2003rises",
     "\uff34\uff48\uff45 water's level rises", unicodedata.normalize("NFD", "The water's level rises")],
)
def test_spellings_that_people_read_as_the_same_are_one(spelt: str):
    assert normalise(spelt) == "the water's level rises"


def test_quotes_dashes_ligatures_and_accents():
    assert normalise("\u201cA\u201d \u2013 \u00abb\u00bb \u2212 \ufb01sh 2\u00b2") == '"a" - "b" - fish 22'
    assert normalise(unicodedata.normalize("NFD", "\u00c9vapor\u00e9")) == normalise("\u00e9vapor\u00e9") == "\u00e9vapor\u00e9"
    assert normalise("STRASSE") == normalise("stra\u00dfe")


def test_other_writing_and_emoji_stay():
    assert normalise("\u6c34\u304c\u84b8\u767a\u3059\u308b") == "\u6c34\u304c\u84b8\u767a\u3059\u308b"
    assert normalise("\u2764\ufe0f") == "\u2764" and normalise(" \u200b\u00a0") == ""


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_twice_is_once(text: str):
    form = normalise(text)
    assert normalise(form) == form
    assert form == form.strip() and "  " not in form


@given(st.text(alphabet="abc \u00e9'-", max_size=30))
@settings(max_examples=40, deadline=None)
def test_white_space_case_and_composition_never_matter(text: str):
    assert normalise(unicodedata.normalize("NFD", "\t" + text.upper().replace(" ", " \u2003\u200b "))) == normalise(text)


def test_an_enormous_answer_is_cut_in_time():
    start = time.process_time()
    assert len(normalise("word " * 300_000)) <= LONGEST
    assert normalise(" " * 1_000_000 + "word") == "word"
    assert time.process_time() - start < 2


def test_words_and_stems():
    assert words("it doesn't weigh 3.5 g, 1,000 times!") == ["it", "doesn't", "weigh", "3.5", "g", "1,000", "times"]
    for group in (("evaporate", "evaporates", "evaporated", "evaporating", "evaporation"), ("dry", "dries", "dried"), ("stop", "stops", "stopped", "stopping"),
                  ("plant", "plants", "planted")):
        assert len({stem(word) for word in group}) == 1, group
    assert [stem(word) for word in ("gas", "mass", "caf\u00e9s")] == ["gas", "mass", "caf\u00e9s"]
    assert stems("plants grow") == ["plant", "grow"]
