"""The sessions that are live: kept in memory while they are used, restored when they are asked for, changed only after the disk has the answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from fastapi.concurrency import run_in_threadpool

from edukit.formats import xapi
from edukit.formats.xapi_answer import Told, account
from edukit.governance.privacy import Pseudonymiser
from edukit.recommend.session import Course, Session, Step
from edukit.recommend.session_store import Answer, SessionStore, Unit, now
from edukit.serve_session_commits import Commits
from edukit.serve_session_door import Refused, brief
from edukit.serve_session_models import Given

EVERY = 25  # answers between snapshots: what a restart goes through again at most, for each learner
AGAIN = "1"  # seconds after which a refused request may come again


@dataclass(eq=False)
class Place:
    """Where a session is held: one request at a time; the session is None until it is read, and again where memory and disk may differ."""

    session: Session | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Live:
    """Every request about a learner, as the service does it.

    Parameters
    ----------
    course : the graph and the policy. store : where answers are kept. commits : writes into it.
    key : makes the pseudonyms. most_sessions : sessions kept in memory; about 0.1 MB each at 835 concepts.
    """

    def __init__(self, course: Course, store: SessionStore, commits: Commits, key: Pseudonymiser, most_sessions: int = 2000) -> None:
        self.course, self.store, self.commits, self.key, self.most_sessions = course, store, commits, key, most_sessions
        self._places: OrderedDict[str, Place] = OrderedDict()

    # requests

    async def start(self, learner: str) -> tuple[str, bool, Step]:
        """Begin the session of a learner, or go on with it; its id, whether it was there, and the step that comes next."""
        session_id, learner_id = self._named([account(learner)])[0]
        async with self._place(session_id) as place:
            known = self.store.learner_of(session_id) is not None
            if not known:
                await self._written(place, self.store.started(session_id, learner_id))
            return session_id, known, self._session(session_id, place).next()

    async def answer(self, session_id: str, given: Given) -> Answer:
        """Keep an answer, then learn from it; one that was sent before is only found again."""
        async with self._place(session_id) as place:
            session = self._session(session_id, place)
            made = Answer(session_id, given.step, given.answer_id, given.item_id, given.correct, given.response, given.response_time_s, "answer", now())
            kept = self.store.answer(session_id, given.answer_id)
            if kept is not None:
                if (kept.step, *kept.says()) != (made.step, *made.says()):
                    raise Refused(409, "answer_id", "be new, or of an answer with the same content", f"{given.answer_id} of another answer",
                                  "Give each answer an id of its own.")
                return kept
            self._in_turn(session, given)
            await self._kept(place, [made])
            return made

    def _in_turn(self, session: Session, given: Given) -> None:
        self._known(given.item_id, "item_id")
        step = session.next()
        if given.step != step.step:
            raise Refused(409, "step", f"be {step.step}, the one handed out", brief(given.step), "Ask `next` and answer what it hands out.")
        if step.item_id not in (None, given.item_id):
            raise Refused(409, "item_id", f"be {brief(step.item_id)}, the one handed out", brief(given.item_id), "Ask `next` and answer what it hands out.")

    async def next(self, session_id: str) -> Step:
        """What comes next; the same until it is answered."""
        async with self._place(session_id) as place:
            return self._session(session_id, place).next()

    async def profile(self, session_id: str) -> dict[str, Any]:
        """Where a learner stands."""
        async with self._place(session_id) as place:
            session = self._session(session_id, place)
            answers = [(answer.item_id, answer.correct) for answer in self.store.answers(session_id)]
            return {"session_id": session_id, **await run_in_threadpool(session.profile, answers)}

    async def forget(self, session_id: str) -> None:
        """Remove a learner and all that was kept of them, for good."""
        async with self._place(session_id) as place:
            self._session(session_id, place)
            await self._written(place, self.store.forgotten(session_id))
            place.session = None

    async def take(self, statements: Mapping[int, Told]) -> None:
        """Apply answers that other systems tell of, in their order, all or none; those met before are passed over. They are numbered as they were sent."""
        for n, told in statements.items():
            self._known(told.item_id, f"statement {n}: object.id")
        learners = list(dict.fromkeys(told.learner for told in statements.values()))
        names = dict(zip(learners, self._named(learners), strict=True))
        async with AsyncExitStack() as held:
            places = {one: await held.enter_async_context(self._place(one)) for one in sorted({session_id for session_id, _ in names.values()})}
            begun = [(one, learner_id) for one, learner_id in names.values() if self.store.learner_of(one) is None]
            steps = {one: 0 if one in dict(begun) else self._session(one, place).steps for one, place in places.items()}
            fresh: dict[str, Answer] = {}
            for n, told in statements.items():
                one = names[told.learner][0]
                made = Answer(one, steps[one], told.statement_id, told.item_id, told.correct, told.response, told.response_time_s, "xapi",
                              told.answered_at or now())
                kept = fresh.get(told.statement_id) or self.store.statement(told.statement_id) or self.store.answer(one, told.statement_id)
                if kept is None:
                    fresh[told.statement_id], steps[one] = made, steps[one] + 1
                elif kept.says() != made.says():
                    raise Refused(409, f"statement {n}: id", "be new, or of a statement with the same content", f"{told.statement_id} of another one",
                                  "Nothing was taken. Give each statement an id of its own.")
            unit = [line for one, learner_id in begun for line in self.store.started(one, learner_id)]
            if unit or fresh:
                await self._written(tuple(places.values()), [*unit, *self.store.added(list(fresh.values()))])
                self._learn(places, list(fresh.values()))

    def listed(self, session_id: str | None, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Answers as statements, and the number of the last one where there are more."""
        if session_id is not None and self.store.learner_of(session_id) is None:
            raise _unknown(session_id)
        rows = self.store.listed(session_id, after, limit + 1)
        concepts, terrain = len(self.course.terrain.concept_ids), self.course.terrain
        found = []
        for _, learner_id, answer in rows[:limit]:
            place = terrain.place_of_item.get(answer.item_id)
            named = [] if place is None else [terrain.concept_ids[k] for k in terrain.item_concepts[place] if k < concepts]
            row = {"learner_id": learner_id, "item_id": answer.item_id, "correct": answer.correct, "order": answer.step, "response": answer.response,
                   "response_time_s": answer.response_time_s, "timestamp": answer.answered_at}
            said = xapi.statement(row, named)
            found.append({**said, "id": answer.answer_id} if answer.source == "xapi" else said)
        return found, rows[limit - 1][0] if len(rows) > limit else None

    # what they share

    def _named(self, learners: list[str]) -> list[tuple[str, str]]:
        """Session id and pseudonym of each learner: neither can be found without the key."""
        pseudonyms = self.key.pseudonyms(pd.Series(learners, dtype=object), "learner").tolist() if learners else []
        return [(hmac.new(self.key.key, f"session\0{learner}".encode(), hashlib.sha256).hexdigest()[:32], pseudonym)
                for learner, pseudonym in zip(learners, pseudonyms, strict=True)]

    def _known(self, item_id: str, place: str) -> None:
        if item_id not in self.course.terrain.place_of_item:
            raise Refused(422, place, f"be one of the {len(self.course.terrain.item_ids):,} items of the service", brief(item_id),
                          "Nothing was taken. Ask `next` for an item, or start the service with the items in use.")

    @asynccontextmanager
    async def _place(self, session_id: str) -> AsyncIterator[Place]:
        """Be alone with a session."""
        place = self._places.setdefault(session_id, Place())
        self._places.move_to_end(session_id)
        place.users += 1
        try:
            async with place.lock:
                yield place
        finally:
            place.users -= 1
            if place.session is None and not place.users:
                self._places.pop(session_id, None)
            if len(self._places) > self.most_sessions:
                idle = [name for name, found in self._places.items() if not found.users]
                for name in idle[:len(self._places) - self.most_sessions]:
                    del self._places[name]

    def _session(self, session_id: str, place: Place) -> Session:
        """The session of a place, from its snapshot and the answers after it."""
        if place.session is None:
            learner_id = self.store.learner_of(session_id)
            if learner_id is None:
                raise _unknown(session_id)
            session = Session(self.course, learner_id)
            kept = self.store.latest(session_id, self.course.fingerprint)
            if kept is not None:
                session.restore(kept[1])
            for answer in self.store.answers(session_id, session.steps):
                session.answer(answer.item_id, answer.correct)
            place.session = session
        return place.session

    async def _kept(self, place: Place, answers: list[Answer]) -> None:
        await self._written(place, self.store.added(answers))
        self._learn({answer.session_id: place for answer in answers}, answers)

    def _learn(self, places: dict[str, Place], answers: list[Answer]) -> None:
        """Bring memory to where the disk is."""
        for answer in answers:
            place = places[answer.session_id]
            if place.session is None:
                continue  # it is read when it is asked for
            place.session.answer(answer.item_id, answer.correct)
            if place.session.steps % EVERY == 0:
                self._snapshot(answer.session_id, place.session)

    def _snapshot(self, session_id: str, session: Session) -> None:
        """Nobody waits for it, and nothing is lost without it."""
        try:
            done = self.commits.add(self.store.snapshot(session_id, session.steps, self.course.fingerprint, session.state()))
        except BlockingIOError:
            return
        done.add_done_callback(lambda future: future.cancelled() or future.exception())

    async def _written(self, place: Place | tuple[Place, ...], unit: Unit) -> None:
        """Wait until a unit is on the disk.

        Raises
        ------
        Refused
            Where too many wait, or the store takes nothing; then nothing was kept.
        """
        try:
            done = self.commits.add(unit)
        except BlockingIOError as error:
            raise Refused(503, "the service", f"have fewer than {self.commits.most_waiting:,} answers to write", str(error),
                          "Nothing was kept. Send the same again in a second.", **{"retry-after": AGAIN}) from None
        try:
            await done
        except BaseException as error:
            for one in place if isinstance(place, tuple) else (place,):
                one.session = None  # what is on the disk counts
            if isinstance(error, sqlite3.Error):
                raise Refused(503, "the store", "take what is written", type(error).__name__, "Nothing was kept. Look at the disk of the service, then send "
                              "the same again.", **{"retry-after": AGAIN}) from None
            raise


def _unknown(session_id: str) -> Refused:
    return Refused(404, "session_id", "be one that was started here", brief(session_id), "POST /sessions starts one.")
