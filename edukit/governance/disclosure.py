"""Could somebody be recognised? How many learners share each combination of what outsiders may know, and ways to make them more alike.

A quasi-identifier is a column that says little alone and much together with others: region, age band, the course attended. The columns are
declared by whoever publishes; a missing value counts as a value of its own.

References
----------
Sweeney, L. (2002). k-anonymity: a model for protecting privacy. International Journal of Uncertainty, Fuzziness and Knowledge-Based Systems, 10(5).
Machanavajjhala, A., et al. (2007). l-diversity: privacy beyond k-anonymity. ACM Transactions on Knowledge Discovery from Data, 1(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.schema import DataError

SIZES = (1, 2, 5, 10, 20, 50, 100)  # where the bands of the distribution begin
RULES = ("bands", "groups", "hierarchy", "top", "bottom", "hide")


@dataclass(frozen=True, eq=False)
class Disclosure:
    """How far the declared columns single learners out.

    Attributes
    ----------
    quasi : tuple of str
        The declared quasi-identifiers.
    rows, classes : int
        Rows, and distinct combinations among them.
    smallest : int
        The k of k-anonymity: rows of the smallest combination.
    unique, below : int
        Rows that are alone in their combination, and rows in combinations of fewer than ``k``.
    k : int
        The mark for ``below``.
    distribution : DataFrame
        ``from_size, to_size, classes, rows`` (``to_size`` is missing in the last band).
    columns : DataFrame
        Per quasi-identifier, the one that adds most first: ``column, values, unique_without, below_without, adds_unique, adds_below``;
        ``adds_*`` = rows that would no longer be unique, or below k, were the column left out.
    diversity : DataFrame
        Per sensitive column: ``column, smallest`` (fewest distinct values within a combination: the l), ``smallest_entropy`` (the same as an
        effective number, exp of the entropy), ``rows_of_one_value`` (rows whose combination gives the value away).
    """

    quasi: tuple[str, ...]
    rows: int
    classes: int
    smallest: int
    unique: int
    below: int
    k: int
    distribution: pd.DataFrame
    columns: pd.DataFrame
    diversity: pd.DataFrame

    def __str__(self) -> str:
        lines = [f"{', '.join(self.quasi)}: {self.rows:,} rows in {self.classes:,} combinations; the smallest has {self.smallest} (k = {self.smallest})",
                 f"{self.unique:,} rows are unique, {self.below:,} lie in combinations of fewer than {self.k}"]
        if len(self.columns):
            most = self.columns.iloc[0]
            lines.append(f"{most['column']} adds most: without it {most['unique_without']:,} would be unique, {most['below_without']:,} below {self.k}")
        lines += [f"{row.column}: at least {row.smallest} distinct values in each combination (l = {row.smallest}); "
                  f"{row.rows_of_one_value:,} rows whose combination gives it away" for row in self.diversity.itertuples()]
        return "\n".join(lines)


def _classes(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(N,) number of each row's combination; a missing value is a value."""
    code = np.zeros(len(table), np.int64)
    for name in columns:
        values, unique = pd.factorize(table[name], use_na_sentinel=False)
        code = pd.factorize(code * max(len(unique), 1) + values)[0]
    return code


