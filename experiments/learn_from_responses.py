"""Read prerequisites from responses: every channel judged, the whole graph tested, each edge with its evidence; silence where the logs are silent."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf

from edukit.data import LearningData
from edukit.data.interaction_store import InteractionStore
from edukit.evaluation import evaluate
from edukit.graph import calibration, pair_models, stability
from edukit.graph.cells import Cells, fold
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.evidence import CHANNELS, intervals, pairwise
from edukit.graph.judging import judge
from edukit.metrics import record
from edukit.report import figures, graph_figures
from edukit.schema import DataError

from . import recipe

HEADLINE = ("parent_correct_given_child_passed", "exposure_conditional")  # one statistic per channel, shown with every gap map
PAIR = ["concept_id", "requires_id"]
SAMPLE = 20_000  # learners of a log that stays on disk from whom halves are drawn


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


def halves(job: recipe.Run, name: str, edges: int | None) -> pd.DataFrame:
    """How often each edge is found again from half of the learners; empty, and it is said, where halves judge nothing."""
    data = job.data
    if isinstance(data["interactions"], InteractionStore) and data.counts()["learners"] > SAMPLE:
        recipe.say(f"halves are drawn from {SAMPLE:,} of the learners")
        data = data.sample(SAMPLE, job.seed)
    log = recipe.in_memory(data)["interactions"]

    def score(rows: pd.DataFrame) -> pd.DataFrame:
        return instantiate(job.cfg.graph).fit({**data.tables, "interactions": rows}).scores()

    try:
        records, table = stability.split_half(log, score, job.cfg.halvings, edges, name, job.seed)
    except DataError as error:
        recipe.say(f"halves not compared: {error}")
        return pd.DataFrame({"concept_id": [], "requires_id": [], "stability": []})
    job.metrics += records
    value = {r["name"]: r["value"] for r in records}
    recipe.say(f"halves of the learners: {value['split_half_overlap']:.0%} of one half's edges are the other's too (by chance "
               f"{value['split_half_overlap_chance']:.1%}), rank correlation of all pairs {value['split_half_correlation']:.2f}")
    return table


def edge_table(cells: Cells, wide: pd.DataFrame, edges: pd.DataFrame, stable: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Per edge: ``weight``, ``n`` common learners, ``stability``, and each statistic with its 95 % interval (``_low``, ``_high``); NaN = not known."""
    table = edges[[*PAIR, "weight"]].merge(wide, how="left", on=PAIR).merge(stable, how="left", on=PAIR)
    covered = table[table["n"].notna()]
    names = [s for s in CHANNELS if s in wide and s != "transition"]
    if len(covered):
        bounds = intervals(cells, covered, names, draws, seed)
        for name, rows in bounds.groupby("statistic", sort=False):
            table = table.merge(rows[[*PAIR, "low", "high"]].rename(columns={"low": f"{name}_low", "high": f"{name}_high"}), how="left", on=PAIR)
    return table


def in_words(row: pd.Series) -> str | None:
    """What stands behind an edge, by channel, as the graph file keeps it."""
    said = []
    for name in dict.fromkeys((*HEADLINE, "parent_first")):
        if np.isfinite(row.get(name, np.nan)):
            ends = f" [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]" if np.isfinite(row.get(f"{name}_low", np.nan)) else ""
            said.append(f"{CHANNELS[name]}: {name.replace('_', ' ')} {row[name]:.2f}{ends}")
    if np.isfinite(row["n"]):
        said.append(f"{row['n']:.0f} learners met both")
    if np.isfinite(row["stability"]):
        said.append(f"found in {row['stability']:.0%} of the halves")
    return "; ".join(said) or None


def verdict_of(job: recipe.Run, cells: Cells, name: str) -> stability.GraphTest:
    """Whether the logs carry any graph at all: said in plain words, kept as records and as a figure."""
    recipe.say(f"exchanging answers {job.cfg.permutations} times: is there anything in the logs?")
    test = stability.permutation_test(cells, permutations=job.cfg.permutations, seed=job.seed)
    job.metrics += [*test.records(name), record("verdict", test.p_value, test.pairs, model=name, group=test.verdict)]
    if len(test.null):
        low, high = np.quantile(test.null, [0.025, 0.975])
        recipe.say(f"{test.verdict}: how much some pairs stand out is {test.statistic:.2f}; with answers exchanged {low:.2f} to {high:.2f} "
                   f"(p {test.p_value:.2g}, {test.pairs:,} pairs, {test.learners:,} learners). It is no proof of an order.")
        job.keep("information", graph_figures.exchanged_answers(test.statistic, test.null, test.p_value, test.verdict))
    else:
        recipe.say(f"{test.verdict}: {test.pairs:,} pairs of concepts were met by enough learners")
    return test


