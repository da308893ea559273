"""Does a prediction know what it should not? Proofs that a model reads no answer ahead of time, and what a table of predictions gives away by itself."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit import splits
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

CHANGE = 1e-6  # largest change of a prediction that is rounding
CHANCE = 0.03  # how far from .5 an AUC on answers drawn at random may lie, or three standard errors where they are larger
TOO_GOOD = 0.97  # no tracing model comes near this AUC on answers it did not see
ALIKE = 0.8  # agreement beyond chance from which on rows of one item, or one moment, are taken for one response; true second tries agree less
ENOUGH = 50  # rows below which a check of a table says nothing
NEEDED = ("learner_id", "correct", "probability")
OF_ANSWERING = ("correct", "hints", "response_time_s", "answer_changes", "response")  # what a row holds only once it is answered


@dataclass(frozen=True)
class Proof:
    """What was asked, and what was found.

    Parameters
    ----------
    name, question : in words.
    held : whether nothing leaked; None = cannot be told from what is there.
    found : in words, with the first offender where there is one.
    """

    name: str
    question: str
    held: bool | None
    found: str

    def __str__(self) -> str:
        return f"{'held' if self.held else 'not told' if self.held is None else 'LEAK':<9}{self.name:<20}{self.question}\n{'':<29}{self.found}"


def is_static(model: Any) -> bool:
    """Whether a model predicts targets from given responses, without order."""
    return "given" in inspect.signature(model.predict).parameters


def prove(make: Callable[[], Any], log: pd.DataFrame, q_matrix: pd.DataFrame, graph_of: Callable[[pd.DataFrame], PrerequisiteGraph],
          seed: int = 0) -> Iterator[Proof]:
    """Four proofs of a model of :mod:`edukit.protocols`, on data of one's own.

    Parameters
    ----------
    make : makes a new, unfitted model.
    log : table ``interactions``.
    q_matrix : which concepts the items assess.
    graph_of : makes the graph from training rows.
    seed : draws the split, the answers and the places where the future is changed.

    Yields
    ------
    Proof
        ``random answers``: answers drawn at random, two thirds of the items with two concepts, score .5. ``later rows``: a learner's present
        and later answers change no prediction up to now, nor does it matter whether there are later rows. ``other learners``: nor do other test learners.
        ``test answers``: fitted again once it was asked with every test answer turned round, the file is the same, byte by byte. Graph and model are
        handed training rows alone, so that this finds what is kept on the side of the answers it was asked about.

    Raises
    ------
    DataError
        Where the model lacks a method, or predicts anything but probabilities aligned to the rows.

    References
    ----------
    Badran and Preisach (2024), arXiv 2403.15304 (rows expanded by concept show the answer).
    """
    if lacking := [verb for verb in ("fit", "predict", "save") if not callable(getattr(make(), verb, None))]:
        raise DataError(f"the model must have the methods fit, predict and save; found no {', '.join(lacking)}. See LearnerModel in edukit.protocols.")
    static, log = is_static(make()), log.reset_index(drop=True)
    split = splits.cells(log, seed) if static else splits.by_learner(log, seed)
    train, test = split.part(log, "train"), split.part(log, "test")
    yield _random_answers(make, log, q_matrix, static, seed)
    model = make().fit(train, graph_of(train))
    first = _bytes(model)
    repeats = first == _bytes(make().fit(train, graph_of(train)))

    def ask(rows: pd.DataFrame) -> np.ndarray:
        return _asked(model, rows, train if static else None)

    yield _later_rows(ask, test, static, seed)
    yield _other_learners(ask, test, seed)
    ask(test.assign(correct=1 - test["correct"]))
    same = _bytes(make().fit(train, graph_of(train))) == first
    words = "another one every time, so that nothing can be told: give the model a seed" if not repeats else "the same" if same else "another one"
    yield Proof("test answers", "fitted again once asked with all test answers turned round: does the fit change?", same if repeats else None,
                f"{len(test):,} answers turned; the fitted file is {words}")


def _bytes(model: Any) -> bytes:
    """The file that a fitted model is saved to."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        return (Path(folder) / "model").read_bytes()


def _asked(model: Any, rows: pd.DataFrame, given: pd.DataFrame | None) -> np.ndarray:
    """(N,) what the model predicts of the rows."""
    found = model.predict(rows) if given is None else model.predict(rows, given)
    if not isinstance(found, pd.Series) or not found.index.equals(rows.index):
        raise DataError(f"predict must return a Series aligned to the rows asked; found {type(found).__name__}.")
    p = found.to_numpy(float)
    if (bad := ~((p >= 0) & (p <= 1))).any():
        raise DataError(f"predictions must lie in [0, 1]; found {p[bad][0]} in {int(bad.sum()):,} of {len(p):,}.")
    return p


