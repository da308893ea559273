"""Pairs of concepts are counted the same however they are cut, and never as a matrix of all concepts by all where there are many."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from edukit.graph import cells, pair_counts
from edukit.graph.cells import fold, shared_items
from edukit.graph.evidence import CHANNELS, Evidence, intervals, pairwise
from edukit.schema import DataError

MANY = 6_000


def world(learners: int, concepts: int, around: int, each: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Learners who each answer ``each`` of ``around`` neighbouring concepts once, in a drawn order; one item also carries a second concept."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, concepts - around + 1, learners)
    item = start[:, None] + rng.random((learners, around)).argsort(axis=1)[:, :each]
    able = rng.normal(size=(learners, 1))
    correct = rng.random(item.shape) < 1 / (1 + np.exp(item % 3 - 1 - able))
    ids = np.array([f"c{k:05d}" for k in range(concepts)])
    rows = pd.DataFrame({"learner_id": np.repeat(np.arange(learners), each).astype(str), "item_id": item.ravel().astype(str),
                         "correct": correct.ravel().astype(float), "order": pd.array(np.tile(np.arange(each) // 2, learners), "Int64")})
    q = pd.DataFrame({"item_id": [*np.arange(concepts).astype(str), "0"], "concept_id": [*ids, ids[1]]})
    return {"interactions": rows, "q_matrix": q}


@pytest.fixture(scope="module")
def small():
    return world(400, 30, 12, 8)


@pytest.fixture(scope="module")
def whole(small):
    """Counted with dense matrices in one block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "SPARSE", 0.0)
        return answers(small)


def answers(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    wide = pairwise(**tables, min_common=10)
    names = [name for name in CHANNELS if name != "transition"]
    bounds = intervals(fold(**tables), wide.iloc[::7].reset_index(drop=True), names, draws=30)
    return wide, bounds, Evidence(min_common=10, draws=30).fit(tables).graph().prerequisites


@pytest.mark.parametrize("filled", [0.0, 2.0], ids=["dense", "sparse"])
@pytest.mark.parametrize("held", [1, 100, 1 << 22])
@pytest.mark.parametrize("learners", [7, 4096])
def test_answers_do_not_depend_on_how_the_counting_is_cut(small, whole, filled, held, learners, monkeypatch):
    monkeypatch.setattr(pair_counts, "SPARSE", filled)
    monkeypatch.setattr(pair_counts, "HELD", held)
    monkeypatch.setattr(cells, "BLOCK", learners)
    assert pair_counts.Factors(fold(**small)).sparse == (filled > 0)
    for found, wanted in zip(answers(small), whole, strict=True):
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-4, atol=1e-5)
    wide = whole[0]
    linked = wide[(wide["concept_id"] == "c00000") & (wide["requires_id"] == "c00001")]
    assert len(wide) > 100 and linked["mcnemar"].isna().all() and linked["exposure_lift"].notna().all()
    assert wide["parent_first"].between(0, 1).all() and (wide["parent_first"] % 0.5 != 0).any() and wide["transition"].between(0, 1).any()


def test_many_concepts_never_make_a_matrix_of_all_by_all(small, whole):  # what is imported was imported for these
    tables = world(800, MANY, 40, 12)
    item = tables["interactions"]["item_id"].astype(int)
    tables["interactions"]["item_id"] = (item // 100 * 100 + item % 50).astype(str)  # fewer concepts, more learners on each
    tracemalloc.start()
    try:
        model = Evidence(min_common=3, draws=5).fit(tables)
        edges = len(model.graph().prerequisites)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.scores()["n"].ge(3).all() and len(model.scores()) > 3_000 and edges > 500
    assert peak < 4 * MANY**2, f"{peak / 2**20:,.0f} MB"  # half of one matrix of all by all


def test_what_would_be_a_matrix_of_all_by_all_is_refused_before_it_is_made(monkeypatch):
    tables = world(50, MANY, 40, 5)
    found = fold(**tables)
    tracemalloc.start()
    try:
        for ask in (lambda: found.shared, lambda: found.steps, lambda: shared_items(tables["q_matrix"], found.concept_ids)):
            with pytest.raises(DataError, match=r"at most 5,000 concepts.*found 6,000\. Choose"):
                ask()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(pair_counts, "MOST", 10)
    with pytest.raises(DataError, match=r"at most 100 ordered pairs.*Raise min_common"):
        pairwise(**world(100, 30, 30, 30), min_common=2)


def test_few_concepts_are_held_dense_as_before(small):
    found = fold(**small)
    assert found.shared.sum() == 30 + 2 and found.shared[0, 1] and not found.shared[0, 2]
    assert found.steps.shape == (30, 30) and found.steps.sum() >= 400 * 7
    assert fold(small["interactions"].assign(order=pd.NA), small["q_matrix"]).steps is None
    met, marks = found.totals()
    assert met.sum() == len(found.learner) and marks.sum() == pytest.approx(found.correct.sum())
