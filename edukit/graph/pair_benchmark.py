"""How models of prerequisites are tried: which pairs they may learn from, which they are asked, and what they are never shown.

A model is handed the tables without ``concept_pairs`` and ``prerequisites``, and labels of training pairs only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit import splits
from edukit.protocols import PrerequisiteModel, Tables
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
TRACKS = {"random_leaky": splits.pairs_random, "grouped": splits.pairs_grouped, "inductive": splits.pairs_inductive}
LABELLED = ("concept_pairs", "prerequisites", "effects")  # tables that hold what is asked


def with_reversed(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs, and each positive the other way round as a negative where that order was not judged; ``origin`` says which were added."""
    turned = pairs.loc[pairs["label"] == 1].rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})
    key = [*PAIR, *(["domain"] if "domain" in pairs else [])]
    new = ~pd.MultiIndex.from_frame(turned[key]).isin(pd.MultiIndex.from_frame(pairs[key]))
    return pd.concat([pairs, turned[new].assign(label=0.0, origin="reversed")[pairs.columns]], ignore_index=True)


def random_negatives(pairs: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """As many pairs as there are positives, of concepts that were judged, drawn among those judged in neither order; an easy column apart.

    Fewer where there are not that many. They are asked, never learnt from.
    """
    ids = np.array(sorted({*pairs["concept_id"], *pairs["requires_id"]}))
    place = {c: k for k, c in enumerate(ids)}
    a, b = (pairs[c].map(place).to_numpy(int) for c in PAIR)
    size = len(ids)
    known = np.union1d(np.union1d(a * size + b, b * size + a), np.arange(size) * (size + 1))
    wanted = int((pairs["label"] == 1).sum())
    drawn = np.unique(np.random.default_rng(seed).integers(0, size * size, 4 * wanted + 100))
    free = np.random.default_rng(seed + 1).permutation(np.setdiff1d(drawn, known))[:wanted]
    return pd.DataFrame({"concept_id": ids[free // size], "requires_id": ids[free % size], "label": 0.0, "origin": "random"})


@dataclass(frozen=True, eq=False)
class Fold:
    """One part of a trial: rows of ``concept_pairs`` to learn from, to choose a threshold on (may be empty) and to be asked.

    ``test`` has two columns more: ``part`` (``inductive_both`` for two unseen ends, else the track) and ``implied`` (positives that follow
    from the pairs learnt from).
    """

    track: str
    seed: int
    number: int
    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame


def _inner(rows: pd.DataFrame, maker: Callable[..., splits.Split], seed: int, valid: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and one of ``valid`` parts to choose on, drawn as the test was; 0 sets nothing apart."""
    if not valid:
        return rows, rows.iloc[:0]
    split = maker(rows, seed=seed + 1000, folds=valid, fold=0)
    train = split.part(rows, "train")
    return train, rows.drop(train.index)


def make_fold(pairs: pd.DataFrame, track: str, seed: int = 0, number: int = 0, folds: int = 5, valid: int = 6) -> Fold:
    """Part the pairs.

    Parameters
    ----------
    pairs : table ``concept_pairs``, as :func:`with_reversed` returns it.
    track : ``random_leaky``, ``grouped``, ``inductive`` (test has one unseen end, or two), or the name of a domain to leave out.
    seed, number, folds : which of how many parts is asked.
    valid : one of so many parts of the rest is set apart to choose a threshold; 0 = none.

    Raises
    ------
    DataError
        For an unknown track, or a part that would be empty.
    """
    pairs = pairs.reset_index(drop=True)
    if track in TRACKS:
        maker = TRACKS[track]
        split = maker(pairs, seed=seed, folds=folds, fold=number)
    elif "domain" in pairs and track in set(pairs["domain"]):
        maker, split = splits.pairs_inductive, splits.pairs_by_domain(pairs, track)
    else:
        raise DataError(f"track must be one of {', '.join(TRACKS)}, or a domain of concept_pairs; found {track}")
    train, valid_rows = _inner(split.part(pairs, "train"), maker, seed, valid)
    parts = [split.part(pairs, name).assign(part=name if name == "inductive_both" else split.name) for name in ("test", "inductive_both") if name in split.rows]
    test = pd.concat(parts)
    follows = splits.implied(pd.concat([train, valid_rows]), test[test["label"] == 1])
    return Fold(track, seed, number, train, valid_rows, test.assign(implied=follows.reindex(test.index, fill_value=False)))


def ask_random(fold: Fold, random: pd.DataFrame) -> pd.DataFrame:
    """Random negatives that are as strange to the fold's training pairs as its test pairs are: as many unseen ends, or any on other tracks."""
    learnt = pd.concat([fold.train, fold.valid])
    unseen = (~random[PAIR].isin({*learnt["concept_id"], *learnt["requires_id"]})).sum(axis=1)
    if fold.track != "inductive":
        return random.assign(part=fold.test["part"].iloc[0], implied=False)
    asked = random[unseen > 0]
    return asked.assign(part=np.where(unseen[unseen > 0] == 2, "inductive_both", "inductive"), implied=False)


def best_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """Score from which on a pair counts as a prerequisite, with the largest F1; .5 where there is nothing to choose on.

    Examples
    --------
    >>> best_threshold(np.array([0, 1, 1]), np.array([.1, .3, .7]))
    0.2
    """
    if not (label == 1).any() or not (label == 0).any():
        return 0.5
    order = np.argsort(-score, kind="stable")
    ranked, right = score[order], np.cumsum(label[order] == 1)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    best = int(ends[np.argmax(2 * right[ends] / (ends + 1 + right[-1]))])
    return float(ranked[best] if best + 1 == len(ranked) else (ranked[best] + ranked[best + 1]) / 2)


def without_labels(tables: Tables) -> dict[str, pd.DataFrame]:
    """The tables a model may read besides its labels."""
    return {name: table for name, table in tables.items() if name not in LABELLED}


def _questions(rows: pd.DataFrame) -> pd.DataFrame:
    """What a model is asked: the pairs, with their domain where they have one, and nothing that people said of them."""
    return rows[[c for c in (*PAIR, "domain") if c in rows]]


def run_fold(model: Callable[[], PrerequisiteModel], tables: Tables, fold: Fold, random: pd.DataFrame) -> pd.DataFrame:
    """Fit on the training pairs, choose the threshold on the validation pairs, fit again on both, and score what is asked.

    Parameters
    ----------
    model : makes a new model.
    tables : of the data; those that hold labels are kept from the model.
    fold : of :func:`make_fold`.
    random : of :func:`random_negatives`.

    Returns
    -------
    DataFrame
        The rows of ``fold.test`` and random negatives (``origin`` random) with ``score``, ``reverse`` (score of the other order), ``threshold``,
        ``seed`` and ``fold``. A score of NaN (abstained) ranks lowest.
    """
    seen = without_labels(tables)
    threshold = 0.5
    if len(fold.valid):
        threshold = best_threshold(fold.valid["label"].to_numpy(), model().fit(seen, fold.train).predict(_questions(fold.valid)).fillna(0.0).to_numpy())
    fitted = model().fit(seen, pd.concat([fold.train, fold.valid]).sort_index())
    asked = pd.concat([fold.test, ask_random(fold, random)], ignore_index=True)
    questions = _questions(asked)
    turned = questions.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})
    return asked.assign(score=fitted.predict(questions).fillna(0.0).to_numpy(), reverse=fitted.predict(turned).fillna(0.0).to_numpy(),
                        threshold=threshold, seed=fold.seed, fold=fold.number)
