"""Which modules differ from what their intake leads one to expect, which assessments tell little, and what changed from term to term by mid-term.

Everything here is computed from :class:`edukit.governance.privacy.Aggregate` tables: first rows are made (one a learner and module), then
aggregated with small cells hidden, and only then judged. A difference is associated with a module; what it comes from is not known.

References
----------
Spiegelhalter, D. J. (2005). Funnel plots for comparing institutional performance. Statistics in Medicine 24.
Morris, C. N. (1983). Parametric empirical Bayes inference. Journal of the American Statistical Association 78.
DerSimonian, R., & Laird, N. (1986). Meta-analysis in clinical trials. Controlled Clinical Trials 7.
DeLong, E. R., et al. (1988). Comparing the areas under correlated ROC curves. Biometrics 44.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from edukit.governance.privacy import TOTAL, Aggregate, K, aggregate
from edukit.schema import DataError

NOT_PASSED = ("Fail", "Withdrawn")
LIMITS = {"95": 1.959964, "99.8": 3.090232}
TELLS_LITTLE = 0.65  # below this the chance that a learner who passed had the higher mark is called little
HIDDEN, FEW = "suppressed", "not enough data"
INTAKE = ("previous_attempts", "credits", "prior_attainment", "highest_education")
UNIT = ["learner_id", "module_id", "presentation"]


def intake_rows(tables: Mapping[str, pd.DataFrame], intake: Sequence[str] = INTAKE, seed: int = 0) -> pd.DataFrame:
    """One row an enrolment with a known ending: passed, expected (from intake alone, by a logistic regression fitted without its fold), variance.

    Parameters
    ----------
    tables : enrolments with final_result, and learners where there are attributes.
    intake : columns of enrolments or learners to adjust for; those that are absent are left out. No attribute of a person enters unasked.
    seed : of the folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = tables.get("enrolments")
    if rows is None or "final_result" not in rows or rows["final_result"].notna().sum() == 0:
        raise DataError("module gaps need enrolments.final_result; found none. They are told after a module has ended.")
    rows = rows[rows["final_result"].notna()]
    if "learners" in tables:
        rows = rows.merge(tables["learners"], on="learner_id", how="left")
    passed = (~rows["final_result"].isin(NOT_PASSED)).to_numpy(float)
    columns = [c for c in intake if c in rows]
    expected = np.full(len(rows), passed.mean())
    if columns and min(rows.loc[passed == end, "learner_id"].nunique() for end in (0, 1)) >= K:
        x = pd.get_dummies(rows[columns], dummy_na=True, dtype=float)
        x = x.fillna(x.median()).fillna(0.0).astype(float)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, random_state=seed))
        expected = cross_val_predict(model, x, passed, groups=rows["learner_id"], cv=StratifiedGroupKFold(5), method="predict_proba")[:, 1]
    return rows[UNIT].assign(passed=passed, expected=expected, variance=expected * (1 - expected)).reset_index(drop=True)


def module_aggregate(tables: Mapping[str, pd.DataFrame], intake: Sequence[str] = INTAKE, seed: int = 0) -> Aggregate:
    """Passed and expected by module and presentation, small cells hidden."""
    return aggregate(intake_rows(tables, intake, seed), ["module_id", "presentation"], ["passed", "expected", "variance"])


def of_few(count: pd.Series, size: pd.Series, k: int, line: pd.Series | None = None) -> pd.Series:
    """Which shares must not be shown: those that stand for 1 to ``k`` - 1 learners, or for all but so few; and others of their line that would give them away.

    Where anything of a line is hidden, two cells of it are at least, and together they stand for ``k`` learners or more on either side, so that a total
    less what is shown tells of nobody.

    Parameters
    ----------
    count, size : learners of whom it is true, and learners in all, by cell; missing = hidden already.
    line : cells with the same value add up to a total that is known; default: all of them.

    Examples
    --------
    >>> of_few(pd.Series([3, 40, 60]), pd.Series([50, 90, 100]), 10).tolist()
    [True, True, False]
    """
    count, size = (v.astype("Float64").astype(float).round().reset_index(drop=True) for v in (count, size))
    least = pd.Series(np.minimum(count, size - count), count.index)
    hide = count.isna() | count.between(1, k - 1) | (size - count).between(1, k - 1)
    for _, cells in (pd.Series(0, count.index) if line is None else line.reset_index(drop=True)).groupby(lambda at: 0 if line is None else line.iloc[at]):
        order = list(least[cells.index][~hide[cells.index]].sort_values(kind="stable").index)
        while order and hide[cells.index].any():
            hidden = cells.index[hide[cells.index]]
            sides = (count[hidden].sum(), (size[hidden] - count[hidden]).sum())
            if len(hidden) > 1 and not any(0 < side < k for side in sides):
                break
            hide[order.pop(0)] = True
    return hide


