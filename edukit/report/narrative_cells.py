"""One cell of the gap map in 2 to 5 plain sentences, with the figures they rest on: the part of :mod:`edukit.report.narrative` on cells."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from statistics import NormalDist, median

import pandas as pd

from edukit.governance.privacy import TOTAL
from edukit.report.gap_page import RULES
from edukit.report.narrative_draft import NAMED, Draft, Narrative, listed, place, span, there
from edukit.schema import DataError

LIMITS = {**RULES, "min_items": 2, "comparisons": 3, "share_interval": 0.80}
CAUSES = {"prior_knowledge": "missing prerequisites", "teaching": "class effects", "content": "flawed items"}
LABELS = {**CAUSES, "curriculum_wide": "the curriculum as a whole"}
WHAT_IF = {"prior_knowledge": ("if_ready", "were its prerequisites mastered"), "teaching": ("if_typical_class", "were the class effect zero"),
           "content": ("if_clean_items", "by the items without flaws"), "curriculum_wide": ("if_ready", "even were its prerequisites mastered")}
FLAWS = {"low_discrimination": "tells little of mastery", "dif": "harder for one group", "nonuniform_dif": "tells less of one group",
         "miskeyed": "perhaps a wrong key", "contradicted": "missed by learners who master what builds on it", "slip_guess": "slips or guesses"}
ESTIMATED, LITTLE = "estimated", "not enough data"
NEEDED = ("n", "responses", "mastery", "low", "high", "need", "p_stuck", "stuck")
HARDLY = 10  # times the learners there are: more than that is no advice
MERGED = " · fewer than "  # stands in the name of several options that were put together to hide small ones
WIDE = 0.5  # an interval of a share as long as this says little; shares that add up to less leave most of the need open
LITTLE_SHARE = 0.1  # where the upper end of a share is below this, more data on it would tell nothing


class CellNarrator:
    """Puts the cells of one gap map into words.

    Parameters
    ----------
    gaps : table ``gaps``
        Each class and concept once; hidden cells hold no number. The columns of the causes may be absent.
    concepts, prerequisites : tables of those names
    evidence : table ``gap_evidence``, or None
        Its most chosen wrong answers are told where flawed items are named.
    items : table ``item_screen``, or None
        Gives the flagged items of a concept.
    rules : mapping
        What the map was made with (the fields of a ``GapMap``); what is absent is as in ``LIMITS``.

    Raises
    ------
    DataError
        When a cell comes twice, a concept is not in ``concepts``, or a hidden cell holds a number.
    """

    def __init__(self, gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, evidence: pd.DataFrame | None = None,
                 items: pd.DataFrame | None = None, rules: Mapping[str, float] = LIMITS) -> None:
        key = ["class_id", "concept_id"]
        if gaps.duplicated(key).any():
            raise DataError(f"a narrative tells of each class and concept once; found {int(gaps.duplicated(key).sum())} repeated. Choose one term.")
        self.name = dict(zip(concepts["concept_id"], concepts["name"], strict=True))
        if len(lost := gaps.loc[~gaps["concept_id"].isin(list(self.name)), "concept_id"]):
            raise DataError(f"gaps.concept_id must be found in concepts; found {lost.iloc[0]!r}. Give the concepts the map was made with.")
        if absent := [c for c in NEEDED if c not in gaps and (gaps["state"] == ESTIMATED).any()]:
            raise DataError(f"gaps must hold {', '.join(NEEDED)}; found no {absent[0]}. Make it with GapMap.map.")
        numbers = [c for c in gaps.columns if c not in (*key, "state", "items", "teacher_id", "term")]
        if gaps.loc[gaps["state"] != ESTIMATED, numbers].notna().any(axis=None):
            raise DataError("gaps must hold nothing where state is not 'estimated'; found some. Make it with GapMap.map, which hides it.")
        self.rules = {**LIMITS, **rules}
        self.cells: dict[tuple[str, str], dict] = {(row["class_id"], row["concept_id"]): row for row in gaps.to_dict("records")}
        self.by_concept: dict[str, list[dict]] = {}
        self.by_class: dict[str, list[dict]] = {}
        for (cohort, concept), row in self.cells.items():
            self.by_concept.setdefault(concept, []).append(row)
            self.by_class.setdefault(cohort, []).append(row)
        self.requires: dict[str, list[str]] = {}
        for concept, required in prerequisites[["concept_id", "requires_id"]].drop_duplicates().itertuples(index=False):
            if concept != required and required in self.name:
                self.requires.setdefault(concept, []).append(required)
        self.screened: dict[str, list[dict]] = {}
        for row in [] if items is None else items[["concept_id", "item_id", "flags", "flagged"]].to_dict("records"):
            self.screened.setdefault(row["concept_id"], []).append(row)
        self.wrong: dict[str, list[dict]] = {}
        if evidence is not None:
            wrong = (evidence["kind"] == "distractor") & (evidence["note"].fillna("") != "the right answer")
            rows = evidence[wrong & evidence["value"].notna() & ~evidence["about"].str.contains(MERGED, regex=False)]
            for row in rows.sort_values("value", ascending=False, kind="stable").to_dict("records"):
                self.wrong.setdefault(row["concept_id"], []).append(row)

    # ---- one cell --------------------------------------------------------------------------------------

    def cells_told(self) -> dict[tuple[str, str], Narrative]:
        """(class_id, concept_id) -> narrative, for every cell of the map."""
        return {key: self.cell(*key) for key in self.cells}

    def cell(self, class_id: str, concept_id: str) -> Narrative:
        """What is known of one class and one concept."""
        row, draft = self._row(class_id, concept_id), Draft()
        what = draft.called("concept", self.name[concept_id])
        where = place(draft, row)
        if row["state"] != ESTIMATED:
            self._hidden(draft, row, what, where)
            return draft.done()
        draft.say(f"mean mastery of {what} {where} is {self._mean(draft, row)}")
        verdict = self._verdict(row)
        mark, p = draft.share("rule: fail", self.rules["fail"]), draft.chance("p_stuck", row["p_stuck"])
        far = draft.points("need", row["need"]) if row["need"] >= 0.005 else ""
        missing = f"; it is {far} short of the target of {draft.share('rule: target', self.rules['target'])}" if far else ""
        draft.say({"stuck": f"that counts as stuck: the probability that it lies below {mark} is {p}{missing}",
                   "above": f"that is not stuck: the probability that it lies below {mark} is {p}{missing}",
                   "unsure": f"whether that is below {mark} is not sure: the probability is {p}{missing}"}[verdict])
        if verdict == "unsure":
            self._more_learners(draft, row)
        if verdict == "stuck":
            self._shares(draft, row)
            self._label(draft, row, what)
        return draft.done()

    def _row(self, class_id: str, concept_id: str) -> dict:
        if (class_id, concept_id) not in self.cells:
            raise DataError(f"gaps must hold the cell to tell of; found no row of class {class_id!r} and concept {concept_id!r}.")
        return self.cells[class_id, concept_id]

    def _mean(self, draft: Draft, row: Mapping) -> str:
        level = draft.share("rule: interval", self.rules["interval"])
        return (f"{draft.share('mastery', row['mastery'])} ({level} interval {span(draft, row, 'low', 'high')}, from "
                f"{draft.some('n', row['n'], 'learner')} and {draft.some('responses', row['responses'], 'response')})")

    def _verdict(self, row: Mapping) -> str:
        level = self.rules["stuck_level"]
        return "stuck" if row["stuck"] else "above" if row["p_stuck"] <= 1 - level else "unsure"

    def _enough(self, draft: Draft) -> str:
        return (f"{draft.some('rule: k', self.rules['k'], 'more learner')} and "
                f"{draft.some('rule: min_responses', self.rules['min_responses'], 'more response')}")

    def _hidden(self, draft: Draft, row: Mapping, what: str, where: str) -> None:
        few = draft.some("rule: k", self.rules["k"], "learner")
        if row["state"] == LITTLE:
            draft.say(f"not enough data: nothing can be said of {what} {where}")
            draft.say(f"a cell is shown from {few} and {draft.some('rule: min_responses', self.rules['min_responses'], 'response')} on; how many are "
                      "there is not told, so that nobody can be recognised")
            absent = max(0, int(self.rules["min_items"]) - int(row["items"]))
            items = f"; naming a cause would take {draft.some('more_items', absent, 'more item')} as well" if absent else ""
            draft.say(f"at most {self._enough(draft)} would be enough{items}")
        else:
            draft.say(f"suppressed: {what} {where} is hidden so that nobody can work out a smaller group beside it")
            draft.say(f"it can be shown once every group has {few} on this concept; at most {draft.some('rule: k', self.rules['k'])} more in each "
                      "would be enough")

    def _more_learners(self, draft: Draft, row: Mapping) -> None:
        rules, n = self.rules, int(row["n"])
        se = max(row["high"] - row["mastery"], row["mastery"] - row["low"]) / NormalDist().inv_cdf((1 + rules["interval"]) / 2)
        away = abs(row["mastery"] - rules["fail"])
        needed = n * (se * NormalDist().inv_cdf(rules["stuck_level"]) / away) ** 2 if away > 1e-9 else float("inf")
        if needed > HARDLY * n:
            draft.say("it lies so near the mark that more learners would hardly tell: treat it as a concept to watch")
            return
        draft.say(f"about {draft.some('more_learners', max(1, ceil(needed - n)), 'more learner')} would be enough to tell, if the mean stays where it is")

    def _shares(self, draft: Draft, row: Mapping) -> None:
        told = [f"{draft.share(cause, row[cause])}{self._between(draft, row, cause, levelled=not i)}{'' if i else ' is associated'} with {CAUSES[cause]}"
                for i, cause in enumerate(c for c in CAUSES if there(row, c))]
        beyond = "; more than the whole means that mastery would pass the target" if any(there(row, c) and row[c] >= 1.005 for c in CAUSES) else ""
        if told:
            draft.say(f"of that need, {listed(told)}{beyond}")

    def _between(self, draft: Draft, row: Mapping, name: str, levelled: bool = True) -> str:
        if not (there(row, f"{name}_low") and there(row, f"{name}_high")):
            return ""
        level = f"{draft.share('rule: share_interval', self.rules['share_interval'])} interval " if levelled else ""
        return f" ({level}{span(draft, row, f'{name}_low', f'{name}_high')})"

    # ---- what it is associated with, and what would settle it -----------------------------------------------

    def _label(self, draft: Draft, row: Mapping, what: str) -> None:
        """The label with what it would change, and what would settle it; where there is none, what would tell more."""
        label = row["label"] if there(row, "label") else None
        if label not in LABELS:
            self._open(draft, row, label)
            return
        column, words = WHAT_IF[label]
        sure = f" ({draft.chance('label_probability', row['label_probability'])} probable)" if there(row, "label_probability") else ""
        then = (f"; {words}, mean mastery is expected at {draft.share(column, row[column])}{self._between(draft, row, column)}"
                if there(row, column) else "")
        draft.say(f"this supports looking first at {LABELS[label]}{sure}{then}")
        draft.say(f"what would settle it: {getattr(self, f'_settle_{label}')(draft, row, what)}")

    def _settle_prior_knowledge(self, draft: Draft, row: Mapping, what: str) -> str:
        ancestor = self._ancestor(row)
        if ancestor is None:
            return f"a few items on what {what} builds on for these learners, and {what} again once that is known"
        first = draft.called("missing_ancestor", self.name.get(ancestor, ancestor))
        cell = self.cells.get((row["class_id"], ancestor))
        at = f" (here at {draft.share('mastery of the missing_ancestor', cell['mastery'])})" if cell else ""
        return f"a few items on {first}, the first prerequisite that seems to be missing{at}, and {what} again once it has been revisited"

    def _ancestor(self, row: Mapping) -> str | None:
        """The first missing prerequisite; None where the class's own cell of it is hidden: that it is low would say something of that cell."""
        if not there(row, "missing_ancestor"):
            return None
        cell = self.cells.get((row["class_id"], row["missing_ancestor"]))
        return row["missing_ancestor"] if cell is None or cell["state"] == ESTIMATED else None

    def _settle_teaching(self, draft: Draft, row: Mapping, what: str) -> str:
        others = self._others(row)
        middle = f" (there {draft.share('median of the other classes', median(o['mastery'] for o in others))} in the middle)" if others else ""
        count = draft.some("classes to compare with", len(others), "other class", "other classes")
        first = "" if self.requires.get(row["concept_id"]) else "; nothing in this graph comes before it, so that learners who arrived without it look the same"
        return f"how {what} was met here beside the {count} that can be judged{middle}, and responses of another term{first}; this is no appraisal of anybody"

    def _settle_content(self, draft: Draft, row: Mapping, what: str) -> str:
        flagged, _ = self._flagged(draft, row["concept_id"])
        bad = tuple(f"{item['item_id']} · " for item in self.screened.get(row["concept_id"], []) if item["flagged"])
        wrong = next((w for w in self.wrong.get(row["concept_id"], []) if not bad or str(w["about"]).startswith(bad)), None)
        chosen = (f"the wrong answer chosen most is {draft.called('wrong answer', str(wrong['about']))}, "
                  f"by {draft.share('wrong answer chosen', wrong['value'])} of all learners who met it") if wrong else ""
        known = "; ".join(part for part in (flagged, chosen) if part)
        return f"having the items of {what} read{f' ({known})' if known else ''}, and asking mended ones again"

    def _settle_curriculum_wide(self, draft: Draft, row: Mapping, what: str) -> str:
        others = self._others(row)
        stuck = draft.some("other classes stuck", sum(bool(other["stuck"]) for other in others))
        beside = f" (here {stuck} of {draft.some('classes to compare with', len(others))} other classes are stuck as well)" if others else ""
        return f"a cohort that met {what} at another time or with other material{beside}"

    def _others(self, row: Mapping) -> list[dict]:
        """The same concept in the other classes that can be judged."""
        return [other for other in self.by_concept[row["concept_id"]]
                if other["state"] == ESTIMATED and other["class_id"] not in (TOTAL, row["class_id"])]

    def _flagged(self, draft: Draft, concept_id: str) -> tuple[str, int]:
        """The flagged items of a concept in words, and how many there are."""
        screened = self.screened.get(concept_id, [])
        flagged = [item for item in screened if item["flagged"]]
        if not flagged:
            return "", 0
        codes = sorted({code.strip() for item in flagged for code in str(item["flags"]).split(";") if code.strip()})
        flaws = ", ".join(FLAWS.get(code, code.replace("_", " ")) for code in codes)
        return (f"{draft.some('flagged items', len(flagged))} of {draft.some('screened items', len(screened))} {'is' if len(flagged) == 1 else 'are'} flagged"
                f"{f': {flaws}' if flaws else ''}"), len(flagged)

    def _open(self, draft: Draft, row: Mapping, label: str | None) -> None:
        """No cause is named: what would tell more."""
        items, least = int(row["items"]), int(self.rules["min_items"])
        if items < least:
            draft.say(f"with {draft.some('items', items, 'item')}, a hard concept and a flawed item look the same, and no cause can be named")
            draft.say(f"{draft.some('more_items', least - items, 'more item')} on it would be enough to look for one")
        elif label is None:
            draft.say("this map looks for no cause")
            draft.say("what would tell more: a screen of its items, a graph of prerequisites and a model of the classes")
        else:
            draft.say("it is undetermined what this is associated with: no cause is probable enough to be named")
            draft.say(f"what would tell more: {listed(self._wanted(draft, row))}")

    def _wanted(self, draft: Draft, row: Mapping) -> list[str]:
        """Further data that would tell causes apart, at most three."""
        wanted, concept = [], row["concept_id"]
        others, least = self._others(row), int(self.rules["comparisons"])
        if row["class_id"] != TOTAL and len(others) < least:
            wanted.append(f"{draft.some('more_classes', least - len(others), 'more class', 'more classes')} to compare with")
        required = self.requires.get(concept, [])
        unknown = [p for p in required if self.cells.get((row["class_id"], p), {}).get("state") != ESTIMATED]
        if not self.requires:
            wanted.append("a graph of prerequisites, without which prior knowledge cannot be judged")
        elif unknown:
            wanted.append(f"items on its prerequisite{'s' if len(unknown) > 1 else ''} "
                          f"{draft.names('prerequisite to ask', [self.name[p] for p in unknown])} (at most {self._enough(draft)} each would be enough)")
        little = there(row, "content_high") and row["content_high"] < LITTLE_SHARE
        flagged, count = self._flagged(draft, concept) if len(wanted) < NAMED and not little else ("", 0)
        if count:
            wanted.append(f"cleaner items ({flagged})")
        wide = [c for c in CAUSES if there(row, f"{c}_low") and there(row, f"{c}_high") and row[f"{c}_high"] - row[f"{c}_low"] > WIDE]
        if wide and len(wanted) < NAMED:
            wanted.append(f"more responses on it and on its prerequisites, as the interval of {CAUSES[wide[0]]} is wide")
        if len(wanted) < NAMED and all(there(row, c) for c in CAUSES) and sum(row[c] for c in CAUSES) < WIDE:
            wanted.append("a cohort that met it at another time or with other material, as most of the need goes with none of the three")
        return wanted or ["more responses of each learner on it, and a look at single answers"]