def _random_answers(make: Callable[[], Any], log: pd.DataFrame, q_matrix: pd.DataFrame, static: bool, seed: int) -> Proof:
    """Answers that nothing can predict, on the learners' own items and order; a second concept shows rows that are expanded on the way."""
    rng = np.random.default_rng(seed)
    concepts = sorted({*q_matrix["concept_id"], "(a second concept)"})
    items = np.array(sorted(q_matrix["item_id"].unique()), object)
    some = items[rng.random(len(items)) < 2 / 3]
    more = pd.DataFrame({"item_id": some, "concept_id": rng.choice(concepts, len(some))})
    both = pd.concat([q_matrix[["item_id", "concept_id"]], more], ignore_index=True).drop_duplicates(ignore_index=True)
    drawn = log.assign(correct=(rng.random(len(log)) < 0.6).astype(float))
    split = splits.cells(drawn, seed) if static else splits.by_learner(drawn, seed, test=0.5)
    train, test = split.part(drawn, "train"), split.part(drawn, "test")
    model = make().fit(train, ConceptGraph.from_tables(None, None, both))
    answer = test["correct"].to_numpy()
    found = auc(answer, _asked(model, test, train if static else None))
    right = answer.sum()
    bound = max(CHANCE, 3 * np.sqrt((len(answer) + 1) / (12 * max(right * (len(answer) - right), 1))))
    return Proof("random answers", "answers drawn at random: is anything predicted?", None if np.isnan(found) else bool(abs(found - 0.5) <= bound),
                 f"AUC {found:.3f} on {len(answer):,} answers; .5 ± {bound:.3f} is chance")


def _later_rows(ask: Callable[[pd.DataFrame], np.ndarray], test: pd.DataFrame, static: bool, seed: int) -> Proof:
    """Change all that answering tells from a place on, and the items after it, or leave the rows after it out: predictions up to there must stay."""
    question = "present and later answers changed, later rows left out: do predictions up to now change?"
    before = ask(test)
    if static:
        change = np.abs(ask(test.assign(correct=1 - test["correct"])) - before)
        return _unchanged("own answers", "asked answers changed: do predictions change?", test, change)
    rng = np.random.default_rng(seed)
    place = test.sort_values(["learner_id", "order"], kind="stable").groupby("learner_id").cumcount().reindex(test.index).to_numpy()
    code, names = pd.factorize(test["learner_id"])
    length, worst = np.bincount(code), np.zeros(len(test))
    for _ in range(3):
        cut = rng.integers(0, length)[code]
        changed, now, later = test.copy(), place >= cut, place > cut
        for column in (c for c in OF_ANSWERING if c in test):
            changed.loc[now, column] = rng.permutation(changed.loc[now, column].to_numpy())
        changed.loc[now, "correct"] = 1 - test.loc[now, "correct"]
        changed.loc[later, "item_id"] = rng.permutation(changed.loc[later, "item_id"].to_numpy())
        worst = np.maximum(worst, np.where(later, 0, np.abs(ask(changed) - before)))
        worst[~later] = np.maximum(worst[~later], np.abs(ask(test[~later]) - before[~later]))
    return _unchanged("later rows", question, test, worst)


