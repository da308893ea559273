"""Votes become labels that say no more than the experts did, and the published numbers of agreement come out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.floors import ClosureRule
from edukit.graph.voting import agreement, cast, labels, relabel, tally
from edukit.schema import DataError


def votes(**said: str) -> pd.DataFrame:
    """``ba="yyr"``: three experts on whether b requires a."""
    words = {"y": "yes", "n": "no", "r": "reversed"}
    return pd.DataFrame([(pair[0], pair[1], f"rater {i}", words[letter]) for pair, letters in said.items() for i, letter in enumerate(letters)],
                        columns=["concept_id", "requires_id", "rater_id", "vote"])


def told(table: pd.DataFrame) -> dict[str, tuple]:
    return {c + r: (label, n) for c, r, label, n in table[["concept_id", "requires_id", "label", "votes"]].itertuples(index=False, name=None)}


def test_majorities_label_both_orders_and_ties_are_left_out():
    found = labels(votes(ba="yyn", cb="nnn", dc="rry", ed="yynn", fe="yr", gf="y"))
    assert told(found) == {"ba": (1, 3), "ab": (0, 3), "cb": (0, 3), "bc": (0, 3), "dc": (0, 3), "cd": (1, 3), "de": (0, 4), "gf": (1, 1), "fg": (0, 1)}
    share = found.set_index(found["concept_id"] + found["requires_id"])["agreement"]
    assert share["ba"] == pytest.approx(2 / 3) and share["ab"] == 1 and np.isnan(share["gf"])
    assert not found.merge(found, left_on=["concept_id", "requires_id"], right_on=["requires_id", "concept_id"]).eval("label_x + label_y == 2").any()
    with pytest.raises(DataError, match="split evenly"):
        labels(votes(ba="yr"))


def test_a_vote_asked_in_the_other_order_counts_the_same():
    turned = votes(ba="yyn")
    flipped = turned.copy()
    flipped.loc[1, ["concept_id", "requires_id", "vote"]] = ["a", "b", "reversed"]
    assert told(labels(flipped)) == told(labels(turned))
    assert tally(flipped)[["yes", "reversed", "no"]].values.tolist() == [[2, 0, 1]]
    twice = pd.concat([turned, turned.iloc[[0]].assign(concept_id="a", requires_id="b", vote="yes")])
    with pytest.raises(DataError, match="'rater 0' on 'a' and 'b'"):
        tally(twice)


def test_a_later_vote_takes_the_place_of_the_earlier_and_of_no_other():
    table = cast(None, "b", "a", "Ana", "yes", "because", "2026-01-01")
    table = cast(table, "b", "a", "Bo", "no", None, "2026-01-02")
    table = cast(table, "c", "a", "Ana", "yes", None, "2026-01-02")
    table = cast(table, "a", "b", "Ana", "no", None, "2026-01-03")
    assert sorted(table[["concept_id", "requires_id", "rater_id", "vote"]].values.tolist()) == [
        ["a", "b", "Ana", "no"], ["b", "a", "Bo", "no"], ["c", "a", "Ana", "yes"]]
    for bad, words in ((("b", "b", "Ana", "yes"), "two concepts"), (("b", "a", "Ana", "maybe"), "yes, no, reversed")):
        with pytest.raises(DataError, match=words):
            cast(table, *bad, None, "2026-01-03")


def test_kappa_of_the_paper_of_chance_and_of_perfect_agreement():
    counts = [(0, 0, 14), (0, 2, 12), (0, 6, 8), (3, 6, 5), (2, 8, 4), (7, 7, 0), (3, 8, 3), (2, 5, 7), (6, 5, 3), (0, 2, 12)]
    said = votes(**{f"{chr(98 + k)}a": "y" * y + "n" * n + "r" * r for k, (y, n, r) in enumerate(counts)})
    p = np.array(counts).sum(0) / 140
    observed = np.mean([(np.square(c).sum() - 14) / (14 * 13) for c in counts])
    wanted = (observed - p @ p) / (1 - p @ p)
    found = agreement(said)
    assert found["value"] == pytest.approx(wanted) and found["low"] < found["value"] < found["high"] and found["n"] == 10
    assert agreement(votes(ba="yyy", ca="nnn", da="y"))["value"] == 1 and agreement(votes(ba="yyy", ca="nnn", da="y"))["n"] == 2
    assert agreement(votes(ba="yyy"))["value"] is None and agreement(votes(ba="y"))["n"] == 0
    rng = np.random.default_rng(0)
    random = votes(**{chr(200 + k) + "a": "".join(rng.choice(list("ynr"), 5)) for k in range(300)})
    chance = agreement(random, draws=200)
    assert abs(chance["value"]) < 0.05 and chance["low"] < 0 < chance["high"]


def test_experts_correct_published_labels_and_the_rest_stays():
    pairs = pd.DataFrame({"concept_id": ["b", "c", "d"], "requires_id": ["a", "b", "c"], "label": [0.0, 1.0, 1.0], "domain": ["maths", "maths", "art"]})
    found = relabel(pairs, votes(ba="yyn", cb="yr")).set_index(["concept_id", "requires_id"])
    assert found["label"].to_dict() == {("b", "a"): 1, ("c", "b"): 1, ("d", "c"): 1, ("a", "b"): 0}
    assert found.loc[("b", "a"), "domain"] == "maths" and found.loc[("b", "a"), "votes"] == 3 and pd.isna(found.loc[("c", "b"), "votes"])
    assert pairs["label"].tolist() == [0, 1, 1]


def test_a_model_that_learns_from_labels_follows_the_votes():
    """The labels go into ``fit`` as any table ``concept_pairs``: where the experts turn, the model turns."""
    asked = pd.DataFrame({"concept_id": ["b", "c"], "requires_id": ["a", "b"]})
    for letters, wanted in (("yyn", [1.0, 1.0, 0.0]), ("rrn", [0.0, 0.0, 1.0])):
        model = ClosureRule().fit({"concepts": pd.DataFrame({"concept_id": list("abc"), "name": list("ABC")})}, labels(votes(ba=letters, cb=letters)))
        scores = model.predict(pd.concat([asked, pd.DataFrame({"concept_id": ["a"], "requires_id": ["c"]})], ignore_index=True))
        assert scores.tolist() == wanted
