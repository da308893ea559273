"""ASAP essays: Windows-1252 with a curly apostrophe, quotes doubled inside quotes, replaced names, a third rater and a second domain in some rows only."""

from pathlib import Path

HEADER = ("essay_id\tessay_set\tessay\trater1_domain1\trater2_domain1\trater3_domain1\tdomain1_score\t"
          "rater1_domain2\trater2_domain2\tdomain2_score\trater1_trait1\r\n")
ROWS = ('1\t1\t"Dear @PERSON1, it\u2019s ""fine"", @CAPS1 10^n)"\t4\t4\t\t8\t\t\t\t\r\n2978\t2\tCensorship in @LOCATION1\t4\t3\t\t4\t4\t4\t4\t\r\n'
        "20716\t8\t A diver \t15\t16\t20\t40\t\t\t\t3\r\n20717\t8\tno mark\t15\t16\t\t\t\t\t\t3\r\n")


def write(place: Path, variant: str) -> None:
    (place / "training_set_rel3.tsv").write_bytes((HEADER + ROWS).encode("cp1252"))
