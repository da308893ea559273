"""What will a learner answer next? Several steps ahead, without being told the answers between, beside floors, and how much the intervals hold."""

from __future__ import annotations

from dataclasses import dataclass

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig
from scipy.stats import binomtest

from edukit import splits
from edukit.evaluation import RunReport, evaluate
from edukit.evaluation import forecast as ahead
from edukit.metrics import auc, bootstrap, log_loss, paired_bootstrap, record, shown
from edukit.protocols import PrerequisiteGraph
from edukit.report import forecast_figures
from edukit.schema import DataError, has_order
from edukit.tracing.cohorts import cohort_of

from . import recipe

PARTITIONS = 20  # ways in which learners are parted into groups
ALL = "all steps"
TOLD = ", told each answer"


@dataclass(frozen=True)
class Asked:
    """Learners forecast from W places, H steps ahead: their rows before and after, what came (W, H), and whose each place is (W,)."""

    history: pd.DataFrame
    future: pd.DataFrame
    came: np.ndarray
    units: np.ndarray

    @classmethod
    def of(cls, log: pd.DataFrame, cfg: DictConfig) -> Asked:
        """Cut the histories of some learners; rows in the order in which a forecast lists them."""
        history, future = ahead.origins(log, cfg.horizon, cfg.earlier, cfg.cuts)
        future = future.sort_values(["learner_id", "order"], kind="stable").reset_index(drop=True)
        return cls(history, future, future["correct"].to_numpy(float).reshape(-1, cfg.horizon), future["unit"].to_numpy(object)[::cfg.horizon])

    def shares(self) -> list[np.ndarray]:
        """(W,) share right of the first 1, 2, … responses."""
        return [self.came[:, :k].mean(axis=1) for k in range(1, self.came.shape[1] + 1)]

    def sampled(self, cohort: ahead.Cohort, cfg: DictConfig) -> ahead.Paths:
        """Paths of the same learners; answers that came are not handed on."""
        return ahead.sampled(cohort, self.history, self.future.drop(columns="correct"), cfg.samples, int(cfg.seed))


def learnt(paths: ahead.Paths, asked: Asked, level: float) -> ahead.Spread:
    """How far intervals must be stretched, from learners set aside."""
    return ahead.Spread.learnt([paths.share(k) for k in range(1, asked.came.shape[1] + 1)], asked.shares(), level)


def stepwise(asked: Asked, probability: dict[str, np.ndarray], main: str, cfg: DictConfig, split: str) -> list[dict]:
    """Log-loss and AUC by step ahead and over all steps, of (W, H) probabilities, and how much less is lost than by each other forecast."""
    units, found = pd.factorize(asked.units)[0], []
    every, y = np.repeat(units, cfg.horizon), asked.came.ravel()
    for model, p in probability.items():
        for name, score in (("log_loss", log_loss), ("auc", auc)):
            where = {"split": split, "model": model}
            low, high = bootstrap(y, p.ravel(), every, score, int(cfg.seed), cfg.draws)
            found.append(record(name, score(y, p.ravel()), len(y), low, high, channel=ALL, **where))
            for k in range(cfg.horizon):
                low, high = bootstrap(asked.came[:, k], p[:, k], units, score, int(cfg.seed), cfg.draws)
                found.append(record(name, score(asked.came[:, k], p[:, k]), len(units), low, high, channel=f"step {k + 1}", **where))
        if model != main:
            gap = paired_bootstrap(y, probability[main].ravel(), p.ravel(), every, log_loss, int(cfg.seed), cfg.draws)
            found.append(record("log_loss_difference", gap["difference"], len(y), gap["low"], gap["high"], split=split, model=main, group=f"minus {model}",
                                channel=ALL))
    return found


def held(hit: np.ndarray, width: np.ndarray, units: np.ndarray, cfg: DictConfig, name: str = "coverage", **where: str) -> list[dict]:
    """Share of intervals that held what came, with a 95 % interval over learners, and how wide they are on average."""
    right, whose = hit.astype(float), pd.factorize(units)[0]
    low, high = bootstrap(right, right, whose, lambda y, p, w: float(np.average(y, weights=w)), int(cfg.seed), cfg.draws)
    suffix = name.removeprefix("coverage")
    return [record(name, float(hit.mean()), len(hit), low, high, **where), record(f"width{suffix}", float(width.mean()), len(hit), **where)]


