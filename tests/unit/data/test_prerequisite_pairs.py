"""Judged pairs of concepts: direction, labels and votes as published; broken or mismatched files are refused by name."""

from __future__ import annotations

import runpy
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from edukit.data.prerequisite_pairs import FEATURES, PAIR, Alcpl, LecturebankCd, Ucd, votes
from edukit.schema import DataError
from edukit.splits import pairs_by_domain, pairs_grouped
from edukit.validation import validate_all


def made(kind: type, place: Path, **options):
    runpy.run_path(str(Path(__file__).parents[2] / "invented" / f"{kind.name}.py"))["write"](place, options.get("variant", ""))
    return kind(path=str(place), **options)


def tables_of(loader) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def labels(pairs: pd.DataFrame) -> dict[tuple[str, str], float]:
    return pairs.set_index(PAIR)["label"].to_dict()


def test_ucd_takes_the_published_list_and_the_verdict_none(tmp_path):
    tables = tables_of(made(Ucd, tmp_path))
    heap, tree, graph, compiler, parsing = "Heap_(data_structure)", "Tree_(graph_theory)", "Graph_10^n)", "Compiler", "Parsing"
    assert labels(tables["concept_pairs"]) == {
        (heap, tree): 1, (tree, heap): 0, (tree, graph): 1, (graph, tree): 0, (compiler, parsing): 1, (parsing, compiler): 0,
        (graph, compiler): 0, (compiler, graph): 0, (compiler, heap): 0, (heap, compiler): 0,
    }, "no tie, no contradiction, no unlisted reversal, no concept without a positive"
    pairs = tables["concept_pairs"].set_index(PAIR)
    assert pairs.loc[(tree, heap), ["origin", "votes"]].tolist() == ["annotated", 3], "it stood before the annotators in this order too"
    assert pairs.loc[(tree, heap), "agreement"] == 1 and pairs.loc[(graph, tree), "origin"] == "reversed"
    assert pairs.loc[(compiler, heap), ["votes", "agreement"]].tolist() == [2, 1], "an undocumented vote is none"
    assert pairs.loc[(compiler, parsing), "agreement"] == pytest.approx(1 / 3), "the list overrules the majority, and it shows"
    assert len(tables["prerequisites"]) == 3 and set(tables["concepts"]["concept_id"]) == {heap, tree, graph, compiler, parsing}
    documents = tables["documents"].set_index("document_id")
    assert documents["title"].tolist() == ["Trees, Heaps", "Graphs", "Compilers", "Parsing", "Trees"] and '"priority queues"' in documents["text"].iloc[0]
    assert documents["level"].fillna(-1).tolist() == [4, -1, 1, 0, 5], "the numbers of one university say nothing about level"
    assert tables["document_links"]["requires_id"].tolist() == ["mit_6.0002", "caltech_Ma/CS 6"]


def test_alcpl_keeps_domains_apart_and_names_features(tmp_path):
    tables = tables_of(made(Alcpl, tmp_path, variant="all"))
    pairs, features = tables["concept_pairs"], tables["pair_features"]
    assert pairs.groupby("domain")["label"].agg(["sum", "size"]).to_numpy().tolist() == [[1, 3], [1, 3], [2, 4]]
    assert pairs[(pairs["concept_id"] == "Slope") & (pairs["requires_id"] == "Angle")]["label"].tolist() == [0, 1], "two domains, two labels"
    concepts = tables["concepts"].set_index("concept_id")
    assert concepts.loc["Angle", "area"] == "geometry, precalculus" and concepts.loc["Student's_t-test", "name"] == "Student's t-test"
    pd.testing.assert_frame_equal(features[[*PAIR, "domain"]], pairs[[*PAIR, "domain"]])
    assert list(features)[3:] == list(FEATURES) and features["refd"].eq(5).all() and features["pagerank_difference"].iloc[:2].tolist() == [-0.25, -0.025]
    assert len(tables["prerequisites"]) == 4, "the same pair from two domains is two claims"


