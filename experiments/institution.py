"""The institution's view: module gaps, term against term by mid-term, assessments that tell little, engagement by group, tutoring, feedback."""

from __future__ import annotations

from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig

from edukit.evaluation import RunReport, allocation, engagement, module_gaps
from edukit.governance.privacy import TOTAL, Aggregate, aggregate
from edukit.metrics import record
from edukit.report import institution
from edukit.report.institution import Part

from . import recipe

PAGE, PRINTED = "institution.html", "institution.pdf"


def run(cfg: DictConfig) -> RunReport:
    """Aggregate the course tables of ``cfg.data``, judge the aggregates only, and write one page (and a PDF where asked and a browser is there)."""
    with recipe.open_run(cfg, batches=True) as job:
        tables = job.data.tables
        parts = [*of_modules(tables, cfg), *of_engagement(tables, cfg), *of_tutoring(tables, cfg), *of_feedback(tables, cfg)]
        notes = ["Differences are associated with a module, a term or a group; what they come from is not known.",
                 f"No number rests on fewer than {parts[0].cells.k} learners; hidden numbers cannot be computed from those shown."]
        source = {"data": job.data.label, "fingerprint": job.data.fingerprint, "seed": str(job.seed),
                  "command": f"edukit run institution data={job.data.name}"}
        institution.write(job.folder / PAGE, f"The institution's view: {job.data.label}", parts, notes, source)
        job.figures["page"] = PAGE
        if cfg.pdf and institution.pdf(job.folder / PAGE, job.folder / PRINTED):
            job.figures["pdf"] = PRINTED
        elif cfg.pdf:
            recipe.say("pdf          no Chromium on this machine: open the page and print it")
        for part in parts:
            table = part.derive(part.cells)
            job.metrics.append(record("rows_shown", int(len(table)), channel=part.title))
            if "state" in table:
                told = table["state"].value_counts().to_dict()
                job.metrics += [record("rows", int(n), channel=part.title, group=str(state)) for state, n in told.items()]
                recipe.say(f"{part.title:<44}{'; '.join(f'{n} {state}' for state, n in told.items())}")
    return job.report


def of_modules(tables: dict[str, Any], cfg: DictConfig) -> list[Part]:
    """Module gaps, term against term, and assessments that tell little."""
    found = [Part("Modules against their intake", "How many passed, less what the intake (earlier attempts, credits, earlier attainment where known) leads one "
                  "to expect. Between the lines chance alone explains the difference. The shrunken gap is the better guess of what lasts.",
                  module_gaps.module_aggregate(tables, tuple(cfg.intake), cfg.seed), module_gaps.funnel, "funnel",
                  picture="Funnel plot: gap of each module run against its precision")]
    if "submissions" in tables and "assessments" in tables:
        found.append(Part(f"Term against term, by week {cfg.week}", "Each run of a module beside the one before it, from what is known by mid-term, while "
                          "something can still be done.", module_gaps.progress_aggregate(tables, 7 * cfg.week), module_gaps.term_against_term))
        found.append(Part("Assessments that tell little", f"The chance that a learner who passed had the higher mark than one who did not, among those who "
                          f"handed it in; below {module_gaps.TELLS_LITTLE} is little. A mark that counts towards the ending tells of it for that alone.",
                          module_gaps.telling_aggregate(tables), module_gaps.telling, "intervals", "assessment_id", "auc", 0.5,
                          "Each assessment with the 95 % interval of how well it tells who passes"))
    return found


def of_engagement(tables: dict[str, Any], cfg: DictConfig) -> list[Part]:
    """Engagement trends, a part each attribute that is asked for and there."""
    if "events" not in tables or "learners" not in tables:
        return []
    weekly = engagement.weekly_counts(tables["events"], cfg.weeks)
    asked = [a for a in cfg.groups if a in tables["learners"]]
    if weekly.empty or not asked:
        return []
    return [Part(f"Engagement by {a.replace('_', ' ')}", "Share of those still enrolled who did anything online in a week, with 95 % intervals. "
                 "Who has left is no longer counted, nor is who did nothing in all these weeks.",
                 engagement.weekly_aggregate(tables["enrolments"], weekly, tables["learners"], a, cfg.weeks),
                 engagement.trends, "trends", picture=f"Small multiples: share active by week, a panel for each {a}") for a in asked]


def of_tutoring(tables: dict[str, Any], cfg: DictConfig) -> list[Part]:
    """How many tutoring places each module would get, from the share of earlier learners alike who did not pass."""
    rows = module_gaps.intake_rows(tables, tuple(cfg.intake), cfg.seed)
    last = sorted(rows["presentation"].unique())[-1]
    now = rows[rows["presentation"] == last].reset_index(drop=True)
    places = allocation.allocate(1 - now["expected"], cfg.tutoring.capacity_hours, cfg.tutoring.hours_each, cfg.tutoring.effect, now["module_id"],
                                 cfg.tutoring.floor)
    now = now.assign(tutored=places["tutored"].astype(float), benefit=(places["benefit"] * places["tutored"]).fillna(0.0))
    words = (f"{cfg.tutoring.capacity_hours} hours, {cfg.tutoring.hours_each} a learner, in {last}; the largest expected benefit first, where tutoring lowers "
             f"the logit of the risk by {cfg.tutoring.effect} (an input, not a finding). A plan by intake: `edukit run warn` tells who needs it in a week.")
    return [Part("Tutoring hours", words, aggregate(now, ["module_id"], ["tutored", "benefit"]), tutoring)]


def tutoring(cells: Aggregate) -> pd.DataFrame:
    """Places and expected benefit by module; the total is known (hours, and hours for one), so that nothing hidden may follow from it and the others."""
    table = cells.cells
    one = table["module_id"] != TOTAL
    places, hide = table["tutored_sum"].astype(float), pd.Series(False, table.index)
    hide[one] = module_gaps.of_few(places[one], table.loc[one, "n"], cells.k).to_numpy()
    hide |= ~one & (hide[one].sum() == 1)  # a single module: its number is the total
    return pd.DataFrame({"module_id": table["module_id"], "places": table["tutored_sum"].mask(hide),
                         "passes_expected_more": table["benefit_sum"].mask(hide), "state": np.where(table["hidden"] | hide, "suppressed", "estimated")})


def of_feedback(tables: dict[str, Any], cfg: DictConfig) -> list[Part]:
    """Scales, and words that many used; never a comment."""
    if "surveys" not in tables:
        return []
    surveys = tables["surveys"]
    found = [Part("Feedback: scales", "Mean rating with its 95 % interval. Those who did not reply are not in it.", engagement.scales_aggregate(surveys),
                  engagement.scales)]
    terms = engagement.terms_aggregate(surveys)
    words = "How many people at least used a word; comments themselves are not shown."
    return found + ([Part("Feedback: words that many used", words, terms, engagement.words)] if terms else [])


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="institution")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)
