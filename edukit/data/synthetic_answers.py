"""Invented short answers whose truth is known: what each says of the rubric, what its score should be, and how far two people agree on it.

Made for grading, where real data cannot say which key element a learner named. The wording stands in :mod:`edukit.data.answer_wording`, answers that try to
deceive a grader in :mod:`edukit.data.gaming_answers`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.answer_wording import FILLERS, JOINS, OPENINGS, QUESTIONS, UNSURE, Element, Question
from edukit.schema import DataError
from edukit.validation import validate_all

CHOICE = re.compile(r"\[([^\]]*)\]")
TRAIN = 0.7  # of the learners
SAID = 0.5  # log-odds of naming an element at ability 0
DENIES = 0.18  # share of the elements not named that are denied


@dataclass(frozen=True)
class AnswerTruth:
    """What no table tells.

    Attributes
    ----------
    elements : a row an answer and key element: answer_id, question_id, criterion_id, element (as in the rubric), present (bool), wording (`near` or `other`
        where present, else `denied` or `absent`), clause (the words that say or deny it, as they stand in the answer; misspelt as there).
    scores : a row an answer (index answer_id): true_score, and a column a criterion_id with its true level (NaN where the question has another rubric).
    """

    elements: pd.DataFrame
    scores: pd.DataFrame


@dataclass(frozen=True)
class SyntheticAnswers:
    """Invented learners who answer six questions of three subjects, scored by two raters after a rubric with key elements.

    The true score is the sum of the levels of the criteria; a level is the number of key elements that the answer names and does not deny. Weights of the
    criteria are their shares of full marks, so that the weighted share of levels times full marks is the same number.

    Parameters
    ----------
    learners : number of learners; each answers every question once. ``part`` is `train` or `test`, by whole learners.
    other_wording : share of the elements that are said without the rubric's words.
    misspelt : share of the longer words that are misspelt.
    noise, second_noise : how often the first and the second rater are one point off.
    seed : equal arguments give equal tables.

    Raises
    ------
    DataError
        Of :meth:`answered` and :meth:`parse`: for fewer than four learners, or a share outside [0, 1].

    Examples
    --------
    >>> tables, truth = SyntheticAnswers(learners=10).answered()
    >>> len(tables["answers"]), bool(truth.elements["present"].any())
    (60, True)
    """

    name: ClassVar[str] = "synthetic_answers"
    invented: ClassVar[bool] = True  # ids belong to nobody: they need no pseudonyms

    learners: int = 60
    other_wording: float = 0.3
    misspelt: float = 0.03
    noise: float = 0.15
    second_noise: float = 0.2
    seed: int = 7

    def answered(self) -> tuple[dict[str, pd.DataFrame], AnswerTruth]:
        """The tables together with their truth."""
        faults = [f"learners must be at least 4; found {self.learners}"] if self.learners < 4 else []
        faults += [f"{name} must be a share from 0 to 1; found {getattr(self, name)}" for name in ("other_wording", "misspelt", "noise", "second_noise")
                   if not 0 <= getattr(self, name) <= 1]
        if faults:
            raise DataError(f"synthetic_answers: {'; '.join(faults)}.")
        streams = [np.random.default_rng([self.seed, part]) for part in range(4)]
        people = self._people(streams[0])
        elements, scores, answers = [], [], []
        for i, learner in enumerate(people.to_dict("records")):
            for question in QUESTIONS:
                answer_id = f"A{i + 1:04d}-{question.question_id}"
                text, said = self._write(question, learner, streams[1])
                elements += [{"answer_id": answer_id, "question_id": question.question_id, **row} for row in said]
                levels = {part.criterion_id: float(sum(row["present"] for row in said if row["criterion_id"] == part.criterion_id)) for part in question.parts}
                scores.append({"answer_id": answer_id, "true_score": sum(levels.values()), **levels})
                answers.append({"answer_id": answer_id, "question_id": question.question_id, "text": text, "learner_id": learner["learner_id"],
                                "part": learner["part"]})
        truth = AnswerTruth(pd.DataFrame(elements), pd.DataFrame(scores).set_index("answer_id"))
        table = pd.DataFrame(answers)
        full = table["question_id"].map({q.question_id: full_marks(q) for q in QUESTIONS}).to_numpy()
        true = truth.scores["true_score"].to_numpy()
        table["score"], table["second_score"] = (rated(true, full, share, rng) for share, rng in
                                                 ((self.noise, streams[2]), (self.second_noise, streams[3])))
        tables = {"questions": questions(), "answers": table, "rubrics": rubrics(), "learners": people.drop(columns=["ability", "careless", "part"])}
        return validate_all(tables), truth

    def truth(self) -> AnswerTruth:
        """What each answer says, and its score were raters without error."""
        return self.answered()[1]

    def raw_dir(self) -> Path:
        """No folder is read; the current one stands in."""
        return Path()

    def files(self, raw_dir: Path) -> list[Path]:
        """None: everything is generated."""
        return []

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables questions, answers, rubrics, learners."""
        return self.answered()[0]

    def _people(self, rng: np.random.Generator) -> pd.DataFrame:
        """Learners with invented groups that have nothing to do with their answers but one: home language and misspellings."""
        n = self.learners
        language = np.where(rng.random(n) < 0.35, "another", "that of the school")
        order = rng.permutation(n)
        return pd.DataFrame({
            "learner_id": [f"L{i + 1:04d}" for i in range(n)], "gender": np.where(rng.random(n) < 0.5, "female", "male"), "home_language": language,
            "ability": rng.normal(0, 1.1, n), "careless": np.where(language == "another", 2.0, 0.65),
            "part": np.where(order < round(TRAIN * n), "train", "test")})

    def _write(self, question: Question, learner: dict, rng: np.random.Generator) -> tuple[str, list[dict]]:
        """One answer and what it says."""
        said, clauses = [], []
        for part in question.parts:
            for element in part.elements:
                wording, clause = self._say(element, learner["ability"], rng)
                clause = misspell(clause, self.misspelt * learner["careless"], rng)
                said.append({"criterion_id": part.criterion_id, "element": element.words, "present": wording in ("near", "other"), "wording": wording,
                             "clause": clause})
                clauses += [clause] if clause else []
        if rng.random() < 0.22 - 0.06 * learner["ability"]:
            clauses.append(misspell(_pick(question.misconceptions, rng), self.misspelt, rng))
        if rng.random() < 0.3:
            clauses.append(_pick(FILLERS, rng))
        if not clauses:
            clauses = [_pick(UNSURE, rng)]
        return _joined([clauses[i] for i in rng.permutation(len(clauses))], rng), said

    def _say(self, element: Element, ability: float, rng: np.random.Generator) -> tuple[str, str]:
        """How one element is said, denied or left out, and in which words."""
        named, other, denied = rng.random() < 1 / (1 + np.exp(-SAID - ability)), rng.random() < self.other_wording, rng.random() < DENIES
        wording = ("other" if other else "near") if named else "denied" if denied else "absent"
        return wording, _pick(getattr(element, wording), rng) if wording != "absent" else ""


