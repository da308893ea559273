"""A recurrent network over the weeks of an enrolment: what the course of a learner's work adds to what its sums say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edukit.risk.early_warning import EarlyWarning
from edukit.risk.weekly_events import NAME
from edukit.risk.weighted_sum import sum_logits, sum_parts, weighted_sum
from edukit.schema import DataError

if TYPE_CHECKING:
    import torch

Array = np.ndarray
FAR = 5.0  # standard deviations at which a distance from the mean is cut
STEPS = 16  # of the path along which contributions are summed
CLIP = 1.0  # largest norm of a gradient


class Gru(EarlyWarning):
    """A gated recurrent unit reads the weeks of :mod:`edukit.risk.weekly_events` in their order; a weighted sum reads all other features.

    logit risk = weighted sum + w · h, where h is the state after the last week. The weighted sum is learnt first and then held, so that the network
    learns what the sum leaves. A week's numbers are distances from their mean over all weeks and learners, cut at five standard deviations; a
    missing one is 0, and tells by one more number a channel that it is missing.

    Parameters
    ----------
    hidden : size of the state.
    epochs, batch_size, learning_rate : of Adam, which sees the learners in a new order in each epoch.
    decay : weight decay of the network.
    strength : inverse of the L2 penalty on the weighted sum.
    monotone : hold the sign of each weight of the sum to :data:`edukit.risk.features.MONOTONE`; the network is free.
    refits : cohorts drawn again for the interval; 0 = no interval. Each is a training of its own.
    seed : draws the weights, the order of the learners and the cohorts.

    Raises
    ------
    DataError
        Of :meth:`fit`: where no column of a week is there.

    Notes
    -----
    Contributions of a week's column are integrated gradients from the average learner, in 16 steps: they add up to what the network adds, nearly.

    References
    ----------
    Cho et al. (2014), EMNLP (the unit). Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks, ICML. Piech et al. (2015) and
    others read responses so; weeks of clicks: Fei and Yeung (2015), ICDM Workshops.
    """

    kind: ClassVar[str] = "gru"
    weekly: ClassVar[bool] = True

    def __init__(self, hidden: int = 16, epochs: int = 12, batch_size: int = 128, learning_rate: float = 0.005, decay: float = 0.01, strength: float = 0.03,
                 monotone: bool = True, refits: int = 5, seed: int = 0) -> None:
        self.hidden, self.epochs, self.batch_size, self.learning_rate, self.decay = hidden, epochs, batch_size, learning_rate, decay
        self.strength, self.monotone, self.refits, self.seed = strength, monotone, refits, seed

    def _learn(self, x: Array, y: Array, weight: Array | None) -> dict[str, dict[str, Array]]:
        import torch

        place, others = self._places()
        signs = [sign for sign, other in zip(self._signs(), others, strict=True) if other]
        first = weighted_sum(x[:, others], y, weight, self.strength, signs)
        scale = _scale(x, place)
        weeks, offset, target, counts = (torch.as_tensor(np.ascontiguousarray(v), dtype=torch.float32) for v in (
            _weeks(x, place, scale), sum_logits(first, x[:, others]), y, np.ones(len(y)) if weight is None else weight))
        loss = torch.nn.BCEWithLogitsLoss(reduction="none")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = _network(weeks.shape[2], self.hidden)
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.decay)
            for _ in range(self.epochs):
                for rows in torch.randperm(len(target)).split(self.batch_size):
                    optimizer.zero_grad()
                    (loss(offset[rows] + _added(network, weeks[rows]), target[rows]) * counts[rows]).mean().backward()
                    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                    optimizer.step()
        return {"sum": first, "scale": scale, "network": {name: value.detach().numpy() for name, value in network.state_dict().items()}}

    def _logits(self, model: dict[str, dict[str, Array]], x: Array) -> Array:
        import torch

        if not len(x):
            return np.zeros(0)
        place, others = self._places()
        with torch.no_grad():
            added = _added(self._restored(model), torch.as_tensor(_weeks(x, place, model["scale"]), dtype=torch.float32)).double().numpy()
        return sum_logits(model["sum"], x[:, others]) + added

    def _parts(self, model: dict[str, dict[str, Array]], x: Array) -> Array:
        import torch

        place, others = self._places()
        found, channels = np.zeros(x.shape), place.shape[1]
        if not len(x):
            return found
        found[:, others] = sum_parts(model["sum"], x[:, others])
        network, weeks = self._restored(model), torch.as_tensor(_weeks(x, place, model["scale"]), dtype=torch.float32)
        total = torch.zeros_like(weeks)
        for share in (np.arange(STEPS) + 0.5) / STEPS:
            there = (weeks * float(share)).requires_grad_()
            total += torch.autograd.grad(_added(network, there).sum(), there)[0]
        told = (weeks * total / STEPS).double().numpy()
        there = place >= 0
        found[:, place[there]] = (told[:, :, :channels] + told[:, :, channels:])[:, there]
        return found

    def _pack(self, model: dict[str, dict[str, Array]]) -> dict[str, dict[str, list]]:
        return {part: {name: values.tolist() for name, values in parts.items()} for part, parts in model.items()}

    def _unpack(self, kept: dict[str, dict[str, list]]) -> dict[str, dict[str, Array]]:
        types = {"sum": float, "scale": float, "network": np.float32}
        return {part: {name: np.asarray(values, types[part]) for name, values in parts.items()} for part, parts in kept.items()}

    def _places(self) -> tuple[Array, Array]:
        """(weeks, channels) position of each column of a week, -1 where there is none; (F,) which columns are of no week."""
        named = [(k, match) for k, column in enumerate(self.columns_) if (match := NAME.match(column))]
        if not named:
            raise DataError(f"a model of weeks must have columns such as `week 03: clicks`; found {', '.join(self.columns_[:5])} and none of a week. "
                            "Make the features by edukit.risk.weekly_events.build.")
        weeks, channels = (sorted({match[part] for _, match in named}) for part in ("week", "channel"))
        place, others = np.full((len(weeks), len(channels)), -1), np.ones(len(self.columns_), bool)
        for k, match in named:
            place[weeks.index(match["week"]), channels.index(match["channel"])], others[k] = k, False
        return place, others

    def _restored(self, model: dict[str, dict[str, Array]]) -> torch.nn.ModuleDict:
        import torch

        weights = {name: torch.as_tensor(value) for name, value in model["network"].items()}
        network = _network(weights["unit.weight_ih_l0"].shape[1], self.hidden)
        network.load_state_dict(weights)
        return network


def _network(numbers: int, hidden: int) -> Any:
    """The unit over ``numbers`` a week, and what its last state adds to a logit: nothing, before it has learnt."""
    import torch

    network = torch.nn.ModuleDict({"unit": torch.nn.GRU(numbers, hidden, batch_first=True), "out": torch.nn.Linear(hidden, 1)})
    torch.nn.init.zeros_(network["out"].weight)
    torch.nn.init.zeros_(network["out"].bias)
    return network


def _added(network: Any, weeks: torch.Tensor) -> torch.Tensor:
    """(N,) logits of (N, weeks, numbers)."""
    return network["out"](network["unit"](weeks)[1][0])[:, 0]


def _scale(x: Array, place: Array) -> dict[str, Array]:
    """Mean and standard deviation of each channel over all weeks and learners."""
    found = [x[:, column[column >= 0]] for column in place.T]
    known = [values[np.isfinite(values)] for values in found]
    spread = np.array([values.std() if len(values) else 1.0 for values in known])
    return {"mean": np.array([values.mean() if len(values) else 0.0 for values in known]), "spread": np.where(spread > 1e-9, spread, 1.0)}


def _weeks(x: Array, place: Array, scale: dict[str, Array]) -> Array:
    """(N, weeks, 2 x channels): distances from the mean in standard deviations, then whether each number was missing."""
    numbers = np.where(place >= 0, x[:, place], np.nan)
    known = np.isfinite(numbers)
    distance = (np.where(known, numbers, scale["mean"]) - scale["mean"]) / scale["spread"]
    return np.concatenate([np.clip(distance, -FAR, FAR), ~known], axis=2)
