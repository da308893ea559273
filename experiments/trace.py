"""Trace what each learner knows, and score the predictions of the next response beside the floors."""

from __future__ import annotations

import inspect
import math

import hydra
from omegaconf import DictConfig

from edukit.evaluation import RunReport, evaluate
from edukit.metrics import record
from edukit.processes import part_ways
from edukit.report import figures

from . import fairness_audit, recipe, serving


def run(cfg: DictConfig) -> RunReport:
    """Fit ``cfg.tracing`` on the training part, predict the test part, report with intervals, by group and over a learner's first answers."""
    with recipe.open_run(cfg) as job:
        model = recipe.learner_model(cfg.tracing, cfg.paths)
        name = recipe.name_of(model)
        static = "given" in inspect.signature(model.predict).parameters
        train, test = job.part(static)
        graph = job.graph(train)
        recipe.say(f"fitting {name} on {len(train):,} responses")
        model.fit(train, graph)
        part_ways()
        for what, value in getattr(model, "report_", {}).items():  # what a model of several parts owes to each
            recipe.say(f"  {what.replace('_', ' ')}: {f'{value:.4f}' if isinstance(value, float) else value}")
            if isinstance(value, float) and math.isfinite(value):
                job.metrics.append(record(what, value, model=name, split="valid"))
        predicted = model.predict(test, train) if static else model.predict(test)
        model.save(job.folder / serving.MODEL)
        job.tracked += [serving.MODEL, serving.keep_graph(job.data.tables.get("concepts"), graph, job.folder)]

        predictions = {name: predicted.to_numpy(), **evaluate.floors(train, test)}
        split = job.split["name"]
        for which, p in predictions.items():
            job.metrics += evaluate.score(test, p, model=which, split=split, seed=job.seed, draws=cfg.draws)
        job.metrics += evaluate.compare(test, predictions, against=name, split=split, seed=job.seed, draws=cfg.draws)
        job.metrics += evaluate.by_part(test, predictions[name], model=name, split=split)
        job.metrics += evaluate.by_group(test, predictions[name], job.data.tables.get("learners"), model=name, split=split, seed=job.seed)
        fairness_audit.of_run(job, test["correct"].to_numpy(), predictions[name], test["learner_id"], model=name, split=split)
        for line in evaluate.lines(job.metrics, ("auc", "log_loss", "ece")):
            recipe.say(line)

        model.mastery(train if static else test).to_parquet(job.folder / "mastery.parquet", index=False)
        evaluate.table(test, predictions[name], name, split).to_parquet(job.folder / "predictions.parquet", index=False)
        job.keep("reliability", figures.reliability(test["correct"].to_numpy(), predictions[name]))
        job.keep("comparison", figures.metric_comparison([m for m in job.metrics if m["name"] == "auc" and not m["group"]]))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="trace")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
