"""Fetching, against a real server on this machine that misbehaves in every way we could think of."""

from __future__ import annotations

import io
import zipfile
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from edukit.data import fetch
from edukit.data.card import Card
from edukit.data.fetch import describe, how_to_obtain, obtain, plan, raw_root
from edukit.data.loader import data_root, find_raw
from edukit.schema import DataError

CONTENT = bytes(range(256)) * 2_000  # what the server gives
NAME = "school/log.csv"
PAGE = {"license": "for teaching only", "citeAs": "Somebody (2001)", "url": "https://example.org/about"}


def wanted(place: Path, *parts: dict, variant: str = "") -> fetch.Plan:
    return plan(Card("school", PAGE | {"distribution": list(parts)}, {}), variant, place)


def below(place: Path) -> list[str]:
    return sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())


def test_a_file_arrives_whole_and_a_second_run_asks_nothing(server, tmp_path):
    first = wanted(tmp_path, server.said())
    assert "512.0 kB" in describe(first) and "for teaching only" in describe(first) and "Somebody (2001)" in describe(first)
    obtain(first)
    assert below(tmp_path) == [NAME] and (tmp_path / NAME).read_bytes() == CONTENT and server.asked == [("/log.csv", None)]
    again = wanted(tmp_path, server.said())
    obtain(again)
    assert again.to_fetch == [] and "1 of 1 files" in describe(again) and len(server.asked) == 1


def test_a_dropped_connection_is_gone_on_with(server, tmp_path):
    server.drops = (1, 2)
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and below(tmp_path) == [NAME]
    assert [asked for _, asked in server.asked] == [None, "bytes=204800-", "bytes=409600-"]


def test_without_range_the_file_is_asked_for_from_its_start(server, tmp_path):
    server.drops, server.ranges = (1, 2), False
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and len(server.asked) == 3


def test_another_run_goes_on_from_what_an_interrupted_one_left(server, tmp_path):
    server.drops, server.drops_after, server.ranges = ("always",), 4_096, False
    with pytest.raises(DataError, match=r"must give 512,000 bytes; found 4,096, and 5 times in a row nothing more .*run the command again") as error:
        obtain(wanted(tmp_path, server.said()))
    assert server.url in str(error.value) and below(tmp_path) == [NAME + ".part"] and len(server.asked) == 5
    server.drops, server.ranges = (), True
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and server.asked[-1][1] == "bytes=4096-" and below(tmp_path) == [NAME]


def test_slow_progress_is_progress_however_often_it_is_cut(server, tmp_path):
    server.drops, server.drops_after = tuple(range(1, 12)), 45_056
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and len(server.asked) == 12


def test_an_interruption_leaves_the_part_and_nothing_else(server, tmp_path, monkeypatch):
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    server.drops = (1,)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetch, "time", SimpleNamespace(sleep=interrupted))
        obtain(wanted(tmp_path, server.said()))
    assert below(tmp_path) == [NAME + ".part"]
    obtain(wanted(tmp_path, server.said()))
    assert below(tmp_path) == [NAME] and (tmp_path / NAME).read_bytes() == CONTENT and server.asked[-1][1] == "bytes=204800-"


def test_a_file_without_a_stated_length_that_is_cut_is_gone_on_with(server, tmp_path):
    server.drops, server.length = (1,), False
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and len(server.asked) == 2


