"""Raw files of a data set, obtained as its card says: fetched, resumed and checked where that is open, described where it is not.

Nothing stands under its final name before its size and SHA-256 are those of the card. An interrupted download stays beside it as
``NAME.part``, and the next one goes on from there where the server allows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edukit.data.card import ACCESS, Card, distribution_problems, readable, size_of
from edukit.data.loader import default_root
from edukit.formats.archive import safe_name, unpack, unpacked
from edukit.schema import DataError

TRIES, PAUSE, TIMEOUT = 5, 1.0, (10.0, 60.0)  # tries in a row that bring nothing new; seconds before the second (then doubled); connect, read
MOST_UNPACKED, MOST_FILES = 100 * 10**9, 2_000_000
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that may be different in a while
ADVICE = {401: "It asks for a login", 403: "It does not give it to everybody", 404: "The file is not there any more", 410: "The file is not there any more",
          429: "It has had too many requests", 451: "It may not give this file out"}


@dataclass(frozen=True)
class RawFile:
    """One raw file, or one set of files whose sum nobody states.

    Attributes
    ----------
    said : its entry in the card.
    target : where it belongs.
    state : 'there', 'absent', or 'other': something else lies in its place.
    """

    said: dict[str, Any]
    target: Path
    state: str

    @property
    def name(self) -> str:
        """Path below the folder of raw files."""
        return self.said["@id"]

    @property
    def to_fetch(self) -> bool:
        """Whether it may be downloaded and has to be."""
        return self.said["access"] == "open" and self.state != "there"

    @property
    def to_ask(self) -> bool:
        """Whether a person has to obtain it; a copy converted by somebody else may differ byte by byte and is taken."""
        return self.said["access"] != "open" and self.state != "there" and not (self.said["access"] == "converted" and self.state == "other")


@dataclass(frozen=True)
class Plan:
    """What a data set needs below one folder, and what of it is there. ``label`` is the data set with its variant."""

    card: Card
    label: str
    root: Path
    files: tuple[RawFile, ...]

    @property
    def to_fetch(self) -> list[RawFile]:
        """Files that may be downloaded and have to be."""
        return [file for file in self.files if file.to_fetch]

    @property
    def to_ask(self) -> list[RawFile]:
        """Files that a person has to obtain."""
        return [file for file in self.files if file.to_ask]


def raw_root(to: str | None = None) -> Path:
    """Where raw files go: ``to``, else ``EDUKIT_DATA``, else the user's data folder (:func:`edukit.data.loader.default_root`)."""
    chosen = to or os.environ.get("EDUKIT_DATA")
    return Path(chosen).expanduser().absolute() if chosen else default_root()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _look(said: dict[str, Any], root: Path) -> RawFile:
    target = root / safe_name(said["@id"])
    if said["@type"] == "cr:FileSet":
        patterns = said["includes"] if isinstance(said["includes"], list) else [said["includes"]]
        there = all(next(root.glob(safe_name(pattern)), None) for pattern in patterns)
        return RawFile(said, target, "there" if there else "absent")
    if not target.exists():
        return RawFile(said, target, "absent")
    right = target.is_file() and target.stat().st_size == size_of(said) and sha256_of(target) == said["sha256"]
    return RawFile(said, target, "there" if right else "other")


def plan(card: Card, variant: str, root: Path) -> Plan:
    """What one variant of a data set needs, each file checked against its size and sum where it is there.

    Parameters
    ----------
    card : the data set's card.
    variant : of the loader; '' where it has none.
    root : folder of raw files, which holds one folder per publisher.

    Raises
    ------
    DataError
        Where the card names a path that leaves ``root``, or does not say how a file is obtained.
    """
    if faults := distribution_problems(card):
        raise DataError(f"data_cards/{card.name}.json cannot be fetched from: {'; '.join(faults)}.")
    parts = [*card.files(variant or None), *card.file_sets(variant or None)]
    return Plan(card, f"{card.name}_{variant}".rstrip("_"), root, tuple(_look(part, root) for part in parts))


def describe(wanted: Plan) -> str:
    """The terms, what would be downloaded and where it goes, for a person who is asked to agree."""
    document, there = wanted.card.croissant, sum(file.state == "there" for file in wanted.files)
    lines = [wanted.label, f"  licence   {document['license']}", f"  cite      {document['citeAs']}", f"  into      {wanted.root}",
             f"  there     {there} of {len(wanted.files)} files"]
    if fetched := wanted.to_fetch:
        lines.append(f"  download  {len(fetched)} file{'s' * (len(fetched) > 1)}, {readable(sum(size_of(file.said) for file in fetched))}")
    for file in fetched:
        replaced = "; replaces a file with another sum" if file.state == "other" else ""
        lines.append(f"    {file.name:<48} {readable(size_of(file.said)):>9}  from {urlsplit(file.said['contentUrl']).netloc}{replaced}")
    lines += [f"  note      {file.name} is not our copy byte by byte, as can be where a file is converted by hand" for file in wanted.files
              if file.state == "other" and not file.to_fetch and not file.to_ask]
    return "\n".join(lines)


def how_to_obtain(wanted: Plan) -> str:
    """For each file that a person has to obtain: which, where, what to accept, and where to put it."""
    lines = [f"{wanted.label} needs {len(wanted.to_ask)} file{'s' * (len(wanted.to_ask) > 1)} that cannot be fetched:"]
    for file in wanted.to_ask:
        said = file.said
        lines += [f"  {file.name}", f"    what      {said.get('description') or said['name']}",
                  f"    where     {said.get('contentUrl') or said.get('url') or wanted.card.croissant['url']}",
                  f"    how       {ACCESS[said['access']]}", f"    put it    {file.target}"]
        if file.state == "other":
            lines.append(f"    found     another file there: wanted {said['contentSize']} with sha256 {said['sha256']}")
    return "\n".join(lines)


