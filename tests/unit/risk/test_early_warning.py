"""Models of early warning: planted signal found, risks that mean what they say, capacity, abstention, and what is written down."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from edukit import metrics
from edukit.protocols import NotFittedError, RiskModel
from edukit.recalibration import packed, unpacked
from edukit.risk import capacity, judging, protocol, recalibration
from edukit.risk.early_warning import Boosting, Logistic
from edukit.risk.features import MONOTONE, OBSERVED
from edukit.risk.snapshot import UNIT
from edukit.schema import DataError
from edukit.validation import validate

MODELS = (Boosting, Logistic)
N = 900


def world(seed: int = 0, n: int = N, signal: float = 1.0) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Features, outcome and true risk: missed work and marks matter, credits do not; marks are missing for a fifth."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_arrays([[f"learner-{i}" for i in rng.permutation(n)], ["M"] * n, rng.choice(["2013B", "2013J", "2014B"], n)], names=UNIT)
    missed, mark, credit = rng.poisson(1.0, n), rng.normal(0, 10, n), rng.choice([30.0, 60.0, 120.0], n)
    truth = 1 / (1 + np.exp(-(-0.8 + signal * (1.2 * missed - 0.12 * mark))))
    table = pd.DataFrame({OBSERVED: 3.0, "due": 4.0, "missed": missed, "score_to_mean": np.where(rng.random(n) < 0.2, np.nan, mark), "credits": credit,
                          "module=M": 1.0}, index=index).astype("float64")
    return table, pd.Series((rng.random(n) < truth).astype(float), index=index), truth


@pytest.fixture(scope="module", params=MODELS, ids=lambda m: m.kind)
def fitted(request):
    table, y, _ = world()
    return request.param(refits=4).fit(table, y), table, y


def test_a_planted_signal_is_recovered_and_risks_mean_what_they_say(fitted):
    model, *_ = fitted
    table, y, truth = world(seed=1, n=3000)
    risk = model.predict(table)
    assert isinstance(model, RiskModel) and model.calibration_ in recalibration.METHODS and model.calibrated_on_ == "2014B"
    assert metrics.auc(y.to_numpy(), risk["risk"].to_numpy()) > metrics.auc(y.to_numpy(), truth) - 0.03
    assert metrics.ece(y.to_numpy(), risk["risk"].to_numpy()) < 0.05
    assert (risk["low"] <= risk["risk"]).all() and (risk["risk"] <= risk["high"]).all() and risk.stack().between(0, 1).all()


def test_contributions_add_up_in_logits_and_name_what_matters(fitted):
    model, table, _ = fitted
    parts = model.contributions(table)
    assert list(parts) == model.columns_ and OBSERVED not in parts and "due" not in parts and parts.index.equals(table.index)
    logits = model._logits(model._models[0], model._matrix(table))
    left = logits - parts.sum(axis=1)
    assert left.max() - left.min() < 1e-9
    assert set(parts.abs().mean().nlargest(2).index) == {"missed", "score_to_mean"}


def test_more_work_handed_in_never_raises_a_risk(fitted):
    model, table, _ = fitted
    for name in ("missed", "score_to_mean"):
        risks = [model.score(table.assign(**{name: value})).to_numpy() for value in np.linspace(-20, 20, 9)]
        assert (MONOTONE[name] * np.diff(risks, axis=0) >= -1e-12).all()


def test_an_empty_history_abstains(fitted):
    model, table, _ = fitted
    empty = table.assign(observed=np.where(np.arange(len(table)) % 3 == 0, 0.0, 2.0))
    said = model.predict(empty)
    assert (said.isna().all(axis=1) == (empty[OBSERVED] == 0)).all() and model.score(empty).notna().all()
    tier = capacity.tiers(said["risk"], 20)
    assert (tier[empty[OBSERVED] == 0] == capacity.UNKNOWN).all() and (tier == capacity.NOW).sum() == 20


def test_the_order_of_learners_and_their_names_do_not_matter_and_a_seed_repeats(fitted):
    model, table, y = fitted
    turned = table.sample(frac=1, random_state=5)
    names = table.index.set_levels([f"x{i * 7919 % len(table)}" for i in range(len(table))], level=0)
    again = type(model)(refits=4).fit(turned, y.sample(frac=1, random_state=6))
    renamed = type(model)(refits=4).fit(table.set_axis(names), y.set_axis(names))
    np.testing.assert_array_equal(model.predict(table), again.predict(table))
    np.testing.assert_array_equal(model.predict(table), renamed.predict(table))


@pytest.mark.parametrize("kind", MODELS, ids=lambda m: m.kind)
def test_the_order_of_learners_with_many_equal_rows_does_not_matter_either(kind):
    """Of several days: a learner whose row of one day equals another's must be dealt to the same fold under any name."""
    rng, n = np.random.default_rng(0), 240
    index = pd.MultiIndex.from_product([[f"l{i:03d}" for i in range(n)], ["M"], ["2013B"], [35, 42, 49]], names=[*UNIT, "cutoff"])
    table = pd.DataFrame({"missed": rng.integers(0, 3, 3 * n), "credits": rng.choice([30.0, 60.0], 3 * n)}, index=index).astype(float)
    chance = 0.2 + 0.2 * table["missed"].to_numpy().reshape(n, 3).mean(axis=1)
    y = pd.Series(np.repeat((rng.random(n) < chance).astype(float), 3), index=index)
    told = kind(refits=1).fit(table, y).predict(table).to_numpy()
    names = index.set_levels([f"x{i * 7919 % n:03d}" for i in range(n)], level=0)
    for rows, outcome in ((table.sample(frac=1, random_state=3), y), (table.set_axis(names).sort_index(), y.set_axis(names))):
        np.testing.assert_array_equal(told, kind(refits=1).fit(rows, outcome).predict(table))


