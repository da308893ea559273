"""Prepared tables on disk: parsed once, checked, pseudonymised, written beside and then renamed.

The key of the cache covers everything the tables depend on: the bytes of the raw files, every field of the loader, the code of this package
and of the codecs, the schema version, the version of the pseudonym key and what the consent list says of this data set. A stale or broken cache
is rebuilt, never read. Learners who objected leave every table after the check and before the pseudonyms.

A log that a loader streams (:class:`edukit.protocols.StreamingLoader`) becomes a table where it has at most :data:`LARGE` rows, and stays on
disk as an :class:`edukit.data.interaction_store.InteractionStore` where it has more.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import edukit.formats
from edukit.data.card import load_card
from edukit.data.interaction_store import InteractionStore, draw
from edukit.data.loader import LearningData, Log
from edukit.data.streaming import META, PERSONAL
from edukit.governance.consent import ALL, Consent, Standing
from edukit.governance.privacy import Pseudonymiser, load_key
from edukit.governance.retention import remove
from edukit.protocols import Loader
from edukit.reproducibility import cache_dir, fingerprint, replacing, write_json
from edukit.schema import SCHEMA_VERSION, DataError
from edukit.validation import validate_all

LARGE = 5_000_000  # rows of a log that still become a table: about 1 GB while it is prepared
MANY = 10_000  # raw files that are no longer read for the cache key (EdNet has one for each of 784,309 learners)
LINE = 60  # bytes a row of a file that is not text is taken to have
READ, STREAMED = 300_000, 200_000  # raw rows a second, read as tables and streamed, on a small machine
TABLE = 700  # bytes a raw row takes while tables are prepared
NOBODY_OBJECTED = Standing()
SAMPLE = 1 << 16  # bytes of a text file looked at for the length of its lines


def key_file() -> Path:
    """Where the pseudonym key of this machine lies."""
    return cache_dir() / "pseudonym.key"


def pseudonymiser() -> Pseudonymiser:
    """The pseudonym key of this machine, made at first use, readable by its owner only."""
    return Pseudonymiser(load_key(key_file()))


def _options(loader: Any) -> dict[str, Any]:
    return {f.name: getattr(loader, f.name) for f in dataclasses.fields(loader) if f.name != "path"}


def _streams(loader: Any, raw_dir: Path) -> dict[str, str]:
    return loader.streams(raw_dir) if hasattr(loader, "streams") else {}


def cache_key(loader: Any, raw: list[Path], key_version: str, standing: Standing = NOBODY_OBJECTED) -> str:
    """Identity of the prepared tables of one loader on these raw files; of :data:`MANY` files, their names, sizes and times stand for their bytes."""
    folders = (Path(inspect.getfile(type(loader))).parent, Path(__file__).parent, Path(edukit.formats.__file__).parent)
    code = [file for folder in dict.fromkeys(folders) for file in sorted(folder.glob("*.py"))]
    return fingerprint(type(loader).__qualname__, _options(loader), SCHEMA_VERSION, key_version, standing.fingerprint, *code, *[p.name for p in raw],
                       *([f"{p.stat().st_size} {p.stat().st_mtime_ns}" for p in raw] if len(raw) > MANY else raw))


def check(loader: Any) -> dict[str, Log]:
    """Parse and validate afresh, without the cache, everybody in it and under their own ids; all faults at once as DataError.

    A large log lies in a folder that goes with it.
    """
    kept = _Folder()
    tables = _prepared(loader, loader.raw_dir(), None, NOBODY_OBJECTED, kept.path)
    return {name: dataclasses.replace(table, kept=kept) if isinstance(table, InteractionStore) else table for name, table in tables.items()}


class _Folder:
    """A new folder in the cache that goes when nothing refers to it any more."""

    def __init__(self) -> None:
        cache_dir().mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="check-", dir=cache_dir()))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def estimate(raw: list[Path], streamed: bool) -> str:
    """What preparing these raw files will cost, before it begins: lines from the length of the first, minutes and memory from the lines."""
    size = {path: path.stat().st_size for path in raw}
    if not sum(size.values()):
        return "a few seconds"
    largest = max(raw, key=size.__getitem__)
    with largest.open("rb") as stream:
        seen = stream.read(SAMPLE)
    lines = 0 if b"\0" in seen else seen.count(b"\n")
    rows = sum(size.values()) / (max(len(seen) / lines, 1) if lines else LINE)
    seconds = rows / (STREAMED if streamed else READ)
    memory = min(TABLE * rows, 2e9) if streamed else TABLE * rows
    time = f"about {seconds / 60:.0f} minutes" if seconds > 90 else "about a minute" if seconds > 20 else "a few seconds"
    return f"{_size(sum(size.values()))} of raw files, about {float(f'{rows:.1g}'):,.0f} lines; {time} and {_size(memory + 3e8)} of memory"


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.{0 if size >= 1e7 else 1}f} MB"


def _prepared(loader: Any, raw_dir: Path, keyed: Pseudonymiser | None, standing: Standing, place: Path) -> dict[str, Log]:
    """Every table, validated (all faults at once), without who objected, and pseudonymised; a log that stays on disk goes into a folder in ``place``."""
    source = f"data_cards/{loader.name}.md"
    parsed = loader.parse(raw_dir)
    faults: list[str] = []
    tables: dict[str, Log] = {}
    checked: dict[str, pd.DataFrame] = {}
    try:
        checked = validate_all(parsed, source)
    except DataError as error:
        faults.append(str(error))
    for name, select in _streams(loader, raw_dir).items():
        try:
            log = InteractionStore.write(standing.select(select), name, place / name, keyed, others=checked, source=source,
                                         corrections=standing.corrections)
        except DataError as error:
            faults.append(str(error))
            continue
        if len(log) <= LARGE:
            tables[name] = log.to_frame()
            shutil.rmtree(log.place)
        else:
            tables[name] = log
    if faults:
        raise DataError("\n".join(faults))
    checked = standing.apply(checked)
    if keyed:
        checked = {name: table.assign(**{c: keyed.pseudonyms(table[c], c.removesuffix("_id")) for c in PERSONAL if c in table})
                   for name, table in checked.items()}
    tables = {**checked, **tables}
    if not tables:
        raise DataError(f"loader {loader.name} returned no table")
    return tables


def _table(path: Path) -> pd.DataFrame:
    """One cached table. Ids repeat, so that reading them by their dictionary takes half the time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = pq.read_schema(path)
    rows = pq.read_table(path, read_dictionary=[name for name in kinds.names if name.endswith("_id")], use_threads=False)
    return rows.cast(pa.schema([field.with_type(pa.large_string()) if pa.types.is_dictionary(field.type) else field for field in rows.schema],
                               metadata=kinds.metadata)).to_pandas()


