"""Every verb of edukit, with its signature: what a model, a grader, a policy must be able to do.

Shape letters: B learners, T steps, I items, C concepts. A sensitive attribute is in no signature but ``dif_groups``,
which may only shape item terms, so it cannot slip into a prediction of a learner.
All tables are those of :mod:`edukit.schema`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd

Tables = Mapping[str, pd.DataFrame]


class NotFittedError(RuntimeError):
    """A model was asked before it was fitted; call ``fit`` first."""


class OrderUnknownError(ValueError):
    """A model that needs the order of responses was given data without it."""


class DiagnosticError(RuntimeError):
    """A fit went wrong in a way that must stop the run (NaN loss, no convergence)."""


@runtime_checkable
class PrerequisiteGraph(Protocol):
    """What models may ask of a concept graph (:class:`edukit.graph.concept_graph.ConceptGraph`)."""

    @property
    def concept_ids(self) -> list[str]:
        """The C concepts in a fixed order."""
        ...

    @property
    def q_matrix(self) -> pd.DataFrame:
        """Table ``q_matrix``: which item assesses which concept."""
        ...

    @property
    def prerequisites(self) -> pd.DataFrame:
        """Table ``prerequisites``; ``weight`` is the probability of the edge."""
        ...

    def adjacency(self) -> np.ndarray:
        """(E, 2) integer array of (prerequisite, concept) positions in ``concept_ids``."""
        ...


@runtime_checkable
class Loader(Protocol):
    """A frozen dataclass whose fields are its options, so that the cache key is complete."""

    name: str

    def raw_dir(self) -> Path:
        """Folder with the publisher's files. Raises DataError naming what is absent and how it is obtained."""
        ...

    def files(self, raw_dir: Path) -> list[Path]:
        """Raw files it reads, for the cache key; empty for a generator."""
        ...

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Read the publisher's files into tables of :mod:`edukit.schema`."""
        ...


@runtime_checkable
class StreamingLoader(Loader, Protocol):
    """A loader with a log that may be larger than memory: that table goes from the raw files to parquet by streaming."""

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """Per table (``interactions``, ``events``) that ``parse`` leaves out: a DuckDB ``SELECT`` over the raw files.

        Its columns are those of the table. ``"order"`` of interactions may be any value that sorts (a time, a row number): it is ranked
        from 0 within each learner; NULL in every row means that the order is unknown. Empty where this variant has nothing to stream.
        """
        ...


