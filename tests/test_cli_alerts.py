"""`edukit alerts`: what a teacher decides, from the terminal or from the page's file, lands in the log and shows."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from edukit.alert_log import AlertLog
from edukit.cli_alerts import alerts_app
from edukit.schema import DataError


@pytest.fixture
def log(tmp_path):
    found = AlertLog(tmp_path / "alerts.sqlite")
    rows = [("a", "M", 0.9), ("a", "N", 0.8), ("b", "M", 0.7)]
    for week in (7, 8):
        found.add([{"kind": "alerted", "learner_id": one, "module_id": module, "presentation": "2014J", "rank": i + 1, "risk": risk, "actionable": "marks: 20"}
                   for i, (one, module, risk) in enumerate(rows)], "edukit", week)
    return found


def run(*words) -> str:
    done = CliRunner().invoke(alerts_app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_decision_lands_in_the_log_and_shows(log, tmp_path):
    said = run("snooze", log.path, "--learner=a", "--module=M", "--presentation=2014J", "--weeks=2", "--reason=ill", "--who=me")
    assert said == "a (M 2014J): snoozed in week 8, until week 10\n"
    run("dismiss", log.path, "--learner=b", "--reason=left", "--who=me")
    run("tried", log.path, "--learner=a", "--module=N", "--what=a call", "--who=me", "--day=57")
    run("outcome", log.path, "--learner=a", "--module=N", "--what=passed", "--who=me")
    shown = run("show", log.path, "--page", tmp_path / "p.html", "--table", tmp_path / "t.csv")
    assert "  1  a  N 2014J  risk 0.80  moved up from 2" in shown and "snoozed (ill)" in shown and "dismissed (left)" in shown
    assert "week 8: tried: a call" in shown and "associated with: marks: 20" in shown and "was number 3: dismissed since" in shown
    assert "week 8: tried: a call" in (tmp_path / "p.html").read_text() and len(pd.read_csv(tmp_path / "t.csv")) == 3
    run("reopen", log.path, "--learner=b", "--who=me")
    assert "dismissed" not in run("show", log.path)
    assert "     1  alerts so far" not in run("evaluate", log.path) and "     3  alerts so far" in run("evaluate", log.path)
    assert log.events("tried")["day"].tolist() == [57.0]


def test_endings_of_a_table_are_read(log, tmp_path):
    table = pd.DataFrame({"learner_id": ["a", "b"], "module_id": "M", "presentation": "2014J", "final_result": ["Fail", "Pass"]})
    table.to_csv(tmp_path / "e.csv", index=False)
    said = run("evaluate", log.path, "--endings", tmp_path / "e.csv")
    assert "     2  of them whose ending is known" in said and "     1  of those: false alarms" in said and "not enough data" in said and "not by lot" in said
    with pytest.raises(DataError, match="found no module_id, presentation, final_result"):
        pd.DataFrame({"learner_id": ["a"]}).to_csv(tmp_path / "e.csv", index=False)
        run("evaluate", log.path, "--endings", tmp_path / "e.csv")


def test_the_file_of_the_page_is_taken_once(log, tmp_path):
    file = tmp_path / "decisions.json"
    one = {"action": "snooze", "learner_id": "a", "module_id": "N", "presentation": "2014J", "week": 8, "weeks": 2, "what": "", "reason": "it's <ill>",
           "who": "me", "mark": "1f"}
    file.write_text(json.dumps([one, {**one, "action": "tried", "weeks": None, "what": "a call", "mark": "2f"}]))
    assert "2 of 2 decisions are new" in run("take", log.path, file) and "0 of 2 decisions are new" in run("take", log.path, file)
    assert log.states(9).loc[("a", "N", "2014J")].tolist() == ["snoozed", "it's <ill>"]
    for broken in ("{", "[]", "[1]", json.dumps([{**one, "action": "drop"}]), json.dumps([{**one, "week": "8"}]), json.dumps([{"action": "snooze"}])):
        file.write_text(broken)
        with pytest.raises(DataError, match="must (be|hold)"):
            run("take", log.path, file)
    file.write_text(json.dumps([{**one, "mark": "3f"}, {**one, "action": "dismiss", "reason": "", "mark": "4f"}]))
    before = len(log.events())
    with pytest.raises(DataError, match="dismissed needs a reason"):
        run("take", log.path, file)
    assert len(log.events()) == before, "all of it or nothing"


def test_who_is_meant_must_be_clear(log, tmp_path):
    with pytest.raises(DataError, match=r"found 2 of 'a' \(M 2014J, N 2014J\). Give --module and --presentation"):
        run("dismiss", log.path, "--learner=a", "--reason=x", "--who=me")
    with pytest.raises(DataError, match="found 0 of 'z'.*alerts show"):
        run("dismiss", log.path, "--learner=z", "--reason=x", "--who=me")
    with pytest.raises(DataError, match="found no .*absent.sqlite"):
        run("show", tmp_path / "absent.sqlite")
    with pytest.raises(DataError, match="must hold alerts of week 3; found those of 7, 8"):
        run("show", log.path, "--week=3")


def test_no_text_of_the_data_reaches_the_terminal_as_an_order(tmp_path):
    hidden = "a\x1b[2J\x07b\u202ec\r\nd"
    log = AlertLog(tmp_path / "alerts.sqlite")
    log.add([{"kind": "alerted", "learner_id": hidden, "module_id": hidden, "presentation": hidden, "rank": 1, "risk": 0.9, "actionable": hidden}], "edukit", 8)
    run("tried", log.path, f"--learner={hidden}", f"--what={hidden}", f"--who={hidden}", f"--reason={hidden}")
    said = run("show", log.path) + run("dismiss", log.path, f"--learner={hidden}", f"--reason={hidden}", "--who=me") + run("show", log.path)
    assert "a\\x1b[2J\\x07b\\u202ec\\r\\nd" in said
    assert all(c.isprintable() or c == "\n" for c in said) and all(not line.startswith("d") for line in said.splitlines())
