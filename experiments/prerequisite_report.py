"""What the benchmark of prerequisites found: scores with intervals, targets met and not met, and whether a graph network beats its own zero-layer twin."""

from __future__ import annotations

import pandas as pd

from edukit import metrics as scores
from edukit.data import LearningData
from edukit.graph import pair_judging

SHOWN = ("auc", "ap", "f1", "direction_accuracy", "ece", "kendall_tau", "cycles")
IMPLIED, ANNOTATED = " with implied", " annotated only"
CHANGES = 0.02  # a change of average precision from which the annotated pairs alone stand in a table of their own
TWIN = "_no_layers"  # a network of the same name without this ending differs from its twin by its messages alone
TARGETS = {  # what the best model of a track should reach; set beforehand, some ten percent of the way from the best known score to 1
    ("ucd", "inductive"): {"auc": 0.90, "ap": 0.76, "f1": 0.68, "direction_accuracy": 0.90},
    ("ucd", "grouped"): {"auc": 0.925, "ap": 0.82, "f1": 0.74},
    ("alcpl_data_mining", "inductive"): {"auc": 0.935, "ap": 0.88, "f1": 0.80},
    ("alcpl_precalculus", "inductive"): {"auc": 0.982, "ap": 0.96, "f1": 0.90},
    ("lecturebank_cd", "inductive"): {"auc": 0.92, "ap": 0.80, "f1": 0.72},
}
PANELS = ("random_leaky" + IMPLIED, "grouped", "inductive")
SINGLE = ("kernel_svm", "logistic", "extra_trees")  # models of pairs that a blend may weigh together, each shown alone
ENOUGH_SETS = 3  # inductive sets on which a network must beat its twin before it is said that the graph helps


def judged(found: pd.DataFrame, data: LearningData, floors: tuple[str, ...], draws: int) -> tuple[list[dict], list[dict]]:
    """Metric records of each part and model; and differences: each model less the best floor by average precision, each network less its twin.

    Parameters
    ----------
    found : answers of :func:`edukit.graph.pair_benchmark.run_fold` with ``model``, of one data set and track.
    floors : names of the models that are floors.
    draws : of the concepts, behind each interval.
    """
    pairs = data["concept_pairs"]
    concepts = sorted({*pairs["concept_id"], *pairs["requires_id"]})
    records: list[dict] = []
    differences: list[dict] = []
    for part, rows in found.groupby("part", sort=True):
        measured: dict[str, pair_judging.Measured] = {}
        told: list[dict] = []
        for name, said in rows.groupby("model", sort=False):
            new, measured[str(name)] = pair_judging.judge_pairs(said, concepts, str(name), str(part), draws)
            told += new
        precision = {(r["model"], r["group"]): r["value"] for r in told if r["name"] == "ap"}
        apart = any(abs(precision[model, "annotated"] - precision[model, None]) > CHANGES for model, group in precision if group == "annotated")
        records += [r for r in told if apart or r["group"] != "annotated"]
        known = [m for m in measured if m in floors and measured[m].value["ap"] == measured[m].value["ap"]]
        best = max(known, key=lambda m: measured[m].value["ap"], default=None)
        asked = [(m, best) for m in measured if best is not None and m not in floors] + [(m, m + TWIN) for m in measured if m + TWIN in measured]
        for name, other in asked:
            for metric, row in pair_judging.compare(measured[name], measured[str(other)]).items():
                differences.append({"split": part, "model": name, "against": other, "name": metric, **row})
    return records, differences


def reliabilities(found: pd.DataFrame) -> pd.DataFrame:
    """Per model and bin of the probability, on pairs with one unseen end: the mean probability, the share of positives and the number of answers.

    Positives that follow from the training pairs and random negatives are set aside; of several seeds all answers count.

    Returns
    -------
    DataFrame
        ``model, predicted, observed, n``.
    """
    asked = found[(found["part"] == "inductive") & (found["origin"] != "random") & ~found["implied"].astype(bool)]
    rows = [{"model": model, **each} for model, of in asked.groupby("model", sort=False)
            for each in scores.reliability(of["label"].to_numpy(), of["score"].clip(0, 1).to_numpy())]
    return pd.DataFrame(rows, columns=["model", "predicted", "observed", "n"]).astype({"predicted": float, "observed": float, "n": int})


