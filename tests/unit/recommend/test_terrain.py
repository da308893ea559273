"""Readiness by hand, forgetting by hand, what is open when nothing seems to be, and reasons in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.estimate import Estimate
from edukit.recommend.policies import ExpertOrder, OuterFringe, SpacedZpdes, TargetSuccess, WeakestFirst, Zpdes
from edukit.recommend.review_spacing import due_in, half_life_after, recall
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError

EVERYTHING = pd.DataFrame({"item_id": []})


def graph(edges: list[tuple], ids: str = "abcd", items: int = 2) -> ConceptGraph:
    """Edges as (concept, requires, weight, group)."""
    table = pd.DataFrame(edges, columns=["concept_id", "requires_id", "weight", "group"]).assign(source="expert")
    q_matrix = pd.DataFrame({"item_id": [f"{c}{k}" for c in ids for k in range(items)], "concept_id": [c for c in ids for _ in range(items)]})
    names = pd.DataFrame({"concept_id": list(ids), "name": [f"Topic {c.upper()}" for c in ids]})
    return ConceptGraph.from_tables(names, table.dropna(axis=1, how="all"), q_matrix)


CHAIN = [("b", "a", 1.0, None), ("c", "b", 1.0, None), ("d", "a", 0.5, None), ("d", "c", 1.0, None)]


def known(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"mastery": values, "sd": 0.1, "n": 0}).rename_axis("concept_id")


def test_readiness_by_hand_with_doubtful_edges_and_alternatives():
    ready = Terrain.of(graph(CHAIN)).readiness(np.array([[0.9, 0.6, 0.5, 0.0]]))[0]
    np.testing.assert_allclose(ready, [1, 0.9, 0.6, (1 - 0.5 * 0.1) * 0.5])
    either = Terrain.of(graph([("c", "a", 1.0, "or"), ("c", "b", 1.0, "or"), ("d", "c", 1.0, None)]))
    np.testing.assert_allclose(either.readiness(np.array([[0.5, 0.8, 0.0, 0.0]]))[0], [1, 1, 1 - 0.5 * 0.2, 0])
    sure = graph(CHAIN)
    unsure = sure.prerequisites.head(1).assign(source="another", weight=0.3)  # of two sources the surer one counts
    twice = sure.replace(pd.concat([sure.prerequisites, unsure], ignore_index=True))
    np.testing.assert_allclose(Terrain.of(twice).readiness(np.array([[0.5, 0, 0, 0]]))[0, 1], 0.5)


def test_order_respects_what_is_required():
    terrain = Terrain.of(graph([("a", "b", 1.0, None), ("b", "d", 1.0, None)]))
    assert terrain.depth.tolist() == [2, 1, 0, 0] and terrain.order.tolist() == [3, 2, 0, 1]


def test_an_item_is_only_as_ready_as_its_least_ready_concept():
    both = graph(CHAIN)
    paired = ConceptGraph.from_tables(both.concepts, both.prerequisites, pd.concat([both.q_matrix, pd.DataFrame({"item_id": ["a0"], "concept_id": ["c"]})]))
    policy = OuterFringe().start(paired, EVERYTHING, 0)
    assert {policy.recommend(known(a=0.2, b=0.1, c=0.1, d=0.1), []).iloc[0]["item_id"] for _ in range(8)} == {"a1"}


def test_reasons_name_what_is_known_and_what_builds_on_it():
    policy = ExpertOrder().start(graph(CHAIN), EVERYTHING, 0)
    told = [policy.recommend(known(a=a, b=b, c=c, d=0.1), []).iloc[0] for a, b, c in ((0.1, 0.1, 0.1), (0.95, 0.1, 0.1), (0.95, 0.95, 0.95))]
    assert [row["concept_id"] for row in told] == ["a", "b", "d"]
    assert "builds on nothing that must be known" in told[0]["reason"]
    assert told[1]["reason"].startswith("Topic B comes next because you know Topic A, and Topic B builds on it.")
    assert "because you know Topic A and Topic C, and Topic D builds on them" in told[2]["reason"]
    policy.observe("b0", 1.0), policy.observe("b1", 0.0), policy.observe("b0", 1.0)
    again = policy.recommend(known(a=0.95, b=0.4, c=0.1, d=0.1), []).iloc[0]["reason"]
    assert "2 of your last 3 answers on it were right; they are associated with 40% mastery" in again
    unready = WeakestFirst().start(graph(CHAIN), EVERYTHING, 0).recommend(known(a=0.2, b=0.3, c=0.4, d=0.0), []).iloc[0]
    assert unready["concept_id"] == "d" and "which you may not know yet" in unready["reason"]


def test_when_nothing_is_open_what_holds_others_back_comes_again():
    edges = [("d", parent, 1.0, None) for parent in "abc"]
    policy = OuterFringe(ready=0.9, mastered=0.85).start(graph(edges), EVERYTHING, 0)
    found = {policy.recommend(known(a=0.9, b=0.9, c=0.9, d=0.0), []).iloc[0]["concept_id"] for _ in range(20)}
    assert found == {"a", "b", "c"}  # all mastered, but together too unsure for d
    assert len(policy.recommend(known(a=1.0, b=1.0, c=1.0, d=1.0), [], 4)) == 4  # all is known: anything, to keep it up


def test_zpdes_prefers_where_a_learner_is_getting_better():
    policy = Zpdes(keep=0.5, explore=0.01, first=0.3, window=4).start(graph([]), EVERYTHING, 0)
    for a, b in ((0, 1), (0, 1), (1, 0), (1, 0)):
        policy.observe("a0", float(a)), policy.observe("b0", float(b))
    for _ in range(6):
        policy.observe("c0", 0.0), policy.observe("d0", 0.0)
    first = [policy.recommend(known(a=0.5, b=0.5, c=0.5, d=0.5), []).iloc[0]["concept_id"] for _ in range(40)]
    assert first.count("a") > 30


def test_target_success_takes_what_is_neither_too_easy_nor_too_hard():
    found = TargetSuccess(target=0.7).start(graph([]), EVERYTHING, 0).recommend(known(a=0.1, b=0.7, c=0.3, d=0.84), []).iloc[0]
    assert found["concept_id"] == "b"


def test_forgetting_and_the_half_life_by_hand():
    np.testing.assert_allclose(recall(np.array([0, 5, 10]), np.full(3, 5.0)), [1, 0.5, 0.25])
    np.testing.assert_allclose(recall(due_in(np.array([7.0]), 0.8), np.array([7.0])), [0.8])
    after = half_life_after(np.full(3, 10.0), np.array([1, 1, 0]), np.array([1, 10, 10]), 2.0)
    assert 10 < after[0] < after[1] and after[2] == 5


def test_what_was_mastered_comes_back_once_it_may_be_forgotten_and_not_before():
    policy = SpacedZpdes(recall=0.5, half_life=4.0, growth=2.0).start(graph(CHAIN), EVERYTHING, 0)
    values = known(a=0.95, b=0.3, c=0.1, d=0.1)
    policy.observe("a0", 1.0)
    met = []
    for _ in range(12):
        row = policy.recommend(values, []).iloc[0]
        met.append(row["concept_id"])
        policy.observe(row["item_id"], 1.0)
    assert met.index("a") == 5 and met.count("a") == 1  # after its half-life; then the half-life has grown
    late = SpacedZpdes(recall=0.5, half_life=4.0).start(graph(CHAIN), EVERYTHING, 0)
    late.observe("a0", 1.0)
    for _ in range(9):
        late.observe("b0", 1.0)
    assert "comes back because you knew it 9 answers ago" in late.recommend(values, []).iloc[0]["reason"]
    plain = Zpdes().start(graph(CHAIN), EVERYTHING, 0)
    plain.observe("a0", 1.0)
    for _ in range(9):
        plain.observe("b0", 1.0)
    assert plain.recommend(values, []).iloc[0]["concept_id"] == "b"


def test_the_estimate_follows_bayes_and_blames_what_is_least_known():
    both = graph([("b", "a", 1.0, None)], ids="ab", items=1)
    joint = pd.DataFrame({"item_id": ["ab", "ab"], "concept_id": ["a", "b"]})
    terrain = Terrain.of(ConceptGraph.from_tables(both.concepts, both.prerequisites, pd.concat([both.q_matrix, joint])))
    estimate = Estimate(prior=0.4, learn=0.0, guess=0.2, slip=0.1).start(2, terrain)
    np.testing.assert_allclose(estimate.mastery(), [[0.4, 0.16]] * 2)
    estimate.step(np.array([0, 2]), np.array([1.0, 0.0]))
    one, other = estimate.mastery()
    assert one[0] == pytest.approx(0.36 / 0.48) and one[1] == pytest.approx(0.4 * 0.75)  # what builds on it is more likely known, too
    hit = {"a": 0.4 * 0.9 + 0.6 * 0.2, "b": 0.16 * 0.9 + 0.84 * 0.2}
    assert other[0] == pytest.approx(0.4 * (1 - 0.9 * hit["b"]) / (1 - hit["a"] * hit["b"]))
    assert other[1] == pytest.approx(0.16 * (1 - 0.9 * hit["a"]) / (1 - hit["a"] * hit["b"]))


def test_settings_that_make_no_sense_are_refused():
    for make, words in ((lambda: Zpdes(ready=1.5), "ready must lie"), (lambda: Zpdes(window=3), "window 2, 4, 6 or 8"),
                        (lambda: OuterFringe(growth=1.0), "growth must be above 1")):
        with pytest.raises(DataError, match=words):
            make()
