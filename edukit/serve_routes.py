"""What the start page asks for, one request a step: the file, what its columns hold, the graph, the map, its progress, its files."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from jinja2 import Environment, Template

from edukit import serve_data, serve_graphs, serve_map
from edukit.evaluation.run_report import RunReport
from edukit.report.gap_page import write_csv
from edukit.reproducibility import replacing
from edukit.schema import DataError
from edukit.serve_jobs import Job, JobQueue
from edukit.serve_store import ENDINGS, GRAPH_ENDINGS, Project, Store, state_of

T = TypeVar("T")
Given = Annotated[T, Body(embed=True)]


@dataclass(frozen=True)
class Site:
    """What one server works with: its folders, its queue, its limits, and the finished run it was started with, if any."""

    store: Store
    jobs: JobQueue
    overrides: tuple[str, ...] = ()
    most_mb: float = 100.0
    run: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)  # nothing is begun while old files go

    def tidy(self, mend: bool = False) -> None:
        """Remove what is too old, and where the server begins what was left half made."""
        with self.lock:
            self.store.tidy({job.map_id.split("-")[0] for job in self.jobs.busy()}, mend)

    def new(self, name: str) -> Project:
        """A new project; what is too old goes first."""
        self.tidy()
        with self.lock:
            return self.store.new(name)

    def project(self, word: str) -> Project:
        """The project of an id; 404 where there is none."""
        found = self.store.project(word)
        if found is None:
            raise HTTPException(404, "there is no such file here: it was deleted, or the address is wrong")
        return found

    def idle(self, word: str) -> Project:
        """A project that no job works on now.

        Raises
        ------
        DataError
            Where a map of it is being made.
        """
        project = self.project(word)
        if any(job.map_id.startswith(project.id) for job in self.jobs.busy()):
            raise DataError("the file must not change while a map of it is being made; found one under way. Wait for it, or stop it.")
        return project

    def made(self, word: str) -> tuple[Project, Path]:
        """The project of a finished map, and the folder of its run; 404 where there is none."""
        found = self.store.map(word)
        state = state_of(found[1]) if found else {}
        if found is None or state.get("state") != "done":
            raise HTTPException(404, "there is no such map here: it is not finished, it was deleted, or the address is wrong")
        return found[0], found[1] / state["run"]

    def begin(self, project: Project) -> dict[str, Any]:
        """Put a map of what was confirmed and chosen into the queue."""
        with self.lock:
            map_id = project.new_map(overrides=list(self.overrides), data=asdict(serve_data.source_of(project)))
            job = self.jobs.add(Job(map_id, project.maps / map_id.split("-")[1], project.folder / "cache"))
        return {"map": map_id, "state": job.state, "location": f"/maps/{map_id}", "progress": f"/maps/{map_id}/progress"}


async def _received(request: Request, to: Path) -> None:
    """Write the body of a request into a file, whole or not at all; how much there may be is the guard's business."""
    with replacing(to) as fresh:
        with fresh.open("wb") as stream:
            async for part in request.stream():
                stream.write(part)
        if not fresh.stat().st_size:
            raise DataError("the file must hold rows; found an empty file (0 bytes).")


def _ending(name: str, known: Sequence[str]) -> str:
    ending = Path(name).suffix.lower()
    if ending not in known:
        raise DataError(f"the file must be one of {', '.join(known)}; found {name[:120]!r}. Save it as csv or xlsx and drop it again.")
    return ending


def _plain(error: Exception, project: Project) -> str:
    """An error in the words of the page: the folder of a project is nothing a person knows."""
    found = project.read()
    text = str(error).replace(str(project.folder / found.get("upload", "upload")), found["name"])
    return text.replace(f"{project.folder}/", "")


async def _told(project: Project, work: Callable[..., Any], *given: Any) -> Any:
    """What ``work`` returns, done beside the server; an error of the house names files as the person does."""
    try:
        return await run_in_threadpool(work, *given)
    except DataError as error:
        raise DataError(_plain(error, project)) from None


def _short(lines: Sequence[str], found: tuple[Project, Path] | None) -> list[str]:
    """Lines of progress without the folder of the project, which a person has no use for."""
    return [line.replace(f"{found[0].folder}/", "") for line in lines] if found else list(lines)


def _template(name: str) -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(files("edukit").joinpath(name).read_text(encoding="utf-8"))


