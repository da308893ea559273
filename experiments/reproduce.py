"""Reproduce a paper: the experiment behind its number, run here; the paper's number, the range to expect and ours beside each other, and why they differ."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from textwrap import fill

import hydra
import networkx as nx
import numpy as np
import pandas as pd
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from edukit.data import LearningData
from edukit.evaluation import RunReport
from edukit.graph import pair_benchmark
from edukit.metrics import record
from edukit.report import figures
from edukit.reproducibility import bundled, fingerprint
from edukit.schema import DataError

from . import learn_from_labels, recipe, trace
from .learn_graph import name_of
from .prerequisites import maker

PAIR = pair_benchmark.PAIR
CHANNELS = ("published", "expected", "found")


def papers() -> dict[str, DictConfig]:
    """The ``paper`` of each file of ``conf/experiment``, by its name."""
    return {path.stem: OmegaConf.load(path).paper for path in sorted((bundled("conf") / "experiment").glob("*.yaml"))}


def listing() -> list[str]:
    """A line per paper: the name to give, its number and the range to expect here."""
    told = [f"{name:<38}{p.published.metric} {p.published.number:.4g} published, {p.expected_here.low:.3f} to {p.expected_here.high:.3f} expected here, "
            f"about {p.cost.minutes} min" for name, p in papers().items()]
    return [*told, "edukit run reproduce experiment=NAME   (quick=true tries it on invented data in under a minute)"]


def quickened(cfg: DictConfig) -> DictConfig:
    """The config of the quick variant: what ``paper.quick`` names takes the place of the paper's settings; of a new ``_target_`` nothing old stays."""
    quick = deepcopy(cfg)
    for key, value in cfg.paper.quick.items():
        OmegaConf.update(quick, str(key), value, merge=not (isinstance(value, DictConfig) and "_target_" in value), force_add=True)
    return quick


def of_experiment(cfg: DictConfig, experiment: str) -> DictConfig:
    """The config of another experiment with everything that the paper and the command line set, as if it had been started by itself."""
    inner = compose(experiment) if GlobalHydra.instance().is_initialized() else recipe.config(experiment)  # on the command line Hydra is there already
    for key in inner:
        if key != "experiment" and key in cfg:
            OmegaConf.update(inner, str(key), cfg[key], merge=False)
    return inner


