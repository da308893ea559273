"""The two contests of the Automated Student Assessment Prize, 2012: short answers (ASAP-SAS) and essays (ASAP-AES), each scored by two people."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")
_BY_SET = tuple(f"train_{number}-raw.txt" for number in range(1, 11))
_COLUMNS = ("Id", "EssaySet", "Score1", "Score2", "EssayText")
_SHORT_FULL_MARKS = {str(number): 3 if number in (1, 2, 5, 6) else 2 for number in range(1, 11)}
_SHORT_SUBJECTS = {**dict.fromkeys(("1", "2", "10"), "science"), **dict.fromkeys(("5", "6"), "biology"),
                   **dict.fromkeys(("3", "4", "7", "8", "9"), "English language arts")}
_ESSAY_KINDS = {**dict.fromkeys(("1", "2"), "persuasive essay"), **dict.fromkeys(("3", "4", "5", "6"), "essay on a source"),
                **dict.fromkeys(("7", "8"), "narrative essay")}
_ESSAY_FULL_MARKS = {"resolved": {"1": 12, "2": 6, "3": 3, "4": 3, "5": 4, "6": 4, "7": 30, "8": 60},
                     "raters": {"1": 6, "2": 6, "3": 3, "4": 3, "5": 4, "6": 4, "7": 15, "8": 30}}


@dataclass(frozen=True)
class AsapSas:
    """ASAP short answer scoring: answers of US pupils, mostly of grade 10, to ten questions, with the scores of two people.

    The first score is the mark the answer received, the second tells how far two people agree. ``^p`` begins a paragraph. In set 10 a pupil first
    chose a colour: it is the first line of the answer. Source: Shermis, 2015, Educational Assessment 20.

    Parameters
    ----------
    variant : which layout.
        'sets' : ten files without header: number, set, two scores, colour or `?`, text;
        'train' : the contest's file ``train.tsv`` (or the corrected one, under this name) with its header.
    path : folder with the files; default ``EDUKIT_DATA/asap_sas``.
    """

    name: ClassVar[str] = "asap_sas"
    variants: ClassVar[tuple[str, ...]] = ("sets", "train")
    variant: str = "sets"
    path: str | None = None

    def _needed(self) -> tuple[str, ...]:
        return _BY_SET if self.variant == "sets" else ("train.tsv",)

    def raw_dir(self) -> Path:
        """Folder with the files."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "asap_sas", self.path, self._needed())

    def files(self, raw_dir: Path) -> list[Path]:
        """The files of this variant."""
        return [raw_dir / file for file in self._needed()]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables questions (without wording) and answers."""
        plain = {"sep": "\t", "quoting": csv.QUOTE_NONE, "dtype": "str", "keep_default_na": False, "lineterminator": "\n"}
        if self.variant == "train":
            path = raw_dir / "train.tsv"
            found = read_text_table(path, ENCODINGS, **plain).rename(columns=str.strip)
            need(path, found, _COLUMNS)
            found = _scored(path, found.assign(EssayText=found["EssayText"].str.rstrip("\r")), 2)
        else:
            names = ["Id", "EssaySet", "Score1", "Score2", "colour", "EssayText"]
            sets = [_scored(raw_dir / file, read_text_table(raw_dir / file, ENCODINGS, header=None, names=names, index_col=False, **plain), 1)
                    for file in _BY_SET]
            found = pd.concat(sets, ignore_index=True)
            chosen = found["colour"].where(~found["colour"].isin(["?", "x"]))
            text = found["EssayText"].str.rstrip("\r")
            found = found.assign(EssayText=(chosen + "\n" + text).fillna(text))
        text = found["EssayText"].str.replace("^p", "\n", regex=False).str.strip()
        return _tables(found["Id"], found["EssaySet"], text, found["Score1"], found["Score2"], _SHORT_FULL_MARKS, _SHORT_SUBJECTS)


@dataclass(frozen=True)
class AsapAes:
    """ASAP essay scoring: essays of US pupils of grades 7 to 10 on eight prompts, with the scores of two people and the mark agreed on.

    Names were replaced by the publisher, as in @PERSON1. The second domain of set 2 and the traits of sets 7 and 8 are left out. Source: Shermis,
    2014, Assessing Writing 20.

    Parameters
    ----------
    variant : which score.
        'resolved' : the mark the essay received, on the scale of its set, on which published results rest;
        'raters' : the marks of the first and the second person, on the scale of one person, to see how far people agree.
    path : folder with ``training_set_rel3.tsv``; default ``EDUKIT_DATA/asap_aes``.
    """

    name: ClassVar[str] = "asap_aes"
    variants: ClassVar[tuple[str, ...]] = ("resolved", "raters")
    variant: str = "resolved"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the file."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "asap_aes", self.path, ("training_set_rel3.tsv",))

    def files(self, raw_dir: Path) -> list[Path]:
        """The training set."""
        return [raw_dir / "training_set_rel3.tsv"]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables questions (without wording) and answers."""
        path = raw_dir / "training_set_rel3.tsv"
        found = read_text_table(path, ENCODINGS, sep="\t", dtype="str", keep_default_na=False, na_values=[""])
        need(path, found, ("essay_id", "essay_set", "essay", "rater1_domain1", "rater2_domain1", "domain1_score"))
        resolved = self.variant == "resolved"
        named = found.rename(columns={"essay_id": "Id", "essay_set": "EssaySet", "essay": "EssayText",
                                      "domain1_score" if resolved else "rater1_domain1": "Score1", "rater2_domain1": "Score2"})
        full = _ESSAY_FULL_MARKS[self.variant]
        named = _scored(path, named.dropna(subset=["Score1"]), 2, full)
        return _tables(named["Id"], named["EssaySet"], named["EssayText"].str.strip(), named["Score1"], None if resolved else named["Score2"],
                       full, _ESSAY_KINDS)


