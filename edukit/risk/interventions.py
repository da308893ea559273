"""What a teacher may try: a catalogue that schools edit, with how well each entry is backed, matched to what a learner's risk is associated with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.reproducibility import bundled
from edukit.risk.features import ACTIONABLE, actionable
from edukit.risk.reasons import theme
from edukit.schema import DataError

EVIDENCE = ("strong", "moderate", "weak", "none stated")
ATTENDANCE = "attendance"  # in place of a feature: whatever is known of it
FIELDS = ("name", "for", "what", "evidence", "source", "minutes")
SOURCE = ("authors", "year", "venue")


@dataclass(frozen=True)
class Intervention:
    """One thing to try.

    Attributes
    ----------
    name, what : what it is called, and how it is done.
    features : what a risk must be associated with for it to be suggested; ``attendance`` stands for every feature of attendance.
    evidence : one of :data:`EVIDENCE`.
    source : where that is written: authors, year, venue.
    minutes : of a teacher's time for one learner.
    """

    name: str
    features: tuple[str, ...]
    what: str
    evidence: str
    source: str
    minutes: float

    @property
    def words(self) -> str:
        """Name, evidence and source in one line."""
        return f"{self.name} ({self.minutes:g} min; evidence: {self.evidence}{'' if self.evidence == EVIDENCE[-1] else '; ' + self.source})"


def read(path: Path | str | None = None) -> list[Intervention]:
    """Read a catalogue.

    Parameters
    ----------
    path : a yaml file like the one that is used where none is given, ``conf/interventions/default.yaml``.

    Raises
    ------
    DataError
        Naming every fault of every entry: a field that is absent, unknown or empty, a grade that is none, a feature nobody can act on.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    place = bundled("conf") / "interventions" / "default.yaml" if path is None else Path(path)
    if not place.is_file():
        raise DataError(f"the catalogue of interventions must be a yaml file; found no {place}. Copy conf/interventions/default.yaml and edit it.")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(place))
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{place} must be a yaml list of interventions; found what cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, list) or not content:
        raise DataError(f"{place} must be a list with one intervention at least; found {'an empty one' if content == [] else type(content).__name__}.")
    faults = [f"entry {number}: {fault}" for number, entry in enumerate(content, 1) for fault in _faults(entry)]
    names = [entry.get("name") for entry in content if isinstance(entry, dict)]
    faults += [f"the name {name!r} stands {names.count(name)} times" for name in dict.fromkeys(map(str, names)) if names.count(name) > 1]
    if faults:
        raise DataError(f"{place} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  " + "\n  ".join(faults[:20]))
    return [Intervention(e["name"], tuple(e["for"]), e["what"], e["evidence"], _cited(e["source"]), float(e["minutes"])) for e in content]


def _faults(entry: Any) -> list[str]:
    """What is wrong with one entry."""
    if not isinstance(entry, dict):
        return [f"must hold {', '.join(FIELDS)}; found {entry!r}"]
    found = [f"`{key}` is absent" for key in FIELDS if key not in entry]
    found += [f"`{key}` is unknown; it may hold {', '.join(FIELDS)}" for key in entry if key not in FIELDS]
    said = {key: entry[key] for key in ("name", "what") if key in entry}
    found += [f"`{key}` must be text; found {text!r}" for key, text in said.items() if not (isinstance(text, str) and text.strip())]
    if "evidence" in entry and entry["evidence"] not in EVIDENCE:
        found.append(f"`evidence` must be one of {', '.join(EVIDENCE)}; found {entry['evidence']!r}")
    if "minutes" in entry and (isinstance(entry["minutes"], bool) or not isinstance(entry["minutes"], int | float) or not 0 <= entry["minutes"] < 10_000):
        found.append(f"`minutes` must be a number of minutes; found {entry['minutes']!r}")
    return [*found, *(_feature_faults(entry["for"]) if "for" in entry else []), *(_source_faults(entry) if "source" in entry else [])]


def _feature_faults(named: Any) -> list[str]:
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        return [f"`for` must be a list of features; found {named!r}"]
    wrong = [f"`for` names {name}, which nobody can act on" for name in named if not actionable(name)]
    unknown = [name for name in named if actionable(name) and name not in ACTIONABLE and name != ATTENDANCE]
    return wrong + [f"`for` names {name}, which is no feature; there are {', '.join(ACTIONABLE)}, {ATTENDANCE}" for name in unknown]


def _source_faults(entry: dict) -> list[str]:
    source = entry["source"]
    if not isinstance(source, dict) or set(source) != set(SOURCE) or not source["authors"]:
        return [f"`source` must hold {', '.join(SOURCE)}; found {source!r}"]
    if entry.get("evidence") in EVIDENCE[:-1] and not (isinstance(source["year"], int) and source["venue"]):
        return [f"evidence {entry['evidence']} needs a source with year and venue; found {_cited(source)}"]
    return []


def _cited(source: dict) -> str:
    return f"{source['authors']}" + (f" ({source['year']}), {source['venue']}" if source["year"] else "")


def suggest(found: pd.DataFrame, catalogue: Sequence[Intervention], most: int = 2) -> pd.DataFrame:
    """What may be tried for each learner: for the strongest reason first, and for one reason the best backed entry first.

    An entry suits a reason where it names the feature that speaks for it (for attendance, any). Each reason has its best entry before any has a
    second; ties go to the entry that costs less time, then to the earlier one of the catalogue.

    Parameters
    ----------
    found : what :func:`edukit.risk.reasons.reasons` returned; context is passed over.
    most : suggestions a learner.

    Returns
    -------
    DataFrame
        Indexed by unit (repeated): ``name, for_feature, what, evidence, source, minutes, words``. Who has no actionable reason is not in it.
    """
    order = sorted(range(len(catalogue)), key=lambda i: (EVIDENCE.index(catalogue[i].evidence), catalogue[i].minutes, i))
    by: dict[str, list[int]] = {}
    acted = found[found["kind"] == "actionable"]
    for feature in acted["feature"].unique():
        by[feature] = [i for i in order if feature in catalogue[i].features or (theme(feature) == ATTENDANCE and ATTENDANCE in catalogue[i].features)]
    units, rows = [], []
    several = found.index.nlevels > 1
    for unit, features in acted.groupby(level=list(range(found.index.nlevels)) if several else 0, sort=False)["feature"]:
        offered = [(turn, n, i, feature) for n, feature in enumerate(features) for turn, i in enumerate(by[feature])]
        taken: dict[int, str] = {}
        for _, _, i, feature in sorted(offered):
            taken.setdefault(i, feature)
        for i, feature in list(taken.items())[:most]:
            units.append(unit)
            rows.append((catalogue[i].name, feature, catalogue[i].what, catalogue[i].evidence, catalogue[i].source, catalogue[i].minutes, catalogue[i].words))
    index = pd.MultiIndex.from_tuples(units, names=found.index.names) if several and units else pd.Index(units) if units else found.index[:0]
    return pd.DataFrame(rows, index, ["name", "for_feature", "what", "evidence", "source", "minutes", "words"])
