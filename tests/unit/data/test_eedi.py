"""Eedi loaders: each quirk on invented rows, a clear error for each broken file, exact counts on the real ones."""

from __future__ import annotations

import runpy
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from edukit.data.eedi import EediCausaledu, Nips34
from edukit.schema import DataError, has_order
from edukit.validation import validate_all

INVENTED = Path(__file__).parents[2] / "invented"


@pytest.fixture
def nips34(tmp_path):
    def write(variant: str) -> Nips34:
        runpy.run_path(str(INVENTED / "nips34.py"))["write"](tmp_path, variant)
        return Nips34(variant=variant, path=str(tmp_path))
    return write


@pytest.fixture
def causal(tmp_path) -> EediCausaledu:
    runpy.run_path(str(INVENTED / "eedi_causaledu.py"))["write"](tmp_path, "")
    return EediCausaledu(path=str(tmp_path))


def tables_of(loader) -> dict[str, pd.DataFrame]:
    return validate_all(loader.parse(loader.raw_dir()))


def pairs(table: pd.DataFrame, *columns: str) -> set[tuple]:
    return set(table[list(columns)].itertuples(index=False, name=None))


def edit(loader, file: str, old: str, new: str) -> None:
    path = Path(loader.path) / file
    text = path.read_bytes().decode("utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new).encode("utf-8"))


def test_the_deepest_subject_is_the_concept_and_its_ancestors_are_topic_and_area(nips34):
    tables = tables_of(nips34("test"))
    assert pairs(tables["q_matrix"], "item_id", "concept_id") == {("7", "33"), ("0", "33"), ("0", "42"), ("9", "64"), ("11", "64")}
    concepts = tables["concepts"].set_index("concept_id")
    assert concepts.loc["33", ["name", "topic", "area"]].tolist() == ["Powers, 10^n)", "Basic Arithmetic", "Number"]
    assert concepts.loc["64", "description"] == "Maths > Algebra > Équations > Linear" and set(concepts.index) == {"33", "42", "64"}


def test_chosen_options_keys_and_order_unknown(nips34):
    tables = tables_of(nips34("test"))
    log = tables["interactions"].set_index(["learner_id", "item_id"])
    assert len(log) == 6 and not has_order(tables["interactions"])
    assert log.loc[("5", "0"), ["response", "correct"]].tolist() == ["4", 0.0]
    items = tables["items"].set_index("item_id")
    assert items["options"].eq(4).all() and items["answer_key"].dropna().to_dict() == {"7": "2", "0": "1"}  # 9 has two keys, nobody met 11


def test_attributes_lie_in_learners_only_and_everyone_with_metadata_is_there(nips34):
    tables = tables_of(nips34("test"))
    people = tables["learners"].set_index("learner_id")
    assert set(people.index) == {"5", "6", "8", "70", "99"}
    assert people.loc["5", ["gender", "date_of_birth", "premium_pupil", "published_part"]].tolist() == ["male", "2007-10-01", "no", "public"]
    assert people.loc["8", ["premium_pupil", "published_part"]].tolist() == ["yes", "third party"] and pd.isna(people.loc["99", "published_part"])
    assert all("gender" not in table for name, table in tables.items() if name != "learners")


def test_full_answers_are_dated_and_ordered_with_class_and_quiz(nips34):
    log = tables_of(nips34("full"))["interactions"]
    mine = log[log["learner_id"] == "5"]
    assert mine.sort_values("order")["item_id"].tolist() == ["7", "0", "7"] and has_order(log)  # the earlier day, then the lower number in one minute
    assert mine.sort_values("order")["response"].tolist() == ["1", "4", "2"]
    assert mine["class_id"].eq("208").all() and set(log["content_id"]) == {"54", "55", "56"} and log["class_id"].isna().sum() == 1
    assert str(log["timestamp"].min()) == "2019-11-07 09:00:00+00:00"


def test_few_answers_without_a_date_are_left_out_and_many_are_refused(nips34):
    loader = nips34("full")
    place = Path(loader.path)
    with (place / "train_data/train_task_3_4.csv").open("a") as answers, (place / "metadata/answer_metadata_task_3_4.csv").open("a") as dates:
        for number in range(1000, 1200):
            answers.write(f"7,{number},{number},1,2,2\n")
            dates.write(f"{number}.0,2020-01-01 00:00:00.000,,1,1,\n" if number != 1100 else "")
    log = tables_of(loader)["interactions"]
    assert len(log) == 203 and "1100" not in set(log["learner_id"])
    edit(loader, "metadata/answer_metadata_task_3_4.csv", "2020-01-01", "yesterday")
    with pytest.raises(DataError, match=r"no date for 201 of 204 \(first: AnswerId 22\)"):
        tables_of(loader)


@pytest.mark.parametrize("file, old, new, wanted", [
    ("metadata/subject_metadata.csv", "Level", "Depth", "must have the columns Level"),
    ("metadata/subject_metadata.csv", "33,\"Powers", "42,\"Powers", "list each subject once; found '42'"),
    ("metadata/subject_metadata.csv", "63,Équations,49", "63,Équations,48", "list every parent; found '48'"),
    ("metadata/question_metadata_task_3_4.csv", "[3, 49, 63, 64]", "[3, 49, 63, 640]", "found '640' in 2 of 17 tags"),
    ("metadata/question_metadata_task_3_4.csv", '"[3, 32, 144, 33]"', '"[3, 32, 144"', "SubjectId must be ids between brackets"),
    ("test_data/test_public_task_4_more_splits.csv", "AnswerValue", "Answer", "must have the columns AnswerValue"),
    ("test_data/test_public_task_4_more_splits.csv", "0,5,2,0,1,4,1,0", "0,5,2,0", r"found '0,5,2,0,,' in 1 of 2 rows \(first: line 3\)"),
])
def test_a_broken_file_is_named_with_its_first_fault(nips34, file, old, new, wanted):
    loader = nips34("test")
    edit(loader, file, old, new)
    with pytest.raises(DataError, match=wanted) as error:
        tables_of(loader)
    assert Path(file).name in str(error.value)


def test_an_empty_or_wrongly_encoded_file_is_refused(nips34):
    loader = nips34("test")
    path = Path(loader.path) / "metadata/subject_metadata.csv"
    path.write_bytes("SubjectId,Name,ParentId,Level\n3,É,NULL,0\n".encode("latin-1"))
    with pytest.raises(DataError, match="must be encoded as utf-8-sig"):
        tables_of(loader)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="found an empty file"):
        tables_of(loader)


