"""A school's own file: columns by their usual names, ids of any characters."""

from pathlib import Path

PATH = "ours.csv"


def write(place: Path, variant: str) -> None:
    (place / PATH).write_text("student,question,score,skill\nAnn,q1,1,10^n)\nAnn,q2,0,分數\n", encoding="utf-8")
