"""Strangers' files: what a column holds is guessed from its name in four languages, checked against its values, and taken only once it is confirmed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit import serve_data
from edukit.serve_column_names import guessed, words_of
from edukit.serve_store import Store

N = 60
RNG = np.random.default_rng(0)
MARKS = RNG.integers(0, 2, N)


FRENCH = pd.DataFrame({"NOM DE L'ÉLÈVE": [f"É{i % 10}" for i in range(N)], "Date de naissance": "12/03/2010", "Classe": [f"6e{'AB'[i % 2]}" for i in range(N)],
                       "N° question": [f"q{i // 10}" for i in range(N)], "Réussite": np.where(MARKS, "oui", "non"),
                       "Compétence visée": [f"c{i // 30}" for i in range(N)], "Commentaire": "bien"})
ENGLISH = pd.DataFrame({"Teaching Group": [f"10{'xy'[i % 2]}" for i in range(N)], "Pupil Name": [f"P{i % 10}" for i in range(N)], "Pupil Age": 14,
                        "Question No.": np.arange(N) // 10, "Marks Awarded": MARKS * 3, "Max. Marks": 3, "Topic(s)": [f"t{i // 30}" for i in range(N)]})
GERMAN = pd.DataFrame({"Klasse": [f"7{'ab'[i % 2]}" for i in range(20)], "Schüler-Kürzel": [f"S{i}" for i in range(20)],
                       **{f"Aufgabe {k}": RNG.integers(0, 2, 20) for k in range(5)}})


@pytest.mark.parametrize(("table", "separator", "encoding", "kind", "meanings"), [
    (FRENCH, ";", "cp1252", "rows", ["learner_id", "", "class_id", "item_id", "correct", "concept_id", ""]),
    (ENGLISH, ",", "utf-8-sig", "rows", ["class_id", "learner_id", "", "item_id", "correct", "max_score", "concept_id"]),
    (GERMAN, ";", "cp1252", "matrix", ["class_id", "learner_id", *["item"] * 5]),
])
def test_a_strangers_columns_are_known_by_their_names(tmp_path, table, separator, encoding, kind, meanings):
    project = Store(tmp_path / "serve").new("theirs.csv")
    (project.folder / "upload.csv").write_bytes(table.to_csv(index=False, sep=separator).encode(encoding))
    project.note(upload="upload.csv")
    looked = serve_data.look(project.folder / "upload.csv")
    assert looked["kind"] == kind and [column["meaning"] for column in looked["columns"]] == meanings
    assert all("check it" in column["sure"] for column in looked["columns"] if column["name"] in ("NOM DE L'ÉLÈVE", "Question No.", "Klasse"))
    assert "confirmed" not in project.read()  # a guess is no more than one
    serve_data.confirm(project, kind, None, meanings)
    log = serve_data.source_of(project).tables()[0]["interactions"]
    marks = table.filter(like="Aufgabe").to_numpy() if kind == "matrix" else MARKS
    assert len(log) == marks.size and log["correct"].mean() == pytest.approx(marks.mean()) and log["class_id"].nunique() == 2


@pytest.mark.parametrize(("columns", "expected"), [
    ("student user question score section", "learner_id - item_id correct class_id"),
    ("isCorrect UserID problemName KC skillName", "correct learner_id item_id concept_id -"),
    ("Outcome pupil group mark exercise", "correct learner_id class_id - item_id"),
    ("Alumno/a Pregunta Calificación Destreza Grupo", "learner_id item_id correct concept_id class_id"),
    ("SCHÜLERIN Teilaufgabe Punktzahl Thema Lerngruppe", "learner_id item_id correct concept_id class_id"),
    ("Élève Exercice Note Compétence Groupe", "learner_id item_id correct concept_id class_id"),
    ("Student-ID;Student Name;Date of birth;Answer time", "learner_id;-;-;timestamp"),
    ("Nom;Prénom;Note max;Points", "learner_id;-;max_score;correct"),
    ("weight;shoe size;gender;Sitzplatz", "-;-;-;-"),
])
def test_names_in_four_languages(columns, expected):
    cut = ";" if ";" in columns else " "
    columns = columns.split(cut)
    assert [guessed(columns).get(column, "-") for column in columns] == expected.split(cut)


def test_a_name_whose_values_do_not_fit_is_not_taken_and_nothing_is_guessed_twice():
    assert guessed(["Note", "Mark"], fits=lambda column, meaning: column != "Note") == {"Mark": "correct"}
    assert guessed(["Frage", "Schüler"], {"Schüler": "learner_id", "id": "item_id"}) == {}
    table = pd.DataFrame({"Kind": list("abcd"), "Frage": list("xyxy"), "Note": ["sehr gut", "brav", "laut", "müde"], "Ok": ["1", "0", "1", "1"]})
    assert serve_data._guess(table) == {"Kind": ("learner_id", "by its name: check it"), "Frage": ("item_id", "by its name: check it"),
                                        "Ok": ("correct", "by its values: check it")}
    assert words_of("Max.Punkte_2 (%)") == ["max", "punkte", "2", "%"]
