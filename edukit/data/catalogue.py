"""Every data set and variant by its label (``junyi_cut10k``), as ``conf/data/*.yaml`` lists them; a new yaml is found without more."""

from __future__ import annotations

import importlib
from typing import Any

from omegaconf import OmegaConf

from edukit.protocols import Loader
from edukit.reproducibility import bundled
from edukit.schema import DataError


def _config(name: str) -> tuple[Any, dict[str, Any]]:
    """The class that a yaml names, and the fields it lists."""
    fields: Any = OmegaConf.to_container(OmegaConf.load(bundled("conf") / "data" / f"{name}.yaml"))
    module, _, kind = fields.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), kind), fields


def catalogue() -> dict[str, tuple[str, str]]:
    """Label -> (data set, variant), by name; the variant is empty where a data set has one form only, and the first is the default."""
    found = {}
    for path in sorted((bundled("conf") / "data").glob("*.yaml")):
        for variant in getattr(_config(path.stem)[0], "variants", ("",)):
            found[f"{path.stem}_{variant}".rstrip("_")] = (path.stem, variant)
    return found


def loader(label: str, **options: Any) -> Loader:
    """The loader of a label; a data set without its variant means the first.

    Raises
    ------
    DataError
        For a label that no yaml of ``conf/data`` offers, or an option that its loader has not.
    """
    known = catalogue()
    named = next(((name, variant) for name, variant in known.values() if label == name), None)
    if label not in known and named is None:
        raise DataError(f"data must be one of {', '.join(known)}; found {label}. To check a file of your own, give its path.")
    name, variant = known.get(label) or named  # type: ignore[misc]
    kind, fields = _config(name)
    if unknown := sorted(set(options) - set(fields)):
        raise DataError(f"data {name} has the options {', '.join(fields)}; found {', '.join(unknown)}")
    return kind(**{**fields, **({"variant": variant} if variant else {}), **options})
