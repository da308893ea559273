"""The catalogue of interventions is checked entry by entry, and matched to what can be acted on."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from edukit.risk.features import ACTIONABLE
from edukit.risk.interventions import EVIDENCE, read, suggest
from edukit.schema import DataError

GOOD = {"name": "Talk", "for": ["missed"], "what": "Talk to them.", "evidence": "none stated",
        "source": {"authors": "us", "year": None, "venue": None}, "minutes": 5}


def catalogue(tmp_path, *entries):
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
    return path


def found(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([{"kind": kind, "feature": feature} for _, kind, feature in rows], index=pd.Index([r[0] for r in rows], name="learner_id"))


def test_the_default_catalogue_is_whole_and_covers_what_can_be_acted_on():
    entries = read()
    named = {feature for entry in entries for feature in entry.features}
    assert {"attendance", "missed", "mean_score", "days_since_click", "late", "lowest_mastery"} <= named <= {*ACTIONABLE, "attendance"}
    assert {entry.evidence for entry in entries} == set(EVIDENCE)
    assert all(entry.evidence == "none stated" or entry.source.split("(")[1][:4].isdigit() for entry in entries)


@pytest.mark.parametrize(("change", "words"), [
    ({"evidence": "proven"}, "`evidence` must be one of strong, moderate, weak, none stated; found 'proven'"),
    ({"evidence": "strong"}, "evidence strong needs a source with year and venue"),
    ({"for": ["credits"]}, "`for` names credits, which nobody can act on"),
    ({"for": ["gender=F"]}, "`for` names gender=F, which nobody can act on"),
    ({"for": ["mised"]}, "`for` names mised, which is no feature; there are mean_score"),
    ({"for": []}, "`for` must be a list of features"),
    ({"minutes": "long"}, "`minutes` must be a number of minutes; found 'long'"),
    ({"what": " "}, "`what` must be text"),
    ({"source": "us"}, "`source` must hold authors, year, venue; found 'us'"),
    ({"cost": 3}, "`cost` is unknown"),
])
def test_a_fault_is_named(tmp_path, change, words):
    with pytest.raises(DataError) as told:
        read(catalogue(tmp_path, GOOD, {**GOOD, "name": "Other", **change}))
    assert "entry 2: " + words in str(told.value) and "1 fault:" in str(told.value)


def test_every_fault_at_once_and_files_that_are_no_catalogue(tmp_path):
    bare = {key: value for key, value in GOOD.items() if key != "minutes"}
    with pytest.raises(DataError, match=r"(?s)3 faults.*entry 1: `minutes` is absent.*entry 2: must hold name.*the name 'Talk' stands 2 times"):
        read(catalogue(tmp_path, bare, "talk", GOOD))
    for text, words in (("a: [", "cannot be read"), ("a: 1", "must be a list"), ("[]", "must be a list")):
        (tmp_path / "broken.yaml").write_text(text)
        with pytest.raises(DataError, match=words):
            read(tmp_path / "broken.yaml")
    with pytest.raises(DataError, match="found no .*absent.yaml"):
        read(tmp_path / "absent.yaml")


def test_each_reason_has_its_best_entry_before_any_has_a_second(tmp_path):
    strong = {**GOOD, "evidence": "strong", "source": {"authors": "A", "year": 2001, "venue": "J"}}
    entries = read(catalogue(tmp_path, {**GOOD, "name": "a"}, {**strong, "name": "b", "minutes": 20}, {**strong, "name": "c"},
                             {**GOOD, "name": "d", "for": ["attendance"]}))
    rows = found(("x", "actionable", "missed"), ("x", "actionable", "absent_days"), ("x", "context", "credits"), ("y", "actionable", "late"))
    told = suggest(rows, entries, most=3)
    assert told.loc["x", "name"].tolist() == ["c", "d", "b"] and "y" not in told.index
    assert told.loc["x", "words"].iloc[0] == "c (5 min; evidence: strong; A (2001), J)"
    assert suggest(found(("x", "context", "credits")), entries).empty
