"""Archives (zip, tar, tar.gz, tar.bz2, tar.xz) unpacked with care: nothing outside the folder, nothing endless, nothing half-written.

An archive is somebody else's list of paths and sizes. Every name and size is checked, what is really written is counted as well, and
only plain files are written, without the owner, mode or time that the archive states.
"""

from __future__ import annotations

import bz2
import filecmp
import gzip
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from edukit.schema import DataError

BLOCK = 1 << 20
LONGEST_READ = 1 << 24  # no honest header of a tar file asks for more at once
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, ValueError, OSError)
_FORKS = "__MACOSX/"


def safe_name(name: str) -> str:
    """A path that stays below the folder it is put into, with ``/`` between its parts.

    Raises
    ------
    DataError
        For an absolute path, a drive letter, ``..``, an empty part or a character that some system cannot keep.

    Examples
    --------
    >>> safe_name("junyi/response.csv"), safe_name(r"a\\b.csv")
    ('junyi/response.csv', 'a/b.csv')
    """
    plain = name.replace("\\", "/")
    parts = plain.removeprefix("./").split("/")
    if plain.startswith("/") or ":" in plain or any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\x7f]", plain):
        raise DataError(f"a path must stay below its folder, without '..', drive letters, ':' or control characters; found {name!r}")
    return "/".join(parts)


class _Forward:
    """A decompressed stream read from front to back, by one byte at most backwards, as tarfile does.

    It refuses to give more than ``most`` bytes, or absurdly many at once; a compressed stream is never decompressed twice.
    """

    def __init__(self, stream: IO[bytes], most: int):
        self.stream, self.most, self.at, self.last, self.back = stream, most, 0, b"", False

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise DataError(f"a header asks for {size:,} bytes at once; {LONGEST_READ:,} is the most")
        if not size:
            return b""
        kept, self.back = (self.last if self.back else b""), False
        given = kept + self.stream.read(size - len(kept))
        self.at, self.last = self.at + len(given), given[-1:] or self.last
        if self.at > self.most:
            raise DataError(f"unpacks to more than {self.most:,} bytes")
        return given

    def seek(self, to: int) -> int:
        if to == self.at - 1 and not self.back:
            self.at, self.back = to, True
        while self.at < to and self.read(min(BLOCK, to - self.at)):
            pass
        if self.at > to:
            raise DataError(f"its headers point backwards, from byte {self.at:,} to byte {to:,}")
        return self.at

    def tell(self) -> int:
        return self.at


class _Names:
    """Names seen so far: how many, and that no two are one file on a system that ignores case."""

    def __init__(self, most_files: int):
        self.most, self.seen, self.folders = most_files, {}, set()

    def add(self, name: str) -> str:
        safe = safe_name(name)
        key = unicodedata.normalize("NFC", safe).casefold()
        above = {key[:i] for i, letter in enumerate(key) if letter == "/"}
        clash = next((self.seen[k] for k in (key, *above) if k in self.seen), name if key in self.folders else None)
        if clash is not None:
            raise DataError(f"member {name!r} lies where {clash!r} lies: names must differ by more than case, and no file may be a folder too")
        self.seen[key] = safe
        self.folders |= above
        if len(self.seen) > self.most:
            raise DataError(f"holds more than {self.most:,} files (first beyond: {name!r})")
        return safe


def _zip_members(archive: zipfile.ZipFile, most_bytes: int, most_files: int) -> Iterator[tuple[str, int, zipfile.ZipInfo]]:
    names, total = _Names(most_files), 0
    for member in archive.infolist():
        kind = member.external_attr >> 28  # upper four bits of the Unix mode: 8 a plain file, 4 a folder, 0 where it was not stated
        if member.filename.endswith(("/", "\\")):
            safe_name(member.filename[:-1])
            continue
        if kind not in (0, 8):
            raise DataError(f"member {member.filename!r} is a link or a device; only plain files are unpacked")
        if member.flag_bits & 0x1:
            raise DataError(f"member {member.filename!r} is encrypted; ask the publisher for an archive without a password, or unpack it by hand")
        name, total = names.add(member.filename), total + member.file_size
        if total > most_bytes:
            raise DataError(f"unpacks to more than {most_bytes:,} bytes (reached at member {member.filename!r})")
        yield name, member.file_size, member


