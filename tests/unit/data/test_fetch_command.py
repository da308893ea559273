"""`edukit data fetch` as a user meets it: nothing is written before the terms are agreed to, and what is missing is said in full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import typer

from edukit.cli_data import data_fetch, data_where
from edukit.data import card, fetch
from edukit.data.card import Card
from edukit.schema import DataError

CONTENT = bytes(range(256)) * 2_000  # what the server gives
NAME = "school/log.csv"
PAGE = {"license": "for teaching only", "citeAs": "Somebody (2001)", "url": "https://example.org/about"}


def below(place: Path) -> list[str]:
    return sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())


MAIN = """
import sys
from pathlib import Path
import edukit.data.card
place = Path(sys.argv.pop(1))
edukit.data.card.bundled = lambda _: place
from edukit.cli import main
main()
"""
"""The command line, with the cards of another folder: the cards of edukit name servers that no test may ask."""


def edukit(tmp_path: Path, *words: str, cards: Path | None = None) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "EDUKIT_DATA"} | {"XDG_DATA_HOME": str(tmp_path / "home")}
    program = ["-c", MAIN, str(cards)] if cards else ["-m", "edukit.cli"]
    return subprocess.run([sys.executable, *program, "data", *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)


def test_the_command_downloads_once_agreed_and_writes_nothing_before(server, tmp_path):
    cards, place = tmp_path / "cards", tmp_path / "home" / "edukit" / "raw"
    cards.mkdir()
    (cards / "synthetic.md").write_text("# x")
    (cards / "synthetic.json").write_text(json.dumps(PAGE | {"distribution": [server.said()]}))
    refused = edukit(tmp_path, "fetch", "synthetic", cards=cards)
    assert refused.returncode == 2 and "Give --agree" in refused.stderr and "Traceback" not in refused.stderr
    assert all(words in refused.stdout for words in ("for teaching only", "Somebody (2001)", NAME, "512.0 kB", str(place)))
    assert server.asked == [] and not (tmp_path / "home").exists()
    done = edukit(tmp_path, "fetch", "synthetic", "--agree", cards=cards)
    assert done.returncode == 0 and "ready" in done.stdout and (place / NAME).read_bytes() == CONTENT and "Traceback" not in done.stderr, done.stderr


def test_the_command_asks_and_tells(server, tmp_path, monkeypatch, capsys):
    parts = [server.said()]
    monkeypatch.setattr(card, "load_card", lambda name: Card(name, PAGE | {"distribution": parts}, {}))
    monkeypatch.setenv("EDUKIT_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", namedtuple("terminal", "isatty")(lambda: True))
    for answer, left in ((False, []), (True, [NAME])):
        monkeypatch.setattr(typer, "confirm", lambda words, answer=answer: answer)
        if answer:
            data_fetch("synthetic")
        else:
            with pytest.raises(typer.Exit) as stopped:
                data_fetch("synthetic")
            assert stopped.value.exit_code == 1
        assert below(tmp_path) == left and ("ready" in capsys.readouterr().out) is answer
    monkeypatch.setattr(typer, "confirm", lambda words: pytest.fail("asked though nothing is to be downloaded"))
    data_fetch("synthetic")
    assert "1 of 1 files" in capsys.readouterr().out and len(server.asked) == 1
    data_fetch("synthetic", to=str(tmp_path / "elsewhere"), agree=True)
    assert f"set EDUKIT_DATA={tmp_path / 'elsewhere'}" in capsys.readouterr().out
    parts.append(server.said("school/b.csv", access="rules"))
    with pytest.raises(typer.Exit) as stopped:
        data_fetch("synthetic")
    assert stopped.value.exit_code == 2 and f"put it    {tmp_path / 'school/b.csv'}" in capsys.readouterr().out
    parts.clear()
    data_fetch("synthetic")
    assert "needs no file from elsewhere" in capsys.readouterr().out


def test_the_command_stopped_by_hand_says_how_to_go_on(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(card, "load_card", lambda name: Card(name, PAGE | {"distribution": [server.said()]}, {}))
    monkeypatch.setattr(fetch, "obtain", lambda wanted: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(typer.Exit) as stopped:
        data_fetch("synthetic", to=str(tmp_path), agree=True)
    assert stopped.value.exit_code == 130 and "goes on from there" in capsys.readouterr().err


def test_the_command_says_what_is_known(tmp_path, monkeypatch, capsys):
    with pytest.raises(DataError, match="data must be one of .*junyi_cut10k.*synthetic.*; found junyi_nothing"):
        data_fetch("junyi_nothing")
    monkeypatch.delenv("EDUKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    data_where()
    assert f"{tmp_path / 'edukit' / 'raw'}   (EDUKIT_DATA is not set)" in capsys.readouterr().out


@pytest.mark.realdata
def test_the_command_finds_files_that_are_there(edukit_data, monkeypatch, capsys):
    monkeypatch.setenv("EDUKIT_DATA", str(edukit_data))
    data_fetch("junyi_cut10k")
    told = capsys.readouterr().out
    assert "2 of 2 files" in told and "ready" in told
