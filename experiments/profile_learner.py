"""One learner in full: what they know as a model sees it that never saw them, what is in reach, what comes next, and the answers that say so."""

from __future__ import annotations

from difflib import get_close_matches
from statistics import NormalDist
from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig

from edukit import splits
from edukit.data.working_pace import pace
from edukit.evaluation import RunReport
from edukit.evaluation import forecast as ahead
from edukit.gaps.misconceptions import misconceptions
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import record
from edukit.recalibration import log_odds
from edukit.report import institution
from edukit.report.learner import LearnerPage, write_csv
from edukit.report.learner_standing import STATES, in_reach, not_yet, standing, strengths
from edukit.report.learner_words import FEWEST
from edukit.schema import DataError, has_order
from edukit.tracing.cohorts import cohort_of

from . import learner_steps, recipe

PAGE, PRINTED, TABLE, CONTENT = "profile.html", "profile.pdf", "profile.csv", "profile.json"
NEAR = 3  # ids that are named where a learner is not known
INSIDE = (1e-3, 1 - 1e-3)  # no probability of a forecast is nothing or certain
EARLIER, CUTS = 10, 3  # answers that are known, and places, of each learner the width of intervals is learnt from


def chosen(log: pd.DataFrame, learner: str | None) -> str:
    """The learner that was asked for; with None, the one whose number of responses is in the middle.

    Raises
    ------
    DataError
        For a learner without a response in the data, with ids that are spelt nearly so.
    """
    count = log["learner_id"].value_counts()
    if learner is None:
        ordered = count.reset_index().sort_values(["count", "learner_id"], ignore_index=True)
        return str(ordered["learner_id"].iloc[len(ordered) // 2])
    if str(learner) in count.index:
        return str(learner)
    near = get_close_matches(str(learner), [str(i) for i in count.index], n=NEAR)
    told = f"; near it are {', '.join(near)}" if near else f"; they look like {', '.join(sorted(map(str, count.index))[:NEAR])}"
    raise DataError(f"learner must be one of the {len(count):,} who have an answer in the data, by pseudonym; found {str(learner)!r}{told}. "
                    "Set learner=ID, or leave it out.")


def forecast(model: Any, own: pd.DataFrame, valid: pd.DataFrame, graph: ConceptGraph, mastery: pd.DataFrame,
             cfg: DictConfig) -> tuple[pd.DataFrame | None, str]:
    """What the learner will answer next, with intervals as wide as learners set aside call for; or None, and why.

    The items asked are those the learner answered least often, drawn by the seed.
    """
    if not cfg.horizon:
        return None, "No forecast was asked for."
    if not has_order(own) or len(own) < FEWEST:
        return None, "Not enough data: a forecast needs answers in a known order."
    try:
        cohort = cohort_of(model)
        history, future = ahead.origins(valid, int(cfg.horizon), EARLIER, CUTS)
    except DataError as error:
        return None, f"No forecast: {error}"
    paths = ahead.sampled(cohort, history, future.drop(columns="correct"), int(cfg.samples), int(cfg.seed))
    came = future.sort_values(["learner_id", "order"], kind="stable")["correct"].to_numpy(float).reshape(-1, int(cfg.horizon))
    steps = range(1, int(cfg.horizon) + 1)
    width = ahead.Spread.learnt([paths.share(k) for k in steps], [came[:, :k].mean(axis=1) for k in steps], float(cfg.level))
    rng, tried = np.random.default_rng(int(cfg.seed)), own["item_id"].value_counts()
    items = np.array(graph.item_ids, object)[rng.permutation(len(graph.item_ids))]
    items = np.resize(items[np.argsort(pd.Series(items).map(tried).fillna(0).to_numpy(), kind="stable")], int(cfg.horizon))
    asked = pd.DataFrame({"learner_id": own["learner_id"].iloc[0], "item_id": items, "order": own["order"].max() + np.array(steps)})
    return foretold(model, own, asked, graph, mastery, int(cfg.samples), int(cfg.seed), width), (
        f"For {cfg.horizon} items that this learner answered least often, drawn by the seed. The intervals of scores are as wide as they had to be for "
        f"{len(pd.unique(future['unit'])):,} other learners the model had not seen.")


def foretold(model: Any, own: pd.DataFrame, asked: pd.DataFrame, graph: ConceptGraph, mastery: pd.DataFrame, samples: int = 200, seed: int = 0,
             width: ahead.Spread | None = None) -> pd.DataFrame:
    """What one learner will answer to the items ``asked`` (``learner_id, item_id, order``): :func:`edukit.evaluation.forecast.forecast`, less sure of itself.

    The paths of a forecast begin from one estimate of the learner; what the model does not know of the item's concept (``mastery``) widens the interval of
    P(correct) on the scale of log-odds.
    """
    width = width or ahead.Spread.none(len(asked))
    table, now = ahead.forecast(cohort_of(model), own, asked, samples, seed, width), mastery.set_index("concept_id")
    known = now["mastery"].clip(*INSIDE)
    doubt = graph.q_matrix["concept_id"].map(now["sd"] / (known * (1 - known))).groupby(graph.q_matrix["item_id"]).mean()
    z = NormalDist().inv_cdf((1 + width.level) / 2)
    low, mean, high = (log_odds(table[name].clip(*INSIDE).to_numpy(float)) for name in ("low", "mean", "high"))
    reach = z * np.hypot((high - low) / (2 * z), table["item_id"].map(doubt).fillna(0).to_numpy(float))
    return table.assign(low=1 / (1 + np.exp(reach - mean)), high=1 / (1 + np.exp(-reach - mean)))


def estimated(job: recipe.Run, learner: str) -> tuple[Any, ConceptGraph, pd.DataFrame]:
    """A model that was fitted on other learners, the graph, and the responses of learners set aside; which rows are which is kept with the run."""
    cfg, log = job.cfg, job.data["interactions"]
    everybody = log["learner_id"].unique()
    ids = np.sort(everybody[everybody != learner])
    aside = np.random.default_rng(job.seed).permutation(ids)[:round(float(cfg.valid_share) * len(ids)) if cfg.horizon else 0]
    test, valid = (log["learner_id"] == learner).to_numpy(), log["learner_id"].isin(aside).to_numpy()
    parts = {"train": ~(test | valid), "valid": valid, "test": test}
    split = splits.Split("learner", "learner_id", job.seed, {name: np.flatnonzero(mask) for name, mask in parts.items()})
    train = split.part(log, "train")
    if train.empty:
        raise DataError(f"a profile needs other learners to learn from; found {len(ids)}. Choose data with more of them.")
    split.save(job.folder / "split.parquet", log)
    job.tracked.append("split.parquet")
    job.split = {"name": split.name, "seed": split.seed, "rows": split.sizes(), "fingerprint": split.fingerprint, "file": "split.parquet"}
    source, model = job.graph(train), recipe.learner_model(cfg.tracing, cfg.paths)
    recipe.say(f"fitting {recipe.name_of(model)} on {len(train):,} responses of {train['learner_id'].nunique():,} other learners")
    model.fit(train, source)
    concepts = job.data.tables.get("concepts")
    known = None if concepts is None else concepts[concepts["concept_id"].isin(source.concept_ids)]
    return model, ConceptGraph.from_tables(known, source.prerequisites, source.q_matrix), split.part(log, "valid")


def run(cfg: DictConfig) -> RunReport:
    """Fit ``cfg.tracing`` on the other learners, ask it of one, and write the page, the print, the table and the JSON of that learner."""
    with recipe.open_run(cfg) as job:
        log = job.data["interactions"]
        learner = chosen(log, cfg.learner)
        own, others = log[log["learner_id"] == learner], log[log["learner_id"] != learner]
        own = own.sort_values("order", kind="stable") if has_order(own) else own
        model, graph, valid = estimated(job, learner)
        mastery = model.mastery(own)
        where = standing(mastery, own, graph, cfg.mark, cfg.sure)
        found = misconceptions(own, others, graph.q_matrix, graph.prerequisites)
        predicted, words = forecast(model, own, valid, graph, mastery, cfg)
        told = [*strengths(where)["concept_id"], *in_reach(where)["concept_id"], *not_yet(where)["concept_id"]]
        source = {"data": job.data.label, "fingerprint": job.data.fingerprint, "model": f"{recipe.name_of(model)}, fitted on other learners", "seed": job.seed,
                  "command": f"edukit run profile_learner data={job.data.name} learner={learner}"}
        page = LearnerPage(learner, own, where, graph, *(found or (None, None)), forecast=predicted, forecast_words=words, pace=pace(own, others),
                           evidence=learner_steps.moved(model, own, graph, told, int(cfg.evidence)), items=job.data.tables.get("items"), source=source,
                           mark=float(cfg.mark), sure=float(cfg.sure))
        written(job, page)
        job.metrics += [record("responses", len(own)), *(record("concepts", int((where["state"] == state).sum()), group=state) for state in STATES),
                        record("concepts_in_reach", int(where["in_reach"].sum()))]
        recipe.say(page.narrative().text)
    return job.report


def written(job: recipe.Run, page: LearnerPage) -> None:
    """The page, its print where there is a browser, its table and its JSON, into the folder of the run."""
    page.write(job.folder / PAGE)
    page.write_json(job.folder / CONTENT)
    write_csv(page.table(), job.folder / TABLE)
    job.figures |= {"page": PAGE, "table": TABLE, "json": CONTENT}
    if job.cfg.pdf and institution.pdf(job.folder / PAGE, job.folder / PRINTED):
        job.figures["pdf"] = PRINTED
    elif job.cfg.pdf:
        recipe.say("pdf          no Chromium on this machine: open the page and print it")
    job.keep("standing", page.figure())


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="profile_learner")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
