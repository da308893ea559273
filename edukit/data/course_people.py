"""Who takes an invented course: learners with their groups, runs, enrolments, and what drives each enrolment.

An attribute touches an enrolment only where :data:`GROUPS` says so: through the learner's ability or engagement (a real difference, which work and
clicks show as well), or through the marks that tutors give (an unfair one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

PRESENTATIONS = {"2013B": "2013-02-04", "2013J": "2013-10-07", "2014B": "2014-02-03", "2014J": "2014-10-06"}  # first day, a Monday
WEEKS, LEAD = 24, 2  # weeks of a run, weeks before it in which the pages are open already
LENGTH = 7 * WEEKS
TUTOR_GROUP = 25  # enrolments of a run with one tutor, at most
RETURNING = 0.08  # share of the enrolments of the third and fourth presentation that belong to learners of the one two before
REGIONS = {"Coast": 0.3, "Hills": 0.3, "Lakes": 0.2, "Plains": 0.2}
AGES = {"0-35": 0.66, "35-55": 0.28, "55<=": 0.06}
BANDS = [f"{10 * d}-{10 * d + 10}%" for d in range(10)]  # the first is the most deprived tenth
EDUCATION = ("No formal qualification", "School leaving certificate", "Entry to higher education", "Degree")
APPROACHES = {"lectures": (0.0, 0.0), "worked examples": (0.45, -0.5), "projects": (-0.1, 0.5)}  # effect = first + second x prior attainment (SD)
PATTERNS = {"steady": 0.78, "declining": 0.08, "weekday": 0.07, "absence_run": 0.07}
REFORMED_FROM = 2  # position of the first presentation with the reform
UNFAIR = ("region", "Hills")
GROUPS = (
    ("gender", "female", "none", "no difference of any kind"),
    ("gender", "male", "none", "no difference of any kind"),
    ("disability", "True", "fair", "engagement .25 lower"),
    ("age_band", "35-55", "fair", "engagement .25 higher"),
    ("age_band", "55<=", "fair", "engagement .35 higher"),
    ("imd_band", BANDS[0], "fair", "ability rises by .06 a tenth, from -.27 in this band"),
    ("imd_band", BANDS[-1], "fair", "ability .27 higher"),
    (*UNFAIR, "unfair", "marks of coursework are lower and noisier for the same work; the examination, and so the result, is not touched"),
    *((UNFAIR[0], region, "none", "no difference of any kind") for region in REGIONS if region != UNFAIR[1]),
)
"""(attribute, group, kind of gap, what was planted)."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


@dataclass(frozen=True)
class Cohort:
    """Everybody on every run, before the first day.

    Attributes
    ----------
    learners : one row a learner: attributes, prior_attainment (mark out of 100), teaching_approach; position = `learner` of `enrolments`.
    runs : one row a run: module_id, presentation, length_days, start; `module` and `presentation_number` are positions.
    enrolments : one row an enrolment, N in all: run (position), learner (position), registered, credits, previous_attempts, tutor (name).
    drivers : one row an enrolment: ability, prior (standard deviations), engagement (at the start), drift (a week), pattern, approach_effect,
        reform (flag), trend, harsh (flag: marked unfairly).
    """

    learners: pd.DataFrame
    runs: pd.DataFrame
    enrolments: pd.DataFrame
    drivers: pd.DataFrame


def _learners(people: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attributes of each learner, and ability, prior attainment (SD) and the part of engagement that belongs to the learner."""
    band = rng.integers(0, len(BANDS), people)
    ability = rng.normal(0, 1, people) + 0.06 * (band - 4.5)
    prior = 0.85 * ability + rng.normal(0, 0.5, people)
    logits = np.column_stack([np.zeros(people), -0.5 * prior, 0.5 * prior]) + rng.gumbel(size=(people, 3))
    age = rng.choice(list(AGES), people, p=list(AGES.values()))
    disability = rng.random(people) < 0.12
    level = np.digitize(ability + rng.normal(0, 1, people), (-1.6, 0.2, 1.3))
    table = pd.DataFrame({
        "learner_id": [f"C{u + 1:05d}" for u in rng.permutation(people)], "gender": rng.choice(["female", "male"], people),
        "region": rng.choice(list(REGIONS), people, p=list(REGIONS.values())), "highest_education": np.array(EDUCATION, object)[level],
        "imd_band": np.where(rng.random(people) < 0.03, None, np.array(BANDS, object)[band]), "age_band": age, "disability": disability,
        "prior_attainment": np.clip(np.round(55 + 13 * prior), 0, 100),
        "teaching_approach": np.array(list(APPROACHES), object)[logits.argmax(axis=1)]})
    engaged = 0.3 * ability + rng.normal(0, 0.6, people) - 0.25 * disability + 0.25 * (age == "35-55") + 0.35 * (age == "55<=")
    return table, pd.DataFrame({"ability": ability, "prior": prior, "engagement": engaged})


def enrol(modules: int, learners: int, approach_effect: float, rng: np.random.Generator) -> Cohort:
    """Everybody on `modules` x 4 runs of `learners` enrolments each; half of the modules are reformed from the third presentation on."""
    runs = pd.DataFrame([(f"M{m + 1}", name, m, p) for p, name in enumerate(PRESENTATIONS) for m in range(modules)],
                        columns=["module_id", "presentation", "module", "presentation_number"])
    runs = runs.assign(length_days=float(LENGTH), start=pd.to_datetime(runs["presentation"].map(PRESENTATIONS), utc=True))
    n, run = len(runs) * learners, np.repeat(np.arange(len(runs)), learners)
    number, person = runs["presentation_number"].to_numpy()[run], np.arange(n)
    for later in (2, 3):
        back = rng.choice(np.flatnonzero(number == later), round(RETURNING * modules * learners), replace=False)
        person[back] = rng.choice(np.flatnonzero(number == later - 2), len(back), replace=False)
    person = np.unique(person, return_inverse=True)[1]
    table, latent = _learners(person.max() + 1, rng)
    own = latent.iloc[person].reset_index(drop=True)
    pattern = rng.choice(list(PATTERNS), n, p=list(PATTERNS.values()))
    level, slope = (np.array([APPROACHES[a][k] for a in table["teaching_approach"]])[person] for k in (0, 1))
    drivers = own.assign(
        engagement=own["engagement"] + rng.normal(0, 0.5, n), drift=rng.normal(-0.02, 0.03, n) - 0.05 * (pattern == "declining"), pattern=pattern,
        approach_effect=approach_effect * (level + slope * own["prior"]), trend=np.array([0.0, 0.1, 0.05, 0.15])[number],
        reform=(runs["module"].to_numpy()[run] < modules // 2) & (number >= REFORMED_FROM),
        harsh=(table[UNFAIR[0]] == UNFAIR[1]).to_numpy()[person])
    early = -np.ceil(rng.gamma(2.5, 16, n))
    enrolments = pd.DataFrame({
        "run": run, "learner": person, "registered": np.where(rng.random(n) < 0.05, rng.integers(0, 14, n), np.maximum(early, -150)),
        "credits": rng.choice([30.0, 60.0, 90.0], n, p=[0.3, 0.55, 0.15]), "previous_attempts": rng.poisson(0.18 * np.exp(-0.4 * own["ability"])),
        "tutor": [f"{runs['module_id'][r]}-{runs['presentation'][r]}-{i % learners // TUTOR_GROUP + 1}" for i, r in enumerate(run)]})
    return Cohort(table, runs, enrolments, drivers)
