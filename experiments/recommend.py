"""What should come next, and does a policy help? Policies in invented worlds, on right and wrong graphs, with worst case and regret."""

from __future__ import annotations

from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.data.curriculum import ConceptMap
from edukit.evaluation import RunReport
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import record, shown
from edukit.protocols import PrerequisiteGraph
from edukit.recommend.simulate import OpenWorld
from edukit.recommend.terrain import Terrain
from edukit.recommend.trials import Trial, gini, paired, try_policy
from edukit.report import recommend_figures
from edukit.schema import DataError

from . import recipe, recommend_checks, recommend_worlds

RIGHT, FEWEST = "given graph", 10  # no group of fewer learners is shown
WANTED = (  # policy, in a world with prerequisites, end of the interval or mean, what the default's gain on it should at least be
    ("random", True, "low", 0.0), ("weakest_first", True, "low", 0.0), ("target_p", True, "value", -0.01), ("expert_order", True, "value", -0.01),
    ("random", False, "value", -0.02))
Found = dict[tuple[str, str, str], list[Trial]]


def in_reach(graph: PrerequisiteGraph) -> ConceptGraph:
    """The part of a graph that items can be asked of: concepts with an item, and the edges between them.

    Raises
    ------
    DataError
        Where no concept has an item.
    """
    q_matrix, edges = graph.q_matrix, graph.prerequisites
    some = [concept for concept in graph.concept_ids if concept in set(q_matrix["concept_id"])]
    if not some:
        raise DataError("recommend needs items of concepts; found none in the q_matrix. Use data with a q_matrix, such as data=synthetic.")
    concepts = pd.DataFrame({"concept_id": some}).merge(getattr(graph, "concepts", pd.DataFrame({"concept_id": some, "name": some})), on="concept_id")
    return ConceptGraph.from_tables(concepts, edges[edges["concept_id"].isin(some) & edges["requires_id"].isin(some)], q_matrix)


def believed(graph: ConceptGraph, share: float, seed: int) -> Terrain:
    """The graph that policies believe in: the given one, or with a share of its edges missing and as many false ones added."""
    if not share:
        return Terrain.of(graph)
    rng = np.random.default_rng([seed, 6])
    return Terrain.of(graph.replace(ConceptMap.of(graph.concepts, graph.prerequisites).blurred(graph.prerequisites, share, rng)))


def tried(cfg: DictConfig, graph: ConceptGraph, log: pd.DataFrame) -> Found:
    """Every policy in every world, by (world, graph, policy): one trial a seed. On a wrong graph only those that look at readiness."""
    policies, found = {name: instantiate(settings) for name, settings in cfg.policies.items()}, {}
    for name in cfg.worlds:
        world = recommend_worlds.built(cfg, name, graph, log)
        for share in cfg.graph_noise if len(graph.prerequisites) and name in cfg.matrix else cfg.graph_noise[:1]:
            terrains = {seed: believed(graph, share, seed) for seed in cfg.seeds}
            for policy in policies.values() if not share else [p for p in policies.values() if p.ready]:
                label = next(k for k, p in policies.items() if p is policy)
                key = name, RIGHT if not share else f"{share:.0%} missing, {share:.0%} false", label
                found[key] = [try_policy(policy, world, terrains[seed], cfg.cohort, cfg.steps, seed) for seed in cfg.seeds]
        recipe.say(f"world        {name}: {len(cfg.seeds)} cohorts of {cfg.cohort:,} learners, {cfg.steps} responses each")
    return found


def ends(trials: list[Trial]) -> np.ndarray:
    """(seeds, B) final mastery."""
    return np.stack([trial.ended for trial in trials])


