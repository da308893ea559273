"""Which answers a grader leaves to a person: those it would most likely harm by a wrong score, as many as are asked for or as an agreement needs.

``confidence`` is what a calibrated model says of its own score. Under the quadratic weighted kappa a score two levels off costs four times one that
is one off, so
that an answer torn between 0 and 2 is worse than one torn between 1 and 2 of the same probability: what is deferred is chosen by expected loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.metrics import bootstrap_draws, quadratic_weighted_kappa
from edukit.schema import DataError

Array = np.ndarray
FEWEST = 40  # answers kept of the calibration data, below which an agreement is no ground for a threshold
LEFT = tuple(k / 10 for k in range(10))  # shares left to a person of a risk-coverage curve
STEPS = 20  # shares of the calibration answers that are tried as what may be kept
DRAWS = 200
SURE = 0.95  # share of the redrawn calibration data in which the kept answers must reach the agreement asked for


def decided(probabilities: pd.DataFrame) -> Array:
    """(N,) level of least expected squared error: the one next to the mean, the lower of two as near.

    Parameters
    ----------
    probabilities : (N, K) of each level; the names of the columns are the levels.
    """
    levels, p = _read(probabilities)
    return levels[np.argmin(_losses(levels, p), axis=1)]


def by_probability(probabilities: pd.DataFrame, predicted: Array) -> Array:
    """(N,) risk as the probability that the score is another."""
    levels, p = _read(probabilities)
    return 1 - p[np.arange(len(p)), _positions(levels, predicted)]


def by_squared_error(probabilities: pd.DataFrame, predicted: Array) -> Array:
    """(N,) risk as the expected squared distance of the true level from the score."""
    levels, p = _read(probabilities)
    return (p * (levels[None, :] - np.asarray(predicted, float)[:, None]) ** 2).sum(axis=1)


@dataclass(frozen=True)
class Chance:
    """What chance would err: the mean true and given level of the answers kept, and how much of it the kept ones err (one minus their kappa)."""

    of_truth: float
    of_given: float
    ratio: float

    def risk(self, probabilities: pd.DataFrame, predicted: Array) -> Array:
        """(N,) expected squared error of each answer, less its share of what chance would err."""
        loss, chance = self.terms(probabilities, predicted)
        return loss - self.ratio * chance

    def terms(self, probabilities: pd.DataFrame, predicted: Array) -> tuple[Array, Array]:
        """(N,) what each answer adds to the two sums of which kappa is made."""
        levels, p = _read(probabilities)
        given, mean = np.asarray(predicted, float), p @ levels
        chance = p @ levels**2 - mean**2 + (mean - self.of_truth) ** 2 + (given - self.of_given) ** 2 + (self.of_truth - self.of_given) ** 2
        return by_squared_error(probabilities, predicted), chance


def kept_for_kappa(probabilities: pd.DataFrame, predicted: Array, keep: float) -> Chance:
    """What to hold against the errors so that the share ``keep`` of least risk has the highest expected kappa.

    Kappa is one minus a ratio of sums, so that choosing whom to keep is a fractional programme, solved by Dinkelbach's steps.

    References
    ----------
    Dinkelbach (1967), Management Science 13.
    """
    levels, p = _read(probabilities)
    given, mean = np.asarray(predicted, float), p @ levels
    size = max(round(keep * len(p)), 1)
    kept = np.argsort(by_squared_error(probabilities, given), kind="stable")[:size]
    found = Chance(0.0, 0.0, 0.0)
    for _ in range(20):
        held = Chance(float(mean[kept].mean()), float(given[kept].mean()), 0.0)
        loss, chance = held.terms(probabilities, given)
        found = replace(held, ratio=float(loss[kept].sum() / max(chance[kept].sum(), 1e-12)))
        fresh = np.argsort(loss - found.ratio * chance, kind="stable")[:size]
        if set(fresh) == set(kept):
            break
        kept = fresh
    return found


def by_kappa(probabilities: pd.DataFrame, predicted: Array, keep: float = 0.7) -> Array:
    """(N,) risk as what an answer takes from the expected kappa of the share ``keep`` that is kept (:func:`kept_for_kappa`)."""
    return kept_for_kappa(probabilities, predicted, keep).risk(probabilities, predicted)


RISKS: dict[str, Callable[[pd.DataFrame, Array], Array]] = {"probability": by_probability, "squared_error": by_squared_error, "kappa": by_kappa}


def defer(grades: pd.DataFrame, probabilities: pd.DataFrame, target_qwk: float | None = None, max_fraction: float | None = None,
          calibrated_on: pd.DataFrame | None = None, questions: pd.Series | None = None, risk: str = "kappa") -> pd.DataFrame:
    """Leave the riskiest answers to a person: at most a share of them, or as many as an agreement needs.

    Parameters
    ----------
    grades : table ``grades``; an answer is left with all its criteria.
    probabilities : (N, K) calibrated probability of each overall score (columns) of each answer (index).
    target_qwk : kappa that the answers kept must reach on ``calibrated_on``; the rule is chosen there and nowhere else.
    max_fraction : share of the answers that is deferred: the whole number below it, exactly, less those that
        others as risky would be kept beside. One of the two must be given.
    calibrated_on : needed with ``target_qwk``: a row a graded answer that the grader had not learnt from, with the columns of ``probabilities``,
    ``y`` (what a person
        gave), and, with ``questions``, ``question_id``; then each question has a rule of its own, and one that cannot reach the target is deferred whole.
    questions : question of each answer (index answer_id), so that the share holds within each of several questions; default: all together.
    risk : ``kappa`` (what the answer takes from the expected kappa of those kept), ``squared_error`` (expected) or ``probability`` (that the score is another).

    Returns
    -------
    DataFrame
        ``grades`` with ``deferred`` and the ``score`` of what is deferred missing; what was deferred before stays so.

    Raises
    ------
    DataError
        Where neither or both are asked for, a share lies outside [0, 1], an answer has no probabilities, or no rule reaches the agreement.
    """
    _check(grades, probabilities, target_qwk, max_fraction, calibrated_on, risk)
    told = probabilities.loc[sorted(grades["answer_id"].drop_duplicates(), key=str)]  # the order of a batch decides nothing
    given = pd.Series(_given(grades, told), index=told.index)
    of = pd.Series("", index=told.index) if questions is None else questions.reindex(told.index).astype(str)
    if max_fraction is not None:
        rank, risks = pd.Series(0.0, index=told.index), pd.Series(0.0, index=told.index)
        for _, ids in of.groupby(of, sort=False).groups.items():
            measured = by_kappa(told.loc[ids], given[ids].to_numpy(), 1 - max_fraction) if risk == "kappa" else RISKS[risk](told.loc[ids],
            given[ids].to_numpy())
            order = np.argsort(np.argsort(-measured, kind="stable"), kind="stable")
            rank[ids], risks[ids] = (order + 0.5) / len(ids), measured
        left = list(rank.sort_values(kind="stable").index[:int(np.floor(max_fraction * len(told) + 1e-9))])
        likes = pd.Series(list(zip(of, risks, strict=True)), index=told.index)
        left = set(left) - set(likes.index[likes.isin(set(likes[left]) & set(likes.drop(left)))])  # equal ones have one fate: they are kept
    else:
        known = pd.DataFrame(calibrated_on)
        known = known.drop(columns="question_id", errors="ignore") if questions is None else known
        rules = rules_for(known, target_qwk, list(probabilities.columns), risk)
        left = {i for question, ids in of.groupby(of, sort=False).groups.items() for i in _beyond(rules.get(question), told.loc[ids], given[ids].to_numpy())}
    away = grades["answer_id"].isin(left) | grades["deferred"].astype(bool)
    return grades.assign(deferred=away, score=grades["score"].mask(away))


@dataclass(frozen=True)
class Rule:
    """Which answers are kept: those whose risk is at most ``limit``; ``chance`` for the risk ``kappa``, as it stood on the calibration answers."""

    risk: str
    limit: float
    chance: Chance | None

    def measure(self, probabilities: pd.DataFrame, predicted: Array) -> Array:
        """(N,) risk of answers."""
        return self.chance.risk(probabilities, predicted) if self.chance else RISKS[self.risk](probabilities, predicted)


def rules_for(known: pd.DataFrame, target_qwk: float, levels: list, risk: str) -> dict[str, Rule]:
    """The rule of each question of calibration answers that has one (of ``""`` where they name no question)."""
    found, reasons = {}, []
    for question, part in known.groupby(known["question_id"].astype(str) if "question_id" in known else pd.Series("", index=known.index), sort=False):
        try:
            found[str(question)] = rule(part[levels], part["y"].to_numpy(float), target_qwk, risk)
        except DataError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return found


def rule(probabilities: pd.DataFrame, y: Array, target_qwk: float, risk: str = "kappa") -> Rule:
    """What keeps most answers of those rules under which the kappa of the kept reaches ``target_qwk`` in nearly all redrawn sets of these answers.

    Raises
    ------
    DataError
        Where none does; the message tells the best there is.
    """
    given = decided(probabilities)
    best: tuple[float, float] = (-np.inf, 0.0)
    for share in np.linspace(1, 0, STEPS, endpoint=False):
        size = round(share * len(y))
        if size < FEWEST:
            break
        chance = kept_for_kappa(probabilities, given, share) if risk == "kappa" else None
        measured = chance.risk(probabilities, given) if chance else RISKS[risk](probabilities, given)
        limit = float(np.sort(measured)[size - 1])
        kept = measured <= limit
        reached = float(np.quantile(_kappas(y[kept], given[kept]), 1 - SURE))
        if reached >= target_qwk:
            return Rule(risk, limit, chance)
        best = max(best, (reached, float(kept.mean())))
    told = f"the most is {best[0]:.3f}, with {best[1]:.0%} kept" if np.isfinite(best[0]) else f"there are fewer than {FEWEST} answers"
    raise DataError(f"target_qwk {target_qwk:g} must be reached on the calibration answers in {SURE:.0%} of redrawn sets; {told} (n = {len(y):,}). "
                    "Ask for less, grade more answers by hand, or give max_fraction.")


def _beyond(found: Rule | None, told: pd.DataFrame, given: Array) -> list:
    """Answers that a rule defers; all of them without one."""
    return list(told.index if found is None else told.index[found.measure(told, given) > found.limit])


def _kappas(y: Array, given: Array) -> Array:
    """(DRAWS,) kappa of redrawn answers; 0 where all have one score."""
    drawn = bootstrap_draws(y, given, np.arange(len(y)), quadratic_weighted_kappa, draws=DRAWS)
    return np.nan_to_num(drawn)


def risk_coverage(grades: pd.DataFrame, probabilities: pd.DataFrame, measure: Callable[[Array], tuple[float, int, float, float]],
                  questions: pd.Series | None = None, left: Sequence[float] = LEFT) -> pd.DataFrame:
    """How well the scores agree with people's by the share of answers that is kept, the rest being left to a person by :func:`defer`.

    Parameters
    ----------
    grades, probabilities, questions : as of :func:`defer`; a row of ``grades`` an answer.
    measure : told which rows are kept, (N,) bool; gives an agreement, how many answers it is of, and its 95 % interval.
    left : shares left to a person.

    Returns
    -------
    DataFrame
        By rising coverage: ``left`` (the share asked for), ``coverage`` (the share that is kept), ``value, low, high`` and ``n`` kept. Left out are shares
        of which fewer than ten answers would be kept, and those whose agreement is not defined.

    References
    ----------
    El-Yaniv and Wiener (2010), Journal of Machine Learning Research 11.
    """
    rows = []
    for share in sorted(set(left), reverse=True):
        stay = ~defer(grades, probabilities, max_fraction=share, questions=questions)["deferred"].to_numpy(bool)
        if stay.sum() < K:
            continue
        value, n, low, high = measure(stay)
        rows.append({"left": share, "coverage": float(stay.mean()), "value": value, "low": low, "high": high, "n": n})
    table = pd.DataFrame(rows, columns=["left", "coverage", "value", "low", "high", "n"])
    return table[np.isfinite(table["value"].astype(float))].reset_index(drop=True)


def _read(probabilities: pd.DataFrame) -> tuple[Array, Array]:
    return np.asarray(probabilities.columns, float), probabilities.to_numpy(float)


def _losses(levels: Array, p: Array) -> Array:
    """(N, K) expected squared error of each level."""
    mean, square = p @ levels, p @ levels**2
    return square[:, None] - 2 * mean[:, None] * levels[None, :] + (levels**2)[None, :] * p.sum(axis=1, keepdims=True)


def _positions(levels: Array, predicted: Array) -> Array:
    """Which level each score is: the nearest."""
    return np.abs(np.asarray(predicted, float)[:, None] - levels[None, :]).argmin(axis=1)


def _given(grades: pd.DataFrame, told: pd.DataFrame) -> Array:
    """(N,) overall score of each answer in ``told``: that of the criterion ``overall`` where there is one, else the level of least expected loss."""
    overall = grades[grades["criterion_id"] == "overall"].drop_duplicates("answer_id").set_index("answer_id")["score"].reindex(told.index).astype(float)
    return np.where(overall.notna(), overall, decided(told))


def _check(grades: pd.DataFrame, probabilities: pd.DataFrame, target: float | None, most: float | None, known: pd.DataFrame | None, risk: str) -> None:
    faults = []
    if (target is None) == (most is None):
        faults.append(f"one of target_qwk and max_fraction must be given; found {'neither' if target is None else 'both'}")
    if most is not None and not 0 <= most <= 1:
        faults.append(f"max_fraction must be a share from 0 to 1; found {most}")
    if target is not None and not -1 <= target <= 1:
        faults.append(f"target_qwk must lie in [-1, 1]; found {target}")
    if risk not in RISKS:
        faults.append(f"risk must be one of {', '.join(RISKS)}; found {risk}")
    if target is not None and (known is None or _absent(known, [*probabilities.columns, "y"])):
        lacking = "none" if known is None else f"it without {', '.join(map(str, _absent(known, [*probabilities.columns, 'y'])))}"
        faults.append(f"target_qwk needs calibrated_on, graded answers with their probabilities and y; found {lacking}")
    if len(unknown := set(grades["answer_id"]) - set(probabilities.index)):
        faults.append(f"every answer needs its probabilities; found {len(unknown):,} without (first: {min(map(str, unknown))})")
    if faults:
        raise DataError(f"defer: {'; '.join(faults)}.")


def _absent(table: pd.DataFrame, names: list) -> list:
    """Columns that a table lacks."""
    return [name for name in names if name not in table]

