"""`edukit grade` and `edukit review`: the answers of a teacher's own class, scored by a rubric, and decided by a person in a browser of this machine."""

from __future__ import annotations

import importlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edukit.cli_serve import TOKEN, TOKEN_FILE, token_of

if TYPE_CHECKING:
    from edukit.grading.rubric import Rubric

Question = Annotated[Path | None, typer.Option(metavar="FILE", help="yaml with prompt, reference (one or several), max_score; kept with the ledger")]


def grade(
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS", help="csv or xlsx, a row an answer; rows that have a score count as graded")],
    rubric: Annotated[Path | None, typer.Option(metavar="FILE", help="rubric (yaml, or CASE json); conf/rubrics holds examples")] = None,
    graded: Annotated[Path | None, typer.Option(metavar="FILE", help="answers to the same question that you have graded")] = None,
    question: Question = None,
    ledger: Annotated[Path | None, typer.Option(metavar="FILE", help="ledger that keeps every score; default: ledger.sqlite in --out")] = None,
    max_deferred: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="share left to a person; default .3, more where little is graded")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="where the files go; default EDUKIT_OUTPUTS/grade/NAME")] = None,
    columns: Annotated[str, typer.Option(metavar="MEANING=NAME,…", help="what columns hold, where a guess is wrong: text, learner_id, score, …")] = "",
    only: Annotated[str | None, typer.Option(metavar="QUESTION", help="the question that is graded, where the file holds several")] = None,
    curve: Annotated[bool, typer.Option("--curve/--no-curve", help="whether to measure by how many graded answers the scores would agree")] = True,
    seed: Annotated[int, typer.Option(help="equal seeds give equal scores")] = 0,
) -> None:
    """Score the answers of a class by a rubric; what is not sure is left to you. Nothing leaves this machine."""
    class_answers, grade_class, grade_lines, ledger_questions = (importlib.import_module(f"edukit.experiments.{name}") for name in
                                                                 ("class_answers", "grade_class", "grade_lines", "ledger_questions"))
    from edukit.grading.ledger import Ledger

    os.umask(0o077)  # what learners wrote is its owner's alone
    named = _named(columns)
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "grade" / answers.stem
    path = ledger or place / "ledger.sqlite"
    given = class_answers.read(answers, question, named, only, ledger_questions.held(path))
    known = class_answers.graded(graded, question, named, only) if graded else given.graded
    known = known.assign(question_id=given.question["question_id"].iloc[0]).reset_index(drop=True)
    read = _rubric(rubric)
    place.mkdir(parents=True, exist_ok=True)
    kept = Ledger(path)
    known = grade_class.examples(known, kept, given.question["question_id"].iloc[0])
    for line in given.notes:
        typer.echo(line)
    takes = grade_lines.seconds(len(given.answers), len(known), curve)
    typer.echo(f"{len(given.answers):,} answers in {answers.name}; {len(known):,} graded ones to learn from; this takes about {takes}")
    found = grade_class.grade(given, known, read, most=max_deferred, seed=seed, curve=curve)
    new = grade_class.keep(kept, found, given.answers, known, given.question)
    for line in grade_lines.lines(grade_class.stands(found, given)):
        typer.echo(line)
    ledger_questions.keep(kept.path, given.question)
    files = grade_class.write(place, found, given)
    files["page"] = grade_class.page(kept.path, given, place / "review.html")
    files["grader"] = grade_class.save(found, place / "graders")
    for name, path in files.items():
        typer.echo(f"{name:<12}{path}")
    typer.echo(f"{'ledger':<12}{kept.path}  ({new:,} new entries)")
    several = len(ledger_questions.held(kept.path)) > 1
    words = [str(kept.path), *(["--only", given.question["question_id"].iloc[0]] if several else [])]
    typer.echo(f"decide with: edukit review {shlex.join(words)}")


def review(
    context: typer.Context,
    ledger: Annotated[Path, typer.Argument(metavar="LEDGER", help="the ledger that `edukit grade` has written")],
    question: Question = None,
    only: Annotated[str | None, typer.Option(metavar="QUESTION", help="the question that is reviewed, where the ledger holds several")] = None,
    names: Annotated[Path | None, typer.Option(metavar="FILE", help="names.csv of `edukit grade`: the page can then show who wrote what")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of this machine; 0 is any free one")] = 8766,
    token: TOKEN = None, token_file: TOKEN_FILE = None,
) -> None:
    """Accept, edit or reject scores in the browser, by keyboard, the least sure first; every decision is kept in the ledger."""
    class_answers, ledger_questions = (importlib.import_module(f"edukit.experiments.{name}") for name in ("class_answers", "ledger_questions"))
    from edukit.serve_review import serve

    os.umask(0o077)
    asked, held = class_answers.wording(question) if question else {}, ledger_questions.held(ledger)
    if held:  # else it is told below that there is nothing to review
        only = ledger_questions.chosen(ledger, held, only or next(iter(asked), None) or None)
        asked = {only: {**held[only], **asked.get("", {}), **asked.get(only, {})}}
    serve(ledger, only, asked, class_answers.names_of(names) if names else {}, port, token_of(context, token, token_file), lambda line: print(line, flush=True))


def _named(words: str) -> dict[str, str]:
    """``text=Antwort,learner_id=Kind`` as a mapping."""
    from edukit.schema import DataError

    parts = [word.partition("=") for word in words.split(",") if word.strip()]
    if bad := ["".join(part) for part in parts if not (part[0].strip() and part[2].strip())]:
        raise DataError(f"--columns must look like text=NAME,learner_id=NAME; found {bad[0]!r}.")
    return {name.strip(): column.strip() for name, _, column in parts}


def _rubric(path: Path | None) -> Rubric | None:
    """The rubric, with what its check finds told."""
    from edukit.grading.rubric import Rubric
    from edukit.grading.rubric_check import lint

    if path is None:
        return None
    rubric = Rubric.read(path)
    for fault in lint(rubric).to_dict("records"):
        typer.echo(f"rubric      {fault['severity']}: {fault['where']}: {fault['fault']}. {fault['next_step']}")
    return rubric
