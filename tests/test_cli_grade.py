"""`edukit grade` on a teacher's own class: what it rests on, what it leaves to a person, and files that hold whatever was written as text."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import typer
from edukit.experiments import class_answers, grade_class, grade_lines
from typer.testing import CliRunner

from edukit import serve_review
from edukit.cli_grade import grade, review
from edukit.data.synthetic_answers import SyntheticAnswers
from edukit.grading.ledger import Ledger
from edukit.grading.ledger_entries import from_grades
from edukit.grading.rubric import rubrics_of
from edukit.schema import DataError

ODD = ["<script>alert(1)</script>", "=cmd()", "", "太陽で蒸発する", "@sum " * 200_000]
COMMAND = typer.Typer(pretty_exceptions_enable=False)
COMMAND.command()(grade)
REVIEW = typer.Typer(pretty_exceptions_enable=False)
REVIEW.command()(review)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return SyntheticAnswers(learners=60).parse(Path())


@pytest.fixture(scope="module")
def place(tables, tmp_path_factory) -> Path:
    """A folder with answers to one question, graded ones, a rubric and the wording of the question."""
    place, question = tmp_path_factory.mktemp("class"), tables["questions"]["question_id"].iloc[0]
    mine = tables["answers"][tables["answers"]["question_id"] == question]
    rubrics_of(tables["rubrics"])[question].write(place / "rubric.yaml")
    names = {"learner_id": "Schülerin", "text": "Antwort", "score": "Punkte"}
    graded = mine.iloc[30:].rename(columns=names)[list(names.values())]
    graded.to_csv(place / "graded.csv", index=False, sep=";")
    odd = pd.DataFrame({"Schülerin": [f"Z{i}" for i in range(len(ODD))], "Antwort": ODD})
    pd.concat([mine.iloc[:25].rename(columns=names)[["Schülerin", "Antwort"]], odd]).to_csv(place / "answers.csv", index=False)
    (place / "question.yaml").write_text("prompt: What happens to the plant?\nmax_score: 4\nreference: [Without light it makes no sugar.]\n")
    return place


@pytest.fixture(autouse=True)
def words_only(monkeypatch):
    """Without embeddings, as where the extra `text` is not installed: seconds less, and that path is tried."""
    monkeypatch.setattr(grade_class, "find_spec", lambda name: None)


def run(place: Path, out: Path, *words: str) -> str:
    told = CliRunner().invoke(COMMAND, [str(place / "answers.csv"), "--out", str(out), *words], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


def number(output: str, words: str) -> int:
    return int(re.search(words.replace("N", r"(\d+)"), output)[1])  # type: ignore[index]


def test_without_a_graded_answer_it_says_so_and_leaves_more_to_a_person(place, tmp_path):
    said = run(place, tmp_path, "--rubric", str(place / "rubric.yaml"), "--question", str(place / "question.yaml"))
    assert "no graded answer" in said and "rests on the rubric dark-plant (version 1), a reference answer" in said and "without embeddings" in said
    assert "'Antwort' is the answer; 'Schülerin' is the learner" in said and "1 of 30 answers are empty" in said and "how sure   " not in said
    table = pd.read_csv(tmp_path / "grades.csv", dtype={"answer_id": str})
    assert len(table) == 30 and table["row"].tolist() == list(range(1, 31)) and not table["learner"].str.contains("L0").any()
    assert table["left_to_a_person"].sum() == number(said, "N left to you") > 0.45 * 30 and table.loc[table["left_to_a_person"], "score"].isna().all()
    assert table.loc[~table["left_to_a_person"], "score"].between(0, 4).all()
    feedback = pd.read_csv(tmp_path / "feedback.csv")
    assert len(feedback) == 60 and feedback["text"].str.contains("Next step|A teacher|Everything|highest").all()
    names = pd.read_csv(tmp_path / "names.csv")
    assert set(names["learner"]) >= {"L0001", "Z1"} and oct((tmp_path / "names.csv").stat().st_mode)[-3:] == "600"


def test_whatever_was_written_stays_text_in_every_file(place, tmp_path):
    run(place, tmp_path, "--rubric", str(place / "rubric.yaml"), "--graded", str(place / "graded.csv"), "--no-curve", "--max-deferred", "0")
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "\\u003cscript\\u003ealert(1)" in page and "太陽で蒸発する" in page
    for name in ("grades.csv", "feedback.csv", "names.csv"):
        assert not pd.read_csv(tmp_path / name, dtype=str).apply(lambda column: column.str.match(r"[=@+\t]").fillna(False)).to_numpy().any()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    kept = ledger.standing()["text"].dropna().str.strip().unique()
    assert ledger.verify().empty and {text.strip() for text in ODD if text} <= set(kept)


def test_graded_answers_are_learnt_from_measured_and_kept_once(place, tmp_path):
    words = ("--rubric", str(place / "rubric.yaml"), "--question", str(place / "question.yaml"), "--graded", str(place / "graded.csv"))
    said = run(place, tmp_path, *words)
    assert "30 graded answers" in said and [n for n in ("0", "10", "24") if f"with {n} graded" in said] == ["0", "10", "24"] and "how sure   " in said
    table = pd.read_csv(tmp_path / "grades.csv")
    assert table["left_to_a_person"].sum() <= max(0.45 * len(table), table["flags"].notna().sum())
    ledger = Ledger(tmp_path / "ledger.sqlite")
    entries, standing = ledger.head()[0], ledger.standing()
    assert (standing["decided_by"] == grade_class.PERSON).sum() == 30 and set(standing["criterion_id"]) == {"overall", "cause", "result"}
    assert "0 new entries" in run(place, tmp_path, *words, "--no-curve") and ledger.head()[0] == entries
    one = standing[(standing["decided_by"] == "model") & standing["deferred"] & (standing["criterion_id"] == "overall")].iloc[0]
    ledger.append([{"kind": "decision", "answer_id": one["answer_id"], "criterion_id": "overall", "action": "edit", "score": 3.0, "decided_by": "KL",
                    "reason": "names both"}])
    again = run(place, tmp_path, *words, "--no-curve")
    assert "31 graded answers" in again and ledger.standing().set_index(["answer_id", "criterion_id"]).loc[(one["answer_id"], "overall"), "score"] == 3.0
    table = pd.read_csv(tmp_path / "grades.csv").set_index("answer_id")
    assert table.loc[one["answer_id"], "score"] == 3.0 and not table.loc[one["answer_id"], "left_to_a_person"]
    free = [i for i in standing.loc[(standing["decided_by"] == "model") & standing["score"].notna() & (standing["criterion_id"] == "overall"), "answer_id"]]
    decided = {"kind": "decision", "criterion_id": "overall", "decided_by": "KL"}
    ledger.append([{**decided, "answer_id": free[0], "action": "accept"}, {**decided, "answer_id": free[1], "action": "reject", "reason": "copied"},
                   {**decided, "answer_id": free[2], "action": "accept", "reason": f"{grade_class.BLIND}: overall 2."}])
    known = grade_class.examples(pd.DataFrame(columns=["answer_id", "question_id", "text", "score"]), ledger, one["question_id"]).set_index("answer_id")
    assert known.loc[[free[0], free[2], one["answer_id"]], grade_class.ACCEPTED].tolist() == [True, False, False]
    last = run(place, tmp_path, *words, "--no-curve")
    assert "32 graded answers, 1 accepted suggestion of the model" in last and "learnt from, but left out of the measuring" in last
    table = pd.read_csv(tmp_path / "grades.csv").set_index("answer_id")
    scores, away = table["score"], int(table["left_to_a_person"].sum())
    assert f"scored      {29 - away} of 30 answers" in last and f"{away} left to you; 1 rejected" in last
    assert len(scores) == 30 and pd.isna(scores[free[1]]) and scores[free[0]] >= 0


def test_accepted_suggestions_vouch_for_nothing(place, tmp_path):
    words = ("--rubric", str(place / "rubric.yaml"), "--question", str(place / "question.yaml"), "--no-curve", "--max-deferred", "0")
    run(place, tmp_path, *words)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ours = ledger.standing()
    ledger.append([{"kind": "decision", "answer_id": row.answer_id, "criterion_id": row.criterion_id, "action": "accept", "decided_by": "KL",
                    **({"feedback": "Name what the sun does."} if n == 0 else {})}
                   for n, row in enumerate(ours[ours["score"].notna()].head(24).itertuples())])
    first = ours[ours["score"].notna()].iloc[0]
    said = run(place, tmp_path, *words[:-2])
    assert "accepted suggestions of the model" in said and "no graded answer: nobody has checked these scores" in said
    told = pd.read_csv(tmp_path / "feedback.csv").set_index(["answer_id", "criterion_id"])["text"]
    assert told[(first["answer_id"], first["criterion_id"])] == "Name what the sun does." and (told == "Name what the sun does.").sum() == 1


def test_without_a_rubric_it_warns_and_says_what_is_missing(place, tmp_path):
    said = run(place, tmp_path, "--graded", str(place / "graded.csv"), "--no-curve")
    assert "no rubric: one whole score an answer, without criteria, key elements, quotes or feedback" in said
    assert not (tmp_path / "feedback.csv").exists() and (tmp_path / "review.html").exists()


def test_a_question_that_was_told_once_is_known_again_and_several_are_named(place, tmp_path, monkeypatch):
    ledger, rubric = tmp_path / "class one.sqlite", ("--rubric", str(place / "rubric.yaml"), "--ledger", str(tmp_path / "class one.sqlite"))
    (tmp_path / "question.yaml").write_text((place / "question.yaml").read_text() + "question_id: plant\n")
    said = run(place, tmp_path, *rubric, "--question", str(tmp_path / "question.yaml"))
    assert f"decide with: edukit review '{ledger}'\n" in said
    again = run(place, tmp_path, *rubric)
    assert "'plant', as the ledger has it" in again and "0 new entries" in again and "a reference answer" in again
    served: list[tuple] = []
    monkeypatch.setattr(serve_review, "serve", lambda *given: served.append(given))

    def reviewed(*words: str):
        CliRunner().invoke(REVIEW, [str(ledger), *words], catch_exceptions=False)
        return served[-1][1], served[-1][2]

    question, asked = reviewed()
    assert question == "plant" and asked["plant"]["prompt"] == "What happens to the plant?" and asked["plant"]["max_score"] == 4
    rows = pd.DataFrame({"answer_id": ["z"], "question_id": "dark", "text": "it grows", "criterion_id": "overall", "score": 1.0, "deferred": False})
    Ledger(ledger).append(from_grades(rows[["answer_id", "criterion_id", "score", "deferred"]], rows[["answer_id", "question_id", "text"]], None, model="m"))
    for fails in (lambda: reviewed(), lambda: run(place, tmp_path, *rubric), lambda: reviewed("--only", "light")):
        with pytest.raises(DataError, match="'dark', 'plant'. Give --only 'dark' or another"):
            fails()
    last = run(place, tmp_path, *rubric, "--only", "plant")
    assert f"decide with: edukit review '{ledger}' --only plant\n" in last and "out of 4;" in last
    assert reviewed("--only", "plant") == (question, asked)
    (tmp_path / "new.yaml").write_text("prompt: And without light?\n")
    assert reviewed("--only", "dark", "--question", str(tmp_path / "new.yaml"))[1]["dark"]["prompt"] == "And without light?"


def test_a_rubric_with_faults_is_told(place, tmp_path):
    text = (place / "rubric.yaml").read_text()
    (tmp_path / "rubric.yaml").write_text(re.sub("weight: .*", "weight: 0.9", text))
    assert "the weights add up to" in run(place, tmp_path / "out", "--rubric", str(tmp_path / "rubric.yaml"))


def test_answers_that_have_a_score_count_as_graded_and_one_question_is_chosen(tmp_path, tables):
    names = {"question_id": "Question", "text": "Essay", "score": "Mark"}
    mixed = tables["answers"].iloc[:60].rename(columns=names)[list(names.values())].reset_index(drop=True)
    mixed.loc[mixed.index % 12 < 6, "Mark"] = None  # every other learner
    mixed.to_csv(tmp_path / "answers.csv", index=False)
    with pytest.raises(DataError, match="answers to one question here"):
        class_answers.read(tmp_path / "answers.csv")
    question = mixed["Question"].iloc[0]
    given = class_answers.read(tmp_path / "answers.csv", only=question)
    assert len(given.answers) == 10 and len(given.graded) + len(given.open) == 10 and given.question["question_id"].tolist() == [question]
    known = class_answers.graded(tmp_path / "answers.csv", None, {"text": "Essay", "learner_id": "Kind"}, question)
    assert known["answer_id"].tolist() == given.graded["answer_id"].tolist() and known["score"].notna().all()
    mixed.drop(columns="Mark").to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(DataError, match="with a score; found none"):
        class_answers.graded(tmp_path / "bare.csv", None, {}, question)
    again = class_answers.read(tmp_path / "answers.csv", only=question)
    assert again.answers["answer_id"].tolist() == given.answers["answer_id"].tolist() and given.answers["answer_id"].is_unique


@pytest.mark.parametrize(("rows", "words", "message"), [
    ("a,b\n1,2\n", (), "must have a column with the answers"), ("answer,score\nx y,good\n", (), "must hold scores"),
    ("answer,id\nx,1\ny,1\n", (), "must name every answer once"), ("answer,score\nx,1\n", (), "every answer has one"),
    ("answer\nx\n", (), "must rest on something"), ("answer\nx\n", ("--columns", "text=Text"), "found no Text"),
    ("answer\nx\n", ("--columns", "text"), "must look like"), ("answer\nx\n", ("--columns", "mood=answer"), "must name some of"),
    ("answer\nx\n", ("--only", "q1"), "--only needs a column"), ("answer\nx\n", ("--question", "none.yaml"), "must be a yaml file"), ("", (), "empty file")])
def test_faults_are_told_in_words(tmp_path, rows, words, message):
    (tmp_path / "answers.csv").write_text(rows)
    with pytest.raises(DataError, match=message):
        run(tmp_path, tmp_path / "out", *words)


def test_the_less_is_graded_the_more_is_left_unless_it_is_asked_for():
    assert [grade_class.share(n, None) for n in (0, 9, 10, 50)] == [0.6, 0.6, 0.45, 0.3] and grade_class.share(0, 0.1) == 0.1
    assert "seconds" in grade_lines.seconds(30, 0, True) and "minutes" in grade_lines.seconds(50_000, 200, True)
