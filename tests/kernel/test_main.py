"""Whole processes of the sample service, on a real database, with and without a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1 import service_pb2, service_pb2_grpc
from recoup.sample.v1.sample_pb2 import OpenBook, PostEntry

from deploy.local.databases import Database
from deploy.local.kafka import Broker
from deploy.local.topics import create_topics, delete_topics, read_topics
from kernel.clock import RealClock
from kernel.dial import CallFailed, Peer, Tokens
from kernel.main import START_REFUSED, STOP_SECONDS_MAX, WriterDied, told_to_stop
from kernel.tenancy import Caller
from tests.kernel.support import memory_executor

ROOT = Path(__file__).parents[2]
SECRET = "t" * 32
NO_BROKER = "127.0.0.1:9"
ANN = Caller(UUID(int=1), None, "ann", "credential-1", frozenset())
START_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True)
class Running:
    """A process, and where it listens."""

    process: asyncio.subprocess.Process
    grpc_port: int
    metrics_port: int

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask its HTTP endpoint."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    async def ready(self) -> tuple[int, Mapping[str, Any]]:
        """Its readiness: the HTTP status and the checks."""
        status, body = await asyncio.to_thread(self.get, "/health/ready")
        return status, json.loads(body)["checks"]

    async def stop(self) -> float:
        """SIGTERM; the seconds that it took to end well."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), STOP_SECONDS_MAX + 5) == 0
        return time.monotonic() - began


def environment(database: Database, folder: Path, broker: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECOUP_")}
    return kept | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "RECOUP_DATABASE_URL": database.url,
        "RECOUP_READER_URL": database.reader_url,
        "RECOUP_KAFKA": broker,
        "RECOUP_TOKEN_SECRET": SECRET,
        "RECOUP_INPUT_KEY": "i" * 32,
        "RECOUP_DATA": str(folder),
        "RECOUP_LOG": "json",
    }


