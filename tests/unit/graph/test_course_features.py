import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from edukit.graph import course_features
from edukit.graph.course_features import COURSES, OF_ONE, OF_TWO, CourseFeatures, products

WORDS = ["sets", "maps", "rings", "fields"]


def meaning(texts) -> np.ndarray:
    """An embedding that knows of which of 40 depths a text speaks (``depth<k>``), and which word it holds."""
    rows = [np.r_[1.0, float(m.group(1)) / 20 if (m := re.search(r"depth(\d+)", t)) else 0.0, [w in t.lower() for w in WORDS], np.zeros(8)] for t in texts]
    return np.array([r / np.linalg.norm(r) for r in rows], np.float32).reshape(-1, 14)


def courses(order: str = "Sets come first. Then maps; rings need sets and maps.") -> CourseFeatures:
    """40 courses in a line of requirements; the text of the last holds all."""
    texts = [f"Nothing at depth{k}." for k in range(40)]
    texts[1], texts[10], texts[20], texts[39] = "Sets at depth1.", "Maps at depth10.", "Rings at depth20.", order
    documents = pd.DataFrame({"document_id": [f"d{k}" for k in range(40)], "text": texts, "title": [f"depth{k}" for k in range(40)], "level": np.arange(40.0)})
    links = pd.DataFrame([(f"d{k}", f"d{k - 1}") for k in range(1, 40)], columns=["document_id", "requires_id"])
    names = meaning([f"{w} depth{k}" for w, k in zip(WORDS, (1, 10, 20, 30), strict=True)])
    return CourseFeatures(documents, links, names, [re.compile(rf"(?<!\w){w}(?:s|es)?(?!\w)") for w in WORDS], meaning)


def of(found: CourseFeatures, a: int, b: int) -> pd.Series:
    return pd.Series(found.numbers(np.array([a]), np.array([b]))[0], COURSES)


def test_every_number_has_a_name_and_is_finite():
    found = courses()
    assert len(COURSES) == len(set(COURSES)) == len(OF_TWO) + 3 * len(OF_ONE)
    a, b = np.divmod(np.arange(16), 4)
    rows = found.numbers(a, b)
    assert rows.shape == (16, len(COURSES)) and np.isfinite(rows).all()
    bare = CourseFeatures(found.documents[["document_id", "text"]], None, found.names, found.spoken, meaning)
    assert np.isfinite(bare.numbers(a, b)).all()


def test_names_are_found_in_texts_and_in_order():
    found = courses()
    assert found.mentions[0, 39] == found.mentions[0, 1] == 1 and found.mentions[3].max() == 0.5
    assert of(found, 2, 0)["named_first"] == -of(found, 0, 2)["named_first"] < 0, "sets are named before rings"
    assert of(found, 2, 0)["sentences"] == pytest.approx(np.log(2)) and of(found, 2, 3)["sentences"] == 0
    other = courses("Rings first. Sets last.")
    assert of(other, 2, 0)["named_first"] > 0


def test_depth_height_and_reach_follow_the_requirements():
    found = courses()
    one = pd.DataFrame(found.of_one, columns=OF_ONE)
    assert one["depth"][2] > one["depth"][0]
    assert one["height"][0] > one["height"][2] and one["level"][2] > one["level"][0]
    assert of(found, 2, 0)["reach_share"] > of(found, 2, 0)["reach_back_share"]


def test_course_titles_teach_which_way_concepts_run():
    found = courses()
    assert of(found, 2, 0)["course_like"] > of(found, 0, 2)["course_like"]
    assert of(found, 2, 0)["name_rank_difference"] > 0
    turned = CourseFeatures(found.documents, found.links.set_axis(["requires_id", "document_id"], axis=1), found.names, found.spoken, meaning)
    assert of(turned, 2, 0)["name_rank_difference"] < 0
    few = CourseFeatures(found.documents, found.links.head(5), found.names, found.spoken, meaning)
    assert of(few, 2, 0)["name_rank_difference"] == 0, "too few courses to learn from say nothing"


def test_products_are_the_same_pair_by_pair_and_all_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    left, right, a, b = rng.random((30, 5)), rng.random((30, 5)), rng.integers(0, 30, 900), rng.integers(0, 30, 900)
    whole = products(left, right, a, b)
    monkeypatch.setattr(course_features, "SMALL", 10)
    np.testing.assert_allclose(whole, products(left, right, a, b))
    np.testing.assert_allclose(whole, products(sparse.csr_array(left), sparse.csr_array(right), a, b))


def test_a_circle_of_courses_ends():
    found = courses()
    ring = pd.concat([found.links, pd.DataFrame({"document_id": ["d0"], "requires_id": ["d39"]})], ignore_index=True)
    assert np.isfinite(CourseFeatures(found.documents, ring, found.names, found.spoken, meaning).of_one).all()
