"""Which reading, example, video or practice fits a learner now: by concept, reading level and stated interest, learnt from what helped whom."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError
from edukit.schema import TABLES, DataError
from edukit.validation import validate

KINDS = next(column.values for column in TABLES["resources"].columns if column.name == "kind")
EXPECTED = (*(0.5 for _ in KINDS), -0.05, 0.0, 0.03)  # before any response: each kind alike, harder to read than the learner reads is worse
DOUBT = (*(0.1 for _ in KINDS), 0.05, 0.05, 0.05)  # standard deviations around it
NOISE, OWN_DOUBT = 0.5, 0.15  # of one response; of a resource around what its kind, level and theme say
FAR = 3.0  # school grades beyond which a text is no harder


class ResourceChoice:
    """Learners get what has helped others like them; what has been tried little is tried now and then. There is no fixed "learning style".

    Expected help of resource r = w . (kind, grades too hard, grades too easy, interest met) + own_r; w and own_r are Gaussian, updated by every
    response, and a draw from them is followed (Thompson sampling). The weights are shared by all learners: nothing is kept about one of them.

    Parameters
    ----------
    seed : equal seeds and responses give equal choices.

    References
    ----------
    Thompson (1933), Biometrika 25. Agrawal and Goyal (2013), ICML (linear payoffs). Pashler, McDaniel, Rohrer and Bjork (2008), Psychological Science
    in the Public Interest 9 (no evidence for learning styles).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def start(self, resources: pd.DataFrame) -> Self:
        """Take a table ``resources``; nothing is known of any of them."""
        table = validate(resources, "resources").reset_index(drop=True)
        self._ids = list(dict.fromkeys(table["resource_id"]))
        self._place = {resource: k for k, resource in enumerate(self._ids)}
        first = table.drop_duplicates("resource_id").set_index("resource_id").loc[self._ids]
        self._kind = np.array([KINDS.index(kind) for kind in first["kind"]])
        self._kind_names = first["kind"].tolist()
        self._titles = first["title"].fillna(first.index.to_series()).tolist() if "title" in first else list(self._ids)
        self._level = first["reading_level"].to_numpy(float) if "reading_level" in first else np.full(len(first), np.nan)
        self._theme = first["interest"].tolist() if "interest" in first else [None] * len(first)
        self._of = {str(concept): np.array([self._place[r] for r in rows]) for concept, rows in table.groupby("concept_id")["resource_id"]}
        self._rng = np.random.default_rng(self.seed)
        self._precision = np.diag(1 / np.array(DOUBT) ** 2)
        self._pull = self._precision @ np.array(EXPECTED)
        self._uses, self._surprise = np.zeros(len(self._ids)), np.zeros(len(self._ids))
        return self

    def _described(self, place: np.ndarray, reading_level: float | None, interests: Collection[str]) -> np.ndarray:
        """(M, F) resources as one learner meets them."""
        gap = self._level[place] - (np.nan if reading_level is None else reading_level)
        gap = np.clip(np.nan_to_num(gap), -FAR, FAR)
        met = np.array([self._theme[k] in interests for k in place], float)
        return np.column_stack([np.eye(len(KINDS))[self._kind[place]], np.maximum(gap, 0), np.maximum(-gap, 0), met])

    def recommend(self, concept_id: str, reading_level: float | None = None, interests: Collection[str] = (), n: int = 1,
                  seen: Collection[str] = ()) -> pd.DataFrame:
        """``n`` resources of a concept, best first: ``resource_id, concept_id, rank, score, reason``; no row where the concept has none.

        Parameters
        ----------
        reading_level : school grade that the learner reads at; None = not known. interests : themes that the learner named.
        seen : resource ids that come last, as the learner has had them.
        """
        place = self._started().get(concept_id, np.zeros(0, np.int64))
        described = self._described(place, reading_level, interests)
        mean = np.linalg.solve(self._precision, self._pull)
        drawn = mean + np.linalg.solve(np.linalg.cholesky(self._precision).T, self._rng.standard_normal(len(mean)))
        share = 1 / OWN_DOUBT**2 + self._uses[place] / NOISE**2
        own = self._surprise[place] / NOISE**2 / share + self._rng.standard_normal(len(place)) / np.sqrt(share)
        late = np.array([self._ids[k] in seen for k in place], bool)
        best = np.lexsort([-(described @ drawn + own), late])[:n]
        expected = described @ mean + self._surprise[place] / NOISE**2 / share
        return pd.DataFrame({"resource_id": [self._ids[place[k]] for k in best], "concept_id": concept_id, "rank": np.arange(1, len(best) + 1),
                             "score": np.clip(expected[best], 0, 1), "reason": [self._reason(int(place[k]), reading_level, interests) for k in best]})

    def observe(self, resource_id: str, helped: float, reading_level: float | None = None, interests: Collection[str] = ()) -> None:
        """Learn from what came of a resource: ``helped`` in [0, 1], such as whether the next response on its concept was right.

        Raises
        ------
        DataError
            For a resource that is not in the table, or a value outside [0, 1].
        """
        self._started()
        if resource_id not in self._place or not 0 <= helped <= 1:
            raise DataError(f"observe needs a resource of the table and `helped` in [0, 1]; found {resource_id!r} and {helped}.")
        k = self._place[resource_id]
        described = self._described(np.array([k]), reading_level, interests)[0]
        expected = described @ np.linalg.solve(self._precision, self._pull)
        own = self._surprise[k] / NOISE**2 / (1 / OWN_DOUBT**2 + self._uses[k] / NOISE**2)
        self._surprise[k] += helped - expected
        self._uses[k] += 1
        variance = NOISE**2 + OWN_DOUBT**2 / (1 + self._uses[k] * OWN_DOUBT**2 / NOISE**2)  # what is the resource's own is not its kind's
        self._precision += np.outer(described, described) / variance
        self._pull += described * (helped - own) / variance

    def _reason(self, k: int, reading_level: float | None, interests: Collection[str]) -> str:
        """Why, in plain words."""
        told = [f"it is {'an' if self._kind_names[k][0] in 'aeiou' else 'a'} {self._kind_names[k]} on this concept"
                if self._kind_names[k] != "practice" else "it is practice on this concept"]
        if reading_level is not None and np.isfinite(self._level[k]):
            gap = self._level[k] - reading_level
            told.append("it is written at the level you read at" if abs(gap) < 1 else f"it is written {abs(gap):.0f} grade{'s' * int(abs(gap) >= 1.5)} "
                        f"{'above' if gap > 0 else 'below'} the level you read at")
        if self._theme[k] in interests:
            told.append(f"you named an interest in {self._theme[k]}")
        used = int(self._uses[k])
        told.append(f"learners who used it ({used}) answered {'better' if self._surprise[k] > 0 else 'no better'} than after others like it"
                    if used >= 10 else "too few have used it to say how well it helps")
        return f"{self._titles[k]}: {'; '.join(told)}."

    def state(self) -> dict[str, Any]:
        """Everything that was learnt, as plain values that JSON can hold; nothing in it is of one learner."""
        self._started()
        used = np.flatnonzero(self._uses)
        return {"precision": self._precision.tolist(), "pull": self._pull.tolist(), "random": self._rng.bit_generator.state,
                "resources": {self._ids[k]: [float(self._uses[k]), float(self._surprise[k])] for k in used}}

    def restore(self, state: dict[str, Any]) -> Self:
        """Go on where :meth:`state` was taken; resources that are gone are left out."""
        self._started()
        self._precision, self._pull = np.array(state["precision"]), np.array(state["pull"])
        self._rng.bit_generator.state = state["random"]
        self._uses[:], self._surprise[:] = 0, 0
        for resource, (uses, surprise) in state["resources"].items():
            if resource in self._place:
                self._uses[self._place[resource]], self._surprise[self._place[resource]] = uses, surprise
        return self

    def _started(self) -> dict[str, np.ndarray]:
        if not hasattr(self, "_of"):
            raise NotFittedError("resources have not been handed over; call start(resources) first")
        return self._of
