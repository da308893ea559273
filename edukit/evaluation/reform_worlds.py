"""Invented reforms whose effect is known, one maker for each design, in which the naive comparison is wrong for a planted reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

World = tuple[pd.DataFrame, dict[str, Any]]


def randomised(effect: float, rng: np.random.Generator, schools: int = 40, learners: int = 30) -> World:
    """Classes drawn within schools; stronger schools have a larger share of small classes, so that a comparison across schools flatters the reform."""
    school = np.repeat(np.arange(schools), learners)
    level = rng.normal(0, 0.7, schools)
    share = np.where(level > 0, 0.6, 0.35)
    small = np.concatenate([rng.permutation(learners) < round(learners * s) for s in share])
    own = effect + rng.normal(0, 0.15, schools)  # the reform does not do the same everywhere
    mark = level[school] + own[school] * small + rng.normal(0, 1, len(school))
    return pd.DataFrame({"school": school, "arm": np.where(small, "small", "regular"), "mark": mark}), {
        "treatment": "arm", "reference": "regular", "strata": "school", "clusters": "school", "draws": 0}


def differences(effect: float, rng: np.random.Generator, modules: int = 24, learners: int = 20) -> World:
    """Half of the modules take the reform up in the third of four terms; they were stronger before, and everybody improves."""
    module, term, _ = (v.ravel() for v in np.meshgrid(np.arange(modules), np.arange(4), np.arange(learners), indexing="ij"))
    own = rng.normal(0, 0.4, modules) + 0.6 * (np.arange(modules) < modules // 2)
    shock = rng.normal(0, 0.15, (modules, 4))
    came = module < modules // 2
    mark = own[module] + 0.1 * term + shock[module, term] + effect * (came & (term >= 2)) + rng.normal(0, 1, len(module))
    return pd.DataFrame({"module": module, "term": term, "came": came, "mark": mark}), {
        "treatment": "came", "clusters": "module", "time": "term", "starts": 2}


def interrupted(effect: float, rng: np.random.Generator, weeks: int = 36) -> World:
    """A weekly mean that rises anyway and whose noise lasts (AR(1), .3); the reform begins half-way."""
    noise = rng.normal(0, 0.3, weeks)
    noise[0] /= (1 - 0.09) ** 0.5
    for t in range(1, weeks):
        noise[t] += 0.3 * noise[t - 1]
    week = np.arange(weeks)
    return pd.DataFrame({"week": week, "mark": 0.03 * week + effect * (week >= weeks // 2) + noise}), {
        "treatment": "after", "time": "week", "starts": weeks // 2}


def adjusted(effect: float, rng: np.random.Generator, learners: int = 1000) -> World:
    """Learners choose: those with higher earlier marks take part more often, and would do better anyway."""
    before, age = rng.normal(0, 1, learners), rng.integers(18, 60, learners)
    took = rng.random(learners) < 1 / (1 + np.exp(-0.8 * before - 0.02 * (age - 38)))
    mark = 0.8 * before + 0.01 * age + effect * took + rng.normal(0, 1, learners)
    return pd.DataFrame({"before": before, "age": age, "took": took, "mark": mark}), {"treatment": "took", "covariates": ["before", "age"]}


WORLDS: dict[str, Callable[..., World]] = {"randomised": randomised, "differences": differences, "interrupted": interrupted, "adjusted": adjusted}


def coverage(design: str, effect: float, worlds: int, seed: int) -> pd.DataFrame:
    """One row a world: value, low, high, verdict of the design, and the same of the naive comparison (``naive_value`` ...)."""
    from edukit.evaluation.reform import evaluate_reform

    found = []
    for number in range(worlds):
        table, how = WORLDS[design](effect, np.random.default_rng([seed, number]))
        said = evaluate_reform(table, design, "mark", seed=number, **how)
        row, plain = said.effects.iloc[0], said.naive.iloc[0]
        found.append({"value": row["value"], "low": row["low"], "high": row["high"], "verdict": said.verdict,
                      **{f"naive_{k}": plain[k] for k in ("value", "low", "high")}})
    return pd.DataFrame(found)