def learn(job: recipe.Run, name: str) -> tuple[ConceptGraph, None, str]:
    """The graph that ``cfg.graph`` stands for, with what the logs say of each edge; no edge where they say nothing."""
    cfg, data = job.cfg, job.data
    source = instantiate(cfg.graph)
    graph, learned = recipe.graph_of(source, data, data["interactions"]), hasattr(source, "scores")
    recipe.say(f"graph {name}: {len(graph.prerequisites):,} edges among {len(graph.concept_ids):,} concepts")
    wide, records = judged_evidence(data, tuple(CHANNELS), cfg.draws, job.seed)
    wide.to_parquet(job.folder / "evidence.parquet", index=False)
    job.metrics += records
    for line in evaluate.lines(records, ("auc", "ap", "direction_accuracy", "coverage")):
        recipe.say(line)
    if records:
        job.keep("comparison", figures.metric_comparison([m for m in records if m["name"] == "ap" and m["split"] == "covered"]))
    cells = fold(data["interactions"], data["q_matrix"])
    test = verdict_of(job, cells, name)
    found, note = len(graph.prerequisites), f"{name} on {data.label}; {test.verdict} (p {test.p_value:.2g})"
    stable = halves(job, name, found or None) if learned else pd.DataFrame({"concept_id": [], "requires_id": [], "stability": []})
    if learned and test.verdict != stability.SOMETHING and (graph.prerequisites.get("channel") == "responses").any():
        graph, note = graph.replace(None), f"{note}: none of {found:,} candidate edges is kept"
        recipe.say(f"{test.verdict}: none of the {found:,} candidate edges is presented as learned; the scores of all pairs are in evidence.parquet")
    if len(graph.prerequisites):
        edges = edge_table(cells, wide, graph.prerequisites, stable, cfg.draws, job.seed)
        edges.to_parquet(job.folder / "edges.parquet", index=False)
        job.tracked.append("edges.parquet")
        statistic = cfg.graph.get("statistic", HEADLINE[0])
        if f"{statistic}_low" in edges:
            job.keep("edges", graph_figures.edge_evidence(edges, data["concepts"].set_index("concept_id")["name"], statistic))
        if learned:
            graph = graph.replace(graph.prerequisites.assign(rationale=edges.apply(in_words, axis=1).to_numpy()))
    return graph, None, note


def fuse(job: recipe.Run, name: str) -> tuple[ConceptGraph, None, str]:
    """The fused model on topics it was taught nothing about, beside each set of its channels; the graph is of those held-out probabilities.

    ``pairs.parquet`` holds them for every pair, ``edges.parquet`` those of the edges: ``weight``, ``n`` common learners and what each channel added.
    """
    from edukit.graph import fusion_trial
    from edukit.graph.channels import CHANNELS as FUSED
    from edukit.graph.channels import lacking
    from edukit.graph.fusion import in_words as by_channel_in_words

    cfg, data = job.cfg, job.data
    tables = recipe.in_memory(data).tables
    channels = tuple(c for c in FUSED if cfg.graph[c] or (cfg.graph[c] is None and not lacking(tables, c)))
    seeds = tuple(range(job.seed, job.seed + cfg.seeds))
    if "responses" in channels and verdict_of(job, fold(data["interactions"], data["q_matrix"]), name).verdict != stability.SOMETHING:
        channels = tuple(c for c in channels if c != "responses")
        recipe.say(f"the channel responses is left out{'' if channels else ', and no other is there'}")
        if not channels:
            return ConceptGraph.from_tables(data["concepts"], None, data["q_matrix"]), None, f"{name} on {data.label}: the logs carry no information"
    settings = {k: v for k, v in OmegaConf.to_container(cfg.graph).items() if k not in ("_target_", "seed", *FUSED)}  # type: ignore[union-attr]
    records, scored = fusion_trial.trial(tables, channels, cfg.folds, seeds, cfg.draws, recipe.say, settings)
    job.metrics += [{**r, "model": r["model"] or name} for r in records]
    scored.to_parquet(job.folder / "pairs.parquet", index=False)
    job.tracked.append("pairs.parquet")
    sets = list(fusion_trial.combinations(channels))
    whole = sets[0]
    bins = []
    for kind in dict.fromkeys((whole, *(c for c in sets if c == whole.replace("+exposure", "")))):
        asked = scored[~scored["implied"].astype(bool)].dropna(subset=kind)
        bins.append(calibration.reliability(asked, asked[kind].to_numpy(), cfg.draws, job.seed)[0].assign(part="held-out topics", kind=kind))
    job.keep("reliability", graph_figures.edge_reliability(pd.concat(bins)))
    job.keep("comparison", figures.metric_comparison([{**r, "model": r["channel"]} for r in records if r["name"] == "ap" and r["split"] == "covered"]))
    told = fusion_trial.by_channel(scored)
    graph = pair_models.acyclic(data["concepts"], told.rename(columns={"probability": "score"}), 0.5, name)
    if len(graph.prerequisites):
        edges = graph.prerequisites[[*PAIR, "weight"]].merge(told.drop(columns="probability"), how="left", on=PAIR)
        edges.to_parquet(job.folder / "edges.parquet", index=False)
        job.tracked.append("edges.parquet")
        words = by_channel_in_words(edges) + edges["n"].map("; {:,.0f} learners met both".format)
        graph = graph.replace(graph.prerequisites.assign(channel="fusion", rationale=words.to_numpy()))
    return graph, None, f"{name} ({whole}) on {data.label}, from probabilities of pairs that were held out"
