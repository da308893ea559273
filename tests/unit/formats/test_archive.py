"""Archives from strangers: what is honest arrives whole, what is not writes nothing."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edukit.formats.archive import safe_name, unpack, unpacked
from edukit.schema import DataError

MOST = (1_000_000, 100)


def zipped(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **options)
    return path


def tarred(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def entry(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def made(kind: str, path: Path, members: dict[str, bytes]) -> Path:
    return zipped(path, members) if kind == "zip" else tarred(path, members, {"tar": "w", "gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}[kind])


def refused(path: Path, words: str, most_bytes: int = MOST[0], most_files: int = MOST[1]) -> str:
    into = path.parent / "into"
    into.mkdir(exist_ok=True)
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=words) as error:
        unpack(path, into, most_bytes, most_files)
    assert {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} == before, "something was written"
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
def test_what_was_packed_arrives(tmp_path, kind):
    members = {"a/deep/er.csv": b"x" * 70_000, "a/empty.csv": b"", "b c/\u00e9 \u6570.txt": b"1\n" * 512, "block.bin": bytes(range(256)) * 8, "last.csv": b"z"}
    path = made(kind, tmp_path / "packed", members | {"__MACOSX/a/._er.csv": b"fork"})
    into = tmp_path / "new" / "into"
    assert not unpacked(path, into, *MOST)
    assert unpack(path, into, *MOST) == [into / name for name in members] and unpacked(path, into, *MOST)
    assert {str(p.relative_to(into)): p.read_bytes() for p in into.rglob("*") if p.is_file()} == members
    assert unpack(path, into, *MOST) and len(list(into.iterdir())) == 4, "a second time changes nothing, and nothing is left beside"


@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize("name", ["../o.csv", "a/../../o.csv", "/etc/o.csv", "C:/o.csv", "c:o.csv", "..\\o.csv", "\\\\server\\o.csv", "a\nb", "a//b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, kind, name):
    assert repr(name) in refused(made(kind, tmp_path / "packed", {"good.csv": b"1", name: b"2"}), "must stay below its folder")


def test_links_and_devices_are_refused(tmp_path):
    for number, info in enumerate((entry("l", tarfile.SYMTYPE, "/etc/passwd"), entry("l", tarfile.SYMTYPE, "good"), entry("l", tarfile.LNKTYPE, "good"),
                                   entry("l", tarfile.CHRTYPE), entry("l", tarfile.BLKTYPE), entry("l", tarfile.FIFOTYPE))):
        assert "'l'" in refused(tarred(tmp_path / f"{number}.tar", {"good": b"1", "l": info}), "only plain files")
    link = zipfile.ZipInfo("l")
    link.external_attr = 0o120777 << 16
    assert "'l'" in refused(zipped(tmp_path / "l.zip", {"good": b"1", link: b"/etc/passwd"}), "a link or a device")


@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize("names", [("a.csv", "A.csv"), ("a.csv", "a.csv"), ("a", "a/b"), ("a/b", "A"), ("\u00e9.csv", "e\u0301.csv"), ("SS", "\u00df")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_in_one_place_are_refused(tmp_path, kind, names):
    path = tmp_path / "packed"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, name)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
    refused(path, "differ by more than case")


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "xz"])
def test_too_many_files_or_bytes_are_refused(tmp_path, kind):
    path = made(kind, tmp_path / "packed", {f"{i}": b"0" * 1000 for i in range(20)})
    refused(path, "holds more than 19 files", most_files=19)
    refused(path, "unpacks to more than 19,999 bytes", most_bytes=19_999)
    assert len(unpack(path, tmp_path / "into", 20_000, 20)) == 20


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2"])
def test_a_bomb_is_refused(tmp_path, kind):
    path = made(kind, tmp_path / "packed", {"bomb": bytes(30_000_000)})
    assert path.stat().st_size < 40_000
    refused(path, "unpacks to more than 1,000,000 bytes")


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path):
    path = zipped(tmp_path / "lie.zip", {"bomb": bytes(3_000_000)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 30)))
    refused(path, "must be a whole zip|as the archive states")


def test_a_tar_header_of_gigabytes_is_refused(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 * 10**9
    (tmp_path / "pax.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10_000))
    refused(tmp_path / "pax.tar", "at once; 16,777,216 is the most")


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "secret.zip", {"secret.csv": b"1,2,3"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # flag of the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and of the list of members
    path.write_bytes(bytes(content))
    assert "'secret.csv'" in refused(path, "is encrypted; ask the publisher")


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz", "tar"])
def test_a_broken_archive_is_refused(tmp_path, kind):
    path = made(kind, tmp_path / "packed", {"a": os.urandom(30_000), "b": os.urandom(30_000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "must be a whole zip or tar archive.*obtain it again")
    spoilt = bytearray(whole)
    spoilt[700:900] = bytes(200)
    path.write_bytes(bytes(spoilt))
    if kind != "tar":  # which has no sum of its contents: the SHA-256 of the card is what guards it
        refused(path, "must be a whole zip or tar archive")
    for content in (b"", b"<html>please log in</html>"):
        path.write_bytes(content)
        refused(path, "must be a whole zip or tar archive")


def test_what_is_there_is_never_overwritten_with_other_content(tmp_path):
    path, into = zipped(tmp_path / "packed", {"a/one.csv": b"1", "two.csv": b"2"}), tmp_path / "into"
    into.mkdir()
    (into / "two.csv").write_text("mine")
    assert "'two.csv'" in refused(path, "lies already in .* with other content")
    (into / "two.csv").unlink()
    (into / "a").write_text("a file where a folder must be")
    refused(path, "must be a folder inside")
    (into / "a").unlink()
    (tmp_path / "elsewhere").mkdir()
    (into / "a").symlink_to(tmp_path / "elsewhere")
    refused(path, "a link that leads elsewhere")
    (into / "a").unlink()
    assert len(unpack(path, into, *MOST)) == 2


def test_the_mode_and_the_owner_of_the_archive_are_not_taken(tmp_path):
    info = tarfile.TarInfo("run.sh")
    info.mode, info.uid = 0o6777, 12345
    unpack(tarred(tmp_path / "m.tar", {"run.sh": info}), tmp_path / "into", *MOST)
    found = (tmp_path / "into" / "run.sh").stat()
    assert found.st_mode & 0o7111 == 0 and found.st_uid == os.getuid()


@given(st.text(alphabet=st.sampled_from("ab./\\: \u00e9\x00C"), max_size=12))
def test_a_safe_name_stays_below(name):
    try:
        safe = safe_name(name)
    except DataError:
        return
    place = Path("/top/of")
    assert Path(os.path.normpath(place / safe)).is_relative_to(place) and safe == safe_name(safe) and "\\" not in safe and safe
