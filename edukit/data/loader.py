"""What a loader returns, and where raw files are looked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from edukit.schema import DataError, has_order

if TYPE_CHECKING:
    from edukit.data.card import Card


@dataclass(frozen=True)
class LearningData:
    """Validated tables of one data set with its card and the fingerprint of their content."""

    name: str
    variant: str
    tables: dict[str, pd.DataFrame]
    card: Card
    fingerprint: str

    def __getitem__(self, table: str) -> pd.DataFrame:
        if table not in self.tables:
            raise DataError(f"data {self.label} must hold the table {table}; found {', '.join(self.tables)}. See data_cards/{self.name}.md.")
        return self.tables[table]

    @property
    def label(self) -> str:
        """Name with its variant, as results are quoted (``junyi_cut10k``)."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    def allows(self) -> dict[str, bool]:
        """What this data can support: known order, classes, a Q-matrix, prerequisites, chosen options, several items a concept."""
        tables, log = self.tables, self.tables.get("interactions")
        q = tables.get("q_matrix")
        return {
            "order": log is not None and has_order(log),
            "classes": log is not None and "class_id" in log and bool(log["class_id"].notna().all()),
            "q_matrix": q is not None,
            "graph": "prerequisites" in tables,
            "options": log is not None and "response" in log,
            "several_items_per_concept": q is not None and bool(q.groupby("concept_id")["item_id"].nunique().median() > 1),
        }


def data_root() -> Path | None:
    """The folder named by ``EDUKIT_DATA``, which holds one folder per publisher; None where it is not set."""
    root = os.environ.get("EDUKIT_DATA")
    return Path(root) if root else None


def find_raw(name: str, folder: str, path: str | None, needed: tuple[str, ...]) -> Path:
    """Folder with the publisher's files: ``path`` if given, else ``EDUKIT_DATA/folder``.

    Raises
    ------
    DataError
        Naming every file that is absent, where it was looked for, and how it is obtained.
    """
    root = data_root()
    place = Path(path) if path else root / folder if root else None
    if place is None:
        raise DataError(f"data {name} needs {', '.join(needed)}; found no folder to look in. Set EDUKIT_DATA to a folder that holds "
                        f"{folder}/, or give data.path=FOLDER. How to obtain the files: edukit data card {name}.")
    absent = [file for file in needed if not (place / file).is_file()]
    if absent:
        raise DataError(f"data {name} needs {', '.join(absent)} in {place}; found {'no such folder' if not place.is_dir() else 'them absent'}. "
                        f"How to obtain the files: edukit data card {name}.")
    return place


def check_variant(name: str, variant: str, offered: tuple[str, ...]) -> None:
    """Raise DataError unless ``variant`` is one that the loader offers."""
    if variant not in offered:
        raise DataError(f"data.variant of {name} must be one of {', '.join(offered)}; found {variant}")
