"""Frameworks in CASE: ours come back whole, those made elsewhere read well, and what is not understood is named."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edukit.formats import case
from edukit.schema import DataError

GUIDS = [f"{n:08x}-0000-4000-8000-00000000000{n}" for n in range(10)]


def back(tables: dict[str, pd.DataFrame], path: Path) -> dict[str, pd.DataFrame]:
    case.write(tables, path, "invented", changed="2026-01-02T03:04:05+01:00")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return case.read(path)


def same(found: pd.DataFrame, given: pd.DataFrame) -> None:
    found = found.reindex(columns=given.columns).astype(object).where(lambda t: t.notna(), None)
    pd.testing.assert_frame_equal(found, given.reset_index(drop=True).astype(object).where(lambda t: t.notna(), None))


def part(identifier: str, **fields) -> dict:
    return {"identifier": identifier, "uri": f"https://example.org/{identifier}", "lastChangeDateTime": "2020-01-01T00:00:00Z", **fields}


def item(identifier: str, statement: str = "a statement", **more) -> dict:
    return part(identifier, fullStatement=statement, **more)


def link(kind: str, origin: str, destination: str, **more) -> dict:
    ends = {"originNodeURI": part(origin, title="t"), "destinationNodeURI": part(destination, title="t")}
    return part(f"{kind} {origin} {destination}", associationType=kind, **ends, **more)


@pytest.fixture
def foreign(tmp_path: Path):
    """Writes a framework as another tool would: a document, items, associations and further parts."""
    def make(items: list, links: list, **more) -> Path:
        document = part("doc", title="Maths", creator="A state")
        path = tmp_path / "foreign.json"
        path.write_text(json.dumps({"CFDocument": document, "CFItems": items, "CFAssociations": links, **more}), encoding="utf-8-sig")
        return path
    return make


def test_everything_of_a_framework_comes_back(tmp_path: Path):
    tables = {
        "concepts": pd.DataFrame({"concept_id": ["10^n)", "🦉", GUIDS[1], "d"], "name": ["powers <b>of</b> ten", "owls", "a GUID", "AT&amp;T"],
                                  "topic": ["numbers", None, "numbers", ""], "area": ["maths", "birds", "other", None],
                                  "description": ["x < y\n& y > z", None, "a GUID", ""], "level": [5, None, 2.5, -1]}),
        "prerequisites": pd.DataFrame({"concept_id": ["🦉", "🦉", "d"], "requires_id": ["10^n)", "10^n)", GUIDS[1]], "source": ["panel", "model", "panel"],
                                       "weight": [0.1 + 0.2, 1, 0], "type": ["hard", None, None], "rationale": ["owls count", None, ""],
                                       "group": [None, "g", "g"], "channel": ["expert", "fusion", None], "agreement": [-0.5, None, 1]}),
        "concept_tree": pd.DataFrame({"concept_id": ["d", "🦉", "d"], "parent_id": ["10^n)", "d", GUIDS[1]], "order": [2, None, 1]}),
    }
    found = back(tables, tmp_path / "a" / "framework.json")
    same(found["concepts"], tables["concepts"])
    same(found["prerequisites"], tables["prerequisites"])
    key = ["concept_id", "parent_id"]
    same(found["concept_tree"].sort_values(key), tables["concept_tree"].sort_values(key))


def test_what_is_written_is_a_package_with_every_required_field_and_the_same_bytes_each_time(tmp_path: Path):
    tables = {"concepts": pd.DataFrame({"concept_id": ["a", GUIDS[2]], "name": ["A", "B"], "topic": "t", "area": "r", "level": [3, 0]}),
              "prerequisites": pd.DataFrame({"concept_id": [GUIDS[2]], "requires_id": ["a"], "source": "s", "weight": 0.5})}
    back(tables, tmp_path / "1.json"), back(tables, tmp_path / "2.json")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    package = json.loads((tmp_path / "1.json").read_text(encoding="utf-8"))
    required = {"identifier", "uri", "lastChangeDateTime"}
    assert required | {"title", "creator"} <= set(package["CFDocument"]) and package["CFDocument"]["lastChangeDateTime"] == "2026-01-02T02:04:05Z"
    for part, fields in (("CFItems", {"fullStatement"}), ("CFAssociations", {"associationType", "originNodeURI", "destinationNodeURI", "sequenceNumber"})):
        for entry in package[part]:
            assert required | fields <= set(entry) and case.GUID.fullmatch(entry["identifier"])
    a, b = package["CFItems"][-2:]
    assert a["humanCodingScheme"] == "a" and b["identifier"] == GUIDS[2] and (a["educationLevel"], b["educationLevel"]) == (["03"], ["KG"])
    last = package["CFAssociations"][-1]
    assert last["associationType"] == "precedes" and last["originNodeURI"]["identifier"] == a["identifier"]
    tree = [(x["originNodeURI"]["title"], x["destinationNodeURI"]["title"]) for x in package["CFAssociations"][:-1]]
    assert sorted(tree) == [("A", "t"), ("B", "t"), ("r", "invented"), ("t", "r")]


def test_a_tool_that_drops_extensions_leaves_ids_and_edges_whole(tmp_path: Path):
    tables = {"concepts": pd.DataFrame({"concept_id": ["a b", "c"], "name": ["A", "C"]}),
              "prerequisites": pd.DataFrame({"concept_id": ["c"], "requires_id": ["a b"], "source": "s", "weight": 0.5})}
    back(tables, tmp_path / "1.json")
    package = json.loads((tmp_path / "1.json").read_text(encoding="utf-8"))
    for entry in package["CFItems"] + package["CFAssociations"]:
        entry.pop("extensions", None)
    (tmp_path / "1.json").write_text(json.dumps(package))
    found = case.read(tmp_path / "1.json")
    same(found["concepts"], tables["concepts"])
    assert found["prerequisites"][["concept_id", "requires_id", "weight"]].values.tolist() == [["c", "a b", 1.0]]


def test_a_framework_made_elsewhere_reads_well(foreign):
    top, strand, cluster, one, two = GUIDS[:5]
    path = foreign(
        [item(top, "Mathematics"), item(strand, "Number", humanCodingScheme="N"), item(cluster, "Place value", alternativeLabel="PV"),
         item(one, "<p>Use 10<sup>2</sup> &amp; more</p>", abbreviatedStatement="Powers", humanCodingScheme="N.1", educationLevel=["05", "06"],
              notes="a note", conceptKeywords=["ten"]),
         item(two, "Two", educationLevel="HS", extensions={"vendor": 1})],
        [link("isChildOf", top, "doc"), link("isChildOf", strand, top, sequenceNumber=1), link("isChildOf", cluster, strand),
         link("isChildOf", two, cluster, sequenceNumber=2), link("isChildOf", one, cluster, sequenceNumber="1"),
         link("precedes", one, two, notes="first things first"), link("precedes", one, two),
         link("isRelatedTo", one, two), link("isRelatedTo", two, one), link("exactMatchOf", one, "elsewhere")],
        CFDefinitions={"CFSubjects": [{"title": "Mathematics"}], "CFConcepts": []}, CFRubrics=[{"title": "How well"}])
    framework = case.read_framework(path)
    concepts = framework.tables["concepts"].set_index("concept_id").astype(object).where(lambda t: t.notna(), None)
    assert (framework.title, framework.creator) == ("Maths", "A state")
    assert concepts["name"].tolist() == ["Mathematics", "N", "PV", "Powers", "Two"]
    assert concepts.loc[one].to_dict() == {"name": "Powers", "topic": "PV", "area": "Mathematics", "description": "Use 10^2 & more", "level": 5.0}
    assert concepts["topic"].tolist() == [None, None, "N", "PV", "PV"] and concepts["area"].tolist() == [None, *["Mathematics"] * 4]
    edges = framework.tables["prerequisites"]
    assert edges[["concept_id", "requires_id", "source", "weight", "rationale"]].values.tolist() == [[two, one, "A state", 1.0, "first things first"]]
    assert framework.tables["concept_tree"]["concept_id"].tolist() == [strand, one, two, cluster]
    left = framework.left_out.set_index(["part", "what"])
    assert left["count"].to_dict() == {
        ("association", "isRelatedTo"): 2, ("association", "exactMatchOf"): 1, ("association", "precedes stated again"): 1, ("item", "humanCodingScheme"): 1,
        ("item", "notes"): 1, ("item", "conceptKeywords"): 1, ("item", "extensions"): 1, ("item", "educationLevel above the lowest"): 1,
        ("item", "educationLevel that is no grade"): 1, ("CFDefinitions", "CFSubjects"): 1, ("CFRubrics", "CFRubric"): 1}
    assert left.loc[("item", "notes"), "first"] == f"{one}: a note"
    with pytest.warns(UserWarning, match=r"association isRelatedTo: 2 \(first: isRelatedTo"):
        case.read(path)


def test_a_framework_made_elsewhere_survives_being_written_again(foreign, tmp_path: Path):
    top, strand, one, two = GUIDS[:4]
    path = foreign([item(top, "Maths"), item(strand, "Number"), item(one, "One"), item(two, "Two")],
                   [link("isChildOf", strand, top), link("isChildOf", one, strand), link("isChildOf", two, strand), link("precedes", one, two)])
    tables = case.read(path)
    found = back(tables, tmp_path / "again.json")
    assert list(found) == list(tables)
    for name, table in tables.items():
        same(found[name], table)


@pytest.mark.parametrize(("content", "words"), [
    ("{", "must be JSON in UTF-8"), ("[1]", "must be a CFPackage that lists CFItems; found a list"), ('{"CFDocument": {}}', "lists CFItems; found CFDocument"),
    ('{"CFItems": []}', "lists CFItems"), ('{"CFItems": {"a": 1}}', "lists CFItems")])
def test_no_framework_is_refused(tmp_path: Path, content: str, words: str):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=words):
        case.read(tmp_path / "x.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    (tmp_path / "x.json").write_bytes(b'{"CFItems": ["\xff"]}')
    with pytest.raises(DataError, match="must be JSON in UTF-8"):
        case.read(tmp_path / "x.json")


def test_all_broken_items_are_named_at_once(foreign):
    with pytest.raises(DataError) as error:
        case.read(foreign([item("a"), {"fullStatement": "x"}, item("b", ""), item("a"), "text"], []))
    for words in ("item 2 must have an identifier", "item 3 must", "item 4 must have an identifier of its own; found a again", "item 5 must"):
        assert words in str(error.value)


def test_all_dangling_associations_are_named_at_once(foreign):
    with pytest.raises(DataError) as error:
        case.read(foreign([item("a"), item("b")], [link("precedes", "a", "x"), link("isChildOf", "y", "a"), link("precedes", "a", "doc"),
                                                   {"associationType": "precedes", "originNodeURI": "urn:a"}]))
    told = str(error.value)
    assert "association precedes a x (precedes) must join items of the file; found the unknown destination x" in told
    for words in ("unknown origin y", "unknown destination doc", "association number 4 (precedes) must join items of the file; found the unknown"):
        assert words in told


def test_items_nested_in_a_circle_are_named(foreign):
    with pytest.raises(DataError, match=r"without a circle; found (a under b under a|b under a under b)"):
        case.read(foreign([item("a"), item("b")], [link("isChildOf", "a", "b"), link("isChildOf", "b", "a")]))


def test_a_table_that_does_not_hold_writes_nothing(tmp_path: Path):
    edges = pd.DataFrame({"concept_id": ["a"], "requires_id": ["gone"], "source": "s", "weight": 2.0})
    with pytest.raises(DataError, match="weight must lie in"):
        case.write({"concepts": pd.DataFrame({"concept_id": ["a"], "name": ["A"]}), "prerequisites": edges}, tmp_path / "x.json", "t", changed="2026-01-01")
    with pytest.raises(DataError, match="must have the table concepts"):
        case.write({}, tmp_path / "x.json", "t", changed="2026-01-01")
    assert list(tmp_path.iterdir()) == []


def test_a_large_framework_with_awkward_ids_comes_back(tmp_path: Path):
    ids = [f"{n} {'🦉.*[^)$|' if n % 3 else 'ß'}" for n in range(3277)]
    pairs = sorted({(n, (n * 7 + k * 131) % n) for n in range(1, 3277) for k in range(3)})[:6740]
    tables = {"concepts": pd.DataFrame({"concept_id": ids, "name": [f"concept {i}" for i in ids], "topic": [f"topic {n % 130}" for n in range(3277)]}),
              "prerequisites": pd.DataFrame([{"concept_id": ids[a], "requires_id": ids[b], "source": "experts", "weight": 1 / (1 + a % 7)} for a, b in pairs])}
    found = back(tables, tmp_path / "large.json")
    same(found["concepts"], tables["concepts"])
    same(found["prerequisites"], tables["prerequisites"])


text = st.text(max_size=8)
maybe = st.none() | text


@st.composite
def frameworks(draw) -> dict[str, pd.DataFrame]:
    ids = draw(st.lists(st.text(min_size=1, max_size=8) | st.uuids().map(str), min_size=1, max_size=6, unique=True))
    rows = [{"concept_id": i, "name": draw(text), "topic": draw(maybe), "area": draw(maybe), "description": draw(maybe),
             "level": draw(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 14))} for i in ids]
    tables = {"concepts": pd.DataFrame(rows)}
    pairs = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids), text), max_size=6, unique=True))
    if pairs:
        tables["prerequisites"] = pd.DataFrame([{"concept_id": a, "requires_id": b, "source": s, "weight": draw(st.floats(0, 1)), "type": draw(maybe),
                                                 "rationale": draw(maybe), "group": draw(maybe), "channel": draw(maybe),
                                                 "agreement": draw(st.none() | st.floats(-1, 1))} for a, b, s in pairs])
    nested = [(ids[a], ids[b]) for a in range(len(ids)) for b in range(a) if draw(st.booleans())]
    if nested:
        tables["concept_tree"] = pd.DataFrame([{"concept_id": a, "parent_id": b, "order": n} for n, (a, b) in enumerate(nested, start=1)])
    return tables


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tables=frameworks())
def test_any_framework_comes_back(tmp_path: Path, tables):
    found = back(tables, tmp_path / "any.json")
    assert set(found) == set(tables)
    for name, table in tables.items():
        same(found[name], table)


@pytest.mark.realdata
def test_every_node_and_edge_of_the_eedi_constructs_comes_back(edukit_data: Path, tmp_path: Path):
    raw = pd.read_csv(edukit_data / "eedi_causaledu" / "construct_prerequisites_test.csv", dtype="str")
    edges = raw.assign(requires_id=raw["PrerequisiteConstructIds"].str.findall(r"\d+")).explode("requires_id").dropna(subset=["requires_id"])
    edges = pd.DataFrame({"concept_id": edges["ConstructId"], "requires_id": edges["requires_id"], "source": "Eedi experts", "weight": 1.0})
    ids = pd.unique(pd.concat([raw["ConstructId"], edges["requires_id"]]))
    assert (len(raw), len(edges), len(ids)) == (3277, 6740, 3285)
    topic = pd.Series(ids).map(raw.set_index("ConstructId")["SubjectId"])
    tables = {"concepts": pd.DataFrame({"concept_id": ids, "name": ids, "topic": topic}), "prerequisites": edges}
    found = back(tables, tmp_path / "eedi.json")
    same(found["concepts"], tables["concepts"])
    same(found["prerequisites"], tables["prerequisites"])


def test_endless_brackets_are_no_framework(tmp_path: Path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="must be JSON in UTF-8"):
        case.read(tmp_path / "deep.json")
