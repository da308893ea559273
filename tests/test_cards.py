"""No card, no load: every data set has a Croissant record and a page a person can read, and neither has a hole."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

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


WRITTEN = [name for name in NAMES if (CARDS / f"{name}.json").is_file() and (CARDS / f"{name}.md").is_file()]
WITHOUT_FILES = ("synthetic", "synthetic_answers", "synthetic_course", "school_csv")
"""Generated, and brought by the school."""


def variants(name: str) -> tuple[str, ...]:
    """The variants that the loader of a data set offers; one empty string where it has none."""
    from hydra.utils import get_class

    kind = get_class(yaml.safe_load((bundled("conf") / "data" / f"{name}.yaml").read_text(encoding="utf-8"))["_target_"])
    return getattr(kind, "variants", ("",))


@pytest.mark.parametrize("name", WRITTEN)
def test_every_variant_says_how_its_files_are_obtained(name: str):
    from edukit.data.card import distribution_problems, load_card

    card, offered = load_card(name), variants(name)
    assert distribution_problems(card) == []
    parts = [*card.files(), *card.file_sets()]
    named = {v for part in parts if "variant" in part for v in ([part["variant"]] if isinstance(part["variant"], str) else part["variant"])}
    assert named <= set(offered), f"the card names variants that the loader does not have: {sorted(named - set(offered))}"
    unsaid = [variant for variant in offered if not card.files(variant or None) and not card.file_sets(variant or None)]
    assert unsaid == (list(offered) if name in WITHOUT_FILES else [])
    told = card.sections["How to obtain"]
    opened = [v for v in offered if any(part["access"] == "open" for part in card.files(v or None))]
    untold = [v for v in opened if not re.search(rf"edukit data fetch {name}(_\w+)?", told)]
    assert untold == [], "`How to obtain` must name the command where a file is open"


@pytest.mark.realdata
@pytest.mark.parametrize("name", WRITTEN)
def test_the_sums_are_those_of_the_files(name: str, edukit_data: Path):
    from edukit.data.card import load_card, size_of
    from edukit.data.fetch import sha256_of

    here = [file for file in load_card(name).files() if (edukit_data / file["@id"]).is_file()]
    wrong = [file["@id"] for file in here
             if size_of(file) != (edukit_data / file["@id"]).stat().st_size or sha256_of(edukit_data / file["@id"]) != file["sha256"]]
    assert wrong == []


@pytest.mark.realdata
@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in WITHOUT_FILES])
def test_every_file_that_the_loader_reads_is_on_the_card(name: str, edukit_data: Path):
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from edukit.data.card import load_card
    from edukit.schema import DataError

    patterns: list[str] = []
    for part in load_card(name).croissant["distribution"]:
        named = part["@id"] if part["@type"] == "cr:FileObject" else part["includes"]
        patterns += [named] if isinstance(named, str) else named
    with initialize_config_dir(str(bundled("conf").resolve()), version_base="1.3"):
        config = compose("config", [f"data={name}"]).data
    for variant in variants(name):
        loader = instantiate(config, **({"variant": variant} if variant else {}))
        try:
            read = [str(path.relative_to(edukit_data)) for path in loader.files(loader.raw_dir())]
        except DataError:
            continue  # its files are not on this machine
        assert [path for path in read if not any(fnmatch(path, pattern) for pattern in patterns)] == [], variant


def test_a_hole_in_a_page_is_found(tmp_path: Path):
    page = "# x\n\n## What a row is\n\nA response.\n\n## How to obtain\n\n"
    assert sections(page) == [("What a row is", "A response."), ("How to obtain", "")]
