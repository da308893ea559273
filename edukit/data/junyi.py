"""Junyi Academy (Chang, Hsu and Chen, 2015, EDM): exercises with expert prerequisites, and a cut of the responses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import read_text_table
from edukit.schema import DataError

EXERCISES, RESPONSES = "junyi_Exercise_table.csv", "response.csv"


@dataclass(frozen=True)
class Junyi:
    """The exercise table with its prerequisites, and the cut `learner,exercise,correct` that circulates (no order).

    One exercise is one concept with one item. Number k of the response file is the k-th name of the sorted
    distinct exercise names. Self-loops among the prerequisites are dropped; a cycle of three is kept in the table,
    and is broken, and reported, where a graph is built.

    Parameters
    ----------
    variant : 'cut10k', the 10,000-learner cut.
    path : folder with the two files; default ``EDUKIT_DATA/junyi``.
    """

    name: ClassVar[str] = "junyi"
    variants: ClassVar[tuple[str, ...]] = ("cut10k",)
    variant: str = "cut10k"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "junyi", self.path, (EXERCISES, RESPONSES))

    def files(self, raw_dir: Path) -> list[Path]:
        """The exercise table and the responses."""
        return [raw_dir / EXERCISES, raw_dir / RESPONSES]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, concepts, items, q_matrix, prerequisites."""
        table = read_text_table(raw_dir / EXERCISES, dtype="str")
        wanted = ["name", "prerequisites", "pretty_display_name", "topic", "area"]
        if absent := [c for c in wanted if c not in table]:
            raise DataError(f"{raw_dir / EXERCISES} must have the columns {', '.join(absent)}; found {', '.join(table.columns)}.")
        exercises = table.drop_duplicates("name", keep="first")
        names = np.array(sorted(exercises["name"]), dtype=object)
        asked = exercises.assign(requires_id=exercises["prerequisites"].str.split(",")).explode("requires_id").dropna(subset=["requires_id"])
        asked = asked.assign(requires_id=asked["requires_id"].str.strip())
        edges = asked.loc[asked["name"] != asked["requires_id"], ["name", "requires_id"]].drop_duplicates()
        return {
            "interactions": self._responses(raw_dir / RESPONSES, names),
            "concepts": pd.DataFrame({"concept_id": exercises["name"], "name": exercises["name"].str.replace("_", " "),
                                      "topic": exercises["topic"], "area": exercises["area"],
                                      "description": exercises["pretty_display_name"]}),
            "items": pd.DataFrame({"item_id": exercises["name"], "name": exercises["name"].str.replace("_", " ")}),
            "q_matrix": pd.DataFrame({"item_id": exercises["name"], "concept_id": exercises["name"]}),
            "prerequisites": pd.DataFrame({"concept_id": edges["name"], "requires_id": edges["requires_id"],
                                           "source": "Junyi experts", "weight": 1.0, "channel": "expert"}),
        }

    def _responses(self, path: Path, names: np.ndarray) -> pd.DataFrame:
        log = read_text_table(path, header=None, names=["learner_id", "exercise", "correct"], dtype="str", index_col=False)
        numbers = log.apply(pd.to_numeric, errors="coerce")
        broken = numbers.isna().any(axis=1) | (numbers % 1 != 0).any(axis=1)
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise DataError(f"{path} must hold three whole numbers a line (learner, exercise, correct); found "
                            f"{','.join(log.iloc[row].fillna('').astype(str))!r} in {int(broken.sum()):,} of {len(log):,} lines "
                            f"(first: line {row + 1:,}). The file may be truncated: obtain it again.")
        outside = ~numbers["exercise"].between(0, len(names) - 1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataError(f"{path} must name exercises 0 to {len(names) - 1}; found the unknown item {numbers['exercise'].iloc[row]:.0f} in "
                            f"{int(outside.sum()):,} of {len(log):,} lines (first: line {row + 1:,}). Do both files belong together?")
        return pd.DataFrame({"learner_id": log["learner_id"], "item_id": names[numbers["exercise"].astype(int)],
                             "correct": numbers["correct"], "order": pd.array([pd.NA] * len(log), dtype="Int64")})
