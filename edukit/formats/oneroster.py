"""OneRoster 1.1 and 1.2 CSV, as a folder or a zip file: who is enrolled where, and the results of line items.

Columns as in the 1EdTech OneRoster CSV binding (versions 1.1.1 and 1.2.1). Names, e-mail addresses, phone numbers and demographics are
not read: of a user only the id and the role are kept.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd

from edukit.formats.delimited import BLANKS, Say, quiet
from edukit.formats.response_matrix import by_item
from edukit.schema import DataError

FILES = {
    "users": ("sourcedId", "status", "role"), "roles": ("userSourcedId", "status", "role"),
    "classes": ("sourcedId", "status", "title", "courseSourcedId", "termSourcedIds"),
    "enrollments": ("sourcedId", "status", "classSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"),
    "courses": ("sourcedId", "status", "title"), "academicSessions": ("sourcedId", "status", "startDate"),
    "lineItems": ("sourcedId", "status", "title", "dueDate", "classSourcedId", "resultValueMin", "resultValueMax"),
    "results": ("sourcedId", "status", "lineItemSourcedId", "studentSourcedId", "scoreStatus", "score", "scoreDate"),
}
"""Files that are read, and the columns kept of each; others are not looked at."""
NEEDED = {"users": ("sourcedId",), "classes": ("sourcedId", "courseSourcedId"), "enrollments": ("classSourcedId", "userSourcedId", "role")}
LARGEST = 2_000_000_000  # unpacked bytes


def recognise(path: Path) -> bool:
    """Whether a folder or a zip file holds a OneRoster export (``users.csv`` and ``enrollments.csv``)."""
    if path.is_dir():
        return (path / "users.csv").is_file() and (path / "enrollments.csv").is_file()
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as packed:
        return {"users.csv", "enrollments.csv"} <= {Path(name).name for name in packed.namelist()}


def _open(path: Path) -> dict[str, bytes]:
    """The bytes of each file that is read, by its name without ending."""
    if path.is_dir():
        return {name: (path / f"{name}.csv").read_bytes() for name in FILES if (path / f"{name}.csv").is_file()}
    try:
        with zipfile.ZipFile(path) as packed:
            inside = {Path(entry.filename).stem: entry for entry in packed.infolist() if entry.filename.endswith(".csv")}
            if (size := sum(entry.file_size for name, entry in inside.items() if name in FILES)) > LARGEST:
                raise DataError(f"{path} must unpack to at most {LARGEST:,} bytes; found {size:,}. Unpack it, and give the folder.")
            return {name: packed.read(inside[name]) for name in FILES if name in inside}
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} must be a folder or a zip file with OneRoster CSV; found {error}. Obtain it again.") from None


def _table(path: Path, name: str, raw: bytes) -> pd.DataFrame:
    """Active rows and the kept columns of one file, every cell as text."""
    try:
        table = pd.read_csv(io.BytesIO(raw), dtype="str", keep_default_na=False, na_values=[""], encoding="utf-8-sig", usecols=lambda c: c in FILES[name])
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: {name}.csv must be a table in UTF-8; found {error}. Obtain it again.") from None
    if absent := [c for c in NEEDED.get(name, ()) if c not in table]:
        raise DataError(f"{path}: {name}.csv must have the columns {', '.join(absent)}; found {', '.join(table.columns) or 'none of them'}.")
    table = table.apply(lambda column: column.astype("str").str.strip(BLANKS))
    gone = table["status"].str.lower().eq("tobedeleted") if "status" in table else pd.Series(False, index=table.index)
    return table[~gone].drop(columns="status", errors="ignore").reset_index(drop=True)


def read(path: Path, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables learners (id and role), enrolments, and, where there are results, assessments, submissions and interactions.

    A course is a module and a class its presentation. A line item is an assessment, and an item of its own: its score as a share of
    ``resultValueMax`` is the response. Results that are exempt or not submitted are left out. Days count from the start of the class's term.

    Raises
    ------
    DataError
        For a missing file or column, or nobody enrolled as a student.
    """
    files = {name: _table(path, name, raw) for name, raw in _open(path).items()}
    if absent := [f"{name}.csv" for name in NEEDED if name not in files]:
        raise DataError(f"{path} must hold {', '.join(absent)}; found {', '.join(f'{n}.csv' for n in files) or 'none of the files of OneRoster'}.")
    enrolled, classes = files["enrollments"], files["classes"].drop_duplicates("sourcedId").set_index("sourcedId")
    enrolled = enrolled[enrolled["classSourcedId"].isin(classes.index)]
    student = enrolled[enrolled["role"].str.lower() == "student"].drop_duplicates(["userSourcedId", "classSourcedId"])
    if not len(student):
        raise DataError(f"{path}: enrollments.csv must enrol at least one student in a class of classes.csv; found none.")
    none = pd.DataFrame(columns=list(FILES["roles"]), dtype="str")
    roles = files["users"] if "role" in files["users"] else files.get("roles", none).rename(columns={"userSourcedId": "sourcedId"})
    role = roles.drop_duplicates("sourcedId").set_index("sourcedId")["role"]
    ids = pd.Series(student["userSourcedId"].unique(), dtype="str")
    began = _term_begins(files, classes)
    tables = {
        "learners": pd.DataFrame({"learner_id": ids, "role": ids.map(role).fillna("student")}),
        "enrolments": pd.DataFrame({
            "learner_id": student["userSourcedId"], "module_id": student["classSourcedId"].map(classes["courseSourcedId"]),
            "presentation": student["classSourcedId"],
            **{day: _days(student, column, began) for day, column in (("registered_day", "beginDate"), ("unregistered_day", "endDate")) if column in student},
        })}
    if "lineItems" not in files or "results" not in files:
        say("no lineItems.csv and results.csv: there are no responses in this export, only who is enrolled where")
        return tables
    return tables | _results(path, files, classes, enrolled, began, say)


