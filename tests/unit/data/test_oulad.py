"""OULAD in both forms: one row a learner, days and flags as published, clicks streamed, weekly counts for learners with one enrolment only."""

from __future__ import annotations

import runpy
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from edukit.data.oulad import ATTRIBUTES, FILES, Oulad
from edukit.schema import TABLES, DataError
from edukit.validation import validate, validate_all

INVENTED = runpy.run_path(str(Path(__file__).parents[2] / "invented" / "oulad.py"))


def made(place: Path, variant: str) -> Oulad:
    INVENTED["write"](place, variant)
    return Oulad(variant, path=str(place))


def tables_of(loader: Oulad) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


@pytest.mark.parametrize("variant", Oulad.variants)
def test_both_forms_give_the_same_tables(tmp_path, variant):
    tables = tables_of(made(tmp_path, variant))
    learners, enrolments = tables["learners"].set_index("learner_id"), tables["enrolments"].set_index(["learner_id", "presentation"])
    assert sorted(learners.index) == ["007", "11", "23", "24"]
    assert learners["age_band"]["11"] == "0-35", "the earliest run counts, though it stands second"
    assert learners["imd_band"]["11"] == "10-20%" and pd.isna(learners["imd_band"]["007"])
    assert learners["disability"].to_dict() == {"007": True, "11": False, "23": False, "24": False}
    assert len(enrolments) == 5 and enrolments.loc[("007", "2013J"), "unregistered_day"] == -5
    assert pd.isna(enrolments.loc[("23", "2013B"), "unregistered_day"]) and pd.isna(enrolments.loc[("23", "2013B"), "registered_day"])
    assert not {"gender", "disability", "imd_band"} & {column for name, table in tables.items() if name != "learners" for column in table}
    assert tables["assessments"].set_index("assessment_id")["type"].to_dict() == {"1752": "assignment", "1753": "exam", "1754": "quiz"}
    assert tables["assessments"]["due_day"].isna().tolist() == [False, True, False]
    assert tables["submissions"]["banked"].tolist() == [True, False, False, False] and tables["submissions"]["score"].isna().sum() == 1


def test_clicks_are_streamed_row_by_row_with_the_kind_of_site(tmp_path):
    place = tmp_path / "Tom's data"
    place.mkdir()
    loader = made(place, "full")
    assert "events" not in loader.parse(place)
    events = validate(duckdb.sql(loader.streams(place)["events"]).df(), "events")
    assert set(events) <= set(TABLES["events"].names)
    assert events[["learner_id", "day", "kind", "resource_id", "count"]].to_numpy().tolist() == [
        ["11", -10, "resource", "501", 4], ["11", -10, "resource", "501", 4], ["24", 3, "forumng", "502", 1]], "rows that repeat are kept"
    assert events["presentation"].tolist() == ["2014J", "2014J", "2013B"]


def test_weekly_counts_become_what_was_added_and_only_for_single_enrolments(tmp_path):
    loader = made(tmp_path, "converted")
    assert loader.streams(tmp_path) == {}
    events = tables_of(loader)["events"]
    assert set(events["learner_id"]) == {"24", "007"}, "the clicks of learner 11 belong to two runs"
    clicks = events[(events["learner_id"] == "24") & (events["kind"] == "clicks")]
    assert clicks[["day", "count"]].to_numpy().tolist() == [[14, 5], [42, 3]]
    assert events[events["learner_id"] == "007"][["kind", "day", "count"]].to_numpy().tolist() == [["active day", 28, 1], ["clicks", 28, 2]]
    assert set(events["module_id"]) == {"AAA", "BBB"}


