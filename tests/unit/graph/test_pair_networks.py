import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from edukit.experiments import graph_search

from edukit import splits
from edukit.graph import pair_features
from edukit.graph.floors import NameLogistic
from edukit.graph.label_propagation import PRIOR, Judgements, held_out, likeness
from edukit.graph.pair_benchmark import make_fold, random_negatives, run_fold, with_reversed
from edukit.graph.pair_features import PairFeatures
from edukit.graph.pair_networks import CourseGNN, DirectedGNN, PairNetworkModel, SymmetricVGAE
from edukit.metrics import auc
from edukit.protocols import DiagnosticError, NotFittedError, PrerequisiteModel
from edukit.reproducibility import bundled
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
SMALL = {"hidden": 16, "components": 8, "networks": 1, "parts": 3, "epochs": 8, "valid_share": 0.2, "learning_rate": 0.02}
ALL = ("similar", "together", "links", "courses", "judged")
MODELS = {"course": lambda **more: CourseGNN(**{**SMALL, "layers": 2, "edges": ALL, "propagation": 8, **more}),
          "directed": lambda **more: DirectedGNN(**{**SMALL, "layers": 2, **more}),
          "vgae": lambda **more: SymmetricVGAE(**{"hidden": 16, "width": 8, "components": 8, "epochs": 12, **more})}


def noise(texts) -> np.ndarray:
    """In place of MiniLM: names that say nothing of what requires what."""
    rows = np.stack([np.random.default_rng(sum((k + 1) * ord(c) for k, c in enumerate(t))).normal(size=384) for t in texts] or [np.zeros((0, 384))])
    return (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)).reshape(-1, 384).astype(np.float32)


@pytest.fixture(autouse=True)
def _no_minilm(monkeypatch):
    monkeypatch.setattr(pair_features, "embed", noise)
    pair_features._features.cache_clear()


def world(seed: int = 0, size: int = 30) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Concepts of which each requires shallower ones; courses mention two neighbours each and require the two courses before; names say nothing."""
    rng = np.random.default_rng(seed)
    texts = [f"About c{k}. Then c{min(k + 1, size - 1)}." for k in range(size)]
    tables = {"concepts": pd.DataFrame({"concept_id": [f"id{k:02d}" for k in range(size)], "name": [f"c{k} (algebra)" for k in range(size)]}),
              "documents": pd.DataFrame({"document_id": [f"d{k}" for k in range(size)], "text": texts, "level": np.arange(size) // 10.0}),
              "document_links": pd.DataFrame([(f"d{k}", f"d{k - j}") for k in range(size) for j in (1, 2) if k >= j], columns=["document_id", "requires_id"])}
    ends = [(a, b) for a in range(size) for b in range(size) if a != b and rng.random() < 0.5]
    pairs = pd.DataFrame([(f"id{a:02d}", f"id{b:02d}", float(0 < a - b), "annotated") for a, b in ends], columns=[*PAIR, "label", "origin"])
    return tables, pairs


def parts(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs to learn from, and those of five concepts that are in none of them."""
    new = pairs[PAIR].isin([f"id{k:02d}" for k in range(2, 30, 6)]).any(axis=1)
    return pairs[~new], pairs[new]


def turned(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))


def said_by(messages, ids: np.ndarray) -> set[tuple[str, str]]:
    """(concept, requires) of the training pairs among messages, whichever way and label they have."""
    found = set()
    for (source, kind, _), index in messages.index.items():
        if source == "concept" and kind in ("requires", "does_not_require", "required_by", "not_required_by"):
            ends = ids[index.numpy()]
            found |= set(map(tuple, (ends if kind in ("required_by", "not_required_by") else ends[::-1]).T))
    return found


