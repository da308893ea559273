"""How an invented course goes, week by week: engagement, work handed in, who leaves, who is called, and how each enrolment ends.

Engagement of week w is its start + drift x w + a random walk that fades (AR 1, .85) + what a call adds from the week after it. Days with an action,
work handed in, leaving and the examination follow from engagement and ability alone, each by its own random number that is drawn beforehand,
so that what would have happened without a call (or with one) is known exactly. Calls look at nothing but what a tutor could see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.data.course_people import LEAD, WEEKS, Cohort, sigmoid

ASSIGNMENTS, QUIZZES = (3, 7, 11, 15, 19), (5, 9, 13, 17)  # due at the end of these weeks (week 1 ends on day 6)
DUE = np.array([7 * w for w in sorted((*ASSIGNMENTS, *QUIZZES))], float)
NEVER = WEEKS  # week of what does not happen
REVIEWS = (4, 6, 8)  # weeks after which tutors look through their list
MENTOR_REVIEW = 10
AWAY_BEFORE_START = 0.03
GAIN_BY_PRIOR = -0.4  # a call adds effect x (1 + this x prior attainment in SD)


@dataclass(frozen=True)
class Story:
    """What happened on every enrolment (N rows, in the order of the cohort).

    Attributes
    ----------
    engagement : (N, WEEKS + LEAD) as lived; column LEAD is week 0.
    active : (N, 7 x (WEEKS + LEAD)) bool, days with an action, column 7 x LEAD is day 0.
    handed_in : (N, 9) day by piece of coursework, NaN where it was not.
    left : (N,) day of leaving, NaN for who stays.
    examination : (N,) mark out of 100 of those who stay; below 40 fails, 75 and more is a distinction.
    interventions : enrolment (position), day, kind.
    outcomes : risk, risk_if_called, risk_if_not_called, benefit, call_effect, propensity (of a call at any review) an enrolment.
    """

    engagement: np.ndarray
    active: np.ndarray
    handed_in: np.ndarray
    left: np.ndarray
    examination: np.ndarray
    interventions: pd.DataFrame
    outcomes: pd.DataFrame


@dataclass(frozen=True)
class _Draws:
    """Every random number of the course, drawn once."""

    walk: np.ndarray
    day: np.ndarray
    submit: np.ndarray
    timing: np.ndarray
    leave: np.ndarray
    before: np.ndarray
    examination: np.ndarray

    @classmethod
    def of(cls, n: int, rng: np.random.Generator) -> _Draws:
        """For n enrolments."""
        walk = rng.normal(0, 0.35, (n, WEEKS + LEAD))
        for w in range(1, WEEKS + LEAD):
            walk[:, w] += 0.85 * walk[:, w - 1]
        return cls(walk, rng.random((n, 7 * (WEEKS + LEAD))), rng.random((n, len(DUE))), rng.normal(0, 2.2, (n, len(DUE))), rng.random((n, WEEKS)),
                   rng.random(n), rng.logistic(size=n))


def _lived(cohort: Cohort, draws: _Draws, called: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Engagement with a call after the end of week `called` (NEVER = none)."""
    week = np.arange(WEEKS + LEAD) - LEAD
    d = cohort.drivers
    start = d["engagement"].to_numpy()[:, None] + d["drift"].to_numpy()[:, None] * week.clip(0)
    return start + draws.walk + gain[:, None] * (week > called[:, None])


def _active(engagement: np.ndarray, registered: np.ndarray, draws: _Draws) -> np.ndarray:
    """Days with an action: fewer at weekends and before the start, more in weeks when work is due, none before registration."""
    week = np.repeat(np.arange(WEEKS + LEAD) - LEAD, 7)
    day = np.arange(7 * (WEEKS + LEAD)) - 7 * LEAD
    calendar = -1.2 - 0.35 * (day % 7 >= 5) - 0.6 * (week < 0) + 0.4 * np.isin(week + 1, DUE / 7)
    return (draws.day < sigmoid(calendar + 0.85 * np.repeat(engagement, 7, axis=1))) & (day >= registered[:, None])


def _handed_in(cohort: Cohort, engagement: np.ndarray, draws: _Draws) -> np.ndarray:
    """Day on which each piece of work is handed in; NaN where it is not, and where the learner registered after it was due."""
    now = engagement[:, (DUE / 7).astype(int) - 1 + LEAD]
    ability = cohort.drivers["ability"].to_numpy()[:, None]
    day = DUE + np.clip(np.round(-1.5 - 1.2 * now + draws.timing), -12, 8)
    given = draws.submit < sigmoid(1.9 + 1.3 * now + 0.3 * ability)
    registered = cohort.enrolments["registered"].to_numpy()[:, None]
    return np.where(given & (day > registered), day, np.nan)


