"""Prepared tables on disk: parsed once, checked, pseudonymised, written beside and then renamed.

The key of the cache covers everything the tables depend on: the bytes of the raw files, every field of the
loader, the code of this package, the schema version and the version of the pseudonym key. A stale or broken cache is rebuilt, never read.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.data.card import load_card
from edukit.data.loader import LearningData
from edukit.governance.privacy import Pseudonymiser, load_key
from edukit.protocols import Loader
from edukit.reproducibility import cache_dir, fingerprint, replacing, write_json
from edukit.schema import SCHEMA_VERSION, DataError
from edukit.validation import validate_all

PERSONAL = ("learner_id", "class_id", "teacher_id")


def pseudonymiser() -> Pseudonymiser:
    """The pseudonym key of this machine, made at first use, readable by its owner only."""
    return Pseudonymiser(load_key(cache_dir() / "pseudonym.key"))


def _options(loader: Any) -> dict[str, Any]:
    return {f.name: getattr(loader, f.name) for f in dataclasses.fields(loader) if f.name != "path"}


def cache_key(loader: Any, raw: list[Path], key_version: str) -> str:
    """Identity of the prepared tables of one loader on these raw files."""
    code = sorted(Path(inspect.getfile(type(loader))).parent.glob("*.py"))
    return fingerprint(type(loader).__qualname__, _options(loader), SCHEMA_VERSION, key_version, *code, *[p.name for p in raw], *raw)


def check(loader: Any) -> dict[str, pd.DataFrame]:
    """Parse and validate afresh, without the cache; all faults at once as DataError."""
    place = loader.raw_dir()
    return validate_all(loader.parse(place), source=f"data_cards/{loader.name}.md")


def _pseudonymised(tables: dict[str, pd.DataFrame], keyed: Pseudonymiser) -> dict[str, pd.DataFrame]:
    return {name: table.assign(**{c: keyed.pseudonyms(table[c], c.removesuffix("_id")) for c in PERSONAL if c in table})
            for name, table in tables.items()}


def _read(place: Path) -> dict[str, pd.DataFrame] | None:
    """The cached tables, or None where the entry is absent, incomplete or damaged."""
    try:
        listed = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        tables = {name: pd.read_parquet(place / f"{name}.parquet") for name in listed["rows"]}
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged entry is rebuilt, whatever is wrong with it
        print(f"cache: {place} is damaged ({type(error).__name__}) and is rebuilt", file=sys.stderr)
        return None
    return tables if {name: len(table) for name, table in tables.items()} == listed["rows"] else None


def load(loader: Loader, say: Callable[[str], None] = lambda line: None) -> LearningData:
    """Tables of one data set, from the cache where it is whole.

    Parameters
    ----------
    loader : a frozen dataclass of :mod:`edukit.data`, as ``conf/data/*.yaml`` builds it.
    say : called with a line when raw files are parsed, which may take a while.

    Raises
    ------
    DataError
        Where the card, a raw file or a column is missing, or a value is out of range; nothing is written then.
    """
    card = load_card(loader.name)
    place = loader.raw_dir()
    raw = loader.files(place)
    invented = bool(getattr(loader, "invented", False))
    keyed = None if invented else pseudonymiser()
    key = cache_key(loader, raw, keyed.key_version if keyed else "none")
    entry = cache_dir() / "data" / loader.name / key[:20]
    tables = _read(entry)
    if tables is None:
        say(f"preparing {loader.name} (once; kept in {entry.parent})")
        tables = validate_all(loader.parse(place), source=f"data_cards/{loader.name}.md")
        if not tables:
            raise DataError(f"loader {loader.name} returned no table")
        if keyed:
            tables = _pseudonymised(tables, keyed)
        with replacing(entry) as fresh:
            fresh.mkdir()
            for name, table in tables.items():
                table.to_parquet(fresh / f"{name}.parquet", index=False)
            write_json(fresh / "meta.json", {"loader": loader.name, "options": _options(loader), "schema_version": SCHEMA_VERSION,
                                             "raw": {p.name: fingerprint(p) for p in raw},
                                             "rows": {name: len(table) for name, table in tables.items()}})
    content = fingerprint(*[part for name in sorted(tables) for part in (name, tables[name])])
    return LearningData(loader.name, str(getattr(loader, "variant", "")), tables, card, content)
