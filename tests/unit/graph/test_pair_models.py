import numpy as np
import pandas as pd
import pytest

from edukit.graph import pair_features
from edukit.graph.floors import NameLogistic
from edukit.graph.pair_features import CONTEXT, NAMES, PairFeatures
from edukit.graph.pair_kernel import KernelSVM
from edukit.graph.pair_models import ExtraTrees, Logistic, candidates
from edukit.metrics import auc
from edukit.protocols import NotFittedError, PrerequisiteModel
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
MODELS = {"names": NameLogistic(), "logistic": Logistic(), "trees": ExtraTrees(trees=40, components=8), "svm": KernelSVM()}


def meaning(texts) -> np.ndarray:
    """In place of MiniLM: a word of the form c<number> lies along a line of depth, the rest is noise of its own."""
    rows = []
    for text in texts:
        numbers = [int(w.strip(".")[1:]) for w in text.split() if w[0] == "c" and w.strip(".")[1:].isdigit()]
        row = np.random.default_rng(sum(map(ord, text))).normal(0, 0.03, 384)
        row[0], row[1] = 1.0, np.mean(numbers) / 30 if numbers else 0.5
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32).reshape(-1, 384)


@pytest.fixture(autouse=True)
def _no_minilm(monkeypatch):
    monkeypatch.setattr(pair_features, "embed", meaning)
    pair_features._features.cache_clear()


