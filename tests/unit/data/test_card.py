import copy
import json
from dataclasses import replace

import pytest

from edukit.data import card as cards
from edukit.data.card import HEADINGS, Card, distribution_problems, load_card, parse_sections, problems, readable, render
from edukit.reproducibility import bundled
from edukit.schema import DataError

NAMES = sorted(path.stem for path in bundled("data_cards").glob("*.json"))


@pytest.fixture
def synthetic() -> Card:
    return load_card("synthetic")


@pytest.mark.parametrize("name", NAMES)
def test_every_card_may_be_used(name):
    assert problems(load_card(name)) == []


def test_no_card_no_load(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "bundled", lambda _: tmp_path)
    with pytest.raises(DataError, match="No card, no load") as refused:
        load_card("unheard_of")
    assert str(tmp_path / "unheard_of.json") in str(refused.value) and str(tmp_path / "unheard_of.md") in str(refused.value)
    (tmp_path / "half.json").write_text("{}")
    with pytest.raises(DataError, match=r"found no half\.md\."):
        load_card("half")
    (tmp_path / "half.md").write_text("# Half")
    assert load_card("half").sections == {} and len(problems(load_card("half"))) > 10
    for text, words in (("{", "must be JSON"), ("[1]", "one JSON object; found list")):
        (tmp_path / "half.json").write_text(text)
        with pytest.raises(DataError, match=words):
            load_card("half")


@pytest.mark.parametrize(
    ("change", "words"),
    [({"license": None}, "license must be stated"), ({"citeAs": ""}, "citeAs must be stated"), ({"url": " "}, "url must be stated"),
     ({"name": "other"}, "name must be 'synthetic'"), ({"name": None}, "name must be stated"),
     ({"rai:dataBiases": None}, "rai:dataBiases must be stated"),
     ({"rai:personalSensitiveInformation": []}, "rai:personalSensitiveInformation must be stated"),
     ({"recordSet": []}, "at least one table"), ({"conformsTo": "http://example.org"}, "conformsTo must name Croissant")],
)
def test_what_is_missing_is_said(synthetic, change, words):
    document = {key: value for key, value in (synthetic.croissant | change).items() if value is not None}
    assert any(words in line for line in problems(replace(synthetic, croissant=document)))


def test_a_checksum_that_is_none_and_a_dangling_reference_are_found():
    card = load_card("junyi")
    document = copy.deepcopy(card.croissant)
    document["distribution"][0]["sha256"] = "todo"
    assert any("sha256 of 64" in line for line in problems(replace(card, croissant=document)))
    document = copy.deepcopy(card.croissant)
    del document["distribution"][0]
    assert any(line.startswith("mlcroissant: ") for line in problems(replace(card, croissant=document)))
    document = copy.deepcopy(card.croissant)
    del document["recordSet"][0]["field"][0]["description"]
    assert any("'exercises/name' must have a description" in line for line in problems(replace(card, croissant=document)))


@pytest.mark.parametrize("spoil", ["drop", "swap", "empty", "extra"])
def test_the_eight_headings_are_held_in_order_and_filled(synthetic, spoil):
    parts = list(synthetic.sections.items())
    if spoil == "drop":
        parts.pop(3)
    elif spoil == "swap":
        parts[0], parts[1] = parts[1], parts[0]
    elif spoil == "empty":
        parts[5] = (parts[5][0], "")
    else:
        parts.append(("Acknowledgements", "none"))
    found = problems(replace(synthetic, sections=dict(parts)))
    assert len(found) == 1 and ("must say something" if spoil == "empty" else "the markdown must have the headings") in found[0]


def test_sections_are_read_as_written():
    text = "# Title\nintro\n## A\none\n\n### deeper\ntwo\n## B\n## A\nagain\n"
    assert parse_sections(text) == {"A": "one\n\n### deeper\ntwo", "B": "", "A (3)": "again"}


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_shows_terms_files_tables_and_every_section(name):
    card = load_card(name)
    shown = render(card)
    assert all(f"## {heading}" in shown for heading in HEADINGS) and card.croissant["citeAs"] in shown
    assert all(file["sha256"][:12] in shown and file["contentUrl"] in shown for file in card.files())
    assert all(record["name"] in shown for record in card.croissant["recordSet"])


def test_the_numbers_on_the_synthetic_card_are_those_of_its_tables(synthetic):
    from edukit.data.synthetic import Synthetic

    world = Synthetic().world()
    log = world.tables["interactions"]
    text = synthetic.croissant["description"] + " ".join(" ".join(synthetic.sections.values()).split())
    counts = [f"{len(log):,} responses", f"{log['learner_id'].nunique()} learners", f"{log['class_id'].nunique()} classes",
              f"{len(world.tables['items'])} items", f"{len(world.tables['concepts'])} concepts",
              f"{len(world.tables['prerequisites'])} edges",
              f"{(log['attempt'] > 1).sum():,} of them", f"{log['correct'].mean():.3f} right".lstrip("0"),
              f"{world.tables['q_matrix']['item_id'].value_counts().gt(1).sum()} items assess two"]
    assert [count for count in counts if count not in text] == []
    described = {r["name"]: {f["name"] for f in r["field"]} for r in synthetic.croissant["recordSet"]}
    assert described == {name: set(table.columns) for name, table in world.tables.items()}


