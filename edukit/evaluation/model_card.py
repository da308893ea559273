"""What somebody must know before they use a fitted model: what it is for and not for, what it learnt from, how well it does, for whom, and its limits.

References
----------
Mitchell et al. (2019), FAT*: model cards for model reporting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.governance.fairness import ESTIMATED, found_gaps
from edukit.metrics import CALIBRATED
from edukit.reproducibility import replacing, write_json

NAME = "model_card"
NEVER = ("Deciding about a learner without a person who knows them.", "Ranking, refusing, admitting or funding learners; appraising teachers.",
         "Saying why: what it shows is associated with an outcome, and need not be its cause.")
USES = {
    "tracing": ("Estimates what a learner knows of each concept, and how likely the next answer is right, to choose practice and see where learners stand.",
                ("Marks and certificates: an estimate of mastery is no examination.",)),
    "risk": ("Tells who may need support while there is time, so that a person looks at what could help.",
             ("Any course, year or population unlike the one it learnt from, before it was checked there.",)),
    "graph": ("Suggests which concepts build on which, for people to confirm.", ("A curriculum that nobody has looked at.",)),
    "grading": ("Suggests scores of written answers by a rubric, and leaves what it is not sure of to a person.",
                ("Final marks that no person has looked at, above all where much hangs on them.",
                 "Questions, ages or languages unlike those it was measured on: grade some by hand and compare first.")),
    "gaps": ("Shows where a cohort is stuck and what that is associated with.", ("Appraising a class or a teacher.",))}
OVERALL = ("qwk", "exact_agreement", "auc", "ap", "log_loss", "brier", "ece", "precision", "recall")


def card(*, model: str, room: str, settings: Mapping[str, Any], data: Mapping[str, Any], description: str, not_for: str, to_audit: str,
         split: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], fairness: pd.DataFrame | None, environment: Mapping[str, Any],
         seed: int) -> dict[str, Any]:
    """The content of a model card.

    Parameters
    ----------
    model, room : name of the model, and the room of edukit it is from (:data:`USES`).
    settings : its arguments.
    data, split, metrics, environment, seed : as in the run report.
    description, not_for, to_audit : what the card of the data says of itself, of uses it rules out, and of groups.
    fairness : the audit of the run; None where the data has no groups.
    """
    purpose, also_not = USES[room]
    scores = [dict(m) for m in metrics if m["name"] in OVERALL and m["model"] == model and not m["group"]]
    return {"model": model, "room": room, "settings": dict(settings), "seed": seed, "for": purpose, "not_for": [*also_not, *NEVER],
            "data": {"label": data["label"], "fingerprint": data["fingerprint"], "description": description, "not_for": not_for.strip()},
            "split": {name: split[name] for name in ("name", "rows", "fingerprint") if name in split},
            "scores": scores, "calibration": _calibration(scores), "groups": _groups(fairness, to_audit), "limits": _limits(scores, fairness, data),
            "made_with": {name: environment[name] for name in ("edukit", "python", "code") if name in environment}}


def _calibration(scores: Sequence[Mapping[str, Any]]) -> str:
    errors = [m["value"] for m in scores if m["name"] == "ece" and m["value"] is not None]
    if not errors:
        return "Not measured: do not read its probabilities as shares."
    told = f"Expected calibration error {errors[-1]:.3f} on learners it had not learnt from"
    return f"{told}, within {CALIBRATED}." if errors[-1] <= CALIBRATED else f"{told}, above {CALIBRATED}: read its probabilities as an order."


def _groups(fairness: pd.DataFrame | None, to_audit: str) -> dict[str, Any]:
    if fairness is None or fairness.empty:
        return {"audited": [], "found": [], "not_told": [], "of_the_data": to_audit.strip()}
    names = fairness["attribute"] + " = " + fairness["group"]
    told = fairness["state"] == ESTIMATED
    return {"audited": names[told].tolist(), "found": found_gaps(fairness), "not_told": (names + ": " + fairness["reason"])[~told].tolist(),
            "of_the_data": to_audit.strip()}


def _limits(scores: Sequence[Mapping[str, Any]], fairness: pd.DataFrame | None, data: Mapping[str, Any]) -> list[str]:
    found = [f"Measured on {data['label']} only, under the split named here; elsewhere it is not known how well it does."]
    known = None if fairness is None else fairness[fairness["state"] == ESTIMATED]
    if known is None or known.empty:
        found.append("Its fairness was not audited: the run told no attribute of learners, or of too few learners.")
    else:
        weak = known[known["power"] < 0.8]
        if len(weak):
            found.append(f"In {len(weak)} of {len(known)} audited groups an ABROCA gap of .05 would be missed more often than one time in five: "
                         "no gap shown there is no sign of none.")
    if any(m["name"] == "auc" and m["value"] is not None and m["value"] < 0.7 for m in scores):
        found.append("It ranks learners poorly (AUC below .70): do not act on it alone.")
    return found


def markdown(content: Mapping[str, Any]) -> str:
    """The card for people."""
    groups = content["groups"]
    lines = [f"# Model card: {content['model']} ({content['room']})", "", f"**For.** {content['for']}", "", "**Not for.**", "",
             *(f"- {one}" for one in content["not_for"]), "", "## Learnt from", "",
             f"`{content['data']['label']}`, fingerprint `{content['data']['fingerprint'][:16]}`; split {content['split'].get('name', 'none')}: "
             + ", ".join(f"{part} {rows:,}" for part, rows in content["split"].get("rows", {}).items()) + " rows.", "", content["data"]["description"], ""]
    lines += [*(["What its card rules out:", "", content["data"]["not_for"], ""] if content["data"]["not_for"] else []), "## How well", "",
              "| score | value | 95 % interval | n | |", "|---|---|---|---|---|"]
    for m in content["scores"]:
        if m["value"] is not None:
            span = f"{m['low']:.3f} to {m['high']:.3f}" if m["low"] is not None else ""
            lines.append(f"| {m['name']} | {m['value']:.3f} | {span} | {m['n'] or ''} | {m['channel'] or ''} |")
    lines += ["", f"**Calibration.** {content['calibration']}", "", "## Groups", "",
              f"Audited: {', '.join(groups['audited']) or 'none'}.", "", *(f"- gap: {one}" for one in groups["found"]),
              *(["- no gap holds after correction for all tests"] if groups["audited"] and not groups["found"] else []),
              *(f"- cannot be told: {one}" for one in groups["not_told"]), "", "## Limits", "", *(f"- {one}" for one in content["limits"]), "",
              "## Settings", "", *(f"- {name}: {value}" for name, value in content["settings"].items()), f"- seed: {content['seed']}",
              *(f"- {name}: {value}" for name, value in content["made_with"].items()), ""]
    return "\n".join(lines)


def write(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Write ``model_card.json`` and ``.md`` into a folder; returns their names."""
    write_json(folder / f"{NAME}.json", dict(content))
    with replacing(folder / f"{NAME}.md") as beside:
        beside.write_text(markdown(content), encoding="utf-8")
    return [f"{NAME}.json", f"{NAME}.md"]
