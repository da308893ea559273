"""What has been kept longer than its retention: named first, removed only on request."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edukit.schema import DataError

DAY_S = 86_400


@dataclass(frozen=True)
class Rule:
    """How long one kind of thing is kept.

    Parameters
    ----------
    what : str
        What it is called.
    folder : Path
        Where it lies; nothing outside is ever named or removed.
    pattern : str
        Which files or folders below it are one thing each (``*/*``).
    days : float
        For how long it is kept after it was last written to.
    """

    what: str
    folder: Path
    pattern: str
    days: float

    def __post_init__(self) -> None:
        if self.days < 0 or not self.pattern or ".." in Path(self.pattern).parts or Path(self.pattern).is_absolute():
            raise DataError(f"a retention rule must keep for 0 days or more what lies below its folder; found {self.days:g} days of {self.pattern!r}.")


def _age_and_size(place: Path) -> tuple[float, int]:
    """When anything in it was last written (seconds since the epoch), and its bytes."""
    files = [file for file in place.rglob("*") if file.is_file() and not file.is_symlink()] if place.is_dir() else [place]
    told = [file.stat() for file in files] or [place.stat()]
    return max(one.st_mtime for one in told), sum(one.st_size for one in told)


def expired(rules: Sequence[Rule], now: float | None = None) -> pd.DataFrame:
    """Everything that is older than its rule, the oldest first.

    Parameters
    ----------
    rules : list of Rule
    now : float, optional
        Seconds since the epoch.

    Returns
    -------
    DataFrame
        ``what, place, age_days, kept_days, megabytes``.
    """
    now = time.time() if now is None else now
    rows = []
    for rule in rules:
        for place in sorted(Path(rule.folder).glob(rule.pattern)):
            if place.is_symlink() or place.name.startswith("."):
                continue
            written, size = _age_and_size(place)
            if (now - written) / DAY_S > rule.days:
                rows.append((rule.what, place, (now - written) / DAY_S, rule.days, size / 1e6))
    found = pd.DataFrame(rows, columns=["what", "place", "age_days", "kept_days", "megabytes"])
    return found.sort_values("age_days", ascending=False, kind="stable", ignore_index=True)


def remove(places: Sequence[Path]) -> int:
    """Remove files and folders, each as a whole or not at all; returns how many. One that is gone already does not count."""
    gone = 0
    for place in map(Path, places):
        try:
            aside = Path(tempfile.mkdtemp(prefix=".removed-", dir=place.parent))
        except FileNotFoundError:
            continue
        try:
            os.replace(place, aside / place.name)  # out of sight in one step; an interruption leaves nothing half there
            gone += 1
        except FileNotFoundError:
            pass
        finally:
            shutil.rmtree(aside)
    return gone