def _hazard(cohort: Cohort, engagement: np.ndarray) -> np.ndarray:
    """(N, WEEKS) chance of leaving in each week of those who are still there."""
    return sigmoid(-5.1 - 1.1 * engagement[:, LEAD:] - 0.25 * cohort.drivers["ability"].to_numpy()[:, None])


def strength(cohort: Cohort, engagement: np.ndarray, reform_effect: float) -> np.ndarray:
    """(N,) logit of passing the examination."""
    d = cohort.drivers
    return (0.95 + 0.8 * d["ability"] + 1.0 * engagement[:, LEAD:].mean(axis=1) + d["approach_effect"] + d["trend"] + reform_effect * d["reform"]).to_numpy()


def risk(cohort: Cohort, engagement: np.ndarray, passes: np.ndarray) -> np.ndarray:
    """(N,) probability that the enrolment ends in Fail or Withdrawn, given its engagement and the logit of passing."""
    before = AWAY_BEFORE_START * (cohort.enrolments["registered"].to_numpy() < 0)
    return 1 - (1 - before) * (1 - _hazard(cohort, engagement)).prod(axis=1) * sigmoid(passes)


def _need(active: np.ndarray, handed: np.ndarray, week: int) -> np.ndarray:
    """What a tutor sees after the end of a week: share of work missed, and few active days in the last fortnight; larger = more need."""
    end = 7 * (week + LEAD)
    due = DUE <= 7 * week
    missed = (~(handed[:, due] < 7 * week)).mean(axis=1) if due.any() else np.zeros(len(handed))
    return 2 * missed + (4 - active[:, end - 14:end].sum(axis=1)) / 4


def live(cohort: Cohort, call_effect: float, reform_effect: float, rng: np.random.Generator) -> Story:
    """Run the course once.

    Parameters
    ----------
    call_effect : what a call adds to engagement from the week after it, at average prior attainment.
    reform_effect : what the reform adds to the logit of passing.
    """
    n, draws = len(cohort.enrolments), _Draws.of(len(cohort.enrolments), rng)
    registered = cohort.enrolments["registered"].to_numpy()
    gain = call_effect * (1 + GAIN_BY_PRIOR * cohort.drivers["prior"].to_numpy()).clip(0)
    early = (draws.before < AWAY_BEFORE_START) & (registered < 0)
    called, chance, rows = np.full(n, NEVER), np.zeros(n), []
    for week in (*REVIEWS, MENTOR_REVIEW):
        engagement = _lived(cohort, draws, called, gain)
        gone = (draws.leave[:, :week] < _hazard(cohort, engagement)[:, :week]).any(axis=1) | early
        need = _need(_active(engagement, registered, draws), _handed_in(cohort, engagement, draws), week)
        if week == MENTOR_REVIEW:
            given = {"mentor": ~gone & (need >= 1.9)}
        else:
            p = np.where(gone | (called < NEVER), 0, sigmoid(-2.6 + 1.2 * need))
            chance += (1 - chance) * p
            given = {"call": rng.random(n) < p, "message": ~gone & (rng.random(n) < sigmoid(-2.2 + 0.6 * need))}
            called = np.where(given["call"], week, called)
        rows += [pd.DataFrame({"enrolment": np.flatnonzero(who), "day": 7.0 * week + rng.integers(1, 4, who.sum()), "kind": kind})
                 for kind, who in given.items()]
    engagement = _lived(cohort, draws, called, gain)
    passes = strength(cohort, engagement, reform_effect)
    when = np.where(called < NEVER, called, REVIEWS[0])
    paths = {"risk_if_called": _lived(cohort, draws, when, gain), "risk_if_not_called": _lived(cohort, draws, np.full(n, NEVER), gain)}
    outcomes = pd.DataFrame({"risk": risk(cohort, engagement, passes),
                             **{name: risk(cohort, path, strength(cohort, path, reform_effect)) for name, path in paths.items()}})
    hits = draws.leave < _hazard(cohort, engagement)
    week = np.where(hits.any(axis=1), hits.argmax(axis=1), NEVER)
    left = np.where(week < NEVER, 7 * week + rng.integers(0, 7, n), np.nan)
    left = np.where(~np.isnan(left), np.maximum(left, registered), left)
    left = np.where(early, np.minimum(-1, np.maximum(registered, -rng.integers(1, 15, n))), left)
    interventions = pd.concat(rows, ignore_index=True)
    interventions = interventions[~(interventions["day"] > left[interventions["enrolment"]])].reset_index(drop=True)
    return Story(engagement, _active(engagement, registered, draws), _handed_in(cohort, engagement, draws), left,
                 np.clip(np.floor(10 * (40 + 11 * (passes + draws.examination))) / 10, 0, 100), interventions,
                 outcomes.assign(benefit=outcomes["risk_if_not_called"] - outcomes["risk_if_called"], call_effect=gain, propensity=chance))
