"""Open University Learning Analytics (Kuzilek, Hlosta and Zdrahal, 2017, Scientific Data): distance learners, their marks and their clicks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError
from edukit.validation import fault

FILES = {
    "full": {"courses": "courses.csv", "assessments": "assessments.csv", "students": "studentInfo.csv", "submissions": "studentAssessment.csv",
             "registrations": "studentRegistration.csv", "sites": "vle.csv", "clicks": "studentVle.csv"},
    "converted": {"courses": "course.csv", "assessments": "assessment.csv", "students": "student.csv", "submissions": "student_assessment.csv",
                  "registrations": "student_registration.csv", "sites": "vle.csv",
                  **{f"week {week}": f"weekly_features/features_week_{week}.csv" for week in (2, 4, 6, 8)}},
}
RUN = ["code_module", "code_presentation"]
ENROLMENT = [*RUN, "id_student"]
ATTRIBUTES = ["gender", "region", "highest_education", "imd_band", "age_band", "disability"]
COLUMNS = {
    "courses": [*RUN, "module_presentation_length"], "assessments": [*RUN, "id_assessment", "assessment_type", "date", "weight"],
    "students": [*ENROLMENT, *ATTRIBUTES, "num_of_prev_attempts", "studied_credits", "final_result"],
    "submissions": ["id_assessment", "id_student", "date_submitted", "is_banked", "score"],
    "registrations": [*ENROLMENT, "date_registration", "date_unregistration"], "sites": ["id_site", *RUN, "activity_type", "week_from", "week_to"],
    "clicks": [*ENROLMENT, "id_site", "date", "sum_click"],
}
WEEKLY = ["id_student", "total_clicks", "active_days", "Days"]
TYPES = {"TMA": "assignment", "CMA": "quiz", "Exam": "exam"}  # marked by a tutor, by a computer, and the final examination
FLAGS = {**dict.fromkeys(("Y", "1", "True", "TRUE", "true"), True), **dict.fromkeys(("N", "0", "False", "FALSE", "false"), False)}


@dataclass(frozen=True)
class Oulad:
    """Learners of the Open University in 22 runs of seven modules: enrolments, marks, deprivation, and clicks by day.

    A learner may be enrolled several times and is one row of ``learners``, with the attributes of the earliest presentation.

    Parameters
    ----------
    variant : which files.
        'full' : the publisher's seven csv; the clicks (10.7 million rows) are streamed;
        'converted' : the tables of the R package oulad written as csv, and in place of the clicks four counts a learner by days 14, 28, 42
        and 56. These are keyed by learner only, so that they are kept for learners with a single enrolment.
    path : folder with the files; default ``EDUKIT_DATA/oulad``.
    """

    name: ClassVar[str] = "oulad"
    variants: ClassVar[tuple[str, ...]] = ("full", "converted")
    variant: str = "full"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the files of the variant."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "oulad", self.path, tuple(FILES[self.variant].values()))

    def files(self, raw_dir: Path) -> list[Path]:
        """Every file of the variant."""
        return [raw_dir / file for file in FILES[self.variant].values()]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables runs, sites, learners, enrolments, assessments, submissions; for the converted variant also events."""
        raw = {role: self._read(raw_dir, role) for role in COLUMNS if role != "clicks"}
        enrolled = self._enrolled(raw_dir, raw)
        module = {"code_module": "module_id", "code_presentation": "presentation"}
        tables = {
            "runs": raw["courses"][COLUMNS["courses"]].rename(columns={**module, "module_presentation_length": "length_days"}),
            "sites": raw["sites"][COLUMNS["sites"]].rename(columns={**module, "id_site": "resource_id", "activity_type": "kind"}),
            "learners": _learners(raw_dir / FILES[self.variant]["students"], raw["students"]),
            "enrolments": pd.DataFrame({
                "learner_id": enrolled["id_student"], "module_id": enrolled["code_module"], "presentation": enrolled["code_presentation"],
                "registered_day": enrolled["date_registration"], "unregistered_day": enrolled["date_unregistration"],
                "final_result": enrolled["final_result"], "credits": enrolled["studied_credits"],
                "previous_attempts": enrolled["num_of_prev_attempts"]}),
            "assessments": pd.DataFrame({
                "assessment_id": raw["assessments"]["id_assessment"], "module_id": raw["assessments"]["code_module"],
                "presentation": raw["assessments"]["code_presentation"], "type": raw["assessments"]["assessment_type"].replace(TYPES),
                "due_day": raw["assessments"]["date"], "weight": raw["assessments"]["weight"]}),
            "submissions": pd.DataFrame({
                "learner_id": raw["submissions"]["id_student"], "assessment_id": raw["submissions"]["id_assessment"],
                "day": raw["submissions"]["date_submitted"], "score": raw["submissions"]["score"],
                "banked": _flag(raw_dir / FILES[self.variant]["submissions"], raw["submissions"]["is_banked"])}),
        }
        return {**tables, "events": self._weekly(raw_dir, enrolled)} if self.variant == "converted" else tables

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """Of the full variant ``events``: one row of the publisher's clicks, with the kind of the site; rows that repeat are kept."""
        if self.variant != "full":
            return {}
        sources = {}
        for role in ("clicks", "sites"):
            self._read(raw_dir, role, nrows=0)
            quoted = str(raw_dir / FILES["full"][role]).replace("'", "''")  # values stay text: they are checked, and shown, as they were written
            sources[role] = f"read_csv('{quoted}', header=true, delim=',', quote='\"', all_varchar=true, nullstr=['?', ''])"
        return {"events": (
            'SELECT c.id_student AS learner_id, c."date" AS "day", s.kind AS kind, c.id_site AS resource_id, c.sum_click AS "count", '
            "c.code_module AS module_id, c.code_presentation AS presentation "
            f"FROM {sources['clicks']} AS c LEFT JOIN (SELECT id_site, min(activity_type) AS kind FROM {sources['sites']} GROUP BY id_site) AS s "
            "ON c.id_site = s.id_site")}

    def _read(self, raw_dir: Path, role: str, **options) -> pd.DataFrame:
        """One file with its ids as text; '?' or nothing is a missing value."""
        path = raw_dir / FILES[self.variant][role]
        text = dict.fromkeys([*ENROLMENT, "id_assessment", "id_site", "disability", "is_banked"], "str")
        table = read_text_table(path, na_values=["?"], dtype=text, **options)
        need(path, table, COLUMNS.get(role, WEEKLY))
        if not len(table) and not options:
            raise DataError(f"{path} must hold rows; found its header only. Obtain it again.")
        return table

    def _enrolled(self, raw_dir: Path, raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """Enrolments with their days of registration; every enrolment is in both files, in a run that the list of courses knows."""
        names = FILES[self.variant]
        faults = []
        for role, other, key in (("students", "registrations", ENROLMENT), ("registrations", "students", ENROLMENT), ("students", "courses", RUN),
                                 ("assessments", "courses", RUN), ("sites", "courses", RUN), ("submissions", "assessments", ["id_assessment"])):
            known = pd.MultiIndex.from_frame(raw[other][key])
            lost = ~pd.MultiIndex.from_frame(raw[role][key]).isin(known)
            if lost.any():
                row = int(np.flatnonzero(lost)[0])
                faults.append(f"{raw_dir / names[other]} must hold every {', '.join(key)} of {names[role]}; found {int(lost.sum()):,} of {len(lost):,} rows "
                              f"without (first: row {row + 1:,}, {', '.join(map(str, raw[role][key].iloc[row]))})")
        if faults:
            raise DataError("\n".join(f"{fault}. A file may be truncated: obtain it again." for fault in faults))
        return raw["students"].merge(raw["registrations"][COLUMNS["registrations"]].drop_duplicates(ENROLMENT), how="left", on=ENROLMENT)

    def _weekly(self, raw_dir: Path, enrolled: pd.DataFrame) -> pd.DataFrame:
        """Events of learners with one enrolment: what was added since the cutoff before, on the day of the cutoff."""
        single = enrolled.loc[~enrolled["id_student"].duplicated(keep=False), ENROLMENT]
        counted = pd.concat([self._read(raw_dir, role)[WEEKLY] for role in FILES["converted"] if role.startswith("week")], ignore_index=True)
        long = counted.merge(single, on="id_student").melt([*ENROLMENT, "Days"], ["total_clicks", "active_days"], "kind", "count")
        long = long.sort_values([*ENROLMENT, "kind", "Days"], ignore_index=True)
        added = long["count"] - long.groupby(["id_student", "kind"])["count"].shift(fill_value=0)
        if (added < 0).any():
            row = long.loc[added < 0].iloc[0]
            raise DataError(f"{raw_dir / 'weekly_features'} must hold counts that never fall from one week to a later one; found {row['kind']} of "
                            f"{row['id_student']} fall to {row['count']:g} on day {row['Days']:g}, and {int((added < 0).sum()):,} such rows. "
                            "Do the files belong together?")
        kind = long["kind"].replace({"total_clicks": "clicks", "active_days": "active day"})
        return pd.DataFrame({"learner_id": long["id_student"], "day": long["Days"], "kind": kind, "count": added,
                             "module_id": long["code_module"], "presentation": long["code_presentation"]})[added > 0]


def _flag(path: Path, values: pd.Series) -> pd.Series:
    """Y and N, 1 and 0, True and False as true and false."""
    found = values.map(FLAGS)
    strange = (found.isna() & values.notna()).to_numpy()
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise DataError(fault(f"{path}: {values.name}", "be Y or N, 1 or 0, True or False", values.iloc[row], int(strange.sum()), len(values), row + 1) + ".")
    return found.astype("boolean")


def _learners(path: Path, students: pd.DataFrame) -> pd.DataFrame:
    """One row a learner, with the attributes of the earliest presentation (a name such as 2013B or 2013J sorts by time)."""
    repaired = students.assign(imd_band=students["imd_band"].replace({"10-20": "10-20%"}), disability=_flag(path, students["disability"]))
    first = repaired.sort_values("code_presentation", kind="stable").drop_duplicates("id_student").sort_index()
    return first[["id_student", *ATTRIBUTES]].rename(columns={"id_student": "learner_id"})
