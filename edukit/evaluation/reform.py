"""Did the reform help? Four designs with their checks, the naive comparison beside them, and a plain verdict.

Which design fits is decided by how the reform came about: drawn at random (``randomised``), begun somewhere at a known time while elsewhere
nothing changed (``differences``), begun everywhere at a known time (``interrupted``), or taken up by choice (``adjusted``). Of the four only the
first needs no belief about what was not measured; the notes of each result say which belief it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from edukit.evaluation import reform_designs as designs
from edukit.governance.privacy import K
from edukit.metrics import holm, record, shown
from edukit.schema import DataError

SHOWN, NOT_SHOWN, TOO_FEW = "an effect is shown", "no difference shown", "not enough data"
NO_OVERLAP, FAILED = "cannot be judged: no overlap", "cannot be judged: a placebo moved as well"
LEVEL = 0.05
RESTS_ON = {
    "randomised": "Rests on the draw: nothing but chance decided who was in which arm, and who is missing at the end is no matter of the arm.",
    "differences": "Rests on parallel paths: without the reform the treated would have changed as the others did.",
    "interrupted": "Rests on the trend: without the reform the series would have gone on as before, and nothing else began at that time.",
    "adjusted": "Rests on the covariates: among learners alike in them, who took part is as good as chance.",
}
COLUMNS = ("arm", "value", "se", "low", "high", "p", "n", "clusters", "reason")


@dataclass(frozen=True)
class Reform:
    """What was found.

    Attributes
    ----------
    design, outcome, unit : which design, of which column, in which unit.
    effects : one row an arm: arm, value, se, low, high (95 %), p, p_adjusted (Holm over arms), n, clusters, reason, verdict;
        randomised also p_shuffled (randomisation inference).
    naive : the same columns, from the plain comparison.
    placebos : what the reform cannot have touched, one row each: what, arm, value, low, high, p, p_adjusted.
    balance : covariate, arm, difference in standard deviations, p; of ``adjusted`` also ``weighted``, after weighting.
    attrition : arm, n, missing (share of outcomes), difference from the first arm, low, high.
    notes : sentences.
    """

    design: str
    outcome: str
    unit: str
    effects: pd.DataFrame
    naive: pd.DataFrame
    placebos: pd.DataFrame
    balance: pd.DataFrame
    attrition: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The verdict, of the first arm where there are several."""
        return str(self.effects["verdict"].iloc[0])

    def lines(self) -> list[str]:
        """What was found, a sentence each; the naive comparison beside it."""
        found = []
        for row, plain in zip(self.effects.to_dict("records"), self.naive.to_dict("records"), strict=True):
            numbers = f"{_words(row)} {self.unit}" if row["value"] is not None and np.isfinite(row["value"]) else row["reason"]
            found.append(f"{row['arm']}, {self.outcome}: {row['verdict']} ({numbers}; naive {_words(plain)})")
        return found + self.notes

    def records(self) -> list[dict]:
        """Metric records: effect, naive effect and placebos; without the numbers of fewer than ten learners, and without their number."""
        def of(name: str, row: dict, channel: str) -> dict:
            few = 0 < row["n"] < K
            value, low, high = (None if few or row[k] is None or not np.isfinite(row[k]) else float(row[k]) for k in ("value", "low", "high"))
            return record(name, value, None if few else int(row["n"]), low, high, group=str(row["arm"]), channel=channel, model=self.design)

        return [of("effect", r, self.outcome) for r in self.effects.to_dict("records")] + \
            [of("naive_effect", r, self.outcome) for r in self.naive.to_dict("records")] + \
            [of("placebo_effect", r, str(r["what"])) for r in self.placebos.to_dict("records")]


def _words(row: dict) -> str:
    if row["value"] is None or not np.isfinite(row["value"]):
        return "not known"
    return f"{shown(row['value'])} [{shown(row['low'])}, {shown(row['high'])}]"


