"""Does the expected benefit of help hold what it promises? Invented courses whose truth is known, one a seed.

``python -m edukit.experiments.benefit_check --seeds 30`` prints how often the 95 % interval held the truth for calls (which help) and messages (which
do nothing), how often the plain comparison did, and how often mentors (who went to all in great need, and to nobody else) were refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from edukit.data.synthetic_course import SyntheticCourse
from edukit.metrics import record
from edukit.reproducibility import environment, write_json
from edukit.risk import features, outcomes
from edukit.risk.expected_benefit import ExpectedBenefit, helped_in
from edukit.risk.snapshot import Snapshot
from edukit.schema import DataError

from . import recipe

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
ASKED = {"call": 8, "message": 8, "mentor": 10}  # kind: the week at whose end it is asked about; no calls came after the reviews of week 8


def of_course(seed: int, modules: int, learners: int) -> Iterator[dict]:
    """Per kind: the mean benefit of those helped, estimated and true, with the plain difference; or that it was refused."""
    tables, truth = SyntheticCourse(modules=modules, learners_per_run=learners, seed=seed).course()
    ended = outcomes.outcome(tables)
    for kind, week in ASKED.items():
        known = features.build(Snapshot(7 * week).take(tables)).drop(columns="observed")
        helped = helped_in(tables["interventions"], known.index, kind, 7 * week, 7 * week + 14, outcomes.left_day(tables))
        try:
            model = ExpectedBenefit(seed=seed).fit(known, helped, ended.reindex(known.index))
        except DataError:
            yield {"kind": kind, "seed": seed, "refused": True}
            continue
        inside = (model.predict(known)["state"] == "estimated") & (helped == 1)
        true = truth.enrolments["benefit"].reindex(known.index)[inside].mean() if kind == "call" else 0.0
        _, own, naive = model.average_
        yield {"kind": kind, "seed": seed, "refused": False, "true": float(true), "estimate": own["value"], "held": own["low"] <= true <= own["high"],
               "naive": naive["value"], "naive_held": naive["low"] <= true <= naive["high"], "sure": own["low"] > 0 or own["high"] < 0}


def judged(rows: pd.DataFrame) -> list[dict]:
    """Coverage, bias and refusals by kind, with Wilson's interval over the courses."""
    from statsmodels.stats.proportion import proportion_confint

    found = []
    for kind, part in rows.groupby("kind", sort=False):
        told = part[~part["refused"]]
        shares = {"refused": part["refused"]}
        if len(told):
            shares |= {"coverage": told["held"], "naive_coverage": told["naive_held"], "told_apart_from_0": told["sure"]}
        for name, held in shares.items():
            low, high = proportion_confint(held.astype(bool).sum(), len(held), method="wilson")
            found.append(record(name, float(held.astype(float).mean()), len(held), float(low), float(high), channel=kind))
        if len(told):
            error = told["estimate"] - told["true"]
            half = 1.96 * error.std() / np.sqrt(len(error))
            found.append(record("bias", float(error.mean()), len(error), float(error.mean() - half), float(error.mean() + half), channel=kind))
    return found


@app.command()
def check(seeds: Annotated[int, typer.Option(min=2, help="courses")] = 30, modules: int = 6, learners: Annotated[int, typer.Option(help="of a run")] = 100,
          out: Annotated[Path | None, typer.Option(help="folder of the report; default EDUKIT_OUTPUTS/benefit_check")] = None) -> None:
    """Estimate on every course, and say how often the truth was held."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "benefit_check"
    rows = pd.DataFrame([row for seed in range(seeds) for row in of_course(seed, modules, learners)])
    records = judged(rows)
    for r in records:
        typer.echo(f"{r['channel']:<9}{r['name']:<19}{r['value']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]  n {r['n']}")
    typer.echo(str(write_json(place / "benefit_check.json", {"records": records, "courses": rows.to_dict("records"), "environment": environment()})))


if __name__ == "__main__":
    recipe.guard(app)
