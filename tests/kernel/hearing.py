"""The owner of a log, complete and real, and what a listener has made of it, for tests of relay and listener."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
from google.protobuf.message import Message
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from recoup.event.v1.log_service_pb2_grpc import add_LogServiceServicer_to_server
from recoup.sample.v1.sample_pb2 import OpenBook, PostEntry

from deploy.local.databases import Database
from deploy.local.topics import create_topics, faults, read_topics
from kernel.append import Head
from kernel.clock import RealClock
from kernel.execute import Executor, Request
from kernel.log_service import LogServicer
from kernel.record import Record
from kernel.relay import Relay
from kernel.rpc import Server
from kernel.store import PostgresStore, schema_sql
from kernel.telemetry import CALLS
from kernel.tenancy import Caller, Verifier
from kernel.wire import Unreadable, from_kafka
from tests.kernel.ear import SECRET, TABLES, listen
from tests.kernel.sample import BOOK, project

ROOT = Path(__file__).parents[2]
CALLER = Caller(UUID(int=1), None, "ann", "credential", frozenset())
INPUT_KEY = b"a key of the tests, and no other"
Result = TypeVar("Result")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.kernel.ear"])


class Owner:
    """A service's log behind gRPC, in a thread with an event loop of its own, and the relay of it when wanted."""

    def __init__(self, database: Database, topic: str, broker: str) -> None:
        self.database, self.topic, self.broker = database, topic, broker
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.posted: dict[str, int] = {}
        self.relay: Relay | None = None
        self.run(self._open())

    async def _open(self) -> None:
        clock = RealClock()
        self.store = await PostgresStore.open(self.database.url, self.database.reader_url, clock)
        self.executor = Executor("sample", [BOOK], self.store, clock, project, INPUT_KEY)
        self._server = Server(Verifier(SECRET), clock)
        self._server.add(lambda server: add_LogServiceServicer_to_server(LogServicer(self.store), server))
        self.address = f"127.0.0.1:{await self._server.start('127.0.0.1:0')}"

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def publish(self) -> Relay:
        """Start a relay in this process; it is nudged by every post."""
        self.relay = Relay("sample", self.topic, reader_url=self.database.reader_url, broker=self.broker)
        self.store.committed = self.relay.nudge
        self.relay.start()
        return self.relay

    def post(self, facts: int, books: int = 40, memo: str = "") -> None:
        """Record so many facts, spread over the books, first opening those that are new."""
        commands: list[Message] = []
        for index in range(facts):
            book = str(UUID(int=index % books))
            count = self.posted.get(book, 0)
            commands.append(
                PostEntry(book_id=book, amount_minor=1, memo=memo) if count else OpenBook(book_id=book, client="c")
            )
            self.posted[book] = count + 1
        for start in range(0, len(commands), 250):
            self.execute(commands[start : start + 250])

    def execute(self, commands: Sequence[Message]) -> None:
        answers = self.run(
            self.executor.execute_many([Request(command, str(uuid4()), CALLER, uuid4()) for command in commands])
        )
        for answer in answers:
            assert not isinstance(answer, Exception), answer
            assert answer.WhichOneof("outcome") == "accepted", answer

    def heads(self) -> dict[int, Head]:
        return {head.partition: head for head in self.run(self.store_heads())}

    async def store_heads(self) -> Sequence[Head]:
        return await self.store.heads()

    def log(self) -> dict[int, list[Record]]:
        """The whole log."""
        return {partition: self.run(self._partition(partition)) for partition in self.heads()}

    async def _partition(self, partition: int) -> list[Record]:
        return [record async for page in self.store.read_log(partition) for record in page]

    def stop(self) -> None:
        if self.relay is not None:
            self.relay.stop()
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _close(self) -> None:
        await self._server.stop(0)
        await self.store.close()


