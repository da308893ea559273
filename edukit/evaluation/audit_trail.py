"""Who ran what on which data: one line a run, each tied to the line before, so that a line changed, removed or slipped in later is noticed.

The trail shows tampering; it cannot prevent it. Whoever may write the file can write a whole new trail, which is why every run keeps the mark of its own
line (``data_sheet.json``, also in the tracking), and why the last mark is worth noting down elsewhere.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

FILE = "audit_trail.jsonl"
START = "0" * 64  # what the first line stands on
TOLD = ("when", "who", "command", "experiment", "data", "data_fingerprint", "run", "state")
TAIL = 1 << 16  # bytes from the end in which the last line is looked for


def who() -> str:
    """The user of this process, as the system names them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def append(root: Path, **told: str) -> str:
    """Add a line to the trail of a folder of outputs; processes that come at once wait for each other.

    Parameters
    ----------
    root : the folder of outputs.
    told : ``command, experiment, data, data_fingerprint, run, state``; time and user are added.

    Returns
    -------
    str
        The mark of the line (64 hexadecimal digits), to be kept elsewhere.

    Raises
    ------
    TypeError
        Where a field is missing or unknown.
    """
    told = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "who": who(), **told}
    if set(told) != set(TOLD):
        raise TypeError(f"a line of the audit trail holds {', '.join(TOLD)}; found {', '.join(sorted(told))}")
    with _held(Path(root) / FILE) as stream:
        last = _last(stream)
        number, before = (last["n"] + 1, last["mark"]) if last else (1, START)
        line = {"n": number, **{name: str(told[name]) for name in TOLD}, "before": before}
        line["mark"] = _mark(line)
        stream.seek(0, os.SEEK_END)
        torn = stream.tell() > 0 and not _ends_whole(stream)
        stream.write(b"\n" * torn + json.dumps(line, ensure_ascii=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return str(line["mark"])


def read(root: Path) -> list[dict[str, Any]]:
    """Every line that can be read, the oldest first; none where there is no trail."""
    return [line for _, line in _lines(Path(root) / FILE) if line is not None]


def faults(root: Path) -> list[str]:
    """What was changed, removed or slipped in, a sentence each; empty where the trail is whole and names every run that lies beside it."""
    found, number, before, marks = [], 0, START, set()
    for at, line in _lines(Path(root) / FILE):
        if line is None:
            found.append(f"line {at} of the file is no line of a trail: it was torn or written over")
            continue
        if line["mark"] != _mark({k: v for k, v in line.items() if k != "mark"}):
            found.append(f"line {line['n']} was changed after it was written")
        if line["n"] != number + 1 or line["before"] != before:
            found.append(f"line {line['n']} does not follow line {number}: something between them was removed, moved or put in")
        number, before = line["n"], line["mark"]
        marks.add(line["mark"])
    for sheet in sorted(Path(root).glob("*/*/data_sheet.json")):
        try:
            mark = json.loads(sheet.read_text(encoding="utf-8")).get("audit_mark")
        except (OSError, ValueError):
            found.append(f"{sheet.parent.parent.name}/{sheet.parent.name}: its data sheet cannot be read")
            continue
        if mark not in marks:
            found.append(f"{sheet.parent.parent.name}/{sheet.parent.name} is a run whose line is not in the trail: the trail was cut or written anew")
    return found


def _mark(line: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    whole = isinstance(line, dict) and set(line) == {"n", *TOLD, "before", "mark"} and isinstance(line["n"], int)
    return line if whole else None


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    if path.is_file():
        with path.open("rb") as stream:
            for at, raw in enumerate(stream, start=1):
                yield at, _parsed(raw)


def _last(stream: BinaryIO) -> dict[str, Any] | None:
    """The last line that is whole."""
    end = stream.seek(0, os.SEEK_END)
    reach = min(TAIL, end)
    while True:
        stream.seek(end - reach)
        found = next((line for raw in reversed(stream.read(reach).splitlines()) if (line := _parsed(raw)) is not None), None)
        if found is not None or reach == end:
            return found
        reach = min(2 * reach, end)


def _ends_whole(stream: BinaryIO) -> bool:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


@contextmanager
def _held(path: Path) -> Iterator[BinaryIO]:
    """The file, this process alone writing; the system lets go when the process ends. Readable and writable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "r+b") as stream:
        try:
            import fcntl
        except ImportError:  # not POSIX
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            try:
                yield stream
            finally:
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
            return
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream
