"""Map where each class stands on each concept and what a need is associated with: a page, pictures and tables."""

from __future__ import annotations

import inspect
from dataclasses import asdict

import hydra
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.data.synthetic import Synthetic
from edukit.evaluation import RunReport, evaluate
from edukit.governance.privacy import TOTAL
from edukit.metrics import record
from edukit.protocols import PrerequisiteGraph
from edukit.report import figures, gap_figures, gap_page, item_figures, narrative
from edukit.report.learners_below import learners_below
from edukit.reproducibility import replacing

from . import gap_causes, gap_truth, recipe
from .gap_causes import Explained
from .learn_from_responses import HEADLINE, judged_evidence

PRINTED = ("auc", "log_loss", "ece", "ap", "random_ap", "direction_accuracy", "coverage")


def counts(gaps: pd.DataFrame) -> list[dict]:
    """How many cells could be estimated, could not, were hidden, and are stuck."""
    state = gaps["state"].value_counts()
    found = [record(f"cells_{name.replace(' ', '_')}", int(state.get(name, 0)), len(gaps)) for name in ("estimated", "not enough data", "suppressed")]
    labels = gaps.loc[gaps["stuck"].fillna(False).astype(bool), "label"].value_counts()
    found += [record("cells_stuck", int(number), len(gaps), group=label) for label, number in labels.items()]
    return [*found, record("cells_stuck", int(gaps["stuck"].fillna(False).sum()), int(state.get("estimated", 0)))]


def write_map(job: recipe.Run, found: Explained, graph: PrerequisiteGraph, rules: dict, model: str) -> None:
    """Write the page, the pictures and the tables of a gap map into the run's folder."""
    gaps, concepts, allows = found.gaps, job.data["concepts"], job.data.allows()
    notes = [f"Not known here: {recipe.MEANING[k]}. Left out: {recipe.WITHOUT[k]}." for k, there in allows.items() if not there]
    source = {"data": job.data.label, "responses": f"{len(job.data['interactions']):,}", "model": "joint posterior" if found.posterior else model,
              "seed": job.seed, "fingerprint": job.data.fingerprint[:12]}
    told = narrative.Narrator(gaps, concepts, graph.prerequisites, found.evidence, found.screen, rules)
    texts, data = told.told(), job.data
    below = learners_below(found.posterior.mastery(), gaps, gap_causes.latest(data["interactions"], data["q_matrix"]), data["q_matrix"],
                           concepts, graph.prerequisites, rules, job.cfg.by) if job.cfg.refit and found.posterior else None
    for name, refit in (("gap_map", None), *([("gap_map_served", job.cfg.refit)] if job.cfg.refit else [])):
        gap_page.write(job.folder / f"{name}.html", gaps, concepts, graph.prerequisites, f"Gap map: {job.data.label}", notes, source, rules,
                       evidence=found.evidence, items=found.screen, texts=texts, refit=refit,
                       learners=below if refit else None)
    job.figures["gap map"] = "gap_map.html"
    for name, table in (("gap_map", gaps), ("items", found.screen), ("evidence", found.evidence), *([("teaching", found.levels)] if len(found.levels) else [])):
        gap_page.write_csv(table, job.folder / f"{name}.csv")
        job.figures["table" if name == "gap_map" else name] = f"{name}.csv"
    with replacing(job.folder / "in_words.md") as beside:
        beside.write_text(in_words(told, gaps), encoding="utf-8")
    job.figures["in words"] = "in_words.md"
    job.keep("graph", figures.concept_graph(gaps, concepts, graph.prerequisites))
    if allows["classes"]:
        job.keep("matrix", gap_figures.cause_matrix(gaps, concepts, rules["fail"]))
    if gaps["label"].notna().any():
        job.keep("causes", gap_figures.cause_shares(gaps, concepts, rules["share_interval"]))
    shown = gaps[gaps["state"] == "estimated"]
    if allows["order"] and len(shown):
        job.keep("learning_curves", gap_figures.learning_curves(data["interactions"], data["q_matrix"], concepts, k=rules["k"]))
    largest = shown[shown["class_id"] != TOTAL].groupby("class_id")["n"].sum().nlargest(2).index
    if len(largest) == 2:
        job.keep("difference", gap_figures.cohort_difference(gaps, concepts, *largest, rules["interval"]))
    if found.screen["discrimination"].notna().any():
        job.keep("screen", item_figures.item_overview(found.screen))


