"""One learner in full as a page that asks nothing of the network: strengths, what is in reach, likely misconceptions, what comes next, how they work.

Everything comes as tables; nothing is asked of a model here, and no attribute of the person is among the tables. Behaviour is told as it was logged and is
never read as a state of mind; what was not logged is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import shown
from edukit.report import institution
from edukit.report.gap_page import RULES, _part, write_csv
from edukit.report.learner_figure import on_graph
from edukit.report.learner_standing import COLUMNS, LEVEL, STATES, in_reach, not_yet, strengths
from edukit.report.learner_words import FEWEST, absent, sentences
from edukit.report.narrative_draft import Draft, Narrative, listed, percent, probability
from edukit.reproducibility import replacing
from edukit.schema import DataError, has_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LearnerPage", "write_csv"]

MOST = 8  # concepts of one list; all are in the table
RESPONSES = 6  # of the evidence of one concept
OPTIONS = 12  # wrong options that are listed
STEPS = (1, 5, 10, 20, 50, 100)  # of a forecast that are shown, and the last
FORECAST = ("step_ahead", "mean", "low", "high")
MEANT = {"strength": "mastered, as far as can be told", "not yet": "not mastered, as far as can be told", "not sure": "cannot be told yet",
         "not enough data": "fewer than three answers"}


@dataclass(frozen=True)
class LearnerPage:
    """Everything that the page shows of one learner.

    Parameters
    ----------
    learner_id : the pseudonym.
    history : table ``interactions`` of the learner alone.
    standing : of :func:`edukit.report.learner_standing.standing`.
    graph : concepts, prerequisites and items.
    choices, patterns : wrong options chosen (``item_id, option, times, n, share, state, common, requires_id``) and the prerequisites they point to
        (``requires_id, n, chosen, otherwise, p, state``); None where no option was logged.
    forecast : ``step_ahead, mean, low, high`` of the next responses with their 80 % intervals, ``item_id`` or ``concept_id`` they are about, and
        ``share, share_low, share_high`` of the score up to there; None where no forecast was made.
    forecast_words : which items the forecast is about, or why there is none.
    pace : ``kind, measure, value, low, high, unit, n, typical, state``; None where nothing can be said.
    evidence : ``concept_id, order, item_id, correct, relation, moved`` of the responses that an estimate rests on.
    items : table ``items``, for their names.
    source : where the numbers come from.
    mark, sure : as of the standing.

    Raises
    ------
    DataError
        Where the history is of another learner, or a forecast has no interval.
    """

    learner_id: str
    history: pd.DataFrame
    standing: pd.DataFrame
    graph: ConceptGraph
    choices: pd.DataFrame | None = None
    patterns: pd.DataFrame | None = None
    forecast: pd.DataFrame | None = None
    forecast_words: str = "No forecast was made."
    pace: pd.DataFrame | None = None
    evidence: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    source: Mapping[str, object] = field(default_factory=dict)
    mark: float = RULES["fail"]
    sure: float = RULES["stuck_level"]

    def __post_init__(self) -> None:
        strange = self.history.loc[self.history["learner_id"] != self.learner_id, "learner_id"]
        if len(strange):
            raise DataError(f"a profile of {self.learner_id!r} must rest on that learner's responses alone; found {strange.iloc[0]!r} in {len(strange):,} of "
                            f"{len(self.history):,} rows. Keep the rows of one learner_id.")
        if self.forecast is not None and (missing := [c for c in FORECAST if c not in self.forecast]):
            raise DataError(f"a forecast must have the columns {', '.join(FORECAST)}; found no {missing[0]}. Never show a forecast without its interval.")
        if missing := [c for c in COLUMNS if c not in self.standing]:
            raise DataError(f"standing must have the column {missing[0]}. Make it with edukit.report.learner_standing.standing.")

    @property
    def enough(self) -> bool:
        """Whether there are responses enough for a profile."""
        return len(self.history) >= FEWEST

    def narrative(self) -> Narrative:
        """The profile in sentences, with the figures they rest on."""
        return self._told().done()

    def _told(self) -> Draft:
        return sentences(self.learner_id, self.history, self.standing, self.patterns, self.forecast, self.pace, self.mark, self.sure)

    def figure(self) -> Figure:
        """Mastery of each concept with its interval, on the layered graph; drawn once."""
        return self._drawn

    @cached_property
    def _drawn(self) -> Figure:
        return on_graph(self.standing, self.graph, self.mark)

    def content(self) -> dict[str, Any]:
        """Everything the page says, for a program: plain values, None where there is no number."""
        told = self.narrative()
        tables = {"concepts": self.standing, "misconceptions": self.patterns, "wrong_options": self.choices, "forecast": self.forecast, "pace": self.pace,
                  "evidence": self.evidence}
        return {"learner_id": self.learner_id, "enough_data": self.enough, "responses": len(self.history), "narrative": told.text,
                "figures": {name: _plain(value) for name, value in told.figures.items()}, "mark": self.mark, "sure": self.sure, "interval": LEVEL,
                "strengths": list(strengths(self.standing)["concept_id"]), "in_reach": list(in_reach(self.standing)["concept_id"]),
                **{name: None if table is None else [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
                   for name, table in tables.items()}, "source": {name: str(value) for name, value in self.source.items()}}

    def page(self) -> str:
        """A complete HTML document without a script; its policy forbids every request."""
        from jinja2 import Environment

        names = dict(zip(self.standing["concept_id"], self.standing["name"], strict=True))
        count = self.standing["state"].value_counts()
        told = self._told()
        lists = [] if not self.enough else [
            {"id": "strengths", "title": "Strengths", "words": f"At least {probability(self.sure)} likely that {percent(self.mark)} or more of the questions "
             "are answered right.", "none": "No concept can be called so yet.", **self._list(strengths(self.standing), names)},
            {"id": "reach", "title": "In reach", "words": "Not mastered yet, and what they build on most likely is (the outer fringe). Ready: the probability "
             "that all of it is.", "none": "Nothing is in reach that is not mastered already." if len(self.graph.prerequisites) else
             "Not to be told: the data has no prerequisites.", **self._list(in_reach(self.standing), names)},
            {"id": "later", "title": "Not yet", "words": "Most likely not mastered, and not all they build on is.", "none": "None.",
             **self._list(not_yet(self.standing), names)}]
        return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("learner.html.jinja")).render(
            learner=self.learner_id, told=told.sentences, enough=self.enough, fewest=FEWEST, responses=len(self.history), lists=lists,
            tiles=[(state, int(count.get(state, 0)), MEANT[state]) for state in STATES], reach=int(self.standing["in_reach"].sum()),
            image=institution._image(self.figure() if self.enough else None), picture=self._picture(),
            patterns=self._patterns(names), choices=self._choices(names),
            options_logged=self.choices is not None, forecast=self._forecast(names), forecast_words=self.forecast_words, pace=self._pace(),
            absent=listed(absent(self.pace, self.choices is not None) or ["nothing"]), concepts=[self._concept(row, names) for row in
                                                                                               self.standing.to_dict("records")],
            figures=[(name, str(value) if isinstance(value, str | int) else f"{value:.3g}") for name, value in told.figures.items()],
            source={name: str(value) for name, value in self.source.items()}, mark=percent(self.mark), interval=percent(LEVEL),
            css=_part("gap_page.css") + _part("institution.css") + _part("learner.css"))

    def write(self, path: Path) -> Path:
        """Write :meth:`page` to ``path``, whole or not at all."""
        return _written(Path(path), self.page())

    def write_json(self, path: Path) -> Path:
        """Write :meth:`content` to ``path``."""
        return _written(Path(path), json.dumps(self.content(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def table(self) -> pd.DataFrame:
        """Every concept in a row, for a spreadsheet: lists of concepts as text."""
        joined = {column: self.standing[column].map(" ".join) for column in ("prerequisites", "missing")}
        return self.standing.assign(**joined).assign(learner_id=self.learner_id)[["learner_id", *COLUMNS]]

    def _list(self, rows: pd.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
        return {"rows": [self._concept(row, names, evidence=True) for row in rows.head(MOST).to_dict("records")], "more": max(len(rows) - MOST, 0)}

    def _concept(self, row: Mapping, names: Mapping[str, str], evidence: bool = False) -> dict[str, Any]:
        """One concept as the page shows it."""
        known = pd.notna(row["mastery"])
        ready = "" if pd.isna(row["ready"]) else probability(row["ready"]) if row["prerequisites"] else "builds on nothing"
        return {"name": row["name"], "state": row["state"], "n": int(row["n"]), "known": known, "mastery": percent(row["mastery"]) if known else "",
                "low": percent(row["low"]) if known else "", "high": percent(row["high"]) if known else "", "right": percent(row["right"]) if known else "",
                "at": [round(100 * float(row[name]), 1) for name in ("mastery", "low", "high")] if known else [], "ready": ready,
                "in_reach": bool(row["in_reach"]), "prerequisites": [names[p] for p in row["prerequisites"]], "missing": [names[p] for p in row["missing"]],
                "evidence": self._evidence(row["concept_id"], names) if evidence else []}

    def _evidence(self, concept_id: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
        """The responses that say most of a concept, the one that moved its estimate most first."""
        if self.evidence is None:
            return []
        rows = self.evidence[self.evidence["concept_id"] == concept_id]
        rows = rows.reindex(rows["moved"].abs().sort_values(ascending=False, kind="stable").index).head(RESPONSES)
        about, ordered = {"itself": "", "prerequisite": "on what it builds on"}, has_order(self.history)
        return [{"item": self._item(row["item_id"]), "mark": _mark(row["correct"]), "relation": about.get(row["relation"], "on another concept"),
                 "moved": f"{100 * row['moved']:+.1f}".replace("-", "−"), "nth": int(row["order"]) + 1 if ordered else None}
                for row in rows.to_dict("records")]

    def _item(self, item_id: str) -> str:
        if self.items is None or "name" not in self.items:
            return str(item_id)
        named = self.items.loc[self.items["item_id"] == item_id, "name"].dropna()
        return str(named.iloc[0]) if len(named) else str(item_id)

    def _patterns(self, names: Mapping[str, str]) -> list[dict[str, Any]]:
        if self.patterns is None:
            return []
        likely = self.patterns[self.patterns["state"] == "likely"]
        return [{"name": names.get(row["requires_id"], row["requires_id"]), "n": int(row["n"]), "chosen": int(row["chosen"]),
                 "otherwise": f"{row['otherwise']:.1f}", "p": shown(row["p"], 3) if row["p"] >= 0.001 else "below .001"} for row in likely.to_dict("records")]

    def _choices(self, names: Mapping[str, str]) -> list[dict[str, Any]]:
        """Wrong options that say something: chosen more than once, common, or pointing to a prerequisite."""
        if self.choices is None:
            return []
        rows = self.choices[(self.choices["times"] > 1) | self.choices["common"] | self.choices["requires_id"].notna()]
        return [{"item": self._item(row["item_id"]), "option": str(row["option"]), "times": int(row["times"]), "common": bool(row["common"]),
                 "share": f"{percent(row['share'])} of {int(row['n'])}" if row["state"] == "shown" else "hidden",
                 "points": names.get(row["requires_id"], row["requires_id"]) if pd.notna(row["requires_id"]) else ""}
                for row in rows.head(OPTIONS).to_dict("records")]

    def _forecast(self, names: Mapping[str, str]) -> dict[str, Any] | None:
        """The next response, some later ones, each concept at the horizon and the score at the end."""
        if self.forecast is None or not len(self.forecast) or not self.enough:
            return None
        rows = self.forecast.sort_values("step_ahead", kind="stable")
        if "concept_id" not in rows:
            of = self.graph.q_matrix.drop_duplicates("item_id").set_index("item_id")["concept_id"]
            rows = rows.assign(concept_id=rows["item_id"].map(of) if "item_id" in rows else None)
        last = int(rows["step_ahead"].max())
        steps = rows[rows["step_ahead"].isin([*STEPS, last])].drop_duplicates("step_ahead")
        scores = "share" in rows
        ends = rows.drop_duplicates("concept_id", keep="last").dropna(subset=["concept_id"]).sort_values(["mean", "concept_id"], ascending=[False, True])
        score = steps.iloc[-1]
        return {"horizon": last, "next": _ends(rows.iloc[0]), "score": _ends(score, "share", "share_low", "share_high") if scores else None,
                "steps": [{"step": int(row["step_ahead"]), "name": names.get(row["concept_id"], ""), **_ends(row),
                           "score": _ends(row, "share", "share_low", "share_high") if scores else None} for row in steps.to_dict("records")],
                "concepts": [{"name": names.get(row["concept_id"], row["concept_id"]), "step": int(row["step_ahead"]), **_ends(row)}
                             for row in ends.to_dict("records")]}

    def _pace(self) -> list[dict[str, Any]]:
        if self.pace is None:
            return []
        return [{"kind": row["kind"], "measure": row["measure"], "value": _measured(row["value"], row["unit"]) if row["state"] == "logged" else row["state"],
                 "ends": f"{_measured(row['low'], row['unit'])} to {_measured(row['high'], row['unit'])}" if pd.notna(row["low"]) else "",
                 "n": "" if pd.isna(row["n"]) else f"{int(row['n']):,}", "typical": "" if pd.isna(row["typical"]) else _measured(row["typical"], row["unit"])}
                for row in self.pace.to_dict("records")]

    def _picture(self) -> str:
        """What the figure shows, for those who do not see it."""
        count = self.standing["state"].value_counts()
        return (f"Graph of {len(self.standing)} concepts, each right of what it builds on, coloured by mastery with its interval: "
                f"{listed([f'{int(count.get(state, 0))} {state}' for state in STATES])}, {int(self.standing['in_reach'].sum())} in reach. "
                "The table of all concepts holds the numbers.")


def _written(path: Path, text: str) -> Path:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return path


def _ends(row: Mapping | pd.Series, mean: str = "mean", low: str = "low", high: str = "high") -> dict[str, str]:
    return {"mean": probability(row[mean]), "low": percent(row[low]), "high": percent(row[high])}


def _measured(value: float, unit: str) -> str:
    """A measure in its unit."""
    if unit == "share":
        return percent(value)
    return f"{value:,.0f}" if value >= 100 or unit == "sessions" else f"{value:.2f}" if unit in ("times", "hints", "answer changes") else f"{value:.1f}"


def _mark(correct: float) -> str:
    return {0.0: "wrong", 1.0: "right"}.get(float(correct), f"{percent(correct)} of the marks")


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else getattr(value, "item", lambda: value)()
