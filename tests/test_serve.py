"""A real server and a real browser: a stranger's file becomes a map, faults are told in words, and nothing half-written is left."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest

from edukit import serve_data
from edukit.serve_store import Store

ATTACK = "<script>alert(1)</script>"
THEMES = ["Zählen", "Addieren", ATTACK, "=cmd()"]
PATIENCE = 240  # seconds a busy machine may take for one map


def answers(learners: int = 26) -> pd.DataFrame:
    """What a stranger exports: other names for the columns, another language, some blank cells; a row for each answer."""
    rng, rows = np.random.default_rng(5), []
    for child in range(learners):
        able = rng.normal()
        for level, theme in enumerate(THEMES):
            for question in range(3):
                right = rng.random() < 1 / (1 + np.exp(level - 1.3 - able))
                mark = "" if rng.random() < 0.04 else "richtig" if right else "falsch"
                rows.append([ATTACK if child == 0 else f"S{child:02d}", "7b" if child % 2 else "=7a", theme, f"{level}.{question}", mark, "Fenster"])
    return pd.DataFrame(rows, columns=["Kind", "Lerngruppe", "Thema", "Aufgabe", "Ergebnis", "Sitzplatz"])


MEANINGS = ["learner_id", "class_id", "concept_id", "item_id", "correct", ""]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return answers()


@pytest.fixture(scope="module")
def dropped(table) -> bytes:
    return table.to_csv(sep=";", index=False).encode("cp1252")


def started(outputs: Path) -> tuple[subprocess.Popen, str, str]:
    words = [sys.executable, "-m", "edukit.cli", "serve", "--port", "0", "--set", "tracing=logistic", "--set", "tracing@unordered=irt_static",
             "--set", "draws=20", "--set", "posterior.draws=20", "--set", "posterior.burn=20"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "EDUKIT_OUTPUTS": str(outputs)})
    found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=[\w-]{16,}", process.stdout.readline())  # type: ignore[union-attr]
    assert found is not None
    process.stdout.close()  # type: ignore[union-attr]
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.HTTPCookieProcessor()))  # keeps the cookie, as a browser does
    for _ in range(200):  # the address is told when the port is taken; the first answer comes a little later
        try:
            urlopen(found[0], timeout=5).close()
            return process, found[1], found[0]
        except HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, Path, subprocess.Popen, str]]:
    """Its address, its folder, its process and the address that it told, with the token; the last test kills it."""
    outputs = tmp_path_factory.mktemp("served")
    process, address, start = started(outputs)
    yield address, outputs / "serve", process, start
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, -signal.SIGINT, 130)


def ask(address: str, method: str, path: str, body: bytes | dict | list | None = None) -> dict:
    """What the server answers to the start page's request."""
    content = json.dumps(body).encode() if isinstance(body, dict | list) else body
    kind = "application/json" if isinstance(body, dict | list) else "application/octet-stream"
    with urlopen(Request(address + path, content, {"Content-Type": kind}, method=method), timeout=60) as answer:
        return json.loads(answer.read())


def refused(address: str, method: str, path: str, body: bytes | dict | None = None) -> tuple[int, str]:
    with pytest.raises(HTTPError) as told:
        ask(address, method, path, body)
    return told.value.code, told.value.read().decode()


def graph(*pairs: tuple[str, str]) -> dict:
    """A graph file as the page of a map sends it."""
    return {"edukit_graph": 1, "concepts": [{"concept_id": c, "name": c} for c in THEMES], "history": [],
            "prerequisites": [{"concept_id": c, "requires_id": r, "source": "me", "weight": 1.0, "rationale": "seen in class"} for c, r in pairs]}


def rows_of(address: str, path: str) -> list[dict[str, str]]:
    with urlopen(address + path, timeout=30) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode("utf-8-sig"), newline="")))


def whole(share: float) -> int:
    return int(np.floor(100 * share + 0.5))


# ---- in a browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as begun:
        opened = begun.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, server):
    """A page that may ask this server only; whatever else it asks, runs or says wrong is a fault."""
    faults: list[str] = []
    context = browser.new_context(accept_downloads=True)
    context.route("**/*", lambda route: route.continue_() if route.request.url.startswith(server[0]) else (faults.append(route.request.url), route.abort()))
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(server[3])
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert faults == []


def drop(page, name: str, content: bytes) -> None:
    """Drop a file on the page as a person does."""
    page.evaluate("""([name, bytes]) => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)], name));
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })); }""",
                  [name, list(content)])


