"""Eedi, mathematics questions with four options: the NeurIPS 2020 challenge (tasks 3 and 4) and the CausalEdu set of constructs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

GENDERS = {"0": "unspecified", "1": "female", "2": "male", "3": "other"}
OPTIONS = 4
UNDATED = 0.01  # share of answers without a date above which two files do not belong together

_META = ("metadata/question_metadata_task_3_4.csv", "metadata/student_metadata_task_3_4.csv", "metadata/subject_metadata.csv")
_PARTS = {"public": "test_data/test_public_task_4_more_splits.csv", "private": "test_data/test_private_task_4_more_splits.csv",
          "third party": "third_party_split/valid_task_4.csv"}
_FULL = ("train_data/train_task_3_4.csv", "metadata/answer_metadata_task_3_4.csv")
_CAUSAL = ("construct_prerequisites_test.csv", "subject_metadata.csv", "topic_pathway_metadata.csv", "checkin_to_checkout.csv",
           "construct_experiments_ates_test.csv", "student_metadata.csv")


@dataclass(frozen=True)
class Nips34:
    """Eedi NeurIPS 2020 challenge, tasks 3 and 4: chosen options in mathematics, with a tree of subjects and learner attributes.

    A concept is the deepest subject a question is tagged with (level 3 of the tree); its level-2 and level-1 ancestors are its topic and area.
    Source: Wang et al., 2021, PMLR 133 (NeurIPS 2020 competition track).

    Parameters
    ----------
    variant : which answers.
        'test' : the public and private test answers of task 4 and a third party's hold-out of the training answers; without time, so without order;
        'full' : the publisher's training answers, dated to the minute, with class and quiz.
    path : folder with the publisher's subfolders; default ``EDUKIT_DATA/nips34``.
    """

    name: ClassVar[str] = "nips34"
    variants: ClassVar[tuple[str, ...]] = ("test", "full")
    variant: str = "test"
    path: str | None = None

    def _needed(self) -> tuple[str, ...]:
        return (*(_PARTS.values() if self.variant == "test" else _FULL), *_META)

    def raw_dir(self) -> Path:
        """Folder with the publisher's subfolders."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "nips34", self.path, self._needed())

    def files(self, raw_dir: Path) -> list[Path]:
        """The answers of this variant, then questions, learners and subjects."""
        return [raw_dir / file for file in self._needed()]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, concepts, items, q_matrix, learners (all with metadata, whether they answered or not)."""
        questions, learners, subjects = (_read(raw_dir / file) for file in _META)
        need(raw_dir / _META[0], questions, ("QuestionId", "SubjectId"))
        need(raw_dir / _META[1], learners, ("UserId", "Gender", "DateOfBirth", "PremiumPupil"))
        tree = subject_tree(raw_dir / _META[2], subjects)
        q = _leaves(raw_dir / _META[0], questions, tree)
        log = pd.concat([_answers(raw_dir / file, part) for part, file in _PARTS.items()], ignore_index=True) if self.variant == "test" \
            else _dated(raw_dir, _answers(raw_dir / _FULL[0], ""))
        keys = log[["QuestionId", "CorrectAnswer"]].drop_duplicates()
        keys = keys[~keys.duplicated("QuestionId", keep=False)].set_index("QuestionId")["CorrectAnswer"]
        items = pd.DataFrame({"item_id": questions["QuestionId"].unique()})
        people = pd.DataFrame({"learner_id": learners["UserId"], "gender": learners["Gender"].map(GENDERS),
                               "date_of_birth": learners["DateOfBirth"].str.slice(0, 10),
                               "premium_pupil": learners["PremiumPupil"].map({"0.0": "no", "1.0": "yes", "0": "no", "1": "yes"})})
        if self.variant == "test":
            parts = log.groupby("UserId")["part"].agg(lambda met: "|".join(sorted(set(met)))).rename("published_part")
            people = people.merge(parts, how="outer", left_on="learner_id", right_index=True)
        used = tree.loc[tree["concept_id"].isin(q["concept_id"]), ["concept_id", "name", "topic", "area", "description", "level"]]
        table = pd.DataFrame({"learner_id": log["UserId"], "item_id": log["QuestionId"], "correct": log["IsCorrect"], "response": log["AnswerValue"],
                              "order": pd.array([pd.NA] * len(log), dtype="Int64")})
        if self.variant == "full":
            table = table.assign(order=log.groupby("UserId").cumcount(), timestamp=log["DateAnswered"], class_id=log["GroupId"],
                                 content_id=log["QuizId"])
        return {"interactions": table, "concepts": used, "q_matrix": q, "learners": people,
                "items": items.assign(answer_key=items["item_id"].map(keys), options=OPTIONS)}


@dataclass(frozen=True)
class EediCausaledu:
    """CausalEdu of Eedi: expert prerequisites between mathematical constructs, and effects of lessons measured by A/B tests.

    A construct is one concept; it has a number and no name, so it is called by its subject and its number. Source: Gong et al., 2023, CLeaR
    (datasets track).

    Parameters
    ----------
    path : folder with the publisher's files; default ``EDUKIT_DATA/eedi_causaledu``.
    """

    name: ClassVar[str] = "eedi_causaledu"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        return find_raw(self.name, "eedi_causaledu", self.path, _CAUSAL)

    def files(self, raw_dir: Path) -> list[Path]:
        """Constructs, subjects, pathway, both tables of effects, learners."""
        return [raw_dir / file for file in _CAUSAL]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables concepts, prerequisites, effects, items, q_matrix (questions of the pathway), learners."""
        constructs, subjects, pathway, gains, trials, learners = (_read(raw_dir / file) for file in _CAUSAL)
        wanted = (("ConstructId", "SubjectId", "PrerequisiteConstructIds"), ("SubjectId",),
                  ("YearGroup", "QuizId", "CheckinQuestionId", "CheckoutQuestionId", "ConstructId"),
                  ("LessonConstructId", "QuestionConstructId", "n00", "n01", "n10", "p010_m", "k010_m"),
                  ("TreatmentLessonConstructId", "QuestionConstructId", "Year", "ControlLessonConstructIds", "ControlUsersCount",
                   "TreatmentUsersCount", "ate_p_1__", "ate_k_1__"), ("UserId", "Gender", "MonthOfBirth", "IsPupilPremium", "YearGroup"))
        for file, table, columns in zip(_CAUSAL, (constructs, subjects, pathway, gains, trials, learners), wanted, strict=True):
            need(raw_dir / file, table, columns)
        tree = subject_tree(raw_dir / _CAUSAL[1], subjects).set_index("concept_id")
        listed = _whole(constructs["ConstructId"])
        edges = pd.DataFrame({"concept_id": listed, "requires_id": _sets(raw_dir / _CAUSAL[0], constructs["PrerequisiteConstructIds"])})
        edges = edges.explode("requires_id").dropna().drop_duplicates()
        asked = pd.concat([pd.DataFrame({"item_id": _whole(pathway[c]), "concept_id": _whole(pathway["ConstructId"]), "content_id": pathway["QuizId"]})
                           for c in ("CheckinQuestionId", "CheckoutQuestionId")])
        effects = _effects(raw_dir, gains, trials)
        ids = pd.concat([listed, *(edges[c] for c in edges), asked["concept_id"], effects["concept_id"], effects["requires_id"]]).drop_duplicates()
        concepts = pd.DataFrame({"concept_id": ids.to_numpy()})
        subject = concepts["concept_id"].map(pd.Series(_whole(constructs["SubjectId"]).to_numpy(), index=listed))
        topic = subject.map(tree["name"])
        year = pd.to_numeric(pathway["YearGroup"], errors="coerce").groupby(_whole(pathway["ConstructId"])).min()
        concepts = concepts.assign(name=(topic + " (" + concepts["concept_id"] + ")").fillna("construct " + concepts["concept_id"]), topic=topic,
                                   area=subject.map(tree["area"]), description=subject.map(tree["description"]),
                                   level=concepts["concept_id"].map(year))
        people = pd.DataFrame({"learner_id": learners["UserId"], "gender": learners["Gender"].str.lower(), "month_of_birth": learners["MonthOfBirth"],
                               "premium_pupil": learners["IsPupilPremium"].map({"0": "no", "1": "yes"}), "year_group": learners["YearGroup"]})
        return {"concepts": concepts, "prerequisites": edges.assign(source="Eedi experts", weight=1.0, channel="expert"), "effects": effects,
                "items": asked.drop_duplicates("item_id")[["item_id", "content_id"]].assign(options=OPTIONS),
                "q_matrix": asked[["item_id", "concept_id"]].drop_duplicates(), "learners": people}


