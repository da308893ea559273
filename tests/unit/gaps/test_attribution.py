from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.gaps.attribution import Attribution
from edukit.gaps.gap_map import GapMap
from edukit.metrics import shapley
from edukit.schema import DataError

CLASSES = ["a", "b", "c", "d", "e"]
CONCEPTS = ["root", "child", "flawed", "hard"]


class Planted:
    """A counterfactual model that says what it was told: mastery per class and concept under each switch, with a little noise."""

    def __init__(self, mastery, ready=None, plain=None, reported=None, effects=None, edges=True, draws=40, people=25):
        self.class_ids_, self.concept_ids_, self.draws_kept = [*CLASSES, "all"], CONCEPTS, draws
        self.mastery = np.vstack([mastery, mastery.mean(axis=0)])
        self.ready, self.plain, self.reported = ({**dict.fromkeys(()), **(x or {})} for x in (ready, plain, reported))
        self.low, self.edges, self.people = effects or set(), edges, people

    def draws(self, n, prerequisites="observed", class_effects="fitted", items="all"):
        found = self.mastery.copy()
        for (row, column), value in (self.ready.items() if prerequisites == "mastered" else ()):
            found[row, column] = value
        for (row, column), value in (self.plain.items() if class_effects == "zero" else ()):
            found[row, column] = max(found[row, column], value)
        for column, value in (self.reported.items() if items == "all" else ()):
            found[:, column] = np.minimum(found[:, column], value)
        return np.clip(found[None] + np.linspace(-0.01, 0.01, n)[:, None, None], 0, 1)

    def class_effects(self, n):
        found = np.zeros((n, 6, 4))
        for cell in self.low:
            found[:, *cell] = -3
        return found

    def learners(self):
        return np.full((6, 4), self.people)

    def edge_probabilities(self):
        found = np.zeros((4, 4))
        found[1, 0] = found[3, 1] = self.edges
        return found


def map_of(model: Planted, badge: str | None = None) -> pd.DataFrame:
    rows = pd.DataFrame([(c, k) for c in model.class_ids_ for k in CONCEPTS], columns=["class_id", "concept_id"])
    numbers = {"n": 25, "responses": 90, "items": 5, "mastery": 0.5, "low": 0.4, "high": 0.6, "need": 0.2, "p_stuck": 0.9, "stuck": True}
    return rows.assign(state="estimated", badge=badge, **numbers)


GOOD = np.full((5, 4), 0.9)


def said(model: Planted, cell: tuple[str, str], flawed=(), **settings) -> pd.Series:
    return Attribution(**settings).attribute(map_of(model), model, flawed).set_index(["class_id", "concept_id"]).loc[cell]


def low_in(*cells: tuple[int, int]) -> np.ndarray:
    mastery = GOOD.copy()
    for cell in cells:
        mastery[cell] = 0.3
    return mastery


def test_prior_knowledge_is_named_with_the_first_missing_ancestor_and_its_share():
    row = said(Planted(low_in((0, 0), (0, 1)), ready={(0, 1): 0.75}), ("a", "child"))
    assert row["label"] == "prior_knowledge" and row["missing_ancestor"] == "root"
    assert row["prior_knowledge"] == pytest.approx(0.45 / 0.40, abs=0.03) and row["prior_knowledge_low"] < row["prior_knowledge"] < row["prior_knowledge_high"]
    assert row["teaching"] == pytest.approx(0, abs=0.01) and row["if_ready"] == pytest.approx(0.75, abs=0.01)


def test_teaching_needs_a_low_effect_a_gain_and_three_classes_to_compare_with():
    model = Planted(low_in((0, 1)), plain={(0, 1): 0.85}, effects={(0, 1)})
    assert said(model, ("a", "child"))["label"] == "teaching"
    assert said(model, ("a", "child"), min_classes=5)["label"] == "undetermined"
    assert said(Planted(low_in((0, 1)), plain={(0, 1): 0.40}, effects={(0, 1)}), ("a", "child"))["label"] == "undetermined"
    assert said(Planted(low_in((0, 1)), plain={(0, 1): 0.85}), ("a", "child"))["label"] == "undetermined"


def test_flawed_items_are_named_where_sound_ones_report_mastery_even_if_nobody_said_so():
    model = Planted(GOOD, reported={2: 0.3})
    row = said(model, ("a", "flawed"), flawed={"flawed"})
    assert row["label"] == "content" and row["content"] == pytest.approx(0.6 / 0.4, abs=0.05) and row["if_clean_items"] == pytest.approx(0.9, abs=0.01)
    assert said(model, ("a", "flawed"))["label"] == "content"  # all its stuck classes are freed by the sound items
    both = Planted(low_in(*((c, 2) for c in range(5))), ready={(c, 2): 0.9 for c in range(5)}, reported={2: 0.25})
    assert said(both, ("a", "flawed"), flawed={"flawed"})["label"] == "prior_knowledge"  # sound items would add little


def test_curriculum_wide_where_most_other_classes_fail_with_prerequisites_set():
    hard = low_in(*((c, 3) for c in range(5)))
    assert said(Planted(hard), ("a", "hard"))["label"] == "curriculum_wide"
    gated = Planted(np.where(hard == 0.3, 0.1, hard), ready={(c, 3): 0.5 for c in range(5)})
    assert said(gated, ("a", "hard"))["label"] != "curriculum_wide"  # prerequisites are missing as well


