"""Graders: from written answers to scores by a rubric, with probabilities that say how sure they are and quotes that say why."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd

from edukit import text
from edukit.grading import model_file
from edukit.grading.named_elements import NamedElements
from edukit.grading.normal_form import normalise
from edukit.grading.ordinal import learn_cuts, learn_worth
from edukit.grading.pair_features import Embed
from edukit.grading.rubric import Rubric
from edukit.grading.scales import CRITERION, OVERALL, scored
from edukit.grading.seen_route import FEWEST, SeenRoute
from edukit.grading.targets import Target, flags_of, read_rubrics, rubric_of, targets_of
from edukit.grading.unseen_route import UnseenRoute
from edukit.protocols import NotFittedError
from edukit.reproducibility import fingerprint
from edukit.schema import TABLES, DataError
from edukit.validation import validate

Array = np.ndarray
ROUTES = ("auto", "seen", "unseen")
WORTH = 20.0  # graded answers that the unseen route is worth, where the data are too few to tell
WORTHS = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)  # tried, where they can
FEW_TO_TELL = 200  # graded answers from which on they tell
AT_ONCE = 2_000  # answers compared with the graded ones at a time


class Learnt(NamedTuple):
    """Graded answers of one target: N normal forms, (N,) positions of their levels, and (N, K) what was said of them by both routes, and by the unseen one
    alone, neither of which had seen them."""

    forms: list[str]
    y: Array
    both: Array
    unseen: Array


class RubricGrader:
    """Two graders in one: a question with graded answers is judged by how they stand to those, another by its reference and rubric.

    P(level) = w P_seen + (1 - w) P_unseen, with w = n / (n + worth) of a question with n graded answers. What the unseen route is worth is learnt from
    graded answers that both had not seen. A mark is given by learnt cut-points on the expected level, a label by the greatest probability.

    Parameters
    ----------
    route : 'auto', or 'seen' or 'unseen' for one of them alone.
    embeddings : whether meaning is compared, too (MiniLM); without, words and letters only, and the extra ``text`` is not needed.
    trees : rounds of boosting of the seen route; 0 = none. unseen_trees : of the unseen route.
    folds : parts of the graded answers held out in turn, from which probabilities and cut-points are learnt.
    penalty, unseen_penalty : L2 penalties on the weights of the last step of the seen route, and of the logistic part of the unseen one.
    seed : draws the parts, and features and rows of the trees.

    Attributes
    ----------
    labels_ : level of each label, where people gave labels. worth_ : graded answers that the unseen route is worth. lacks_ : what a better grade would need.

    Notes
    -----
    Answers are brought into normal form first, and graded once each, in an order of their own: white space, case, look-alike marks, repetition and the order of
    a batch change nothing. A saved grader holds the graded answers.
    """

    kind: ClassVar[str] = "rubric_grader"

    def __init__(self, route: str = "auto", embeddings: bool = True, trees: int = 250, unseen_trees: int = 200, folds: int = 5, penalty: float = 1.0,
                 unseen_penalty: float = 20.0, seed: int = 0) -> None:
        if route not in ROUTES:
            raise DataError(f"route must be one of {', '.join(ROUTES)}; found {route!r}")
        self.route, self.embeddings, self.trees, self.unseen_trees, self.folds = route, embeddings, trees, unseen_trees, folds
        self.penalty, self.unseen_penalty, self.seed = penalty, unseen_penalty, seed

    def fit(self, answers: pd.DataFrame, rubric: Rubric | pd.DataFrame | None, questions: pd.DataFrame) -> Self:
        """Learn from graded answers to any number of questions; none at all is allowed.

        Parameters
        ----------
        answers : table ``answers``; those without ``score`` or ``label`` are passed over. Columns ``criterion:<id>`` hold scores of criteria.
        rubric : table ``rubrics``, one :class:`~edukit.grading.rubric.Rubric`, or None. questions : every question that will be asked.

        Raises
        ------
        DataError
            For an answer to a question that is not there.
        """
        found, self.labels_ = scored(answers)
        columns = ["score", *[c for c in found if str(c).startswith(CRITERION)]]
        graded = found[found[columns].notna().any(axis=1)]
        if len(odd := graded[~graded["question_id"].isin(questions["question_id"])]):
            raise DataError(f"answers.question_id must be of the table questions; found {odd['question_id'].iloc[0]!r} in {len(odd):,} of {len(graded):,} rows")
        graded = graded.assign(form=[normalise(t) for t in graded["text"]]).sort_values(["question_id", "form", *columns], kind="stable")
        graded = graded[graded["form"] != ""].reset_index(drop=True)
        self.rubrics_ = read_rubrics(rubric)
        self._questions = {str(row["question_id"]): row for row in questions.to_dict("records")}
        self._targets = {t.key: t for t in targets_of(graded, questions, self.rubrics_, self.labels_)}
        self._forms, self._learnt, self._named = graded["form"].to_numpy(object), {}, NamedElements(self._embed)
        self._say_what_lacks(graded)
        rows = {key: self._graded(graded, t) for key, t in self._targets.items()}
        self._unseen = self._fit_unseen(graded, rows)
        for target in self._targets.values():
            self._fit_seen(target, rows[target.key])
        self.worth_ = self._learn_worth(rows)
        for target in self._targets.values():
            where, y = rows[target.key]
            held = self._held(where, target)
            said = held if target.seen is None else self._mixed(target, target.seen.unseen_, held)
            if target.seen is not None and not target.named:
                target.cuts = learn_cuts(said, y, target.levels)
            self._learnt[target.key] = Learnt(self._forms[where].tolist(), y, said, held)
        return self

    def grade(self, answers: pd.DataFrame) -> pd.DataFrame:
        """Table ``grades``: a row an answer and criterion of its rubric, or one row (criterion ``overall``) where there is no rubric; nothing is deferred.

        ``found`` quotes the words that name a key element, ``missing`` lists the elements that nothing names; ``flags`` may hold ``empty`` and ``cut``.
        """
        rows, self._named = [], NamedElements(self._embed)
        for question, part in self._by_question(answers):
            targets = [t for t in self._targets.values() if t.question_id == question]
            rubric = rubric_of(self._questions[question], self.rubrics_)
            texts = part["text"].astype(str).tolist()
            forms = [normalise(t) for t in texts]
            flags = [flags_of(written, form) for written, form in zip(texts, forms, strict=True)]
            self._hits(targets[0], forms)
            for target in targets[1:] or targets:
                p = self._said(target, forms)
                given, quotes = target.given(p), self._named.quotes(target.elements, texts, forms)
                rows.append(pd.DataFrame({
                    "answer_id": part["answer_id"].to_numpy(), "criterion_id": target.criterion_id, "score": target.levels[given],
                    "confidence": p[np.arange(len(p)), given], "deferred": False, "found": [q[0] for q in quotes], "missing": [q[1] for q in quotes],
                    "flags": flags, "rubric_version": rubric.version if rubric else None, "decided_by": "model", "_row": part["_row"].to_numpy()}))
        if not rows:
            return pd.DataFrame({name: [] for name in TABLES["grades"].names}).astype({"deferred": bool})
        return validate(pd.concat(rows).sort_values("_row", kind="stable").drop(columns="_row"), "grades")

    def probabilities(self, answers: pd.DataFrame) -> pd.DataFrame:
        """Calibrated probability of each level of the whole answer: index answer_id, a column a level (float), rows of sum 1.

        A level that a question does not have is 0 there.
        """
        parts, self._named = [], NamedElements(self._embed)
        for question, part in self._by_question(answers):
            target = self._targets[question, OVERALL]
            p = self._said(target, [normalise(t) for t in part["text"].astype(str)])
            parts.append(pd.DataFrame(p, index=part["_row"], columns=target.levels))
        if not parts:
            return pd.DataFrame(index=pd.Index([], name="answer_id"))
        found = pd.concat(parts).fillna(0.0).sort_index()
        return found[sorted(found.columns)].set_axis(pd.Index(answers["answer_id"], name="answer_id"))

    def overall(self, answers: pd.DataFrame) -> pd.Series:
        """The score of the whole answer (index answer_id), by the cut-points of its question; of a label, its level."""
        p = self.probabilities(answers)
        found = pd.Series(np.nan, index=p.index, name="score")
        where = answers["question_id"].astype(str).to_numpy()
        for question in pd.unique(where):
            target, rows = self._targets[question, OVERALL], np.flatnonzero(where == question)
            found.iloc[rows] = target.levels[target.given(p[target.levels].to_numpy()[rows])]
        return found

    def nearest(self, answers: pd.DataFrame) -> pd.DataFrame:
        """The graded answers that an answer is most like: a row an answer and level, with ``exemplar`` (normal form) and ``similarity`` from 0 to 1.

        Other learners wrote them: for the eyes of the teacher only. A question without graded answers has no rows.
        """
        rows = []
        for question, part in self._by_question(answers):
            target = self._targets[question, OVERALL]
            if target.seen is not None:
                forms = [normalise(t) for t in part["text"].astype(str)]
                where, how = target.seen.nearest(forms, self._vectors(forms))
                rows += [(answer, level, target.seen.texts[w], h) for answer, places, near in zip(part["answer_id"], where, how, strict=True)
                         for level, w, h in zip(target.levels, places, near, strict=True) if w >= 0]
        return pd.DataFrame(rows, columns=["answer_id", "level", "exemplar", "similarity"])

    def save(self, path: Path) -> None:
        """Write the fitted grader into one file without code in it; it holds the graded answers, so keep it like them."""
        model_file.write(path, self.kind, *self._state())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; scores are identical."""
        told, arrays = model_file.read(path, cls.kind)
        return cls(**told["settings"])._restored(told, arrays)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that was learnt: graders with one fingerprint give the same scores."""
        told, arrays = self._state()
        return fingerprint(told, *(part for name in sorted(arrays) for part in (name, arrays[name])))

    def _state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        self._fitted()
        unseen, arrays = self._unseen.state()
        arrays = {f"unseen.{name}": value for name, value in arrays.items()}
        targets = []
        for i, target in enumerate(self._targets.values()):
            told, inside = target.state()
            targets.append(told)
            arrays |= {f"target{i}.{name}": value for name, value in inside.items()}
        told = {"settings": {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}, "labels": self.labels_, "worth": self.worth_,
                "lacks": self.lacks_, "rubrics": [model_file.plain(one.table()) for one in self.rubrics_.values()],
                "questions": model_file.plain(pd.DataFrame(list(self._questions.values()))), "targets": targets, "unseen": unseen}
        return told, arrays

    def _restored(self, told: dict[str, Any], arrays: dict[str, Array]) -> Self:
        self.labels_, self.worth_, self.lacks_ = told["labels"], told["worth"], told["lacks"]
        self.rubrics_ = {one.rubric_id: one for rows in told["rubrics"] for one in [Rubric.from_table(pd.DataFrame(rows))]}
        self._questions = {row["question_id"]: row for row in told["questions"]}

        def below(prefix: str) -> dict[str, Array]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        found = [Target.restored(one, below(f"target{i}."), self._seen_route()) for i, one in enumerate(told["targets"])]
        self._targets, self._named = {t.key: t for t in found}, NamedElements(self._embed)
        self._unseen = self._unseen_route().restored(told["unseen"], below("unseen."))
        return self

    def _fitted(self) -> None:
        if not hasattr(self, "_targets"):
            raise NotFittedError(f"this {self.kind} has not been fitted; call fit(answers, rubric, questions) first")

    @property
    def _embed(self) -> Embed | None:
        return text.embed if self.embeddings else None

    def _vectors(self, forms: Sequence[str]) -> Array | None:
        return text.embed(list(forms)) if self.embeddings else None

    def _hits(self, target: Target, forms: Sequence[str]) -> Array | None:
        """(N, E) whether each answer names each key element of a target; a clause means the nearest of all elements that the question asks for."""
        self._named.hits(self._targets[target.question_id, OVERALL].elements, forms)
        return self._named.hits(target.elements, forms)

    def _seen_route(self) -> SeenRoute:
        return SeenRoute(self.trees, self.folds, self.penalty, self.seed)

    def _unseen_route(self) -> UnseenRoute:
        return UnseenRoute(self.unseen_trees, self.folds, self.unseen_penalty, self.seed)

    def _by_question(self, answers: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        """The answers of each question, with the row of each."""
        self._fitted()
        asked = answers["question_id"].astype(str)
        if len(odd := asked[~asked.isin(list(self._questions))]):
            raise DataError(f"answers.question_id must be of the questions that the grader was fitted with; found {odd.iloc[0]!r} in {len(odd):,} of "
                            f"{len(answers):,} rows. Fit it again with a table of questions that holds it.")
        return [(str(question), part) for question, part in answers.assign(_row=np.arange(len(answers))).groupby(asked.to_numpy(), sort=True)]

    def _graded(self, graded: pd.DataFrame, target: Target) -> tuple[Array, Array]:
        """Rows of the graded answers that have a score of this target, and the positions of their levels."""
        mine = graded["question_id"].to_numpy() == target.question_id
        column = "score" if target.criterion_id == OVERALL else CRITERION + target.criterion_id
        alone = sum(t.question_id == target.question_id for t in self._targets.values()) == 2  # the only criterion is the whole answer
        column = "score" if column not in graded and alone else column
        score = graded[column].to_numpy(float) if column in graded else np.full(len(graded), np.nan)
        rows = np.flatnonzero(mine & np.isin(score, target.levels))
        y = np.searchsorted(target.levels, score[rows])
        target.counts = np.bincount(y, minlength=len(target.levels)).astype(float)
        return rows, y

    def _fit_unseen(self, graded: pd.DataFrame, rows: dict[tuple[str, str], tuple[Array, Array]]) -> UnseenRoute:
        """The unseen route, learnt on whole answers to the questions that share the commonest number of levels."""
        route = self._unseen_route()
        whole = [t for t in self._targets.values() if t.criterion_id == OVERALL and len(rows[t.key][0])]
        sizes = pd.Series([len(t.levels) for t in whole for _ in rows[t.key][0]], dtype=int)
        size = int(sizes.mode().iloc[0]) if len(sizes) else 2
        used = [t for t in whole if len(t.levels) == size] if self.route != "seen" else []
        where = np.concatenate([rows[t.key][0] for t in used]) if used else np.zeros(0, int)
        self._held_rows = {row: i for i, row in enumerate(where.tolist())}
        about = [t.asked for t in used for _ in rows[t.key][0]]
        return route.fit(graded["form"].iloc[where].tolist(), about, [t.question_id for t in used for _ in rows[t.key][0]],
                         np.concatenate([rows[t.key][1] for t in used]) if used else np.zeros(0, int), size, not self.labels_, self._embed)

    def _fit_seen(self, target: Target, rows: tuple[Array, Array]) -> None:
        where, y = rows
        if self.route == "unseen" or len(y) < FEWEST or len(np.unique(y)) < 2:
            return
        forms = self._forms[where].tolist()
        target.seen = self._seen_route().fit(forms, y, len(target.levels), self._vectors(forms), self._hits(target, forms), not target.named)

    def _held(self, rows: Array, target: Target) -> Array:
        """What the unseen route says of graded answers of which it had seen none of the same question."""
        if target.criterion_id == OVERALL and self._unseen.learnt_ and all(row in self._held_rows for row in rows.tolist()):
            return self._unseen.unseen_[[self._held_rows[row] for row in rows.tolist()]]
        return self._unseen_of(target, self._forms[rows].tolist())

    def _learn_worth(self, rows: dict[tuple[str, str], tuple[Array, Array]]) -> float:
        """How many graded answers the unseen route is worth: that which makes the grades of answers neither had seen most probable."""
        both = [(t.seen.unseen_, self._held(rows[t.key][0], t), rows[t.key][1]) for t in self._targets.values() if t.seen is not None and t.asked.known]
        if self.route != "auto" or sum(len(y) for _, _, y in both) < FEW_TO_TELL:
            return WORTH

        return learn_worth(both, WORTHS, WORTH)

    def _unseen_of(self, target: Target, forms: Sequence[str]) -> Array:
        """What reference and rubric say; where there is neither, how often each level was given, one more of each."""
        if not target.asked.known:
            share = (target.counts + 1) / (target.counts + 1).sum()
            return np.tile(share, (len(forms), 1))
        if not len(forms):
            return np.zeros((0, len(target.levels)))
        return self._unseen.probabilities(forms, [target.asked] * len(forms), len(target.levels), self._embed, self._hits(target, forms),
                                          target.criterion_id == OVERALL)

    def _mixed(self, target: Target, seen: Array, unseen: Array) -> Array:
        worth = self.worth_ if target.asked.known and self.route == "auto" else 0.0
        n = target.counts.sum()
        return (n * seen + worth * unseen) / (n + worth)

    def _said(self, target: Target, forms: Sequence[str]) -> Array:
        """(N, K) probabilities; each distinct answer is graded once, in an order of their own; an empty one stands at the lowest level."""
        distinct = sorted(set(forms) - {""})
        found = {"": np.eye(len(target.levels))[0]}
        for start in range(0, len(distinct), AT_ONCE):
            part = distinct[start : start + AT_ONCE]
            p = self._unseen_of(target, part) if target.seen is None or (target.asked.known and self.route == "auto" and self.worth_) else None
            if target.seen is not None:
                seen = target.seen.probabilities(part, self._vectors(part), self._named.hits(target.elements, part))
                p = seen if p is None else self._mixed(target, seen, p)
            found |= dict(zip(part, p, strict=True))
        return np.array([found[form] for form in forms]).reshape(len(forms), len(target.levels))

    def _say_what_lacks(self, graded: pd.DataFrame) -> None:
        """Keep, and warn of, what a better grade would need."""
        whole = [t for t in self._targets.values() if t.criterion_id == OVERALL]
        self.lacks_ = [word for word, lacking in (
            ("a rubric (criteria, levels, key elements)", not self.rubrics_), ("reference answers", not any(t.asked.references for t in whole)),
            ("graded answers", not len(graded))) if lacking]
        blind = [t.question_id for t in whole if not t.asked.known and (graded["question_id"] == t.question_id).sum() < FEWEST]
        if blind:
            warnings.warn(f"{len(blind):,} of {len(whole):,} questions (first: {blind[0]}) have no rubric, no reference answer and fewer than {FEWEST} graded "
                          "answers: their scores are guesses. Add one of these.", stacklevel=3)
