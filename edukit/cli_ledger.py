"""`edukit ledger verify | history | standing | replay | export | override | appeal | forget | head`: what was graded, by what and whom.

`edukit grade --ledger LEDGER` and `edukit run grade` write it; the review page adds what a teacher decides.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edukit.grading.ledger import Ledger

ledger_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
At = Annotated[Path, typer.Argument(metavar="LEDGER", help="the ledger (ledger.sqlite)")]
Answer = Annotated[str, typer.Argument(metavar="ANSWER", help="answer_id")]
Criterion = Annotated[str | None, typer.Option(help="the criterion, where the answer is graded on several")]
By = Annotated[str, typer.Option(help="who decides or asks")]
Reason = Annotated[str, typer.Option(help="why; an edit of the score and a rejection need it")]
SHOWN = ("score", "action", "decided_by", "confidence", "route", "model", "rubric_version", "about", "by", "reason", "feedback", "found", "missing", "flags")


def _ledger(path: Path) -> Ledger:
    """A ledger that is there."""
    from edukit.grading.ledger import Ledger
    from edukit.schema import DataError

    if not path.is_file():
        raise DataError(f"a ledger must be a file; found no {path}. `edukit grade --ledger {path}` begins one.")
    return Ledger(path)


def _plain(text: object) -> str:
    """Text on one line, without marks that move a terminal's cursor."""
    return "".join(mark if mark.isprintable() else " " for mark in str(text))


@ledger_app.command()
def verify(path: At, noted: Annotated[str | None, typer.Option(metavar="HASH", help="a hash that `edukit ledger head` said before")] = None) -> None:
    """Look for tampering and damage; exit code 1 where something is found.

    Example: edukit ledger verify ledger.sqlite
    """
    import pandas as pd

    from edukit.schema import DataError

    try:
        ledger = _ledger(path)
        faults = ledger.verify(noted)
        sound = f"sound: {ledger.head()[0]:,} entries, each follows the one before" if faults.empty else ""
    except DataError as error:
        typer.echo(error)
        raise typer.Exit(1) from None
    if sound:
        typer.echo(sound)
        return
    for fault in faults.to_dict("records"):
        place = path.name if pd.isna(fault["entry_id"]) else f"entry {fault['entry_id']}"
        typer.echo(f"{place}: {_plain(fault['fault'])}. {fault['next_step']}")
    typer.echo(f"{len(faults)} fault{'s' * (len(faults) != 1)}")
    raise typer.Exit(1)


@ledger_app.command()
def head(path: At) -> None:
    """How many entries there are, and the hash of the last one: note it where nobody who writes the ledger can write.

    Example: edukit ledger head ledger.sqlite
    """
    count, last = _ledger(path).head()
    typer.echo(f"{count} {last}")


@ledger_app.command()
def history(path: At, answer: Answer) -> None:
    """Everything that was ever said of one answer.

    Example: edukit ledger history ledger.sqlite a17
    """
    import pandas as pd

    from edukit.schema import DataError

    ledger = _ledger(path)
    said = ledger.history(answer)
    if said.empty:
        raise DataError(f"{path} must hold the answer {answer!r}; found none of that name among {ledger.head()[0]:,} entries. "
                        "`edukit ledger standing` lists the answers.")
    for row in said.to_dict("records"):
        typer.echo(f"{row['entry_id']:>6}  {row['recorded_at'][:19]}  {row['kind']}" + (f"  {_plain(row['criterion_id'])}" if row["criterion_id"] else "")
                   + ("  (words erased)" if row["erased"] else ""))
        for name in SHOWN:
            if not pd.isna(value := row[name]) and value != "":
                typer.echo(f"        {name}: {value:g}" if isinstance(value, float) else f"        {name}: {_plain(value)}")


@ledger_app.command()
def standing(path: At, question: Annotated[str | None, typer.Option(help="of this question only")] = None) -> None:
    """The score that stands for each answer and criterion, and who decided it.

    Example: edukit ledger standing ledger.sqlite --question q1
    """
    import pandas as pd

    for row in _ledger(path).standing(question).to_dict("records"):
        score = "  –" if pd.isna(row["score"]) else f"{row['score']:>3g}"
        typer.echo(f"{score}  {_plain(row['answer_id'])}  {_plain(row['criterion_id'])}  {row['state']} by {_plain(row['decided_by'])}"
                   + ("  appeal open" if row["appealed"] else ""))


