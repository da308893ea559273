"""xAPI statements, one JSON object a line (or a list, or an answer of a record store) <-> interactions and events.

A statement is a response when its verb is `answered`, or when it ends work on a question (`attempted`, `completed`, `passed`, `failed`,
`scored` on a `cmi.interaction`), and when it states how it came out; every other statement is an event. `correct` is the scaled score, else
the raw score between its bounds, else success. Names and mail addresses are never kept: a learner is the name of an account, or a hash.

Source: Advanced Distributed Learning (2017), Experience API 1.0.3, part two: data.
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from edukit.reproducibility import replacing
from edukit.schema import TABLES, DataError
from edukit.validation import validate, validate_all

CONCEPTS = "urn:edukit:concepts"  # extension of an object: the concept ids it assesses, a text or a list
ROW = "urn:edukit:row"  # extension of a context: the columns of `interactions` that xAPI has no field for
VERB = "http://adlnet.gov/expapi/verbs/answered"
ENDING = ("attempted", "completed", "passed", "failed", "scored")
PROFILE_MARKS = ("http://h5p.org/libraries/", "https://w3id.org/xapi/", "http://id.tincanapi.com/recipe/")  # categories that are no concepts
STATED = ("order", "attempt", "hints", "answer_changes", "class_id", "teacher_id", "term")
DURATION = r"^P(?:(?P<w>[\d.]+)W)?(?:(?P<d>[\d.]+)D)?(?:T(?:(?P<h>[\d.]+)H)?(?:(?P<m>[\d.]+)M)?(?:(?P<s>[\d.]+)S)?)?$"
SHOWN = 20  # faults listed in one message


@dataclass(frozen=True)
class Log:
    """A log of statements as it was read.

    Parameters
    ----------
    tables : interactions, items, q_matrix, concepts and events, where there are any; validated.
    left_out : count of what was left out or guessed, by reason.
    """

    tables: dict[str, pd.DataFrame]
    left_out: dict[str, int]


def _lines(path: Path) -> pd.Series:
    """Text of each statement, indexed by its line (or place in the list), from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8; found byte 0x{error.object[error.start]:02x} at position {error.start:,}. Save it as UTF-8.") from None
    lines = pd.Series(text.split("\n"), dtype="str").str.strip(" \r\t\0")
    lines.index = pd.RangeIndex(1, len(lines) + 1, name="line")
    lines = lines[lines != ""]
    if not len(lines):
        raise DataError(f"{path} must hold xAPI statements; found an empty file. Export the log again.")
    if text.lstrip().startswith("[") or len(lines) == 1 or lines.iloc[0] == "{":
        try:
            whole = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path} must be JSON; found {error}. The file may be truncated: export the log again.") from None
        listed = whole.get("statements", [whole]) if isinstance(whole, dict) else whole
        if not isinstance(listed, list) or not listed:
            raise DataError(f"{path} must hold xAPI statements; found none. Export the log again.")
        return pd.Series([json.dumps(s) for s in listed], index=pd.RangeIndex(1, len(listed) + 1, name="statement"), dtype="str")
    return lines


def _numbers(lines: pd.Series) -> str:
    return ", ".join(lines.head(SHOWN).astype(str)) + (f" and {len(lines) - SHOWN:,} more" if len(lines) > SHOWN else "")


def _first(place: str) -> str:
    return f"coalesce(json_extract_string(s, '{place}[0].id'), json_extract_string(s, '{place}.id'))"


