"""ASSISTments 2017: seconds since 1970, a response of two skills as two rows, a true repeat, `noskill`, NA, a score of -999, an accent in Latin-1."""

from pathlib import Path

HEADER = ("studentId,MiddleSchoolId,InferredGender,SY ASSISTments Usage,AveKnow,action_num,skill,problemId,problemType,assignmentId,assistmentId,startTime,"
          "endTime,timeTaken,correct,original,hint,hintCount,hintTotal,scaffold,bottomHint,attemptCount,confidence(BORED),Ln-1,Ln,MCAS,Enrolled,Selective,isSTEM\n")
ROWS = (  # student, school, gender, action, skill, problem, start, taken, correct, original, hints, score, stem
    (8, 2, "Male", 9953, "area", 104, 1096470400, 5, 1, 1, 0, 45, "NA"),
    (8, 2, "Male", 9950, "properties-of-geometric-figures", 103, 1096470301, 49, 0, 1, 1, 45, "NA"),
    (8, 2, "Male", 9951, "10^n)", 103, 1096470301, 49, 0, 1, 1, 45, "NA"),
    (8, 2, "Male", 9952, "10^n)", 103, 1096470301, 49, 0, 1, 1, 45, "NA"),
    (8, 2, "Male", 9954, "noskill", 105, 1096470500, -3, 1, 0, 0, 45, "NA"),
    (9, 3, "Unknown", 11, "énigme", 104, 1096470200, 7, 1, 1, 0, -999, "1"),
    (9, 3, "Unknown", 12, "NA", 106, 1096470210, 7, 0, 1, 0, -999, "1"),
)


def write(place: Path, variant: str) -> None:
    rows = [f"{student},{school},{gender},2004-2005,0.35,{action},{skill},{problem},textfieldquestion,20405010,104051118,{start},{start + max(taken, 0)},"
            f"{taken},{correct},{original},0,{hints},1,0,0,1,0.59,0.13,0.06,{score},0,0,{stem}\n"
            for student, school, gender, action, skill, problem, start, taken, correct, original, hints, score, stem in ROWS]
    (place / "anonymized_full_release_competition_dataset.csv").write_bytes((HEADER + "".join(rows)).encode("latin-1"))
