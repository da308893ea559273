"""Where the start page keeps what a person drops on it: one private folder each, with a name that cannot be guessed, gone when it is deleted or old."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edukit.reproducibility import write_json
from edukit.schema import DataError

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".json", ".jsonl", ".ndjson")
GRAPH_ENDINGS = (".json", ".csv", ".tsv", ".txt", ".xlsx", ".graphml", ".mmd")
_PROJECT, _MAP = re.compile(r"[0-9a-f]{32}"), re.compile(r"([0-9a-f]{32})-([0-9]{1,4})")
_DAY = 86_400


@dataclass(frozen=True)
class Project:
    """One person's files: the upload, what was confirmed of it, the graph, and the maps made of it."""

    id: str
    folder: Path

    @property
    def maps(self) -> Path:
        """Folder of the maps, one folder each."""
        return self.folder / "maps"

    def read(self) -> dict[str, Any]:
        """What is known so far: ``created`` (seconds), ``name`` of the upload, and what later steps added."""
        return json.loads((self.folder / "project.json").read_text(encoding="utf-8"))

    def note(self, **found: Any) -> dict[str, Any]:
        """Add to what is known; whole or not at all."""
        known = {**self.read(), **found}
        write_json(self.folder / "project.json", known)
        return known

    def new_map(self, **settings: Any) -> str:
        """Id of a new map, whose folder holds the settings it is to be made with, and a copy of the graph as it is now."""
        self.maps.mkdir(exist_ok=True)
        number = 1 + max((int(place.name) for place in self.maps.iterdir() if place.name.isdecimal()), default=0)
        map_id, place = f"{self.id}-{number}", self.maps / str(number)
        place.mkdir()
        if settings["data"]["graph"]:
            settings["data"] = {**settings["data"], "graph": str(shutil.copy(settings["data"]["graph"], place))}
        write_json(place / "map.json", {"state": "waiting", "refit": f"/maps/{map_id}/refit", **settings})
        return map_id


class Store:
    """The private folders below one root.

    Parameters
    ----------
    root : made at first use, readable by its owner only.
    keep_days : projects older than this go.
    """

    def __init__(self, root: Path = Path("outputs/serve"), keep_days: float = 7.0) -> None:
        self.root, self.keep_days = Path(root).resolve(), keep_days
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the only server at work here; the system lets go when the process ends, however it ends. Where there are no such locks, none is held.

        Raises
        ------
        DataError
            Where another server is at work here: each would take the jobs of the other for remains.
        """
        try:
            import fcntl
        except ImportError:  # not POSIX
            yield
            return
        with (self.root / ".held").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{self.root} must be served once; found a server at work there. Use that one, or another EDUKIT_OUTPUTS.") from None
            yield

    def new(self, name: str) -> Project:
        """A new, empty project for an upload called ``name``; of the name only the last part, without control characters, is kept."""
        project = Project(secrets.token_hex(16), Path())
        project = Project(project.id, self.root / project.id)
        project.folder.mkdir(mode=0o700)
        called = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[/\\]", name)[-1])[:120] or "upload"
        write_json(project.folder / "project.json", {"created": time.time(), "name": called})
        return project

    def project(self, word: str) -> Project | None:
        """The project of an id; None for one that is not there, and for anything that is no id (a path, for one)."""
        found = self.root / word if _PROJECT.fullmatch(word) else None
        return Project(word, found) if found is not None and (found / "project.json").is_file() else None

    def map(self, word: str) -> tuple[Project, Path] | None:
        """The project and the folder of a map; None as :meth:`project`."""
        parts = _MAP.fullmatch(word)
        project = self.project(parts[1]) if parts else None
        place = project.maps / str(int(parts[2])) if project and parts else None
        return (project, place) if project and place is not None and (place / "map.json").is_file() else None

    def delete(self, project: Project) -> None:
        """Remove everything of a project; it is out of reach at once, whatever happens while its files go."""
        grave = self.root / f".gone-{project.id}"
        project.folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def tidy(self, busy: Collection[str] = (), mend: bool = False) -> list[str]:
        """Remove what is too old, and what was being deleted; ids of the projects that went.

        Parameters
        ----------
        busy : projects that a job works on now: they stay as they are.
        mend : remove what a killed server left half made, too; only before anything is taken, since an upload on its way looks the same.
        """
        gone = []
        for place in self.root.iterdir():
            if place.name.startswith(".gone-"):
                shutil.rmtree(place, ignore_errors=True)
            elif _PROJECT.fullmatch(place.name) and place.name not in busy:
                project = self.project(place.name)
                if project is None or time.time() - project.read()["created"] > self.keep_days * _DAY:
                    self.delete(project or Project(place.name, place))
                    gone.append(place.name)
                elif mend:
                    _mend(project)
        return gone


def _mend(project: Project) -> None:
    """Remove maps that nobody makes any more, and what was being written when a process was killed."""
    for made in project.maps.glob("[0-9]*"):
        if not (made / "map.json").is_file() or state_of(made)["state"] != "done":
            shutil.rmtree(made, ignore_errors=True)
    for scratch in [place for place in project.folder.rglob(".*") if place.is_dir()]:
        shutil.rmtree(scratch, ignore_errors=True)


def state_of(place: Path) -> dict[str, Any]:
    """What is known of a map: its ``state`` and settings, then ``run``, the folder of its run below ``place``."""
    return json.loads((place / "map.json").read_text(encoding="utf-8"))
