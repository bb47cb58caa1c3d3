"""The gRPC edge over a real server and a real client on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import grpc
import grpc.aio
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1 import service_pb2, service_pb2_grpc
from recoup.sample.v1.sample_pb2 import CloseBook, OpenBook, PostEntry

from kernel import rpc
from kernel.clock import Clock, RealClock, SimulatedClock
from kernel.dial import CallFailed, Peer, Tokens, status_from
from kernel.errors import Unavailable
from kernel.execute import Executor
from kernel.status import faults_of, reason_of
from kernel.telemetry import CALLS_RUNNING
from kernel.tenancy import Caller, Verifier, sign
from tests.kernel.sample_service import register
from tests.kernel.support import memory_executor

SECRET = b"0123456789abcdef0123456789abcdef"
ANN = Caller(UUID(int=1), None, "ann", "credential-1", frozenset())
BOOK = str(UUID(int=11))
OTHER = str(UUID(int=12))
STRANGER = Caller(UUID(int=2), None, "eve", "credential-2", frozenset())


class Served:
    """A running server with its executor, and one client of it."""

    def __init__(self, port: int, peer: Peer, executor: Executor) -> None:
        self.port = port
        self.peer = peer
        self.executor = executor
        self.stub = service_pb2_grpc.SampleServiceStub(peer.channel)

    async def execute(
        self, *commands: service_pb2.SampleCommand, caller: Caller = ANN
    ) -> Sequence[service_pb2.ExecuteResult]:
        """The results of one Execute."""
        request = service_pb2.ExecuteRequest(commands=commands)
        return list((await self.peer.ask(self.stub.Execute, request, caller)).results)

    async def raw(self, method: str, request: bytes, **metadata: str) -> bytes:
        """Send bytes as they are, under a good token unless `metadata` brings another."""
        token = f"Bearer {sign(ANN, SECRET, 60)}"
        headers = grpc.aio.Metadata(*({"authorization": token} | _keys(metadata)).items())
        call: Any = self.peer.channel.unary_unary(f"/recoup.sample.v1.SampleService/{method}")
        return bytes(await call(request, metadata=headers, timeout=10))


def _keys(metadata: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in metadata.items()}


@asynccontextmanager
async def served(clock: Clock | None = None, calls_max: int = rpc.CALLS_MAX) -> AsyncIterator[Served]:
    clock = clock or RealClock()
    executor = memory_executor(clock)
    server = rpc.Server(Verifier(SECRET), clock, calls_max)
    server.add(register(executor))
    port = await server.start("127.0.0.1:0")
    peer = Peer(f"127.0.0.1:{port}", Tokens(SECRET))
    try:
        yield Served(port, peer, executor)
    finally:
        await peer.close()
        await server.stop(0)


def opened(book_id: str, given_id: str = "", client: str = "client-1") -> service_pb2.SampleCommand:
    open_book = OpenBook(book_id=book_id, client=client)
    return service_pb2.SampleCommand(given_id=given_id or f"open {book_id}", open_book=open_book)


def posted(book_id: str, amount_minor: int, given_id: str) -> service_pb2.SampleCommand:
    return service_pb2.SampleCommand(
        given_id=given_id, post_entry=PostEntry(book_id=book_id, amount_minor=amount_minor)
    )


async def failed(call: Awaitable[object]) -> CallFailed:
    with pytest.raises(CallFailed) as failure:
        await call
    return failure.value


async def failed_raw(call: Awaitable[object]) -> Status:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return status_from(failure.value)


async def test_a_command_is_decided_and_its_repetition_gets_the_first_answer() -> None:
    async with served() as it:
        (first,) = await it.execute(opened(BOOK))
        (again,) = await it.execute(opened(BOOK))
    assert first.answer.WhichOneof("outcome") == "accepted"
    assert first.entity_id == BOOK
    assert again.answer.replayed
    assert again.answer.accepted == first.answer.accepted


async def test_each_item_has_its_own_result_in_order() -> None:
    async with served() as it:
        results = await it.execute(
            opened(BOOK),
            service_pb2.SampleCommand(given_id="no command"),
            posted(BOOK, 500, "p1"),
            posted("", 500, "p2"),
            posted(str(UUID(int=13)), 500, "p3"),
            posted(BOOK, 700, " "),
            opened(OTHER),
        )
        book = await it.peer.ask(it.stub.GetBook, service_pb2.GetBookRequest(book_id=BOOK), ANN)
    assert [result.WhichOneof("result") for result in results] == [
        "answer", "error", "answer", "error", "error", "error", "answer",
    ]  # fmt: skip
    assert book.balance_minor == 500
    missing, blank, absent, nameless = (results[index].error for index in (1, 3, 4, 5))
    assert [fault.pointer for fault in faults_of(missing)] == ["/command"]
    assert [fault.pointer for fault in faults_of(blank)] == ["/book_id"]
    assert (reason_of(absent), absent.code) == ("UNKNOWN", grpc.StatusCode.NOT_FOUND.value[0])
    assert [fault.pointer for fault in faults_of(nameless)] == ["/given_id"]


async def test_a_refusal_is_an_answer_with_its_rule_and_source() -> None:
    async with served() as it:
        close = service_pb2.SampleCommand(given_id="close", close_book=CloseBook(book_id=BOOK))
        results = await it.execute(opened(BOOK), close, posted(BOOK, 1, "late"))
    refusal = results[-1].answer.refusal
    assert refusal.rule
    assert refusal.text
    assert refusal.source


async def test_another_input_under_a_used_id_is_an_error_of_that_item() -> None:
    async with served() as it:
        results = await it.execute(opened(BOOK), posted(BOOK, 1, "p"), posted(BOOK, 2, "p"))
    assert reason_of(results[2].error) == "ID_REUSED"


@pytest.mark.parametrize("count", [0, rpc.ITEMS_MAX + 1])
async def test_a_call_carries_a_bounded_number_of_commands(count: int) -> None:
    async with served() as it:
        failure = await failed(it.execute(*[opened(BOOK)] * count))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [fault.pointer for fault in failure.faults] == ["/commands"]


async def test_a_token_of_another_tenant_sees_nothing() -> None:
    async with served() as it:
        await it.execute(opened(BOOK), posted(BOOK, 1, "p"))
        failure = await failed(it.peer.ask(it.stub.GetBook, service_pb2.GetBookRequest(book_id=BOOK), STRANGER))
        (result,) = await it.execute(posted(BOOK, 1, "p"), caller=STRANGER)
        (own,) = await it.execute(opened(BOOK), caller=STRANGER)
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert reason_of(result.error) == "UNKNOWN"
    assert (own.answer.version, own.answer.replayed) == (1, False)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer ",
        "Bearer nonsense",
        "Basic YW5uOnB3",
        f"bearer {sign(ANN, SECRET, 60)}",
        f"Bearer {sign(ANN, b'another secret of thirty-two byte', 60)}",
    ],
)
async def test_without_a_good_token_nothing_is_answered(authorization: str) -> None:
    async with served() as it:
        status = await failed_raw(it.raw("GetBook", b"", authorization=authorization))
    assert (status.code, reason_of(status)) == (grpc.StatusCode.UNAUTHENTICATED.value[0], "UNAUTHENTICATED")


async def test_a_call_without_any_metadata_is_unauthenticated() -> None:
    async with served() as it, grpc.aio.insecure_channel(f"127.0.0.1:{it.port}") as channel:
        stub = service_pb2_grpc.SampleServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.GetBook(service_pb2.GetBookRequest(book_id=BOOK))
        with pytest.raises(grpc.aio.AioRpcError) as streamed:
            async for _ in stub.WatchBook(service_pb2.WatchBookRequest(book_id=BOOK)):
                pass
    assert failure.value.code() is streamed.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_deadline_ends_a_call_on_both_sides() -> None:
    async with served() as it:
        await it.execute(opened(BOOK))
        slow = service_pb2.GetBookRequest(book_id=BOOK, after_milliseconds=60_000)
        failure = await failed(it.peer.ask(it.stub.GetBook, slow, ANN, seconds=0.2))
        for _ in range(100):
            if running() == 0:
                break
            await asyncio.sleep(0.02)
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert running() == 0


async def test_a_call_without_a_deadline_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "CALL_SECONDS_MAX", 0.1)
    async with served() as it:
        slow = service_pb2.GetBookRequest(book_id=BOOK, after_milliseconds=60_000)
        metadata = grpc.aio.Metadata(("authorization", f"Bearer {sign(ANN, SECRET, 60)}"))
        status = await failed_raw(it.stub.GetBook(slow, metadata=metadata))
    assert (status.code, reason_of(status)) == (grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "DEADLINE")


async def test_a_call_beyond_the_bound_is_refused_at_once() -> None:
    async with served(calls_max=2) as it:
        await it.execute(opened(BOOK))
        slow = service_pb2.GetBookRequest(book_id=BOOK, after_milliseconds=500)
        running_calls = [asyncio.ensure_future(it.peer.ask(it.stub.GetBook, slow, ANN)) for _ in range(2)]
        await asyncio.sleep(0.2)
        failure = await failed(it.peer.ask(it.stub.GetBook, slow, ANN))
        answers = await asyncio.gather(*running_calls)
        after = await it.peer.ask(it.stub.GetBook, service_pb2.GetBookRequest(book_id=BOOK), ANN)
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert [answer.version for answer in (*answers, after)] == [1, 1, 1]


async def test_an_unknown_field_of_a_request_is_named() -> None:
    async with served() as it:
        raw = service_pb2.GetBookRequest(book_id=BOOK).SerializeToString() + b"\x9a\x06\x03abc"
        status = await failed_raw(it.raw("GetBook", raw))
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [(fault.pointer, fault.code) for fault in faults_of(status)] == [("/99", "unknown_field")]


async def test_a_wrong_wire_type_is_no_silent_zero() -> None:
    async with served() as it:
        await it.execute(opened(BOOK))
        fixed64 = b"\x0a\x24" + BOOK.encode() + b"\x11" + (500).to_bytes(8, "little")
        item = b"\x0a\x01i" + b"\x1a" + bytes([len(fixed64)]) + fixed64
        answer = await it.raw("Execute", b"\x0a" + bytes([len(item)]) + item)
    (result,) = service_pb2.ExecuteResponse.FromString(answer).results
    assert [(fault.pointer, fault.code) for fault in faults_of(result.error)] == [("/2", "unknown_field")]


async def test_an_unknown_command_fails_alone() -> None:
    async with served() as it:
        known = opened(BOOK).SerializeToString()
        unknown = b"\x0a\x01i\x9a\x06\x03abc"
        raw = b"".join(b"\x0a" + bytes([len(item)]) + item for item in (unknown, known))
        answer = await it.raw("Execute", raw)
    failed_result, decided = service_pb2.ExecuteResponse.FromString(answer).results
    assert [fault.pointer for fault in faults_of(failed_result.error)] == ["/99", "/command"]
    assert decided.answer.version == 1


async def test_truncated_and_random_bytes_get_an_error_and_the_server_lives() -> None:
    whole = service_pb2.ExecuteRequest(commands=[opened(BOOK), posted(BOOK, 10**12, "p")]).SerializeToString()
    async with served() as it:
        for raw in (*_truncated(whole), *_random()):
            assert await _outcome(it, raw) in ("results", grpc.StatusCode.INVALID_ARGUMENT), raw
        (after,) = await it.execute(opened(OTHER))
    assert after.answer.version == 1


async def _outcome(it: Served, raw: bytes) -> str | grpc.StatusCode:
    try:
        answer = await it.raw("Execute", raw)
    except grpc.aio.AioRpcError as failure:
        return failure.code()
    return "results" if service_pb2.ExecuteResponse.FromString(answer).results else "nothing"


def _truncated(whole: bytes) -> Iterator[bytes]:
    return (whole[:length] for length in range(len(whole)))


def _random() -> Iterator[bytes]:
    chance = random.Random(7)  # noqa: S311 - reproducible, and no secret.
    return (chance.randbytes(chance.randrange(1, 60)) for _ in range(300))


async def test_a_message_beyond_the_bound_is_refused() -> None:
    unbounded = [("grpc.max_send_message_length", -1)]
    metadata = grpc.aio.Metadata(("authorization", f"Bearer {sign(ANN, SECRET, 60)}"))
    async with served() as it, grpc.aio.insecure_channel(f"127.0.0.1:{it.port}", options=unbounded) as channel:
        stub = service_pb2_grpc.SampleServiceStub(channel)
        request = service_pb2.GetBookRequest(book_id="x" * rpc.MESSAGE_BYTES_MAX)
        status = await failed_raw(stub.GetBook(request, metadata=metadata))
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@pytest.mark.parametrize("count", [1, 2])
async def test_a_call_of_which_nothing_could_be_recorded_is_unavailable_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async def unavailable(*_requests: object) -> list[Unavailable]:
        if count == 1:
            raise Unavailable("away")  # noqa: EM101
        return [Unavailable("away")] * count

    async with served() as it:
        monkeypatch.setattr(it.executor, "execute" if count == 1 else "execute_many", unavailable)
        failure = await failed(it.execute(*[opened(BOOK)] * count))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


async def test_a_call_of_which_something_was_recorded_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    async def half(*_requests: object) -> list[Answer | Unavailable]:
        return [Answer(stream=f"book-{BOOK}", version=1), Unavailable("away")]

    async with served() as it:
        monkeypatch.setattr(it.executor, "execute_many", half)
        recorded, lost = await it.execute(opened(BOOK), opened(OTHER))
    assert recorded.answer.version == 1
    assert reason_of(lost.error) == "UNAVAILABLE"


async def test_many_faults_still_travel_with_their_status() -> None:
    async with served() as it:
        raw = b"".join(_field(number) for number in range(10, 310))
        status = await failed_raw(it.raw("GetBook", raw))
    assert len(faults_of(status)) == 300


def _field(number: int) -> bytes:
    key = number << 3
    return bytes([key & 0x7F | 0x80, key >> 7, 1]) if key > 0x7F else bytes([key, 1])


async def test_a_process_with_a_real_clock_refuses_an_instant() -> None:
    async with served() as it:
        call = it.peer.ask(
            it.stub.Execute, service_pb2.ExecuteRequest(commands=[opened(BOOK)]), ANN, now="2030-01-01T00:00:00Z"
        )
        failure = await failed(call)
        unknown = await failed(it.peer.ask(it.stub.GetBook, service_pb2.GetBookRequest(book_id=BOOK), ANN))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CLOCK")
    assert unknown.code is grpc.StatusCode.NOT_FOUND


async def test_a_simulated_process_takes_an_instant_and_never_goes_back() -> None:
    clock = SimulatedClock()
    async with served(clock) as it:
        request = service_pb2.ExecuteRequest(commands=[opened(BOOK)])
        await it.peer.ask(it.stub.Execute, request, ANN, now="2030-01-01T00:00:00Z")
        failure = await failed(it.peer.ask(it.stub.Execute, request, ANN, now="2029-12-31T23:59:59Z"))
        nonsense = await failed(it.peer.ask(it.stub.Execute, request, ANN, now="yesterday"))
    assert clock.now().isoformat() == "2030-01-01T00:00:00+00:00"
    assert failure.reason == nonsense.reason == "CLOCK"


async def test_a_correlation_id_that_is_none_is_named() -> None:
    async with served() as it:
        status = await failed_raw(it.raw("GetBook", b"", recoup_correlation_id="seven"))
    assert [fault.pointer for fault in faults_of(status)] == ["/recoup-correlation-id"]


def test_a_derived_correlation_id_is_the_same_for_a_retry_and_for_no_other_caller() -> None:
    call = rpc.Call("m", ANN, None)
    assert call.correlation_of("id") == call.correlation_of("id")
    others = [replace(ANN, credential="other"), replace(ANN, tenant=uuid4())]
    assert len({rpc.Call("m", caller, None).correlation_of("id") for caller in (ANN, *others)}) == 3
    brought = uuid4()
    assert rpc.Call("m", ANN, brought).correlation_of("id") == brought


async def test_an_error_of_ours_is_internal_and_says_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_arguments: object) -> None:
        message = "the vault key is hunter2"
        raise ZeroDivisionError(message)

    async with served() as it:
        monkeypatch.setattr(it.executor, "load", broken)
        failure = await failed(it.peer.ask(it.stub.GetBook, service_pb2.GetBookRequest(book_id=BOOK), ANN))
    assert failure.code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(failure)


async def test_answers_stream_behind_the_same_guard() -> None:
    async with served() as it:
        await it.execute(opened(BOOK), posted(BOOK, 1, "p"))
        request = service_pb2.WatchBookRequest(book_id=BOOK)
        answers = [answer async for answer in it.peer.stream(it.stub.WatchBook, request, ANN, seconds=5)]
        with pytest.raises(CallFailed) as failure:
            async for _ in it.peer.stream(it.stub.WatchBook, request, STRANGER, seconds=5):
                pass
    assert [answer.amount_minor for answer in answers] == [0, 1]
    assert failure.value.reason == "UNKNOWN"


async def test_health_and_reflection_are_open_to_all() -> None:
    async with served() as it, grpc.aio.insecure_channel(f"127.0.0.1:{it.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        states = [
            (await health.Check(health_pb2.HealthCheckRequest(service=name))).status
            for name in ("", "recoup.sample.v1.SampleService")
        ]
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        listing = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
        names = {service.name async for answer in listing for service in answer.list_services_response.service}
    assert states == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert "recoup.sample.v1.SampleService" in names


async def test_a_client_retries_while_the_service_is_unavailable() -> None:
    async with served() as it:
        port = it.port
    server = rpc.Server(Verifier(SECRET), RealClock())
    server.add(register(memory_executor(RealClock())))
    peer = Peer(f"127.0.0.1:{port}", Tokens(SECRET))
    stub = service_pb2_grpc.SampleServiceStub(peer.channel)
    request = service_pb2.ExecuteRequest(commands=[opened(BOOK)])
    pending = asyncio.ensure_future(peer.ask(stub.Execute, request, ANN))
    await asyncio.sleep(0.05)
    await server.start(f"127.0.0.1:{port}")
    try:
        (result,) = (await pending).results
    finally:
        await peer.close()
        await server.stop(0)
    assert result.answer.version == 1


def running() -> float:
    """How many calls the guard counts as running."""
    return CALLS_RUNNING._value.get()  # type: ignore[no-any-return]
