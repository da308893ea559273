"""AL-CPL: per domain the pairs, the positive ones, and 38 features in the order of the pairs (svmlight, numbered from 0); a pair that two domains share,
a reverse, an apostrophe, a bracket."""

from pathlib import Path

PAIRS = {
    "data_mining": {("Student's_t-test", "Mean"): 1, ("Mean", "Student's_t-test"): 0, ("Tree_(graph_theory)", "Mean"): 0},
    "geometry": {("Angle", "Line_(geometry)"): 1, ("Line_(geometry)", "Angle"): 0, ("Slope", "Angle"): 0},
    "precalculus": {("Slope", "Angle"): 1, ("Angle", "Slope"): 0, ("Angle", "Line_(geometry)"): 1, ("Line_(geometry)", "Angle"): 0},
}


def write(place: Path, variant: str) -> None:
    for domain, pairs in PAIRS.items():
        (place / f"{domain}.pairs").write_text("".join(f"{a},{b}\n" for a, b in pairs))
        (place / f"{domain}.preqs").write_text("".join(f"{a},{b}\n" for (a, b), label in reversed(pairs.items()) if label))
        numbers = " ".join(f"{i}:{i / 2:g}" for i in range(37))
        (place / f"{domain}.features").write_text("".join(f"{label} {numbers} 37:-2.5e-0{row + 1}\n" for row, label in enumerate(pairs.values())))