def world(courses: bool = True, seed: int = 0) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """30 concepts, each requires shallower ones; courses of a depth mention concepts of that depth and require shallower courses."""
    rng = np.random.default_rng(seed)
    tables = {"concepts": pd.DataFrame({"concept_id": [f"id{k:02d}" for k in range(30)], "name": [f"c{k} (algebra)" for k in range(30)]})}
    if courses:
        tables["documents"] = pd.DataFrame({"document_id": [f"d{k}" for k in range(30)], "text": [f"About c{k}. Then c{min(k + 1, 29)}." for k in range(30)],
                                            "level": np.arange(30) // 10.0})
        tables["document_links"] = pd.DataFrame([(f"d{k}", f"d{k - j}") for k in range(30) for j in (1, 2) if k >= j], columns=["document_id", "requires_id"])
    ends = [(a, b) for a in range(30) for b in range(30) if a != b and rng.random() < 0.6]
    pairs = pd.DataFrame([(f"id{a:02d}", f"id{b:02d}", float(0 < a - b)) for a, b in ends], columns=[*PAIR, "label"])
    return tables, pairs


def parts(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs to learn from, and those of five concepts that are in none of them."""
    new = pairs[PAIR].isin([f"id{k:02d}" for k in range(2, 30, 6)]).any(axis=1)
    return pairs[~new], pairs[new]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("courses", [True, False])
def test_concepts_never_seen_are_ranked_by_what_is_said_of_them(name, courses):
    tables, pairs = world(courses)
    train, test = parts(pairs)
    said = MODELS[name].fit(tables, train).predict(test.set_axis(test.index + 1000))
    assert said.between(0, 1).all() and said.index.equals(test.index + 1000)
    assert auc(test["label"].to_numpy(), said.to_numpy()) > 0.85
    back = MODELS[name].predict(test.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True))))
    assert ((said.to_numpy() > back.to_numpy()) == (test["label"] == 1)).mean() > 0.85


@pytest.mark.parametrize("name", MODELS)
def test_labels_in_the_tables_are_not_read_and_the_same_seed_says_the_same(name):
    tables, pairs = world()
    train, test = parts(pairs)
    one = MODELS[name].fit(tables, train).predict(test)
    lies = {**tables, "prerequisites": test[PAIR], "concept_pairs": test.assign(label=1 - test["label"])}
    pd.testing.assert_series_equal(one, MODELS[name].fit(lies, train).predict(test))
    shuffled = MODELS[name].predict(test.sample(frac=1, random_state=0)).reindex(test.index)
    np.testing.assert_allclose(one, shuffled, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_shuffled_labels_teach_nothing(name):
    tables, pairs = world()
    found = []
    for seed in range(6):
        train, test = parts(pairs)
        train = train.assign(label=np.random.default_rng(seed).permutation(train["label"]))
        found.append(auc(test["label"].to_numpy(), MODELS[name].fit(tables, train).predict(test).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.2


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_has_no_circle_and_agrees_with_the_planted_order(name):
    tables, pairs = world()
    graph = MODELS[name].fit(tables, pairs).graph()
    edges = graph.adjacency()
    assert len(edges) > 30 and (edges[:, 0] < edges[:, 1]).mean() > 0.85
    assert graph.prerequisites["weight"].between(0.5, 1).all()


def test_models_say_what_they_need():
    tables, pairs = world()
    model = Logistic()
    assert isinstance(model, PrerequisiteModel)
    for ask in (lambda: model.predict(pairs), model.graph):
        with pytest.raises(NotFittedError):
            ask()
    with pytest.raises(DataError, match="label 1 and with label 0"):
        model.fit(tables, pairs[pairs["label"] == 1])
    with pytest.raises(DataError, match="nobody"):
        model.fit(tables, pairs).predict(pd.DataFrame({"concept_id": ["nobody"], "requires_id": ["id01"]}))


def test_course_features_say_which_way_courses_run():
    tables, _ = world()
    features = PairFeatures.from_tables(tables)
    asked = pd.DataFrame({"concept_id": ["id11", "id09"], "requires_id": ["id09", "id11"]})
    rows = pd.DataFrame(features.context(*features.positions(asked)), columns=CONTEXT)
    assert rows["flow"][0] > rows["flow"][1] == rows["flow_back"][0]
    assert rows["level_difference"][0] > 0 > rows["level_difference"][1]
    assert features.mentions[11, 11] == 1 and features.mentions[11, 10] == 1 and features.mentions[1, 11] < 1, "c1 is not in `c11`"
    assert np.isfinite(features.context(*features.positions(asked))).all()


def test_wikipedia_numbers_are_those_of_the_domain_turned_with_the_pair_and_missing_elsewhere():
    rows = [row for k in range(1, 13) for domain, value in (("a", 1.0), ("b", 3.0))
            for row in ((f"id{k:02d}", f"id{k + 12:02d}", domain, value * k, 1.0), (f"id{k + 12:02d}", f"id{k:02d}", domain, -value * k, 7.0))]
    columns = pd.DataFrame([*rows, ("id26", "id27", "a", 5.0, 1.0)], columns=[*PAIR, "domain", "refd", "title"])
    features = PairFeatures.from_tables({**world(False)[0], "pair_features": columns})
    asked = pd.DataFrame([("id01", "id13", "b"), ("id01", "id13", "c"), ("id13", "id01", "b"), ("id27", "id26", "a"), ("id01", "id02", "a")],
                         columns=[*PAIR, "domain"])
    told = features.wikipedia(asked)
    np.testing.assert_array_equal(told[:, 0], [3.0, 2.0, -3.0, -5.0, np.nan])
    assert np.isnan(told[:, 1]).all(), "a number that cannot be turned would tell which order was judged"
    assert features.numbers(asked).shape == (5, len(NAMES) + 2)


def test_links_are_walked_the_same_whichever_order_of_a_pair_the_table_holds():
    tables, _ = world(False)
    rows = [("id01", "id02", 1.0, 0.0), ("id02", "id01", 0.0, 1.0), ("id05", "id03", 1.0, 1.0), ("id03", "id05", 1.0, 1.0)]
    columns = pd.DataFrame(rows, columns=[*PAIR, "links_concept_to_requires", "links_requires_to_concept"])
    a, b = np.divmod(np.arange(900), 30)
    whole, less, none = (PairFeatures.from_tables({**tables, "pair_features": c}).surroundings(a, b) for c in (columns, columns.iloc[[1, 2]], columns.iloc[:0]))
    np.testing.assert_allclose(whole, less)
    assert whole.shape[1] > none.shape[1]


def test_candidates_stay_few_in_a_large_graph():
    names = pd.DataFrame({"concept_id": [f"i{k}" for k in range(300)], "name": [f"c{k}" for k in range(300)]})
    pairs = candidates(PairFeatures.from_tables({"concepts": names}), 10)
    assert len(pairs) <= 300 * 20 and not (pairs["concept_id"] == pairs["requires_id"]).any() and not pairs.duplicated().any()
    assert len(candidates(PairFeatures.from_tables({"concepts": names}), 400)) == 300 * 299