def subject_tree(path: Path, subjects: pd.DataFrame) -> pd.DataFrame:
    """Every subject with its name, level, topic (its ancestor at level 2, or itself), area (at level 1) and the names on the way down to it.

    Parameters
    ----------
    path : where the table was read, named in errors.
    subjects : ``SubjectId, Name, ParentId, Level``; ids may be written as floats, the root has no parent.

    Raises
    ------
    DataError
        For a missing column, a subject listed twice, or a parent that is not listed.
    """
    need(path, subjects, ("SubjectId", "Name", "ParentId", "Level"))
    tree = pd.DataFrame({"concept_id": _whole(subjects["SubjectId"]), "name": subjects["Name"].str.strip(),
                         "level": pd.to_numeric(subjects["Level"], errors="coerce")})
    parent = _whole(subjects["ParentId"])
    twice, lost = tree["concept_id"].duplicated(), parent.notna() & ~parent.isin(tree["concept_id"])
    for bad, wanted, found in ((twice, "list each subject once", tree["concept_id"]), (lost, "list every parent", parent)):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(f"{path} must {wanted}; found {found.iloc[row]!r} in {int(bad.sum()):,} of {len(tree):,} rows (first: row {row + 1:,}). "
                            "Obtain it again.")
    name, level = (tree.set_index("concept_id")[c] for c in ("name", "level"))
    up = pd.Series(parent.to_numpy(), index=tree["concept_id"])
    at, trail = tree["concept_id"], tree["name"]
    topic, area = (tree["name"].where(tree["level"] == n) for n in (2, 1))
    for _ in range(int(tree["level"].max()) if len(tree) else 0):
        at = at.map(up)
        trail = (at.map(name) + " > " + trail).fillna(trail)
        topic, area = (known.fillna(at.map(name).where(at.map(level) == n)) for known, n in ((topic, 2), (area, 1)))
    return tree.assign(topic=topic, area=area, description=trail)