def funnel(cells: Aggregate) -> pd.DataFrame:
    """Module gaps: observed less expected share, limits that chance alone allows, and the gap shrunken toward none.

    Returns
    -------
    DataFrame
        module_id, presentation, n, observed, expected, gap, error (of chance), shrunken, low, high (95 %, empirical Bayes: the spread of true gaps
        is estimated from all runs), state (inside, outside 95 %, outside 99.8 %, suppressed: also where a share would stand for fewer than k learners).
    """
    table = cells.cells
    table = table[(table["module_id"] != TOTAL) & (table["presentation"] != TOTAL)].reset_index(drop=True)
    rows = (table["passed_sum"] / table["passed_mean"].where(table["passed_mean"] > 0)).astype(float)
    n = rows.where(rows.notna(), table["n"].astype("Float64").to_numpy(float, na_value=np.nan))
    passed = table["passed_mean"].mask(of_few(table["passed_mean"] * n, n, cells.k))
    gap, error = passed - table["expected_mean"], np.sqrt(table["variance_sum"].clip(lower=1e-9)) / n
    known = gap.notna() & np.isfinite(error)
    spread = _spread(gap[known].to_numpy(), error[known].to_numpy())
    keep = spread / (spread + error**2) if spread else 0.0 * error
    z = (gap / error).abs()
    state = np.select([~known, z > LIMITS["99.8"], z > LIMITS["95"]], [HIDDEN, "outside 99.8 %", "outside 95 %"], "inside")
    unsure = 2 / max(int(known.sum()) - 2, 1) * (1 - keep) ** 2 * gap**2  # the spread is estimated too (Morris, 1983, JASA)
    half = LIMITS["95"] * np.sqrt(keep * error**2 + unsure)
    return pd.DataFrame({"module_id": table["module_id"], "presentation": table["presentation"], "n": table["n"], "observed": passed,
                         "expected": table["expected_mean"], "gap": gap, "error": error, "shrunken": keep * gap, "low": keep * gap - half,
                         "high": keep * gap + half, "state": state})


def _spread(gap: np.ndarray, error: np.ndarray) -> float:
    """Variance of true gaps around none beyond what chance explains (method of moments)."""
    if len(gap) < 2:
        return 0.0
    w = 1 / error**2
    return float(max((w @ gap**2 - len(gap)) / w.sum(), 0.0))