def test_a_model_is_read_as_it_was_written(fitted, tmp_path):
    model, table, _ = fitted
    model.save(tmp_path / "model.json")
    read = type(model).load(tmp_path / "model.json")
    pd.testing.assert_frame_equal(model.predict(table), read.predict(table), check_exact=True)
    pd.testing.assert_frame_equal(model.contributions(table), read.contributions(table), check_exact=True)
    read.save(tmp_path / "again.json")
    assert (tmp_path / "model.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    other = next(m for m in MODELS if m is not type(model))
    with pytest.raises(DataError, match="Load it with the class"):
        other.load(tmp_path / "model.json")
    (tmp_path / "broken.json").write_text(json.dumps({"kind": model.kind}))
    with pytest.raises(DataError, match="cannot be read"):
        type(model).load(tmp_path / "broken.json")


def test_unknown_modules_and_absent_features_are_met_calmly(fitted):
    model, table, _ = fitted
    strange = table.drop(columns=["module=M", "score_to_mean"]).assign(**{"module=Z": 1.0})
    assert model.predict(strange)["risk"].between(0, 1).all()


@pytest.mark.parametrize("kind", MODELS, ids=lambda m: m.kind)
def test_random_labels_cannot_be_told_apart(kind):
    table, y, _ = world(seed=2, n=1500, signal=0.0)
    test, truth, _ = world(seed=3, n=4000, signal=0.0)
    assert abs(metrics.auc(truth.to_numpy(), kind(refits=0).fit(table, y).score(test).to_numpy()) - 0.5) < 0.05


@pytest.mark.parametrize("kind", MODELS, ids=lambda m: m.kind)
def test_what_cannot_be_learnt_from_is_refused(kind):
    table, y, _ = world(n=60)
    with pytest.raises(NotFittedError):
        kind().predict(table)
    for features, outcome, words in ((table, y * 0, "with and without"), (table.iloc[:10], y, "found 10 learners"),
                                     (pd.concat([table, table]), y, "60 rows twice")):
        with pytest.raises(DataError, match=words):
            kind().fit(features, outcome)
    small = kind(refits=2).fit(table, y)
    assert small.predict(table)["risk"].between(0, 1).all() and kind(refits=0).fit(table, y).predict(table)["low"].isna().all()


def test_a_staircase_keeps_the_order_and_a_curve_survives_json():
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    y = (rng.random(2000) < np.where(p < 0.5, 0.1, 0.9)).astype(float)
    assert recalibration.choose(p, y, np.arange(2000)) == "isotonic" and recalibration.choose(p[:50], y[:50], np.arange(50)) == "platt"
    for fit in recalibration.METHODS.values():
        curve = fit(p, y)
        again = unpacked(json.loads(json.dumps(packed(curve))))
        np.testing.assert_array_equal(curve(p), again(p))
        assert (np.diff(curve(np.sort(p))) > 0).all()


def test_capacity_is_exact_and_equal_risks_are_drawn_by_lot_in_the_same_way_every_time():
    risk = pd.Series([0.5] * 50 + [0.9] * 5 + [np.nan] * 5, index=pd.MultiIndex.from_product([[f"l{i}" for i in range(60)], ["M"], ["2014J"]], names=UNIT))
    for size in (1, 5, 20, 54, 55, 100):
        tier = capacity.tiers(risk, size)
        assert (tier == capacity.NOW).sum() == min(size, 55) and (tier == capacity.UNKNOWN).sum() == 5
        assert (tier.iloc[50:55] == capacity.NOW).sum() == min(size, 5)
    turned = risk.sample(frac=1, random_state=1)
    assert capacity.tiers(turned, 20).reindex(risk.index).equals(capacity.tiers(risk, 20)) and set(capacity.tiers(risk, 20)) <= set(capacity.TIERS)
    table = validate(capacity.risk_table(risk.to_frame("risk").assign(low=0.1, high=0.95), 56, 20), "risks")
    assert len(table) == 60 and table["risk"].iloc[:5].eq(0.9).all() and (table["tier"] == capacity.NOW).iloc[:20].all()
    with pytest.raises(DataError, match="capacity must be 1 or more"):
        capacity.tiers(risk, 0)


def test_splits_part_learners_and_presentations():
    table, *_ = world(n=200)
    units = table.index
    last, = protocol.splits(units)
    assert set(units[last.rows["test"]].get_level_values("presentation")) == {"2014B"} and "2014B" not in units[last.rows["train"]].get_level_values(2)
    assert len(protocol.splits(units, "leave_presentation")) == 3
    twice = units.append(pd.MultiIndex.from_arrays([units.get_level_values(0), ["K"] * 200, ["2014J"] * 200], names=UNIT))
    folds = protocol.splits(twice, "learner", 4)
    for fold in folds:
        assert not set(twice[fold.rows["train"]].get_level_values(0)) & set(twice[fold.rows["test"]].get_level_values(0))
    assert sorted(np.concatenate([fold.rows["test"] for fold in folds])) == list(range(400))
    for bad in ({"kind": "fate"}, {"kind": "learner", "folds": 1}):
        with pytest.raises(DataError):
            protocol.splits(units, **bad)


def test_metrics_by_hand():
    index = pd.MultiIndex.from_product([[f"l{i}" for i in range(10)], ["M"], ["2014J"]], names=UNIT)
    risk, y = pd.Series(np.linspace(0.95, 0.05, 10), index=index), pd.Series([1, 0, 1, 0, 0, 1, 0, 0, 0, 0.0], index=index)
    found = {r["name"]: r for r in judging.scores(y, risk, 5, draws=20, model="m")}
    assert found["precision_at_capacity"]["value"] == pytest.approx(2 / 5) and found["recall_at_capacity"]["value"] == pytest.approx(2 / 3)
    assert found["precision_at_20_percent"]["value"] == pytest.approx(0.5) and found["auc"]["value"] == pytest.approx(17 / 21)
    assert found["auc"]["low"] <= found["auc"]["value"] <= found["auc"]["high"] and found["auc"]["n"] == 10
    alerts = {7.0: index[:2], 14.0: index[1:3]}
    lead, warned = judging.lead_times(alerts, y, pd.Series(100.0, index=index), draws=20)
    assert lead["value"] == pytest.approx(89.5) and lead["n"] == 2 and warned["value"] == pytest.approx(2 / 3)
    assert [r["value"] for r in judging.churn(alerts)] == [0.5]


def test_false_alarms_are_counted_and_small_groups_hidden():
    index = pd.MultiIndex.from_product([[f"l{i}" for i in range(60)], ["M"], ["2014J"]], names=UNIT)
    learners = pd.DataFrame({"learner_id": [f"l{i}" for i in range(60)], "group": ["a"] * 30 + ["b"] * 25 + ["c"] * 3 + ["d"] * 2})
    y = pd.Series(0.0, index=index)
    found = judging.false_alarms(index, y, learners, ["group"])
    assert found[0]["value"] == 60
    by = {r["group"]: r["value"] for r in found[1:]}
    assert by["group=c"] is None and by["group=d"] is None and by["group=a"] == 30
    assert by["group=b"] is None  # 60 - 30 - 25 would tell that five are left
    assert [r["value"] for r in judging.false_alarms(index[:4], y, learners, ["group"])] == [4, None]
