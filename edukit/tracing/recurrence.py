"""A recurrent state over learners of different length, without a padded step: the same numbers as ``torch.nn.LSTM``, in half the time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS_AT_ONCE = 8192  # of states whose gradient by the weights is worked out together: what stays in a processor's cache


class Ordered(NamedTuple):
    """Responses of some learners step after step; within a step the learners with the longest histories come first."""

    place: Tensor  # (N,) where each response stands in the flattened (B, T) table
    sizes: list[int]  # learners still there at each step
    previous: Tensor  # (N - B,) row of the same learner's last response, for all but the first step
    learners: Tensor  # (B,) the learners in the order of the first step
    last: Tensor  # (B,) row of each learner's final response, learners as they came

    @classmethod
    def of(cls, mask: Tensor) -> Ordered:
        """Order the (B, T) responses that ``mask`` tells from pads; every learner has one at least."""
        length, device = mask.sum(1), mask.device
        place = torch.arange(mask.numel(), device=device).view(mask.shape)
        packed = nn.utils.rnn.pack_padded_sequence(place, length.cpu(), batch_first=True, enforce_sorted=False)
        size, learners, back = packed.batch_sizes.to(device), packed.sorted_indices, packed.unsorted_indices
        start = torch.cumsum(size, 0) - size
        previous = torch.arange(len(mask), len(packed.data), device=device) - torch.repeat_interleave(size[:-1], size[1:])
        return cls(packed.data, packed.batch_sizes.tolist(), previous, learners, start[length - 1] + back)


def scattered(values: Tensor, ordered: Ordered, mask: Tensor) -> Tensor:
    """(B, T) table of one value (N,) per response, 0 at the pads."""
    return values.new_zeros(mask.numel()).index_copy(0, ordered.place, values).view(mask.shape)


def dropped(values: Tensor, share: float, training: bool) -> Tensor:
    """Dropout with eight times fewer random numbers: each is cut into eight masks, so that ``share`` is rounded to 1/256."""
    kept = round((1 - share) * 256)
    if not training or kept == 256:
        return values
    drawn = torch.randint(-2**63, 2**63 - 1, (values.numel() // 8 + 1,), device=values.device).view(torch.uint8)
    return values * ((drawn[:values.numel()] < kept).view(values.shape) * (256 / max(kept, 1)))


def lstm(memory: nn.LSTM, inputs: Tensor, rows: Tensor, ordered: Ordered, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Hidden state and cell after every response.

    Parameters
    ----------
    memory : of one layer; its weights are used, its own loop is not
    inputs : (U, embedding) the different inputs there are: their product with the weights is worked out once each
    rows : (N,) which of them every response is
    ordered : the order of the N responses
    state : hidden state and cell (B, hidden) before the first step, learners in the order of ``ordered``

    Returns
    -------
    hidden, cell : (N, hidden)
        Gradients flow from ``hidden`` to the weights and the inputs, not to ``state``.
    """
    width = memory.hidden_size

    def sigmoids_first(weight: Tensor) -> Tensor:  # from (input, forget, candidate, output) to candidate last
        return weight.view(4, width, -1)[[0, 1, 3, 2]].reshape(4 * width, *weight.shape[1:])

    bias = sigmoids_first(memory.bias_ih_l0 + memory.bias_hh_l0)
    product = nn.functional.linear(inputs, sigmoids_first(memory.weight_ih_l0), bias)
    found: Any = _LSTM.apply(product, rows, sigmoids_first(memory.weight_hh_l0), ordered, *state)
    return found


class _LSTM(torch.autograd.Function):
    """The loop of an LSTM, and back: per step only what the next one waits for, everything else at once over all steps."""

    @staticmethod
    def forward(ctx: Any, product: Tensor, rows: Tensor, weight: Tensor, ordered: Ordered, hidden0: Tensor, cell0: Tensor) -> tuple[Tensor, Tensor]:
        width = weight.shape[1]
        gates = product.index_select(0, rows)  # (N, 4 * hidden): input, forget, output, candidate
        hidden, cell, squashed = (gates.new_empty(len(rows), width) for _ in range(3))
        views = (gates, gates[:, :3 * width], *gates.split(width, dim=1), cell, squashed, hidden)
        h, c = hidden0, cell0
        parts, back = zip(*(view.split(ordered.sizes) for view in views), strict=True), weight.t()
        for n, (every, sigmoids, take, keep, show, candidate, cells, squash, out) in zip(ordered.sizes, parts, strict=True):
            every.addmm_(h[:n], back)
            sigmoids.sigmoid_()
            candidate.tanh_()
            torch.mul(take, candidate, out=cells).addcmul_(keep, c[:n])
            torch.mul(show, torch.tanh(cells, out=squash), out=out)
            h, c = out, cells
        ctx.save_for_backward(rows, weight, gates, hidden, cell, squashed, hidden0, cell0)
        ctx.ordered, ctx.inputs = ordered, len(product)
        ctx.mark_non_differentiable(cell)
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_hidden: Tensor, from_cell: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, gates, hidden, cell, squashed, hidden0, cell0 = ctx.saved_tensors
        sizes, previous = ctx.ordered.sizes, ctx.ordered.previous
        take, keep, show, candidate = gates.split(weight.shape[1], dim=1)
        hidden_before, cell_before = (torch.cat([first, later.index_select(0, previous)]) for first, later in ((hidden0, hidden), (cell0, cell)))
        slope = gates.new_empty(len(gates), 4, weight.shape[1])  # of cell (for show: of hidden) by each gate, in the end the gradient of the gate
        taken, kept = take * candidate, cell_before.mul_(keep)
        for gate, (a, b, c) in enumerate(((taken, taken, take), (kept, kept, keep), (hidden, hidden, show), (take, taken, candidate))):
            torch.addcmul(a, b, c, value=-1, out=slope[:, gate])  # a - b c
        through = torch.addcmul(show, hidden, squashed, value=-1)  # of hidden by cell
        arrived, by_cell, flat = from_hidden.clone(), torch.zeros_like(hidden0), slope.view(len(gates), -1)
        views = [view.split(sizes)[::-1] for view in (arrived, through, keep, slope[:, :2], slope[:, 2], slope[:, 3], flat)]
        parts = zip(*views, (*views[0][1:], None), strict=True)
        for n, (own, passed, kept_share, take_keep, shown, proposed, every, earlier) in zip(sizes[::-1], parts, strict=True):
            cells = by_cell[:n].addcmul_(own, passed)
            take_keep.mul_(cells.unsqueeze(1))
            proposed.mul_(cells)
            shown.mul_(own)
            cells.mul_(kept_share)
            if earlier is not None:
                earlier[:n].addmm_(every, weight)
        by_input = flat.new_zeros(ctx.inputs, flat.shape[1]).index_add_(0, rows, flat)
        return by_input, None, flat.t() @ hidden_before, None, None, None


