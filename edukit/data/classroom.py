"""What happens in an invented classroom: its items, when a concept is learned, every response, and the school days.

Only the biased items look at a learner's attributes; everything else is drawn from mastery, ability and the calendar.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.data.curriculum import ConceptMap

OPTIONS = np.array(list("ABCD"), object)
BROKEN_SHARE, BROKEN_RATE, DIF_ITEMS, DIF_FACTOR, ABILITY_LEAK = 0.8, 0.28, 5, 0.55, 0.35
REVISITED = 0.4  # share of the items met again in each term after the first
LURED = 0.6  # share of wrong answers that fall for the distractor of a missing prerequisite
FIRST_DAY = "2025-09-01"  # a Monday
WEEKS, BREAK = 16, 3  # weeks of school in a term, weeks without between terms
PATTERNS = {"steady": 0.80, "declining": 0.08, "mondays": 0.06, "absence_run": 0.06}
LESSONS = (1, 3)  # practice on Tuesdays and Thursdays


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def write_items(graph: ConceptMap, broken: np.ndarray, per_concept: int, paired: float, rng: np.random.Generator) -> pd.DataFrame:
    """The test papers: item_id, home concept `first`, further concept `second` (-1 = none), slip, guess, key, flaw.

    Slip is uniform on .05-.18, guess on .08-.25. Four fifths of the items of the concepts `broken` (positions) are flawed; five items
    of other concepts are biased. Items of two concepts (`paired` of all items) come on top, and are sound.
    """
    first = np.repeat(np.arange(len(graph.ids)), per_concept)
    homes = np.sort(rng.choice(np.flatnonzero(graph.depth > 0), size=round(paired / (1 - paired) * len(first))))
    further = [rng.choice(np.flatnonzero(graph.depth < graph.depth[k])) for k in homes]
    items = pd.DataFrame({"first": np.append(first, homes), "second": np.append(np.full(len(first), -1), further).astype(int)})
    items = items.assign(slip=rng.uniform(0.05, 0.18, len(items)), guess=rng.uniform(0.08, 0.25, len(items)),
                         key=rng.integers(0, len(OPTIONS), len(items)), flaw="none")
    number, own, hit = items.groupby("first").cumcount(), items["second"] < 0, items["first"].isin(broken)
    items.loc[own & hit & (number < round(BROKEN_SHARE * per_concept)), "flaw"] = "broken"
    items.loc[rng.permutation(items.index[own & ~hit])[:DIF_ITEMS], "flaw"] = "dif"
    items.insert(0, "item_id", [f"{graph.ids[k]}-{i + 1}" for k, i in zip(items["first"], number, strict=True)])
    return items


def learning_terms(graph: ConceptMap, known: np.ndarray, terms: int, in_class: float, rng: np.random.Generator) -> np.ndarray:
    """(B, C) term in which a concept is learned while it is practised: 0 = known before, terms + 1 = never.

    `in_class` of the mastered concepts are learned in class, each term a third as many as the term before, and none before a
    prerequisite that the learner masters too.
    """
    early = 3.0 ** -np.arange(terms)
    stage = np.where(rng.random(known.shape) < in_class, rng.choice(np.arange(1, terms + 1), size=known.shape, p=early / early.sum()), 0)
    for k in graph.sequence:
        for p in graph.parents[k]:
            stage[:, k] = np.where(known[:, p], np.maximum(stage[:, k], stage[:, p]), stage[:, k])
    return np.where(known, stage, terms + 1)


def respond(graph: ConceptMap, items: pd.DataFrame, stage: np.ndarray, ability: np.ndarray, biased_against: np.ndarray,
            class_of: np.ndarray, terms: int, answered: float, skip_unmastered: float, rng: np.random.Generator) -> pd.DataFrame:
    """Every response in the order it was given.

    A wrong answer of a learner who lacks the j-th prerequisite of the item's home concept (in the order of :attr:`ConceptMap.parents`;
    the first one lacking) is option key + j (cyclic, j = 1, 2, 3) in three of five cases, and any wrong option otherwise.

    Parameters
    ----------
    stage : (B, C) of :func:`learning_terms`.
    ability, biased_against, class_of : (B,) logits, bool, position of the class.

    Returns
    -------
    Positions `learner`, `item`, `home` (concept) and `option`; `term`, `correct`, and `mastered`, the truth about the item at that moment.
    """
    turn = graph.depth + rng.uniform(0, 1.5, (class_of.max() + 1, len(graph.ids)))  # when a class reaches a concept
    for k in graph.sequence:
        turn[:, k] = np.maximum(turn[:, k], turn[:, graph.parents[k]].max(axis=1, initial=0) + 0.01)
    home, other, flaw = items["first"].to_numpy(), items["second"].to_numpy(), items["flaw"].to_numpy()
    slip, guess = np.log(1 / items["slip"].to_numpy() - 1), -np.log(1 / items["guess"].to_numpy() - 1)
    other_first = (turn[:, other] < turn[:, home])[class_of]
    clicks = rng.random(stage.shape)  # when, within the practice of a concept, it is learned
    lures = np.array([(p + [-1] * 3)[:3] for p in graph.parents])
    rounds = []
    for term in range(1, terms + 1):
        place = rng.random((len(ability), len(items)))
        mastered = (stage[:, home] < term) | ((stage[:, home] == term) & (place > clicks[:, home]))
        mastered &= (other < 0) | (stage[:, other] < term) | ((stage[:, other] == term) & other_first)
        p = sigmoid(np.where(mastered, slip, guess) + ABILITY_LEAK * ability[:, None])
        p = np.where(flaw == "broken", BROKEN_RATE, p) * np.where((flaw == "dif") & biased_against[:, None], DIF_FACTOR, 1)
        share = (answered if term == 1 else REVISITED) * np.where(mastered, 1, 1 - skip_unmastered)
        learner, item = np.nonzero(rng.random(p.shape) < share)
        correct = rng.random(len(learner)) < p[learner, item]
        lacks = (lures[home[item]] >= 0) & (stage[learner[:, None], lures[home[item]]] > term)
        lured = lacks.any(axis=1) & (rng.random(len(learner)) < LURED)
        wrong = 1 + np.where(lured, lacks.argmax(axis=1), rng.integers(0, len(OPTIONS) - 1, len(learner)))
        option = (items["key"].to_numpy()[item] + np.where(correct, 0, wrong)) % len(OPTIONS)
        rounds.append(pd.DataFrame({"learner": learner, "item": item, "home": home[item], "term": term, "correct": correct.astype(float),
                                    "option": option, "mastered": mastered[learner, item],
                                    "turn": turn[class_of[learner], home[item]], "place": place[learner, item]}))
    log = pd.concat(rounds).sort_values(["learner", "term", "turn", "place"], ignore_index=True)
    return log.drop(columns=["turn", "place"])


def school_days(terms: int) -> pd.DatetimeIndex:
    """Every school day of the given number of terms (80 each), UTC midnights."""
    after = [7 * (term * (WEEKS + BREAK) + week) + day for term in range(terms) for week in range(WEEKS) for day in range(5)]
    return pd.Timestamp(FIRST_DAY, tz="UTC") + pd.to_timedelta(after, unit="D")


def attendance(class_of: pd.Series, terms: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Who was at school on which day.

    Four patterns: `steady` (absent 3 % of days), `declining` (from 2 % on the first day to 45 % on the last), `mondays`
    (absent on 45 % of Mondays), `absence_run` (one run of 8 to 15 days, half of such runs excused). Everybody attends
    the last day of a term.

    Parameters
    ----------
    class_of : class_id per learner_id (index), B learners.
    terms : number of terms, D = 80 x terms days.

    Returns
    -------
    table `attendance` (B x D rows); presence (B, D) bool, index learner_id; pattern per learner (B,).
    """
    days = school_days(terms)
    shape = (len(class_of), len(days))
    pattern = rng.choice(list(PATTERNS), size=len(class_of), p=list(PATTERNS.values()))
    absent_rate = np.full(shape, 0.03)
    absent_rate[pattern == "declining"] = np.linspace(0.02, 0.45, len(days))
    absent_rate[np.ix_(pattern == "mondays", days.day_of_week == 0)] = 0.45
    status = np.full(shape, "present", object)
    status[rng.random(shape) < 0.04] = "late"
    absent = rng.random(shape) < absent_rate
    status[absent] = np.where(rng.random(shape) < 0.25, "excused", "absent")[absent]
    for u in np.flatnonzero(pattern == "absence_run"):
        length = rng.integers(8, 16)
        start = rng.integers(0, len(days) - length)
        status[u, start:start + length] = rng.choice(["absent", "excused"])
    status[:, 5 * WEEKS - 1::5 * WEEKS] = "present"
    table = pd.DataFrame({"learner_id": np.repeat(class_of.index.to_numpy(), shape[1]),
                          "date": days[np.tile(np.arange(shape[1]), shape[0])], "status": status.ravel(),
                          "minutes_late": np.where(status == "late", np.ceil(rng.gamma(2, 5, shape)), 0.0).ravel(),
                          "class_id": np.repeat(class_of.to_numpy(), shape[1]),
                          "term": np.tile([f"term {1 + d // (5 * WEEKS)}" for d in range(shape[1])], shape[0])})
    return table, pd.DataFrame(np.isin(status, ["present", "late"]), index=class_of.index), pattern


