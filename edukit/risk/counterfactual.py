"""What would have to be otherwise for a learner not to be on the list: the smallest change of what can be acted on, or the plain answer that none was found.

It tells what the model would say of such a learner, which is associated with the change and no promise that making it helps.

References
----------
Wachter, S., Mittelstadt, B., & Russell, C. (2018). Counterfactual explanations without opening the black box. Harvard Journal of Law & Technology, 31(2).
Ustun, B., Spangher, A., & Liu, Y. (2019). Actionable recourse in linear classification. FAT* 2019. (Changes on actionable features, within what was seen.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd

from edukit.risk.features import MONOTONE, TO_RUN, actionable, meaning
from edukit.schema import DataError

NONE_FOUND = "none found"
CARRIED: dict[str, str] = {
    **dict.fromkeys(("share_submitted", "submitted", "missed_weight", "missed_in_a_row"), "missed"),
    **dict.fromkeys(("weighted_score", "score_to_mean", "marks_earned", "lowest_score"), "mean_score"),
    "last_score_to_mean": "mean_score", "score_change": "mean_score", "last_days_early": "days_early",
    **dict.fromkeys(("clicks", "clicks_to_median", "click_change"), "recent_clicks"), "active_days_to_mean": "active_days",
    "weak_concepts": "mean_mastery",
}
"""Features that count the same thing as another one (as those less the
mean of their run do): they change with it, and are never changed alone where that one is there."""
TOGETHER, GRID, ROWS = 4, 6, 50_000  # levers tried in pairs, values of each then, rows asked at once


def counterfactuals(predict: Callable[[pd.DataFrame], pd.Series], features: pd.DataFrame, threshold: float, most: int = 2,
                    seen: pd.DataFrame | None = None, directions: Mapping[str, int] = MONOTONE) -> pd.DataFrame:
    """The smallest change that brings each learner's risk below a threshold.

    Only features that can be acted on and whose better side is known are changed, towards that side, to values that learners were seen with;
    context never is. What counts the same thing changes along (:data:`CARRIED`): work that is handed in is missed no longer. Of the changes
    that suffice, one of fewer features comes first, then the one that passes fewer learners (the sum over its features of the share of those
    seen who lie between the old value and the new), then the one first by name.

    Parameters
    ----------
    predict : the risk of each row, such as the ``score`` of a model of early warning (its ``predict`` gives intervals too, which takes longer).
    features : (N, F) rows of the learners asked about.
    threshold : the risk to get below, such as that of the first learner whom the capacity leaves out.
    most : features changed at once, 1 or 2.
    seen : rows whose values may be taken, such as those the model was fitted on; by default ``features``.
    directions : which way the risk may go as a feature rises (+1 or -1).

    Returns
    -------
    DataFrame
        Aligned to ``features``: ``found``, ``risk_after`` (NaN where none was found), ``changed`` (a dict: feature -> (old, new), features that
        were carried along included), ``words``. A learner already below the threshold, or without a risk, has ``found`` False.

    Raises
    ------
    DataError
        Where ``most`` is neither 1 nor 2, or ``threshold`` no probability.
    """
    if most not in (1, 2) or not 0 <= threshold <= 1:
        raise DataError(f"most must be 1 or 2, and threshold lie in [0, 1]; found {most} and {threshold}.")
    search = _Search(predict, features, features if seen is None else seen, directions)
    before = predict(features).to_numpy(float)
    left = np.flatnonzero(before >= threshold)
    best: dict[int, _Trial] = search.singles(left, threshold)
    if most == 2 and (rest := [row for row in left if row not in best]):
        best |= search.pairs(rest, threshold)
    rows = []
    for row in range(len(features)):
        trial = best.get(row)
        if trial is None:
            rows.append((False, np.nan, {}, NONE_FOUND if before[row] >= threshold else ""))
            continue
        rows.append((True, trial.risk, trial.changed, in_words(trial.changed, trial.levers, trial.risk, threshold)))
    return pd.DataFrame(rows, features.index, ["found", "risk_after", "changed", "words"])


def in_words(changed: Mapping[str, tuple[float, float]], levers: tuple[str, ...], risk: float, threshold: float) -> str:
    """A change in words; of what was carried along nothing is said.

    Examples
    --------
    >>> in_words({"missed": (3.0, 1.0), "share_submitted": (.25, .75)}, ("missed",), .41, .52)
    'with pieces of work missed so far 1 instead of 3, the estimate would be 41 % (below 52 %)'
    """
    places = int(round(100 * risk) == round(100 * threshold))
    parts = [f"{meaning(name)} {_shown(changed[name][1])} instead of {_shown(changed[name][0])}" for name in levers]
    return f"with {' and '.join(parts)}, the estimate would be {100 * risk:.{places}f} % (below {100 * threshold:.{places}f} %)"


def _shown(value: float) -> str:
    return f"{value:.0f}" if value == round(value) or abs(value) >= 10 else f"{value:.2g}"


class _Trial:
    """One change of one learner."""

    def __init__(self, row: int, levers: tuple[str, ...], changed: dict[str, tuple[float, float]], cost: float):
        self.row, self.levers, self.changed, self.cost, self.risk = row, levers, changed, cost, np.nan


class _Search:
    """Tries changes, many learners at once."""

    def __init__(self, predict: Callable[[pd.DataFrame], pd.Series], features: pd.DataFrame, seen: pd.DataFrame, directions: Mapping[str, int]):
        self.predict, self.features, self.rows = predict, features, features.to_dict("records")
        self.levers = {name: side for name, side in directions.items()
                       if side and name in features and name in seen and actionable(name) and CARRIED.get(name) not in features}
        self.sorted = {name: np.sort(seen[name].dropna().to_numpy(float)) for name in seen if name in features}
        self.values = {name: np.unique(np.quantile(self.sorted[name], np.linspace(0.05, 0.95, 19), method="nearest"))
                       for name in self.levers if len(self.sorted[name])}
        self.fall: dict[tuple[int, str], float] = {}

    def singles(self, rows: np.ndarray, threshold: float) -> dict[int, _Trial]:
        """The best change of one feature of each learner that has one."""
        trials = [self._trial(row, {name: value}) for row in rows for name in self.values for value in self._better(row, name)]
        self._ask(trials)
        for trial in trials:
            key = (trial.row, trial.levers[0])
            self.fall[key] = min(self.fall.get(key, np.inf), trial.risk)
        return _cheapest(trials, threshold)

    def pairs(self, rows: list[int], threshold: float) -> dict[int, _Trial]:
        """The best change of two features, of those that alone lower the risk the most."""
        return _cheapest(self._asked(self._pairs(rows)), threshold)

    def _pairs(self, rows: list[int]) -> Iterator[_Trial]:
        for row in rows:
            strong = sorted((name for name in self.values if (row, name) in self.fall), key=lambda name: (self.fall[row, name], name))[:TOGETHER]
            for one, other in combinations(sorted(strong), 2):
                for first, second in product(*(_thin(self._better(row, name)) for name in (one, other))):
                    yield self._trial(row, {one: first, other: second})

    def _asked(self, trials: Iterator[_Trial]) -> list[_Trial]:
        found = list(trials)
        self._ask(found)
        return found

    def _better(self, row: int, name: str) -> np.ndarray:
        """Values that were seen, on the better side of the learner's own, the nearest first."""
        value, side = self.rows[row][name], self.levers[name]
        if np.isnan(value):
            return np.empty(0)
        return self.values[name][self.values[name] > value] if side < 0 else self.values[name][self.values[name] < value][::-1]

    def _trial(self, row: int, new: dict[str, float]) -> _Trial:
        own = self.rows[row]
        after: dict[str, float] = {}
        for name, value in new.items():
            after |= {name: value, **{n: self._seen(n, v) for n, v in carried(own, name, value).items() if n in own and not np.isnan(v)}}
        after |= {name + TO_RUN: own[name + TO_RUN] + value - own[name] for name, value in after.items() if name + TO_RUN in own}
        changed = {name: (float(own[name]), float(value)) for name, value in after.items() if own[name] != value}
        return _Trial(row, tuple(new), changed, sum(abs(self._rank(name, value) - self._rank(name, own[name])) for name, value in new.items()))

    def _seen(self, name: str, value: float) -> float:
        """A carried value, kept within what was seen."""
        known = self.sorted.get(name, np.empty(0))
        return float(np.clip(value, known[0], known[-1])) if len(known) else value

    def _rank(self, name: str, value: float) -> float:
        known = self.sorted[name]
        return (np.searchsorted(known, value, "left") + np.searchsorted(known, value, "right")) / 2 / len(known)

    def _ask(self, trials: list[_Trial]) -> None:
        """Put the risk of every trial beside it."""
        place = {name: j for j, name in enumerate(self.features.columns)}
        base = self.features.to_numpy(float)
        for start in range(0, len(trials), ROWS):
            some = trials[start:start + ROWS]
            table = base[[trial.row for trial in some]]
            for i, trial in enumerate(some):
                for name, (_, value) in trial.changed.items():
                    table[i, place[name]] = value
            asked = pd.DataFrame(table, self.features.index[[trial.row for trial in some]], self.features.columns)
            for trial, risk in zip(some, self.predict(asked).to_numpy(float), strict=True):
                trial.risk = float(risk)


