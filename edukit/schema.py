"""Every table of edukit: what one row is and its columns with types, units and ranges.

The tables are the corridors between the rooms: plain :class:`pandas.DataFrame` objects that have passed
:func:`edukit.validation.validate`. Nothing is subclassed. A table is declared here once, as data.

Kinds of column: ``id`` (non-empty string, any characters), ``text`` (string), ``number`` (float64),
``count`` (int64; Int64 where missing values are allowed), ``flag`` (bool), ``time`` (datetime64, UTC).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

SCHEMA_VERSION = 1


class DataError(ValueError):
    """Input that cannot be used; the message says where, wanted, found, first offender and next step."""


@dataclass(frozen=True)
class Column:
    """One column: its name, kind, meaning and allowed range or values."""

    name: str
    kind: str
    meaning: str
    low: float | None = None
    high: float | None = None
    required: bool = True
    nullable: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: what a row is, its columns, the columns that identify a row, and whether it is open.

    An ``open`` table may carry further columns (learner attributes, features of pairs); every other table refuses a column it
    does not know, so that a typo is found by name and sensitive attributes cannot slip in.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    open: bool = False

    @property
    def names(self) -> list[str]:
        """Names of all declared columns."""
        return [c.name for c in self.columns]


def _id(name: str, meaning: str, **options) -> Column:
    return Column(name, "id", meaning, **options)


def _optional(name: str, kind: str, meaning: str, **options) -> Column:
    return Column(name, kind, meaning, required=False, nullable=True, **options)


def _share(name: str, meaning: str, **options) -> Column:
    return Column(name, "number", meaning, 0.0, 1.0, **options)


_LEARNER = _id("learner_id", "who (a pseudonym outside the raw file)")
_ITEM = _id("item_id", "the question")
_CONCEPT = _id("concept_id", "the concept (knowledge component, skill)")
_CLASS = _optional("class_id", "id", "the class the learner sat in")
_TEACHER = _optional("teacher_id", "id", "who taught")
_TERM = _optional("term", "text", "term or presentation")
_DAY = Column("day", "number", "day since the module began (may be negative)")
_MODULE = (_id("module_id", "the course"), Column("presentation", "text", "which run of the course"))

_DECLARED = (
    # ---- what a loader may return -------------------------------------------------------------------
    Table("interactions", "one response of one learner to one item (never one row per concept)", (
        _LEARNER, _ITEM, _share("correct", "share of the marks, 1 = right"),
        Column("order", "count", "position in the learner's history; missing in every row = order unknown", low=0, nullable=True),
        _optional("timestamp", "time", "when the response was given"),
        _optional("attempt", "count", "which attempt at this item, from 1", low=1),
        _optional("hints", "count", "hints asked for", low=0),
        _optional("response_time_s", "number", "seconds to the first response", low=0),
        _optional("answer_changes", "count", "times the answer was changed before it was handed in", low=0),
        _optional("response", "text", "the chosen option or what was typed"),
        _CLASS, _TEACHER, _TERM, _optional("content_id", "id", "the page, video or sheet the item sat in"),
    )),
    Table("concepts", "one concept", (
        _CONCEPT, Column("name", "text", "what people call it"), _optional("topic", "text", "narrow heading"),
        _optional("area", "text", "broad heading"), _optional("description", "text", "a sentence or a standard"),
        _optional("level", "number", "grade or depth, where the source states one"),
    ), key=("concept_id",)),
    Table("items", "one question", (
        _ITEM, _optional("name", "text", "title or wording"), _optional("answer_key", "text", "the right option"),
        _optional("options", "count", "number of options", low=1), _optional("content_id", "id", "page it sits in"),
    ), key=("item_id",)),
    Table("q_matrix", "one concept assessed by one item", (
        _ITEM, _CONCEPT, _optional("weight", "number", "share of the item", low=0, high=1),
    ), key=("item_id", "concept_id")),
    Table("prerequisites", "one claim that a concept requires another", (
        _CONCEPT, _id("requires_id", "the prerequisite"), Column("source", "text", "who or what says so"),
        _share("weight", "strength or probability of the claim"),
        _optional("type", "text", "kind of dependence"), _optional("rationale", "text", "why, in words"),
        _optional("group", "text", "edges of one group are alternatives (OR)"),
        _optional("channel", "text", "expert, responses, exposure, text, context or fusion"),
        _optional("agreement", "number", "agreement of the annotators", low=-1, high=1),
    ), key=("concept_id", "requires_id", "source")),
    Table("concept_tree", "one concept that lies under another (a heading, not a prerequisite)", (
        _CONCEPT, _id("parent_id", "the concept it lies under"), _optional("order", "count", "place under the parent", low=0),
    ), key=("concept_id", "parent_id")),
    Table("concept_pairs", "one judged pair of concepts", (
        _CONCEPT, _id("requires_id", "the candidate prerequisite"), _share("label", "1 = is a prerequisite"),
        _optional("origin", "text", "annotated, reversed, closure or random"), _optional("domain", "text", "subject"),
        _optional("agreement", "number", "agreement of the annotators", low=-1, high=1),
        _optional("votes", "count", "number of annotators", low=0),
    ), key=("concept_id", "requires_id", "domain")),
    Table("votes", "what one expert says of one pair of concepts; a later vote of the same expert takes the place of the earlier one", (
        _CONCEPT, _id("requires_id", "the candidate prerequisite"), _id("rater_id", "who votes, under a name of their choice"),
        Column("vote", "text", "yes = is a prerequisite, reversed = the other way round, no = neither", values=("yes", "no", "reversed")),
        _optional("rationale", "text", "why, in words"), _optional("timestamp", "time", "when the vote was cast"),
    ), key=("concept_id", "requires_id", "rater_id")),
    Table("pair_features", "numbers that the publisher gives for one ordered pair of concepts, a column each", (
        _CONCEPT, _id("requires_id", "the candidate prerequisite"), _optional("domain", "text", "subject"),
    ), key=("concept_id", "requires_id", "domain"), open=True),
    Table("effects", "one measured effect of a lesson on a later question", (
        _id("concept_id", "the concept that was tested"), _id("requires_id", "the concept that was taught"),
        Column("kind", "text", "which measure"), Column("effect", "number", "its value; larger = more was gained", nullable=True),
        _optional("low", "number", "lower end of the 95 % interval"), _optional("high", "number", "upper end"),
        _optional("n_treated", "count", "learners who were taught it", low=0), _optional("n_control", "count", "learners who were not", low=0),
        _optional("level", "number", "year group"), _optional("control", "text", "what the others were taught; ids separated by a bar"),
    ), key=("concept_id", "requires_id", "kind", "level", "control")),
    Table("documents", "one course, lecture or page", (
        _id("document_id", "the document"), Column("text", "text", "its words"), _optional("title", "text", "its title"),
        _optional("level", "number", "level of study"),
    ), key=("document_id",)),
    Table("document_links", "one document that requires or links to another", (
        _id("document_id", "the document"), _id("requires_id", "the document it requires"),
        _optional("type", "text", "requires or links"),
    )),
    Table("learners", "one learner with the attributes kept apart from every model", (_LEARNER,), key=("learner_id",), open=True),
    Table("runs", "one run of a course", (
        *_MODULE, _optional("length_days", "number", "its length", low=0),
    ), key=("module_id", "presentation")),
    Table("sites", "one page of an online course", (
        _id("resource_id", "the page"), *_MODULE, Column("kind", "text", "kind of page"),
        _optional("week_from", "number", "first week it is meant for"), _optional("week_to", "number", "last week"),
    ), key=("resource_id",)),
    Table("enrolments", "one learner in one run of a course", (
        _LEARNER, *_MODULE, _optional("registered_day", "number", "day of registration"),
        _optional("unregistered_day", "number", "day of withdrawal"), _optional("final_result", "text", "outcome"),
        _optional("credits", "number", "credits studied", low=0), _optional("previous_attempts", "count", "earlier attempts", low=0),
    ), key=("learner_id", "module_id", "presentation")),
    Table("assessments", "one piece of assessed work in one run of a course", (
        _id("assessment_id", "the assessment"), *_MODULE, _optional("type", "text", "assignment, quiz or exam"),
        _optional("due_day", "number", "day it is due"), _optional("weight", "number", "per cent of the mark", low=0),
    ), key=("assessment_id",)),
    Table("submissions", "one learner's submission to one assessment", (
        _LEARNER, _id("assessment_id", "the assessment"), _DAY,
        _optional("score", "number", "mark out of 100", low=0, high=100), _optional("banked", "flag", "mark carried over"),
    ), key=("learner_id", "assessment_id")),
    Table("events", "one logged action, or a count of them on a day", (
        _LEARNER, _DAY, Column("kind", "text", "what was done"), _optional("resource_id", "id", "with what"),
        _optional("count", "count", "how often", low=0), _optional("duration_s", "number", "seconds", low=0),
        _optional("timestamp", "time", "when"), _optional("module_id", "id", "the course"),
        _optional("presentation", "text", "which run of the course"),
    )),
    Table("attendance", "one learner on one school day", (
        _LEARNER, Column("date", "time", "the day"),
        Column("status", "text", "what was recorded", values=("present", "late", "absent", "excused")),
        _optional("minutes_late", "number", "minutes", low=0), _CLASS, _TERM,
    ), key=("learner_id", "date")),
    Table("questions", "one open question", (
        _id("question_id", "the question"), _optional("prompt", "text", "its wording"),
        _optional("reference", "text", "a reference answer"), _optional("max_score", "number", "full marks", low=0),
        _optional("rubric_id", "id", "the rubric it is graded by"), _optional("domain", "text", "subject"),
    ), key=("question_id",)),
    Table("answers", "one written answer", (
        _id("answer_id", "the answer"), _id("question_id", "the question"), Column("text", "text", "what was written"),
        _optional("learner_id", "id", "who wrote it"), _optional("score", "number", "first rater", low=0),
        _optional("second_score", "number", "second rater", low=0), _optional("label", "text", "categorical grade"),
        _optional("part", "text", "part of the publisher's split"),
    ), key=("answer_id",)),
    Table("rubrics", "one level of one criterion", (
        _id("rubric_id", "the rubric"), _id("criterion_id", "the criterion"), Column("level", "number", "score", low=0),
        Column("descriptor", "text", "what this level looks like"), _optional("weight", "number", "of the criterion", low=0),
        _optional("key_elements", "text", "elements, one a line"), _optional("exemplar", "text", "an answer at this level"),
        _optional("version", "text", "version of the rubric"),
    ), key=("rubric_id", "criterion_id", "level")),
    Table("resources", "one thing to learn a concept with", (
        _id("resource_id", "the resource"), _CONCEPT,
        Column("kind", "text", "what it is", values=("reading", "example", "video", "practice")),
        _optional("title", "text", "its title"), _optional("reading_level", "number", "school grade"),
        _optional("interest", "text", "theme"), _optional("minutes", "number", "length", low=0), _optional("url", "text", "where"),
    ), key=("resource_id", "concept_id")),
    Table("interventions", "one thing done for one learner", (
        _id("intervention_id", "which one"), _LEARNER, _DAY, Column("kind", "text", "what was done"),
        _optional("reason", "text", "why"), _optional("outcome", "text", "what came of it"), _CLASS, _TEACHER,
    ), key=("intervention_id",)),
    Table("surveys", "one reply to one question of a feedback form", (
        _id("survey_id", "the form"), _id("question_id", "the question"), _optional("learner_id", "id", "who, if not anonymous"),
        _optional("rating", "number", "reply on the form's scale"), _optional("comment", "text", "free text"),
        _optional("module_id", "id", "the course"), _TERM,
    )),
    # ---- what the rooms derive ----------------------------------------------------------------------
    Table("predictions", "one predicted response", (
        _LEARNER, _ITEM, _share("correct", "what happened"), _share("probability", "what was predicted"),
        _optional("order", "count", "position in the history", low=0), _optional("split", "text", "part evaluated"),
        _optional("model", "text", "which model"), _optional("attempt", "count", "which attempt at the item", low=1),
    )),
    Table("mastery", "what one learner is estimated to know of one concept", (
        _LEARNER, _CONCEPT, _share("mastery", "expected share of the concept's items answered correctly; of bkt: P(known)"),
        _share("sd", "posterior standard deviation of mastery"), Column("n", "count", "responses on the concept", low=0),
    ), key=("learner_id", "concept_id")),
    Table("evidence", "what the responses say about one ordered pair of concepts", (
        _CONCEPT, _id("requires_id", "the candidate prerequisite"), Column("n", "count", "learners with both", low=0),
        Column("channel", "text", "responses, exposure or order"), Column("statistic", "text", "which statistic"),
        Column("value", "number", "the statistic; larger = more like a prerequisite", nullable=True),
        _optional("low", "number", "lower end of the 95 % interval"), _optional("high", "number", "upper end"),
    ), key=("concept_id", "requires_id", "statistic")),
    Table("gaps", "one cohort and one concept", (
        _id("class_id", "class, or `all` for the whole cohort"), _CONCEPT,
        Column("state", "text", "what can be said", values=("estimated", "not enough data", "suppressed")),
        _optional("n", "count", "learners with a response; missing where hidden", low=0),
        _optional("responses", "count", "responses; missing where hidden", low=0),
        Column("items", "count", "items of the concept that were answered in the whole data", low=0),
        _optional("mastery", "number", "mean mastery of the cell", low=0, high=1),
        _optional("low", "number", "lower end of the interval", low=0, high=1),
        _optional("high", "number", "upper end of the interval", low=0, high=1),
        _optional("need", "number", "target minus mastery", low=-1, high=1),
        _optional("p_stuck", "number", "P(mean mastery < the fail mark)", low=0, high=1),
        _optional("stuck", "flag", "p_stuck reaches the decision level"),
        _optional("badge", "text", "a caution, such as `one item: no cause`"),
        *(_optional(f"{cause}{end}", "number", f"share of the need associated with {words}{which}")
          for cause, words in (("prior_knowledge", "missing prerequisites"), ("teaching", "class effects"), ("content", "flawed items"))
          for end, which in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))),
        _optional("label", "text", "what the need is associated with, or `undetermined`"),
        _optional("label_probability", "number", "probability of the label", low=0, high=1),
        _optional("missing_ancestor", "id", "first missing prerequisite"), _TEACHER, _TERM,
    ), key=("class_id", "concept_id", "term")),
    Table("risks", "one learner's risk at one cutoff", (
        _LEARNER, Column("cutoff_day", "number", "what was known by then"), _optional("risk", "number", "probability", low=0, high=1),
        _optional("low", "number", "lower end", low=0, high=1), _optional("high", "number", "upper end", low=0, high=1),
        Column("tier", "text", "by capacity, or `not enough data`"), _optional("actionable", "text", "reasons that can be acted on"),
        _optional("context", "text", "reasons that cannot"), _optional("counterfactual", "text", "what would change it"),
        _optional("module_id", "id", "the course"), _optional("presentation", "text", "which run"),
    ), key=("learner_id", "cutoff_day", "module_id", "presentation")),
    Table("absence_runs", "one run of consecutive school days that a learner missed", (
        _LEARNER, Column("start", "time", "first day missed"), Column("end", "time", "last day missed"),
        Column("days", "count", "school days missed", low=1), _share("excused", "share of them that were excused"),
        Column("ongoing", "flag", "reaches the last school day recorded for the class"), _CLASS,
    ), key=("learner_id", "start")),
    Table("attendance_summary", "one learner's attendance over the days that were recorded", (
        _LEARNER, Column("days", "count", "school days recorded", low=1), _share("absent", "share of days away, excused or not"),
        _share("absent_low", "lower end of the 95 % interval"), _share("absent_high", "upper end"),
        _share("unexcused", "share of days away without excuse"), Column("longest_run", "count", "longest absence run, school days", low=0),
        _optional("late", "number", "share of the days attended that began late", low=0, high=1),
        _optional("minutes_late", "number", "mean minutes late, over late days with minutes", low=0),
        _optional("change", "number", "attendance of the last half of the days minus that of the first half", low=-1, high=1),
        _optional("slope", "number", "change of attendance per four weeks"), _optional("slope_low", "number", "lower end of the 95 % interval"),
        _optional("slope_high", "number", "upper end"),
    ), key=("learner_id",)),
    Table("weekday_absence", "one learner and one weekday", (
        _LEARNER, Column("weekday", "count", "0 = Monday", low=0, high=6), Column("days", "count", "such days recorded", low=1),
        Column("absent", "count", "of them missed", low=0), _optional("elsewhere", "number", "share missed on the other weekdays", low=0, high=1),
        _optional("p", "number", "chance of as many or more, were no weekday special", low=0, high=1),
        _optional("p_adjusted", "number", "the same, corrected for the number of weekdays", low=0, high=1),
    ), key=("learner_id", "weekday")),
    Table("sessions", "one learner's stretch of work without a long break", (
        _LEARNER, Column("session", "count", "which session of the learner, from 0", low=0), Column("start", "time", "first sign of work"),
        Column("end", "time", "last action"), Column("actions", "count", "actions logged", low=1),
        Column("duration_s", "number", "seconds from start to end", low=0), Column("pauses", "count", "pauses taken", low=0),
        Column("idle_s", "number", "seconds of the pauses", low=0), Column("on_task_s", "number", "duration less idle seconds", low=0),
    ), key=("learner_id", "session")),
    Table("behaviour", "how one response came about, from what was logged up to then", (
        _LEARNER, _ITEM, Column("timestamp", "time", "when the response was given"),
        Column("session", "count", "which session of the learner, from 0", low=0),
        _optional("order", "count", "position in the learner's history", low=0),
        _optional("idle_s", "number", "seconds without action before it; missing for the first of a session", low=0),
        _optional("pause", "flag", "whether those seconds were a pause"),
        _optional("hesitation", "number", "log of response time over the item's median until then"),
        _optional("hints", "count", "hints asked for", low=0), _optional("answer_changes", "count", "times the answer was changed", low=0),
        _optional("response_changed", "flag", "differs from the learner's previous response to the item"),
    )),
    Table("recommendations", "one suggested next step", (
        _LEARNER, _CONCEPT, Column("rank", "count", "1 = first", low=1), _optional("item_id", "id", "the item"),
        _optional("resource_id", "id", "the resource"), _optional("score", "number", "the policy's value"),
        Column("reason", "text", "why this one"), _optional("readiness", "number", "P(prerequisites known)", low=0, high=1),
    ), key=("learner_id", "rank")),
    Table("grades", "one criterion of one graded answer", (
        _id("answer_id", "the answer"), _id("criterion_id", "the criterion"), _optional("score", "number", "the score", low=0),
        _optional("confidence", "number", "calibrated probability of that score", low=0, high=1),
        Column("deferred", "flag", "left to a human"), _optional("found", "text", "quoted spans"), _optional("missing", "text", "elements not found"),
        _optional("flags", "text", "novelty and gaming checks"), _optional("rubric_version", "text", "version of the rubric"),
        _optional("decided_by", "text", "model or person"),
    ), key=("answer_id", "criterion_id")),
    Table("alerts", "one learner to look at this week", (
        _LEARNER, Column("week", "count", "week of the course", low=0), Column("rank", "count", "1 = first", low=1),
        Column("reason", "text", "what the alert is associated with"), _optional("changed", "text", "since last week"),
        _optional("tried", "text", "what was done"), Column("state", "text", "open, snoozed or dismissed", values=("open", "snoozed", "dismissed")),
        _optional("state_reason", "text", "why it was snoozed or dismissed"), _CLASS, _TEACHER,
    ), key=("learner_id", "week")),
)

TABLES: dict[str, Table] = {t.name: t for t in _DECLARED}

# (table, column) must be found in (table, column), where both tables are there
REFERENCES = (
    ("interactions", "item_id", "q_matrix", "item_id"), ("q_matrix", "concept_id", "concepts", "concept_id"),
    ("q_matrix", "item_id", "items", "item_id"), ("prerequisites", "concept_id", "concepts", "concept_id"),
    ("prerequisites", "requires_id", "concepts", "concept_id"),
    ("concept_tree", "concept_id", "concepts", "concept_id"), ("concept_tree", "parent_id", "concepts", "concept_id"),
    ("concept_pairs", "concept_id", "concepts", "concept_id"),
    ("concept_pairs", "requires_id", "concepts", "concept_id"), ("effects", "concept_id", "concepts", "concept_id"),
    ("votes", "concept_id", "concepts", "concept_id"), ("votes", "requires_id", "concepts", "concept_id"),
    ("effects", "requires_id", "concepts", "concept_id"), ("submissions", "assessment_id", "assessments", "assessment_id"),
    ("answers", "question_id", "questions", "question_id"),
)


def has_order(interactions: pd.DataFrame) -> bool:
    """Whether the order of each learner's responses is known (``order`` holds a value in every row)."""
    return bool(len(interactions)) and bool(interactions["order"].notna().all())


def key_of(name: str, table: pd.DataFrame) -> list[str]:
    """Columns that identify a row; for interactions this depends on whether the order is known."""
    if name == "interactions":
        return ["learner_id", "order"] if has_order(table) else [c for c in ("learner_id", "item_id", "attempt", "term") if c in table]
    return [c for c in TABLES[name].key if c in table]
