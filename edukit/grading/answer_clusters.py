"""A person grades a few answers for many: what a grader is not sure of is put into clusters, and a grade spreads only where it is safe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from edukit.grading.normal_form import normalise
from edukit.schema import DataError

UNLIKE = 0.55  # cosine similarity below which an answer is not represented by the middle of its cluster
SURE = 0.9  # answers the grader is surer of are left alone


def representatives(texts: pd.Series, confidence: pd.Series, budget: int, seed: int = 0, sure: float = SURE) -> pd.DataFrame:
    """Which answers a person should grade, so that their grades tell most of the others.

    Parameters
    ----------
    texts : answers to one question, by answer_id. confidence : that of their scores, by answer_id; an answer at least ``sure`` is left out.
    budget : answers a person will grade, at most.

    Returns
    -------
    DataFrame
        ``answer_id, cluster`` (from 0), ``representative`` (one a cluster: the answer in its middle) and ``likeness`` to it in [0, 1]; empty where all is sure.

    Raises
    ------
    DataError
        For a budget below one.
    """
    if budget < 1:
        raise DataError(f"budget must be at least 1 answer to grade; found {budget}.")
    unsure = texts[confidence.reindex(texts.index).fillna(0) < sure]
    if unsure.empty:
        return pd.DataFrame({"answer_id": pd.Series([], dtype="str"), "cluster": pd.Series([], dtype="int64"), "representative": pd.Series([], dtype=bool),
                             "likeness": pd.Series([], dtype=float)})
    space = _vectors([normalise(str(t)) for t in unsure])
    size = min(budget, len(unsure))
    cluster = np.arange(len(unsure)) if size == len(unsure) else _grouped(space, size, seed)
    from sklearn.metrics.pairwise import linear_kernel

    chosen, likeness = np.zeros(len(unsure), bool), np.zeros(len(unsure))
    for c in np.unique(cluster):
        rows = np.flatnonzero(cluster == c)
        alike = linear_kernel(space[rows])
        middle = rows[int(np.argmax(alike.sum(axis=1)))]
        chosen[middle] = True
        likeness[rows] = alike[:, int(np.argmax(alike.sum(axis=1)))]
    return pd.DataFrame({"answer_id": unsure.index, "cluster": np.unique(cluster, return_inverse=True)[1], "representative": chosen,
                         "likeness": np.clip(likeness, 0, 1)})


def spread(clusters: pd.DataFrame, grades: Mapping[str, float], least: float = UNLIKE) -> pd.Series:
    """Grades by answer_id that follow from those a person gave: only where the answer is much like a graded one of its cluster and those graded there agree.

    Parameters
    ----------
    clusters : of :func:`representatives`. grades : answer_id -> what a person gave; more than the representatives may be graded.
    least : likeness to the representative from which its grade spreads.

    Returns
    -------
    Series
        What is graded and what follows; NaN where a person still has to look.
    """
    found = clusters["answer_id"].map(grades).astype(float)
    for _, rows in clusters.groupby("cluster").groups.items():
        given = found.loc[rows].dropna().unique()
        if len(given) == 1:
            near = clusters.loc[rows, "likeness"] >= least
            found.loc[rows] = found.loc[rows].where(found.loc[rows].notna() | ~near, given[0])
    return pd.Series(found.to_numpy(), index=pd.Index(clusters["answer_id"], name="answer_id"), name="score")


def _vectors(texts: list[str]):
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit_transform([t or " . " for t in texts])


def _grouped(space, size: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(size, n_init=1, random_state=seed).fit_predict(space)