def carried(own: Mapping[str, float], name: str, value: float) -> dict[str, float]:
    """What changes along when one feature of a learner takes a value: the features that count the same thing.

    Parameters
    ----------
    own : the learner's features. name, value : the one that changes, and what to.

    Examples
    --------
    >>> own = {"missed": 3.0, "due": 4.0, "submitted": 1.0, "share_submitted": .25, "missed_in_a_row": 3.0}
    >>> carried(own, "missed", 1.0)["share_submitted"]
    0.75
    """
    old, of = float(own[name]), own.get
    step = value - old
    if name == "missed":
        due, weight = of("due", np.nan), of("missed_weight", np.nan)
        return {"submitted": of("submitted", np.nan) - step, "share_submitted": 1 - value / due if due > 0 else np.nan,
                "missed_weight": weight * value / old if old > 0 else weight, "missed_in_a_row": min(of("missed_in_a_row", np.nan), value)}
    if name == "mean_score":
        shifted = ("weighted_score", "score_to_mean", "lowest_score", "last_score_to_mean")  # every mark by as much
        rate = value / old if old > 0 else 1.0
        return {**{n: of(n, np.nan) + step for n in shifted}, "marks_earned": min(of("marks_earned", np.nan) * rate, 1.0)}
    if name == "recent_clicks":
        clicks = of("clicks", np.nan)
        return {"clicks": clicks + step, "clicks_to_median": of("clicks_to_median", np.nan) + np.log1p(clicks + step) - np.log1p(clicks),
                "click_change": of("click_change", np.nan) + np.log1p(value) - np.log1p(old)}
    if name == "active_days":
        return {"active_days_to_mean": of("active_days_to_mean", np.nan) + step}
    if name == "days_early":
        return {"last_days_early": of("last_days_early", np.nan) + step}
    return {}


def _thin(values: np.ndarray) -> np.ndarray:
    """At most :data:`GRID` of the values, the ends among them."""
    return values if len(values) <= GRID else values[np.unique(np.linspace(0, len(values) - 1, GRID).round().astype(int))]


def _cheapest(trials: list[_Trial], threshold: float) -> dict[int, _Trial]:
    """Of each learner the smallest change that gets below the threshold."""
    found: dict[int, _Trial] = {}
    for trial in trials:
        best = found.get(trial.row)
        if trial.risk < threshold and (best is None or (trial.cost, trial.levers) < (best.cost, best.levers)):
            found[trial.row] = trial
    return found