def _picked(lines: pd.Series) -> pd.DataFrame:
    """One row a line: the parts of each statement as text, and whether the line is a JSON object at all."""
    import duckdb

    parts = {"id": "$.id", "verb": "$.verb.id", "account": "$.actor.account.name", "home": "$.actor.account.homePage", "mbox": "$.actor.mbox",
             "mbox_sha1sum": "$.actor.mbox_sha1sum", "openid": "$.actor.openid", "actor_type": "$.actor.objectType", "object": "$.object.id",
             "activity": "$.object.definition.type", "interaction": "$.object.definition.interactionType",
             "success": "$.result.success", "scaled": "$.result.score.scaled", "raw": "$.result.score.raw", "min": "$.result.score.min",
             "max": "$.result.score.max", "response": "$.result.response", "duration": "$.result.duration", "timestamp": "$.timestamp",
             "stored": "$.stored", "answer_key": "$.object.definition.correctResponsesPattern[0]",
             **{f"row_{c}": f'$.context.extensions."{ROW}".{c}' for c in STATED}}
    places = ", ".join(f"'{place}'" for place in parts.values())
    picked = ", ".join(f'found[{n}] AS "{name}"' for n, name in enumerate(parts, start=1))
    connection = duckdb.connect()
    connection.register("lines", pd.DataFrame({"line": lines.index, "text": lines.to_numpy(object)}))
    log = connection.sql(f"""
        WITH parsed AS (SELECT line, CASE WHEN json_valid(text) THEN text::JSON END AS s, json_extract_string(s, [{places}]) AS found FROM lines)
        SELECT line, coalesce(json_type(s) = 'OBJECT', false) AS valid, json_extract(s, '$.object') IS NOT NULL AS has_object, {picked},
               json_extract_string(s, '$.object.definition.name.*')[1] AS title,
               nullif(json_array_length(s, '$.object.definition.choices'), 0) AS options,
               coalesce({_first('$.context.contextActivities.parent')}, {_first('$.context.contextActivities.grouping')}) AS content,
               coalesce(json_extract(s, '$.object.definition.extensions."{CONCEPTS}"'), json_extract(s, '$.context.extensions."{CONCEPTS}"')) AS tags,
               json_extract(s, '$.context.contextActivities.category') AS categories
        FROM parsed ORDER BY line""").df()
    return log.astype({c: "str" for c in log if c not in ("line", "valid", "has_object", "options")})


def _learners(log: pd.DataFrame) -> pd.Series:
    """The account's name (with its home page where several pages use the name), else a hash; a name that is a mail address is hashed."""
    from hashlib import sha1

    def hashed(values: pd.Series) -> pd.Series:
        known = values.dropna().unique()
        return values.map(dict(zip(known, (sha1(str(v).encode()).hexdigest() for v in known), strict=True)))

    homes = log.groupby("account")["home"].transform("nunique")
    account = log["account"].where(~(homes > 1), log["home"].fillna("") + "#" + log["account"].fillna(""))
    account = account.where(~log["account"].str.contains("@", na=False), hashed("mailto:" + log["account"]))
    return account.combine_first(log["mbox_sha1sum"].str.lower()).combine_first(hashed(log["mbox"])).combine_first(hashed(log["openid"]))


