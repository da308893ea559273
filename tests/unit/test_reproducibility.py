"""Fingerprints follow content, files are whole or absent, bundled folders are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.reproducibility import bundled, fingerprint, replacing, write_json


def test_fingerprint_follows_content_only(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert fingerprint(table) == fingerprint(table.set_index(pd.Index([5, 6])))
    assert len({fingerprint(table), fingerprint(table.assign(a=[1, 3])), fingerprint(table.rename(columns={"a": "c"})), fingerprint(table[::-1])}) == 4
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"same")
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two") != fingerprint(b"same")
    assert fingerprint(np.zeros(4)) != fingerprint(np.zeros((2, 2)))


@pytest.mark.parametrize("folder", [False, True])
def test_interrupted_write_leaves_the_old_and_nothing_else(tmp_path, folder):
    target = tmp_path / "kept"
    if folder:
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as fresh:
        if folder:
            fresh.mkdir()
            (fresh / "new").write_text("half")
        else:
            fresh.write_text("half")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert (target / "old").read_text() == "old" if folder else target.read_text() == "old"


def test_finished_write_replaces(tmp_path):
    target = tmp_path / "kept"
    target.write_text("old")
    with replacing(target) as fresh:
        fresh.write_text("new")
    assert target.read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_json_has_no_nan(tmp_path):
    assert (
        write_json(tmp_path / "a.json", {"x": float("nan"), "y": [np.float64(1.5), np.int64(2)]}).read_text()
        == '{\n  "x": null,\n  "y": [\n    1.5,\n    2\n  ]\n}\n'
    )


def test_bundled_folders_are_there_and_others_are_named():
    assert all(bundled(name).is_dir() for name in ("conf", "experiments", "data_cards", "notebooks"))
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        bundled("nothing_here")