@runtime_checkable
class LearnerBatches(Protocol):
    """A log too large for memory, read in batches of whole learners (:class:`edukit.data.interaction_store.InteractionStore`)."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def iter_learners(self, rows: int = 1_000_000) -> Iterator[pd.DataFrame]:
        """Batches of about ``rows`` rows; a learner is never in two; rows sorted by learner, then order; the same batches every time."""
        ...


@runtime_checkable
class LearnerModel(Protocol):
    """Traces what each learner knows from ordered responses."""

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn from training rows only.

        Parameters
        ----------
        interactions : table ``interactions`` with known order.
        graph : concepts, q_matrix and prerequisites.
        dif_groups : group per learner_id (index), used by item terms only.

        Raises
        ------
        OrderUnknownError, DataError
        """
        ...

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct) in [0, 1], aligned to the index; row t uses only earlier rows of the same learner."""
        ...

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery`` after the given history: every learner x every concept, with a standard deviation."""
        ...

    def save(self, path: Path) -> None:
        """Write the fitted model into one file; the same fit gives the same bytes."""
        ...

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; predictions are identical."""
        ...


@runtime_checkable
class StaticLearnerModel(Protocol):
    """Estimates what each learner knows from responses without order."""

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn item parameters from training rows only (order is ignored)."""
        ...

    def predict(self, targets: pd.DataFrame, given: pd.DataFrame) -> pd.Series:
        """P(correct) for ``targets`` (``learner_id, item_id``), aligned to its index; ability comes from ``given`` only."""
        ...

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery`` given all responses of each learner."""
        ...

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        ...

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        ...


@runtime_checkable
class OnlineLearnerModel(LearnerModel, Protocol):
    """A learner model that follows one learner live, in O(concept degree) a step and without a refit."""

    def start(self) -> Any:
        """State of a learner never seen."""
        ...

    def step(self, state: Any, item_id: str, correct: float) -> Any:
        """State after one more response; the given state is left as it was."""
        ...

    def mastery_of(self, state: Any) -> pd.DataFrame:
        """Per concept_id (index, C rows): ``mastery`` in [0, 1], its ``sd``, and ``n`` responses."""
        ...


@runtime_checkable
class CounterfactualModel(Protocol):
    """Answers what a class would master had its prerequisites, its teaching or its items been otherwise.

    Attributes
    ----------
    class_ids_ : names of the classes axis; the last one is ``all``. concept_ids_ : names of the C axis. draws_kept : joint samples it holds.
    """

    draws_kept: int
    class_ids_: list[str]
    concept_ids_: list[str]

    def draws(self, n: int, prerequisites: str = "observed", class_effects: str = "fitted", items: str = "all") -> np.ndarray:
        """(n, classes, C) posterior draws of mean mastery.

        ``prerequisites``: 'observed' | 'mastered'; ``class_effects``: 'fitted' | 'zero'; ``items``: 'all' | 'clean'.
        """
        ...

    def class_effects(self, n: int) -> np.ndarray:
        """(n, classes, C) posterior draws of what each class adds to a concept beyond ability and prerequisites, in logits."""
        ...

    def learners(self) -> np.ndarray:
        """(classes, C) learners behind each mean of :meth:`draws`."""
        ...

    def edge_probabilities(self) -> np.ndarray:
        """(C, C) posterior probability that the row's concept requires the column's."""
        ...


@runtime_checkable
class PrerequisiteModel(Protocol):
    """Learns which concept requires which, from text, courses, labels or logs.

    Attributes
    ----------
    reads : what it learns from: ``labels``, ``responses``, ``both`` (labels or responses, as the data have them) or ``nothing``.
    """

    reads: ClassVar[str]

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Learn from training tables (those it needs of ``concepts, documents, interactions, q_matrix, prerequisites``).

        ``labels`` is a table ``concept_pairs`` of training pairs, for supervised models.
        """
        ...

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Score of ``requires_id`` being a prerequisite of ``concept_id``, aligned to the index; NaN where it abstains."""
        ...

    def graph(self) -> PrerequisiteGraph:
        """The acyclic concept graph it stands for."""
        ...


@runtime_checkable
class RiskModel(Protocol):
    """Estimates each learner's risk from what was known at a cutoff."""

    def fit(self, features: pd.DataFrame, outcome: pd.Series) -> Self:
        """Learn from past presentations: one row a learner (index), numeric columns; outcome in {0, 1}."""
        ...

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Per learner (index): ``risk`` in [0, 1] with ``low`` and ``high``; NaN where the history is empty."""
        ...


@runtime_checkable
class Grader(Protocol):
    """Scores written answers against a rubric, and knows when to leave them to a person."""

    def fit(self, answers: pd.DataFrame, rubric: pd.DataFrame, questions: pd.DataFrame) -> Self:
        """Learn from graded ``answers``; none at all is allowed (then only rubric and reference are used)."""
        ...

    def grade(self, answers: pd.DataFrame) -> pd.DataFrame:
        """Table ``grades``: one row per answer and criterion."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Chooses what a learner should do next."""

    def start(self, graph: PrerequisiteGraph, items: pd.DataFrame, seed: int) -> Self:
        """Begin a session with one learner."""
        ...

    def recommend(self, mastery: pd.DataFrame, history: Sequence[tuple[str, float]], n: int = 1) -> pd.DataFrame:
        """``n`` rows of table ``recommendations`` (without learner_id), best first, each with its reason.

        ``mastery`` is indexed by concept_id (columns ``mastery, sd, n``); ``history`` holds (item_id, correct).
        """
        ...

    def observe(self, item_id: str, correct: float) -> None:
        """Learn from the response to what was recommended."""
        ...


@runtime_checkable
class Simulator(Protocol):
    """A world in which a policy can be tried: learners who change as they practise."""

    def reset(self, learners: int, seed: int) -> None:
        """Draw a new cohort."""
        ...

    def respond(self, learner: int, item_id: str) -> float:
        """The learner answers, and may learn from it; returns correct in {0, 1}."""
        ...

    def true_mastery(self) -> np.ndarray:
        """(B, C) true mastery now."""
        ...
