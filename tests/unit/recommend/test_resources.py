"""Resources: what helps is found out, beats chance and popularity, and nothing is kept about one learner."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from edukit.protocols import NotFittedError
from edukit.recommend.resource_trial import visits
from edukit.recommend.resources import ResourceChoice
from edukit.schema import DataError

TABLE = pd.DataFrame({"resource_id": ["text", "film", "drill", "other"], "concept_id": ["a", "a", "a", "b"],
                      "kind": ["reading", "video", "practice", "video"],
                      "reading_level": [9.0, 5.0, 5.0, 5.0], "interest": [None, "music", None, None],
                      "title": ["A long text", "A film", "A drill", "Another film"]})


def test_it_beats_chance_and_popularity():
    found = [visits(count=600, seed=seed) for seed in (0, 1)]
    learnt, by_chance, popular, best = (np.mean([getattr(v, name).mean() for v in found]) for name in ("learnt", "random", "popular", "best"))
    assert best > learnt > popular + 0.01 and learnt > by_chance + 0.05


def test_what_helps_is_found_and_told_and_kinds_speak_for_resources_not_tried():
    choice = ResourceChoice(seed=1).start(TABLE)
    for _ in range(60):
        choice.observe("film", 1.0, 5.0), choice.observe("drill", 0.0, 5.0), choice.observe("text", 0.0, 5.0)
    first = pd.concat([choice.recommend("a", 5.0) for _ in range(20)])
    assert (first["resource_id"] == "film").mean() > 0.9
    reason = choice.recommend("a", 5.0, {"music"}).iloc[0]["reason"]
    assert "A film: it is a video" in reason and "at the level you read at" in reason and "interest in music" in reason and "(60)" in reason
    kin = TABLE.assign(concept_id="a")
    fresh = ResourceChoice(seed=1).start(kin)
    for _ in range(60):
        fresh.observe("film", 1.0, 5.0), fresh.observe("drill", 0.0, 5.0)
    order = fresh.recommend("a", 5.0, n=4).set_index("resource_id")["score"]
    assert order["other"] > order["drill"]  # a video nobody has seen, beside practice that did not help


def test_before_any_response_a_text_that_is_too_hard_is_expected_to_help_less():
    scores = ResourceChoice().start(TABLE).recommend("a", 5.0, {"music"}, n=3).set_index("resource_id")["score"]
    assert scores["film"] > scores["drill"] > scores["text"]
    unknown = ResourceChoice().start(TABLE).recommend("a", None, (), n=3).set_index("resource_id")["score"]
    assert unknown.nunique() == 1  # of a learner of whom nothing is known nothing is assumed


def test_only_resources_of_the_concept_and_those_seen_come_last():
    choice = ResourceChoice().start(TABLE)
    assert set(choice.recommend("a", n=9)["resource_id"]) == {"text", "film", "drill"} and choice.recommend("moon").empty
    assert {choice.recommend("a", n=3, seen={"film"})["resource_id"].iloc[-1] for _ in range(10)} == {"film"}


def test_what_was_learnt_is_kept_and_odd_input_is_refused():
    one = ResourceChoice(seed=3).start(TABLE)
    one.observe("film", 1.0, 5.0, {"music"})
    saved = json.loads(json.dumps(one.state()))
    assert set(saved) == {"precision", "pull", "random", "resources"} and list(saved["resources"]) == ["film"]
    two = ResourceChoice(seed=8).start(TABLE).restore(saved)
    pd.testing.assert_frame_equal(one.recommend("a", 5.0, n=3), two.recommend("a", 5.0, n=3))
    for resource, helped in (("moon", 1.0), ("film", 2.0)):
        with pytest.raises(DataError, match="observe needs"):
            one.observe(resource, helped)
    with pytest.raises(NotFittedError, match="start"):
        ResourceChoice().recommend("a")
