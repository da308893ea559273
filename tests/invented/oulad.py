"""OULAD: the publisher's quoted csv with '?' for what is missing, and the tables of the R package as csv with weekly counts. A learner with two enrolments
whose age band differs (the later run stands first), a deprivation band without its %, a banked mark, an exam without a date, an attribute that is missing,
a withdrawal before day 0 and one without a date, marks that are missing, clicks that repeat and clicks before day 0."""

from pathlib import Path

RUNS = (("AAA", "2014J", 269), ("AAA", "2013J", 268), ("BBB", "2013B", 240))
STUDENTS = (  # module, run, learner, gender, region, education, deprivation, age, attempts, credits, disability, result, registered, unregistered
    ("AAA", "2014J", "11", "F", "Wales", "HE Qualification", "10-20", "35-55", 1, 60, "N", "Pass", -3, None),
    ("AAA", "2013J", "11", "F", "Wales", "HE Qualification", "10-20", "0-35", 0, 120, "N", "Fail", -159, None),
    ("AAA", "2013J", "007", "M", "Scotland", "Lower Than A Level", None, "55<=", 0, 60, "Y", "Withdrawn", -20, -5),
    ("BBB", "2013B", "23", "M", "Ireland", "A Level or Equivalent", "90-100%", "0-35", 0, 90, "N", "Withdrawn", None, None),
    ("BBB", "2013B", "24", "F", "Ireland", "A Level or Equivalent", "20-30%", "0-35", 0, 90, "N", "Distinction", -1, None),
)
ASSESSMENTS = (("AAA", "2014J", "1752", "TMA", 19, 10), ("AAA", "2013J", "1753", "Exam", None, 100), ("BBB", "2013B", "1754", "CMA", 40, 12.5))
MARKS = (("1752", "11", -1, 1, 70), ("1754", "24", 18, 0, None), ("1754", "23", 22, 0, 0), ("1753", "11", 230, 0, 88))
SITES = (("501", "AAA", "2014J", "resource", None, None), ("502", "BBB", "2013B", "forumng", 2, 4))
CLICKS = (("AAA", "2014J", "11", "501", -10, 4), ("AAA", "2014J", "11", "501", -10, 4), ("BBB", "2013B", "24", "502", 3, 1))
HEADS = {
    "courses": "code_module,code_presentation,module_presentation_length", "vle": "id_site,code_module,code_presentation,activity_type,week_from,week_to",
    "assessments": "code_module,code_presentation,id_assessment,assessment_type,date,weight",
    "studentInfo": "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,num_of_prev_attempts,studied_credits,"
                   "disability,final_result",
    "studentRegistration": "code_module,code_presentation,id_student,date_registration,date_unregistration",
    "studentAssessment": "id_assessment,id_student,date_submitted,is_banked,score",
    "studentVle": "code_module,code_presentation,id_student,id_site,date,sum_click",
}
CONVERTED = {"courses": "course", "vle": "vle", "assessments": "assessment", "studentInfo": "student", "studentRegistration": "student_registration",
             "studentAssessment": "student_assessment"}
WEEKLY = "id_student,total_clicks,avg_daily_clicks,std_clicks,active_days,interactions,assess_mean,assess_max,assess_count,Week,Days"
COUNTS = {2: {"11": (9, 3), "24": (5, 2)}, 4: {"11": (12, 4), "24": (5, 2), "007": (2, 1)}, 6: {"11": (12, 4), "24": (8, 4), "007": (2, 1)},
          8: {"11": (14, 5), "24": (8, 4), "007": (2, 1)}}


def write(place: Path, variant: str) -> None:
    rows = {"courses": RUNS, "vle": SITES, "assessments": ASSESSMENTS, "studentInfo": [row[:12] for row in STUDENTS],
            "studentRegistration": [(*row[:3], *row[12:]) for row in STUDENTS], "studentAssessment": MARKS, "studentVle": CLICKS}
    if variant == "full":
        for name, table in rows.items():
            head = ",".join(f'"{column}"' for column in HEADS[name].split(","))
            lines = [",".join(f'"{"?" if value is None else value}"' for value in row) for row in table]
            (place / f"{name}.csv").write_text("\n".join([head, *lines]) + "\n")
        return
    rows["studentInfo"] = [(*row[:10], {"Y": True, "N": False}[row[10]], row[11]) for row in rows["studentInfo"]]
    rows["studentAssessment"] = [(*row[:3], bool(row[3]), row[4]) for row in MARKS]
    for name, file in CONVERTED.items():
        lines = [",".join("" if value is None else str(value) for value in row) for row in rows[name]]
        (place / f"{file}.csv").write_text("\n".join([HEADS[name], *lines]) + "\n")
    (place / "weekly_features").mkdir()
    for week, counts in COUNTS.items():
        lines = [f"{who},{clicks},1.5,2.5,{days},7,0.0,0.0,0.0,{week},{week * 7}" for who, (clicks, days) in counts.items()]
        (place / "weekly_features" / f"features_week_{week}.csv").write_text("\n".join([WEEKLY, *lines]) + "\n")
