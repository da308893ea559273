"""Models that were fitted many times, side by side: scores over cells, which differences hold, and the sentences that say so.

A cell is one fit (seed and fold). A score is the mean over the cells of a model, not the score of their mean prediction: that would be an
ensemble, and flatter the models whose fits differ most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, nan, sqrt

import numpy as np
import pandas as pd

from edukit.evaluation import calibration, evaluate
from edukit.metrics import CALIBRATED, SCORES, auc, bootstrap_draws, holm, interval, log_loss, record, shown

FIRST = (1, 2, 5, 10, 20, 50)  # first answers of a learner, for the curve of a cold start
WITHIN = 100  # draws at most behind an interval of a part or a group
LEVEL = 0.05  # of the comparisons of all pairs together
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class CellScores:
    """A score in every cell: on the test rows (cells,), and on cohorts of their ``units`` learners drawn again (draws, cells)."""

    each: Array
    drawn: Array
    units: int

    @property
    def mean(self) -> float:
        """The score of the model."""
        return float(self.each.mean())

    @property
    def sd(self) -> float | None:
        """Spread over the cells; None of one cell."""
        return float(self.each.std(ddof=1)) if len(self.each) > 1 else None

    def record(self, name: str, n: int, **where: str) -> dict:
        """The mean with its interval over learners."""
        return record(name, self.mean, n, *interval(self.drawn.mean(axis=1)), split="test", **where)


def over_cells(y: Array, cells: Sequence[Array], units: Array, score: Callable[..., float], seed: int = 0, draws: int = 200) -> CellScores:
    """A score of each cell's probabilities (N,), with the same cohorts of learners for every cell and every model."""
    drawn = [bootstrap_draws(y, p, units, score, seed, draws) for p in cells]
    return CellScores(np.array([score(y, p) for p in cells]), np.column_stack(drawn), len(np.unique(units)))


@dataclass(frozen=True, eq=False)
class Judged:
    """One model: its records, its AUC in every cell, and what each cell's probabilities became when they were calibrated."""

    records: list[dict]
    auc: CellScores
    calibrated: list[Array]
    methods: list[str]


def judge(model: str, cells: Sequence[tuple[Array, Array]], valid: Sequence[pd.DataFrame], test: pd.DataFrame, learners: pd.DataFrame | None = None,
          seed: int = 0, draws: int = 200) -> Judged:
    """Scores of one model on the test rows: before and after calibration, over the first answers, by attempt and by group.

    Parameters
    ----------
    cells : per cell the probabilities of its validation rows and of the test rows.
    valid : per cell its validation rows; with their answers the calibrator is chosen and fitted, and with nothing else.
    test : the test rows (N).
    """
    y, units = test["correct"].to_numpy(float), pd.factorize(test["learner_id"])[0]
    found: list[dict] = []
    chosen = [calibration.choose(p, rows["correct"].to_numpy(float), pd.factorize(rows["learner_id"])[0], seed)
              for (p, _), rows in zip(cells, valid, strict=True)]
    plain = [p for _, p in cells]
    calibrated = [put_right(p) for (_, put_right), p in zip(chosen, plain, strict=True)]
    scores = {name: over_cells(y, plain, units, score, seed, draws) for name, score in SCORES.items()}
    for name, one in scores.items():
        found += [one.record(name, len(y), model=model), record(f"{name}_sd", one.sd, len(cells), split="test", model=model)]
    for name in ("log_loss", "brier", "ece"):
        found.append(over_cells(y, calibrated, units, SCORES[name], seed, draws).record(name, len(y), model=model, channel="calibrated"))
    methods = [name for name, _ in chosen]
    found += [record("cells_calibrated", methods.count(name), len(cells), model=model, group=name) for name in dict.fromkeys(methods)]
    found.append(record("auc", float(np.mean([auc(rows["correct"].to_numpy(float), p) for (p, _), rows in zip(cells, valid, strict=True)])),
                        round(float(np.mean([len(rows) for rows in valid]))), split="valid", model=model))
    for part, mask in evaluate.parts(test, FIRST).items():
        if mask.sum() >= evaluate.MIN_PART:
            found += _within(mask, part, model, y, plain, units, {"auc": auc, "log_loss": log_loss}, seed, min(draws, WITHIN))
    for group, (mask, counted) in evaluate.groups(test, learners).items():
        told = {name: SCORES[name] for name in ("auc", "log_loss", "ece")}
        found += [record(name, None, split="test", model=model, group=group) for name in told] if mask is None \
            else [r if counted else r | {"n": None} for r in _within(mask, group, model, y, plain, units, told, seed, min(draws, WITHIN))]
    return Judged(found, scores["auc"], calibrated, methods)


def _within(mask: Array, group: str, model: str, y: Array, cells: Sequence[Array], units: Array, scores: Mapping[str, Callable[..., float]],
            seed: int, draws: int) -> list[dict]:
    own, some = pd.factorize(units[mask])[0], [p[mask] for p in cells]
    return [over_cells(y[mask], some, own, score, seed, draws).record(name, int(mask.sum()), model=model, group=group) for name, score in scores.items()]