def _read(place: Path) -> tuple[dict[str, Log], str] | None:
    """The cached tables and the fingerprint of their content, or None where the entry is absent, incomplete or damaged."""
    try:
        listed = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        tables = {name: InteractionStore.open(place / name) if (place / name / META).is_file() else _table(place / f"{name}.parquet")
                  for name in listed["rows"]}
        content = listed["fingerprint"]
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged entry is rebuilt, whatever is wrong with it
        print(f"cache: {place} is damaged ({type(error).__name__}) and is rebuilt", file=sys.stderr)
        return None
    return (tables, content) if {name: len(table) for name, table in tables.items()} == listed["rows"] else None


def entries(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every prepared form of a data set in the cache, of any variant, key and consent: its folder, and what is known of it."""
    for meta in sorted((cache_dir() / "data" / name).glob("*/meta.json")):
        yield meta.parent, json.loads(meta.read_text(encoding="utf-8"))


def _drawn_from(tables: dict[str, Log]) -> int:
    """How many learners a sample is drawn from: those of the first table that has any."""
    names = [name for name in ("interactions", "events", "enrolments", "learners", *tables) if name in tables and "learner_id" in tables[name].columns]
    first = tables[names[0]] if names else None
    return 0 if first is None else first.learners if isinstance(first, InteractionStore) else int(first["learner_id"].nunique())


def learners_of(place: Path) -> list[str | None]:
    """Pseudonyms (of invented data: ids) in one folder that :func:`entries` names, in the order in which :meth:`LearningData.sample` draws.

    Of tables that :func:`forget` removed, what it left: None stands for a learner who was deleted. Learners of other tables follow.
    """
    meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
    found = _read(place) if "learners" not in meta else None
    if found is None:
        return meta.get("learners", [])
    logs = {name: log for name, log in found[0].items() if "learner_id" in log.columns}
    names = [name for name in ("interactions", "events", "enrolments", "learners") if name in logs]
    ids = [log.learner_ids() if isinstance(log, InteractionStore) else log["learner_id"].dropna()
           for log in (logs[name] for name in dict.fromkeys([*names, *logs]))]
    return list(dict.fromkeys(one for part in ids for one in part))


def drawable(meta: dict[str, Any], everyone: list[str | None], size: int, seed: int) -> list[str | None]:
    """Of the learners in a folder that :func:`entries` names, those that :meth:`LearningData.sample` draws."""
    return [everyone[place] for place in draw(min(meta["drawn_from"], len(everyone)), size, seed)]


def forget(place: Path, pseudonym: str) -> None:
    """Remove the prepared tables in a folder; who else was in them is kept, so that runs on them can still be found for those learners."""
    meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
    meta["learners"] = [None if one == pseudonym else one for one in learners_of(place)]
    with replacing(place) as fresh:
        fresh.mkdir()
        write_json(fresh / "meta.json", meta)


def load(loader: Loader, say: Callable[[str], None] = lambda line: None, purpose: str = ALL) -> LearningData:
    """Tables of one data set, from the cache where it is whole.

    Parameters
    ----------
    loader : a frozen dataclass of :mod:`edukit.data`, as ``conf/data/*.yaml`` builds it.
    say : called with a line when raw files are parsed, which may take a while.
    purpose : what the data is for, one of :func:`edukit.governance.consent.purposes`; learners who objected to it, or to every use, are not in the
        tables. The list is read again once the tables are there: an objection that came meanwhile counts.

    Raises
    ------
    DataError
        Where the card, a raw file or a column is missing, or a value is out of range; nothing is written then.
    """
    card, place = load_card(loader.name), loader.raw_dir()
    while True:
        standing = Consent.here().standing(loader.name, purpose)
        tables, content, written = _entry(loader, place, standing, say)
        if Consent.here().standing(loader.name, purpose).fingerprint == standing.fingerprint:
            return LearningData(loader.name, str(getattr(loader, "variant", "")), tables, card, content)
        say(f"the consent list was changed while {loader.name} was loaded: it is loaded again")
        if written:  # whoever left meanwhile was told of every prepared form but this one
            remove([written])


def _entry(loader: Any, place: Path, standing: Standing, say: Callable[[str], None]) -> tuple[dict[str, Log], str, Path | None]:
    """Tables of a loader under one standing and the fingerprint of their content; and the folder in the cache, where it was written just now."""
    raw = loader.files(place)
    keyed = None if getattr(loader, "invented", False) else pseudonymiser()
    version = keyed.key_version if keyed else "none"
    entry = cache_dir() / "data" / loader.name / cache_key(loader, raw, version, standing)[:20]
    if found := _read(entry):
        return *found, None
    say(f"preparing {loader.name} (once; kept in {entry.parent}): {estimate(raw, bool(_streams(loader, place)))}")
    with replacing(entry) as fresh:
        fresh.mkdir()
        tables = _prepared(loader, place, keyed, standing, fresh)
        for name, table in tables.items():
            if isinstance(table, pd.DataFrame):
                table.to_parquet(fresh / f"{name}.parquet", index=False)
        content = fingerprint(*[part for name in sorted(tables) for part in (name, getattr(tables[name], "fingerprint", tables[name]))])
        write_json(fresh / "meta.json", {"loader": loader.name, "options": _options(loader), "schema_version": SCHEMA_VERSION,
                                         "fingerprint": content, "key_version": version, "consent": standing.fingerprint,
                                         "drawn_from": _drawn_from(tables),
                                         "rows": {name: len(table) for name, table in tables.items()}})
    for name, log in tables.items():
        if isinstance(log, InteractionStore):
            log = tables[name] = InteractionStore.open(entry / name)
            say(f"{name}: {len(log):,} rows of {log.learners:,} learners stay on disk ({_size(log.bytes_on_disk)}); "
                f"as a table they would take {_size(log.bytes_in_memory)} of memory")
    return tables, content, entry
