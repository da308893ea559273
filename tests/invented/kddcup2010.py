"""KDD Cup: tab-separated, quotation marks that mean nothing, `~~` between concepts, none in one step, a step asked twice, rows not in the order of time."""

from pathlib import Path

FILES = {"algebra05": ("algebra_2005_2006_train.txt", "Default"), "bridge06": ("bridge_to_algebra_2006_2007_train.txt", "SubSkills")}


def write(place: Path, variant: str) -> None:
    file, model = FILES[variant]
    header = ("Row\tAnon Student Id\tProblem Hierarchy\tProblem Name\tProblem View\tStep Name\tStep Start Time\tFirst Transaction Time\t"
              "Correct Transaction Time\tStep End Time\tStep Duration (sec)\tCorrect Step Duration (sec)\tError Step Duration (sec)\t"
              f"Correct First Attempt\tIncorrects\tHints\tCorrects\tKC({model})\tOpportunity({model})\n")
    rows = (
        '1\tSx1\tUnit ES_09, Section ES_09-1\t"DIST 7\t1\t3(x+2) = 15\t2031-09-09 12:24:07.0\t2031-09-09 12:24:35.0\t2031-09-09 12:25\t.\t4\t\t\t0\t2\t3\t1\t'
        "[SkillRule: Eliminate Parens; {CLT; CLT}]~~10^n)~~10^n)\t1~~1~~2\n"
        '2\tSx1\tUnit ES_09, Section ES_09-1\t"DIST 7\t1\tx+2 = 5\t2031-09-09 12:20:00.0\t2031-09-09 12:20:02\t\t.\t\t\t\t1\t0\t0\t1\t\t\n'
        '3\tSx1\tUnit ES_09, Section ES_09-1\t"DIST 7\t2\tx+2 = 5\t2031-09-10 08:00:00.0\t2031-09-10 08:00:04.5\t\t.\t\t\t\t1\t0\t0\t1\t\t\n'
        "4\tSx2\tUnit ES_10, Section ES_10-2\tDIST 8\t1\tFinalAnswer\t\t2031-09-09 12:24:35.0\t\t.\t\t\t\t1\t0\t0\t1\t10^n)\t1\n",
    )
    (place / file).write_text(header + "".join(rows), encoding="utf-8")