FILE = {"@type": "cr:FileObject", "@id": "school/log.csv", "name": "school/log.csv", "contentUrl": "https://example.org/log.csv", "contentSize": "1234567 B",
        "encodingFormat": "text/csv", "sha256": "0" * 64, "access": "open", "variant": "short"}
SET = {"@type": "cr:FileSet", "@id": "school/years", "name": "school/years", "description": "years.zip of the author", "encodingFormat": "text/csv",
       "includes": "school/years/*.csv", "access": "form", "variant": ["long", "longer"], "url": "https://example.org/form"}


def test_files_are_told_by_variant_and_what_lies_in_an_archive_comes_with_it():
    shared, inside = FILE | {"@id": "school/names.csv"}, SET | {"@id": "inside", "containedIn": {"@id": "school/log.csv"}}
    del shared["variant"]
    card = Card("school", {"distribution": [FILE, shared, SET, inside]}, {})
    assert card.files() == [FILE, shared] and card.file_sets() == [SET]
    assert card.files("short") == [FILE, shared] and card.file_sets("short") == []
    assert card.files("longer") == [shared] and card.file_sets("longer") == [SET]
    assert Card("school", {"distribution": FILE}, {}).files() == [FILE] and Card("school", {}, {}).files() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [({"@id": "../log.csv"}, "@id must be a path below"), ({"@id": "log.csv"}, "@id must be a path below"), ({"@id": ""}, "@id must be a path below"),
     ({"name": "log.csv"}, "must have its @id as its name"), ({"access": "free"}, "must have access open, login, form, rules, converted; found 'free'"),
     ({"access": None}, "must have access"), ({"variant": 3}, "must name its variant"), ({"variant": [""]}, "must name its variant"),
     ({"unpack": "yes"}, "unpack must be true"), ({"sha256": "abc"}, "sha256 of 64"), ({"contentSize": "4 MB"}, "contentSize in bytes"),
     ({"contentSize": None}, "must state contentSize"), ({"contentUrl": "ftp://example.org/x"}, "contentUrl starting with https"),
     ({"contentUrl": "file:///etc/passwd"}, "contentUrl starting with https"), ({"contentUrl": ""}, "must state contentUrl")],
)
def test_a_file_that_could_not_be_fetched_is_found(change, words):
    changed = FILE | change if "@id" not in change else FILE | change | {"name": change["@id"]}
    assert distribution_problems(Card("school", {"distribution": [FILE | {"@id": "school/b", "name": "school/b"}, SET]}, {})) == []
    assert [words in line for line in distribution_problems(Card("school", {"distribution": [changed]}, {}))] == [True]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"access": "open"}, "must have access login, form, rules, converted; found 'open'"), ({"includes": "*.csv"}, "includes must be a path below"),
     ({"includes": ["school/a.csv", "/b/c.csv"]}, "includes must be a path below"), ({"includes": []}, "must state includes"),
     ({"description": ""}, "must state description"), ({"unpack": True}, "unpack must be true, and only")],
)
def test_a_file_set_that_says_too_little_is_found(change, words):
    assert [words in line for line in distribution_problems(Card("school", {"distribution": [SET | change]}, {}))] == [True]


def test_a_file_listed_twice_is_found():
    twice = [FILE, FILE | {"@id": "School/log.csv", "name": "School/log.csv"}]
    assert ["listed once" in line for line in distribution_problems(Card("school", {"distribution": twice}, {}))] == [True]


def test_the_terminal_says_how_each_file_is_obtained():
    shown = render(Card("school", {"distribution": [FILE, SET]}, {}))
    assert all(f"`edukit data fetch school_{variant}`" in shown for variant in ("short", "long", "longer"))
    assert "school/log.csv (variant short; fetched from its address; 1.2 MB; sha256 000000000000…) https://example.org/log.csv" in shown
    assert "school/years (variant long, longer; by hand: fill in the form" in shown and "size and sum unknown) https://example.org/form" in shown
    assert "edukit data fetch" not in render(Card("school", {}, {}))


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_949, "1.0 MB"), (656_787_242, "656.8 MB"),
                                            (5e15, "5000.0 TB")])
def test_sizes_are_readable(size, words):
    assert readable(size) == words


def test_json_is_written_for_people_too():
    for name in NAMES:
        path = bundled("data_cards") / f"{name}.json"
        text = path.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
