"""Are the causes right? Gap maps of many invented worlds whose truth is known, harder variants included, beside naive thresholds and no graph."""

from __future__ import annotations

from typing import Any

import hydra
import joblib
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from edukit.data.synthetic import random_concepts, simulate
from edukit.evaluation import RunReport
from edukit.graph.concept_graph import ConceptGraph
from edukit.report import cause_figures
from edukit.schema import DataError

from . import gap_causes, gap_truth, recipe


def judged(name: str, seed: int, settings: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """One world: what the posterior, the posterior without a graph and naive thresholds say, beside the truth."""
    cfg = OmegaConf.create(settings)
    world = simulate(*random_concepts(seed=seed), seed=seed, **settings["variants"][name])
    fail, tables = cfg.gaps.fail, world.tables
    graph = ConceptGraph.from_tables(tables["concepts"], tables["prerequisites"], tables["q_matrix"])
    groups = gap_causes.groups_of(tables, cfg.dif_by)
    found = gap_causes.explain(tables, graph, cfg, groups=groups)
    said = {"posterior": found.gaps}
    if name in settings["compared"]:
        empty = ConceptGraph.from_tables(tables["concepts"], tables["prerequisites"].head(0), tables["q_matrix"])
        said |= {"no_graph": gap_causes.explain(tables, empty, cfg, groups=groups).gaps, "naive": gap_truth.naive(tables, fail)}
    cells = {model: gap_truth.beside(gaps, world.truth, fail) for model, gaps in said.items()}
    met = tables["interactions"].merge(tables["q_matrix"], on="item_id")
    return cells | {"posterior": gap_truth.with_levels(cells["posterior"], found.levels, met)}


def run(cfg: DictConfig) -> RunReport:
    """Map every world of every variant and score what was said against what was planted."""
    unknown = set(cfg.only or ()) - set(cfg.variants)
    if unknown or cfg.worlds < 1:
        raise DataError(f"only must name variants of {', '.join(cfg.variants)}, and worlds be at least 1; found {sorted(unknown) or cfg.worlds}.")
    with recipe.open_run(cfg) as job:
        settings: Any = OmegaConf.to_container(cfg, resolve=True)
        names = [name for name in cfg.variants if name in (cfg.only or cfg.variants)]
        seeds = range(cfg.first_world, cfg.first_world + cfg.worlds)
        jobs = [(name, seed) for name in names for seed in seeds]
        results = joblib.Parallel(n_jobs=cfg.workers, return_as="generator")(joblib.delayed(judged)(name, seed, settings) for name, seed in jobs)
        found: dict[tuple[str, str], list[pd.DataFrame]] = {}
        for (name, _), said in zip(jobs, tqdm(results, total=len(jobs), desc="worlds", mininterval=1, disable=None), strict=True):
            for model, cells in said.items():
                found.setdefault((name, model), []).append(cells)
        for (name, model), cells in found.items():
            job.metrics += gap_truth.records(cells, model, name, cfg.gaps.fail, cfg.draws, job.seed)
        for line in gap_truth.lines(job.metrics):
            recipe.say(line)
        pd.concat([table.assign(variant=name, model=model, world=world) for (name, model), tables in found.items()
                   for world, table in zip(seeds, tables, strict=True)]).to_parquet(job.folder / "cells.parquet")
        job.tracked.append("cells.parquet")
        job.keep("causes", cause_figures.causes_found(job.metrics, f"mark_{cfg.gaps.fail:.2f}"))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="gap_worlds")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
