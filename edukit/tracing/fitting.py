"""How every network opens ``fit``, whether responses have an order or not: learners set aside, fresh weights, the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import nn

from edukit.processes import together
from edukit.schema import DataError
from edukit.tracing.sequences import Histories

Micro = Callable[[np.ndarray], Any]  # learners of a micro-batch -> what the loss of the network takes


@dataclass(frozen=True)
class TrainingSettings:
    """The arguments that every network model has; see :class:`edukit.training.TrainingLoop`.

    Parameters
    ----------
    batch_size : int
        Learners in a training batch; of a model that cuts long histories into windows, windows.
    valid_share : float
        Share of the training learners set aside to decide when to stop.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    valid_share: float
    device: str
    checkpoint_dir: str | None
    seed: int

    @classmethod
    def of(cls, model: object) -> Self:
        """Those of a model, which has each as an attribute."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(cls)})

    def set_aside(self, histories: Histories, name: str) -> tuple[Histories, Histories, np.random.Generator]:
        """Learners to train on, learners that decide when to stop, and the generator that drew them.

        Raises
        ------
        DataError
            With fewer than 2 learners; ``name`` is what the message calls the model.
        """
        if len(histories) < 2:
            raise DataError(f"interactions must hold 2 learners or more to fit {name} (one says when to stop); found {len(histories)}")
        rng = np.random.default_rng(self.seed)
        drawn, held = rng.permutation(len(histories)), min(max(1, round(self.valid_share * len(histories))), len(histories) - 1)
        return histories.take(drawn[held:]), histories.take(drawn[:held]), rng

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Weights drawn inside are those of the seed; random numbers outside are left as they were."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            yield

    def train(self, network: nn.Module, train: tuple[Histories, Micro], valid: tuple[Histories, Micro], asked_at_once: int, trim: float,
              run_key: str) -> pd.DataFrame:
        """Train a network, whose ``loss`` takes a micro-batch, in place.

        Parameters
        ----------
        network : Module
        train, valid : histories, and how some of their learners become a micro-batch
        asked_at_once : int
            Learners in a batch of validation.
        trim : float
            Where batches are cut by length, see :meth:`edukit.tracing.sequences.Histories.batches`.
        run_key : str
            Fingerprint of data and settings.

        Returns
        -------
        DataFrame
            The record of :meth:`edukit.training.TrainingLoop.fit`.
        """
        from edukit.training import TrainingLoop

        loop = TrainingLoop(self.epochs, self.patience, self.learning_rate, device=self.device, seed=self.seed,
                            checkpoint_dir=Path(self.checkpoint_dir) if self.checkpoint_dir else None)
        return loop.fit(
            network, lambda epoch: _made(train[0].batches(self.batch_size, (self.seed, epoch), trim), train[1]),
            lambda: _made(valid[0].batches(asked_at_once, trim=trim), valid[1]), lambda module, micro: module.loss(micro), run_key=run_key)


def _made(batches: Iterable[list[np.ndarray]], micro: Micro) -> Iterator[list[Any]]:
    for batch in batches:
        yield [micro(learners) for learners in for_all(batch, together())]


def for_all(batch: list[np.ndarray], processes: int) -> list[np.ndarray]:
    """A batch cut further, the largest micro-batch in two, until every process can have one.

    Examples
    --------
    >>> [len(learners) for learners in for_all([np.arange(3), np.arange(9)], 3)]
    [3, 5, 4]
    """
    batch = list(batch)
    while len(batch) < processes and max(len(learners) for learners in batch) > 1:
        most = max(range(len(batch)), key=lambda place: len(batch[place]))
        batch[most:most + 1] = np.array_split(batch[most], 2)
    return batch