def _scored(path: Path, table: pd.DataFrame, first_line: int, full_marks: Mapping[str, int] = _SHORT_FULL_MARKS) -> pd.DataFrame:
    """The table with whole-number scores; every row must have a number, a known set, a text, and a score within the marks of its set."""
    sets = table["EssaySet"].str.strip()
    scores = {column: pd.to_numeric(table[column], errors="coerce") for column in ("Score1", "Score2")}
    high = sets.map(full_marks)
    wrong = {"Id must be a number": pd.to_numeric(table["Id"], errors="coerce").isna(), f"the set must be one of {', '.join(full_marks)}": high.isna(),
             "Score1 must be a whole number within the marks of its set": ~scores["Score1"].between(0, high) | (scores["Score1"] % 1 != 0),
             "the text must be there": table["EssayText"].isna() | (table["EssayText"].fillna("").str.strip() == "")}
    if full_marks is not _ESSAY_FULL_MARKS["resolved"]:
        wrong["Score2 must be a whole number within the marks of its set"] = ~scores["Score2"].between(0, high) | (scores["Score2"] % 1 != 0)
    faults = []
    for wanted, bad in wrong.items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            told = [str(v) for v in table[["Id", "EssaySet", "Score1", "Score2"]].iloc[row]]
            faults.append(f"{path}: {wanted}; found {', '.join(told)} in {int(bad.sum()):,} of {len(table):,} rows (first: row {row + 1:,}, "
                          f"line {int(table.index[row]) + first_line:,} where no answer spans lines).")
    if faults:
        raise DataError("\n".join(faults) + "\nThe file may be truncated or saved with another separator: obtain it again.")
    return table.assign(EssaySet=sets, Id=table["Id"].str.strip(), **scores)


def _tables(ids: pd.Series, sets: pd.Series, text: pd.Series, first: pd.Series, second: pd.Series | None, full_marks: Mapping[str, int],
            domains: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    known = [number for number in full_marks if number in set(sets)]
    questions = pd.DataFrame({"question_id": known, "max_score": [full_marks[k] for k in known], "domain": [domains[k] for k in known]})
    answers = pd.DataFrame({"answer_id": ids, "question_id": sets, "text": text, "score": first, "part": "train"})
    return {"questions": questions, "answers": answers if second is None else answers.assign(second_score=second)}