def _other_learners(ask: Callable[[pd.DataFrame], np.ndarray], test: pd.DataFrame, seed: int) -> Proof:
    """Predictions of a few learners must be the same whoever is asked with them."""
    ids = test["learner_id"].unique()
    some = test["learner_id"].isin(np.random.default_rng(seed).permutation(ids)[:max(1, len(ids) // 5)]).to_numpy()
    change = np.zeros(len(test))
    change[some] = np.abs(ask(test[some]) - ask(test)[some])
    return _unchanged("other learners", "asked without the others: do predictions change?", test, change)


def _unchanged(name: str, question: str, rows: pd.DataFrame, change: np.ndarray) -> Proof:
    wrong = change > CHANGE
    words = f"{len(rows):,} predictions; largest change {change.max(initial=0):.1g}"
    if wrong.any():
        first = rows.iloc[int(np.argmax(wrong))]
        words = f"{int(wrong.sum()):,} of {words} (first: learner {first['learner_id']}, order {first['order']}, item {first['item_id']})"
    return Proof(name, question, not wrong.any(), words)


def of_predictions(table: pd.DataFrame) -> list[Proof]:
    """What predictions of an unknown model give away: columns ``learner_id, correct, probability`` and, for more checks, ``item_id, order``.

    Without ``order`` the rows of a learner are taken in the order of the table. A check that needs what is not there says so. That nothing is found here
    is no proof: only :func:`prove` asks the model itself.

    Raises
    ------
    DataError
        Where a column is absent, or a value is no answer or no probability.
    """
    if absent := [c for c in NEEDED if c not in table]:
        raise DataError(f"predictions must have the columns {', '.join(NEEDED)} (item_id and order allow more checks); {', '.join(absent)} not among "
                        f"{', '.join(map(str, table.columns))}. Rename them.")
    for column in ("correct", "probability"):
        number = pd.to_numeric(table[column], errors="coerce")
        if (bad := ~number.between(0, 1).to_numpy()).any():
            raise DataError(f"predictions.{column} must lie in [0, 1]; found {table[column].iloc[int(np.argmax(bad))]} in {int(bad.sum()):,} of "
                            f"{len(table):,} rows (first: row {int(np.argmax(bad)) + 1}).")
    if not len(table):
        raise DataError("predictions must hold rows; found none.")
    if table["learner_id"].isna().any():
        raise DataError(f"predictions.learner_id must be there in every row; found none in {int(table['learner_id'].isna().sum()):,} of {len(table):,} rows.")
    ordered = table.assign(learner_id=table["learner_id"].astype(str), correct=table["correct"].astype(float), probability=table["probability"].astype(float))
    ordered = ordered.sort_values([c for c in ("learner_id", "order") if c in table], kind="stable").reset_index(drop=True)
    return [_too_good(ordered), *_one_row_each(ordered), _first_answers(ordered)]


def _too_good(rows: pd.DataFrame) -> Proof:
    right = rows["correct"].to_numpy() >= 0.5
    found = auc(right, rows["probability"].to_numpy())
    held = bool(found < TOO_GOOD) if min(right.sum(), (~right).sum()) >= ENOUGH else None
    return Proof("plausible score", "is the score one that a tracing model can have?", held,
                 f"AUC {found:.3f} on {len(rows):,} rows of {rows['learner_id'].nunique():,} learners; {TOO_GOOD} and more is taken for a leak")


def _one_row_each(rows: pd.DataFrame) -> Iterator[Proof]:
    """Rows of one response, seen by their order, or by the same item again at once with the same answer nearly always."""
    name, question = "one row each", "is one response one row, rather than one per concept?"
    same_learner = (rows["learner_id"] == rows["learner_id"].shift()).to_numpy()
    answer, again = rows["correct"].to_numpy(), np.zeros(len(rows), bool)
    chance = answer.mean() ** 2 + (1 - answer.mean()) ** 2  # how often two answers agree that have nothing to do with each other
    same = {c: same_learner & (rows[c] == rows[c].shift()).to_numpy() for c in ("order", "item_id") if c in rows}
    if len(same) == 2:  # one moment, one item; items handed in together have a moment in common and nothing else
        again |= same["order"] & same["item_id"]
    for repeated in same.values():
        if repeated.sum() >= ENOUGH and (answer[repeated] == np.roll(answer, 1)[repeated]).mean() > chance + ALIKE * (1 - chance):
            again |= repeated
    if not same:
        yield Proof(name, question, None, "needs a column item_id or order")
        return
    if not again.any():
        yield Proof(name, question, True, f"{len(rows):,} rows, {len(rows):,} responses")
        return
    score = {words: auc(rows["correct"].to_numpy()[of], rows["probability"].to_numpy()[of])
             for words, of in (("all rows", np.ones(len(rows), bool)), ("first rows of a response", ~again), ("its other rows", again))}
    previous = np.where(same_learner, np.roll(answer, 1), answer.mean())
    yield Proof(name, question, False,
                f"{int(again.sum()):,} of {len(rows):,} rows repeat the response before; AUC {', '.join(f'{k} {v:.3f}' for k, v in score.items())}; the "
                f"answer of the row before, taken for a prediction, scores {auc(answer, previous):.3f}. Score one row per response")


def _first_answers(rows: pd.DataFrame) -> Proof:
    """Of a learner's first response nothing is known but the item: nothing that reads the item alone ranks better than its rate among these answers.

    Only learners whose rows are all there count, by their ``order``: what stands before the first row of others is not known.
    """
    name, question = "first answers", "does a learner's first prediction know more than the item tells?"
    needs = f"needs item_id, order from the first response on, and {ENOUGH} learners with right and wrong first answers"
    if "item_id" not in rows or "order" not in rows:
        return Proof(name, question, None, needs)
    order = pd.to_numeric(rows["order"], errors="coerce").groupby(rows["learner_id"])
    start, number = order.transform("min"), order.transform("nunique")
    whole = start.isin([0, 1]) & (order.transform("max") - start + 1 == number)
    first = rows[whole & (rows["learner_id"] != rows["learner_id"].shift())]
    y = (first["correct"] >= 0.5).to_numpy(float)
    if len(first) < ENOUGH or y.min() == y.max():
        return Proof(name, question, None, f"{needs}; found {len(first):,} learners")
    own, best = auc(y, first["probability"].to_numpy()), auc(y, pd.Series(y).groupby(first["item_id"].to_numpy()).transform("mean").to_numpy())
    error = np.sqrt((len(y) + 1) / (12 * y.sum() * (len(y) - y.sum())))
    return Proof(name, question, bool(own <= max(best, 0.5) + 3 * error),
                 f"AUC {own:.3f} on {len(y):,} first answers; the items' rates among these answers score {best:.3f}")
