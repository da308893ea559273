"""A narrative says nothing that is not in its figures, gives hidden cells no number of theirs, and never says why."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.report.narrative import Narrative, Narrator, learner_text, percent, probability, texts
from edukit.schema import DataError

CONCEPTS = pd.DataFrame({"concept_id": list("abcd"), "name": ["Fractions", "Ratios", "<script>alert(1)</script>", "=cmd()"]})
EDGES = pd.DataFrame({"concept_id": ["b", "c"], "requires_id": ["a", "b"], "source": "expert", "weight": 1.0})
NO_EDGES = EDGES.iloc[:0]
WHY = re.compile(r"\b(because|caused|causing|causes|due to|owing to|reason|fault|blame|leads? to|thanks to)\b", re.IGNORECASE)
SHARES = ("prior_knowledge", "teaching", "content", "if_ready", "if_typical_class", "if_clean_items")


def cell(class_id: str, concept_id: str, mastery: float, n: int = 25, reach: float = 0.08, p_stuck: float = 0.5, **more) -> dict:
    return {"class_id": class_id, "concept_id": concept_id, "state": "estimated", "n": n, "responses": 4 * n, "items": 5, "mastery": mastery,
            "low": max(0.0, mastery - reach), "high": min(1.0, mastery + reach), "need": 0.7 - mastery, "p_stuck": p_stuck, "stuck": p_stuck >= 0.9, **more}


def stuck(class_id: str, concept_id: str, label: str | None, **more) -> dict:
    shares = {f"{c}{end}": 0.11 * i + by for i, c in enumerate(SHARES, 1) for end, by in (("", 0), ("_low", -0.07), ("_high", 0.07))}
    return cell(class_id, concept_id, 0.41, p_stuck=0.97, label=label, label_probability=0.83, **{**shares, **more})


def hidden(class_id: str, concept_id: str, state: str, items: int = 5) -> dict:
    return {"class_id": class_id, "concept_id": concept_id, "state": state, "items": items}


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"stuck": "boolean", "n": "Int64", "responses": "Int64"} if "stuck" in rows[0] else {})


def numbers(told: Narrative) -> set[str]:
    """Every number of a text, after the names from the data are taken out."""
    text = told.text
    for name in sorted((f for f in told.figures.values() if isinstance(f, str)), key=len, reverse=True):
        text = text.replace(name, "")
    return set(re.findall(r"−?\d[\d,.]*\d|−?\d", text))


def printed(told: Narrative) -> set[str]:
    values = [f for f in told.figures.values() if not isinstance(f, str)]
    return {re.sub(r"[^\d−,]", "", words) for v in values for words in (percent(v), probability(v), f"{v:,.0f}")}


def well_told(told: Narrative) -> None:
    assert numbers(told) <= printed(told), (told.text, numbers(told) - printed(told))
    plain = told.text
    for name in (f for f in told.figures.values() if isinstance(f, str)):
        assert name in told.text
        plain = plain.replace(name, "")
    assert not WHY.search(plain), plain
    assert 2 <= len(re.findall(r"[.](?= |$)", plain)) <= 5, plain
    assert told.text.endswith(".") and not re.search("  |nan|<NA>|None", told.text)


def test_a_stuck_cell_tells_its_numbers_its_label_and_what_would_settle_it():
    gaps = table(stuck("7A", "b", "prior_knowledge", missing_ancestor="a"), cell("7A", "a", 0.34, p_stuck=0.99))
    told = Narrator(gaps, CONCEPTS, EDGES).cell("7A", "b")
    for words in ("41 % (95 % interval 33 to 49 %, from 25 learners and 100 responses)", "29 points short", "11 % (80 % interval 4 to 18 %) is associated with",
                  "looking first at missing prerequisites (83 % probable)", "expected at 44 % (80 % interval 37 to 51 %)",
                  "“Fractions”, the first prerequisite that seems to be missing (here at 34 %)"):
        assert words in told.text
    assert told.figures["mastery"] == 0.41 and told.figures["missing_ancestor"] == "Fractions" and told.figures["label_probability"] == 0.83
    well_told(told)


def test_a_hidden_prerequisite_is_not_named_as_missing():
    gaps = table(stuck("7A", "b", "prior_knowledge", missing_ancestor="a"), hidden("7A", "a", "suppressed"))
    narrator = Narrator(gaps, CONCEPTS, EDGES)
    assert "Fractions" not in narrator.cell("7A", "b").text + narrator.cohort("7A").text


@pytest.mark.parametrize("label", ["prior_knowledge", "teaching", "content", "curriculum_wide", "undetermined", None])
@pytest.mark.parametrize("edges", [EDGES, NO_EDGES])
def test_every_label_ends_with_what_would_settle_it(label: str | None, edges: pd.DataFrame):
    gaps = table(stuck("7A", "b", label), *(stuck(c, "b", "curriculum_wide") for c in ("7B", "7C", "7D")), stuck("all", "b", label))
    for key in (("7A", "b"), ("all", "b")):
        told = Narrator(gaps, CONCEPTS, edges).cell(*key)
        well_told(told)
        assert re.search(r"What would (settle it|tell more): ", told.text)


def test_flagged_items_and_wrong_answers_come_from_their_tables():
    items = pd.DataFrame({"item_id": ["i1", "i2", "i3"], "concept_id": "b", "flags": ["miskeyed; dif", "new_flaw", ""], "flagged": [True, True, False]})
    evidence = pd.DataFrame({"class_id": "all", "concept_id": "b", "kind": ["item", *["distractor"] * 3], "about": ["i1", "i1 · A", "i2 · <b>", "i2 · C"],
                             "n": [20, 240, 150, 99], "value": [0.1, 0.77, 0.34, 0.2], "note": ["", "the right answer", "", ""]})
    gaps = table(stuck("7A", "b", "content"), stuck("7B", "b", "teaching"))
    told = Narrator(gaps, CONCEPTS, EDGES, evidence, items).cell("7A", "b")
    assert "2 of 3 are flagged: harder for one group, perhaps a wrong key, new flaw" in told.text
    assert told.figures["flagged items"] == 2
    assert "the wrong answer chosen most is “i2 · <b>”, by 34 %" in told.text
    sound = items.assign(flagged=[True, False, False])
    assert "chosen most" not in Narrator(gaps, CONCEPTS, EDGES, evidence, sound).cell("7A", "b").text  # only that of a flagged item is told
    well_told(told)
    told = Narrator(gaps, CONCEPTS, EDGES, evidence, items).cell("7B", "b")
    assert "1 other class that can be judged (there 41 % in the middle)" in told.text and "no appraisal" in told.text
    well_told(told)


def test_undetermined_asks_for_the_data_that_are_missing():
    gaps = table(stuck("7A", "b", "undetermined", teaching_low=0.0, teaching_high=0.8), cell("7B", "b", 0.8), hidden("7A", "a", "suppressed"))
    told = Narrator(gaps, CONCEPTS, EDGES).cell("7A", "b").text
    assert "2 more classes to compare with" in told and "items on its prerequisite “Fractions”" in told and "interval of class effects is wide" in told
    assert "a graph of prerequisites, without which" in Narrator(gaps, CONCEPTS, NO_EDGES).cell("7A", "b").text
    small = table(stuck("7A", "b", "undetermined", **{c: 0.05 for c in SHARES[:3]}), cell("7A", "a", 0.8), *(cell(c, "b", 0.8) for c in ("7B", "7C", "7D")))
    assert "another time or with other material" in Narrator(small, CONCEPTS, EDGES).cell("7A", "b").text
    one = table(stuck("7A", "b", "undetermined", items=1))
    assert "With 1 item, a hard concept and a flawed item look the same" in (said := Narrator(one, CONCEPTS, EDGES).cell("7A", "b").text)
    assert "1 more item on it would be enough" in said


def test_hidden_cells_say_their_state_and_the_rules_and_nothing_of_their_own():
    gaps = table(cell("all", "b", 0.5), hidden("7A", "b", "not enough data", items=1), hidden("7B", "b", "suppressed"))
    narrator = Narrator(gaps, CONCEPTS, EDGES, rules={"k": 12, "min_responses": 30})
    little, covered = narrator.cell("7A", "b"), narrator.cell("7B", "b")
    assert little.text.startswith("Not enough data") and "At most 12 more learners and 30 more responses would be enough" in little.text
    assert "naming a cause would take 1 more item" in little.text
    assert covered.text.startswith("Suppressed") and numbers(covered) == {"12"}
    assert {k for k in covered.figures if not k.startswith("rule")} == {"concept", "cohort"}
    for told in (little, covered):
        well_told(told)
    for column, value in (("mastery", 0.3), ("n", 4), ("label", "content")):
        wrong = gaps.assign(**{column: [*([None] if column == "label" else gaps[column].head(1)), None, value]})
        with pytest.raises(DataError, match="must hold nothing where state is not"):
            Narrator(wrong, CONCEPTS, EDGES)


def test_an_unsure_cell_tells_how_many_learners_would_be_enough_and_they_are():
    row = cell("7A", "b", 0.55, n=20, reach=0.1)
    told = Narrator(table(row), CONCEPTS, EDGES).cell("7A", "b")
    more = told.figures["more_learners"]
    se = 0.1 / 1.959964 * np.sqrt(20 / (20 + np.array([more - 1, more])))
    assert (0.05 / se[0] < 1.281552 <= 0.05 / se[1]) and f"{more} more learner" in told.text
    assert "would hardly tell" in Narrator(table(cell("7A", "b", 0.5999)), CONCEPTS, EDGES).cell("7A", "b").text


def test_concept_and_class_count_what_the_cells_say():
    gaps = table(cell("all", "b", 0.55), stuck("7A", "b", "teaching"), stuck("7B", "b", "undetermined"), cell("7C", "b", 0.8, p_stuck=0.01),
                 hidden("7D", "b", "suppressed"), stuck("7A", "c", "prior_knowledge", missing_ancestor="a"))
    narrator = Narrator(gaps, CONCEPTS, EDGES)
    concept, cohort = narrator.concept("b"), narrator.cohort("7A")
    assert "Of 4 classes, 3 can be judged on “Ratios”: 2 stuck (7A and 7B) and 1 above the mark of 60 %" in concept.text
    assert "1 is associated with class effects and 1 is undetermined" in concept.text and "the 1 class that cannot be judged" in concept.text
    assert "2 of 2 concepts can be judged: 2 stuck" in cohort.text and "“Fractions” is the first prerequisite" in cohort.text
    for told in (concept, cohort, narrator.concept("c"), narrator.cohort("all"), narrator.cohort("7D")):
        well_told(told)
    with pytest.raises(DataError, match="'z'"):
        narrator.concept("z")
    with pytest.raises(DataError, match="'9Z'"):
        narrator.cohort("9Z")


def test_names_from_the_data_stay_text():
    told = texts(table(stuck("=cmd()", "c", "undetermined")), CONCEPTS, EDGES)["=cmd()", "c"]
    assert "“<script>alert(1)</script>” in class =cmd()" in told


def test_a_learner_is_told_what_is_reached_what_is_short_and_where_to_begin():
    rows = pd.DataFrame({"learner_id": "L1", "concept_id": list("abcd"), "mastery": [0.9, 0.3, 0.2, 0.58], "sd": [0.05, 0.05, 0.05, 0.2], "n": [9, 8, 7, 2]})
    told = learner_text(rows, CONCEPTS, EDGES)
    well_told(told)
    assert "1 are at least 90 % likely" in told.text or "1 is at least 90 % likely" in told.text
    assert "it builds on “Ratios”, not known to be reached (30 % give or take 5 points, from 8 responses)" in told.text
    assert "“Ratios” (30 % give or take 5 points, from 8 responses) may be a next step" in told.text
    assert "Least sure is “=cmd()” (58 % give or take 20 points, from 2 responses)" in told.text
    assert learner_text(rows.assign(n=0), CONCEPTS, EDGES).text.startswith("Not enough data")
    with pytest.raises(DataError, match="one learner; found 2"):
        learner_text(pd.concat([rows, rows.assign(learner_id="L2")]), CONCEPTS, EDGES)


def test_a_map_that_cannot_be_told_is_refused():
    gaps = table(cell("7A", "b", 0.5))
    with pytest.raises(DataError, match="found 1 repeated"):
        Narrator(pd.concat([gaps, gaps]), CONCEPTS, EDGES)
    with pytest.raises(DataError, match="found 'z'"):
        Narrator(gaps.assign(concept_id="z"), CONCEPTS, EDGES)
    with pytest.raises(DataError, match="found no p_stuck"):
        Narrator(gaps.drop(columns="p_stuck"), CONCEPTS, EDGES)
    with pytest.raises(DataError, match="class '7B'"):
        Narrator(gaps, CONCEPTS, EDGES).cell("7B", "b")


fractions = st.floats(0, 1, allow_nan=False)
maybe = st.one_of(st.none(), st.floats(-0.5, 1.5, allow_nan=False))


@st.composite
def maps(draw) -> pd.DataFrame:
    rows = []
    for class_id in ["all", *draw(st.lists(st.sampled_from(["7A", "7B", "7C", "because 3"]), unique=True))]:
        for concept_id in draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True)):
            if draw(st.booleans()):
                rows.append(hidden(class_id, concept_id, draw(st.sampled_from(["not enough data", "suppressed"])), draw(st.integers(0, 5))))
                continue
            label = draw(st.sampled_from([None, "prior_knowledge", "teaching", "content", "curriculum_wide", "undetermined"]))
            more = {f"{name}{end}": draw(maybe) for name in SHARES for end in ("", "_low", "_high")}
            rows.append({**cell(class_id, concept_id, draw(fractions), draw(st.integers(10, 5000)), draw(st.floats(0, 0.5)), draw(fractions)),
                         **more, "items": draw(st.integers(1, 5)), "label": label, "label_probability": draw(st.one_of(st.none(), fractions)),
                         "missing_ancestor": draw(st.sampled_from([None, "a", "z"]))})
    return pd.DataFrame(rows)


@settings(max_examples=60, deadline=None)
@given(maps(), st.booleans())
def test_whatever_the_table_every_number_is_among_the_figures(gaps: pd.DataFrame, with_graph: bool):
    narrator = Narrator(gaps, CONCEPTS, EDGES if with_graph else NO_EDGES)
    told = [*narrator.cells_told().values(), *map(narrator.concept, gaps["concept_id"].unique()), *map(narrator.cohort, gaps["class_id"].unique())]
    for one in told:
        well_told(one)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(fractions, st.floats(0, 0.5), st.integers(0, 2000)), min_size=1, max_size=4))
def test_whatever_the_learner_every_number_is_among_the_figures(rows: list[tuple]):
    mastery = pd.DataFrame(rows, columns=["mastery", "sd", "n"]).assign(learner_id="L 17", concept_id=list("abcd")[:len(rows)])
    well_told(learner_text(mastery, CONCEPTS, EDGES))
