"""Warn early: whose risk of failing or leaving is high by what was known at the end of a week, for as many learners as there is time for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.data.interaction_store import InteractionStore
from edukit.evaluation import RunReport
from edukit.metrics import record, shown
from edukit.report import gap_page, warning_figures
from edukit.reproducibility import replacing
from edukit.risk import capacity, judging, outcomes, protocol
from edukit.risk.snapshot import UNIT
from edukit.schema import DataError
from edukit.splits import Split
from edukit.validation import validate

from . import course_features, fairness_audit, recipe, weekly_alerts

GROUPS_MOST = 30  # values of an attribute that still sorts learners into groups
SETS = {"default": ("default",), "with_demographics": ("with_demographics",), "both": ("default", "with_demographics")}


@dataclass(frozen=True)
class Week:
    """What was said at the end of one week of those who are judged: ``features``, ``risk`` of everybody, and ``predicted`` (NaN where nothing was seen)."""

    week: int
    model: Any
    features: pd.DataFrame
    risk: pd.Series
    predicted: pd.DataFrame

    @property
    def cutoff(self) -> int:
        """The last day that was known."""
        return 7 * self.week

    def alerted(self, size: int) -> pd.Index:
        """Who is to be contacted, ``size`` of them at most."""
        tier = capacity.tiers(self.predicted["risk"], size)
        return tier.index[tier == capacity.NOW]


def course(tables: dict[str, Any], clicks: str, last_day: int, everybody: pd.DataFrame | None = None, judged: str = "presentation") -> dict[str, pd.DataFrame]:
    """The tables of a course in memory, with the clicks that ``clicks`` asks for; a log on disk becomes counts a day.

    Parameters
    ----------
    everybody : every enrolment of the data, where ``tables`` hold some presentations only: a log may lack those who enrolled again later.
    judged : kind of split; with ``presentation`` the last presentation is judged.

    Raises
    ------
    DataError
        On an unknown choice, where clicks are asked for and there are none, or where they are not known of learners who are judged and enrolled again later.
    """
    if clicks not in ("all", "none", "single"):
        raise DataError(f"clicks must be one of all, none, single; found {clicks}")
    log, found = tables.get("events"), {name: table for name, table in tables.items() if name != "events"}
    if clicks == "none" or (log is None and clicks == "all"):
        return found
    if log is None:
        raise DataError("clicks=single needs the table events; found none. Use clicks=none.")
    if isinstance(log, InteractionStore):
        log = log.query(f'SELECT learner_id, module_id, presentation, "day", kind, sum("count") AS "count" FROM log WHERE "day" <= {last_day} GROUP BY ALL')
    everybody = found["enrolments"] if everybody is None else everybody
    often = everybody.loc[everybody["learner_id"].duplicated(keep=False), "learner_id"]
    if clicks == "all" and len(often) and not log["learner_id"].isin(often).any():
        recipe.say("clicks       known of learners with one enrolment only, so left out (clicks=single keeps those learners and their clicks)")
        return found
    return {**found, "events": log} if clicks == "all" else _singles({**found, "events": log}, everybody, judged)


def _singles(tables: dict[str, pd.DataFrame], everybody: pd.DataFrame, judged: str) -> dict[str, pd.DataFrame]:
    """Enrolments of learners who had no other by the same presentation, and their events. Who enrols again later is not known at a cutoff and decides
    nothing of those who are judged; past ones whose clicks the log lacks for that reason are not learnt from."""
    seats, log = tables["enrolments"], tables["events"]
    of = everybody.groupby("learner_id")["presentation"]
    nth = pd.DataFrame({"first": of.min(), "times": everybody.merge(of.min().rename("first").reset_index(), on="learner_id").query(
        "presentation == first").groupby("learner_id").size(), "again": of.max()}).reindex(seats["learner_id"])
    own = seats["presentation"].to_numpy()
    single, again = (nth["first"].to_numpy() == own) & (nth["times"].to_numpy() == 1), nth["again"].to_numpy() > own
    lost = single & again & ~seats["learner_id"].isin(log["learner_id"]).to_numpy()
    asked = lost & (own == own.max() if judged == "presentation" else np.full(len(own), True))
    if asked.any():
        raise DataError(f"clicks=single must know the clicks of everybody who is judged; found {int(asked.sum()):,} enrolments of learners who enrolled again "
                        "later and are in no log, which at the cutoff nobody could know. Judge the last presentation of the data (split=presentation, "
                        "presentations=null), or use clicks=none.")
    kept = seats[single & ~lost].reset_index(drop=True)
    recipe.say(f"clicks       only the {len(kept):,} enrolments of learners without another one by then are used"
               + (f"; {int(lost.sum()):,} of earlier presentations, of whom the log has no clicks, are not learnt from" if lost.any() else ""))
    units = [c for c in UNIT if c in log]
    return {**tables, "enrolments": kept, "events": log.merge(kept[units].drop_duplicates(), on=units)}


def groupings(tables: dict[str, pd.DataFrame], wanted: list[str] | None) -> tuple[str, ...]:
    """Attributes that sort learners into groups: those of the config, else every one of the table with 2 to 30 values."""
    learners = tables.get("learners")
    if wanted is not None or learners is None:
        return tuple(wanted or ())
    return tuple(str(a) for a in learners if a not in ("learner_id", "published_part") and 2 <= learners[a].nunique() <= GROUPS_MOST)


def chosen(tables: dict[str, Any], presentations: list[str] | None) -> dict[str, Any]:
    """The tables with the enrolments of some presentations only.

    Raises
    ------
    DataError
        Where one of them is in no enrolment.
    """
    enrolments = tables.get("enrolments")
    if presentations is None or enrolments is None:
        return tables
    if absent := sorted(set(presentations) - set(enrolments["presentation"])):
        raise DataError(f"presentations must be of the enrolments; found no {', '.join(absent)} among {', '.join(sorted(set(enrolments['presentation'])))}")
    return {**tables, "enrolments": enrolments[enrolments["presentation"].isin(list(presentations))].reset_index(drop=True)}


def said(tables: dict[str, pd.DataFrame], table: pd.DataFrame, y: pd.Series, parts: list[Split], cfg: DictConfig, week: int, attributes: tuple[str, ...] = (),
         refits: int | None = None) -> Week:
    """Risks of everybody who is judged, each by a model that learnt from the other part; ``refits`` None = those of the config."""
    told, predicted, model = [], [], None
    for split in parts:
        model = instantiate(cfg.risk, **({} if refits is None else {"refits": refits}))
        test = split.part(table, "test")
        apart = course_features.apart(tables, test.index, cfg.split)
        train = course_features.learnt_from(split.part(table, "train"), course_features.beside(apart, cfg, week, attributes), 7 * week)
        model.fit(train, y.reindex(train.index.droplevel("cutoff")).set_axis(train.index))
        told.append(model.score(test))
        predicted.append(model.predict(test))
    risk = pd.concat(told)
    return Week(week, model, table.reindex(risk.index), risk, pd.concat(predicted))


def scored(found: Week, y: pd.Series, cfg: DictConfig, split: str, model: str) -> list[dict]:
    """Metrics of one week: of everybody in the population, the AUC of those of whom something was seen, and how many are left."""
    known = y.reindex(found.risk.index).dropna()
    where = {"split": split, "model": model, "channel": f"week {found.week}"}
    called = found.predicted["risk"].reindex(known.index)
    records, told = judging.scores(known, found.risk[known.index], cfg.capacity, called, seed=cfg.seed, draws=cfg.draws, **where), called.dropna()
    if 0 < len(told) < len(known):
        records += [r for r in judging.scores(known[told.index], told, cfg.capacity, seed=cfg.seed, draws=cfg.draws, **where, group="something seen")
                    if r["name"] in ("auc", "ece")]
    return [*records, record("outcome_rate", float(known.mean()), len(known), **where), record("not_enough_data", len(known) - len(told), len(known), **where)]


def lasting(weeks: list[Week], y: pd.Series, ends: pd.Series, tables: dict[str, pd.DataFrame], cfg: DictConfig, where: dict[str, str]) -> list[dict]:
    """Lead time, churn, and the false alarms of the week that was asked for."""
    alerts = {float(week.cutoff): week.alerted(cfg.capacity) for week in weeks}
    everybody = weeks[0].risk.index
    for week in weeks[1:]:
        everybody = everybody.union(week.risk.index)
    records = judging.lead_times(alerts, y.reindex(everybody), ends, seed=cfg.seed, draws=cfg.draws, **where) + judging.churn(alerts, **where)
    asked = next(week for week in weeks if week.week == cfg.week)
    share = max(1, round(judging.SHARE * len(asked.risk)))
    for channel, size in (("capacity", cfg.capacity), ("20 percent", share)):
        records += judging.false_alarms(asked.alerted(size), y, tables.get("learners"), groupings(tables, cfg.attributes), **where, channel=channel)
    return records


def write(job: recipe.Run, found: Week, weeks: list[Week], past: pd.DataFrame, y: pd.Series) -> None:
    """The table of risks with its reasons, as parquet and csv, the alerts, the audit by group, the figures, and the model."""
    cfg = job.cfg
    if cfg.split == "presentation":
        risks, _ = weekly_alerts.of_run(job, weeks, past, y)
        job.figures["alerts"] = "alerts.html"
    else:
        risks = capacity.risk_table(found.predicted, found.cutoff, cfg.capacity)
        recipe.say(f"alerts       none: with split={cfg.split} every learner is judged by another model; split=presentation tells whom to call")
    table = validate(risks, "risks")
    with replacing(job.folder / "risks.parquet") as beside:
        table.to_parquet(beside, index=False)
    gap_page.write_csv(table, job.folder / "risks.csv")
    found.model.save(job.folder / "model.json")
    job.figures["risks"] = "risks.csv"
    job.tracked.append("model.json")
    known = y.reindex(found.risk.index).dropna()
    fairness_audit.of_run(job, known.to_numpy(), found.risk[known.index].to_numpy(), known.index.get_level_values("learner_id"), model=found.model.kind,
                          split=cfg.split, threshold=float(found.risk[known.index].quantile(1 - judging.SHARE)))
    job.keep("reliability", warning_figures.reliability_of_risk(known.to_numpy(), found.risk[known.index].to_numpy()))
    job.keep("auc_by_week", warning_figures.auc_by_week(job.metrics))


def lines(records: list[dict], size: int) -> list[str]:
    """The table by week, as it is printed; precision and recall are of the ``size`` who can be contacted, and of a fifth of all."""
    row = "  {:<44}{:>7}{:>6}  {:<19}{:>6}{:>6}{:>6}   {:<12}{:<12}{}".format
    found = [row("", "n", "rate", "AUC [95 %]", "AP", "Brier", "ECE", f"of {size}", "of 20 %", "not enough data")]
    table = pd.DataFrame([r for r in records if str(r["channel"]).startswith("week ") and not r["group"]])
    for (model, week), part in table.groupby(["model", "channel"], sort=False):
        m = part.set_index("name")
        v = {name: shown(value) for name, value in m["value"].items()}
        ends = f" [{shown(m['low']['auc'])}, {shown(m['high']['auc'])}]" if pd.notna(m["low"]["auc"]) else ""
        at = [f"{v[f'precision_at_{where}']} {v[f'recall_at_{where}']}" for where in ("capacity", "20_percent")]
        found.append(row(f"{week}, {model}", f"{int(m['n']['auc']):,}", v["outcome_rate"], v["auc"] + ends, v["ap"], v["brier"], v["ece"], *at,
                         f"{m['value']['not_enough_data']:,.0f}"))
    return found


def keep_split(job: recipe.Run, table: pd.DataFrame, parts: list[Split]) -> None:
    """Which enrolment is in which part, with the run; said in one line each."""
    units, frames = table.index.to_frame(index=False), []
    for split in parts:
        frames += [units.iloc[rows].assign(split=split.name, part=part) for part, rows in split.rows.items()]
        recipe.say(f"split        {split.name}: learn from {split.sizes()['train']:,} enrolments of {_presentations(units, split, 'train')}, "
                   f"judge {split.sizes()['test']:,} of {_presentations(units, split, 'test')}")
    with replacing(job.folder / "split.parquet") as beside:
        pd.concat(frames, ignore_index=True).to_parquet(beside, index=False)
    job.tracked.append("split.parquet")
    job.split = {"name": job.cfg.split, "seed": job.seed, "rows": {name: sum(s.sizes()[name] for s in parts) for name in ("train", "test")},
                 "fingerprint": parts[0].fingerprint, "file": "split.parquet"}


def _presentations(units: pd.DataFrame, split: Split, part: str) -> str:
    return ", ".join(np.unique(split.part(units, part)["presentation"].astype(str)))


def run(cfg: DictConfig) -> RunReport:
    """Learn from past presentations and judge the last, week by week; write who is to be contacted in the week that was asked for."""
    if cfg.features not in SETS:
        raise DataError(f"features must be one of {', '.join(SETS)}; found {cfg.features}")
    with recipe.open_run(cfg, batches=True) as job:
        weeks = sorted({*cfg.weeks, cfg.week} | (set() if cfg.weeks else {max(cfg.week - 1, 0)}))
        tables = course(chosen(job.data.tables, cfg.presentations), cfg.clicks, 7 * weeks[-1] + cfg.nearby,
                        job.data.tables.get("enrolments"), cfg.split)
        y, ends = outcomes.outcome(tables), outcomes.end_day(tables)
        recipe.say(f"protocol     {cfg.population} at the cutoff; assessments by {'day of submission' if cfg.assessments_by == 'submitted' else 'due day'}; "
                   f"{'clicks' if 'events' in tables else 'no clicks'}; outcome: Fail or Withdrawn")
        for name in SETS[cfg.features]:
            attributes = groupings(tables, cfg.attributes) if name == "with_demographics" else ()
            model, found = cfg.risk._target_.rpartition(".")[2].lower() + (" with demographics" if attributes else ""), []
            for week in weeks:
                table = course_features.built(tables, cfg, 7 * week, attributes)
                parts = protocol.splits(table.index, cfg.split, cfg.folds, job.seed)
                asked = week == cfg.week and name == SETS[cfg.features][0]
                if asked:
                    keep_split(job, table, parts)
                    past = table.drop(index=np.concatenate([split.part(table, "test").index for split in parts]))
                found.append(said(tables, table, y, parts, cfg, week, attributes, None if asked else 0))
                job.metrics += scored(found[-1], y, cfg, cfg.split, model)
            job.metrics += lasting(found, y, ends, tables, cfg, {"split": cfg.split, "model": model})
            if name == SETS[cfg.features][0]:
                judged, first = found, next(week for week in found if week.week == cfg.week)
        recipe.say(f"calibrated   on {first.model.calibrated_on_}, {first.model.calibration_}; intervals: learners drawn again, {cfg.risk.refits} refits")
        for line in lines(job.metrics, cfg.capacity):
            recipe.say(line)
        write(job, first, judged, past, y)
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="warn")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
