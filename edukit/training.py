"""The one training loop: early stopping on validation loss, exact resume, micro-batches, and no surprises.

A thin use of Lightning's Trainer, and the only module that imports it (which takes seconds: import this module inside ``fit``).
Under ``torchrun`` every process holds the whole module and takes its share of the micro-batches of each batch; sums of gradients and losses
are the whole batch's on all of them, so that they take the same steps and stop in the same epoch.
"""

from __future__ import annotations

import logging
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from tqdm import tqdm

from edukit.processes import PATIENCE, dealt, summed, together
from edukit.protocols import DiagnosticError
from edukit.reproducibility import code_fingerprint, environment, fingerprint, replacing
from edukit.schema import DataError

Batch = Sequence[Any]  # the micro-batches of one step of the optimiser: anything made of tensors
Loss = Callable[[torch.nn.Module, Any], tuple[Tensor, int]]  # (module, micro-batch) -> (summed loss, number of responses)
_DEVICES = {"cpu": "cpu", "cuda": "gpu", "auto": "auto"}
FORGOTTEN = timedelta(days=30)  # a state that no run has come back to for so long is removed


def derived_seed(seed: int, epoch: int) -> int:
    """Seed of one epoch; a resumed run draws what an unbroken run would have drawn."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


class _Together(DDPStrategy):
    """How Lightning starts and finds several processes, without its wrapper, which would average over processes what is summed here."""

    def configure_ddp(self) -> None:
        """Leave the module as it is."""


@dataclass(frozen=True)
class _Loader:
    """Batches as one loader (a bare list would be taken for several), from the first on whenever it is asked: Lightning asks twice."""

    batches: Callable[[], Iterable[Batch]]

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches())


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
        return torch.optim.Adam(self.module.parameters(), lr=self.loop.learning_rate, fused=True)

    def train_dataloader(self) -> _Loader:
        return _Loader(partial(self.train_batches, self.current_epoch))

    def val_dataloader(self) -> _Loader:
        return _Loader(self.valid_batches)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(derived_seed(self.loop.seed, self.current_epoch))

    def _add_up(self, part: str, batch: Batch, batch_idx: int) -> int:
        """Losses (and in training gradients) of a whole batch summed over its micro-batches and all processes; how many responses it has."""
        total, responses = torch.zeros((), device=self.device), 0
        for micro in dealt(batch, self.trainer.world_size)[self.trainer.global_rank]:
            one, n = self.loss(self.module, micro)
            if part == "train":
                one.backward()
            total, responses = total + one.detach(), responses + n
        if self.trainer.world_size > 1:
            total, responses = summed(total, responses, list(self.module.parameters()) if part == "train" else [])
        loss = float(total)
        if not np.isfinite(loss):
            raise DiagnosticError(
                f"the {part} loss must be a finite number; found {loss} in epoch {self.current_epoch + 1}, "
                f"batch {batch_idx + 1}; lower the learning rate (now {self.loop.learning_rate:g}) or look for extreme values in the data")
        self.sums[part][0] += loss
        self.sums[part][1] += responses
        return max(responses, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        optimizer.zero_grad()
        responses = self._add_up("train", batch, batch_idx)
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) / responses
        scale = (self.loop.clip / (norm + 1e-6)).clamp(max=1.0) / responses
        for gradient in gradients:
            gradient.mul_(scale)
        optimizer.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._add_up("valid", batch, batch_idx)

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


class _Stop(EarlyStopping):
    """Early stopping that also holds for a run killed between its last epoch and its end."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class _Checkpoint(Callback):
    """After every epoch, the whole state of the run in one file that is complete or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch and trainer.is_global_zero:
            print(f"going on from epoch {trainer.current_epoch} ({self.path})", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with replacing(self.path) if trainer.is_global_zero else nullcontext(self.path) as draft:
            trainer.save_checkpoint(draft)  # the first process writes, the others wait for it


class _Progress(Callback):
    """One line with the epoch, the batch and the validation loss so far; nothing where the output is not a terminal."""

    bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar = tqdm(total=trainer.max_epochs, initial=trainer.current_epoch, desc="training", unit="epoch", leave=False, miniters=0,
                        disable=None if trainer.is_global_zero else True)

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
        Where a run leaves its state after every epoch, so that a killed one goes on when it is started again with the same code, data, settings
        and libraries. A run that ends removes its state; so is, by the next run, one that was left for 30 days.
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
            Fingerprint of data and settings: a checkpoint is only taken up by the run that left it, of the same code.

        Returns
        -------
        DataFrame
            Per epoch: ``epoch`` (from 1), ``train_loss``, ``valid_loss`` (mean per response).

        Raises
        ------
        DiagnosticError
            When a loss is not a finite number, naming epoch and batch.
        DataError
            For a device that is unknown or absent, and for no epoch.
        """
        if self.device not in _DEVICES:
            raise DataError(f"device must be one of {', '.join(_DEVICES)}; found {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DataError("device must be there; found no CUDA device; use device='cpu' or device='auto'")
        if min(self.epochs, self.patience) < 1:
            raise DataError(f"epochs and patience must be 1 or more; found {self.epochs} and {self.patience}")
        processes, state = together(), self._state(run_key)
        run = _Run(module, train_batches, valid_batches, loss, self)
        callbacks = [_Stop("valid_loss", patience=self.patience, check_on_train_epoch_end=False), _Progress(), *([_Checkpoint(state)] if state else [])]
        with _quiet(), torch.random.fork_rng():
            trainer = pl.Trainer(
                accelerator=_DEVICES[self.device], devices=processes, max_epochs=self.epochs, callbacks=callbacks, logger=False,
                strategy=_Together(timeout=PATIENCE) if processes > 1 else "auto", use_distributed_sampler=False,
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
        if state and trainer.is_global_zero:
            state.unlink(missing_ok=True)
        return pd.DataFrame(run.records)

    def _state(self, run_key: str) -> Path | None:
        """File of the state of this very run, after states that nobody came back to are gone."""
        if self.checkpoint_dir is None:
            return None
        for left in Path(self.checkpoint_dir).glob("*.ckpt*"):  # states, and drafts of states
            with suppress(FileNotFoundError):  # other runs come and go
                if time.time() - left.stat().st_mtime > FORGOTTEN.total_seconds():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        key = fingerprint(run_key, replace(self, checkpoint_dir=None), together(), code_fingerprint(), environment())
        return Path(self.checkpoint_dir) / f"{key}.ckpt"
