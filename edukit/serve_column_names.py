"""What a stranger's column may hold, by its name in English, German, French or Spanish: a first guess, which a person confirms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

__all__ = ["about_a_person", "guessed", "meaning_of", "words_of"]

# Names as they are after `words_of`, which takes off accents and capitals; phrases are joined by one underscore.
NAMES = {
    "learner_id": "student pupil learner user participant candidate child respondent examinee trainee subject_id anon_student anonymous_student email e_mail"
                  " schuler schueler schulerin schuelerin lernende lernender lernerin lerner kind teilnehmer teilnehmerin studierende benutzer nutzer"
                  " eleve etudiant etudiante apprenant apprenante utilisateur participante stagiaire candidat"
                  " estudiante alumno alumna aprendiz usuario usuaria",
    "item_id": "question problem item exercise task quiz_item prompt assessment_item frage aufgabe teilaufgabe ubung uebung exercice tache pregunta"
               " ejercicio tarea problema probleme reactivo",
    "correct": "correct is_correct correctness score outcome mark result points grade right is_right success correct_first_attempt first_correct scored"
               " passed richtig korrekt ergebnis punkte punktzahl bewertung wertung note resultat juste reussite reussi point correcte"
               " correcto correcta acierto puntos puntuacion puntaje nota calificacion resultado",
    "percent": "percent percentage pct % prozent prozentwert pourcentage porcentaje",
    "max_score": "max_score max_points max_mark max_marks maximum maximum_score points_possible possible_points out_of full_marks full_points"
                 " maximalpunkte max_punkte maximale_punkte maximalpunktzahl bareme points_max score_max note_max puntos_maximos puntuacion_maxima",
    "concept_id": "concept skill kc knowledge_component topic standard objective learning_objective strand competency competence subskill tag domain"
                  " thema themengebiet konzept kompetenz fahigkeit faehigkeit lernziel inhalt notion theme savoir objectif chapitre"
                  " concepto tema habilidad destreza competencia objetivo contenido",
    "class_id": "class classroom group section form cohort set course_section homeroom tutor_group klasse schulklasse lerngruppe gruppe kurs"
                " classe groupe clase grupo seccion curso aula",
    "teacher_id": "teacher instructor tutor lehrer lehrerin lehrkraft dozent dozentin enseignant enseignante professeur prof profesor profesora docente maestro"
                  " maestra",
    "term": "term semester trimester halbjahr schulhalbjahr quartal semestre trimestre cuatrimestre periode periodo",
    "timestamp": "timestamp time date datetime day created submitted answered started finished datum zeit zeitpunkt zeitstempel uhrzeit heure horodatage"
                 " jour fecha hora",
    "order": "order sequence position step reihenfolge ordnung ordre orden secuencia",
    "attempt": "attempt try trial versuch essai tentative intento",
    "response": "answer response choice chosen option selected given_answer antwort auswahl reponse choix respuesta opcion eleccion",
}
PERSON = "name full_name vorname nachname nom prenom nombre apellido apellidos"  # of a learner, where nothing else is
_MEANING = {name: meaning for meaning, names in NAMES.items() for name in names.split()}
_PHRASES = {name for name in _MEANING if "_" in name}
_BARE = {"id", "ids", "n", "no", "nr", "num", "number", "nummer", "numero", "code", "key", "kurzel", "kuerzel", "name", "nom", "nombre", "label", "uid"}
_OF = {"of", "de", "du", "des", "del", "la", "le", "l", "d", "el", "der", "die", "das", "the", "at", "on", "per"}
_ABOUT_A_PERSON = {"birth", "birthday", "naissance", "nacimiento", "geburt", "geburtsdatum", "gender", "age"}


def words_of(name: str) -> list[str]:
    """A column's name as small words without accents, cut at blanks, signs and inner capitals.

    Examples
    --------
    >>> words_of("isCorrect"), words_of("Nº de l'Élève"), words_of("SCHÜLER-ID")
    (['is', 'correct'], ['no', 'de', 'l', 'eleve'], ['schuler', 'id'])
    """
    cut = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFC", str(name)))
    bare = "".join(char for char in unicodedata.normalize("NFKD", cut) if not unicodedata.combining(char))
    return [word for word in re.split(r"[^\w%]+|_", bare.lower().replace("ß", "ss")) if word]


def _single(word: str) -> str | None:
    """Meaning of one word, also in the plural."""
    return _MEANING.get(word) or next((_MEANING[stem] for stem in (word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("n"))
                                       if stem != word and stem in _MEANING), None)


def about_a_person(name: str) -> bool:
    """Whether a column tells of a person, such as a date of birth: never taken for a time or a mark."""
    return bool(_ABOUT_A_PERSON & set(words_of(name)))


def _read(name: str) -> tuple[str, float] | None:
    """Meaning and strength: the whole name, the name without such words as `id`, or its main word."""
    words = words_of(name)
    if not words or about_a_person(name):
        return None
    if whole := _MEANING.get("_".join(words)) or (_single(words[0]) if len(words) == 1 else None):
        return whole, 3
    core = [word for word in words if word not in _BARE and word not in _OF and not word.isdigit()]
    if len(core) == 1 and (found := _single(core[0])) or (found := _MEANING.get("_".join(core))):
        return found, 2.5 if {"id", "code", "uid", "no", "nr"} & set(words) else 2
    for phrase in _PHRASES:
        if f"_{phrase}_" in f"_{'_'.join(words)}_":
            return _MEANING[phrase], 1.5
    for strength, word in zip((1, 0.8), core if _OF & set(words) else reversed(core), strict=False):  # the main word comes last but before an `of`
        if found := _single(word):
            return found, strength
    return ("learner_id", 0.5) if "_".join(words) in PERSON.split() else None


def meaning_of(name: str) -> str | None:
    """What one column's name says it holds, whatever the others are called."""
    found = _read(name)
    return found and found[0]


def guessed(columns: Sequence[str], taken: Mapping[str, str] | None = None, fits: Callable[[str, str], bool] = lambda column, meaning: True) -> dict[str, str]:
    """Column -> meaning for columns whose names are known words, each meaning once: the clearest name first, then the first column.

    Parameters
    ----------
    columns : names as they are in the file
    taken : columns whose meaning is known already; neither they nor their meanings are guessed again
    fits : whether a column's values could hold a meaning

    Examples
    --------
    >>> guessed(["Élève", "Nom", "Exercice n°", "Note", "Compétence", "Groupe", "Commentaire"])
    {'Élève': 'learner_id', 'Exercice n°': 'item_id', 'Note': 'correct', 'Compétence': 'concept_id', 'Groupe': 'class_id'}
    """
    known = dict(taken or {})
    meanings = set(known.values()) | ({"correct", "percent"} if {"correct", "percent"} & set(known.values()) else set())
    read = [(column, *found) for column in columns if column not in known and (found := _read(column))]
    new: dict[str, str] = {}
    for column, meaning, _ in sorted(read, key=lambda row: -row[2]):  # stable: of names as clear the first
        if meaning not in meanings and fits(column, meaning):
            new[column] = meaning
            meanings |= {"correct", "percent"} if meaning in ("correct", "percent") else {meaning}
    return {column: new[column] for column in columns if column in new}
