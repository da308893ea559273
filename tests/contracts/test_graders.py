"""What every grader under conf/grading must hold, whatever it is made of."""

from __future__ import annotations

import importlib
import inspect
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from edukit import text
from edukit.data.synthetic_answers import SyntheticAnswers
from edukit.metrics import quadratic_weighted_kappa
from edukit.protocols import Grader, NotFittedError
from edukit.schema import DataError
from edukit.validation import validate

CONF = Path(__file__).resolve().parents[2] / "conf" / "grading"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
QUICK = {"epochs": 1, "trees": 20, "unseen_trees": 20}  # by parameter name, where a grader has it
SPELT = str.maketrans({"a": "\uff41", "'": "\u2019", " ": " \u00a0\u200b"})  # as another keyboard would write it


class WordPairs:
    """In the place of the tuned network: how many letters two texts share."""

    def __init__(self, classes: int, pieces: int, batch_size: int, learning_rate: float, seed: int) -> None:
        self.classes = classes

    def fit(self, pairs: Any, epochs: int) -> WordPairs:
        first, second, y = pairs(0)
        assert len(first) == len(second) == len(y)
        return self

    def probabilities(self, first: list[str], second: list[str]) -> np.ndarray:
        share = np.array([len(set(a.split()) & set(b.split())) / max(len(set(a.split())), 1) for a, b in zip(first, second, strict=True)])
        p = np.exp(-4 * (share[:, None] - np.linspace(0, 1, self.classes)) ** 2)
        return p / p.sum(1, keepdims=True)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"none": np.zeros(1)}

    def restored(self, arrays: dict[str, np.ndarray]) -> WordPairs:
        return self


@cache
def direction(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=48).astype(np.float32)


def bag(texts: list[str]) -> np.ndarray:
    """In the place of MiniLM: unit vectors that are near where words are shared."""
    found = np.zeros((len(texts), 48), np.float32)
    for row, one in zip(found, texts, strict=True):
        for word in [*one.split(), "."]:
            row += direction(word)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "embed", bag)
    monkeypatch.setattr(text, "PairNetwork", WordPairs)


def build(name: str) -> Any:
    """The grader of a yaml as users get it, only quicker where it has a size."""
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), kind)(**{k: 0 if v == "${seed}" else QUICK.get(k, v) for k, v in settings.items()})


@cache
def world() -> dict[str, pd.DataFrame]:
    return SyntheticAnswers(learners=40, seed=3).parse(Path())


def part(name: str) -> pd.DataFrame:
    answers = world()["answers"]
    return answers[answers["part"] == name].reset_index(drop=True)


@cache
def fitted(name: str) -> Any:
    return build(name).fit(part("train"), world()["rubrics"], world()["questions"])


def asked() -> pd.DataFrame:
    return part("test").drop(columns=["score", "second_score"])


every_grader = pytest.mark.parametrize("name", NAMES)


@every_grader
def test_grades_are_a_table_and_probabilities_are_some(name):
    grader = fitted(name)
    assert isinstance(grader, Grader)
    grades, p = grader.grade(asked()), grader.probabilities(asked())
    validate(grades, "grades")
    assert not grades["deferred"].any() and grades["confidence"].between(0, 1).all() and (grades["decided_by"] == "model").all()
    criteria = world()["questions"].merge(world()["rubrics"].drop_duplicates(["rubric_id", "criterion_id"]), on="rubric_id")
    wanted = asked().merge(criteria[["question_id", "criterion_id"]], on="question_id")
    assert set(map(tuple, grades[["answer_id", "criterion_id"]].to_numpy())) == set(map(tuple, wanted[["answer_id", "criterion_id"]].to_numpy()))
    assert list(p.index) == list(asked()["answer_id"]) and all(isinstance(c, float) for c in p.columns)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    assert p.to_numpy().min() >= 0


@every_grader
def test_it_agrees_with_the_rater_far_above_chance(name):
    told = fitted(name).overall(asked())
    assert list(told.index) == list(asked()["answer_id"])
    assert quadratic_weighted_kappa(part("test")["score"].astype(int).to_numpy(), told.astype(int).to_numpy()) > 0.6


@every_grader
def test_spelling_on_another_keyboard_changes_no_score(name):
    table = asked()
    odd = table.assign(text=["\ufeff \t" + t.upper().translate(SPELT) + " \n" for t in table["text"]])
    pd.testing.assert_frame_equal(fitted(name).probabilities(odd), fitted(name).probabilities(table), check_exact=True)
    same = ["answer_id", "criterion_id", "score", "confidence", "missing"]
    pd.testing.assert_frame_equal(fitted(name).grade(odd)[same], fitted(name).grade(table)[same], check_exact=True)


