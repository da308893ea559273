"""STAR: a wide file becomes one row a child and one enrolment a grade; nothing is filled in."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from edukit.data.star import Star
from edukit.schema import DataError
from edukit.validation import validate_all

INVENTED = runpy.run_path(str(Path(__file__).parents[2] / "invented" / "star.py"))


@pytest.fixture
def loader(tmp_path) -> Star:
    INVENTED["write"](tmp_path, "")
    return Star(path=str(tmp_path))


def test_a_child_is_one_row_and_a_grade_attended_one_enrolment(loader):
    tables = validate_all(loader.parse(loader.raw_dir()))
    learners = tables["learners"].set_index("learner_id")
    assert learners["birth"].dropna().tolist() == ["1979 Q3", "1980 Q1"]
    assert learners.loc["1137", ["class_type_k", "class_type_1", "read_k", "read_1", "school_k", "lunch_1"]].tolist() == [
        "small", "regular+aide", 447, 507, "63", "free"]
    assert learners.loc["1137", ["math_1", "class_type_2", "read_3"]].isna().all() and learners.loc["12000"].isna().all()
    assert tables["enrolments"].to_numpy().tolist() == [
        ["1137", "kindergarten", "small"], ["1137", "grade 1", "regular+aide"], ["1122", "grade 3", "regular"]]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("stark", "starK", "must have the columns stark"),
        ("small", "tiny", "stark must be small, regular, regular.aide or missing; found 'tiny' in 1 of 3 rows .first: row 2"),
        ("447", "high", "readk must be a number or missing; found 'high'"),
        ("12000", "1122", "learners must hold each .learner_id. once"),
    ],
)
def test_a_broken_file_is_refused_by_name(loader, old, new, wanted):
    path = Path(loader.path) / "STAR.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=wanted):
        validate_all(loader.parse(loader.raw_dir()))


def test_an_empty_and_an_absent_file_are_refused(loader):
    path = Path(loader.path) / "STAR.csv"
    path.write_text("")
    with pytest.raises(DataError, match="STAR.csv must hold rows"):
        loader.parse(loader.raw_dir())
    path.unlink()
    with pytest.raises(DataError, match="data star needs STAR.csv"):
        loader.raw_dir()


@pytest.mark.realdata
def test_counts_of_the_real_file_and_the_published_effect(edukit_data):
    if not (edukit_data / "star" / "STAR.csv").is_file():
        pytest.skip(f"needs STAR.csv in {edukit_data / 'star'}")
    loader = Star(path=str(edukit_data / "star"))
    tables = validate_all(loader.parse(loader.raw_dir()))
    learners, enrolments = tables["learners"], tables["enrolments"]
    assert learners.shape == (11_598, 48)
    assert enrolments["module_id"].value_counts().to_dict() == {"grade 2": 6_840, "grade 1": 6_829, "grade 3": 6_802, "kindergarten": 6_325}
    assert learners["class_type_k"].value_counts().to_dict() == {"regular+aide": 2_231, "regular": 2_194, "small": 1_900}
    assert enrolments.groupby("learner_id").size().eq(4).sum() == 3_085 and learners["school_k"].nunique() == 79
    pupils = learners[learners["class_type_k"].isin(["small", "regular"])].dropna(subset=["read_k"])
    score = pupils["read_k"] / pupils.loc[pupils["class_type_k"] == "regular", "read_k"].std()
    small = (pupils["class_type_k"] == "small").astype(float)
    within = [values - values.groupby(pupils["school_k"]).transform("mean") for values in (score, small)]
    assert (within[0] * within[1]).sum() / (within[1] ** 2).sum() == pytest.approx(0.21, abs=0.02), "within schools, in standard deviations"
