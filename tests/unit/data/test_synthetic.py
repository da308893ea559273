"""The invented classroom: what was planted is there, what is called true follows from it, and nothing depends on luck."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest

from edukit.data import curriculum
from edukit.data.synthetic import CAUSES, Synthetic, World, random_concepts, simulate
from edukit.protocols import Loader
from edukit.reproducibility import fingerprint
from edukit.schema import DataError
from edukit.validation import validate_all


@pytest.fixture(scope="module")
def embedded() -> World:
    return Synthetic().world()


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [simulate(*random_concepts(seed=s), seed=s) for s in range(900, 904)]


def _responses(world: World) -> pd.DataFrame:
    """Interactions with the truth of their item and the mastery behind them."""
    log = world.tables["interactions"].merge(world.items, on="item_id", validate="many_to_one")
    assert len(log) == len(world.mastered)
    return log


def _truth_with_rate(world: World) -> pd.DataFrame:
    """The truth beside the correct rate on sound items in the last term."""
    log = _responses(world)
    log = log[(log["flaw"] == "none") & (log["term"] == log["term"].max())]
    return world.truth.merge(log.groupby(["class_id", "concept_id"])["correct"].mean().rename("rate"), on=["class_id", "concept_id"])


def _parents(prerequisites: pd.DataFrame) -> dict[str, list[str]]:
    return prerequisites.groupby("concept_id")["requires_id"].agg(sorted).to_dict()


def _ancestors(parents: dict[str, list[str]], concept: str) -> set[str]:
    direct = parents.get(concept, [])
    return set(direct).union(*(_ancestors(parents, p) for p in direct))


def test_curriculum_is_acyclic_layered_and_never_runs_against_the_grades():
    concepts, edges = curriculum.concepts(), curriculum.prerequisites()
    graph = curriculum.ConceptMap.of(concepts, edges)
    grade = concepts.set_index("concept_id")["level"]
    assert len(concepts) == 40 and 55 <= len(edges) <= 70
    assert graph.depth.max() + 1 >= 5
    assert {len(p) for p, d in zip(graph.parents, graph.depth, strict=True) if d} <= {1, 2, 3}
    assert (grade[edges["requires_id"]].to_numpy() <= grade[edges["concept_id"]].to_numpy()).all()
    assert grade.between(5, 8).all() and concepts["description"].is_unique and edges["rationale"].notna().all()
    parents = _parents(edges)
    for child, direct in parents.items():  # no edge is implied by two others
        assert not any(set(direct) & _ancestors(parents, p) for p in direct), child


def test_random_map_has_its_layers_and_one_or_two_parents():
    concepts, edges = random_concepts(n=24, layers=5, seed=5)
    graph = curriculum.ConceptMap.of(concepts, edges)
    assert (graph.depth + 1 == concepts["level"]).all() and graph.depth.max() == 4
    assert {len(p) for p, d in zip(graph.parents, graph.depth, strict=True) if d} == {1, 2}
    assert not edges.equals(random_concepts(seed=6)[1])


def test_a_circle_and_a_small_map_are_refused_by_name():
    concepts, edges = random_concepts(seed=1)
    last = edges.iloc[-1:]
    leaf = last["concept_id"].item()
    turned = pd.concat([edges, last.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})])
    with pytest.raises(DataError, match=f"circle.*{leaf}"):
        simulate(concepts, turned)
    with pytest.raises(DataError, match="larger map"):
        simulate(*random_concepts(n=6, layers=2))
    with pytest.raises(DataError, match=r"classes must be at least 1; found 0; answered must lie in \[0, 1\]; found 1.5"):
        simulate(concepts, edges, classes=0, answered=1.5)


def test_labels_hold_exactly_where_the_thresholds_do(embedded, worlds):
    for world in [embedded, *worlds]:
        truth = world.truth
        low = pd.DataFrame({c: truth["apparent" if c == "content" else "mastery"] < 0.5 for c in CAUSES})
        holds = low & (truth[list(CAUSES)] > 0.25)
        labelled = truth["label"] != "none"
        assert (labelled == holds.any(axis=1)).all()
        best = truth[list(CAUSES)].where(holds, -np.inf)[labelled].idxmax(axis=1)
        assert (best == truth.loc[labelled, "label"]).all()
        of = {cause: truth.loc[truth["label"] == cause, "injected"] for cause in CAUSES}
        assert (of["teaching"] == "badly_taught").all() and (of["content"] == "broken_items").all()
        assert (of["curriculum_wide"] == "hard_everywhere").all() and len(of["prior_knowledge"])
        roots = set(truth["concept_id"]) - set(world.tables["prerequisites"]["concept_id"])
        assert not (truth.loc[truth["concept_id"].isin(roots), "prior_knowledge"] > 0).any()


def test_true_mastery_is_the_share_of_the_class_and_every_cause_occurs(embedded, worlds):
    cell = embedded.mastery.groupby(embedded.learners.set_index("learner_id")["class_id"]).mean().stack()
    truth = embedded.truth.set_index(["class_id", "concept_id"])
    np.testing.assert_allclose(truth["mastery"], cell.reindex(truth.index))
    assert set(embedded.truth["label"]) == {"none", *CAUSES}
    assert set(pd.concat([w.truth for w in worlds])["label"]) == {"none", *CAUSES}


def test_what_was_planted_counts_as_the_methods_say(worlds):
    for world in worlds:
        planted = world.truth[world.truth["injected"] != "none"].groupby(["injected", "concept_id"]).size()
        assert planted["badly_taught"].between(1, 3).all() and len(planted["badly_taught"]) == 4
        assert planted["missing_root"].between(1, 2).all() and len(planted["missing_root"]) == 3
        assert (planted["broken_items"] == 12).all() and len(planted["broken_items"]) == 2
        assert (planted["hard_everywhere"] == 12).all() and len(planted["hard_everywhere"]) == 1
        flaws = world.items.groupby(["concept_id", "flaw"]).size().unstack(fill_value=0)
        assert sorted(flaws["broken"])[-3:] == [0, 4, 4] and flaws["dif"].sum() == 5
        answered = len(world.tables["interactions"]) / (len(world.learners) * len(world.items))
        assert answered == pytest.approx(0.7, abs=0.01)


def test_taught_badly_cells_lie_below_the_same_concept_elsewhere(embedded):
    truth = _truth_with_rate(embedded)
    bad = truth[truth["injected"] == "badly_taught"]
    for concept, cells in bad.groupby("concept_id"):
        elsewhere = truth[(truth["concept_id"] == concept) & (truth["injected"] == "none") & (truth["label"] == "none")]
        assert cells["rate"].mean() < elsewhere["rate"].mean() - 0.15, concept


def test_missing_roots_lower_the_descendants_in_that_class_only(embedded):
    parents = _parents(embedded.tables["prerequisites"])
    truth = _truth_with_rate(embedded)
    for (root, class_id), _ in truth[truth["injected"] == "missing_root"].groupby(["concept_id", "class_id"]):
        below = [c for c in truth["concept_id"].unique() if root in _ancestors(parents, c)]
        cells = truth[truth["concept_id"].isin(below) & (truth["injected"] == "none")]
        here = cells["class_id"] == class_id
        assert cells.loc[here, "rate"].mean() < cells.loc[~here, "rate"].mean() - 0.1, (root, class_id)
        named = cells.loc[here & (cells["label"] == "prior_knowledge"), "missing_ancestor"]
        assert len(named) and named.notna().mean() > 0.8


def test_the_missing_ancestor_is_an_ancestor_that_fails(embedded):
    parents = _parents(embedded.tables["prerequisites"])
    mastery = embedded.truth.set_index(["class_id", "concept_id"])["mastery"]
    for row in embedded.truth.dropna(subset=["missing_ancestor"]).itertuples():
        assert row.missing_ancestor in _ancestors(parents, row.concept_id)
        assert mastery[row.class_id, row.missing_ancestor] < 0.5


def test_broken_items_answer_alike_whatever_the_mastery(embedded, worlds):
    for world in [embedded, *worlds]:
        log = _responses(world).assign(mastered=world.mastered)
        broken = log[log["flaw"] == "broken"]
        assert broken["correct"].mean() == pytest.approx(0.28, abs=0.035)
        by_mastery = broken.groupby("mastered")["correct"].mean()
        assert abs(by_mastery[True] - by_mastery[False]) < 0.09
        sound = log[log["flaw"] == "none"].groupby("mastered")["correct"].mean()
        assert sound[True] > 0.82 and sound[False] < 0.25


def test_biased_items_cost_one_group_at_equal_mastery(embedded):
    log = _responses(embedded).assign(mastered=embedded.mastered).merge(embedded.tables["learners"], on="learner_id")
    log = log[log["mastered"] & log["flaw"].isin(["dif", "none"])]
    rate = log.groupby(["flaw", "language"])["correct"].mean().unstack()
    assert rate.loc["dif", "additional"] / rate.loc["dif", "first"] == pytest.approx(0.55, abs=0.05)
    assert rate.loc["none", "additional"] == pytest.approx(rate.loc["none", "first"], abs=0.02)
    other = log[log["flaw"] == "dif"].groupby("gender")["correct"].mean()
    assert abs(other["female"] - other["male"]) < 0.07


def test_embedded_tables_are_valid_of_a_handy_size_and_quick(tmp_path):
    started = time.perf_counter()
    tables = Synthetic().parse(tmp_path)
    seconds = time.perf_counter() - started
    assert set(tables) == {"interactions", "concepts", "items", "q_matrix", "prerequisites", "learners", "attendance"}
    for name, table in validate_all(tables).items():
        pd.testing.assert_frame_equal(table, tables[name])
    assert 50_000 <= len(tables["interactions"]) <= 100_000
    assert all(isinstance(v, str) for c in ("learner_id", "item_id", "class_id", "teacher_id") for v in tables["interactions"][c].iloc[:50])
    assert seconds < 10  # about one second on a quiet machine
    assert isinstance(Synthetic(), Loader) and Synthetic.invented and Synthetic().files(tmp_path) == []
    assert [f.name for f in dataclasses.fields(Synthetic)] == ["classes", "learners_per_class", "items_per_concept", "terms", "seed"]


def test_every_concept_keeps_its_own_items_and_pairs_need_both(embedded):
    q = embedded.tables["q_matrix"]
    concepts_of = q.groupby("item_id")["concept_id"].agg(set)
    alone = concepts_of[concepts_of.str.len() == 1].map(lambda s: next(iter(s)))
    assert (alone.value_counts().reindex(embedded.mastery.columns) == 5).all()
    pairs = concepts_of[concepts_of.str.len() == 2]
    assert len(pairs) / len(concepts_of) == pytest.approx(0.15, abs=0.01)
    log = embedded.tables["interactions"]
    last = log[log["item_id"].isin(pairs.index) & (log["term"] == "term 2")]
    asked = last[["learner_id", "item_id"]].reset_index().merge(q, on="item_id")
    known = embedded.mastery.stack().rename("known").reset_index()
    both = asked.merge(known, on=["learner_id", "concept_id"]).groupby("index")["known"].all().reindex(last.index).to_numpy()
    assert not embedded.mastered[last.index][~both].any()
    assert last["correct"][both].mean() > last["correct"][~both].mean() + 0.4


def test_learners_learn_forget_nothing_and_respect_prerequisites(embedded):
    log = _responses(embedded).assign(mastered=embedded.mastered)
    alone = log[log["item_id"].isin(embedded.tables["q_matrix"]["item_id"].drop_duplicates(keep=False))]
    assert (alone["mastered"].astype(int).groupby([alone["learner_id"], alone["concept_id"]]).diff().dropna() >= 0).all()
    rates = log.groupby("term")["correct"].mean()
    assert rates["term 2"] > rates["term 1"] + 0.03
    assert (log["attempt"].max() == 2) and (log.loc[log["attempt"] == 2, "term"] == "term 2").all()
    met = log[log["learner_id"] == "L001"].drop_duplicates("concept_id").set_index("concept_id")["order"]
    edges = embedded.tables["prerequisites"]
    assert (met[edges["requires_id"]].to_numpy() < met[edges["concept_id"]].to_numpy()).all()


def test_time_and_order_agree_and_nobody_answers_while_absent(embedded):
    log, register = embedded.tables["interactions"], embedded.tables["attendance"]
    assert (log.groupby("learner_id")["timestamp"].diff().dropna() > pd.Timedelta(0)).all()
    assert (log["order"] == log.groupby("learner_id").cumcount()).all()
    at = log[["learner_id", "term"]].assign(date=log["timestamp"].dt.normalize()).merge(register, on=["learner_id", "date"], how="left")
    assert at["status"].isin(["present", "late"]).all() and (at["term_x"] == at["term_y"]).all()
    assert register["date"].dt.day_of_week.max() == 4 and register.groupby("learner_id").size().eq(160).all()


def test_attendance_patterns_show(embedded):
    register = embedded.tables["attendance"].merge(embedded.learners[["learner_id", "attendance"]], on="learner_id")
    register["away"] = register["status"].isin(["absent", "excused"])
    by = register.groupby(["attendance", "term"])["away"].mean().unstack()
    assert by.loc["declining", "term 2"] > by.loc["declining", "term 1"] + 0.15
    assert by.loc["steady"].max() < 0.06
    monday = register[register["attendance"] == "mondays"].groupby(register["date"].dt.day_of_week)["away"].mean()
    assert monday[0] > 0.3 and monday[1:].max() < 0.1
    run = register[register["attendance"] == "absence_run"].groupby("learner_id")["away"].agg(lambda a: a.rolling(6).sum().max())
    assert (run >= 6).all()


def test_wrong_options_tell_of_the_missing_prerequisite(embedded):
    log = embedded.tables["interactions"].merge(embedded.tables["items"], on="item_id")
    assert ((log["response"] == log["answer_key"]) == (log["correct"] == 1)).all()
    step = (log["response"].map("ABCD".index) - log["answer_key"].map("ABCD".index)) % 4
    parents, home = _parents(embedded.tables["prerequisites"]), log["item_id"].str.rsplit("-", n=1).str[0]
    first = home.map({concept: required[0] for concept, required in parents.items()})
    lacking = (~embedded.mastery).stack()
    missing = lacking.reindex(pd.MultiIndex.from_arrays([log["learner_id"], first])).fillna(False).to_numpy(bool)
    wrong = log["correct"] == 0
    assert (step[wrong & missing] == 1).mean() > 0.6
    assert (step[wrong & first.isna()] == 1).mean() == pytest.approx(1 / 3, abs=0.05)


def test_same_seed_same_bytes_whatever_the_global_state(embedded):
    np.random.seed(1)
    again = Synthetic().world()
    assert fingerprint(*embedded.tables.values(), embedded.truth) == fingerprint(*again.tables.values(), again.truth)
    other = Synthetic(seed=8).world()
    assert not other.truth["label"].equals(again.truth["label"])
    assert fingerprint(other.tables["interactions"]) != fingerprint(again.tables["interactions"])


def test_small_and_harder_variants():
    map_ = random_concepts(seed=2)
    small = simulate(*map_, classes=2, learners_per_class=10, seed=2)
    assert len(small.truth) == 48 and small.tables["interactions"]["learner_id"].nunique() == 20
    streamed = simulate(*map_, sorted_classes=True, seed=2).learners.groupby("class_id")["ability"].mean()
    assert streamed.iloc[-1] - streamed.iloc[0] > 2
    teachers = simulate(*map_, crossed_teachers=True, seed=2).tables["interactions"].groupby("class_id")["teacher_id"].nunique()
    assert (teachers > 2).all()
    assert (simulate(*map_, seed=2).tables["interactions"].groupby("teacher_id")["class_id"].nunique() == 2).all()
    skipping, full = simulate(*map_, skip_unmastered=0.6, seed=2), simulate(*map_, seed=2)
    assert skipping.mastered.mean() > full.mastered.mean() + 0.1
    pd.testing.assert_frame_equal(skipping.truth, full.truth)


def test_a_noisy_map_hides_edges_but_leaves_the_truth_alone():
    concepts, edges = random_concepts(seed=4)
    world, real = simulate(concepts, edges, graph_noise=0.25, seed=4), simulate(concepts, edges, seed=4)
    shown, true = (set(zip(t["concept_id"], t["requires_id"], strict=True)) for t in (world.tables["prerequisites"], edges))
    assert len(true - shown) == len(shown - true) == round(0.25 * len(edges))
    curriculum.ConceptMap.of(concepts, world.tables["prerequisites"])
    pd.testing.assert_frame_equal(world.truth, real.truth)
