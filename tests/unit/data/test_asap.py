"""ASAP short answers and essays: each quirk on invented rows, a clear error for each broken file, exact counts on the real short answers."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.asap import AsapAes, AsapSas
from edukit.metrics import quadratic_weighted_kappa
from edukit.schema import DataError
from edukit.validation import validate_all

INVENTED = Path(__file__).parents[2] / "invented"


@pytest.fixture
def asap(tmp_path):
    def write(kind: type, variant: str):
        runpy.run_path(str(INVENTED / f"{kind.name}.py"))["write"](tmp_path, variant)
        return kind(variant=variant, path=str(tmp_path))
    return write


def tables_of(loader) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def test_ten_sets_with_their_marks_and_plain_quotes(asap):
    tables = tables_of(asap(AsapSas, "sets"))
    assert tables["questions"].set_index("question_id")["max_score"].to_dict() == {str(n): 3 if n in (1, 2, 5, 6) else 2 for n in range(1, 11)}
    answers = tables["answers"].set_index("answer_id")
    assert len(answers) == 21 and answers.loc["10", "text"] == 'A "rinse of 10^n)\nthen' and answers.loc["11", "text"] == "NA"
    assert answers.loc["10", ["score", "second_score"]].tolist() == [2, 1]


def test_the_colour_of_set_10_is_the_first_line_and_none_chosen_adds_nothing(asap):
    answers = tables_of(asap(AsapSas, "sets"))["answers"].set_index("answer_id")
    assert answers.loc["100", "text"].startswith("dark gray\nA ") and answers.loc["102", "text"] == "it depends"


def test_the_contests_own_file_has_a_header_and_an_odd_byte(asap):
    tables = tables_of(asap(AsapSas, "train"))
    assert tables["answers"]["text"].tolist() == ["It\u2019s \"5 cm\n\nmore", "black: NA"] and tables["questions"]["question_id"].tolist() == ["1", "10"]


def test_essays_resolved_and_by_rater(asap):
    resolved = tables_of(asap(AsapAes, "resolved"))
    assert resolved["answers"]["score"].tolist() == [8, 4, 40] and "second_score" not in resolved["answers"]
    assert resolved["answers"]["text"].iloc[0] == 'Dear @PERSON1, it\u2019s "fine", @CAPS1 10^n)'
    assert resolved["questions"].set_index("question_id")["max_score"].to_dict() == {"1": 12, "2": 6, "8": 60}
    raters = tables_of(asap(AsapAes, "raters"))
    assert raters["answers"]["score"].tolist() == [4, 4, 15, 15] and raters["answers"]["second_score"].tolist() == [4, 3, 16, 16]
    assert raters["questions"]["max_score"].tolist() == [6, 6, 30]


@pytest.mark.parametrize("kind, variant, file, old, new, wanted", [
    (AsapSas, "sets", "train_3-raw.txt", b"30\t3\t2", b"30\t3\t7", r"Score1 must be a whole number within the marks of its set; found 30, 3, 7, 1.* line 1 "),
    (AsapSas, "sets", "train_3-raw.txt", b"31\t3\t0\t0\t?\tNA", b"31\t3\t0", r"(?s)Score1 must|the text must be there.*31, 3, 0"),
    (AsapSas, "sets", "train_3-raw.txt", b"\t?\tNA", b"\t?\tN\tA\tB\tC", "must be a well-formed table"),
    (AsapSas, "sets", "train_3-raw.txt", b"30\t3", b"30\t13", "the set must be one of 1, 2"),
    (AsapSas, "train", "train.tsv", b"EssayText", b"Text", "must have the columns EssayText"),
    (AsapSas, "train", "train.tsv", b"2\t10\t0\t0", b"2\t10\t\t0", r"Score1 must be a whole number.* line 3 "),
    (AsapAes, "resolved", "training_set_rel3.tsv", b"domain1_score", b"score", "must have the columns domain1_score"),
    (AsapAes, "resolved", "training_set_rel3.tsv", b"\t4\t4\t\t8", b"\t4\t4\t\t80", "Score1 must be a whole number within the marks.*found 1, 1, 80"),
    (AsapAes, "raters", "training_set_rel3.tsv", b"\t4\t4\t\t8", b"\t4\t9\t\t8", "Score2 must be a whole number within the marks"),
])
def test_a_broken_file_is_named_with_its_first_fault(asap, kind, variant, file, old, new, wanted):
    loader = asap(kind, variant)
    path = Path(loader.path) / file
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(DataError, match=wanted) as error:
        tables_of(loader)
    assert file in str(error.value)


def test_an_empty_file_is_refused(asap):
    loader = asap(AsapSas, "sets")
    (Path(loader.path) / "train_7-raw.txt").write_bytes(b"")
    with pytest.raises(DataError, match="train_7-raw.txt must hold rows; found an empty file"):
        tables_of(loader)


SETS = {1: 1_666, 2: 1_267, 3: 1_808, 4: 1_657, 5: 1_795, 6: 1_797, 7: 1_799, 8: 1_799, 9: 1_798, 10: 1_640}
AGREEMENT = {1: .943, 2: .914, 3: .755, 4: .749, 5: .953, 6: .956, 7: .968, 8: .856, 9: .828, 10: .884}


@pytest.mark.realdata
def test_real_counts_and_agreement_of_the_two_raters(edukit_data):
    tables = tables_of(AsapSas(path=str(edukit_data / "asap_sas")))
    answers = tables["answers"]
    assert len(answers) == 17_026 and answers["question_id"].astype(int).value_counts().to_dict() == SETS
    for number, expected in AGREEMENT.items():
        rows = answers[answers["question_id"] == str(number)]
        assert round(quadratic_weighted_kappa(rows["score"], rows["second_score"]), 3) == expected
    first = answers.loc[answers["question_id"] == "10", "text"].str.split("\n").str[0]
    assert first.value_counts().head(4).to_dict() == {"white": 733, "black": 392, "light gray": 288, "dark gray": 225}
