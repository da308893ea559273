"""`edukit graph` as a designer meets it: a graph saved, checked, voted on, merged, restored and handed to other tools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from edukit.cli import app
from edukit.formats import graph_file
from edukit.schema import DataError

EDGES = "concept,requires,weight\nadd,count,1\n\"say \"\"x\"\" [1]\",add,0.5\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch):
    """Runs `edukit graph WORDS`, in a folder of its own; gives the exit code and what was printed. A DataError is raised."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edges.csv").write_text(EDGES)

    def of(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["graph", *words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output
    return of


def test_a_graph_is_saved_edited_by_hand_compared_and_restored(run, tmp_path: Path):
    assert "version 1" in run("save", "edges.csv", "g.json", "--author", "Ana", "--note", "began")[1]
    assert "nothing changed since version 1" in run("save", "edges.csv", "g.json")[1]
    path = tmp_path / "g.json"
    first = path.read_text(encoding="utf-8")
    tables, rest = first.split('"history"')
    path.write_text(tables.replace('"weight": 0.5', '"weight": 0.75') + '"history"' + rest, encoding="utf-8")
    assert "since then, by hand: 1 prerequisites changed" in run("history", "g.json")[1]
    assert "version 2" in run("save", "g.json", "g.json", "--note", "surer")[1]
    told = run("diff", "g.json@1", "g.json")[1]
    assert "weight 0.5 -> 0.75" in told and told.endswith("1 prerequisites changed\n")
    run("restore", "g.json", "1")
    assert run("diff", "g.json", "edges.csv")[1] == "no difference\n"
    listed = run("history", "g.json")[1]
    assert "Ana  began" in listed and "surer" in listed and "restored version 1" in listed
    with pytest.raises(DataError, match="1 to 3; found 9"):
        run("diff", "g.json@9", "g.json")


def test_check_names_what_is_wrong_and_exits_with_1(run, tmp_path: Path):
    assert run("check", "edges.csv") == (0, "no fault found in 3 concepts, 2 edges\n")
    (tmp_path / "bad.csv").write_text(EDGES + "count,add,2\nadd,count,1\n")
    code, told = run("check", "bad.csv")
    assert code == 1 and "'count' requires 'add', 'add' requires 'count'" in told and "stands 2 times" in told and "found 2" in told and "3 faults" in told


def test_merge_writes_nothing_on_a_conflict_and_both_sides_without(run, tmp_path: Path):
    run("save", "edges.csv", "base.json")
    for name, old, new in (("ours", "add,count,1", "add,count,0.9"), ("theirs", ",add,0.5", ",add,0.6"), ("other", "add,count,1", "add,count,0.2")):
        (tmp_path / "edges.csv").write_text(EDGES.replace(old, new))  # the same name: the source of a claim is part of its key
        run("save", "edges.csv", f"{name}.json")
    code, told = run("merge", "base.json", "ours.json", "other.json", "--to", "merged.json")
    assert code == 1 and "ours says 0.9, theirs 0.2" in told and "--prefer" in told and not (tmp_path / "merged.json").exists()
    assert run("merge", "base.json", "ours.json", "theirs.json", "--to", "merged.json")[0] == 0
    assert sorted(graph_file.read(tmp_path / "merged.json").tables["prerequisites"]["weight"]) == [0.6, 0.9]
    code, told = run("merge", "base.json", "ours.json", "other.json", "--prefer", "theirs", "--to", "chosen.json")
    assert code == 0 and "conflict:" in told and "1 conflicts went to theirs" in run("history", "chosen.json")[1]


def test_votes_become_labels(run, tmp_path: Path):
    run("save", "edges.csv", "g.json")
    for who, verdict in (("Ana", "no"), ("Ana", "yes"), ("Bo", "yes"), ("Cy", "no")):
        told = run("vote", "g.json", "add", "count", verdict, "--by", who, "--why", "they say so")[1]
    assert "yes 2, reversed 0, no 1" in told and "kappa" in told
    run("export", "g.json", "labels.csv", "--format", "labels")
    found = pd.read_csv(tmp_path / "labels.csv")
    assert found[["concept_id", "requires_id", "label", "votes"]].values.tolist() == [["add", "count", 1, 3], ["count", "add", 0, 3]]
    with pytest.raises(DataError, match="'subtract', which is none of its 3"):
        run("vote", "g.json", "subtract", "add", "yes", "--by", "Ana")
    assert len(graph_file.read(tmp_path / "g.json").history) == 5


def test_every_form_leaves_and_comes_back(run, tmp_path: Path):
    for name in ("g.graphml", "g.mmd", "g.json", "g.csv"):
        assert run("export", "edges.csv", name)[0] == 0
        assert run("diff", "edges.csv", name)[1] == "no difference\n", name
    for name in ("g.png", "g.svg"):
        run("export", "edges.csv", name)
        assert (tmp_path / name).stat().st_size > 1_000
    with pytest.raises(DataError, match="Give --format"):
        run("export", "edges.csv", "g.docx")
    with pytest.raises(DataError, match="neither by the name nowhere"):
        run("check", "nowhere")


def test_a_data_set_is_a_source_and_bad_input_one_clear_error(run, tmp_path: Path):
    assert "no fault found in 40 concepts" in run("check", "synthetic")[1]
    done = subprocess.run([sys.executable, "-m", "edukit.cli", "graph", "history", "absent.json"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "no such file" in done.stderr and "Traceback" not in done.stderr
