"""Linting: each planted weakness of a rubric is found where it lies, and sound rubrics pass."""

from __future__ import annotations

import pytest

from edukit.grading.rubric import Criterion, Level, Rubric
from edukit.grading.rubric_check import COLUMNS, lint
from edukit.reproducibility import bundled

SOUND = (Level(0, "Names no cause.", ("It just dries up.",)), Level(1, "Names one cause.", ("The sun dries it.",)))


def of(levels=SOUND, elements=(), weights=(1.0,)) -> Rubric:
    return Rubric("r", tuple(Criterion(f"c{n}", levels, elements, weight) for n, weight in enumerate(weights)))


@pytest.mark.parametrize("path", sorted(bundled("conf").glob("rubrics/*.yaml")), ids=lambda path: path.stem)
def test_the_examples_have_no_fault(path):
    assert lint(Rubric.read(path)).empty


@pytest.mark.parametrize(("rubric", "where", "words", "severity"), [
    (of((SOUND[0], Level(1, " …"))), "criteria[1] (c0).levels[2]", "no descriptor", "error"),
    (of((SOUND[0],)), "criteria[1] (c0).levels", "one level", "error"),
    (of((SOUND[1], SOUND[0])), "criteria[1] (c0).levels[2]", "not above", "error"),
    (of((SOUND[0], Level(1, "names  NO cause"))), "criteria[1] (c0).levels[2]", "descriptor of level 1", "error"),
    (of(weights=(0.5, 0.4)), "criteria", "add up to 0.9", "error"),
    (of((SOUND[0], Level(1, "Names one cause.", ("The sun",)))), "criteria[1] (c0).levels[2].exemplars[1]", "fewer than 3 words", "warning"),
    (of((Level(0, "A lazy answer of a weak student."), SOUND[1])), "criteria[1] (c0).levels[1]", "judges a person", "warning"),
    (of(elements=("sun", "Sun ")), "criteria[1] (c0).key_elements[2]", "twice", "warning"),
])
def test_a_planted_weakness_is_found(rubric, where, words, severity):
    found = lint(rubric)
    assert list(found.columns) == COLUMNS and len(found) == 1, found["fault"].tolist()
    assert (found["where"].iloc[0], found["severity"].iloc[0]) == (where, severity) and words in found["fault"].iloc[0] and found["next_step"].iloc[0]


@pytest.mark.parametrize("element", ["understands evaporation", "Knows the causes", "appreciates the role of heat", "is aware of gravity", "good",
                                     "very clear and complete",
                                     "evaporates | understands it", "a deep understanding of energy", "!!!", "quality of the answer",
                                     "familiar with fractions"])
def test_an_element_that_nobody_can_see_is_found(element):
    found = lint(of(elements=(element,)))
    assert found["where"].tolist() == ["criteria[1] (c0).key_elements[1]"], element


@pytest.mark.parametrize("element", ["evaporates | turns to vapour", "names the sun", "42", "H2O", "states that learning needs sleep", "interest rate",
                                     "value of x is 3",
                                     "shows understanding by drawing the cycle", "蒸発する", "πr²", "water the plants knows",
                                     "carbon dioxide", "=cmd()", "<script>"])
def test_an_element_that_can_be_seen_passes(element):
    assert lint(of(elements=(element,))).empty, element


@pytest.mark.parametrize("weights", [(0.5, 0.5), (50, 30, 20), (1, 1, 1), (0.333, 0.333, 0.334)])
def test_weights_add_up_to_one_or_a_hundred_or_are_equal(weights):
    assert lint(of(weights=weights)).empty
