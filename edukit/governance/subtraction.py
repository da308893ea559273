"""The attack that small-cell suppression must withstand: what the shown cells and totals of a table leave possible for each hidden one.

A hidden count is a whole number of at least 1 (an empty cell is never hidden); every line with a shown total is an equation. A cell is recovered
where the least and the most that it can be are the same. The equations of a two-way table with totals form a network, so that linear
programming gives the ends of whole-number ranges exactly.

References
----------
Fischetti, M., & Salazar, J. J. (2001). Solving the cell suppression problem on tabular data with linear constraints. Management Science, 47(7).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.governance.privacy import TOTAL, K

SLACK = 1e-6


class _Attack:
    """Equations over the hidden cells of one table, and what has been found possible for each of them."""

    def __init__(self, cells: pd.DataFrame, row: str, column: str, count: str, total: str, low: np.ndarray, high: np.ndarray) -> None:
        from scipy.sparse import csr_array

        hidden = cells[count].isna().to_numpy()
        number = np.full(len(cells), -1)
        number[hidden] = np.arange(hidden.sum())
        value = cells[count].fillna(0).to_numpy(float)
        entries, right = [], []
        for line, across in ((row, column), (column, row)):
            for _, places in cells.groupby(line, sort=False, dropna=False).indices.items():
                whole = cells[across].to_numpy()[places] == total
                if whole.sum() != 1 or whole.all():
                    continue
                sign = np.where(whole, -1.0, 1.0)
                if hidden[places].any():
                    entries += [(len(right), number[p], s) for p, s in zip(places, sign, strict=True) if hidden[p]]
                    right.append(-float((value[places] * sign).sum()))
        lines, columns, signs = zip(*entries, strict=True) if entries else ((), (), ())
        self.equations = csr_array((signs, (lines, columns)), shape=(len(right), int(hidden.sum())))
        self.right, self.limits = np.array(right), np.column_stack([low, high])
        self.least, self.most = np.full(hidden.sum(), np.inf), np.full(hidden.sum(), -np.inf)
        self.possible = bool(len(right)) and self._solve(np.zeros(hidden.sum()))

    def _solve(self, cost: np.ndarray) -> bool:
        """One table that fits what is shown; False where there is none (the lines do not add up: learners counted in several)."""
        from scipy.optimize import linprog

        found = linprog(cost, A_eq=self.equations, b_eq=self.right, bounds=self.limits, method="highs")
        if found.status == 3:  # the cell can be as large as one likes
            self.most = np.where(cost < 0, np.inf, self.most)
            return True
        if found.x is None:
            return False
        self.least, self.most = np.minimum(self.least, found.x), np.maximum(self.most, found.x)
        return True

    def ask(self, cell: int, to_the_end: bool) -> None:
        """Widen the range of one cell: to its ends, or only until it has two values."""
        for sign in (1.0, -1.0):
            if not to_the_end and self.most[cell] - self.least[cell] > SLACK:
                return
            cost = np.zeros(len(self.least))
            cost[cell] = sign
            self._solve(cost)


def _attack(cells: pd.DataFrame, row: str, column: str, count: str, total: str, small: pd.Series | None, k: int, least: int,
            to_the_end: bool) -> pd.DataFrame:
    hidden = cells[cells[count].isna()]
    known = np.zeros(len(hidden), bool) if small is None else small[hidden.index].to_numpy(bool)
    low = np.full(len(hidden), float(least)) if small is None else np.where(known, float(least), k)
    attack = _Attack(cells, row, column, count, total, low, np.where(known, k - 1.0, np.inf))
    if not attack.possible:
        return hidden[[row, column]].assign(low=low, high=np.inf)
    for cell in np.flatnonzero(np.diff(attack.equations.tocsc().indptr)):
        attack.ask(int(cell), to_the_end)
    tied = np.diff(attack.equations.tocsc().indptr) > 0
    return hidden[[row, column]].assign(low=np.where(tied, attack.least, low).round(6), high=np.where(tied, attack.most, np.inf).round(6))


def ranges(cells: pd.DataFrame, row: str, column: str, count: str, total: str = TOTAL, small: pd.Series | None = None, k: int = K,
           least: int = 1) -> pd.DataFrame:
    """The least and the most that each hidden cell can hold, given everything that is shown.

    Parameters
    ----------
    cells : DataFrame
        As :func:`edukit.governance.privacy.suppress` returns it: one row a cell, ``count`` missing where hidden.
    row, column, count, total : see there.
    small : Series of bool, optional
        For an attacker who knows which hidden cells have fewer than ``k`` learners and which were hidden beside them; aligned to ``cells``.
    k : int
    least : int
        What a hidden cell holds at the least; 0 for tables of others, who may hide empty cells too.

    Returns
    -------
    DataFrame
        ``row, column, low, high`` per hidden cell; from ``least`` to infinity where no line says more, or where the lines do not add up.

    Examples
    --------
    >>> cells = pd.DataFrame({"class": ["a", "b", "all"], "concept": "ratio", "n": [None, 30, 34]})
    >>> ranges(cells, "class", "concept", "n")[["low", "high"]].to_numpy().tolist()
    [[4.0, 4.0]]
    """
    return _attack(cells, row, column, count, total, small, k, least, True)


def recovered(cells: pd.DataFrame, row: str, column: str, count: str, total: str = TOTAL, small: pd.Series | None = None, k: int = K,
              least: int = 1) -> pd.DataFrame:
    """The hidden cells whose number can be computed: rows of :func:`ranges` with one value, found without finishing the other ranges."""
    found = _attack(cells, row, column, count, total, small, k, least, False)
    return found[found["high"] - found["low"] <= SLACK]
