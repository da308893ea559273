"""Continue a tracked model on newer data: fit it again, compare on learners neither has seen, promote or keep, and say what drifted."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from edukit import splits
from edukit.data.store import load
from edukit.evaluation import RunReport, evaluate, tracking
from edukit.evaluation.drift import drift
from edukit.evaluation.drift import lines as drift_lines
from edukit.metrics import auc, log_loss, paired_bootstrap, record
from edukit.processes import part_ways
from edukit.schema import DataError

from . import recipe, serving

LEAST = 30  # learners whom neither model has seen; with fewer nothing is promoted
HELD = "held_out"
SEEN = "seen.parquet"  # learners whose responses shaped the weights of a refreshed model: its own, and those of the model it went on from


def run(cfg: DictConfig) -> RunReport:
    """Fit the model of ``cfg.run`` again on newer data, and let it take the old one's place only if it is not shown to be worse."""
    root = Path(cfg.paths.tracking)
    old = serving.tracked(str(cfg.run), root)
    cfg = continued(cfg, old)
    recipe.say(f"continuing {old.label}")
    with recipe.open_run(cfg) as job:
        log, model = job.data["interactions"], recipe.learner_model(cfg.tracing, cfg.paths)
        known = learners_of(old, log)
        before, after = parted(old, log, set().union(*known.values()))
        if not len(after):
            raise DataError(f"data {job.data.label} must hold responses that {old.label} was not fitted or tested on; found none in {len(log):,}. "
                            "Give data.path=FILE or data=NAME, or come back when the file has grown.")
        static = "given" in inspect.signature(model.predict).parameters
        train, test = job.part()
        graph = job.graph(train)
        recipe.say(f"fitting {recipe.name_of(model)} on {len(train):,} responses")
        onward = "earlier" in inspect.signature(model.fit).parameters
        model.fit(train, graph, **({"earlier": old.model} if onward else {}))
        part_ways()
        model.save(job.folder / serving.MODEL)
        learnt = set(train["learner_id"]) | (known["train"] if onward else set())
        pd.DataFrame({"learner_id": sorted(learnt)}, dtype="str").to_parquet(job.folder / SEEN, index=False)
        job.tracked += [serving.MODEL, serving.keep_graph(job.data.tables.get("concepts"), graph, job.folder), SEEN]

        held = test[~test["learner_id"].isin(known["train"] | set(train["learner_id"]))]
        verdict, why = compare(job, old.model, model, held, static)
        recipe.say(why)
        fresh = after[~after["learner_id"].isin(known["train"])]
        job.metrics += drift(before, after, job.data["q_matrix"], lambda: forecasts(old.model, fresh, static, job.seed), job.seed, cfg.draws)
        for line in drift_lines(job.metrics):
            recipe.say(line)
        recipe.say(f"{'promoted: the new model takes the place of' if verdict else 'not promoted: kept is'} {old.label}")
    settle(root, old, job.report, verdict)
    return job.report


def continued(cfg: DictConfig, old: serving.Tracked) -> DictConfig:
    """The config with the run's own settings, and its data where none is given; a part of ``data`` changes those options of it."""
    before = old.report.config
    named = [s.get("_target_", "") for s in (cfg.get("tracing"), cfg.get("graph")) if s]
    if named:
        raise DataError(f"a refresh continues the model and the graph of its run; found {', '.join(named)}. Leave it out, or fit anew: edukit run trace.")
    for target in [t for group in ("data", "tracing", "graph") for t in _targets(before.get(group))]:
        if serving.of_the_house(target) is None:
            raise DataError(f"{old.folder} must be a run of edukit's own data, models and graphs; found _target_ {target}.")
    given = OmegaConf.to_container(cfg.data) if cfg.get("data") else {}
    if "_target_" not in given:  # type: ignore[operator]
        serving.data_loader(old.report, given)  # type: ignore[arg-type]
        given = {**before["data"], **given}  # type: ignore[dict-item]
    own = {"data": given, "tracing": before["tracing"], "graph": before["graph"], "run": old.run_id or str(old.folder)}
    return OmegaConf.create({**OmegaConf.to_container(cfg), **own})  # type: ignore[dict-item]


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and "_target_" in node:
        yield str(node["_target_"])
    for inside in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _targets(inside)