def closed_map(concepts: pd.DataFrame, prerequisites: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Table ``concept_pairs`` of a map, closed as the labels of AL-CPL are: whatever is implied is a positive, and as many unrelated pairs are negatives.

    Parameters
    ----------
    concepts, prerequisites : tables of the map.
    seed : draws the negatives.
    """
    reach = nx.transitive_closure(nx.from_pandas_edgelist(prerequisites, *PAIR, create_using=nx.DiGraph))
    yes = pd.DataFrame(sorted(reach.edges), columns=PAIR)
    ids = concepts["concept_id"]
    free = [(a, b) for a in ids for b in ids if a != b and not reach.has_edge(a, b) and not reach.has_edge(b, a)]
    drawn = np.random.default_rng(seed).permutation(len(free))[:len(yes)]
    no = pd.DataFrame([free[k] for k in drawn], columns=PAIR)
    return pd.concat([yes.assign(label=1.0), no.assign(label=0.0)], ignore_index=True).assign(origin="annotated")


def _trace(job: recipe.Run) -> list[dict]:
    """``edukit run trace`` with the paper's settings, a run of its own; its split and numbers."""
    recipe.say("the run behind it, as `edukit run trace` does it:")
    report = trace.run(of_experiment(job.cfg, "trace"))
    job.split = {name: value for name, value in report.split.items() if name != "file"}
    return report.metrics


def _pairs(job: recipe.Run) -> list[dict]:
    """The benchmark of judged pairs: the paper's model beside the closure rule; a map without judged pairs is closed first."""
    if "concept_pairs" not in job.data.tables:
        job.data = _with_pairs(job.data, job.seed)
    name = name_of(job.cfg.graph)
    models = {"closure_rule": partial(maker, "closure_rule"), name: partial(learn_from_labels.made, job.cfg.graph)}
    said = learn_from_labels.answers(job, models)
    said.to_parquet(job.folder / "pairs.parquet", index=False)
    job.tracked.append("pairs.parquet")
    job.split = {"name": ", ".join(learn_from_labels.tracks_of(job.cfg)), "seed": job.seed, "fingerprint": fingerprint(said[[*PAIR, "label", "part", "fold"]])}
    told = learn_from_labels.judged(said, job.data, name, job.cfg.draws)
    for line in learn_from_labels.table(told, name):
        recipe.say(line)
    return told


def _with_pairs(data: LearningData, seed: int) -> LearningData:
    pairs = closed_map(data["concepts"], data["prerequisites"], seed)
    recipe.say(f"  closed      {len(data['prerequisites'])} prerequisites imply {int(pairs['label'].sum())} pairs; as many unrelated ones are negatives")
    return replace(data, tables={"concepts": data["concepts"], "concept_pairs": pairs}, fingerprint=fingerprint(data.fingerprint, pairs))


RUNS: dict[str, Callable[[recipe.Run], list[dict]]] = {"trace": _trace, "pairs": _pairs}


def beside(paper: DictConfig, metrics: list[dict], quick: bool) -> list[dict]:
    """Records of the paper's number, of the range to expect, and of what was found, told apart by ``channel``.

    Parameters
    ----------
    paper : of ``conf/experiment``; ``found`` says which record of the run is comparable with the paper's number, ``others`` what stands beside it; one
        that names no model means the model of the run.
    metrics : records of the run.
    quick : on invented data no range is expected.

    Raises
    ------
    DataError
        Where the run holds no such record, or more than one.
    """
    name, aside = paper.published.metric, {wanted.model for wanted in (paper.found, *paper.others) if "model" in wanted}
    found = []
    for wanted in (paper.found, *paper.others):
        where = {"name": name, "group": None, "channel": None, **wanted}
        fits = [m for m in metrics if all(m[key] == value for key, value in where.items()) and ("model" in wanted or m["model"] not in aside)]
        if len(fits) != 1:
            raise DataError(f"a run of {paper.name} must hold one record with {where}; found {len(fits)}. Mend found or others in its conf/experiment.")
        found.append({**fits[0], "channel": "found"})
    model, ours = found[0]["model"], paper.expected_here
    expected = [] if quick else [record(name, None, None, ours.low, ours.high, model=model, channel="expected")]
    return [record(name, paper.published.number, model=model, channel="published"), *expected, *found]


def verdict(paper: DictConfig, records: list[dict], quick: bool) -> str:
    """Whether ours falls into the range, in words."""
    if quick:
        return "invented data: the steps are those of the paper's run, the number says nothing about the paper"
    ours, low, high = next(r["value"] for r in records if r["channel"] == "found"), paper.expected_here.low, paper.expected_here.high
    return "in the expected range" if low <= ours <= high else f"{'below' if ours < low else 'above'} the expected range"


def text(paper: DictConfig, records: list[dict], quick: bool) -> list[str]:
    """What the run prints in the end."""
    metric, published, ours = paper.published.metric, paper.published, paper.expected_here
    said = {"published": f"{metric} {published.number:.4g}{'' if published.verified else ' (not verified)'}; {published.source}",
            "protocol": published.protocol, "checked": published.checked, "leak": published.leak}
    if not quick:
        said["expected"] = f"{metric} {ours.low:.3f} to {ours.high:.3f} here"
    for k, r in enumerate(row for row in records if row["channel"] == "found"):
        interval = f" [{r['low']:.3f}, {r['high']:.3f}]" if r["low"] is not None else ""
        where = "; ".join(str(r[key]).replace("_", " ") for key in ("split", "group") if r[key])
        said[f"beside {k}" if k else "found"] = f"{metric} {r['value']:.3f}{interval}, {r['model']} on {r['n']:,} answers ({where})"
    said |= {"verdict": verdict(paper, records, quick), "why": ours.why}
    head = f"{paper.cite.title} ({paper.cite.authors}; {paper.cite.venue}, {paper.cite.year})"
    return ["", head, *(fill(" ".join(words.split()), 150, initial_indent=f"  {name.split()[0]:<12}", subsequent_indent=" " * 14)
                        for name, words in said.items())]


def ready(cfg: DictConfig) -> None:
    """Raise DataError where the files are not here, with how to obtain them and what works without."""
    try:
        instantiate(cfg.data).raw_dir()
    except DataError as error:
        raise DataError(f"{error}\nHow to obtain them: {' '.join(cfg.paper.data_access.split())}\nWithout any file: edukit run reproduce "
                        f"experiment={cfg.paper.name} quick=true") from None


def run(cfg: DictConfig) -> RunReport | None:
    """Run what stands behind ``cfg.paper`` and set it beside the paper; without a paper, list them."""
    if cfg.paper is None:
        for line in listing():
            recipe.say(line)
        return None
    cfg = quickened(cfg) if cfg.quick else cfg
    cost = f"about {cfg.paper.cost.minutes} min on one core, {cfg.paper.cost.memory_mb:,} MB" if not cfg.quick else "quick: under a minute, on invented data"
    recipe.say(f"{cfg.paper.name}: {cost}")
    ready(cfg)
    with recipe.open_run(cfg) as job:
        job.metrics += beside(cfg.paper, RUNS[cfg.paper.runs](job), cfg.quick)
        for line in text(cfg.paper, job.metrics, cfg.quick):
            recipe.say(line)
        if cfg.learners is not None and not cfg.quick:
            recipe.say(f"  note        {cfg.learners:,} learners were drawn; the expected range is that of all of them")
        job.keep("comparison", figures.metric_comparison(
            [{**m, "model": f"{m['model']}, {m['channel']}", "value": m["value"] if m["value"] is not None else (m["low"] + m["high"]) / 2}
             for m in job.metrics if m["channel"] in CHANNELS]))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="reproduce")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
