"""A live session follows from its answers alone, never leads past readiness, says why, and is restored to the bit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.policies import RandomChoice, SpacedZpdes, WeakestFirst, Zpdes
from edukit.recommend.policy import ConceptPolicy
from edukit.recommend.session import ENOUGH, Course, Session, policy_of
from edukit.schema import DataError


def graph(size: int = 30, items: int = 3) -> ConceptGraph:
    concepts, edges = random_concepts(size, layers=5, seed=2)
    ids = np.repeat(concepts["concept_id"].to_numpy(object), items)
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame({"item_id": [f"{c}-{k % items}" for k, c in enumerate(ids)], "concept_id": ids}))


@pytest.fixture(scope="module")
def course() -> Course:
    return Course(graph(), Zpdes())


def led(session: Session, steps: int, seed: int = 0) -> list[tuple[str, float]]:
    """Answers to what is handed out."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(steps):
        item = session.next().item_id
        assert item is not None
        found.append((item, float(rng.random() < 0.7)))
        session.answer(*found[-1])
    return found


def test_a_learner_never_seen_begins_with_what_builds_on_nothing(course):
    for n in range(20):
        step = Session(course, f"learner-{n}").next()
        assert step.step == 0 and step.readiness == 1.0 and "builds on nothing" in step.reason and "not tried it yet" in step.reason
    assert len({Session(course, f"learner-{n}").next().concept_id for n in range(20)}) > 1, "learners draw their own luck"


@pytest.mark.parametrize("policy", [Zpdes(), SpacedZpdes()], ids=lambda policy: policy.name)
def test_no_step_breaks_readiness_and_each_says_why(policy: ConceptPolicy):
    course = Course(graph(), policy)
    session, rng, concepts = Session(course, "learner-1"), np.random.default_rng(1), set()
    for number in range(150):
        step = session.next()
        assert step == session.next() and step.step == number and len(step.reason) > 20
        ready = course.terrain.readiness(session.estimate.mastery())[0]
        place = course.terrain.concept_ids.index(step.concept_id)
        assert step.readiness == ready[place] >= policy.ready
        if step.item_id is not None:
            own = course.terrain.item_concepts[course.terrain.place_of_item[step.item_id]]
            assert (ready[own[own < len(ready)]] >= policy.ready).all()
        concepts.add(step.concept_id)
        session.answer(step.item_id or course.terrain.item_ids[0], float(rng.random() < 0.9))
    assert len(concepts) > 10, "it goes on to what builds on what is known"


def test_the_same_answers_lead_to_the_same_place_with_and_without_a_restart(course):
    session = Session(course, "learner-1")
    first = led(session, 40)
    kept = json.loads(json.dumps(session.state()))
    second = led(session, 25, seed=1)
    restored = Session(course, "learner-1").restore(kept)
    for answer in second:
        restored.answer(*answer)
    replayed = Session(course, "learner-1")
    for answer in first + second:
        replayed.answer(*answer)
    for other in (restored, replayed):
        assert other.next() == session.next() and other.steps == 65
        np.testing.assert_array_equal(other.estimate.known, session.estimate.known)
        assert other.profile(first + second) == session.profile(first + second)


def test_an_item_that_left_the_graph_only_counts_as_a_step(course):
    session = Session(course, "learner-1")
    before = session.estimate.known.copy()
    session.answer("gone", 1.0)
    assert session.steps == 1 and session.next().step == 1
    np.testing.assert_array_equal(session.estimate.known, before)


def test_the_profile_tells_mastery_with_its_interval_only_where_there_is_enough(course):
    session = Session(course, "learner-1")
    answers = led(session, 60)
    found = session.profile(answers)
    assert found["n_answers"] == 60 == sum(own["n"] for own in found["concepts"])
    states = {own["state"] for own in found["concepts"]}
    assert states <= {"mastered", "learning", "not enough data"} and "mastered" in states
    for own in found["concepts"]:
        if own["n"] < ENOUGH:
            assert own["state"] == "not enough data" and own["mastery"] is own["low"] is own["high"] is None
        else:
            assert 0 <= own["low"] <= own["mastery"] <= own["high"] <= 1 and own["low"] < own["high"]
    assert found["n_in_reach"] >= len(found["in_reach"]) > 0 and all(own["readiness"] >= course.policy.ready for own in found["in_reach"])
    assert session.profile(answers) == found, "asked again, and gone on from"
    more = led(session, 5, seed=3)
    fresh = Session(course, "learner-1")
    for answer in answers + more:
        fresh.answer(*answer)
    assert session.profile(answers + more) == fresh.profile(answers + more)


def test_an_interval_narrows_as_answers_come():
    edges = pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "expert", "weight": 1.0})
    course = Course(ConceptGraph.from_tables(None, edges, pd.DataFrame({"item_id": ["a1", "b1"], "concept_id": ["a", "b"]})), Zpdes())
    widths = []
    for n in (3, 12):
        session, answers = Session(course, "learner-1"), [("a1", 1.0)] * n
        for answer in answers:
            session.answer(*answer)
        own = session.profile(answers)["concepts"][0]
        widths.append(own["high"] - own["low"])
    assert widths[1] < widths[0]


def test_what_a_course_rests_on_is_in_its_fingerprint(course):
    assert course.fingerprint == Course(graph(), Zpdes()).fingerprint
    assert len({course.fingerprint, Course(graph(), Zpdes(mastered=0.9)).fingerprint, Course(graph(), SpacedZpdes()).fingerprint,
                Course(graph(items=2), Zpdes()).fingerprint, Course(graph(31), Zpdes()).fingerprint}) == 5


@pytest.mark.parametrize("policy", [RandomChoice(), WeakestFirst(), Zpdes(ready=0.2)], ids=lambda policy: policy.name)
def test_a_policy_that_does_not_look_at_readiness_is_refused(policy: ConceptPolicy):
    with pytest.raises(DataError, match="never leads past what a learner is ready for; found .* Use zpdes"):
        Course(graph(), policy)
    with pytest.raises(DataError, match="needs items to ask"):
        Course(ConceptGraph.from_tables(pd.DataFrame({"concept_id": ["a"], "name": ["A"]}), None, None), Zpdes())


def test_a_policy_is_read_from_its_yaml(tmp_path):
    assert policy_of("zpdes").ready == 0.7
    own = tmp_path / "own.yaml"
    own.write_text("_target_: edukit.recommend.policies.OuterFringe\nready: 0.8\n")
    assert (policy_of(str(own)).name, policy_of(str(own)).ready) == ("outer_fringe", 0.8)
    for text, words in (("_target_: os.system\n", "must be a policy"), ("[]", "must be a policy"),
                        ("_target_: edukit.recommend.policies.lowest\n", "must be a policy"),
                        ("_target_: edukit.recommend.policies.OuterFringe\nspeed: 1\n", "settings of OuterFringe")):
        own.write_text(text)
        with pytest.raises(DataError, match=words):
            policy_of(str(own))
    with pytest.raises(DataError, match="must be one of expert_order, .*zpdes"):
        policy_of("zpd")
