"""This week's alerts as one HTML file for a teacher: who, why, what changed, what was tried and what came of it. It asks nothing of the network.

What a teacher decides on the page stays on the page: it is saved as a small file, or copied as lines for a terminal, and `edukit alerts` puts it
into the log.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from edukit.metrics import shown
from edukit.report.gap_page import _part, write_csv
from edukit.reproducibility import replacing

__all__ = ["AlertPage", "write_csv"]

COUNTS = {
    "alerted": "alerts so far", "ended": "of them whose ending is known", "right_alarms": "of those: did not pass",
    "false_alarms": "of those: false alarms (nothing was tried, and they passed)",
    "not_told_apart": "of those: passed after something was tried (a false alarm or help that worked: nobody can tell)",
}
SHARES = {"not_passed": "share that did not pass", "difference": "difference in that share"}
CAUTION = ("Those with whom something was tried were chosen by teachers, not by lot: they may differ from the others in ways the log does not hold. "
           "The difference is associated with what was tried, and no measure of its effect.")


@dataclass(frozen=True)
class AlertPage:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
    alerts : table ``alerts`` of one week, with ``module_id, presentation, risk, low, high, actionable, context, counterfactual, suggested,
        expected``; several reasons, suggestions or tries stand one a line.
    week : of the course.
    capacity : learners a teacher can look at in a week; None where it is not known.
    gone : who was on the list before: ``learner_id, module_id, presentation, was, why``.
    evaluation : records of what came of the alerts so far (``alerted, ended, false_alarms, …``).
    log : name of the log file, for the lines that a teacher can paste.
    source : where the numbers come from.
    """

    title: str
    alerts: pd.DataFrame
    week: int
    capacity: int | None = None
    gone: pd.DataFrame = field(default_factory=pd.DataFrame)
    evaluation: Sequence[Mapping] = ()
    log: str = "alerts.sqlite"
    source: Mapping[str, object] = field(default_factory=dict)

    def page(self) -> str:
        """A complete HTML document; its policy forbids every request and every script but its own."""
        from jinja2 import Environment

        script, css = _part("alerts.js"), _part("gap_page.css") + _part("alerts.css")
        rows = [self._row(row) for row in self.alerts.to_dict("records")]
        open_ = [row for row in rows if row["state"] == "open"]
        counts = {record["name"]: record["value"] for record in self.evaluation if record["name"] in COUNTS}
        return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("alerts.html.jinja")).render(
            title=self.title, week=self.week, capacity=self.capacity, open=open_, aside=[row for row in rows if row["state"] != "open"],
            new=sum(row["changed"] == "new" for row in open_), first=any(row["changed"] == "first list" for row in open_), gone=self.gone.to_dict("records"),
            counts=[(words, counts[name]) for name, words in COUNTS.items() if name in counts], shares=self._shares(), caution=CAUTION,
            false_alarms=counts.get("false_alarms", 0), ended=counts.get("ended", 0),
            tips=sorted({tip.split(" (")[0] for row in rows for tip in row["suggested"]}), several=self.alerts["module_id"].nunique() > 1,
            source=dict(self.source), log=self.log, css=css, script=script,
            policy=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())

    def write(self, path: Path) -> Path:
        """Write :meth:`page` to ``path``, whole or not at all."""
        page = self.page()
        with replacing(Path(path)) as beside:
            beside.write_text(page, encoding="utf-8", newline="\n")
        return Path(path)

    def _row(self, row: Mapping) -> dict:
        """One alert in words: lines apart, shares in per cent."""
        plain = ("changed", "state", "state_reason", "counterfactual", "module_id", "presentation")
        text = {name: row[name] if isinstance(row[name], str) else "" for name in plain}
        several = ("actionable", "context", "suggested", "expected", "tried")
        lines = {name: row[name].split("\n") if isinstance(row[name], str) and row[name] else [] for name in several}
        ends = [None if pd.isna(row[name]) else 100 * float(row[name]) for name in ("risk", "low", "high")]
        return {**text, **lines, "learner_id": str(row["learner_id"]), "rank": int(row["rank"]), "risk": ends[0], "low": ends[1], "high": ends[2]}

    def _shares(self) -> list[tuple[str, str, str]]:
        """What, of whom, and the number with its interval, or that there is not enough data."""
        found = []
        for record in self.evaluation:
            if record["name"] in SHARES:
                value = record["value"]
                words = f"{shown(value, 2)} [{shown(record['low'], 2)}, {shown(record['high'], 2)}]" if value is not None else "not enough data"
                found.append((SHARES[record["name"]], str(record["group"]), words))
        return found