@every_grader
def test_the_same_answer_twice_and_any_order_give_the_same_to_the_last_bit(name):
    table = pd.concat([asked(), asked().assign(answer_id="again " + asked()["answer_id"])], ignore_index=True)
    grader = fitted(name)
    first = grader.probabilities(table)
    np.testing.assert_array_equal(first.to_numpy()[: len(asked())], first.to_numpy()[len(asked()) :])
    mixed = table.sample(frac=1, random_state=5)
    pd.testing.assert_frame_equal(grader.probabilities(mixed).loc[first.index], first, check_exact=True)
    key = ["answer_id", "criterion_id"]
    pd.testing.assert_frame_equal(grader.grade(mixed).sort_values(key, ignore_index=True), grader.grade(table).sort_values(key, ignore_index=True),
                                  check_exact=True)


@every_grader
def test_same_seed_and_any_order_of_the_graded_answers_give_the_same_numbers(name):
    again = build(name).fit(part("train").sample(frac=1, random_state=2), world()["rubrics"], world()["questions"])
    pd.testing.assert_frame_equal(again.probabilities(asked()), fitted(name).probabilities(asked()), check_exact=True)


@every_grader
def test_saved_and_loaded_it_grades_the_same(name, tmp_path: Path):
    grader = fitted(name)
    grader.save(tmp_path / "grader")
    loaded = type(grader).load(tmp_path / "grader")
    pd.testing.assert_frame_equal(loaded.probabilities(asked()), grader.probabilities(asked()), check_exact=True)
    pd.testing.assert_frame_equal(loaded.grade(asked()), grader.grade(asked()), check_exact=True)
    first = (tmp_path / "grader").read_bytes()
    loaded.save(tmp_path / "grader")
    assert (tmp_path / "grader").read_bytes() == first
    (tmp_path / "grader").write_bytes(b"\x80\x04K\x01.")  # a pickle is not read
    with pytest.raises(DataError, match="must be a grader saved by edukit"):
        type(grader).load(tmp_path / "grader")


@every_grader
@pytest.mark.parametrize("verb", ["grade", "probabilities", "overall", "nearest"])
def test_unfitted_it_says_so(name, verb: str):
    with pytest.raises(NotFittedError, match="fit"):
        getattr(build(name), verb)(asked())


@every_grader
def test_an_answer_of_no_question_is_named(name):
    with pytest.raises(DataError, match="'no-such'"):
        fitted(name).grade(asked().assign(question_id="no-such"))


@every_grader
def test_random_marks_teach_nothing(name):
    rng = np.random.default_rng(4)
    answers = SyntheticAnswers(learners=200, seed=8).parse(Path())["answers"]
    answers = answers.assign(score=rng.integers(0, 3, len(answers)).astype(float))
    train, test = answers.iloc[:240], answers.iloc[240:]
    questions = world()["questions"].assign(max_score=2.0)
    told = build(name).fit(train, None, questions).overall(test)
    assert abs(quadratic_weighted_kappa(test["score"].astype(int).to_numpy(), told.astype(int).to_numpy())) < 0.1


@every_grader
def test_odd_answers_are_graded(name):
    odd = ["", " \u200b\n", "<script>alert(1)</script>", "=cmd()", "\u6c34\u304c\u84b8\u767a\u3059\u308b", "\u0627\u0644\u0645\u0627\u0621",
           "water " * 200_000, "\U0001f600" * 20]
    table = pd.DataFrame({"answer_id": [str(i) for i in range(len(odd))], "question_id": world()["questions"]["question_id"].iloc[0], "text": odd})
    grades, p = fitted(name).grade(table), fitted(name).probabilities(table)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    flags = grades.drop_duplicates("answer_id").set_index("answer_id")["flags"]
    assert flags[["0", "1"]].tolist() == ["empty", "empty"] and flags["6"] == "cut" and flags[["2", "3", "4", "5", "7"]].isna().all()
    lowest = grades[grades["answer_id"].isin(["0", "1"])]
    assert (lowest["score"] == 0).all() and (p.iloc[:2, 0] == 1).all()


@every_grader
def test_settings_are_explicit(name):
    parameters = inspect.signature(type(build(name))).parameters.values()
    assert all(p.default is not p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
