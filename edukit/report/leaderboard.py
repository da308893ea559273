"""A comparison of tracing models as one HTML file: what was asked and done, who leads and by how much, and what it costs. It asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from edukit.metrics import CALIBRATED, shown
from edukit.report.gap_page import _part
from edukit.reproducibility import replacing
from edukit.schema import DataError

COLUMNS = (  # heading, what it means, name, channel, group, places
    ("AUC", "how often a right response is ranked above a wrong one, with the 95 % interval over learners", "auc", None, None, 3),
    ("± sd", "standard deviation of the AUC over seeds and folds", "auc_sd", None, None, 4),
    ("log-loss", "mean negative log-likelihood in nats; lower is better", "log_loss", None, None, 3),
    ("Brier", "mean squared error of the probability; lower is better", "brier", None, None, 3),
    ("ECE", "expected calibration error as the model is; lower is better", "ece", None, None, 3),
    ("ECE cal.", "expected calibration error after calibration on learners set aside; at most .02 is the target", "ece", "calibrated", None, 3),
    ("log-loss cal.", "log-loss after calibration", "log_loss", "calibrated", None, 3),
    ("first 5", "AUC on the first 5 answers of each learner", "auc", None, "first 5 answers", 3),
    ("first tries", "AUC on first attempts at an item", "auc", None, "first attempts", 3),
    ("later tries", "AUC on later attempts at an item", "auc", None, "later attempts", 3),
    ("fit s", "processor seconds of a fit, one thread", "fit_seconds", None, None, 1),
    ("ask s", "processor seconds to forecast the rows set aside and the test rows", "predict_seconds", None, None, 1),
    ("MB", "peak memory of the process of a cell, libraries included", "cell_peak_rss_mb", None, None, 0),
    ("numbers", "numbers that the fitted model has learnt", "parameters", None, None, 0),
)
PICTURES = {
    "comparison": "AUC on test learners with 95 % intervals, best first",
    "cold_start": "AUC on the first answers of a learner, by model",
    "cost": "AUC against processor seconds of a fit",
    "reliability": "How often learners were right when a model said p, before and after calibration",
}


@dataclass(frozen=True)
class Leaderboard:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
    records : metric records of the split ``test`` (others are left aside)
    verdicts, protocol, differences : sentences: what was found, how, and of every pair of models which is better
    left_out : models without a result, and why
    floors, networks : names of models that are marked as such
    source : where the numbers come from, with the command
    pictures : png files by name; those of :data:`PICTURES` are shown
    """

    title: str
    records: Sequence[Mapping]
    verdicts: Sequence[str] = ()
    protocol: Sequence[str] = ()
    differences: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    floors: Sequence[str] = ()
    networks: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)

    def page(self) -> str:
        """A complete HTML document; its policy forbids every request and every script but its own.

        Raises
        ------
        DataError
            Where no model has an AUC on the test rows.
        """
        from jinja2 import Environment

        script, css = _part("leaderboard.js"), _part("gap_page.css") + _part("leaderboard.css")
        shown = {name: (words, base64.b64encode(self.pictures[name].read_bytes()).decode()) for name, words in PICTURES.items() if name in self.pictures}
        return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("leaderboard.html.jinja")).render(
            title=self.title, verdicts=list(self.verdicts), protocol=list(self.protocol), differences=list(self.differences), left_out=dict(self.left_out),
            source=dict(self.source), columns=[c[:2] for c in COLUMNS], rows=self._rows(), groups=self._groups(), pictures=shown, css=css, script=script,
            policy=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())

    def write(self, path: Path) -> Path:
        """Write :meth:`page` to ``path``, whole or not at all."""
        page = self.page()
        with replacing(Path(path)) as beside:
            beside.write_text(page, encoding="utf-8", newline="\n")
        return Path(path)

    def _rows(self) -> list[dict]:
        """One row a model, the best AUC first: a cell is its words, the value it is sorted by, and for the AUC where its interval lies (per cent)."""
        of = {(r["model"], r["name"], r["channel"], r["group"]): r for r in self.records if r["split"] == "test"}
        models = [r["model"] for r in self.records if r["split"] == "test" and r["name"] == "auc" and not r["group"] and not r["channel"]]
        if not models:
            raise DataError("a leaderboard needs the AUC of one model on the test rows at least; found none. Fit a model first.")
        ends = [v for m in models for v in (of[m, "auc", None, None]["low"], of[m, "auc", None, None]["high"]) if known(v)]
        low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
        found = []
        for model in models:
            cells = []
            for _, _, name, channel, group, places in COLUMNS:
                r = of.get((model, name, channel, group), {})
                value, cell = r.get("value"), {"words": "–", "value": "", "interval": None, "low": None, "width": None, "missed": False}
                if value is not None and known(value):
                    cell |= {"words": shown(value, places), "value": f"{value:.9g}", "missed": channel == "calibrated" and name == "ece" and value > CALIBRATED}
                if known(value) and (name, group) == ("auc", None) and known(r["low"]):
                    cell |= {"interval": f"[{shown(r['low'], 3)}, {shown(r['high'], 3)}]", "low": 100 * (r["low"] - low) / ((high - low) or 1),
                             "width": 100 * (r["high"] - r["low"]) / ((high - low) or 1)}
                cells.append(cell)
            kind = "floor" if model in self.floors else "network" if model in self.networks else ""
            found.append({"model": model, "kind": kind, "cells": cells})
        return sorted(found, key=lambda row: -float(row["cells"][0]["value"] or 0))

    def _groups(self) -> dict[str, list[tuple[str, str, str]]]:
        """Per group of learners: model, AUC with interval, responses; a group with too few learners says so."""
        found: dict[str, list[tuple[str, str, str]]] = {}
        for r in self.records:
            group = str(r["group"] or "")
            if r["split"] == "test" and r["name"] == "auc" and "=" in group:
                words = f"{shown(r['value'], 3)} [{shown(r['low'], 3)}, {shown(r['high'], 3)}]" if known(r["value"]) else "not enough data"
                found.setdefault(group, []).append((r["model"], words, f"{r['n']:,}" if r["n"] else ""))
        return found


def known(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and isfinite(value)