def furnish(log: pd.DataFrame, mastered: np.ndarray, present: pd.DataFrame, terms: int, rng: np.random.Generator) -> pd.DataFrame:
    """Give every response its moment, its time and its hints.

    A learner's responses of a term are spread evenly over its lessons (Tuesdays and Thursdays); whoever misses a lesson catches up on
    the next day at school. Response times are log-normal around 35 s, half as long again where the item is not mastered, and 8 s
    longer for each hint; hints are Poisson with mean .1 for a mastered item and .7 otherwise.

    Parameters
    ----------
    log : table `interactions` sorted by learner and order.
    mastered : (rows,) whether the item was mastered at that moment.
    present : (B, D) presence of :func:`attendance`.

    Returns
    -------
    `log` with the columns timestamp, hints, response_time_s.
    """
    days, learner = school_days(terms), present.index.get_indexer(log["learner_id"])
    in_term = log.groupby(["learner_id", "term"])["order"]
    share = in_term.cumcount().to_numpy() / in_term.transform("size").to_numpy()
    lessons = np.array([5 * week + day for week in range(WEEKS) for day in LESSONS])
    term = log["term"].str.removeprefix("term ").astype(int).to_numpy() - 1
    planned = 5 * WEEKS * term + lessons[(share * len(lessons)).astype(int)]
    at_school = np.where(present, np.arange(len(days)), len(days))
    day = np.minimum.accumulate(at_school[:, ::-1], axis=1)[:, ::-1][learner, planned]  # the planned day or the next at school
    hints = rng.poisson(np.where(mastered, 0.1, 0.7))
    seconds = np.round(35 * np.where(mastered, 1, 1.5) * rng.lognormal(0, 0.5, len(log)) + 8 * hints, 1)
    elapsed = pd.Series(np.ceil(seconds) + 15).groupby([learner, day]).cumsum().to_numpy()
    start = 9 * 3600 + 600 * log["class_id"].factorize()[0]
    return log.assign(timestamp=days[day] + pd.to_timedelta(start + elapsed, unit="s"), hints=hints, response_time_s=seconds)
