"""Competency frameworks in 1EdTech CASE 1.0 and 1.1 (a CFPackage in JSON) <-> concepts, prerequisites and the tree of headings.

`A precedes B` makes A a prerequisite of B. `isChildOf` makes the tree, and with it topic (the parent, unless it is the top) and area (the
top). Every item is a concept, a heading too. What plain CASE fields cannot say (an id that is no GUID, the weight of an edge) is kept in
``extensions.edukit``; what is not understood is listed with its count and first example, and a warning tells of it.

Source: 1EdTech (2024), Competencies and Academic Standards Exchange 1.1, information model.
"""

from __future__ import annotations

import html
import json
import re
import uuid
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.reproducibility import write_json
from edukit.schema import TABLES, DataError
from edukit.validation import validate_all

OURS = "edukit"  # the key of our own part of `extensions`
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "edukit/case")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
LOW_GRADES = {-1.0: "PK", 0.0: "KG"}
GRADES = {"PK": -1.0, "KG": 0.0, "K": 0.0}  # beside grades that are numbers
LABELS = ("abbreviatedStatement", "humanCodingScheme", "alternativeLabel")  # the first one given is the name, else the full statement
ALWAYS = {"identifier", "uri", "lastChangeDateTime", "CFDocumentURI", "extensions"}
ITEM = ALWAYS | {"fullStatement", "educationLevel", "humanCodingScheme", "abbreviatedStatement", "alternativeLabel"}
ASSOCIATION = ALWAYS | {"associationType", "sequenceNumber", "originNodeURI", "destinationNodeURI", "notes"}
DOCUMENT = ALWAYS | {"title", "creator", "caseVersion", "CFPackageURI"}
SHOWN = 20  # faults listed in one message


@dataclass(frozen=True)
class Framework:
    """A framework as it was read: its tables and everything that found no place in them.

    Parameters
    ----------
    tables : concepts, and prerequisites and concept_tree where there are any; validated.
    title, creator : of the document.
    left_out : one row per kind of thing not understood: part, what, count, first (identifier and value of the first one).
    """

    tables: dict[str, pd.DataFrame]
    title: str
    creator: str
    left_out: pd.DataFrame


class _LeftOut(dict):
    """Counts and first examples of what is not understood."""

    def add(self, part: str, what: str, example: Any, count: int = 1) -> None:
        seen = self.setdefault((part, what), [0, str(example)[:120]])
        seen[0] += count

    def fields(self, part: str, entry: Mapping[str, Any], known: set[str], name: str) -> None:
        for field, value in entry.items():
            if field not in known and value not in (None, "", [], {}):
                self.add(part, field, f"{name}: {value}")
        stated = entry.get("extensions") or {}
        foreign = [str(key) for key in stated if key != OURS]
        if foreign:
            self.add(part, "extensions", f"{name}: {', '.join(foreign)}")

    def table(self) -> pd.DataFrame:
        return pd.DataFrame([(part, what, n, first) for (part, what), (n, first) in self.items()], columns=["part", "what", "count", "first"])


def _load(path: Path) -> dict[str, Any]:
    try:
        package = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} must be JSON in UTF-8; found {error}. Export the framework again as CASE JSON (a CFPackage).") from None
    package = package.get("CFPackage", package) if isinstance(package, dict) else package
    if not isinstance(package, dict) or not isinstance(package.get("CFItems"), list) or not package["CFItems"]:
        found = ", ".join(package) if isinstance(package, dict) and package else f"a {type(package).__name__}"
        raise DataError(f"{path} must be a CFPackage that lists CFItems; found {found}. Export the whole framework, not the document alone.")
    return package


def _fail(path: Path, faults: list[str]) -> None:
    if faults:
        more = f"\n(and {len(faults) - SHOWN} more faults)" if len(faults) > SHOWN else ""
        raise DataError("\n".join(f"{path}: {f}." for f in faults[:SHOWN]) + more + "\nMend them in the tool that made the framework, and export it again.")


def _ours(entry: Mapping[str, Any]) -> dict[str, Any]:
    stated = entry.get("extensions")
    own = stated.get(OURS) if isinstance(stated, dict) else None
    return own if isinstance(own, dict) else {}


def _text(value: Any) -> str:
    """Text without mark-up: a superscript becomes ``^``, blocks become spaces; text that has no mark-up is left as it is."""
    text = "" if value is None else str(value)
    bare = re.sub(r"(?i)<sup\b[^<>]*>", "^", text)
    bare = re.sub(r"(?i)</?(p|br|div|li|ul|ol|tr|td|th|table|h[1-6])\b[^<>]*>", " ", bare)
    bare = re.sub(r"</?[a-zA-Z][^<>]*>", "", bare)
    return html.unescape(bare) if bare == text else " ".join(html.unescape(bare).split())


