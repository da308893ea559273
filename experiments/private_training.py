"""Train a knowledge-tracing network so that nobody can tell from it whether one learner was in the data, and show what that costs.

The unit is the learner: one sequence is one sample, its gradient is cut to a fixed length and covered with noise (DP-SGD), and the epsilon that was
spent is computed by Opacus. Items and concepts come from the catalogue (the Q-matrix), never from who answered what; training ends after a
fixed number of epochs, since stopping early would look at the data once more. The noise is drawn from torch's generator, so that a seed
repeats a run: for a model that leaves the house, train once, with a seed that is drawn and not kept.

References
----------
Abadi, M., et al. (2016). Deep learning with differential privacy. ACM CCS.
Yousefpour, A., et al. (2021). Opacus: user-friendly differential privacy library in PyTorch. arXiv:2109.12298.
"""

from __future__ import annotations

import warnings
from typing import Any

import hydra
import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from edukit.evaluation import RunReport, evaluate
from edukit.metrics import auc, bootstrap, log_loss, record
from edukit.protocols import PrerequisiteGraph
from edukit.report import privacy_figures
from edukit.reproducibility import one_thread
from edukit.schema import DataError
from edukit.tracing.sequences import Histories, Vocabulary, encode

from . import recipe

SCORES = {"auc": auc, "log_loss": log_loss}


def _opacus() -> Any:
    try:
        import opacus.layers
    except ImportError:
        raise DataError("private training needs the library Opacus; found none installed. pip install 'edukit[privacy]'") from None
    return opacus


class PrivateDKT(nn.Module):
    """An LSTM over (concepts, correct) read out per concept, plus the easiness of the item; built of layers whose gradients come per learner.

    Parameters
    ----------
    vocabulary : items (I) and concepts (C)
    hidden : width of the state
    """

    def __init__(self, vocabulary: Vocabulary, hidden: int) -> None:
        super().__init__()
        concepts = vocabulary.multi_hot(np.arange(len(vocabulary.item_ids) + 1)).astype(np.float32)
        self.register_buffer("concepts", torch.from_numpy(concepts / np.maximum(concepts.sum(axis=1, keepdims=True), 1)))
        self.response = nn.Linear(2 * concepts.shape[1], hidden)
        self.memory = _opacus().layers.DPLSTM(hidden, hidden, batch_first=True)
        self.known = nn.Linear(hidden, concepts.shape[1])
        self.easiness = nn.Linear(len(concepts), 1, bias=False)
        nn.init.zeros_(self.easiness.weight)

    def forward(self, item: Tensor, correct: Tensor) -> Tensor:
        """(B, T) logits from (B, T) items and answers; entry t reads the answers before t."""
        asked = self.concepts[item]
        told = torch.cat([asked * correct.unsqueeze(-1), asked * (1 - correct).unsqueeze(-1)], dim=-1)
        before = torch.cat([torch.zeros_like(told[:, :1]), told[:, :-1]], dim=1)
        state, _ = self.memory(torch.tanh(self.response(before)))
        easy = self.easiness(nn.functional.one_hot(item, len(self.concepts)).to(correct.dtype)).squeeze(-1)
        return (self.known(state) * asked).sum(-1) + easy


def first_steps(interactions: pd.DataFrame, graph: PrerequisiteGraph, vocabulary: Vocabulary, steps: int) -> tuple[tuple[Tensor, Tensor, Tensor], Histories]:
    """Items, answers and mask (B, T) of each learner's first responses, and the histories they were cut from."""
    histories = encode(interactions, vocabulary, "private training")
    padded = histories.pad(np.arange(len(histories)))
    return (torch.from_numpy(padded.item[:, :steps]), torch.from_numpy(padded.correct[:, :steps]), torch.from_numpy(padded.mask[:, :steps])), histories


def _loss(network: nn.Module, item: Tensor, correct: Tensor, mask: Tensor) -> Tensor:
    """Mean over learners of the mean cross-entropy of their own responses: every learner weighs the same."""
    each = nn.functional.binary_cross_entropy_with_logits(network(item, correct), correct, reduction="none") * mask
    return (each.sum(1) / mask.sum(1).clamp(min=1)).mean()


