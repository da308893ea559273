"""Beside the matrix: are the off-policy estimators right, do resources help, how long does a learner wait, and whom does a policy imitate?"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from scipy.stats import binomtest

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import interval, record, shown
from edukit.recommend.off_policy import Value, doubly_robust, snips
from edukit.recommend.policy import ConceptPolicy
from edukit.recommend.replay import decisions, imitation
from edukit.recommend.resource_trial import visits
from edukit.recommend.simulate import GatedWorld
from edukit.recommend.terrain import Terrain

from . import recipe

ESTIMATORS = {"snips": snips, "doubly_robust": doubly_robust}
WAITS, WARM = 200, 20  # answers of one learner that are timed; answers before them
IMITATED, SHOWN, MOST = 40, (1, 3), 300  # responses of each learner; concepts put first; learners who are asked about


def all_of(cfg: DictConfig, graph: ConceptGraph, responses: pd.DataFrame, seed: int) -> list[dict]:
    """Every check as tidy metrics; each is said in a line."""
    return [*calibrated(cfg, graph, seed), *helped(cfg, seed), *imitated(cfg, graph, responses, seed), *waited(cfg)]


def calibrated(cfg: DictConfig, graph: ConceptGraph, seed: int) -> list[dict]:
    """How often the 95 % interval of each estimator holds the true value of a policy, on logs that another one made.

    The truth is the mean over all logs of what the world tells of every decision.
    """
    world, logging = GatedWorld(graph, seed=seed), instantiate(cfg.policies[cfg.default])
    targets = {name: instantiate(cfg.policies[name]) for name in cfg.log.targets}
    values: dict[tuple[str, str, int], list[Value]] = {}
    truths: dict[str, list[tuple[float, int]]] = {name: [] for name in targets}
    for cohort in cfg.log.cohorts:
        for k in range(cfg.log.logs):
            replay = decisions(world, logging, cfg.log.explore, targets, cohort, cfg.log.steps, 10_000 + 1000 * seed + k)
            for name, wanted in replay.targets.items():
                truths[name].append((replay.truth[name], cohort))
                for estimator, value_of in ESTIMATORS.items():
                    values.setdefault((name, estimator, cohort), []).append(value_of(replay.log, wanted))
    records = []
    for (name, estimator, cohort), own in values.items():
        each, learners = np.array(truths[name]).T
        truth = float(np.average(each, weights=learners))
        where = {"split": "simulated logs", "model": name, "channel": f"{estimator}, {cohort} learners"}
        records += judged(own, truth, where)
    return records


def judged(own: list[Value], truth: float, where: dict[str, str]) -> list[dict]:
    """Coverage, bias and width of the estimates that were not refused, and the share that was."""
    told = [value for value in own if not value.refused]
    hits, n = sum(value.low <= truth <= value.high for value in told), len(told)
    ends = binomtest(hits, n).proportion_ci() if n else (None, None)
    records = [record("coverage", hits / n if n else None, n, *ends, **where), record("refused", 1 - n / len(own), len(own), **where),
               record("true_value", truth, len(own), **where)]
    said = f"off-policy   {where['channel']}, of {where['model']}: "
    if not n:
        recipe.say(f"{said}refused on all {len(own)} logs ({own[0].refused})")
        return records
    error = np.array([value.value for value in told]) - truth
    width = float(np.mean([value.high - value.low for value in told]))
    recipe.say(f"{said}truth {shown(truth)}, bias {shown(float(error.mean()), 4)}, the 95 % interval (mean width {shown(width)}) holds it in {hits / n:.1%} "
               f"of {n} logs; refused {len(own) - n}")
    return [*records, record("bias", float(error.mean()), n, **where), record("rmse", float(np.sqrt((error**2).mean())), n, **where),
            record("interval_width", width, n, **where)]


def helped(cfg: DictConfig, seed: int) -> list[dict]:
    """How often the resource chosen helps, beside chance, popularity and the best there is."""
    found = [visits(count=cfg.resources, seed=s) for s in cfg.seeds]
    records, names = [], ("learnt", "random", "popular", "best")
    means = {name: np.array([getattr(v, name).mean() for v in found]) for name in names}
    for name in names:
        records.append(record("resource_helps", float(means[name].mean()), cfg.resources * len(found), split="simulated", model=name, channel="resources"))
    for name in names[1:3]:
        each = np.stack([v.learnt - getattr(v, name) for v in found])
        rng = np.random.default_rng(seed)
        drawn = np.array([each[rng.integers(0, len(each), len(each))].mean() for _ in range(cfg.draws)])
        low, high = interval(drawn)
        records.append(record("gain_of_learnt", float(each.mean()), each.size, low, high, split="simulated", model=name, channel="resources"))
    told = ", ".join(f"{name} {shown(float(means[name].mean()))}" for name in names)
    recipe.say(f"resources    {told} (P(helps), {cfg.resources:,} visits x {len(found)})")
    return records


def imitated(cfg: DictConfig, graph: ConceptGraph, responses: pd.DataFrame, seed: int) -> list[dict]:
    """How often the default would have put first what learners of the data did next: imitation of who led them, no sign of learning."""
    terrain = Terrain.of(graph)
    if responses["order"].isna().any():
        recipe.say("imitation    not asked: the order of responses is not known")
        return []
    known = responses[responses["item_id"].isin(terrain.place_of_item)].sort_values(["learner_id", "order"])
    nth = known.groupby("learner_id").cumcount()
    long = known["learner_id"].map(known.groupby("learner_id").size()) >= IMITATED
    who = known.loc[long, "learner_id"].unique()
    asked = set(np.random.default_rng(seed).permutation(who)[:MOST])
    some = known[(nth < IMITATED) & known["learner_id"].isin(asked)]
    if some["learner_id"].nunique() < 10:
        recipe.say(f"imitation    not enough data: fewer than 10 learners have {IMITATED} responses")
        return []
    item = some["item_id"].map(terrain.place_of_item).to_numpy(np.int64).reshape(-1, IMITATED)
    correct = some["correct"].to_numpy(float).reshape(-1, IMITATED)
    records = []
    for n in SHOWN:
        hits = imitation(instantiate(cfg.policies[cfg.default]), terrain, item, correct, n, seed)
        half = 1.96 * hits.std(ddof=1) / np.sqrt(len(hits))
        records.append(record("imitation_hit_rate", float(hits.mean()), len(hits), float(hits.mean() - half), float(hits.mean() + half),
                              split="data", model=cfg.default, channel=f"first {n}"))
    recipe.say("imitation    " + ", ".join(f"next concept among the first {n}: {shown(r['value'])}" for n, r in zip(SHOWN, records, strict=True))
               + " (imitates who led these learners; it is no sign that they learnt more)")
    return records


def waited(cfg: DictConfig) -> list[dict]:
    """Milliseconds from an answer to the next recommendation, of one learner, on one thread; without the learner model."""
    records = []
    for size in cfg.latency:
        graph = map_of(size)
        for name in cfg.policies:
            times = 1000 * np.array(session(instantiate(cfg.policies[name]), graph))
            for end, share in (("p50", 0.5), ("p95", 0.95)):
                records.append(record(f"latency_{end}_ms", float(np.quantile(times, share)), len(times), model=name, channel=f"{size} concepts"))
        slowest = max((r for r in records if r["channel"] == f"{size} concepts" and r["name"] == "latency_p95_ms"), key=lambda r: r["value"])
        recipe.say(f"latency      {size} concepts: the slowest policy ({slowest['model']}) takes {slowest['value']:.1f} ms at the 95th percentile")
    return records


def map_of(size: int, seed: int = 0) -> ConceptGraph:
    """An invented graph of so many concepts, three items each."""
    concepts, edges = random_concepts(size, layers=max(2, round(size**0.5)), seed=seed)
    ids = np.repeat(concepts["concept_id"].to_numpy(object), 3)
    q_matrix = pd.DataFrame({"item_id": [f"{concept}-{k % 3}" for k, concept in enumerate(ids)], "concept_id": ids})
    return ConceptGraph.from_tables(concepts, edges, q_matrix)


def session(policy: ConceptPolicy, graph: ConceptGraph) -> list[float]:
    """Seconds of each answer and the recommendation after it."""
    rng, none = np.random.default_rng(0), pd.DataFrame({"item_id": []})
    policy.start(graph, none, 0)
    mastery = pd.DataFrame({"mastery": rng.random(len(graph.concept_ids)), "sd": 0.1, "n": 0}, index=pd.Index(graph.concept_ids, name="concept_id"))
    item, times, history = graph.item_ids[0], [], []
    for _ in range(WARM + WAITS):
        correct = float(rng.random() < 0.6)
        history.append((item, correct))
        begun = time.perf_counter()
        policy.observe(item, correct)
        found = policy.recommend(mastery, history, 1)
        times.append(time.perf_counter() - begun)
        item = str(found["item_id"].iloc[0])
    return times[WARM:]