def test_a_wrong_sum_keeps_nothing(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(DataError, match="must give a file with sha256") as error:
        obtain(wanted(tmp_path, server.said()))
    assert below(tmp_path) == [] and server.url in str(error.value)
    (tmp_path / NAME).with_name("log.csv.part").write_bytes(b"stale" * 1_000)
    server.content = CONTENT
    with pytest.raises(DataError, match="found another of the same size"):
        obtain(wanted(tmp_path, server.said()))
    assert below(tmp_path) == [], "a part that does not fit is forgotten"
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("content", [CONTENT + b"x", CONTENT * 3, b"<html>please log in</html>"])
def test_a_wrong_size_keeps_nothing(server, tmp_path, content, length):
    server.content, server.length = content, length
    with pytest.raises(DataError, match="must give 512,000 bytes") as error:
        obtain(wanted(tmp_path, server.said()))
    assert server.url in str(error.value) and NAME not in below(tmp_path)
    assert below(tmp_path) == ([] if length or len(content) > len(CONTENT) else [NAME + ".part"])


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (401, 1), (410, 1), (451, 1), (500, 5), (503, 5), (429, 5)])
def test_a_refusal_is_one_clear_error(server, tmp_path, status, requests):
    server.status = {"always": status}
    with pytest.raises(DataError, match=f"{server.url}/log.csv must give .*HTTP status {status}") as error:
        obtain(wanted(tmp_path, server.said()))
    assert below(tmp_path) == [] and len(server.asked) == requests and ("edukit data card" in str(error.value) or requests == 5)


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.status = {1: 503, 2: 429}
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and len(server.asked) == 3


@pytest.mark.parametrize("trouble", [416, "shift"])
def test_a_server_that_does_not_go_on_is_asked_anew(server, tmp_path, trouble):
    (tmp_path / "school").mkdir()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:1_000])
    server.status, server.shift = ({1: 416}, 0) if trouble == 416 else ({}, 7)
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and [asked for _, asked in server.asked] == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_forgotten(server, tmp_path):
    (tmp_path / "school").mkdir()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT * 2)
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and server.asked == [("/log.csv", None)]


def test_redirects_are_followed_within_reason(server, tmp_path):
    server.redirects = {"/log.csv": "/there", "/there": f"{server.url}/end"}
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT and [path for path, _ in server.asked] == ["/log.csv", "/there", "/end"]
    for away, words in (("/log.csv", "TooManyRedirects"), ("file:///etc/passwd", "InvalidSchema")):
        server.redirects = {"/log.csv": away}
        with pytest.raises(DataError, match=f"cannot be read: {words}"):
            obtain(wanted(tmp_path / words, server.said()))
        assert below(tmp_path / words) == []


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(server, tmp_path, monkeypatch):
    server.slow = 0.05
    obtain(wanted(tmp_path, server.said()))
    assert (tmp_path / NAME).read_bytes() == CONTENT
    server.slow = 0.6
    monkeypatch.setattr(fetch, "TIMEOUT", (1.0, 0.1))
    monkeypatch.setattr(fetch, "TRIES", 2)
    server.ranges = False
    with pytest.raises(DataError, match="2 times in a row nothing more .*timed out"):
        obtain(wanted(tmp_path / "silent", server.said()))
    assert below(tmp_path / "silent") == [NAME + ".part"]


def test_nobody_listens(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TRIES", 2)
    with pytest.raises(DataError, match="must give 512,000 bytes; found 0"):
        obtain(wanted(tmp_path, server.said(contentUrl="http://127.0.0.1:9/log.csv")))


@pytest.mark.parametrize("name", ["../out.csv", "school/../../out.csv", "/tmp/out.csv", "C:/out.csv", "school\\out.csv", "out.csv"])
def test_a_path_that_leaves_the_folder_is_refused(server, tmp_path, name):
    with pytest.raises(DataError, match="must be a path below the folder EDUKIT_DATA"):
        wanted(tmp_path / "raw", server.said(name))
    with pytest.raises(DataError, match="must be a path below"):
        wanted(tmp_path / "raw", {"@type": "cr:FileSet", "@id": "school/x", "name": "school/x", "description": "x", "encodingFormat": "x",
                                  "includes": [name], "access": "login"})
    assert server.asked == [] and below(tmp_path) == []


def test_a_full_disk_is_seen_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda place: namedtuple("usage", "free")(500_000))
    with pytest.raises(DataError, match="needs 512.0 kB below .*; found 500.0 kB free"):
        obtain(wanted(tmp_path / "raw", server.said()))
    assert server.asked == [] and below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "school").write_text("a file where the folder must be")
    with pytest.raises(DataError, match="school/log.csv cannot be written"):
        obtain(wanted(tmp_path, server.said()))


