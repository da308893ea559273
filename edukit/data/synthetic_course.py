"""Invented courses whose truth is known: who is at risk, what helps whom, what a reform did, and which difference between groups is unfair.

Made for early warning, its fairness and the institution's view, where real data cannot say what is true. No number of a real course is copied.
How it is made stands in :mod:`edukit.data.course_people`, :mod:`edukit.data.course_weeks` and :mod:`edukit.data.course_records`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data import course_records
from edukit.data.course_people import APPROACHES, GROUPS, LEAD, PRESENTATIONS, REFORMED_FROM, Cohort, enrol
from edukit.data.course_weeks import Story, live, risk, strength
from edukit.schema import DataError
from edukit.validation import validate_all

UNIT = ["learner_id", "module_id", "presentation"]


@dataclass(frozen=True)
class CourseTruth:
    """What no table tells.

    Attributes
    ----------
    enrolments : one row a unit (index learner_id, module_id, presentation). `risk`: P(Fail or Withdrawn), given how engagement went.
        `ability`, `prior` (prior attainment), `approach_effect` in standard deviations or logits; `engagement` (mean of the weeks), `drift` (a week);
        `pattern` of attendance; `harsh`: marked unfairly; `reformed`; `propensity` of a call; `call_effect` on engagement; `risk_if_called` (on
        its day, else after week 4), `risk_if_not_called`, `benefit` = their difference; `risk_if <approach>` for each approach;
        `risk_if_reformed`, `risk_if_not_reformed`.
    interventions : kind, n, effect (on engagement, at average prior attainment), benefit (mean fall of risk among those who had it),
        overlap (whether comparable enrolments went without).
    approaches : approach, effect (logit of passing, at average prior attainment), by_prior (more of it a standard deviation of prior attainment),
        risk (mean over all learners, were all taught so).
    reform : modules, first_presentation, effect (logit of passing), risk_change (mean over the reformed enrolments; negative = fewer fail or leave).
    groups : attribute, group, gap (none, fair or unfair), what.
    """

    enrolments: pd.DataFrame
    interventions: pd.DataFrame
    approaches: pd.DataFrame
    reform: dict[str, object]
    groups: pd.DataFrame


@dataclass(frozen=True)
class SyntheticCourse:
    """Invented modules in four presentations, with clicks, marks, a register, tutors who call, and an ending for each enrolment.

    Parameters
    ----------
    modules : number of modules; half of them (rounded down) are reformed from the third presentation on.
    learners_per_run : enrolments of a module in a presentation.
    mark_bias : marks that tutors take off the coursework of one group (region Hills), and the scale of the noise they add; 0 = fair marks.
    call_effect : what a call from a tutor adds to engagement from the week after it on, at average prior attainment; 0 = none.
    approach_effect : multiplies the effects of the teaching approaches; 0 = none.
    reform_effect : logit of passing that the reform adds; 0 = none.
    seed : equal arguments give equal tables.

    Raises
    ------
    DataError
        Of :meth:`course` and :meth:`parse`: for a size that is too small or an effect that is not finite.

    Examples
    --------
    >>> course = SyntheticCourse(modules=2, learners_per_run=30)
    >>> len(course.truth().enrolments)
    240
    """

    name: ClassVar[str] = "synthetic_course"
    invented: ClassVar[bool] = True  # ids belong to nobody: they need no pseudonyms

    modules: int = 6
    learners_per_run: int = 100
    mark_bias: float = 10.0
    call_effect: float = 0.8
    approach_effect: float = 1.0
    reform_effect: float = 0.7
    seed: int = 7

    def course(self) -> tuple[dict[str, pd.DataFrame], CourseTruth]:
        """The tables together with their truth."""
        faults = [f"{name} must be at least {least}; found {found}" for name, least, found in
                  (("modules", 1, self.modules), ("learners_per_run", 4, self.learners_per_run)) if found < least]
        faults += [f"{name} must be a finite number; found {getattr(self, name)}" for name in ("mark_bias", "call_effect", "approach_effect", "reform_effect")
                   if not np.isfinite(getattr(self, name))]
        if faults:
            raise DataError(f"synthetic_course: {'; '.join(faults)}.")
        streams = [np.random.default_rng([self.seed, part]) for part in range(6)]
        cohort = enrol(self.modules, self.learners_per_run, self.approach_effect, streams[0])
        story = live(cohort, self.call_effect, self.reform_effect, streams[1])
        assessments, sites = course_records.plan(cohort)
        tables = {
            "runs": cohort.runs[["module_id", "presentation", "length_days", "start"]], "sites": sites, "assessments": assessments,
            "learners": cohort.learners, "enrolments": _enrolments(cohort, story), "events": course_records.events(cohort, story, streams[2]),
            "submissions": course_records.submissions(cohort, story, self.mark_bias, self.reform_effect, streams[3]),
            "attendance": course_records.attendance(cohort, story, streams[4]), "interventions": course_records.interventions(cohort, story),
            "surveys": course_records.surveys(cohort, story, streams[5])}
        return validate_all(tables), self._truth(cohort, story)

    def truth(self) -> CourseTruth:
        """What was planted, and what would have been otherwise."""
        return self.course()[1]

    def raw_dir(self) -> Path:
        """No folder is read; the current one stands in."""
        return Path()

    def files(self, raw_dir: Path) -> list[Path]:
        """None: everything is generated."""
        return []

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables runs, sites, assessments, learners, enrolments, events, submissions, attendance, interventions, surveys."""
        return self.course()[0]

    def _truth(self, cohort: Cohort, story: Story) -> CourseTruth:
        d, lived = cohort.drivers, story.engagement
        without = strength(cohort, lived, 0.0)
        plain = strength(cohort, lived, self.reform_effect) - d["approach_effect"].to_numpy()
        unit = _units(cohort)
        table = pd.concat([unit, story.outcomes, d[["ability", "prior", "approach_effect", "drift", "pattern", "harsh"]]], axis=1)
        table = table.assign(engagement=lived[:, LEAD:].mean(axis=1), reformed=d["reform"], risk_if_not_reformed=risk(cohort, lived, without),
                             risk_if_reformed=risk(cohort, lived, without + self.reform_effect))
        for approach, (level, slope) in APPROACHES.items():
            table[f"risk_if {approach}"] = risk(cohort, lived, plain + self.approach_effect * (level + slope * d["prior"].to_numpy()))
        log, effects = story.interventions, {"call": self.call_effect, "message": 0.0, "mentor": 0.0}
        benefit = story.outcomes["benefit"].to_numpy()[log["enrolment"]] * (log["kind"] == "call")
        reformed = table[table["reformed"]]
        return CourseTruth(
            table.set_index(UNIT),
            pd.DataFrame([{"kind": kind, "n": int((log["kind"] == kind).sum()), "effect": effect, "benefit": float(benefit[log["kind"] == kind].mean()),
                           "overlap": kind != "mentor"} for kind, effect in effects.items()]),
            pd.DataFrame([{"approach": name, "effect": self.approach_effect * level, "by_prior": self.approach_effect * slope,
                           "risk": float(table[f"risk_if {name}"].mean())} for name, (level, slope) in APPROACHES.items()]),
            {"modules": sorted(cohort.runs.loc[cohort.runs["module"] < self.modules // 2, "module_id"].unique()),
             "first_presentation": list(PRESENTATIONS)[REFORMED_FROM], "effect": self.reform_effect,
             "risk_change": float((reformed["risk_if_reformed"] - reformed["risk_if_not_reformed"]).mean())},
            pd.DataFrame([(a, g, "none" if gap == "unfair" and not self.mark_bias else gap, what) for a, g, gap, what in GROUPS],
                         columns=["attribute", "group", "gap", "what"]))


def _units(cohort: Cohort) -> pd.DataFrame:
    """Keys of the enrolments, in their order."""
    run = cohort.runs.iloc[cohort.enrolments["run"]]
    return pd.DataFrame({"learner_id": course_records.ids(cohort, np.arange(len(run))), "module_id": run["module_id"].to_numpy(),
                         "presentation": run["presentation"].to_numpy()})


def _enrolments(cohort: Cohort, story: Story) -> pd.DataFrame:
    """Table enrolments, with how each ended: Withdrawn, Fail (below 40 in the examination), Pass, or Distinction (75 and more)."""
    e, mark = cohort.enrolments, story.examination
    ended = np.select([~np.isnan(story.left), mark < 40, mark < 75], ["Withdrawn", "Fail", "Pass"], "Distinction")
    return _units(cohort).assign(registered_day=e["registered"], unregistered_day=story.left, final_result=ended, credits=e["credits"],
                                 previous_attempts=e["previous_attempts"])