def _read(path: Path) -> pd.DataFrame:
    return read_text_table(path, dtype="str", na_values=["NULL"])


def _whole(ids: pd.Series) -> pd.Series:
    """Ids as text, without the ``.0`` that a column of numbers with gaps leaves behind."""
    return ids.str.strip().str.replace(r"\.0+$", "", regex=True)


def _sets(path: Path, text: pd.Series) -> pd.Series:
    """Lists of ids from `{a, b}` or `[a, b]`; missing stays missing."""
    bad = text.notna() & ~text.str.fullmatch(r"\s*[\[{][\d.,\s]*[\]}]\s*").fillna(False).astype(bool)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(f"{path}: {text.name} must be ids between brackets, such as {{76, 483}}; found {text.iloc[row]!r} in {int(bad.sum()):,} of "
                        f"{len(text):,} rows (first: line {row + 2:,}). The file may be truncated: obtain it again.")
    return text.str.replace(r"\.0+(?=\D)", "", regex=True).str.findall(r"\d+")


def _leaves(path: Path, questions: pd.DataFrame, tree: pd.DataFrame) -> pd.DataFrame:
    """``item_id, concept_id``: of the subjects of a question, those deepest in the tree."""
    tags = pd.DataFrame({"item_id": questions["QuestionId"], "concept_id": _sets(path, questions["SubjectId"])}).explode("concept_id")
    level = tags["concept_id"].map(tree.set_index("concept_id")["level"])
    if level.isna().any():
        first = tags[level.isna()].iloc[0]
        raise DataError(f"{path} must tag questions with subjects of subject_metadata.csv; found {first['concept_id']!r} in {int(level.isna().sum()):,} of "
                        f"{len(tags):,} tags (first: question {first['item_id']}). Do both files belong together?")
    return tags[level == level.groupby(tags["item_id"]).transform("max")].drop_duplicates()


