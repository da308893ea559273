import numpy as np
import pandas as pd
import pytest

from edukit.graph import pair_features, surroundings
from edukit.graph.pair_features import PairFeatures
from edukit.graph.surroundings import Surroundings, largest, rows_to_one


@pytest.fixture(autouse=True)
def _no_minilm(monkeypatch):
    monkeypatch.setattr(pair_features, "embed", lambda texts: np.eye(len(texts), 384, dtype=np.float32))
    pair_features._features.cache_clear()


def chain(size: int = 8) -> PairFeatures:
    """A course per concept, in which alone it is named; each course requires the one before it; a link from each concept two back."""
    return PairFeatures.from_tables({
        "concepts": pd.DataFrame({"concept_id": [f"id{k}" for k in range(size)], "name": [f"word{k}" for k in range(size)]}),
        "documents": pd.DataFrame({"document_id": [f"d{k}" for k in range(size)], "text": [f"About word{k}." for k in range(size)]}),
        "document_links": pd.DataFrame({"document_id": [f"d{k}" for k in range(1, size)], "requires_id": [f"d{k}" for k in range(size - 1)]}),
        "pair_features": pd.DataFrame({"concept_id": [f"id{k}" for k in range(2, size)], "requires_id": [f"id{k}" for k in range(size - 2)],
                                       "links_concept_to_requires": 3.0})})


def told(found: Surroundings, name: str, a: int, b: int) -> float:
    return float(found.numbers(np.array([a]), np.array([b]))[0, found.names.index(name)])


def test_walks_follow_the_direction_of_links():
    found = Surroundings(chain(), neighbours=2)
    assert told(found, "links, 1 steps", 6, 4) == pytest.approx(np.log1p(8)) and told(found, "links, 1 steps", 4, 6) == 0
    assert told(found, "links, 2 steps", 6, 2) > 0 and told(found, "links, 2 steps", 6, 4) == 0 and told(found, "links, 3 steps", 6, 0) > 0
    assert told(found, "visits towards required", 7, 0) > told(found, "visits towards required", 0, 7)
    assert told(found, "visits any way", 0, 7) > 0


def test_which_order_of_a_pair_the_table_holds_says_nothing():
    held = chain()
    swap = {"concept_id": "requires_id", "requires_id": "concept_id", "links_concept_to_requires": "links_requires_to_concept"}
    other = PairFeatures(held.concepts, held.documents, held.document_links, held.columns.rename(columns=swap))
    a, b = np.divmod(np.arange(64), 8)
    np.testing.assert_array_equal(Surroundings(held, 2).numbers(a, b), Surroundings(other, 2).numbers(a, b))


def test_numbers_hold_both_orders_and_are_the_same_block_by_block(monkeypatch):
    whole, a, b = Surroundings(chain(), 3), np.array([0, 5, 7, 7]), np.array([4, 1, 2, 7])
    said, half = whole.numbers(a, b), len(whole.names)
    assert said.shape == (4, 2 * half) and said.dtype == np.float32 and np.isfinite(said).all()
    np.testing.assert_array_equal(said[:, half:], whole.numbers(b, a)[:, :half])
    monkeypatch.setattr(surroundings, "EVERY", 0)
    monkeypatch.setattr(surroundings, "BLOCK", 2)
    np.testing.assert_allclose(Surroundings(chain(), 3).numbers(a, b), said, rtol=1e-6)


def test_concepts_with_nothing_around_them_are_told_of():
    alone = PairFeatures.from_tables({"concepts": pd.DataFrame({"concept_id": ["x", "y"], "name": ["one", "two"]})})
    found = Surroundings(alone, 0)
    assert np.isfinite(found.numbers(np.array([0, 1]), np.array([1, 0]))).all()


def test_rows_are_shares_and_the_largest_are_kept():
    from scipy import sparse

    weights = sparse.csr_array(np.array([[9.0, 1, 3], [0, 0, 0], [2, 2, 0]]))
    np.testing.assert_allclose(rows_to_one(weights).sum(axis=1), [1, 0, 1])
    np.testing.assert_array_equal(largest(weights, 1).toarray(), [[0, 0, 3], [0, 0, 0], [2, 0, 0]])
