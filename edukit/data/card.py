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

from edukit.formats.archive import safe_name
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
ACCESS = {
    "open": "fetched from its address",
    "login": "by hand: sign in there and accept its terms",
    "form": "by hand: fill in the form there and accept its terms",
    "rules": "by hand: accept the rules shown there",
    "converted": "by hand: rewrite what lies there into this form",
}
"""How a raw file is come by: the property ``access`` of each entry of a card's distribution."""
_FORMS = (("sha256", r"[0-9a-f]{64}", "of 64 hexadecimal digits"), ("contentSize", r"\d+ B", "in bytes, such as '4142227 B'"),
          ("contentUrl", r"https?://[^\s/]+/\S*", "starting with https://"))


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

    def _repr_markdown_(self) -> str:
        """In a notebook a card is shown as it reads in a terminal."""
        return render(self)

    def files(self, variant: str | None = None) -> list[dict[str, Any]]:
        """Raw files with a known sum (Croissant ``FileObject``): all, or those that one variant of the loader reads."""
        return self._parts("cr:FileObject", variant)

    def file_sets(self, variant: str | None = None) -> list[dict[str, Any]]:
        """Raw files whose sum is not known (Croissant ``FileSet``), which have to be asked for: all, or those of one variant."""
        return self._parts("cr:FileSet", variant)

    def _parts(self, kind: str, variant: str | None) -> list[dict[str, Any]]:
        """Entries of the distribution; what lies inside an archive (``containedIn``) comes with it, and one without a variant is of every variant."""
        parts = [part for part in _several(self.croissant.get("distribution")) if part.get("@type") == kind and not part.get("containedIn")]
        return [part for part in parts if variant is None or variant in _several(part.get("variant", variant))]


def _several(value: Any) -> list:
    return [] if value is None else value if isinstance(value, list) else [value]


def size_of(file: dict[str, Any]) -> int:
    """Bytes of a file, from its ``contentSize`` ("4142227 B")."""
    return int(str(file["contentSize"]).removesuffix("B"))


def readable(size: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> readable(3362), readable(4142227), readable(12)
    ('3.4 kB', '4.1 MB', '12 B')
    """
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.{0 if units[0] == 'B' else 1}f} {units[0]}"


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


def distribution_problems(card: Card) -> list[str]:
    """What keeps `edukit data fetch` from obtaining the raw files, or from saying how they are obtained; one sentence each."""
    found = []
    seen: dict[str, int] = {}
    for part in [*card.files(), *card.file_sets()]:
        place, a_file = str(part.get("@id", "")), part.get("@type") == "cr:FileObject"
        which = f"file {place or part.get('name', 'without name')!r}"
        patterns = [] if a_file else [str(pattern) for pattern in _several(part.get("includes"))]
        for kind, path in (("@id", place), *(("includes", pattern) for pattern in patterns)):
            try:
                safe = safe_name(path)
            except DataError:
                safe = ""
            if safe != path or "/" not in path:
                found.append(f"{which}: {kind} must be a path below the folder EDUKIT_DATA, such as {card.name}/responses.csv; found {path!r}")
        if part.get("name") != place:
            found.append(f"{which} must have its @id as its name; found {part.get('name')!r}")
        seen[place.casefold()] = seen.get(place.casefold(), 0) + 1
        if seen[place.casefold()] == 2:
            found.append(f"{which} must be listed once (variant may be a list); found it again")
        if part.get("access") not in ACCESS or (part.get("access") == "open" and not a_file):
            allowed = [access for access in ACCESS if a_file or access != "open"]
            found.append(f"{which} must have access {', '.join(allowed)}; found {part.get('access')!r}")
        if not all(isinstance(variant, str) and variant for variant in _several(part.get("variant"))):
            found.append(f"{which} must name its variant, or a list of variants; found {part.get('variant')!r}")
        if "unpack" in part and (part["unpack"] is not True or not a_file):
            found.append(f"{which}: unpack must be true, and only for an archive with a known sum, or left out; found {part['unpack']!r}")
        needed = ("contentUrl", "encodingFormat", "contentSize") if a_file else ("description", "encodingFormat", "includes")
        found += [f"{which} must state {key}; found nothing" for key in needed if not part.get(key)]
        if a_file:
            found += [f"{which} must have {key} {words}; found {part.get(key)!r}" for key, form, words in _FORMS
                      if not re.fullmatch(form, str(part.get(key, ""))) and (key == "sha256" or part.get(key))]
    return found


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
    found += distribution_problems(card)
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
    parts = [*card.files(), *card.file_sets()]
    if parts:
        labels = list(dict.fromkeys(f"{card.name}_{v}" for part in parts for v in _several(part.get("variant")))) or [card.name]
        lines += ["", "## Files", "", f"Obtain them: {', '.join(f'`edukit data fetch {label}`' for label in labels)}. Paths are below the folder "
                  "that `EDUKIT_DATA` names; where it is not set, below the one that `edukit data where` tells.", ""]
    for part in parts:
        variants = [str(variant) for variant in _several(part.get("variant"))]
        facts = [*([f"variant {', '.join(variants)}"] if variants else []), ACCESS.get(part.get("access", ""), "access unknown"),
                 *([readable(size_of(part)), f"sha256 {part.get('sha256', 'unknown')[:12]}…"] if part.get("contentSize") else ["size and sum unknown"])]
        lines.append(f"- {part.get('name')} ({'; '.join(facts)}) {part.get('contentUrl') or part.get('url') or ''}".rstrip())
    lines += ["", "## Tables", ""]
    for record in _several(document.get("recordSet")):
        columns = ", ".join(str(field.get("name", "")).rpartition("/")[2] for field in _several(record.get("field")))
        lines.append(f"- {record.get('name')}: {record.get('description', '')} Columns: {columns}.")
    for heading, text in card.sections.items():
        lines += ["", f"## {heading}", "", text]
    return "\n".join(lines) + "\n"
