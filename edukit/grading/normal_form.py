"""One form of an answer, whatever keyboard it came from: white space, case and look-alike marks never change a score."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST = 20_000  # characters of an answer that are read; what follows tells a grader of short answers nothing more
_PLAIN = str.maketrans({**dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u0060\u00b4\u2035", "'"),
                        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
                        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63", "-")})
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|\w+")
_DOUBLED = re.compile(r"(?:bb|dd|gg|mm|nn|pp|rr|tt)$")
_STEPS = (("sses", "ss"), ("ies", "y"), ("ied", "y"), ("ations", "ate"), ("ation", "ate"), ("ating", "ate"), ("ated", "ate"),
          ("ness", ""), ("ingly", ""), ("edly", ""), ("ing", ""), ("ed", ""), ("ly", ""), ("es", ""), ("s", ""))


def normalise(text: str) -> str:
    """The form in which answers are compared: Unicode NFKC, folded case, plain quotes and dashes, single spaces, no invisible marks.

    Parameters
    ----------
    text : an answer of any length; what lies beyond :data:`LONGEST` characters of the form is cut off.

    Returns
    -------
    str
        The same for every spelling that people read as the same; applying it twice changes nothing.

    References
    ----------
    Unicode Standard Annex 15 (normalisation forms).

    Examples
    --------
    >>> normalise("  The\\u00a0\\uff37ater\\u200b \\u201cRISES\\u201d ")
    'the water "rises"'
    """
    text = unicodedata.normalize("NFKC", _SPACE.sub(" ", text)[:4 * LONGEST].translate(_PLAIN)).casefold()
    text = unicodedata.normalize("NFKC", "".join(c for c in text if _is_seen(c)).translate(_PLAIN))
    return _SPACE.sub(" ", text).strip()[:LONGEST].rstrip()


@lru_cache(maxsize=4096)
def _is_seen(character: str) -> bool:
    """False of control and format marks, such as a zero-width space, and of variation selectors; white space is kept."""
    kind = unicodedata.category(character)
    return character.isspace() or not (kind in ("Cc", "Cf", "Cs", "Co", "Cn") or "\ufe00" <= character <= "\ufe0f")


def words(text: str) -> list[str]:
    """Words and numbers of a normal form, in their order.

    Examples
    --------
    >>> words("it doesn't weigh 3.5 g!")
    ['it', "doesn't", 'weigh', '3.5', 'g']
    """
    return _WORD.findall(text)


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A word without its English ending, so that "evaporates", "evaporating" and "evaporation" are one.

    A few rules of endings in the manner of Porter (1980, Program 14): enough to compare short answers, and words of other languages
    are mostly left as they are.

    Examples
    --------
    >>> [stem(w) for w in ("evaporates", "evaporating", "evaporation", "stopped", "berries", "gas")]
    ['evaporat', 'evaporat', 'evaporat', 'stop', 'berry', 'gas']
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    for ending, instead in _STEPS:
        if word.endswith(ending) and len(word) - len(ending) + len(instead) >= 3:
            if ending == "s" and word[-2] in "su" or ending == "es" and word[-3] not in "sxzhoe":
                continue
            word = word[: len(word) - len(ending)] + instead
            break
    if _DOUBLED.search(word):
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def stems(text: str) -> list[str]:
    """Stems of the words of a normal form, in their order."""
    return [stem(word) for word in words(text)]
