"""Wrong options point to the prerequisite they were planted for, patterns of one learner are found, and small counts of others stay hidden."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.curriculum import ConceptMap
from edukit.data.synthetic import random_concepts, simulate
from edukit.gaps.misconceptions import lures, misconceptions

Q_MATRIX = pd.DataFrame([(f"{c}{i}", c) for c in ("ratios", "area") for i in range(6)], columns=["item_id", "concept_id"])
EDGES = pd.DataFrame({"concept_id": ["area"], "requires_id": ["ratios"], "source": "expert", "weight": 1.0})


def cohort(learners: int = 120, seed: int = 0) -> pd.DataFrame:
    """Half of the learners lack ratios and then answer items of area with B; the others get half of them wrong, with B, C or D alike."""
    rng, rows = np.random.default_rng(seed), []
    for u in range(learners):
        lacks = u % 2 == 0
        for number, item in enumerate(Q_MATRIX["item_id"]):
            right = (not lacks) if item.startswith("ratios") else (not lacks and rng.random() < 0.5)
            wrong = "B" if lacks and item.startswith("area") and rng.random() < 0.95 else str(rng.choice(list("BCD")))
            rows.append((f"u{u:03d}", item, float(right), number, "A" if right else wrong))
    return pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order", "response"])


LOG = cohort()


def one(log: pd.DataFrame, learner: str, **changes: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = misconceptions(log[log["learner_id"] == learner], log[log["learner_id"] != learner], Q_MATRIX, EDGES, **changes)
    assert found is not None
    return found


def test_the_planted_option_is_a_lure_of_the_planted_prerequisite_and_no_other_is():
    found = lures(LOG, Q_MATRIX, EDGES)
    assert found["item_id"].nunique() >= 5 and set(found["option"]) == {"B"} and set(found["requires_id"]) == {"ratios"}
    assert (found["lacking"] > found["passing"] + 0.2).all() and (found["p_adjusted"] < 0.05).all()


def test_who_lacks_the_prerequisite_shows_a_pattern_and_who_knows_it_does_not():
    likely = {learner: (one(LOG, learner)[1]["state"] == "likely").any() for learner in (f"u{u:03d}" for u in range(10))}
    assert sum(likely[learner] for learner in list(likely)[::2]) >= 3 > 2 > sum(likely[learner] for learner in list(likely)[1::2])
    who = next(learner for learner, found in likely.items() if found)
    choices, patterns = one(LOG, who)
    row = patterns.iloc[0]
    assert row["requires_id"] == "ratios" and row["chosen"] >= 4 and row["otherwise"] < row["chosen"] <= row["n"] <= 6
    assert choices.iloc[0]["requires_id"] == "ratios" and choices.loc[choices["requires_id"].notna(), "option"].eq("B").all()


def test_an_option_that_was_chosen_again_is_counted_and_one_that_few_others_chose_is_hidden():
    odd = pd.DataFrame([("u000", "area0", 0.0, 20 + i, "E") for i in range(2)], columns=LOG.columns)
    own = pd.concat([LOG[LOG["learner_id"] == "u000"], odd])
    choices, _ = misconceptions(own, LOG[LOG["learner_id"] != "u000"], Q_MATRIX, EDGES)
    row = choices[choices["option"] == "E"].iloc[0]
    assert row["times"] == 2 and row["state"] == "hidden" and np.isnan(row["share"])
    shown = choices[choices["state"] == "shown"]
    assert len(shown) and (shown["n"] * shown["share"] >= 10 - 1e-9).all()
    few, _ = one(LOG[LOG["learner_id"] < "u008"], "u000")
    assert (few["state"] == "hidden").all() and few["requires_id"].isna().all()


def test_the_learner_does_not_shape_what_is_said_of_others():
    own, others = LOG[LOG["learner_id"] == "u000"], LOG[LOG["learner_id"] != "u000"]
    more = pd.concat([own, own.assign(order=own["order"] + 50)])
    for column in ("n", "share", "common", "requires_id"):
        assert misconceptions(own, others, Q_MATRIX, EDGES)[0].set_index(["item_id", "option"])[column].equals(
            misconceptions(more, others, Q_MATRIX, EDGES)[0].set_index(["item_id", "option"])[column])


@pytest.mark.parametrize("log", [LOG.drop(columns="response"), LOG.assign(response=pd.Series(pd.NA, index=LOG.index, dtype="str"))])
def test_without_options_nothing_is_said(log):
    assert misconceptions(log[log["learner_id"] == "u000"], log[log["learner_id"] != "u000"], Q_MATRIX, EDGES) is None


def test_a_learner_who_was_never_wrong_has_no_misconception():
    own = LOG[LOG["learner_id"] == "u001"].assign(correct=1.0, response="A")
    choices, patterns = misconceptions(own, LOG[LOG["learner_id"] != "u001"], Q_MATRIX, EDGES)
    assert choices.empty and patterns.empty


def test_in_an_invented_school_lures_are_those_that_were_planted_and_patterns_point_to_what_is_lacked():
    world = simulate(*random_concepts(14, seed=3), classes=8, learners_per_class=25, answered=0.9, seed=5)
    log, q_matrix, edges = (world.tables[name] for name in ("interactions", "q_matrix", "prerequisites"))
    concepts = ConceptMap.of(concepts=world.tables["concepts"], prerequisites=edges)
    ids, key = list(concepts.ids), world.tables["items"].set_index("item_id")["answer_key"]
    planted = {(item, "ABCD"[("ABCD".index(key[item]) + 1 + j) % 4], ids[p]) for item, home in world.items[["item_id", "concept_id"]].itertuples(index=False)
               for j, p in enumerate(concepts.parents[ids.index(home)][:3])}
    found = set(lures(log, q_matrix, edges)[["item_id", "option", "requires_id"]].itertuples(index=False, name=None))
    assert len(found & planted) >= 0.9 * len(found) and len(found) >= 0.25 * len(planted)
    lacked = []
    for learner in world.mastery.index[::25]:
        _, patterns = misconceptions(log[log["learner_id"] == learner], log[log["learner_id"] != learner], q_matrix, edges)
        lacked += [not world.mastery.loc[learner, p] for p in patterns.loc[patterns["state"] == "likely", "requires_id"]]
    assert len(lacked) >= 5 and np.mean(lacked) > (~world.mastery.to_numpy(bool)).mean() + 0.2
