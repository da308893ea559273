"""What a folder of outputs would give away if it were published: who is in it, and what rests on too few of them.

Looks for direct identifiers (addresses, telephone numbers, columns of names, ids that are no pseudonyms, long free text) and for small cells
(counts of 1 to k - 1 learners, hidden cells that still show a number, hidden cells that a subtraction brings back). What it finds is shown
masked. It cannot see what a picture shows, nor a name in the middle of a sentence: a second pair of eyes stays needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from edukit.governance.output_files import Opened, outputs
from edukit.governance.privacy import TOTAL, K, Pseudonymiser
from edukit.governance.subtraction import recovered
from edukit.schema import TABLES

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}(?![\w@])")
PHONE = re.compile(r"(?<![\w.:/-])(?=(?:[ ()+-]*\d){9})(?:\+\d{1,3}[ -]?(?:\(0\))?[ -]?|\(\d{2,5}\)[ -]?|0)\d{1,5}(?:[ -]\d{2,8}){1,4}(?![\w.:/-])|"
                   r"(?<![\w.+-])\+\d{9,14}(?!\w)")
NAMES = re.compile(r"^(?:(?:first|last|given|family|middle|full|sur|learner|student|pupil|teacher|parent|user)[ _-]?name|surname|e-?mail(?:[ _-]?address)?|"
                   r"(?:tele|mobile[ _-]?)?phone(?:[ _-]?number)?|mobile|(?:home|street|postal|ip)[ _-]?address|post[ _-]?code|zip[ _-]?code|"
                   r"date[ _-]?of[ _-]?birth|dob|birth[ _-]?(?:day|date)|passport|national[ _-]?id|ssn)$", re.IGNORECASE)
WORDS = re.compile(r"^(?:comments?|feedback|free[ _-]?text|answer|essay|message|notes?|written[ _-]?answer|reply)$", re.IGNORECASE)
PERSON = re.compile(r"^(?:learner|student|pupil|user|class|teacher|school)[ _-]?id$", re.IGNORECASE)
LEARNER = re.compile(r"^(?:learner|student|pupil|user)(?:[ _-]?id)?$", re.IGNORECASE)
COUNTS = re.compile(r"^(?:n|(?:n|number)[ _-](?:of[ _-])?(?:learners|students|pupils)|learners|students|pupils|enrolments)$", re.IGNORECASE)
PSEUDONYM = re.compile(r"^(?:learner|class|teacher|school)-[0-9a-f]{16}$")
TOKEN = re.compile(r"(?<![\w.-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{5,40}(?![\w.-])|(?<=learner )\d{5,}|(?<=student )\d{5,}|(?<=pupil )\d{5,}|(?<=user )\d{5,}")
WHO = re.compile(r"(?:^|[ _-])(?:id|who|person|learner|student|pupil|user|name|code)(?:$|[ _-])", re.IGNORECASE)
SECRETS = ("pseudonym.key", "consent.")  # how files are called that never belong among outputs
OWN = {column.name for name in ("risks", "alerts") for column in TABLES[name].columns if column.kind == "text"} - {"tried", "state_reason"}
"""Columns that edukit fills with sentences of its own; what a teacher writes of a learner (``tried``, ``state_reason``) is free text like any other."""
SENTENCES = re.compile(
    r"(?:associated with: )?[^;|]{1,120}; typical [^;:|]{1,40}|with [^;:|]{1,200} instead of [^;:|]{1,100}, the estimate would be [\d.]+ % \(below [\d.]+ %\)|"
    r"[^;:|]{1,80} \(\d+ min; evidence: (?:strong|moderate|weak|none|practice)[^|]{0,160}\)|"
    r"[^;:|]{1,40}: (?:risk lower by|risk higher by|no difference shown|not enough data|nothing is said)[^|]{0,160}")
LONG, SENTENCE = 80, 8  # characters and words from which a text is one that somebody wrote
SHORTEST = 5  # characters of an id that is looked up by its pseudonym: a shorter one is a number like any other
MANY, HALF = 3, 0.5  # ids of known learners that a column must hold to be a column of ids: how many, and what share of its values


@dataclass(frozen=True)
class Finding:
    """One thing that should not leave.

    Attributes
    ----------
    file : where it was found.
    kind : `secret`, `e-mail`, `telephone`, `column of names`, `raw id`, `free text`, `small cell`, `number in a hidden cell`, `recovered cell` (a
        count of 1 to k - 1 that the totals give back).
    place : table and column.
    count : how many.
    example : the first one, masked.
    """

    file: Path
    kind: str
    place: str
    count: int
    example: str

    def __str__(self) -> str:
        return f"{self.kind:<24}{self.file}  {self.place}: {self.count:,}" + (f" (first: {self.example})" if self.example else "")


@dataclass
class Exposure:
    """What was found in a folder: findings, files that could not be looked into, and pseudonymous learners in rows of their own."""

    findings: list[Finding] = field(default_factory=list)
    read: int = 0
    unread: list[Path] = field(default_factory=list)
    rows_of_learners: list[Path] = field(default_factory=list)


def masked(text: str) -> str:
    """The first and the last letter, so that an owner can find it and a reader cannot.

    Examples
    --------
    >>> masked("ann@school.org")
    'a************g'
    """
    return text if len(text) < 3 else f"{text[0]}{'*' * min(len(text) - 2, 20)}{text[-1]}"


@dataclass(frozen=True)
class Search:
    """How a folder is looked through.

    Parameters
    ----------
    k : fewest learners that a number may rest on.
    key : the pseudonym key, where it is at hand; with it a raw id is known by the pseudonym it would get.
    known : pseudonyms of learners on this machine.
    invented : names of data sets that belong to nobody; ids in their runs need no pseudonym.
    """

    k: int = K
    key: Pseudonymiser | None = None
    known: Collection[str] = ()
    invented: Collection[str] = ()

    def __call__(self, place: Path) -> Exposure:
        """Look through a file, or every file of a folder."""
        found, about_nobody = Exposure(), {}
        for path, content in outputs(Path(place)):
            if path.name.startswith(SECRETS):
                found.findings.append(Finding(path, "secret", "file", 1, "who has it can tell whom a pseudonym names, or who objected"))
            if content is None:
                found.unread.append(path)
                continue
            found.read += 1
            if path.parent not in about_nobody:
                about_nobody[path.parent] = self._invented(path.parent)
            found.findings += self._texts(path, content)
            for name, table in content.tables:
                table = table.rename(columns=str)
                found.findings += self._people(path, name, table, about_nobody[path.parent])
                if _of_learners(table):
                    found.rows_of_learners += [path] * (path not in found.rows_of_learners)
                else:
                    found.findings += self._cells(path, name, table)
        return found

    def _invented(self, folder: Path) -> bool:
        """Whether the run that wrote into a folder was on invented data."""
        try:
            return json.loads((folder / "run_report.json").read_text(encoding="utf-8"))["data"]["name"] in self.invented
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _texts(self, path: Path, content: Opened) -> Iterator[Finding]:
        texts = content.texts
        for kind, pattern in (("e-mail", EMAIL), ("telephone", PHONE)):
            hits = [hit.group() for text in texts for hit in pattern.finditer(text)]
            if hits:
                yield Finding(path, kind, "text", len(hits), masked(hits[0]))
        tokens = list(dict.fromkeys(token for text in texts for token in TOKEN.findall(text)))
        raw = self._known_ids(pd.Series(tokens, dtype="object"))
        if len(raw) >= MANY and len(raw) >= HALF * len(tokens):
            yield Finding(path, "raw id", "text", len(raw), masked(raw[0]))

    def _known_ids(self, values: pd.Series) -> list[str]:
        """Values whose pseudonym is one of a learner on this machine."""
        if self.key is None or not len(self.known) or not len(values):
            return []
        text = values.astype("str").str.replace(r"\.0$", "", regex=True)
        text = text[text.str.len() >= SHORTEST]
        return text[self.key.pseudonyms(text, "learner").isin(self.known).to_numpy()].tolist()

    def _people(self, path: Path, name: str, table: pd.DataFrame, invented: bool) -> Iterator[Finding]:
        """Identifiers in one table."""
        learners = _of_learners(table)
        for column in table.columns:
            place, values = f"{name}.{column}".lstrip("."), table[column].dropna()
            if not len(values):
                continue
            if NAMES.match(column) or (column.lower() == "name" and learners):
                yield Finding(path, "column of names", place, int(values.nunique()), masked(str(values.iloc[0])))
                continue
            distinct = values.drop_duplicates()
            text = distinct.astype("str")
            if PERSON.match(column) and not invented:
                raw = text[~text.str.match(PSEUDONYM) & (text != TOTAL)]
                if len(raw):
                    yield Finding(path, "raw id", place, len(raw), masked(raw.iloc[0]))
            elif not invented and len(distinct) >= MANY and (WHO.search(column) or not text.str.fullmatch(r"[\d.]+").all()):  # any number may be an id
                raw = self._known_ids(text)
                if len(raw) >= MANY and len(raw) >= HALF * len(text):
                    yield Finding(path, "raw id", place, len(raw), masked(raw[0]))
            if pd.api.types.is_numeric_dtype(values):
                continue
            for kind, pattern in (("e-mail", EMAIL), ("telephone", PHONE)):
                hits = text[text.str.contains(pattern)]
                if len(hits) and (first := pattern.search(hits.iloc[0])):
                    yield Finding(path, kind, place, len(hits), masked(first.group()))
            if learners or WORDS.match(column):
                written = text[_somebodys(text)]
                if column in OWN:  # line by line, so that a remark among our own sentences is found
                    written = written[[bool(_somebodys(pd.Series(_foreign(one), dtype="str")).any()) for one in written]]
                if len(written):
                    yield Finding(path, "free text", place, len(written), masked(written.iloc[0][:40]))

    def _cells(self, path: Path, name: str, table: pd.DataFrame) -> Iterator[Finding]:
        """Small and recoverable cells of one table that is no list of learners."""
        if {"name", "value", "group"} <= set(table):  # metrics: a group of learners is called attribute=value
            table = table[table["group"].astype("str").str.contains("=") & table["value"].notna()]
        gone = _hidden(table)
        for column in [c for c in table.columns if COUNTS.match(c)]:
            place, n = f"{name}.{column}".lstrip("."), pd.to_numeric(table[column], errors="coerce")
            if not n.notna().any() or not (n.dropna() == n.dropna().round()).all():
                continue
            small = n[(n >= 1) & (n < self.k)]
            if len(small):
                yield Finding(path, "small cell", place, len(small), f"row {int(table.index.get_loc(small.index[0])) + 1}")
            yield from self._recovered(path, place, table.assign(**{column: n}), column)
        if gone.any():
            numbers = table[gone].apply(pd.to_numeric, errors="coerce").drop(columns=[c for c in table if str(c).lower() in ("hidden", "suppressed")])
            numbers = numbers.drop(columns=[c for c in numbers if table.loc[gone, c].astype("str").isin(["True", "False"]).any()])
            labels = table.loc[~gone].columns[[bool(pd.to_numeric(table[c], errors="coerce").notna().all()) and str(c).lower().endswith("id") for c in table]]
            shown = numbers.drop(columns=labels, errors="ignore").notna()
            for column in shown.columns[shown.any()]:
                yield Finding(path, "number in a hidden cell", f"{name}.{column}".lstrip("."), int(shown[column].sum()),
                              f"row {int(table.index.get_loc(shown.index[shown[column]][0])) + 1}")

    def _recovered(self, path: Path, place: str, table: pd.DataFrame, count: str) -> Iterator[Finding]:
        """Hidden cells of a table of one or two labels that its totals give away."""
        labels = [c for c in table.columns if c != count and not pd.api.types.is_numeric_dtype(table[c]) and (table[c].astype("str") == TOTAL).any()]
        ids = [c for c in table.columns if c.endswith("_id") and c not in labels]
        pair = [*labels, *ids][:2]
        if not labels or not table[count].isna().any() or table.duplicated(pair).any():
            return
        cells = table if len(pair) == 2 else table.assign(_line="")
        row, column = (*pair, "_line")[:2]
        found = recovered(cells.reset_index(drop=True), row, column, count, k=self.k, least=0)
        found = found[found["low"].between(1, self.k - 1)]
        if len(found):
            yield Finding(path, "recovered cell", place, len(found), f"{row} and {column} of row {int(found.index[0]) + 1}")


def _somebodys(text: pd.Series) -> pd.Series:
    """(N,) whether a text is long enough to be one that somebody wrote."""
    return (text.str.len() >= LONG) & (text.str.count(r"\s") >= SENTENCE)


def _foreign(text: str) -> list[str]:
    """Lines, or parts between bars, that have not the form of a sentence of edukit's own."""
    return [line for line in re.split(r"\n| \| ", text) if not SENTENCES.fullmatch(line)]


def _of_learners(table: pd.DataFrame) -> bool:
    """Whether a row is about one learner: pseudonyms in rows of their own are for those who hold the data, not for publication."""
    return any(LEARNER.match(column) and not COUNTS.match(column) for column in table.columns)


def _hidden(table: pd.DataFrame) -> pd.Series:
    """(N,) rows that say of themselves that they are hidden."""
    marks = [table[c].astype("str").str.lower().isin(["true", "1"]) for c in table.columns if c.lower() in ("hidden", "suppressed")]
    marks += [table[c].astype("str").str.lower() == "suppressed" for c in table.columns if c.lower() == "state"]
    return pd.concat(marks, axis=1).any(axis=1) if marks else pd.Series(False, index=table.index)
