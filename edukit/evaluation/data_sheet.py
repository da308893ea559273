"""What a run did with data about people, on one page: which data, which personal columns, for what, how long, and what a person still has to state.

References
----------
Regulation (EU) 2016/679, Article 30 (records of processing). Gebru et al. (2021), Communications of the ACM (datasheets for datasets).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edukit.reproducibility import replacing, write_json
from edukit.schema import TABLES

NAME = "data_sheet"
PSEUDONYMS = ("learner_id", "class_id", "teacher_id", "rater_id")
FREE_TEXT = {("interactions", "response"), ("answers", "text"), ("surveys", "comment"), ("interventions", "reason"), ("interventions", "outcome"),
             ("prerequisites", "rationale"), ("votes", "rationale")}
NO_ATTRIBUTE = ("published_part",)
TO_STATE = ("controller: who answers for the processing", "legal basis (and, for special categories of data, the second one)",
            "whether learners, or their parents, were told, and how they object", "who else received the outputs",
            "date of the impact assessment, where one is due")
KINDS = {"pseudonyms": "names that say nothing without the key", "attributes": "who a learner is; kept apart from every model unless asked for",
         "free text": "may name people", "what learners did": "linked to a pseudonym"}


def personal(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """``table.column`` of everything about people, by kind.

    Parameters
    ----------
    columns : columns of each table that was loaded.

    Examples
    --------
    >>> personal({"learners": ["learner_id", "gender"], "concepts": ["concept_id"]})
    {'pseudonyms': ['learners.learner_id'], 'attributes': ['learners.gender']}
    """
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for table, names in columns.items():
        about_people = any(name in names for name in PSEUDONYMS)
        is_open = table in TABLES and TABLES[table].open
        for name in names:
            kind = ("pseudonyms" if name in PSEUDONYMS else "free text" if (table, name) in FREE_TEXT else
                    None if not about_people or name in NO_ATTRIBUTE else "attributes" if is_open else "what learners did")
            if kind:
                found[kind].append(f"{table}.{name}")
    return {kind: names for kind, names in found.items() if names}


def sheet(*, experiment: str, purpose: str, data: Mapping[str, Any], columns: Mapping[str, list[str]], key_version: str | None, consent: str, folder: Path,
          tracking: str | None, audit_mark: str) -> dict[str, Any]:
    """The content of a data-protection sheet.

    Parameters
    ----------
    purpose : what the run was for, in words.
    data : ``label, fingerprint, rows`` as in a run report.
    columns : columns of each table that was loaded; which of them a model saw, the settings of the run tell.
    key_version : of the pseudonym key; None of invented data.
    consent : what the card of the data says of consent and licence.
    folder, tracking : where the outputs lie.
    audit_mark : mark of the run's line in the audit trail.
    """
    return {"experiment": experiment, "purpose": purpose, "data": {name: data[name] for name in ("label", "fingerprint", "rows", "learners") if name in data},
            "personal_columns": personal(columns), "pseudonym_key_version": key_version or "none: invented learners",
            "consent_and_licence": consent, "kept_in": [str(folder), *([tracking] if tracking else [])],
            "retention": "until removed; `edukit consent expired` names what is older than its rule, `edukit consent delete` the runs that a learner was in",
            "to_be_stated_by_a_person": dict.fromkeys(TO_STATE, ""), "audit_mark": audit_mark}


def markdown(content: Mapping[str, Any]) -> str:
    """The sheet for people."""
    data, kept = content["data"], content["personal_columns"]
    lines = [f"# Data-protection sheet: {content['experiment']} on {data['label']}", "", f"**Purpose.** {content['purpose']}", "",
             f"**Data.** `{data['label']}`, fingerprint `{data['fingerprint'][:16]}`; "
             + ", ".join(f"{name} {rows:,}" for name, rows in data["rows"].items()) + " rows.", "",
             f"**Pseudonym key.** {content['pseudonym_key_version']}", "", "## Personal columns that were loaded", ""]
    lines += [f"- {kind} ({KINDS[kind]}): {', '.join(f'`{name}`' for name in names)}" for kind, names in kept.items()] or ["- none"]
    lines += ["", "## Consent and licence of the data", "", content["consent_and_licence"].strip() or "Not stated.", "", "## Kept", "",
              *(f"- `{place}`" for place in content["kept_in"]), "", f"Retention: {content['retention']}.", "", "## To be stated by a person", "",
              *(f"- {what}: {said or '____'}" for what, said in content["to_be_stated_by_a_person"].items()), "",
              f"Line in the audit trail: `{content['audit_mark']}`", ""]
    return "\n".join(lines)


def write(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Write ``data_sheet.json`` and ``.md`` into a folder; returns their names."""
    write_json(folder / f"{NAME}.json", dict(content))
    with replacing(folder / f"{NAME}.md") as beside:
        beside.write_text(markdown(content), encoding="utf-8")
    return [f"{NAME}.json", f"{NAME}.md"]
