"""A ledger as files that other tools read: one row an entry, for a spreadsheet, and one JSON a line, exact."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edukit.grading.ledger_entries import PERSONAL
from edukit.reproducibility import replacing

_FORMULA = re.compile(r"^('*[=+\-@\t\r])")  # what a spreadsheet would run


def cell(value: Any) -> Any:
    """A value for a spreadsheet: text that would run as a formula gets a leading apostrophe; numbers stay numbers."""
    return _FORMULA.sub(r"'\1", value) if isinstance(value, str) else value


def export(entries: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str], personal: bool = False) -> list[Path]:
    """Write entries as csv and as JSON lines, both whole or not at all.

    Parameters
    ----------
    entries : in the order of the chain. path : without suffix, or with one of the two. columns : of the csv.
    personal : whether learners' own words (:data:`edukit.grading.ledger_entries.PERSONAL`) go along.

    Returns
    -------
    list of Path
        The csv and the jsonl.
    """
    path = path.with_suffix("") if path.suffix in (".csv", ".jsonl") else path
    files = [path.with_name(path.name + end) for end in (".csv", ".jsonl")]
    hidden = set() if personal else set(PERSONAL)
    shown = [name for name in columns if name not in hidden]
    with replacing(files[0]) as sheet, replacing(files[1]) as lines:
        with sheet.open("w", encoding="utf-8-sig", newline="") as for_people, lines.open("w", encoding="utf-8", newline="\n") as exact:
            rows = csv.writer(for_people, lineterminator="\r\n")
            rows.writerow(shown)
            for entry in entries:
                rows.writerow([cell(entry.get(name)) for name in shown])
                exact.write(json.dumps({name: value for name, value in entry.items() if name not in hidden}, ensure_ascii=False) + "\n")
    return files
