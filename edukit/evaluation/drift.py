"""Has the world a model was fitted on changed? New responses beside those it knew, every difference with its interval and a test.

Learners, not rows, are drawn again and exchanged between the two sides: without drift it would not matter which learners came first.

References
----------
Siddiqi (2006), Credit Risk Scorecards, Wiley (the population stability index). Good (2005), Permutation tests, Springer. Holm (1979), SJS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.governance.privacy import K, aggregate
from edukit.metrics import bootstrap, bootstrap_draws, ece, holm, interval, log_loss, record

SPLIT = "drift"
MARKS = {"psi_item_difficulty": 0.1, "item_change": 0.05, "share_correct_change": 0.02, "same_items_change": 0.02, "length_change_log2": 0.2,
         "calibration_bias": 0.02}
"""Least size of each measure that is worth acting on; smaller ones are never called drift, however sure they are."""
MEANING = {
    "psi_item_difficulty": "population stability index of item difficulty (share right, items with 10 learners or more on both sides)",
    "item_change": "share right per item, new less old: root mean square beyond what chance gives (the same items)",
    "share_correct_change": "share right, new less old", "same_items_change": "share right on the same items, new less old",
    "length_change_log2": "responses per learner, doublings", "calibration_bias": "the old model's forecast less what was right, on the new rows",
    "ece": "the old model's expected calibration error on the new rows", "log_loss": "the old model's log-loss on the new rows",
    "new_items": "share of new responses that are to items not met before", "gone_items": "share of old responses to items not met any more",
    "new_concepts": "the same of concepts that are new", "gone_concepts": "the same of concepts that are gone",
}
CHANGES = tuple(MARKS)[:5]  # those that compare the two sides
SIZES = ("psi_item_difficulty", "item_change")  # never below 0
BINS, FEWEST_ITEMS = 5, 20
ALPHA = 0.05


@dataclass(frozen=True)
class _Sides:
    """Both logs in one: per row its item (codes), answer and unit; per unit (a learner on one side) which side it is on."""

    item: np.ndarray
    correct: np.ndarray
    unit: np.ndarray
    after: np.ndarray
    judged: np.ndarray  # (I,) items with enough learners on both sides

    @classmethod
    def of(cls, before: pd.DataFrame, after: pd.DataFrame) -> _Sides:
        both = pd.concat([before[["learner_id", "item_id", "correct"]].assign(after=False), after[["learner_id", "item_id", "correct"]].assign(after=True)])
        item, unit = pd.factorize(both["item_id"])[0], both.groupby(["after", "learner_id"]).ngroup().to_numpy()
        side = np.zeros(unit.max() + 1, bool)
        side[unit] = both["after"].to_numpy()
        met = np.unique(np.stack([item, unit]), axis=1)
        learners = [np.bincount(met[0][side[met[1]] == which], minlength=item.max() + 1) for which in (False, True)]
        return cls(item, both["correct"].to_numpy(float), unit, side, np.minimum(*learners) >= K)

    def measure(self, after: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """:data:`CHANGES`, for any assignment of the units to a side, each unit counted ``weight`` times."""
        each = np.ones(len(self.unit)) if weight is None else weight[self.unit].astype(float)
        late, size = after[self.unit], len(self.judged)
        n, right = (np.stack([np.bincount(self.item[part], (each * value)[part], size) for part in (~late, late)])
                    for value in (np.ones(len(each)), self.correct))
        share = right.sum(axis=1) / np.maximum(n.sum(axis=1), 1e-9)
        rate = (right + share[:, None]) / (n + 1)  # an item leans on the rest by one response
        change, weigh = rate[1] - rate[0], n.prod(axis=0) / np.maximum(n.sum(axis=0), 1e-9)  # 0 where a side never met the item
        same = np.average(change, weights=weigh) if weigh.any() else np.nan
        units, rows = np.ones(len(after)) if weight is None else weight.astype(float), np.log2(np.bincount(self.unit))
        length = [np.average(rows[part], weights=units[part]) if units[part].sum() else np.nan for part in (~after, after)]
        chance = rate.mean(axis=0) * (1 - rate.mean(axis=0)) * (1 / (n + 1)).sum(axis=0)
        beyond = np.sqrt(max(0.0, float((change**2 - chance)[self.judged].mean()))) if self.judged.any() else np.nan
        return np.array([_psi(rate[0][self.judged], rate[1][self.judged]), beyond, share[1] - share[0], same, length[1] - length[0]])


def _psi(before: np.ndarray, after: np.ndarray) -> float:
    """Population stability index of two lists of item difficulties, in bins that hold equal numbers of the first; NaN with few items."""
    if len(before) < FEWEST_ITEMS:
        return float("nan")
    edges = np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1])
    share = [(np.bincount(np.searchsorted(edges, values, side="right"), minlength=BINS) + 0.5) / (len(values) + 0.5 * BINS) for values in (before, after)]
    return float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())


def drift(before: pd.DataFrame | None, after: pd.DataFrame, q_matrix: pd.DataFrame, predict: Callable[[], tuple[pd.DataFrame, np.ndarray]],
          seed: int = 0, draws: int = 200) -> list[dict]:
    """Records of what changed between the responses a model knew and new ones.

    Parameters
    ----------
    before : table ``interactions`` that the old model was fitted and tested on; None where it cannot be had.
    after : table ``interactions`` of new responses.
    q_matrix : of the new data.
    predict : () -> rows of new responses by learners the model never saw, and the old model's forecasts of them.
    draws : of learners, behind every interval and test.

    Returns
    -------
    list of dict
        Records of the split ``drift``, named as in :data:`MEANING`, with ``n`` responses and an interval over learners; records ``p_holm`` (the
        group names the measure), and per month (group) ``share_correct`` and ``calibration_bias``. A value is None where a side has fewer than 10
        learners; months that would tell of fewer are hidden, and others with them.
    """
    found, p_values = [], {}
    rng = np.random.default_rng(seed)
    if before is not None and min(before["learner_id"].nunique(), after["learner_id"].nunique()) >= K:
        found, p_values = _changes(_Sides.of(before, after), rng, draws)
        found += _turnover(before, after, q_matrix, rng, draws)
    else:
        found += [record(name, None, split=SPLIT) for name in CHANGES]
    rows, forecast = predict()
    if rows["learner_id"].nunique() >= K:
        y, units = rows["correct"].to_numpy(float), pd.factorize(rows["learner_id"])[0]
        for name, score in (("calibration_bias", _bias), ("ece", ece), ("log_loss", log_loss)):
            drawn = bootstrap_draws(y, forecast, units, score, seed, draws)
            found.append(record(name, score(y, forecast), len(y), *interval(drawn), split=SPLIT))
            if name == "calibration_bias":
                p_values[name] = min(1.0, 2 * (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / (1 + draws))
        found += _months(rows, forecast, seed, draws)
    else:
        found.append(record("calibration_bias", None, split=SPLIT))
    for name, p in zip(p_values, holm(list(p_values.values())), strict=True):
        found.append(record("p_holm", p, split=SPLIT, group=name))
    return found


def _bias(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    return float(np.average(p - y, weights=weight))


def _changes(sides: _Sides, rng: np.random.Generator, draws: int) -> tuple[list[dict], dict[str, float]]:
    value = sides.measure(sides.after)
    exchanged = np.array([sides.measure(rng.permutation(sides.after)) for _ in range(draws)])
    again = []
    for _ in range(draws):
        weight = np.zeros(len(sides.after), int)
        for side in (sides.after, ~sides.after):
            units = np.flatnonzero(side)
            np.add.at(weight, rng.choice(units, len(units)), 1)
        again.append(sides.measure(sides.after, weight))
    found, p_values = [], {}
    for k, name in enumerate(CHANGES):
        if not np.isfinite(value[k]):
            found.append(record(name, None, split=SPLIT))
            continue
        # drawing learners again adds spread of its own to a measure of spread: the draws tell how far, not around what
        low, high = value[k] + np.nanquantile(np.array(again)[:, k], [0.025, 0.975]) - np.nanmedian(np.array(again)[:, k])
        least = 0.0 if name in SIZES else -np.inf
        found.append(record(name, float(value[k]), len(sides.item), float(max(low, least)), float(high), split=SPLIT))
        p_values[name] = float((1 + (np.abs(exchanged[:, k]) >= abs(value[k]) - 1e-12).sum()) / (1 + draws))
    return found, p_values


def _turnover(before: pd.DataFrame, after: pd.DataFrame, q_matrix: pd.DataFrame, rng: np.random.Generator, draws: int) -> list[dict]:
    """Share of responses, on either side, to items (and concepts) that the other side has not."""
    found = []
    of = q_matrix.drop_duplicates("item_id").set_index("item_id")["concept_id"]  # the first of an item's concepts stands for them
    for what, key in (("items", lambda log: log["item_id"]), ("concepts", lambda log: log["item_id"].map(of).fillna(log["item_id"]))):
        old, new = key(before), key(after)
        for name, log, own, other in ((f"new_{what}", after, new, old), (f"gone_{what}", before, old, new)):
            absent, units = ~own.isin(other.unique()).to_numpy(), pd.factorize(log["learner_id"])[0]
            size = units.max() + 1
            shares = [np.average(absent, weights=np.bincount(rng.integers(0, size, size), minlength=size)[units]) for _ in range(draws)]
            low, high = np.quantile(shares, [0.025, 0.975])
            found.append(record(name, float(absent.mean()), len(log), float(low), float(high), split=SPLIT, channel=f"{own[absent].nunique()} {what}"))
    return found


def _months(rows: pd.DataFrame, forecast: np.ndarray, seed: int, draws: int) -> list[dict]:
    if "timestamp" not in rows or rows["timestamp"].isna().any():
        return []
    table = rows[["learner_id", "correct"]].assign(month=rows["timestamp"].dt.strftime("%Y-%m"), forecast=forecast)
    hidden = aggregate(table, ["month"]).cells.set_index("month")["hidden"]
    found = []
    for month, part in table.groupby("month", sort=True):
        y, p, units = part["correct"].to_numpy(float), part["forecast"].to_numpy(), pd.factorize(part["learner_id"])[0]
        for name, score in (("share_correct", lambda y, p, w=None: float(np.average(y, weights=w))), ("calibration_bias", _bias)):
            if hidden[month]:
                found.append(record(name, None, split=SPLIT, group=f"{month} (fewer than {K} learners, or hidden with them)"))
                continue
            low, high = bootstrap(y, p, units, score, seed=seed, draws=draws)
            found.append(record(name, score(y, p), len(y), low, high, split=SPLIT, group=str(month)))
    return found


def lines(records: list[dict]) -> list[str]:
    """The records as text, and which of the changes are drift: shown at the level of 5 % over all of them, and of a size worth acting on."""
    own = [r for r in records if r["split"] == SPLIT]
    p = {r["group"]: r["value"] for r in own if r["name"] == "p_holm"}
    said, shown = [], []
    for r in own:
        if r["name"] == "p_holm":
            continue
        value = "not enough data" if r["value"] is None else f"{r['value']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]  n {r['n']:,}"
        beside = f"  p {p[r['name']]:.3f}" if r["name"] in p and not r["group"] else ""
        about = r["group"] or " · ".join(part for part in (MEANING.get(r["name"], ""), r["channel"]) if part)
        said.append(f"  {r['name']:<21}{value}{beside}  {about}")
        if beside and p[r["name"]] <= ALPHA and abs(r["value"]) >= MARKS[r["name"]]:
            shown.append(r["name"])
    tested = [name for name in MARKS if name in p]
    verdict = f"drift in {', '.join(shown)}" if shown else f"no drift shown in {', '.join(tested)}" if tested else "drift: not enough data"
    return [*said, f"{verdict} (Holm over {len(tested)} tests, and at least {', '.join(f'{MARKS[t]:g}' for t in tested)})" if tested else verdict]