async def begun(verb: str, variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kernel.sample_main", verb,
        cwd=ROOT, env=dict(variables), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip


@asynccontextmanager
async def running(verb: str, variables: Mapping[str, str]) -> AsyncIterator[Running]:
    process = await begun(verb, variables)
    assert process.stderr is not None
    rest = None
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            started = await _line(process.stderr, "started")
        rest = asyncio.create_task(process.stderr.read())
        yield Running(process, started["grpc_port"], started["metrics_port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if rest is not None:
            sys.stdout.write((await rest).decode())


async def _line(stream: asyncio.StreamReader, event: str) -> Mapping[str, Any]:
    async for line in stream:
        sys.stdout.write(line.decode())
        found: Mapping[str, Any] = json.loads(line) if line.startswith(b"{") else {}
        if found.get("event") == event:
            return found
    message = f"the process ended before it had {event}"
    raise AssertionError(message)


async def ended(verb: str, variables: Mapping[str, str]) -> tuple[int | None, str]:
    process = await begun(verb, variables)
    _out, err = await asyncio.wait_for(process.communicate(), START_SECONDS_MAX)
    return process.returncode, err.decode()


class Books:
    """A client of the process."""

    def __init__(self, it: Running) -> None:
        self.peer = Peer(f"127.0.0.1:{it.grpc_port}", Tokens(SECRET.encode()))
        self.stub = service_pb2_grpc.SampleServiceStub(self.peer.channel)

    async def open(self, book_id: str) -> None:
        """Open a book."""
        await self._one(
            service_pb2.SampleCommand(given_id=f"open {book_id}", open_book=OpenBook(book_id=book_id, client="c"))
        )

    async def post(self, book_id: str, given_id: str) -> bool:
        """Post 1; whether it stands for the first time."""
        entry = PostEntry(book_id=book_id, amount_minor=1)
        return not (await self._one(service_pb2.SampleCommand(given_id=given_id, post_entry=entry))).replayed

    async def balance(self, book_id: str) -> int:
        """The balance of a book."""
        return (await self.peer.ask(self.stub.GetBook, service_pb2.GetBookRequest(book_id=book_id), ANN)).balance_minor

    async def _one(self, command: service_pb2.SampleCommand) -> Answer:
        request = service_pb2.ExecuteRequest(commands=[command])
        (result,) = (await self.peer.ask(self.stub.Execute, request, ANN, seconds=3)).results
        if not result.HasField("answer"):
            raise CallFailed(result.error)
        return result.answer


def book(number: int) -> str:
    return str(UUID(int=number))


@pytest.fixture
def sample_topic(kafka: Broker) -> Iterator[str]:
    """The sample service's topic, fresh."""
    create_topics(kafka.address, [read_topics()[0].named("sample.events")])
    yield "sample.events"
    delete_topics(kafka.address, ["sample.events"])


async def test_one_process_answers_publishes_is_ready_and_ends_cleanly(
    sample_database: Callable[..., Database], tmp_path: Path, kafka: Broker, sample_topic: str
) -> None:
    database = sample_database()
    async with running("all", environment(database, tmp_path, kafka.address)) as it:
        books = Books(it)
        await books.open(book(1))
        await books.post(book(1), "p")
        checks: Mapping[str, Any] = {}
        for _ in range(100):
            status, checks = await it.ready()
            if status == 200 and _unsent(database) == 0:
                break
            await asyncio.sleep(0.1)
        assert checks["topics"]["detail"] == ""
        assert {name: check["ok"] for name, check in checks.items()} == dict.fromkeys(
            ("database", "topics", "relay", "relay_lag"), True
        )
        live, _body = await asyncio.to_thread(it.get, "/health/live")
        _status, metrics = await asyncio.to_thread(it.get, "/metrics")
        await books.peer.close()
        seconds = await it.stop()
    assert live == 200
    assert b'recoup_commands_total{command="PostEntry",outcome="accepted"} 1.0' in metrics
    assert b'recoup_calls_total{code="OK",method="/recoup.sample.v1.SampleService/Execute"} 2.0' in metrics
    assert seconds < STOP_SECONDS_MAX
    assert _unsent(database) == 0


def _unsent(database: Database) -> int:
    with psycopg.connect(database.reader_url) as connection:
        row = connection.execute(
            "SELECT sum(number - sent) FROM log.heads JOIN log.relays USING (partition)"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_it_answers_while_kafka_is_away_and_says_so(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    async with running("all", environment(sample_database(), tmp_path, NO_BROKER)) as it:
        books = Books(it)
        await books.open(book(1))
        assert await books.post(book(1), "p")
        assert await books.balance(book(1)) == 1
        status, checks = await it.ready()
        live, _body = await asyncio.to_thread(it.get, "/health/live")
        await books.peer.close()
        seconds = await it.stop()
    assert (status, live) == (503, 200)
    assert checks["database"] == {"ok": True, "detail": ""}
    assert not checks["topics"]["ok"]
    assert NO_BROKER in checks["topics"]["detail"]
    assert seconds < STOP_SECONDS_MAX


async def test_sigterm_leaves_every_command_acknowledged_or_repeatable(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    variables = environment(sample_database(), tmp_path, NO_BROKER)
    acknowledged: set[str] = set()
    sent: set[str] = set()

    async def post_for_ever(books: Books, caller: int) -> None:
        for number in range(100_000):
            given_id = f"{caller}-{number}"
            sent.add(given_id)
            await books.post(book(caller), given_id)
            acknowledged.add(given_id)

    async with running("api", variables) as it:
        books = Books(it)
        for caller in range(8):
            await books.open(book(caller))
        callers = [asyncio.create_task(post_for_ever(books, caller)) for caller in range(8)]
        await asyncio.sleep(1)
        seconds = await it.stop()
        ends = await asyncio.gather(*callers, return_exceptions=True)
        await books.peer.close()
    assert seconds < STOP_SECONDS_MAX
    assert len(acknowledged) > 50
    assert {type(end) for end in ends} == {CallFailed}

    async with running("api", variables) as it:
        books = Books(it)
        before = sum([await books.balance(book(caller)) for caller in range(8)])
        fresh = [given_id for given_id in sorted(sent) if await books.post(book(int(given_id.split("-")[0])), given_id)]
        after = sum([await books.balance(book(caller)) for caller in range(8)])
        await books.peer.close()
        await it.stop()
    assert not set(fresh) & acknowledged
    assert before == len(sent) - len(fresh)
    assert after == len(sent)


async def test_a_long_call_does_not_hold_the_process(sample_database: Callable[..., Database], tmp_path: Path) -> None:
    async with running("api", environment(sample_database(), tmp_path, NO_BROKER)) as it:
        books = Books(it)
        slow = service_pb2.GetBookRequest(book_id=book(1), after_milliseconds=60_000)
        call = asyncio.create_task(books.peer.ask(books.stub.GetBook, slow, ANN, seconds=60))
        await asyncio.sleep(0.5)
        seconds = await it.stop()
        with pytest.raises(CallFailed):
            await call
        await books.peer.close()
    assert seconds < STOP_SECONDS_MAX


async def test_it_ends_in_time_although_its_database_hangs(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    database = sample_database()
    variables = environment(database, tmp_path, NO_BROKER)
    async with running("all", variables) as it:
        books = Books(it)
        await books.open(book(1))
        with _frozen(database):
            call = asyncio.create_task(books.post(book(1), "p"))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            it.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(it.process.wait(), STOP_SECONDS_MAX + 5)
            seconds = time.monotonic() - began
            with pytest.raises(CallFailed):
                await call
        await books.peer.close()
    assert seconds < STOP_SECONDS_MAX
    async with running("api", variables) as it:
        books = Books(it)
        await books.post(book(1), "p")
        assert await books.balance(book(1)) == 1
        await books.peer.close()


@contextmanager
def _frozen(database: Database) -> Iterator[None]:
    """Every server process of the database stops in its tracks, as on a machine that hangs."""
    with psycopg.connect(database.admin_url) as connection:
        backends = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        pids = [pid for (pid,) in connection.execute(backends)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_it_refuses_to_start_as_superuser_or_owner(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    database = sample_database()
    variables = environment(database, tmp_path, NO_BROKER)
    cases = [
        ("RECOUP_DATABASE_URL", database.admin_url, "is a superuser"),
        ("RECOUP_DATABASE_URL", database.migrator_url, "owns tables"),
        ("RECOUP_READER_URL", database.admin_url, "is a superuser"),
    ]
    for name, url, fault in cases:
        code, said = await ended("api", dict(variables) | {name: url})
        assert code == START_REFUSED
        assert fault in said


async def test_it_refuses_to_keep_other_time_than_its_log(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    variables = dict(environment(sample_database(), tmp_path, NO_BROKER)) | {"RECOUP_CLOCK": "simulated"}
    code, said = await ended("api", variables)
    assert code == START_REFUSED
    assert "keeps real time" in said


async def test_a_simulated_process_goes_on_where_its_log_ends(
    sample_database: Callable[..., Database], tmp_path: Path
) -> None:
    database = sample_database(clock="simulated")
    variables = dict(environment(database, tmp_path, NO_BROKER)) | {"RECOUP_CLOCK": "simulated"}
    command = service_pb2.SampleCommand(given_id="o", open_book=OpenBook(book_id=book(1), client="c"))
    request = service_pb2.ExecuteRequest(commands=[command])
    noon = "2030-01-01T12:00:00+00:00"
    async with running("api", variables) as it:
        books = Books(it)
        await books.peer.ask(books.stub.Execute, request, ANN, now=noon)
        await books.peer.close()
        await it.stop()
    async with running("api", variables) as it:
        books = Books(it)
        with pytest.raises(CallFailed) as failure:
            await books.peer.ask(books.stub.Execute, request, ANN, now="2030-01-01T11:59:59+00:00")
        await books.peer.close()
    assert noon in str(failure.value)
    with psycopg.connect(database.reader_url) as connection:
        row = connection.execute("SELECT recorded_at FROM log.events").fetchone()
    assert row is not None
    assert row[0].isoformat() == noon


async def test_a_process_whose_writer_died_ends() -> None:
    store = memory_executor(RealClock())._store
    stopping = asyncio.Event()
    waiting = asyncio.create_task(told_to_stop(stopping, store))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    stopping.set()
    await waiting
    store.alive = False  # type: ignore[misc]
    with pytest.raises(WriterDied):
        await told_to_stop(asyncio.Event(), store)


async def test_without_settings_it_names_them_and_does_not_start() -> None:
    code, said = await ended("api", {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"})
    assert code == START_REFUSED
    assert "RECOUP_DATABASE_URL is not set" in said
    assert "Traceback" not in said


async def test_without_a_database_it_says_so_and_does_not_start(tmp_path: Path) -> None:
    nowhere = Database("sample", "x", *["postgresql://recoup_sample:hunter2@127.0.0.1:9/x"] * 4)
    code, said = await ended("api", environment(nowhere, tmp_path, NO_BROKER))
    assert code == START_REFUSED
    assert "127.0.0.1" in said
    assert "hunter2" not in said
    assert "Traceback" not in said


async def test_rebuild_makes_the_read_rows_anew(sample_database: Callable[..., Database], tmp_path: Path) -> None:
    database = sample_database()
    variables = dict(environment(database, tmp_path, NO_BROKER))
    async with running("api", variables) as it:
        books = Books(it)
        for number in range(3):
            await books.open(book(number))
            await books.post(book(number), f"p{number}")
        await books.peer.close()
        await it.stop()
    rows = _rows(database)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("UPDATE views.book SET balance_minor = 7 WHERE book_id = %s", [book(1)])
        connection.execute("DELETE FROM views.book WHERE book_id = %s", [book(2)])
    assert _rows(database) != rows
    code, said = await ended("rebuild", variables)
    assert code == START_REFUSED
    assert "RECOUP_MIGRATOR_URL" in said
    code, _said = await ended("rebuild", variables | {"RECOUP_MIGRATOR_URL": database.migrator_url})
    assert code == 0
    assert _rows(database) == rows
    assert len(rows) == 3


def _rows(database: Database) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.admin_url) as connection:
        return connection.execute("SELECT * FROM views.book ORDER BY book_id").fetchall()