def full_marks(question: Question) -> float:
    """Full marks of a question: the sum of its highest levels."""
    return float(sum(len(part.elements) for part in question.parts))


def questions() -> pd.DataFrame:
    """Table ``questions``."""
    return pd.DataFrame([{"question_id": q.question_id, "prompt": q.prompt, "reference": q.reference, "max_score": full_marks(q), "rubric_id": q.question_id,
                          "domain": q.domain} for q in QUESTIONS])


def rubrics() -> pd.DataFrame:
    """Table ``rubrics``; every level of a criterion repeats its elements, and has an exemplar but the lowest."""
    rows = []
    for q in QUESTIONS:
        for part in q.parts:
            for level, descriptor in enumerate(part.descriptors):
                exemplar = ". ".join(CHOICE.sub(lambda m: m[1].split("|")[0], e.near[0]).replace("  ", " ").capitalize() for e in part.elements[:level])
                rows.append({"rubric_id": q.question_id, "criterion_id": part.criterion_id, "level": float(level), "descriptor": descriptor,
                             "weight": len(part.elements) / full_marks(q), "key_elements": "\n".join(e.words for e in part.elements),
                             "exemplar": f"{exemplar}." if exemplar else None, "version": "1"})
    return pd.DataFrame(rows)


def rated(true: np.ndarray, full: np.ndarray, off: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) scores of a rater who is one point off (either way, never beyond the scale) in a share ``off`` of the answers."""
    wrong, up = rng.random(len(true)) < off, rng.random(len(true)) < 0.5
    step = np.where(true >= full, -1, np.where(true <= 0, 1, np.where(up, 1, -1)))
    return true + wrong * step


def misspell(text: str, share: float, rng: np.random.Generator) -> str:
    """The text with some of its longer words misspelt: two letters changed round, one left out, or one doubled."""
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) < 5 or rng.random() >= share:
            continue
        at, kind = int(rng.integers(1, len(word) - 2)), int(rng.integers(3))
        middle = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1])[kind]
        words[i] = word[:at] + middle + word[at + 2:]
    return " ".join(words)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the clauses, with one of each of its words."""
    clause = CHOICE.sub(lambda m: (options := m[1].split("|"))[int(rng.integers(len(options)))], choices[int(rng.integers(len(choices)))])
    return " ".join(clause.split())


def _joined(clauses: list[str], rng: np.random.Generator) -> str:
    """Clauses as one text, in the manner of a learner: some write without capitals or without a full stop."""
    text = OPENINGS[int(rng.integers(len(OPENINGS)))] + clauses[0]
    for clause in clauses[1:]:
        text += JOINS[int(rng.integers(len(JOINS)))] + clause
    if rng.random() < 0.7:
        text = re.sub(r"(^|\. )([a-z])", lambda m: m[1] + m[2].upper(), text)
    return text + ("." if rng.random() < 0.7 else "")
