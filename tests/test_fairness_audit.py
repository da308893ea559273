"""Every run with groups is audited and leaves its record; predictions of anybody are audited from files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import fairness_audit, recipe

from edukit.evaluation import RunReport, audit_trail
from edukit.governance.fairness import COLUMNS
from edukit.schema import DataError

SMALL = ("data.classes=6", "data.learners_per_class=20", "draws=20", "paths.tracking=null")


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> RunReport:
    return recipe.start("trace", *SMALL, f"paths.outputs={tmp_path_factory.mktemp('outputs')}")


def test_a_run_with_groups_leaves_an_audit_as_table_records_and_figure(traced):
    table = pd.read_csv(traced.folder / "fairness.csv", encoding="utf-8-sig")
    assert list(table.columns) == list(COLUMNS) and len(table) >= 2
    assert (table["state"].eq("estimated") | table["reason"].notna()).all()
    groups = {m["group"] for m in traced.metrics if m["name"] == "abroca"}
    assert len(groups) == len(table) and traced.figures["fairness"] == "fairness.png"
    told = table[table["state"] == "estimated"].iloc[0]
    assert traced.value("abroca", group=f"{told['attribute']}={told['group']}") == pytest.approx(told["abroca"])


def test_a_run_leaves_its_card_its_sheet_and_its_line(traced):
    card, sheet = (json.loads((traced.folder / f"{name}.json").read_text()) for name in ("model_card", "data_sheet"))
    assert card["model"] == "logistic" and card["room"] == "tracing" and card["scores"] and card["groups"]["audited"]
    assert card["data"]["fingerprint"] == sheet["data"]["fingerprint"] == traced.data["fingerprint"]
    assert "learners.learner_id" in sheet["personal_columns"]["pseudonyms"] and sheet["pseudonym_key_version"].startswith("none")
    outputs = traced.folder.parent.parent
    (line,) = audit_trail.read(outputs)
    assert line["mark"] == sheet["audit_mark"] and line["run"] == f"trace/{traced.folder.name}" and line["state"] == "written"
    assert audit_trail.faults(outputs) == []


def test_a_run_that_fails_is_in_the_trail_too(tmp_path):
    with pytest.raises(DataError):
        recipe.start("trace", *SMALL, "split=published", f"paths.outputs={tmp_path}")
    (line,) = audit_trail.read(tmp_path)
    assert line["state"] == "stopped: DataError" and line["data"] == "synthetic" and audit_trail.faults(tmp_path) == []


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, pd.DataFrame]:
    rng = np.random.default_rng(0)
    risk = rng.beta(2, 3, 900)
    group = rng.choice(["f", "m"], 900)
    told = pd.DataFrame({"learner_id": [f"{i:04}" for i in range(900)], "module_id": rng.choice(["A", "B"], 900),
                         "outcome": (rng.random(900) < np.where(group == "f", risk, 0.4)).astype(int), "risk": risk})
    told.to_csv(tmp_path / "risks.csv", index=False)
    pd.DataFrame({"learner_id": told["learner_id"], "gender": group, "note": "=cmd()"})[:890].to_csv(tmp_path / "groups.csv", index=False)
    return tmp_path / "risks.csv", tmp_path / "groups.csv", told


def test_files_are_audited_by_every_column_of_the_groups(files):
    predictions, groups, _ = files
    table = fairness_audit.of_files(predictions, groups, threshold=0.4)
    assert table["group"].tolist() == ["f", "m", "not stated", "=cmd()", "not stated"]
    assert table.loc[0, "p_adjusted"] < 0.05 and table.loc[0, "abroca"] > 0.1
    said = fairness_audit.lines(table)
    assert any("gender = f" in line and "ranked differently" in line for line in said)
    within = fairness_audit.of_files(predictions, groups, within="module_id", threshold=0.4)
    assert within.loc[0, "abroca"] != table.loc[0, "abroca"]


def test_what_is_missing_in_the_files_is_named(files, tmp_path):
    predictions, groups, told = files
    with pytest.raises(DataError, match="outcome, correct"):
        fairness_audit.of_files(groups, predictions)
    with pytest.raises(DataError, match="no .*absent"):
        fairness_audit.of_files(tmp_path / "absent.csv", groups)
    told.assign(learner_id="x" + told["learner_id"])[["learner_id", "module_id"]].to_csv(tmp_path / "others.csv", index=False)
    with pytest.raises(DataError, match="found none of 900"):
        fairness_audit.of_files(predictions, tmp_path / "others.csv")
    with pytest.raises(DataError, match="--within"):
        fairness_audit.of_files(predictions, groups, within="school")
    pd.concat([told, told])[["learner_id"]].assign(g=1).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(DataError, match="900 repeated"):
        fairness_audit.of_files(predictions, tmp_path / "twice.csv")