def _term_begins(files: dict[str, pd.DataFrame], classes: pd.DataFrame) -> pd.Series:
    """First day of the (first) term of each class; missing where it is not stated."""
    if "academicSessions" not in files or "termSourcedIds" not in classes:
        return pd.Series(pd.NaT, index=classes.index, dtype="datetime64[us, UTC]")
    start = files["academicSessions"].drop_duplicates("sourcedId").set_index("sourcedId")["startDate"]
    return pd.to_datetime(classes["termSourcedIds"].str.split(",").str[0].str.strip().map(start), utc=True, errors="coerce", format="mixed")


def _days(rows: pd.DataFrame, column: str, began: pd.Series) -> pd.Series:
    at = pd.to_datetime(rows[column], utc=True, errors="coerce", format="mixed")
    return (at - rows["classSourcedId"].map(began)).dt.days.astype("float64")


def _results(path: Path, files: dict[str, pd.DataFrame], classes: pd.DataFrame, enrolled: pd.DataFrame, began: pd.Series, say: Say) -> dict[str, pd.DataFrame]:
    lines, results = files["lineItems"].drop_duplicates("sourcedId"), files["results"]
    for name, table, columns in (("lineItems", lines, ("sourcedId", "classSourcedId", "resultValueMax")),
                                 ("results", results, ("lineItemSourcedId", "studentSourcedId", "score"))):
        if absent := [c for c in columns if c not in table]:
            raise DataError(f"{path}: {name}.csv must have the columns {', '.join(absent)}; found {', '.join(table.columns)}.")
    lines = lines[lines["classSourcedId"].isin(classes.index)].set_index("sourcedId")
    done = results.assign(classSourcedId=results["lineItemSourcedId"].map(lines["classSourcedId"]))
    most = pd.to_numeric(done["lineItemSourcedId"].map(lines["resultValueMax"]), errors="coerce")
    score = pd.to_numeric(done["score"], errors="coerce")
    status = done["scoreStatus"].str.lower() if "scoreStatus" in done else pd.Series("fully graded", index=done.index)
    stated = done["classSourcedId"].notna() & done["studentSourcedId"].notna() & ~status.isin(("exempt", "not submitted"))
    usable = stated & (most > 0) & (score >= 0)
    if (~usable).any():
        say(f"{int((~usable).sum()):,} of {len(done):,} results were left out: exempt, not submitted, without a score, or without full marks")
    bonus = usable & (score > most)
    if bonus.any():
        say(f"{int(bonus.sum()):,} results above the full marks count as full marks")
    done = done.assign(share=(score / most).clip(upper=1), at=pd.to_datetime(done["scoreDate"], utc=True, errors="coerce", format="mixed")
                       if "scoreDate" in done else pd.NaT)[usable]
    if (twice := done.duplicated(["studentSourcedId", "lineItemSourcedId"], keep="last")).any():
        say(f"{int(twice.sum()):,} results of a learner who has another one for the same line item were left out: the last in the file counts")
        done = done[~twice]
    if not len(done):
        say("no result can be used: there are no responses")
        return {}
    done = done.reset_index(drop=True)
    if began.isna().all():
        began = done.groupby("classSourcedId")["at"].min()
        say("no term states its first day: days count from the first result of each class")
    day = (done["at"] - done["classSourcedId"].map(began)).dt.days
    dated = day.notna()
    if not dated.all():
        say(f"{int((~dated).sum()):,} results without a date are responses, but no submissions")
    work = lines.loc[lines.index.isin(done["lineItemSourcedId"])]
    due = _days(work, "dueDate", began) if "dueDate" in work else None
    teacher = enrolled[enrolled["role"].str.lower() == "teacher"]
    teacher = teacher[teacher["primary"].str.lower() == "true"] if "primary" in teacher else teacher
    teacher = teacher.drop_duplicates("classSourcedId", keep=False).set_index("classSourcedId")["userSourcedId"]
    log = pd.DataFrame({"learner_id": done["studentSourcedId"], "item_id": done["lineItemSourcedId"], "correct": done["share"], "timestamp": done["at"],
                        "class_id": done["classSourcedId"], "teacher_id": done["classSourcedId"].map(teacher)})
    titles = work["title"] if "title" in work else pd.Series(work.index, index=work.index)
    assessments = pd.DataFrame({"assessment_id": work.index, "module_id": work["classSourcedId"].map(classes["courseSourcedId"]).to_numpy(),
                                "presentation": work["classSourcedId"].to_numpy(), **({} if due is None else {"due_day": due.to_numpy()})})
    submissions = pd.DataFrame({"learner_id": done["studentSourcedId"], "assessment_id": done["lineItemSourcedId"], "day": day,
                                "score": 100 * done["share"]})[dated]
    tables = by_item(log.dropna(axis=1, how="all"), titles) | {"assessments": assessments}
    return tables | ({"submissions": submissions} if len(submissions) else {})
