from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic import random_concepts, simulate
from edukit.gaps.gap_map import GapMap
from edukit.gaps.posterior import Posterior
from edukit.graph.concept_graph import ConceptGraph
from edukit.protocols import CounterfactualModel, NotFittedError
from edukit.schema import DataError


def graph_of(world) -> ConceptGraph:
    return ConceptGraph.from_tables(world.tables["concepts"], world.tables["prerequisites"], world.tables["q_matrix"])


@pytest.fixture(scope="module")
def told():
    """A world of 12 classes whose broken items are known, the posterior of it, and truth in the order of the posterior's axes."""
    world = simulate(*random_concepts(seed=3), seed=3)
    flawed = world.items.loc[world.items["flaw"] == "broken", "item_id"]
    model = Posterior(draws=60, burn=90).fit(world.tables["interactions"], graph_of(world), flawed=list(flawed))
    cells = pd.MultiIndex.from_product([model.class_ids_[:-1], model.concept_ids_])
    return SimpleNamespace(world=world, model=model, truth=world.truth.set_index(["class_id", "concept_id"]).loc[cells])


def means(model, *settings) -> np.ndarray:
    return model.draws(model.draws_kept, *settings)[:, :-1].mean(axis=0).ravel()


def test_mastery_of_every_class_is_near_the_planted_one_with_flawed_items_in_and_out(told):
    assert isinstance(told.model, CounterfactualModel)
    clean, reported = means(told.model, "observed", "fitted", "clean"), means(told.model, "observed", "fitted", "all")
    assert np.sqrt(np.mean((clean - told.truth["mastery"]) ** 2)) < 0.06 and abs((clean - told.truth["mastery"]).mean()) < 0.03
    assert np.corrcoef(reported, told.truth["apparent"])[0, 1] > 0.97
    broken = (told.truth["injected"] == "broken_items").to_numpy()
    assert (clean - reported)[broken].mean() > 0.15 and np.allclose((clean - reported)[~broken], 0, atol=1e-5)


def test_what_ifs_agree_with_the_simulator_doing_the_same(told):
    known = means(told.model, "observed", "fitted", "clean")
    ready = means(told.model, "mastered", "fitted", "clean") - known
    plain = means(told.model, "observed", "zero", "clean") - known
    assert np.corrcoef(ready, told.truth["prior_knowledge"])[0, 1] > 0.85
    taught = (told.truth["teaching"] > 0.25).to_numpy()
    assert plain[taught].mean() > 0.2 and abs(plain[~taught].mean()) < 0.05
    both, set_up = means(told.model, "mastered", "zero", "clean"), means(told.model, "mastered", "fitted", "clean")
    assert (both[taught] > set_up[taught] + 0.2).all() and np.abs((both - set_up)[~taught]).mean() < 0.05  # prerequisites set, the class effect is left


def test_class_effects_are_low_where_teaching_was_planted_and_zero_for_the_cohort(told):
    effects = told.model.class_effects(60)
    planted = (told.truth["teaching"] > 0.25).to_numpy().reshape(effects.shape[1] - 1, -1)
    low = (effects[:, :-1] < -0.5).mean(axis=0)
    assert low[planted].mean() > 0.7 and low[~planted].mean() < 0.15
    assert not effects[:, -1].any()


def test_true_edges_are_kept_and_none_is_turned_around(told):
    place = {concept: i for i, concept in enumerate(told.model.concept_ids_)}
    given = told.world.tables["prerequisites"]
    kept = np.array([told.model.edge_probabilities()[place[c], place[r]] for c, r in given[["concept_id", "requires_id"]].itertuples(index=False)])
    turned = [told.model.edge_probabilities()[place[r], place[c]] for c, r in given[["concept_id", "requires_id"]].itertuples(index=False)]
    assert (kept > 0.5).mean() > 0.9 and max(turned) == 0


def test_the_same_seed_gives_the_same_draws_whatever_the_order_and_names_of_learners():
    world = simulate(*random_concepts(12, seed=5), classes=3, learners_per_class=12, seed=5)
    log = world.tables["interactions"]
    one, two = (Posterior(draws=20, burn=3).fit(table, graph_of(world)) for table in (log, log.sample(frac=1, random_state=1)))
    np.testing.assert_array_equal(one.draws(20), two.draws(20))
    renamed = log.assign(learner_id="new " + log["learner_id"])  # keeps their order
    np.testing.assert_array_equal(one.draws(20), Posterior(draws=20, burn=3).fit(renamed, graph_of(world)).draws(20))
    assert not np.array_equal(one.draws(20), Posterior(draws=20, burn=3, seed=1).fit(log, graph_of(world)).draws(20))


def test_a_map_can_be_made_of_its_mastery_and_a_cohort_without_classes_is_one():
    world = simulate(*random_concepts(12, seed=5), classes=3, learners_per_class=12, seed=5)
    log = world.tables["interactions"].drop(columns=["class_id", "teacher_id", "term"])
    model = Posterior(draws=20, burn=5).fit(log, graph_of(world))
    assert model.class_ids_ == ["all"] and model.draws(20).shape == (20, 1, 12) and not model.class_effects(20).any()
    gaps = GapMap().map(model.mastery(), log, world.tables["q_matrix"])
    assert set(gaps["class_id"]) == {"all"} and (gaps["state"] == "estimated").all()


def test_a_graph_that_is_not_doubted_stays_as_it_is_and_items_of_two_concepts_need_both():
    world = simulate(*random_concepts(12, seed=6), classes=3, learners_per_class=20, paired_items=0.4, seed=6)
    model = Posterior(draws=20, burn=30, learn_edges=False).fit(world.tables["interactions"], graph_of(world))
    assert (model.edge_probabilities() > 0.5).sum() == len(world.tables["prerequisites"])
    wide = model.mastery().pivot(index="learner_id", columns="concept_id", values="mastery")
    assert np.corrcoef(wide.to_numpy().ravel(), world.mastery.loc[wide.index, wide.columns].to_numpy().ravel())[0, 1] > 0.75


def test_an_item_biased_against_a_group_gets_rates_of_its_own_there():
    world = simulate(*random_concepts(12, seed=7), classes=4, learners_per_class=40, answered=0.9, seed=7)
    groups = world.tables["learners"].set_index("learner_id")["language"]
    biased = world.items.loc[world.items["flaw"] == "dif", "item_id"]
    model = Posterior(draws=30, burn=60)
    fitted = model.fit(world.tables["interactions"], graph_of(world), groups, dif_items=dict.fromkeys(biased, "additional"))
    plain = Posterior(draws=30, burn=60).fit(world.tables["interactions"], graph_of(world))
    at = [sorted(world.items["item_id"]).index(item) for item in biased]
    assert fitted.rates_[:, 0, at].mean() < plain.rates_[:, 0, at].mean() - 0.03  # those of the rest slip less once the group stands apart


def test_errors_name_what_is_wanted():
    with pytest.raises(NotFittedError):
        Posterior().draws(5)
    with pytest.raises(DataError, match="trust in"):
        Posterior(trust=1.0)
    world = simulate(*random_concepts(12, seed=5), classes=3, learners_per_class=12, seed=5)
    with pytest.raises(DataError, match="q_matrix; found 'alien'"):
        Posterior(draws=20, burn=1).fit(world.tables["interactions"].assign(item_id="alien"), graph_of(world))
    model = Posterior(draws=20, burn=1).fit(world.tables["interactions"], graph_of(world))
    with pytest.raises(DataError, match="n=21"):
        model.draws(21)
    with pytest.raises(DataError, match="observed or mastered"):
        model.draws(5, "set")
