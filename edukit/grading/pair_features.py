"""What can be told of an answer to a question that nobody graded: how it stands to the reference, the wording of the question and the rubric.

Every number compares texts and knows nothing of the question itself, so that what is learnt on some questions holds on others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from edukit.grading.normal_form import normalise, stem, words

Array = np.ndarray
Embed = Callable[[Sequence[str]], Array]
NEGATIONS = frozenset("not no never none nothing neither nor cannot without hardly isn't aren't wasn't weren't doesn't don't didn't can't couldn't won't "
                      "wouldn't shouldn't hasn't haven't isnt arent wasnt doesnt dont didnt cant couldnt wont wouldnt".split())
OPPOSITES = ("more less", "increase decrease", "increase reduce", "up down", "high low", "higher lower", "long short", "longer shorter", "big small",
             "bigger smaller", "large small", "larger smaller", "hot cold", "hotter colder", "warm cool", "warmer cooler", "fast slow", "faster slower",
             "heavy light", "heavier lighter", "hard soft", "harder softer", "strong weak", "stronger weaker", "open closed", "same different", "before after",
             "above below", "left right", "push pull", "attract repel", "positive negative", "gain lose", "rise fall", "rise sink", "float sink", "wet dry",
             "solid liquid", "conductor insulator", "true false", "always never", "all none", "most least", "far near", "closer farther", "thick thin",
             "thicker thinner", "rough smooth", "start stop", "first last", "old young", "male female", "day night", "many few", "with without", "yes no")
STOP = frozenset("a an the of to in on at by for from with and or but as is are was were be been being it its this that these those they them their he she "
                 "his her you your i we our my me do does did done have has had will would can could should may might so if then than because there here "
                 "what which who when where why how also just very into about up out".split())


@lru_cache(maxsize=1)
def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in OPPOSITES:
        one, other = (stem(w) for w in pair.split())
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


@dataclass(frozen=True)
class Taken:
    """A text taken apart once: its words, stems, content stems, numbers and triples of letters."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: frozenset[str]
    numbers: frozenset[str]
    letters: Mapping[str, int]
    negations: int

    @classmethod
    @lru_cache(maxsize=50_000)
    def of(cls, text: str) -> Taken:
        """The parts of a normal form."""
        found = tuple(words(text))
        ends = tuple(stem(w) for w in found)
        letters = Counter(text[i : i + 4] for i in range(len(text) - 3))
        return cls(found, ends, frozenset(s for s, w in zip(ends, found, strict=True) if w not in STOP), frozenset(w for w in found if w[0].isdigit()),
                   letters, sum(w in NEGATIONS for w in found))


@dataclass(frozen=True)
class Asked:
    """One question as the features see it: normal forms of wording, references, key elements, and the descriptors and exemplars of the best level."""

    prompt: str
    references: tuple[str, ...]
    elements: tuple[str, ...] = ()
    best: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is anything to compare an answer with."""
        return bool(self.references or self.elements or self.best)

    @property
    def models(self) -> tuple[str, ...]:
        """What a good answer looks like, in one or more texts."""
        return self.references or self.best or ((" ".join(self.elements),) if self.elements else ())


def asked(prompt: object, reference: object, elements: Sequence[str] = (), best: Sequence[str] = ()) -> Asked:
    """A question from its row of the table ``questions`` (missing values allowed; references one a line) and what its rubric says."""
    def text(value: object) -> str:
        return value if isinstance(value, str) else ""

    def forms(lines: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(form for line in lines if (form := normalise(line))))

    return Asked(normalise(text(prompt)), forms(text(reference).split("\n")), forms(elements), forms(best))


def weights(texts: Sequence[str]) -> dict[str, float]:
    """How much each stem tells: the logarithm of how rare it is among texts; what is in none of them counts as the rarest."""
    found = Counter(s for text in texts for s in Taken.of(text).content)
    return {s: float(np.log((1 + len(texts)) / (1 + n))) for s, n in found.items()}


def pair_features(texts: Sequence[str], questions: Sequence[Asked], rare: Mapping[str, float], embed: Embed | None) -> pd.DataFrame:
    """(N, F) numbers of N answers (normal forms), each beside its question.

    Parameters
    ----------
    texts, questions : as many of the one as of the other. rare : weight of each stem, by :func:`weights`.
    embed : (N,) texts -> (N, E) unit vectors; None = words only.
    """
    most = max(rare.values(), default=1.0)
    rows = [_lexical(Taken.of(text), question, rare, most) for text, question in zip(texts, questions, strict=True)]
    found = pd.DataFrame(rows)
    if embed is not None and len(found):
        found = pd.concat([found, _semantic(texts, questions, embed)], axis=1)
    return found.astype(float)


def _share(part: frozenset[str] | set[str], whole: frozenset[str] | set[str], rare: Mapping[str, float], most: float) -> float:
    total = math.fsum(rare.get(s, most) + 0.1 for s in whole)  # exact: a set has another order in every process
    return math.fsum(rare.get(s, most) + 0.1 for s in whole & part) / total if total else 0.0


def _cosine(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    if not a or not b:
        return 0.0
    small, large = (a, b) if len(a) < len(b) else (b, a)
    inner = sum(n * large.get(s, 0) for s, n in small.items())
    return inner / np.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))


def _longest_run(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Length of the longest common subsequence of at most 60 stems each."""
    a, b = a[:60], b[:60]
    row = [0] * (len(b) + 1)
    for s in a:
        before = 0
        for j, t in enumerate(b):
            before, row[j + 1] = row[j + 1], before + 1 if s == t else max(row[j + 1], row[j])
    return row[-1]


