import numpy as np
import pandas as pd
import pytest

from edukit.data.curriculum import ConceptMap, random_concepts
from edukit.graph.evidence import pairwise
from edukit.graph.judging import judge
from edukit.graph.noisy_and import NoisyAnd, tally
from edukit.protocols import LearnerBatches, NotFittedError, PrerequisiteModel
from edukit.schema import DataError

RESPONSES = ("parent_correct_given_child_passed", "child_fails_given_parent_failed", "conditional_success", "iita_agreement", "mcnemar")


def random_exposure(learners: int, seed: int, concepts: int = 24, items: int = 5, answered: float = 0.7) -> dict[str, pd.DataFrame]:
    """A world in which who meets which item is chance: mastery along a random map (times .12 where a prerequisite is missing), no classes."""
    known, prerequisites = random_concepts(concepts, seed=seed)
    chart, rng = ConceptMap.of(known, prerequisites), np.random.default_rng([seed, learners])
    ability, ease = rng.normal(0, 0.9, learners), rng.normal(2.8, 0.4, concepts)
    mastered = np.zeros((learners, concepts), bool)
    for k in chart.sequence:
        ready = mastered[:, chart.parents[k]].all(axis=1)
        mastered[:, k] = rng.random(learners) < np.where(ready, 1, 0.12) / (1 + np.exp(-ease[k] - ability))
    total = concepts * items
    slip, guess = rng.uniform(0.05, 0.18, total), rng.uniform(0.08, 0.25, total)
    learner, item = np.nonzero(rng.random((learners, total)) < answered)
    p = np.where(mastered[learner, item // items], 1 - slip[item], guess[item])
    p = 1 / (1 + np.exp(-np.log(p / (1 - p)) - 0.35 * ability[learner]))
    rows = pd.DataFrame({"learner_id": learner.astype(str), "item_id": item.astype(str), "correct": (rng.random(len(item)) < p).astype(float),
                         "order": pd.array([pd.NA] * len(item), "Int64")})
    q = pd.DataFrame({"item_id": np.arange(total).astype(str), "concept_id": chart.ids[np.arange(total) // items].astype(str)})
    return {"interactions": rows, "q_matrix": q, "concepts": known, "prerequisites": prerequisites}


def metric(scores: pd.DataFrame, expert: pd.DataFrame, name: str = "ap") -> float:
    return next(r["value"] for r in judge(scores, expert, draws=2) if r["name"] == name and r["split"] == "covered")


@pytest.fixture(scope="module")
def world():
    return random_exposure(300, seed=3)


@pytest.fixture(scope="module")
def fitted(world):
    return NoisyAnd(sweeps=40).fit(world)


def test_planted_prerequisites_are_recovered_better_than_by_any_pairwise_statistic(world, fitted):
    wide = pairwise(world["interactions"], world["q_matrix"])
    pairwise_best = max(metric(wide[["concept_id", "requires_id", "n"]].assign(score=wide[s]), world["prerequisites"]) for s in RESPONSES)
    found = metric(fitted.scores(), world["prerequisites"])
    assert found > 0.75 and found > pairwise_best
    assert metric(fitted.scores(), world["prerequisites"], "direction_accuracy") > 0.8


def test_probabilities_mean_what_they_say(world, fitted):
    scores = fitted.scores()
    assert isinstance(fitted, PrerequisiteModel) and scores["score"].between(0, 1).all() and len(scores) == 24 * 23
    true = pd.MultiIndex.from_frame(world["prerequisites"][["concept_id", "requires_id"]])
    hit = pd.MultiIndex.from_frame(scores[["concept_id", "requires_id"]]).isin(true)
    assert hit[scores["score"] < 0.1].mean() < 0.03 and hit[scores["score"] > 0.9].mean() > 0.7
    assert 0.5 < scores["score"].sum() / len(true) < 1.5


def test_the_graph_is_acyclic_likely_and_repeatable(world, fitted):
    graph = fitted.graph()
    assert graph.concept_ids == world["concepts"]["concept_id"].tolist() and graph.prerequisites["weight"].between(0.5, 1).all()
    assert 15 <= len(graph.adjacency()) <= 45 and len(graph.topological_order()) == 24
    again = NoisyAnd(sweeps=40).fit({**world, "interactions": world["interactions"].sample(frac=1, random_state=0)})
    pd.testing.assert_frame_equal(fitted.scores(), again.scores())


def test_answers_at_random_are_judged_at_chance():
    found = []
    for seed in range(3):
        world = random_exposure(150, seed, concepts=12)
        rows = world["interactions"].assign(correct=np.random.default_rng(seed).permutation(world["interactions"]["correct"]))
        model = NoisyAnd(sweeps=20, chains=1).fit({**world, "interactions": rows})
        found.append(metric(model.scores(), world["prerequisites"], "auc"))
    assert abs(np.mean(found) - 0.5) < 0.15


def test_it_abstains_on_shared_items_few_learners_and_strangers():
    world = random_exposure(60, 0, concepts=8)
    q = pd.concat([world["q_matrix"], pd.DataFrame({"item_id": ["0"], "concept_id": ["C08"]})])
    pairs = pd.DataFrame({"concept_id": ["C08", "C01", "C08", "zz"], "requires_id": ["C01", "C08", "C02", "C01"]}, index=[9, 4, 6, 1])
    scores = NoisyAnd(sweeps=8, chains=1).fit({**world, "q_matrix": q}).predict(pairs)
    assert scores.index.tolist() == [9, 4, 6, 1] and scores.isna().tolist() == [True, True, False, True]
    few = NoisyAnd(sweeps=8, min_common=61).fit(world)
    assert few.scores().empty and few.predict(pairs).isna().all() and few.graph().prerequisites.empty


def test_no_more_candidates_than_asked_for_are_given_a_chance():
    model = NoisyAnd(sweeps=8, chains=1, candidates=3).fit(random_exposure(80, 0, concepts=10))
    assert (model.scores().query("score > 0").groupby("concept_id").size() <= 3).all()


def test_only_first_attempts_count_and_batches_are_one_log():
    world = random_exposure(40, 0, concepts=8)
    rows = world["interactions"].assign(attempt=1).sort_values("learner_id", kind="stable")
    again = pd.concat([rows, rows.assign(attempt=2, correct=1.0)])

    class Batches:
        columns = list(rows.columns)

        def __len__(self):
            return len(rows)

        def iter_learners(self, rows_each=0, log=rows):
            early = log["learner_id"] < "2"
            yield log[early]
            yield log[~early]

    assert isinstance(Batches(), LearnerBatches)
    plain = tally(rows, world["q_matrix"])
    assert plain.right.shape == (8, 40) and (plain.right + plain.wrong).sum() == len(rows)
    for other in (again, Batches()):
        found = tally(other, world["q_matrix"])
        np.testing.assert_array_equal(found.right, plain.right)
        np.testing.assert_array_equal(found.wrong, plain.wrong)
        assert found.learner_ids == plain.learner_ids


def test_what_cannot_be_done_is_said(world):
    with pytest.raises(NotFittedError):
        NoisyAnd().predict(world["prerequisites"])
    with pytest.raises(DataError, match="found chains=0"):
        NoisyAnd(chains=0)
    with pytest.raises(DataError, match="needs the table interactions"):
        NoisyAnd().fit({"q_matrix": world["q_matrix"]})
    with pytest.raises(DataError, match="no response on any"):
        NoisyAnd().fit({**world, "q_matrix": pd.DataFrame({"item_id": ["zz"], "concept_id": ["a"]})})
