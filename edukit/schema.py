"""Every table of edukit: what one row is and its columns with types, units and ranges.

The tables are the corridors between the rooms: plain :class:`pandas.DataFrame` objects that have passed
:func:`edukit.validation.validate`. Nothing is subclassed. A table is declared here once, as data.
"""

from __future__ import annotations

import pandas as pd

from edukit.columns import CLASS, CONCEPT, DAY, ITEM, LEARNER, MODULE, TEACHER, TERM, Column, DataError, Table, an_id, optional, share
from edukit.derived_tables import DERIVED

__all__ = ["REFERENCES", "SCHEMA_VERSION", "TABLES", "Column", "DataError", "Table", "has_order", "key_of"]

SCHEMA_VERSION = 1

_LOADED = (
    # ---- what a loader may return -------------------------------------------------------------------
    Table("interactions", "one response of one learner to one item (never one row per concept)", (
        LEARNER, ITEM, share("correct", "share of the marks, 1 = right"),
        Column("order", "count", "position in the learner's history; missing in every row = order unknown", low=0, nullable=True),
        optional("timestamp", "time", "when the response was given"),
        optional("attempt", "count", "which attempt at this item, from 1", low=1),
        optional("hints", "count", "hints asked for", low=0),
        optional("response_time_s", "number", "seconds to the first response", low=0),
        optional("answer_changes", "count", "times the answer was changed before it was handed in", low=0),
        optional("response", "text", "the chosen option or what was typed"),
        CLASS, TEACHER, TERM, optional("content_id", "id", "the page, video or sheet the item sat in"),
    )),
    Table("concepts", "one concept", (
        CONCEPT, Column("name", "text", "what people call it"), optional("topic", "text", "narrow heading"),
        optional("area", "text", "broad heading"), optional("description", "text", "a sentence or a standard"),
        optional("level", "number", "grade or depth, where the source states one"),
    ), key=("concept_id",)),
    Table("items", "one question", (
        ITEM, optional("name", "text", "title or wording"), optional("answer_key", "text", "the right option"),
        optional("options", "count", "number of options", low=1), optional("content_id", "id", "page it sits in"),
    ), key=("item_id",)),
    Table("q_matrix", "one concept assessed by one item", (
        ITEM, CONCEPT, optional("weight", "number", "share of the item", low=0, high=1),
    ), key=("item_id", "concept_id")),
    Table("prerequisites", "one claim that a concept requires another", (
        CONCEPT, an_id("requires_id", "the prerequisite"), Column("source", "text", "who or what says so"),
        share("weight", "strength or probability of the claim"),
        optional("type", "text", "kind of dependence"), optional("rationale", "text", "why, in words"),
        optional("group", "text", "edges of one group are alternatives (OR)"),
        optional("channel", "text", "expert, responses, exposure, text, context or fusion"),
        optional("agreement", "number", "agreement of the annotators", low=-1, high=1),
    ), key=("concept_id", "requires_id", "source")),
    Table("concept_tree", "one concept that lies under another (a heading, not a prerequisite)", (
        CONCEPT, an_id("parent_id", "the concept it lies under"), optional("order", "count", "place under the parent", low=0),
    ), key=("concept_id", "parent_id")),
    Table("concept_pairs", "one judged pair of concepts", (
        CONCEPT, an_id("requires_id", "the candidate prerequisite"), share("label", "1 = is a prerequisite"),
        optional("origin", "text", "annotated, reversed, closure or random"), optional("domain", "text", "subject"),
        optional("agreement", "number", "agreement of the annotators", low=-1, high=1),
        optional("votes", "count", "number of annotators", low=0),
    ), key=("concept_id", "requires_id", "domain")),
    Table("votes", "what one expert says of one pair of concepts; a later vote of the same expert takes the place of the earlier one", (
        CONCEPT, an_id("requires_id", "the candidate prerequisite"), an_id("rater_id", "who votes, under a name of their choice"),
        Column("vote", "text", "yes = is a prerequisite, reversed = the other way round, no = neither", values=("yes", "no", "reversed")),
        optional("rationale", "text", "why, in words"), optional("timestamp", "time", "when the vote was cast"),
    ), key=("concept_id", "requires_id", "rater_id")),
    Table("pair_features", "numbers that the publisher gives for one ordered pair of concepts, a column each", (
        CONCEPT, an_id("requires_id", "the candidate prerequisite"), optional("domain", "text", "subject"),
    ), key=("concept_id", "requires_id", "domain"), open=True),
    Table("effects", "one measured effect of a lesson on a later question", (
        an_id("concept_id", "the concept that was tested"), an_id("requires_id", "the concept that was taught"),
        Column("kind", "text", "which measure"), Column("effect", "number", "its value; larger = more was gained", nullable=True),
        optional("low", "number", "lower end of the 95 % interval"), optional("high", "number", "upper end"),
        optional("n_treated", "count", "learners who were taught it", low=0), optional("n_control", "count", "learners who were not", low=0),
        optional("level", "number", "year group"), optional("control", "text", "what the others were taught; ids separated by a bar"),
    ), key=("concept_id", "requires_id", "kind", "level", "control")),
    Table("documents", "one course, lecture or page", (
        an_id("document_id", "the document"), Column("text", "text", "its words"), optional("title", "text", "its title"),
        optional("level", "number", "level of study"),
    ), key=("document_id",)),
    Table("document_links", "one document that requires or links to another", (
        an_id("document_id", "the document"), an_id("requires_id", "the document it requires"),
        optional("type", "text", "requires or links"),
    )),
    Table("learners", "one learner with the attributes kept apart from every model", (LEARNER,), key=("learner_id",), open=True),
    Table("runs", "one run of a course", (
        *MODULE, optional("length_days", "number", "its length", low=0), optional("start", "time", "date of day 0"),
    ), key=("module_id", "presentation")),
    Table("sites", "one page of an online course", (
        an_id("resource_id", "the page"), *MODULE, Column("kind", "text", "kind of page"),
        optional("week_from", "number", "first week it is meant for"), optional("week_to", "number", "last week"),
    ), key=("resource_id",)),
    Table("enrolments", "one learner in one run of a course", (
        LEARNER, *MODULE, optional("registered_day", "number", "day of registration"),
        optional("unregistered_day", "number", "day of withdrawal"), optional("final_result", "text", "outcome"),
        optional("credits", "number", "credits studied", low=0), optional("previous_attempts", "count", "earlier attempts", low=0),
    ), key=("learner_id", "module_id", "presentation")),
    Table("assessments", "one piece of assessed work in one run of a course", (
        an_id("assessment_id", "the assessment"), *MODULE, optional("type", "text", "assignment, quiz or exam"),
        optional("due_day", "number", "day it is due"), optional("weight", "number", "per cent of the mark", low=0),
    ), key=("assessment_id",)),
    Table("submissions", "one learner's submission to one assessment", (
        LEARNER, an_id("assessment_id", "the assessment"), DAY,
        optional("score", "number", "mark out of 100", low=0, high=100), optional("banked", "flag", "mark carried over"),
    ), key=("learner_id", "assessment_id")),
    Table("events", "one logged action, or a count of them on a day", (
        LEARNER, DAY, Column("kind", "text", "what was done"), optional("resource_id", "id", "with what"),
        optional("count", "count", "how often", low=0), optional("duration_s", "number", "seconds", low=0),
        optional("timestamp", "time", "when"), optional("module_id", "id", "the course"),
        optional("presentation", "text", "which run of the course"),
    )),
    Table("attendance", "one learner on one school day", (
        LEARNER, Column("date", "time", "the day"),
        Column("status", "text", "what was recorded", values=("present", "late", "absent", "excused")),
        optional("minutes_late", "number", "minutes", low=0), CLASS, TERM,
    ), key=("learner_id", "date")),
    Table("questions", "one open question", (
        an_id("question_id", "the question"), optional("prompt", "text", "its wording"),
        optional("reference", "text", "a reference answer"), optional("max_score", "number", "full marks", low=0),
        optional("rubric_id", "id", "the rubric it is graded by"), optional("domain", "text", "subject"),
    ), key=("question_id",)),
    Table("answers", "one written answer", (
        an_id("answer_id", "the answer"), an_id("question_id", "the question"), Column("text", "text", "what was written"),
        optional("learner_id", "id", "who wrote it"), optional("score", "number", "first rater", low=0),
        optional("second_score", "number", "second rater", low=0), optional("label", "text", "categorical grade"),
        optional("part", "text", "part of the publisher's split"),
    ), key=("answer_id",)),
    Table("rubrics", "one level of one criterion", (
        an_id("rubric_id", "the rubric"), an_id("criterion_id", "the criterion"), Column("level", "number", "score", low=0),
        Column("descriptor", "text", "what this level looks like"), optional("weight", "number", "of the criterion", low=0),
        optional("key_elements", "text", "elements, one a line"), optional("exemplar", "text", "an answer at this level"),
        optional("version", "text", "version of the rubric"),
    ), key=("rubric_id", "criterion_id", "level")),
    Table("resources", "one thing to learn a concept with", (
        an_id("resource_id", "the resource"), CONCEPT,
        Column("kind", "text", "what it is", values=("reading", "example", "video", "practice")),
        optional("title", "text", "its title"), optional("reading_level", "number", "school grade"),
        optional("interest", "text", "theme"), optional("minutes", "number", "length", low=0), optional("url", "text", "where"),
    ), key=("resource_id", "concept_id")),
    Table("interventions", "one thing done for one learner", (
        an_id("intervention_id", "which one"), LEARNER, DAY, Column("kind", "text", "what was done"),
        optional("reason", "text", "why"), optional("outcome", "text", "what came of it"), optional("module_id", "id", "the course"),
        optional("presentation", "text", "which run of the course"), CLASS, TEACHER,
    ), key=("intervention_id",)),
    Table("surveys", "one reply to one question of a feedback form", (
        an_id("survey_id", "the form"), an_id("question_id", "the question"), optional("learner_id", "id", "who, if not anonymous"),
        optional("rating", "number", "reply on the form's scale"), optional("comment", "text", "free text"),
        optional("module_id", "id", "the course"), TERM,
    )),
)

TABLES: dict[str, Table] = {t.name: t for t in (*_LOADED, *DERIVED)}

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
