"""Which key elements of a rubric an answer names, in whose words, and which it denies: with the place in the text, so that a teacher sees why.

An element is found where a stretch of the answer holds its words (any alternative's; other endings, another order and slips of the pen allowed) and
says the same
side of it: "it does not evaporate" does not name "evaporates", and "there is no photosynthesis" does not name "photosynthesis".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from edukit.grading.element_words import BREAKS, ENDS, STOP, STOPPING, WEAK, Token, alike, denies, opposite, tokens

ENOUGH = 0.65  # share of the words of an alternative that must be there, chosen on invented answers of seeds 1 to 5
REACH = 5  # words before or after the stretch within which a denial counts
CLOSE = 0.15  # cosine similarity from which a clause means the element it is nearest to, where embeddings are asked for; chosen likewise
COLUMNS = ("answer", "element", "found", "score", "start", "end", "quote", "denied")
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Wanted:
    """One alternative of an element: its words of weight, and whether it denies something itself."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    weights: tuple[float, ...]
    negative: bool

    @property
    def span(self) -> int:
        """Most words a stretch may have."""
        return 3 * len(self.words) + 5


@dataclass(frozen=True)
class Found:
    """A stretch of an answer that holds an element's words."""

    score: float
    start: int
    end: int
    denied: bool


def alternatives(element: str) -> list[str]:
    """The ways to say one key element, which stand between `` | ``."""
    return [way.strip() for way in re.split(r"\s\|\s|\n", element) if way.strip()]


@lru_cache(maxsize=20_000)
def wanted(alternative: str) -> Wanted | None:
    """What to look for; None where an alternative has no word of weight."""
    told = [t for t in tokens(alternative) if t.word not in STOP and t.word not in ENDS and t.word not in BREAKS]
    kept = [t for t in told if not denies(t.word)]
    if not kept:
        return None
    first = {t.stem: t for t in reversed(kept)}
    ordered = [t for t in kept if first[t.stem] is t]
    weights = tuple(0.5 if t.stem in WEAK else 1.0 for t in ordered)
    return Wanted(tuple(t.word for t in ordered), tuple(t.stem for t in ordered), weights, sum(denies(t.word) for t in told) % 2 == 1)


def find(texts: Sequence[str] | pd.Series, elements: Sequence[str], embed: Embed | None = None, enough: float = ENOUGH, close: float = CLOSE) -> pd.DataFrame:
    """A row a text and element: whether it is named, and where.

    Parameters
    ----------
    texts : N answers; of a Series the index names them, else they are numbered from 0.
    elements : E key elements, alternatives of one separated by `` | ``.
    embed : texts -> (n, d) unit vectors (:func:`edukit.text.embed`), to find clauses that mean an element without its words; None = words only.
    enough : share of an alternative's words that must be there (words that say little count half). close : similarity that suffices with ``embed``.

    Returns
    -------
    DataFrame
        ``answer, element, found, score`` (share of the words there, or the similarity; 0 where nothing is), ``start, end, quote`` (the place in the
        original text
        and its words; of a denial where nothing names the element; missing where nothing is there) and ``denied`` (a clause says the opposite).

    Examples
    --------
    >>> found = find(["In the sun water evaporates.", "Water does not evaporate!"], ["evaporates | turns to vapour"])
    >>> found[["found", "denied", "quote"]].to_numpy().tolist()
    [[True, False, 'evaporates'], [False, True, 'not evaporate']]
    """
    series = texts if isinstance(texts, pd.Series) else pd.Series(list(texts), dtype=object)
    ways = [[w for way in alternatives(element) if (w := wanted(way))] for element in elements]
    read = [tokens(text) if isinstance(text, str) else [] for text in series]
    best = [[_best(told, each, enough) for each in ways] for told in read]
    if embed is not None:
        _add_paraphrases(best, read, series, elements, embed, close)
    rows = []
    for label, text, found in zip(series.index, series, best, strict=True):
        for element, (named, denial) in zip(elements, found, strict=True):
            shown = named or denial
            rows.append((label, element, named is not None, named.score if named else 0.0, shown.start if shown else pd.NA, shown.end if shown else pd.NA,
                         text[shown.start:shown.end] if shown else None, denial is not None))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"found": bool, "score": float, "start": "Int64", "end": "Int64", "denied": bool, "quote": "str", "element": "str"})


