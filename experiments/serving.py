"""A tracked model put to use: loaded by the name of its run, asked about learners it never saw."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.data.catalogue import catalogue, loader
from edukit.data.store import load
from edukit.evaluation import RunReport, tracking
from edukit.formats import graph_file
from edukit.graph.concept_graph import ConceptGraph, break_cycles, named
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

from .recipe import name_of

MODEL, GRAPH = "model.safetensors", "graph.json"
TRACED = ("trace", "refresh")  # experiments whose runs `last` may mean
HALF = 0.5  # of the items of a history: from there on a model is one for it
KNOWN, UNKNOWN = "estimated", "not enough data"


@dataclass(frozen=True)
class Tracked:
    """A run with its fitted model: ``model.start / step / mastery_of`` follow a learner live, ``model.mastery`` answers for whole histories."""

    model: Any
    report: RunReport
    folder: Path
    run_id: str | None

    @property
    def label(self) -> str:
        """How messages call it."""
        told = self.run_id[:8] if self.run_id else str(self.folder)
        return f"{name_of(self.model)} of run {told} ({self.report.experiment} on {self.report.data['label']})"

    @cached_property
    def graph(self) -> ConceptGraph:
        """Concepts with their names, prerequisites and items: the graph kept with the run, else what the data has, else the model's ids alone."""
        vocabulary = self.model.vocabulary_
        concepts, edges = _known_concepts(self)
        name = {} if concepts is None else concepts.set_index("concept_id")["name"].to_dict()
        ids = pd.Series(vocabulary.concept_ids, dtype="str")
        entry, concept = vocabulary.concept_pairs(np.arange(1, len(vocabulary.item_ids) + 1))
        q_matrix = pd.DataFrame({"item_id": np.asarray(vocabulary.item_ids, object)[entry],
                                 "concept_id": np.asarray(vocabulary.concept_ids, object)[concept]}).astype("str")
        if edges is not None:
            edges = edges[edges["concept_id"].isin(ids) & edges["requires_id"].isin(ids)]
        return ConceptGraph.from_tables(pd.DataFrame({"concept_id": ids, "name": ids.map(lambda c: name.get(c, c))}).astype("str"), edges, q_matrix)

    @property
    def names(self) -> dict[str, str]:
        """Name of every concept by its id."""
        return dict(zip(self.graph.concepts["concept_id"], self.graph.concepts["name"], strict=True))


def keep_graph(concepts: pd.DataFrame | None, graph: PrerequisiteGraph, folder: Path) -> str:
    """Write the graph of a model beside it, so that names and prerequisites are there without the data; returns the name of the file."""
    known = named(graph.prerequisites, graph.q_matrix) if concepts is None else concepts
    return graph_file.write(graph_file.GraphFile({"concepts": known, "prerequisites": graph.prerequisites}), folder / GRAPH).name


def _known_concepts(run: Tracked) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Tables concepts and prerequisites, as far as they can still be had."""
    if (kept := run.folder / GRAPH).is_file():
        tables = graph_file.read(kept).tables
        return tables["concepts"], tables["prerequisites"]
    try:
        tables = load(data_loader(run.report), purpose=run.report.experiment).tables
    except (DataError, OSError):
        return None, None
    concepts, claims = tables.get("concepts"), tables.get("prerequisites")
    return concepts, None if claims is None or concepts is None else break_cycles(concepts, claims)[0]


def data_loader(report: RunReport, options: Mapping[str, Any] | None = None) -> Any:
    """The loader of a run's data with the run's options, some of them changed; only loaders of the catalogue are ever made.

    Raises
    ------
    DataError
        For data that the catalogue does not have, or an option that its loader has not.
    """
    asked = {k: v for k, v in {**report.config.get("data", {}), **(options or {})}.items() if k != "_target_"}
    if (name := report.data["name"]) not in {known for known, _ in catalogue().values()}:
        raise DataError(f"data must be one of `edukit data list`; found {name!r} in {report.folder}")
    return loader(name, **asked)


def tracked(run: str = "last", root: Path | None = None, items: pd.Series | None = None) -> Tracked:
    """Load the model of a run.

    Parameters
    ----------
    run : id of a tracked run, the beginning of one, ``last`` (the newest model that traces learners and was not set aside by a refresh), the
        folder of a run, or its ``run_report.json``.
    root : tracking folder; that of the command line where it is not given.
    items : what the model will be asked about: ``last`` is then the newest model that knows at least half of them, or where none does the newest of
        those that know most.

    Raises
    ------
    DataError
        Where there is no such run, or it holds no model that traces learners.
    """
    root = Path(root) if root else tracking.default_root()
    if Path(run).exists() or Path(run).suffix == ".json":
        report = RunReport.read(Path(run))
        folder, run_id = Path(str(report.folder)), None
        run_id = tracking.run_in(root, folder)
    else:
        run_id, folder = _last(root, items) if run == "last" else tracking.find(root, run)
        report = RunReport.read(folder)
    if not (folder / MODEL).is_file():
        raise DataError(f"run {run} must hold a fitted model ({MODEL}); found none in {folder}. Choose a run of: edukit run trace.")
    return Tracked(_model_class(report).load(folder / MODEL), report, folder, run_id)


def _last(root: Path, items: pd.Series | None) -> tuple[str, Path]:
    best, most = None, -2.0
    runs = tracking.runs(root) if (root / tracking.DATABASE).is_file() else pd.DataFrame()
    for run in runs.to_dict("records"):
        if run["experiment"] in TRACED and (run["files"] / MODEL).is_file() and promoted(report := RunReport.read(run["files"])) is not False:
            share = 1.0 if items is None else _known_share(report, run["files"], items)
            if share > most:
                best, most = (run["run_id"], run["files"]), share
            if share >= HALF:
                break
    if best is not None:
        return best
    raise DataError(f"{root} must hold a tracked model; found none. Fit one first: edukit run trace data=… tracing=….")


def _known_share(report: RunReport, folder: Path, items: pd.Series) -> float:
    """Share of the items that the model of a run knows; -1 where it cannot be loaded."""
    try:
        model = _model_class(report).load(folder / MODEL)
    except (DataError, OSError):
        return -1.0
    return float((model.vocabulary_.index(items.drop_duplicates()) > 0).mean())


def promoted(report: RunReport) -> bool | None:
    """Whether a refresh put its model in the place of the old one; None for any other run."""
    return bool(report.value("promoted")) if report.experiment == "refresh" else None


def _model_class(report: RunReport) -> Any:
    """The class a run's config names, if it is a model of :mod:`edukit.tracing`; nothing else is imported or called."""
    settings = report.config.get("tracing")
    target = str(settings.get("_target_", "")) if isinstance(settings, dict) else ""
    kind = of_the_house(target, "edukit.tracing.")
    if not hasattr(kind, "load"):
        raise DataError(f"{report.folder} must be a run of a model of edukit.tracing; found tracing._target_ {target!r}. Choose a run of: edukit run trace.")
    return kind


