"""A raw file that is empty, cut, or not what its name says ends in one error of the house that names it, and nothing is kept."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from edukit.data import store
from edukit.data.catalogue import catalogue, loader
from edukit.reproducibility import cache_dir
from edukit.schema import DataError

INVENTED = Path(__file__).parents[1] / "invented"
DAMAGES = {
    "empty": lambda raw: b"",
    "rubbish": lambda raw: np.random.default_rng(0).bytes(3000),
    "cut": lambda raw: raw[: len(raw) // 2],
    "other": lambda raw: b"colour;shape\nred;round\n",
    "zeros": lambda raw: b"\0" * 500,
}
UNNOTICED = {("ednet", "zeros")}  # one of 784,309 files, one a learner: only the first is looked at before all are read
LABELS = [label for label in catalogue() if label not in ("synthetic", "synthetic_answers", "synthetic_course")]  # these read no file


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("label", LABELS)
def test_a_broken_file_is_one_error_that_names_it(label: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "raw"
    place.mkdir()
    rows = runpy.run_path(str(INVENTED / f"{catalogue()[label][0]}.py"))
    rows["write"](place, catalogue()[label][1])
    made = loader(label, path=str(place / rows.get("PATH", "")), **rows.get("FIELDS", {}))
    wrong = []
    for file in made.files(made.raw_dir())[:8]:
        whole = file.read_bytes()
        file.write_bytes(DAMAGES[damage](whole))
        try:
            store.load(made)
            shutil.rmtree(cache_dir() / "data")
            if damage not in ("cut", "empty") and (label, damage) not in UNNOTICED:  # half a file may be a whole one, and one of several files may be empty
                wrong.append(f"{file.name}: taken as it is")
        except DataError as error:
            if file.name not in str(error) and damage != "cut":
                wrong.append(f"{file.name}: not named in {error}")
            if list((cache_dir() / "data").glob("*/*")):
                wrong.append(f"{file.name}: something was kept")
        except Exception as error:
            wrong.append(f"{file.name}: {type(error).__name__}: {error}")
        file.write_bytes(whole)
    assert not wrong, "\n".join(wrong)
