"""Grading told in lines: how long it will take, how far scores agree with people, and what is left to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edukit.metrics import shown

from .grade_class import CURVE, FEWEST, FOLDS, ClassGrades

EMBEDDED, START, FIT = 40.0, 8.0, 0.03  # answers a second, seconds before the first, and seconds a graded answer and fit, on one core


def seconds(answers: int, graded: int, curve: bool) -> str:
    """About how long it takes, in words."""
    fits = 1 + (FOLDS * (1 + (len(CURVE) if curve else 0)) if graded >= FEWEST else 0)
    whole = START + (answers + graded) / EMBEDDED + FIT * graded * fits
    return f"{whole:.0f} seconds" if whole < 90 else f"{whole / 60:.0f} minutes"


def interval(record: Mapping, places: int = 2) -> str:
    """A value with its interval."""
    if record["value"] is None or not np.isfinite(record["value"]):
        return "not enough data"
    ends = "" if record["low"] is None else f" [{shown(record['low'], places)}, {shown(record['high'], places)}]"
    return shown(record["value"], places) + ends


def lines(found: ClassGrades) -> list[str]:
    """What a teacher is told of the grades of a class, as they stand after what people decided."""
    told = list(found.notes)
    away = found.grades.groupby("answer_id")["deferred"].any()
    kept = found.scores().dropna()
    kept, without = kept[~away.reindex(kept.index)], int((~away).sum())
    told.append(f"scored      {len(kept):,} of {len(away):,} answers, out of {found.full:g}; {int(away.sum()):,} left to you"
                + (f"; {without - len(kept):,} rejected" if without > len(kept) else ""))
    if len(kept):
        told.append(f"scores      lowest {kept.min():g}, median {kept.median():g}, highest {kept.max():g}")
    sure = found.sure()[~away].dropna()
    if len(sure) and found.learnt:
        told.append(f"how sure    of the scores given: median {sure.median():.0%}, lowest {sure.min():.0%}")
    flags = found.grades.drop_duplicates("answer_id")["flags"].dropna().str.split(",").explode().value_counts()
    if len(flags):
        told.append("flagged     " + "; ".join(f"{name} {n}" for name, n in flags.items()))
    return told + curve_lines(found.records)


def curve_lines(records: Sequence[Mapping]) -> list[str]:
    """How far scores agree with graded answers that were held out, by how many the grader had seen."""
    found = [f"{'agreement with your scores, held out':<40}{'QWK [95 %]':<22}{'exact':>7}{'within 1':>10}"] if records else []
    for channel in dict.fromkeys(record["channel"] for record in records):
        by = {record["name"]: record for record in records if record["channel"] == channel}
        found.append(f"  with {channel:<33}{interval(by['qwk']):<22}{shown(by['exact']['value'], 2):>7}{shown(by['adjacent']['value'], 2):>10}")
    return found
