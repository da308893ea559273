"""What makes a run repeatable: seeds, fingerprints of data and code, files that are whole or absent.

Also the one place that knows where bundled folders and the cache lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_PACKAGE = Path(__file__).resolve().parent
_LIBRARIES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "torch-geometric", "lightning", "mlflow", "hydra-core")


def bundled(name: str) -> Path:
    """Folder ``conf``, ``experiments``, ``data_cards`` or ``notebooks``: beside the package in a checkout, inside it in the wheel."""
    for place in (_PACKAGE / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"edukit must carry the folder {name}; found it neither in {_PACKAGE} nor beside it. Install edukit again.")


def cache_dir() -> Path:
    """Where prepared data is kept: ``EDUKIT_CACHE``, else the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("EDUKIT_CACHE") or user_cache_dir("edukit"))


def draw_seed() -> int:
    """A fresh seed for a run that was given none; it is printed and kept with the run."""
    return int(np.random.SeedSequence().generate_state(1)[0] % 2**31)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and (where it is already imported) torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def fingerprint(*parts: Any) -> str:
    """SHA-256 of tables, arrays, files and plain values; equal content gives an equal fingerprint on every machine.

    Parameters
    ----------
    *parts
        DataFrames and Series (values and column names, not the index), arrays, Paths (the file's bytes), frozen
        dataclasses, and anything JSON can write.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> fingerprint({"a": 1}) == fingerprint({"a": 1}), fingerprint(1) == fingerprint(2)
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            digest.update(json.dumps([str(c) for c in part.columns]).encode())
            digest.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        elif isinstance(part, pd.Series):
            digest.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, Path):
            with part.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        else:
            plain = asdict(part) if is_dataclass(part) and not isinstance(part, type) else part
            digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def code_fingerprint() -> str:
    """Fingerprint of every Python file of the package and of the experiments."""
    files = sorted(_PACKAGE.rglob("*.py")) + sorted(bundled("experiments").rglob("*.py"))
    return fingerprint(*dict.fromkeys(files))


@contextmanager
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from a second thread, and on a busy machine lose tenfold waiting for it; on one, sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (a file or a folder); rename it over ``path`` only if all went well.

    An interruption or an error leaves ``path`` as it was and nothing else behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    fresh = scratch / path.name
    try:
        yield fresh
        if fresh.is_dir() and path.exists():
            shutil.rmtree(path)
        os.replace(fresh, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: Path, content: Any) -> Path:
    """Write ``content`` as JSON, whole or not at all; NaN becomes null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not np.isfinite(value) else value

    with replacing(path) as fresh:
        fresh.write_text(json.dumps(plain(content), indent=2, ensure_ascii=False, default=str, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def environment() -> dict[str, str]:
    """Versions of Python, the machine and the libraries that numbers depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "cores": str(os.cpu_count())}
    for name in ("edukit", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