def _best(told: list[Token], ways: list[Wanted], enough: float) -> tuple[Found | None, Found | None]:
    """The best stretch that names an element, and the best that denies it; of two that overlap only the better counts."""
    every = sorted((found for way in ways for found in _stretches(told, way, enough)), key=lambda f: -f.score)
    kept: list[Found] = []
    for found in every:
        if not any(found.start < k.end and k.start < found.end and found.denied != k.denied for k in kept):
            kept.append(found)
    return next((f for f in kept if not f.denied), None), next((f for f in kept if f.denied), None)


def _stretches(told: list[Token], way: Wanted, enough: float) -> Iterator[Found]:
    """Every stretch of one sentence that holds enough of an alternative's words."""
    hits = [(i, k) for i, token in enumerate(told) for k, word in enumerate(way.words) if alike(token.word, word) or opposite(token.stem, way.stems[k])]
    total = sum(way.weights)
    if sum(way.weights[k] for k in {k for _, k in hits}) < enough * total:
        return
    seen: dict[int, int] = {}
    for n, (end, k) in enumerate(hits):
        begin = next((i for i in range(end, -1, -1) if told[i].word in ENDS), -1)
        seen[k] = end
        if n + 1 < len(hits) and hits[n + 1][0] == end:
            continue
        there = {k: i for k, i in seen.items() if i > begin and end - i <= way.span}
        share = sum(way.weights[k] for k in there) / total
        if share < enough:
            continue
        orders = [there[k] for k in sorted(there)]
        turned = sum(a > b for a, b in zip(orders, orders[1:], strict=False)) / max(len(orders) - 1, 1)
        turned_round, first, last = _denied(told, sorted(there.values()), way, there)
        yield Found(share * (1 - 0.05 * turned) - 1e-4 * (last - first), told[first].start, told[last].end, turned_round)


def _denied(told: list[Token], at: list[int], way: Wanted, there: dict[int, int]) -> tuple[bool, int, int]:
    """Whether the clause of a stretch says the opposite of the alternative, and the stretch with the words that deny it."""
    first, last = at[0], at[-1]
    left = first
    while left > 0 and first - left < REACH and told[left - 1].word not in ENDS and told[left - 1].word not in BREAKS:
        left -= 1
    right = last
    while right + 1 < len(told) and right - last < REACH - 1 and told[right + 1].word not in ENDS and told[right + 1].word not in BREAKS:
        right += 1
    against = [i for i in range(left, right + 1) if i not in at and (
        denies(told[i].word) and not (told[i].word == "not" and i < right and told[i + 1].word == "only") or told[i].stem in STOPPING)]
    against += [i for k, i in there.items() if opposite(told[i].stem, way.stems[k])]
    negative = len(against) % 2 == 1
    return negative != way.negative, min([first, *against]), max([last, *against])


def _clauses(told: list[Token]) -> Iterator[tuple[int, int]]:
    """First and last word of each clause of three words or more."""
    begin = 0
    for i in range(len(told) + 1):
        if i == len(told) or told[i].word in ENDS or told[i].word in BREAKS:
            if i - begin >= 3:
                yield begin, i - 1
            begin = i + 1


def _add_paraphrases(best: list, read: list[list[Token]], texts: pd.Series, elements: Sequence[str], embed: Embed, close: float) -> None:
    """Name elements that no words named where a clause is nearer to them in meaning than to any other, and as negative as they are; changes ``best``.

    A clause whose words name or deny an element means that element and no other.
    """
    clauses = []
    for n, (text, told) in enumerate(zip(texts, read, strict=True)):
        taken = [(f.start, f.end) for pair in best[n] for f in pair if f is not None]
        spans = ((told[a].start, told[b].end, a, b) for a, b in _clauses(told))
        clauses += [(n, Found(0, start, end, sum(denies(t.word) for t in told[a:b + 1]) % 2 == 1), text[start:end])
                    for start, end, a, b in spans if not any(start < stop and begin < end for begin, stop in taken)]
    ways = [(e, way, bool((w := wanted(way)) and w.negative)) for e, element in enumerate(elements) for way in alternatives(element)]
    if not clauses or not ways:
        return
    likeness = np.asarray(embed([words for _, _, words in clauses])) @ np.asarray(embed([way for _, way, _ in ways])).T
    for row, (n, clause, _) in zip(likeness, clauses, strict=True):
        nearest = int(np.argmax(row))
        element, _, negative = ways[nearest]
        if row[nearest] >= close and best[n][element] == (None, None) and negative == clause.denied:
            best[n][element] = (Found(float(row[nearest]), clause.start, clause.end, False), None)