def scored(found: Found, cfg: DictConfig, seed: int) -> list[dict]:
    """Tidy metrics: final mastery by policy, group and world; what the default gains; regret; what learners were led through."""
    records = []
    for (world, graph, policy), trials in found.items():
        where, n = {"split": graph, "model": policy, "channel": world}, len(trials) * cfg.cohort
        mean, low, high = paired(ends(trials), np.zeros((len(trials), cfg.cohort)), seed, cfg.draws)
        began = float(np.mean([trial.began.mean() for trial in trials]))
        best = max(ends(others).mean() for key, others in found.items() if key[:2] == (world, graph))
        records += [record("final_mastery", mean, n, low, high, **where), record("first_mastery", began, n, **where),
                    record("regret", float(best - mean), n, **where), record("unready_share", float(np.mean([t.unready.mean() for t in trials])), n, **where),
                    record("exposure_gini", gini(np.sum([t.exposure for t in trials], axis=0)), n, **where),
                    record("readiness_broken", float(sum(t.broken for t in trials)), n * cfg.steps, **where), *by_group(trials, where)]
        first = found.get((world, graph, cfg.default))
        if first is not None and policy != cfg.default:
            records.append(record("gain_of_default", *_in_order(*paired(ends(first), ends(trials), seed, cfg.draws), n), **where))
        if graph != RIGHT:
            records.append(record("cost_of_wrong_graph", *_in_order(*paired(ends(found[world, RIGHT, policy]), ends(trials), seed, cfg.draws), n), **where))
    worlds = [world for world in cfg.matrix if world in cfg.worlds]
    for graph, policy in dict.fromkeys((key[1], key[2]) for key in found):
        own = {r["channel"]: r for r in records if r["split"] == graph and r["model"] == policy and r["name"] == "regret" and r["channel"] in worlds}
        if own:
            worst = max(own.values(), key=lambda r: r["value"])
            records.append(record("worst_regret", worst["value"], worst["n"], split=graph, model=policy, channel=worst["channel"]))
    return records


def _in_order(mean: float, low: float, high: float, n: int) -> tuple[float, int, float, float]:
    return mean, n, low, high


def by_group(trials: list[Trial], where: dict[str, str]) -> list[dict]:
    """Final mastery of each group, and by how much the gap between two grew while the policy led them."""
    groups = np.concatenate([trial.groups for trial in trials])
    began, ended = (np.concatenate([getattr(trial, name) for trial in trials]) for name in ("began", "ended"))
    names = [name for name in np.unique(groups) if (groups == name).sum() >= FEWEST]
    records = [record("final_mastery", float(ended[groups == name].mean()), int((groups == name).sum()), group=str(name), **where) for name in names]
    if len(names) == 2:
        gaps = [float(abs(values[groups == names[0]].mean() - values[groups == names[1]].mean())) for values in (began, ended)]
        records.append(record("group_gap", gaps[1], len(groups), **where))
        records.append(record("group_gap_growth", gaps[1] - gaps[0], len(groups), **where))
    return records


def lines(records: list[dict], cfg: DictConfig) -> list[str]:
    """The matrix as it is printed: final mastery by policy and world, worst regret, and what the default gains on each with its interval."""
    table = pd.DataFrame(records)
    table = table[table["group"].isna()]
    found = []
    for graph in table.loc[table["name"] == "final_mastery", "split"].unique():
        some = table[table["split"] == graph]
        worlds = [world for world in cfg.worlds if world in set(some["channel"])]
        found.append(f"final mastery, {graph}:")
        found.append("  " + "".join(f"{word:<{width}}" for word, width in zip(["policy", *worlds, "worst regret"], [15, *[26] * len(worlds), 0], strict=True)))
        for policy in cfg.policies:
            at = some[some["model"] == policy].set_index(["name", "channel"])["value"]
            if not len(at):
                continue
            cells = [f"{shown(at['final_mastery', w])} (unready {shown(at['unready_share', w], 2)})" for w in worlds]
            worst = some[(some["model"] == policy) & (some["name"] == "worst_regret")].iloc[:1]
            told = f"{shown(worst['value'].iloc[0])} in {worst['channel'].iloc[0]}" if len(worst) else ""
            found.append("  " + f"{policy:<15}" + "".join(f"{cell:<26}" for cell in cells) + told)
    gains = table[(table["name"] == "gain_of_default") & (table["split"] == RIGHT)]
    for policy, part in gains.groupby("model", sort=False):
        told = "; ".join(f"{r.channel} {shown(r.value)} [{shown(r.low)}, {shown(r.high)}]" for r in part.itertuples())
        found.append(f"  {cfg.default} less {policy}: {told}")
    return found