def _sizes(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(N,) rows of each row's combination."""
    code = _classes(table, columns)
    return np.bincount(code)[code] if len(code) else code


def _need(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    absent = [name for name in columns if name not in table]
    if absent or not columns:
        raise DataError(f"{what} must be columns of the table; found {', '.join(absent) or 'none named'} among {', '.join(map(str, table.columns))}. "
                        "Name what an outsider may know of a learner.")


def disclosure(table: pd.DataFrame, quasi: Sequence[str], sensitive: Sequence[str] = (), k: int = K) -> Disclosure:
    """Report k-anonymity and l-diversity of a table, one row of it being one learner (or one enrolment: say which).

    Parameters
    ----------
    table : DataFrame
        With at least one row.
    quasi : column names
        What an outsider may know of a learner.
    sensitive : column names
        What they must not learn of them.
    k : int
        Fewest rows a combination should have.

    Raises
    ------
    DataError
        On an absent column, an empty table, or k below 2.

    Examples
    --------
    >>> people = pd.DataFrame({"town": ["a", "a", "a", "b"], "age": ["young", "young", "old", "old"]})
    >>> found = disclosure(people, ["town", "age"], k=2)
    >>> found.smallest, found.unique
    (1, 2)
    """
    quasi, sensitive = list(dict.fromkeys(quasi)), list(dict.fromkeys(sensitive))
    _need(table, quasi, "quasi-identifiers")
    if sensitive:
        _need(table, sensitive, "sensitive columns")
    if k < 2 or not len(table):
        raise DataError(f"a disclosure report needs k of at least 2 and rows; found k = {k} and {len(table):,} rows.")
    code = _classes(table, quasi)
    per_class = np.bincount(code)
    size = per_class[code]
    band = np.searchsorted(SIZES, per_class, side="right") - 1
    distribution = pd.DataFrame({
        "from_size": SIZES, "to_size": pd.array([*(size - 1 for size in SIZES[1:]), None], "Int64"),
        "classes": np.bincount(band, minlength=len(SIZES)), "rows": np.bincount(band, per_class, minlength=len(SIZES)).astype(np.int64)})
    unique, below = int((size == 1).sum()), int((size < k).sum())
    columns = []
    for name in quasi:
        rest = [other for other in quasi if other != name]
        without = _sizes(table, rest) if rest else np.full(len(table), len(table))
        columns.append({"column": name, "values": int(table[name].nunique(dropna=False)), "unique_without": int((without == 1).sum()),
                        "below_without": int((without < k).sum())})
    told = pd.DataFrame(columns)
    told["adds_unique"], told["adds_below"] = unique - told["unique_without"], below - told["below_without"]
    told = told.sort_values(["adds_below", "adds_unique"], ascending=False, kind="stable", ignore_index=True)
    diversity = pd.DataFrame([_diversity(table, code, name) for name in sensitive],
                             columns=["column", "smallest", "smallest_entropy", "rows_of_one_value"])
    return Disclosure(tuple(quasi), len(table), len(per_class), int(per_class.min()), unique, below, k, distribution, told, diversity)


def _diversity(table: pd.DataFrame, code: np.ndarray, name: str) -> dict[str, Any]:
    """One row of :attr:`Disclosure.diversity`."""
    counts = pd.DataFrame({"code": code, "value": pd.factorize(table[name], use_na_sentinel=False)[0]}).value_counts(sort=False).rename("n").reset_index()
    total = counts.groupby("code")["n"].transform("sum")
    share = counts["n"] / total
    entropy = (-share * np.log(share)).groupby(counts["code"]).sum()
    distinct = counts.groupby("code").size()
    return {"column": name, "smallest": int(distinct.min()), "smallest_entropy": float(np.exp(entropy.min())),
            "rows_of_one_value": int(np.isin(code, distinct.index[distinct == 1]).sum())}


def _banded(values: pd.Series, edges: Sequence[float]) -> pd.Series:
    """Numbers as ``10-19``; below the first edge and from the last one on the bands are open."""
    edges = sorted(edges)
    numbers = pd.to_numeric(values).astype("Float64")
    whole = all(float(edge).is_integer() for edge in edges) and bool((numbers.dropna() == numbers.dropna().round()).all())
    between = [f"{low:g}-{high - 1:g}" if whole else f"{low:g} to under {high:g}" for low, high in zip(edges, edges[1:], strict=False)]
    labels = np.array([f"under {edges[0]:g}", *between, f"{edges[-1]:g} and over"], object)
    place = np.searchsorted(edges, numbers.fillna(0).to_numpy(float), side="right")
    return pd.Series(labels[place], index=values.index).mask(numbers.isna()).astype("str")


def _grouped(values: pd.Series, groups: Mapping[Any, str]) -> pd.Series:
    """Values under the name of their group."""
    lost = values[values.notna() & ~values.isin(list(groups))]
    if len(lost):
        raise DataError(f"{values.name} must have a group for every value; found none for {lost.iloc[0]!r} ({lost.nunique()} such values). "
                        "Add it to the mapping.")
    return values.map(dict(groups))


def _coarser(values: pd.Series, rule: Mapping[str, Any]) -> pd.Series:
    """One column by its rule."""
    unknown = sorted(set(rule) - {*RULES, "level"})
    if unknown or not set(rule) & set(RULES):
        raise DataError(f"the rule for {values.name} must hold one of {', '.join(RULES)}; found {', '.join(map(str, unknown or rule)) or 'nothing'}.")
    if "bands" in rule:
        return _banded(values, rule["bands"])
    if "groups" in rule:
        return _grouped(values, rule["groups"])
    if "hierarchy" in rule:
        level = int(rule.get("level", 1))
        short = [value for value, path in rule["hierarchy"].items() if len(path) < level]
        if short or level < 1:
            raise DataError(f"the hierarchy of {values.name} must reach level {level} for every value; found {short[0] if short else level!r} that does not.")
        return _grouped(values, {value: path[level - 1] for value, path in rule["hierarchy"].items()})
    if "hide" in rule:
        return pd.Series("*", index=values.index, dtype="str")
    return pd.to_numeric(values).clip(rule.get("bottom"), rule.get("top"))


def generalise(table: pd.DataFrame, rules: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Say less of each learner, so that more of them look alike; a missing value stays missing.

    Parameters
    ----------
    table : DataFrame
    rules : mapping of a column to one rule
        ``{"bands": [18, 25, 35]}``: numbers as `under 18`, `18-24`, `25-34`, `35 and over`;
        ``{"groups": {"Wales": "west", ...}}``: values under another name;
        ``{"hierarchy": {"Cardiff": ["Wales", "west"], ...}, "level": 2}``: each value under its parent of that level (1 = the nearest);
        ``{"top": 90}``, ``{"bottom": 10}``, or both: numbers beyond are given as the limit;
        ``{"hide": True}``: one value for all.

    Returns
    -------
    DataFrame
        A copy.

    Raises
    ------
    DataError
        On an absent column, an unknown rule, or a value that no group takes.

    Examples
    --------
    >>> generalise(pd.DataFrame({"age": [17, 18, 40]}), {"age": {"bands": [18, 25]}})["age"].tolist()
    ['under 18', '18-24', '25 and over']
    """
    _need(table, list(rules), "columns to generalise")
    return table.assign(**{name: _coarser(table[name], rule) for name, rule in rules.items()})


def suppress_rows(table: pd.DataFrame, quasi: Sequence[str], k: int = K) -> tuple[pd.DataFrame, int]:
    """Leave out every row whose combination has fewer than k rows; what is left is k-anonymous in these columns.

    Returns
    -------
    DataFrame
        The rows that stay.
    int
        How many were left out; state it beside what is published, since those learners are not missing at random.

    Examples
    --------
    >>> kept, gone = suppress_rows(pd.DataFrame({"town": ["a", "a", "b"]}), ["town"], k=2)
    >>> kept["town"].tolist(), gone
    (['a', 'a'], 1)
    """
    _need(table, list(quasi), "quasi-identifiers")
    enough = _sizes(table, list(quasi)) >= k
    return table[enough], int((~enough).sum())