def learners_of(old: serving.Tracked, log: pd.DataFrame) -> dict[str, set[str]]:
    """Learners of each part of the old run's split; where classes were drawn, those who sit in them in the new data."""
    kept = old.folder / str(old.report.split.get("file"))
    split = pd.read_parquet(kept) if kept.is_file() else pd.DataFrame()
    if "learner_id" not in split and not ("class_id" in split and "class_id" in log):
        raise DataError(f"the split of {old.folder} must tell which learners the model was fitted on; found {', '.join(split.columns) or 'no split'}. "
                        "Fit it with another split: edukit run trace split=learner.")
    if "learner_id" not in split:
        split = split.merge(log[["class_id", "learner_id"]].drop_duplicates(), on="class_id")
    found = {str(name): set(rows["learner_id"].astype("str")) for name, rows in split.groupby("part")}
    if (seen := old.folder / SEEN).is_file():
        found["train"] |= set(pd.read_parquet(seen)["learner_id"].astype("str"))
    if not set(log["learner_id"]) & found["train"]:
        recipe.say("note: no learner of the old run is in this data (another pseudonym key, EDUKIT_CACHE, would look the same)")
    return found


def forecasts(model: Any, rows: pd.DataFrame, static: bool, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows, and the model's forecast of each; of data without order a fifth of each learner's responses is forecast from the others."""
    if not len(rows):
        return rows, np.zeros(0)
    if not static:
        return rows, model.predict(rows).to_numpy()
    split = splits.cells(rows, seed)
    targets = split.part(rows, "test")
    return targets, model.predict(targets, split.part(rows, "train")).to_numpy()


def compare(job: recipe.Run, old: Any, new: Any, held: pd.DataFrame, static: bool) -> tuple[bool, str]:
    """Whether the new model is promoted, and why; the records of both models and of their paired difference join the run's."""
    margin, learners, name = float(job.cfg.margin), held["learner_id"].nunique(), recipe.name_of(new)
    rule = (f"rule: promoted where the 95 % interval of the difference in AUC (new less old, the same responses) stays above -{margin:g} and log-loss is "
            "not shown to be higher")
    if learners < LEAST:
        job.metrics.append(record("promoted", 0.0, split=HELD, model=name))
        return False, f"{rule}. Not enough data: {learners} learners whom neither model has seen, {LEAST} are needed."
    (rows, q), (_, p) = (forecasts(model, held, static, job.seed) for model in (old, new))
    for which, values in ((f"{name} (old)", q), (f"{name} (new)", p)):
        job.metrics += evaluate.score(rows, values, model=which, split=HELD, seed=job.seed, draws=job.cfg.draws)
    y, units = rows["correct"].to_numpy(float), pd.factorize(rows["learner_id"])[0]
    gain, loss = (paired_bootstrap(y, p, q, units, score, seed=job.seed, draws=job.cfg.draws) for score in (auc, log_loss))
    for measure, d in (("auc_difference", gain), ("log_loss_difference", loss)):
        job.metrics.append(record(measure, d["difference"], len(y), d["low"], d["high"], split=HELD, model=name, group="new minus old"))
    verdict = gain["low"] > -margin and not loss["low"] > 0
    job.metrics.append(record("promoted", float(verdict), len(y), split=HELD, model=name))
    for line in evaluate.lines(job.metrics, ("auc", "log_loss", "ece")):
        recipe.say(line)
    told = ", ".join(f"{what} {d['difference']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]" for what, d in (("AUC", gain), ("log-loss", loss)))
    return verdict, f"{rule}. Difference on {len(y):,} responses of {learners:,} learners neither has seen: {told}."


def parted(old: serving.Tracked, log: pd.DataFrame, known: set[str]) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """The old run's responses and the new ones: its data where it can still be had as it was, else what its learners did in this data."""
    try:
        data = recipe.in_memory(load(serving.data_loader(old.report), purpose="refresh"))
        if (drawn := old.report.config.get("learners")) is not None:
            data = data.sample(int(drawn), old.report.seed)
        if data.fingerprint == old.report.data["fingerprint"]:
            before, key = data["interactions"], ["learner_id", "item_id", "order"]
            again = pd.MultiIndex.from_frame(log[key]).isin(pd.MultiIndex.from_frame(before[key]))
            return before, log[~again]
    except (DataError, OSError):
        pass
    of_old = log["learner_id"].isin(known)
    return (log[of_old] if of_old.any() else None), log[~of_old]


def settle(root: Path, old: serving.Tracked, report: RunReport | None, verdict: bool) -> None:
    """Tag both runs in the tracking: which was promoted or kept, and which continues which."""
    new = tracking.run_in(root, Path(str(report.folder))) if report else None
    if new:
        tracking.tag(root, new, {"refresh": "promoted" if verdict else "not promoted", "refreshes": old.run_id or str(old.folder),
                                 **({"mlflow.parentRunId": old.run_id} if old.run_id else {})})
    if old.run_id:
        tracking.tag(root, old.run_id, {"refresh": f"replaced by {new}" if verdict else "kept"})


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="refresh")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