class Plan(Protocol):
    """Which states every step touches: rows of two kinds, each kind in the order of the steps."""

    ends: list[list[int]]  # per step, where its rows of the one kind and of the other end; the first entry is zero

    def between(self, first: int, last: int) -> tuple[slice, slice, Tensor, Tensor]:
        """The rows of either kind in some steps, and what else the change of their states depends on."""
        ...


def walk(change: Callable[..., Tensor], plan: Plan, places: tuple[Tensor, Tensor], start: Tensor, told: tuple[Tensor, Tensor],
         weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Let every step change the few states it touches, in place.

    Parameters
    ----------
    change : (states before, told, told, *rest of ``plan.between``) -> states after; both kinds of rows, the first kind first, of one step or
        of several, whose rows do not depend on each other
    plan : what the steps touch; no state twice in a step
    places : which state each row of either kind is
    start : (S, hidden) all states before the first step
    told : what the step tells each row of either kind
    weights : the parameters of ``change``

    Returns
    -------
    after : (S, hidden) all states after the last step
    before : the states of the rows of the first kind, just before each step
    """
    found: Any = _Walk.apply(change, plan, torch.is_grad_enabled(), *places, start, *told, *weights)
    return found


class _Walk(torch.autograd.Function):
    """On the way back a step only finds the gradient of its states; that of the weights is found for many steps at once."""

    @staticmethod
    def forward(ctx: Any, change: Callable[..., Tensor], plan: Plan, learning: bool, first: Tensor, second: Tensor, start: Tensor,
                told_first: Tensor, told_second: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        states, ctx.way, parts = start.clone(), [], []
        for step in range(len(plan.ends) - 1):
            one, two, *rest = plan.between(step, step + 1)
            place = torch.cat([first[one], second[two]])
            held = states.index_select(0, place)
            with torch.set_grad_enabled(learning):
                changed = change(held.requires_grad_(learning), told_first[one].detach(), told_second[two].detach(), *rest)
            states.index_copy_(0, place, changed.detach())
            parts.append(held.detach().split([one.stop - one.start, two.stop - two.start]))
            ctx.way += [(place, held, changed)] if learning else []
        before, beside = (torch.cat(kind) for kind in zip(*parts, strict=True))
        ctx.save_for_backward(before, beside, told_first, told_second, *weights)
        ctx.change, ctx.plan = change, plan
        return states, before

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_states: Tensor, from_before: Tensor) -> tuple[Tensor | None, ...]:
        before, beside, *told = (tensor.detach() for tensor in ctx.saved_tensors[:4])  # or gradients would be sought beyond this walk
        weights, plan, states = ctx.saved_tensors[4:], ctx.plan, from_states.clone()
        arrived = torch.empty_like(before), torch.empty_like(beside)  # the gradient of every changed state
        for step in reversed(range(len(ctx.way))):
            place, held, changed = ctx.way.pop()
            one, two, *_ = plan.between(step, step + 1)
            after = states.index_select(0, place)
            arrived[0][one], arrived[1][two] = after.split([one.stop - one.start, two.stop - two.start])
            own, = torch.autograd.grad(changed, held, after)
            own[:one.stop - one.start] += from_before[one]
            states.index_copy_(0, place, own)
        found = [torch.zeros_like(part) for part in (*told, *weights)]
        for first, last in _chunks([end[0] + end[1] for end in plan.ends], ROWS_AT_ONCE):
            one, two, *rest = plan.between(first, last)
            with torch.enable_grad():
                heard = told[0][one].requires_grad_(), told[1][two].requires_grad_()
                changed = ctx.change(torch.cat([before[one], beside[two]]), *heard, *rest)
            back = torch.autograd.grad(changed, [*heard, *weights], torch.cat([arrived[0][one], arrived[1][two]]), allow_unused=True)
            for total, part in zip((found[0][one], found[1][two], *found[2:]), back, strict=True):
                if part is not None:
                    total += part
        return None, None, None, None, None, states, *found


def _chunks(ends: list[int], size: int) -> list[tuple[int, int]]:
    """Steps in groups of about ``size`` rows.

    Examples
    --------
    >>> _chunks([0, 3, 5, 9, 10], 6)
    [(0, 3), (3, 4)]
    """
    cuts = [0]
    for step, end in enumerate(ends):
        if end - ends[cuts[-1]] >= size:
            cuts.append(step)
    return [(first, last) for first, last in pairwise([*cuts, len(ends) - 1]) if last > first]
