"""What a learner's risk is associated with, in words a teacher can use: what can be acted on, and what is only context.

A reason says what was seen of the learner beside what is typical of the same run. It is what the model read, and no cause.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.risk.features import MONOTONE, TO_RUN, actionable, meaning
from edukit.risk.snapshot import RUN
from edukit.schema import DataError

THEMES: dict[str, tuple[str, ...]] = {
    "work": ("share_submitted", "submitted", "missed", "missed_weight", "missed_in_a_row", "ahead"),
    "marks": ("mean_score", "weighted_score", "score_to_mean", "lowest_score", "last_score_to_mean", "score_change", "marks_earned"),
    "timing": ("late", "days_early", "last_days_early", "days_since_submission"),
    "pages": ("clicks", "clicks_to_median", "active_days", "active_days_to_mean", "recent_clicks", "click_change", "days_since_click", "kinds_used"),
    "mastery": ("mean_mastery", "lowest_mastery", "weak_concepts"),
}
"""Features that tell of one thing: their contributions are added, and one of them speaks for all. Those of attendance are one theme too."""
KINDS = ("actionable", "context")
NOTHING = "nothing that can be acted on stands out"

_THEME = {feature: theme for theme, features in THEMES.items() for feature in features}
_AWAY = ("absent", "unexcused", "late_days", "minutes_late", "longest_absence", "absence_now", "weekday_absence")
_PER_CENT = {"marks_earned", "share_submitted", "missed_weight", "mean_mastery", "lowest_mastery", "absent", "unexcused", "late_days", "weekday_absence",
             "attendance_change", "attendance_slope"}
_SIGNED = {"score_to_mean", "last_score_to_mean", "score_change", "active_days_to_mean"}
_TIMES = {"clicks_to_median", "click_change"}  # logarithms of a ratio
_EARLY = {"days_early", "last_days_early", "registered_early"}  # days before (negative: after)
_OF_DUE = {"share_submitted", "missed"}  # said as a count of the work due
_SIDE = {**MONOTONE, **dict.fromkeys(("days_since_submission", *_AWAY), 1),
         **dict.fromkeys(("score_change", "last_days_early", "click_change", "kinds_used", "attendance_change", "attendance_slope"), -1)}
_SAID_BY = {"clicks_to_median": "clicks", "active_days_to_mean": "active_days"}  # said by the plain number, where that is there
_SAID = {
    "share_submitted": "has handed in {value} pieces of work due so far; typical {typical}",
    "missed": "has missed {value} pieces of work due so far; typical {typical}",
    "score_to_mean": "marks lie {value} the mean of the same work; typical {typical} it",
    "last_score_to_mean": "latest mark lies {value} the mean of the same work; typical {typical} it",
    "score_change": "latest mark lies {value} the ones before, each against the mean; typical {typical} them",
    "active_days_to_mean": "days with an action on the course pages lie {value} the mean of the run; typical {typical} it",
    "clicks_to_median": "actions on the course pages: {value} those of the middle learner of the run; typical {typical}",
    "days_early": "work is handed in {value} it is due, on average; typical {typical}",
    "last_days_early": "the latest work was handed in {value} it was due; typical {typical}",
    "registered_early": "registered {value} the start; typical {typical}",
    "click_change": "actions of the last 14 days: {value} those of the 14 days before; typical {typical}",
}


def theme(feature: str) -> str:
    """What a feature tells of: one of :data:`THEMES`, ``attendance``, or for context the feature itself (an attribute without its value)."""
    return _THEME.get(feature) or ("attendance" if actionable(feature) else feature.partition("=")[0])


def typical(features: pd.DataFrame, k: int = K) -> pd.DataFrame:
    """The median of every feature over the learners of the same run, over all runs where fewer than ``k`` have a value, and NaN where too few have one at all.

    Parameters
    ----------
    features : (N, F) numeric, indexed by unit.

    Returns
    -------
    DataFrame
        (N, F), aligned to ``features``.
    """
    overall = features.median().where(features.notna().sum() >= k)
    levels = [level for level in RUN if level in features.index.names]
    if not levels:
        return pd.DataFrame(np.tile(overall.to_numpy(), (len(features), 1)), features.index, features.columns)
    by = features.groupby(level=levels)
    return by.transform("median").where(by.transform("count") >= k, overall, axis=1)


def reasons(contributions: pd.DataFrame, features: pd.DataFrame, usual: pd.DataFrame | None = None, most: int = 3, least: float = 0.05,
            means: Callable[[str], str] = meaning) -> pd.DataFrame:
    """What raises each learner's risk, the strongest first, in words.

    A theme is a reason where its contributions together raise the risk by at least ``least``. The feature of the theme that contributes most
    speaks for it; one whose value is the typical one, or lies on its better side, does not speak. What a feature adds as it is and less the mean of
    its run (:data:`~edukit.risk.features.RELATIVE`) is added.

    Parameters
    ----------
    contributions : (N, F) in logits, as ``RiskModel.contributions`` returns them.
    features : values of the same columns and rows (further ones are allowed); ``due``, where it is there, turns shares into counts.
    usual : what each value is compared with, aligned to ``features``; by default :func:`typical` of it.
    most : reasons of each kind (actionable, context) a learner at most.
    least : logits below which a theme is no reason.
    means : what a feature means in words.

    Returns
    -------
    DataFrame
        Indexed by unit (repeated): ``kind`` (actionable or context), ``theme, feature, contribution`` (of the whole theme, logits),
        ``value, typical, words``; in the order of ``contributions``, within a learner actionable first, then by contribution.

    Raises
    ------
    DataError
        Where a row or column of ``contributions`` is not among the features.
    """
    if absent := [name for name in contributions if name not in features]:
        raise DataError(f"features must have every column of the contributions; found no {', '.join(map(str, absent[:5]))}. "
                        "Hand over what the model was asked with.")
    if not contributions.index.isin(features.index).all():
        held = int(contributions.index.isin(features.index).sum())
        raise DataError(f"features must have every row of the contributions; found {held:,} of {len(contributions):,}.")
    contributions = contributions.T.groupby(lambda name: name.removesuffix(TO_RUN), sort=False).sum().T  # said as the feature itself
    usual = (typical(features) if usual is None else usual).reindex(index=contributions.index)
    known, names = features.reindex(contributions.index), list(contributions)
    values, middle = known[names].to_numpy(float), usual.reindex(columns=names).to_numpy(float)
    long = pd.DataFrame({
        "row": np.repeat(np.arange(len(contributions)), len(names)), "feature": np.tile(np.array(names, dtype=object), len(contributions)),
        "part": contributions.to_numpy(float).ravel(), "value": values.ravel(), "typical": middle.ravel(), "speaks": _speaks(names, values, middle).ravel()})
    long["theme"], long["kind"] = long["feature"].map({n: theme(n) for n in names}), long["feature"].map({n: KINDS[not actionable(n)] for n in names})
    long["contribution"] = long.groupby(["row", "theme"])["part"].transform("sum")
    heard = long[long["speaks"] & (long["part"] > 0) & (long["contribution"] >= least)]
    heard = heard.sort_values(["row", "part", "feature"], ascending=[True, False, True]).drop_duplicates(["row", "theme"])
    heard = heard.sort_values(["row", "kind", "contribution", "theme"], ascending=[True, True, False, True])
    heard = heard[heard.groupby(["row", "kind"]).cumcount() < most]
    heard["words"] = _sentences(heard, known, usual, means)
    return heard[["kind", "theme", "feature", "contribution", "value", "typical", "words"]].set_axis(contributions.index[heard["row"]])


def _sentences(heard: pd.DataFrame, known: pd.DataFrame, usual: pd.DataFrame, means: Callable[[str], str]) -> list[str]:
    """What is said of each reason."""
    due = known["due"].to_numpy(float)[heard["row"]] if "due" in known else np.full(len(heard), np.nan)
    found = []
    for row, feature, value, middle, of in zip(heard["row"], heard["feature"], heard["value"], heard["typical"], due, strict=True):
        plain = _SAID_BY.get(feature)
        if plain in known and known[plain].iat[row] != usual[plain].iat[row]:
            feature, value, middle = plain, known[plain].iat[row], usual[plain].iat[row]
        found.append(in_words(feature, value, middle, of, means))
    return found


def _speaks(names: list[str], values: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """(N, F) whether a value may be given as a reason: it differs from the typical one, on the side that does not lower the risk."""
    found = np.zeros(values.shape, dtype=bool)
    for j, name in enumerate(names):
        value, usual = values[:, j], middle[:, j]
        if "=" in name:
            found[:, j] = value == 1
        elif not actionable(name):
            found[:, j] = ~np.isnan(value)
        else:
            side = _SIDE.get(name, 0) * (value - usual)
            places = 2 if name in _PER_CENT | _TIMES or "mastery" in name else 0
            apart = np.round(value, places) != np.round(usual, places)
            found[:, j] = np.where(np.isnan(value), ~np.isnan(usual), np.isnan(usual) | (apart & (side >= 0)))
    return found


def in_words(feature: str, value: float, usual: float, due: float = np.nan, means: Callable[[str], str] = meaning) -> str:
    """One feature of one learner beside what is typical.

    Examples
    --------
    >>> in_words("share_submitted", .25, 1.0, due=4)
    'has handed in 1 of 4 pieces of work due so far; typical 4 of 4'
    >>> in_words("days_early", -3, 1.5)
    'work is handed in 3 days after it is due, on average; typical 1.5 days before'
    >>> in_words("days_since_click", 16, 2)
    'days since the last action on the course pages: 16; typical 2'
    """
    if "=" in feature:
        return means(feature)
    mine, middle = _number(feature, value, due), _number(feature, usual, due)
    said = _SAID.get(feature)
    if said is None or np.isnan(value):
        return f"{means(feature)}: {mine}" + ("" if np.isnan(usual) else f"; typical {middle}")
    return said.format(value=mine, typical=middle) if not np.isnan(usual) else said.split("; typical")[0].format(value=mine)


def _number(feature: str, value: float, due: float) -> str:
    """A value as a teacher reads it."""
    if np.isnan(value):
        return "not known yet"
    if feature in _OF_DUE and due > 0:
        return f"{round(value * due) if feature == 'share_submitted' else round(value)} of {due:.0f}"
    if feature in _PER_CENT:
        return f"{100 * value:.0f} %"
    if feature in _TIMES:
        return f"{np.exp(value):.1f} times"
    if feature in _EARLY:
        return f"{abs(value):.{0 if abs(value) >= 10 or value == round(value) else 1}f} days {'after' if value < 0 else 'before'}"
    if feature in _SIGNED:
        unit = "days" if "days" in feature else "points"
        return f"{abs(value):.0f} {unit} {'below' if value < 0 else 'above'}"
    return f"{value:.0f}" if value == round(value) or abs(value) >= 10 else f"{value:.1f}"


def texts(found: pd.DataFrame, units: pd.Index) -> pd.DataFrame:
    """One sentence a kind and learner, for the table ``risks``.

    Parameters
    ----------
    found : what :func:`reasons` returned.
    units : those the sentences are asked for.

    Returns
    -------
    DataFrame
        Indexed by ``units``: ``actionable`` (never missing) and ``context`` (missing where there is none).

    Examples
    --------
    >>> found = pd.DataFrame({"kind": ["actionable"], "words": ["has handed in 1 of 4 pieces of work; typical 4 of 4"]}, index=["a"])
    >>> texts(found, pd.Index(["a", "b"]))["actionable"].tolist()
    ['associated with: has handed in 1 of 4 pieces of work; typical 4 of 4', 'nothing that can be acted on stands out']
    """
    levels = list(range(found.index.nlevels))
    said = {kind: found[found["kind"] == kind].groupby(level=levels)["words"].agg(" | ".join) for kind in KINDS}
    table = pd.DataFrame({kind: ("associated with: " + words.astype("str")).reindex(units) for kind, words in said.items()}, index=units)
    return table.fillna({"actionable": NOTHING})
