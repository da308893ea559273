"""Statics: comma-separated, BOM, minutes without seconds, three KC models, dots for nothing, a hint first, a step without a concept or an attempt."""

from pathlib import Path

HEADER = ("Row,Sample,Anon Student Id,Problem Hierarchy,Problem Name,Problem View,Step Name,Step Start Time,First Transaction Time,First Attempt,"
          "Incorrects,Hints,Corrects,Condition,KC (F2011),Opportunity (F2011),KC (Single-KC),KC (Unique-step)")


def write(place: Path, variant: str) -> None:
    rows = (
        '1,All Data,Stu_a,"sequence S, unit U1, module M1",_m1_beam,1,q1_p1 Update,2031/9/3 9:5,2031/9/3 9:06,correct,0,0,1,.,draw^n)~~moment,1~~1,k,u1',
        '2,All Data,Stu_a,"sequence S, unit U1, module M1",_m1_beam,1,q1_p2 Update,2031/9/3 9:06,2031/9/3 9:04,hint,1,3,1,.,moment,2,k,u2',
        '3,All Data,Stu_b,"sequence S, unit U2, module M1",_m2_力,1,q1,.,2031/12/13 19:04,incorrect,1,0,0,.,,.,k,u3',
        '4,All Data,Stu_b,"sequence S, unit U2, module M1",_m2_力,2,q1,.,2031/12/13 19:05,,0,0,0,.,,.,k,u3',
    )
    (place / "AllData_student_step_2011F.csv").write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8-sig")
