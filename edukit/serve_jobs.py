"""Maps are made one after another, each in a process of its own; what it says is kept for the page that waits for it."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edukit.reproducibility import write_json
from edukit.schema import DataError
from edukit.serve_job import PATIENCE
from edukit.serve_store import state_of

LINES = 400  # newest lines of progress that are kept
HOUR = 3600.0


@dataclass
class Job:
    """One map on its way: ``waiting``, ``running``, then ``done``, ``failed`` (with the error) or ``stopped``."""

    map_id: str
    place: Path
    cache: Path
    state: str = "waiting"
    lines: list[str] = field(default_factory=list)
    error: str = ""
    stopping: bool = False
    process: subprocess.Popen | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class JobQueue:
    """One job at a time, and few that wait.

    Parameters
    ----------
    most_waiting : jobs that may wait behind the one that runs.
    """

    def __init__(self, most_waiting: int = 4) -> None:
        self.most_waiting = most_waiting
        self.jobs: dict[str, Job] = {}
        self._waiting: queue.Queue[Job | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, tidy: Callable[[], object]) -> None:
        """Begin to work; ``tidy`` is called about once an hour, between jobs."""
        self._thread = threading.Thread(target=self._work, args=(tidy,), daemon=True)
        self._thread.start()

    def busy(self) -> list[Job]:
        """Jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.ended.is_set()]

    def add(self, job: Job) -> Job:
        """Put a job behind the others.

        Raises
        ------
        DataError
            Where too many wait already; nothing is left of the job then.
        """
        with self._lock:
            if len(self.busy()) > self.most_waiting:
                shutil.rmtree(job.place, ignore_errors=True)
                raise DataError(f"at most {self.most_waiting} maps may wait for the one that is being made; found {self.most_waiting} waiting. "
                                "Try again in a few minutes, or stop one.")
            self.jobs[job.map_id] = job
            self._waiting.put(job)
        return job

    def stop(self, job: Job) -> None:
        """End a job and wait until it has ended; what it had written is gone then."""
        with self._lock:
            job.stopping = True
            if job.process is not None and job.process.stdin is not None:
                with contextlib.suppress(OSError):
                    job.process.stdin.close()
            elif job.state == "waiting":
                self._ended(job, "stopped")
        job.ended.wait(PATIENCE + 5)

    def close(self) -> None:
        """End every job, then the queue."""
        for job in self.busy()[::-1]:
            self.stop(job)
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _work(self, tidy: Callable[[], object]) -> None:
        while True:
            try:
                job = self._waiting.get(timeout=HOUR)
            except queue.Empty:
                tidy()
                continue
            if job is None:
                return
            if job.ended.is_set():
                continue
            try:
                self._run(job)
            except Exception as error:  # a job that cannot be started must not end the queue
                job.error = f"{type(error).__name__}: {error}"
                self._ended(job, "failed")

    def _run(self, job: Job) -> None:
        environment = {**os.environ, "EDUKIT_JOB": str(job.place), "EDUKIT_CACHE": str(job.cache), "EDUKIT_OUTPUTS": str(job.place / "out"),
                       "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        with self._lock:
            if job.stopping:
                return self._ended(job, "stopped")
            job.process = subprocess.Popen([sys.executable, "-m", "edukit.serve_job"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           text=True, encoding="utf-8", errors="replace", env=environment)
            job.state = "running"
        told: list[str] = []
        errors = threading.Thread(target=lambda: told.extend(job.process.stderr), daemon=True)  # type: ignore[union-attr, arg-type]
        errors.start()
        for line in job.process.stdout or ():
            job.lines = [*job.lines, line.rstrip()][-LINES:]
        code = job.process.wait()
        errors.join(5)
        report = Path(job.lines[-1]) if job.lines else Path()
        if code == 0 and report.name == "run_report.json" and report.is_file():
            write_json(job.place / "map.json", {**state_of(job.place), "state": "done", "run": str(report.parent.relative_to(job.place)),
                                                "lines": job.lines})
            return self._ended(job, "done")
        words = "".join(told).strip()
        at = words.rfind("error: ") if code == 2 else -1
        job.error = words[at + 7:] if at >= 0 else f"the map could not be made: {words.splitlines()[-1] if words else f'it ended with code {code}'}"
        return self._ended(job, "stopped" if job.stopping else "failed")

    def _ended(self, job: Job, state: str) -> None:
        if state != "done":
            shutil.rmtree(job.place, ignore_errors=True)
        job.state, job.process = state, None
        job.ended.set()
