"""ASSISTments 2012-2013: Latin-1, action logs of several lines with doubled quotation marks, times with and without fractions, a part mark,
a scaffold, a skill without name, a skill id written as 12.0, responses without a skill, a clock set back, two rows begun at the same second."""

from pathlib import Path

HEADER = ("problem_log_id,skill,problem_id,user_id,assignment_id,assistment_id,start_time,end_time,problem_type,original,correct,bottom_hint,hint_count,"
          "actions,attempt_count,ms_first_response,tutor_mode,sequence_id,student_class_id,position,type,base_sequence_id,skill_id,teacher_id,school_id,overlap_time,"
          "template_id,answer_id,answer_text,first_action,problemlogid,Average_confidence(FRUSTRATED),Average_confidence(CONFUSED),"
          "Average_confidence(CONCENTRATING),Average_confidence(BORED)\n")
ROWS = (  # log, skill, problem, user, start, original, correct, hints, ms, class, skill id, teacher, school, answer
    (905, "Ärea 10^n)", 51, 7, "2012-09-28 15:11:27.25", 1, 1, 0, 9852, 31, "12", 4, 2, "74.29"),
    (901, "Ärea 10^n)", 51, 7, "2012-09-28 15:11:26", 1, 0, 2, -40, 31, "12.0", 4, 2, '"she, ""he"""'),
    (902, "", 52, 7, "2012-09-28 15:12:00", 1, 1, 0, 700, 31, "13", 4, 2, ""),
    (903, "", 53, 7, "2012-09-28 15:13:00", 1, 1, 0, 700, 31, "", 4, 2, "no skill"),
    (904, "Ärea 10^n)", 54, 7, "2012-09-28 15:14:00", 1, 0.25, 1, 700, 31, "12", 4, 2, "1/2"),
    (906, "Ärea 10^n)", 55, 8, "2012-10-01 09:00:00", 0, 0, 0, 700, 32, "12", 5, 3, "scaffold"),
    (907, "Mean, mode", 51, 8, "2012-10-01 09:00:00", 1, 1, 0, 700, 32, "14", 5, 3, "NA"),
)


def write(place: Path, variant: str) -> None:
    lines = [HEADER]
    for log, skill, problem, user, start, original, correct, hints, ms, group, skill_id, teacher, school, answer in ROWS:
        actions = f'"--- \n- - start\n  - 134885{log}\n  - ""95, x""\n"'
        skill = f'"{skill}"' if "," in skill else skill
        lines.append(f"{log},{skill},{problem},{user},1,2,{start},{start}.5,algebra,{original},{correct},,{hints},{actions},3,{ms},tutor,61,{group},1,MasterySection,"
                     f"61,{skill_id},{teacher},{school},{ms},9,,{answer},0,{log},0.36,0.0,0.33,0.9\n")
    (place / "2012-2013-data-with-predictions-4-final.csv").write_bytes("".join(lines).encode("latin-1"))
