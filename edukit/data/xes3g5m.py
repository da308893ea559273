"""XES3G5M (Liu et al., 2023, NeurIPS datasets and benchmarks): third-grade mathematics on a Chinese platform, with a tree of concepts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from edukit.data.loader import find_raw
from edukit.data.streaming import connect, quoted
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

TRAIN, TEST = "question_level/train_valid_sequences_quelevel.csv", "question_level/test_quelevel.csv"
QUESTIONS, CONCEPTS = "metadata/questions.json", "metadata/kc_routes_map.json"
BETWEEN = "----"  # between the names of a route, broad to narrow
_LISTS = ("questions", "concepts", "responses", "timestamps")


@dataclass(frozen=True)
class Xes3g5m:
    """Third-grade mathematics on a Chinese platform: responses with times, questions with their words, concepts in a tree.

    Of the published files the question level is read: there a response is one position, with all its concepts. The concept level repeats
    it once a concept, and the window files repeat earlier positions: both hold the same responses and are not read.
    Windows of 200 follow each other in the file and are joined again; pads (-1) are no responses.

    Parameters
    ----------
    path : the unpacked folder, with ``question_level/`` and ``metadata/``; default ``EDUKIT_DATA/xes3g5m``.
    """

    name: ClassVar[str] = "xes3g5m"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        return find_raw(self.name, "xes3g5m", self.path, (TRAIN, TEST, QUESTIONS, CONCEPTS))

    def files(self, raw_dir: Path) -> list[Path]:
        """Both parts of the responses, the questions, and the names of the concepts."""
        return [raw_dir / file for file in (TRAIN, TEST, QUESTIONS, CONCEPTS)]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables items, q_matrix, concepts, learners (with the publisher's part); the responses are streamed."""
        import duckdb

        questions, names = _object(raw_dir / QUESTIONS), _object(raw_dir / CONCEPTS)
        database = connect("1GB")
        try:
            q = database.execute(f"""SELECT DISTINCT item_id, unnest(string_split(concepts, '_')) AS concept_id FROM ({_positions(raw_dir)})
                                     ORDER BY ALL""").df()
            learners = database.execute(f"""SELECT uid AS learner_id, min(CASE part WHEN 0 THEN 'fold ' || fold ELSE 'test' END) AS published_part
                                            FROM ({_rows(raw_dir)}) GROUP BY uid ORDER BY min((part, row))""").df()
        except duckdb.Error as error:
            raise DataError(f"{raw_dir / TRAIN} and {TEST} must be whole csv files; found {error}. Obtain them again.") from None
        finally:
            database.close()
        return {"items": _items(questions, raw_dir), "q_matrix": q, "concepts": _concepts(q["concept_id"], names, questions), "learners": learners}

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """The responses, joined from the windows in the order of the file."""
        for file in (TRAIN, TEST):
            need(raw_dir / file, read_text_table(raw_dir / file, dtype="str", nrows=5), ("uid", *_LISTS))
        return {"interactions": f"""
            SELECT uid AS learner_id, item_id, TRY_CAST(trim(response) AS DOUBLE) AS correct, (part * 10000000 + row) * 100000 + position AS "order",
                   make_timestamp_ms(TRY_CAST(trim(time) AS BIGINT)) AS timestamp
            FROM ({_positions(raw_dir)})"""}


def _rows(raw_dir: Path) -> str:
    """SQL: one row per published sequence, with the file (0, 1) and the row it stands in, and its masks where the file has them."""
    parts = []
    for part, file in enumerate((TRAIN, TEST)):
        header = read_text_table(raw_dir / file, dtype="str", nrows=0).columns
        need(raw_dir / file, pd.DataFrame(columns=header), ("fold", "uid", *_LISTS))
        masks = "selectmasks" if "selectmasks" in header else "NULL"
        columns = "{" + ", ".join(f"{quoted(c)}: 'VARCHAR'" for c in header) + "}"
        form = """auto_detect = false, header = true, delim = ',', quote = '"', max_line_size = 16777216"""
        parts.append(f"""SELECT {part} AS part, row_number() OVER () AS row, fold, uid, {', '.join(_LISTS)}, {masks} AS selectmasks
                         FROM read_csv({quoted(raw_dir / file)}, {form}, columns = {columns})""")
    return " UNION ALL ".join(parts)


def _positions(raw_dir: Path) -> str:
    """SQL: one row per response; lists of unequal length leave NULL, which no check lets pass."""
    lists = ", ".join(f"unnest(string_split({column}, ',')) AS {new}" for column, new in zip(_LISTS, ("item_id", "concepts", "response", "time"), strict=True))
    return f"""SELECT * FROM (SELECT part, row, uid, {lists}, unnest(string_split(coalesce(selectmasks, ''), ',')) AS mask,
                                     unnest(range(len(string_split(questions, ',')))) AS position FROM ({_rows(raw_dir)}))
               WHERE coalesce(mask, '') <> '-1' AND coalesce(item_id, '') <> '-1' AND coalesce(response, '') <> '-1'"""


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{path} must be JSON in UTF-8; found {error}. The file may be truncated: obtain it again.") from None
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path} must hold an object with an entry per id; found {type(found).__name__} of {len(found)}.")
    return found


def _routes(question: dict[str, Any]) -> list[list[str]]:
    return [route.split(BETWEEN) if isinstance(route, str) else list(route) for route in question.get("kc_routes") or []]


def _items(questions: dict[str, Any], raw_dir: Path) -> pd.DataFrame:
    wrong = next((i for i, value in questions.items() if not isinstance(value, dict)), None)
    if wrong is not None:
        raise DataError(f"{raw_dir / QUESTIONS} must hold an object for every question; found {type(questions[wrong]).__name__} (first: question {wrong!r}).")
    keys = [q.get("answer") for q in questions.values()]
    options = pd.array([len(q["options"]) if isinstance(q.get("options"), dict | list) and q["options"] else pd.NA for q in questions.values()], dtype="Int64")
    return pd.DataFrame({"item_id": list(questions), "name": [str(q.get("content") or "").strip() for q in questions.values()],
                         "answer_key": ["; ".join(map(str, key)) or None if isinstance(key, list) else key for key in keys], "options": options})


def _concepts(used: pd.Series, names: dict[str, Any], questions: dict[str, Any]) -> pd.DataFrame:
    """The concepts that questions carry, with name and place in the tree; ids without a name are shown as they are.

    Names are compared as they are written: some differ only by a blank at an end. A concept in several places of the tree has the topic and
    the area of the first, and all of them in its description.
    """
    routes: dict[str, dict[str, list[str]]] = {}
    for question in questions.values():
        for route in _routes(question):
            routes.setdefault(route[-1], {})[BETWEEN.join(route)] = route
    ids = sorted(used.dropna().unique())
    rows = []
    for concept in ids:
        name = str(names.get(concept, f"concept {concept}"))
        places = routes.get(name, {})
        first = next(iter(places.values()), [])
        rows.append((concept, name.strip() or concept, first[-2].strip() if len(first) > 1 else None, first[0].strip() if first else None,
                     " | ".join(places) or None))
    return pd.DataFrame(rows, columns=["concept_id", "name", "topic", "area", "description"])