def _seconds(text: pd.Series) -> pd.Series:
    parts = text.str.replace(",", ".").str.extract(DURATION).apply(pd.to_numeric, errors="coerce")
    scale = pd.Series({"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0})
    return (parts[scale.index] * scale).sum(axis=1, min_count=1)


def _decoded(iri: pd.Series, kind: str) -> pd.Series:
    from urllib.parse import unquote

    start = f"urn:edukit:{kind}:"
    ours = iri.str.startswith(start, na=False)
    return iri.where(~ours, iri.str.removeprefix(start).map(unquote, na_action="ignore"))


def read_log(path: str | Path) -> Log:
    """Read a log with the count of what was left out.

    Statements that share an id count once; voided statements, statements about groups and those that void are left out. The order of
    responses is that of their times (or the stated order, in logs that :func:`write` made); without times it is unknown. A time without
    zone counts as UTC. A concept is named by the extension ``urn:edukit:concepts``, else by each category that is no mark of a profile.

    Raises
    ------
    DataError
        Naming every broken line at once: no JSON object; no actor, verb, object or time; a time, duration or score that cannot be read.
    """
    path = Path(path)
    lines = _lines(path)
    log = _picked(lines)
    log["learner_id"], log["seconds"] = _learners(log), _seconds(log["duration"])
    log["kind"] = log["verb"].str.rstrip("/#").str.extract(r"([^/#]+)$")[0].str.lower()
    stated_time = log["timestamp"].combine_first(log["stored"])
    log["at"] = pd.to_datetime(stated_time, utc=True, errors="coerce", format="ISO8601")
    group = log["actor_type"] == "Group"
    voids = log["kind"] == "voided"
    scores = log[["scaled", "raw", "min", "max"]].apply(pd.to_numeric, errors="coerce")
    faults = {
        "be a JSON object": ~log["valid"],
        "name an actor (account, mbox, mbox_sha1sum or openid)": log["valid"] & log["learner_id"].isna() & ~group & ~voids,
        "name a verb": log["valid"] & log["kind"].isna(),
        "name an object": log["valid"] & ~log["has_object"],
        "state a time in ISO 8601": log["at"].isna() & stated_time.notna(),
        "state a duration in ISO 8601 (weeks, days, hours, minutes, seconds)": log["seconds"].isna() & log["duration"].notna(),
        "state scores that are numbers, scaled between -1 and 1": ((scores.isna() & log[["scaled", "raw", "min", "max"]].notna()).any(axis=1)
                                                                  | (scores["scaled"].abs() > 1)),
    }
    told = [f"{path}, {lines.index.name} {_numbers(log.loc[bad, 'line'])} must {wanted}" for wanted, bad in faults.items() if bad.any()]
    if told:
        raise DataError(".\n".join(told) + ". Mend or remove these statements, or export the log again.")
    voided = log["id"].isin(log.loc[voids, "object"]) & log["id"].notna()
    twice = log["id"].notna() & log.duplicated("id")
    left_out = {"statements by groups": group, "statements that void, and voided ones": voids | voided, "statements met again": twice}
    log = log.assign(outcome=_outcome(scores, log["success"]), item_id=_decoded(log["object"], "item"), content_id=_decoded(log["content"], "content"))
    log = log[~(group | voids | voided | twice)]
    beyond = (scores["scaled"] < 0) | scores["scaled"].isna() & ((scores["raw"] < scores["min"].fillna(0)) | (scores["raw"] > scores["max"]))
    question = log["interaction"].notna() | log["activity"].str.contains(r"cmi\.interaction|question", na=False)
    answer = ((log["kind"] == "answered") | (log["kind"].isin(ENDING) & question)) & log["outcome"].notna() & log["item_id"].notna()
    events, timeless = log[~answer], ~answer & log["at"].isna()
    reasons = {**{why: int(flag.sum()) for why, flag in left_out.items()}, "answers without outcome, counted as events":
               int((log["kind"].eq("answered") & ~answer).sum()), "events without a time": int(timeless.sum()),
               "answers with a score below none or above all, counted as none or all": int((beyond & answer).sum())}
    tables = {**_responses(log[answer].reset_index(drop=True)), "events": _events(events[events["at"].notna()], log["at"].min())}
    checked = validate_all({name: table for name, table in tables.items() if len(table)}, source=str(path))
    return Log(checked, {why: count for why, count in reasons.items() if count})


def _outcome(scores: pd.DataFrame, success: pd.Series) -> pd.Series:
    low = scores["min"].fillna(0)
    between = ((scores["raw"] - low) / (scores["max"] - low).where(scores["max"] > low)).clip(0, 1)
    return scores["scaled"].clip(lower=0).combine_first(between).combine_first(success.map({"true": 1.0, "false": 0.0}))


def _responses(log: pd.DataFrame) -> dict[str, pd.DataFrame]:
    stated = log[[f"row_{c}" for c in STATED]].rename(columns=lambda c: c.removeprefix("row_"))
    for column in ("order", "attempt", "hints", "answer_changes"):
        stated[column] = pd.to_numeric(stated[column], errors="coerce")
    table = pd.DataFrame({"learner_id": log["learner_id"], "item_id": log["item_id"], "correct": log["outcome"], "order": stated.pop("order"),
                          "timestamp": log["at"], "response_time_s": log["seconds"], "response": log["response"], **stated,
                          "content_id": log["content_id"]})
    if table["order"].isna().any():
        table["order"] = pd.NA
        if len(table) and table["timestamp"].notna().all():
            table = table.sort_values(["learner_id", "timestamp"], kind="stable")
            table["order"] = table.groupby("learner_id").cumcount()
            table["attempt"] = table["attempt"].fillna(table.groupby(["learner_id", "item_id"]).cumcount() + 1)
    about = log.groupby("item_id", sort=False)[["title", "answer_key", "options", "content_id"]].first().reset_index().rename(columns={"title": "name"})
    q = _tags(log)
    tables = {"interactions": table, "items": about, "q_matrix": q[["item_id", "concept_id"]].drop_duplicates(),
              "concepts": q.groupby("concept_id", sort=False)["name"].first().reset_index()}
    if len(q) and not table["item_id"].isin(q["item_id"]).all():  # an item that no statement ties to a concept is a concept of its own
        alone = pd.Series(table.loc[~table["item_id"].isin(q["item_id"]), "item_id"].unique())
        tables["q_matrix"] = pd.concat([tables["q_matrix"], pd.DataFrame({"item_id": alone, "concept_id": alone})])
        tables["concepts"] = pd.concat([tables["concepts"], pd.DataFrame({"concept_id": alone, "name": alone})]).drop_duplicates("concept_id")
    return {name: found.dropna(axis=1, how="all") if name != "interactions" else found.drop(columns=[
        c for c in found if c not in ("learner_id", "item_id", "correct", "order") and found[c].isna().all()]) for name, found in tables.items()}


def _tags(log: pd.DataFrame) -> pd.DataFrame:
    """item_id, concept_id, name: what each distinct (item, tags) says."""
    rows = []
    for item, tags, categories in log[["item_id", "tags", "categories"]].drop_duplicates().itertuples(index=False):
        stated = json.loads(tags) if isinstance(tags, str) else None
        if stated:
            rows += [(item, str(tag), str(tag)) for tag in (stated if isinstance(stated, list) else [stated])]
            continue
        found = json.loads(categories) if isinstance(categories, str) else []
        for activity in found if isinstance(found, list) else [found]:
            if isinstance(activity, dict) and activity.get("id") and not str(activity["id"]).startswith(PROFILE_MARKS):
                names = (activity.get("definition") or {}).get("name") or {}
                rows.append((item, str(activity["id"]), str(next(iter(names.values()), activity["id"]))))
    return pd.DataFrame(rows, columns=["item_id", "concept_id", "name"], dtype="str")


def _events(log: pd.DataFrame, first: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame({"learner_id": log["learner_id"], "day": (log["at"].dt.normalize() - first.floor("D")) / pd.Timedelta(days=1),
                         "kind": log["kind"], "resource_id": log["item_id"], "duration_s": log["seconds"], "timestamp": log["at"]}).dropna(axis=1, how="all")


def read(path: str | Path) -> dict[str, pd.DataFrame]:
    """Tables interactions, items, q_matrix, concepts and events of a log, where there are any; a warning counts what was left out."""
    log = read_log(path)
    if log.left_out:
        warnings.warn(f"{path}: " + "; ".join(f"{why}: {count:,}" for why, count in log.left_out.items()), stacklevel=2)
    return log.tables


def statement(row: Mapping[str, Any], concepts: list[str] | None = None, home_page: str = "https://edukit.invalid") -> dict[str, Any]:
    """One response as an `answered` statement; the learner is a nameless account.

    Parameters
    ----------
    row : columns of `interactions`; missing ones are left out. The ids are kept: give a pseudonym as learner_id.
    concepts : ids that the item assesses.
    home_page : the system that knows the account.
    """
    given = {c: v.item() if isinstance(v, np.generic) else v for c, v in row.items() if not pd.isna(v)}
    definition = {"type": "http://adlnet.gov/expapi/activities/cmi.interaction", **({"extensions": {CONCEPTS: concepts}} if concepts else {})}
    result = {"success": given["correct"] == 1, "score": {"scaled": float(given["correct"])}}
    if "response" in given:
        result["response"] = given["response"]
    if "response_time_s" in given:
        result["duration"] = f"PT{np.format_float_positional(given['response_time_s'], trim='-')}S"
    context: dict[str, Any] = {"extensions": {ROW: {c: given[c] for c in STATED if c in given}}}
    if "content_id" in given:
        context["contextActivities"] = {"parent": [{"id": f"urn:edukit:content:{quote(given['content_id'], safe='')}"}]}
    said = {"actor": {"objectType": "Agent", "account": {"homePage": home_page, "name": given["learner_id"]}},
            "verb": {"id": VERB, "display": {"en": "answered"}},
            "object": {"objectType": "Activity", "id": f"urn:edukit:item:{quote(given['item_id'], safe='')}", "definition": definition},
            "result": result, "context": context, **({"timestamp": pd.Timestamp(given["timestamp"]).isoformat()} if "timestamp" in given else {})}
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(said, sort_keys=True))), **said}


