"""Whether the probability of an edge means what it says: put right on pairs that the model had not learnt from, and shown with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.recalibration import Platt

PAIR = ["concept_id", "requires_id"]
BINS = 10


def headline(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers without random negatives and without positives that follow from the pairs learnt from: both are easy, and would flatter."""
    return answers[(answers["origin"] != "random") & ~answers["implied"].astype(bool)]


def cross_fitted(answers: pd.DataFrame) -> pd.Series:
    """Each answer's score made a probability by a curve that was fitted on the other folds of its seed, and on other pairs only.

    Parameters
    ----------
    answers : rows of :func:`edukit.graph.pair_benchmark.run_fold` of one model and part.

    Returns
    -------
    Series
        Aligned to the index; the scores themselves where there is no other fold.
    """
    ends = np.sort(answers[PAIR].to_numpy(dtype=object).astype(str), axis=1)
    pair = pd.MultiIndex.from_arrays(ends.T).factorize()[0]
    score, label = answers["score"].to_numpy(float), answers["label"].to_numpy(float)
    counts = (headline(answers).index.get_indexer(answers.index) >= 0) & np.isfinite(score)
    found = np.empty(len(answers))
    seeds, folds = answers["seed"].to_numpy(), answers["fold"].to_numpy()
    for seed, fold in dict.fromkeys(zip(seeds, folds, strict=True)):
        here = (seeds == seed) & (folds == fold)
        others = (seeds == seed) & ~here & counts & ~np.isin(pair, pair[here])
        found[here] = Platt.fit(score[others], label[others])(score[here]) if others.any() else score[here]
    return pd.Series(found, index=answers.index, name="probability")


def edge_probabilities(pairs: pd.DataFrame, score: np.ndarray, answers: pd.DataFrame, others: int) -> pd.DataFrame:
    """How likely each edge is by what the model says of pairs that it did not learn from.

    People judge pairs that look like prerequisites, so that a pair which nobody judged is less likely one than its score says. For those the
    random negatives of the benchmark, taken as no prerequisites, stand for all pairs that were not judged: the probability is a prudent one.

    Parameters
    ----------
    pairs : ``concept_id, requires_id``, the edges of a model that was fitted on every label.
    score : (N,) what that model says of them; of pairs with a label this has seen the answer.
    answers : rows of :func:`edukit.graph.pair_benchmark.run_fold` with ``probability`` of :func:`cross_fitted`.
    others : ordered pairs of concepts that nobody judged.

    Returns
    -------
    DataFrame
        Aligned to ``pairs``: ``judged``; ``probability`` (of a judged pair the mean of its answers in folds that had not learnt from it, of another
        the prudent one); ``if_judged`` (the same for a judged pair; of another, what it would be among pairs such as people judge).
    """
    plain, random = headline(answers), answers[answers["origin"] == "random"]
    both = pd.concat([plain, random])
    often = len(plain) / max(len(plain.drop_duplicates(PAIR)), 1)  # how often a pair is asked: by two folds of a seed where concepts are held out
    weight = np.where(both["origin"] == "random", others * often / max(len(random), 1), 1.0)
    curve, prudent = (Platt.fit(rows["score"].to_numpy(float), rows["label"].to_numpy(float), w) for rows, w in ((plain, None), (both, weight)))
    own = answers[answers["origin"] != "random"].groupby(PAIR)["probability"].mean().reindex(pd.MultiIndex.from_frame(pairs[PAIR])).to_numpy(float)
    there = np.isfinite(own)
    return pd.DataFrame({"judged": there, "probability": np.where(there, own, prudent(score)), "if_judged": np.where(there, own, curve(score))},
                        index=pairs.index)


def reliability(answers: pd.DataFrame, probability: np.ndarray, draws: int = 200, seed: int = 0) -> tuple[pd.DataFrame, float]:
    """How often pairs were prerequisites when the model said p.

    Intervals are of concepts drawn again with replacement, since pairs that share a concept are no independent witnesses.

    Parameters
    ----------
    answers : ``concept_id, requires_id, label``; a pair may occur in several folds and seeds.
    probability : (N,) what was said.

    Returns
    -------
    table : a row for each of ten bins that holds a pair: ``predicted`` (mean), ``observed`` (share), ``low``, ``high`` (95 %), ``n`` answers,
        ``pairs`` different pairs.
    error : expected calibration error over those bins; without an interval, since drawing concepts again makes any model look worse calibrated.

    References
    ----------
    Snijders & Borgatti (1999), Connections 22 (vertex bootstrap).
    """
    p, label = np.clip(np.asarray(probability, float), 0, 1), answers["label"].to_numpy(float)
    ids = np.unique(answers[PAIR].to_numpy(dtype=object).astype(str))
    a, b = (np.searchsorted(ids, answers[c].to_numpy(dtype=object).astype(str)) for c in PAIR)
    weight = np.random.default_rng(seed).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=draws).astype(np.float32)
    pair = weight[:, a] * weight[:, b]
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for at in np.unique(place):
        here = place == at
        total, right = pair[:, here].sum(axis=1), pair[:, here] @ label[here]
        told = total > 0
        low, high = np.quantile(right[told] / total[told], [0.025, 0.975]) if told.any() else (np.nan, np.nan)
        rows.append({"predicted": p[here].mean(), "observed": label[here].mean(), "low": low, "high": high, "n": int(here.sum()),
                     "pairs": len(np.unique(a[here] * len(ids) + b[here]))})
        error += abs((label[here] - p[here]).sum()) / len(p)
    return pd.DataFrame(rows), float(error)
