"""The profile of one learner as a user runs it: who is asked for, what the model saw, what is written, and what is never shown."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from edukit.experiments import learner_steps, profile_learner, recipe

from edukit.data.synthetic import Synthetic, random_concepts, simulate
from edukit.evaluation import RunReport
from edukit.graph.concept_graph import ConceptGraph
from edukit.report import institution
from edukit.report.learner import LearnerPage
from edukit.schema import DataError
from edukit.tracing.irt import IRT

SCHOOL = ("data.classes=3", "data.learners_per_class=12", "paths.tracking=null", "pdf=false", "samples=20", "evidence=40")
ANN = "L007"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUKIT_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        yield


@pytest.fixture(scope="module")
def report(place) -> RunReport:
    return recipe.start("profile_learner", *SCHOOL, f"learner={ANN}")


def test_the_profile_of_a_learner_the_model_never_saw_is_written(report):
    assert {"page", "table", "json", "standing"} <= set(report.figures)
    content = json.loads((report.folder / "profile.json").read_text(encoding="utf-8"))
    assert content["learner_id"] == ANN and content["enough_data"] and len(content["concepts"]) == 40
    assert [row["step_ahead"] for row in content["forecast"]] == list(range(1, 21))
    assert all(row["low"] < row["mean"] < row["high"] and 0 <= row["share_low"] < row["share_high"] <= 1 for row in content["forecast"])
    assert {row["kind"] for row in content["pace"] if row["state"] == "not logged"} == {"changes"}
    assert set(content["evidence"][0]) == {"concept_id", "order", "item_id", "correct", "relation", "moved"}
    assert {row["concept_id"] for row in content["evidence"]} <= {row["concept_id"] for row in content["concepts"]}
    split = pd.read_parquet(report.folder / "split.parquet")
    assert split.loc[split["learner_id"] == ANN, "part"].tolist() == ["test"] and (split["part"] == "valid").sum() == 9
    assert report.value("responses") == content["responses"] > 200


def test_nothing_of_the_person_but_the_pseudonym_is_shown(report):
    own = Synthetic(classes=3, learners_per_class=12).parse(None)["learners"].set_index("learner_id").loc[ANN]
    texts = [(report.folder / name).read_text(encoding="utf-8") for name in ("profile.html", "profile.json", "profile.csv")]
    assert all(ANN in text for text in texts)
    words = [*own.index, own["gender"], own["language"], "teacher_id", "class_id"]
    assert [word for word in words for text in texts if f'"{word}"' in text or f">{word}<" in text or f",{word}," in text] == []
    assert "L008" not in "".join(texts), "no other learner is named"


def test_a_learner_who_is_not_there_is_one_error_with_those_near(place):
    log = pd.DataFrame({"learner_id": ["L001", "L002", "xy"]})
    with pytest.raises(DataError, match=r"one of the 3 who have an answer.*found 'L00'; near it are L00[12], L00[12]\."):
        profile_learner.chosen(log, "L00")
    with pytest.raises(DataError, match="they look like L001, L002, xy"):
        profile_learner.chosen(log, "?")
    assert profile_learner.chosen(pd.DataFrame({"learner_id": ["a"] * 2 + ["b"] * 5 + ["c"] * 9}), None) == "b"


def test_the_page_is_printed_where_there_is_a_browser_and_else_it_is_said(report, monkeypatch, capsys, tmp_path):
    class Job:
        folder, cfg, figures = tmp_path, recipe.config("profile_learner"), {}

        def keep(self, name: str, figure: object) -> None:
            self.figures[name] = f"{name}.png"

    class Page:
        def write(self, path):
            return path

        write_json = write

        def table(self) -> pd.DataFrame:
            return pd.DataFrame({"learner_id": ["a"]})

        def figure(self) -> None:
            return None

    asked = []
    monkeypatch.setattr(institution, "pdf", lambda html, path: asked.append((html.name, path.name)))
    profile_learner.written(Job(), Page())
    assert asked == [("profile.html", "profile.pdf")] and "no Chromium" in capsys.readouterr().out and "pdf" not in Job.figures
    monkeypatch.setattr(institution, "pdf", lambda html, path: path)
    profile_learner.written(Job(), Page())
    assert Job.figures["pdf"] == "profile.pdf"


@pytest.fixture(scope="module")
def small():
    world = simulate(*random_concepts(12, seed=2), classes=3, learners_per_class=12, seed=2)
    graph = ConceptGraph.from_tables(*(world.tables[name] for name in ("concepts", "prerequisites", "q_matrix")))
    log = world.tables["interactions"]
    own = log[log["learner_id"] == "L001"].sort_values("order")
    return IRT().fit(log[log["learner_id"] != "L001"], graph), graph, own, log[log["learner_id"] > "L020"]


def test_what_a_response_moved_is_mastery_with_it_less_mastery_without_it(small):
    model, graph, own, _ = small
    concept = graph.concept_ids[3]
    found = learner_steps.moved(model, own, graph, [concept], most=5)
    assert len(found) and found["order"].min() >= len(own) - 5 and set(found["concept_id"]) == {concept}
    row = found.iloc[-1]
    without = model.mastery(own.drop(index=own.index[row["order"]])).set_index("concept_id").loc[concept, "mastery"]
    assert row["moved"] == pytest.approx(model.mastery(own).set_index("concept_id").loc[concept, "mastery"] - without)
    assert (found["moved"] > 0).tolist() == (found["correct"] == 1).tolist()
    assert learner_steps.moved(model, own.head(1), graph, [concept]).empty and learner_steps.moved(model, own, graph, []).empty


def test_a_page_of_a_history_alone_names_what_it_cannot_say(small, monkeypatch):
    monkeypatch.setattr(LearnerPage, "figure", lambda page: None)
    model, graph, own, _ = small
    run = SimpleNamespace(model=model, graph=graph, label="irt of run <1>")
    page = learner_steps.profiled(run, own).page()
    assert "it needs other learners" in page and "Which answers say so" in page and "irt of run &lt;1&gt;" in page
    with pytest.raises(DataError, match="one learner; found 2"):
        learner_steps.profiled(run, pd.concat([own, own.assign(learner_id="another")]))


def test_a_forecast_knows_no_answer_to_come_and_says_why_there_is_none(small):
    model, graph, own, valid = small
    cfg = recipe.config("profile_learner", "horizon=5", "samples=40")
    mastery = model.mastery(own)
    table, words = profile_learner.forecast(model, own, valid, graph, mastery, cfg)
    assert table is not None and len(table) == 5 and "had not seen" in words and set(table["item_id"]) <= set(graph.item_ids)
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()
    again, _ = profile_learner.forecast(model, own, valid, graph, mastery, cfg)
    pd.testing.assert_frame_equal(table, again)
    for changes, told in ((("horizon=0",), "No forecast was asked for"), (("horizon=5000",), "No forecast: ")):
        nothing, words = profile_learner.forecast(model, own, valid, graph, mastery, recipe.config("profile_learner", *changes))
        assert nothing is None and words.startswith(told)
    assert profile_learner.forecast(object(), own, valid, graph, mastery, cfg)[0] is None
    assert "Not enough data" in profile_learner.forecast(model, own.head(3), valid, graph, mastery, cfg)[1]