@pytest.mark.browser
def test_a_strangers_csv_becomes_a_map(page, server, dropped, table):
    address, folder, *_ = server
    drop(page, "../../Klasse 7.csv", dropped)
    page.wait_for_selector("#columns tbody tr")
    assert page.locator("#file-name").inner_text() == "Klasse 7.csv"
    assert page.locator("#columns tbody tr").first.locator("td").all_inner_texts() == table.iloc[0].tolist()
    selects = page.locator("#columns thead select")
    assert [selects.nth(i).input_value() for i in range(6)] == MEANINGS  # known by their German names
    selects.first.select_option("")
    page.click("#confirm")
    page.wait_for_selector("#fault:not([hidden])")
    assert "one column must hold the learner; found none" in page.locator("#fault").inner_text()
    selects.first.select_option(MEANINGS[0])
    page.click("#confirm")
    page.wait_for_selector("#step-graph:not([hidden])")
    blank = int((table["Ergebnis"] == "").sum())
    assert f"{blank} rows without a mark were left out" in page.locator("#known-notes").inner_text()
    assert "prior knowledge cannot be judged" in page.locator("#graph-none").inner_text()
    page.check("input[name=graph][value=draw]")
    for concept, requires in (("Addieren", "Zählen"), (ATTACK, "Addieren")):
        page.select_option("#edge-concept", concept)
        page.select_option("#edge-requires", requires)
        page.fill("#edge-why", f"weil {requires} zuerst kommt")
        page.click("#edge-add")
    page.click("#edges-use")
    page.locator("#graph-words", has_text="2 prerequisites are used").wait_for()
    page.click("#make")
    page.wait_for_selector("#made:not([hidden])", timeout=PATIENCE * 1000)
    project = page.url.split("#")[1]
    cells = rows_of(address, f"/maps/{project}-1/files/gap_map.csv")
    names = {row["pseudonym"]: row["name"] for row in rows_of(address, f"/projects/{project}/names.csv")}
    assert {names.get(row["class_id"], "all") for row in cells} == {"all", "'=7a", "7b"} and ATTACK in names.values()
    page.click("#open-map")
    page.wait_for_selector("html[data-ready]")
    labels = page.locator("#matrix tbody .cell").evaluate_all("cells => cells.map(cell => cell.getAttribute('aria-label'))")
    shown = [cell for cell in cells if cell["state"] == "estimated" and cell["class_id"] != "all"]
    assert len(shown) == 8
    for cell in shown:
        start = f"{cell['concept_id'].removeprefix(chr(39))}, {cell['class_id']}: mastery {whole(float(cell['mastery']))} %"
        assert any(label.startswith(start) for label in labels), (start, labels)
    assert page.locator("#graph path[marker-end]").count() == 2
    modes = [oct(place.stat().st_mode)[-3:] for place in (folder, folder / project, folder / project / "upload.csv", folder / project / "responses.csv")]
    assert modes == ["700", "700", "600", "600"]

    page.locator("#editing > summary").click()
    page.select_option("#edit-from", label="Zählen")
    page.select_option("#edit-to", label=ATTACK)
    page.fill("#edit-reason", "auch das")
    page.click("#edit-do")
    page.click("#refit")  # the page of the new map waits until it is there
    page.wait_for_url(f"**/maps/{project}-2")
    page.locator("html[data-ready]").wait_for(state="attached", timeout=PATIENCE * 1000)
    assert page.locator("#graph path[marker-end]").count() == 3 and page.locator("#edits li").count() == 0
    first = f"/maps/{project}-1"
    with urlopen(f"{address}{first}/files/gap_map.html") as saved:  # the file to keep asks no server, and does not name this one's secret
        text = saved.read().decode()
    assert project not in text and "connect-src" not in text.split("<style>")[0]
    code, words = refused(address, "POST", f"{first}/refit", graph(("Zählen", "Addieren"), ("Addieren", "Zählen")))
    assert code == 422 and words.startswith("the graph must have no fault; found cycle")
    assert refused(address, "POST", f"{first}/refit", b"[[[")[0] == 422
    found = ask(address, "GET", f"/projects/{project}")
    assert found["maps"] == [f"{project}-2", f"{project}-1"] and len(found["edges"]) == 3
    assert ask(address, "GET", f"{first}/about")["graph"] is True
    assert ask(address, "DELETE", f"/projects/{project}") == {"deleted": True}
    assert not (folder / project).exists() and refused(address, "GET", first)[0] == 404


BROKEN = [("torn.csv", b'learner_id,item_id,correct\nann,q1,1\nbob,"q2,1\n', "torn.csv must be a table with as many cells in every row"),
          ("book.xlsx", b"PK\x03\x04 no workbook", "book.xlsx must be an Excel workbook"),
          ("empty.csv", b"", "found an empty file"),
          ("picture.png", b"\x89PNG", "found 'picture.png'")]


@pytest.mark.browser
def test_a_broken_file_is_told_in_words(page, server):
    for name, content, words in BROKEN:  # one after another, as a person tries them
        drop(page, name, content)
        page.locator("#fault:not([hidden])", has_text=words).wait_for()
        told = page.locator("#fault").inner_text()
        assert "Traceback" not in told and str(server[1]) not in told
        assert page.locator("#step-columns").is_hidden()


