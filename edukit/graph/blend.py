"""Which concept requires which, told by several models of pairs and by what they say of all the other pairs of the two concepts."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import expit

from edukit.graph.course_features import SMALL, products
from edukit.graph.pair_features import EVERY, PAIR, PairFeatures
from edukit.graph.pair_kernel import KernelSVM
from edukit.graph.pair_models import BLOCK, ExtraTrees, Logistic, PairModel, Rows, Scaler

GRID = 400_000  # pairs of a told graph asked together
CHUNK = 4_096  # pairs read together: what is read of them stays in the processor's cache
TRUST = 3  # scale of the margins of the pair itself beside what the told graph says


class Told:
    """The graph as far as it is told: P(concept, through) and P(through, concept), the labels of known pairs, else a model's margin cut to [0, 1].

    Parameters
    ----------
    out, into : (C, R) probabilities that a concept requires each of R others, and that each of them requires it; both are kept, not copied.
    """

    def __init__(self, out: np.ndarray, into: np.ndarray) -> None:
        self.out, self.into = out, into

    def with_labels(self, rows: Rows, label: np.ndarray, column: np.ndarray) -> Told:
        """The same with what is known of some pairs; ``column`` (C,) is the place of each concept among the R, or -1."""
        out, into = self.out.copy(), self.into.copy()
        for held, one, other in ((out, rows.a, column[rows.b]), (into, rows.b, column[rows.a])):
            held[one[other >= 0], other[other >= 0]] = label[other >= 0]
        return Told(out, into)

    def numbers(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, 10) paths of two from one concept to the other and back, their share of all from and to, likeness, and how many each requires and serves."""
        out, into = self.out, self.into
        path, back = _inner(out, into, a, b), _inner(out, into, b, a)
        needs, serves = out.sum(axis=1), into.sum(axis=1)
        alike = [_inner(m, m, a, b) / np.sqrt(np.maximum(each[a] * each[b], 1e-9)) for m in (out, into) for each in [(m**2).sum(axis=1)]]
        shares = [path / np.maximum(needs[a], 0.1), path / np.maximum(serves[b], 0.1)]
        return np.column_stack([path, back, *shares, *alike, needs[a], serves[a], needs[b], serves[b]])