def test_sets_become_edges_and_unlisted_constructs_stay(causal):
    tables = tables_of(causal)
    assert pairs(tables["prerequisites"], "concept_id", "requires_id") == {("854", "76"), ("856", "76"), ("856", "480"), ("9", "854")}
    concepts = tables["concepts"].set_index("concept_id")
    assert set(concepts.index) == {"854", "856", "76", "9", "480", "3338"}
    assert concepts.loc["854", ["name", "topic", "area"]].tolist() == ["10^n) (854)", "10^n)", "Number"]
    assert concepts.loc["76", ["topic", "area"]].tolist() == ["Basic, Arithmetic", "Number"]  # tagged with a subject one level higher
    assert concepts.loc[["9", "480"], "name"].tolist() == ["construct 9", "construct 480"] and concepts.loc["854", "level"] == 5


def test_effects_keep_both_ways_of_counting_and_both_kinds_of_evidence(causal):
    effects = tables_of(causal)["effects"].set_index(["kind", "concept_id", "level"]).sort_index()
    assert len(effects) == 8
    gain = effects.xs(("gain_p", "854")).iloc[0]
    assert (gain["requires_id"], gain["n_treated"], round(gain["effect"], 3)) == ("76", 46, .826) and pd.isna(gain["n_control"])
    assert effects.xs(("gain_k", "854")).iloc[0]["n_treated"] == 49
    nobody = effects.xs(("gain_p", "856")).iloc[0]
    assert nobody["n_treated"] == 0 and pd.isna(nobody["effect"])
    trial = effects.loc[("trial_p", "854", 8.0)]
    assert (trial["control"], trial["n_treated"], trial["n_control"], trial["effect"]) == ("856|9", 5, 7, -.6)


