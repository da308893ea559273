"""Data sets in the export format of PSLC DataShop: OLI Engineering Statics 2011 and the development sets of KDD Cup 2010."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats import datashop

STATICS = "AllData_student_step_2011F.csv"
KDD_CUP = {"algebra05": "algebra_2005_2006_train.txt", "bridge06": "bridge_to_algebra_2006_2007_train.txt"}


@dataclass(frozen=True)
class Statics2011:
    """Engineering statics, a college course online, fall 2011 (OLI; DataShop 507): first attempts at steps, with times and hints.

    A step of a problem is an item.

    Parameters
    ----------
    path : folder with the file; default ``EDUKIT_DATA/statics2011``.
    kc_model : whose concepts: 'F2011' (by experts), 'Single-KC' or 'Unique-step'.
    first_hint : a step that began with a hint is 'wrong', as the publisher counts it, or left out ('drop'), as pyKT does.
    untagged : steps without a concept share the concept ``unnamed`` ('keep'), or their responses are left out ('drop').
    """

    name: ClassVar[str] = "statics2011"
    path: str | None = None
    kc_model: str = "F2011"
    first_hint: str = "wrong"
    untagged: str = "keep"

    def raw_dir(self) -> Path:
        """Folder with the publisher's file."""
        return find_raw(self.name, "statics2011", self.path, (STATICS,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The student-step file."""
        return [raw_dir / STATICS]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts, items."""
        return datashop.read(raw_dir / STATICS, self.kc_model, self.first_hint, self.untagged)


@dataclass(frozen=True)
class KddCup2010:
    """Cognitive Tutor algebra of KDD Cup 2010 (Stamper et al., 2010): first attempts at steps, by school pupils, with times and hints.

    Parameters
    ----------
    variant : 'algebra05' (Algebra I 2005-2006) or 'bridge06' (Bridge to Algebra 2006-2007); the training file of each.
    path : folder with the file; default ``EDUKIT_DATA/kddcup2010``.
    untagged : steps without a concept share the concept ``unnamed`` ('keep'), or their responses are left out ('drop'), as pyKT does.
    """

    name: ClassVar[str] = "kddcup2010"
    variants: ClassVar[tuple[str, ...]] = tuple(KDD_CUP)
    variant: str = "algebra05"
    path: str | None = None
    untagged: str = "keep"

    def raw_dir(self) -> Path:
        """Folder with the publisher's file."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "kddcup2010", self.path, (KDD_CUP[self.variant],))

    def files(self, raw_dir: Path) -> list[Path]:
        """The training file of this variant."""
        return [raw_dir / KDD_CUP[self.variant]]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts, items."""
        return datashop.read(raw_dir / KDD_CUP[self.variant], untagged=self.untagged)
