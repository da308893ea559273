"""Learn prerequisites from pairs that people judged: one model beside the floors on held-out pairs, then the graph it draws from all labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from edukit.data import LearningData
from edukit.formats import graph_file
from edukit.graph import calibration, pair_benchmark, voting
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import holm, record
from edukit.protocols import PrerequisiteModel
from edukit.report import figures, graph_figures
from edukit.reproducibility import fingerprint
from edukit.schema import DataError

from . import prerequisite_report, recipe
from .prerequisites import FLOORS, maker

PAIR = pair_benchmark.PAIR
HEAD = ("auc", "ap", "f1", "direction_accuracy", "ece", "kendall_tau", "cycles")


def expert_votes(path: str) -> pd.DataFrame:
    """Table ``votes`` of a graph file, or of a csv with its columns.

    Raises
    ------
    DataError
        Where there is no such file, or no vote in it.
    """
    file = Path(path)
    if file.suffix.lower() == ".csv" and file.is_file():
        votes = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    else:
        votes = graph_file.read(file).tables["votes"]
    if not len(votes):
        raise DataError(f"votes={path} must hold experts' votes; found none. `edukit graph vote {path} CONCEPT REQUIRES yes|no|reversed --by NAME` casts one.")
    return votes


def with_votes(data: LearningData, votes: pd.DataFrame) -> tuple[LearningData, list[dict]]:
    """The data with what the experts decided in place of the published labels, before anything is split; and what that changed."""
    pairs = data["concept_pairs"]
    known = set(data["concepts"]["concept_id"]) if "concepts" in data.tables else {*pairs["concept_id"], *pairs["requires_id"]}
    strange = votes.loc[~votes[PAIR].isin(known).all(axis=1), PAIR]
    if len(strange):
        raise DataError(f"votes must speak of concepts of data {data.label}; found {' and '.join(map(repr, strange.iloc[0]))} in {len(strange):,} of "
                        f"{len(votes):,} votes. Are these votes on another data set?")
    told = voting.relabel(pairs, votes)
    before = pairs.set_index(PAIR)["label"].groupby(level=PAIR).max()
    now = told.set_index(PAIR)["label"].groupby(level=PAIR).max()
    changed = int((before != now.reindex(before.index)).sum())
    recipe.say(f"votes: {votes['rater_id'].nunique()} experts on {len(voting.tally(votes)):,} pairs; {changed:,} labels changed, {len(now) - len(before):,} "
               "new (before anything is split)")
    found = replace(data, tables={**data.tables, "concept_pairs": told}, fingerprint=fingerprint(data.fingerprint, told))
    return found, [record("labels_changed", changed, len(before)), record("labels_added", len(now) - len(before), len(now)), voting.agreement(votes)]


def made(settings: DictConfig, seed: int) -> Callable[[], PrerequisiteModel]:
    """Makes new models of some settings under a seed, which is that of every part of the model."""
    def seeded(node: Any) -> Any:
        return {k: seed if k == "seed" else seeded(v) for k, v in node.items()} if isinstance(node, dict) else node

    plain = seeded(OmegaConf.to_container(settings, resolve=True))
    return lambda: instantiate(plain)


def floors_of(data: LearningData) -> tuple[str, ...]:
    """The floors that these data allow."""
    columns = data.tables.get("pair_features")
    return tuple(f for f in FLOORS if f != "refd" or (columns is not None and "refd" in columns.columns))


def tracks_of(cfg: DictConfig) -> list[str]:
    """The tracks asked for; one may be given without brackets."""
    tracks = [cfg.tracks] if isinstance(cfg.tracks, str) else list(cfg.tracks or [])
    if not tracks:
        raise DataError(f"tracks must name at least one of {', '.join(pair_benchmark.TRACKS)}, or a domain to leave out; found none.")
    return tracks


def answers(job: recipe.Run, models: Mapping[str, Callable[[int], Callable[[], PrerequisiteModel]]]) -> pd.DataFrame:
    """The answers of every model, each made under the fold's seed, to every fold of every track, with ``model`` and ``track``; a line as each is done."""
    cfg, tables = job.cfg, job.data.tables
    pairs = pair_benchmark.with_reversed(job.data["concept_pairs"])
    random = pair_benchmark.random_negatives(pairs)
    found: list[pd.DataFrame] = []
    for track in tracks_of(cfg):
        folds = cfg.folds if track in pair_benchmark.TRACKS else 1  # of a domain that is left out there is one
        parts = [pair_benchmark.make_fold(pairs, track, job.seed + seed, fold, folds) for seed in range(cfg.seeds) for fold in range(folds)]
        for name, make in models.items():
            began = time.monotonic()
            for done, part in enumerate(parts, 1):
                said = pair_benchmark.run_fold(make(part.seed), tables, part, random)
                found.append(said.assign(model=name, track=track))
                spent = time.monotonic() - began
                if done < len(parts) and spent > 10 * done:  # long work says how far it is
                    recipe.say(f"  {track:<14}{name:<18}{done} of {len(parts)} folds, about {spent / done * (len(parts) - done):.0f} s left")
            recipe.say(f"  {track:<14}{name:<18}{len(parts)} folds in {time.monotonic() - began:.1f} s")
    said = pd.concat(found, ignore_index=True)
    said["part"] = said["part"].where(said["part"] != "domain", said["track"])
    return said