def telling_aggregate(tables: Mapping[str, pd.DataFrame]) -> Aggregate:
    """Where learners who passed stand among those who did not, by assessment and ending (a learner's place is the share of the other side that lies below)."""
    end = tables["enrolments"][[*UNIT, "final_result"]].dropna(subset=["final_result"])
    work = tables["submissions"].dropna(subset=["score"]).merge(tables["assessments"][["assessment_id", "module_id", "presentation"]], on="assessment_id")
    rows = work.merge(end, on=UNIT)
    rows["ending"] = np.where(rows["final_result"].isin(NOT_PASSED), "not passed", "passed")
    rows["place"] = 0.0
    for _, part in rows.groupby("assessment_id"):
        good = (part["ending"] == "passed").to_numpy()
        score = part["score"].to_numpy()
        place = np.full(len(part), np.nan)
        for mine, sign in ((good, 1), (~good, -1)):
            other = np.sort(sign * score[~mine])
            if len(other):
                own = sign * score[mine]
                place[mine] = (np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")) / (2 * len(other))
        rows.loc[part.index, "place"] = place
    return aggregate(rows.assign(place_squared=rows["place"] ** 2), ["assessment_id", "ending"], ["place", "place_squared"])


def telling(cells: Aggregate) -> pd.DataFrame:
    """How well each assessment tells who passes: the chance that one who passed had the higher mark (AUC) with its 95 % interval (DeLong).

    Among those who handed it in. A mark that counts towards the ending tells of it in part because it counts.

    Returns
    -------
    DataFrame
        assessment_id, n, auc, low, high, state (tells little, tells, unsure, suppressed); least telling first.
    """
    table = cells.cells
    wide = table[(table["assessment_id"] != TOTAL) & (table["ending"] != TOTAL)].set_index(["assessment_id", "ending"]).unstack()
    columns = pd.MultiIndex.from_product([["n", "place_mean", "place_squared_mean"], ["passed", "not passed"]])
    wide = wide.reindex(columns=columns).astype(float)
    auc, variance = wide["place_mean"]["passed"], 0.0
    for side in ("passed", "not passed"):
        variance = variance + (wide["place_squared_mean"][side] - wide["place_mean"][side] ** 2) / (wide["n"][side] - 1)
    half = LIMITS["95"] * np.sqrt(variance)
    low, high = (auc - half).clip(0, 1), (auc + half).clip(0, 1)
    state = np.select([low.isna(), high < TELLS_LITTLE, low >= TELLS_LITTLE], [HIDDEN, "tells little", "tells"], "unsure")
    found = pd.DataFrame({"n": wide["n"].sum(axis=1, skipna=False), "auc": auc, "low": low, "high": high, "state": state}).rename_axis("assessment_id")
    return found.reset_index().sort_values(["auc", "assessment_id"], ignore_index=True)


def progress_aggregate(tables: Mapping[str, pd.DataFrame], day: float) -> Aggregate:
    """What is known by mid-term, by module and presentation: still enrolled on ``day``, share of the work due by then handed in by then, its mean mark."""
    seats = tables["enrolments"]
    left = seats["unregistered_day"] if "unregistered_day" in seats else pd.Series(np.nan, seats.index)
    rows = seats[UNIT].assign(stayed=(left.isna() | (left > day)).astype(float))
    due = tables["assessments"][tables["assessments"]["due_day"] <= day]
    work = tables["submissions"].merge(due[["assessment_id", "module_id", "presentation"]], on="assessment_id")
    work = work[work["day"] <= day].groupby(UNIT).agg(handed=("assessment_id", "nunique"), mark=("score", "mean")).reset_index()
    asked = due.groupby(["module_id", "presentation"])["assessment_id"].nunique().rename("asked").reset_index()
    rows = rows.merge(work, on=UNIT, how="left").merge(asked, on=["module_id", "presentation"], how="left")
    rows["handed_in"] = rows["handed"].fillna(0).div(rows["asked"].fillna(0).where(rows["asked"] > 0))
    rows["handed_in_squared"] = rows["handed_in"] ** 2
    marked = rows["mark"].notna().groupby([rows["module_id"], rows["presentation"]]).transform("sum")
    rows["mark"] = rows["mark"].where(marked >= K)  # a mean of fewer marks would tell of those few
    return aggregate(rows, ["module_id", "presentation"], ["stayed", "handed_in", "handed_in_squared", "mark"])


def term_against_term(cells: Aggregate) -> pd.DataFrame:
    """Each presentation of a module against the one before it: change of the share still enrolled and of work handed in, with 95 % intervals.

    Returns
    -------
    DataFrame
        module_id, presentation, before, n, stayed, stayed_change, stayed_low, stayed_high, and the same of handed_in; mark; state.
    """
    table = cells.cells
    table = table[(table["module_id"] != TOTAL) & (table["presentation"] != TOTAL)].sort_values(["module_id", "presentation"], ignore_index=True)
    n = table["n"].astype(float)
    table["stayed_mean"] = table["stayed_mean"].mask(of_few(table["stayed_mean"] * n, n, cells.k))
    table["stayed_error"] = table["stayed_mean"] * (1 - table["stayed_mean"]) / (n - 1)
    table["handed_in_error"] = (table["handed_in_squared_mean"] - table["handed_in_mean"] ** 2).clip(lower=0) / (n - 1)
    last = table.groupby("module_id").shift()
    found = pd.DataFrame({"module_id": table["module_id"], "presentation": table["presentation"], "before": last["presentation"], "n": table["n"],
                          "mark": table["mark_mean"]})
    for name in ("stayed", "handed_in"):
        change = table[f"{name}_mean"] - last[f"{name}_mean"]
        half = LIMITS["95"] * np.sqrt(table[f"{name}_error"] + last[f"{name}_error"])
        found = found.assign(**{name: table[f"{name}_mean"], f"{name}_change": change, f"{name}_low": change - half, f"{name}_high": change + half})
    found["state"] = np.select([table["hidden"].astype(bool), last["presentation"].isna(), found["stayed_change"].isna()], [HIDDEN, "first term", HIDDEN],
                               "estimated")
    return found
