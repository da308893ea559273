"""The card of a data set: where it comes from, who is in it and who is not, and what it must not be used for.

A card is two files, `data_cards/NAME.json` (Croissant, for machines) and `data_cards/NAME.md` (eight fixed headings, for people).
No card, no load.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import Any

from edukit.reproducibility import bundled
from edukit.schema import DataError

HEADINGS = (
    "What a row is", "Who the learners are, and who is missing", "Consent and licence", "How concepts and prerequisites were tagged",
    "Known flaws and our decisions", "Groups to audit", "Do not use for", "How to obtain",
)
STATED = ("name", "description", "license", "citeAs", "url", "version", "datePublished")
RESPONSIBLE = (
    "rai:dataCollection", "rai:dataCollectionMissingData", "rai:dataPreprocessingProtocol", "rai:dataAnnotationProtocol",
    "rai:personalSensitiveInformation", "rai:dataBiases", "rai:dataLimitations", "rai:dataUseCases", "rai:dataSocialImpact",
)


@dataclass(frozen=True)
class Card:
    """One data set's card.

    Attributes
    ----------
    name : as in ``conf/data/NAME.yaml``.
    croissant : the JSON-LD document.
    sections : heading -> text of the markdown, in the order of the file.
    """

    name: str
    croissant: dict[str, Any]
    sections: dict[str, str]

    def files(self) -> list[dict[str, Any]]:
        """The raw files it names (Croissant ``FileObject``)."""
        return [part for part in _several(self.croissant.get("distribution")) if part.get("@type") == "cr:FileObject"]


def _several(value: Any) -> list:
    return [] if value is None else value if isinstance(value, list) else [value]


def load_card(name: str) -> Card:
    """Read the card of a data set.

    Raises
    ------
    DataError
        If one of its two files is missing or cannot be read; both paths are named.

    Examples
    --------
    >>> load_card("synthetic").name
    'synthetic'
    """
    folder = bundled("data_cards")
    described, written = folder / f"{name}.json", folder / f"{name}.md"
    absent = [path for path in (described, written) if not path.is_file()]
    if absent:
        raise DataError(f"No card, no load: data {name} must have {described} and {written}; found no "
                        f"{' and no '.join(p.name for p in absent)}. Write what is missing; data_cards/synthetic.json and .md show how.")
    try:
        croissant = json.loads(described.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{described} must be JSON; found {error}.") from None
    if not isinstance(croissant, dict):
        raise DataError(f"{described} must hold one JSON object; found {type(croissant).__name__}.")
    return Card(name, croissant, parse_sections(written.read_text(encoding="utf-8")))


def parse_sections(markdown: str) -> dict[str, str]:
    """Text under each ``## heading``, in order; what stands before the first is left out. A repeated heading is numbered."""
    found: dict[str, str] = {}
    for part in re.split(r"^## +", markdown, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        heading = heading.strip()
        found[heading if heading not in found else f"{heading} ({len(found) + 1})"] = text.strip()
    return found


def _croissant_says(card: Card) -> list[str]:
    """Errors and warnings of mlcroissant (an import of seconds)."""
    import mlcroissant

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it logs each warning as well as returning it
    try:
        issues = mlcroissant.Dataset(jsonld=card.croissant).metadata.ctx.issues
        return [f"mlcroissant: {line}" for line in sorted(issues.errors | issues.warnings)]
    except mlcroissant.ValidationError as error:
        lines = [line.strip(" -") for line in str(error).splitlines() if line.strip().startswith("-")]
        return [f"mlcroissant: {line}" for line in lines or [str(error)]]
    except Exception as error:  # a document of an unexpected shape makes the library fail in many ways; each means the card is wrong
        return [f"mlcroissant: cannot read the document ({type(error).__name__}: {error})"]
    finally:
        logging.disable(disabled)


def problems(card: Card) -> list[str]:
    """Everything that is wrong with a card, one sentence each; an empty list means it may be used.

    mlcroissant finds dangling references and unknown types; what it lets pass (a missing licence, a checksum that is none, an empty
    record set, no word on bias) is checked here, and so are the eight headings of the markdown.
    """
    found = _croissant_says(card)
    document = card.croissant
    silent = [key for key in (*STATED, *RESPONSIBLE) if not any(str(value).strip() for value in _several(document.get(key)))]
    found += [f"{key} must be stated; found nothing" for key in silent]
    if document.get("name") and document["name"] != card.name:
        found.append(f"name must be {card.name!r}, as the files are called; found {document['name']!r}")
    if "croissant/1." not in str(document.get("conformsTo")):
        found.append(f"conformsTo must name Croissant 1.x; found {document.get('conformsTo')!r}")
    for file in card.files():
        which = f"file {file.get('name', file.get('@id', 'without name'))!r}"
        if not re.fullmatch(r"[0-9a-f]{64}", str(file.get("sha256", ""))):
            found.append(f"{which} must have a sha256 of 64 hexadecimal digits; found {file.get('sha256')!r}")
        unsaid = [key for key in ("contentUrl", "encodingFormat", "contentSize") if not file.get(key)]
        found += [f"{which} must state {key}; found nothing" for key in unsaid]
    records = _several(document.get("recordSet"))
    if not records:
        found.append("recordSet must describe at least one table; found none")
    for record in records:
        fields = _several(record.get("field"))
        if not fields:
            found.append(f"recordSet {record.get('name')!r} must have fields; found none")
        found += [f"field {field.get('@id')!r} must have a description; found nothing" for field in fields if not field.get("description")]
    headings = list(card.sections)
    if headings != list(HEADINGS):
        found.append(f"the markdown must have the headings {' · '.join(HEADINGS)}, in this order; found {' · '.join(headings) or 'none'}")
    found += [f"section {heading!r} must say something; found nothing" for heading, text in card.sections.items() if not text]
    return found


def render(card: Card) -> str:
    """The whole card as markdown that reads well in a terminal: terms first, then files, tables and the eight sections."""
    document = card.croissant
    lines = [f"# {card.name}", "", str(document.get("description", "")), ""]
    for label, key in (("Licence", "license"), ("Cite", "citeAs"), ("Where", "url"), ("Version", "version")):
        lines.append(f"- {label}: {'; '.join(str(v) for v in _several(document.get(key)))}")
    if card.files():
        lines += ["", "## Files", ""]
        lines += [f"- {file['name']} ({file.get('contentSize', 'size unknown')}, sha256 {file.get('sha256', 'unknown')[:12]}…) "
                  f"{file.get('contentUrl', '')}" for file in card.files()]
    lines += ["", "## Tables", ""]
    for record in _several(document.get("recordSet")):
        columns = ", ".join(str(field.get("name", "")).rpartition("/")[2] for field in _several(record.get("field")))
        lines.append(f"- {record.get('name')}: {record.get('description', '')} Columns: {columns}.")
    for heading, text in card.sections.items():
        lines += ["", f"## {heading}", "", text]
    return "\n".join(lines) + "\n"
