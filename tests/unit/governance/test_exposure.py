"""What must not leave is found in every kind of file, masked; what edukit itself writes raises no alarm."""

from __future__ import annotations

import json
import sqlite3

import pandas as pd
import pytest

from edukit.governance.exposure import Search
from edukit.governance.privacy import Pseudonymiser, aggregate

KEY = Pseudonymiser(bytes(range(32)))
PEOPLE = pd.Series([f"s{n:05d}" for n in range(40)])
KNOWN = set(KEY.pseudonyms(PEOPLE, "learner"))


def kinds(place, **options) -> dict[str, int]:
    found = Search(**options)(place).findings
    return {kind: sum(f.count for f in found if f.kind == kind) for kind in sorted({f.kind for f in found})}


def write(place, name: str, table: pd.DataFrame) -> None:
    if name.endswith(".csv"):
        table.to_csv(place / name, index=False)
    elif name.endswith(".parquet"):
        table.to_parquet(place / name)
    elif name.endswith(".json"):
        (place / name).write_text(json.dumps({"about": "x", "rows": table.to_dict("records")}))
    elif name.endswith(".jsonl"):
        (place / name).write_text("\n".join(map(json.dumps, table.to_dict("records"))))
    elif name == "table.html":
        (place / name).write_text(f"<html><script>var a = 'x@y.org'</script>{table.to_html(index=False)}</html>")
    elif name == "data.html":
        (place / name).write_text(f'<script type="application/json">{json.dumps({"rows": table.to_dict("records")})}</script>')
    elif name.endswith(".ipynb"):
        cell = {"cell_type": "code", "source": ["table"], "outputs": [{"data": {"text/html": table.to_html(index=False), "text/plain": "table"}}]}
        (place / name).write_text(json.dumps({"cells": [cell]}))
    else:
        with sqlite3.connect(place / name) as database:
            table.to_sql("cells", database, index=False)
        database.close()


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json", "x.jsonl", "table.html", "data.html", "x.ipynb", "x.db"])
def test_identifiers_and_small_cells_are_found_in_every_kind_of_file(tmp_path, name):
    write(tmp_path, name, pd.DataFrame({"class": ["a", "b", "c"], "contact": ["", "call +44 20 7946 0958", "ann@school.org"], "n": [30, 4, 12]}))
    assert kinds(tmp_path) == {"e-mail": 1, "small cell": 1, "telephone": 1}
    assert all("ann@school.org" not in str(finding) and "7946" not in str(finding) for finding in Search()(tmp_path).findings)


def test_columns_of_names_raw_ids_and_long_texts_of_learners(tmp_path):
    text = "When I was asked this I did not know what to say because my brother had been ill all week and I had not slept."
    write(tmp_path, "x.csv", pd.DataFrame({"learner_id": PEOPLE, "surname": "Jones", "name": "Ann Jones", "said": text, "n": 3}))
    found = kinds(tmp_path)
    assert found == {"column of names": 2, "free text": 1, "raw id": 40}, "a count in a row of one learner is no small cell"
    pd.DataFrame({"learner_id": KEY.pseudonyms(PEOPLE, "learner"), "score": 1.0}).to_csv(tmp_path / "x.csv", index=False)
    looked = Search()(tmp_path)
    assert looked.findings == [] and looked.rows_of_learners == [tmp_path / "x.csv"]


def test_with_the_key_a_raw_id_is_known_under_any_name(tmp_path):
    write(tmp_path, "x.parquet", pd.DataFrame({"who": PEOPLE, "mark": range(40)}))
    (tmp_path / "x.md").write_text("Asked: " + ", ".join(PEOPLE[:5]))
    assert kinds(tmp_path) == {}
    assert kinds(tmp_path, key=KEY, known=KNOWN) == {"raw id": 45}
    write(tmp_path, "rows.csv", pd.DataFrame({"row": range(10_000, 10_040)}))
    numbers = {*KNOWN, *KEY.pseudonyms(pd.Series(range(10_000, 90_000)).astype("str"), "learner")}
    assert kinds(tmp_path, key=KEY, known=numbers) == {"raw id": 45}, "numbers of rows are no ids, though learners have such ids"
    write(tmp_path, "rows.csv", pd.DataFrame({"id_student": range(10_000, 10_040)}))
    assert kinds(tmp_path, key=KEY, known=numbers) == {"raw id": 85}
    assert kinds(tmp_path, key=Pseudonymiser(bytes(32)), known=KNOWN) == {}, "another key knows nobody"


def test_ids_of_invented_learners_are_nobodys(tmp_path):
    write(tmp_path, "split.parquet", pd.DataFrame({"learner_id": PEOPLE, "part": "train"}))
    (tmp_path / "run_report.json").write_text(json.dumps({"data": {"name": "synthetic"}}))
    assert kinds(tmp_path) == {"raw id": 40} and kinds(tmp_path, invented=["synthetic"]) == {}


