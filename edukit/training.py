"""The one training loop: early stopping on validation loss, exact resume, micro-batches, and no surprises.

A thin use of Lightning's Trainer, and the only module that imports it (which takes seconds: import this module inside ``fit``).
"""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from tqdm import tqdm

from edukit.protocols import DiagnosticError
from edukit.reproducibility import replacing
from edukit.schema import DataError

Batch = Sequence[Any]  # the micro-batches of one step of the optimiser: anything made of tensors
Loss = Callable[[torch.nn.Module, Any], tuple[torch.Tensor, int]]  # (module, micro-batch) -> (summed loss, number of responses)
_DEVICES = {"cpu": "cpu", "cuda": "gpu", "auto": "auto"}


def derived_seed(seed: int, epoch: int) -> int:
    """Seed of one epoch; a resumed run draws what an unbroken run would have drawn."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


@dataclass(frozen=True)
class _Loader:
    """Batches as one loader (a bare list would be taken for several)."""

    batches: Iterable[Batch]

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class _Run(pl.LightningModule):
    """A module with its loss, batches and best weights so far, in the form Lightning's Trainer drives."""

    def __init__(self, module: torch.nn.Module, train: Callable[[int], Iterable[Batch]], valid: Callable[[], Iterable[Batch]],
                 loss: Loss, loop: TrainingLoop) -> None:
        super().__init__()
        self.module, self.train_batches, self.valid_batches, self.loss, self.loop = module, train, valid, loss, loop
        self.automatic_optimization = False
        self.best: dict[str, Any] = {"loss": float("inf"), "weights": {}}
        self.records: list[dict[str, float]] = []
        self.sums = {"train": [0.0, 0], "valid": [0.0, 0]}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.module.parameters(), lr=self.loop.learning_rate)

    def train_dataloader(self) -> _Loader:
        return _Loader(self.train_batches(self.current_epoch))

    def val_dataloader(self) -> _Loader:
        return _Loader(self.valid_batches())

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(derived_seed(self.loop.seed, self.current_epoch))

    def _summed(self, part: str, micro: Any, batch: int) -> tuple[torch.Tensor, int]:
        total, n = self.loss(self.module, micro)
        if not torch.isfinite(total):
            raise DiagnosticError(
                f"the {part} loss must be a finite number; found {float(total.detach())} in epoch {self.current_epoch + 1}, "
                f"batch {batch + 1}; lower the learning rate (now {self.loop.learning_rate:g}) or look for extreme values in the data")
        self.sums[part][0] += float(total.detach())
        self.sums[part][1] += n
        return total, n

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        optimizer.zero_grad()
        responses = 0
        for micro in batch:
            total, n = self._summed("train", micro, batch_idx)
            self.manual_backward(total)
            responses += n
        for parameter in self.module.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(responses)
        self.clip_gradients(optimizer, gradient_clip_val=self.loop.clip, gradient_clip_algorithm="norm")
        optimizer.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        for micro in batch:
            self._summed("valid", micro, batch_idx)

    def on_validation_epoch_end(self) -> None:
        mean = {part: total / max(n, 1) for part, (total, n) in self.sums.items()}
        self.sums = {"train": [0.0, 0], "valid": [0.0, 0]}
        self.records.append({"epoch": self.current_epoch + 1, "train_loss": mean["train"], "valid_loss": mean["valid"]})
        self.log("valid_loss", mean["valid"])
        if mean["valid"] < self.best["loss"]:
            weights = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
            self.best = {"loss": mean["valid"], "weights": weights}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["edukit"] = {"best": self.best, "records": self.records}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.best, self.records = checkpoint["edukit"]["best"], checkpoint["edukit"]["records"]


