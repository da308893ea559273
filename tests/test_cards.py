"""No card, no load: every data set has a Croissant record and a page a person can read, and neither has a hole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edukit.reproducibility import bundled

HEADINGS = [
    "What a row is",
    "Who the learners are, and who is missing",
    "Consent and licence",
    "How concepts and prerequisites were tagged",
    "Known flaws and our decisions",
    "Groups to audit",
    "Do not use for",
    "How to obtain",
]
NAMES = sorted(path.stem for path in bundled("conf").glob("data/*.yaml"))
CARDS = bundled("data_cards")


def sections(page: str) -> list[tuple[str, str]]:
    """(heading, text below it) of every second-level heading."""
    parts = re.split(r"^## +(.+?) *$", page, flags=re.MULTILINE)
    return list(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def test_data_sets_were_found():
    assert NAMES, "no data sets in conf/data"


def test_no_card_without_a_data_set():
    assert sorted({path.stem for path in CARDS.glob("*.*")}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_record_is_whole(name: str):
    mlcroissant = pytest.importorskip("mlcroissant")
    path = CARDS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [key for key in ("name", "description", "license", "citeAs", "url") if not record.get(key)] == []
    assert [key for key in record if key.startswith("rai:") and record[key]], "no rai: field is filled in"
    assert record["name"] == name
    issues = mlcroissant.Dataset(jsonld=str(path)).metadata.ctx.issues  # a fault raises; what is left are warnings
    assert not issues.errors


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_whole(name: str):
    found = sections((CARDS / f"{name}.md").read_text(encoding="utf-8"))
    assert [heading for heading, _ in found] == HEADINGS
    assert [heading for heading, text in found if not text] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_loader_accepts_the_card(name: str):
    from edukit.data.card import load_card, problems

    assert problems(load_card(name)) == []


def test_a_hole_in_a_page_is_found(tmp_path: Path):
    page = "# x\n\n## What a row is\n\nA response.\n\n## How to obtain\n\n"
    assert sections(page) == [("What a row is", "A response."), ("How to obtain", "")]