def in_words(told: narrative.Narrator, gaps: pd.DataFrame) -> str:
    """What is known of the cohort, of every class, and of every concept on which somebody is stuck, as a page of plain text."""
    stuck = gaps.loc[gaps["stuck"].fillna(False).astype(bool), "concept_id"].unique()
    parts = ["# The gap map in words", *(f"{told.cohort(name).text}" for name in gaps["class_id"].unique()),
             "## Concepts on which somebody is stuck", *(told.concept(name).text for name in stuck)]
    return "\n\n".join(parts) + "\n"


def run(cfg: DictConfig) -> RunReport:
    """Score a tracing model on held-out responses; screen the items, sample the joint posterior, and map gaps by class and concept with their shares."""
    with recipe.open_run(cfg) as job:
        data, allows = job.data, job.data.allows()
        tracing = cfg.tracing if allows["order"] else cfg.unordered
        model = recipe.learner_model(tracing, cfg.paths)
        name = recipe.name_of(model)
        if tracing._target_ != cfg.tracing._target_:
            recipe.say(f"order unknown: {recipe.name_of(recipe.learner_model(cfg.tracing, cfg.paths))} needs it, {name} is used in its place")
        static = "given" in inspect.signature(model.predict).parameters
        train, test = job.part(static)
        graph = job.graph(train)
        recipe.say(f"fitting {name} on {len(train):,} responses")
        model.fit(train, graph)
        predicted = model.predict(test, train) if static else model.predict(test)
        for which, p in {name: predicted.to_numpy(), **evaluate.floors(train, test)}.items():
            job.metrics += evaluate.score(test, p, model=which, split=job.split["name"], seed=job.seed, draws=cfg.draws)
        model.save(job.folder / "model.safetensors")
        job.tracked.append("model.safetensors")

        recipe.say("mapping gaps: screening items, sampling the posterior")
        found = gap_causes.explain(data.tables, graph, cfg, cfg.by, gap_causes.groups_of(data.tables, cfg.dif_by), lambda: model.mastery(data["interactions"]))
        gaps = found.gaps
        job.metrics += counts(gaps)
        if allows["graph"]:
            job.metrics += judged_evidence(data, HEADLINE, cfg.draws, job.seed)[1]
        for line in evaluate.lines(job.metrics, PRINTED):
            recipe.say(line)
        recipe.say("cells: " + ", ".join(f"{m['value']} {m['name'].removeprefix('cells_').replace('_', ' ')}" for m in counts(gaps) if m["group"] is None))
        if isinstance(invented := instantiate(cfg.data), Synthetic) and cfg.by == "class_id" and cfg.learners is None:
            world, now = invented.world(), gap_causes.latest(data["interactions"], data["q_matrix"])
            cells = gap_truth.beside(gaps, world.truth, cfg.gaps.fail)
            job.metrics += gap_truth.records([cells], "posterior", "planted truth", cfg.gaps.fail, cfg.draws, job.seed)
            for line in gap_truth.lines(job.metrics):
                recipe.say(line)
            late = gap_truth.later(world, data["q_matrix"], now)
            job.metrics.append(record("answered_before_learning", late, len(now), split="planted truth"))
            recipe.say(f"  truth of the last day: of the map's answers on what is mastered then, {late:.1%} were given before it was learned; to the map these "
                       "are gaps, which its intervals do not know of")
        for line in [*gap_causes.describe(gaps, found.contents, found.screen), *gap_causes.remarks(found, cfg.by)]:
            recipe.say(line)
        rules = {**asdict(instantiate(cfg.gaps)), "share_interval": cfg.attribution.interval, "comparisons": cfg.attribution.min_classes}
        write_map(job, found, graph, rules, name)
        job.keep("reliability", figures.reliability(test["correct"].to_numpy(), predicted.to_numpy()))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="map_gaps")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