def _file(folder: Path, name: str) -> FileResponse:
    """One of the files that a run lists in its report, to be saved."""
    if name not in RunReport.read(folder / "run_report.json").figures.values() or not (folder / name).is_file():
        raise HTTPException(404, "there is no such file of this map")
    return FileResponse(folder / name, filename=name.replace("_", "-"), headers={"content-security-policy": "default-src 'none'"})


def add_pages(app: FastAPI, site: Site) -> None:
    """The start page, its parts, and the run that the server was started with."""
    template = _template("serve_start.html.jinja")

    @app.get("/")
    def start() -> HTMLResponse:
        label = RunReport.read(site.run / "run_report.json").data["label"] if site.run else None
        return HTMLResponse(template.render(run=label, most_mb=f"{site.most_mb:g}", keep_days=f"{site.store.keep_days:g}",
                                            accepted=",".join(ENDINGS), graphs=",".join(GRAPH_ENDINGS)))

    @app.get("/start.{kind}")
    def part(kind: str) -> Response:
        kinds = {"js": "text/javascript", "css": "text/css"}
        if kind not in kinds:
            raise HTTPException(404, "there is no such page")
        return Response(files("edukit").joinpath(f"serve_start.{kind}").read_text(encoding="utf-8"), media_type=kinds[kind])

    @app.get("/run")
    def run() -> HTMLResponse:
        return serve_map.page(_given(site))

    @app.get("/run/learners")
    def run_learners() -> JSONResponse:
        return serve_map.learners(_given(site))

    @app.get("/run/files/{name}")
    def run_file(name: str) -> FileResponse:
        return _file(_given(site), name)


def _given(site: Site) -> Path:
    if site.run is None:
        raise HTTPException(404, "the server was not started with a run")
    return site.run


def add_steps(app: FastAPI, site: Site) -> None:
    """From the file to the graph."""

    @app.post("/projects")
    async def drop(request: Request, name: str) -> dict[str, Any]:
        ending = _ending(name, ENDINGS)
        project = await run_in_threadpool(site.new, name)
        try:
            await _received(request, project.folder / f"upload{ending}")
            project.note(upload=f"upload{ending}")
            return {"id": project.id, "name": project.read()["name"], **await _told(project, serve_data.look, project.folder / f"upload{ending}")}
        except BaseException:
            site.store.delete(project)
            raise

    @app.get("/projects/{word}")
    async def known(word: str) -> dict[str, Any]:
        project = site.project(word)
        found = project.read()
        made = sorted((int(p.name) for p in project.maps.glob("[0-9]*") if state_of(p)["state"] == "done"), reverse=True)
        going = [job.map_id for job in site.jobs.busy() if job.map_id.startswith(project.id)]
        return {"id": word, "name": found["name"], "known": found.get("known"), "confirmed": found.get("confirmed"), "meanings": found.get("meanings"),
                "sheet": found.get("sheet"), "edges": await _told(project, serve_graphs.edges_of, project),
                "maps": [f"{word}-{number}" for number in made], "going": going}

    @app.post("/projects/{word}/look")
    async def look(word: str, kind: Given[str] = "auto", sheet: Given[str | None] = None) -> dict[str, Any]:
        project = site.idle(word)
        return await _told(project, serve_data.look, project.folder / project.read()["upload"], kind, sheet)

    @app.put("/projects/{word}/columns")
    async def confirm(word: str, kind: Given[str], meanings: Given[list[str]], sheet: Given[str | None] = None) -> dict[str, Any]:
        project = site.idle(word)
        found = await _told(project, serve_data.confirm, project, kind, sheet, meanings)
        serve_graphs.drop(project)
        return found

    @app.put("/projects/{word}/q_matrix")
    async def q_matrix(request: Request, word: str, name: str) -> dict[str, Any]:
        project = site.idle(word)
        before, file = project.read().get("q_matrix"), f"q_matrix-{secrets.token_hex(4)}{_ending(name, GRAPH_ENDINGS[1:5])}"
        try:
            await _received(request, project.folder / file)
            found = await _told(project, serve_data.with_q_matrix, project, file)
        finally:
            for unused in {before, file} - {None, project.read().get("q_matrix")}:
                (project.folder / unused).unlink(missing_ok=True)
        serve_graphs.drop(project)
        return found

    @app.get("/projects/{word}/suggestion")
    async def suggestion(word: str) -> dict[str, Any]:
        project = site.project(word)
        return {"edges": await _told(project, lambda: serve_graphs.suggest(serve_graphs.concepts_of(project)))}

    @app.put("/projects/{word}/graph")
    async def graph(request: Request, word: str, name: str) -> dict[str, Any]:
        project = site.idle(word)
        given = project.folder / f"graph.given{_ending(name, GRAPH_ENDINGS)}"
        await _received(request, given)
        try:
            notes = await _told(project, serve_graphs.take_file, project, given)
        finally:
            given.unlink(missing_ok=True)
        return {"notes": notes, "edges": serve_graphs.edges_of(project)}

    @app.put("/projects/{word}/edges")
    async def edges(word: str, edges: Given[list[dict[str, Any]]]) -> dict[str, Any]:
        project = site.idle(word)
        notes = await _told(project, serve_graphs.take_edges, project, edges)
        return {"notes": notes, "edges": serve_graphs.edges_of(project)}

    @app.get("/projects/{word}/names.csv")
    async def names(word: str) -> FileResponse:
        project = site.project(word)
        table = await _told(project, serve_data.names, project)
        path = write_csv(table, project.folder / "names.csv")
        return FileResponse(path, filename="names.csv")

    @app.delete("/projects/{word}")
    async def delete(word: str) -> dict[str, bool]:
        project = site.project(word)
        for job in site.jobs.busy():
            if job.map_id.startswith(project.id):
                await run_in_threadpool(site.jobs.stop, job)
        await run_in_threadpool(site.store.delete, project)
        for map_id in [known for known in site.jobs.jobs if known.startswith(project.id)]:
            del site.jobs.jobs[map_id]
        return {"deleted": True}


