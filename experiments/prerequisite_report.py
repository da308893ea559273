"""What the benchmark of prerequisites found: scores with intervals, targets met and not met, and whether a graph network beats its own zero-layer twin."""

from __future__ import annotations

import pandas as pd

from edukit.data import LearningData
from edukit.graph import pair_judging

SHOWN = ("auc", "ap", "f1", "direction_accuracy", "ece", "kendall_tau", "cycles")
IMPLIED = " with implied"
TWIN = "_no_layers"  # a network of the same name without this ending differs from its twin by its messages alone
TARGETS = {  # what the best model of a track should reach; set beforehand, some ten percent of the way from the best known score to 1
    ("ucd", "inductive"): {"auc": 0.90, "ap": 0.76, "f1": 0.68, "direction_accuracy": 0.90},
    ("ucd", "grouped"): {"auc": 0.925, "ap": 0.82, "f1": 0.74},
    ("alcpl_data_mining", "inductive"): {"auc": 0.935, "ap": 0.88, "f1": 0.80},
    ("alcpl_precalculus", "inductive"): {"auc": 0.982, "ap": 0.96, "f1": 0.90},
    ("lecturebank_cd", "inductive"): {"auc": 0.92, "ap": 0.80, "f1": 0.72},
}
PANELS = ("random_leaky" + IMPLIED, "grouped", "inductive")
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
        for name, said in rows.groupby("model", sort=False):
            told, measured[str(name)] = pair_judging.judge_pairs(said, concepts, str(name), str(part), draws)
            records += told
        known = [m for m in measured if m in floors and measured[m].value["ap"] == measured[m].value["ap"]]
        best = max(known, key=lambda m: measured[m].value["ap"], default=None)
        asked = [(m, best) for m in measured if best is not None and m not in floors] + [(m, m + TWIN) for m in measured if m + TWIN in measured]
        for name, other in asked:
            for metric, row in pair_judging.compare(measured[name], measured[str(other)]).items():
                differences.append({"split": part, "model": name, "against": other, "name": metric, **row})
    return records, differences


def parts(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of the judged pairs, random negatives set aside: ``split`` without the positives that follow from the training pairs, and, where there
    are such, ``<split> with implied``: the easier set, and the one that others report."""
    rows = metrics[metrics["group"].isna() | (metrics["group"] == "with_implied")]
    return rows.assign(split=rows["split"].where(rows["group"].isna(), rows["split"] + IMPLIED))


def targets(metrics: pd.DataFrame, floors: tuple[str, ...]) -> pd.DataFrame:
    """Each target beside the model of the highest average precision on that track.

    Returns
    -------
    DataFrame
        ``data, split, model, name, target, value, low, high, met``. The model is the best of several on the very pairs it is shown for, so
        that its value leans upward; the interval does not know that. Both sets of :func:`parts` are shown.
    """
    rows = []
    scores = parts(metrics[~metrics["model"].isin(floors)])
    for (label, part), wanted in [((a, b + more), names) for (a, b), names in TARGETS.items() for more in ("", IMPLIED)]:
        of = scores[(scores["data"] == label) & (scores["split"] == part)]
        precision = of[of["name"] == "ap"].dropna(subset="value")
        if not len(precision):
            continue
        model = precision.loc[precision["value"].idxmax(), "model"]
        for name, target in wanted.items():
            for _, one in of[(of["model"] == model) & (of["name"] == name)].iterrows():
                rows.append({"data": label, "split": part, "model": model, "name": name, "target": target, **one[["value", "low", "high"]],
                             "met": bool(one["value"] >= target)})
    return pd.DataFrame(rows)


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


def text(metrics: pd.DataFrame, differences: pd.DataFrame, floors: tuple[str, ...]) -> str:
    """The whole report: a table per data set and part, the targets, and what message passing added."""
    lines: list[str] = []
    seconds = metrics[metrics["name"] == "seconds"].set_index(["data", "track", "model"])["value"]
    shown = parts(metrics[metrics["name"].isin(SHOWN)])
    for (label, track, part), rows in shown.groupby(["data", "track", "split"], sort=False):
        lines += ["", f"{label}, {str(part).replace('domain', str(track), 1)}: {int(rows['n'].max()):,} answers",
                  f"  {'':<22}{''.join(f'{n:>20}' for n in SHOWN)}{'cpu s a fold':>14}"]
        for model, of in rows.groupby("model", sort=False):
            value = of.set_index("name").reindex(SHOWN)
            scores = "".join(f"{_score(*value.loc[n, ['value', 'low', 'high']]):>20}" for n in SHOWN)
            lines.append(f"  {model:<22}{scores}{seconds.get((label, track, model), float('nan')):>14.1f}")
    wanted = targets(metrics, floors)
    if len(wanted):
        lines += ["", "Targets, beside the model of the highest average precision on the same pairs (the best of several leans upward)"]
        lines += [f"  {r.data:<20}{r.split:<22}{r.name:<20}target {r.target:.3f}  {_score(r.value, r.low, r.high):<22}"
                  f"{'met' if r.met else 'NOT MET':<9}{r.model}" for r in wanted.itertuples(index=False)]
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
