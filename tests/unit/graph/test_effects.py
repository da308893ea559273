import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from edukit.graph.effects import REFERENCE, agreement, auc_of_ranks, measured, rank_correlation, spread, standard_error, verdicts
from edukit.metrics import auc
from edukit.schema import DataError


def trials(size: int, people: int, slope: float, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Invented trials between concepts, each with a strength; a lesson adds ``slope`` times it to the share of right answers."""
    rng = np.random.default_rng(seed)
    a, b = np.triu_indices(14, 1)
    kept = np.sort(rng.choice(len(a), size, replace=False))
    strength = rng.random(size)
    shares = [rng.binomial(people, p) / people for p in (0.4 + slope * strength, np.full(size, 0.4))]
    table = pd.DataFrame({"concept_id": [f"c{k:02d}" for k in b[kept]], "requires_id": [f"c{k:02d}" for k in a[kept]], "kind": "trial_p",
                          "effect": shares[0] - shares[1], "n_treated": people, "n_control": people})
    return table, pd.Series(strength, index=pd.MultiIndex.from_frame(table[["concept_id", "requires_id"]]))


def asked(table: pd.DataFrame, strength: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    found = measured(table, "trial_p")
    return found, pd.Series(strength.reindex(pd.MultiIndex.from_frame(found[["concept_id", "requires_id"]])).to_numpy(), index=found.index)


def value(records: list[dict], name: str, **where) -> dict:
    return next(r for r in records if r["name"] == name and all(r[k] == v for k, v in where.items()))


def test_planted_effects_are_shown_and_scores_without_relation_are_not():
    table, strength = trials(50, 80, 0.5, 0)
    effects, score = asked(table, strength)
    noise = pd.Series(np.random.default_rng(5).random(len(effects)), index=effects.index)
    records = [r for name, s in (("true", score), ("noise", noise), ("against", -score)) for r in agreement(effects, "trial_p", s, -s, name, draws=200)]
    said = verdicts(records).set_index(["model", "name"])
    assert said.loc[("true", "rank_correlation"), "verdict"] == "shown" and said.loc[("true", "auc"), "value"] > 0.75
    assert said.loc[("against", "rank_correlation"), "verdict"] == "shown, the other way"
    assert (said.loc["noise", "verdict"] == "not shown").all()
    assert (said["low"] <= said["value"]).all() and (said["value"] <= said["high"]).all() and said["p_holm"].between(0, 1).all()
    assert value(records, "coverage", model="true")["n"] == 50 and value(records, "auc", model="true")["n"] == effects["above"].sum()


def test_no_effect_at_all_is_seldom_called_shown():
    shown = 0
    for seed in range(10):
        effects, score = asked(*trials(30, 40, 0.0, seed))
        shown += (verdicts(agreement(effects, "trial_p", score, score, "x", draws=100, seed=seed))["verdict"] == "shown").sum()
    assert shown <= 2


def test_the_error_covers_what_repeated_trials_do():
    """Whatever the two shares are, 95 % intervals hold the true difference in at least about 95 of 100 trials."""
    rng = np.random.default_rng(0)
    for first, second, n, m in ((0.5, 0.5, 40, 30), (0.9, 0.6, 60, 40), (0.98, 0.9, 12, 9), (0.1, 0.05, 8, 70)):
        found = rng.binomial(n, first, 4000) / n - rng.binomial(m, second, 4000) / m
        error = standard_error(found, np.full(4000, n), np.full(4000, m))
        assert (np.abs(found - (first - second)) <= 1.96 * error).mean() > 0.94
    share = rng.binomial(25, 0.25, 4000) / 25
    assert (np.abs(share - 0.25) <= 1.96 * standard_error(share, np.full(4000, 25), None)).mean() > 0.93
    assert standard_error(np.array([1.0, -1.0]), np.array([3, 3]), np.array([6, 6])).min() > 0.1  # a few learners are never sure


def test_repeats_of_a_pair_are_pooled_by_precision_and_empty_shares_left_out():
    rows = pd.DataFrame({"concept_id": ["b", "b", "c"], "requires_id": ["a", "a", "a"], "kind": "trial_p", "effect": [0.1, 0.5, np.nan],
                         "n_treated": [100, 5, 0], "n_control": [100, 5, 3]})
    found = measured(rows, "trial_p")
    assert found[["concept_id", "n"]].to_numpy().tolist() == [["b", 210]] and 0.1 < found["effect"][0] < 0.15
    assert found["error"][0] < standard_error(np.array([0.1]), np.array([100]), np.array([100]))[0]
    gains = measured(rows.assign(kind="gain_p", n_control=None), "gain_p")
    assert REFERENCE["gain_p"] == 0.25 and not gains["above"].any() and gains["n"].tolist() == [105]
    with pytest.raises(DataError, match="'trial_k' with none"):
        measured(rows, "trial_k")


def test_a_pair_with_few_learners_behind_it_is_left_out_unless_its_repeats_make_up_for_it():
    rows = pd.DataFrame({"concept_id": ["b", "c", "c"], "requires_id": "a", "kind": "gain_p", "effect": 1.0, "n_treated": [9, 9, 1]})
    assert measured(rows, "gain_p")["concept_id"].tolist() == ["c"] and len(measured(rows, "gain_p", learners=0)) == 2
    with pytest.raises(DataError, match="at least 10 learners for some pair; found 1 rows"):
        measured(rows[:1], "gain_p")


def test_a_true_relation_can_pass_a_hundred_comparisons_whatever_the_draws_and_chance_is_the_auc_of_its_ranks():
    effects, score = asked(*trials(50, 80, 0.5, 4))
    noise = [pd.Series(np.random.default_rng(k).random(len(effects)), index=effects.index) for k in range(49)]
    records = [r for k, s in enumerate([score, *noise]) for r in agreement(effects, "trial_p", s, -s, str(k), draws=20)]
    said = verdicts(records)
    assert len(said) == 100 and said.set_index(["model", "name"]).loc[("0", "rank_correlation"), "verdict"] == "shown"
    assert (said["verdict"] != "not shown").sum() <= 3
    above = effects["above"].to_numpy()
    assert auc_of_ranks(above, np.stack([rankdata(s) for s in noise])) == pytest.approx([auc(above, s.to_numpy()) for s in noise])


def test_direction_is_told_apart_for_effects_that_were_seen_and_those_that_were_not():
    effects, score = asked(*trials(40, 200, 0.5, 1))
    records = agreement(effects, "trial_p", score, pd.Series(0.5, index=effects.index), "x", draws=50)
    above, other = (value(records, "direction", group=g) for g in ("above", "other"))
    assert above["value"] > other["value"] + 0.2 and above["n"] + other["n"] == 40
    even = agreement(effects, "trial_p", score, score, "symmetric", draws=50)
    assert value(even, "direction", group="above")["value"] == 0.5


def test_a_model_that_abstains_is_judged_on_what_it_says_or_not_at_all():
    effects, score = asked(*trials(30, 60, 0.4, 2))
    some = score.where(np.arange(len(score)) < 12)
    assert value(agreement(effects, "trial_p", some, some, "x", draws=20), "rank_correlation")["n"] == 12
    few = agreement(effects, "trial_p", score.where(np.arange(len(score)) < 5), score, "x", draws=20)
    assert [(r["name"], r["value"]) for r in few] == [("coverage", 5 / 30)] and verdicts(few).empty
    one = effects.assign(above=np.arange(len(effects)) < 3)
    assert "auc" not in {r["name"] for r in agreement(one, "trial_p", score, score, "x", draws=20)}
    flat = agreement(effects, "trial_p", score * 0, score * 0, "x", draws=20)
    assert "rank_correlation" not in {r["name"] for r in flat} and value(flat, "auc")["value"] == 0.5


def test_weighted_ranks():
    x = np.array([1.0, 2, 3, 4, 5])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1) and rank_correlation(x, -x) == pytest.approx(-1)
    assert rank_correlation(x, np.array([1.0, 2, 3, 0, 0]), np.array([1.0, 1, 1, 0, 0])) == pytest.approx(1)
    assert np.isnan(rank_correlation(x, x * 0)) and np.isnan(rank_correlation(x, x, x * 0))


def test_effects_that_differ_by_chance_alone_are_known():
    none, some = (spread(asked(*trials(60, 80, slope, 3))[0]) for slope in (0.0, 0.5))
    assert none["p"] > 0.05 and none["share"] < 0.3 and some["p"] < 1e-4 and some["share"] > 0.4


@pytest.mark.realdata
def test_trials_of_causaledu(edukit_data):
    from edukit.data.catalogue import loader
    from edukit.data.store import load

    effects = load(loader("eedi_causaledu"), print)["effects"]
    trial, gain = measured(effects, "trial_p"), measured(effects, "gain_p")
    assert (len(trial), int(trial["above"].sum()), len(gain)) == (75, 6, 108)
    assert (len(measured(effects, "trial_p", learners=0)), len(measured(effects, "gain_p", learners=0))) == (78, 182)
    assert 0.08 < trial["error"].median() < 0.15
