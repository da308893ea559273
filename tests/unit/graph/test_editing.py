"""Editing loses nothing: differences rebuild the other graph, merges hold both sides' work, every version comes back, planted faults are named."""

from __future__ import annotations

import dataclasses

import networkx as nx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edukit.formats.graph_file import HELD, GraphFile, canonical, fingerprint
from edukit.graph import checking
from edukit.graph.checking import check, cycles
from edukit.graph.editing import Change, apply, at, diff, merge, save, unrecorded
from edukit.schema import DataError

IDS = ["a", "b", "c[0]", "d\"'", "🦉"]
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
Graph = dict[str, pd.DataFrame]


def concepts(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"concept_id": list(ids), "name": [i.upper() for i in ids]})


def edges(*pairs: str, **columns) -> pd.DataFrame:
    """Each pair "xy" says that y requires x."""
    table = pd.DataFrame({"concept_id": [p[1] for p in pairs], "requires_id": [p[0] for p in pairs], "source": "expert", "weight": 1.0})
    return table.assign(**columns)


@st.composite
def graphs(draw) -> Graph:
    """Any valid tables: cycles, self-loops and dangling ends included, optional cells filled or not."""
    some = st.sampled_from(IDS)
    listed = {
        "concepts": draw(st.lists(st.tuples(some, st.sampled_from("xy"), st.none() | st.just("t")), unique_by=lambda r: r[0])),
        "prerequisites": draw(st.lists(st.tuples(some, some, st.sampled_from("pm"), st.sampled_from([0.0, 0.5, 1.0]), st.none() | st.sampled_from(["r", ""]),
                                                 st.none() | st.sampled_from("gh")), unique_by=lambda r: r[:3])),
        "votes": draw(st.lists(st.tuples(some, some, st.sampled_from("uv"), st.sampled_from(["yes", "no"])), unique_by=lambda r: r[:3], max_size=3)),
    }
    columns = {"concepts": ["concept_id", "name", "topic"], "prerequisites": ["concept_id", "requires_id", "source", "weight", "rationale", "group"],
               "votes": ["concept_id", "requires_id", "rater_id", "vote"]}
    return {name: pd.DataFrame(rows, columns=columns[name]) for name, rows in listed.items()}


def same(found: Graph, given: Graph) -> bool:
    """Whether tables that editing gave are the canonical form of others."""
    given = canonical(given)
    for name in HELD:
        pd.testing.assert_frame_equal(found[name], given[name])
    return True


def mark(tables: Graph) -> str:
    return fingerprint(canonical(tables))


@given(a=graphs(), b=graphs())
@SLOW
def test_a_difference_applied_gives_the_other_graph_and_reversed_gives_the_first(a: Graph, b: Graph):
    changes = diff(a, b)
    records = [Change.of(change.record()) for change in changes]
    assert same(apply(a, records), b) and same(apply(b, [c.reversed() for c in changes]), a)
    assert not diff(a, a) and bool(changes) == (mark(a) != mark(b))


@given(base=graphs(), ours=graphs(), theirs=graphs(), cut=st.integers(0, 2))
@SLOW
def test_a_merge_of_changes_that_do_not_overlap_holds_both(base: Graph, ours: Graph, theirs: Graph, cut: int):
    mine, other = (diff(base, side) for side in (ours, theirs))
    mine = [change for number, change in enumerate(mine) if number % 3 != cut]
    touched = {(change.table, change.key) for change in mine}
    other = [change for change in other if (change.table, change.key) not in touched]
    first, second = apply(base, mine), apply(base, other)
    outcome = merge(base, first, second)
    assert not outcome.conflicts and outcome.tables is not None
    assert same(outcome.tables, apply(first, other)) and not diff(merge(base, second, first).tables, outcome.tables)


@given(base=graphs(), ours=graphs(), theirs=graphs())
@SLOW
def test_no_disagreement_is_settled_silently(base: Graph, ours: Graph, theirs: Graph):
    outcome = merge(base, ours, theirs)
    if not outcome.conflicts:
        return
    assert outcome.tables is None
    for side, graph in (("ours", ours), ("theirs", theirs)):
        chosen = merge(base, ours, theirs, prefer=side)
        assert chosen.conflicts == outcome.conflicts and chosen.tables is not None
        kept = {(c.table, c.key, f) for c in diff(graph, chosen.tables) for f in (c.after or {"": None})}
        assert not kept & {(c.table, c.key, c.field) for c in outcome.conflicts}


