"""Hearing other services: Faust subscribes and is assigned partitions; progress, order and recovery are ours.

Faust loses the message of an agent that raises, and commits unfinished work in several of its modes. So its agents only
hand each message to its partition's follower and never raise, and its offsets mean nothing to us: a follower's
checkpoint does, and a timer compares every checkpoint with the owner's head, also where Kafka says nothing at all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import faust
import structlog
from psycopg_pool import ConnectionPool

from kernel import checkpoint
from kernel.apply import Effects
from kernel.checkpoint import Checkpoint, Connection, Place
from kernel.follow import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, WORLD, Follower
from kernel.judge import Position
from kernel.log_client import Owner
from kernel.record import chain_start
from kernel.store import CONNECT_SECONDS_MAX, SESSION, TCP_USER_TIMEOUT_MILLISECONDS
from kernel.telemetry import HALTED, HEARD, LAG_FACTS, PARKED
from kernel.wire import Unreadable, from_kafka

THREADS_MAX: Final = 4
TIMER_SECONDS: Final = 1.0
STOP_SECONDS_MAX: Final = 4.0
POOL_SECONDS_MAX: Final = 5.0
SESSION_SECONDS: Final = 8.0
"""After so long a worker that died unheard loses its partitions to the others; Faust's own default is a minute."""

_CONNECTION: Final = {
    "autocommit": True,
    "prepare_threshold": 1,
    "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
    "tcp_user_timeout": TCP_USER_TIMEOUT_MILLISECONDS,
    "connect_timeout": CONNECT_SECONDS_MAX,
}

log = structlog.get_logger("listen")


@dataclass(frozen=True, slots=True)
class Source:
    """A service that is heard. A new consumer reacts to all of its facts, or only to those after its present head."""

    service: str
    topic: str
    owner: Owner
    effects: Effects
    react_from: Literal["start", "head"]


@dataclass(slots=True)
class _Hearing:
    """What is known of a source while the process runs."""

    followers: Mapping[int, Follower] = field(default_factory=dict)
    lag_facts: int | None = None
    halted: Mapping[int, str] = field(default_factory=dict)
    last: Mapping[int, int] = field(default_factory=dict)


