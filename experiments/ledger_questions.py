"""Which questions the answers of a ledger are to, and their wording, so that a teacher who has told them once need not tell them again.

The wording stands beside the ledger, in a file of its own: it is no decision, and may be corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from edukit.grading.ledger import Ledger
from edukit.reproducibility import replacing
from edukit.schema import DataError

WORDS = ("prompt", "reference", "max_score")


def held(ledger: Path) -> dict[str, dict[str, Any]]:
    """Questions of the answers in a ledger, and what is kept of the wording of each; none where there is no ledger yet."""
    if not ledger.is_file():
        return {}
    told = _wording(ledger)
    return {str(name): told.get(str(name), {}) for name in pd.unique(Ledger(ledger).standing()["question_id"].dropna()) if name}


def chosen(where: object, questions: Sequence[str] | Mapping[str, Any], only: str | None = None) -> str:
    """The question that is meant: the one asked for, or the only one there is.

    Raises
    ------
    DataError
        Where there are several and none is asked for, or one that is not there; the message names them.
    """
    names = sorted(questions)
    if only in names or only is None and len(names) == 1:
        return names[0] if only is None else only
    raise DataError(f"--only must name one of the questions that {where} holds answers to; found {'none' if only is None else repr(only[:80])}, and there "
                    f"{'is' if len(names) == 1 else 'are'} {', '.join(repr(name[:80]) for name in names)}. Give --only {names[0][:80]!r}"
                    f"{' or another' if len(names) > 1 else ''}.")


def keep(ledger: Path, question: pd.DataFrame) -> None:
    """Keep what is known of the wording of a question (table ``questions``, one row) beside the ledger."""
    row = question.iloc[0]
    mine = {name: float(row[name]) if name == "max_score" else str(row[name]) for name in WORDS if pd.notna(row.get(name))}
    before = _wording(ledger)
    if not mine or before.get(row["question_id"]) == mine:
        return
    with replacing(_beside(ledger)) as beside:
        beside.write_text(yaml.safe_dump({**before, str(row["question_id"]): mine}, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _beside(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.stem}.questions.yaml")


def _wording(ledger: Path) -> dict[str, dict[str, Any]]:
    """What is kept beside a ledger."""
    path = _beside(ledger)
    if not path.is_file():
        return {}
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} must be yaml; found that it cannot be read: {str(error).splitlines()[0]}. Correct it, or delete it.") from None
    if not isinstance(told, dict) or not all(isinstance(words, dict) and set(words) <= set(WORDS) for words in told.values()):
        raise DataError(f"{path} must hold {', '.join(WORDS)} by question; found something else. Correct it, or delete it.")
    return {str(name): words for name, words in told.items()}
