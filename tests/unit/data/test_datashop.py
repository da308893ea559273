"""DataShop exports: both forms, every way to write concepts, times and hints; Statics 2011 and KDD Cup 2010 read through them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.datashop import KddCup2010, Statics2011
from edukit.formats import datashop
from edukit.schema import DataError
from edukit.validation import validate_all

INVENTED = Path(__file__).parents[2] / "invented"
STEPS = "Anon Student Id\tProblem Hierarchy\tProblem Name\tStep Name\tFirst Transaction Time\tFirst Attempt\tHints\tKC (A)\tKC (A)\tKC (B)\n"
TRANSACTIONS = ("Row\tSample Name\tTransaction Id\tAnon Student Id\tTime\tDuration (sec)\tLevel (Unit)\tProblem Name\tProblem View\tStep Name\t"
                "Attempt At Step\tOutcome\tInput\tKC (A)\tKC Category (A)\tClass\n")


def read(path: Path, text: str, encoding: str = "utf-8", **options) -> dict[str, pd.DataFrame]:
    path.write_text(text, encoding=encoding)
    return validate_all(datashop.read(path, **options))


def concepts_of(tables: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    return tables["q_matrix"].groupby("item_id")["concept_id"].apply(list).to_dict()


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "export.txt"


def test_columns_of_an_export_are_recognised_and_others_are_not():
    assert datashop.recognise(STEPS.strip().split("\t")) and datashop.recognise(TRANSACTIONS.strip().split("\t"))
    assert not datashop.recognise(["Anon Student Id", "Problem Name", "Step Name"]) and not datashop.recognise(["user_id", "problem_id", "correct"])
    assert datashop.kc_models(["KC (A)", "KC (A).1", "KC Category (A)", "KC(Sub (x))", "Opportunity (A)"]) == ["A", "Sub (x)"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_steps_have_all_their_concepts_and_the_user_chooses_the_model(file, encoding):
    text = STEPS + ("é\tU, S\tp\tx\t2031-01-01 10:00:01\tcorrect\t0\t10^n)~~b\tc\tz\né\tU, S\tp\ty\t2031-01-01 10:00:00.5\tincorrect\t1\t\t\tz\n"
                    "é\tU, T\tp\ty\t2031-01-02 10:00:00\tcorrect\t0\tb\t\tz\n")
    tables = read(file, text, encoding)
    assert concepts_of(tables) == {"p----x": ["10^n)", "b", "c"], "p----y": ["b"]}  # a step tagged in one row is tagged in all
    log = tables["interactions"]
    assert log["learner_id"].unique().tolist() == ["é"] and log["item_id"].tolist() == ["p----y", "p----x", "p----y"] and log["attempt"].tolist() == [1, 1, 2]
    assert log["order"].tolist() == [0, 1, 2] and log["content_id"].tolist() == ["U, S", "U, S", "U, T"]
    assert tables["concepts"].set_index("concept_id").loc["b", ["topic", "area"]].tolist() == ["U, S", "U"]
    for model in ("B", "KC (B)"):
        assert concepts_of(datashop.read(file, model)) == {"p----x": ["z"], "p----y": ["z"]}
    with pytest.raises(DataError, match=r"one of the models of export.txt, A, B; found 'C'"):
        datashop.read(file, "C")


def test_a_hint_first_is_wrong_or_dropped_and_steps_without_concept_are_kept_or_dropped(file):
    text = (STEPS + "a\tU\tp\tx\t2031-01-01 10:00:00\thint\t2\tk\t\t\na\tU\tp\ty\t2031-01-01 10:00:01\tcorrect\t0\t\t\t\n"
            "a\tU\tp\tz\t2031-01-01 10:00:02\tcorrect\t0\tk\t\t\n")
    tables = read(file, text)
    assert tables["interactions"]["correct"].tolist() == [0, 1, 1] and tables["interactions"]["hints"].tolist() == [2, 0, 0]
    assert concepts_of(tables)["p----y"] == ["unnamed"]
    assert read(file, text, first_hint="drop")["interactions"]["item_id"].tolist() == ["p----y", "p----z"]
    kept = read(file, text, untagged="drop")["interactions"]
    assert kept["item_id"].tolist() == ["p----x", "p----z"] and kept["order"].tolist() == [0, 1]
    with pytest.raises(DataError, match="first_hint must be one of wrong, drop; found 'keep'"):
        datashop.read(file, first_hint="keep")


def test_transactions_fold_into_first_attempts_with_hints_counted(file):
    rows = (
        "1\tAll\tt1\ta\t2031-01-01 10:00:03.25\t3\tU\tp\t1\ts\t2\tCORRECT\t5\tk\t\t7A\n"
        "1\tAll\tt0\ta\t2031-01-01 10:00:00\t8\tU\tp\t1\ts\t1\tINCORRECT\t4\tk\t\t7A\n"
        "1\tAll\tt2\ta\t2031-01-01 10:01:00\t2\tU\tp\t1\tu\t1\tHINT\t\tk\t\t7A\n1\tAll\tt3\ta\t2031-01-01 10:01:05\t2\tU\tp\t1\tu\t2\tHINT\t\tk\t\t7A\n"
        "1\tAll\tt4\ta\t2031-01-01 10:01:09\t2\tU\tp\t1\tu\t3\tCORRECT\t9\tk\t\t7A\n1\tAll\tt5\ta\t2031-01-02 10:00:00\t.\tU\tp\t2\ts\t1\tOK\t5\tk\t\t7A\n"
        "1\tAll\tt6\ta\t2031-01-02 10:00:01\t1\tU\tp\t2\t\t1\t\t\t\t\t7A\n"
    )
    log = read(file, TRANSACTIONS + rows)["interactions"]
    assert log["item_id"].tolist() == ["p----s", "p----u", "p----s"] and log["correct"].tolist() == [0, 0, 1] and log["hints"].tolist() == [0, 2, 0]
    assert log["response"].tolist()[0] == "4" and pd.isna(log["response"].iloc[1]) and log["attempt"].tolist() == [1, 1, 2]
    assert log["response_time_s"].tolist()[:2] == [8, 2] and pd.isna(log["response_time_s"].iloc[2]) and set(log["class_id"]) == {"7A"}
    twice = TRANSACTIONS + rows + rows.replace("\tAll\t", "\tHalf\t")  # two samples of one data set repeat its rows
    assert read(file, twice)["interactions"]["hints"].tolist() == [0, 2, 0]
    no_view = (TRANSACTIONS + rows).replace("Problem View", "Other")  # the attempt that begins anew tells the views apart
    assert read(file, no_view)["interactions"]["correct"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("time", "seen"),
    [
        ("2005-09-09 12:24:35.0", "2005-09-09 12:24:35"), ("2005-09-09 12:24:35", "2005-09-09 12:24:35"), ("2011/9/3 7:05", "2011-09-03 07:05"),
        ("9/13/2011 17:35:01", "2011-09-13 17:35:01"), ("1420714809324", "2015-01-08 11:00:09.324"), ("1420714809", "2015-01-08 11:00:09"),
    ],
)
def test_times_in_every_form(file, time, seen):
    tables = read(file, STEPS + f"a\tU\tp\tx\t{time}\tcorrect\t0\tk\t\t\n")
    assert tables["interactions"]["timestamp"].tolist() == [pd.Timestamp(seen, tz="UTC")]


def test_a_row_without_a_time_stays_beside_its_neighbour(file):
    rows = "a\tU\tp\tx\t2031-01-02 10:00:00\tcorrect\t0\tk\t\t\na\tU\tp\ty\t\tcorrect\t0\tk\t\t\na\tU\tp\tz\t2031-01-01 10:00:00\tcorrect\t0\tk\t\t\n"
    log = read(file, STEPS + rows)["interactions"]
    assert log["item_id"].tolist() == ["p----z", "p----x", "p----y"] and log["timestamp"].isna().tolist() == [False, False, True]


def test_without_any_concept_column_every_step_is_its_own_concept_and_without_times_the_rows_are_the_order(file):
    tables = read(file, "Anon Student Id,Problem Name,Step Name,Correct First Attempt\n7,p,,1\n7,p,x,0\n")
    assert concepts_of(tables) == {"p": ["p"], "p----x": ["p----x"]} and tables["interactions"]["order"].tolist() == [0, 1]
    assert "timestamp" not in tables["interactions"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "found an empty file"),
        ("Anon Student Id\tProblem Name\n1\tp\n", "must have the columns Step Name"),
        ("Anon Student Id\tProblem Name\tStep Name\n1\tp\ts\n", "must have one of the columns First Attempt"),
        (STEPS + "a\tU\tp\tx\t2031-01-01 10:00:00\tperhaps\t0\tk\t\t\n", "or hint in First Attempt; found 'perhaps' in 1 of 1 rows (first: row 1)"),
        (STEPS + "a\tU\tp\tx\tyesterday\tcorrect\t0\tk\t\t\n", "must hold times such as 2011-09-21 17:35:04; found 'yesterday'"),
        (STEPS + "a\tU\tp\tx\t2031-01-01 10:00:00\tcorrect\t0\tk\t\t\nb\tU\n", "must have 10 cells in every row; found 2 in the last"),
        (STEPS + "\tU\tp\tx\t2031-01-01 10:00:00\tcorrect\t0\tk\t\t\n", "must name a learner in every row; found nothing in 1 of 1 rows"),
        (STEPS + "a\tU\t\t\t2031-01-01 10:00:00\tcorrect\t0\tk\t\t\n", "must name the problem or the step in every row"),
        (STEPS, "found none after 0 rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(file, content, told):
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as error:
        datashop.read(file)
    assert told in str(error.value)


def test_statics_counts_hints_as_the_publisher_or_as_pykt(tmp_path):
    runpy.run_path(str(INVENTED / "statics2011.py"))["write"](tmp_path, "")
    loader = Statics2011(path=str(tmp_path))
    tables = validate_all(loader.parse(loader.raw_dir()))
    log = tables["interactions"]
    assert log["correct"].tolist() == [0, 1, 0] and log["hints"].tolist() == [3, 0, 0] and "response_time_s" not in log
    assert set(tables["concepts"]["concept_id"]) == {"draw^n)", "moment", "unnamed"} and "_m2_力----q1" in set(log["item_id"])
    other = Statics2011(path=str(tmp_path), kc_model="Unique-step", first_hint="drop", untagged="drop")
    assert len(validate_all(other.parse(other.raw_dir()))["interactions"]) == 2


@pytest.mark.parametrize("variant", KddCup2010.variants)
def test_kdd_cup_takes_quotation_marks_as_they_are_and_sorts_by_time(tmp_path, variant):
    runpy.run_path(str(INVENTED / "kddcup2010.py"))["write"](tmp_path, variant)
    loader = KddCup2010(variant=variant, path=str(tmp_path))
    tables = validate_all(loader.parse(loader.raw_dir()))
    log = tables["interactions"]
    assert log["item_id"].tolist() == ['"DIST 7----x+2 = 5', '"DIST 7----3(x+2) = 15', '"DIST 7----x+2 = 5', "DIST 8----FinalAnswer"]
    assert log["response_time_s"].tolist()[:3] == [2, 28, 4.5] and log["hints"].tolist() == [0, 3, 0, 0]
    assert concepts_of(tables)['"DIST 7----3(x+2) = 15'] == ["10^n)", "[SkillRule: Eliminate Parens; {CLT; CLT}]"]
    with pytest.raises(DataError, match="variant of kddcup2010 must be one of algebra05, bridge06; found algebra08"):
        KddCup2010(variant="algebra08").raw_dir()
