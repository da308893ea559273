"""What every model under conf/risk must hold, whatever it is made of."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from edukit.metrics import auc
from edukit.protocols import NotFittedError, RiskModel
from edukit.risk.features import NOT_READ, OBSERVED
from edukit.risk.snapshot import UNIT
from edukit.risk.weekly_events import CHANNELS, column_of
from edukit.schema import DataError

CONF = Path(__file__).resolve().parents[2] / "conf" / "risk"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
QUICK = {"epochs": 2, "hidden": 6, "trees": 20, "refits": 2}  # by parameter name, where a model has it
WEEKS = 4


def build_model(name: str, **changes: Any) -> Any:
    """The model of a yaml as users get it, only smaller where it has a size."""
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    settings = {key: 0 if value == "${seed}" else QUICK.get(key, value) for key, value in settings.items()}
    return getattr(importlib.import_module(module), kind)(**{**settings, **changes})


@cache
def world(n: int = 420, random_outcome: bool = False, seed: int = 5) -> tuple[pd.DataFrame, pd.Series]:
    """Features of n learners in three presentations, with every kind of column; those who do little and miss work end badly."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_arrays([[f"l{i:04d}" for i in range(n)], rng.choice(["M", "N"], n), np.array(["2013B", "2013J", "2014B"])[np.arange(n) % 3]],
                                      names=UNIT)
    engaged = rng.normal(0, 1, n)
    table = pd.DataFrame({OBSERVED: 5.0, "due": 3.0, "missed": rng.poisson(np.exp(-0.5 * engaged)), "mean_score": 60 + 10 * engaged + rng.normal(0, 8, n),
                          "credits": rng.choice([30.0, 60.0], n), "module=M": (index.get_level_values(1) == "M").astype(float)}, index=index)
    for week in range(WEEKS + 1):
        for k, channel in enumerate(CHANNELS):
            table[column_of(week, channel)] = rng.poisson(np.exp(0.5 + 0.4 * engaged)) + 0.1 * k
    table.loc[rng.random(n) < 0.1, "mean_score"] = np.nan
    p = np.full(n, 0.4) if random_outcome else 1 / (1 + np.exp(0.4 + 2 * engaged))
    return table.astype("float64"), pd.Series((rng.random(n) < p).astype(float), index=index)


@cache
def fitted(name: str) -> Any:
    table, y = world()
    return build_model(name).fit(table, y)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def test_models_were_found():
    assert {"boosting", "logistic", "gru"} <= set(NAMES)


def test_risks_lie_in_their_interval_and_rank_new_learners(name):
    model, (table, y) = fitted(name), world(seed=6)
    found = model.predict(table)
    assert isinstance(model, RiskModel) and found.index.equals(table.index) and list(found) == ["risk", "low", "high"]
    assert found.stack().between(0, 1).all() and (found["low"] <= found["risk"]).all() and (found["risk"] <= found["high"]).all()
    assert auc(y.to_numpy(), found["risk"].to_numpy()) > 0.75
    pd.testing.assert_series_equal(model.score(table), found["risk"])


def test_the_order_and_the_names_of_learners_do_not_matter(name):
    table, y = world()
    turned = table.sample(frac=1, random_state=3)
    renamed = turned.rename(index=lambda who: f"x{hash(who) % 10**9}" if str(who).startswith("l") else who, level=0)
    again = build_model(name).fit(renamed, y.reindex(turned.index).set_axis(renamed.index))
    wanted = fitted(name).predict(table).loc[turned.index]
    np.testing.assert_allclose(again.predict(renamed), wanted, atol=1e-6)
    one = fitted(name).predict(table.iloc[[7]])
    np.testing.assert_allclose(one, fitted(name).predict(table).iloc[[7]], atol=1e-6)  # alone as among others


def test_one_seed_gives_one_model_and_another_seed_another_interval(name):
    table, y = world()
    pd.testing.assert_frame_equal(build_model(name).fit(table, y).predict(table), fitted(name).predict(table))
    assert not build_model(name, seed=1).fit(table, y).predict(table)["low"].equals(fitted(name).predict(table)["low"])


def test_who_was_not_seen_has_no_risk_and_changes_no_other(name):
    table, _ = world()
    unseen = table.assign(**{OBSERVED: np.where(np.arange(len(table)) < 3, 0.0, 5.0)})
    found, whole = fitted(name).predict(unseen), fitted(name).predict(table)
    assert found.iloc[:3].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.iloc[3:], whole.iloc[3:])


def test_a_random_outcome_is_not_predicted(name):
    table, y = world(1500, random_outcome=True)
    later, ends = world(3000, random_outcome=True, seed=9)
    risk = build_model(name, refits=0).fit(table, y).score(later)
    assert auc(ends.to_numpy(), risk.to_numpy()) == pytest.approx(0.5, abs=0.03)


def test_what_is_not_read_and_who_has_no_outcome_change_nothing(name):
    table, y = world()
    other = table.assign(due=99.0, **{OBSERVED: 1.0})
    model = build_model(name).fit(other, y)
    assert not set(NOT_READ) & set(model.columns_)
    pd.testing.assert_frame_equal(model.predict(table), fitted(name).predict(table))
    more = pd.concat([table, world(30, seed=8)[0].rename(index=lambda who: f"new {who}", level=0)])
    pd.testing.assert_frame_equal(build_model(name).fit(more, y).predict(table), fitted(name).predict(table))


def test_contributions_add_up_to_the_logit(name):
    model, (table, _) = fitted(name), world(seed=6)
    parts = model.contributions(table)
    assert list(parts) == model.columns_ and parts.index.equals(table.index) and np.isfinite(parts.to_numpy()).all()
    logits = model._logits(model._models[0], model._matrix(table))
    assert np.std(logits - parts.sum(axis=1)) < 0.02 * max(np.std(logits), 0.1)  # of a network: nearly


def test_saved_and_loaded_it_says_the_same(name, tmp_path):
    table, y = world()
    fitted(name).save(tmp_path / "one.json")
    build_model(name).fit(table, y).save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    loaded = type(fitted(name)).load(tmp_path / "one.json")
    pd.testing.assert_frame_equal(loaded.predict(table), fitted(name).predict(table))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match="other.json"):
        type(fitted(name)).load(tmp_path / "other.json")


def test_unfitted_and_unfit_data_are_refused(name, tmp_path):
    table, y = world()
    for ask in (lambda m: m.predict(table), lambda m: m.score(table), lambda m: m.contributions(table), lambda m: m.save(tmp_path / "x.json")):
        with pytest.raises(NotFittedError):
            ask(build_model(name))
    for rows, ends in ((table.iloc[:10], y.iloc[:10]), (table, y * 0), (pd.concat([table, table.iloc[:1]]), y)):
        with pytest.raises(DataError):
            build_model(name).fit(rows, ends)


def test_missing_and_new_columns_do_not_stop_a_prediction(name):
    table, _ = world()
    found = fitted(name).predict(table.drop(columns=["mean_score", "module=M"]).assign(unknown=1.0))
    assert found["risk"].between(0, 1).all()
