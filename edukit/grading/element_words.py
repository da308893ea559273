"""The words of an answer with their places in the original text, and which words are alike enough to be the same: endings, slips of the pen, opposites."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from edukit.grading.normal_form import normalise, stem

TOKEN = re.compile(r"[^\W_](?:[^\W_]|['\u2019\u00ad\u200b-\u200d\u2060\ufeff](?=[^\W_]|['\u2019\u00ad\u200b-\u200d\u2060\ufeff]))*|[.;!?\n\r,:]")
ENDS = frozenset(".;!?\n\r")
BREAKS = frozenset(",: and because so but then also while when if since although though whereas which or however therefore".split()) | {",", ":"}
STOP = frozenset("a an the is are was were be been being am to of in on at by for with from into it its they them their he she his her you your we our us i "
                 "my this that these those there here will would can could may might should must shall do does did has have had as than such very really also "
                 "just any some all what who how now s t".split())
NEGATORS = frozenset("no not never none nobody nothing nowhere neither nor cannot without hardly barely".split())
# these deny what they govern, where the element does not name them
STOPPING = frozenset(stem(w) for w in "stops prevents ceases fails lacks avoids missing unable".split())
WEAK = frozenset(stem(w) for w in ("more less make makes made use uses used get gets go goes going become becomes take takes taken carry carries carried put "
                                   "need needs needed give gives given thing things away turn turns say cause causes").split())
OPPOSITES: dict[str, frozenset[str]] = {stem(a): frozenset(stem(w) for w in b.split()) for a, b in {
    "more": "less fewer", "less": "more", "faster": "slower", "fast": "slow slowly", "warm": "cold cool colder cooler", "hot": "cold cool",
    "colder": "warmer hotter",
    "cold": "warm hot warmer hotter", "rise": "fall sink drop", "gain": "lose", "lose": "gain keep keeps", "increase": "decrease reduce",
    "decrease": "increase",
    "high": "low", "low": "high", "expand": "shrink contract", "contract": "expand", "attract": "repel", "repel": "attract",
    "larger": "smaller", "smaller": "larger",
    "rises": "falls sinks", "loses": "gains keeps"}.items()}


class Token(NamedTuple):
    """A word or mark: its place in the original text, its normal form and stem."""

    start: int
    end: int
    word: str
    stem: str


def tokens(text: str) -> list[Token]:
    """Words and the marks that end a thought, in their order; white space and invisible marks change nothing but the places."""
    found = []
    for match in TOKEN.finditer(text):
        word = _plain(match[0])
        found.append(Token(match.start(), match.end(), word, stem(word)) if word else Token(match.start(), match.end(), match[0], match[0]))
    return found


@lru_cache(maxsize=200_000)
def _plain(raw: str) -> str:
    return normalise(raw)


@lru_cache(maxsize=100_000)
def denies(word: str) -> bool:
    """Whether a word turns what is said round, such as `not`, `can't`, `dont`."""
    if word in NEGATORS or word.endswith("n't") or (len(word) > 4 and any(edits(word, w, 1) <= 1 for w in ("cannot", "never", "without"))):
        return True
    return word in ("dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "cant", "wont", "couldnt")


@lru_cache(maxsize=500_000)
def alike(word: str, other: str) -> bool:
    """Whether two words are one: the same stem, a long beginning in common, or a slip or two of the pen in a long word.

    Examples
    --------
    >>> alike("evaporates", "evaporation"), alike("evporates", "evaporate"), alike("heat", "head"), alike("conducts", "conduction")
    (True, True, False, True)
    """
    a, b = stem(word), stem(other)
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    if len(short) < 4 or short[0] != long[0]:
        return False
    if len(short) >= 6 and long.startswith(short[: max(6, len(short) - 2)]) and len(long) - len(short) <= 4:
        return True
    most = 2 if len(short) >= 8 else 1 if len(short) >= 5 else 0
    return most > 0 and (edits(a, b, most) <= most or edits(word, other, most) <= most)


def opposite(one: str, other: str) -> bool:
    """Whether two stems mean the opposite, such as those of `more` and `less`."""
    return one in OPPOSITES.get(other, ())


def edits(a: str, b: str, most: int) -> int:
    """Fewest letters left out, put in, changed or swapped with the next to make one word the other; ``most + 1`` where it is more.

    References
    ----------
    Damerau (1964), Communications of the ACM 7 (optimal string alignment).
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    before, row = list[int](), list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        fresh = [i]
        for j, other in enumerate(b, 1):
            cost = min(row[j] + 1, fresh[j - 1] + 1, row[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            fresh.append(cost)
        if min(fresh) > most:
            return most + 1
        before, row = row, fresh
    return row[-1]