class Ear:
    """The consumer's database, and worker processes upon it."""

    def __init__(self, database: Database, owner: Owner, folder: Path) -> None:
        self.database = database
        self.settings = {
            "consumer": f"ear-{uuid4()}",
            "database": database.url,
            "broker": owner.broker,
            "topic": owner.topic,
            "owner": owner.address,
            "data": str(folder),
        }
        self._folder = folder
        self._workers: list[BaseProcess] = []

    def stop(self) -> None:
        """End the workers that still run, at once."""
        for worker in self._workers:
            worker.kill()
            worker.join()
            worker.close()

    def start(self) -> BaseProcess:
        """A worker process, forked from one that has imported everything and nothing else."""
        worker = _FORKS.Process(target=listen, args=(self.settings, str(self._folder / "worker.log")))
        worker.start()
        self._workers.append(worker)
        return worker

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.admin_url) as connection:
            return (
                connection.execute(sql, parameters).fetchall()
                if sql.startswith("SELECT")
                else self._change(connection, sql, parameters)
            )

    def _change(
        self, connection: psycopg.Connection[Any], sql: str, parameters: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        connection.execute(sql, parameters)
        return []

    def effects(self, kind: str = "project") -> int:
        return int(self.query("SELECT count(*) FROM ear.effect WHERE kind = %s", kind)[0][0])

    def checkpoints(self) -> dict[int, int]:
        return dict(self.query("SELECT partition, last FROM log.checkpoints"))

    def caught_up(self, owner: Owner) -> bool:
        ours = self.checkpoints()
        return bool(ours) and all(ours.get(p) == head.number for p, head in owner.heads().items())

    def check_effects(self, owner: Owner, kind: str = "project") -> None:
        """Every fact of the log had its effect exactly once, in the order of its partition, with the very bytes."""
        for partition, records in owner.log().items():
            rows = self.query(
                "SELECT number, stream, version, payload FROM ear.effect"
                " WHERE kind = %s AND partition = %s ORDER BY seq",
                kind,
                partition,
            )
            assert rows == [(r.number, r.stream, r.version, r.payload) for r in records]


def make_ear_database(database: Callable[..., Database]) -> Database:
    """The listening service's database."""
    made = database("ear", migrated=False)
    with psycopg.connect(made.migrator_url) as connection:
        connection.execute(schema_sql("ear"))
        connection.execute(TABLES)
    return made


def await_true(condition: Callable[[], bool], seconds: float = 60, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)


def await_kafka_alone(owner: Owner, ear: Ear) -> None:
    """Post until a round is heard through Kafka, without one range asked of the owner."""
    for _ in range(30):
        asked = ranges_asked()
        owner.post(200)
        await_true(lambda: ear.caught_up(owner), what="the listener")
        if ranges_asked() == asked:
            return
        time.sleep(0.5)
    message = "the owner was asked for ranges again and again"
    raise AssertionError(message)


def ranges_asked() -> float:
    """How often this process was asked for a range of its log."""
    return float(CALLS.labels("/recoup.event.v1.LogService/ReadLog", "OK")._value.get())


def read_topic(topic: str, broker: str, partitions: int = 8) -> dict[int, list[Any]]:
    """Every message of a topic, by partition, as kafka-python gives them."""
    consumer = KafkaConsumer(
        bootstrap_servers=broker, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    at = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(at)
    ends = consumer.end_offsets(at)
    found: dict[int, list[Any]] = {partition: [] for partition in range(partitions)}
    while any(consumer.position(each) < ends[each] for each in at):
        for each, messages in consumer.poll(timeout_ms=500).items():
            found[each.partition] += messages
    consumer.close()
    return found


def recreate_topic(owner: Owner) -> None:
    """Make the owner's topic anew, once the broker is done deleting it."""
    (like,) = (topic for topic in read_topics() if topic.name == "accounts.events")

    def created() -> bool:
        create_topics(owner.broker, [like.named(owner.topic)])
        return not faults(owner.broker, [like.named(owner.topic)])

    await_true(created, what="the topic created anew")


def records_of(messages: Sequence[Any]) -> list[Record]:
    """Those of the messages that are records."""
    found = []
    for message in messages:
        try:
            found.append(from_kafka(message.partition, message.headers, message.value))
        except Unreadable:
            continue
    return found


def send_raw(topic: str, broker: str, messages: Sequence[tuple[int, bytes | None, list[tuple[str, bytes]]]]) -> None:
    """Send whatever is asked for: partition, value, headers."""
    producer = KafkaProducer(bootstrap_servers=broker, acks="all")
    for partition, value, headers in messages:
        producer.send(topic, value=value, key=b"k", headers=headers, partition=partition)
    producer.flush(20)
    producer.close()
