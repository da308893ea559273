"""What courses say of two concepts: who mentions them, in which order, which course requires which, how deep in the programme they stand.

Only the text of courses and the requirements between courses are read, never a label of a pair of concepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

CLOSEST = 5  # course texts that count as half a mention, where they are the closest to a name
SMALL = 1_500  # up to so many concepts, a number of all pairs is one product of matrices
STRANGERS = 4  # random pairs of courses beside each one that is required
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
_LEFT, _RIGHT = len(r"(?<!\w)"), len(r"(?:s|es)?(?!\w)")

OF_ONE = ("mentions", "words_found", "titles", "level", "lowest_level", "depth", "height", "requires", "required", "place", "text_hubness",
          "name_rank", "sentence_rank")
OF_TWO = ("flow", "flow_back", "flow_per_mention", "flow_back_per_mention", "comention_of_concept", "comention_of_requires",
          "found_flow", "found_flow_back", "found_flow_share", "found_flow_back_share", "two_hops", "two_hops_back", "reach_share", "reach_back_share",
          "found_of_concept", "found_of_requires", "found_more_than_chance", "named_first", "sentences", "sentence_of_concept", "sentence_of_requires",
          "named_first_in_sentence", "in_title_of_concept", "in_title_of_requires", "title_flow", "title_flow_back", "cosine_texts", "cosine_sentences",
          "crossed_cosines", "crossed_sentences", "cosine_concept_sentence", "cosine_requires_sentence", "course_like", "course_like_back",
          "course_like_sentence", "course_like_sentence_back")
COURSES = (*OF_TWO, *(f"{name}_{of}" for of in ("concept", "requires", "difference") for name in OF_ONE))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def products(left: Any, right: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) inner products of row ``a`` of ``left`` with row ``b`` of ``right``, (C, F) arrays or sparse; C x C only where C is small."""
    if left.shape[0] <= SMALL and len(a) > 500:
        whole = left @ right.T
        return np.asarray((whole.toarray() if sparse.issparse(whole) else whole)[a, b], float)
    if sparse.issparse(left):
        return np.asarray(left[a].multiply(right[b]).sum(axis=1), float).ravel()
    return np.einsum("nf,nf->n", left[a], right[b]).astype(float)


def hubness(rows: np.ndarray) -> np.ndarray:
    """(C,) mean cosine of each concept to all: general concepts are near to many."""
    return (rows @ rows.mean(axis=0)).astype(float)


def _spread(rows: list[int], columns: list[int], values: list[float], shape: tuple[int, int]) -> Any:
    return sparse.csr_array((np.array(values, float), (np.array(rows, int), np.array(columns, int))), shape=shape)


def _longest(links: Any) -> np.ndarray:
    """(D,) longest chain of courses required one after the other, below each course; a circle stops counting after D steps."""
    course, needs = links.nonzero()
    deep = np.zeros(links.shape[0])
    for _ in range(min(links.shape[0], 50)):
        step = deep.copy()
        np.maximum.at(step, course, deep[needs] + 1)
        if (step == deep).all():
            break
        deep = step
    return deep


