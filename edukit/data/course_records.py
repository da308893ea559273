"""What an invented course leaves behind: its plan, clicks, marks, a register of seminars, a log of what was done, and feedback forms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.data.course_people import LEAD, LENGTH, WEEKS, Cohort
from edukit.data.course_weeks import ASSIGNMENTS, DUE, Story

KINDS = {"content": 0.4, "home": 0.25, "forum": 0.15, "quiz": 0.1, "video": 0.1}
PAGES = 3  # pages of a kind in a run
SEMINARS = (0, 2, 4)  # weekdays: Monday, Wednesday, Friday
MARK_SD, HARSH_NOISE = 7.0, 1.75  # noise of an unfairly given mark = its penalty x the last
BANKED = 0.5  # share of those who took a module before that carry over the mark of the first assignment
QUESTIONS = {"clear": "The aims were clear", "help": "I got help when I needed it", "pace": "The pace was right", "feedback": "Feedback helped me"}
COMMENTS = ("The weekly plan helped me.", "More worked examples, please.", "The forum was slow to answer.", "I liked the projects.",
            "Feedback on the second assignment came late.", "The pace was too fast in the middle.", "My tutor called me and that helped.", "No comment.")
SURVEYS = {"mid": 8, "end": WEEKS}  # form -> week it is handed out
REASONS = {"call": "missed work or few active days", "message": "few active days", "mentor": "missed work and hardly any active day"}


def plan(cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables assessments (nine pieces of coursework and an examination a run) and sites (fifteen pages a run)."""
    kinds = ["assignment" if d / 7 in ASSIGNMENTS else "quiz" for d in DUE] + ["exam"]
    weights = [15.0 if k == "assignment" else 6.25 for k in kinds[:-1]] + [100.0]
    runs = [f"{m}-{p}" for m, p in zip(cohort.runs["module_id"], cohort.runs["presentation"], strict=True)]
    each = len(kinds)
    of_run = cohort.runs[["module_id", "presentation"]]
    assessments = of_run.loc[np.repeat(of_run.index, each)].reset_index(drop=True).assign(
        assessment_id=[f"{run}-A{k + 1:02d}" for run in runs for k in range(each)], type=kinds * len(runs),
        due_day=np.tile([*DUE, float(LENGTH)], len(runs)), weight=weights * len(runs))
    pages = [(kind, k) for kind in KINDS for k in range(PAGES)]
    sites = of_run.loc[np.repeat(of_run.index, len(pages))].reset_index(drop=True).assign(
        resource_id=[f"{run}-{kind}{k + 1}" for run in runs for kind, k in pages], kind=[kind for kind, _ in pages] * len(runs))
    return assessments, sites


