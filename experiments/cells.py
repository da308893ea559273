"""What benchmarks of many cells share: a cell is one fit, kept on disk by all it depends on, so that a stopped benchmark goes on where it was."""

from __future__ import annotations

import ast
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from edukit.reproducibility import bundled
from edukit.schema import DataError

EVERY = 60  # seconds between two lines of progress where there is no terminal


def settings_of(group: str, name: str, seed: int, **settings: object) -> DictConfig:
    """The settings of ``conf/<group>/<name>.yaml`` under a seed, with others where some are given.

    Raises
    ------
    DataError
        Where there is no such file, or no such setting.
    """
    path = bundled("conf") / group / f"{name}.yaml"
    if not path.is_file():
        raise DataError(f"model must be one of conf/{group} ({', '.join(sorted(p.stem for p in path.parent.glob('*.yaml')))}); found {name}")
    own = OmegaConf.load(path)
    if unknown := [key for key in settings if key not in own]:
        raise DataError(f"settings of {name} must be some of {', '.join(str(key) for key in own if key != '_target_')}; found {', '.join(unknown)}")
    cfg = OmegaConf.merge({"seed": seed}, {"model": own}, {"model": settings})
    OmegaConf.resolve(cfg)
    return cfg.model


def code_of(module: str, seen: dict[str, Path] | None = None) -> dict[str, Path]:
    """Files of a module of edukit and of all that it imports, at the top or within a function, so that only cells whose own code changed run again."""
    seen = {} if seen is None else seen
    found = find_spec(module) if module.startswith("edukit") and module not in seen else None
    if found is not None and found.origin:
        seen[module] = Path(found.origin)
        for node in ast.walk(ast.parse(seen[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edukit"):
                package = getattr(find_spec(node.module), "submodule_search_locations", None)
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names if package)):
                    code_of(name, seen)
    return seen


class Progress:
    """A bar on a terminal; in a log, a line now and then."""

    def __init__(self, total: int, every: float = EVERY) -> None:
        self._total, self._every, self._began = total, every, time.monotonic()
        self._told = self._began

    def __call__(self, done: int, words: str) -> None:
        now = time.monotonic()
        left = f"{done}/{self._total}  " + (f"{(now - self._began) / done * (self._total - done) / 60:.0f} min left  " if done else "") + words
        if sys.stderr.isatty():
            filled = round(30 * done / self._total)
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {left:<90}", end="", file=sys.stderr, flush=True)
        elif now - self._told >= self._every:
            self._told = now
            print(left, file=sys.stderr, flush=True)