def covered(asked: Asked, paths: ahead.Paths, spread: ahead.Spread, model: str, cfg: DictConfig, split: str) -> list[dict]:
    """Coverage and width of the intervals of the share right of the next k responses, stretched and as drawn."""
    found = []
    for k, came in enumerate(asked.shares(), start=1):
        if k not in cfg.scores:
            continue
        for name, one in (("coverage", spread), ("coverage_as_drawn", ahead.Spread.none(cfg.horizon, cfg.level))):
            low, high = one.interval(paths.share(k), k)
            found += held((low <= came) & (came <= high), high - low, asked.units, cfg, name, split=split, model=model, channel=f"share of {k}")
    return found


def by_group(asked: Asked, paths: ahead.Paths, spread: ahead.Spread, learners: pd.DataFrame | None, model: str, cfg: DictConfig, split: str) -> list[dict]:
    """Coverage and width for every value of every attribute, over the longest horizon; a group of fewer than 10 learners has a row without a number."""
    rows = asked.future.assign(learner_id=asked.future["unit"])
    (low, high), came, found = spread.interval(paths.share(cfg.horizon), cfg.horizon), asked.shares()[-1], []
    for group, (mask, _) in evaluate.groups(rows, learners).items():
        where = {"split": split, "model": model, "group": group, "channel": f"share of {cfg.horizon}"}
        if mask is None:
            found.append(record("coverage", None, **where))
            continue
        own = mask[::cfg.horizon]
        found += held(((low <= came) & (came <= high))[own], (high - low)[own], asked.units[own], cfg, **where)
    return found


def by_size(valid: tuple[Asked, ahead.Paths], test: tuple[Asked, ahead.Paths], model: str, cfg: DictConfig, split: str) -> list[dict]:
    """Coverage and width of the mean share of groups of learners drawn at random, over the longest horizon: what a class will score.

    What the model has wrong of all learners alike does not average out, so that intervals are stretched by what groups of the same size of
    learners set aside came to.
    """
    found = []
    for size in cfg.group_sizes:
        drawn, came, groups = zip(*(grouped(*part, size, cfg) for part in (valid, test)), strict=True)
        if not min(groups):
            recipe.say(f"groups of {size}: not enough data (fewer than {size} learners in a part)")
            continue
        for name, one in (("coverage", ahead.Spread.learnt([drawn[0]], [came[0]], cfg.level)), ("coverage_as_drawn", ahead.Spread.none(1, cfg.level))):
            low, high = one.interval(drawn[1], 1)
            share = float(((low <= came[1]) & (came[1] <= high)).mean())
            ends = binomtest(round(share * groups[1]), groups[1]).proportion_ci()
            where = {"split": split, "model": model, "channel": f"mean of {size} learners"}
            found += [record(name, share, groups[1], ends.low, ends.high, **where),
                      record(f"width{name.removeprefix('coverage')}", float((high - low).mean()), groups[1], **where)]
    return found


