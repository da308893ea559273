"""What a loader returns, and where raw files are looked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from edukit.data.interaction_store import InteractionStore, draw
from edukit.reproducibility import fingerprint
from edukit.schema import DataError

if TYPE_CHECKING:
    from edukit.data.card import Card

Log = pd.DataFrame | InteractionStore
"""A table in memory, or a log that stays on disk."""


def filled(log: Log, column: str) -> bool:
    """Whether a log has a column with a value in every row."""
    if isinstance(log, InteractionStore):
        return column in log.filled
    return column in log and bool(len(log)) and bool(log[column].notna().all())


@dataclass(frozen=True)
class LearningData:
    """Validated tables of one data set with its card and the fingerprint of their content.

    ``interactions`` and ``events`` may be an :class:`~edukit.data.interaction_store.InteractionStore`: a log that stays on disk.
    """

    name: str
    variant: str
    tables: dict[str, Log]
    card: Card
    fingerprint: str

    def __getitem__(self, table: str) -> Log:
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
            "order": log is not None and filled(log, "order"),
            "classes": log is not None and filled(log, "class_id"),
            "q_matrix": q is not None,
            "graph": "prerequisites" in tables,
            "options": log is not None and "response" in log.columns,
            "several_items_per_concept": isinstance(q, pd.DataFrame) and bool(q.groupby("concept_id")["item_id"].nunique().median() > 1),
        }

    def counts(self) -> dict[str, float]:
        """Of the responses: ``responses``, ``learners``, ``items`` answered, mean ``correct``; by a query where they stay on disk."""
        log = self["interactions"]
        if isinstance(log, InteractionStore):
            items, correct = log.query("SELECT count(DISTINCT item_id), avg(correct) FROM log").iloc[0]
            return {"responses": len(log), "learners": log.learners, "items": int(items), "correct": float(correct)}
        return {"responses": len(log), "learners": log["learner_id"].nunique(), "items": log["item_id"].nunique(), "correct": log["correct"].mean()}

    def sample(self, learners: int, seed: int) -> LearningData:
        """The same data of ``learners`` learners only, drawn by ``seed`` in their order of first appearance; every table is then in memory.

        Raises
        ------
        DataError
            If no table has learners, or fewer than one is wanted.
        """
        order = ("interactions", "events", "enrolments", "learners", *self.tables)
        first = next((name for name in order if name in self.tables and "learner_id" in self.tables[name].columns), None)
        if first is None:
            raise DataError(f"data {self.label} must have learners to draw some; found {', '.join(self.tables)}. Leave learners empty (null).")
        log = self.tables[first]
        ids = log.learner_ids() if isinstance(log, InteractionStore) else log["learner_id"].drop_duplicates()
        drawn = ids.iloc[draw(len(ids), learners, seed)]
        kept: dict[str, Log] = {}
        for name, table in self.tables.items():
            if isinstance(table, InteractionStore):
                kept[name] = table.of(drawn)
            else:
                kept[name] = table[table["learner_id"].isin(drawn)].reset_index(drop=True) if "learner_id" in table else table
        return replace(self, tables=kept, fingerprint=fingerprint(self.fingerprint, int(len(drawn)), seed))


def default_root() -> Path:
    """Where `edukit data fetch` puts raw files while ``EDUKIT_DATA`` is not set: the user's data folder."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("edukit")) / "raw"


def data_root() -> Path | None:
    """The folder that holds one folder per publisher: ``EDUKIT_DATA``, else the user's data folder; None where neither is there."""
    root = os.environ.get("EDUKIT_DATA")
    return Path(root) if root else default_root() if default_root().is_dir() else None


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
                        f"{folder}/, or give data.path=FOLDER. `edukit data fetch {name}` obtains the files or says how; terms: edukit data card {name}.")
    absent = [file for file in needed if not (place / file).is_file()]
    if absent:
        raise DataError(f"data {name} needs {', '.join(absent)} in {place}; found {'no such folder' if not place.is_dir() else 'them absent'}. "
                        f"`edukit data fetch {name}` obtains the files or says how; terms: edukit data card {name}.")
    return place


def check_variant(name: str, variant: str, offered: tuple[str, ...]) -> None:
    """Raise DataError unless ``variant`` is one that the loader offers."""
    if variant not in offered:
        raise DataError(f"data.variant of {name} must be one of {', '.join(offered)}; found {variant}")