def test_fields_of_one_edge_merge_and_what_both_say_differently_is_named():
    base = {"concepts": concepts(*"abc"), "prerequisites": edges("ab", "bc")}
    ours = {**base, "prerequisites": edges("ab", "bc", weight=[0.5, 1], rationale=["b counts in a", None])}
    theirs = {**base, "prerequisites": edges("ab", "bc", weight=[1, 0.9])}
    both = merge(base, ours, theirs).tables["prerequisites"]
    assert both["weight"].tolist() == [0.5, 0.9] and both["rationale"].tolist()[0] == "b counts in a"
    disagree = merge(base, ours, {**base, "prerequisites": edges("ab", "bc", weight=[0.7, 1])})
    assert [str(c) for c in disagree.conflicts] == ["edge 'b' requires 'a' (source expert): weight was 1, ours says 0.5, theirs 0.7"]
    for side, sides in (("ours", (edges("bc"), ours["prerequisites"])), ("theirs", (ours["prerequisites"], edges("bc")))):
        gone = merge(base, *({**base, "prerequisites": table} for table in sides))
        assert str(gone.conflicts[0]).startswith("edge 'b' requires 'a'") and f"{side} removed it" in str(gone.conflicts[0]) and gone.tables is None
    with pytest.raises(DataError, match="ours or theirs"):
        merge(base, ours, theirs, prefer="mine")


def test_a_fault_that_only_the_merge_has_is_told():
    base = {"concepts": concepts(*"abc"), "prerequisites": edges("ab", "cc")}
    closing = merge(base, {**base, "prerequisites": edges("ab", "bc", "cc")}, {**base, "prerequisites": edges("ab", "ca", "cc")})
    assert [(f.kind, f.subject) for f in closing.faults] == [("cycle", ("a", "b", "c"))]  # the self-loop was there before
    dangling = merge(base, {**base, "concepts": concepts("a", "b")}, {**base, "prerequisites": edges("ab", "bc", "cc")})
    assert not closing.conflicts and ("dangling", ("c",)) not in {(f.kind, f.subject) for f in dangling.faults}  # ours dangled already
    alone = merge({**base, "prerequisites": edges("ab")}, {"concepts": concepts("a", "b"), "prerequisites": edges("ab")},
                  {**base, "prerequisites": edges("ab", "bc")})
    assert [(f.kind, f.subject) for f in alone.faults] == [("dangling", ("c",))]


@given(states=st.lists(graphs(), min_size=1, max_size=4))
@SLOW
def test_every_version_comes_back_and_equal_saves_are_equal(states: list[Graph]):
    marks = [mark(state) for state in states]
    states = [state for n, state in enumerate(states) if not n or marks[n] != marks[n - 1]]
    files = []
    for _ in range(2):
        file = None
        for number, state in enumerate(states):
            file = save(file, state, f"2026-01-0{number + 1}", "Ana", f"state {number}")
        files.append(file)
    assert files[0].history == files[1].history and len(files[0].history) == len(states)
    for number, state in enumerate(states, start=1):
        assert same(at(files[0], number), state) and files[0].history[number - 1].fingerprint == mark(state)
    assert save(files[0], states[-1], "2026-02-01", "Bo", "again").history == files[0].history and not unrecorded(files[0])


def test_edits_by_hand_are_seen_and_recorded_and_a_history_that_was_tampered_with_is_refused():
    first = save(None, {"concepts": concepts("a", "b"), "prerequisites": edges("ab")}, "2026-01-01T02:00+02:00", "Ana", "")
    assert first.history[0].time == "2026-01-01T00:00:00+00:00"
    by_hand = GraphFile({**first.tables, "prerequisites": edges("ab", weight=0.5)}, first.history)
    assert [str(c) for c in unrecorded(by_hand)] == ["~ edge 'b' requires 'a' (source expert): weight 1 -> 0.5"]
    second = save(by_hand, by_hand.tables, "2026-01-02", "Bo", "less sure")
    assert [c["after"] for c in second.history[1].changes] == [{"weight": 0.5}] and same(at(second, 1), first.tables)
    with pytest.raises(DataError, match="1 to 2; found 3"):
        at(second, 3)
    forged = dataclasses.replace(second.history[0], changes=second.history[0].changes[:-1])
    with pytest.raises(DataError, match="fingerprint"):
        at(GraphFile(second.tables, (forged,)), 1)
    with pytest.raises(DataError, match="must follow from the one before"):
        at(GraphFile(second.tables, (forged, second.history[1])), 2)
    with pytest.raises(DataError, match="Use merge"):
        apply(first.tables, diff(second.tables, {**second.tables, "prerequisites": edges("ab", weight=0.1)}))


