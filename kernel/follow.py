"""One partition of one source, followed: what Kafka brings waits in a bounded queue, is judged, and has its effect.

Kafka may lose, repeat, reorder or invent. Whatever is not plainly next makes the follower ask the owner, which has the
last word; so a full queue may simply drop, and a topic may be emptied.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, TypeVar

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from kernel import checkpoint
from kernel.apply import Effects, apply_run
from kernel.checkpoint import Checkpoint, Connection, Halted, Moved, Place
from kernel.dial import CallFailed
from kernel.judge import Fork, Position, after, chained, compare_head, compare_record, plan
from kernel.log_client import Owner
from kernel.record import Record
from kernel.telemetry import HALTED, HEARD
from kernel.wire import Unreadable

QUEUE_RECORDS_MAX: Final = 2_000
BATCH_RECORDS_MAX: Final = 200
"""Facts a transaction; reactions hold the heads of our own log meanwhile, and commands wait for them."""
CHAINS_KNOWN_MAX: Final = 8_192
PAUSE_SECONDS_MIN: Final = 0.05
PAUSE_SECONDS_MAX: Final = 5.0
WORLD: Final = (psycopg.Error, PoolTimeout, CallFailed, Unreadable, ConnectionError, TimeoutError, OSError)
"""What may go wrong outside of us: logged, and tried again until it does not."""

Result = TypeVar("Result")
log = structlog.get_logger("listen")


class Follower:
    """Moves one checkpoint. All of it runs in one event loop, but for the transactions, which run in threads."""

    def __init__(
        self,
        place: Place,
        owner: Owner,
        effects: Effects,
        pool: ConnectionPool[Connection],
        threads: ThreadPoolExecutor,
    ) -> None:
        """`pool` gives connections in autocommit mode; `threads` run the transactions of all followers."""
        self.place = place
        self._owner, self._effects, self._pool, self._threads = owner, effects, pool, threads
        self._waiting: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._ask_to: int | None = None
        self._checkpoint: Checkpoint | None = None
        self._chains: dict[int, bytes] = {}
        self._batch = BATCH_RECORDS_MAX

    def offer(self, record: Record) -> None:
        """Queue what Kafka brought; when the queue is full it is dropped, and the owner asked for it later."""
        if len(self._waiting) >= QUEUE_RECORDS_MAX:
            self._count("dropped")
            return
        self._waiting.append(record)
        self._wake.set()

    def ask(self, to_number: int) -> None:
        """Compare with the owner, and fetch whatever is missing up to a number."""
        self._ask_to = max(to_number, -1 if self._ask_to is None else self._ask_to)
        self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = PAUSE_SECONDS_MIN
        while True:
            await self._wake.wait()
            try:
                await self._step()
                pause, self._batch = PAUSE_SECONDS_MIN, min(self._batch * 2, BATCH_RECORDS_MAX)
            except (Moved, Halted):
                # Another worker or a person changed the row: what waits is judged again from where it is now.
                self._checkpoint = None
            except WORLD as error:
                # Perhaps it took too long: the next attempt is at less.
                self._checkpoint, self._batch = None, max(self._batch // 2, 1)
                log.warning("not applied yet", **self._named(), error=f"{type(error).__name__}: {error}", seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _step(self) -> None:
        """Apply what waits, then ask the owner if there is reason to. A step that fails is made again in full."""
        found = self._checkpoint or await self._read()
        if found.halted is not None:
            self._waiting.clear()
            self._ask_to = None
            self._wake.clear()
            return
        records = list(islice(self._waiting, BATCH_RECORDS_MAX))
        planned = plan(found.position, self.place.partition, self._chains, records)
        if planned.run:
            await self._apply(found.position, planned.run)
        for _ in records:
            self._waiting.popleft()
        self._count("duplicate", planned.duplicates)
        self._count("odd", planned.odd)
        if planned.ask_to is not None:
            self.ask(planned.ask_to)
        if self._ask_to is not None:
            await self._consult(self._ask_to)
        self._rest()

    def _rest(self) -> None:
        if not self._waiting and self._ask_to is None:
            self._wake.clear()

    async def _consult(self, to_number: int) -> None:
        """Ask the owner: is our position its own, and what comes after, up to a number and never past its head."""
        found = self._checkpoint or await self._read()
        try:
            await self._compare_and_fetch(found.position, to_number)
        except Fork as fork:
            await self._halt(found.position, str(fork))
        if self._ask_to == to_number:
            self._ask_to = None

    async def _compare_and_fetch(self, position: Position, to_number: int) -> None:
        heads = await self._owner.read_heads()
        head = heads.get(self.place.partition)
        compare_head(position, head)
        assert head is not None, "compare_head refuses a head that is not there"
        first = max(position.last, 0)
        last = max(min(to_number, head.last), position.last)
        if last < first:
            return
        async with aclosing(self._owner.read_log(self.place.partition, first, last)) as pages:
            async for page in pages:
                known = [record for record in page if record.number <= position.last]
                for record in known:
                    compare_record(position, record)
                run = chained(position, self.place.partition, page[len(known) :])
                if run:
                    await self._apply(position, run)
                    position = after(run[-1])

    async def _apply(self, position: Position, run: Sequence[Record]) -> None:
        for start in range(0, len(run), self._batch):
            part = run[start : start + self._batch]
            position = await self._within(partial(self._apply_part, position, part))
            self._count("applied", len(part))
            assert self._checkpoint is not None, "a run is applied from a checkpoint that was read"
            self._checkpoint = replace(self._checkpoint, position=position)
            for record in part:
                self._chains[record.number] = record.chain
                self._chains.pop(record.number - CHAINS_KNOWN_MAX, None)

    def _apply_part(self, position: Position, part: Sequence[Record], connection: Connection) -> Position:
        return apply_run(connection, self.place, self._effects, position, part)

    async def _halt(self, position: Position, reason: str) -> None:
        def halt(connection: Connection) -> None:
            with connection.transaction():
                checkpoint.lock_at(connection, self.place, position)
                checkpoint.halt(connection, self.place, f"fork: {reason}")

        await self._within(halt)
        self._checkpoint = None
        HALTED.labels(f"listen:{self.place.consumer}", self.place.source, self.place.partition).set(1)
        log.error("halted: the log has forked", **self._named(), reason=reason)

    async def _read(self) -> Checkpoint:
        found = await self._within(lambda connection: checkpoint.read(connection, self.place))
        assert found is not None, f"{self.place} has no checkpoint"
        self._checkpoint = found if found.halted is None else None
        return found

    async def _within(self, work: Callable[[Connection], Result]) -> Result:
        def run() -> Result:
            with self._pool.connection() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _named(self) -> dict[str, object]:
        return {"consumer": self.place.consumer, "source": self.place.source, "partition": self.place.partition}

    def _count(self, kind: str, amount: int = 1) -> None:
        if amount:
            HEARD.labels(self.place.consumer, self.place.source, kind).inc(amount)