@ledger_app.command()
def replay(path: At, entry: Annotated[int, typer.Argument(metavar="ENTRY", help="number of a grade, as `history` shows it")],
           grader: Annotated[Path, typer.Option(metavar="FILE", help="the grader that `edukit grade` has kept")]) -> None:
    """Grade a past answer again and compare; exit code 1 where the grade differs.

    Example: edukit ledger replay ledger.sqlite 12 --grader outputs/grade/answers/graders/0123456789abcdef.safetensors
    """
    found = _ledger(path).replay(entry, importlib.import_module("edukit.experiments.grade_class").Again(grader))
    for name in ("score", "confidence"):
        before, now = found[name], found[f"replayed_{name}"]
        typer.echo(f"{name}: {'none (left to a person)' if before is None else f'{before:g}'} then, {'none' if now is None else f'{now:g}'} now")
    same_model = {True: "by the same model", False: "by another model", None: "it is not known whether by the same model"}[found["same_model"]]
    typer.echo(f"{'the same' if found['same'] else 'DIFFERENT'}; {same_model}")
    if not found["same"]:
        raise typer.Exit(1)


@ledger_app.command()
def export(path: At, to: Annotated[Path, typer.Argument(metavar="FILE", help="written as FILE.csv and FILE.jsonl")],
           personal: Annotated[bool, typer.Option("--personal", help="with learners' names, answers, quotes, reasons and feedback")] = False,
           learner: Annotated[str | None, typer.Option(help="everything of this learner only, with their words")] = None) -> None:
    """Write every entry for a spreadsheet (csv) and exact (jsonl).

    Example: edukit ledger export ledger.sqlite grades
    """
    ledger = _ledger(path)
    for file in ledger.export(to, personal, learner):
        typer.echo(file)


def _aimed(ledger: Ledger, answer: str, criterion: str | None) -> str:
    """The criterion that is meant, where only one can be."""
    from edukit.schema import DataError

    known = ledger.history(answer)["criterion_id"].dropna().unique()
    if criterion is None and len(known) != 1:
        raise DataError(f"the answer {answer!r} must be graded on one criterion, or --criterion must say which; found "
                        f"{', '.join(map(repr, known)) or 'no grade of it'} in {ledger.path}.")
    return str(known[0]) if criterion is None else criterion


@ledger_app.command()
def override(
    path: At, answer: Answer, action: Annotated[str, typer.Argument(metavar="accept|edit|reject")], by: By, reason: Reason = "",
    score: Annotated[float | None, typer.Option(help="of an edit")] = None,
    feedback: Annotated[str | None, typer.Option(help="text for the learner, as it is released")] = None, criterion: Criterion = None,
    about: Annotated[int | None, typer.Option(help="number of the grade decided on; the standing one where it is not given")] = None,
) -> None:
    """Accept, edit or reject a grade; what stood before stays in the ledger.

    Example: edukit ledger override ledger.sqlite a17 edit --score 2 --by "Ms Lee" --reason "names the cause in other words"
    """
    ledger = _ledger(path)
    criterion = _aimed(ledger, answer, criterion)
    number = ledger.append([{"kind": "decision", "answer_id": answer, "criterion_id": criterion, "action": action, "decided_by": by,
                             "reason": reason or None, "score": score, "feedback": feedback, "about": about}])[0]
    typer.echo(f"entry {number}: {action} of {_plain(answer)}, {_plain(criterion)}")


@ledger_app.command()
def appeal(path: At, answer: Answer, by: By, reason: Reason, criterion: Criterion = None) -> None:
    """Ask for a grade to be looked at again; it stands until a person decides.

    Example: edukit ledger appeal ledger.sqlite a17 --by kim --reason "I named the cause in line 2"
    """
    number = _ledger(path).append([{"kind": "appeal", "answer_id": answer, "criterion_id": criterion, "by": by, "reason": reason}])[0]
    typer.echo(f"entry {number}: appeal on {_plain(answer)}, {_plain(criterion) if criterion else 'every criterion'}")


@ledger_app.command()
def forget(path: At, learner: Annotated[str, typer.Argument(metavar="LEARNER", help="learner_id")]) -> None:
    """Erase a learner's words for good; scores stay under the answer_id, and the chain stays whole.

    Example: edukit ledger forget ledger.sqlite kim
    """
    typer.echo(f"{_ledger(path).forget(learner)} entries lost the words of {_plain(learner)}")
