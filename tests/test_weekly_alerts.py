"""From a model to this week's list: reasons and changes of those who are on it, the same learners as the tiers, and a table that is valid."""

from __future__ import annotations

import pandas as pd
import pytest
from edukit.experiments.weekly_alerts import explained, write_alerts

from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk import capacity, features, outcomes
from edukit.risk.counterfactual import NONE_FOUND
from edukit.risk.early_warning import Boosting
from edukit.risk.expected_benefit import by_kind, in_words
from edukit.risk.features import actionable
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.validation import validate


@pytest.fixture(scope="module")
def course():
    tables = SyntheticCourse(modules=3, learners_per_run=60).course()[0]
    known, ended = features.build(Snapshot(56).take(tables)), outcomes.outcome(tables)
    now = known[known.index.get_level_values("presentation") == "2014J"]
    past = known.drop(index=now.index)
    model = Boosting(trees=60, fewest=20, refits=2).fit(past, ended.reindex(past.index))
    return tables, past, now, ended, model


@pytest.fixture(scope="module")
def told(course):
    _, _, now, _, model = course
    return explained(model, now, capacity.risk_table(model.predict(now), 56, 9))


def test_everybody_with_a_risk_has_reasons_and_nobody_else(told):
    risks, reasons = told
    known = risks["risk"].notna()
    assert risks.loc[known, "actionable"].notna().all() and risks.loc[~known, ["actionable", "context", "counterfactual"]].isna().all(axis=None)
    assert validate(risks, "risks")["tier"].eq(capacity.NOW).sum() == 9
    assert reasons["words"].str.len().gt(0).all() and reasons.loc[reasons["kind"] == "actionable", "feature"].map(actionable).all()


def test_a_change_takes_a_learner_below_the_first_who_is_left_out(course, told):
    _, _, now, _, model = course
    risks, _ = told
    table = risks.set_index(UNIT)
    on = table[table["tier"] == capacity.NOW]
    assert on["counterfactual"].notna().all() and table.loc[table["tier"] != capacity.NOW, "counterfactual"].isna().all()
    assert on["counterfactual"].ne(NONE_FOUND).any()
    assert on["counterfactual"].map(lambda words: words == NONE_FOUND or " instead of " in words).all()


def test_the_list_is_that_of_the_tiers_and_holds_what_is_expected(course, told, tmp_path):
    tables, past, now, ended, _ = course
    risks, reasons = told
    expected, said, _ = by_kind(tables["interventions"], past.drop(columns="observed"), ended.reindex(past.index), now, 56, least=20)
    alerts = write_alerts(tmp_path, risks, reasons, tmp_path / "alerts.sqlite", 8, 9, in_words(expected))
    listed = risks[risks["tier"] == capacity.NOW]
    assert alerts["learner_id"].tolist() == listed["learner_id"].tolist() and alerts["rank"].tolist() == list(range(1, 10))
    assert alerts["reason"].str.startswith("associated with: ").all() and alerts["suggested"].notna().any()
    assert set(said) == {"call", "message", "mentor"} and alerts["expected"].str.contains("call: ").all()
    page = (tmp_path / "alerts.html").read_text(encoding="utf-8")
    assert all(str(one) in page for one in alerts["learner_id"])
    assert len(pd.read_csv(tmp_path / "alerts.csv")) == 9
    pd.testing.assert_frame_equal(write_alerts(tmp_path, risks, reasons, tmp_path / "alerts.sqlite", 8, 9), alerts)


def test_the_table_is_valid(course, told, tmp_path):
    risks, reasons = told
    validate(write_alerts(tmp_path, risks, reasons, tmp_path / "alerts.sqlite", 8, 9), "alerts")