def _edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "wanted"),
    [
        ("studentInfo.csv", '"final_result"', '"result"', "must have the columns final_result"),
        ("studentInfo.csv", '"Y","Withdrawn"', '"maybe","Withdrawn"', "disability must be Y or N, 1 or 0, True or False; found 'maybe' in 1 of 5"),
        ("studentRegistration.csv", '"AAA","2013J","007","-20","-5"\n', "", "studentRegistration.csv must hold every .* of studentInfo.csv; found 1 of 5"),
        ("studentInfo.csv", '"11","F"', '"12","F"', "(?s)studentRegistration.csv must hold.*studentInfo.csv must hold"),
        ("courses.csv", '"BBB","2013B","240"', '"BBB","2013J","240"', "courses.csv must hold every code_module, code_presentation of assessments.csv"),
        ("assessments.csv", '"1754"', '"9"', "must hold every id_assessment of studentAssessment.csv; found 2 of 4 rows without .first: row 2, 1754"),
        ("studentAssessment.csv", '"70"', '"many"', "submissions.score must be a number"),
        ("studentAssessment.csv", '"70"', '"170"', r"submissions.score must lie in \[0, 100\]; found 170"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, file, old, new, wanted):
    loader = made(tmp_path, "full")
    _edit(tmp_path / file, old, new)
    with pytest.raises(DataError, match=wanted):
        tables_of(loader)


def test_clicks_without_a_column_empty_files_and_falling_counts_are_refused(tmp_path):
    loader = made(tmp_path, "full")
    _edit(tmp_path / "studentVle.csv", "sum_click", "clicks")
    with pytest.raises(DataError, match="studentVle.csv must have the columns sum_click"):
        loader.streams(tmp_path)
    (tmp_path / "vle.csv").write_text("")
    with pytest.raises(DataError, match="vle.csv must hold rows; found an empty file"):
        loader.parse(tmp_path)
    (tmp_path / "courses.csv").write_text(INVENTED["HEADS"]["courses"] + "\n")
    with pytest.raises(DataError, match="courses.csv must hold rows; found its header only"):
        loader.parse(tmp_path)
    with pytest.raises(DataError, match="student.csv.*weekly_features/features_week_2.csv"):
        Oulad("converted", path=str(tmp_path)).raw_dir()
    with pytest.raises(DataError, match="variant of oulad must be one of full, converted"):
        Oulad("weekly").raw_dir()
    other = tmp_path / "other"
    other.mkdir()
    loader = made(other, "converted")
    _edit(other / "weekly_features" / "features_week_8.csv", "24,8", "24,7")
    with pytest.raises(DataError, match="never fall .* found total_clicks of 24 fall to 7 on day 56, and 1 such"):
        loader.parse(other)


@pytest.mark.realdata
def test_counts_of_the_real_files(edukit_data):
    loader = Oulad("converted", path=str(edukit_data / "oulad"))
    if not (edukit_data / "oulad" / FILES["converted"]["students"]).is_file():
        pytest.skip(f"needs the converted files of OULAD in {edukit_data / 'oulad'}")
    tables = tables_of(loader)
    enrolments, learners, submissions, events = (tables[name] for name in ("enrolments", "learners", "submissions", "events"))
    assert {name: len(table) for name, table in tables.items()} == {
        "runs": 22, "sites": 6_364, "learners": 28_785, "enrolments": 32_593, "assessments": 206, "submissions": 173_912, "events": 156_652}
    assert enrolments["final_result"].value_counts().to_dict() == {"Pass": 12_361, "Withdrawn": 10_156, "Fail": 7_052, "Distinction": 3_024}
    assert len(enrolments[["module_id", "presentation"]].drop_duplicates()) == 22
    assert (enrolments["unregistered_day"] <= 0).sum() == 3_097
    assert ((enrolments["final_result"] == "Withdrawn") & enrolments["unregistered_day"].isna()).sum() == 93
    assert enrolments["registered_day"].isna().sum() == 45
    assert tables["assessments"].loc[tables["assessments"]["due_day"].isna(), "type"].value_counts().to_dict() == {"exam": 11}
    assert submissions["banked"].sum() == 1_909 and submissions["score"].isna().sum() == 173
    assert "10-20%" in set(learners["imd_band"]) and "10-20" not in set(learners["imd_band"])
    raw = loader._read(loader.raw_dir(), "students")
    differing = raw.groupby("id_student")[ATTRIBUTES].nunique(dropna=False).gt(1).sum()
    assert differing[differing > 0].to_dict() == {"age_band": 72}
    assert events["learner_id"].nunique() == 22_559 and sorted(events["day"].unique()) == [14, 28, 42, 56]
    assert events.loc[events["kind"] == "clicks", "count"].sum() == 4_866_131 + 3_003_507 + 2_169_515 + 2_110_100
    assert not events["learner_id"].isin(enrolments.loc[enrolments["learner_id"].duplicated(), "learner_id"]).any()
