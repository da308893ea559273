"""Experts vote on single edges of a graph; their votes become labels to train on, with how far they agreed.

A vote speaks of an unordered pair: yes (the second is a prerequisite of the first), reversed (the other way round) or no (neither).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.metrics import record
from edukit.schema import DataError
from edukit.validation import validate

_PAIR = ["concept_id", "requires_id"]
_TURNED = {"yes": "reversed", "reversed": "yes", "no": "no"}
VERDICTS = tuple(_TURNED)


def cast(votes: pd.DataFrame | None, concept_id: str, requires_id: str, rater_id: str, vote: str, rationale: str | None, timestamp: str) -> pd.DataFrame:
    """Table ``votes`` with one vote more; it takes the place of an earlier one of the same expert on the same pair, in either order.

    Raises
    ------
    DataError
        For a vote that is none of yes, no, reversed, or a pair of one concept.

    Examples
    --------
    >>> said = cast(None, "b", "a", "Ana", "no", None, "2026-01-01T09:00")
    >>> cast(said, "a", "b", "Ana", "reversed", "b counts in a", "2026-01-02T09:00")["vote"].tolist()
    ['reversed']
    """
    if concept_id == requires_id:
        raise DataError(f"a vote must speak of two concepts; found {concept_id!r} twice.")
    row = pd.DataFrame({"concept_id": [concept_id], "requires_id": [requires_id], "rater_id": [rater_id], "vote": [vote], "timestamp": [timestamp],
                        **({"rationale": [rationale]} if rationale else {})})
    if votes is None or not len(votes):
        return validate(row, "votes")
    votes = validate(votes, "votes")
    row = validate(row, "votes")
    other = (votes["rater_id"] != rater_id) | ~(votes["concept_id"].isin([concept_id, requires_id]) & votes["requires_id"].isin([concept_id, requires_id]))
    return validate(pd.concat([votes[other], row], ignore_index=True), "votes")


def tally(votes: pd.DataFrame) -> pd.DataFrame:
    """How often each verdict was given of each pair, in the order in which it was asked first.

    Returns
    -------
    DataFrame
        ``concept_id, requires_id, yes, reversed, no``; each pair once, each expert once a pair.

    Raises
    ------
    DataError
        If an expert says two things of one pair (once in each order).
    """
    votes = validate(votes, "votes")
    if (same := votes["concept_id"] == votes["requires_id"]).any():
        raise DataError(f"votes must speak of two concepts; found {votes.loc[same, 'concept_id'].iloc[0]!r} twice. Remove that vote.")
    first: dict[frozenset[str], tuple[str, str]] = {}
    said: dict[tuple[tuple[str, str], str], str] = {}
    for concept, required, rater, vote in votes[[*_PAIR, "rater_id", "vote"]].itertuples(index=False, name=None):
        pair = first.setdefault(frozenset((concept, required)), (concept, required))
        verdict = vote if pair == (concept, required) else _TURNED[vote]
        if said.setdefault((pair, rater), verdict) != verdict:
            raise DataError(f"votes must hold one verdict of each expert on a pair; found two of {rater!r} on {concept!r} and {required!r}. Remove one.")
    counts = {pair: dict.fromkeys(VERDICTS, 0) for pair in first.values()}
    for (pair, _), verdict in said.items():
        counts[pair][verdict] += 1
    return pd.DataFrame([{**dict(zip(_PAIR, pair, strict=True)), **count} for pair, count in counts.items()])


def labels(votes: pd.DataFrame) -> pd.DataFrame:
    """What the experts decided, as pairs to train and judge on: ``model.fit(tables, labels=labels(votes))``.

    Both orders of a pair are labelled: 1 where more than half of its experts say that this order is a prerequisite, 0 where fewer than half do; an
    order on which they are split evenly is left out.

    Returns
    -------
    DataFrame
        Table ``concept_pairs``: ``origin`` is ``annotated`` for the order that was asked first, else ``reversed``; ``votes`` counts the experts and
        ``agreement`` is the share that is with the label, missing where only one voted.

    Raises
    ------
    DataError
        If no pair was decided.

    Examples
    --------
    >>> v = pd.DataFrame({"concept_id": "b", "requires_id": "a", "rater_id": ["x", "y", "z"], "vote": ["yes", "yes", "no"]})
    >>> labels(v)[["concept_id", "requires_id", "label", "agreement"]].round(2).values.tolist()
    [['b', 'a', 1.0, 0.67], ['a', 'b', 0.0, 1.0]]
    """
    asked = tally(votes)
    turned = asked.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id", **{"yes": "reversed", "reversed": "yes"}})
    both = pd.concat([asked.assign(origin="annotated"), turned.assign(origin="reversed")]).sort_index(kind="stable")
    cast_ = both[list(VERDICTS)].sum(axis=1)
    share = both["yes"] / cast_
    agreed = share.where(share > 0.5, 1 - share).where(cast_ > 1)
    table = both[_PAIR].assign(label=(share > 0.5).astype(float), origin=both["origin"], agreement=agreed, votes=cast_)
    decided = table[share != 0.5].dropna(axis=1, how="all")
    if not len(decided):
        raise DataError(f"votes must decide at least one pair; found {len(asked):,} pairs, all of them split evenly. Ask one more expert.")
    return validate(decided, "concept_pairs")


def relabel(pairs: pd.DataFrame, votes: pd.DataFrame) -> pd.DataFrame:
    """Published labels with what experts decided in their place, and the pairs that only they judged behind them.

    Split the result, not the published labels: a vote on a pair of a test part must not reach training.

    Parameters
    ----------
    pairs : table ``concept_pairs``; its ``domain`` stays.
    votes : table ``votes``.
    """
    pairs, decided = validate(pairs, "concept_pairs"), labels(votes)
    told = decided.set_index(_PAIR)
    at = told.index.get_indexer(pd.MultiIndex.from_frame(pairs[_PAIR]))
    result, here = pairs.copy(), at >= 0
    for column in ("label", "origin", "agreement", "votes"):
        if column not in told and column not in pairs:
            continue
        old = pairs[column].astype(object) if column in pairs else pd.Series(None, index=pairs.index, dtype=object)
        new = told[column].astype(object) if column in told else pd.Series(None, index=told.index, dtype=object)
        result[column] = old.mask(here, pd.Series(new.to_numpy()[at], index=pairs.index))
    fresh = decided[~pd.MultiIndex.from_frame(decided[_PAIR]).isin(pd.MultiIndex.from_frame(pairs[_PAIR]))]
    return validate(pd.concat([result.astype(object), fresh.astype(object)], ignore_index=True), "concept_pairs")


def _kappa(counts: np.ndarray, weight: np.ndarray) -> float:
    """Fleiss' kappa of (pairs, verdicts) counts, each pair counted ``weight`` times."""
    raters = counts.sum(axis=1)
    agreed = weight @ ((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))) / weight.sum()
    share = weight @ counts / (weight @ raters)
    chance = float(share @ share)
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def agreement(votes: pd.DataFrame, draws: int = 1_000, seed: int = 0) -> dict:
    """How far the experts agree beyond chance, over all pairs that at least two of them judged.

    kappa = (P - Pe) / (1 - Pe): P, the share of agreeing pairs of experts, averaged over concept pairs; Pe, the same were verdicts drawn from
    their overall shares. Pairs may have different numbers of experts; with two everywhere it is Scott's pi.

    Returns
    -------
    dict
        Metric record ``fleiss_kappa`` with the number of concept pairs and a 95 % interval (pairs drawn again); value null where there is no
        such pair or only one verdict was ever given.

    References
    ----------
    Fleiss (1971), Psychological Bulletin 76; Scott (1955), Public Opinion Quarterly 19.
    """
    counts = tally(votes)[list(VERDICTS)].to_numpy(float)
    counts = counts[counts.sum(axis=1) > 1]
    value = _kappa(counts, np.ones(len(counts))) if len(counts) else float("nan")
    if not np.isfinite(value):
        return record("fleiss_kappa", None, len(counts))
    rng = np.random.default_rng(seed)
    drawn = [_kappa(counts, w) for w in rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=draws).astype(float)]
    drawn = [v for v in drawn if np.isfinite(v)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) > draws / 2 and len(counts) > 1 else (None, None)
    return record("fleiss_kappa", value, len(counts), None if low is None else float(low), None if high is None else float(high))
