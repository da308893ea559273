"""What is known of a cell of the gap map, a concept, a class or a learner, how sure, and what would settle it, in 2 to 5 plain sentences.

Every sentence is put together from the tables; no language model is asked. A text comes with the figures it rests on, and no number
stands in it that is not among them. It says what a need is associated with and supports a judgement; it never says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import NormalDist

import pandas as pd

from edukit.governance.privacy import TOTAL
from edukit.report.gap_page_data import TextKey
from edukit.report.narrative_cells import ESTIMATED, LABELS, LIMITS, LITTLE, CellNarrator
from edukit.report.narrative_draft import NAMED, Draft, Narrative, listed, percent, place, probability
from edukit.schema import DataError

__all__ = ["Narrative", "Narrator", "learner_text", "percent", "probability", "texts"]

LOOK = {**LABELS, "undetermined": "undetermined"}


class Narrator(CellNarrator):
    """Puts one gap map into words, by cell, concept and class. Made as a :class:`~edukit.report.narrative_cells.CellNarrator`.

    Examples
    --------
    >>> concepts = pd.DataFrame({"concept_id": ["a"], "name": ["Ratios"]})
    >>> gaps = pd.DataFrame({"class_id": ["7A"], "concept_id": ["a"], "state": ["suppressed"], "items": [3]})
    >>> told = Narrator(gaps, concepts, pd.DataFrame({"concept_id": [], "requires_id": []})).cell("7A", "a")
    >>> told.text.split(" so that")[0]
    'Suppressed: “Ratios” in class 7A is hidden'
    """

    def concept(self, concept_id: str) -> Narrative:
        """What is known of one concept over all classes."""
        if concept_id not in self.by_concept:
            raise DataError(f"gaps must hold the concept to tell of; found no row of {concept_id!r}. Choose one of its concept_id.")
        draft, rows = Draft(), self.by_concept[concept_id]
        what = draft.called("concept", self.name[concept_id])
        total = self.cells.get((TOTAL, concept_id))
        if total is not None and total["state"] == ESTIMATED:
            draft.say(f"mean mastery of {what} among all learners is {self._mean(draft, total)}")
        elif total is not None:
            draft.say(f"{total['state']}: nothing can be said of {what} among all learners")
        classes = [row for row in rows if row["class_id"] != TOTAL]
        judged = [row for row in classes if row["state"] == ESTIMATED]
        stuck = [row for row in judged if self._verdict(row) == "stuck"]
        if classes:
            self._classes(draft, what, classes, judged, stuck)
        self._labels(draft, stuck or [row for row in (total,) if row and row["state"] == ESTIMATED and self._verdict(row) == "stuck"])
        flagged, count = self._flagged(draft, concept_id)
        if count:
            draft.say(f"of its items, {flagged}; having them read would tell whether they ask what they should")
        elif len(classes) > len(judged):
            draft.say(f"at most {self._enough(draft)} in each of the {draft.some('classes not judged', len(classes) - len(judged), 'class', 'classes')} "
                      "that cannot be judged would be enough for them")
        elif required := self.requires.get(concept_id):
            draft.say(f"it builds on {draft.names('prerequisite', [self.name[p] for p in required])}: items on {'that' if len(required) == 1 else 'these'} "
                      "would tell more")
        else:
            draft.say("responses of another class or term would tell more")
        return draft.done()

    def _classes(self, draft: Draft, what: str, classes: list[dict], judged: list[dict], stuck: list[dict]) -> None:
        of = f"of {draft.some('classes', len(classes), 'class', 'classes')}, {draft.some('classes judged', len(judged))} can be judged on {what}"
        which = f" ({draft.names('stuck class', [str(row['class_id']) for row in stuck], quoted=False)})" if stuck else ""
        draft.say(of + self._standing(draft, "classes", judged, stuck, which))

    def _standing(self, draft: Draft, things: str, judged: list[dict], stuck: list[dict], which: str = "") -> str:
        """How many of the cells judged are stuck, not sure and above the mark."""
        unsure = sum(self._verdict(row) == "unsure" for row in judged)
        above = len(judged) - len(stuck) - unsure
        told = [f"{draft.some(f'{things} stuck', len(stuck))} stuck{which}"] if stuck else []
        told += [f"{draft.some(f'{things} unsure', unsure)} not sure"] if unsure else []
        told += [f"{draft.some(f'{things} above', above)} above the mark of {draft.share('rule: fail', self.rules['fail'])}"] if above else []
        return f": {listed(told)}" if told else ""

    def _labels(self, draft: Draft, stuck: list[dict]) -> None:
        """How many of the stuck cells carry which label."""
        counted = Counter(row["label"] for row in stuck if row.get("label") in LOOK)
        named = [label for label in LABELS if counted[label]]
        told = [f"{draft.some(f'label: {label}', counted[label])}{'' if i else f' {_be(counted[label])} associated'} with {LABELS[label]}"
                for i, label in enumerate(named)]
        if open_ := counted["undetermined"]:
            told.append(f"{draft.some('label: undetermined', open_)} {_be(open_)} undetermined")
        if told:
            draft.say(f"of what is stuck, {listed(told)}")

    def cohort(self, class_id: str) -> Narrative:
        """What is known of one class over all concepts."""
        if class_id not in self.by_class:
            raise DataError(f"gaps must hold the class to tell of; found no row of {class_id!r}. Choose one of its class_id.")
        draft, rows = Draft(), self.by_class[class_id]
        judged = [row for row in rows if row["state"] == ESTIMATED]
        stuck = sorted((row for row in judged if self._verdict(row) == "stuck"), key=lambda row: row["mastery"])
        draft.say(f"{place(draft, rows[0])}, {draft.some('concepts judged', len(judged))} of {draft.some('concepts', len(rows), 'concept')} can be judged"
                  f"{self._standing(draft, 'concepts', judged, stuck)}")
        if stuck:
            lowest = [f"{draft.called(f'stuck concept {i}', self.name[row['concept_id']])} at {draft.share(f'mastery {i}', row['mastery'])}"
                      for i, row in enumerate(stuck[:NAMED], 1)]
            draft.say(f"furthest below {'is' if len(lowest) == 1 else 'are'} {listed(lowest)}")
        self._labels(draft, stuck)
        self._begin(draft, stuck)
        little, covered = (sum(row["state"] == state for row in rows) for state in (LITTLE, "suppressed"))
        told = [f"{draft.some('concepts without data', little)} with not enough data, for each of which at most {self._enough(draft)} would be enough"
                ] if little else []
        told += [f"{draft.some('concepts suppressed', covered)} suppressed, so that nobody can work out a smaller group"] if covered else []
        if told:
            draft.say(f"not judged: {listed(told)}")
        elif len(draft.sentences) == 1:
            draft.say("another term would tell whether that lasts")
        return draft.done()

    def _begin(self, draft: Draft, stuck: list[dict]) -> None:
        """The prerequisite that seems to be missing behind most of what is stuck."""
        missing = Counter(ancestor for row in stuck if row.get("label") == "prior_knowledge" and (ancestor := self._ancestor(row)) is not None)
        if not missing:
            return
        ancestor, times = missing.most_common(1)[0]
        draft.say(f"{draft.called('missing_ancestor', self.name.get(ancestor, ancestor))} is the first prerequisite that seems to be missing for "
                  f"{draft.some('stuck concepts behind it', times)} of them: a few items on it would settle whether to begin there")


    def told(self) -> dict[TextKey, str]:
        """Every text of the map as the page takes them: cells, classes as (class_id, None) and concepts as (None, concept_id)."""
        return {**{key: words.text for key, words in self.cells_told().items()}, **{(name, None): self.cohort(name).text for name in self.by_class},
                **{(None, concept): self.concept(concept).text for concept in self.by_concept}}


def texts(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, evidence: pd.DataFrame | None = None,
          items: pd.DataFrame | None = None, rules: Mapping[str, float] = LIMITS) -> dict[TextKey, str]:
    """The text of every cell, class and concept as :meth:`Narrator.told`; parameters as of :class:`Narrator`, which also gives the figures."""
    return Narrator(gaps, concepts, prerequisites, evidence, items, rules).told()


def learner_text(mastery: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, rules: Mapping[str, float] = LIMITS) -> Narrative:
    """What is known of one learner: what is reached, what is not, where a next step is prepared, and what is unsure.

    A concept counts as reached where P(mastery >= the fail mark) reaches the decision level of the map, as not reached where the
    opposite does, taking the posterior of the model as normal.

    Parameters
    ----------
    mastery : table ``mastery``
        Rows of one learner.
    concepts, prerequisites : tables of those names
    rules : mapping
        ``fail`` and ``stuck_level`` of the map.

    Raises
    ------
    DataError
        Where there are several learners, none, or a concept that is not in ``concepts``.
    """
    if mastery["learner_id"].nunique() != 1:
        raise DataError(f"a learner's text needs the rows of one learner; found {mastery['learner_id'].nunique()}. Choose one learner_id.")
    rules, draft = {**LIMITS, **rules}, Draft()
    names = dict(zip(concepts["concept_id"], concepts["name"], strict=True))
    if len(lost := mastery.loc[~mastery["concept_id"].isin(list(names)), "concept_id"]):
        raise DataError(f"mastery.concept_id must be found in concepts; found {lost.iloc[0]!r}. Give the concepts of the model.")
    who = draft.called("learner", str(mastery["learner_id"].iloc[0]))
    met = mastery[mastery["n"] > 0]
    if met.empty:
        draft.say(f"not enough data: {who} has no response yet")
        draft.say("what would tell: a few items on concepts that others build on")
        return draft.done()
    draft.say(f"{who} has met {draft.some('concepts met', len(met))} of {draft.some('concepts', len(mastery), 'concept')}; the others "
              "are inferred from these" if len(met) < len(mastery) else f"{who} has met all {draft.some('concepts', len(mastery), 'concept')}")
    rows = {row["concept_id"]: row for row in mastery.to_dict("records")}
    normal = NormalDist()
    below = {c: normal.cdf((rules["fail"] - row["mastery"]) / max(row["sd"], 1e-9)) for c, row in rows.items()}
    reached = [c for c in met["concept_id"] if below[c] <= 1 - rules["stuck_level"]]
    short = sorted((c for c in met["concept_id"] if below[c] >= rules["stuck_level"]), key=lambda c: rows[c]["mastery"])
    mark, level = draft.share("rule: fail", rules["fail"]), draft.share("rule: stuck_level", rules["stuck_level"])
    draft.say(f"of those met, {draft.some('concepts reached', len(reached))} are at least {level} likely to lie above the mark of {mark}, "
              f"{draft.some('concepts short', len(short))} below it, and {draft.some('concepts unsure', len(met) - len(reached) - len(short))} "
              "cannot be told yet")
    requires = prerequisites.groupby("concept_id")["requires_id"].agg(lambda needed: sorted(set(needed) - {needed.name})).to_dict()
    _steps(draft, short, reached, rows, requires, names)
    doubt = max(met["concept_id"], key=lambda c: (min(below[c], 1 - below[c]), rows[c]["sd"]))
    if min(below[doubt], 1 - below[doubt]) > 1 - rules["stuck_level"]:
        row = rows[doubt]
        draft.say(f"least sure is {draft.called('least sure', names[doubt])} ({_give_or_take(draft, 'least sure', row)}): more items on it would tell most")
    return draft.done()


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _give_or_take(draft: Draft, name: str, row: Mapping) -> str:
    return (f"{draft.share(f'mastery: {name}', row['mastery'])} give or take {draft.points(f'sd: {name}', row['sd'])}, "
            f"from {draft.some(f'n: {name}', row['n'], 'response')}")


def _steps(draft: Draft, short: list[str], reached: list[str], rows: Mapping[str, Mapping], requires: Mapping[str, list[str]],
           names: Mapping[str, str]) -> None:
    """The lowest concept, and whether what it builds on is reached."""
    if not short:
        return
    lowest, known = short[0], set(reached)
    told = f"lowest is {draft.called('lowest', names[lowest])} ({_give_or_take(draft, 'lowest', rows[lowest])})"
    needed = [c for c in requires.get(lowest, []) if c in rows]
    first = next((c for c in needed if c not in known), None)
    if first is None:
        draft.say(f"{told}; all it builds on is reached, so it may be a next step" if needed else f"{told}, for which the graph names no prerequisite")
        return
    draft.say(f"{told}; it builds on {draft.called('prerequisite', names[first])}, not known to be reached "
              f"({_give_or_take(draft, 'prerequisite', rows[first])}): items on that would tell whether to begin there")
    ready = next((c for c in short if requires.get(c) and all(p in known for p in requires[c])), None)
    if ready is not None:
        draft.say(f"{draft.called('ready', names[ready])} ({_give_or_take(draft, 'ready', rows[ready])}) may be a next step: all it builds on is reached")
