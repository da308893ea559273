"""Does the session service hold? Real processes: an open-loop load with the wait for each answer and its next step, and kills at random moments.

``python -m edukit.experiments.load_session load --seconds 300``, ``… kill --restarts 200``. Timings are benchmarks, never tests: machines differ.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edukit.schema import DataError

from .load_session_client import Client
from .load_session_server import Server, written

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
Data = Annotated[str | None, typer.Option(help="a data set with a graph instead of an invented one (junyi)")]
TARGET = 20.0  # milliseconds that 95 of 100 answers with their next step should stay below
RIGHT = 0.7  # share of the answers that are right
LATE = "sent late (the machine)"  # the generator's own wait for a processor: no part of the service, and in what is measured from the intended moment
WAIT = 0.2  # seconds until what was not acknowledged is sent again
AGAIN = 0.1  # share of the acknowledged answers that are sent again


def loadavg() -> str:
    """How busy the machine is."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def told(name: str, seconds: list[float]) -> str:
    """Percentiles in a line."""
    if not seconds:
        return f"{name:<28}none"
    p50, p95, p99 = 1000 * np.quantile(seconds, [0.5, 0.95, 0.99])
    return f"{name:<28}p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   p99 {p99:7.2f} ms   most {1000 * max(seconds):8.2f} ms   n {len(seconds):,}"


@dataclass
class Learners:
    """The sessions of a load, each with the step it is at."""

    client: Client
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def begin(self, count: int) -> None:
        """Start so many sessions, a few at a time."""
        for first in range(0, count, 20):
            some = [self.client.ask("POST", "/sessions", {"learner_id": f"learner {n}"}) for n in range(first, min(first + 20, count))]
            for _, body in await asyncio.gather(*some):
                self.steps[body["session_id"]] = body["next"]

    def given(self, session_id: str, number: int, right: bool) -> dict[str, Any]:
        """An answer to what a session was handed out."""
        step = self.steps[session_id]
        return {"answer_id": f"n{number}", "step": step["step"], "item_id": step["item_id"], "correct": float(right)}


