"""OneRoster CSV 1.1 and 1.2, invented: folder or zip, deleted rows, roles in their own file, exempt and bonus results; nothing personal is kept."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edukit.formats import oneroster
from edukit.schema import DataError
from edukit.validation import validate_all

USERS_11 = (
    "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone\n"
    "s1,active,,true,o,student,annm,,Ann,Mock,,,ann@x.org,,555\ns2,active,,true,o,student,bo,,Bo,Ng,,,bo@x.org,,\nt1,active,,true,o,teacher,tea,,Tea,Cher,,,,,\n"
)
FILES = {
    "manifest": "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\n",
    "users": USERS_11,
    "classes": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds\n"
    "7A,active,,Maths 7A,07,maths,,scheduled,,o,term1\n7B,active,,Maths 7B,07,maths,,scheduled,,o,term1\nold,tobedeleted,,x,07,maths,,scheduled,,o,term1\n",
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n"
    "e1,active,,7A,o,s1,student,false,2025-09-01,\ne2,active,,7B,o,s2,student,false,2025-08-30,2025-12-01\ne3,active,,7A,o,t1,teacher,true,,\n"
    "e4,tobedeleted,,7B,o,s1,student,false,,\n",
    "courses": "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId\nmaths,active,,y,Maths,M7,07,o\n",
    "academicSessions": "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear\n"
    "term1,active,,T1,term,2025-09-01,2025-12-20,,2026\n",
    "lineItems": "sourcedId,status,dateLastModified,title,description,assignDate,dueDate,classSourcedId,categorySourcedId,gradingPeriodSourcedId,"
    "resultValueMin,resultValueMax\nl1,active,,Fractions,,2025-09-05,2025-09-12,7A,c,term1,0,20\nl2,active,,Decimals,,2025-09-05,2025-09-12,7B,c,term1,0,10\n",
    "results": "sourcedId,status,dateLastModified,lineItemSourcedId,studentSourcedId,scoreStatus,score,scoreDate,comment\n"
    "r1,active,,l1,s1,fully graded,15,2025-09-12,well done Ann\nr2,active,,l2,s2,fully graded,11,2025-09-11,\nr3,active,,l2,s1,exempt,,2025-09-11,\n"
    "r4,tobedeleted,,l1,s1,fully graded,1,2025-09-11,\n",
}


def write(place: Path, **changed: str | None) -> Path:
    for name, text in {**FILES, **changed}.items():
        if text is not None:
            (place / f"{name}.csv").write_text(text, encoding="utf-8-sig")
    return place


def test_a_folder_gives_enrolments_and_results_without_anything_personal(tmp_path):
    notes: list[str] = []
    assert oneroster.recognise(write(tmp_path))
    tables = validate_all(oneroster.read(tmp_path, notes.append))
    assert tables["learners"].to_numpy().tolist() == [["s1", "student"], ["s2", "student"]]
    assert tables["enrolments"][["learner_id", "module_id", "presentation", "registered_day"]].to_numpy().tolist() == [
        ["s1", "maths", "7A", 0.0],
        ["s2", "maths", "7B", -2.0],
    ]
    assert tables["submissions"].to_numpy().tolist() == [["s1", "l1", 11.0, 75.0], ["s2", "l2", 10.0, 100.0]]
    assert tables["assessments"][["assessment_id", "module_id", "presentation", "due_day"]].to_numpy().tolist() == [
        ["l1", "maths", "7A", 11.0],
        ["l2", "maths", "7B", 11.0],
    ]
    log = tables["interactions"]
    assert log["correct"].tolist() == [0.75, 1.0] and log["class_id"].tolist() == ["7A", "7B"] and log["teacher_id"].fillna("").tolist() == ["t1", ""]
    held = "\n".join(table.to_csv() for table in tables.values())
    assert not any(word in held for word in ("Ann", "Mock", "@x.org", "555", "annm", "well done"))
    assert len(notes) == 2 and "exempt" in notes[0] and "above the full marks" in notes[1]


def test_a_zip_of_version_1_2_takes_roles_from_their_file(tmp_path):
    users = "sourcedId,status,username,givenName,familyName\ns1,active,a,Ann,Mock\ns2,active,b,Bo,Ng\nt1,active,c,T,C\n"
    roles = "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId\nx,active,,s1,primary,student,,,o\n"
    folder = tmp_path / "export"
    folder.mkdir()
    write(folder, users=users, roles=roles, results=None, academicSessions=None)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for file in folder.glob("*.csv"):
            packed.write(file, f"inside/{file.name}")
    notes: list[str] = []
    assert oneroster.recognise(tmp_path / "a.zip")
    tables = validate_all(oneroster.read(tmp_path / "a.zip", notes.append))
    assert set(tables) == {"learners", "enrolments"} and tables["learners"]["role"].tolist() == ["student", "student"] and "only who is enrolled" in notes[0]


def test_without_terms_days_count_from_the_first_result_of_a_class(tmp_path):
    notes: list[str] = []
    tables = validate_all(oneroster.read(write(tmp_path, academicSessions=None), notes.append))
    assert tables["submissions"]["day"].tolist() == [0.0, 0.0] and any("first result" in n for n in notes)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"classes": None}, "must hold classes.csv; found users.csv, enrollments.csv"),
        ({"enrollments": "sourcedId,classSourcedId\n1,7A\n"}, "enrollments.csv must have the columns userSourcedId, role"),
        ({"enrollments": "classSourcedId,userSourcedId,role\n7A,t1,teacher\n"}, "enrol at least one student"),
        ({"users": ""}, "users.csv must be a table in UTF-8"),
        ({"results": "sourcedId,score\n1,2\n"}, "results.csv must have the columns lineItemSourcedId, studentSourcedId"),
    ],
)
def test_faults_are_named(tmp_path, changed, told):
    write(tmp_path, **changed)
    with pytest.raises(DataError) as error:
        oneroster.read(tmp_path)
    assert told in str(error.value)


def test_a_damaged_or_other_zip_is_told_so(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK rubbish")
    assert not oneroster.recognise(path)
    with pytest.raises(DataError, match="must be a folder or a zip file with OneRoster CSV"):
        oneroster.read(path)
