"""The result of grading as it is printed: agreement by question beside what people reach, what is left to a person, elements and deceit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from edukit.data.gaming_answers import KINDS
from edukit.metrics import shown

EMBEDDED, FIT = 40.0, 0.008  # answers a second, and seconds a fold and answer, on one core
KEPT = "least sure left to a person"
MEAN, KEPT_MEAN = "mean of questions", "least sure left to a person, mean of questions"
COLUMNS = (("qwk", "QWK [95 %]", 19), ("exact_agreement", "exact", 7), ("adjacent_agreement", "within 1", 10), ("standardised_mean_difference", "SMD", 7),
           ("human_qwk", "two people", 12), ("ceiling_perfect_grader", "ceiling", 9))


def minutes(tables: Mapping[str, pd.DataFrame], cfg: DictConfig) -> str:
    """About how long a run takes, in words."""
    n, parts = len(tables["answers"]), set(tables["answers"]["part"].dropna()) if "part" in tables["answers"] else set()
    fits = len(cfg.curve) + (1 if len(parts) > 1 else int(cfg.folds))
    whole = 15 + n / EMBEDDED + FIT * n * fits
    return f"{f'{whole:.0f} seconds' if whole < 90 else f'{whole / 60:.0f} minutes'}, less where the answers were embedded before"


def cell(one: Mapping[str, Any] | None) -> str:
    """A value with its interval."""
    if one is None or one["value"] is None or pd.isna(one["value"]):
        return "–"
    ends = "" if one["low"] is None or pd.isna(one["low"]) else f" [{shown(one['low'], 2)}, {shown(one['high'], 2)}]"
    return shown(one["value"], 3) + ends


def rows_of(records: Sequence[Mapping[str, Any]], labels: bool) -> list[str]:
    """Lines of the tables."""
    found = []
    for part in dict.fromkeys(r["split"] for r in records if r["name"] == "deferred"):
        found += _agreement(part, [r for r in records if r["split"] == part], labels)
    told = {r["name"]: r for r in records if str(r["name"]).startswith("element_")}
    found += [f"key elements       precision {cell(told['element_precision'])}, recall {cell(told['element_recall'])}, "
              f"n {told['element_recall']['n']:,}"] if told else []
    flagged = {r["channel"]: r for r in records if r["name"] == "flagged"}
    if flagged:
        found.append("deceit flagged     " + ", ".join(f"{kind} {flagged[kind]['value']:.0%}" for kind in KINDS if kind in flagged)
                     + f"; honest answers flagged {flagged['honest answers']['value']:.1%}")
    for r in records:
        if r["split"] == "learning curve" and r["name"] in (("exact_agreement",) if labels else ("qwk", "human_qwk")):
            found.append(f"learning curve     {r['channel']:<12} {'accuracy' if labels else 'QWK'} {cell(r)}, n {r['n']:,}")
    return found


def _agreement(part: str, records: Sequence[Mapping[str, Any]], labels: bool) -> list[str]:
    """The table of one part."""
    by = {(r["group"], r["channel"], r["name"]): r for r in records}
    share = by[None, None, "deferred"]["value"]
    if labels:
        one, kept = by[None, None, "exact_agreement"], by.get((None, KEPT, "exact_agreement"))
        return [f"{part:<22} accuracy {cell(one)}, n {one['n']:,}; with the least sure {share:.0%} left to a person {cell(kept)}; "
                f"ECE {shown(by[None, None, 'ece']['value'])}"]
    found = [f"{part:<24}{'n':>6}  " + "".join(f"{words:<{width}}" for _, words, width in COLUMNS) + f"QWK with the least sure {share:.0%} left"]
    for group in dict.fromkeys(r["group"] for r in records if str(r["group"]).startswith("question_id=")):
        one = {name: by.get((group, None, name)) for name, _, _ in COLUMNS}
        if one["qwk"] is None:
            continue
        cells = [f"{_short(one[name]) if i else cell(one[name]):<{width}}" for i, (name, _, width) in enumerate(COLUMNS)]
        found.append(f"  {group.removeprefix('question_id=')[:21]:<22}{one['qwk']['n']:>6}  {''.join(cells)}{cell(by.get((group, KEPT, 'qwk')))}")
    whole, kept = by[None, MEAN, "qwk"], by[None, KEPT_MEAN, "qwk"]
    found.append(f"  {'mean of questions':<22}{whole['n']:>6}  {cell(whole):<{sum(width for _, _, width in COLUMNS)}}{cell(kept)}")
    apart = [r for r in records if r["group"] and not str(r["group"]).startswith(("question_id=", "band=")) and r["name"] == "qwk" and r["channel"] is None]
    for r in apart:
        found.append(f"  {r['group'][:44]:<46}" + ("fewer than ten learners" if r["value"] is None else f"QWK {cell(r)}, n {r['n']:,}"))
    return [*found, f"  calibration of the confidence: ECE {shown(by[None, None, 'ece']['value'])}"]


def _short(one: Mapping[str, Any] | None) -> str:
    """A value without its interval."""
    return "–" if one is None or one["value"] is None else shown(one["value"], 2)
