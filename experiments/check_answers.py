"""Do the checks of answers find gaming, and leave honest answers alone? Invented gaming over invented and real answers.

``python -m edukit.experiments.check_answers --data synthetic_answers --data asap_sas --data semeval2013`` learns what is usual from one half of the
honest answers
and tells of the other half, with wordings of gaming that were in no list when limits were set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from edukit.data import catalogue
from edukit.data.gaming_answers import KINDS, gamed
from edukit.grading.answer_checks import AnswerChecks
from edukit.metrics import record
from edukit.reproducibility import environment, write_json

from . import recipe

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


def of_data(label: str, n: int, most: int, seed: int, held: bool = True) -> list[dict]:
    """Share of the gamed answers found as their kind, and flagged at all, and of honest ones flagged, by kind and at all."""
    loader = catalogue.loader(label)
    tables = loader.parse(loader.raw_dir())
    answers, questions = tables["answers"], tables["questions"]
    if len(answers) > most:
        answers = answers.sample(most, random_state=seed)
    lot = np.random.default_rng(seed).permutation(len(answers))
    usual, honest = answers.iloc[lot[: len(lot) // 2]], answers.iloc[lot[len(lot) // 2:]]
    checks = AnswerChecks().fit(usual, questions)
    flagged = checks.check(honest)
    rows = [_share("false_flags", flagged.any(axis=1), label, "any"), *(_share("false_flags", flagged[kind], label, kind) for kind in KINDS)]
    for kind in KINDS:
        tried = gamed(kind, n, seed, held, honest, questions)
        if len(tried):
            told = checks.check(tried)
            rows += [_share("found", told[kind], label, kind), _share("flagged", told.any(axis=1), label, kind)]
    return rows


def _share(name: str, hits: pd.Series, label: str, kind: str) -> dict:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(int(hits.sum()), len(hits), method="wilson")
    return record(name, float(hits.mean()), len(hits), float(low), float(high), split=label, channel=kind)


@app.command()
def check(data: Annotated[list[str] | None, typer.Option(help="data set; may be given several times")] = None,
          n: Annotated[int, typer.Option(min=10, help="gamed answers of each kind")] = 300,
          most: Annotated[int, typer.Option(min=100, help="honest answers of a data set")] = 6000, seed: int = 0,
          tuning: Annotated[bool, typer.Option("--tuning", help="the half of the wordings that limits may be chosen on")] = False,
          out: Annotated[Path | None, typer.Option(help="folder of the report; default EDUKIT_OUTPUTS/check_answers")] = None) -> None:
    """Learn, check and print the shares with their 95 % intervals."""
    records = [row for label in data or ["synthetic_answers"] for row in of_data(label, n, most, seed, not tuning)]
    for r in records:
        typer.echo(f"{r['split']:<28}{r['name']:<13}{r['channel']:<23}{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]  n {r['n']:,}")
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "check_answers"
    typer.echo(str(write_json(place / "check_answers.json", {"records": records, "environment": environment()})))


if __name__ == "__main__":
    recipe.guard(app)
