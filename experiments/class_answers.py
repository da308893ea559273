"""What a teacher brings to be graded: a file of answers as schools write them, perhaps graded ones, perhaps the question.

Names of columns are guessed in English, German, French and Spanish, and said. Learners get their pseudonyms here, before anything else reads the file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from edukit.data.store import pseudonymiser
from edukit.formats.delimited import numbers, read_table
from edukit.schema import DataError
from edukit.serve_column_names import guessed, words_of
from edukit.validation import validate

from .ledger_questions import chosen as chosen_of

TEXT = set("text texts answer answers response responses essay essay_text answer_text response_text student_answer student_response written_answer "
           "learner_answer antwort antworten antworttext texte reponse reponses texto respuesta respuestas redaccion aufsatz".split())
IDS = set("answer_id response_id essay_id submission_id attempt_id id".split())
MEANINGS = {"text": "the answer", "learner_id": "the learner", "question_id": "the question", "score": "the score", "answer_id": "a name of the answer",
            "class_id": "the class"}
LONG, TWICE = 20.0, 2.0  # mean characters of a column that is an answer whatever it is called, and how much longer than the next
PROMPT = 40  # characters from which on a question is its wording and no name


@dataclass(frozen=True)
class ClassAnswers:
    """Answers of one class to one question.

    Attributes
    ----------
    answers : table ``answers`` (learners under pseudonyms; ``score`` NA where there is none). Its index is the row of the file, from 1.
    names : answer_id, row, learner as in the file; for the eyes of the teacher only.
    question : table ``questions``, one row. notes : what reading decided, a line each.
    """

    answers: pd.DataFrame
    names: pd.DataFrame
    question: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    @property
    def graded(self) -> pd.DataFrame:
        """Answers that have a score."""
        return self.answers[self.answers["score"].notna()]

    @property
    def open(self) -> pd.DataFrame:
        """Answers that have none."""
        return self.answers[self.answers["score"].isna()]


def read(path: Path, question: Path | None = None, columns: Mapping[str, str] | None = None, only: str | None = None,
         kept: Mapping[str, Mapping[str, Any]] | None = None) -> ClassAnswers:
    """Read a csv or a sheet with a row an answer.

    Parameters
    ----------
    question : yaml with ``prompt``, ``reference`` (one or several), ``max_score``, ``question_id``; each may be left out.
    columns : meaning (:data:`MEANINGS`) -> name of the column, where a guess would be wrong.
    only : the one question that is meant, where the file holds several.
    kept : questions of the ledger and their wording (:func:`edukit.experiments.ledger_questions.held`); what is not told here is taken from there.

    Raises
    ------
    DataError
        For a file that cannot be read, no column of answers, several questions, a score that is no number, or a name of an answer that stands twice.
    """
    if not path.is_file():
        raise DataError(f"answers must be a csv or xlsx file; found no {path}.")
    table = read_table(path)
    taken, notes = _columns(path, table, dict(columns or {}))
    text, learner = table[taken["text"]].fillna(""), table[taken["learner_id"]] if "learner_id" in taken else None
    asked, question_rows = _asked(path, table, taken, question, only, kept or {})
    if kept and asked["question_id"] in kept and question is None:
        notes.append(f"question {asked['question_id']!r}, as the ledger has it")
    keep = table.index if question_rows is None else table.index[question_rows]
    people = None if learner is None else pseudonymiser().pseudonyms(learner, "learner").loc[keep]
    text = text.loc[keep]
    found = pd.DataFrame({"answer_id": _ids(path, table, taken, keep, text, people), "question_id": asked["question_id"], "text": text})
    if people is not None:
        found["learner_id"] = people
    found["score"] = _scores(path, table.loc[keep], taken)
    found["part"] = "class"
    answers = validate(found, "answers", str(path)).set_axis(keep + 1)
    names = pd.DataFrame({"answer_id": answers["answer_id"], "row": keep + 1, "learner": None if learner is None else learner.loc[keep].to_numpy()})
    if empty := int((text == "").sum()):
        notes.append(f"{empty} of {len(text):,} answers are empty")
    return ClassAnswers(answers, names, validate(pd.DataFrame([asked]), "questions"), notes)


def graded(path: Path, question: Path | None, columns: Mapping[str, str], only: str | None) -> pd.DataFrame:
    """Table ``answers`` of a file of graded answers, as :func:`read` reads it; of ``columns`` and ``only`` what this file has.

    Raises
    ------
    DataError
        Where no answer has a score.
    """
    if not path.is_file():
        raise DataError(f"--graded must be a csv or xlsx file; found no {path}.")
    names = set(read_table(path).columns)
    mine = {meaning: name for meaning, name in columns.items() if name in names}
    found = read(path, question, mine, only if "question_id" in guessed_meanings(path, mine) else None).graded
    if found.empty:
        raise DataError(f"--graded {path} must hold answers with a score; found none. Is the column of scores another one (--columns score=NAME)?")
    return found


def guessed_meanings(path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Meaning -> column, as :func:`read` takes them."""
    return _columns(path, read_table(path), dict(columns))[0]


