"""Many answers, one wait for the disk: units that arrive while a commit is under way go into the next one together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from edukit.recommend.session_store import SessionStore, Unit


class Commits:
    """A thread that writes into a store; who hands in a unit waits until it is on the disk.

    Parameters
    ----------
    store : is written to by this thread only, from :meth:`start` on.
    most_waiting : units that may wait; one more is refused, so that a slow disk is told of at once and not after minutes.
    """

    def __init__(self, store: SessionStore, most_waiting: int = 512) -> None:
        self.store, self.most_waiting = store, most_waiting
        self._waiting: deque[tuple[Unit, asyncio.Future[None]]] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="commits", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether the next unit would be refused."""
        return len(self._waiting) >= self.most_waiting

    def add(self, unit: Unit) -> asyncio.Future[None]:
        """Hand in a unit, from the event loop: done once it is on the disk; its exception says why it is not.

        Raises
        ------
        BlockingIOError
            Where too many wait, or the server ends.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self.full or self._ended:
                raise BlockingIOError(f"{len(self._waiting):,} answers wait for the disk")
            self._waiting.append((unit, done))
            self._changed.notify()
        return done

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._ended):
                    self._changed.wait()
                some = list(self._waiting)
                self._waiting.clear()
            if not some:
                return
            try:
                found = self.store.write([unit for unit, _ in some])
            except Exception as error:  # whatever it is: who waits must hear of it
                found = [error] * len(some)
            loop = some[0][1].get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell, [(done, error) for (_, done), error in zip(some, found, strict=True)])


def _tell(found: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, error in found:
        if done.done():  # who asked has gone
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