def differences(scores: Mapping[str, CellScores], n: int) -> list[dict]:
    """Every pair of models: difference in AUC with a 95 % interval, and the p-value adjusted over all pairs (Holm).

    The error of a difference is that of its cells' mean: its spread over cohorts of learners and, where there are several cells, over them, both of
    differences within one cell and cohort. Cells share most of their training learners, so that the second part is a lower bound. Few cells or few
    learners tell a spread only roughly, which Student's distribution allows for.

    Returns
    -------
    list of records
        ``auc_difference`` and ``p_holm``, of the better model ``minus`` the other; the best models come first. Without interval and p-value (None) where
        there are fewer than 10 test learners, or the answers are all of one kind.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin (the degrees of freedom). Holm (1979), Scandinavian Journal of Statistics.
    """
    found = [(better, other, *_difference(scores[better], scores[other])) for better, other in combinations(sorted(scores, key=lambda m: -scores[m].mean), 2)]
    adjusted = iter(holm([p for *_, p in found if p is not None]))
    records = []
    for better, other, value, margin, p in found:
        where, told = {"split": "test", "model": better, "group": f"minus {other}"}, p is not None
        records += [record("auc_difference", value, n, value - margin if told else None, value + margin if told else None, **where),
                    record("p_holm", next(adjusted) if told else None, n, **where)]
    return records


def _difference(better: CellScores, other: CellScores) -> tuple[float, float, float | None]:
    """Mean difference, half of its 95 % interval, and its p-value; no p-value where there is too little to tell."""
    from scipy.special import stdtr, stdtrit

    each, drawn = better.each - other.each, (better.drawn - other.drawn).mean(axis=1)
    value = float(each.mean())
    if better.units < evaluate.MIN_GROUP or not isfinite(value) or np.isfinite(drawn).sum() < 2:
        return value, nan, None
    spread = [(float(np.nanvar(drawn, ddof=1)), better.units - 1)] + ([(float(each.var(ddof=1)) / len(each), len(each) - 1)] if len(each) > 1 else [])
    variance = sum(v for v, _ in spread)
    if not variance:
        return value, 0.0, float(value == 0)
    error, free = sqrt(variance), variance**2 / sum(v**2 / free for v, free in spread)
    return value, float(stdtrit(free, 0.975)) * error, float(2 * stdtr(free, -abs(value) / error))


def sentences(records: Sequence[Mapping]) -> list[str]:
    """What :func:`differences` found, a sentence per pair, in the order of the records."""
    p_of = {(r["model"], r["group"]): r["value"] for r in records if r["name"] == "p_holm"}
    found = []
    for r in records:
        if r["name"] == "auc_difference":
            other, p = str(r["group"]).removeprefix("minus "), p_of[r["model"], r["group"]]
            if p is None:
                found.append(f"{r['model']} and {other}: not enough data to tell them apart")
                continue
            size = f"difference {shown(r['value'])} [{shown(r['low'])}, {shown(r['high'])}]"
            found.append(f"{r['model']} ranks better than {other}: {size}, p {'< .001' if p < 0.001 else shown(p)} (Holm)" if p < LEVEL
                         else f"{r['model']} and {other}: not distinguishable, {size}")
    return found


def verdicts(records: Sequence[Mapping], networks: Sequence[str], floors: Sequence[str], plain: str | None) -> list[str]:
    """What a reader must not miss: who leads, who shares the lead, networks that do not beat Best-LR or a floor, and calibration.

    Parameters
    ----------
    records : those of :func:`judge` of every model, and of :func:`differences`.
    networks : models that are neural networks.
    floors : what must be beaten.
    plain : the model that is Best-LR, where there is one.
    """
    overall = [r for r in records if r["name"] == "auc" and not r["group"]]
    score = {part: {r["model"]: r["value"] for r in overall if r["split"] == part and r["value"] is not None and isfinite(r["value"])}
             for part in ("test", "valid")}
    if not score["test"]:
        return ["No model has an AUC: the test rows hold one kind of answer only."]
    p_of = {(r["model"], str(r["group"]).removeprefix("minus ")): r["value"] for r in records if r["name"] == "p_holm"}
    ranked = sorted(score["test"], key=lambda name: -score["test"][name])
    ahead = {(a, b) for (a, b), p in p_of.items() if p is not None and p < LEVEL}
    best, level = ranked[0], [name for name in ranked[1:] if (ranked[0], name) not in ahead]
    found = [f"{best} has the highest AUC on test learners, {shown(score['test'][best])}; "
             + (f"not distinguishable from it: {', '.join(level)}." if level else "it is distinguishable from every other model.")]
    if len(score["valid"]) > 1:
        found.append(f"Validation learners alone would have chosen {max(score['valid'], key=lambda name: score['valid'][name])}.")
    deep = [name for name in ranked if name in networks]
    if plain in score["test"] and deep:
        won = [name for name in deep if (name, plain) in ahead]
        lost = [name for name in deep if (plain, name) in ahead]
        found.append(f"Networks that rank better than Best-LR ({plain}): {', '.join(won) or 'none'}."
                     + (f" Best-LR ranks better than: {', '.join(lost)}." if lost else ""))
    elif deep:
        found.append("Best-LR (logistic) is not among the models, so that nobody can tell here whether a network is worth its cost.")
    for name in ranked:
        under = [floor for floor in floors if name not in floors and floor in score["test"] and (name, floor) not in ahead]
        if under:
            found.append(f"{name} is not shown to beat the floor {', '.join(under)}.")
    return found + [_calibration(records, floors)]


def _calibration(records: Sequence[Mapping], floors: Sequence[str]) -> str:
    after = {r["model"]: r["value"] for r in records if r["name"] == "ece" and r["channel"] == "calibrated" and not r["group"] and r["model"] not in floors}
    missed = [f"{name} ({shown(value)})" for name, value in after.items() if value > CALIBRATED]
    return (f"Calibration error after calibration is at most {shown(CALIBRATED, 2)} for every model." if not missed
            else f"Calibration error after calibration is above {shown(CALIBRATED, 2)} for {', '.join(missed)}.")