def judged(said: pd.DataFrame, data: LearningData, model: str, draws: int) -> list[dict]:
    """Records of every model on every part, and of ``model`` less the best floor there; p-values of average precision, adjusted over the parts (Holm)."""
    records, differences = prerequisite_report.judged(said, data, tuple(floor for floor in FLOORS if floor != model), draws)
    n = {r["split"]: r["n"] for r in records if r["model"] == model and r["name"] == "ap" and r["group"] is None}
    compared = [{**row, "n": n[row["split"]], "group": f"minus {row['against']}"} for row in differences if row["model"] == model and row["name"] != "ece"]
    for row in compared:
        records.append(record(f"{row['name']}_difference", row["difference"], row["n"], row["low"], row["high"], split=row["split"], model=model,
                              group=row["group"]))
    tested = [row for row in compared if row["name"] == "ap"]
    for row, p in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        records.append(record("p_holm", p, row["n"], split=row["split"], model=model, group=row["group"]))
    return records


def _cell(row: dict | None) -> str:
    if row is None or row["value"] is None or row["value"] != row["value"]:
        return "-"
    return f"{row['value']:.3f}" + (f" [{row['low']:.2f},{row['high']:.2f}]" if row["low"] is not None else "")


def table(records: list[dict], model: str) -> list[str]:
    """The table of a run: the headline; apart from it random negatives (easy) and positives that follow from the pairs learnt from; the difference."""
    at = {(r["split"], r["model"], r["group"], r["name"]): r for r in records}
    lines: list[str] = []
    for part in dict.fromkeys(r["split"] for r in records if r["name"] == "random_ap"):
        names = dict.fromkeys(r["model"] for r in records if r["split"] == part and r["name"] == "random_ap")
        size = at[part, next(iter(names)), None, "random_ap"]
        lines += ["", f"{part}: {size['n']:,} answers, of which {size['value']:.1%} prerequisites (the random AP)",
                  f"  {'':<18}{''.join(f'{n:>20}' for n in ('auc', 'ap', 'f1', 'direction'))}{'ece':>7}{'tau':>7}{'circles':>9}"
                  f"  |{'random: auc':>12}{'ap':>7}  |{'implied: found':>15}"]
        for name in names:
            head = [_cell(at.get((part, name, None, metric))) for metric in HEAD]
            easy = [_cell(at.get((part, name, group, metric))).partition(" ")[0]
                    for group, metric in (("random_negatives", "auc"), ("random_negatives", "ap"), ("implied", "recall"))]
            lines.append(f"  {name:<18}{''.join(f'{c:>20}' for c in head[:4])}{head[4]:>7}{head[5]:>7}{head[6]:>9}  |{easy[0]:>12}{easy[1]:>7}  |{easy[2]:>15}")
        for row in (r for r in records if r["split"] == part and r["name"] == "ap_difference" and r["model"] == model):
            p = at[part, model, row["group"], "p_holm"]["value"]
            lines.append(f"  {model} {row['group']}: AP {row['value']:+.3f}" + (f" [{row['low']:+.3f}, {row['high']:+.3f}]" if row["low"] is not None else "")
                         + f", p {p:.2g} (Holm)")
    return lines


def calibrated(job: recipe.Run, said: pd.DataFrame, model: str) -> pd.DataFrame:
    """The model's answers with ``probability``; the reliability of both is kept as a figure, and the calibration errors as records."""
    own = said[said["model"] == model].reset_index(drop=True)
    own["probability"] = pd.concat([calibration.cross_fitted(rows) for _, rows in own.groupby("part")]).reindex(own.index)
    tables = []
    for part, rows in calibration.headline(own).groupby("part", sort=False):
        for kind, column in (("as the model says", "score"), ("put right on other folds", "probability")):
            found, error = calibration.reliability(rows, rows[column].to_numpy(), job.cfg.draws, job.seed)
            tables.append(found.assign(part=part, kind=kind))
            job.metrics.append(record("ece", error, len(rows), model=model, split=part, group=kind))
    job.keep("reliability", graph_figures.edge_reliability(pd.concat(tables)))
    return own


