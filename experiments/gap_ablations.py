"""What each part of the gap posterior is good for: the same invented worlds, one part at a time otherwise or off, printed beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hydra
import joblib
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from edukit.data.synthetic import CAUSES, World, random_concepts, simulate
from edukit.evaluation import RunReport
from edukit.graph.concept_graph import ConceptGraph
from edukit.protocols import PrerequisiteGraph
from edukit.reproducibility import replacing
from edukit.schema import DataError

from . import gap_causes, gap_truth, recipe
from .graph_sanity import reversed_graph

EDGES = ("given", "none", "reversed", "random", "learned")


def graph_of(world: World, cfg: DictConfig, seed: int) -> PrerequisiteGraph:
    """The graph that ``cfg.edges`` names. ``random``: the given edges between concepts dealt anew, so that every degree is found again."""
    tables = world.tables
    given = ConceptGraph.from_tables(tables["concepts"], tables["prerequisites"], tables["q_matrix"])
    if cfg.edges == "none":
        return given.replace(tables["prerequisites"].head(0))
    if cfg.edges == "reversed":
        return reversed_graph(given)
    if cfg.edges == "random":
        dealt = dict(zip(given.concept_ids, np.random.default_rng(seed).permutation(np.array(given.concept_ids, object)), strict=True))
        return given.replace(given.prerequisites.assign(concept_id=given.prerequisites["concept_id"].map(dealt),
                                                        requires_id=given.prerequisites["requires_id"].map(dealt)))
    if cfg.edges == "learned":
        return instantiate(cfg.learner).fit({name: table for name, table in tables.items() if name != "prerequisites"}).graph()
    return given


def judged(name: str, seed: int, settings: dict[str, Any]) -> pd.DataFrame:
    """What one ablation says of one world, beside the truth."""
    cfg: Any = OmegaConf.merge(settings, settings["ablations"][name])
    world = simulate(*random_concepts(seed=seed), seed=seed)
    tables = {**world.tables, "interactions": world.tables["interactions"].drop(columns=list(cfg.without))}
    found = gap_causes.explain(tables, graph_of(world, cfg, seed), cfg, groups=gap_causes.groups_of(tables, cfg.dif_by)).gaps
    return gap_truth.beside(found, world.truth, cfg.gaps.fail)


def side_by_side(metrics: Sequence[dict], mark: float) -> pd.DataFrame:
    """One row per ablation: precision and recall of each cause at the map's mark, cells without an answer, coverage of the shares."""
    table = pd.DataFrame([m for m in metrics if m["channel"] in (None, f"mark_{mark:.2f}")])
    named = table["name"] + (" " + table["group"]).fillna("")
    wide = table.assign(of=named).pivot_table(index="model", columns="of", values="value", aggfunc="first", sort=False)
    wanted = [f"{what} {cause}" for cause in CAUSES for what in ("precision", "recall")]
    wanted += ["abstention", *(f"{name} {cause}" for name in gap_truth.COVERAGE for cause in gap_truth.SHARES)]
    return wide.reindex(columns=wanted).astype(float)


def lines(table: pd.DataFrame) -> list[str]:
    """The table for the terminal; - where nothing was named or nothing asked for."""
    def told(value: float) -> str:
        return "  - " if np.isnan(value) else f"{value:4.2f}"

    found = [f"  {'precision/recall':<19}{'prior knowledge':>17}{'teaching':>12}{'content':>12}{'curriculum-wide':>17}{'no answer':>11}"]
    for name, row in table.iterrows():
        pairs = ["/".join(told(row[f"{what} {cause}"]) for what in ("precision", "recall")) for cause in CAUSES]
        found.append(f"  {name:<19}" + "".join(f"{pair:>{width}}" for pair, width in zip(pairs, (17, 12, 12, 17), strict=True))
                     + f"{told(row['abstention']):>11}")
    return found


def run(cfg: DictConfig) -> RunReport:
    """Map the same worlds with each part changed in turn, and score what was said."""
    asked = {cfg.edges, *(change.get("edges", cfg.edges) for change in cfg.ablations.values())}
    if cfg.worlds < 1 or asked - set(EDGES):
        raise DataError(f"edges must be one of {', '.join(EDGES)}, and worlds at least 1; found {', '.join(sorted(map(str, asked)))} and {cfg.worlds}.")
    with recipe.open_run(cfg) as job:
        settings: Any = OmegaConf.to_container(cfg, resolve=True)
        seeds = range(cfg.first_world, cfg.first_world + cfg.worlds)
        jobs = [(name, seed) for name in cfg.ablations for seed in seeds]
        results = joblib.Parallel(n_jobs=cfg.workers, return_as="generator")(joblib.delayed(judged)(name, seed, settings) for name, seed in jobs)
        found: dict[str, list[pd.DataFrame]] = {}
        for (name, _), cells in zip(jobs, tqdm(results, total=len(jobs), desc="worlds", mininterval=1, disable=None), strict=True):
            found.setdefault(name, []).append(cells)
        for name, worlds in found.items():
            job.metrics += gap_truth.records(worlds, name, "ablation", cfg.gaps.fail, cfg.draws, job.seed)
        table = side_by_side(job.metrics, cfg.gaps.fail)
        for line in lines(table):
            recipe.say(line)
        with replacing(job.folder / "ablations.csv") as beside:
            table.to_csv(beside)
        job.figures["ablations"] = "ablations.csv"
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="gap_ablations")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