def events(cohort: Cohort, story: Story, rng: np.random.Generator) -> pd.DataFrame:
    """Table events: of every active day one page or more, each with how often it was opened; nothing after the day of leaving."""
    day = np.arange(7 * (WEEKS + LEAD)) - 7 * LEAD
    there = story.active & ~(day > story.left[:, None])
    who, when = np.nonzero(there)
    again = np.repeat(np.arange(len(who)), 1 + rng.poisson(0.5, len(who)))
    who, when = who[again], when[again]
    kind = rng.choice(len(KINDS), len(who), p=list(KINDS.values()))
    page = kind * PAGES + rng.integers(0, PAGES, len(who))
    count = 1 + rng.poisson(np.exp(0.9 + 0.4 * story.engagement[who, when // 7].clip(-3, 3)))
    run, sites = cohort.enrolments["run"].to_numpy()[who], plan(cohort)[1]
    place = run * len(KINDS) * PAGES + page
    return pd.DataFrame({"learner_id": ids(cohort, who), "day": day[when].astype(float), "kind": np.array(list(KINDS), object)[kind],
                         "resource_id": sites["resource_id"].to_numpy()[place], "count": count,
                         "module_id": cohort.runs["module_id"].to_numpy()[run], "presentation": cohort.runs["presentation"].to_numpy()[run]})


def submissions(cohort: Cohort, story: Story, mark_bias: float, reform_effect: float, rng: np.random.Generator) -> pd.DataFrame:
    """Table submissions: coursework marked by tutors (unfairly where planted), the examination as it went, and a few banked marks."""
    d, n = cohort.drivers, len(cohort.drivers)
    now = story.engagement[:, (DUE / 7).astype(int) - 1 + LEAD]
    level = 62 + 9 * d["ability"] + 5 * (d["approach_effect"] + d["trend"] + reform_effect * d["reform"])
    harsh = d["harsh"].to_numpy()[:, None] * mark_bias
    score = level.to_numpy()[:, None] + 6 * now + rng.normal(0, MARK_SD, now.shape) - harsh + HARSH_NOISE * harsh * rng.normal(size=now.shape)
    again = (cohort.enrolments["previous_attempts"].to_numpy() > 0) & (rng.random(n) < BANKED)
    day = np.where(story.handed_in > story.left[:, None], np.nan, story.handed_in)
    day[again, 0] = np.where(story.left[again] < 0, np.nan, -1.0)
    stays = np.isnan(story.left)
    assessment = plan(cohort)[0]["assessment_id"].to_numpy().reshape(len(cohort.runs), -1)[cohort.enrolments["run"]]
    whole = pd.DataFrame({
        "learner_id": np.repeat(ids(cohort, np.arange(n)), len(DUE) + 1), "assessment_id": assessment.ravel(),
        "day": np.column_stack([day, np.where(stays, LENGTH, np.nan)]).ravel(),
        "score": np.column_stack([np.where(rng.random(score.shape) < 0.005, np.nan, np.clip(np.round(score), 0, 100)), story.examination]).ravel(),
        "banked": np.column_stack([again[:, None] & (np.arange(len(DUE)) == 0), np.zeros(n, bool)]).ravel()})
    return whole[whole["day"].notna()].reset_index(drop=True)


def attendance(cohort: Cohort, story: Story, rng: np.random.Generator) -> pd.DataFrame:
    """Table attendance: three seminars a week until the learner leaves, with the pattern planted in each enrolment.

    `steady`: absence falls with engagement (4 % on average). `declining`: from 3 % at the start to 60 % at the end. `weekday`: 55 % of one
    weekday, drawn for the enrolment. `absence_run`: one run of 5 to 9 seminars that begins in weeks 3 to 6. A quarter of absences are excused.
    """
    day = np.array([7 * w + d for w in range(WEEKS) for d in SEMINARS])
    n, pattern = len(cohort.drivers), cohort.drivers["pattern"].to_numpy()
    engaged = story.engagement[:, LEAD:].repeat(len(SEMINARS), axis=1)
    away_rate = 0.04 * np.exp(-0.4 * engaged.clip(-2, 2))
    away_rate = np.where((pattern == "declining")[:, None], np.linspace(0.03, 0.6, len(day)), away_rate)
    chosen = np.array(SEMINARS)[rng.integers(0, len(SEMINARS), n)][:, None]
    away_rate = np.where((pattern == "weekday")[:, None] & (day % 7 == chosen), 0.55, away_rate)
    away = rng.random((n, len(day))) < away_rate
    start, length = rng.integers(2 * len(SEMINARS), 6 * len(SEMINARS), n)[:, None], rng.integers(5, 10, n)[:, None]
    position = np.arange(len(day))
    away |= (pattern == "absence_run")[:, None] & (position >= start) & (position < start + length)
    late = rng.random(away.shape) < 0.05 * np.exp(-0.4 * engaged.clip(-2, 2))
    status = np.where(away, np.where(rng.random(away.shape) < 0.25, "excused", "absent"), np.where(late, "late", "present"))
    who, when = np.nonzero(~(day > story.left[:, None]) & (day >= cohort.enrolments["registered"].to_numpy()[:, None]))
    status, run = status[who, when], cohort.enrolments["run"].to_numpy()[who]
    first = cohort.runs["start"].dt.tz_localize(None).to_numpy()[run]
    return pd.DataFrame({
        "learner_id": ids(cohort, who), "date": pd.DatetimeIndex(first + day[when].astype("timedelta64[D]")).tz_localize("UTC"), "status": status,
        "minutes_late": np.where(status == "late", np.ceil(rng.gamma(2, 5, len(who))), 0.0),
        "class_id": cohort.enrolments["tutor"].to_numpy()[who], "term": cohort.runs["presentation"].to_numpy()[run]})


def interventions(cohort: Cohort, story: Story) -> pd.DataFrame:
    """Table interventions: what tutors did, for whom and why, and whether the enrolment ended well."""
    log = story.interventions.sort_values(["day", "enrolment", "kind"], ignore_index=True)
    who = log["enrolment"].to_numpy()
    run = cohort.enrolments["run"].to_numpy()[who]
    tutor = cohort.enrolments["tutor"].to_numpy()[who]
    ended = np.where((story.examination[who] >= 40) & np.isnan(story.left[who]), "passed", "not passed")
    return pd.DataFrame({"intervention_id": [f"N{k + 1:05d}" for k in range(len(log))], "learner_id": ids(cohort, who), "day": log["day"],
                         "kind": log["kind"], "reason": log["kind"].map(REASONS), "outcome": ended, "class_id": tutor,
                         "teacher_id": [f"T-{t}" for t in tutor], "module_id": cohort.runs["module_id"].to_numpy()[run],
                         "presentation": cohort.runs["presentation"].to_numpy()[run]})


def surveys(cohort: Cohort, story: Story, rng: np.random.Generator) -> pd.DataFrame:
    """Table surveys: a form in week 8 and one at the end, answered without a name by about half of those still there, on a scale of 1 to 5."""
    parts = []
    for form, week in SURVEYS.items():
        there = np.isnan(story.left) | (story.left >= 7 * week)
        who = np.flatnonzero(there & (rng.random(len(there)) < 0.5))
        run = cohort.enrolments["run"].to_numpy()[who]
        run, who = run[order := rng.permutation(len(who))], who[order]
        mood = 3.4 + 0.5 * story.engagement[who, min(week, WEEKS - 1) + LEAD] + 0.3 * cohort.drivers["reform"].to_numpy()[who]
        for question in QUESTIONS:
            parts.append(pd.DataFrame({"run": run, "survey_id": form, "question_id": question, "comment": None,
                                       "rating": np.clip(np.round(mood + rng.normal(0, 0.9, len(who))), 1, 5)}))
        said = rng.random(len(who)) < 0.3
        parts.append(pd.DataFrame({"run": run[said], "survey_id": form, "question_id": "comment", "rating": np.nan,
                                   "comment": rng.choice(COMMENTS, said.sum())}))
    table = pd.concat(parts, ignore_index=True)
    runs = cohort.runs.iloc[table["run"]]
    return pd.DataFrame({"survey_id": table["survey_id"] + "-" + runs["presentation"].to_numpy(), "question_id": table["question_id"],
                         "rating": table["rating"], "comment": table["comment"], "module_id": runs["module_id"].to_numpy(),
                         "term": runs["presentation"].to_numpy()})


def ids(cohort: Cohort, positions: np.ndarray) -> np.ndarray:
    """learner_id of enrolments by position."""
    return cohort.learners["learner_id"].to_numpy()[cohort.enrolments["learner"].to_numpy()[positions]]
