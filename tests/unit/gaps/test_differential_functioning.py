"""Planted differences between groups are found, absent ones are not, and small groups get a reason in place of a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from edukit.data.synthetic import World, random_concepts, simulate
from edukit.gaps.differential_functioning import DifferentialFunctioning, mantel_haenszel
from edukit.schema import DataError


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [simulate(*random_concepts(seed=seed), seed=seed) for seed in (1, 2)]


def answers(ability: np.ndarray, easiness: np.ndarray, seed: int = 0, slope: np.ndarray | float = 1.0) -> pd.DataFrame:
    """Everyone answers every item: P(right) = σ(slope (ability + easiness)); ``slope`` and ``easiness`` may be (B, I)."""
    right = np.random.default_rng(seed).random((len(ability), np.shape(easiness)[-1])) < 1 / (1 + np.exp(-slope * (ability[:, None] + easiness)))
    learner, item = np.indices(right.shape)
    return pd.DataFrame({"learner_id": [f"L{u:04d}" for u in learner.ravel()], "item_id": [f"q{i:02d}" for i in item.ravel()],
                         "correct": right.ravel().astype(float)})


def groups_of(log: pd.DataFrame, names: np.ndarray) -> pd.Series:
    return pd.Series(names, index=log["learner_id"].unique())


def attribute(world: World, name: str) -> pd.Series:
    return world.tables["learners"].set_index("learner_id")[name]


def test_the_odds_ratio_its_error_and_its_test_are_those_of_statsmodels():
    cells = np.random.default_rng(0).integers(1, 30, (20, 5, 2, 2)).astype(float)
    log_alpha, error, p = mantel_haenszel(cells[..., 0, 0], cells[..., 0, 1], cells[..., 1, 0], cells[..., 1, 1])
    for i, tables in enumerate(cells):
        wanted = StratifiedTable(list(tables))
        assert log_alpha[i] == pytest.approx(wanted.logodds_pooled)
        assert error[i] == pytest.approx(wanted.logodds_pooled_se)
        assert p[i] == pytest.approx(wanted.test_null_odds(correction=False).pvalue)


def test_planted_items_are_found_with_their_direction(worlds: list[World]):
    found = pd.concat([DifferentialFunctioning().test(w.tables["interactions"], attribute(w, "language")).merge(w.items, on="item_id") for w in worlds])
    found = found[found["group"] == "additional"]
    planted, flagged = found["flaw"] == "dif", found["dif_class"].isin(["B", "C"])
    assert flagged[planted].mean() >= 0.8 and flagged[~planted].mean() <= 0.02
    assert (found["delta"][planted & flagged] < -1.5).all(), "negative = harder for the group"
    assert (found["high"][planted & flagged] < 0).all()


def test_where_there_is_no_difference_the_test_keeps_its_size(worlds: list[World]):
    found = pd.concat([DifferentialFunctioning().test(w.tables["interactions"], attribute(w, "gender")) for w in worlds])
    found = found[found["group"] == "female"]
    assert found["dif_class"].eq("A").all()
    assert 0.01 <= (found["p"] < 0.05).mean() <= 0.1 and 0.01 <= (found["nonuniform_p"] < 0.05).mean() <= 0.1
    assert (found["nonuniform_p_adjusted"] > 0.05).all()
    assert ((found["low"] < 0) & (found["high"] > 0)).mean() >= 0.9


def test_any_coding_gives_the_same_numbers(worlds: list[World]):
    log, word = worlds[0].tables["interactions"], attribute(worlds[0], "language")
    wanted = DifferentialFunctioning().test(log, word).query("group == 'additional'").drop(columns="group").reset_index(drop=True)
    assert wanted["delta"].notna().all()
    flag = word == "additional"
    for coded, name in ((flag, "True"), (flag.astype(int), "1"), (flag.astype(float), "1.0"), (word.astype("category"), "additional")):
        found = DifferentialFunctioning().test(log.sample(frac=1, random_state=0), coded.sample(frac=1, random_state=1))
        pd.testing.assert_frame_equal(found[found["group"] == name].drop(columns="group").reset_index(drop=True), wanted)


def test_each_of_several_groups_stands_against_all_others():
    log = answers(np.random.default_rng(1).normal(size=400), np.zeros(30), seed=1)
    names = np.array(["a", "b", "c", "d"], object)[np.arange(400) % 4]
    hurt = (log["item_id"] == "q07") & log["learner_id"].map(groups_of(log, names)).eq("c")
    log.loc[hurt, "correct"] *= np.random.default_rng(2).random(hurt.sum()) < 0.3
    found = DifferentialFunctioning().test(log, groups_of(log, names))
    assert len(found) == 30 * 4 and (found["n"] == 100).all()
    flagged = found[found["dif_class"] == "C"]
    assert [tuple(row) for row in flagged[["item_id", "group"]].to_numpy()] == [("q07", "c")]
    assert found.loc[(found["item_id"] == "q07") & (found["group"] != "c"), "delta"].gt(0).all()


def test_a_group_that_is_too_small_gets_a_reason_and_no_count_gives_it_away():
    log = answers(np.random.default_rng(3).normal(size=130), np.zeros(8), seed=3)
    names = np.where(np.arange(130) < 9, "few", np.where(np.arange(130) < 70, "x", "y")).astype(object)
    names[-20:] = None
    log = log[~(log["learner_id"].isin(log["learner_id"].unique()[:9]) & (log["item_id"] == "q00"))]
    found = DifferentialFunctioning().test(log, groups_of(log, names)).set_index(["item_id", "group"])
    assert found.loc[("q00", "few"), "reason"] == "no learner of the group answered"
    assert found.loc["q00"]["n"].tolist() == [0, 61, 40]
    few = found.xs("few", level="group").drop(index="q00")
    assert (few["reason"] == "fewer than 10 learners of the group answered").all() and few["delta"].isna().all() and few["dif_class"].isna().all()
    assert found.drop(index="q00")["n"].isna().all(), "the size of the small group could be found by subtraction"
    assert found.xs("x", level="group")["delta"].notna().all()


def test_one_group_only_and_items_without_variation_are_told():
    log = answers(np.random.default_rng(4).normal(size=60), np.zeros(5), seed=4)
    log.loc[log["item_id"] == "q01", "correct"] = 1.0
    alone = DifferentialFunctioning().test(log, groups_of(log, np.full(60, "x", object)))
    assert set(alone["reason"]) == {"fewer than 10 learners outside the group answered"} and alone["delta"].isna().all()
    two = DifferentialFunctioning().test(log, groups_of(log, np.where(np.arange(60) % 2, "x", "y"))).set_index("item_id")
    assert set(two.loc["q01", "reason"]) == {"no stratum holds right and wrong answers of both"}


def test_an_item_that_a_whole_group_fails_has_a_finite_difference():
    log = answers(np.random.default_rng(5).normal(size=200), np.zeros(20), seed=5)
    names = np.where(np.arange(200) % 2, "x", "y")
    log.loc[log["item_id"] == "q03", "correct"] = (log["learner_id"].map(groups_of(log, names)) == "y").astype(float)
    found = DifferentialFunctioning().test(log, groups_of(log, names)).set_index(["item_id", "group"]).loc[("q03", "x")]
    assert found["dif_class"] == "C" and found["delta"] < -5
    assert np.isfinite([found["delta"], found["low"], found["high"], found["slope_low"], found["slope_high"]]).all()


def test_purification_keeps_biased_items_out_of_the_yardstick():
    """A quarter of the items is harder for one group: matched on the whole score, the others would look easier for it."""
    rng = np.random.default_rng(6)
    names = np.arange(1000) % 2 == 1
    easiness = np.zeros((1000, 40))
    easiness[names, :10] = -1.5
    log = answers(rng.normal(size=1000), easiness, seed=6)
    found = DifferentialFunctioning().test(log, groups_of(log, names)).query("group == 'True'").set_index("item_id")["delta"]
    assert abs(found.iloc[10:].mean()) < 0.1
    assert found.iloc[:10].mean() == pytest.approx(-2.35 * 1.5, abs=0.5)


def test_a_difference_in_slope_alone_is_found_by_the_second_test():
    names = np.arange(800) % 2 == 1
    slope = np.ones((800, 30))
    slope[names, 4] = -0.8
    log = answers(np.random.default_rng(7).normal(size=800), np.zeros(30), seed=7, slope=slope)
    found = DifferentialFunctioning().test(log, groups_of(log, names)).query("group == 'True'").set_index("item_id")
    assert found.index[found["nonuniform_p_adjusted"] < 0.05].tolist() == ["q04"]
    assert found.loc["q04", "slope_high"] < 0 and abs(found.loc["q04", "delta"]) < 1


def test_groups_that_cannot_be_used_are_named():
    log = answers(np.zeros(20), np.zeros(3))
    with pytest.raises(DataError, match="found no learner with a group"):
        DifferentialFunctioning().test(log, pd.Series(["x"], index=["nobody"]))
    with pytest.raises(DataError, match="found 'L0000' more than once"):
        DifferentialFunctioning().test(log, pd.Series(["x", "y"], index=["L0000", "L0000"]))
    with pytest.raises(DataError, match="k >= 2"):
        DifferentialFunctioning(k=1)


@pytest.mark.realdata
def test_real_groups_of_nips34_have_differences_with_intervals(edukit_data: Path):
    from edukit.data.catalogue import loader
    from edukit.data.store import load

    data = load(loader("nips34"))
    gender = data["learners"].set_index("learner_id")["gender"].replace("unspecified", None)
    found = DifferentialFunctioning().test(data["interactions"], gender)
    told = found[found["reason"] == ""]
    assert len(told) > 1_000 and ((told["low"] < told["delta"]) & (told["delta"] < told["high"])).all()
    assert (found["delta"].isna() == (found["reason"] != "")).all()