def _level(entry: Mapping[str, Any], left_out: _LeftOut, name: str) -> float | None:
    stated = entry.get("educationLevel") or []
    stated = [str(v).strip() for v in (stated if isinstance(stated, list) else [stated])]
    known = {v: GRADES.get(v.upper(), float(v) if NUMBER.fullmatch(v) else None) for v in stated}
    for value in (v for v, level in known.items() if level is None):
        left_out.add("item", "educationLevel that is no grade", f"{name}: {value}")
    levels = [level for level in known.values() if level is not None]
    if len(levels) > 1:
        left_out.add("item", "educationLevel above the lowest", f"{name}: {', '.join(stated)}")
    return min(levels, default=None)


def _place(link: Mapping[str, Any]) -> int | None:
    stated = str(link.get("sequenceNumber"))
    return int(stated) if stated.isdecimal() else None


def _key(document: str, *parts: Any) -> str:
    return str(uuid.uuid5(NAMESPACE, json.dumps([document, *parts])))


def _sorted_links(package: Mapping[str, Any], known: set[str], document: str, left_out: _LeftOut, path: Path) -> tuple[list, list]:
    """Associations that are understood, as (origin, destination, association): those of the tree, in order, and the prerequisites."""
    tree, edges, faults = [], [], []
    for number, link in enumerate(package.get("CFAssociations") or [], start=1):
        link = link if isinstance(link, dict) else {}
        kind, name = link.get("associationType"), link.get("identifier") or f"number {number}"
        ends = [link.get(f"{end}NodeURI") for end in ("origin", "destination")]
        ends = [end if isinstance(end, dict) else {} for end in ends]
        if kind not in ("isChildOf", "precedes"):
            shown = " -> ".join(str(end.get("title") or end.get("identifier")) for end in ends)
            left_out.add("association", str(kind), f"{name}: {shown}")
            continue
        origin, destination = (str(end.get("identifier") or "") for end in ends)
        for end, target in (("origin", origin), ("destination", destination)):
            if target not in known and not (target and kind == "isChildOf" and end == "destination" and target == document):
                faults.append(f"association {name} ({kind}) must join items of the file; found the unknown {end} {target or 'nothing'}")
        left_out.fields("association", link, ASSOCIATION, name)
        (tree if kind == "isChildOf" else edges).append((origin, destination, link))
    _fail(path, faults)
    return sorted(tree, key=lambda row: float("inf") if (place := _place(row[2])) is None else place), edges


def _understand(package: Mapping[str, Any], path: Path) -> Framework:
    left_out, faults, items = _LeftOut(), [], {}
    document = package.get("CFDocument") or {}
    top = str(document.get("identifier") or "")
    for number, entry in enumerate(package["CFItems"], start=1):
        identifier = str(entry.get("identifier") or "") if isinstance(entry, dict) else ""
        if not identifier or (not any(_text(entry.get(f)) for f in (*LABELS, "fullStatement")) and "name" not in _ours(entry)):
            faults.append(f"item {number} must have an identifier and a statement; found {str(entry)[:80]}")
        elif identifier in items:
            faults.append(f"item {number} must have an identifier of its own; found {identifier} again")
        else:
            items[identifier] = entry
    _fail(path, faults)
    tree, edges = _sorted_links(package, set(items), top, left_out, path)
    above: dict[str, list[str]] = {identifier: [] for identifier in items}
    for child, parent, _ in tree:
        if parent in items:
            above[child].append(parent)
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        raise DataError(f"{path} must nest its items (isChildOf) without a circle; found {' under '.join(error.args[1])}. "
                        "Mend one of these associations in the tool that made the framework.") from None
    names, ids, rows = {}, {}, {}
    for identifier, entry in items.items():
        own, code = _ours(entry), entry.get("humanCodingScheme")
        ids[identifier] = own.get("concept_id") or (code if code and identifier == _key(top, "item", code) else identifier)
        label = next((field for field in LABELS if _text(entry.get(field)) and (field != "humanCodingScheme" or code != ids[identifier])), None)
        names[identifier] = own.get("name", _text(entry.get(label or "fullStatement")))
        if own.get("heading"):
            continue
        unused = {field for field in LABELS if field != label and not (field == "humanCodingScheme" and code == ids[identifier])}
        left_out.fields("item", entry, ITEM - unused, identifier)
        statement = _text(entry.get("fullStatement"))
        rows[identifier] = {"concept_id": ids[identifier], "name": names[identifier], "level": _level(entry, left_out, identifier),
                            "description": statement if statement and statement != names[identifier] else None}
    for identifier, row in rows.items():
        chain = [identifier]
        while above[chain[-1]]:
            chain.append(above[chain[-1]][0])
        row["topic"] = names[chain[1]] if len(chain) > 2 else None
        row["area"] = names[chain[-1]] if len(chain) > 1 else None
        row.update({field: value for field, value in _ours(items[identifier]).items() if field in TABLES["concepts"].names})
    tables = {"concepts": pd.DataFrame(list(rows.values())),
              "prerequisites": _edges(edges, ids, set(rows), str(document.get("creator") or document.get("title") or path.name), left_out),
              "concept_tree": pd.DataFrame([{"concept_id": ids[child], "parent_id": ids[parent], "order": _place(link)}
                                            for child, parent, link in tree if child in rows and parent in rows])}
    twice = tables["concept_tree"].duplicated(["concept_id", "parent_id"]) if len(tables["concept_tree"]) else pd.Series(dtype=bool)
    if twice.any():
        left_out.add("association", "isChildOf stated again", tables["concept_tree"][twice].iloc[0].tolist(), int(twice.sum()))
        tables["concept_tree"] = tables["concept_tree"][~twice]
    left_out.fields("document", document, DOCUMENT, top)
    for part in ("CFDefinitions", "CFRubrics"):
        stated = package.get(part) or {}
        for what, entries in stated.items() if isinstance(stated, dict) else [("CFRubric", stated)]:
            if entries:
                left_out.add(part, what, entries[0].get("title") if isinstance(entries, list) and isinstance(entries[0], dict) else entries,
                             len(entries) if isinstance(entries, list) else 1)
    checked = validate_all({name: table.dropna(axis=1, how="all") for name, table in tables.items() if len(table)}, source=str(path))
    return Framework(checked, str(document.get("title") or ""), str(document.get("creator") or ""), left_out.table())


