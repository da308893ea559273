"""Every group gets a row and a reason; planted gaps are found, fair models pass, and nothing about few learners can be read off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.governance import fairness, mitigation
from edukit.governance.fairness import COLUMNS, ESTIMATED, ONE, THIN, audit, found_gaps
from edukit.schema import DataError

N = 1200
QUICK = {"permutations": 999, "draws": 100}


def fair(seed: int = 0, n: int = N):
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 3, n)
    return rng, (rng.random(n) < p).astype(float), p


@pytest.mark.parametrize("coding", [["a", "b"], [1, 2], [0.0, 1.0], [True, False], ["x", "y", "z"], [1, 2, 3], list("abcde"), ["<b>", "=1+1", "'"]])
def test_any_coding_gives_a_row_per_group(coding):
    rng, y, p = fair()
    table = audit(y, p, pd.Series([coding[i] for i in rng.integers(0, len(coding), N)]), permutations=99, draws=20)
    assert list(table.columns) == list(COLUMNS) and len(table) == len(coding)
    assert set(table["state"]) == {ESTIMATED} and (table["reason"] == "").all()
    assert table["group"].tolist() == sorted(str(int(c)) if isinstance(c, float) else str(c) for c in coding)
    assert (table["low"] <= table["abroca"]).all() and (table["abroca"] <= table["high"]).all() and table["power"].between(0, 1).all()


def test_small_empty_and_one_outcome_groups_have_a_reason_and_no_number():
    rng, y, p = fair()
    group = pd.Categorical(rng.choice(["a", "b", "ones"], N, p=[0.5, 0.4, 0.1]), categories=["a", "b", "ones", "few", "nobody"])
    group = pd.Series(group)
    group.iloc[:6], group.iloc[6:20] = "few", None
    y[(group == "ones").to_numpy()] = 1
    table = audit(y, p, group.rename("g"), **QUICK).set_index("group")
    assert table["state"].to_dict() == {"a": ESTIMATED, "b": ESTIMATED, "ones": ONE, "few": THIN, "nobody": THIN, "not stated": ESTIMATED}
    assert table.loc["few", "reason"] == "fewer than 10 learners" and table.loc["nobody", "reason"] == "no learner"
    assert "one outcome" in table.loc["ones", "reason"]
    assert table.loc[["ones", "few", "nobody"], list(COLUMNS[6:])].isna().all(axis=None)


def test_the_size_of_a_small_group_cannot_be_told_by_subtraction():
    _, y, p = fair()
    table = audit(y, p, pd.Series(["a"] * 700 + ["b"] * 495 + ["c"] * 5), permutations=99, draws=20).set_index("group")
    assert table["learners"].isna().to_dict() == {"a": False, "b": True, "c": True} and table["n"].isna().equals(table["learners"].isna())
    assert np.isfinite(table.loc["b", ["abroca", "p_adjusted"]].astype(float)).all()  # its size is hidden, not what is found


def test_a_number_that_most_share_is_no_reason_to_stop():
    _, y, p = fair()
    table = audit(y, p, pd.Series([0.0] * (N - 100) + [float(n) for n in range(1, 101)]), permutations=99, draws=20)
    assert table["group"].tolist() == ["all values"] and table["reason"].tolist() == ["no other learner to compare with"]


def test_one_group_alone_and_a_single_learner_of_many_rows_have_nothing_to_compare_with():
    _, y, p = fair()
    assert audit(y, p, pd.Series(["k"] * N))["reason"].tolist() == ["no other learner to compare with"]
    table = audit(y, p, pd.Series(["a"] * 600 + ["b"] * 600), units=np.repeat(["one", "other"], 600))
    assert table["state"].tolist() == [THIN, THIN]  # 600 rows of one learner are one learner


def test_a_rate_that_rests_on_few_learners_is_not_told():
    _, y, p = fair()
    group = np.arange(N) < 100
    y[group] = (np.arange(100) < 4).astype(float)
    row = audit(y, p, pd.Series(group), **QUICK).set_index("group").loc["True"]
    assert row["state"] == ESTIMATED and np.isnan(row["tpr_gap"]) and np.isfinite(row["fpr_gap"]) and "outcome 1" in row["reason"]


def test_two_groups_mirror_each_other_and_count_once_in_the_correction():
    rng, y, p = fair()
    group = pd.Series(rng.choice(["f", "m"], N))
    one, other = (row for _, row in audit(y, p, group, **QUICK).iterrows())
    assert one["abroca"] == other["abroca"] and one["p"] == other["p"] and one["p_adjusted"] == other["p_adjusted"]
    assert one["tpr_gap"] == -other["tpr_gap"] and one["fpr_gap_low"] == -other["fpr_gap_high"]
    tests = [one["p_adjusted"], *(one[f"{gap}_p_adjusted"] for gap in fairness.GAPS)]
    assert one["p_adjusted"] <= 4 * one["p"] + 1e-12 and all(0 <= p <= 1 for p in tests)


def test_rates_equal_those_of_fairlearn():
    from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate

    rng, y, p = fair()
    group, module = pd.Series(rng.choice(["f", "m"], N)), rng.integers(0, 3, N)
    frame = MetricFrame(metrics={"tpr": true_positive_rate, "fpr": false_positive_rate}, y_true=y, y_pred=p >= 0.4, sensitive_features=group)
    row = audit(y, p, group, threshold=0.4, **QUICK).set_index("group").loc["f"]
    for name in ("tpr", "fpr"):
        assert row[f"{name}_gap"] == pytest.approx(frame.by_group.loc["f", name] - frame.by_group.loc["m", name])
    within = MetricFrame(metrics=true_positive_rate, y_true=y, y_pred=p >= 0.4, sensitive_features=group, control_features=module).by_group.unstack()
    share = pd.Series(module[y == 1]).value_counts(normalize=True).sort_index().to_numpy()
    row = audit(y, p, group, module, threshold=0.4, **QUICK).set_index("group").loc["f"]
    assert row["tpr_gap"] == pytest.approx(float(share @ (within["f"] - within["m"]).to_numpy()))


def test_planted_gaps_are_found_by_name_and_fair_models_are_left_alone():
    rng, y, p = fair(n=3000)
    group = pd.DataFrame({"unfair": rng.choice(["a", "b"], 3000), "fair": rng.choice(list("uvw"), 3000)})
    told = np.where(group["unfair"] == "a", p, np.clip(p - 0.2, 0, 1))  # too low for b
    found = found_gaps(audit(y, told, group, **QUICK))
    assert found and all(line.startswith("unfair = ") for line in found)
    assert {"calibration_gap", "tpr_gap"} <= {name for name in fairness.GAPS for line in found if f": {name} " in line}
    assert not any("abroca" in line for line in found)  # moved as a whole, b is ranked as well as before
    blurred = np.where(group["unfair"] == "a", p, rng.beta(2, 3, 3000))
    assert any("abroca" in line for line in found_gaps(audit(y, blurred, group, **QUICK)))


def test_of_fair_models_one_in_twenty_at_most_is_accused():
    accused = []
    for seed in range(40):
        rng, y, p = fair(seed, 400)
        accused.append(bool(found_gaps(audit(y, p, pd.DataFrame({"g": rng.integers(0, 2, 400), "h": rng.integers(0, 3, 400)}), permutations=199, draws=60))))
    assert np.mean(accused) <= 0.125  # 5 %, and what 40 draws add to it


def test_many_numbers_are_cut_into_quarters_and_names_are_not_shown():
    rng, y, p = fair()
    table = audit(y, p, pd.DataFrame({"age": rng.integers(18, 70, N), "name": [f"Ann {i}" for i in range(N)]}), permutations=99, draws=20)
    assert (table["attribute"] == "age").sum() == 4 and table["group"].str.contains("Ann").sum() == 0
    assert not table["group"].str.contains("18|69").any()  # the youngest and the oldest may be one person


def test_rows_without_a_prediction_are_left_out_and_faults_are_named():
    rng, y, p = fair()
    group = pd.Series(rng.choice(["f", "m"], N))
    gone = np.where(np.arange(N) % 7 == 0, np.nan, p)
    kept = np.isfinite(gone)
    assert audit(y, gone, group, **QUICK).equals(audit(y[kept], p[kept], group[kept], **QUICK))
    with pytest.raises(DataError, match="one length"):
        audit(y[:-1], p, group)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        audit(y, p + 1, group)


# ---- mitigation -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def biased() -> pd.DataFrame:
    rng, y, p = fair(1, 4000)
    group = rng.choice(["a", "b"], 4000)
    return pd.DataFrame({"y": y, "p": np.clip(np.where(group == "a", p, 0.6 * p), 0, 1), "group": group})


def test_what_knows_no_group_leaves_the_ranking_and_its_cost_is_shown(biased):
    fit, test = biased.iloc[:2000], biased.iloc[2000:].reset_index(drop=True)
    table = mitigation.compare(fit, test, capacity=0.2).set_index("way")
    as_it_is, calibrated, searched = (table.loc[way] for way in ("as it is", "recalibrated", "one threshold searched"))
    assert not table["reads_group"].any()
    assert calibrated["ece"] < as_it_is["ece"] and calibrated["auc"] == as_it_is["auc"] and calibrated["abroca"] == pytest.approx(as_it_is["abroca"], abs=1e-9)
    assert as_it_is["alarms"] == calibrated["alarms"] == pytest.approx(0.2, abs=1e-3)
    assert 0.1 <= searched["alarms"] <= 0.2 and searched["tpr_gap"] <= as_it_is["tpr_gap"] + 0.02
    assert table[["precision", "recall"]].notna().all(axis=None)


def test_thresholds_by_group_must_be_asked_for_and_say_so(biased):
    fit, test = biased.iloc[:2000], biased.iloc[2000:].reset_index(drop=True)
    table = mitigation.compare(fit, test.assign(group=test["group"].where(test.index > 4)), group_aware=True).set_index("way")
    aware = table.loc["a threshold per group (fairlearn)"]
    assert aware["reads_group"] and aware["tpr_gap"] < 0.6 * table.loc["as it is", "tpr_gap"]
    with pytest.raises(DataError, match="capacity"):
        mitigation.compare(fit, test, capacity=20)


def test_of_equal_risks_no_place_in_the_table_decides():
    test = pd.DataFrame({"y": [1.0] * 30 + [0.0] * 30, "p": 0.5, "group": ["a"] * 30 + ["b"] * 30})
    told = [mitigation.compare(rows, rows, capacity=0.2) for rows in (test, test[::-1].reset_index(drop=True))]
    pd.testing.assert_frame_equal(*told)
    assert (told[0]["precision"].round(9) == 0.5).all() and (told[0].loc[:1, "recall"].round(9) == 0.2).all()
    assert mitigation.first(np.array([3.0, 2, 2, 2, 1]), 0.4).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])


def test_who_states_no_group_or_a_rare_one_is_decided_as_everybody_is(biased):
    rng = np.random.default_rng(4)
    fit, test = (rows.reset_index(drop=True) for rows in (biased.iloc[:1000], biased.iloc[1000:2000]))
    few = rng.permutation(1000) < 60
    fit["group"] = fit["group"].mask(few).mask(np.arange(1000) < 4, "rare")
    test["group"] = test["group"].mask(few).mask(np.arange(1000) >= 990, "new").mask(np.arange(1000) < 10, "rare")
    plain = mitigation.first(test["p"].to_numpy(), 0.2)
    alarm, silent = mitigation._by_group(fit, test, plain, 10, 0), test["group"].isna() | test["group"].isin(["rare", "new"])
    assert (alarm[silent] == plain[silent]).all() and plain[silent].sum() > 0 and (alarm[~silent] != plain[~silent]).any()
    bands = mitigation._by_group(fit.assign(group=rng.normal(size=1000)), test.assign(group=rng.normal(size=1000)), plain, 10, 0)
    assert set(bands) <= {0.0, 1.0} and bands.sum() > 0  # a number is cut into bands, the same in both
