"""What the rooms derive from the tables of a loader, declared as data; handed on by :mod:`edukit.schema`."""

from __future__ import annotations

from edukit.columns import CLASS, CONCEPT, ITEM, LEARNER, TEACHER, TERM, Column, Table, an_id, optional, share

DERIVED = (
    Table("predictions", "one predicted response", (
        LEARNER, ITEM, share("correct", "what happened"), share("probability", "what was predicted"),
        optional("order", "count", "position in the history", low=0), optional("split", "text", "part evaluated"),
        optional("model", "text", "which model"), optional("attempt", "count", "which attempt at the item", low=1),
    )),
    Table("mastery", "what one learner is estimated to know of one concept", (
        LEARNER, CONCEPT, share("mastery", "expected share of the concept's items answered correctly; of bkt: P(known)"),
        share("sd", "posterior standard deviation of mastery"), Column("n", "count", "responses on the concept", low=0),
    ), key=("learner_id", "concept_id")),
    Table("evidence", "what the responses say about one ordered pair of concepts", (
        CONCEPT, an_id("requires_id", "the candidate prerequisite"), Column("n", "count", "learners with both", low=0),
        Column("channel", "text", "responses, exposure or order"), Column("statistic", "text", "which statistic"),
        Column("value", "number", "the statistic; larger = more like a prerequisite", nullable=True),
        optional("low", "number", "lower end of the 95 % interval"), optional("high", "number", "upper end"),
    ), key=("concept_id", "requires_id", "statistic")),
    Table("gaps", "one cohort and one concept", (
        an_id("class_id", "class, or `all` for the whole cohort"), CONCEPT,
        Column("state", "text", "what can be said", values=("estimated", "not enough data", "suppressed")),
        optional("n", "count", "learners with a response; missing where hidden", low=0),
        optional("responses", "count", "responses; missing where hidden", low=0),
        Column("items", "count", "items of the concept that were answered in the whole data", low=0),
        optional("mastery", "number", "mean mastery of the cell", low=0, high=1),
        optional("low", "number", "lower end of the interval", low=0, high=1),
        optional("high", "number", "upper end of the interval", low=0, high=1),
        optional("need", "number", "target minus mastery", low=-1, high=1),
        optional("p_stuck", "number", "P(mean mastery < the fail mark)", low=0, high=1),
        optional("stuck", "flag", "p_stuck reaches the decision level"),
        optional("badge", "text", "a caution, such as `one item: no cause`"),
        *(optional(f"{cause}{end}", "number", f"share of the need associated with {words}{which}")
          for cause, words in (("prior_knowledge", "missing prerequisites"), ("teaching", "class effects"), ("content", "flawed items"))
          for end, which in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))),
        optional("label", "text", "what the need is associated with, or `undetermined`"),
        optional("label_probability", "number", "probability of the label", low=0, high=1),
        optional("missing_ancestor", "id", "first missing prerequisite"),
        *(optional(f"{name}{end}", "number", f"mean mastery {words}{which}", low=0, high=1)
          for name, words in (("if_ready", "were the prerequisites mastered"), ("if_typical_class", "were the class effect zero"),
                              ("if_clean_items", "as the items without flaws report it"))
          for end, which in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))),
        TEACHER, TERM,
    ), key=("class_id", "concept_id", "term")),
    Table("item_screen", "what the responses say about one item, before any cause is named", (
        ITEM, CONCEPT, Column("n", "count", "learners whose first attempt counts", low=0),
        optional("correct", "number", "share of them right", low=0, high=1),
        optional("discrimination", "number", "slope of the logistic item curve on the rest of the learner's score, per standard deviation"),
        optional("discrimination_low", "number", "lower end of the 95 % interval"), optional("discrimination_high", "number", "upper end"),
        optional("information", "number", "expected Fisher information over the learners", low=0),
        optional("dif_group", "text", "group with the largest difference in difficulty"),
        optional("dif_delta", "number", "Mantel-Haenszel delta, ETS scale; negative = harder for the group"),
        optional("dif_low", "number", "lower end of the 95 % interval"), optional("dif_high", "number", "upper end"),
        optional("dif_p", "number", "p after Benjamini-Hochberg", low=0, high=1),
        optional("dif_class", "text", "ETS class", values=("A", "B", "C")),
        optional("nonuniform_p", "number", "p of a difference in slope after Benjamini-Hochberg", low=0, high=1),
        optional("contradiction", "number", "share of the learners who master what builds on it and yet fail it", low=0, high=1),
        optional("slip_guess", "number", "slip plus guess", low=0, high=2),
        Column("flags", "text", "flaws found, joined by `; `; empty = none"), Column("flagged", "flag", "whether any flaw was found"),
    ), key=("item_id", "concept_id")),
    Table("gap_evidence", "one thing that a cell of the gap map rests on", (
        an_id("class_id", "class, or `all`"), CONCEPT,
        Column("kind", "text", "what it is", values=("item", "prerequisite", "distractor", "comparison")),
        an_id("about", "the item, prerequisite or option"), optional("n", "count", "learners behind it", low=0),
        optional("value", "number", "share right, mastery or share chosen"), optional("low", "number", "lower end of the interval"),
        optional("high", "number", "upper end"), optional("note", "text", "a word on it, such as the flaw of an item"), TERM,
    ), key=("class_id", "concept_id", "kind", "about", "term")),
    Table("risks", "one learner's risk at one cutoff", (
        LEARNER, Column("cutoff_day", "number", "what was known by then"), optional("risk", "number", "probability", low=0, high=1),
        optional("low", "number", "lower end", low=0, high=1), optional("high", "number", "upper end", low=0, high=1),
        Column("tier", "text", "by capacity, or `not enough data`"), optional("actionable", "text", "reasons that can be acted on"),
        optional("context", "text", "reasons that cannot"), optional("counterfactual", "text", "what would change it"),
        optional("module_id", "id", "the course"), optional("presentation", "text", "which run"),
    ), key=("learner_id", "cutoff_day", "module_id", "presentation")),
    Table("absence_runs", "one run of consecutive school days that a learner missed", (
        LEARNER, Column("start", "time", "first day missed"), Column("end", "time", "last day missed"),
        Column("days", "count", "school days missed", low=1), share("excused", "share of them that were excused"),
        Column("ongoing", "flag", "reaches the last school day recorded for the class"), CLASS,
    ), key=("learner_id", "start")),
    Table("attendance_summary", "one learner's attendance over the days that were recorded", (
        LEARNER, Column("days", "count", "school days recorded", low=1), share("absent", "share of days away, excused or not"),
        share("absent_low", "lower end of the 95 % interval"), share("absent_high", "upper end"),
        share("unexcused", "share of days away without excuse"), Column("longest_run", "count", "longest absence run, school days", low=0),
        optional("late", "number", "share of the days attended that began late", low=0, high=1),
        optional("minutes_late", "number", "mean minutes late, over late days with minutes", low=0),
        optional("change", "number", "attendance of the last half of the days minus that of the first half", low=-1, high=1),
        optional("slope", "number", "change of attendance per four weeks"), optional("slope_low", "number", "lower end of the 95 % interval"),
        optional("slope_high", "number", "upper end"),
    ), key=("learner_id",)),
    Table("weekday_absence", "one learner and one weekday", (
        LEARNER, Column("weekday", "count", "0 = Monday", low=0, high=6), Column("days", "count", "such days recorded", low=1),
        Column("absent", "count", "of them missed", low=0), optional("elsewhere", "number", "share missed on the other weekdays", low=0, high=1),
        optional("p", "number", "chance of as many or more, were no weekday special", low=0, high=1),
        optional("p_adjusted", "number", "the same, corrected for the number of weekdays", low=0, high=1),
    ), key=("learner_id", "weekday")),
    Table("sessions", "one learner's stretch of work without a long break", (
        LEARNER, Column("session", "count", "which session of the learner, from 0", low=0), Column("start", "time", "first sign of work"),
        Column("end", "time", "last action"), Column("actions", "count", "actions logged", low=1),
        Column("duration_s", "number", "seconds from start to end", low=0), Column("pauses", "count", "pauses taken", low=0),
        Column("idle_s", "number", "seconds of the pauses", low=0), Column("on_task_s", "number", "duration less idle seconds", low=0),
    ), key=("learner_id", "session")),
    Table("behaviour", "how one response came about, from what was logged up to then", (
        LEARNER, ITEM, Column("timestamp", "time", "when the response was given"),
        Column("session", "count", "which session of the learner, from 0", low=0),
        optional("order", "count", "position in the learner's history", low=0),
        optional("idle_s", "number", "seconds without action before it; missing for the first of a session", low=0),
        optional("pause", "flag", "whether those seconds were a pause"),
        optional("hesitation", "number", "log of response time over the item's median until then"),
        optional("hints", "count", "hints asked for", low=0), optional("answer_changes", "count", "times the answer was changed", low=0),
        optional("response_changed", "flag", "differs from the learner's previous response to the item"),
    )),
    Table("recommendations", "one suggested next step", (
        LEARNER, CONCEPT, Column("rank", "count", "1 = first", low=1), optional("item_id", "id", "the item"),
        optional("resource_id", "id", "the resource"), optional("score", "number", "the policy's value"),
        Column("reason", "text", "why this one"), optional("readiness", "number", "P(prerequisites known)", low=0, high=1),
    ), key=("learner_id", "rank")),
    Table("grades", "one criterion of one graded answer", (
        an_id("answer_id", "the answer"), an_id("criterion_id", "the criterion"), optional("score", "number", "the score", low=0),
        optional("confidence", "number", "calibrated probability of that score", low=0, high=1),
        Column("deferred", "flag", "left to a human"), optional("found", "text", "quoted spans"), optional("missing", "text", "elements not found"),
        optional("flags", "text", "novelty and gaming checks"), optional("rubric_version", "text", "version of the rubric"),
        optional("decided_by", "text", "model or person"),
    ), key=("answer_id", "criterion_id")),
    Table("alerts", "one learner to look at this week", (
        LEARNER, Column("week", "count", "week of the course", low=0), Column("rank", "count", "1 = first", low=1),
        Column("reason", "text", "what the alert is associated with"), optional("changed", "text", "since last week"),
        optional("module_id", "id", "the course"), optional("presentation", "text", "which run"),
        optional("risk", "number", "probability", low=0, high=1), optional("low", "number", "lower end", low=0, high=1),
        optional("high", "number", "upper end", low=0, high=1), optional("actionable", "text", "reasons that can be acted on, one a line"),
        optional("context", "text", "reasons that cannot, one a line"), optional("counterfactual", "text", "what would take the learner off the list"),
        optional("suggested", "text", "what may be tried, one a line"), optional("expected", "text", "what may be expected of what was tried before"),
        optional("tried", "text", "what was done"), Column("state", "text", "open, snoozed or dismissed", values=("open", "snoozed", "dismissed")),
        optional("state_reason", "text", "why it was snoozed or dismissed"), CLASS, TEACHER,
    ), key=("learner_id", "week", "module_id", "presentation")),
)
