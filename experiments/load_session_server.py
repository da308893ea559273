"""The session service in a process of its own, to be loaded, killed and started again: a true process, forked from one that has read the program before."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from edukit.formats import graph_file
from edukit.schema import DataError

PATIENCE = 300.0  # seconds that a server may take to start
READ = ["edukit.cli_serve", "edukit.serve_session", "edukit.serve_session_course", "edukit.data.store", "edukit.data.curriculum",
        "edukit.formats.graph_export", "uvicorn", "pandera.pandas", "networkx", "yaml"]


def written(folder: Path, concepts: int) -> list[str]:
    """An invented graph with three items a concept in files; the words that make a service read it."""
    from .recommend_checks import map_of

    graph = map_of(concepts)
    tables = {name: graph_file.empty(name) for name in graph_file.HELD}
    path = graph_file.write(graph_file.GraphFile({**tables, "concepts": graph.concepts, "prerequisites": graph.prerequisites}), folder / "graph.json")
    graph.q_matrix.to_csv(folder / "items.csv", index=False)
    return ["--graph", str(path), "--items", str(folder / "items.csv")]


def served(words: list[str], log: str) -> None:
    """What the process does: `edukit serve session`, its output into a file."""
    from edukit.cli_serve import serve_app

    with open(log, "w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    serve_app(["session", *words])


@dataclass
class Server:
    """A service over one store.

    Parameters
    ----------
    folder : holds the store and what the process prints. words : of `edukit serve session`. port : the same after every start; 0 = any free one.
    """

    folder: Path
    words: list[str]
    port: int = 0
    process: BaseProcess | None = field(default=None, repr=False)

    @property
    def store(self) -> Path:
        """Where the answers lie."""
        return self.folder / "sessions.sqlite"

    def start(self) -> Server:
        """Start it and wait until it listens."""
        log = self.folder / "server.log"
        log.unlink(missing_ok=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(READ)
        words = ["--store", str(self.store), "--port", str(self.port), *self.words]
        process = self.process = context.Process(target=served, args=(words, str(log)), daemon=True)
        process.start()
        until = time.monotonic() + PATIENCE
        while "sessions: http" not in (text := self.told()) or not self._listens(text):  # the address is told a moment before
            if not process.is_alive() or time.monotonic() > until:
                raise DataError(f"the service must start; found {text[-500:]!r}. See {log}.")
            time.sleep(0.02)
        return self

    def told(self) -> str:
        """What it has printed."""
        try:
            return (self.folder / "server.log").read_text()
        except FileNotFoundError:
            return ""

    def _listens(self, text: str) -> bool:
        self.port = int(text.split("sessions: http://127.0.0.1:")[1].split("/")[0])
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        if self.process is not None and self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.join()

    def cpu(self) -> float:
        """Seconds of processor time so far; nan where the system does not say."""
        try:
            words = Path(f"/proc/{self.process.pid if self.process else None}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
