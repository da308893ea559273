"""One xAPI statement as it arrives -> the answer it tells of, at once and by the same rules as a whole log (:mod:`.xapi`)."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any
from urllib.parse import unquote

from edukit.formats.xapi import DURATION, ENDING
from edukit.schema import DataError

LABEL = re.compile(r"[\w.:+-]{1,40}", re.ASCII)
"""What is kept of a response: a chosen option. Anything else may be what a learner wrote, and is not."""
_SCALE = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_ITEM = "urn:edukit:item:"


@dataclass(frozen=True)
class Told:
    """The answer that a statement tells of.

    Parameters
    ----------
    learner : the name of an account or a hash: a pseudonym is still to be made of it.
    correct : a mark in [0, 1]. response : the chosen option; None where it is free text. response_time_s : seconds. answered_at : UTC, ISO 8601.
    """

    statement_id: str
    learner: str
    item_id: str
    correct: float
    response: str | None
    response_time_s: float | None
    answered_at: str | None


def account(name: str) -> str:
    """The id of a learner by the name of an account; one that is a mail address is hashed, as :mod:`.xapi` does.

    Examples
    --------
    >>> account("ann"), account("ann@school.org")[:8]
    ('ann', '7d06eb4f')
    """
    return sha1(f"mailto:{name}".encode()).hexdigest() if "@" in name else name


def told(said: Any, place: str = "the statement") -> Told | None:
    """The answer that a statement tells of; None for a statement about anything else, or without an outcome.

    Parameters
    ----------
    said : the statement as JSON gives it. place : where it stands, for messages.

    Raises
    ------
    DataError
        Where it is no statement: no actor, verb or object, or an id, a time, a duration or a score that cannot be read.
    """
    if not isinstance(said, Mapping):
        raise DataError(f"{place} must be a JSON object; found {type(said).__name__}. Send one statement, or a list of them.")
    actor, verb, about = (_part(said, name, place) for name in ("actor", "verb", "object"))
    result = _part(said, "result", place, needed=False)
    statement_id, at, learner = _id(said, place), _time(said.get("timestamp"), place), _learner(actor)
    kind, item = _text(verb.get("id")).rstrip("/#").rpartition("/")[2].rpartition("#")[2].lower(), _text(about.get("id"))
    if actor.get("objectType") == "Group" or kind == "voided":
        return None
    faults = [f"{what}; found {found!r:.60}" for what, found, wrong in (
        ("actor must be one (account.name, mbox, mbox_sha1sum or openid)", sorted(actor), not learner), ("verb.id must be a text", verb.get("id"), not kind),
        ("object.id must be a text", about.get("id"), not item)) if wrong]
    if faults:
        raise DataError(f"{place}.{'; '.join(faults)}. Send it again with these.")
    definition = about.get("definition")
    definition = definition if isinstance(definition, Mapping) else {}
    question = "interactionType" in definition or re.search(r"cmi\.interaction|question", _text(definition.get("type")))
    correct, seconds = _outcome(result, place), _seconds(result.get("duration"), place)
    if correct is None or not (kind == "answered" or (kind in ENDING and question)):
        return None
    response = result.get("response")
    kept = response if isinstance(response, str) and LABEL.fullmatch(response) else None
    item_id = unquote(item.removeprefix(_ITEM)) if item.startswith(_ITEM) else item
    return Told(statement_id, learner, item_id, correct, kept, seconds, at)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _part(said: Mapping[str, Any], name: str, place: str, needed: bool = True) -> Mapping[str, Any]:
    found = said.get(name, None if needed else {})
    if not isinstance(found, Mapping):
        raise DataError(f"{place}.{name} must be an object; found {'none' if found is None else type(found).__name__}. See xAPI 1.0.3, part two.")
    return found


def _id(said: Mapping[str, Any], place: str) -> str:
    """The stated id; without one the same statement with a time gets the same id whenever it is sent."""
    if "id" not in said:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(said, sort_keys=True)) if "timestamp" in said else uuid.uuid4())
    try:
        return str(uuid.UUID(_text(said["id"])))
    except ValueError:
        raise DataError(f"{place}.id must be a UUID; found {said['id']!r:.60}. Leave it out to have one made.") from None


def _learner(actor: Mapping[str, Any]) -> str:
    own = actor.get("account")
    if isinstance(own, Mapping) and _text(own.get("name")):
        return account(own["name"])
    hashed = _text(actor.get("mbox_sha1sum")).lower()
    named = _text(actor.get("mbox")) or _text(actor.get("openid"))
    return hashed or (sha1(named.encode()).hexdigest() if named else "")


def _time(stated: Any, place: str) -> str | None:
    if stated is None:
        return None
    try:
        at = datetime.fromisoformat(_text(stated))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise DataError(f"{place}.timestamp must be a time in ISO 8601; found {stated!r:.60}. For example 2026-03-01T09:30:00Z.") from None


def _seconds(stated: Any, place: str) -> float | None:
    if stated is None:
        return None
    found = re.match(DURATION, _text(stated).replace(",", "."))
    try:
        parts = {unit: float(value) for unit, value in (found.groupdict() if found else {}).items() if value}
    except ValueError:
        parts = {}
    seconds = sum(value * _SCALE[unit] for unit, value in parts.items())
    if not parts or not math.isfinite(seconds):
        raise DataError(f"{place}.result.duration must be in ISO 8601 (weeks, days, hours, minutes, seconds); found {stated!r:.60}. For example PT12.5S.")
    return seconds


def _outcome(result: Mapping[str, Any], place: str) -> float | None:
    """The scaled score, else the raw one between its bounds, else success; None where there is none."""
    score = result.get("score", {})
    if not isinstance(score, Mapping):
        raise DataError(f"{place}.result.score must be an object; found {type(score).__name__}. See xAPI 1.0.3, part two.")
    number: dict[str, float] = {}
    for name in ("scaled", "raw", "min", "max"):
        value = score.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= 1e300 or (name == "scaled" and not -1 <= value <= 1):
            raise DataError(f"{place}.result.score.{name} must be a number{', -1 to 1' * (name == 'scaled')}; found {value!r:.60}. Mend it, or leave it out.")
        number[name] = float(value)
    if "scaled" in number:
        return max(number["scaled"], 0.0)
    low, high = number.get("min", 0.0), number.get("max", math.nan)
    if "raw" in number and high > low:
        return min(max((number["raw"] - low) / (high - low), 0.0), 1.0)
    success = result.get("success")
    return float(success) if isinstance(success, bool) else None
