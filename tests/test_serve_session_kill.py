"""The session service in a real process, killed while answers are on their way: what was acknowledged is there, once; and the load generator adds up."""

from __future__ import annotations

import asyncio

import pytest
from edukit.experiments import load_session
from edukit.experiments.load_session import Account
from edukit.experiments.load_session_server import Server
from typer.testing import CliRunner

from edukit.cli import app


@pytest.mark.parametrize("restarts", [3])
def test_nothing_acknowledged_is_lost_or_doubled_over_kills(tmp_path, restarts: int):
    server = Server(tmp_path, []).start()
    try:
        account = asyncio.run(load_session.killed(server, 4, restarts, 0.1, 0, lambda line: None))
    finally:
        server.kill()
    kept = load_session._kept(server.store)
    assert len(account.acknowledged) >= restarts and len(kept) == len(account.acknowledged)
    assert not any(account.faults(kept).values())


def test_the_account_finds_what_is_lost_doubled_changed_or_unsent():
    account = Account({("s", "a"): (0, "i", 1.0), ("s", "b"): (1, "j", 0.0)}, {("s", "a"): {}, ("s", "b"): {}})
    rows = [("s", "a", 0, "i", 1.0), ("s", "b", 1, "j", 0.0)]
    assert not any(account.faults(rows).values())
    assert account.faults(rows[:1])["lost"] == 1
    assert account.faults([*rows, rows[0]])["doubled"] == 1 and account.faults([*rows, rows[0]])["out of step"] == 1
    assert account.faults([rows[0], ("s", "b", 1, "j", 1.0)])["changed"] == 1
    assert account.faults([*rows, ("s", "c", 2, "i", 1.0)])["unsent"] == 1


def test_serve_takes_a_run_or_the_name_of_a_service(monkeypatch, tmp_path):
    asked: list = []
    monkeypatch.setattr("edukit.serve.serve", lambda folder, run, *rest: asked.append(run))
    monkeypatch.setattr("edukit.serve_session.serve", lambda live, host, port, token, *rest: asked.append((live.course.policy.name, host, port, token)))
    for words in ([], [str(tmp_path)], ["--port", "0", str(tmp_path)], ["session", "--store", str(tmp_path / "s.sqlite"), "--policy", "outer_fringe"]):
        assert CliRunner().invoke(app, ["serve", *words]).exit_code == 0
    assert asked == [None, tmp_path, tmp_path, ("outer_fringe", "127.0.0.1", 8768, None)]
    wrong = CliRunner().invoke(app, ["serve", "session", "--store", str(tmp_path / "s.sqlite"), "--graph", "nothing"])
    assert "must be a file or a data set" in str(wrong.exception)