class Listener:
    """Everything that one consumer hears, in one process; others of the same consumer share the partitions with it."""

    def __init__(self, consumer: str, sources: Sequence[Source], *, database_url: str, broker: str, data: Path) -> None:
        """`data` is the folder below which this process has one of its own for Faust."""
        self.consumer, self.sources = consumer, tuple(sources)
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            database_url,
            kwargs=_CONNECTION,
            min_size=1,
            max_size=THREADS_MAX + 1,
            timeout=POOL_SECONDS_MAX,
            open=False,
        )
        self._broker = broker
        self._folder = data / f"faust-{consumer}-{os.getpid()}"
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="apply")
        self._hearing = {source.service: _Hearing() for source in sources}

    async def run(self) -> None:
        """Hear until cancelled; then finish what is being committed, leave Kafka's group, let go of the database."""
        self.pool.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                for source in self.sources:
                    tasks.create_task(self._follow(source), name=f"hear {source.service}")
                tasks.create_task(self._subscribe(), name="faust")
        finally:
            await asyncio.to_thread(self._threads.shutdown)
            await asyncio.to_thread(self.pool.close)

    def faults(self, lag_facts_max: int) -> list[str]:
        """What keeps this consumer from being ready, one sentence each."""
        found = []
        for service, hearing in self._hearing.items():
            found += [f"{service}/{partition} is halted: {reason}" for partition, reason in hearing.halted.items()]
            if hearing.lag_facts is None:
                found.append(f"{service} has not said yet where its log ends")
            elif hearing.lag_facts > lag_facts_max:
                found.append(f"{service} is {hearing.lag_facts} facts ahead of us")
        return found

    async def _follow(self, source: Source) -> None:
        """Make the checkpoints a new consumer lacks, then follow every partition and compare all of them for ever."""
        heads = await self._owner_heads(source)
        await asyncio.to_thread(self._create, source, heads)
        hearing = self._hearing[source.service]
        async with asyncio.TaskGroup() as tasks:
            hearing.followers = {p: self._follower(source, p) for p in heads}
            for partition, follower in hearing.followers.items():
                tasks.create_task(follower.run(), name=f"follow {source.service}/{partition}")
            while True:
                await self._compare(source, hearing)
                await asyncio.sleep(TIMER_SECONDS)

    async def _owner_heads(self, source: Source) -> Mapping[int, Position]:
        pause = PAUSE_SECONDS_MIN
        while True:
            try:
                return await source.owner.read_heads()
            except WORLD as error:
                log.warning("the owner does not answer yet", source=source.service, error=str(error), seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _create(self, source: Source, heads: Mapping[int, Position]) -> None:
        with self.pool.connection() as connection, connection.transaction():
            for partition, head in heads.items():
                start = Position(head.log_id, -1, chain_start(head.log_id, partition))
                react_from = 0 if source.react_from == "start" else head.last + 1
                checkpoint.create(connection, self._place(source, partition), start, react_from)

    def _follower(self, source: Source, partition: int) -> Follower:
        return Follower(self._place(source, partition), source.owner, source.effects, self.pool, self._threads)

    def _place(self, source: Source, partition: int) -> Place:
        return Place(self.consumer, source.service, partition)

    async def _compare(self, source: Source, hearing: _Hearing) -> None:
        """Find what Kafka has not brought: whatever stands still behind the owner's head, and every contradiction."""
        try:
            # Read in this order, a checkpoint can only be behind its head, unless the log has forked.
            ours = await asyncio.to_thread(self._checkpoints, source)
            heads = await source.owner.read_heads()
        except WORLD as error:
            log.warning("not compared with the owner", source=source.service, error=str(error))
            return
        lag = 0
        for partition, follower in hearing.followers.items():
            mine, head = ours[partition], heads.get(partition)
            stands = hearing.last.get(partition) == mine.position.last
            if mine.halted is None and _doubtful(mine.position, head, stands=stands):
                follower.ask(-1 if head is None else head.last)
            lag += max(0, head.last - mine.position.last) if head is not None else 0
        self._show(source, hearing, ours)
        hearing.last = {partition: mine.position.last for partition, mine in ours.items()}
        hearing.lag_facts = lag
        LAG_FACTS.labels(f"listen:{self.consumer}", source.service).set(lag)

    def _show(self, source: Source, hearing: _Hearing, ours: Mapping[int, Checkpoint]) -> None:
        halted = {partition: mine.halted for partition, mine in ours.items() if mine.halted is not None}
        for partition in ours:
            HALTED.labels(f"listen:{self.consumer}", source.service, partition).set(partition in halted)
            if partition in halted and partition not in hearing.halted:
                log.error(
                    "halted",
                    consumer=self.consumer,
                    source=source.service,
                    partition=partition,
                    reason=halted[partition],
                )
        hearing.halted = halted

    def _checkpoints(self, source: Source) -> dict[int, Checkpoint]:
        with self.pool.connection() as connection:
            parked = connection.execute(
                "SELECT count(*) FROM log.parked WHERE (consumer, source) = (%s, %s)", (self.consumer, source.service)
            ).fetchone()
            PARKED.labels(self.consumer, source.service).set(parked[0] if parked else 0)
            return checkpoint.read_all(connection, self.consumer, source.service)

    async def _subscribe(self) -> None:
        """Keep a Faust app running. One that has ended cannot be started again, so each attempt is a new one."""
        pause = PAUSE_SECONDS_MIN
        while True:
            app = self._app()
            session = asyncio.ensure_future(_session(app))
            started = asyncio.get_running_loop().time()
            try:
                await asyncio.wait([session])
            finally:
                session.cancel()
                await self._end(app)
            if asyncio.get_running_loop().time() - started > PAUSE_SECONDS_MAX:
                pause = PAUSE_SECONDS_MIN
            log.warning("Kafka is not heard; trying again", error=str(session.exception()), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _end(self, app: faust.App) -> None:
        stop = asyncio.ensure_future(app.stop())
        _done, late = await asyncio.wait([stop], timeout=STOP_SECONDS_MAX)
        if late:
            # Faust's stop may hang after an error of its own; the process does not wait for it.
            stop.cancel()
            log.warning("Faust did not stop in time", seconds=STOP_SECONDS_MAX)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _app(self) -> faust.App:
        self._folder.mkdir(parents=True, exist_ok=True)
        app = faust.App(
            self.consumer,
            broker=f"kafka://{self._broker}",
            datadir=str(self._folder),
            key_serializer="raw",
            value_serializer="raw",
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=SESSION_SECONDS / 5,
        )
        for source in self.sources:
            topic = app.topic(source.topic, key_serializer="raw", value_serializer="raw")
            app.agent(topic, name=f"{self.consumer}.{source.service}", concurrency=1)(self._agent(source))
        return app

    def _agent(self, source: Source) -> Any:  # noqa: ANN401 - Faust has no type for a function that it makes an agent of.
        async def hear(stream: faust.StreamT[bytes]) -> None:
            async for event in stream.events():
                self._hand_over(source, event.message.partition, event.message.headers, event.message.value)

        return hear

    def _hand_over(self, source: Source, partition: int, headers: Any, value: bytes | None) -> None:  # noqa: ANN401
        """Queue a message for its partition's follower. Whatever it is, this does not raise."""
        try:
            record = from_kafka(partition, headers.items() if isinstance(headers, Mapping) else headers, value)
        except Unreadable as unreadable:
            HEARD.labels(self.consumer, source.service, "unreadable").inc()
            log.warning("unreadable message", source=source.service, partition=partition, reason=str(unreadable))
            return
        follower = self._hearing[source.service].followers.get(partition)
        if follower is None:
            HEARD.labels(self.consumer, source.service, "dropped").inc()
            return
        follower.offer(record)


async def _session(app: faust.App) -> None:
    await app.start()
    await app.wait_until_stopped()
    if app.crash_reason is not None:
        raise app.crash_reason


def _doubtful(mine: Position, head: Position | None, *, stands: bool) -> bool:
    if head is None or head.log_id != mine.log_id or head.last < mine.last:
        return True
    if head.last == mine.last:
        return head.chain != mine.chain
    return stands