def test_alcpl_reads_one_domain(tmp_path):
    loader = made(Alcpl, tmp_path, variant="geometry")
    (tmp_path / "precalculus.pairs").unlink()
    assert set(tables_of(loader)["concept_pairs"]["domain"]) == {"geometry"} and len(loader.files(tmp_path)) == 3


def test_lecturebank_turns_its_columns(tmp_path):
    tables = tables_of(made(LecturebankCd, tmp_path))
    assert labels(tables["concept_pairs"]) == {("1", "2"): 1, ("3", "1"): 1, ("3", "2"): 0, ("2", "3"): 0}
    assert tables["concepts"]["name"].tolist() == ["segmentation", "edge détection", "video summaries, 10^n)", "robotics"]
    assert tables["prerequisites"][PAIR].to_numpy().tolist() == [["1", "2"], ["3", "1"]], "segmentation requires edge detection"


@pytest.mark.parametrize(
    ("kind", "file", "old", "new", "wanted"),
    [
        (Ucd, "cs_annotations.tsv", "Concept_B", "B", "must have the columns Concept_B"),
        (Ucd, "cs_annotations.tsv", "\t2\t2\t3", "\t2\tyes\t3", r"must hold the votes 1, 2, 3 or 4, or nothing; found 'yes' in 1 of 11 rows \(first: row 2\)"),
        (Ucd, "cs_edges.csv", ",mit_6.0002", "", "cs_edges.csv must .*"),
        (Ucd, "cs_preqs.csv", "Compiler,Parsing", "Compiler,", "must fill its 2 columns .* found a gap in 1 of 4 lines .first: line 3"),
        (Alcpl, "geometry.features", " 37:-2.5e-01", " 38:1", "features 0:VALUE to 37:VALUE in every line; found another form in 1 of 3"),
        (Alcpl, "geometry.features", " 37:-2.5e-02", "", "must fill its 39 columns .* in 1 of 3 lines .first: line 2"),
        (Alcpl, "geometry.features", "1 0:0", "0 0:0", "must give label 1 to the pairs of geometry.preqs .* in 1 of 3 lines .first: line 1"),
        (Alcpl, "geometry.pairs", "Slope,Angle\n", "", "must hold one line for each of the 2 pairs of geometry.pairs; found 3"),
        (LecturebankCd, "CV.annotation.csv", "1,3,1", "1,3,2", r"concept_pairs.label must lie in \[0, 1\]; found 2"),
        (LecturebankCd, "CV.annotation.csv", "1,3,1", "1,9,1", "concept_pairs.concept_id must be found in concepts.concept_id; found '9'"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, kind, file, old, new, wanted):
    loader = made(kind, tmp_path)
    path = tmp_path / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=wanted):
        tables_of(loader)


@pytest.mark.parametrize("kind", [Ucd, Alcpl, LecturebankCd])
def test_empty_and_absent_files_are_named(tmp_path, kind):
    loader = made(kind, tmp_path)
    first = loader.files(tmp_path)[0]
    first.write_bytes(b"")
    with pytest.raises(DataError, match=f"{first.name} must hold rows"):
        loader.parse(tmp_path)
    first.write_bytes("Algorithmus für Bäume\tx".encode("latin-1"))
    with pytest.raises(DataError, match=f"{first.name} must be encoded as utf-8-sig"):
        loader.parse(tmp_path)
    first.unlink()
    with pytest.raises(DataError, match=f"data {kind.name} needs {first.name}"):
        loader.raw_dir()


def graph_of(tables: dict[str, pd.DataFrame], domain: str | None = None) -> nx.DiGraph:
    pairs = tables["concept_pairs"]
    wanted = pairs[(pairs["label"] == 1) & (True if domain is None else pairs["domain"] == domain)]
    return nx.from_pandas_edgelist(wanted, *PAIR, create_using=nx.DiGraph)


def largest_circle(graph: nx.DiGraph) -> int:
    return max(map(len, nx.strongly_connected_components(graph)))


@pytest.fixture
def pairs_root(edukit_data) -> Path:
    if not (edukit_data / "prerequisites").is_dir():
        pytest.skip(f"needs the sets of concept pairs in {edukit_data / 'prerequisites'}")
    return edukit_data / "prerequisites"


@pytest.mark.realdata
def test_counts_of_ucd(pairs_root):
    said = votes(pairs_root / "ucd" / "cs_annotations.tsv")
    assert len(said) == 3_544 and said["majority"].value_counts().to_dict() == {"none": 1_657, "yes": 1_018, "reversed": 669}
    assert said["majority"].isna().sum() == 200
    counts = said[["yes", "reversed", "none"]]
    assert (counts.max(axis=1) == counts.sum(axis=1)).sum() == 1_597
    tables = tables_of(Ucd(path=str(pairs_root / "ucd")))
    assert {name: len(table) for name, table in tables.items()} == {
        "concepts": 407, "concept_pairs": 4_306, "prerequisites": 1_007, "documents": 654, "document_links": 861}
    pairs = tables["concept_pairs"]
    assert pairs.groupby(["origin", "label"]).size().to_dict() == {("annotated", 0): 1_776, ("annotated", 1): 1_007, ("reversed", 0): 1_523}
    assert ((pairs["label"] == 1) & (pairs["agreement"] < 0.5)).sum() == 4 and tables["documents"]["level"].isna().sum() == 165
    known = labels(pairs)
    assert all((b, a) in known for a, b in known), "every pair is there in both orders"
    graph = graph_of(tables)
    assert largest_circle(graph) == 12 and sum(len(nx.descendants(graph, concept)) for concept in graph) == 13_495


@pytest.mark.realdata
def test_counts_of_alcpl(pairs_root):
    tables = tables_of(Alcpl(path=str(pairs_root / "alcpl")))
    pairs = tables["concept_pairs"]
    expected = {"data_mining": (120, 292, 534, 180), "geometry": (89, 524, 1_157, 414), "precalculus": (224, 699, 1_361, 454)}
    for domain, (concepts, positive, negative, implied) in expected.items():
        rows = pairs[pairs["domain"] == domain]
        graph, known = graph_of(tables, domain), labels(rows)
        reduced = nx.transitive_reduction(graph)
        assert (len({*rows["concept_id"], *rows["requires_id"]}), int(rows["label"].sum()), int((rows["label"] == 0).sum())) == (concepts, positive, negative)
        assert nx.is_directed_acyclic_graph(graph) and nx.transitive_closure(graph).number_of_edges() == positive
        assert positive - reduced.number_of_edges() == implied
        assert all(known[b, a] == 0 for (a, b), label in known.items() if label), "every positive is a negative the other way round"
    assert len(tables["concepts"]) == 402 and tables["pair_features"].shape == (4_567, 41) and tables["pair_features"].notna().all(axis=None)
    assert pairs_by_domain(pairs, "geometry").sizes()["test"] == 1_681


@pytest.mark.realdata
def test_counts_of_lecturebank(pairs_root):
    tables = tables_of(LecturebankCd(path=str(pairs_root / "lecturebank_cd")))
    pairs = tables["concept_pairs"]
    assert pairs["label"].value_counts().to_dict() == {0: 11_074, 1: 929} and len(tables["concepts"]) == 201
    assert len({*pairs["concept_id"], *pairs["requires_id"]}) == 151
    graph = graph_of(tables)
    assert (largest_circle(graph), graph.number_of_nodes()) == (77, 150)
    names = tables["concepts"].set_index("concept_id")["name"]
    positive = {(names[a], names[b]) for a, b in tables["prerequisites"][PAIR].itertuples(index=False)}
    assert ("image generation", "Artificial Intelligence") in positive
    assert pairs_grouped(pairs).sizes()["test"] == pytest.approx(len(pairs) / 5, rel=0.05)