def obtain(wanted: Plan) -> None:
    """Download what may be downloaded, file by file, and unpack archives.

    Raises
    ------
    DataError
        Where the disk is too small (before anything is downloaded), a server refuses or is not reached, or a file is not the one of the card.
    """
    _check_space(wanted)
    for file in wanted.files:
        try:
            if file.to_fetch:
                _fetch(file)
            if file.said.get("unpack") and not file.to_ask:
                _unpack(file.target)
        except OSError as error:
            raise DataError(f"{file.target} cannot be written: {error}. Choose another folder with --to FOLDER, or with EDUKIT_DATA.") from None


def _unpack(archive: Path) -> None:
    if not unpacked(archive, archive.parent, MOST_UNPACKED, MOST_FILES):
        unpack(archive, archive.parent, min(MOST_UNPACKED, shutil.disk_usage(archive.parent).free), MOST_FILES)


def _part(file: RawFile) -> Path:
    return file.target.with_name(file.target.name + ".part")


def _check_space(wanted: Plan) -> None:
    needed = sum(size_of(file.said) - (_part(file).stat().st_size if _part(file).is_file() else 0) for file in wanted.to_fetch)
    place = next(folder for folder in (wanted.root, *wanted.root.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DataError(f"{wanted.label} needs {readable(needed)} below {wanted.root}; found {readable(free)} free. "
                        "Nothing was downloaded: free some space, or choose another folder with --to FOLDER.")


def _fetch(file: RawFile) -> None:
    """Download one file beside its place, hold its sum against the card's, and rename it only then."""
    url, part = file.said["contentUrl"], _part(file)
    part.parent.mkdir(parents=True, exist_ok=True)
    _resume(url, part, size_of(file.said))
    if (found := sha256_of(part)) != file.said["sha256"]:
        part.unlink()
        raise DataError(f"{url} must give a file with sha256 {file.said['sha256']}; found another of the same size, with {found}. It was deleted. "
                        "Try once more; if it stays so, the publisher changed the file: look at the page of the data set.")
    os.replace(part, file.target)


def _resume(url: str, part: Path, size: int) -> None:
    """Bring ``part`` to ``size`` bytes over as many connections as it takes; give up after TRIES in a row without a new byte."""
    from requests import exceptions as failed

    def have() -> int:
        return part.stat().st_size if part.exists() else 0

    furthest, tries = have(), 0
    while True:
        try:
            return _stream(url, part, size)
        except (failed.SSLError, failed.InvalidURL) as error:
            raise DataError(f"{url} cannot be read: {error}.") from None
        except (failed.ConnectionError, failed.ChunkedEncodingError, failed.Timeout) as error:
            tries = 1 if have() > furthest else tries + 1
            furthest = max(furthest, have())
            if tries == TRIES:
                raise DataError(f"{url} must give {size:,} bytes; found {have():,}, and {TRIES} times in a row nothing more (last: {error}). "
                                f"What came is kept in {part}: run the command again to go on.") from None
            time.sleep(PAUSE * 2 ** (tries - 1))
        except failed.RequestException as error:
            raise DataError(f"{url} cannot be read: {type(error).__name__}: {error}.") from None


def _stream(url: str, part: Path, size: int) -> None:
    """One connection: append to ``part`` what it brings, from where ``part`` ends if the server can."""
    import requests
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    if start == size and part.exists():
        return
    start = start if start < size else 0
    asked = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})  # compressed bytes cannot be gone on with
    with requests.get(url, headers=asked, stream=True, timeout=TIMEOUT) as answer:
        start = _accepted(answer, start, part)
        plain = answer.headers.get("Content-Encoding", "identity") == "identity"
        stated = answer.headers.get("Content-Length", "") if plain else ""
        if stated.isdigit() and start + int(stated) != size:
            raise _wrong_size(url, part, size, f"{start + int(stated):,}")
        with part.open("ab" if start else "wb") as stream, \
                tqdm(total=size, initial=start, unit="B", unit_scale=True, desc=part.stem, leave=False, disable=None) as bar:
            for block in answer.iter_content(4096):  # a block that is cut is lost: keep it small
                if stream.tell() + len(block) > size:
                    raise _wrong_size(url, part, size, "more")
                stream.write(block)
                bar.update(len(block))
    if part.stat().st_size < size:
        raise requests.ConnectionError("the answer ended before the file did")


def _accepted(answer: Any, start: int, part: Path) -> int:
    """Where in the file an answer begins: ``start``, or 0 where the server does not go on; a refusal is an error."""
    from requests import ConnectionError as Dropped

    status = answer.status_code
    if status in BUSY:
        raise Dropped(f"HTTP status {status} {answer.reason}")
    if status == 200:
        return 0
    if status in (206, 416):
        if status == 206 and "Content-Encoding" not in answer.headers and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return start
        part.unlink(missing_ok=True)
        raise Dropped(f"HTTP status {status}: it does not go on from byte {start:,}, so the download starts anew")
    raise DataError(f"{answer.url} must give a file; found HTTP status {status} {answer.reason}. {ADVICE.get(status, 'It gives none')}: "
                    f"look at the page of the data set (`edukit data card NAME` names it), obtain the file there and put it into {part.parent} "
                    f"as {part.stem}.")


def _wrong_size(url: str, part: Path, size: int, found: str) -> DataError:
    """Forget what came of a file that cannot be the right one."""
    part.unlink(missing_ok=True)
    return DataError(f"{url} must give {size:,} bytes, as the card says; found {found}. It was not kept: the publisher changed the file, or gave "
                     "a page instead of it. Look at the page of the data set (`edukit data card NAME` names it).")
