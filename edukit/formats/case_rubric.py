"""Rubrics in 1EdTech CASE 1.0 and 1.1 (CFRubric, CFRubricCriterion, CFRubricCriterionLevel in JSON) <-> table ``rubrics``.

A file may be one CFRubric, a list of them, or a CFPackage that carries CFRubrics. What plain CASE fields cannot say (an id that is no GUID, key
elements, exemplars, the version) is kept in ``extensions.edukit``; what is not understood is listed with its count and first example, and a warning
tells of it.

Source: 1EdTech (2017), Competencies and Academic Standards Exchange 1.0, information model, and (2024) 1.1.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.formats.case import GUID, OURS, _fail, _key, _LeftOut, _ours, _present, _text
from edukit.reproducibility import write_json
from edukit.schema import DataError
from edukit.validation import validate

ALWAYS = {"identifier", "uri", "lastChangeDateTime", "extensions"}
RUBRIC = ALWAYS | {"title", "CFRubricCriteria"}
CRITERION = ALWAYS | {"weight", "position", "rubricId", "CFRubricCriterionLevels"}
LEVEL = ALWAYS | {"score", "position", "rubricCriterionId"}
LIST = {"rubric": "CFRubricCriteria", "criterion": "CFRubricCriterionLevels"}  # the parts below a part
BESIDE = {"CFRubric", "CFRubrics", "CFDocument"}  # of a package


@dataclass(frozen=True)
class RubricFile:
    """Rubrics as they were read: their rows, the title of each, and everything that found no place.

    Parameters
    ----------
    table : table ``rubrics``, validated; one row a level.
    titles : title by rubric_id.
    left_out : one row per kind of thing not understood: part, what, count, first (identifier and value of the first one).
    """

    table: pd.DataFrame
    titles: dict[str, str]
    left_out: pd.DataFrame


def _load(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """The CFRubrics of a file, and the package they stand in."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} must be rubrics in CASE JSON; found no file that can be read ({error.strerror}). Give the path of another.") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be JSON in UTF-8; found {str(error)[:200]}. Export the rubric again as CASE JSON.") from None
    package = content.get("CFPackage", content) if isinstance(content, dict) else {}
    package = package if isinstance(package, dict) else {}
    if "CFRubricCriteria" in package:
        return [package], {}
    found = content if isinstance(content, list) else package.get("CFRubrics") or package.get("CFRubric")
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) and "CFRubricCriteria" in one for one in found):
        told = ", ".join(map(str, package))[:200] if package else f"a {type(content).__name__}"
        raise DataError(f"{path} must hold a CFRubric with its CFRubricCriteria, or CFRubrics of such; found {told}. "
                        "Export the rubric with its criteria and levels.")
    return found, package


def _place(entry: Mapping[str, Any]) -> float:
    stated = entry.get("position")
    return float(stated) if isinstance(stated, int | float) else float("inf")


def _below(entry: Mapping[str, Any], kind: str, name: str, faults: list[str]) -> list[dict[str, Any]]:
    """The parts below a rubric or a criterion, by position."""
    parts = entry.get(LIST[kind])
    if not isinstance(parts, list) or not parts or not all(isinstance(one, dict) for one in parts):
        faults.append(f"the {kind} {name} must list {LIST[kind]}; found {str(parts)[:80]}")
        return []
    return sorted(parts, key=_place)


def _said(own: Mapping[str, Any], field: str, stated: Any) -> str:
    """What we wrote ourselves, else the plain field without mark-up."""
    kept = own.get(field)
    return kept if isinstance(kept, str) else _text(stated)


def _scored(entry: Mapping[str, Any], field: str, name: str, faults: list[str]) -> float | None:
    stated = entry.get(field)
    if stated is None or (isinstance(stated, int | float) and not isinstance(stated, bool) and np.isfinite(stated)):
        return stated
    faults.append(f"{field} of {name} must be a number; found {str(stated)[:60]!r}")
    return None


def _name(entry: Mapping[str, Any], others: list[dict[str, Any]]) -> tuple[str, str]:
    """What a criterion is called, and the field that says so: the first that all of them give, each another."""
    for field in ("category", "description"):
        texts = [_text(one.get(field)) for one in others]
        if all(texts) and len(set(texts)) == len(texts):
            return _text(entry.get(field)), field
    return str(entry.get("identifier") or ""), "identifier"


def _levels(criterion: Mapping[str, Any], name: str, left_out: _LeftOut, faults: list[str]) -> list[dict[str, Any]]:
    rows = []
    for n, level in enumerate(_below(criterion, "criterion", name, faults), start=1):
        where, own = f"level {n} of {name}", _ours(level)
        score = _scored(level, "score", where, faults)
        if score is None and level.get("score") is None:
            faults.append(f"{where} must have a score; found none")
        shown = "description" if "descriptor" in own or _text(level.get("description")) else "quality"
        left_out.fields("level", level, LEVEL | {shown}, str(level.get("identifier") or where))
        rows.append({"level": score, "descriptor": _said(own, "descriptor", level.get(shown)), "exemplar": own.get("exemplar")})
    return rows