def _columns(path: Path, table: pd.DataFrame, given: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Meaning -> column, as given or guessed, and what was guessed in words."""
    if unknown := sorted(set(given) - set(MEANINGS)):
        raise DataError(f"--columns must name some of {', '.join(MEANINGS)}; found {', '.join(unknown)}.")
    if absent := [name for name in given.values() if name not in table]:
        raise DataError(f"{path} must have the columns of --columns; found no {', '.join(absent)}. It has {', '.join(map(str, table.columns))}.")
    taken, by_name = dict(given), {str(name): "_".join(words_of(name)) for name in table.columns}
    free = [name for name in by_name if name not in taken.values()]
    if "text" not in taken:
        taken["text"] = next((name for name in free if by_name[name] in TEXT), None) or _longest(path, table[free])
    if "answer_id" not in taken and (own := next((name for name in free if by_name[name] in IDS and name != taken["text"]), None)):
        taken["answer_id"] = own
    names = {"learner_id": "learner_id", "item_id": "question_id", "correct": "score", "class_id": "class_id"}
    for column, meaning in guessed([n for n in free if n not in taken.values()]).items():
        if meaning in names and names[meaning] not in taken:
            taken[names[meaning]] = column
    others = [f"{column!r} is {MEANINGS[meaning]}" for meaning, column in taken.items()]
    return taken, [f"columns: {'; '.join(others)}" + ("" if given else "  (otherwise: --columns text=NAME,learner_id=NAME,…)")]


def _longest(path: Path, table: pd.DataFrame) -> str:
    """The column whose cells are long, much longer than those of any other."""
    mean = table.fillna("").apply(lambda column: column.str.len().mean()).sort_values(ascending=False)
    if len(mean) and mean.iloc[0] >= LONG and (len(mean) == 1 or mean.iloc[0] >= TWICE * mean.iloc[1]):
        return str(mean.index[0])
    raise DataError(f"{path} must have a column with the answers, such as `answer`; found {', '.join(map(str, table.columns))}. "
                    "Say which with --columns text=NAME.")


def _asked(path: Path, table: pd.DataFrame, taken: dict[str, str], file: Path | None, only: str | None,
           kept: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], Any]:
    """The one question that is graded, and the rows that answer it (None: all)."""
    told = _question(file) if file else {}
    rows, name = None, told.get("question_id")
    if "question_id" in taken:
        cells = table[taken["question_id"]].fillna("")
        found = list(dict.fromkeys(cells))
        if only is not None and only not in found:
            raise DataError(f"--only must be a question of the column {taken['question_id']!r}; found {only!r} and not one of {_few(found)}.")
        if only is None and len(found) > 1:
            raise DataError(f"{path} must hold answers to one question here, as a rubric is of one question; found {len(found)} in the column "
                            f"{taken['question_id']!r} ({_few(found)}). Give one of them with --only.")
        chosen = found[0] if only is None else only
        rows, name = (cells == chosen).to_numpy(), name or chosen
        if len(chosen) >= PROMPT:
            told, name = {"prompt": chosen, **told}, told.get("question_id") or f"Q-{_mark(chosen)}"
    elif only is not None and not kept:
        raise DataError(f"--only needs a column of questions; found none in {path}. Say which with --columns question_id=NAME.")
    elif only is not None or kept and file is None:
        name = chosen_of("the ledger", kept, only)
    name = name or "question"
    return {"prompt": None, "reference": None, "max_score": None, "rubric_id": None, **kept.get(name, {}), **told, "question_id": name}, rows


def _few(found: list[str]) -> str:
    return ", ".join(repr(one[:40]) for one in found[:5]) + (", …" if len(found) > 5 else "")


def _question(path: Path) -> dict[str, Any]:
    """What a yaml file tells of a question."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise DataError(f"--question must be a yaml file; found that {path} cannot be read: {str(error).splitlines()[0]}.") from None
    known = {"question_id", "prompt", "reference", "max_score"}
    if not isinstance(told, dict) or set(told) - known:
        raise DataError(f"--question {path} must hold {', '.join(sorted(known))} (each may be left out); found "
                        f"{', '.join(map(str, told)) if isinstance(told, dict) else type(told).__name__}.")
    several = told.get("reference")
    told["reference"] = "\n".join(map(str, several)) if isinstance(several, list) else several
    return {name: value if name == "max_score" else str(value) for name, value in told.items() if value is not None}


def _scores(path: Path, table: pd.DataFrame, taken: dict[str, str]) -> pd.Series:
    if "score" not in taken:
        return pd.Series(float("nan"), index=table.index)
    written = table[taken["score"]]
    found = numbers(written)
    bad = written.notna() & ~(found >= 0)
    if bad.any():
        raise DataError(f"{path}: the column {taken['score']!r} must hold scores, numbers from 0 on, or nothing; found {written[bad].iloc[0]!r} in "
                        f"{int(bad.sum()):,} of {len(table):,} rows (first: row {int(bad[bad].index[0]) + 1:,}). Is it --columns score=NAME of another name?")
    return found


def _ids(path: Path, table: pd.DataFrame, taken: dict[str, str], keep: pd.Index, text: pd.Series, people: pd.Series | None) -> pd.Series:
    """Names of answers: those of the file, else made of who wrote what, so that the same answer has the same name in every file."""
    if "answer_id" in taken:
        own = table.loc[keep, taken["answer_id"]]
        bad = own.isna() | own.duplicated()
        if bad.any():
            raise DataError(f"{path}: the column {taken['answer_id']!r} must name every answer once; found {own[bad].iloc[0]!r} "
                            f"{'again' if own[bad].notna().iloc[0] else ''} in row {int(bad[bad].index[0]) + 1:,}. Leave it out, and names are made.")
        return own
    made = pd.Series([f"A-{_mark(who, words)}" for who, words in zip(people if people is not None else [""] * len(text), text, strict=True)], index=keep)
    again = made.groupby(made).cumcount()
    return made.where(again == 0, made + "-" + (again + 1).astype("str"))


def _mark(*words: object) -> str:
    """A short name of words, keyed like pseudonyms: without the key nobody finds by trying what was written."""
    told = "\0".join(("answer", *map(str, words))).encode("utf-8", "replace")
    return hmac.new(pseudonymiser().key, told, hashlib.sha256).hexdigest()[:10]


def wording(path: Path) -> dict[str, dict[str, Any]]:
    """What a yaml file tells of a question, by its id; by nothing where it names none, and then it is of every question."""
    told = _question(path)
    return {told.get("question_id", ""): told}


def names_of(path: Path) -> dict[str, str]:
    """Who wrote which answer, from the ``names.csv`` of a class.

    Raises
    ------
    DataError
        For a file that is none.
    """
    if not path.is_file():
        raise DataError(f"--names must be a file; found no {path}.")
    table = read_table(path)
    if absent := [name for name in ("answer_id", "learner") if name not in table]:
        raise DataError(f"--names {path} must be names.csv of `edukit grade`; found no column {', '.join(absent)}.")
    plain = table[["answer_id", "learner"]].dropna().apply(lambda column: column.str.replace(r"^'(?=[=+\-@'])", "", regex=True))
    return dict(zip(plain["answer_id"], plain["learner"], strict=True))