def _tar_members(archive: tarfile.TarFile, into: Path, most_bytes: int, most_files: int) -> Iterator[tuple[str, int, tarfile.TarInfo]]:
    names, total = _Names(most_files), 0
    for member in archive:
        if member.isdir():
            if member.name.strip("./"):
                safe_name(member.name)
            continue
        if not member.isreg() or member.issparse():
            raise DataError(f"member {member.name!r} is a link, a device or a file with holes; only plain files are unpacked")
        name, total = names.add(member.name), total + member.size
        try:
            tarfile.data_filter(member, str(into))
        except tarfile.FilterError as error:
            raise DataError(f"member {member.name!r} is refused: {error}") from None
        if total > most_bytes:
            raise DataError(f"unpacks to more than {most_bytes:,} bytes (reached at member {member.name!r})")
        yield name, member.size, member
    while archive.fileobj.read(BLOCK):  # to the end of the compressed stream, where its sum stands
        pass


@contextmanager
def _opened(path: Path, into: Path, most_bytes: int, most_files: int) -> Iterator[Iterator[tuple[str, int, Callable[[], IO[bytes]]]]]:
    """Members of an archive as (name, size, a call that opens it); a fault met anywhere inside becomes a DataError that names the file."""
    try:
        with path.open("rb") as stream:
            start = stream.read(6)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with zipfile.ZipFile(path) as archive:
                listed = list(_zip_members(archive, most_bytes, most_files))  # all names and sizes are checked before a byte is written
                yield ((name, size, partial(archive.open, member)) for name, size, member in listed if not name.startswith(_FORKS))
        else:
            opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), open)
            allowed = most_bytes + (most_files + 1) * 4096  # contents, and the headers and padding between them
            with opener(path, "rb") as stream, tarfile.open(fileobj=_Forward(stream, allowed), mode="r:") as archive:
                members = _tar_members(archive, into, most_bytes, most_files)
                yield ((name, size, partial(archive.extractfile, member)) for name, size, member in members if not name.startswith(_FORKS))
    except DataError as error:
        raise DataError(f"{path}: {error}. Nothing was unpacked.") from None
    except _BROKEN as error:
        if getattr(error, "errno", None):
            raise DataError(f"{path} cannot be unpacked: {error}. Nothing was unpacked.") from None
        raise DataError(f"{path} must be a whole zip or tar archive; found {type(error).__name__}: {error}. "
                        "Nothing was unpacked: obtain it again.") from None


def _copy(source: IO[bytes], target: Path, name: str, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with source, target.open("xb") as stream:
        while block := source.read(BLOCK):
            written += len(block)
            if written > size:
                break
            stream.write(block)
    if written != size:
        raise DataError(f"member {name!r} must hold {size:,} bytes, as the archive states; found {'more' if written > size else f'{written:,}'}")


def unpacked(path: Path, into: Path, most_bytes: int, most_files: int) -> bool:
    """Whether every member of the archive already lies below ``into``, with its size. Raises as :func:`unpack` does."""
    with _opened(Path(path), Path(into), most_bytes, most_files) as members:
        return all((found := Path(into) / name).is_file() and found.stat().st_size == size for name, size, _ in members)


def unpack(path: Path, into: Path, most_bytes: int, most_files: int) -> list[Path]:
    """Unpack an archive below the folder ``into``: checked whole, written beside, then renamed into place.

    A file that is there already with the same content stays; with other content it is never overwritten. The resource forks that macOS
    adds (``__MACOSX/``) are left out.

    Parameters
    ----------
    path : zip, tar, tar.gz, tar.bz2 or tar.xz, told by its content.
    into : folder, made where it is absent.
    most_bytes, most_files : bounds on all contents together, both as stated by the archive and as written.

    Returns
    -------
    list of Path
        The files, in the order of the archive.

    Raises
    ------
    DataError
        For a name that leaves the folder, a link or device, an encrypted member, two names that differ only in case, too many files or
        bytes, a broken archive, or another file in the place of a member; the member is named and no file is left behind.
    """
    path, into = Path(path), Path(into)
    into.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=into))
    try:
        with _opened(path, into, most_bytes, most_files) as members:
            names = []
            for name, size, opened in members:
                _copy(opened(), scratch / name, name, size)
                names.append(name)
            _check_room(into, scratch, names)
        for name in names:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(scratch / name, into / name)
        return [into / name for name in names]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_room(into: Path, scratch: Path, names: list[str]) -> None:
    """Refuse to write through a link that leads out of the folder, or over anything that is there with other content."""
    for folder in {into / above for name in names for above in PurePosixPath(name).parents}:
        if os.path.lexists(folder) and not (folder.is_dir() and folder.resolve().is_relative_to(into.resolve())):
            raise DataError(f"{folder} must be a folder inside {into}; found a file, or a link that leads elsewhere. Move it away")
    other = [name for name in names if os.path.lexists(into / name)
             and not ((into / name).is_file() and filecmp.cmp(scratch / name, into / name, shallow=False))]
    if other:
        raise DataError(f"member {other[0]!r} lies already in {into} with other content ({len(other):,} of {len(names):,} members do). Move what is there away")