def _answers(path: Path, part: str) -> pd.DataFrame:
    log = _read(path)
    columns = ["QuestionId", "UserId", "AnswerId", "IsCorrect", "CorrectAnswer", "AnswerValue"]
    need(path, log, columns)
    broken = log[columns].apply(pd.to_numeric, errors="coerce").isna().any(axis=1)
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        raise DataError(f"{path} must hold whole numbers in {', '.join(columns)}; found {','.join(log[columns].iloc[row].fillna('').astype(str))!r} in "
                        f"{int(broken.sum()):,} of {len(log):,} rows (first: line {row + 2:,}). The file may be truncated: obtain it again.")
    return log[columns].assign(part=part)


def _dated(raw_dir: Path, log: pd.DataFrame) -> pd.DataFrame:
    """Answers with date, class and quiz, in the order they were given; those without a date are left out, if they are few."""
    path = raw_dir / _FULL[1]
    told = _read(path)
    need(path, told, ("AnswerId", "DateAnswered", "GroupId", "QuizId"))
    told = told.assign(AnswerId=_whole(told["AnswerId"]), DateAnswered=pd.to_datetime(told["DateAnswered"], errors="coerce", utc=True, format="ISO8601"),
                       GroupId=_whole(told["GroupId"]), QuizId=_whole(told["QuizId"]))
    told = told.dropna(subset=["AnswerId", "DateAnswered"]).drop_duplicates("AnswerId")[["AnswerId", "DateAnswered", "GroupId", "QuizId"]]
    joined = log.merge(told, on="AnswerId", how="left")
    undated = joined["DateAnswered"].isna()
    if undated.mean() > UNDATED:
        raise DataError(f"{path} must date the answers of {raw_dir / _FULL[0]}; found no date for {int(undated.sum()):,} of {len(log):,} "
                        f"(first: AnswerId {joined.loc[undated, 'AnswerId'].iloc[0]}). Do both files belong together?")
    number = pd.to_numeric(joined["AnswerId"])
    return joined[~undated].assign(number=number).sort_values(["UserId", "DateAnswered", "number"], kind="stable")


def _effects(raw_dir: Path, gains: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Both measures of both files, one row each.

    ``gain_p``: of the learners wrong before a lesson, the share that was right after it; ``gain_k`` also counts those who went from right to
    wrong, as lucky guesses, among the learners wrong before. ``trial_p`` and ``trial_k``: the difference, between learners drawn to be taught
    the lesson and learners drawn to be taught others, in the share of all of them who are right afterwards; ``trial_p`` leaves those out who went
    from right to wrong, ``trial_k`` counts them as not knowing. ``n_treated`` of a gain is the number of learners it is a share of.
    """
    count = gains[["n00", "n01", "n10"]].apply(pd.to_numeric, errors="coerce")
    frames = [pd.DataFrame({"concept_id": _whole(gains["QuestionConstructId"]), "requires_id": _whole(gains["LessonConstructId"]), "kind": kind,
                            "effect": pd.to_numeric(gains[column], errors="coerce"), "n_treated": count[parts].sum(axis=1)})
              for kind, column, parts in (("gain_p", "p010_m", ["n00", "n01"]), ("gain_k", "k010_m", ["n00", "n01", "n10"]))]
    control = _sets(raw_dir / _CAUSAL[4], trials["ControlLessonConstructIds"]).str.join("|")
    frames += [pd.DataFrame({"concept_id": _whole(trials["QuestionConstructId"]), "requires_id": _whole(trials["TreatmentLessonConstructId"]),
                             "kind": kind, "effect": pd.to_numeric(trials[column], errors="coerce"), "n_treated": trials["TreatmentUsersCount"],
                             "n_control": trials["ControlUsersCount"], "level": pd.to_numeric(trials["Year"], errors="coerce"), "control": control})
               for kind, column in (("trial_p", "ate_p_1__"), ("trial_k", "ate_k_1__"))]
    return pd.concat(frames, ignore_index=True)