@st.composite
def planted(draw) -> tuple[Graph, set[tuple[str, tuple[str, ...]]]]:
    """A clean layered graph of 12 concepts with some faults put in, and what they are."""
    ids = [f"c{k:02d}" for k in range(12)]
    pairs = draw(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] < p[1]), min_size=3, max_size=20, unique=True))
    rows = [(ids[b], ids[a], "expert", 1.0) for a, b in pairs]
    wanted: set[tuple[str, tuple[str, ...]]] = set()
    members = draw(st.lists(st.integers(0, 11), min_size=2, max_size=5, unique=True) | st.none())
    if members:
        circle = [ids[m] for m in members]
        rows += [(b, a, "planted", 0.5) for a, b in zip(circle, [*circle[1:], circle[0]], strict=True)]
        first = circle.index(min(circle))
        wanted.add(("cycle", (*circle[first:], *circle[:first])))
    if draw(st.booleans()):
        rows.append((ids[3], ids[3], "expert", 1.0))
        wanted.add(("self-loop", (ids[3],)))
    if draw(st.booleans()):
        rows += [rows[0][:3] + (0.3,)]
        wanted.add(("duplicate", ("prerequisites", *rows[0][:3])))
    for ghost in draw(st.lists(st.sampled_from(["x", "y"]), unique=True)):
        rows.append((ids[0], ghost, "expert", 1.0))
        wanted.add(("dangling", (ghost,)))
    if draw(st.booleans()):
        rows.append((ids[11], ids[0], "wild", draw(st.sampled_from([-0.1, 1.5]))))
        wanted.add(("range", ("weight", ids[11], ids[0])))
    known = concepts(*ids)
    if draw(st.booleans()):
        known = pd.concat([known, known.iloc[[4]]])
        wanted.add(("duplicate", ("concepts", ids[4])))
    table = pd.DataFrame(rows, columns=["concept_id", "requires_id", "source", "weight"]).sample(frac=1, random_state=draw(st.integers(0, 9)))
    return {"concepts": known, "prerequisites": table}, wanted


@given(case=planted())
@settings(SLOW, max_examples=60)
def test_check_finds_every_planted_fault_and_no_other(case):
    tables, wanted = case
    found = {(f.kind, f.subject): f for f in check(tables) if f.fault}
    assert wanted <= set(found) and {w for w in found if w[0] != "cycle"} == {w for w in wanted if w[0] != "cycle"}
    claims = set(zip(tables["prerequisites"]["requires_id"], tables["prerequisites"]["concept_id"], strict=True))
    for (kind, circle), finding in found.items():
        if kind == "cycle":
            steps = list(zip(circle, (*circle[1:], circle[0]), strict=True))
            assert set(steps) <= claims and all(f"'{b}' requires '{a}'" in finding.message for a, b in steps)


def test_of_too_many_cycles_every_edge_on_one_is_still_named(monkeypatch):
    monkeypatch.setattr(checking, "MOST", 5)
    dense = [(f"c{a}", f"c{b}") for a in range(9) for b in range(9) if a != b] + [("d", "c0"), ("e", "d")]
    found, complete = cycles(dense, most=5)
    named = {(b, a) for circle in found for a, b in zip(circle, (*circle[1:], circle[0]), strict=True)}
    assert not complete and named == {p for p in dense if p[0][0] == "c"} and len(found) < 100
    assert all(nx.DiGraph([(b, a) for a, b in dense]).has_edge(*step) for c in found for step in zip(c, (*c[1:], c[0]), strict=True))


def test_values_that_cannot_be_read_isolated_concepts_and_an_empty_graph():
    rough = {"concepts": concepts("a", "b", "c"), "prerequisites": edges("ab", weight="much", colour="red")}
    found = "\n".join(map(str, check(rough)))
    assert "weight must be a number" in found and "no column colour" in found and "note: 1 of 3 concepts neither require nor are required: 'c'" in found
    assert check({"concepts": concepts("a", "b"), "prerequisites": edges("ab")}) == [] == check({})
    assert [f.kind for f in check({"prerequisites": edges("ab")})] == ["dangling", "dangling"]