def test_only_what_is_wrong_is_fetched_and_only_for_the_variant(server, tmp_path):
    (tmp_path / "school").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "school/b.csv").write_bytes(b"spoilt")
    parts = [server.said(), server.said("school/b.csv", variant=["x", "y"]), server.said("school/c.csv", variant="z")]
    chosen = wanted(tmp_path, *parts, variant="y")
    assert [file.name for file in chosen.to_fetch] == ["school/b.csv"] and "replaces a file with another sum" in describe(chosen)
    obtain(chosen)
    assert below(tmp_path) == ["school/b.csv", NAME] and len(server.asked) == 1 and (tmp_path / "school/b.csv").read_bytes() == CONTENT
    assert len(wanted(tmp_path, *parts).files) == 3


def test_what_a_person_has_to_obtain_is_said_in_full_and_checked(server, tmp_path):
    asked_for = server.said("school/full.csv", access="login", contentUrl="https://example.org/after-login/", description="the whole log")
    rewritten = server.said("school/rewritten.csv", access="converted", description="made from full.csv")
    unknown = {"@type": "cr:FileSet", "@id": "school/years.zip", "name": "school/years.zip", "description": "the file years.zip, of the author",
               "encodingFormat": "application/zip", "includes": ["school/years/*.csv"], "access": "form"}
    first = wanted(tmp_path, asked_for, rewritten, unknown)
    told = how_to_obtain(first)
    assert len(first.to_ask) == 3 and first.to_fetch == [] and "needs 3 files that cannot be fetched" in told
    for words in ("the whole log", "https://example.org/after-login/", "sign in", str(tmp_path / "school/full.csv"), "rewrite", "made from full.csv",
                  "the file years.zip, of the author", PAGE["url"], "form", str(tmp_path / "school/years.zip")):
        assert words in told
    obtain(first)
    assert server.asked == [] and below(tmp_path) == []
    (tmp_path / "school/years").mkdir(parents=True)
    for name in ("full.csv", "rewritten.csv", "years/2001.csv"):
        (tmp_path / "school" / name).write_text("another")
    second = wanted(tmp_path, asked_for, rewritten, unknown)
    assert [file.name for file in second.to_ask] == ["school/full.csv"], "a file converted by hand may differ, and a set has no sum"
    assert "another file there: wanted 512000 B" in how_to_obtain(second) and "school/rewritten.csv is not our copy" in describe(second)
    (tmp_path / "school/full.csv").write_bytes(CONTENT)
    assert wanted(tmp_path, asked_for, rewritten, unknown).to_ask == []


def test_an_archive_is_unpacked_where_it_lies(server, tmp_path):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("years/2001.csv", "a,b\n")
    server.content = held.getvalue()
    part = server.said("school/years.zip", held.getvalue(), unpack=True)
    inside = {"@type": "cr:FileSet", "@id": "years", "name": "years", "includes": "years/*.csv", "containedIn": {"@id": "school/years.zip"}}
    obtain(wanted(tmp_path, part, inside))
    assert below(tmp_path) == ["school/years.zip", "school/years/2001.csv"]
    (tmp_path / "school/years/2001.csv").unlink()
    obtain(wanted(tmp_path, part, inside))
    assert (tmp_path / "school/years/2001.csv").read_text() == "a,b\n" and len(server.asked) == 1
    server.content = server.content.replace(b"years/2001.csv", b"../s/2001.csv.")
    with pytest.raises(DataError, match="must stay below its folder"):
        obtain(wanted(tmp_path / "evil", server.said("school/years.zip", server.content, unpack=True)))
    assert below(tmp_path / "evil") == ["school/years.zip"]


def test_fetched_files_are_found_without_edukit_data(tmp_path, monkeypatch):
    monkeypatch.delenv("EDUKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = raw_root()
    assert data_root() is None and raw_root(str(tmp_path / "x")) == tmp_path / "x"
    (place / "school").mkdir(parents=True)
    (place / NAME).write_text("x")
    assert data_root() == place and find_raw("school", "school", None, ("log.csv",)) == place / "school"
    monkeypatch.setenv("EDUKIT_DATA", str(tmp_path / "own"))
    assert raw_root() == data_root() == tmp_path / "own"