def _inner(left: np.ndarray, right: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) inner products of rows; of many concepts a block of pairs at a time, so that their rows are never all side by side."""
    step = len(a) if len(left) <= SMALL else BLOCK
    return np.concatenate([products(left, right, a[k:k + step], b[k:k + step]) for k in range(0, len(a), max(step, 1))] or [np.zeros(0)])


class _Head:
    """A logistic regression over scaled numbers; the first few, the margins of the pair itself, are held back :data:`TRUST` squared times less."""

    def __init__(self, numbers: np.ndarray, label: np.ndarray, trusted: int, penalty: float) -> None:
        from sklearn.linear_model import LogisticRegression

        self._scaler, self._trusted = Scaler(numbers), trusted
        self._model = LogisticRegression(C=1 / penalty, max_iter=500).fit(self._scaled(numbers), label)

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        return self._scaler(numbers) * np.where(np.arange(numbers.shape[1]) < self._trusted, TRUST, 1)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        return expit(self._model.decision_function(self._scaled(numbers)))


class Blend(PairModel):
    """What a kernel of pairs, a logistic regression and trees say of a pair and its reverse, and of the two concepts' other pairs, weighed together.

    The kernel's margins for all pairs of a concept with the concepts seen in training make a graph that is told, not known; training labels stand
    in it where there are some. Paths of two, degrees and likeness in it are weighed beside the margins by two logistic regressions: one for pairs
    of two concepts seen in training, learnt on training pairs left out one by one with their reverse; one for the rest, learnt on training pairs left
    out concept by concept. No pair's own label is in what it is weighed by. Each ordered pair is read once, whichever order is asked.

    The default settings were chosen on folds of seeds 100 and 101 of the data sets of the benchmark (it reports seeds 0 to 2) and on validation concepts
    inside their training parts. Surroundings for the logistic regression were kept, as they ranked held-out concepts of UCD and AL-CPL data mining better;
    labels carried along likeness, a global order of the told graph and making the two orders of a pair compete were tried and did not, or not on two sets.

    Parameters
    ----------
    parts : left-out parts behind the weights, of each kind.
    through : most concepts that the told graph leads through; those in most training pairs.
    trees : trees of the third member; 0 = two members only.
    surroundings : whether the logistic regression counts walks over the graph that needs no label.
    penalty : strength of the ridge penalty on the weights.
    threshold, most_candidates : of :meth:`graph`.
    seed : draws the parts, the landmarks of the kernel and the trees.

    References
    ----------
    Wolpert (1992), Neural Networks 5 (stacking); Neville & Jensen (2000), AAAI workshop on statistical relational learning (iterative classification).
    """

    block: ClassVar[int] = 200_000

    def __init__(self, parts: int = 4, through: int = 400, trees: int = 0, surroundings: bool = True, penalty: float = 10.0,
                 threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.parts, self.through, self.trees, self.surroundings, self.penalty = parts, through, trees, surroundings, penalty

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        self._members: list[KernelSVM | Logistic | ExtraTrees] = [KernelSVM(folds=0, seed=self.seed), Logistic(surroundings=self.surroundings)]
        self._members += [ExtraTrees(trees=self.trees, seed=self.seed)] if self.trees else []
        for member in self._members:
            member.prepare(features, rows)
        a, b = features.positions(rows)
        count = np.bincount(np.concatenate([a, b]), minlength=len(features.concepts))
        self._seen = count > 0
        self._ways = np.sort(np.argsort(-count, kind="stable")[:min(self.through, int(self._seen.sum()))])
        self._column = np.full(len(count), -1)
        self._column[self._ways] = np.arange(len(self._ways))
        here, there = self._both(features, rows)
        parts = list(self._parts(a, b, label, len(count)))
        solved = [self._solved(here, inside, label) for _, inside, _ in parts]
        self._members = self._solved(here, np.arange(len(label)), label)
        kernels = [members[0] for members in (*solved, self._members)]
        told = [Told(*(np.zeros((len(count), len(self._ways)), np.float32) for _ in range(2))) for _ in kernels]
        self._is_told = self._seen | (len(count) <= EVERY)
        self._tell(features, np.flatnonzero(self._seen), kernels, told)
        self._tell(features, np.flatnonzero(self._is_told & ~self._seen), kernels[-1:], told[-1:])
        found: dict[bool, list[tuple[np.ndarray, np.ndarray]]] = {False: [], True: []}
        for (both_seen, inside, left), members, graph in zip(parts, solved, told[:-1], strict=True):
            known = graph.with_labels(here[0].take(inside), label[inside], self._column)
            found[both_seen].append((self._numbers(members, [r.take(left) for r in here], [r.take(left) for r in there], known), label[left]))
        self._heads = {kind: _Head(np.concatenate([n for n, _ in some]), np.concatenate([y for _, y in some]), len(self._members), self.penalty)
                       for kind, some in found.items() if some}
        self._told = told[-1].with_labels(here[0], label, self._column)

    def _both(self, features: PairFeatures, pairs: pd.DataFrame) -> tuple[list[Rows], list[Rows]]:
        """The pairs, and the pairs the other way round, as each member reads them."""
        turned = pairs.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))
        return [m.rows(features, pairs) for m in self._members], [m.rows(features, turned) for m in self._members]

    def _parts(self, a: np.ndarray, b: np.ndarray, label: np.ndarray, size: int) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
        """(whether both ends stay seen, rows inside, rows left out); parts in which one label is absent are passed over."""
        rng = np.random.default_rng(self.seed)
        concept = rng.integers(0, self.parts, size)
        distinct, at = np.unique(np.minimum(a, b) * size + np.maximum(a, b), return_inverse=True)
        pair = rng.integers(0, self.parts, len(distinct))[at]
        for part in range(self.parts):
            for both_seen, out in ((False, (concept[a] == part) | (concept[b] == part)), (True, pair == part)):
                inside, left = np.flatnonzero(~out), np.flatnonzero(out)
                if len(np.unique(label[inside])) == len(np.unique(label[left])) == 2:
                    yield both_seen, inside, left

    def _solved(self, here: list[Rows], inside: np.ndarray, label: np.ndarray) -> list[KernelSVM | Logistic | ExtraTrees]:
        """Members that learnt from some of the rows."""
        solved = [copy(member) for member in self._members]
        for member, rows in zip(solved, here, strict=True):
            member.solve(rows.take(inside), label[inside])
        return solved

    def _tell(self, features: PairFeatures, concepts: np.ndarray, kernels: list, told: list[Told]) -> None:
        """Fill the rows of some concepts in the graphs that the kernels tell."""
        size, step = len(features.concepts), max(GRID // max(len(self._ways), 1), 1)
        for some in (concepts[k:k + step] for k in range(0, len(concepts), step)):
            one, other = np.repeat(some, len(self._ways)), np.tile(self._ways, len(some))
            code, at = np.unique(np.concatenate([one * size + other, other * size + one]), return_inverse=True)
            said = np.zeros((len(code), len(kernels)), np.float32)
            for k, (rows,) in _read(features, code, kernels[:1]):
                said[k:k + CHUNK] = np.column_stack([np.where(rows.a == rows.b, 0, kernel.answer(rows)) for kernel in kernels])
            for found, graph in zip(said[at].T.reshape(len(kernels), 2, len(some), -1), told, strict=True):
                graph.out[some], graph.into[some] = found

    def _numbers(self, members: list, here: list[Rows], there: list[Rows], told: Told) -> np.ndarray:
        """What is weighed: margins of the pair and of its reverse, and the numbers of the told graph."""
        margins = [member.margin(rows) for side in (here, there) for member, rows in zip(members, side, strict=True)]
        return np.column_stack([*margins, told.numbers(here[0].a, here[0].b)])

    def _margins(self, features: PairFeatures, pairs: pd.DataFrame, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        """Two (N, members) arrays: margins of the pairs and of their reverses, each ordered pair read once."""
        size, domains = len(features.concepts), None
        code, back = a * size + b, b * size + a
        if "domain" in pairs:
            domain, domains = pairs["domain"].factorize(use_na_sentinel=False)
            code, back = domain * size**2 + code, domain * size**2 + back
        distinct, at = np.unique(np.concatenate([code, back]), return_inverse=True)
        found = np.zeros((len(distinct), len(self._members)))
        for k, some in _read(features, distinct, self._members, domains):
            found[k:k + CHUNK] = np.column_stack([member.margin(rows) for member, rows in zip(self._members, some, strict=True)])
        return np.split(found[at], 2)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        a, b = features.positions(pairs)
        here, there = self._margins(features, pairs, a, b)
        if not self._heads:
            return np.clip(here[:, 0], 0, 1)
        new = np.setdiff1d(np.concatenate([a, b]), np.flatnonzero(self._is_told))
        self._tell(features, new, self._members[:1], [self._told])
        self._is_told[new] = True
        numbers = np.column_stack([here, there, self._told.numbers(a, b)])
        usual = self._heads.get(False) or self._heads[True]
        return np.where(self._seen[a] & self._seen[b], self._heads.get(True, usual)(numbers), usual(numbers))


def _read(features: PairFeatures, code: np.ndarray, members: list, domains: pd.Index | None = None) -> Iterator[tuple[int, list[Rows]]]:
    """Where a chunk of distinct pairs begins, and the chunk as each member reads it; ``code`` is (domain C + first) C + second."""
    size, ids = len(features.concepts), features.concepts["concept_id"].to_numpy(dtype=object)
    for k in range(0, len(code), CHUNK):
        rest, b = np.divmod(code[k:k + CHUNK], size)
        domain, a = np.divmod(rest, size)
        pairs = pd.DataFrame({PAIR[0]: ids[a], PAIR[1]: ids[b], **({} if domains is None else {"domain": domains[domain]})})
        numbers = features.numbers(pairs, (a, b))
        yield k, [member.read(features, a, b, numbers) for member in members]