def test_planted_truth_is_recovered_and_names_alone_are_beaten():
    tables, pairs = world()
    train, test = parts(pairs)
    model = MODELS["course"]()
    assert isinstance(model, PrerequisiteModel)
    with pytest.raises(NotFittedError):
        model.predict(pairs)
    said = model.fit(tables, train).predict(test.set_axis(test.index + 1000))
    label = test["label"].to_numpy()
    assert said.index.equals(test.index + 1000) and said.between(0, 1).all()
    assert auc(label, said.to_numpy()) > max(0.9, auc(label, NameLogistic().fit(tables, train).predict(test).to_numpy()) + 0.1)
    assert ((said.to_numpy() > model.predict(turned(test)).to_numpy()) == (label == 1)).mean() > 0.85
    edges = model.graph().adjacency()
    assert len(edges) > 30 and (edges[:, 0] < edges[:, 1]).mean() > 0.85


@pytest.mark.parametrize("name", ["course", "directed"])
def test_shuffled_labels_teach_nothing(name):
    tables, pairs = world()
    train, test = parts(pairs)
    found = []
    for seed in range(2):
        shuffled = train.assign(label=np.random.default_rng(seed).permutation(train["label"]))
        found.append(auc(test["label"].to_numpy(), MODELS[name](seed=seed, epochs=3).fit(tables, shuffled).predict(test).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.25


def test_a_network_without_direction_is_undecided_in_every_pair():
    tables, pairs = world()
    train, test = parts(pairs)
    model = MODELS["vgae"]().fit(tables, train)
    np.testing.assert_array_equal(model.predict(test), model.predict(turned(test)))
    answers = run_fold(MODELS["vgae"], {**tables, "concept_pairs": pairs}, make_fold(with_reversed(pairs), "inductive", valid=0), random_negatives(pairs))
    yes = answers[answers["label"] == 1]
    assert (np.sign(yes["score"] - yes["reverse"]) / 2 + 0.5).mean() == 0.5


@pytest.mark.parametrize("name", ["course", "directed"])
def test_two_directions_share_one_probability_and_a_seed_says_the_same_twice(name):
    tables, pairs = world()
    train, test = parts(pairs)
    one, other = (MODELS[name](epochs=3).fit(tables, train) for _ in range(2))
    pd.testing.assert_series_equal(one.predict(pairs), other.predict(pairs))
    assert (one.predict(pairs).to_numpy() + one.predict(turned(pairs)).to_numpy()).max() <= 1 + 1e-9
    np.testing.assert_allclose(one.predict(test.sample(frac=1, random_state=0)).reindex(test.index), one.predict(test), atol=1e-6)


@pytest.mark.parametrize("valid", [6, 0])
@pytest.mark.parametrize("track", ["inductive", "grouped"])
@pytest.mark.parametrize("name", ["course", "directed", "vgae"])
def test_no_asked_pair_its_reverse_or_what_implies_it_is_a_message(name, track, valid, monkeypatch):
    tables, pairs = world()
    fold = make_fold(with_reversed(pairs), track, valid=valid)
    train = pd.concat([fold.train, fold.valid])
    seen = []
    plain = PairNetworkModel._train

    def watched(self, data, steps, valid, *more):
        seen.extend([*steps, valid])
        return plain(self, data, steps, valid, *more)

    monkeypatch.setattr(PairNetworkModel, "_train", watched)
    model = MODELS[name](epochs=1).fit(tables, train)
    ids, learnt = tables["concepts"]["concept_id"].to_numpy(), set(map(tuple, train[PAIR].to_numpy()))
    asked = set(map(tuple, fold.test[PAIR].to_numpy())) | set(map(tuple, fold.test[PAIR[::-1]].to_numpy()))
    assert not asked & learnt
    if name == "vgae":
        sent = set(map(tuple, ids[model.messages_.numpy()].T))
        assert sent and sent <= learnt | {pair[::-1] for pair in learnt}
    else:
        sent = said_by(model.messages_, ids)
        assert sent and sent <= learnt and len(seen) > 2
    assert not sent & asked
    for step in seen:
        ends = ids[step.ends.numpy()]
        told = said_by(step.messages, ids)
        assert not {(a, b) for a, b in ends.T} & told and not {(b, a) for a, b in ends.T} & told
        known = pd.DataFrame(sorted(told), columns=PAIR).assign(label=1.0)  # not even by a path through other pairs
        assert not len(known) or not splits.implied(known, pd.DataFrame(ends.T, columns=PAIR)).any()


@pytest.mark.parametrize("name", MODELS)
def test_other_labels_of_asked_pairs_change_nothing(name):
    tables, pairs = world()
    fold = make_fold(with_reversed(pairs), "inductive", valid=0)
    lie = fold.__class__(fold.track, fold.seed, fold.number, fold.train, fold.valid, fold.test.assign(label=1 - fold.test["label"]))
    random, given = random_negatives(pairs), {**tables, "concept_pairs": pairs}
    told = [run_fold(lambda: MODELS[name](epochs=2), {**given, "prerequisites": f.test}, f, random) for f in (fold, lie)]
    np.testing.assert_array_equal(told[0]["score"], told[1]["score"])


@pytest.mark.parametrize("model", [CourseGNN, DirectedGNN])
def test_without_layers_no_edge_is_read(model, monkeypatch):
    tables, pairs = world()
    train, test = parts(pairs)
    few = {**SMALL, "epochs": 4, **({"propagation": 0, "edges": ALL} if model is CourseGNN else {})}
    with_edges = model(**few, layers=1).fit(tables, train)
    assert with_edges.messages_.index

    def refused(*ends: object) -> None:
        raise AssertionError("a twin looked for edges")

    for name in ("nearest", "together"):
        monkeypatch.setattr(f"edukit.graph.hetero_network.{name}", refused)
    monkeypatch.setattr("torch_geometric.nn.GraphConv.forward", refused)
    twin = model(**few, layers=0).fit(tables, train)
    assert not twin.messages_.index and not np.allclose(with_edges.predict(test), twin.predict(test))
    np.testing.assert_array_equal(model(**{**few, "neighbours": 3}, layers=0).fit(tables, train).predict(test), twin.predict(test))


@pytest.mark.parametrize("name", ["course_gnn", "directed_gnn"])
def test_a_twin_differs_from_its_network_by_its_layers_alone(name):
    network, twin = (yaml.safe_load((bundled("conf") / "graph" / f"{name}{end}.yaml").read_text(encoding="utf-8")) for end in ("", "_no_layers"))
    assert {k for k in network if network[k] != twin[k]} == {"layers"} and set(network) == set(twin) and not twin["layers"] and network["layers"]


@pytest.mark.parametrize("domains", [False, True])
def test_both_orders_asked_at_once_say_what_each_says_alone(domains):
    tables, pairs = world()
    named = {"domain": "a"} if domains else {}
    ids, rng = tables["concepts"]["concept_id"], np.random.default_rng(0)
    everything = pd.MultiIndex.from_product([ids, ids], names=PAIR).to_frame(index=False).assign(**named).sample(frac=1, random_state=0)
    given = {**tables, "pair_features": everything.assign(refd=rng.normal(size=len(everything)))}
    model = MODELS["course"](epochs=3, networks=2, surroundings=True).fit(given, pairs.assign(**named))
    twice = pd.concat([everything, everything.iloc[:5]])
    said = model.predict(twice)
    assert said.index.equals(twice.index)
    for row in (0, 7, 211, len(twice) - 1):
        np.testing.assert_allclose(model.predict(twice.iloc[[row]]), said.iloc[[row]], atol=1e-6)
    straight = [slowly(network.decoder, h, model, everything) for network, h in model._members]
    np.testing.assert_allclose(model.predict(everything), np.mean(straight, axis=0), atol=1e-5)


def slowly(decoder, h, model, pairs: pd.DataFrame) -> np.ndarray:
    """What a network says of pairs by its definition: each pair's two concepts side by side, no order read off the other."""
    features, said = model._features, []
    for asked in (pairs, turned(pairs)):
        a, b = features.positions(asked)
        numbers = np.hstack([features.numbers(asked), model._around.numbers(a, b), model._judged.numbers(a, b)])
        with torch.no_grad():
            first = decoder.ends(torch.cat([h[a], h[b]], dim=1)) + decoder.numbers(torch.from_numpy(model._scaler(numbers)))
            said.append(decoder.read(first).squeeze(-1).double().exp().numpy())
    return said[0] / (1 + said[0] + said[1])


def test_a_concept_that_nothing_is_said_of_and_data_without_courses_are_scored():
    tables, pairs = world()
    strange = pd.DataFrame({"concept_id": ["zz"], "name": [""]})
    more = {**tables, "concepts": pd.concat([tables["concepts"], strange], ignore_index=True)}
    asked = pd.DataFrame({"concept_id": ["zz", "id03"], "requires_id": ["id03", "zz"]})
    linked = pairs.assign(links_concept_to_requires=1.0, domain="a")[[*PAIR, "domain", "links_concept_to_requires"]]
    for given in (more, {"concepts": more["concepts"]}, {"concepts": more["concepts"], "pair_features": linked}):
        assert MODELS["course"](epochs=2, course_epochs=1, convolution="attention").fit(given, pairs).predict(asked).between(0, 1).all()
    assert MODELS["vgae"]().fit(more, pairs).predict(asked).between(0, 1).all()


def test_what_cannot_be_learnt_is_said():
    tables, pairs = world()
    with pytest.raises(DiagnosticError, match="finite"):
        MODELS["directed"](learning_rate=1e30).fit(tables, pairs)
    with pytest.raises(DataError, match="roads"):
        MODELS["course"](edges=("roads",)).fit(tables, pairs)
    with pytest.raises(DataError, match="enough pairs"):
        MODELS["directed"]().fit(tables, pairs.groupby("label").head(1))


def test_a_label_is_carried_to_pairs_alike_and_never_to_its_own():
    tables, _ = world()
    alike = likeness(PairFeatures.from_tables(tables), 29, (2.0,))
    a, b = np.array([3, 4, 5]), np.array([7, 8, 9])
    yes, no = (Judgements(alike, a, b, np.array([label, 0.0, 1.0])) for label in (1.0, 0.0))
    own, other = np.array([3]), np.array([7])
    alone = Judgements(alike, own, other, np.array([1.0]))
    np.testing.assert_allclose(alone.numbers(own, other)[:, 1:10:2], np.log(PRIOR), rtol=1e-5, err_msg="nothing reaches the pair itself")
    assert yes.numbers(np.array([5]), other)[0, 0] > no.numbers(np.array([5]), other)[0, 0] + 0.1
    np.testing.assert_allclose(yes.turned(yes.numbers(a, b)), yes.numbers(b, a), rtol=1e-5)
    for held in held_out(a, b, 3, 0):
        assert not set(np.r_[a[held], b[held]]) >= set(np.r_[a, b])


def test_the_search_prints_a_variant_beside_its_twin(monkeypatch, tmp_path, capsys):
    tables, pairs = world()

    class Data:
        fingerprint = "invented"

        def __init__(self) -> None:
            self.tables = {**tables, "concept_pairs": pairs}

        def __getitem__(self, name: str) -> pd.DataFrame:
            return self.tables[name]

    monkeypatch.setattr(graph_search, "loader", lambda name: name)
    monkeypatch.setattr(graph_search, "load", lambda made, tell, purpose: Data())
    monkeypatch.setattr(graph_search, "VARIANTS", {n: {**v, **SMALL, "epochs": 2} for n, v in graph_search.VARIANTS.items()})
    graph_search.search("invented,again", "twin;messages", folds=3, run=2, first_seed=100, seeds=1, draws=20, out=tmp_path)
    told = capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "table_invented_again.parquet").set_index(["data", "variant"])
    assert list(table.loc["again"].index) == ["twin", "messages", "messages with twin"] and told.count("again") == 3 and "of 2" in told
    assert table["auc"].between(0, 1).all() and np.isfinite(table.loc[("invented", "messages"), "ap_twin_low"])
    assert set(pd.concat(map(pd.read_parquet, tmp_path.glob("[!t]*.parquet")))["fold"]) == {0, 1}
    with pytest.raises(DataError, match="messages"):
        graph_search.search("invented", "magic")