def parts(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of the judged pairs, random negatives set aside: ``split`` without the positives that follow from the training pairs, and, where there
    are such, ``<split> with implied``: the easier set, and the one that others report. ``<split> annotated only`` leaves out the pairs that nobody
    was asked about in this order, where that changes the average precision of a model by more than :data:`CHANGES`; models still learn from such pairs."""
    more = metrics["group"].map({"with_implied": IMPLIED, "annotated": ANNOTATED}).where(metrics["group"].notna(), "")
    return metrics[more.notna()].assign(split=metrics["split"] + more)


def targets(metrics: pd.DataFrame, floors: tuple[str, ...]) -> pd.DataFrame:
    """Each target beside the model of the highest average precision on that track, for each set of pairs that :func:`parts` shows.

    Returns
    -------
    DataFrame
        ``data, part, split, model, name, target, value, low, high, met``, and ``met_on``: of the splits of that part, those on which the target is
        met, or ``none``. The model is the best of several on the very pairs it is shown for, so that its value leans upward; the interval does not know that.
    """
    rows = []
    found = parts(metrics[~metrics["model"].isin(floors)])
    for (label, part), wanted in TARGETS.items():
        splits = [part + more for more in ("", IMPLIED, ANNOTATED)]
        best = {split: best_model(found, label, split) for split in splits}
        for name, target in wanted.items():
            of = found[(found["data"] == label) & (found["name"] == name)]
            some = [{"data": label, "part": part, "split": split, "model": best[split], "name": name, "target": target, **one[["value", "low", "high"]],
                     "met": bool(one["value"] >= target)}
                    for split in splits for _, one in of[(of["split"] == split) & (of["model"] == best[split])].iterrows()]
            met_on = ", ".join(row["split"] for row in some if row["met"]) or "none"
            rows += [{**row, "met_on": met_on} for row in some]
    return pd.DataFrame(rows)


def best_model(found: pd.DataFrame, label: str, split: str) -> str | None:
    """The model of the highest average precision in metric records of one data set and split; None where there is none."""
    precision = found[(found["data"] == label) & (found["split"] == split) & (found["name"] == "ap")].dropna(subset="value")
    return None if precision.empty else str(precision.loc[precision["value"].idxmax(), "model"])


def behind(one: pd.Series, metrics: pd.DataFrame, grown: pd.DataFrame) -> str:
    """What stands behind a target not met: other models alone on the same pairs, and the same model having learnt from fewer pairs.

    Parameters
    ----------
    one : row of :func:`targets`.
    metrics : records of the table.
    grown : records of the learning curve, with ``share``; may be empty.
    """
    of = parts(metrics)
    of = of[(of["data"] == one["data"]) & (of["split"] == one["split"]) & (of["name"] == one["name"])].dropna(subset="value").set_index("model")["value"]
    alone = [f"{m} {of[m]:.3f}" for m in (*SINGLE, str(one["model"]) + TWIN) if m in of and m != one["model"]]
    words = ["alone: " + ", ".join(alone)] if alone else []
    if len(grown):
        points = parts(grown)
        points = points[(points[["data", "split", "model", "name"]] == one[["data", "split", "model", "name"]].to_numpy()).all(axis=1)].sort_values("share")
        words += [f"learning from {', '.join(f'{p.share:.0%} {p.value:.3f}' for p in points.itertuples(index=False))}"] if len(points) else []
    return "; ".join(words) or "no other model and no learning curve was run"


def graph_helps(differences: pd.DataFrame) -> pd.DataFrame:
    """Each graph network less its zero-layer twin in average precision, on concepts never seen in training, set by set.

    Returns
    -------
    DataFrame
        ``model, data, difference, low, high, helps``, and ``shown`` for all rows of a model: the interval lies above 0 on at least three sets.
    """
    if not len(differences):
        return pd.DataFrame(columns=["model", "data", "difference", "low", "high", "helps", "shown"])
    of = differences[(differences["against"] == differences["model"] + TWIN) & (differences["split"] == "inductive") & (differences["name"] == "ap")]
    of = of[["model", "data", "difference", "low", "high"]].assign(helps=of["low"].astype(float) > 0)
    return of.assign(shown=of.groupby("model")["helps"].transform("sum") >= ENOUGH_SETS).sort_values(["model", "data"], ignore_index=True)


def _score(value: float, low: float | None, high: float | None) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}" if pd.isna(low) else f"{value:.3f} [{low:.3f},{high:.3f}]"


def _tables(metrics: pd.DataFrame) -> list[str]:
    """A table per data set and part."""
    lines: list[str] = []
    seconds = metrics[metrics["name"] == "seconds"].set_index(["data", "track", "model"])["value"]
    shown = parts(metrics[metrics["name"].isin(SHOWN)])
    for (label, track, part), rows in shown.groupby(["data", "track", "split"], sort=False):
        lines += ["", f"{label}, {str(part).replace('domain', str(track), 1)}: {int(rows['n'].max()):,} answers",
                  f"  {'':<22}{''.join(f'{n:>20}' for n in SHOWN)}{'cpu s a fold':>14}"]
        for model, of in rows.groupby("model", sort=False):
            value = of.set_index("name").reindex(SHOWN)
            said = "".join(f"{_score(*value.loc[n, ['value', 'low', 'high']]):>20}" for n in SHOWN)
            lines.append(f"  {model:<22}{said}{seconds.get((label, track, model), float('nan')):>14.1f}")
    return lines


def _wanted(metrics: pd.DataFrame, floors: tuple[str, ...], grown: pd.DataFrame) -> list[str]:
    """The targets, what stands behind each that is not met, and on which pairs each is met."""
    wanted = targets(metrics, floors)
    if not len(wanted):
        return []
    lines = ["", "Targets, beside the model of the highest average precision on the same pairs (the best of several leans upward)"]
    for _, r in wanted.iterrows():
        lines.append(f"  {r['data']:<20}{r['split']:<26}{r['name']:<20}target {r['target']:.3f}  {_score(r['value'], r['low'], r['high']):<22}"
                     f"{'met' if r['met'] else 'NOT MET':<9}{r['model']}")
        lines += [] if r["met"] else [f"    {behind(r, metrics, grown)}"]
    lines += ["", "On which pairs each target is met"]
    return lines + [f"  {r.data:<20}{r.part:<12}{r.name:<20}target {r.target:.3f}  {r.met_on}"
                    for r in wanted.drop_duplicates(["data", "part", "name"]).itertuples(index=False)]


def text(metrics: pd.DataFrame, differences: pd.DataFrame, floors: tuple[str, ...], grown: pd.DataFrame | None = None) -> str:
    """The whole report: a table per data set and part, the targets, and what message passing added.

    ``grown`` holds records of the learning curve, where it was run.
    """
    lines = _tables(metrics) + _wanted(metrics, floors, pd.DataFrame() if grown is None else grown)
    helps = graph_helps(differences)
    if len(helps):
        lines += ["", "Does the graph help? Average precision of each network less that of its zero-layer twin, concepts never seen in training"]
        lines += [f"  {r.model:<22}{r.data:<20}{r.difference:+.3f} [{r.low:+.3f},{r.high:+.3f}]" for r in helps.itertuples(index=False)]
        lines += [f"  {model}: {'shown' if of['shown'].all() else 'not shown'} "
                  f"(above 0 on {int(of['helps'].sum())} of {len(of)} sets; {ENOUGH_SETS} are asked for)" for model, of in helps.groupby("model")]
    return "\n".join(lines[1:])


def precisions(metrics: pd.DataFrame) -> pd.DataFrame:
    """Average precision with interval and that of a random ranking (``chance``), for the parts of :data:`PANELS`; what the picture shows."""
    rows = parts(metrics[metrics["name"].isin(["ap", "random_ap"]) & metrics["model"].notna()])
    chance = rows[rows["name"] == "random_ap"].groupby(["data", "split"])["value"].mean().rename("chance")
    rows = rows[(rows["name"] == "ap") & rows["split"].isin(PANELS)].dropna(subset="value")
    return rows[["data", "split", "model", "value", "low", "high"]].merge(chance, how="left", on=["data", "split"])


def calibrated(metrics: pd.DataFrame, reliability: pd.DataFrame, floors: tuple[str, ...]) -> pd.DataFrame:
    """Rows of :func:`reliabilities` with ``data``, of each set's best model that is no floor, concepts never seen; with its ``ece``, the mean over folds."""
    found = parts(metrics[~metrics["model"].isin(floors) & metrics["model"].notna()])
    told = found[(found["split"] == "inductive") & (found["name"] == "ece")].set_index(["data", "model"])["value"]
    best = [(label, best_model(found, str(label), "inductive")) for label in reliability["data"].unique()]
    rows = reliability.set_index(["data", "model"])
    return rows[rows.index.isin(best)].assign(ece=lambda t: told.reindex(t.index)).reset_index()
