import numpy as np
import pandas as pd
import pytest

from edukit.graph import cells
from edukit.graph.cells import abilities, fold, per_concept
from edukit.graph.evidence import CHANNELS, Evidence, intervals, pairwise, to_table
from edukit.graph.judging import judge
from edukit.graph.sources import Expert, NoGraph
from edukit.protocols import LearnerBatches, NotFittedError, PrerequisiteModel
from edukit.schema import DataError

LAYERS = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


def planted(learners: int = 1500, seed: int = 0, ordered: bool = False) -> dict[str, pd.DataFrame]:
    """Noisy-AND mastery over four layers, three items a concept, 60 % of the items met at random."""
    rng = np.random.default_rng(seed)
    parents = {c: rng.choice(above, 1 + (k % 2), replace=False)
               for above, layer in zip(LAYERS, LAYERS[1:], strict=False) for k, c in enumerate(layer)}
    ability, hard = rng.normal(0, 0.9, learners), rng.normal(-0.8, 0.4, 16)
    mastered = np.zeros((learners, 16), bool)
    for c in range(16):
        p = 1 / (1 + np.exp(hard[c] - ability))
        mastered[:, c] = rng.random(learners) < np.where(mastered[:, parents.get(c, [])].all(axis=1), p, 0.12 * p)
    learner, item = np.nonzero(rng.random((learners, 48)) < 0.6)
    shuffle = rng.permutation(len(learner))
    learner, item = learner[shuffle], item[shuffle]
    correct = rng.random(len(item)) < np.where(mastered[learner, item // 3], 0.9, 0.2)
    rows = pd.DataFrame({"learner_id": learner.astype(str), "item_id": item.astype(str), "correct": correct.astype(float)})
    rows["order"] = rows.groupby("learner_id").cumcount().astype("Int64") if ordered else pd.Series(pd.NA, index=rows.index, dtype="Int64")
    ids = np.array([f"c{c:02d}" for c in range(16)])
    expert = pd.DataFrame([(ids[c], ids[p]) for c, above in parents.items() for p in above], columns=["concept_id", "requires_id"])
    q = pd.DataFrame({"item_id": np.arange(48).astype(str), "concept_id": ids[np.arange(48) // 3]})
    return {"interactions": rows, "q_matrix": q, "prerequisites": expert.assign(source="planted", weight=1.0)}


def metric(wide: pd.DataFrame, expert: pd.DataFrame, statistic: str, name: str = "auc") -> float:
    records = judge(wide.rename(columns={statistic: "score"})[["concept_id", "requires_id", "score", "n"]], expert, draws=2)
    return next(r["value"] for r in records if r["name"] == name and r["split"] == "covered")


@pytest.fixture(scope="module")
def world():
    return planted()


@pytest.fixture(scope="module")
def wide(world):
    return pairwise(world["interactions"], world["q_matrix"])


@pytest.mark.parametrize(("statistic", "least"), [("parent_correct_given_child_passed", 0.85), ("child_fails_given_parent_failed", 0.8),
                                                   ("conditional_success", 0.8), ("mcnemar", 0.7), ("iita_agreement", 0.7)])
def test_planted_prerequisites_are_recovered(world, wide, statistic, least):
    assert metric(wide, world["prerequisites"], statistic) > least
    if statistic != "child_fails_given_parent_failed":  # where deep concepts are rarely known, failing them says little about direction
        assert metric(wide, world["prerequisites"], statistic, "direction_accuracy") > 0.75


def test_shuffled_answers_say_nothing(world):
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = world["interactions"].assign(correct=rng.permutation(world["interactions"]["correct"]))
        shuffled = pairwise(rows, world["q_matrix"])
        found.append([metric(shuffled, world["prerequisites"], s) for s, c in CHANNELS.items() if c == "responses"])
        z = shuffled["parent_correct_given_child_passed"]
        assert abs(z.mean()) < 0.3 and z.std() < 1.1
    assert (abs(np.mean(found, axis=0) - 0.5) < 0.12).all()


def test_answers_leave_exposure_as_it_was(world, wide):
    rows = world["interactions"].assign(correct=1 - world["interactions"]["correct"])
    flipped = pairwise(rows, world["q_matrix"])
    for statistic, channel in CHANNELS.items():
        if channel == "exposure":
            pd.testing.assert_series_equal(wide[statistic], flipped[statistic])
    assert not wide["mcnemar"].equals(flipped["mcnemar"])


def test_counts_of_a_case_done_by_hand():
    # learners 1-4 on items a, b: passed both, passed a only, passed a only, failed both; learner 5 met a only
    correct = [1, 1, 1, 0, 1, 0, 0, 0, 1.0]
    rows = pd.DataFrame({"learner_id": list("112233445"), "item_id": list("ababababa"), "correct": correct, "order": pd.NA})
    q = pd.DataFrame({"item_id": ["a", "b"], "concept_id": ["A", "B"]})
    found = pairwise(rows, q, min_common=4).set_index(["concept_id", "requires_id"])
    child = found.loc[("B", "A")]
    assert child["n"] == 4 and child["iita_agreement"] == 1 and child["exposure_conditional"] == 1 and child["exposure_lift"] == 0
    assert child["mcnemar"] == pytest.approx(2 / np.sqrt(2)) and child["difficulty_difference"] == pytest.approx(4 / 5 - 1 / 4)
    assert child["conditional_success"] == pytest.approx(np.log(1.5 / 4) - np.log(0.5 / 2))
    assert found.loc[("A", "B"), "exposure_conditional"] == pytest.approx(0.8) and found.loc[("A", "B"), "iita_agreement"] == 0.5
    assert "parent_first" not in found


def test_only_first_attempts_count(world):
    rows = world["interactions"].assign(attempt=1)
    again = pd.concat([rows, rows.assign(attempt=2, correct=1.0)])
    pd.testing.assert_frame_equal(pairwise(rows, world["q_matrix"]), pairwise(again, world["q_matrix"]))


def test_order_is_a_channel_only_where_it_is_known():
    world = planted(300, ordered=True)
    item = world["interactions"]["item_id"].astype(int)
    rows = world["interactions"].sort_values("learner_id", kind="stable", key=lambda _: item)  # everybody meets items 0, 1, 2 … in turn
    rows["order"] = rows.groupby("learner_id").cumcount()
    wide = pairwise(rows, world["q_matrix"]).set_index(["concept_id", "requires_id"])
    assert wide.loc[("c05", "c04"), "parent_first"] == 1 and wide.loc[("c04", "c05"), "parent_first"] == 0
    assert wide.loc[("c05", "c04"), "transition"] > 0.8 and wide.loc[("c04", "c05"), "transition"] == 0
    assert "parent_first" not in pairwise(rows.assign(order=pd.NA), world["q_matrix"])


def test_concepts_tagged_on_one_item_get_no_response_statistic(world):
    q = pd.concat([world["q_matrix"], pd.DataFrame({"item_id": ["0"], "concept_id": ["c05"]})])
    linked = pairwise(world["interactions"], q).set_index(["concept_id", "requires_id"]).loc[("c05", "c00")]
    assert all(np.isnan(linked[s]) == (c == "responses") for s, c in CHANNELS.items() if s in linked)


def test_intervals_cover_the_estimate_and_shrink_with_learners(world, wide):
    pairs = wide.sample(30, random_state=0)
    names = [s for s in CHANNELS if s in wide]
    narrow = intervals(fold(world["interactions"], world["q_matrix"]), pairs, names, draws=100)
    table = to_table(pairs, narrow)
    inside = (table["low"] <= table["value"]) & (table["value"] <= table["high"])
    assert len(table) == 30 * len(names) and inside.mean() > 0.97
    few = world["interactions"][world["interactions"]["learner_id"].astype(int) < 150]
    wider = intervals(fold(few, world["q_matrix"]), pairs, ["mcnemar", "difficulty_difference"], draws=100)
    width = [t[t["statistic"] == "difficulty_difference"].eval("high - low").mean() for t in (narrow, wider)]
    assert 2.2 < width[1] / width[0] < 4.5  # sqrt(10) = 3.2
    with pytest.raises(DataError, match="parent_first"):
        intervals(fold(few, world["q_matrix"]), pairs, ["parent_first"])


def test_abilities_follow_the_one_parameter_model():
    rng = np.random.default_rng(0)
    true, easy = rng.normal(size=800), rng.normal(size=40)
    learner, item = np.repeat(np.arange(800), 40), np.tile(np.arange(40), 800)
    correct = (rng.random(32000) < 1 / (1 + np.exp(-(true[learner] + easy[item])))).astype(float)
    ability, easiness, information = abilities(learner, item, correct)
    assert np.corrcoef(true, ability)[0, 1] > 0.93 and np.corrcoef(easy, easiness)[0, 1] > 0.98
    assert np.sqrt(np.mean((ability - true) ** 2)) == pytest.approx(np.mean(1 / np.sqrt(information)), rel=0.15)


def test_the_model_abstains_and_its_graph_is_acyclic_and_repeatable(world):
    model = Evidence(min_common=20, draws=50).fit(world)
    assert isinstance(model, PrerequisiteModel)
    graph, again = model.graph(), Evidence(min_common=20, draws=50).fit(world).graph()
    pd.testing.assert_frame_equal(graph.prerequisites, again.prerequisites)
    graph.topological_order()
    assert graph.prerequisites["weight"].between(0, 1).all() and (graph.prerequisites["channel"] == "responses").all()
    truth = set(zip(world["prerequisites"]["concept_id"], world["prerequisites"]["requires_id"], strict=True))
    found = set(zip(graph.prerequisites["concept_id"], graph.prerequisites["requires_id"], strict=True))
    assert len(truth & found) / len(truth) > 0.7
    pairs = pd.DataFrame({"concept_id": ["c04", "c04", "zz"], "requires_id": ["c00", "c04", "c00"]}, index=[7, 3, 5])
    scores = model.predict(pairs)
    assert scores.index.tolist() == [7, 3, 5] and scores.isna().tolist() == [False, True, True]
    assert Evidence(min_common=10**6).fit(world).predict(pairs).isna().all()
    assert Evidence(min_common=10**6).fit(world).graph().prerequisites.empty


def test_learner_and_row_order_do_not_matter(world, wide):
    rows = world["interactions"].sample(frac=1, random_state=1)
    names = {i: f"x{i[::-1]}-{i}" for i in rows["learner_id"].unique()}
    renamed = pairwise(rows.assign(learner_id=rows["learner_id"].map(names)), world["q_matrix"])
    pd.testing.assert_frame_equal(wide, renamed, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_done_is_said(world):
    with pytest.raises(NotFittedError):
        Evidence().predict(world["prerequisites"])
    with pytest.raises(DataError, match="statistic must be one of"):
        Evidence(statistic="astrology")
    with pytest.raises(DataError, match="needs the table interactions"):
        Evidence().fit({"q_matrix": world["q_matrix"]})
    with pytest.raises(DataError, match="needs the order"):
        Evidence(statistic="parent_first").fit(world)
    with pytest.raises(DataError, match="no response on any"):
        fold(world["interactions"], pd.DataFrame({"item_id": ["zz"], "concept_id": ["a"]}))


def test_expert_and_none_are_models_too(world):
    pairs = pd.DataFrame({"concept_id": ["c04", "c00", "zz"], "requires_id": [world["prerequisites"]["requires_id"][0], "c04", "c00"]})
    expert = Expert().fit(world)
    assert isinstance(expert, PrerequisiteModel) and expert.report["dropped"].empty
    assert expert.predict(pairs).tolist()[:2] == [1, 0] and np.isnan(expert.predict(pairs)[2])
    back = world["prerequisites"].iloc[[0]].rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"}).assign(weight=0.2)
    knotted = Expert().fit({**world, "prerequisites": pd.concat([world["prerequisites"], back])})
    assert knotted.report["dropped"]["weight"].tolist() == [0.2] and knotted.report["edges"] == len(world["prerequisites"])
    nothing = NoGraph().fit(world)
    assert isinstance(nothing, PrerequisiteModel) and len(nothing.graph().adjacency()) == 0 and len(nothing.graph().concept_ids) == 16
    assert nothing.predict(pairs).isna().all()
    with pytest.raises(DataError, match="do not hold"):
        Expert().fit({"q_matrix": world["q_matrix"]})
    for model in (Expert(), NoGraph()):
        with pytest.raises(NotFittedError):
            model.graph()


class Batches:
    """A log in batches of whole learners, in an order that is not that of their ids."""

    def __init__(self, rows: pd.DataFrame, batches: int):
        self.rows, self.batches = rows, batches

    columns = property(lambda self: list(self.rows.columns))

    def __len__(self):
        return len(self.rows)

    def iter_learners(self, rows=1_000_000):
        of = self.rows["learner_id"].map(lambda learner: int(learner[::-1]) % self.batches)
        by = ["learner_id", "order"] if self.rows["order"].notna().all() else "learner_id"
        for k in range(self.batches):
            yield self.rows[of == k].sort_values(by, kind="stable", ignore_index=True)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("piece", [500, 1 << 20])
def test_batches_give_the_numbers_of_the_table(ordered, piece, monkeypatch):
    world = planted(400, ordered=ordered)
    q = pd.concat([world["q_matrix"], pd.DataFrame({"item_id": ["0"], "concept_id": ["c05"]})])
    rows = world["interactions"].assign(attempt=pd.array(np.where(np.arange(len(world["interactions"])) % 9, 1, 2), "Int64"))
    whole, model = pairwise(rows, q), Evidence(draws=20).fit({**world, "interactions": rows})
    monkeypatch.setattr(cells, "PIECE", piece)
    for batches in (1, 7):
        log = Batches(rows, batches)
        assert isinstance(log, LearnerBatches) and not isinstance(rows, LearnerBatches)
        pd.testing.assert_frame_equal(pairwise(log, q), whole, rtol=1e-9, atol=0)
        again = Evidence(draws=20).fit({**world, "interactions": log})
        pd.testing.assert_frame_equal(again.graph().prerequisites, model.graph().prerequisites)


def test_counts_per_concept_are_those_of_a_join(world):
    q = pd.concat([world["q_matrix"], pd.DataFrame({"item_id": ["0", "new"], "concept_id": ["c05", "c99"]})])
    joined = world["interactions"].merge(q, on="item_id").groupby("concept_id")
    wanted = pd.DataFrame({"n": joined.size(), "learners": joined["learner_id"].nunique(), "items": joined["item_id"].nunique(),
                           "correct": joined["correct"].mean()})
    for log in (world["interactions"], Batches(world["interactions"], 5)):
        found = per_concept(log, q).set_index("concept_id")
        pd.testing.assert_frame_equal(found.drop("c99"), wanted, check_dtype=False, check_index_type=False, rtol=1e-12)
        assert found.loc["c99", ["n", "learners", "items"]].tolist() == [0, 0, 0] and np.isnan(found.loc["c99", "correct"])
