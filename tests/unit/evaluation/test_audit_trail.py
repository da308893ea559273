"""The trail of runs: whole under many writers, and every way of changing it is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edukit.evaluation import audit_trail, data_sheet, model_card

LINE = {"command": "edukit run trace", "experiment": "trace", "data": "synthetic", "data_fingerprint": "abc", "run": "trace/now", "state": "finished"}
WRITER = """
import sys
from pathlib import Path
from edukit.evaluation import audit_trail
for i in range(20):
    audit_trail.append(Path(sys.argv[1]), command=sys.argv[2], experiment="e", data="d\\n", data_fingerprint="f", run=str(i), state="finished")
"""


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    for i in range(4):
        audit_trail.append(tmp_path, **{**LINE, "run": f"trace/{i}"})
    return tmp_path


def rewrite(root: Path, change) -> None:
    path = root / audit_trail.FILE
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def test_a_line_says_who_when_what_on_which_data_and_follows_the_one_before(trail):
    lines = audit_trail.read(trail)
    assert [line["n"] for line in lines] == [1, 2, 3, 4] and lines[0]["who"] == audit_trail.who()
    assert all(line["before"] == before["mark"] for before, line in zip(lines, lines[1:], strict=False))
    assert set(LINE) <= set(lines[0]) and audit_trail.faults(trail) == []
    assert (trail / audit_trail.FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [lines[0], lines[1].replace("trace/1", "trace/9"), *lines[2:]], "line 2 was changed"),
        (lambda lines: [*lines[:3], lines[3].replace("finished", "unfinished")], "line 4 was changed"),
        (lambda lines: lines[1:], "line 2 does not follow line 0"),
        (lambda lines: [lines[0], *lines[2:]], "line 3 does not follow line 1"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "line 3 does not follow line 1"),
        (lambda lines: [*lines, lines[3]], "line 4 does not follow line 4"),
        (lambda lines: [*lines[:2], "rubbish", *lines[2:]], "line 3 of the file is no line"),
    ],
)
def test_tampering_is_noticed(trail, change, words):
    rewrite(trail, change)
    assert any(words in fault for fault in audit_trail.faults(trail)), audit_trail.faults(trail)


def test_a_trail_that_was_cut_or_written_anew_no_longer_knows_its_runs(trail):
    sheet = trail / "trace" / "3" / "data_sheet.json"
    sheet.parent.mkdir(parents=True)
    sheet.write_text(json.dumps({"audit_mark": audit_trail.read(trail)[-1]["mark"]}))
    assert audit_trail.faults(trail) == []
    rewrite(trail, lambda lines: lines[:-1])
    assert len(audit_trail.faults(trail)) == 1 and "trace/3" in audit_trail.faults(trail)[0]
    (trail / audit_trail.FILE).unlink()
    audit_trail.append(trail, **LINE)
    assert "cut or written anew" in audit_trail.faults(trail)[0]


def test_processes_that_write_at_once_leave_one_whole_trail(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"writer {w}"]) for w in range(3)]
    assert [w.wait(timeout=120) for w in writers] == [0, 0, 0]
    lines = audit_trail.read(tmp_path)
    assert len(lines) == 60 and audit_trail.faults(tmp_path) == [] and len({line["command"] for line in lines}) == 3


def test_a_torn_line_is_told_and_the_next_begins_anew(trail):
    with (trail / audit_trail.FILE).open("a") as stream:
        stream.write('{"n": 5, "when"')
    audit_trail.append(trail, **LINE)
    assert [line["n"] for line in audit_trail.read(trail)] == [1, 2, 3, 4, 5]
    assert audit_trail.faults(trail) == ["line 5 of the file is no line of a trail: it was torn or written over"]


def test_a_line_with_a_missing_field_is_refused(tmp_path):
    with pytest.raises(TypeError, match="experiment"):
        audit_trail.append(tmp_path, command="x")


def test_the_sheet_names_every_personal_column_and_leaves_the_law_to_a_person(tmp_path):
    columns = {"learners": ["learner_id", "gender", "published_part"], "interactions": ["learner_id", "item_id", "correct", "response"],
               "concepts": ["concept_id", "name"], "surveys": ["learner_id", "comment"]}
    content = data_sheet.sheet(experiment="trace", purpose="To see.", data={"label": "d", "fingerprint": "f" * 64, "rows": {"learners": 3}}, columns=columns,
                               key_version="12ab", consent="CC BY", folder=tmp_path, tracking=None, audit_mark="0")
    assert content["personal_columns"] == {
        "pseudonyms": ["learners.learner_id", "interactions.learner_id", "surveys.learner_id"], "attributes": ["learners.gender"],
        "free text": ["interactions.response", "surveys.comment"], "what learners did": ["interactions.item_id", "interactions.correct"]}
    assert set(content["to_be_stated_by_a_person"].values()) == {""} and any("legal basis" in what for what in content["to_be_stated_by_a_person"])
    assert data_sheet.write(tmp_path, content) == ["data_sheet.json", "data_sheet.md"]
    assert "legal basis" in (tmp_path / "data_sheet.md").read_text() and "12ab" in (tmp_path / "data_sheet.md").read_text()


def test_the_card_says_for_whom_it_was_not_checked(tmp_path):
    score = {"name": "ece", "value": 0.2, "low": 0.1, "high": 0.3, "n": 50, "split": "test", "model": "m", "group": None, "channel": None}
    content = model_card.card(model="m", room="risk", settings={"depth": 3}, data={"label": "d", "fingerprint": "f" * 64}, description="Who.",
                              not_for="Refusing learners.", to_audit="gender", split={"name": "time", "rows": {"train": 10}}, metrics=[score], fairness=None,
                              environment={"python": "3"}, seed=0)
    assert "above 0.02" in content["calibration"] and any("fairness was not audited" in limit for limit in content["limits"])
    text = model_card.markdown(content)
    assert "Refusing learners." in text and "| ece | 0.200 | 0.100 to 0.300 | 50 |" in text and "Deciding about a learner" in text
    model_card.write(tmp_path, content)
    assert json.loads((tmp_path / "model_card.json").read_text())["scores"] == [score]
