"""Read prerequisites from responses, channel by channel, and judge them against the experts' graph."""

from __future__ import annotations

import hydra
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.data import LearningData
from edukit.evaluation import RunReport, evaluate
from edukit.graph.evidence import CHANNELS, pairwise
from edukit.graph.judging import judge
from edukit.report import figures
from edukit.schema import DataError

from . import recipe

HEADLINE = ("parent_correct_given_child_passed", "exposure_conditional")  # one statistic per channel, shown with every gap map


def judged_evidence(data: LearningData, statistics: tuple[str, ...], draws: int, seed: int) -> tuple[pd.DataFrame, list[dict]]:
    """Pairwise statistics of all responses (wide), and how each agrees with the prerequisites that came with the data.

    Where the data has no prerequisites, or no expert edge is covered, there is nothing to judge against: no record, and it is said.
    """
    wide = pairwise(data["interactions"], data["q_matrix"])
    topics = data["concepts"].set_index("concept_id")["topic"] if "topic" in data["concepts"] else None
    records: list[dict] = []
    for name in [s for s in statistics if s in wide]:
        scores = wide[["concept_id", "requires_id", "n"]].assign(score=wide[name])
        try:
            records += judge(scores, data["prerequisites"], topics, model=name, channel=CHANNELS[name], draws=draws, seed=seed)
        except DataError as error:
            recipe.say(f"{name} not judged: {error}")
    return wide, records


def run(cfg: DictConfig) -> RunReport:
    """Score every ordered pair of concepts by every statistic, judge them, and keep the graph that ``cfg.graph`` stands for."""
    with recipe.open_run(cfg, batches=True) as job:
        graph = recipe.graph_of(instantiate(cfg.graph), job.data, job.data["interactions"])
        graph.prerequisites.to_parquet(job.folder / "prerequisites.parquet", index=False)
        job.tracked.append("prerequisites.parquet")
        recipe.say(f"graph {cfg.graph._target_.rsplit('.', 1)[-1]}: {len(graph.prerequisites):,} edges among {len(graph.concept_ids):,} concepts")
        wide, records = judged_evidence(job.data, tuple(CHANNELS), cfg.draws, job.seed)
        wide.to_parquet(job.folder / "evidence.parquet", index=False)
        job.metrics += records
        for line in evaluate.lines(records, ("auc", "ap", "direction_accuracy", "coverage")):
            recipe.say(line)
        job.keep("graph", figures.concept_graph(None, job.data["concepts"], graph.prerequisites))
        if records:
            job.keep("comparison", figures.metric_comparison([m for m in records if m["name"] == "ap" and m["split"] == "covered"]))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="learn_graph")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
