"""The ASSISTments family: every quirk of its raw layouts on invented rows, and the real forms of 2009 where they are here: exact counts."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest

from edukit.data.assistments import Assistments2012, Assistments2015, Assistments2017
from edukit.data.assistments2009 import Assistments2009, four_lines
from edukit.data.interaction_store import InteractionStore
from edukit.schema import DataError, has_order
from edukit.validation import validate_all

INVENTED = Path(__file__).parents[2] / "invented"


def invented(kind: type, place: Path, **options):
    place.mkdir(exist_ok=True)
    runpy.run_path(str(INVENTED / f"{kind.name}.py"))["write"](place, options.get("variant", ""))
    return kind(path=str(place), **options)


def read(loader) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def streamed(loader, place: Path) -> pd.DataFrame:
    tables = read(loader)
    return InteractionStore.write(loader.streams(loader.raw_dir())["interactions"], "interactions", place, others=tables).to_frame()


def change(loader, old: str, new: str) -> None:
    path = loader.files(loader.raw_dir())[0]
    content = path.read_bytes()
    assert old.encode("latin-1") in content
    path.write_bytes(content.replace(old.encode("latin-1"), new.encode("latin-1")))


def test_2012_streams_one_row_a_response_in_the_order_of_its_times(tmp_path):
    loader = invented(Assistments2012, tmp_path / "it's raw")  # an apostrophe in the folder
    log, tables = streamed(loader, tmp_path / "log"), read(loader)
    assert log[["learner_id", "item_id", "order"]].to_numpy().tolist() == [["7", "51", 0], ["7", "51", 1], ["7", "52", 2], ["8", "55", 0], ["8", "51", 1]]
    assert log["timestamp"].tolist()[:2] == [pd.Timestamp("2012-09-28 15:11:26Z"), pd.Timestamp("2012-09-28 15:11:27.25Z")] and has_order(log)
    assert log["response_time_s"].tolist()[:2] == [0, 9.852] and log["hints"].tolist()[:2] == [2, 0]
    assert log["response"].tolist()[0] == 'she, "he"' and log["response"].tolist()[-1] == "NA" and pd.isna(log["response"][2])
    assert log[["class_id", "teacher_id", "content_id"]].drop_duplicates().to_numpy().tolist() == [["31", "4", "61"], ["32", "5", "61"]]
    assert tables["concepts"].set_index("concept_id")["name"].to_dict() == {"12": "Ärea 10^n)", "13": "13", "14": "Mean, mode"}
    assert sorted(map(tuple, tables["q_matrix"].to_numpy())) == [("51", "12"), ("51", "14"), ("52", "13"), ("55", "12")]
    assert tables["learners"].set_index("learner_id")["school_id"].to_dict() == {"7": "2", "8": "3"}


def test_2012_keeps_what_it_is_told_to_keep(tmp_path):
    loader = invented(Assistments2012, tmp_path / "raw", part_marks=True, scaffolds=False, untagged=True)
    log, q = streamed(loader, tmp_path / "log"), read(loader)["q_matrix"]
    assert log["item_id"].tolist() == ["51", "51", "52", "53", "54", "51"] and log["correct"].tolist() == [0, 1, 1, 1, 0.25, 1]
    assert q[q["item_id"] == "53"]["concept_id"].tolist() == ["unnamed"]


def test_2012_reads_utf8_with_a_mark_too(tmp_path):
    loader = invented(Assistments2012, tmp_path / "raw")
    before, path = read(loader), loader.files(loader.raw_dir())[0]
    path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-8-sig"))
    for name, table in read(loader).items():
        pd.testing.assert_frame_equal(table, before[name])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",skill_id,", ",kc,", "must have the columns skill_id; found problem_log_id"),
        ("2012-09-28 15:12:00,2012", "noon,2012", "interactions.timestamp must be a date or a time; found 'noon' in 1 of 5 rows"),
        ("algebra,1,1,,0", "algebra,1,yes,,0", "interactions.correct must be a number; found 'yes'"),
        ('""95, x""\n"', '""95, x""\n', "must be a well-formed csv"),
        ("algebra,1,1,,0", "algebra,1,2,,0", "interactions.correct must lie in [0, 1]; found 2"),
        ("algebra,1,1,,0", "algebra,1,,,0", "interactions.correct must not be missing"),
    ],
)
def test_2012_names_what_is_wrong(tmp_path, old, new, told):
    loader = invented(Assistments2012, tmp_path / "raw")
    change(loader, old, new)
    with pytest.raises(DataError) as error:
        streamed(loader, tmp_path / "log")
    assert told in str(error.value) and not (tmp_path / "log").exists()


@pytest.mark.parametrize("kind", [Assistments2012, Assistments2015, Assistments2017])
def test_an_empty_a_foreign_and_a_missing_file_are_named(tmp_path, kind):
    loader = invented(kind, tmp_path / "raw")
    path = loader.files(loader.raw_dir())[0]
    path.write_text("name,mark\nann,1\n")
    with pytest.raises(DataError, match="must have the columns .*; found name, mark"):
        read(loader)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="found an empty file"):
        read(loader)
    path.unlink()
    with pytest.raises(DataError, match=f"edukit data card {kind.name}"):
        read(loader)


def test_2015_takes_the_skill_builder_as_item_and_concept_and_decides_on_part_marks(tmp_path):
    tables = read(invented(Assistments2015, tmp_path / "raw"))
    log = tables["interactions"]
    assert log[["learner_id", "item_id", "order"]].to_numpy().tolist() == [
        ["50121", "5948", 0], ["50121", "7014", 1], ["50121", "7014", 2], ["51950", "7014", 0]]
    assert log["correct"].tolist() == [1, 0, 1, 1] and (tables["q_matrix"]["item_id"] == tables["q_matrix"]["concept_id"]).all()
    assert tables["concepts"]["name"].tolist() == ["skill builder 5948", "skill builder 7014"]
    assert read(invented(Assistments2015, tmp_path / "raw", part_marks=True))["interactions"]["correct"].tolist() == [1, 0, 1, 0.25, 0.5, 1]
    loader = invented(Assistments2015, tmp_path / "raw")
    change(loader, "7014,0\n", "7014,3\n")
    with pytest.raises(DataError, match=r"correct must lie in \[0, 1\]; found 3"):
        read(loader)
    change(loader, "7014,3\n", "7014,right\n")
    with pytest.raises(DataError, match="correct must be a number; found 'right'"):
        read(loader)


def test_2017_reads_seconds_folds_skills_and_keeps_attributes_apart(tmp_path):
    tables = read(invented(Assistments2017, tmp_path / "raw"))
    log, q = tables["interactions"], tables["q_matrix"]
    assert log[["learner_id", "item_id", "order"]].to_numpy().tolist() == [  # two skills in one response, one of them met again, then by time
        ["8", "103", 0], ["8", "103", 1], ["8", "104", 2], ["8", "105", 3], ["9", "104", 0], ["9", "106", 1]]
    assert str(log["timestamp"][0]) == "2004-09-29 15:05:01+00:00" and log["response_time_s"].tolist()[3] == 0
    assert set(q[q["item_id"] == "103"]["concept_id"]) == {"properties-of-geometric-figures", "10^n)"}
    assert q[q["item_id"] == "106"]["concept_id"].tolist() == ["noskill"] and "énigme" in set(tables["concepts"]["name"])
    learners = tables["learners"].set_index("learner_id")
    assert learners.loc["8", ["school_id", "inferred_gender", "mcas"]].tolist() == ["2", "Male", 45] and pd.isna(learners.loc["9", "mcas"])
    assert pd.isna(learners.loc["8", "stem"]) and learners.loc["9", "stem"] == 1 and "inferred_gender" not in log
    assert read(invented(Assistments2017, tmp_path / "raw", scaffolds=False))["interactions"]["item_id"].tolist() == ["103", "103", "104", "104", "106"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [("1096470400,", "noon,", "startTime must be a number in every row; found 'noon' in 1 of 7 rows"), (",0.59,0.13", "", "must be a well-formed csv"),
     (",startTime,", ",start,", "must have the columns startTime")],
)
def test_2017_names_what_is_wrong(tmp_path, old, new, told):
    loader = invented(Assistments2017, tmp_path / "raw")
    change(loader, old, new)
    with pytest.raises(DataError) as error:
        read(loader)
    assert told in str(error.value)


def test_2009_takes_joined_skills_apart(tmp_path):
    (tmp_path / "raw.csv").write_text("order_id,user_id,problem_id,original,correct,skill_id,skill_name\n1,5,100,1,1,7,Mean\n2,5,101,1,0,7_8,\"Mean, Mode\"\n"
                                      "3,5,102,1,1,,\n")
    tables = read(Assistments2009(variant="raw", path=str(tmp_path), file="raw.csv"))
    assert tables["q_matrix"].to_numpy().tolist() == [["100", "7"], ["101", "7"], ["101", "8"], ["102", "unnamed"]]
    assert tables["concepts"].set_index("concept_id")["name"].to_dict() == {"7": "Mean", "8": "8", "unnamed": "unnamed"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "found 1 lines"),
        (b"1\n7,7\n1,2\n", "lines in groups of four"),
        (b"1\n7,7\n1,2\n0\n", "found 2, 2, 1 (first: line 1)"),
        (b"1\n7\n1\n0\n2\n8,9\n1,2\n0\n", "found 2, 2, 1 (first: line 5)"),
        (b"1\n7\n1\n\xff\n", "found byte 0xff at position 6"),
    ],
)
def test_2009_sequences_that_are_cut_or_no_text_are_named(tmp_path, content, told):
    path = tmp_path / "assist2009_pid_test1.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        four_lines(path)
    assert told in str(error.value)


def test_2009_sequences_end_in_commas_and_line_breaks_of_any_kind(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("\ufeff1,70001\r\n7,007,8,\r\n1,2,1,\r\n0,1,1,\r\n\r\n".encode())
    assert four_lines(path).to_numpy().tolist() == [["1", "7", "1", "0"], ["1", "007", "2", "1"], ["1", "8", "1", "1"]]


def test_2009_sequences_refuse_an_answer_that_is_no_mark_and_names_that_are_no_json(tmp_path):
    loader = invented(Assistments2009, tmp_path / "raw", variant="akt")
    change(loader, "1,1,0\n", "1,x,0\n")
    with pytest.raises(DataError, match="correct must be a number; found 'x'"):
        read(loader)
    change(loader, "1,x,0\n", "1,1,0\n")
    (tmp_path / "raw" / "skill.json").write_text("{")
    with pytest.raises(DataError, match="skill.json must be a JSON object"):
        read(loader)
    (tmp_path / "raw" / "skill.json").write_text(json.dumps({"Mean": 1}))
    with pytest.raises(DataError, match="q_matrix.concept_id must be found in concepts.concept_id; found '2'"):
        read(loader)


@pytest.mark.realdata
def test_real_2009_sequences_before_and_after_folding(edukit_data):
    loader = Assistments2009(variant="akt", path=str(edukit_data / "assistments2009" / "akt"))
    rows = pd.concat([four_lines(path) for path in loader.files(loader.raw_dir()) if path.suffix == ".csv"])
    assert (len(rows), *(rows[c].nunique() for c in ("learner_id", "item_id", "concept_id"))) == (325_589, 4_150, 16_891, 110)
    assert round((rows["correct"] == "1").mean(), 4) == 0.6585
    tables = read(loader)
    log = tables["interactions"]
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique(), len(tables["concepts"])) == (274_561, 4_150, 16_891, 110)
    assert round(log["correct"].mean(), 3) == 0.662 and log["order"].notna().all()


@pytest.mark.realdata
def test_real_2009_raw_sample(edukit_data):
    path = edukit_data / "assistments2009" / "raw_sample_15_students.csv"
    raw = pd.read_csv(path, encoding="utf-8-sig")
    assert (len(raw), raw.duplicated("order_id").sum(), raw.duplicated("order_id", keep=False).sum()) == (1_887, 339, 652)
    assert ((raw["original"] == 0).sum(), raw["skill_id"].isna().sum(), raw["skill_name"].isna().sum()) == (405, 338, 386)
    loader = Assistments2009(variant="raw", path=str(path.parent), file=path.name)
    tables = read(loader)
    log = tables["interactions"]
    assert (len(log), log["learner_id"].nunique(), len(tables["q_matrix"]), len(tables["concepts"])) == (1_143, 15, 1_356, 75)
    assert "unnamed" in set(tables["concepts"]["concept_id"]) and not tables["concepts"]["name"].isna().any()


@pytest.mark.realdata
def test_real_2009_one_row_per_response(edukit_data):
    loader = Assistments2009(path=str(edukit_data / "assistments2009" / "lpp"))
    tables = read(loader)
    log, q = tables["interactions"], tables["q_matrix"]
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique()) == (278_336, 3_114, 17_708)
    assert q.groupby("item_id")["concept_id"].agg(lambda ids: tuple(sorted(ids))).nunique() == 149