def read_rubrics(path: str | Path) -> RubricFile:
    """Read every rubric of a file with everything that is known about it.

    A criterion is called by its category, where each has one of its own, else by its description, else by its identifier.

    Raises
    ------
    DataError
        For a file that holds no CFRubric; for parts without their list, scores that are no numbers, and levels that stand twice (all at once).
    """
    path, left_out, faults, rows, titles = Path(path), _LeftOut(), [], [], {}
    rubrics, package = _load(path)
    for what in (name for name in package if name not in BESIDE and package[name]):
        left_out.add("package", what, package[what], len(package[what]) if isinstance(package[what], list) else 1)
    for n, rubric in enumerate(rubrics, start=1):
        own, guid = _ours(rubric), str(rubric.get("identifier") or f"rubric {n}")
        rubric_id = str(own.get("rubric_id") or guid)
        if rubric_id in titles:
            faults.append(f"rubric {n} must have an identifier of its own; found {rubric_id} again")
        titles[rubric_id] = _said(own, "title", rubric.get("title"))
        left_out.fields("rubric", rubric, RUBRIC, guid)
        criteria = _below(rubric, "rubric", rubric_id, faults)
        for i, criterion in enumerate(criteria, start=1):
            ours, (called, field) = _ours(criterion), _name(criterion, criteria)
            criterion_id = str(ours.get("criterion_id") or called or f"criterion {i}")
            left_out.fields("criterion", criterion, CRITERION | {field}, str(criterion.get("identifier") or criterion_id))
            weight = _scored(criterion, "weight", f"the criterion {criterion_id}", faults)
            rows += [{"rubric_id": rubric_id, "criterion_id": criterion_id, "weight": weight, "key_elements": ours.get("key_elements"),
                      "version": own.get("version"), **level} for level in _levels(criterion, f"the criterion {criterion_id}", left_out, faults)]
    _fail(path, faults)
    table = pd.DataFrame(rows).dropna(axis=1, how="all")
    return RubricFile(validate(table, "rubrics", str(path)), titles, left_out.table())


def read(path: str | Path) -> dict[str, pd.DataFrame]:
    """Table ``rubrics`` of a CASE file; a warning says what was not understood (see :func:`read_rubrics`)."""
    found = read_rubrics(path)
    if len(found.left_out):
        told = "; ".join(f"{row.part} {row.what}: {row.count:,} (first: {row.first})" for row in found.left_out.itertuples(index=False))
        warnings.warn(f"{path}: not understood, and left out: {told}", stacklevel=2)
    return {"rubrics": found.table}


def write(rubrics: pd.DataFrame, path: str | Path, *, changed: str, titles: Mapping[str, str] | None = None, uri: str = "urn:uuid:") -> Path:
    """Write a table ``rubrics`` as the CFRubrics of a CASE package; :func:`read` gives the same table back, less columns that hold nothing.

    The same table, titles and date give the same bytes.

    Parameters
    ----------
    rubrics : one row a level.
    changed : ISO 8601 moment that is written as the last change of every part.
    titles : title by rubric_id; the id where there is none.
    uri : what stands before an identifier to make its URI.

    Raises
    ------
    DataError
        For a table that does not validate; nothing is written then.
    """
    checked = validate(rubrics, "rubrics")
    moment = pd.Timestamp(changed)
    stamp = (moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")).isoformat().replace("+00:00", "Z")

    def part(identifier: str, own: dict[str, Any], **fields: Any) -> dict[str, Any]:
        extensions = {"extensions": {OURS: own}} if own else {}
        return {"identifier": identifier, "uri": uri + identifier, "lastChangeDateTime": stamp, **fields, **extensions}

    def exact(field: str, text: str) -> dict[str, str]:
        return {} if text and _text(text) == text else {field: text}

    written = []
    for rubric_id, of_rubric in checked.groupby("rubric_id", sort=False):
        title, top = (titles or {}).get(str(rubric_id), str(rubric_id)), _key("", "rubric", rubric_id)
        guid = str(rubric_id) if GUID.fullmatch(str(rubric_id)) else top
        criteria = []
        for n, (criterion_id, of_criterion) in enumerate(of_rubric.groupby("criterion_id", sort=False), start=1):
            middle, records = _key(top, "criterion", criterion_id), of_criterion.to_dict("records")
            levels = [part(_key(top, "level", criterion_id, row["level"]), {**exact("descriptor", row["descriptor"]), **_present(row, ["exemplar"])},
                           description=row["descriptor"], score=row["level"], position=i, rubricCriterionId=middle)
                      for i, row in enumerate(records, start=1)]
            criteria.append(part(middle, {**exact("criterion_id", str(criterion_id)), **_present(records[0], ["key_elements"])}, category=criterion_id,
                                 **_present(records[0], ["weight"]), position=n, rubricId=guid, CFRubricCriterionLevels=levels))
        own = {**({} if guid == rubric_id else {"rubric_id": rubric_id}), **exact("title", title), **_present(of_rubric.iloc[0], ["version"])}
        written.append(part(guid, own, title=title, CFRubricCriteria=criteria))
    return write_json(Path(path), {"CFRubrics": written})