async def _load(learners: Learners, sessions: int, rate: float, seconds: float, rng: np.random.Generator, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Answers at the times of a Poisson process, whatever came of those before; seconds from the intended time, and of each request alone."""
    await learners.begin(sessions)
    ids = rng.permutation(list(learners.steps)).tolist()
    at = np.cumsum(rng.exponential(1 / rate, round(rate * seconds)))
    right = rng.random(len(at)) < RIGHT
    found: dict[str, list[float]] = {"answer + next": [], "answer alone": [], "next alone": [], LATE: [], "refused": []}
    began, tasks = time.perf_counter() + 0.5, []

    async def once(number: int) -> None:
        session_id = ids[number % len(ids)]
        sent = time.perf_counter()
        found[LATE].append(float(sent - began - at[number]))
        status, _ = await learners.client.ask("POST", f"/sessions/{session_id}/answers", learners.given(session_id, number, bool(right[number])))
        answered = time.perf_counter()
        if status != 200:
            found["refused"].append(float(status))
            return
        _, learners.steps[session_id] = await learners.client.ask("GET", f"/sessions/{session_id}/next")
        ended = time.perf_counter()
        for name, value in (("answer + next", ended - began - at[number]), ("answer alone", answered - sent), ("next alone", ended - answered)):
            found[name].append(float(value))

    for number, moment in enumerate(at):
        await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
        tasks.append(asyncio.create_task(once(number)))
        if number % round(rate * 10) == round(rate * 10) - 1:
            say(f"{moment:5.0f} s   {told('answer + next', found['answer + next'])}   load {loadavg()}")
    await asyncio.gather(*tasks)
    learners.client.close()
    return found


@app.command()
def load(
    seconds: Annotated[float, typer.Option(help="how long answers come")] = 300.0,
    rate: Annotated[float, typer.Option(help="answers a second, in all")] = 50.0,
    sessions: Annotated[int, typer.Option(help="live sessions")] = 1000,
    concepts: Annotated[int, typer.Option(help="size of the invented graph")] = 835,
    data: Data = None, seed: int = 0,
) -> None:
    """Answers come at random moments at a rate, however long earlier ones take; each waits for its next step, too."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = Server(folder, ["--graph", data] if data else written(folder, concepts)).start()
        typer.echo(server.told().strip())
        try:
            cpu, own, began = server.cpu(), time.process_time(), time.perf_counter()
            typer.echo(f"load before  {loadavg()} on {os.cpu_count()} cores")
            found = asyncio.run(_load(Learners(Client(server.port)), sessions, rate, seconds, np.random.default_rng(seed), typer.echo))
            passed = time.perf_counter() - began
            spent = {"service": server.cpu() - cpu, "generator": time.process_time() - own}
            typer.echo(f"load after   {loadavg()}; processor: {', '.join(f'{name} {value / passed:.0%} of a core' for name, value in spent.items())}; "
                       f"service {1000 * spent['service'] / max(1, len(found['answer + next'])):.1f} ms for each answer + next, starts of sessions included")
        finally:
            server.kill()
        kept = _kept(server.store)
    for name in ("answer + next", "answer alone", "next alone", LATE):
        typer.echo(told(name, found[name]))
    p95 = 1000 * float(np.quantile(found["answer + next"] or [np.nan], 0.95))
    typer.echo(f"verdict      p95 of answer + next {p95:.2f} ms, from the intended moment on ({'below' if p95 < TARGET else 'NOT below'} {TARGET:g} ms); "
               f"{len(found['refused'])} refused; {len(kept):,} answers kept of {len(found['answer + next']):,} acknowledged")


def _kept(store: Path) -> list[tuple]:
    base = sqlite3.connect(store)
    try:
        return base.execute("select session_id, answer_id, step, item_id, correct from answers order by session_id, step").fetchall()
    finally:
        base.close()


@dataclass
class Account:
    """What was sent and what was acknowledged, to be held against the store."""

    sent: dict[tuple[str, str], tuple] = field(default_factory=dict)
    acknowledged: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    differed: int = 0
    again: int = 0

    def faults(self, kept: list[tuple]) -> dict[str, int]:
        """How many answers are lost, doubled, changed, or there though nobody sent them; all must be 0."""
        rows = Counter((row[0], row[1]) for row in kept)
        content = {(row[0], row[1]): row[2:] for row in kept}
        steps: dict[str, list[int]] = {}
        for row in kept:
            steps.setdefault(row[0], []).append(row[2])
        return {"lost": sum(key not in rows for key in self.acknowledged), "doubled": sum(times > 1 for times in rows.values()),
                "changed": sum(content[key] != said for key, said in self.sent.items() if key in content), "unsent": sum(key not in self.sent for key in rows),
                "out of step": sum(own != list(range(len(own))) for own in steps.values()), "answered otherwise when sent again": self.differed}


async def _answer_on(client: Client, account: Account, session_id: str, step: dict[str, Any], stop: asyncio.Event, rng: np.random.Generator) -> None:
    """One learner answers one step after the other; what is not acknowledged is sent again, alike, and now and then what was, too."""
    number = 0
    while not stop.is_set():
        given = {"answer_id": f"n{number}", "step": step["step"], "item_id": step["item_id"], "correct": float(rng.random() < RIGHT)}
        key, number = (session_id, given["answer_id"]), number + 1
        account.sent[key] = (given["step"], given["item_id"], given["correct"])
        send = partial(client.ask, "POST", f"/sessions/{session_id}/answers", given)
        account.acknowledged[key] = await _until(send, account)
        if rng.random() < AGAIN:
            account.differed += account.acknowledged[key] != await _until(send, account)
        step = await _until(partial(client.ask, "GET", f"/sessions/{session_id}/next"), account)


async def _until(ask: Callable[[], Awaitable[tuple[int, dict[str, Any]]]], account: Account) -> dict[str, Any]:
    while True:
        try:
            status, body = await ask()
        except (OSError, EOFError):
            account.again += 1
            await asyncio.sleep(WAIT)
            continue
        if status == 200:
            return body
        if status != 503:
            raise DataError(f"the service must take what it handed out; found {status}: {body}. See its log.")
        await asyncio.sleep(WAIT)


async def killed(server: Server, learners: int, restarts: int, longest: float, seed: int, say: Callable[[str], None]) -> Account:
    """Learners answer while the service is killed and started again, so many times; what was sent and acknowledged.

    Parameters
    ----------
    longest : seconds of answering before a kill, at most; drawn anew each time.
    """
    client, account, rng, stop = Client(server.port), Account(), np.random.default_rng(seed), asyncio.Event()
    sessions = Learners(client)
    await sessions.begin(learners)
    tasks = [asyncio.create_task(_answer_on(client, account, one, step, stop, np.random.default_rng([seed, n])))
             for n, (one, step) in enumerate(sessions.steps.items())]
    for restart in range(1, restarts + 1):
        before = len(account.acknowledged)
        while len(account.acknowledged) == before and not any(task.done() for task in tasks):
            await asyncio.sleep(0.002)  # until it answers
        await asyncio.sleep(rng.uniform(0, longest))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        if restart % 10 == 0 or restart == restarts:
            say(f"restart {restart:>4}   {len(account.acknowledged):,} answers acknowledged, {account.again:,} requests sent again   load {loadavg()}")
    stop.set()
    await asyncio.gather(*tasks)
    client.close()
    return account


@app.command()
def kill(
    restarts: Annotated[int, typer.Option(help="how often the service is killed (SIGKILL) while answers are on their way")] = 200,
    learners: Annotated[int, typer.Option(help="learners who answer without a pause")] = 20,
    longest: Annotated[float, typer.Option(help="seconds of answering before a kill, at most")] = 0.5,
    concepts: Annotated[int, typer.Option(help="size of the invented graph")] = 100,
    seed: int = 0,
) -> None:
    """After every kill the service starts again over the same store: every acknowledged answer must be there, once, as it was sent."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = Server(folder, written(folder, concepts)).start()
        try:
            account = asyncio.run(killed(server, learners, restarts, longest, seed, typer.echo))
        finally:
            server.kill()
        kept = _kept(server.store)
    found = account.faults(kept)
    typer.echo(f"verdict      {restarts} kills: {len(account.acknowledged):,} answers acknowledged, {len(kept):,} kept; "
               + ", ".join(f"{name} {count}" for name, count in found.items()))
    if any(found.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