def of_the_house(target: str, room: str = "edukit.") -> Any:
    """The class that a ``_target_`` names, where it is one of edukit's own; None for all else, of which nothing is imported."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None) if module.startswith(room) else None
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, type) and found.__module__ == module else None


def estimate(run: Tracked, history: pd.DataFrame) -> pd.DataFrame:
    """What each learner of ``history`` (table ``interactions``) knows: table ``mastery`` with the concept's ``name`` and a ``state``.

    The state is ``not enough data`` where the learner gave no response on the concept: its mastery is then what the model infers from the others.

    Raises
    ------
    DataError
        Where the model knows none of the items.
    """
    index = run.model.vocabulary_.index(history["item_id"])
    if not index.any():
        raise DataError(f"the history must hold items that the model knows; found none in {len(history):,} responses (first: "
                        f"{history['item_id'].iloc[0]!r}). {run.label} knows items such as {run.model.vocabulary_.item_ids[0]!r}.")
    table = run.model.mastery(history)
    told = table.assign(name=table["concept_id"].map(run.names), state=np.where(table["n"] > 0, KNOWN, UNKNOWN))
    return told[["learner_id", "concept_id", "name", "mastery", "sd", "n", "state"]]


def unseen(run: Tracked, history: pd.DataFrame) -> list[str]:
    """What to say of responses to items that the model has no parameters for, a sentence each."""
    vocabulary, items = run.model.vocabulary_, history["item_id"].drop_duplicates()
    index = vocabulary.index(items)
    said = []
    for which, what in ((index == 0, "the model never heard of them, and knows no concept of theirs"),
                        (index > vocabulary.trained, "the model was fitted without a response to them, and knows them by their concepts only")):
        if which.any():
            some = items[which]
            said.append(f"{len(some):,} of {len(items):,} items: {what}: {', '.join(map(plain, some.head(5)))}{', ...' if len(some) > 5 else ''}")
    return said


def lines(mastery: pd.DataFrame, history: pd.DataFrame, top: int) -> list[str]:
    """:func:`estimate` as text: per learner the weakest and the strongest concepts, and those nothing is known of."""
    found = []
    for learner, table in mastery.groupby("learner_id", sort=False):
        rows = history[history["learner_id"] == learner]
        known = table[table["state"] == KNOWN].sort_values(["mastery", "concept_id"])
        blank = table[table["state"] == UNKNOWN].sort_values(["mastery", "concept_id"])
        found.append(f"learner {plain(learner)}: {len(rows):,} responses to {rows['item_id'].nunique():,} items; "
                     f"{len(known):,} of {len(table):,} concepts practised")
        low, high = min(top, -(-len(known) // 2)), min(top, len(known) // 2)
        for title, part in (("weakest", known.head(low)), ("strongest", known.tail(high)[::-1])):
            found += [f"  {title:<44}mastery    sd     n"] * bool(len(part))
            found += [f"    {plain(r.name):<44.44}{r.mastery:5.2f}  {r.sd:5.2f} {r.n:5,}" for r in part.itertuples(index=False)]
        if len(blank):
            found.append(f"  {UNKNOWN}: {len(blank):,} concepts without a response (n = 0); what others let the model expect there leaves "
                         f"sd {blank['sd'].min():.2f} to {blank['sd'].max():.2f}")
            found += [f"    {plain(r.name):<44.44}{UNKNOWN} (sd {r.sd:.2f}, n 0)" for r in blank.head(top).itertuples(index=False)]
            found += [f"    and {len(blank) - top:,} more"] * (len(blank) > top)
    return found


def plain(text: object) -> str:
    """Text without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