def _edges(edges: list, ids: Mapping[str, str], concepts: set[str], author: str, left_out: _LeftOut) -> pd.DataFrame:
    rows = {}
    for origin, destination, link in edges:
        own = _ours(link)
        row = {"concept_id": ids[destination], "requires_id": ids[origin], "source": author, "weight": 1.0, "rationale": link.get("notes"),
               **{field: value for field, value in own.items() if field in TABLES["prerequisites"].names}}
        key = (row["concept_id"], row["requires_id"], row["source"])
        if origin not in concepts or destination not in concepts:
            left_out.add("association", "precedes between headings", " precedes ".join((ids[origin], ids[destination])))
        elif key in rows:
            left_out.add("association", "precedes stated again", f"{key[1]} precedes {key[0]}")
        else:
            rows[key] = row
    return pd.DataFrame(list(rows.values()))


def read_framework(path: str | Path) -> Framework:
    """Read a CFPackage with everything that is known about it.

    Raises
    ------
    DataError
        For a file that is no CFPackage; for items without identifier or statement, identifiers used twice, and prerequisites or
        parents that are not in the file (all named at once); for a circle of ``isChildOf``.
    """
    return _understand(_load(Path(path)), Path(path))


def read(path: str | Path) -> dict[str, pd.DataFrame]:
    """Tables concepts, prerequisites and concept_tree of a CFPackage; a warning says what was not understood (see :func:`read_framework`)."""
    framework = read_framework(path)
    if len(framework.left_out):
        told = "; ".join(f"{row.part} {row.what}: {row.count:,} (first: {row.first})" for row in framework.left_out.itertuples(index=False))
        warnings.warn(f"{path}: not understood, and left out: {told}", stacklevel=2)
    return framework.tables


