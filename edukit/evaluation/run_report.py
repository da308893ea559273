"""The record of one run: what was asked, on which data, with which result and how sure it is."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.metrics import RECORD
from edukit.reproducibility import write_json
from edukit.schema import DataError

FILE = "run_report.json"


@dataclass(frozen=True)
class RunReport:
    """Everything that a run says of itself; shown as a table in a notebook, kept as ``run_report.json``.

    Attributes
    ----------
    experiment : name of the experiment.
    config : the resolved config.
    seed : the seed in force.
    data : name, variant, fingerprint, counts and what the data allows.
    split : name, seed, sizes by part, fingerprint and the file that holds the ids.
    metrics : tidy records ``{name, value, low, high, n, split, model, group, channel}``.
    figures : figure and page files, by name, relative to the report.
    environment : versions and the fingerprint of the code.
    """

    experiment: str
    config: dict[str, Any]
    seed: int
    data: dict[str, Any]
    split: dict[str, Any]
    metrics: list[dict[str, Any]]
    figures: dict[str, str]
    environment: dict[str, Any]
    folder: Path | None = field(default=None, compare=False)

    def table(self, **where: Any) -> pd.DataFrame:
        """Metrics as a table, kept where fields equal the given values (``group=None`` keeps the overall rows)."""
        frame = pd.DataFrame(self.metrics, columns=list(RECORD))
        for name, value in where.items():
            frame = frame[frame[name].isna() if value is None else frame[name] == value]
        return frame.reset_index(drop=True)

    def value(self, name: str, **where: Any) -> float:
        """One metric by name; further fields must single it out.

        Raises
        ------
        DataError
            Where no metric, or more than one, fits.
        """
        rows = self.table(**{"group": None, **where})
        rows = rows[rows["name"] == name]
        if len(rows) != 1:
            known = ", ".join(sorted({str(m["name"]) for m in self.metrics}))
            raise DataError(f"run_report must hold one metric {name} with {where}; found {len(rows)}. Metrics here: {known}.")
        return float(rows["value"].iloc[0])

    def content(self) -> dict[str, Any]:
        """What ``run_report.json`` holds: every field but the folder."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    def save(self, folder: Path) -> Path:
        """Write ``run_report.json`` into the folder, whole or not at all; returns its path."""
        return write_json(Path(folder) / FILE, self.content())

    @classmethod
    def read(cls, path: Path) -> RunReport:
        """Read a report from its file or folder."""
        path = Path(path) / FILE if Path(path).is_dir() else Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(**content, folder=path.parent)
        except FileNotFoundError:
            raise DataError(f"{path} must be a run report; found no such file. Run an experiment first: edukit run map_gaps.") from None
        except (json.JSONDecodeError, TypeError) as error:
            raise DataError(f"{path} must be a run report written by edukit; found {error}. Run the experiment again.") from None

    def __str__(self) -> str:
        return f"{self.experiment} on {self.data.get('label')} (seed {self.seed}, {len(self.metrics)} metrics)"

    def _repr_html_(self) -> str:
        shown = self.table()[["name", "value", "low", "high", "n", "split", "model", "group"]]
        body = shown.dropna(axis=1, how="all").to_html(index=False, float_format=lambda v: f"{v:.4g}", na_rep="", border=0, escape=True)
        return f"<b>{html.escape(str(self))}</b>{body}"


def latest(root: Path) -> Path:
    """The newest ``ROOT/experiment/run/run_report.json`` of a folder of outputs; copies kept by the tracking lie deeper and do not count.

    Raises
    ------
    DataError
        Where there is none yet.
    """
    found = sorted(Path(root).glob(f"*/*/{FILE}"), key=lambda p: p.stat().st_mtime) if Path(root).is_dir() else []
    if not found:
        raise DataError(f"{root} must hold a run; found none. Run an experiment first: edukit run map_gaps.")
    return found[-1]
