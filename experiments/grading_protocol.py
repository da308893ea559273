"""How graders are judged: on the publisher's parts where the data has them, else in folds, so that every answer is graded by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.grading.scales import OVERALL, scored
from edukit.schema import DataError

TRAIN = "train"


class Judged(NamedTuple):
    """What a grader said of answers that it had not seen, beside what people said.

    Attributes
    ----------
    grades : table ``grades`` of one row an answer, criterion ``overall``, nothing deferred. probabilities : a row an answer (index answer_id), a column
        a level.
    truth : level that people gave (index answer_id). answers : the rows of the table ``answers`` that were judged, ``score`` being that level.
    by_criterion : table ``grades`` by criterion of the rubric, as the grader made it. part : of the publisher's split, or ``folds``.
    grader : the grader, as it was fitted last. labels : level of each label, where people gave labels.
    """

    grades: pd.DataFrame
    probabilities: pd.DataFrame
    truth: pd.Series
    answers: pd.DataFrame
    by_criterion: pd.DataFrame
    part: str
    grader: Any
    labels: dict[str, float]


def judge(data: Mapping[str, pd.DataFrame], grader_cfg: DictConfig, cfg: DictConfig) -> dict[str, Judged]:
    """Fit and judge a grader by the protocol of the data, a result a part.

    With a publisher's split (``answers.part`` holds ``train`` and others) it is fitted on ``train`` and judged on each other part; else in ``cfg.folds`` folds
    of the answers to each question, or of whole learners where they are known.

    Parameters
    ----------
    data : tables ``answers``, ``questions`` and perhaps ``rubrics``. grader_cfg : config of the grader. cfg : ``folds`` and ``seed`` are read.

    Raises
    ------
    DataError
        Where no answer has a score or a label.
    """
    answers, labels = scored(data["answers"])
    answers = answers[answers["score"].notna()].reset_index(drop=True)
    if not len(answers):
        raise DataError("answers must hold scores or labels to judge a grader by; found none. Grade answers of your own with: edukit grade")
    tables = {"questions": data["questions"], "rubrics": data["rubrics"] if "rubrics" in data else None}
    found: dict[str, list[Judged]] = {}
    for part, train, test in _parts(answers, int(cfg.folds), int(cfg.seed)):
        grader = instantiate(grader_cfg).fit(_as_given(train, labels), tables["rubrics"], tables["questions"])
        found.setdefault(part, []).append(_judged(grader, test, part, labels))
    return {part: _joined(several) for part, several in found.items()}


def _parts(answers: pd.DataFrame, folds: int, seed: int) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Name, training rows and test rows of each part."""
    part = answers["part"] if "part" in answers else pd.Series(TRAIN, index=answers.index)
    if (part == TRAIN).any() and (part != TRAIN).any():
        for name in pd.unique(part[part != TRAIN]):
            yield str(name), answers[part == TRAIN], answers[part == name]
        return
    fold = fold_of(answers, folds, seed)
    for k in range(folds):
        yield "folds", answers[fold != k], answers[fold == k]


def fold_of(answers: pd.DataFrame, folds: int, seed: int) -> np.ndarray:
    """(N,) fold of each answer: whole learners where they are known, else evenly within each question; whatever the order of the rows.

    Raises
    ------
    DataError
        For fewer than two folds, or more than there are units.
    """
    rng, fold = np.random.default_rng(seed), np.zeros(len(answers), int)
    learners = "learner_id" in answers and bool(answers["learner_id"].notna().all())
    units = answers["learner_id" if learners else "answer_id"].astype(str).to_numpy()
    if not 2 <= folds <= len(set(units)):
        raise DataError(f"folds must lie between 2 and the {len(set(units)):,} {'learners' if learners else 'answers'}; found {folds}")
    groups = np.zeros(len(answers)) if learners else answers["question_id"].astype(str).to_numpy()
    for group in sorted(set(groups.tolist())):
        rows = np.flatnonzero(groups == group)
        names, code = np.unique(units[rows], return_inverse=True)
        fold[rows] = rng.permutation(np.arange(len(names)) % folds)[code]
    return fold


def _as_given(train: pd.DataFrame, labels: dict[str, float]) -> pd.DataFrame:
    """Training answers as people graded them: labels stay labels, so that a grader gives labels and no marks."""
    return train.drop(columns="score") if labels else train


def _judged(grader: Any, test: pd.DataFrame, part: str, labels: dict[str, float]) -> Judged:
    unscored = test.drop(columns=[c for c in test if c in ("score", "second_score", "label") or str(c).startswith("criterion:")])
    p, by_criterion = grader.probabilities(unscored), grader.grade(unscored)
    score = grader.overall(unscored)
    confidence = p.to_numpy()[np.arange(len(p)), p.columns.get_indexer(score.to_numpy())]
    grades = pd.DataFrame({"answer_id": score.index, "criterion_id": OVERALL, "score": score.to_numpy(), "confidence": confidence, "deferred": False,
                           "decided_by": "model"})
    return Judged(grades, p, test.set_index("answer_id")["score"], test, by_criterion, part, grader, labels)


def _joined(several: list[Judged]) -> Judged:
    """The folds as one part, every answer in it once."""
    if len(several) == 1:
        return several[0]
    tables = {name: pd.concat([getattr(one, name) for one in several], ignore_index=True) for name in ("grades", "answers", "by_criterion")}
    p = pd.concat([one.probabilities for one in several]).fillna(0.0)
    return several[-1]._replace(probabilities=p[sorted(p.columns)], truth=pd.concat([one.truth for one in several]), **tables)
