import numpy as np
import pandas as pd
import pytest

from edukit.graph import blend, course_features, pair_features, pair_kernel
from edukit.graph.blend import Blend, Told
from edukit.graph.pair_features import PairFeatures
from edukit.graph.pair_models import Rows
from edukit.metrics import auc
from edukit.protocols import NotFittedError, PrerequisiteModel
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
SIZE = 24


@pytest.fixture(autouse=True)
def _no_minilm(monkeypatch):
    """In place of MiniLM: a name ``c<number>`` lies along a line of depth."""
    def meaning(texts):
        rows = [np.r_[1.0, int(t[1:]) / SIZE, np.random.default_rng(int(t[1:])).normal(0, 0.05, 382)] for t in texts]
        return np.array([r / np.linalg.norm(r) for r in rows], np.float32).reshape(-1, 384)

    monkeypatch.setattr(pair_features, "embed", meaning)
    pair_features._features.cache_clear()


def world(seed: int = 0, share: float = 0.8) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Concepts in a line; each requires all before it."""
    rng = np.random.default_rng(seed)
    tables = {"concepts": pd.DataFrame({"concept_id": [f"id{k}" for k in range(SIZE)], "name": [f"c{k}" for k in range(SIZE)]})}
    ends = [(a, b) for a in range(SIZE) for b in range(SIZE) if a != b and rng.random() < share]
    return tables, pd.DataFrame([(f"id{a}", f"id{b}", float(a > b)) for a, b in ends], columns=[*PAIR, "label"])


def parts(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    new = pairs[PAIR].isin([f"id{k}" for k in (3, 10, 17)]).any(axis=1)
    return pairs[~new], pairs[new]


def turned(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))


@pytest.mark.parametrize("trees", [0, 20])
def test_concepts_never_seen_are_ranked_and_directed(trees):
    tables, pairs = world()
    train, test = parts(pairs)
    model = Blend(parts=3, trees=trees)
    assert isinstance(model, PrerequisiteModel)
    said = model.fit(tables, train).predict(test.set_axis(test.index + 500))
    assert said.between(0, 1).all() and said.index.equals(test.index + 500)
    assert auc(test["label"].to_numpy(), said.to_numpy()) > 0.9
    yes = test["label"] == 1
    assert (said.to_numpy() > model.predict(turned(test)).to_numpy())[yes].mean() > 0.9
    assert abs(said.mean() - test["label"].mean()) < 0.1, "probabilities add up to about the positives"


def test_what_is_asked_together_changes_no_score_and_labels_in_tables_are_not_read():
    tables, pairs = world()
    train, test = parts(pairs)
    one = Blend(parts=3).fit(tables, train).predict(test)
    model = Blend(parts=3).fit({**tables, "prerequisites": test[PAIR], "concept_pairs": test.assign(label=1 - test["label"])}, train)
    alone = pd.concat([model.predict(test.iloc[[k]]) for k in (5, 0, 11)])
    np.testing.assert_allclose(alone, one.iloc[[5, 0, 11]], atol=1e-6)
    np.testing.assert_allclose(model.predict(test), one, atol=1e-6)


def test_shuffled_labels_teach_nothing():
    tables, pairs = world()
    found = []
    for seed in range(6):
        train, test = parts(pairs)
        train = train.assign(label=np.random.default_rng(seed).permutation(train["label"]))
        found.append(auc(test["label"].to_numpy(), Blend(parts=3, seed=seed).fit(tables, train).predict(test).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.2


def test_a_pairs_own_label_is_in_nothing_that_weighs_it():
    tables, pairs = world(share=0.5)
    rows = [pairs.copy(), pairs.copy()]
    rows[1].loc[0, "label"] = 1 - rows[1].loc[0, "label"]
    kept = []
    for labels in rows:
        model = Blend(parts=2)
        seen: list[np.ndarray] = []
        numbers = model._numbers
        model._numbers = lambda *a, numbers=numbers, seen=seen: (seen.append(numbers(*a)), seen[-1])[1]  # type: ignore[method-assign]
        a, b = (labels[c].str[2:].astype(int).to_numpy() for c in PAIR)
        model.fit(tables, labels)
        where = [np.flatnonzero(left == 0) for _, _, left in model._parts(a, b, labels["label"].to_numpy(), SIZE)]
        kept.append([told[at] for told, at in zip(seen, where, strict=True) if len(at)])
    assert len(kept[0]) >= 2
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_the_told_graph_counts_paths_of_two_and_takes_known_labels():
    out = np.zeros((4, 3))
    out[0, 1] = out[1, 2] = 1.0  # 0 requires 1, 1 requires 2
    told = Told(out, np.zeros((4, 3)))
    known = told.with_labels(Rows(np.array([1, 0]), np.array([2, 3]), np.zeros((2, 0))), np.array([1.0, 1.0]), np.array([0, 1, 2, -1]))
    assert known.numbers(np.array([0, 2]), np.array([2, 0]))[:, :2].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert known.into[3, 0] == 1 and told.into.sum() == 0


def test_two_seen_ends_are_judged_by_their_own_weights_and_few_labels_still_give_an_answer():
    tables, pairs = world()
    model = Blend(parts=3).fit(tables, pairs)
    assert set(model._heads) == {True, False}
    few = pd.DataFrame({"concept_id": ["id5", "id1"], "requires_id": ["id1", "id5"], "label": [1.0, 0.0]})
    assert Blend().fit(tables, few).predict(pairs).between(0, 1).all()
    with pytest.raises(NotFittedError):
        Blend().predict(pairs)
    with pytest.raises(DataError, match="label 1 and with label 0"):
        Blend().fit(tables, few.iloc[:1])


def test_the_graph_has_the_planted_order():
    tables, pairs = world()
    edges = Blend(parts=3).fit(tables, pairs).graph().adjacency()
    assert len(edges) > 50 and (edges[:, 0] < edges[:, 1]).mean() > 0.95


def test_many_concepts_and_small_chunks_are_read_to_the_same_scores(monkeypatch):
    tables, pairs = world()
    train, test = parts(pairs)
    one = Blend(parts=3).fit(tables, train).predict(test)
    for place, name, size in ((blend, "CHUNK", 7), (blend, "GRID", 50), (blend, "BLOCK", 11), (blend, "SMALL", 5), (blend, "EVERY", 5),
                              (pair_kernel, "EVERY", 5), (course_features, "SMALL", 5), (Blend, "block", 9)):
        monkeypatch.setattr(place, name, size)
    pair_features._features.cache_clear()
    np.testing.assert_allclose(Blend(parts=3).fit(tables, train).predict(test), one, atol=5e-3)


def test_a_pair_and_its_reverse_are_read_once_and_each_domain_by_itself():
    tables, pairs = world()
    ends = [(a, b) for a in range(SIZE) for b in range(SIZE) if a != b]
    numbers = [(f"id{a}", f"id{b}", domain, float(a - b) * way) for a, b in ends for domain, way in (("one", 1), ("two", -1))]
    tables["pair_features"] = pd.DataFrame(numbers, columns=[*PAIR, "domain", "ahead"])
    train, test = (rows.assign(domain="one") for rows in parts(pairs))
    model = Blend(parts=3).fit(tables, train)
    asked = pd.concat([test, turned(test), test.assign(domain="two")], ignore_index=True)
    said = model.predict(asked).to_numpy().reshape(3, -1)
    np.testing.assert_allclose(said[0], model.predict(test), atol=1e-6)
    np.testing.assert_allclose(said[1], model.predict(turned(test)), atol=1e-6)
    np.testing.assert_allclose(said[2], model.predict(test.assign(domain="two")), atol=1e-6)
    yes = test["label"] == 1
    assert said[0][yes].mean() > said[2][yes].mean() + 0.05, "numbers of another domain are other numbers"


def test_walks_over_the_graph_without_labels_are_read_where_asked_for():
    tables, pairs = world()
    train, test = parts(pairs)
    widths = []
    for surroundings in (False, True):
        model = Blend(parts=3, surroundings=surroundings).fit(tables, train)
        assert auc(test["label"].to_numpy(), model.predict(test).to_numpy()) > 0.9
        features = PairFeatures.from_tables(tables)
        widths.append(model._members[1].rows(features, test).block.shape[1])
        lies = {**tables, "prerequisites": test[PAIR], "concept_pairs": test.assign(label=1 - test["label"])}
        np.testing.assert_array_equal(features.surroundings(*features.positions(test)), PairFeatures.from_tables(lies).surroundings(*features.positions(test)))
    assert widths[0] == len(pair_features.NAMES) < widths[1]
