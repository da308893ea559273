"""Junyi: a name with a regex character, an exercise that requires another, Chinese titles.

The cut numbers the sorted names, without a header. The full log has microseconds, `&` between attempts, `null`, hints only, an exercise that the table lacks.
"""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    (place / "junyi_Exercise_table.csv").write_text("name,prerequisites,pretty_display_name,topic,area\na^n),,甲,t,x\nb,a^n),乙,t,x\n", encoding="utf-8-sig")
    if variant == "full":
        (place / "junyi_ProblemLog_original.csv").write_text(
            "user_id,exercise,problem_type,problem_number,topic_mode,suggested,review_mode,time_done,time_taken,time_taken_attempts,correct,count_attempts,"
            "hint_used,count_hints,hint_time_taken_list,earned_proficiency,points_earned\n"
            "12,b,0,2,false,false,false,1920714810324490,4,3&1,false,2,false,0,null,false,0\n"
            "12,a^n),analog,1,false,true,false,1920714800000001,9,9,true,1,false,0,,false,225\n"
            "12,a^n),analog,2,false,true,false,1920714800000000,9,,false,0,true,3,2&3&4,false,0\n"
            "240,unlisted,1,null,false,false,true,1920714810324490,2,2,true,1,false,0,null,true,75\n")
    else:
        (place / "response.csv").write_text("0,0,1\n0,1,0\n7,1,1\n")
