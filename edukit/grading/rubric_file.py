"""The yaml of a rubric, as it lies on a disk: every value is text as it stands, and all that is wrong with a file is said at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from edukit.reproducibility import replacing
from edukit.schema import DataError
from edukit.validation import refuse

EXAMPLES = "the example rubrics in conf/rubrics"
DEEPEST = 20  # lists and mappings within each other; a rubric has 7
FIELDS = {"rubric": {"rubric_id", "criteria"}, "criterion": {"criterion_id", "levels"}, "level": {"score", "descriptor"}}
OPTIONAL = {"rubric": {"title", "version"}, "criterion": {"weight", "key_elements"}, "level": {"exemplars"}}


class _SafeReader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """Every scalar as the text that stands there; a key that stands twice in one mapping is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((key for key, times in Counter(keys).items() if times > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} twice in one place", node.start_mark)
        return super().construct_mapping(node, deep)


class _Writer(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Nothing by reference; whole numbers without a point; text with odd marks in double quotes, where each of them has an escape."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Writer.add_representer(float, lambda writer, value: writer.represent_int(int(value)) if value.is_integer() and value < 1e15
                        else writer.represent_float(value))
_Writer.add_representer(str, lambda writer, value: writer.represent_scalar("tag:yaml.org,2002:str", value, None if value.isprintable() else '"'))


def _yaml(path: Path) -> Any:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        depth = 0
        for event in yaml.parse(text, Loader=_SafeReader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"lists within lists, more than {DEEPEST} deep")
        return yaml.load(text, Loader=_SafeReader)  # noqa: S506 (makes text, lists and mappings only)
    except OSError as error:
        raise DataError(f"{path} must be a rubric in yaml; found no file that can be read ({error.strerror}). The folder conf/rubrics has examples.") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        told = " ".join(str(error).split())[:300]
        raise DataError(f"{path} must be a rubric in yaml, in UTF-8; found {told}. Quote text that holds marks such as : # [ {{, "
                        "and compare with an example in conf/rubrics.") from None


def _mapping(value: Any, kind: str, place: str, faults: list[str]) -> dict[str, Any]:
    """A mapping with the fields of its kind; what is absent or unknown is noted."""
    if not isinstance(value, dict):
        faults.append(f"{place} must hold {', '.join(sorted(FIELDS[kind]))} (a {kind}); found {str(value)[:60]!r}")
        return {}
    if absent := sorted(FIELDS[kind] - set(value)):
        faults.append(f"{place} must have {', '.join(absent)}; found {', '.join(map(str, value)) or 'nothing'}"[:300])
    known = FIELDS[kind] | OPTIONAL[kind]
    if unknown := [str(name) for name in value if name not in known]:
        faults.append(f"{place} must have no field but {', '.join(sorted(known))}; found {', '.join(unknown)[:200]}")
    return value


def _list(holder: dict[str, Any], name: str, place: str, faults: list[str]) -> list:
    value = holder.get(name, [])
    if isinstance(value, list):
        return value
    if value != "":
        faults.append(f"{name} of {place} must be a list; found {str(value)[:60]!r}")
    return []


def _text(value: Any, place: str, faults: list[str]) -> str:
    if not isinstance(value, str):
        faults.append(f"{place} must be text; found {str(value)[:60]!r} (quote it)")
    return value if isinstance(value, str) else ""


def _number(value: Any, place: str, faults: list[str]) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        faults.append(f"{place} must be a number from 0 on; found {str(value)[:60]!r}")
        return float("nan")


def _level(value: Any, place: str, faults: list[str]) -> dict[str, Any]:
    level = _mapping(value, "level", place, faults)
    exemplars = [_text(text, f"{place}.exemplars[{n}]", faults) for n, text in enumerate(_list(level, "exemplars", place, faults), start=1)]
    return {"score": _number(level.get("score", "0"), f"{place}.score", faults), "exemplars": exemplars,
            "descriptor": _text(level.get("descriptor", ""), f"{place}.descriptor", faults)}


def _criterion(value: Any, place: str, faults: list[str]) -> dict[str, Any]:
    row = _mapping(value, "criterion", place, faults)
    return {"criterion_id": _text(row.get("criterion_id", ""), f"{place}.criterion_id", faults),
            "levels": [_level(one, f"{place}.levels[{n}]", faults) for n, one in enumerate(_list(row, "levels", place, faults), start=1)],
            "key_elements": [_text(text, f"{place}.key_elements[{n}]", faults)
                             for n, text in enumerate(_list(row, "key_elements", place, faults), start=1)],
            "weight": _number(row.get("weight", "1"), f"{place}.weight", faults)}


def read(path: Path) -> dict[str, Any]:
    """The content of a rubric file: texts, and numbers where a rubric has numbers.

    Raises
    ------
    DataError
        For a file that is absent, no yaml or no rubric; all faults at once.
    """
    faults: list[str] = []
    rubric = _mapping(_yaml(path), "rubric", "the file", faults)
    content = {name: _text(rubric.get(name, ""), name, faults) for name in ("rubric_id", "title", "version")}
    criteria = [_criterion(one, f"criteria[{n}]", faults) for n, one in enumerate(_list(rubric, "criteria", "the file", faults), start=1)]
    refuse([f"{path}: {fault}" for fault in faults], EXAMPLES)
    return {**content, "version": content["version"] or "1", "criteria": criteria}


def write(content: dict[str, Any], path: str | Path) -> Path:
    """Write the content of a rubric; :func:`read` gives it back, whatever its text holds."""
    with replacing(Path(path)) as fresh:
        fresh.write_bytes(yaml.dump(content, Dumper=_Writer, allow_unicode=True, sort_keys=False, width=120, encoding="utf-8"))
    return Path(path)
