"""Do pairs that a model calls prerequisites also show larger effects of teaching? Scores of concept pairs beside the A/B effects of CausalEdu.

``python -m edukit.experiments.causal_check`` prints the table and writes causal_check.json and causal_check.png. The trials are few and small, and the
pairs in them were chosen by the platform: "not shown" is the likely result, and is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from edukit.data import LearningData
from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.graph import pair_benchmark
from edukit.graph.effects import FEWEST, LEARNERS, REFERENCE, agreement, measured, spread, verdicts
from edukit.graph.pair_features import PairFeatures
from edukit.graph.sources import Expert
from edukit.protocols import PrerequisiteModel
from edukit.reproducibility import environment, write_json
from edukit.schema import DataError

from . import recipe
from .prerequisites import maker

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
PAIR = ["concept_id", "requires_id"]
TEXT = ("name_logistic", "logistic", "extra_trees")
LOGS = {"evidence": "responses", "noisy_and": "responses", "notears": "responses", "exposure": "exposure"}
KINDS = {"trial_p": "A/B trials: share right after the lesson, taught it against taught another", "trial_k": "A/B trials, lost answers as not knowing",
         "gain_p": "gain after a lesson, no comparison group; above .25 = above guessing", "gain_k": "gain, lost answers as guesses; no comparison group"}
Scored = tuple[str, str, Callable[[pd.DataFrame], pd.Series]]


def labels_elsewhere(data: LearningData, seed: int) -> pd.DataFrame:
    """Pairs to learn from: experts' edges between concepts that are in no effect, each reversed, and as many pairs drawn at random."""
    tested = {*data["effects"]["concept_id"], *data["effects"]["requires_id"]}
    edges = data["prerequisites"][PAIR].drop_duplicates()
    edges = edges[~edges.isin(tested).any(axis=1)].assign(label=1.0, origin="expert")
    return pd.concat([pair_benchmark.with_reversed(edges), pair_benchmark.random_negatives(edges, seed)], ignore_index=True)


def from_text(data: LearningData, names: tuple[str, ...], seed: int) -> Iterator[Scored]:
    """What names and experts say: the experts themselves, school years, likeness of names, and models that learnt from the experts elsewhere."""
    yield "expert edge", "expert", Expert().fit(data.tables).predict
    year, features = data["concepts"].set_index("concept_id")["level"].astype(float), PairFeatures.from_tables({"concepts": data["concepts"]})
    yield "later school year", "context", lambda pairs: pairs["concept_id"].map(year) - pairs["requires_id"].map(year)

    def alike(pairs: pd.DataFrame) -> pd.Series:
        a, b = features.positions(pairs)
        return pd.Series(np.einsum("nf,nf->n", features.names[a], features.names[b]), index=pairs.index)

    yield "likeness of names", "text", alike
    labels = labels_elsewhere(data, seed)
    seen = {"concepts": data["concepts"]}
    for name in names:
        typer.echo(f"{name}: learns from {int(labels['label'].sum()):,} experts' edges between concepts that are in no effect")
        yield name, "text", maker(name, seed)().fit(seen, labels).predict


def from_other_labels(data: LearningData, other: LearningData, seed: int) -> Iterator[Scored]:
    """Names only, learnt from the labelled pairs of another subject."""
    both = pd.concat([t["concepts"][["concept_id", "name"]].assign(concept_id=mark + t["concepts"]["concept_id"]) for mark, t in (("", data), ("\0", other))])
    learnt = pair_benchmark.with_reversed(other["concept_pairs"])
    model = maker("name_logistic", seed)().fit({"concepts": both}, learnt.assign(**{c: "\0" + learnt[c] for c in PAIR}))
    yield f"name_logistic, labels of {other.label}", "text", model.predict


def from_logs(data: LearningData, other: LearningData, seed: int) -> Iterator[Scored]:
    """Models of responses and exposure, fitted on a log of the same platform by subject; NaN for two concepts of one subject or of a subject not in it."""
    subject = data["concepts"].set_index("concept_id")["topic"].map(other["concepts"].set_index("name")["concept_id"])
    for name, channel in LOGS.items():
        model = maker("evidence", seed, statistic="exposure_conditional")() if name == "exposure" else maker(name, seed)()
        model.fit(pair_benchmark.without_labels(other.tables))

        def score(pairs: pd.DataFrame, model: PrerequisiteModel = model) -> pd.Series:
            return model.predict(pairs[PAIR].apply(lambda ids: ids.map(subject)))

        yield f"{name}, by subject in {other.label}", channel, score


def optional(label: str, why: str) -> LearningData | None:
    """A data set that some models need; None, and it is said, where its files are not here."""
    try:
        return load(loader(label), typer.echo, purpose="causal_check")
    except DataError as error:
        typer.echo(f"left out: {why}, since {label} is not here ({error})")
        return None