def _present(row: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {f: row[f] for f in fields if f in row and not pd.isna(row[f])}


def _exact_name(name: str) -> dict[str, str]:
    return {} if name and _text(name) == name else {"name": name}


def write(tables: Mapping[str, pd.DataFrame], path: str | Path, title: str, *, changed: str, creator: str = "not stated",
          uri: str = "urn:uuid:") -> Path:
    """Write concepts, prerequisites and concept_tree as a CASE 1.1 CFPackage; :func:`read` gives the same tables back.

    Area and topic become headings above their concepts, except for concepts that have a parent in ``concept_tree``. The same tables,
    title and date give the same bytes.

    Parameters
    ----------
    tables : of these three; others are not written.
    title, creator : of the framework.
    changed : ISO 8601 moment that is written as the last change of every part.
    uri : what stands before an identifier to make its URI.

    Raises
    ------
    DataError
        For tables that do not validate; nothing is written then.
    """
    wanted = {name: tables[name] for name in ("concepts", "prerequisites", "concept_tree") if name in tables and (name == "concepts" or len(tables[name]))}
    if "concepts" not in wanted:
        raise DataError(f"a framework must have the table concepts; found {', '.join(tables) or 'no table'}.")
    wanted = validate_all(wanted)
    moment = pd.Timestamp(changed)
    stamp = (moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")).isoformat().replace("+00:00", "Z")
    top = _key("", "document", title)

    def part(identifier: str, **fields: Any) -> dict[str, Any]:
        return {"identifier": identifier, "uri": uri + identifier, "lastChangeDateTime": stamp, **fields}

    items: dict[str, dict[str, Any]] = {}
    links: list[dict[str, Any]] = []

    def join(kind: str, origin: str, destination: str, number: int | None, *more: str, **fields: Any) -> None:
        ends = {f"{end}NodeURI": {"title": items[i]["abbreviatedStatement"] if i in items else title, "identifier": i, "uri": uri + i, "targetType": "CASE"}
                for end, i in (("origin", origin), ("destination", destination))}
        placed = {} if number is None else {"sequenceNumber": number}
        links.append(part(_key(top, kind, origin, destination, *more), associationType=kind, **placed, **ends, **fields))

    concepts = wanted["concepts"].to_dict("records")
    guid = {row["concept_id"]: row["concept_id"] if GUID.fullmatch(row["concept_id"]) else _key(top, "item", row["concept_id"]) for row in concepts}
    nested = set(wanted["concept_tree"]["concept_id"]) if "concept_tree" in wanted else set()
    under: list[tuple[str, str]] = []
    for row in concepts:
        above = top
        for kind in ("area", "topic") if row["concept_id"] not in nested else ():
            if heading := _present(row, [kind]).get(kind):
                identifier = _key(top, "heading", above, heading)
                if identifier not in items:
                    items[identifier] = part(identifier, fullStatement=heading, abbreviatedStatement=heading,
                                             extensions={OURS: {"heading": True, **_exact_name(heading)}})
                    under.append((identifier, above))
                above = identifier
        if row["concept_id"] not in nested:
            under.append((guid[row["concept_id"]], above))
    for row in concepts:
        key, given = guid[row["concept_id"]], _present(row, ["description", "level"])
        own = {"concept_id": row["concept_id"]} if key != row["concept_id"] else {}
        grade = {"educationLevel": [LOW_GRADES.get(given["level"]) or f"{given['level']:02g}"]} if "level" in given else {}
        items[key] = part(key, fullStatement=given.get("description") or row["name"] or row["concept_id"], abbreviatedStatement=row["name"],
                          **({"humanCodingScheme": row["concept_id"]} if own else {}), **grade,
                          extensions={OURS: {**own, **_exact_name(row["name"])}})
    for number, (child, above) in enumerate(under, start=1):
        join("isChildOf", child, above, number)
    for row in wanted["concept_tree"].to_dict("records") if nested else ():
        join("isChildOf", guid[row["concept_id"]], guid[row["parent_id"]], _present(row, ["order"]).get("order"))
    for number, row in enumerate(wanted["prerequisites"].to_dict("records") if "prerequisites" in wanted else (), start=1):
        own = _present(row, [c for c in TABLES["prerequisites"].names if c not in ("concept_id", "requires_id", "rationale")])
        notes = {"notes": row["rationale"]} if _present(row, ["rationale"]) else {}
        join("precedes", guid[row["requires_id"]], guid[row["concept_id"]], number, row["source"], **notes, extensions={OURS: own})
    package = {"CFDocument": part(top, title=title, creator=creator, caseVersion="1.1"), "CFItems": list(items.values()), "CFAssociations": links}
    _keep_what_plain_fields_lose(package, wanted["concepts"], guid, items, Path(path))
    return write_json(Path(path), package)


def _keep_what_plain_fields_lose(package: dict[str, Any], concepts: pd.DataFrame, guid: Mapping[str, str], items: Mapping[str, dict], path: Path) -> None:
    """Read the package as it stands, and note in `extensions` every cell of `concepts` that does not come back."""
    back = _understand(package, path).tables["concepts"].reindex(columns=concepts.columns).astype(object)
    given = concepts.astype(object)
    differs = ~((back == given) | (back.isna() & given.isna()))
    for position, field in differs.stack().loc[lambda flag: flag].index:
        value = given.at[position, field]
        items[guid[given.at[position, "concept_id"]]]["extensions"][OURS][field] = None if pd.isna(value) else value
    for item in items.values():
        if not item["extensions"][OURS]:
            del item["extensions"]