def _lexical(answer: Taken, question: Asked, rare: Mapping[str, float], most: float) -> dict[str, float]:
    prompt = Taken.of(question.prompt)
    models = [Taken.of(text) for text in question.models] or [Taken.of("")]
    scored = []
    for model in models:
        new = model.content - prompt.content
        pairs = set(zip(model.stems, model.stems[1:], strict=False))
        opposite = sum(1 for s in answer.content - model.content if _opposites().get(s, frozenset()) & model.content)
        scored.append({
            "recall": _share(answer.content, model.content, rare, most), "recall_new": _share(answer.content, new, rare, most),
            "precision": _share(model.content, answer.content, rare, most), "letters": _cosine(answer.letters, model.letters),
            "run": _longest_run(answer.stems, model.stems) / max(len(model.stems), 1),
            "pairs": len(pairs & set(zip(answer.stems, answer.stems[1:], strict=False))) / max(len(pairs), 1),
            "numbers": len(model.numbers & answer.numbers) / len(model.numbers) if model.numbers else 0.5,
            "negation_differs": float((model.negations > 0) != (answer.negations > 0)), "opposites": float(opposite),
            "length_ratio": np.log((len(answer.words) + 1) / (len(model.words) + 1)), "model_length": np.log1p(len(model.words)),
            "new_words": float(len(new)),
        })
    best = max(scored, key=lambda row: (row["recall"] + row["recall_new"] + row["letters"], row["precision"]))
    every = frozenset().union(*(m.content for m in models))
    beyond = answer.content - every - prompt.content
    return {**best, "recall_mean": float(np.mean([row["recall"] for row in scored])), "references": float(len(models)),
            "prompt_share": _share(prompt.content, answer.content, rare, most), "beyond": float(len(beyond)), "negations": float(answer.negations),
            "words": np.log1p(len(answer.words)), "odd_numbers": float(len(answer.numbers - prompt.numbers - frozenset().union(*(m.numbers for m in models)))),
            "why": float("why" in prompt.words or "explain" in prompt.stems), "how": float("how" in prompt.words)}


def _semantic(texts: Sequence[str], questions: Sequence[Asked], embed: Embed) -> pd.DataFrame:
    answer = embed(list(texts))
    prompts = embed([q.prompt for q in questions])
    sizes = [max(len(q.models), 1) for q in questions]
    models = embed([text for q in questions for text in (q.models or ("",))])
    which = np.repeat(np.arange(len(texts)), sizes)
    near = (answer[which] * models).sum(1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    best = np.maximum.reduceat(near, starts)
    to_prompt = (answer * prompts).sum(1)
    first = models[starts]
    return pd.DataFrame({"near": best, "near_mean": np.add.reduceat(near, starts) / sizes, "near_prompt": to_prompt, "nearer": best - to_prompt,
                         "model_near_prompt": (first * prompts).sum(1)})
