"""Audit a tracing model, or somebody else's predictions, for leaks: what `edukit audit leakage` runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf

from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.evaluation import leakage
from edukit.graph.sources import Expert, NoGraph
from edukit.reproducibility import bundled
from edukit.schema import DataError

from . import recipe


def maker(model: str, seed: int) -> Callable[[], Any]:
    """Makes new models: of ``conf/tracing/<model>.yaml`` under a seed, or of a class in a file of one's own (``FILE.py:Class``), without arguments."""
    file, _, name = model.rpartition(":")
    if file.endswith(".py"):
        if not Path(file).is_file():
            raise DataError(f"MODEL {model} must name a file that is there; found no {file}.")
        spec: Any = importlib.util.spec_from_file_location(f"edukit_audited_{Path(file).stem}", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickle look for it there
        spec.loader.exec_module(module)
        found = getattr(module, name, None)
        if not callable(found):
            raise DataError(f"MODEL {model} must name a class of {file}; found {', '.join(k for k, v in vars(module).items() if isinstance(v, type))}.")
        return found
    folder = bundled("conf") / "tracing"
    if not (folder / f"{model}.yaml").is_file():
        raise DataError(f"MODEL must be one of {', '.join(sorted(p.stem for p in folder.glob('*.yaml')))}, or FILE.py:Class; found {model}.")
    settings = OmegaConf.merge({"seed": seed}, {"model": OmegaConf.load(folder / f"{model}.yaml")})
    return lambda: instantiate(settings.model)


def of_model(model: str, data: str, learners: int, seed: int) -> Iterator[leakage.Proof]:
    """The proofs of :func:`edukit.evaluation.leakage.prove` on learners drawn from a data set, with the experts' graph where it has one."""
    make = maker(model, seed)
    loaded = load(loader(data), recipe.say, purpose="leakage")
    if "interactions" not in loaded.tables:
        raise DataError(f"data {loaded.label} must hold responses to audit a tracing model; found {', '.join(loaded.tables)}.")
    loaded = recipe.in_memory(loaded.sample(learners, seed))
    source = Expert() if loaded.allows()["graph"] else NoGraph()
    recipe.say(f"{model} on {len(loaded['interactions']):,} responses of {loaded.counts()['learners']:,} learners of {loaded.label}")
    yield from leakage.prove(make, loaded["interactions"], loaded["q_matrix"], lambda train: recipe.graph_of(source, loaded, train), seed)


def of_file(path: Path) -> list[leakage.Proof]:
    """The checks of :func:`edukit.evaluation.leakage.of_predictions` on a csv or parquet file."""
    if not path.is_file():
        raise DataError(f"--predictions must be a csv or parquet file; found no {path}.")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise DataError(f"--predictions {path} must be a csv or parquet file with a header; found something else ({str(error).splitlines()[0]}). "
                        "Save a sheet as csv.") from error
    return leakage.of_predictions(table)