@dataclass(frozen=True, eq=False)
class CourseFeatures:
    """Numbers of C concepts and of their ordered pairs, read from D courses.

    ``mentions`` counts a name in the text of a course 1, and a course among the five closest to the name a half; ``found`` counts names only.
    ``course_like`` says how much two concepts look like a course and one that it requires: a logistic regression on the titles of courses, which
    knows no concept; ``name_rank`` is what it says of the order alone.

    Parameters
    ----------
    documents, links : tables ``documents`` and ``document_links``; no links are allowed.
    names : (C, E) unit-length embeddings of the concepts' names.
    spoken : per concept, what its name looks like in a text in lower case.
    embed : makes unit-length embeddings of texts.

    References
    ----------
    Liang et al. (2017), AAAI (EAAI), for concept prerequisites from course prerequisites; Pan et al. (2017), ACL, for order in courses.
    """

    documents: pd.DataFrame
    links: pd.DataFrame | None
    names: np.ndarray
    spoken: list[re.Pattern[str]]
    embed: Callable[[list[str]], np.ndarray] = field(repr=False)

    @cached_property
    def texts(self) -> np.ndarray:
        """(D, E) unit-length embeddings of the course texts."""
        return self.embed(self.documents["text"].tolist())

    @cached_property
    def titles(self) -> np.ndarray:
        """(D, E) unit-length embeddings of the titles; of the texts where courses have none."""
        return self.embed(self.documents["title"].fillna("").tolist()) if "title" in self.documents else self.texts

    @cached_property
    def _places(self) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]], list[str]]:
        """Where names stand: (concept, course, share of the text before it), (concept, sentence, share of the sentence before it), and the sentences."""
        split = [_SENTENCE.split(text) for text in self.documents["text"]]
        start = np.cumsum([0, *map(len, split)])
        lower, low = [text.lower() for text in self.documents["text"]], [[s.lower() for s in said] for said in split]
        courses, sentences = [], []
        for concept, pattern in enumerate(self.spoken):
            stem = pattern.pattern[_LEFT:-_RIGHT].replace("\\", "")
            for d, text in enumerate(lower):
                if stem not in text or (first := pattern.search(text)) is None:
                    continue
                courses.append((concept, d, first.start() / len(text)))
                sentences += [(concept, int(start[d]) + k, at.start() / len(s)) for k, s in enumerate(low[d]) if stem in s and (at := pattern.search(s))]
        return courses, sentences, [s for said in split for s in said]

    @cached_property
    def mentions(self) -> np.ndarray:
        """(C, D) float32: 1 where a course's text holds the concept's name, half where it is only among the five closest to it."""
        found = np.zeros((len(self.names), len(self.documents)), np.float32)
        for row in range(0, len(found), 1024):
            near = np.argsort(-self.names[row:row + 1024] @ self.texts.T, axis=1, kind="stable")[:, :CLOSEST]
            np.put_along_axis(found[row:row + 1024], near, 0.5, axis=1)
        for concept, course, _ in self._places[0]:
            found[concept, course] = 1.0
        return found

    @cached_property
    def sentences(self) -> np.ndarray:
        """(C, E) unit-length mean embedding of the sentences that mention each concept; of the closest course texts where none does."""
        _, said, text = self._places
        used = list(dict.fromkeys(text[s] for _, s, _ in said))
        place, vectors = {s: k for k, s in enumerate(used)}, self.embed(used)
        weight = _spread([c for c, _, _ in said], [place[text[s]] for _, s, _ in said], [1.0] * len(said), (len(self.names), len(used)))
        near = unit((self.mentions > 0).astype(np.float32) @ self.texts)
        return unit(np.where(weight.sum(axis=1)[:, None] > 0, weight @ vectors, near)).astype(np.float32)

    @cached_property
    def requires(self) -> Any:
        """(D, D) 1 where the course of the row requires that of the column."""
        place = {d: k for k, d in enumerate(self.documents["document_id"])}
        links = self.links if self.links is not None else pd.DataFrame({"document_id": [], "requires_id": []})
        ends = [links[c].map(place).to_numpy(float) for c in ("document_id", "requires_id")]
        there = ~(np.isnan(ends[0]) | np.isnan(ends[1]))
        return _spread(ends[0][there].astype(int).tolist(), ends[1][there].astype(int).tolist(), [1.0] * int(there.sum()), (len(place),) * 2).minimum(1)

    @cached_property
    def _reached(self) -> Any:
        """(D, D) 1 where one course requires another, directly or not."""
        found, step = self.requires, self.requires
        for _ in range(50):
            step = (step @ self.requires).minimum(1)
            more = found.maximum(step)
            if more.nnz == found.nnz:
                break
            found = more
        return found

    @cached_property
    def _like(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights of a logistic regression on course titles: for the difference of two (their order), and for [one, other, product] and a constant."""
        from sklearn.linear_model import LogisticRegression

        course, needs = self.requires.nonzero()
        if len(course) < 20:
            return np.zeros(self.names.shape[1]), np.zeros(3 * self.names.shape[1] + 1)
        apart = self.titles[course] - self.titles[needs]
        order = LogisticRegression(fit_intercept=False, max_iter=200).fit(np.vstack([apart, -apart]), np.repeat([1, 0], len(course)))
        strange = np.random.default_rng(0).integers(0, len(self.titles), (2, STRANGERS * len(course)))
        one, other = np.concatenate([course, needs, strange[0]]), np.concatenate([needs, course, strange[1]])
        rows = np.hstack([self.titles[one], self.titles[other], 5 * self.titles[one] * self.titles[other]])
        pair = LogisticRegression(max_iter=200).fit(rows, np.arange(len(one)) < len(course))
        return order.coef_[0], np.append(pair.coef_[0], pair.intercept_)

    def _likeness(self, rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Log odds that the concept requires the other, were they courses."""
        one, other, both = np.split(self._like[1][:-1], 3)
        return (rows @ one)[a] + (rows @ other)[b] + 5 * products(rows * both, rows, a, b) + self._like[1][-1]

    @cached_property
    def _factors(self) -> dict[str, Any]:
        """Sparse (C, D) or (C, sentences) arrays whose products are counts of two concepts."""
        courses, said, text = self._places
        size = (len(self.names), len(self.documents))
        weight = sparse.csr_array(self.mentions).astype(float)
        c, d, first = zip(*courses, strict=True) if courses else ((), (), ())
        sc, s, at = zip(*said, strict=True) if said else ((), (), ())
        found = _spread(c, d, [1.0] * len(c), size)  # type: ignore[arg-type]
        title = self.documents["title"].fillna("").str.lower().tolist() if "title" in self.documents else [""] * size[1]
        titled = [(x, y) for x, y in zip(c, d, strict=True) if self.spoken[x].search(title[y])]
        entitled = _spread([x for x, _ in titled], [y for _, y in titled], [1.0] * len(titled), size)
        long = (len(self.names), len(text))
        two = (self.requires @ self.requires).minimum(1)
        return {"weight": weight, "found": found, "first": _spread(c, d, first, size), "titled": entitled,  # type: ignore[arg-type]
                "said": _spread(sc, s, [1.0] * len(sc), long), "at": _spread(sc, s, at, long),  # type: ignore[arg-type]
                "weight_needs": weight @ self.requires, "found_needs": found @ self.requires, "weight_two": weight @ two,
                "found_reach": weight @ self._reached, "titled_needs": entitled @ self.requires}

    @cached_property
    def of_one(self) -> np.ndarray:
        """(C, :data:`OF_ONE`) numbers of each concept."""
        parts = self._factors
        weight, found = parts["weight"], parts["found"]
        count, named = (np.asarray(m.sum(axis=1)).ravel() for m in (weight, found))
        level = self.documents["level"].to_numpy(float) if "level" in self.documents else np.full(len(self.documents), np.nan)
        known = np.isfinite(level)
        usual = level[known].mean() if known.any() else 0.0

        def mean(values: np.ndarray, at: np.ndarray | slice = slice(None), otherwise: float = 0.0) -> np.ndarray:
            among = np.asarray(weight[:, at].sum(axis=1)).ravel()
            return np.divide(weight[:, at] @ values[at], among, out=np.full(len(count), otherwise), where=among > 0)

        full = np.where(known, level, usual)
        lowest = np.array([full[row > 0].min() if (row > 0).any() else usual for row in self.mentions])
        out, into = (np.asarray(self.requires.sum(axis=k)).ravel() for k in (1, 0))
        place = np.divide(np.asarray(parts["first"].sum(axis=1)).ravel(), named, out=np.full(len(count), 0.5), where=named > 0)
        order = self._like[0]
        return np.column_stack([
            np.log1p(count), np.log1p(named), np.log1p(np.asarray(parts["titled"].sum(axis=1)).ravel()), mean(level, np.flatnonzero(known), usual), lowest,
            mean(_longest(self.requires)), mean(_longest(self.requires.T.tocsr())), mean(out), mean(into), place, hubness(self.sentences),
            self.names @ order, self.sentences @ order])

    def of_two(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, :data:`OF_TWO`) numbers of the pairs of concepts at ``a`` and ``b``."""
        f = self._factors
        count, named, told = (np.asarray(f[name].sum(axis=1)).ravel() for name in ("weight", "found", "said"))
        each, strict = np.maximum(count[a] * count[b], 1e-9), np.maximum(named[a] * named[b], 1.0)

        def both(left: str, right: str) -> tuple[np.ndarray, np.ndarray]:
            return products(f[left], f[right], a, b), products(f[left], f[right], b, a)

        flow, back = both("weight_needs", "weight")
        strictly, strictly_back = both("found_needs", "found")
        reach, reach_back = both("found_reach", "weight")
        beside, together = products(f["weight"], f["weight"], a, b), products(f["found"], f["found"], a, b)
        sentence = products(f["said"], f["said"], a, b)
        earlier = np.subtract(*both("found", "first")) / np.maximum(together, 1)
        sooner = np.subtract(*both("said", "at")) / np.maximum(sentence, 1)
        text = unit(f["weight"] @ self.texts)
        names, said = self.names, self.sentences
        chance = np.log((together + 0.1) * len(self.documents) / (strict + 0.1))
        return np.column_stack([
            np.log1p(flow), np.log1p(back), flow / each, back / each, beside / np.maximum(count[a], 1e-9), beside / np.maximum(count[b], 1e-9),
            np.log1p(strictly), np.log1p(strictly_back), strictly / strict, strictly_back / strict, *map(np.log1p, both("weight_two", "weight")),
            reach / each, reach_back / each, together / np.maximum(named[a], 1), together / np.maximum(named[b], 1), np.where(strict > 1, chance, 0.0),
            earlier, np.log1p(sentence), sentence / np.maximum(told[a], 1), sentence / np.maximum(told[b], 1), sooner,
            *map(np.log1p, both("titled", "found")), *map(np.log1p, both("titled_needs", "titled")), products(text, text, a, b),
            products(said, said, a, b), products(names, text, a, b) - products(names, text, b, a), products(names, said, a, b) - products(names, said, b, a),
            products(names, said, a, b), products(names, said, b, a), self._likeness(names, a, b), self._likeness(names, b, a),
            self._likeness(said, a, b), self._likeness(said, b, a)])

    def numbers(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, :data:`COURSES`) numbers of the pairs of concepts at ``a`` and ``b``: of the two together, of each, and the difference."""
        one = self.of_one
        return np.hstack([self.of_two(a, b), one[a], one[b], one[a] - one[b]])