def test_hidden_cells_that_show_a_number_or_come_back_by_subtraction(tmp_path):
    cells = pd.DataFrame({"class_id": ["class-" + "0" * 16, "class-" + "1" * 16, "all"], "concept_id": "7", "state": ["suppressed", "estimated", "estimated"],
                          "n": [None, 30, 36], "mastery": [0.7, 0.5, 0.6]})
    write(tmp_path, "x.csv", cells)
    assert kinds(tmp_path) == {"number in a hidden cell": 1, "recovered cell": 1}
    write(tmp_path, "x.csv", cells.assign(mastery=[None, 0.5, 0.6]).iloc[:2])
    assert kinds(tmp_path) == {}


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json"])
def test_what_has_passed_the_gate_raises_no_alarm(tmp_path, name):
    table = pd.DataFrame({"learner_id": [f"u{n}" for n in range(95)], "year": [*["a"] * 4, *["b"] * 31, *["c"] * 60], "set": ["x", "y", "x", "x", "y"] * 19,
                          "mark": 1.0})
    cells = aggregate(table, ["year", "set"], ["mark"]).cells
    assert cells["hidden"].any()
    write(tmp_path, name, cells.astype({"n": "float"}) if name.endswith("json") else cells)
    assert kinds(tmp_path) == {}


def test_what_only_looks_like_an_identifier(tmp_path):
    (tmp_path / "x.txt").write_text("run 2026-11-23 00:23:06, seed 0, auc 0.702 [0.669, 0.731], pip install a@b, 0 1 2 3, 10.1000/182, 1e-05 0.05 00-23-33, "
                                    "3f2a9c21b04de77a0, https://x.org/2026-11-23_00-23-06/01-02-03, v0.16.0")
    (tmp_path / "run_report.json").write_text(json.dumps({"metrics": [
        {"name": "auc", "value": 0.7, "n": 4, "group": None}, {"name": "cells_stuck", "value": 3, "n": 3, "group": "teaching"},
        {"name": "auc", "value": None, "n": None, "group": "gender=x (not enough data)"}]}))
    write(tmp_path, "concepts.csv", pd.DataFrame({"concept_id": ["a"], "name": ["Ratio"], "description": ["word " * 40], "items": [4]}))
    assert kinds(tmp_path) == {}
    (tmp_path / "run_report.json").write_text(json.dumps({"metrics": [{"name": "auc", "value": 0.7, "n": 4, "group": "gender=x"}]}))
    assert kinds(tmp_path) == {"small cell": 1}


def test_a_picture_is_told_as_not_looked_into(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    found = Search()(tmp_path)
    assert sorted(p.name for p in found.unread) == ["broken.parquet", "x.png"] and found.read == 0


def test_a_key_among_outputs_is_found(tmp_path):
    (tmp_path / "pseudonym.key.3fa9").write_text("00" * 32)
    assert kinds(tmp_path) == {"secret": 1}


def test_sentences_of_our_own_are_no_free_text_and_a_remark_among_them_is(tmp_path):
    ours = {"actionable": "associated with: mean mark so far, by the weight of each piece of work: 28; typical 66 | actions on the course pages: 3; typical 94",
            "context": "associated with: registered 22 days before the start; typical 37 days before | credits studied at the same time: 120; typical 60",
            "counterfactual": "with days with an action on the course pages 12 instead of 3, the estimate would be 67 % (below 68 %)",
            "suggested": "Coach by telephone (30 min; evidence: moderate; Bettinger and Baker (2014), Educational Evaluation and Policy Analysis 36(1))",
            "expected": "call: no difference shown (95 %: 12 points higher to 3 lower)\nmessage: risk lower by 8 points (95 %: 1 to 15), over the whole course"}
    people = pd.DataFrame({"learner_id": KEY.pseudonyms(PEOPLE, "learner"), **ours})
    write(tmp_path, "risks.csv", people)
    assert kinds(tmp_path) == {}
    remark = "she told me in tears that her mother has been in hospital since March and that nobody at home helps her"
    for column, text in ours.items():
        for said in (remark, f"{text}\n{remark}", f"{remark} | {text}"):
            write(tmp_path, "risks.csv", people.assign(**{column: [said, *people[column][1:]]}))
            assert kinds(tmp_path) == {"free text": 1}, (column, said)
    for column in ("tried", "comment"):
        write(tmp_path, "risks.csv", people.assign(**{column: [ours["context"], remark, *[""] * 38]}))
        assert kinds(tmp_path) == {"free text": 2}, "what a person writes there is a person's"