def reasons(job: recipe.Run, graph: ConceptGraph, own: pd.DataFrame, model: PrerequisiteModel) -> ConceptGraph:
    """The edges that stay probable when their own label was not seen, each with what is known of it in words; the others are kept apart.

    ``left_out.parquet`` holds the others, likeliest first: pairs that nobody judged are what experts may vote on next.
    """
    edges, pairs = graph.prerequisites[PAIR], job.data["concept_pairs"]
    if not len(edges):
        return graph
    size = len(graph.concept_ids)
    turned = edges.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})[PAIR]
    others = size * (size - 1) - len(pair_benchmark.with_reversed(pairs).drop_duplicates(PAIR))
    found, back = (calibration.edge_probabilities(of, model.predict(of).to_numpy(), own, others) for of in (edges, turned))
    known = pairs.drop_duplicates(PAIR).set_index(PAIR).reindex(pd.MultiIndex.from_frame(edges))
    told = edges.assign(label=known["label"].to_numpy(float), **found, reverse=back["probability"].to_numpy())
    stays = (told["probability"] >= 0.5).to_numpy()
    told[~stays].sort_values(["if_judged", *PAIR], ascending=[False, True, True]).to_parquet(job.folder / "left_out.parquet", index=False)
    job.tracked.append("left_out.parquet")
    job.metrics.append(record("edges_left_out", int((~stays).sum()), len(told)))
    recipe.say(f"{int((~stays).sum()):,} of {len(told):,} edges do not stay probable once their own label is not seen, or were never judged and would not be "
               "if unjudged pairs are as a rule none: left_out.parquet, for experts to vote on")
    label = told["label"].map({1.0: "labelled yes", 0.0: "labelled no"}).fillna("not labelled")
    votes = [f" ({v:.0f} votes)" if v == v else "" for v in known["votes"].astype(float)] if "votes" in known else [""] * len(edges)
    words = [f"{name}{count}; probability {row.probability:.2f}{' without its own label' if row.judged else ''}, {row.reverse:.2f} the other way round"
             for name, count, row in zip(label, votes, told.itertuples(), strict=True)]
    if "rationale" in graph.prerequisites:  # a fusion says by channel why; it was fitted on every label, that of the edge among them
        words = [f"{word}; fitted on all labels: {why}" for word, why in zip(words, graph.prerequisites["rationale"], strict=True)]
    kept = graph.prerequisites.assign(weight=told["probability"], rationale=words)
    kept = kept.assign(agreement=known["agreement"].to_numpy(float)) if "agreement" in known else kept
    return graph.replace(kept[stays].reset_index(drop=True))


def learn(job: recipe.Run, name: str) -> tuple[ConceptGraph, pd.DataFrame | None, str]:
    """Try the model of ``cfg.graph`` beside the floors, then fit it on all labels.

    Returns
    -------
    graph, votes (None where there are none), and a sentence on how the graph came about.
    """
    votes = None
    if job.cfg.votes:
        votes = expert_votes(job.cfg.votes)
        job.data, told = with_votes(job.data, votes)
        job.metrics += told
    pairs = job.data["concept_pairs"]
    models = {**{floor: partial(maker, floor) for floor in floors_of(job.data) if floor != name}, name: partial(made, job.cfg.graph)}
    recipe.say(f"{name} and {len(models) - 1} floors on {', '.join(tracks_of(job.cfg))}: {job.cfg.folds} folds by {job.cfg.seeds} seeds")
    said = answers(job, models)
    said.to_parquet(job.folder / "pairs.parquet", index=False)
    job.tracked.append("pairs.parquet")
    asked = said[said["model"] == name]
    job.split = {"name": ", ".join(tracks_of(job.cfg)), "seed": job.seed, "rows": {str(k): int(n) for k, n in asked["part"].value_counts().items()},
                 "fingerprint": fingerprint(asked[[*PAIR, "label", "part", "seed", "fold"]]), "file": "pairs.parquet"}
    job.metrics += judged(said, job.data, name, job.cfg.draws)
    for line in table(job.metrics, name):
        recipe.say(line)
    own = calibrated(job, said, name)
    job.keep("comparison", figures.metric_comparison([m for m in job.metrics if m["name"] == "ap" and not m["group"]]))
    recipe.say(f"\nfitting {name} on all {len(pairs):,} labels")
    every = pair_benchmark.with_reversed(pairs)
    model = made(job.cfg.graph, job.seed)().fit(pair_benchmark.without_labels(job.data.tables), every)
    graph = reasons(job, model.graph(), own[own["track"] == tracks_of(job.cfg)[0]], model)
    note = f"learned by {name} from {len(pairs):,} labelled pairs of {job.data.label}"
    return graph, votes, note if votes is None else f"{note}, {len(votes):,} votes among them"