def judged(data: LearningData, models: Iterator[Scored], draws: int, seed: int) -> list[dict]:
    """Records of every model on every kind of effect."""
    effects = {kind: measured(data["effects"], kind) for kind in KINDS}
    records: list[dict] = []
    for name, channel, score in models:
        for kind, rows in effects.items():
            turned = rows.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})
            records += agreement(rows, kind, score(rows[PAIR]), score(turned[PAIR]), name, channel, draws, seed)
    return records


def shown(records: list[dict], said: pd.DataFrame, effects: pd.DataFrame) -> str:
    """The table as text: per kind of effect and model, coverage, rank correlation, AUC, direction and verdict."""
    found = {(r["split"], r["model"], r["name"], r["group"]): r for r in records}
    verdict = said.set_index(["split", "model", "name"])["verdict"]

    def text(kind: str, model: str, name: str, group: str | None = None) -> str:
        r = found.get((kind, model, name, group))
        if r is None:
            return "-"
        return f"{r['value']:.2f}" + (f" [{r['low']:.2f},{r['high']:.2f}]" if r["low"] is not None else "")

    lines = []
    for kind, meaning in KINDS.items():
        rows, every = measured(effects, kind), measured(effects, kind, learners=0)
        differ, below = spread(rows), int((rows["high"] < REFERENCE[kind]).sum())
        lines += ["", f"{kind}: {meaning}",
                  f"  {len(rows)} pairs, {len(every) - len(rows)} more left out with fewer than {LEARNERS} learners behind them; median standard error "
                  f"{rows['error'].median():.2f}; {int(rows['above'].sum())} with an interval above {REFERENCE[kind]:g}, {below} with one below; "
                  f"not chance: {differ['share']:.0%} of their variance (Q {differ['q']:.0f}, p {differ['p']:.2g})",
                  f"  {'':<38}{'pairs':>6}{'rank correlation':>21}{'weighted':>21}{'AUC':>20}{'p (Holm)':>10}{'direction above / other':>25}  verdict"]
        for model in dict.fromkeys(r["model"] for r in records):
            covered = found[kind, model, "coverage", None]
            n = round(covered["value"] * covered["n"])
            p = said[(said["split"] == kind) & (said["model"] == model) & (said["name"] == "rank_correlation")]["p_holm"]
            ways = " / ".join(f"{r['value']:.2f} ({r['n']})" if (r := found.get((kind, model, "direction", g))) else "-" for g in ("above", "other"))
            told = verdict.get((kind, model, "rank_correlation"), "too few pairs" if n < FEWEST else "-")
            words = "".join(f"{text(kind, model, name):>{wide}}" for name, wide in (("rank_correlation", 21), ("rank_correlation_weighted", 21), ("auc", 20)))
            lines.append(f"  {model:<38}{n:>6}{words}{p.iloc[0] if len(p) else np.nan:>10.2f}{ways:>25}  {told}")
    return "\n".join(lines)


@app.command()
def check(model: Annotated[str, typer.Option(help="comma between: names of conf/graph that learn from labels and names")] = ",".join(TEXT),
          draws: Annotated[int, typer.Option(help="draws of concepts behind each interval")] = 1000, seed: int = 0,
          out: Annotated[Path | None, typer.Option(help="folder of report and figure; default EDUKIT_OUTPUTS/causal_check")] = None) -> None:
    """Score the pairs whose effects were measured by every model that can, and say how far scores and effects go together."""
    from edukit.report import figures

    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "causal_check"
    data = load(loader("eedi_causaledu"), typer.echo, purpose="causal_check")
    typer.echo("the data hold effects but no responses and no courses: no model can be fitted on their own log, and networks over courses cannot run")
    records = judged(data, from_text(data, tuple(model.split(",")), seed), draws, seed)
    for label, why, models in (("ucd", "names learnt from another subject", from_other_labels), ("nips34", "models of responses, by subject", from_logs)):
        other = optional(label, why)
        records += judged(data, models(data, other, seed), draws, seed) if other else []
    said = verdicts(records)
    typer.echo(shown(records, said, data["effects"]))
    both_ways = measured(data["effects"], "trial_p").merge(measured(data["effects"], "trial_p"), left_on=PAIR, right_on=PAIR[::-1])
    typer.echo(f"\n{len(both_ways) // 2} pairs were tried in both orders, so that no trial says which order is the better; what agrees is associated, and "
               f"{(said['verdict'] != 'not shown').sum()} of {len(said)} comparisons are shown after Holm")
    write_json(place / "causal_check.json", {"records": records, "verdicts": said.astype(object).where(said.notna(), None).to_dict("records"),
                                             "data": data.fingerprint, "seed": seed, "environment": environment()})
    headline = [r for r in records if r["split"] == "trial_p" and r["name"] in ("rank_correlation", "auc")]
    typer.echo(str(place / "causal_check.json"))
    if headline:
        typer.echo(str(figures.save(figures.metric_comparison(headline), place / "causal_check.png")))


if __name__ == "__main__":
    recipe.guard(app)
