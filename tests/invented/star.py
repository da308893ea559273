"""STAR: a column per measure and grade, empty where a child was not in the experiment, regular+aide, a quarter of birth, a row without anything."""

from pathlib import Path

MEASURES = ("star", "read", "math", "lunch", "school", "degree", "ladder", "experience", "tethnicity", "system", "schoolid")
HEAD = ["rownames", "gender", "ethnicity", "birth", *(f"{measure}{grade}" for measure in MEASURES for grade in "k123")]
ROWS = (
    {"rownames": "1122", "gender": "female", "ethnicity": "afam", "birth": "1979 Q3", "star3": "regular", "read3": "580", "math3": "564", "lunch3": "free",
     "school3": "suburban", "degree3": "bachelor", "ladder3": "level1", "experience3": "30", "tethnicity3": "cauc", "system3": "22", "schoolid3": "54"},
    {"rownames": "1137", "gender": "male", "ethnicity": "cauc", "birth": "1980 Q1", "stark": "small", "star1": "regular+aide", "readk": "447", "mathk": "473",
     "read1": "507", "lunchk": "non-free", "lunch1": "free", "degreek": "master+", "schoolidk": "63", "schoolid1": "63", "systemk": "30", "system1": "30"},
    {"rownames": "12000"},
)


def write(place: Path, variant: str) -> None:
    (place / "STAR.csv").write_text("\n".join(",".join(row.get(column, "") for column in HEAD) for row in ({c: c for c in HEAD}, *ROWS)) + "\n")