def evaluate_reform(table: pd.DataFrame, design: str, outcome: str, treatment: str, reference: str | None = None, strata: str | None = None,
                    clusters: str | None = None, time: str | None = None, starts: float | str | None = None, covariates: Sequence[str] = (),
                    placebos: Sequence[str] = (), in_sd: bool = False, assigned: str | None = None, draws: int = 999, seed: int = 0) -> Reform:
    """Judge a reform from one row a learner (or, for a series, a row a learner or a time).

    Parameters
    ----------
    table : the rows.
    design : randomised, differences, interrupted or adjusted.
    outcome : column with a number; rows without one count as lost (attrition).
    treatment : column with the arm; of ``differences`` whether the place is one where the reform came; ``interrupted`` does not read it.
    reference : the arm the others are compared with; default the first in sorted order (False, 0).
    strata : column within which was drawn (school), for fixed effects.
    clusters : column with the group whose learners are not independent (school, class, module).
    time, starts : column with when (a number or a sortable name), and the first time with the reform.
    covariates : columns known before the reform; checked for balance, and adjusted for by ``adjusted``.
    placebos : columns that the reform cannot have touched; a significant "effect" on one forbids a verdict.
    in_sd : give effects in standard deviations of the outcome in the reference arm.
    assigned : column with the unit that was drawn as one (a class), for the randomisation test; default each learner.
    draws : fresh draws of the randomisation test.
    seed : of those draws and of the folds.

    Raises
    ------
    DataError
        On an unknown design, an absent column, or no start where one is needed.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> trial = pd.DataFrame({"small": np.arange(400) % 2 == 1, "mark": rng.normal(size=400) + (np.arange(400) % 2)})
    >>> evaluate_reform(trial, "randomised", "mark", "small", draws=99).verdict
    'an effect is shown'
    """
    _check(table, design, [outcome, *([treatment] if design != "interrupted" else []), *covariates, *placebos,
                           *(c for c in (strata, clusters, time, assigned) if c)], time, starts, covariates, clusters)
    whose = [c for c in (strata, clusters, time, assigned) if c]
    work = table.dropna(subset=whose).reset_index(drop=True)
    if design == "interrupted":
        work = work.assign(**{treatment: work[time] >= starts})
    names = sorted(work[treatment].dropna().unique(), key=str)
    reference = names[0] if reference is None and names else reference
    if reference not in names or len(names) < 2 or (design != "randomised" and len(names) > 2):
        raise DataError(f"{treatment} must hold {'two or more arms' if design == 'randomised' else 'two arms'}, {reference} among them; "
                        f"found {', '.join(map(str, names)) or 'none'}. Name the arm to compare with: reference=…")
    names = [reference, *(n for n in names if n != reference)]
    work = work[work[treatment].notna()].reset_index(drop=True)
    scale = work.loc[work[treatment] == reference, outcome].std() if in_sd else 1.0
    asked = _Asked(work, design, treatment, names, strata, clusters, time, starts, list(covariates), assigned, draws, seed)
    effects, plain, notes = asked.of(outcome, scale, shuffle=True)
    tried = asked.placebos(outcome, list(placebos))
    moved = bool((tried["p_adjusted"] < LEVEL).any())
    table_of = _adjusted([pd.DataFrame(effects)], [moved])[0]
    notes = [RESTS_ON[design], *notes]
    if len(work) < len(table.dropna(subset=[treatment] if design != "interrupted" else [])):
        notes.append(f"Rows without {', '.join([treatment, *whose])} are left out.")
    plain = [designs.untold(p["arm"], r["reason"], p["n"]) if r["verdict"] == TOO_FEW else p for p, r in zip(plain, table_of.to_dict("records"), strict=True)]
    if moved:
        notes.append("A placebo moved: what cannot have been touched differs as well, so that the effect may be something else.")
    attrition = asked.attrition(outcome)
    if len(attrition) and ((attrition["low"] > 0) | (attrition["high"] < 0)).any():
        notes.append("Outcomes are missing more often in one arm: the comparison is of those who stayed.")
    return Reform(design, outcome, "standard deviations" if in_sd else "points", table_of, pd.DataFrame(plain), tried, asked.balance(outcome), attrition, notes)


def together(found: Sequence[Reform]) -> list[Reform]:
    """The same findings, corrected for all that were asked about: Holm over every arm of every outcome, and the verdicts that follow.

    Placebos stay corrected within their own outcome, so that more outcomes make none of them harder to see.
    """
    tables = _adjusted([one.effects for one in found], [bool((one.placebos["p_adjusted"] < LEVEL).any()) for one in found])
    return [replace(one, effects=table) for one, table in zip(found, tables, strict=True)]


def _adjusted(tables: Sequence[pd.DataFrame], moved: Sequence[bool]) -> list[pd.DataFrame]:
    """Tables of effects with ``p_adjusted`` over all of them, and the verdict of each row; ``moved`` tells whose placebos moved."""
    p = [table["p"].astype(float) for table in tables]
    whole = pd.concat(p, ignore_index=True)
    whole[whole.notna()] = holm(whole.dropna())
    ends = np.cumsum([len(part) for part in p])
    made = [table.assign(p_adjusted=whole.to_numpy()[end - len(table):end]) for table, end in zip(tables, ends, strict=True)]
    return [table.assign(verdict=[_verdict(row, other) for row in table.to_dict("records")]) for table, other in zip(made, moved, strict=True)]