def test_without_any_prerequisite_prior_knowledge_is_not_judged():
    row = said(Planted(low_in((0, 1)), ready={(0, 1): 0.8}, plain={(0, 1): 0.8}, effects={(0, 1)}, edges=False), ("a", "child"))
    assert row["label"] == "undetermined" and np.isnan(row["prior_knowledge"]) and np.isnan(row["if_ready"])


def test_hidden_cells_stay_hidden_and_a_concept_with_one_item_gets_no_cause():
    model = Planted(low_in((0, 0), (0, 1)), ready={(0, 1): 0.75})
    gaps = map_of(model)
    hidden = (gaps["class_id"] == "a") & (gaps["concept_id"] == "child")
    numbers = ["n", "responses", "mastery", "low", "high", "need", "p_stuck"]
    gaps.loc[hidden, "state"] = "suppressed"
    gaps = gaps.astype({"n": "Int64", "responses": "Int64", "stuck": "boolean"})
    gaps.loc[hidden, [*numbers, "stuck"]] = pd.NA
    row = Attribution().attribute(gaps, model)[hidden].iloc[0]
    assert row.drop(["class_id", "concept_id", "state", "items"]).isna().all()
    root = (gaps["class_id"] == "a") & (gaps["concept_id"] == "root")  # hidden in turn: nobody may learn from another cell that it is low
    gaps = map_of(model).astype({"n": "Int64", "responses": "Int64", "stuck": "boolean"})
    gaps.loc[root, "state"] = "suppressed"
    gaps.loc[root, [*numbers, "stuck"]] = pd.NA
    row = Attribution().attribute(gaps, model)[hidden].iloc[0]
    assert row["label"] == "prior_knowledge" and pd.isna(row["missing_ancestor"])
    table = Attribution().attribute(map_of(model, badge="one item: no cause"), model)
    assert table["label"].isna().all() and table["prior_knowledge"].isna().all() and table["mastery"].notna().all()


def test_a_cell_with_too_few_learners_behind_its_mean_has_not_enough_data():
    table = Attribution().attribute(map_of(Planted(low_in((0, 1)), people=9)), Planted(low_in((0, 1)), people=9))
    assert set(table["state"]) == {"not enough data"} and table[["n", "mastery", "low", "high", "p_stuck", "label", "if_ready"]].isna().all(axis=None)


def test_classes_that_cannot_be_judged_are_neither_failing_nor_compared_with():
    model = Planted(low_in(*((c, 1) for c in range(5))), plain={(0, 1): 0.85}, effects={(0, 1)})  # the model says 0.3 of every class
    gaps = map_of(model)
    gaps.loc[gaps["class_id"].isin(["c", "d", "e"]), "state"] = "not enough data"
    row = Attribution().attribute(gaps, model).set_index(["class_id", "concept_id"]).loc[("a", "child")]
    assert row["label"] == "undetermined"  # one class is left to compare with


def test_with_one_class_nothing_is_said_of_class_effects():
    class One(Planted):
        def __init__(self):
            super().__init__(low_in((0, 1)), ready={(0, 1): 0.8})
            self.class_ids_ = ["a", "all"]

        def draws(self, *words, **settings):
            return super().draws(*words, **settings)[:, [0, -1]]

        def class_effects(self, n):
            return super().class_effects(n)[:, [0, -1]]

        def learners(self):
            return super().learners()[[0, -1]]

    table = Attribution().attribute(map_of(One()), One())
    assert table["teaching"].isna().all() and table["if_typical_class"].isna().all() and table["prior_knowledge"].notna().any()


def test_teaching_is_said_of_a_teacher_with_two_estimated_classes_and_three_of_others():
    gaps = pd.DataFrame({"class_id": [*CLASSES, "all"], "concept_id": "child", "state": "estimated", "label": ["teaching", "teaching", None, None, None, None]})
    teachers = pd.DataFrame({"class_id": CLASSES[:4], "concept_id": "child", "teacher_id": ["t", "t", "v", "v"], "p_low": [0.9, 0.9, 0.1, 0.1]})

    def level(gaps=gaps, teachers=teachers, **settings):
        return Attribution(**settings).levels(gaps, teachers)["level"].tolist()

    assert level() == ["teacher", "teacher"]
    assert level(min_classes=4) == level(effect_level=0.95) == level(teachers=teachers.head(0)) == ["class", "class"]
    assert level(gaps.assign(state=["estimated", "suppressed", *["estimated"] * 4])) == ["class"]  # one class of the teacher is left
    assert level(gaps.assign(label=None)) == []


def test_a_fair_coin_between_two_causes_is_undetermined_and_settings_are_checked():
    class Torn(Planted):
        def draws(self, n, prerequisites="observed", class_effects="fitted", items="all"):
            found = super().draws(n, prerequisites, class_effects, items)
            if prerequisites == "mastered":
                found[n // 2:, 0, 1] = self.mastery[0, 1]
            return found

    row = said(Torn(low_in((0, 0), (0, 1)), ready={(0, 1): 0.8}), ("a", "child"))
    assert row["label"] == "undetermined" and row["label_probability"] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(DataError, match="named must lie between"):
        Attribution(named=1.0)
    assert GapMap().target == 0.70


def test_shapley_values_add_up_to_what_all_switches_together_add():
    values = np.random.default_rng(0).random((2, 2, 2, 7))
    np.testing.assert_allclose(shapley(values, 3).sum(axis=0), values[1, 1, 1] - values[0, 0, 0])
    alike = np.broadcast_to((np.arange(2)[:, None, None] + np.arange(2)[:, None] + np.arange(2)).astype(float)[..., None], (2, 2, 2, 3))
    np.testing.assert_allclose(shapley(alike, 3), 1)
