"""Whether a model serves the learners of every group alike: an audit of anybody's predictions, with a row and a reason for every group.

Three questions of each group against the rest: are learners ranked as well (ABROCA), are those who should be found found as often, and those who should
not as rarely (equalised odds), does a probability mean the same (calibration)? Attributes are joined to predictions here and never reach a model.

References
----------
Gardner, Brooks and Baker (2019), LAK (ABROCA). Hardt, Price and Srebro (2016), NeurIPS (equalised odds). Agresti and Caffo (2000), The American
Statistician (rates of small groups). Holm (1979), Scandinavian Journal of Statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pandas as pd

from edukit.governance.abroca import GAP, PERMUTATIONS, again, slicing
from edukit.governance.privacy import K, suppress
from edukit.metrics import holm
from edukit.schema import DataError

Array = np.ndarray
GAPS = ("tpr_gap", "fpr_gap", "calibration_gap")
ESTIMATED, THIN, ONE = "estimated", "not enough data", "one outcome only"
COLUMNS = ("attribute", "group", "state", "reason", "learners", "n", "abroca", "low", "high", "p", "p_adjusted", "power", "permutations",
           *(f"{gap}{end}" for gap in GAPS for end in ("", "_low", "_high", "_p_adjusted")))
NOT_STATED = "not stated"
VALUES = 10  # a number with more values than this is cut into four bands of as many learners
LABELS = 40  # of a text with more values than this the rare ones share a row: it may hold names
LEVEL = 0.05


def audit(y: Array, p: Array, groups: pd.DataFrame | pd.Series, strata: Array | None = None, *, units: Array | None = None, threshold: float = 0.5,
          gap: float = GAP, k: int = K, permutations: int = PERMUTATIONS, draws: int = 200, seed: int = 0) -> pd.DataFrame:
    """Every group of every attribute against all others: gaps with 95 % intervals, tests adjusted over all of them, and what cannot be told.

    Parameters
    ----------
    y, p : (N,) outcomes (1 from 0.5 up) and predicted probabilities; rows without either are left out.
    groups : (N,) a column, or a column per attribute, in the order of ``y``; any coding. A missing value is the group ``not stated``.
    strata : (N,) values within which groups are compared (the module), so that a group is not judged by which modules it takes.
    units : (N,) the learner of each row; each row is one where absent. Intervals and tests draw whole learners.
    threshold : predictions from here up count as an alarm (equalised odds).
    gap : the ABROCA gap that ``power`` is told for.
    k : a group of fewer learners has no number, nor a rate that rests on fewer.
    permutations, draws : random groups at most (ABROCA), and bootstrap draws.

    Returns
    -------
    DataFrame
        A row per attribute and group. ``state``: estimated, not enough data, one outcome only; ``reason`` in words. ``abroca`` with ``low``, ``high``,
        ``p``, ``power`` (simulated); ``tpr_gap`` and ``fpr_gap``: rate of alarms among the 1s and the 0s, group less rest; ``calibration_gap``: how much more
        often than predicted the outcome was 1, group less rest. ``*p_adjusted``: Holm, over all groups and the four metrics; of two groups that are each
        other's rest one counts. ``learners`` and ``n`` are also missing where a smaller group's size could be told from them.

    Raises
    ------
    DataError
        Where lengths differ, a prediction lies outside [0, 1], or there is no attribute.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, p = rng.integers(0, 2, 400), rng.random(400)
    >>> audit(y, p, pd.Series(["a", "b"] * 199 + ["c"] * 2, name="g"), permutations=99)["state"].tolist()
    ['estimated', 'estimated', 'not enough data']
    """
    table = groups.to_frame(groups.name if groups.name is not None else "group") if isinstance(groups, pd.Series) else groups
    y, p, units = np.asarray(y, float), np.asarray(p, float), np.arange(len(y)) if units is None else pd.factorize(np.asarray(units))[0]
    _check(y, p, table, units, strata)
    kept = np.isfinite(y) & np.isfinite(p)
    y, p, units, table = y[kept], p[kept], units[kept], table.loc[kept]
    codes = None if strata is None else pd.factorize(np.asarray(strata)[kept])[0]
    rows, tests = [], []
    for attribute in table.columns:
        before: list[tuple[Array, Array, dict]] = []
        own: list[dict] = []
        for label, member, among in grouped(table[attribute], units, k):
            row = next((_mirrored(row, member, units) for rest, whole, row in before if (rest == (whole & ~member)).all() and (whole == among).all()), None)
            if row is None:
                said = None if codes is None else codes[among]
                row = _row(y[among], p[among], member[among], units[among], said, threshold, gap, k, permutations, draws, seed)
                if row["state"] == ESTIMATED:
                    tests.append(row)
                    before.append((member, among, row))
            row |= {"attribute": str(attribute), "group": label}
            own.append(row)
        for row, untold in zip(own, hidden([row["learners"] for row in own], k), strict=True):
            if untold:  # in place: the row is among the tests, whose p-values are adjusted later
                row |= {"learners": None, "n": None}
        rows += own
    return _adjusted(rows, tests)


def grouped(values: pd.Series, units: Array, k: int = K) -> Iterator[tuple[str, Array, Array]]:
    """Label, members (N,) and the rows they are compared among (N,), of every group of one attribute; the rest is whoever states another value.

    A number of more than 10 values is cut into quarters; a category nobody has is a group without members; of a text of more than 40 values those that
    fewer than ``k`` learners have share one row without their names.
    """
    values = values.reset_index(drop=True)
    stated = values.notna().to_numpy(bool)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > VALUES:
        bands = pd.qcut(values.astype(float), 4, duplicates="drop")
        ends = [band.right for band in bands.cat.categories[:-1]]  # the least and the largest value are somebody's
        names = [f"up to {ends[0]:g}", *(f"over {low:g} to {high:g}" for low, high in pairwise(ends)), f"over {ends[-1]:g}"] if ends else ["all values"]
        values = bands.cat.rename_categories(names)
    labels = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values[stated].unique()
    named = {label: _text(label) for label in labels}
    text = values.astype(object).map(named).to_numpy(object)
    order = list(dict.fromkeys(named.values())) if isinstance(values.dtype, pd.CategoricalDtype) else sorted(set(named.values()))
    size = {label: len(np.unique(units[text == label])) for label in order}
    few = [label for label in order if size[label] < k] if len(order) > LABELS else []
    for label in order:
        if label not in few:
            yield label, text == label, stated
    if few:
        yield f"{len(few)} values of fewer than {k} learners each", np.isin(text.astype(str), few) & stated, stated
    if not stated.all():
        yield NOT_STATED, ~stated, np.ones(len(stated), bool)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check(y: Array, p: Array, table: pd.DataFrame, units: Array, strata: Array | None) -> None:
    found = {"y": len(y), "p": len(p), "groups": len(table), "units": len(units)} | ({} if strata is None else {"strata": len(strata)})
    if len(set(found.values())) > 1:
        raise DataError(f"an audit needs columns of one length; found {', '.join(f'{name} {n}' for name, n in found.items())}. Pass one value a row.")
    if not len(table.columns):
        raise DataError("an audit needs a column of groups; found none. Give at least one attribute.")
    outside = np.isfinite(p) & ((p < 0) | (p > 1))
    if outside.any():
        raise DataError(f"predictions must lie in [0, 1]; found {p[outside][0]:g} (row {int(np.flatnonzero(outside)[0])}) and {int(outside.sum()) - 1} more.")


def _row(y: Array, p: Array, member: Array, units: Array, strata: Array | None, threshold: float, gap: float, k: int, permutations: int, draws: int,
         seed: int) -> dict:
    """What can be said of one group."""
    right = y >= 0.5
    inside, outside = (len(np.unique(units[side])) for side in (member, ~member))
    row: dict = {"state": THIN, "reason": "", "learners": inside, "n": int(member.sum())}
    if inside < k:
        return row | {"reason": f"fewer than {k} learners" if inside else "no learner"}
    if outside < k:
        return row | {"reason": f"fewer than {k} other learners to compare with" if outside else "no other learner to compare with"}
    for side in (member, ~member):
        if right[side].all() or not right[side].any():
            return row | {"state": ONE, "reason": "the group or the rest has one outcome only: a curve needs both"}
    found = slicing(y, p, member, units, strata, gap=gap, permutations=permutations, draws=draws, seed=seed)
    if not np.isfinite(found.value):
        return row | {"reason": "no stratum holds both outcomes in the group and in the rest"}
    value = asdict(found)
    row |= {"state": ESTIMATED, "abroca": value.pop("value"), **value}
    gaps, untold = _gaps(right, p, member, units, strata, threshold, k, draws, seed)
    return row | gaps | {"reason": "; ".join(untold)}


def _gaps(right: Array, p: Array, member: Array, units: Array, strata: Array | None, threshold: float, k: int, draws: int,
          seed: int) -> tuple[dict, list[str]]:
    """Equalised-odds and calibration gaps, each with interval and p-value, and what is not told because it rests on too few learners."""
    alarm = p >= threshold
    parts = {"tpr_gap": (right & alarm, right), "fpr_gap": (~right & alarm, ~right), "calibration_gap": (right - p, np.ones(len(p), bool))}
    words = {"tpr_gap": f"fewer than {k} learners with outcome 1", "fpr_gap": f"fewer than {k} learners with outcome 0"}
    found: dict = {}
    untold = []
    for name, (above, below) in parts.items():
        if min(len(np.unique(units[below & side])) for side in (member, ~member)) < k:
            untold.append(f"{words[name]} here or in the rest: no {name}")
            continue
        value, error = _difference(above.astype(float), below.astype(float), member, units, strata, draws, seed, rate=name != "calibration_gap")
        low, high = max(value - 1.96 * error, -1.0), min(value + 1.96 * error, 1.0)
        found |= {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_p": _two_sided(value, error)}
    return found, untold


def _two_sided(value: float, error: float) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(value) / error)) if error > 0 else float(value == 0)


def _difference(above: Array, below: Array, member: Array, units: Array, strata: Array | None, draws: int, seed: int, *, rate: bool) -> tuple[float, float]:
    """Sum of ``above`` over sum of ``below``, group less rest, averaged over strata by rows, and its standard error over learners drawn again.

    The error of a rate is at least that of Agresti and Caffo, as drawing again tells nothing where all of a few learners were alike.
    """
    strata = np.zeros(len(above), int) if strata is None else np.unique(strata, return_inverse=True)[1]
    size, rng = int(strata.max()) + 1, np.random.default_rng(seed)
    totals, drawn = [], []
    for side in (member, ~member):
        _, unit = np.unique(units[side], return_inverse=True)
        many = int(unit.max()) + 1
        sums = np.stack([np.bincount(unit * size + strata[side], v[side], many * size).reshape(many, size) for v in (above, below)])
        totals.append(sums.sum(axis=1))
        drawn.append(again(rng, many, draws) @ sums)  # (2, draws, strata)
    weight = np.bincount(strata, below, size)
    usable = (totals[0][1] > 0) & (totals[1][1] > 0)
    weight = np.where(usable, weight, 0) / weight[usable].sum()

    def gap(inside: Array, outside: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            each = inside[0] / inside[1] - outside[0] / outside[1]
        told = np.isfinite(each) & (weight > 0)
        return np.where(told, each, 0) @ weight / np.maximum((told * weight).sum(axis=-1), 1e-12)

    error = float(np.std(gap(*drawn), ddof=1))
    if rate:
        smoothed = [((hit + 1) / (n + 2), n + 2) for hit, n in totals]
        error = max(error, float(np.sqrt(sum(weight**2 @ (share * (1 - share) / n) for share, n in smoothed))))
    return float(gap(*totals)), error


def _mirrored(row: dict, member: Array, units: Array) -> dict:
    """The row of the rest of a group that was estimated: the same area and tests, the other sign."""
    turned = row | {"learners": len(np.unique(units[member])), "n": int(member.sum()), "test": row}
    for name in (name for name in GAPS if name in row):
        turned |= {name: -row[name], f"{name}_low": -row[f"{name}_high"], f"{name}_high": -row[f"{name}_low"]}
    return turned


def hidden(sizes: Sequence[int], k: int = K) -> list[bool]:
    """Whether the number of learners of each group of one attribute stays untold: under ``k``, or what a smaller group's could be told from by subtraction.

    Examples
    --------
    >>> hidden([40, 30, 5])
    [False, True, True]
    """
    total = "\0"
    cells = pd.DataFrame({"group": [*map(str, range(len(sizes))), total], "line": "", "n": [*sizes, sum(sizes)]})
    return suppress(cells, "group", "line", "n", [], k, total=total)["hidden"].tolist()[:len(sizes)]


def _adjusted(rows: list[dict], tests: list[dict]) -> pd.DataFrame:
    """The table, with p-values adjusted over all that was tested; ``tests`` are the rows that were."""
    places = [(row, name) for row in tests for name in ("p", *(f"{gap}_p" for gap in GAPS)) if name in row]
    for (row, name), p in zip(places, holm([row[name] for row, name in places]) if places else [], strict=True):
        row[f"{name}_adjusted"] = p
    for row in rows:
        row |= {name: value for name, value in row.get("test", {}).items() if name.endswith("p_adjusted")}
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    counts = ["learners", "n", "permutations"]
    numbers = [c for c in COLUMNS[6:] if c not in counts]
    return table.astype({**dict.fromkeys(counts, "Int64"), **dict.fromkeys(numbers, float), **dict.fromkeys(COLUMNS[:4], "str")})


def found_gaps(table: pd.DataFrame) -> list[str]:
    """The gaps that hold after correction, in words, one of a pair of mirrored groups; empty where none does."""
    told, seen = [], set()
    words = {"": "are ranked differently", "tpr_gap_": "are found more or less often when they should be", "fpr_gap_": "get false alarms more or less often",
             "calibration_gap_": "have the outcome more or less often than predicted"}
    for row in table[table["state"] == ESTIMATED].to_dict("records"):
        for name, what in words.items():
            value = row["abroca"] if not name else row[name.removesuffix("_")]
            if row[f"{name}p_adjusted"] < LEVEL and (key := (row["attribute"], name, round(abs(value), 12), row["p"])) not in seen:
                seen.add(key)
                low, high = (row["low"], row["high"]) if not name else (row[f"{name}low"], row[f"{name}high"])
                told.append(f"{row['attribute']} = {row['group']}: learners {what} than the rest: {name.removesuffix('_') or 'abroca'} "
                            f"{value:.3f} [{low:.3f}, {high:.3f}], p {row[f'{name}p_adjusted']:.3g} (Holm)")
    return told
