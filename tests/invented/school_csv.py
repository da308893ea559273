"""A school's own file: semicolons, a decimal comma, names in another case, ids of any characters, a quoted line break, an answer given again."""

from pathlib import Path

PATH = "ours.csv"


def write(place: Path, variant: str) -> None:
    (place / PATH).write_text(
        "STUDENT;Question;Score;Skill\n 007 ;q1;1;10^n)\n007;q1;0;10^n)\nNA;\"q\n2\";0,5;分數\nNA;😀;yes;\n\n李;q1;;10^n)\n", encoding="utf-8-sig")
