"""Several processes that train one model together, started by ``torchrun``: which one this is, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PATIENCE = timedelta(minutes=30)  # a process that hears nothing from the others for so long gives up; of one that dies it hears at once


def together() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_first() -> bool:
    """Whether this process is the one that writes, prints and tracks; without torchrun it always is."""
    return together() == 1 or os.environ["RANK"] == "0"


def meet() -> None:
    """Wait for all processes; nothing without torchrun."""
    if together() > 1:
        import torch.distributed as everyone

        if not everyone.is_initialized():
            everyone.init_process_group(timeout=PATIENCE)
        everyone.barrier()


def part_ways() -> None:
    """All processes have done what they do together: the others end here, quietly, and the first goes on alone."""
    if together() > 1:
        import torch.distributed as everyone

        if everyone.is_initialized():
            everyone.destroy_process_group()
    if not is_first():
        raise SystemExit(0)


@contextmanager
def first_before_others() -> Iterator[None]:
    """What is done inside is done by the first process, then by the others, who find what it left in the cache."""
    if not is_first():
        meet()
    yield
    if is_first():
        meet()


def agreed(value: Any) -> Any:
    """The value that the first process has; what is drawn at random must not differ between processes."""
    if together() == 1:
        return value
    import torch.distributed as everyone

    meet()
    told = [value]
    everyone.broadcast_object_list(told)
    return told[0]


def dealt(batch: Sequence[Any], hands: int) -> list[list[Any]]:
    """The micro-batches of each of ``hands`` processes: from the largest on, each to whoever has least so far; the same on all of them.

    Parameters
    ----------
    batch : micro-batches, each a sequence of tensors (and anything else)
    hands : int

    Examples
    --------
    >>> import torch
    >>> [[len(micro[0]) for micro in hand] for hand in dealt([(torch.zeros(n),) for n in (9, 2, 4, 6)], 2)]
    [[9, 2], [6, 4]]
    """
    import torch

    if hands == 1:
        return [list(batch)]
    sizes = [sum(part.numel() for part in micro if isinstance(part, torch.Tensor)) for micro in batch]
    given: list[list[Any]] = [[] for _ in range(hands)]
    held = [0] * hands
    for place in sorted(range(len(batch)), key=lambda place: -sizes[place]):
        least = held.index(min(held))
        given[least].append(batch[place])
        held[least] += sizes[place]
    return given


def summed(loss: Tensor, responses: int, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, int]:
    """Sums over all processes of loss, responses and (in place) gradients, in one message; all must call it, also one that had nothing to do.

    A parameter that had no gradient in any process is left without one, as in a single process: Adam then leaves it alone.

    Parameters
    ----------
    loss : () tensor
    responses : int
    parameters : those whose gradients are summed
    """
    import torch

    told = torch.tensor([responses, *(parameter.grad is not None for parameter in parameters)], dtype=loss.dtype, device=loss.device)
    each = [(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten() for parameter in parameters]
    message = torch.cat([loss.view(1), told, *each])
    torch.distributed.all_reduce(message)
    loss, told, *each = message.split([1, len(told), *(len(one) for one in each)])
    for parameter, there, gradient in zip(parameters, told[1:].tolist(), each, strict=True):
        if there:
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype)
    return loss[0], int(told[0])
