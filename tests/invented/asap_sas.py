"""ASAP short answers: ten files without header, CRLF, `?` where there is no colour, `x` where none was chosen, quotes that nobody closes, `^p` for
a paragraph, an answer that reads NA; and the contest's own file with a header and a byte that is not UTF-8."""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    if variant == "train":
        (place / "train.tsv").write_bytes(b'Id\tEssaySet\tScore1\tScore2\tEssayText\r\n1\t1\t3\t2\tIt\x92s "5 cm^p^pmore\r\n2\t10\t0\t0\tblack: NA\r\n')
        return
    for number in range(1, 11):
        colour = "dark gray" if number == 10 else "?"
        rows = [f'{number * 10}\t{number}\t2\t1\t{colour}\tA "rinse of 10^n)^pthen\r\n', f"{number * 10 + 1}\t{number}\t0\t0\t?\tNA\r\n"]
        if number == 10:
            rows.append("102\t10\t0\t0\tx\tit depends\r\n")
        (place / f"train_{number}-raw.txt").write_bytes("".join(rows).encode())