def test_pathway_questions_and_learners(causal):
    tables = tables_of(causal)
    assert pairs(tables["q_matrix"], "item_id", "concept_id") == {*((q, "854") for q in ("100", "101", "200", "201")), ("102", "3338"), ("202", "3338")}
    people = tables["learners"].set_index("learner_id")
    assert people.loc["7", ["gender", "month_of_birth", "premium_pupil", "year_group"]].tolist() == ["female", "2005-11-01", "yes", "12"]


@pytest.mark.parametrize("file, old, new, wanted", [
    ("construct_prerequisites_test.csv", "PrerequisiteConstructIds", "Prerequisites", "must have the columns PrerequisiteConstructIds"),
    ("construct_prerequisites_test.csv", "9.0,,{854}", "9.0,,{85", r"found '\{85' in 1 of 4 rows \(first: line 5\)"),
    ("construct_experiments_ates_test.csv", "{856}", "856", "ControlLessonConstructIds must be ids between brackets"),
    ("checkin_to_checkout.csv", "n00", "n", "must have the columns n00"),
    ("student_metadata.csv", "YearGroup", "Year", "must have the columns YearGroup"),
])
def test_a_broken_causal_file_is_named(causal, file, old, new, wanted):
    edit(causal, file, old, new)
    with pytest.raises(DataError, match=wanted) as error:
        tables_of(causal)
    assert file in str(error.value)


@pytest.mark.realdata
def test_real_nips34_counts(edukit_data):
    loader = Nips34(path=str(edukit_data / "nips34"))
    tables = tables_of(loader)
    log, people = tables["interactions"], tables["learners"]
    assert (len(log), log["learner_id"].nunique(), log["item_id"].nunique(), round(log["correct"].mean(), 2)) == (201_570, 1_476, 942, .55)
    part = log["learner_id"].map(people.set_index("learner_id")["published_part"])
    assert part.value_counts().to_dict() == {"third party": 75_380, "public": 74_891, "private": 51_299}
    assert (len(people), len(tables["items"]), len(tables["concepts"])) == (6_148, 948, 57)
    assert (log["response"] == log["item_id"].map(tables["items"].set_index("item_id")["answer_key"])).mean() > .54
    assert set(log["response"]) == {"1", "2", "3", "4"} and not has_order(log)
    assert tables["concepts"][["topic", "area"]].notna().all().all() and tables["items"]["answer_key"].isna().sum() == 9
    assert len((edukit_data / "nips34/metadata/subject_metadata.csv").read_text("utf-8-sig").splitlines()) == 1 + 388


@pytest.mark.realdata
def test_real_causaledu_counts(edukit_data):
    loader = EediCausaledu(path=str(edukit_data / "eedi_causaledu"))
    tables = tables_of(loader)
    listed = pd.read_csv(loader.raw_dir() / "construct_prerequisites_test.csv", dtype=str)["ConstructId"]
    concepts, edges, effects = tables["concepts"], tables["prerequisites"], tables["effects"]
    assert len(listed) == listed.nunique() == 3_277 and listed.isin(concepts["concept_id"]).all()
    assert len(edges) == len(edges.drop_duplicates(["concept_id", "requires_id"])) == 6_740
    assert nx.is_directed_acyclic_graph(nx.DiGraph(zip(edges["requires_id"], edges["concept_id"], strict=True)))
    assert len(set(edges["requires_id"]) - set(listed)) == 8 and len(concepts) == 3_277 + 8 + 1
    assert effects["kind"].value_counts().to_dict() == {"gain_p": 183, "gain_k": 183, "trial_p": 88, "trial_k": 88} and effects["effect"].isna().sum() == 1
    assert len(tables["learners"]) == 64_070 and len(tables["q_matrix"]) == 5_356
    assert len(pd.read_csv(loader.raw_dir() / "subject_metadata.csv")) == 751
