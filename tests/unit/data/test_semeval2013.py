"""SemEval-2013 task 7: archive and folders, both corpora, both ways of grading; unsafe and broken XML; exact counts on the real files."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.semeval2013 import Semeval2013, parse_xml
from edukit.schema import DataError
from edukit.validation import validate_all

INVENTED = runpy.run_path(str(Path(__file__).parents[2] / "invented/semeval2013.py"))


@pytest.fixture
def folders(tmp_path) -> Path:
    for name, text in INVENTED["documents"]().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def tables_of(place: Path, variant: str = "scientsbank_3way") -> dict[str, pd.DataFrame]:
    loader = Semeval2013(variant=variant, path=str(place))
    return validate_all(loader.parse(loader.raw_dir()))


@pytest.mark.parametrize("variant", Semeval2013.variants)
def test_the_archive_and_its_folders_read_the_same(folders, tmp_path_factory, variant):
    packed = tmp_path_factory.mktemp("packed")
    INVENTED["write"](packed, variant)
    first, second = tables_of(folders, variant), tables_of(packed, variant)
    for name in first:
        pd.testing.assert_frame_equal(first[name], second[name])
    assert [p.name for p in Semeval2013(variant=variant, path=str(packed)).files(packed)] == ["semeval-3way.zip"]


def test_a_question_in_two_parts_is_listed_once_and_its_answers_know_their_part(folders):
    tables = tables_of(folders)
    assert tables["questions"]["question_id"].tolist() == ["EM_45b", "ME_7a", "WA_1"]
    assert tables["questions"]["prompt"].iloc[0] == "Why is 2 < 3 & so on?" and tables["questions"]["domain"].tolist() == ["EM", "ME", "WA"]
    answers = tables["answers"]
    assert answers["part"].value_counts().to_dict() == {"train": 3, "unseen answers": 3, "unseen questions": 3, "unseen domains": 3}
    assert answers["text"].iloc[0] == "it is\n0" and answers["answer_id"].is_unique


def test_labels_follow_the_way_of_grading_and_beetle_has_several_references(folders):
    assert set(tables_of(folders)["answers"]["label"]) == {"correct", "contradictory", "incorrect"}
    tables = tables_of(folders, "beetle_2way")
    assert set(tables["answers"]["label"]) == {"correct", "incorrect"} and "unseen domains" not in set(tables["answers"]["part"])
    assert tables["questions"]["reference"].iloc[0] == "connected\nnot  separated"  # the empty one is left out


@pytest.mark.parametrize("data", [
    b'<?xml version="1.0"?><!DOCTYPE q [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><question>&b;</question>',
    b'<!DOCTYPE q SYSTEM "file:///etc/passwd"><question/>',
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE q [<!ENTITY a "x">]><question>&a;</question>'.encode("utf-16"),
])
def test_a_document_type_is_refused_before_anything_is_expanded(data):
    with pytest.raises(DataError, match="must not declare a document type"):
        parse_xml("here.xml", data)


@pytest.mark.parametrize("old, new, wanted", [
    ("</question>", "", "must be well-formed XML"),
    ('accuracy="contradictory"', 'accuracy="irrelevant"', "must label every answer correct, contradictory, incorrect; found 'irrelevant' in 1 of 3"),
    (' id="EM_45b"', "", "it lacks an id"),
    ("<questionText>Why is 2 &lt; 3 &amp; so on?</questionText>", "", "it lacks a questionText"),
    ("studentAnswer ", "answer ", "well-formed XML"),
])
def test_a_broken_question_is_named(folders, old, new, wanted):
    path = folders / "training/3way/sciEntsBank/EM_45b.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=wanted) as error:
        tables_of(folders)
    assert "EM_45b.xml" in str(error.value)


def test_an_empty_file_a_missing_part_and_a_broken_archive_are_named(folders, tmp_path_factory):
    (folders / "test/3way/sciEntsBank/test-unseen-domains/WA_1.xml").unlink()
    with pytest.raises(DataError, match="none for unseen domains .looked in test/3way/sciEntsBank/test-unseen-domains"):
        tables_of(folders)
    (folders / "training/3way/sciEntsBank/EM_45b.xml").write_bytes(b"")
    with pytest.raises(DataError, match="no element found"):
        tables_of(folders)
    place = tmp_path_factory.mktemp("broken")
    with pytest.raises(DataError, match="needs semeval-3way.zip"):
        tables_of(place)
    (place / "semeval-3way.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="must be a zip archive"):
        tables_of(place)
    with zipfile.ZipFile(place / "semeval-3way.zip", "w") as archive:
        archive.writestr("training/5way/a.xml", "<question/>")
    with pytest.raises(DataError, match="none for train, unseen answers"):
        tables_of(place)


REAL = {
    "scientsbank": {"train": 4_969, "unseen answers": 540, "unseen questions": 733, "unseen domains": 4_562},
    "beetle": {"train": 3_941, "unseen answers": 439, "unseen questions": 819},
}


@pytest.mark.realdata
@pytest.mark.parametrize("variant", Semeval2013.variants)
def test_real_counts(edukit_data, variant):
    tables = tables_of(edukit_data / "semeval2013", variant)
    corpus, way = variant.split("_")
    assert tables["answers"]["part"].value_counts().to_dict() == REAL[corpus]
    assert len(tables["questions"]) == {"scientsbank": 196, "beetle": 56}[corpus] and tables["questions"]["reference"].notna().all()
    right = tables["answers"].loc[tables["answers"]["part"] == "train", "label"].value_counts()
    assert right["correct"] == {"scientsbank": 2_008, "beetle": 1_665}[corpus]
    assert ("contradictory" in right) == (way == "3way")