def _check(table: pd.DataFrame, design: str, needed: list[str], time: str | None, starts: object, covariates: Sequence[str], clusters: str | None) -> None:
    """Refuse what no design can use."""
    if design not in RESTS_ON:
        raise DataError(f"design must be one of {', '.join(RESTS_ON)}; found {design}")
    if absent := [c for c in needed if c not in table]:
        raise DataError(f"a reform is judged from the columns {', '.join(absent)}; found {', '.join(map(str, table.columns))}. Name columns that are there.")
    if design in ("differences", "interrupted") and (time is None or starts is None):
        raise DataError(f"design {design} needs time= (a column) and starts= (the first time with the reform); found {time} and {starts}.")
    if time is not None and starts is not None and isinstance(starts, str) != (not pd.api.types.is_numeric_dtype(table[time])):
        raise DataError(f"starts must be of the kind of {time}; found {starts!r}, and {time} such as {table[time].dropna().head(1).tolist()}. "
                        "Give one of its values.")
    if design == "differences" and clusters is None:
        raise DataError("design differences needs clusters=, the column with the places where the reform came or did not; found none.")
    if design == "adjusted" and not covariates:
        raise DataError("design adjusted needs covariates=, what was known of learners before; found none. Without them use the naive comparison, and say so.")


def _verdict(row: dict, moved: bool) -> str:
    if row["p"] is None or not np.isfinite(row["p"]):
        return NO_OVERLAP if row["reason"].startswith(designs.NO_OVERLAP) else TOO_FEW
    if moved:
        return FAILED
    both = max(row["p_adjusted"], row.get("p_shuffled") if row.get("p_shuffled") is not None else 0.0)
    return SHOWN if both < LEVEL else NOT_SHOWN