def verdict(records: list[dict], cfg: DictConfig) -> str:
    """How much of what is wanted of the default holds in the worlds of the matrix, and what does not, by name."""
    gains = {(r["model"], r["channel"]): r for r in records if r["name"] == "gain_of_default" and r["split"] == RIGHT}
    asked = [(other, world, end, least) for other, gated, end, least in WANTED for world in cfg.matrix
             if (world != OpenWorld.name) == gated and (other, world) in gains]
    told = {key: " ".join(shown(gain[name], 4) for name in ("value", "low", "high")) for key, gain in gains.items()}
    missed = [f"{other} in {world} ({told[other, world]})" for other, world, end, least in asked if gains[other, world][end] <= least]
    line = f"verdict      {cfg.default}: {len(asked) - len(missed)} of {len(asked)} comparisons are as wanted"
    return f"{line}; not met (gain, 95 % interval): {', '.join(missed)}" if missed else line


def write(job: recipe.Run, found: Found) -> None:
    """One row a trial, the mastery of its cohort after every response, and the figures drawn from both, with the run."""
    rows = [{"world": world, "graph": graph, "policy": policy, "seed": seed, "began": t.began.mean(), "ended": t.ended.mean(),
             "unready": t.unready.mean(), "broken": t.broken, "gini": gini(t.exposure)}
            for (world, graph, policy), trials in found.items() for seed, t in zip(job.cfg.seeds, trials, strict=True)]
    courses = [pd.DataFrame({"world": world, "graph": graph, "policy": policy, "seed": seed, "step": range(len(t.course)), "mastery": t.course})
               for (world, graph, policy), trials in found.items() for seed, t in zip(job.cfg.seeds, trials, strict=True)]
    matrix, steps = cells(job.metrics), pd.concat(courses, ignore_index=True)
    for name, table in (("trials", pd.DataFrame(rows)), ("matrix", matrix), ("steps", steps)):
        table.to_parquet(job.folder / f"{name}.parquet", index=False)
        job.tracked.append(f"{name}.parquet")
    for name, figure in drawn(matrix, steps, job.cfg.default).items():
        job.keep(name, figure)


def cells(records: list[dict]) -> pd.DataFrame:
    """The matrix as a table: final mastery with its interval by graph, world and policy."""
    finals = pd.DataFrame([r for r in records if r["name"] == "final_mastery" and not r["group"]])
    return finals.rename(columns={"split": "graph", "channel": "world", "model": "policy"})[["graph", "world", "policy", "value", "low", "high", "n"]]


def drawn(matrix: pd.DataFrame, steps: pd.DataFrame, default: str) -> dict[str, Any]:
    """Figures of a run from the tables it left: ``matrix.parquet`` and ``steps.parquet``."""
    right, first = steps[steps["graph"] == RIGHT], (default, "target_p", "random", "weakest_first")
    return {"recommend_matrix": recommend_figures.policy_matrix(matrix), "recommend_steps": recommend_figures.mastery_over_steps(right, first)}


def narrowed(cfg: DictConfig) -> DictConfig:
    """The config with the worlds of ``only`` and no others."""
    if cfg.only is None:
        return cfg
    if absent := [name for name in cfg.only if name not in cfg.worlds]:
        raise DataError(f"recommend.only must name worlds among {', '.join(cfg.worlds)}; found {absent[0]}.")
    own = cfg.copy()
    own.worlds, own.matrix = {name: cfg.worlds[name] for name in cfg.only}, [name for name in cfg.matrix if name in cfg.only]
    return own


def run(cfg: DictConfig) -> RunReport:
    """Try every policy in every world, then judge the resources, the off-policy estimators and the wait of one learner."""
    absent = [f"default={cfg.default}"] * (cfg.default not in cfg.policies) + [f"matrix={name}" for name in cfg.matrix if name not in cfg.worlds]
    absent += [f"log.targets={name}" for name in cfg.log.targets if name not in cfg.policies]
    if absent or not cfg.graph_noise or cfg.graph_noise[0]:
        raise DataError(f"recommend needs a default and targets among {', '.join(cfg.policies)}, worlds among {', '.join(cfg.worlds)} and a graph_noise that "
                        f"begins with 0; found {absent[0] if absent else list(cfg.graph_noise)}.")
    with recipe.open_run(cfg) as job:
        cfg, responses = narrowed(cfg), job.data["interactions"]
        graph = in_reach(job.graph(responses))
        log = recommend_worlds.log_of(cfg, graph, responses)
        found = tried(cfg, graph, log)
        job.metrics += scored(found, cfg, job.seed)
        for line in lines(job.metrics, cfg):
            recipe.say(line)
        recipe.say(verdict(job.metrics, cfg))
        job.metrics += recommend_checks.all_of(cfg, graph, responses, job.seed)
        write(job, found)
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="recommend")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
