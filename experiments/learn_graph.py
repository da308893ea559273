"""Learn what a concept requires, from judged pairs or from responses, and say how sure that is; what the logs cannot tell is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hydra
import pandas as pd
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from edukit.data import LearningData
from edukit.evaluation import RunReport
from edukit.formats import graph_file
from edukit.graph import editing
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import record
from edukit.report import figures
from edukit.reproducibility import bundled
from edukit.schema import DataError

from . import learn_from_labels, learn_from_responses, recipe

NEEDED = {"labels": "concept_pairs", "responses": "interactions", "nothing": "interactions"}
DRAWN = 1_500  # edges of one picture
TOLD = 10  # edges told in words


def reads(target: str) -> str:
    """What the model behind a ``_target_`` learns from (:attr:`edukit.protocols.PrerequisiteModel.reads`)."""
    model: Any = get_class(target)
    return model.reads


def name_of(settings: DictConfig) -> str:
    """The file of ``conf/graph`` that some settings come from: that of the same model with the fewest settings that differ."""
    found = {path.stem: OmegaConf.load(path) for path in sorted((bundled("conf") / "graph").glob("*.yaml"))}
    alike = {stem: sum(settings.get(k) != v for k, v in OmegaConf.to_container(own).items() if k != "seed")  # type: ignore[union-attr]
             for stem, own in found.items() if own._target_ == settings._target_}
    return min(alike, key=lambda stem: (alike[stem], stem), default=settings._target_.rpartition(".")[2])


def refuse(settings: DictConfig, data: LearningData, votes: str | None) -> None:
    """Raise DataError where the model cannot learn from these data, naming the models that can, or where votes would be left unread."""
    kind, there = reads(settings._target_), {what: table in data.tables for what, table in NEEDED.items()}
    fits = there["labels"] or (there["responses"] and "prerequisites" in data.tables) if kind == "both" else there[kind]
    if votes and (kind not in ("labels", "both") or not there["labels"]):
        raise DataError(f"votes are labels for models that learn from judged pairs; found graph={name_of(settings)} on data {data.label}. Leave votes out.")
    if fits:
        return
    offered: dict[str, list[str]] = {"labels": [], "responses": [], "nothing": [], "both": []}
    for path in sorted((bundled("conf") / "graph").glob("*.yaml")):
        offered[reads(OmegaConf.load(path)._target_)].append(path.stem)
    can = [f"graph={name}" for what in ("labels", "responses") if there[what]
           for name in sorted([*offered[what], *(offered["both"] if what == "labels" else [])])]
    wants = {"labels": "learns from judged pairs (table concept_pairs)", "responses": "reads responses (table interactions)",
             "both": "learns from judged pairs, or from responses beside prerequisites",
             "nothing": "learns nothing, and is shown beside responses (table interactions)"}
    raise DataError(f"graph={name_of(settings)} {wants[kind]}; data {data.label} holds {', '.join(data.tables)}. "
                    + (f"What can learn from these data: {', '.join(dict.fromkeys(can))}." if can else "Choose other data: `edukit data list`."))


def likeliest(graph: ConceptGraph) -> list[str]:
    """The edges of most weight, each with what stands behind it by channel; no line where nothing is known of any."""
    edges = graph.prerequisites
    if "rationale" not in edges or not edges["rationale"].notna().any():
        return []
    name = graph.concepts.set_index("concept_id")["name"]
    top = edges.sort_values(["weight", "concept_id", "requires_id"], ascending=[False, True, True]).head(TOLD)
    return [f"the {len(top)} likeliest edges, what is needed first named first:",
            *(f"  {name[e.requires_id]} -> {name[e.concept_id]} ({e.weight:.2f}): {e.rationale}" for e in top.itertuples())]


def keep_graph(job: recipe.Run, graph: ConceptGraph, votes: pd.DataFrame | None, note: str) -> None:
    """Write the graph as a table, as a file that `edukit graph` reads and people go on with, and as a picture."""
    edges, tables = graph.prerequisites, job.data.tables
    held = {"concepts": graph.concepts, "prerequisites": edges, **({} if votes is None else {"votes": votes}),
            **{name: tables[name] for name in ("concept_tree",) if name in tables}}
    edges.to_parquet(job.folder / "prerequisites.parquet", index=False)
    graph_file.write(editing.save(None, held, datetime.now(UTC).isoformat(timespec="seconds"), "edukit learn_graph", note), job.folder / "learned_graph.json")
    job.tracked.append("prerequisites.parquet")
    job.figures |= {"graph file": "learned_graph.json"}
    job.metrics.append(record("edges", len(edges), len(graph.concept_ids)))
    recipe.say(f"learned graph: {len(edges):,} edges among {len(graph.concept_ids):,} concepts ({note})")
    for line in likeliest(graph):
        recipe.say(line)
    if len(edges) > DRAWN:
        recipe.say(f"the picture shows the {DRAWN:,} likeliest edges")
    job.keep("graph", figures.concept_graph(None, graph.concepts, edges.nlargest(DRAWN, "weight")))


def run(cfg: DictConfig) -> RunReport:
    """Learn from judged pairs where the model of ``cfg.graph`` does, else from responses; judge, say how sure it is, and keep the graph."""
    with recipe.open_run(cfg, batches=True) as job:
        refuse(cfg.graph, job.data, cfg.votes)
        kind = reads(cfg.graph._target_)
        labelled = kind in ("labels", "both") and "concept_pairs" in job.data.tables
        learn = learn_from_labels.learn if labelled else learn_from_responses.fuse if kind == "both" else learn_from_responses.learn
        keep_graph(job, *learn(job, name_of(cfg.graph)))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="learn_graph")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
