"""Junyi: a name with a regex character, an exercise that requires another, Chinese titles; responses number the sorted names, no header."""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    (place / "junyi_Exercise_table.csv").write_text("name,prerequisites,pretty_display_name,topic,area\na^n),,甲,t,x\nb,a^n),乙,t,x\n", encoding="utf-8-sig")
    (place / "response.csv").write_text("0,0,1\n0,1,0\n7,1,1\n")