def grouped(asked: Asked, paths: ahead.Paths, size: int, cfg: DictConfig) -> tuple[np.ndarray, np.ndarray, int]:
    """(G, P) drawn and (G,) true mean share of groups of learners, each forecast from the last place, and how many groups have no learner in common."""
    _, last = np.unique(asked.units, return_index=True)  # the places of a learner are sorted from the last on
    share, came, rng = paths.share(cfg.horizon)[last], asked.shares()[-1][last], np.random.default_rng(int(cfg.seed))
    parts = [rng.permutation(len(last))[:len(last) // size * size].reshape(-1, size) for _ in range(PARTITIONS)]
    members = np.concatenate(parts)
    return share[members].mean(axis=1), came[members].mean(axis=1), len(last) // size


def lines(records: list[dict], cfg: DictConfig, main: str) -> list[str]:
    """The scores as they are printed, and whether intervals hold what they say."""
    found = evaluate.lines([r for r in records if r["channel"] in (ALL, "step 1", f"step {cfg.horizon}")], ("log_loss", "auc"))
    at = {(r["name"], r["model"], r["channel"]): r for r in records if not r["group"]}
    for name, model, channel in at:
        if name == "coverage":
            one, width, drawn = (at[key, model, channel] for key in ("coverage", "width", "coverage_as_drawn"))
            found.append(f"  {model} · {channel}: {cfg.level:.0%} intervals hold {shown(one['value'])} [{shown(one['low'])}, {shown(one['high'])}], mean width "
                         f"{shown(width['value'])}, as drawn {shown(drawn['value'])}; n {one['n']:,}")
    asked = [at["coverage", main, f"share of {k}"]["value"] for k in cfg.scores]
    well = sum(abs(value - cfg.level) <= 0.05 for value in asked)
    return [*found, f"verdict      {main}: {well} of {len(asked)} scores are held within .05 of {cfg.level:.0%}"]


def write(job: recipe.Run, asked: Asked, graph: PrerequisiteGraph, table: pd.DataFrame) -> None:
    """What was forecast, what came, and of which concepts, as parquet with the run; beside it who was set aside."""
    concepts = graph.q_matrix.groupby("item_id")["concept_id"].agg(" + ".join)
    table = table.assign(concept_id=table["item_id"].map(concepts), came=asked.came.ravel())
    table.to_parquet(job.folder / "forecast.parquet", index=False)
    job.tracked += ["valid_split.parquet", "forecast.parquet"]


def run(cfg: DictConfig) -> RunReport:
    """Fit ``cfg.tracing`` on some training learners, learn the width of intervals from the others, forecast the test learners, and judge it."""
    if not 0 < cfg.level < 1 or not 0 < cfg.valid_share < 1 or max(cfg.scores) > cfg.horizon or min(cfg.scores) < 1:
        raise DataError(f"forecast needs a level and a valid_share between 0 and 1, and scores of 1 to {cfg.horizon} responses; found level={cfg.level}, "
                        f"valid_share={cfg.valid_share}, scores={list(cfg.scores)}.")
    with recipe.open_run(cfg) as job:
        train, test = job.part()
        if not has_order(job.data["interactions"]) or set(train["learner_id"]) & set(test["learner_id"]):
            raise DataError(f"forecast needs the order of responses and a split by learner; found split {job.split['name']}. Use split=learner.")
        aside = splits.by_learner(train, job.seed, test=cfg.valid_share)
        aside.save(job.folder / "valid_split.parquet", train)
        fitted, valid = aside.part(train, "train"), Asked.of(aside.part(train, "test"), cfg)
        asked, graph = Asked.of(test, cfg), job.graph(fitted)
        model = recipe.learner_model(cfg.tracing, cfg.paths).fit(fitted, graph)
        name, split = recipe.name_of(model), job.split["name"]
        cohorts = {name: cohort_of(model), "learner_so_far": ahead.SoFar(float(fitted["correct"].mean())), "item_mean": ahead.ItemMean(fitted)}
        recipe.say(f"forecasting {len(asked.units):,} times {cfg.horizon} responses of {len(set(asked.units)):,} learners; "
                   f"widths from {len(valid.units):,} of {len(set(valid.units)):,} others")
        probability, kept = {}, {}
        for which, cohort in cohorts.items():
            aside_paths, paths = valid.sampled(cohort, cfg), asked.sampled(cohort, cfg)
            kept[which] = aside_paths, paths, learnt(aside_paths, valid, cfg.level)
            probability[which] = paths.chance.mean(axis=2, dtype=float)
            job.metrics += covered(asked, paths, kept[which][2], which, cfg, split)
        both = pd.concat([asked.history, asked.future], ignore_index=True)
        probability[f"{name}{TOLD}"] = model.predict(both)[len(asked.history):].to_numpy().reshape(-1, cfg.horizon)
        job.metrics += stepwise(asked, probability, name, cfg, split)
        job.metrics += by_group(asked, *kept[name][1:], job.data.tables.get("learners"), name, cfg, split)
        job.metrics += by_size((valid, kept[name][0]), (asked, kept[name][1]), name, cfg, split)
        for line in lines(job.metrics, cfg, name):
            recipe.say(line)
        write(job, asked, graph, ahead.of_paths(*kept[name][1:]))
        job.keep("forecast", forecast_figures.steps_ahead(pd.DataFrame(job.metrics), cfg.level))
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="forecast")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
