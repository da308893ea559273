"""The training loop: it stops in time, goes on where it was killed, and says what went wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edukit.protocols import DiagnosticError
from edukit.schema import DataError

torch = pytest.importorskip("torch")

BATCHES = 6


class Task:
    """A noisy linear task in batches of two unequal micro-batches; it can be killed, or poisoned, at a given call."""

    def __init__(self, killed_at: int | None = None, poisoned_at: int | None = None) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.tensor(rng.normal(size=(480, 6)), dtype=torch.float32)
        self.y = (self.x[:, 0] + torch.tensor(rng.normal(size=480), dtype=torch.float32) > 0).float()
        self.killed_at, self.poisoned_at, self.calls = killed_at, poisoned_at, 0

    def network(self) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Dropout(0.4), torch.nn.Linear(16, 1))

    def train(self, epoch: int) -> Iterator[list]:
        order = np.random.default_rng((5, epoch)).permutation(360)
        return ([(self.x[part[:9]], self.y[part[:9]]), (self.x[part[9:]], self.y[part[9:]])] for part in np.split(order, BATCHES))

    def valid(self) -> Iterator[list]:
        yield [(self.x[360:], self.y[360:])]

    def loss(self, module: torch.nn.Module, micro: tuple) -> tuple:
        self.calls += 1
        if self.calls == self.killed_at:
            raise KeyboardInterrupt if self.calls % 2 else RuntimeError("the power went")
        logit = module(micro[0])[:, 0]
        total = torch.nn.functional.binary_cross_entropy_with_logits(logit, micro[1], reduction="sum")
        return total * (float("nan") if self.calls == self.poisoned_at else 1.0), len(logit)

    def run(self, loop, module: torch.nn.Module | None = None, key: str = "run"):
        module = module or self.network()
        return module, loop.fit(module, self.train, self.valid, self.loss, key)


@pytest.fixture(scope="module")
def loop():
    from edukit.training import TrainingLoop

    return TrainingLoop


@pytest.fixture(autouse=True)
def _code_stands_still(monkeypatch, loop):
    """A file saved by a developer between two fits of a test is no other code."""
    monkeypatch.setattr("edukit.training.code_fingerprint", lambda: "this code")


CALLS_PER_EPOCH = 2 * BATCHES + 1


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize("killed_at", [4 * CALLS_PER_EPOCH + 6, 2 * CALLS_PER_EPOCH + 1, 3])
def test_a_killed_run_goes_on_to_the_very_same_weights(loop, tmp_path, killed_at):
    unbroken, record = Task().run(loop(epochs=7, learning_rate=0.01))
    on_interrupt = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt if killed_at % 2 else RuntimeError):
        Task(killed_at=killed_at).run(loop(epochs=7, learning_rate=0.01, checkpoint_dir=tmp_path))
    assert signal.getsignal(signal.SIGINT) is on_interrupt
    second = Task()
    resumed, again = second.run(loop(epochs=7, learning_rate=0.01, checkpoint_dir=tmp_path))
    assert same(unbroken, resumed) and record.equals(again)
    assert second.calls == (7 - killed_at // CALLS_PER_EPOCH) * CALLS_PER_EPOCH  # only what was missing
    assert list(tmp_path.iterdir()) == []  # a run that ended leaves nothing


def test_another_run_does_not_take_up_a_foreign_checkpoint(loop, tmp_path, capfd, monkeypatch):
    with pytest.raises(RuntimeError):
        Task(killed_at=4 * CALLS_PER_EPOCH + 4).run(loop(epochs=7, checkpoint_dir=tmp_path), key="mine")
    left = list(tmp_path.iterdir())
    for key, epochs, rate, code in (("yours", 2, 1e-3, "this code"), ("mine", 7, 2e-3, "this code"), ("mine", 7, 1e-3, "other code")):
        monkeypatch.setattr("edukit.training.code_fingerprint", lambda code=code: code)
        other = Task()
        other.run(loop(epochs=epochs, learning_rate=rate, checkpoint_dir=tmp_path), key=key)
        assert other.calls == epochs * CALLS_PER_EPOCH and list(tmp_path.iterdir()) == left and len(left) == 1
    assert capfd.readouterr().out == ""
    monkeypatch.setattr("edukit.training.code_fingerprint", lambda: "this code")
    Task().run(loop(epochs=7, checkpoint_dir=tmp_path), key="mine")
    assert capfd.readouterr().out == f"going on from epoch 4 ({left[0]})\n" and not left[0].exists()


@pytest.mark.parametrize("most", [60, 5])  # ends by early stopping, by the number of epochs
def test_a_run_killed_between_its_last_epoch_and_its_end_trains_no_further(loop, tmp_path, monkeypatch, most):
    settings = {"epochs": most, "patience": 3, "learning_rate": 0.05}
    unbroken, record = Task().run(loop(**settings))
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("the power went")))
        Task().run(loop(**settings, checkpoint_dir=tmp_path))
    second = Task()
    resumed, again = second.run(loop(**settings, checkpoint_dir=tmp_path))
    assert len(record) < 60 and second.calls == 0 and same(unbroken, resumed) and record.equals(again)


def test_a_state_that_nobody_came_back_to_is_removed(loop, tmp_path):
    for name, days in (("old.ckpt", 31), ("young.ckpt", 29), (".draft.ckpt.x1", 31), ("notes.txt", 90)):
        (tmp_path / name).mkdir() if name.startswith(".") else (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * 86400,) * 2)
    Task().run(loop(epochs=1, checkpoint_dir=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"young.ckpt", "notes.txt"}


def test_stops_without_progress_and_restores_the_best_weights(loop):
    task = Task()
    module, record = task.run(loop(epochs=60, patience=3, learning_rate=0.05))
    best = int(record["valid_loss"].idxmin())
    assert len(record) == best + 4 < 60
    x, y = next(task.valid())[0]
    with torch.no_grad():
        assert float(task.loss(module, (x, y))[0]) / len(y) == pytest.approx(record["valid_loss"][best], rel=1e-6)
    assert not module.training


def test_a_loss_that_is_no_number_stops_the_run_and_is_located(loop):
    with pytest.raises(DiagnosticError, match="epoch 3, batch 2.*learning rate"):
        Task(poisoned_at=2 * CALLS_PER_EPOCH + 3).run(loop(epochs=7))


def test_micro_batches_add_up_to_the_mean_of_the_whole_batch(loop):
    cut, whole = Task(), Task()
    whole.train = lambda epoch: [[tuple(torch.cat(parts) for parts in zip(*batch, strict=True))] for batch in cut.train(epoch)]
    networks = [task.network() for task in (cut, whole)]
    for task, network in zip((cut, whole), networks, strict=True):
        network[2].p = 0.0
        task.run(loop(epochs=2), network)
    for a, b in zip(*(n.parameters() for n in networks), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_worlds_random_numbers_screen_and_folder_are_left_alone(loop, capfd, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    Task().run(loop(epochs=2))
    assert torch.equal(state, torch.get_rng_state())
    assert list(tmp_path.iterdir()) == []
    out, err = capfd.readouterr()
    assert out == "" and err == ""
    assert [str(w.message) for w in recwarn if "lightning" in w.filename] == []


@pytest.mark.parametrize("none", ["epochs", "patience"])
def test_no_epoch_at_all_is_refused(loop, none):
    with pytest.raises(DataError, match="epochs and patience must be 1 or more; found "):
        Task().run(loop(**{none: 0}))


def test_a_device_that_is_not_there_is_named(loop):
    with pytest.raises(DataError, match="cpu, cuda, auto; found 'tpu'"):
        Task().run(loop(device="tpu"))
    if not torch.cuda.is_available():
        with pytest.raises(DataError, match="no CUDA device"):
            Task().run(loop(device="cuda"))
