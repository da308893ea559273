"""Is a graph of any use in foretelling answers? Right, reversed and random graphs, and those learnt from the answers, on both halves of the learners."""

from __future__ import annotations

import time
from collections.abc import Iterator

import hydra
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit import splits
from edukit.evaluation import RunReport
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.judging import judge
from edukit.graph.sources import Expert, NoGraph
from edukit.metrics import bootstrap, log_loss, paired_bootstrap, record
from edukit.schema import DataError
from edukit.tracing.irt import StaticIRT

from . import recipe

PLAIN = "no graph (1PL)"
WITH = {"learned": {}, "learned_exposure": {"exposure": True}, "learned_text": {"text": True}, "learned_exposure_text": {"exposure": True, "text": True}}
GIVEN = ("same_topic", "reversed", "expert")
HELPS = {"expert": True, "reversed": False, "same_topic": False, **dict.fromkeys(WITH, True)}  # what must be seen
ALIKE = 0.0005  # a difference in log-loss that is about none: a quarter of what the experts' graph was measured to gain on Junyi
TOLD = ("verdict", "gain", "p_value", "gate", "slip", "guess", "sparsity", "share_ability", "share_graph", "share_residual")


def reversed_graph(graph: ConceptGraph) -> ConceptGraph:
    """Every edge turned around."""
    return graph.replace(graph.prerequisites.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"}))


def same_topic_graph(graph: ConceptGraph, seed: int) -> ConceptGraph:
    """As many edges, each between two concepts drawn from the topic its concept has (without topics, from all), along one drawn order."""
    rng, ids = np.random.default_rng(seed), np.asarray(graph.concept_ids, object)
    topics = graph.concepts["topic"].fillna("").to_numpy() if "topic" in graph.concepts else np.full(len(ids), "")
    members = {topic: np.flatnonzero(topics == topic) for topic in np.unique(topics)}
    place, pairs = rng.permutation(len(ids)), set()
    for _, child in graph.adjacency():
        pool = members[topics[child]] if len(members[topics[child]]) > 2 else np.arange(len(ids))
        for _ in range(100):
            one, other = sorted(rng.choice(pool, 2, replace=False), key=lambda k: place[k])
            if (one, other) not in pairs:
                pairs.add((one, other))
                break
    table = pd.DataFrame([(ids[other], ids[one]) for one, other in sorted(pairs)], columns=["concept_id", "requires_id"])
    return graph.replace(table.assign(source="drawn", weight=1.0))


def halves(log: pd.DataFrame, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """The responses of one half of the learners, then of the other."""
    code = pd.factorize(log["learner_id"])[0]
    first = np.random.default_rng(seed).permutation(code.max() + 1) % 2 == 0
    for name, half in (("half 1", first[code]), ("half 2", ~first[code])):
        yield name, log[half].reset_index(drop=True)


def forecasts(job: recipe.Run, train: pd.DataFrame, test: pd.DataFrame, half: str) -> dict[str, np.ndarray]:
    """P(correct) of every test row (N,) under each graph; what each fit took and found is kept as records and said."""
    cfg, data = job.cfg, job.data
    own = Expert() if data.allows()["graph"] else NoGraph()
    expert = recipe.graph_of(own, data, train)
    targets, found = test.drop(columns="correct"), {PLAIN: StaticIRT(item_spread=cfg.tracing.item_spread).fit(train, expert).predict(test, train).to_numpy()}
    for name in cfg.graphs:
        if name in GIVEN and isinstance(own, NoGraph):
            recipe.say(f"{name} left out: the data hold no prerequisites")
            continue
        graph = {"reversed": reversed_graph, "same_topic": lambda g: same_topic_graph(g, job.seed)}.get(name, lambda g: g)(expert)
        settings = {"graph": "given"} if name in GIVEN else {"graph": "learned", **WITH[name]}
        started = time.process_time()
        model = instantiate(cfg.tracing, **settings, abstain=False).fit(train, graph)
        where = {"model": name, "group": half}
        job.metrics.append(record("seconds", round(time.process_time() - started, 1), len(train), **where))
        told = model.report_
        job.metrics += [record(k, told[k], told["learners"], **where) for k in TOLD if k != "verdict"]
        job.metrics.append(record("graph_gain", told["gain"], told["learners"], told["gain_low"], told["gain_high"], **where, channel=told["verdict"]))
        recipe.say(f"{half} · {name}: {told['verdict']} (p {told['p_value']:.2g}, {told['expected_edges']:.0f} edges expected)")
        found[name] = model.predict(targets, train).to_numpy()
        if name in WITH and not isinstance(own, NoGraph):
            job.metrics += judged(job, model.edges_, where)
    return found


def judged(job: recipe.Run, edges: pd.DataFrame, where: dict[str, str]) -> list[dict]:
    """How learnt edges agree with the experts', which they never saw."""
    concepts = job.data["concepts"]
    topics = concepts.set_index("concept_id")["topic"] if "topic" in concepts else None
    try:
        records = judge(edges.rename(columns={"weight": "score"}), job.data["prerequisites"], topics, min_common=1, draws=job.cfg.draws, seed=job.seed)
    except DataError as error:
        recipe.say(f"{where['group']} · {where['model']} not judged: {error}")
        return []
    shown = {r["name"]: r["value"] for r in records if r["split"] == "all_pairs"}
    recipe.say(f"{where['group']} · {where['model']}: experts' edges found with AUC {shown['auc']:.3f}, AP {shown['ap']:.3f} (random {shown['random_ap']:.4f})")
    return [{**r, **where} for r in records]


def scored(job: recipe.Run, test: pd.DataFrame, found: dict[str, np.ndarray], half: str) -> None:
    """Log-losses, their differences paired by learner, and whether what must be seen is seen.

    A graph that must help has to be better than no graph and than every graph that must not; one that must not, has to be about as good as none.
    """
    y, units = test["correct"].to_numpy(float), pd.factorize(test["learner_id"])[0]
    controls = [PLAIN, *(name for name in found if not HELPS.get(name, True))]
    for name, p in found.items():
        where = {"split": "cells", "model": name, "group": half}
        job.metrics.append(record("log_loss", log_loss(y, p), len(y), *bootstrap(y, p, units, log_loss, job.seed, job.cfg.draws), **where))
        line = f"{half} · {name:<22} log-loss {log_loss(y, p):.4f}"
        if name != PLAIN:
            others = controls if HELPS[name] else [PLAIN]
            told = {other: paired_bootstrap(y, p, found[other], units, log_loss, job.seed, job.cfg.draws) for other in others}
            holds = all(t["high"] < 0 for t in told.values()) if HELPS[name] else max(-told[PLAIN]["low"], told[PLAIN]["high"]) < ALIKE
            job.metrics += [record("log_loss_difference", t["difference"], len(y), t["low"], t["high"], **where, channel=f"minus {other}")
                            for other, t in told.items()]
            job.metrics.append(record("holds", float(holds), len(y), **where))
            plain = told[PLAIN]
            line += (f", to no graph {plain['difference']:+.4f} [{plain['low']:+.4f}, {plain['high']:+.4f}]; "
                     f"{'must help' if HELPS[name] else f'must stay within {ALIKE}'}: {'holds' if holds else 'does not hold'}")
        recipe.say(line)


def run(cfg: DictConfig) -> RunReport:
    """Fit every graph on training cells of each half, and foretell the held-out cells."""
    if unknown := [name for name in cfg.graphs if name not in HELPS]:
        raise DataError(f"graphs must be some of {', '.join(HELPS)}; found {', '.join(unknown)}")
    with recipe.open_run(cfg) as job:
        sizes = {}
        for half, log in halves(job.data["interactions"], job.seed):
            split = splits.cells(log, job.seed)
            file = f"split_{half.replace(' ', '_')}.parquet"
            split.save(job.folder / file, log)
            job.tracked.append(file)
            sizes |= {f"{half} {part}": rows for part, rows in split.sizes().items()}
            train, test = (split.part(log, part).reset_index(drop=True) for part in ("train", "test"))
            scored(job, test, forecasts(job, train, test, half), half)
        job.split = {"name": "cells", "seed": job.seed, "rows": sizes, "file": "split_half_1.parquet, split_half_2.parquet"}
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="graph_sanity")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
