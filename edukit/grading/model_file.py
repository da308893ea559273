"""A fitted grader in one file without any code in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.reproducibility import replacing
from edukit.schema import DataError


def write(path: Path, kind: str, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain values and arrays (safetensors); the same ones give the same bytes.

    The file holds the graded answers a grader compares with, so it is to be kept like them.
    """
    from safetensors.numpy import save_file

    content = json.dumps({"kind": kind, **told}, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    whole = {name: np.ascontiguousarray(values) for name, values in {**arrays, "told": np.frombuffer(content, np.uint8)}.items()}
    with replacing(Path(path)) as fresh:
        save_file(whole, str(fresh), metadata={"edukit": "grader"})


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What :func:`write` wrote.

    Raises
    ------
    DataError
        If the file is absent, is none of ours, or holds another kind of grader.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(str(path))
        told = json.loads(arrays.pop("told").tobytes().decode("utf-8", "surrogatepass"))
    except FileNotFoundError:
        raise DataError(f"{path} must be a grader saved by edukit; found no file. Fit one and save it.") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} must be a grader saved by edukit; found another format ({error}). Fit it again and save it.") from error
    if told.get("kind") != kind:
        raise DataError(f"{path} must hold a grader of kind {kind}; found {told.get('kind', 'none')}. Load it with the class that wrote it.")
    return told, arrays


def kind_of(path: Path) -> str:
    """The kind of the grader that a file holds; "" where it cannot be told."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as opened:
            return str(json.loads(opened.get_tensor("told").tobytes().decode("utf-8", "surrogatepass")).get("kind", ""))
    except (SafetensorError, KeyError, ValueError, OSError):
        return ""


def plain(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows of a table as JSON holds them."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
