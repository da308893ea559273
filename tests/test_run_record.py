"""Two runs of one second get two places, and what a killed run leaves is removed by the next one, never what a living run is writing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from edukit.experiments.run_record import claimed

from edukit.reproducibility import replacing

KILLED = """
import os, signal, sys
from pathlib import Path
from edukit.experiments.run_record import claimed
from edukit.reproducibility import replacing
with claimed(Path(sys.argv[1])) as place, replacing(place) as draft:
    draft.mkdir()
    (draft / "split.parquet").write_text("learners")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_of_one_second_lie_beside_each_other(tmp_path):
    with claimed(tmp_path / "10-00-00") as first, claimed(tmp_path / "10-00-00") as second:
        assert (first.name, second.name) == ("10-00-00", "10-00-00-2")
        first.mkdir()
        with claimed(tmp_path / "10-00-00") as third:
            assert third.name == "10-00-00-3"
    with claimed(tmp_path / "10-00-00") as again, pytest.raises(RuntimeError), claimed(tmp_path / "10-00-00"):
        assert again.name == "10-00-00-2"
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["10-00-00"]


def test_what_a_killed_run_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "10-00-00[1]")], check=False)
    left = {path.name.rpartition(".")[0] for path in tmp_path.iterdir()}
    assert left == {".10-00-00[1]"} and len(list(tmp_path.iterdir())) == 2, "a claim and a draft"
    with claimed(tmp_path / "10-00-01") as place, replacing(place) as draft:
        draft.mkdir()
        assert not any("[1]" in path.name for path in tmp_path.iterdir())
        with claimed(tmp_path / "10-00-02") as other, replacing(other) as beside:
            beside.mkdir()
        assert draft.is_dir() and other.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10-00-01", "10-00-02"]