def add_maps(app: FastAPI, site: Site) -> None:
    """Maps: begun, waited for, shown, saved, and made again with another graph."""
    waiting = _template("serve_wait.html.jinja")

    @app.post("/projects/{word}/map", status_code=202)
    def begin(word: str) -> dict[str, Any]:
        return site.begin(site.project(word))

    @app.get("/maps/{word}/progress")
    def progress(word: str) -> dict[str, Any]:
        job, found = site.jobs.jobs.get(word), site.store.map(word)
        if job is None and found is None:
            raise HTTPException(404, "there is no such map here")
        if job is None or job.state == "done":
            state = state_of(found[1]) if found else {"state": "deleted", "lines": []}
            return {"state": state["state"], "lines": _short(state.get("lines", []), found), "error": ""}
        ahead = sum(other.state in ("waiting", "running") for other in list(site.jobs.jobs.values())[:list(site.jobs.jobs).index(word)])
        project = site.store.project(word.split("-")[0])
        error = _plain(DataError(job.error), project) if project else job.error
        return {"state": job.state, "lines": _short(job.lines, found), "error": error, "ahead": ahead}

    @app.delete("/maps/{word}/progress")
    def stop(word: str) -> dict[str, Any]:
        if word in site.jobs.jobs:
            site.jobs.stop(site.jobs.jobs[word])
        return progress(word)

    @app.get("/maps/{word}")
    def show(word: str) -> HTMLResponse:
        job = site.jobs.jobs.get(word)
        return serve_map.page(site.made(word)[1]) if job is None or job.state == "done" else HTMLResponse(waiting.render(job=job))

    @app.get("/maps/{word}/learners")
    def learners(word: str) -> JSONResponse:
        return serve_map.learners(site.made(word)[1])

    @app.get("/maps/{word}/about")
    def about(word: str) -> dict[str, Any]:
        project, folder = site.made(word)
        report = RunReport.read(folder / "run_report.json")
        return {"files": report.figures, "graph": bool(state_of(site.store.map(word)[1])["data"]["graph"])}  # type: ignore[index]

    @app.get("/maps/{word}/files/{name}")
    def save(word: str, name: str) -> FileResponse:
        return _file(site.made(word)[1], name)

    @app.post("/maps/{word}/refit", status_code=202)
    async def refit(request: Request, word: str) -> dict[str, Any]:
        site.made(word)
        project = site.idle(word.split("-")[0])
        given = project.folder / "graph.posted.json"
        await _received(request, given)
        try:
            await _told(project, serve_graphs.take_posted, project, given, f"edited on map {word.split('-')[1]}")
        finally:
            given.unlink(missing_ok=True)
        return site.begin(project)
