"""Where a rubric will not do: levels that say nothing, elements that nobody can see in an answer, weights that do not add up.

The words it knows are English; an element in another language is only checked for having words at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pandas as pd

from edukit.grading.rubric import Criterion, Rubric, alternatives

COLUMNS = ["where", "fault", "next_step", "severity"]
SHORTEST = 3  # words of an exemplar
WORD = re.compile(r"\w+", re.UNICODE)
INNER = re.compile(r"understand(s|ing)?|knows?|knowledge|knowing|appreciat(es?|ing|ion)|grasps?|comprehends?|comprehension|reali[sz]es?|believes?|feels?|"
                   r"thinks?|enjoys?|learns?|learned|aware|awareness|familiar|familiarity")  # states of mind: nobody sees one in an answer
SHOWN = re.compile(r"(nam|stat|say|said|tell|told|giv|list|writ|wrote|draw|drew|label|calculat|comput|explain|describ|defin|compar|contrast|identif|"
                   r"quot|cit|show|point|mention|us(e|es|ing)$|solv|measur|sketch|classif|sort|select|choos|mark|order|predict|justif|conclud|demonstrat|"
                   r"illustrat|present|report|convert|round|count|add|subtract|multipl|divid|evaluat|argu|refer)")  # what leaves something to see
FILLING = frozenset((
    "a an and are as at be been being by can clear clearly complete completely correct correctly appropriate appropriately adequate adequately deep deeply "
    "detail detailed effective effectively effort for full fully generally good great has have how in is it its nice nicely of on or own proper properly "
    "quality really relevant some sufficient sufficiently that the their them there these they this thorough thoroughly to very well what when where which "
    "who why with work answer response student learner pupil excellent outstanding fine fair solid strong weak poor sound thing things something"
).split())
PERSON = re.compile(r"\b(lazy|careless|stupid|dumb|clever|smart|gifted|untalented|slow learner|bad student|good student|weak student|poor student|"
                    r"sloppy|unintelligent|intelligent|hopeless|childish)\b", re.IGNORECASE)

Fault = tuple[str, str, str, str]


def lint(rubric: Rubric) -> pd.DataFrame:
    """Everything that keeps a rubric from being fair and clear.

    Returns
    -------
    DataFrame
        ``where`` (a path such as ``criteria[1].levels[2]``), ``fault``, ``next_step``, ``severity``: an ``error`` makes grades meaningless, a
        ``warning`` makes them hard to defend. Empty where nothing is wrong.

    References
    ----------
    Brookhart, S. M. (2013). How to create and use rubrics for formative assessment and grading. ASCD. Marzano, R. J., & Kendall, J. S.
    (2007). The new taxonomy of educational objectives. Corwin (verbs that can be observed).

    Examples
    --------
    >>> from edukit.grading.rubric import Level
    >>> rubric = Rubric("r", (Criterion("c", (Level(0, "Names none."), Level(1, "")), ("understands evaporation",)),))
    >>> lint(rubric)["where"].tolist()
    ['criteria[1] (c).levels[2]', 'criteria[1] (c).key_elements[1]']
    """
    found = list(_weights(rubric))
    for n, criterion in enumerate(rubric.criteria, start=1):
        place = f"criteria[{n}] ({criterion.criterion_id})"
        found += [*_levels(criterion, place), *_elements(criterion, place)]
    return pd.DataFrame(found, columns=COLUMNS)


def _weights(rubric: Rubric) -> Iterator[Fault]:
    weights = [criterion.weight for criterion in rubric.criteria]
    total = math.fsum(weights)
    equal = all(weight == 1 for weight in weights)  # not stated: all count the same
    if not equal and not any(math.isclose(total, whole, rel_tol=1e-3) for whole in (1, 100)):
        yield "criteria", f"the weights add up to {total:g}, neither to 1 nor to 100", \
            "Change them until they do, or leave all of them out: then criteria count the same.", "error"


def _levels(criterion: Criterion, place: str) -> Iterator[Fault]:
    levels = criterion.levels
    if len(levels) == 1:
        yield f"{place}.levels", "there is one level: every answer gets it", "Describe at least one more.", "error"
    scores = [level.score for level in levels]
    for n, (one, other) in enumerate(zip(scores, scores[1:], strict=False), start=2):
        if other <= one:
            yield f"{place}.levels[{n}]", f"its score {other:g} is not above the {one:g} of the level before", "Put the levels in order, lowest first.", "error"
    seen: dict[str, int] = {}
    for n, level in enumerate(levels, start=1):
        here, said = f"{place}.levels[{n}]", " ".join(level.descriptor.casefold().split()).rstrip(".")
        if not WORD.search(said):
            yield here, "it has no descriptor", f"Say what an answer with {level.score:g} holds that one below has not.", "error"
        elif said in seen:
            yield here, f"it has the descriptor of level {seen[said]}", "Say in what the two differ.", "error"
        seen.setdefault(said, n)
        if judged := PERSON.search(level.descriptor):
            yield here, f"its descriptor judges a person ({judged[0]!r})", "Describe the answer: the words are read out as the next step.", "warning"
        for i, text in enumerate(level.exemplars, start=1):
            if len(WORD.findall(text)) < SHORTEST and text.isascii():
                yield f"{here}.exemplars[{i}]", f"it has fewer than {SHORTEST} words: {text[:40]!r}", \
                    "Give an answer as a learner would write it.", "warning"


def _elements(criterion: Criterion, place: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for n, element in enumerate(criterion.key_elements, start=1):
        here, plain = f"{place}.key_elements[{n}]", " ".join(element.casefold().split())
        if plain in seen:
            yield here, "it stands twice", "Leave one out.", "warning"
        seen.add(plain)
        for wording in alternatives(element):
            words = WORD.findall(wording.casefold())
            telling = [word for word in words if word not in FILLING]
            inner = telling[0] if telling and INNER.fullmatch(telling[0]) else None
            rest = [word for word in telling if not INNER.fullmatch(word)]
            if not words or not rest:
                yield here, f"it names nothing that can be found in an answer: {wording[:60]!r}", \
                    "Name the word, fact, number or step that is looked for.", "warning"
            elif inner and not any(SHOWN.match(word) for word in words):
                yield here, f"{inner!r} is a state of mind, which no answer shows: {wording[:60]!r}", \
                    "Say what is written when it is there: names, gives, draws, calculates …", "warning"
