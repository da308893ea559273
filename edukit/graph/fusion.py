"""Which concept requires which, from every source at once: a calibrated sum of what names, courses, answers and exposure each say.

Every channel is judged alone first, on pairs of concepts that it was not trained on, and weighted by what that was worth. So the fused
probability comes apart into one number per channel, and a channel that is switched off is not read at all.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.channels import CHANNELS, Sources, dealt
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.pair_features import PAIR
from edukit.graph.pair_models import BLOCK, acyclic, training_labels
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError

CIRCULAR = ("exposure is circular where a platform leads learners along an expert's map: that it agrees with the map is then no evidence for the map. "
            "Beside it stands what the other channels say without it.")
FURTHEST = 8.0  # log odds that one channel may say at most


def in_words(told: pd.DataFrame) -> pd.Series:
    """What each channel says of some pairs, as the graph file keeps it.

    Parameters
    ----------
    told : of :meth:`Fusion.by_channel`; columns that are no channel and not ``prior`` are not read.

    Returns
    -------
    Series
        Sentences, aligned to the index: the log odds that each channel adds, the strongest first, and those before any of them.

    Examples
    --------
    >>> in_words(pd.DataFrame({"text": [0.5], "exposure": [2.0], "responses": [np.nan], "prior": [-1.0]}))[0]
    'log odds -1.0 before, exposure +2.0, text +0.5, responses silent'
    """
    channels = [c for c in CHANNELS if c in told]

    def sentence(row: pd.Series) -> str:
        order = sorted(channels, key=lambda c: -abs(row[c]) if np.isfinite(row[c]) else 1.0)
        return ", ".join([f"log odds {row['prior']:+.1f} before", *(f"{c} {row[c]:+.1f}" if np.isfinite(row[c]) else f"{c} silent" for c in order)])

    return pd.Series([sentence(row) for _, row in told.iterrows()], index=told.index, dtype="str")


def _logit(p: np.ndarray) -> np.ndarray:
    return np.clip(np.log(np.maximum(p, 1e-12)) - np.log(np.maximum(1 - p, 1e-12)), -30, 30)


class Fusion:
    """A calibrated stack: boosted trees per channel, then a logistic sum of their log odds with weights of at least 0.

    logit P(pair) = prior + sum over channels of weight x (log odds of the channel - log odds of the training pairs); 0 where a channel has
    nothing to go on. Weights and prior are fitted on log odds of pairs at least one end of which lies in a topic (without topics: is a
    concept) that the channel's trees were not trained on; that fit is also the calibration.

    Parameters
    ----------
    text, context, responses, exposure : whether the channel is used; None = where the tables allow it. ``text``: name embeddings.
        ``context``: numbers from courses or Wikipedia, in which the names are searched. ``responses``, ``exposure``: of
        :class:`~edukit.graph.log_features.LogFeatures`.
    min_common : learners needed before the log says anything of a pair.
    components : main components of the names.
    rounds, rate, leaves, smallest_leaf, penalty : of the boosted trees.
    negatives : negatives per positive that the trees are trained on; prior and weights are fitted as if all were there.
    folds : left-out parts behind the weights.
    threshold, most_candidates : of :meth:`graph`.
    seed : of draws and parts.

    References
    ----------
    Wolpert (1992), Neural Networks 5 (stacking); Breiman (1996), Machine Learning 24 (weights of at least 0); Platt (1999), Advances in Large
    Margin Classifiers; Ke et al. (2017), NeurIPS (boosting on histograms).
    """

    reads: ClassVar[str] = "both"

    def __init__(self, *, text: bool | None = None, context: bool | None = None, responses: bool | None = None, exposure: bool | None = None,
                 min_common: int = 20, components: int = 16, rounds: int = 60, rate: float = 0.1, leaves: int = 8, smallest_leaf: int = 20,
                 penalty: float = 1.0, negatives: int = 20, folds: int = 3, threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        self.text, self.context, self.responses, self.exposure = text, context, responses, exposure
        self.min_common, self.components = min_common, components
        self.rounds, self.rate, self.leaves, self.smallest_leaf, self.penalty = rounds, rate, leaves, smallest_leaf, penalty
        self.negatives, self.folds = negatives, folds
        self.threshold, self.most_candidates, self.seed = threshold, most_candidates, seed
        self._sources: Sources | None = None

    def sources(self, tables: Tables) -> Sources:
        """What the channels know of any pair; raises DataError naming the missing table of a channel that was asked for."""
        return Sources.of(tables, {channel: getattr(self, channel) for channel in CHANNELS}, self.min_common, self.components)

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Learn from ``labels``, the training pairs; of ``tables`` only what the channels read, never a label.

        ``notes`` then says what a reader of the result must know (that exposure may be circular).

        Raises
        ------
        DataError
            Without labels of both kinds, or without the table of a channel that was asked for.
        """
        training_labels(labels, type(self).__name__)
        return self.learn(self.sources(tables), labels)

    def learn(self, sources: Sources, labels: pd.DataFrame | None) -> Self:
        """As :meth:`fit`, on sources that several fits share."""
        rows = self._sample(training_labels(labels, type(self).__name__))
        label, weight = rows["label"].to_numpy(float), rows["weight"].to_numpy(float)
        part = self._parts(sources, rows)
        self._models: dict[str, Any] = {}
        self._bases: dict[str, float] = {}
        said: dict[str, np.ndarray] = {}
        for channel in sources.channels:
            x = sources.rows(channel, rows)
            known = np.isfinite(x).any(axis=1)
            if len(np.unique(label[known])) < 2:
                continue  # it knows no positive, or no negative: nothing to learn
            self._bases[channel] = float(_logit(label[known].mean()))
            said[channel] = self._left_out(x, label, known, part) - self._bases[channel]
            self._models[channel] = self._trees(x[known], label[known])
        self._told = (said, label, weight)
        self._sources, self.channels = sources, tuple(said)
        self._weigh()
        return self

    def only(self, *channels: str) -> Fusion:
        """The same with some channels alone: the very model that a fit with the others switched off would give, at no cost.

        Raises DataError for a channel that is not among ``channels`` of this model.
        """
        self._fitted()
        lost = [c for c in channels if c not in self._models]
        if lost or not channels:
            raise DataError(f"Fusion.only must name channels of {', '.join(self.channels)}; found {', '.join(lost) or 'none'}.")
        less = copy(self)
        less.channels = tuple(c for c in self.channels if c in channels)
        for channel in CHANNELS:
            setattr(less, channel, channel in channels)
        less._weigh()
        return less

    def _sample(self, labels: pd.DataFrame) -> pd.DataFrame:
        """All positives and some negatives, each with its weight, in an order that does not depend on that of the labels."""
        rows = labels[[*PAIR, "label"]].drop_duplicates().sort_values([*PAIR, "label"], ignore_index=True)
        no = np.flatnonzero(rows["label"].to_numpy() == 0)
        most = min(len(no), self.negatives * (len(rows) - len(no)))
        drawn = np.random.default_rng(self.seed).permutation(no)[:most]
        kept = np.sort(np.concatenate([np.flatnonzero(rows["label"].to_numpy() == 1), drawn]))
        rows = rows.iloc[kept].reset_index(drop=True)
        return rows.assign(weight=np.where(rows["label"] == 1, 1.0, len(no) / most))

    def _parts(self, sources: Sources, rows: pd.DataFrame) -> np.ndarray:
        """(N, 2) part of both ends: groups of concepts are dealt out to ``folds`` parts."""
        of = dealt(sources.groups(), self.folds, self.seed)
        return np.column_stack([rows[column].map(of).fillna(-1).to_numpy(int) for column in PAIR])

    def _trees(self, x: np.ndarray, label: np.ndarray) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(learning_rate=self.rate, max_iter=self.rounds, max_leaf_nodes=self.leaves, random_state=self.seed,
                                               min_samples_leaf=self.smallest_leaf, l2_regularization=self.penalty, early_stopping=False)
        return model.fit(np.where(np.isfinite(x).any(axis=0), x, 0.0), label)  # a number that no row has cannot be cut into bins

    def _left_out(self, x: np.ndarray, label: np.ndarray, known: np.ndarray, part: np.ndarray) -> np.ndarray:
        """(N,) log odds of each row from trees that saw no row of one of its ends' parts, averaged over both; NaN = not known."""
        total, count = np.zeros(len(x)), np.zeros(len(x))
        for fold in range(self.folds):
            out = (part == fold).any(axis=1)
            asked, taught = np.flatnonzero(out & known), np.flatnonzero(~out & known)
            if len(asked) and len(np.unique(label[taught])) == 2:
                model = self._trees(x[taught], label[taught])
                total[asked] += _logit(model.predict_proba(x[asked])[:, 1])
                count[asked] += 1
        return np.divide(total, count, out=np.full(len(x), np.nan), where=count > 0)

    def _weigh(self) -> None:
        """Fit the prior and a weight of at least 0 for each channel."""
        from scipy.optimize import minimize

        said, label, weight = self._told
        evidence = np.column_stack([np.ones(len(label)), *(np.clip(np.nan_to_num(said[c], nan=0.0), -FURTHEST, FURTHEST) for c in self.channels)])
        weight = weight / weight.sum()

        def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
            eta = evidence @ beta
            gap = weight * (1 / (1 + np.exp(-eta)) - label)
            return float(weight @ (np.logaddexp(0, eta) - label * eta)), evidence.T @ gap

        start = np.r_[_logit(np.array(weight @ label)), np.full(len(self.channels), 0.5)]
        bounds = [(None, None), *[(0.0, None)] * len(self.channels)]
        found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
        self.prior, self.weights = float(found[0]), dict(zip(self.channels, found[1:].tolist(), strict=True))
        self.notes = [CIRCULAR] if "exposure" in self.channels else []

    def _fitted(self) -> Sources:
        if self._sources is None:
            raise NotFittedError("Fusion was asked before it was fitted; call fit first.")
        return self._sources

    def raw(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Log odds of each channel alone, less those of the training pairs and not yet weighted; NaN where it has nothing to go on."""
        sources, found = self._fitted(), np.full((len(pairs), len(self.channels)), np.nan)
        for k, channel in enumerate(self.channels):
            for first in range(0, len(pairs), BLOCK):
                x = sources.rows(channel, pairs.iloc[first:first + BLOCK])
                known = np.isfinite(x).any(axis=1)
                if known.any():
                    found[first + np.flatnonzero(known), k] = _logit(self._models[channel].predict_proba(x[known])[:, 1]) - self._bases[channel]
        return pd.DataFrame(found, columns=list(self.channels), index=pairs.index)

    def combine(self, raw: pd.DataFrame) -> pd.DataFrame:
        """What :meth:`by_channel` says, from :meth:`raw` log odds that may hold more channels than this model uses."""
        part = raw[list(self.channels)].clip(-FURTHEST, FURTHEST) * pd.Series(self.weights)
        total = self.prior + part.sum(axis=1)
        return part.assign(prior=self.prior, probability=(1 / (1 + np.exp(-total))).where(part.notna().any(axis=1)))

    def by_channel(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Why a pair has its probability, aligned to the index: log odds that each channel adds to ``prior``, and ``probability``.

        A channel is NaN where it has nothing to go on (it then adds nothing); so is ``probability`` where no channel has.
        """
        return pd.concat([pairs[PAIR], self.combine(self.raw(pairs))], axis=1)

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Calibrated probability of each pair, aligned to the index; NaN where no channel has anything to go on."""
        return self.combine(self.raw(pairs))["probability"].rename("score").astype("float64")

    def graph(self) -> ConceptGraph:
        """Pairs at least as probable as ``threshold``, of two directions the likelier, less the least that closes a cycle.

        ``rationale`` says what each channel added.
        """
        sources = self._fitted()
        pairs = sources.candidates(self.most_candidates)
        scored = pairs.assign(score=self.predict(pairs)).dropna(subset="score")
        found = acyclic(sources.concepts, scored, self.threshold, "Fusion").prerequisites
        found = found.assign(channel="fusion", rationale=in_words(self.by_channel(found)) if len(found) else None)
        return ConceptGraph.from_tables(sources.concepts, found, sources.q_matrix)
