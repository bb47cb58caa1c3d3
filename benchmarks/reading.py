"""Reading facts back: one stream, and the whole log decoded and folded, against the peer's two forms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from eventsourcing.application import Application

from benchmarks.measuring import Row, at_least, interleave
from benchmarks.ours import AGENCY, CALLER, Ours, payment, request
from benchmarks.peers import DefaultAccount, TunedAccount, place_default, place_tuned
from deploy.local.databases import Database
from kernel import checkpoint
from kernel.apply import Effects, apply_run
from kernel.checkpoint import Place
from kernel.judge import Position
from kernel.reads import engine_of
from kernel.record import chain_start
from services.accounts.domain.account import ACCOUNT
from services.audit.domain.account import fold_account
from services.audit.recorder import Recorder
from services.audit.views import CASES_PAGE, Views

PEER: Final = "eventsourcing 9.5"
STREAM_EVENTS: Final = 100
STREAMS: Final = 120
LOADS: Final = 60
NOTIFICATIONS_A_PAGE: Final = 1_000


class OurReads:
    """Streams of 100 facts in accounts' log, and the same facts as audit heard them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ours: Ours, audit: Database) -> None:
        """The facts are recorded and heard once."""
        self._loop, self._ours = loop, ours
        self._ids = loop.run_until_complete(ours.place(STREAMS))
        loop.run_until_complete(self._fill())
        self._events = loop.run_until_complete(_hear(ours, audit))
        self._views = Views(engine_of(audit.url), engine_of(audit.reader_url))

    async def _fill(self) -> None:
        for _ in range(STREAM_EVENTS - 1):
            await self._ours.executor.execute_many([request(payment(account_id)) for account_id in self._ids])

    def loads(self) -> float:
        """Streams loaded and folded a second, one after the other."""

        async def load() -> None:
            for account_id in self._ids[:LOADS]:
                _state, version = await self._ours.executor.load(AGENCY, ACCOUNT, account_id)
                assert version == STREAM_EVENTS

        began = time.perf_counter()
        self._loop.run_until_complete(load())
        return LOADS / (time.perf_counter() - began)

    def folds(self) -> float:
        """Facts a second, read from audit's store, decoded, checked against their own balances and folded."""

        async def fold() -> int:
            known = await self._views.account_ids(CALLER)
            pages = [known[at : at + CASES_PAGE] for at in range(0, len(known), CASES_PAGE)]
            cases = [facts for page in pages for facts in (await self._views.cases(CALLER, page)).values()]
            return sum(fold_account(facts).version for facts in cases)

        began = time.perf_counter()
        assert self._loop.run_until_complete(fold()) == self._events
        return self._events / (time.perf_counter() - began)


async def _hear(ours: Ours, audit: Database) -> int:
    """Have audit keep the whole log, as its listener would; how many facts it is."""
    count = 0
    with psycopg.connect(audit.url, autocommit=True) as connection:
        effects = Effects(project=Recorder("accounts"))
        for partition in range(ours.store.partitions):
            place = Place("audit", "accounts", partition)
            position = Position(ours.store.log_id, -1, chain_start(ours.store.log_id, partition))
            checkpoint.create(connection, place, position, 0)
            async for page in ours.store.read_log(partition):
                position = apply_run(connection, place, effects, position, page)
                count += len(page)
    return count


class PeerReads:
    """The same streams in the peer's store."""

    def __init__(self, app: Application[UUID], *, tuned: bool) -> None:
        """The events are recorded once."""
        self._app, self._tuned = app, tuned
        self._accounts: list[Any] = [self._filled() for _ in range(STREAMS)]

    def _filled(self) -> DefaultAccount | TunedAccount:
        if not self._tuned:
            account = place_default(self._app)
            for _ in range(STREAM_EVENTS - 1):
                account.post_payment(str(uuid4()), 100)
            self._app.save(account)
            return account
        tuned = place_tuned(self._app)
        facts = []
        for _ in range(STREAM_EVENTS - 1):
            facts.append(tuned.post_payment(str(uuid4()), 100))
            tuned.fold(facts[-1:])
        self._app.save(*facts)
        return tuned

    def loads(self) -> float:
        """Streams loaded and folded a second."""
        began = time.perf_counter()
        for account in self._accounts[:LOADS]:
            if self._tuned:
                loaded: Any = TunedAccount().fold(self._app.events.get(account.id))
            else:
                loaded = self._app.repository.get(account.id)
            assert loaded.version == STREAM_EVENTS
        return LOADS / (time.perf_counter() - began)

    def folds(self) -> float:
        """Events a second, read from the whole log, decoded and folded into their aggregates."""
        states: dict[UUID, Any] = {}
        start, count = 1, 0
        began = time.perf_counter()
        while page := self._app.recorder.select_notifications(start, NOTIFICATIONS_A_PAGE):
            for notification in page:
                event = self._app.mapper.to_domain_event(notification)
                state = states.get(event.originator_id)
                if self._tuned:
                    states[event.originator_id] = (state or TunedAccount()).fold([event])
                else:
                    states[event.originator_id] = event.mutate(state)
            count += len(page)
            start = page[-1].id + 1
        assert count == STREAMS * STREAM_EVENTS
        return count / (time.perf_counter() - began)


def rows(ours: OurReads, default: PeerReads, best: PeerReads) -> Iterator[Row]:
    """The rows of the table."""
    seen = interleave({"ours": ours.loads, "default": default.loads, "best": best.loads})
    for form, bar in (("default", 8.0), ("best", 1.7)):
        work = f"load and fold a {STREAM_EVENTS}-event stream"
        yield at_least(work, "streams/s", seen["ours"], seen[form], f"{PEER}, {form}", bar)
    seen = interleave({"ours": ours.folds, "default": default.folds, "best": best.folds})
    for form, bar in (("default", 7.0), ("best", 3.5)):
        work = "read, decode and fold the whole log"
        yield at_least(work, "events/s", seen["ours"], seen[form], f"{PEER}, {form}", bar)