@dataclass(frozen=True)
class _Asked:
    """One question under way; the outcome is left open, so that a placebo is asked in the same way."""

    work: pd.DataFrame
    design: str
    treatment: str
    names: list
    strata: str | None
    clusters: str | None
    time: str | None
    starts: float | str | None
    covariates: list[str]
    assigned: str | None
    draws: int
    seed: int

    def of(self, outcome: str, scale: float = 1.0, shuffle: bool = False, starts: float | str | None = None,
           rows: pd.Series | None = None) -> tuple[list[dict], list[dict], list[str]]:
        """Effects, naive effects and notes of one outcome; ``starts`` and ``rows`` take the place of the true ones in a placebo."""
        w = self.work if rows is None else self.work[rows]
        w = w[w[outcome].notna()]
        y, arms = w[outcome].to_numpy(float) / scale, pd.Categorical(w[self.treatment], self.names).codes.astype(int)
        groups = None if self.clusters is None else pd.factorize(w[self.clusters])[0]
        begun = self.starts if starts is None else starts
        labels, notes = [str(n) if str(n) != "True" else self.treatment for n in self.names], []
        if self.design == "randomised":
            strata = np.zeros(len(w), int) if self.strata is None else pd.factorize(w[self.strata])[0]
            found = designs.randomised(y, arms, labels, strata, groups)
            for k, row in enumerate(found, start=1):
                pair = np.isin(arms, (0, k))
                units = None if self.assigned is None else pd.factorize(w[self.assigned])[0][pair]
                row["p_shuffled"] = designs.shuffled(y[pair], (arms[pair] == k).astype(int), pd.factorize(strata[pair])[0], units, self.draws, self.seed) \
                    if shuffle and self.draws and row["value"] is not None else None
            return found, [designs.naive(y[np.isin(arms, (0, k))], arms[np.isin(arms, (0, k))] == k, n) for k, n in enumerate(labels[1:], 1)], notes
        if self.design == "interrupted":
            series = w.assign(_y=y).groupby(self.time, sort=True)["_y"].mean()
            times = np.arange(len(series), dtype=float)
            first = float((series.index < begun).sum())
            return [designs.interrupted(times, series.to_numpy(), first, "the reform")], [designs.naive(y, (w[self.time] >= begun).to_numpy(), "the reform")], \
                ["The effect is the jump at the start; the naive comparison is the mean after less the mean before."]
        treated = arms == 1
        if self.design == "differences":
            after = (w[self.time] >= begun).to_numpy()
            return [designs.differences(y, treated, after, groups, labels[1])], [designs.naive(y[after], treated[after], labels[1])], \
                ["A cluster counts once, however many learners it has. The naive comparison is of treated and other learners after the start."]
        whole = w[self.covariates].dropna().index
        at = w.index.get_indexer(whole)
        x = pd.get_dummies(w.loc[whole, self.covariates], dtype=float).to_numpy(float)
        found, p = designs.doubly_robust(y[at], treated[at], x, None if groups is None else groups[at], labels[1], self.seed)
        if len(at) < len(w):
            notes.append(f"{len(w) - len(at):,} learners without every covariate are left out.")
        if found["value"] is not None and found["n"] < len(at):
            notes.append(f"{len(at) - found['n']:,} of {len(at):,} learners have no like on the other side and are left out.")
        return [found], [designs.naive(y[at], treated[at], labels[1])], notes

    def placebos(self, outcome: str, columns: list[str]) -> pd.DataFrame:
        """The same question about what cannot have been touched: other columns, and an earlier start where there are times before."""
        found = [{"what": c, **row} for c in columns for row in self.of(c)[0]]
        if self.design in ("differences", "interrupted"):
            before = self.work[self.time] < self.starts
            times = sorted(self.work.loc[before, self.time].unique())
            if len(times) >= (2 if self.design == "differences" else 2 * designs.FEWEST_TIMES):
                fake = times[len(times) // 2]
                found += [{"what": f"start at {fake}", **row} for row in self.of(outcome, starts=fake, rows=before)[0]]
        table = pd.DataFrame(found, columns=["what", *COLUMNS])
        known = table["p"].notna().to_numpy()
        table["p_adjusted"] = np.nan
        table.loc[known, "p_adjusted"] = holm(table.loc[known, "p"].astype(float))
        return table

    def balance(self, outcome: str) -> pd.DataFrame:
        """How far the arms differ in what was known before, in standard deviations."""
        if self.design in ("differences", "interrupted") or not self.covariates:
            return pd.DataFrame(columns=["covariate", "arm", "difference", "p"])
        wide = pd.get_dummies(self.work[self.covariates], dtype=float).astype(float)
        arms, found = pd.Categorical(self.work[self.treatment], self.names).codes, []
        weight = self._weight(wide, arms == 1) if self.design == "adjusted" else None
        asked = replace(self, work=self.work.assign(**{f"_{name}": x for name, x in wide.items()}))
        for name, x in wide.items():
            spread = float(x.std())
            there = x.notna().to_numpy() & (arms >= 0)
            plain = [designs.naive(x.to_numpy()[there], arms[there] == 1, str(self.names[1]))]
            rows = asked.of(f"_{name}")[0] if weight is None else plain
            for row in rows:
                apart = row["value"] / spread if row["value"] is not None and spread else None
                made = {"covariate": name, "arm": row["arm"], "difference": apart, "p": row["p"]}
                if weight is not None and spread:
                    one, two = (np.average(x[arms == k], weights=weight[arms == k]) if weight[arms == k].sum() else np.nan for k in (1, 0))
                    made["weighted"] = (one - two) / spread
                found.append(made)
        return pd.DataFrame(found)

    def _weight(self, wide: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
        """Inverse probability of the own arm, 0 for those who cannot be compared."""
        whole = wide.notna().all(axis=1).to_numpy()
        weight = np.zeros(len(wide))
        if min(np.bincount(treated[whole].astype(int), minlength=2)) < designs.FEWEST:
            return weight
        p = designs.propensity(treated[whole], wide[whole].to_numpy(), self.seed)
        inside = (p >= designs.COMPARABLE[0]) & (p <= designs.COMPARABLE[1])
        weight[whole] = np.where(inside, np.where(treated[whole], 1 / p, 1 / (1 - p)), 0.0)
        return weight

    def attrition(self, outcome: str) -> pd.DataFrame:
        """Share of outcomes that are missing by arm, with the difference from the first arm."""
        lost, arms, found = self.work[outcome].isna().to_numpy(), pd.Categorical(self.work[self.treatment], self.names).codes, []
        for k, name in enumerate(self.names):
            pair = np.isin(arms, (0, k))
            row = designs.naive(lost[pair].astype(float), arms[pair] == k, str(name)) if k else designs.untold(str(name), "", 0)
            found.append({"arm": str(name), "n": int((arms == k).sum()), "missing": float(lost[arms == k].mean()), "difference": row["value"],
                          "low": row["low"], "high": row["high"]})
        table = pd.DataFrame(found)
        return table.astype({c: float for c in ("difference", "low", "high")})