class _Checkpoint(Callback):
    """After every epoch, the whole state of the run in one file that is complete or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with replacing(self.path) as draft:
            trainer.save_checkpoint(draft)


class _Progress(Callback):
    """One line with the epoch, the batch and the validation loss so far; nothing where the output is not a terminal."""

    bar: Any = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar = tqdm(total=trainer.max_epochs, initial=trainer.current_epoch, desc="training", unit="epoch", leave=False, miniters=0,
                        disable=None)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        records = cast(_Run, pl_module).records
        so_far = f", validation loss {records[-1]['valid_loss']:.4f}" if records else ""
        self.bar.set_postfix_str(f"batch {batch_idx + 1}{so_far}", refresh=False)
        self.bar.update(0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar.update(1)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice about loaders, loggers and hardware kept from the user for the length of a fit."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@dataclass(frozen=True)
class TrainingLoop:
    """How a network is trained.

    Parameters
    ----------
    epochs : int
        At most so many passes over the training learners.
    patience : int
        Stop after so many epochs without a lower validation loss; the best weights are restored.
    learning_rate : float
        Of Adam.
    clip : float
        Largest norm of the gradient.
    device : 'cpu' | 'cuda' | 'auto'
    checkpoint_dir : Path, optional
        Where a run leaves its state after every epoch, so that a killed one can go on; a run that ends removes it.
    seed : int
        With the epoch it fixes every random number of that epoch.
    """

    epochs: int = 20
    patience: int = 3
    learning_rate: float = 1e-3
    clip: float = 1.0
    device: str = "cpu"
    checkpoint_dir: Path | None = None
    seed: int = 0

    def fit(self, module: torch.nn.Module, train_batches: Callable[[int], Iterable[Batch]], valid_batches: Callable[[], Iterable[Batch]],
            loss: Loss, run_key: str = "run") -> pd.DataFrame:
        """Train ``module`` in place and leave it with its best weights, on the CPU, in evaluation mode.

        One step of the optimiser follows the mean loss of a whole batch, summed over its micro-batches, so that trimming
        each micro-batch to its own longest history changes no gradient.

        Parameters
        ----------
        module : Module
        train_batches : epoch -> batches; the same epoch must give the same batches
        valid_batches : () -> batches
        loss : (module, micro-batch) -> (summed loss, number of responses)
        run_key : str
            Fingerprint of data and settings: a checkpoint is only taken up by the run that left it.

        Returns
        -------
        DataFrame
            Per epoch: ``epoch`` (from 1), ``train_loss``, ``valid_loss`` (mean per response).

        Raises
        ------
        DiagnosticError
            When a loss is not a finite number, naming epoch and batch.
        DataError
            For a device that is unknown or absent.
        """
        if self.device not in _DEVICES:
            raise DataError(f"device must be one of {', '.join(_DEVICES)}; found {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DataError("device must be there; found no CUDA device; use device='cpu' or device='auto'")
        run = _Run(module, train_batches, valid_batches, loss, self)
        state = Path(self.checkpoint_dir) / f"{run_key}.ckpt" if self.checkpoint_dir else None
        callbacks: list[Callback] = [EarlyStopping("valid_loss", patience=self.patience, check_on_train_epoch_end=False), _Progress()]
        callbacks += [_Checkpoint(state)] if state else []
        with _quiet(), torch.random.fork_rng():
            trainer = pl.Trainer(
                accelerator=_DEVICES[self.device], devices=1, max_epochs=self.epochs, callbacks=callbacks, logger=False,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
                reload_dataloaders_every_n_epochs=1)
            on_interrupt = signal.getsignal(signal.SIGINT)
            try:
                trainer.fit(run, ckpt_path=state if state and state.exists() else None, weights_only=True)
            except SystemExit as error:  # what Lightning makes of Ctrl-C, after which it leaves Ctrl-C dead
                signal.signal(signal.SIGINT, on_interrupt)
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from error
                raise
        module.cpu().load_state_dict(run.best["weights"])
        module.eval()
        if state:
            state.unlink(missing_ok=True)
        return pd.DataFrame(run.records)