def write(interactions: pd.DataFrame, path: str | Path, q_matrix: pd.DataFrame | None = None) -> Path:
    """Write responses as JSON lines of `answered` statements; :func:`read` gives the same interactions (and Q-matrix) back.

    Parameters
    ----------
    interactions : with pseudonyms for learners: ids are written as they are.
    q_matrix : its concepts go with each item.

    Raises
    ------
    DataError
        For a table that does not validate; nothing is written then.
    """
    log = validate(interactions, "interactions")
    mail = log["learner_id"].str.contains("@")
    if mail.any():
        raise DataError(f"interactions.learner_id must be pseudonyms; found what looks like a mail address in {int(mail.sum()):,} of {len(log):,} rows "
                        f"(first: row {int(mail.argmax()) + 1:,}). Load the data through `edukit data`, which makes pseudonyms.")
    tags = q_matrix.groupby("item_id")["concept_id"].agg(list).to_dict() if q_matrix is not None else {}
    columns = [c for c in TABLES["interactions"].names if c in log]
    with replacing(Path(path)) as fresh, fresh.open("w", encoding="utf-8") as stream:
        for row in log[columns].to_dict("records"):
            stream.write(json.dumps(statement(row, tags.get(row["item_id"])), ensure_ascii=False) + "\n")
    return Path(path)