# ---- the steps ---------------------------------------------------------------------------------------


def test_a_workbook_with_a_row_for_each_learner_is_understood(server, table, tmp_path):
    address, *_ = server
    marked = table.assign(Lerngruppe=table["Lerngruppe"].str.strip("="), frage="F" + table["Aufgabe"])
    marked["zahl"] = marked["Ergebnis"].map({"richtig": "1", "falsch": "0"})
    wide = marked.pivot(index=["Kind", "Lerngruppe"], columns="frage", values="zahl").reset_index().assign(Bemerkung="nett")
    wide.to_excel(tmp_path / "w.xlsx", index=False, sheet_name="Mai")
    looked = ask(address, "POST", "/projects?name=w.xlsx", (tmp_path / "w.xlsx").read_bytes())
    place = f"/projects/{looked['id']}"
    assert looked["sheets"] == ["Mai"] and [c["name"] for c in looked["columns"]] == list(wide.columns)
    meanings = ["learner_id", "class_id", *["item"] * 12, ""]
    assert ask(address, "POST", f"{place}/look", {"kind": "matrix"})["meanings"].keys() >= set(meanings) - {""}
    known = ask(address, "PUT", f"{place}/columns", {"kind": "matrix", "meanings": meanings, "sheet": "Mai"})
    assert {name for name, there in known["allows"].items() if there} == {"classes", "q_matrix"}
    assert {c["id"]: c["right"] for c in known["concepts"]} == pytest.approx(wide.filter(like="F").astype(float).mean().round(4).to_dict())
    q = "item;concept\n" + "\n".join(f"F{level}.{k};{theme}" for level, theme in enumerate(THEMES) for k in range(3))
    assert "must name a concept for every item" in refused(address, "PUT", f"{place}/q_matrix?name=q.csv", q.rsplit("\n", 1)[0].encode())[1]
    known = ask(address, "PUT", f"{place}/q_matrix?name=q.csv", q.encode())
    assert refused(address, "PUT", f"{place}/q_matrix?name=q.csv", q.rsplit("\n", 1)[0].encode())[0] == 422  # the one that fits stays
    assert {c["name"]: c["items"] for c in known["concepts"]} == dict.fromkeys(THEMES, 3)
    given = "concept,requires\nAddieren,Zählen\n=cmd(),Addieren\n"
    taken = ask(address, "PUT", f"{place}/graph?name=g.csv", given.encode())
    assert [(edge["concept_id"], edge["requires_id"]) for edge in taken["edges"]] == [("=cmd()", "Addieren"), ("Addieren", "Zählen")]
    assert "found cycle" in refused(address, "PUT", f"{place}/graph?name=g.csv", (given + "Zählen,=cmd()\n").encode())[1]
    strange = [{"concept_id": "Addieren", "requires_id": "Zählen", "rationale": "so", "weight": "abc"}]
    assert "must be a number; found 'abc'" in refused(address, "PUT", f"{place}/edges", {"edges": strange})[1]
    found = ask(address, "GET", place)
    assert len(found["edges"]) == 2 and found["sheet"] == "Mai" and len(list((server[1] / looked["id"]).glob("q_matrix*"))) == 1


def test_killed_during_a_job_nothing_half_written_is_left(server, dropped):
    address, folder, process, _ = server
    project = ask(address, "POST", "/projects?name=a.csv", dropped)["id"]
    ask(address, "PUT", f"/projects/{project}/columns", {"kind": "rows", "meanings": MEANINGS})
    map_id = ask(address, "POST", f"/projects/{project}/map")["map"]
    for _ in range(PATIENCE * 10):
        if ask(address, "GET", f"/maps/{map_id}/progress")["lines"]:
            break
        time.sleep(0.1)
    running = [p for p in Path("/proc").iterdir() if p.name.isdecimal()] if Path("/proc").is_dir() else []
    jobs = [p for p in running if project.encode() in _words(p, "environ")]
    assert not any(project.encode() in _words(p, "cmdline") for p in running)  # every account can read these
    process.kill()
    process.wait(10)
    for _ in range(900):
        if not any(project.encode() in _words(job, "environ") for job in jobs):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the job outlived its server")
    place, store = folder / project, Store(folder)
    with store.held():  # the killed server holds it no more
        assert store.tidy(mend=True) == [] and store.map(map_id) is None
    assert not list(place.rglob("gap_map.html")) and not list(place.rglob(".*"))
    assert serve_data.source_of(store.project(project)).tables()[0]["interactions"]["correct"].notna().all()  # type: ignore[arg-type]


def _words(process: Path, name: str) -> bytes:
    try:
        return (process / name).read_bytes()
    except OSError:
        return b""
