"""LectureBankCD: numbers of two topics and a label, the first topic the prerequisite; topics with CRLF ends, one in no pair, one with an accent."""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    (place / "CV.annotation.csv").write_text("2,1,1\n1,3,1\n2,3,0\n3,2,0")
    (place / "CV.topics.tsv").write_bytes("1\tsegmentation\r\n2\tedge détection\r\n3\tvideo summaries, 10^n)\r\n4\trobotics".encode())
