"""`recoup parked list | show | retry` and the service behind it, over real gRPC and the real database."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import grpc
import pytest
from recoup.event.v1 import parked_service_pb2
from recoup.event.v1.parked_service_pb2_grpc import ParkedServiceStub, add_ParkedServiceServicer_to_server
from structlog.testing import capture_logs
from typer.testing import CliRunner

from cli import parked as command_line
from cli.main import app
from cli.session import Session
from deploy.local.child import PlatformError
from deploy.local.databases import Database
from deploy.local.platform import Addresses
from deploy.local.secrets import random_secrets
from kernel import checkpoint
from kernel.apply import Effects, apply_run
from kernel.checkpoint import Place
from kernel.clock import RealClock
from kernel.dial import CallFailed, Peer, Tokens
from kernel.parked_service import SCOPE, ParkedServicer
from kernel.record import Record
from kernel.rpc import Server
from kernel.store import connect
from kernel.tenancy import Verifier, service_caller
from tests.kernel.ear import POISON, remember
from tests.kernel.hearing import make_ear_database
from tests.kernel.records import log_of, start_of

SECRETS = random_secrets()
TENANT = str(UUID(int=1))
PLACE = Place("ear", "sample", 0)


class Served:
    """The service of a consumer that has parked facts, in a thread with an event loop of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._serve())

    async def _serve(self) -> int:
        self._server = Server(Verifier(SECRETS.token_secret.encode()), RealClock())
        effects = {"sample": Effects(remember("project"))}
        servicer = ParkedServicer("ear", effects, self.database.url)
        self._server.add(lambda server: add_ParkedServiceServicer_to_server(servicer, server))
        return await self._server.start("127.0.0.1:0")

    def ask(self, method: str, request: Any, *scopes: str) -> Any:
        """One call under the scopes."""
        return self._run(self._ask(method, request, scopes))

    async def _ask(self, method: str, request: Any, scopes: tuple[str, ...]) -> Any:
        peer = Peer(f"127.0.0.1:{self.port}", Tokens(SECRETS.token_secret.encode()))
        try:
            return await peer.ask(
                getattr(ParkedServiceStub(peer.channel), method), request, service_caller("t", *scopes)
            )
        finally:
            await peer.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        self._run(self._server.stop(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def mend(self) -> None:
        """Remove the cause of the trouble."""
        with connect(self.database.admin_url) as connection:
            connection.execute("INSERT INTO ear.mended DEFAULT VALUES")


@pytest.fixture
def served(database: Callable[..., Database]) -> Iterator[Served]:
    ear = make_ear_database(database)
    with connect(ear.url) as connection:
        checkpoint.create(connection, PLACE, start_of(), 0)
        records: list[Record] = log_of(9, streams=3, salt=POISON)
        apply_run(connection, PLACE, Effects(remember("project")), start_of(), records)
    served = Served(ear)
    yield served
    served.stop()


@pytest.fixture
def recoup(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    addresses = Addresses("", "", {"ear": {"grpc": served.port}, "gateway": {"http": 1}}, "")
    session = Session(addresses, SECRETS, service_caller("operator"))
    monkeypatch.setattr(command_line, "open_session", lambda _agency: session)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["parked", *arguments], env={"COLUMNS": "200"})
        if isinstance(result.exception, PlatformError):
            raise result.exception
        assert result.exit_code == code, result.output
        return str(result.output)

    # The service runs in this process, and its log must not be taken for what the command prints.
    with capture_logs():
        yield run


def test_what_is_parked_comes_in_pages(served: Served) -> None:
    first = served.ask("ListParked", parked_service_pb2.ListParkedRequest(limit=5), SCOPE)
    second = served.ask("ListParked", parked_service_pb2.ListParkedRequest(limit=5, after=first.next), SCOPE)
    assert [fact.place.number for fact in (*first.facts, *second.facts)] == list(range(9))
    assert not second.HasField("next")
    assert [fact.HasField("error") for fact in first.facts] == [True, True, True, False, False]


@pytest.mark.parametrize("method", ["ListParked", "ShowParked", "RetryParked"])
def test_nobody_sees_or_mends_it_without_the_scope(served: Served, method: str) -> None:
    with pytest.raises(CallFailed) as failed:
        served.ask(method, getattr(parked_service_pb2, f"{method}Request")(), "log:read")
    assert failed.value.code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("ListParked", parked_service_pb2.ListParkedRequest(limit=501), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListParked", parked_service_pb2.ListParkedRequest(limit=-1), grpc.StatusCode.INVALID_ARGUMENT),
        ("RetryParked", parked_service_pb2.RetryParkedRequest(tenant="x"), grpc.StatusCode.INVALID_ARGUMENT),
        (
            "RetryParked",
            parked_service_pb2.RetryParkedRequest(tenant=TENANT, source="sample", stream="book-9"),
            grpc.StatusCode.NOT_FOUND,
        ),
        (
            "ShowParked",
            parked_service_pb2.ShowParkedRequest(place=parked_service_pb2.ParkedPlace(source="sample", number=99)),
            grpc.StatusCode.NOT_FOUND,
        ),
    ],
)
def test_a_request_that_makes_no_sense_gets_a_clear_error(
    served: Served, method: str, request_: Any, code: grpc.StatusCode
) -> None:
    with pytest.raises(CallFailed) as failed:
        served.ask(method, request_, SCOPE)
    assert failed.value.code is code


def test_the_command_lists_what_is_parked(recoup: Callable[..., Any]) -> None:
    shown = recoup("list")
    assert "ear/sample/0/4" in shown
    assert "this entry cannot be understood" in shown
    assert "queued behind an earlier fact" in shown
    (listed,) = json.loads(recoup("list", "--json"))
    assert [fact["at"] for fact in listed["facts"]] == [f"ear/sample/0/{number}" for number in range(9)]
    assert listed["halted"] == []


def test_the_command_shows_one_fact_with_its_record(recoup: Callable[..., Any]) -> None:
    assert "this entry cannot be understood" in recoup("show", "ear/sample/0/1")
    shown = json.loads(recoup("show", "ear/sample/0/4", "--json"))
    assert shown["record"]["stream"] == "book-1"
    assert shown["record"]["number"] == "4"


def test_the_command_retries_one_stream_in_order(recoup: Callable[..., Any], served: Served) -> None:
    assert "3 left" in recoup("retry", "ear/sample/0/4", code=1)
    served.mend()
    assert "book-1: 3 had their effect" in recoup("retry", "ear/sample/0/4")
    with connect(served.database.url) as connection:
        assert connection.execute("SELECT number FROM ear.effect ORDER BY seq").fetchall() == [(1,), (4,), (7,)]
        assert len(connection.execute("SELECT number FROM log.parked").fetchall()) == 6


def test_the_command_retries_everything(recoup: Callable[..., Any], served: Served) -> None:
    served.mend()
    outcomes = json.loads(recoup("retry", "--json"))
    assert [(one["stream"], one["applied"], one["left"]) for one in outcomes] == [
        (f"ear: book-{number}", 3, 0) for number in range(3)
    ]
    assert "nothing is parked" in recoup("retry")
    assert "nothing is parked" in recoup("list")


def test_the_command_names_halted_partitions(recoup: Callable[..., Any], served: Served) -> None:
    with connect(served.database.url) as connection:
        checkpoint.halt(connection, PLACE, "fork: two histories")
    assert "ear is halted at sample/0: fork: two histories" in recoup("list")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "ear/sample/0"), "is no place"),
        (("show", "ear/sample/x/1"), "is no place"),
        (("show", "ear/sample/0/99"), "no fact is parked"),
        (("show", "nobody/sample/0/1"), "No service"),
        (("list", "--service", "nobody"), "No service"),
    ],
)
def test_the_command_says_what_is_wrong(recoup: Callable[..., Any], arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(PlatformError, match=words):
        recoup(*arguments)
