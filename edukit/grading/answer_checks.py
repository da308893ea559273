"""What should make a person look before a score stands: five kinds of answers that try to deceive a grader, and answers unlike any graded one.

What is usual is learnt from honest answers: those graded by a person where there are some, else the answers themselves. A flag is no verdict on a learner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Self

import numpy as np
import pandas as pd

from edukit.grading.element_words import BREAKS, STOP, denies
from edukit.grading.grader_orders import orders
from edukit.grading.normal_form import normalise, stem, words
from edukit.schema import DataError

Array = np.ndarray
KINDS = ("length", "copied_prompt", "gibberish", "off_topic", "injected_instructions")
RARE = 0.004  # share of the honest answers beyond each limit that is learnt
BUDGET = 0.015  # share of the honest answers that all kinds together may flag; limits are drawn tighter until they do
FOLDS = 5  # parts of the honest answers that are judged in turn by what the others say is usual
SPEECH = 0.25  # share of words such as "the" from which unknown words are speech of something else, and no gibberish
COPIED = 0.85  # share of an answer's words that stand in one text in the same order
COPIED_WORDS = 5  # an answer shorter than that copies nothing; more, where honest learners write short references word for word
READ = 2_000  # characters that are compared; the length is that of the whole
FEW = 100  # honest answers of a question, below which those of all questions say how long an answer is


@dataclass
class AnswerChecks:
    """Limits learnt from honest answers.

    Parameters
    ----------
    rare : share of the honest answers that lies beyond each limit; the smaller, the fewer false flags.
    """

    rare: float = RARE
    vocabulary_: Counter = field(default_factory=Counter, init=False)
    letters_: Counter = field(default_factory=Counter, init=False)
    themes_: dict[str, Counter] = field(default_factory=dict, init=False)
    sources_: dict[str, list[list[str]]] = field(default_factory=dict, init=False)
    spoken_: Counter = field(default_factory=Counter, init=False)
    short_: set[tuple[str, str]] = field(default_factory=set, init=False)
    limits_: dict[str, float] = field(default_factory=dict, init=False)
    lengths_: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)

    def fit(self, honest: pd.DataFrame, questions: pd.DataFrame) -> Self:
        """Learn from honest answers (``question_id, text``) and the wording of their questions.

        Raises
        ------
        DataError
            Without any answer.
        """
        if honest.empty:
            raise DataError("answer checks learn from answers; found none. Give the answers to be checked, or some that are graded.")
        self.sources_ = {str(q["question_id"]): [words(normalise(line)) for name in ("prompt", "reference") if isinstance(q.get(name), str)
                                                 for line in q[name].split("\n") if line.strip()] for q in questions.to_dict("records")}
        of, texts = honest["question_id"].astype(str).to_numpy(), honest["text"].to_numpy(object)
        read = [words(normalise(text)[:READ]) for text in texts]
        part_of, scores = np.arange(len(read)) % FOLDS, np.zeros((len(read), 4))
        for part in range(FOLDS):
            self._learn([told for told, p in zip(read, part_of, strict=True) if p != part], of[part_of != part])
            for i in np.flatnonzero(part_of == part):
                scores[i] = self._sense(read[i]), self._theme(read[i], of[i]), self._copied(read[i], of[i]), self._fits(read[i], of[i])
        self._learn(read, of)
        self._limit(scores, texts, of, np.array([len(told) > 2 for told in read]))
        return self

    def _learn(self, read: list[list[str]], of: Array) -> None:
        """Count the words, letters and themes of honest answers and of the wording of their questions."""
        self.vocabulary_, self.letters_ = Counter(), Counter()
        self.themes_ = {q: Counter({w: 2 for source in sources for w in _content(source)}) for q, sources in self.sources_.items()}
        for question, told in zip(of, read, strict=True):
            self.vocabulary_.update(set(told))
            self.themes_.setdefault(question, Counter()).update(_content(told))
        for sources in self.sources_.values():
            self.vocabulary_.update({w for source in sources for w in source for _ in range(2)})
        for word, n in self.vocabulary_.items():
            for i in range(len(word) + 1):
                self.letters_[f"^{word}$"[i:i + 3]] += n
        self.spoken_ = Counter(w for theme in self.themes_.values() for w in theme)
        self.short_ = {(q, " ".join(told)) for q, told in zip(of, read, strict=True) if len(told) <= 2}
        self.short_ |= {("", " ".join(told)) for told in read if len(told) == 2}  # such as "not sure", which fits any question

    def _limit(self, scores: Array, texts: Array, of: Array, speaks: Array) -> None:
        """Draw limits as honest answers ask that were judged by others, tighter until all kinds together flag no more than :data:`BUDGET`, an unseen answer
        included."""
        sense, theme, copied, fits = scores.T
        told = [normalise(text).split() for text in texts]
        size = pd.Series([len(one) for one in told], dtype=int)
        repeats = np.array([_repeats(one) for one in told], bool)
        self.lengths_ = {"": _ends(size, self.rare)} | {str(q): _ends(part, self.rare) for q, part in size.groupby(of) if len(part) >= FEW}
        least, most = np.array([self.lengths_.get(q, self.lengths_[""]) for q in of]).T
        uneven = repeats | (size > most) | ((size < np.maximum(least, 2)) & (fits == 0))
        for rare in self.rare / 2.0 ** np.arange(6):
            self.limits_ = {"sense": min(float(np.quantile(sense, rare)), 0.6), "theme": min(float(np.quantile(theme, 2 * rare)), 0.0),
                            "copied": max(float(np.quantile(copied, 1 - rare, method="higher")) + 1.0, COPIED_WORDS)}
            odd = (sense < self.limits_["sense"]) | (speaks & (theme < self.limits_["theme"])) | (copied >= self.limits_["copied"])
            if ((odd | uneven).sum() + 1) / (len(odd) + 1) <= BUDGET:
                return

    def check(self, answers: pd.DataFrame) -> pd.DataFrame:
        """(N, 5) which checks each answer fails; index answer_id."""
        rows = []
        for question, text in zip(answers["question_id"].astype(str), answers["text"].fillna(""), strict=True):
            told = words(normalise(text)[:READ])
            strange, speech = bool(told) and self._sense(told) < self.limits_["sense"], _speech(told)
            away = len(told) > 2 and self._theme(told, question) < self.limits_["theme"]
            rows.append((self._length(text, question), self._copied(told, question) >= self.limits_["copied"], strange and not speech,
                         speech if strange else away, orders(text[:20 * READ])))
        return pd.DataFrame(rows, columns=list(KINDS), index=pd.Index(answers["answer_id"], name="answer_id"), dtype=bool)

    def _length(self, text: str, question: str) -> bool:
        """Fewer or many more words than usual, or a long text that repeats itself."""
        told = normalise(text).split()
        least, most = self.lengths_.get(question, self.lengths_[""])
        return len(told) > most or _repeats(told) or (len(told) < max(least, 2) and not self._fits(words(normalise(text)[:READ]), question))

    def _fits(self, told: list[str], question: str) -> bool:
        """Whether a word or two are an answer, since honest learners gave the same, or a word of it alone and it is one of theirs."""
        brief = " ".join(told)
        theme = self.themes_.get(question, Counter())
        return ("", brief) in self.short_ or (question, brief) in self.short_ or (len(told) == 1 and told[0] not in BREAKS and not denies(told[0])
            and any(theme[w] > 1 for w in _content(told)))

    def _copied(self, told: list[str], question: str) -> int:
        """How many words of it stand in one text of the prompt or a reference in that order, where those are nearly all; else 0."""
        most = 0
        for source in self.sources_.get(question, []) if len(told) >= COPIED_WORDS else []:
            blocks = SequenceMatcher(None, told, source, autojunk=False).get_matching_blocks()
            run = sum(b.size for b in blocks if b.size >= 3)
            if run >= COPIED * min(len(told), max(len(told) - 4, COPIED_WORDS)) and run >= 0.6 * len(source):
                most = max(most, run)
        return most

    def _sense(self, told: list[str]) -> float:
        """Share of the letters that lie in known words, or in three letters in a row that are common in them."""
        total = known = 0.0
        for word in told:
            total += len(word)
            if self.vocabulary_[word] > 1:
                known += len(word)
                continue
            three = [f"^{word}$"[i:i + 3] for i in range(len(word))]
            usual = np.mean([self.letters_[t] > 5 for t in three])
            known += len(word) * (0.8 if usual >= 0.99 and len(word) > 3 else 0.4 if usual > 0.7 else 0.0)
        return known / total if total else 1.0

    def _theme(self, told: list[str], question: str) -> float:
        """How much of it others said to this question: a word of theirs counts by how few questions share it, a word of none half against it, one
        said to other questions only against it, by how few; over the root of the number of words."""
        theme, content, among = self.themes_.get(question, Counter()), _content(told), max(len(self.themes_) - 1, 1)
        total = 0.0
        for w in content:
            elsewhere = self.spoken_[w] - (theme[w] > 0)
            total += 1 - elsewhere / among if theme[w] > 0 else -(1 - elsewhere / among) if elsewhere else -0.5
        return total / np.sqrt(len(content)) if content else 0.0


def check(answers: pd.DataFrame, questions: pd.DataFrame, graded: pd.DataFrame | None = None) -> pd.DataFrame:
    """Which answers a person should look at.

    Parameters
    ----------
    answers : table ``answers``. questions : table ``questions`` (prompt and reference where known).
    graded : answers that a person has graded, from which is learnt what is usual; default: the answers themselves, without novelty.

    Returns
    -------
    DataFrame
        Index answer_id; a flag for each of :data:`KINDS`, and ``novelty``: share of the graded answers of the question that are nearer to another one than this
        answer is to any of them (1 = unlike all; missing without graded answers).
    """
    known = answers if graded is None or graded.empty else graded
    found = AnswerChecks().fit(known, questions).check(answers)
    return found.assign(novelty=np.nan if known is answers else novelty(answers, known))


def flags(checked: pd.DataFrame, novel: float = 0.99) -> pd.Series:
    """Names of the flags of each answer, comma-separated, as in ``grades.flags``; an answer whose novelty exceeds ``novel`` is ``novel``."""
    told = checked[list(KINDS)].assign(novel=checked["novelty"].fillna(0) > novel)
    return told.apply(lambda row: ",".join(row.index[row.to_numpy(bool)]), axis=1) if len(told) else pd.Series([], dtype=str)


def novelty(answers: pd.DataFrame, graded: pd.DataFrame) -> Array:
    """(N,) how unlike the graded answers of its question an answer is: its distance as a quantile of theirs from each other; NaN with fewer than two."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    found = np.full(len(answers), np.nan)
    of, known = answers["question_id"].astype(str).to_numpy(), graded["question_id"].astype(str).to_numpy()
    for question in np.unique(of):
        mine, theirs = of == question, known == question
        if theirs.sum() < 2:
            continue
        texts = [read for t in graded["text"][theirs] if words(read := normalise(str(t))[:READ])]
        if len(texts) < 2:
            continue
        space = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(texts)
        reference = space.transform(texts)
        near = NearestNeighbors(metric="cosine", algorithm="brute").fit(reference)  # in blocks, so that memory stays small
        own = np.sort(near.kneighbors(n_neighbors=1)[0][:, 0])
        far = near.kneighbors(space.transform([normalise(str(t))[:READ] for t in answers["text"][mine]]), n_neighbors=1)[0][:, 0]
        found[mine] = np.searchsorted(own, far, side="left") / len(own)
    return found


def _content(told: list[str]) -> set[str]:
    return {stem(w) for w in told if w not in STOP}


def _repeats(told: list[str]) -> bool:
    """Whether it is long and says the same again and again."""
    triples = list(zip(told, told[1:], told[2:], strict=False))
    return len(told) > 14 and len(set(triples)) < 0.6 * len(triples)


def _speech(told: list[str]) -> bool:
    """Whether it is built like a sentence, as mashed keys are not."""
    return len(told) > 2 and sum(w in STOP for w in told) >= SPEECH * len(told)


def _ends(size: pd.Series, rare: float) -> tuple[float, float]:
    """Fewest and most words that are usual: shorter ones are rare, longer ones twice what nearly nobody exceeds."""
    return float(min(np.quantile(size, rare), 3)), float(2 * np.quantile(size, 0.99))
