"""ASSISTments 2015: four columns, no question, part marks, rows that are not in the order of their log ids."""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    (place / "2015_100_skill_builders_main_problems.csv").write_text(
        "user_id,log_id,sequence_id,correct\n50121,167478035,7014,0\n50121,167478043,7014,1\n50121,167478030,5948,1.0\n50121,167478050,5948,0.25\n"
        "51950,167478041,7014,0.5\n51950,167478042,7014,1\n")
