"""`edukit learner | refresh`: what a tracked model says of a learner and why, and whether newer data calls for a newer model."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="a tracked run: its id, the beginning of it, `last`, or the folder of a run")]


def _note(line: str) -> None:
    typer.echo(f"note: {line}", err=True)


def learner(
    run: Run,
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="csv or xlsx, a row per response: item_id, correct; also learner_id, order or timestamp")],
    top: Annotated[int, typer.Option(min=1, help="concepts shown of each kind")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="every concept as JSON")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="OUT", help="every concept into a csv file")] = None,
    explain: Annotated[str | None, typer.Option(metavar="CONCEPT", help="what moved the mastery of one concept (its id or its name)")] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="a picture: mastery response by response; with --explain, of what "
                                                                           "moved the concept (.png, .svg, .pdf)")] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="a page of one learner that opens offline and prints: strengths, what is in reach, and the "
                                                                   "answers that say so (.html)")] = None,
) -> None:
    """What the learner of HISTORY knows of each concept, as the model of RUN sees it, with how sure that is; the model need never have seen them.

    A HISTORY without learner_id is of one learner. Nothing but the model and this file is read of any learner.
    """
    from edukit.formats import learner_history
    from edukit.report.gap_page import write_csv

    serving = importlib.import_module("edukit.experiments.serving")
    rows = learner_history.read(history, _note)
    tracked = serving.tracked(run, items=rows["item_id"])
    if run == "last":
        _note(f"last is {tracked.label}: of the models that know the items of {history.name} the newest")
    mastery = serving.estimate(tracked, rows)
    for line in serving.unseen(tracked, rows):
        _note(line)
    if explain is not None:
        _explained(tracked, rows, explain, as_json, figure)
    elif as_json:
        typer.echo(_json(mastery.to_dict("records")))
    else:
        typer.echo(f"{tracked.label}")
        for line in serving.lines(mastery, rows, top):
            typer.echo(line)
    if figure is not None and explain is None:
        from edukit.report.figures import save

        drawn = importlib.import_module("edukit.experiments.learner_steps").drawn(tracked, rows)
        typer.echo(str(save(drawn, figure)), err=as_json)
    if page is not None:
        typer.echo(str(importlib.import_module("edukit.experiments.learner_steps").profiled(tracked, rows).write(page)), err=as_json)
    if csv is not None:
        typer.echo(str(write_csv(mastery, csv)), err=as_json)


def _explained(tracked: Any, rows: Any, concept: str, as_json: bool, figure: Path | None) -> None:
    from dataclasses import asdict

    from edukit.schema import DataError
    from edukit.tracing.explaining import explain, sentence

    plain, names = importlib.import_module("edukit.experiments.serving").plain, tracked.names
    fit = [concept] if concept in names else [c for c, name in names.items() if name == concept]
    if len(fit) != 1:
        raise DataError(f"--explain must name one concept of the model, by its id or its name; found {concept!r}, which is "
                        f"{'the name of ' + ', '.join(map(repr, fit)) if fit else f'none of its {len(names):,}'}.")
    found = explain(tracked.model, rows, fit[0], tracked.graph)
    if as_json:
        told = {**asdict(found), "responses": found.responses.to_dict("records"), "concepts": found.concepts.to_dict("records")}
        typer.echo(_json({**told, "sentence": sentence(found, names)}))
    else:
        typer.echo("\n".join(map(plain, sentence(found, names).splitlines())))
    if figure is not None:
        from edukit.report.explanation import explanation
        from edukit.report.figures import save

        typer.echo(str(save(explanation(found.responses, found.concepts, names, found.concept_id, found.mastery, found.baseline), figure)), err=as_json)


def _json(content: Any) -> str:
    import json

    import pandas as pd

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return None if pd.isna(value) else getattr(value, "item", lambda: value)()

    return json.dumps(plain(content), indent=1, ensure_ascii=False)


def refresh(
    run: Run,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="as of `edukit run refresh`: data=NAME, data.path=FILE")] = None,
) -> None:
    """Continue the model of RUN on newer data: fit a new one, promote it if it is not shown to be worse on learners neither saw, and report drift.

    Short for `edukit run refresh run=RUN …`. Without data=… it is the data of RUN, read again.
    """
    import sys

    words = [f"++{word}" if word.startswith("data.") else word for word in overrides or []]
    sys.argv = ["edukit refresh", f"run={run}", *words]
    importlib.import_module("edukit.experiments.refresh").main()