@one_thread()
def train(rows: tuple[Tensor, Tensor, Tensor], vocabulary: Vocabulary, epsilon: float | None, delta: float, hidden: int, epochs: int, batch_size: int,
          learning_rate: float, clip: float, seed: int) -> tuple[nn.Module, float | None]:
    """A network trained on these learners, and the epsilon that was spent (None without noise).

    Raises
    ------
    DataError
        Where there are too few learners for a batch, or a setting is out of range.
    """
    learners = len(rows[0])
    if learners < 2 * batch_size or (epsilon is not None and epsilon <= 0) or not 0 < delta < 1 / learners:
        raise DataError(f"private training needs at least two batches of learners, an epsilon above 0 and a delta below 1 / learners; found {learners} "
                        f"learners, batches of {batch_size}, epsilon {epsilon} and delta {delta:g}. Use more learners, or a smaller batch_share.")
    torch.manual_seed(seed)
    network: nn.Module = PrivateDKT(vocabulary, hidden)
    optimiser: Any = torch.optim.Adam(network.parameters(), lr=learning_rate)
    batches: Any = DataLoader(TensorDataset(*rows), batch_size=batch_size, shuffle=True)
    engine = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks, and that the generator is not for cryptography: the head of this file says so
        if epsilon is not None:
            engine = _opacus().PrivacyEngine(accountant="rdp")
            network, optimiser, batches = engine.make_private_with_epsilon(
                module=network, optimizer=optimiser, data_loader=batches, target_epsilon=epsilon, target_delta=delta, epochs=epochs, max_grad_norm=clip)
        network.train()
        for _ in range(epochs):
            for item, correct, mask in batches:
                optimiser.zero_grad()
                if len(item):
                    _loss(network, item, correct, mask).backward()
                else:  # learners are drawn one by one, so that a batch can be empty: its step is noise alone, and costs what any step costs
                    for weight in network.parameters():
                        weight.grad_sample = torch.zeros(0, *weight.shape)  # type: ignore[attr-defined]
                optimiser.step()
        return network.eval(), None if engine is None else float(engine.get_epsilon(delta))


@torch.no_grad()
def ask(network: nn.Module, rows: tuple[Tensor, Tensor, Tensor]) -> np.ndarray:
    """(N,) probabilities of the responses under the mask, learner by learner."""
    item, correct, mask = rows
    return torch.sigmoid(network(item, correct))[mask].numpy().astype(float)


def run(cfg: DictConfig) -> RunReport:
    """Train at every epsilon on the training learners, score the first responses of the test learners, and draw the curve."""
    with recipe.open_run(cfg) as job:
        train_rows, test_rows = job.part()
        graph = job.graph(train_rows)
        vocabulary = Vocabulary.build(graph.q_matrix, graph)  # every item of the catalogue, whoever answered it
        given, histories = first_steps(train_rows, graph, vocabulary, cfg.steps)
        asked, tested = first_steps(test_rows, graph, vocabulary, cfg.steps)
        learners = len(histories)
        delta = cfg.delta or 1 / (10 * learners)
        y, units = asked[1][asked[2]].numpy().astype(float), np.repeat(np.arange(len(tested)), asked[2].sum(1).numpy())
        rows = test_rows.iloc[tested.position[_kept(tested, cfg.steps)]]
        recipe.say(f"{learners:,} learners, delta {delta:.2g}; scored on the first {cfg.steps} responses of {len(tested):,} others")
        for epsilon in cfg.epsilons:
            network, spent = train(given, vocabulary, epsilon, delta, cfg.hidden, cfg.epochs, max(round(cfg.batch_share * learners), 1), cfg.learning_rate,
                                   cfg.clip, job.seed)
            p, model = ask(network, asked), "no noise" if epsilon is None else f"epsilon {epsilon:g}"
            for name, score in SCORES.items():
                low, high = bootstrap(y, p, units, score, seed=job.seed, draws=cfg.draws)
                job.metrics.append(record(name, score(y, p), len(y), low, high, model=model, split=job.split["name"]))
            if spent is not None:
                job.metrics.append(record("epsilon_spent", spent, learners, model=model, split=job.split["name"]))
            recipe.say(evaluate.lines(job.metrics, tuple(SCORES))[-1])
        for name, p in evaluate.floors(train_rows, rows).items():
            job.metrics += [record(score, f(y, p), len(y), model=name, split=job.split["name"]) for score, f in SCORES.items()]
        job.keep("privacy_utility", privacy_figures.privacy_utility(job.metrics))
    return job.report


def _kept(histories: Histories, steps: int) -> np.ndarray:
    """(N,) which sorted rows are among the first ``steps`` of their learner."""
    return np.arange(len(histories.item)) - np.repeat(histories.offsets[:-1], histories.lengths) < steps


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="private_training")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
