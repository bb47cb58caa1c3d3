"""The gRPC edge of a service: every call is authenticated, bounded in number, size and time, and answered in full.

A service's own methods are plain: they take a message and return one. `Server` wraps each of them once, at start,
rather than by interceptors, which cost more per call than everything else here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn, TypeAlias, cast
from uuid import UUID, uuid5

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection
from recoup.event.v1.answer_pb2 import Answer

from kernel.clock import Clock, ClockError
from kernel.decider import Fault
from kernel.errors import Incomplete, KernelError, Overloaded, Unavailable
from kernel.execute import Executor, Request
from kernel.status import DETAILS_BYTES_MAX, DETAILS_KEY, TEXT_CHARACTERS_MAX, expected, status_of
from kernel.telemetry import CALL_SECONDS, CALLS, CALLS_RUNNING, COMMANDS
from kernel.tenancy import Caller, Unauthenticated, Verifier
from kernel.unknown import has_unknown_fields, own_unknown_faults, unknown_faults

CALLS_MAX: Final = 512
"""Calls that run at once; one more is answered RESOURCE_EXHAUSTED instead of waiting unseen."""
ITEMS_MAX: Final = 500
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
CALL_SECONDS_MAX: Final = 30.0
"""The deadline of a call that brings none. A call that streams its answer may take as long as its reader wants."""

CORRELATION_KEY: Final = "recoup-correlation-id"
NOW_KEY: Final = "recoup-now"
AUTHORIZATION_KEY: Final = "authorization"
MESSAGE_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 2 * DETAILS_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", 4 * DETAILS_BYTES_MAX),
)

_SERVER_OPTIONS: Final = (
    *MESSAGE_OPTIONS,
    ("grpc.so_reuseport", 0),
    # A peer asks every minute whether we still live while a call of its runs; gRPC would hang up on it.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
)
_BEARER: Final = "Bearer "
_CORRELATIONS: Final = UUID("6f1c1f0e-35c5-5a3e-9d3e-3a6b5b0f6f0c")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

log = structlog.get_logger("rpc")


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of the call that is being answered, from its credential and its metadata."""

    method: str
    caller: Caller
    correlation_id: UUID | None

    def correlation_of(self, given_id: str) -> UUID:
        """What the call brought, else an id derived from the command's, so that a retry has the same."""
        if self.correlation_id is not None:
            return self.correlation_id
        return uuid5(_CORRELATIONS, f"{self.caller.tenant}|{self.caller.credential}|{given_id}")


_CALL: ContextVar[Call] = ContextVar("recoup_call")


def current_call() -> Call:
    """The call that is being answered; every method of a service runs within one."""
    return _CALL.get()


async def execute_items(executor: Executor, items: Sequence[Any]) -> list[Answer | Status]:
    """Decide the commands of a bulk call; each has its own answer or status, in the items' order.

    An item is a message with a `given_id` and a oneof `command`. An edge that must turn what was sent into something
    else first (names into ids and rows) maps `requests_of` itself and calls `execute_requests`.
    """
    return await execute_requests(executor, requests_of(items))


def requests_of(items: Sequence[Any]) -> list[Request | Status]:
    """The request of every item, or the status of an item that makes none."""
    if not 0 < len(items) <= ITEMS_MAX:
        fault = Fault("/commands", "count", f"a call carries 1 to {ITEMS_MAX} commands, not {len(items)}")
        raise Incomplete([fault])
    call = current_call()
    return [_request(item, call) for item in items]


async def execute_requests(executor: Executor, requests: Sequence[Request | Status]) -> list[Answer | Status]:
    """Decide the requests among `requests`; a status stays in its place.

    When the log is away for all of them the call as a whole is UNAVAILABLE, which a client's channel retries.
    """
    wanted = [request for request in requests if isinstance(request, Request)]
    outcomes = await _decided(executor, wanted)
    if outcomes and all(isinstance(outcome, Unavailable) for outcome in outcomes):
        raise Unavailable(str(outcomes[0]))
    results = iter([_result(request, outcome) for request, outcome in zip(wanted, outcomes, strict=True)])
    return [next(results) if isinstance(request, Request) else request for request in requests]


def fill(results: Any, outcomes: Iterable[Answer | Status]) -> None:  # noqa: ANN401 - any service's repeated result.
    """Append every outcome to `results`, repeated messages with `answer`, `error` and `entity_id`."""
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            results.add(answer=outcome, entity_id=outcome.stream.partition("-")[2])
        else:
            results.add(error=outcome)


class Server:
    """The gRPC server of one process: health and reflection open to all, everything else behind a credential."""

    def __init__(self, verifier: Verifier, clock: Clock, calls_max: int = CALLS_MAX) -> None:
        """`verifier` says who calls; `clock` takes or refuses the instant that a call brings."""
        self._guard = _Guard(verifier, clock, calls_max)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_SERVER_OPTIONS)
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(self, register: Callable[[grpc.aio.Server], None]) -> None:
        """Serve what `register` registers, as `lambda server: add_XServicer_to_server(X(), server)` does."""
        register(cast("grpc.aio.Server", self))

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Generated code registers twice; the other registration names the methods and is the one that is taken."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Take the methods of a service, each behind the guard. Called by generated code."""
        guarded = {name: self._guard.wrap(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))
        self._names.append(service)

    async def start(self, address: str) -> int:
        """Listen on `host:port` and answer; returns the port, chosen when it was 0."""
        reflection.enable_server_reflection(self._names, self._server)
        port = self._server.add_insecure_port(address)
        await self._server.start()
        await self.serving(yes=True)
        return port

    async def serving(self, *, yes: bool) -> None:
        """Tell whoever asks by the gRPC health protocol whether calls are welcome."""
        state = HealthCheckResponse.SERVING if yes else HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, state)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new call, let running ones finish for so long, then end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


class _Guard:
    """What stands between the wire and a service's method, for every call."""

    def __init__(self, verifier: Verifier, clock: Clock, calls_max: int) -> None:
        self._verifier = verifier
        self._clock = clock
        self._calls_max = calls_max
        self._running = 0

    def wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """The same method behind the guard; it takes raw bytes, so that unreadable ones get a proper answer."""
        assert not handler.request_streaming, f"{method}: requests do not stream here; bulk calls carry items"
        read = handler.request_deserializer
        assert read is not None, f"{method}: generated code says how a request is read"
        if handler.unary_stream is not None:
            stream = self._streaming(method, read, handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(stream, None, handler.response_serializer)
        assert handler.unary_unary is not None, f"{method}: generated code says what answers"
        unary = self._unary(method, read, handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(unary, None, handler.response_serializer)

    def _unary(self, method: str, read: Callable[[bytes], Message], answer: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(raw: bytes, context: Context) -> Message:
            async with self._answering(method, context), asyncio.timeout(_seconds_max(context)):
                return cast("Message", await answer(_read(read, raw), context))
            raise AssertionError(method)  # never reached: what is raised within is answered, which raises

        return guarded

    def _streaming(
        self, method: str, read: Callable[[bytes], Message], answer: Callable[..., Any]
    ) -> Callable[..., AsyncIterator[Message]]:
        async def guarded(raw: bytes, context: Context) -> AsyncIterator[Message]:
            async with self._answering(method, context):
                async for response in answer(_read(read, raw), context):
                    yield response

        return guarded

    @asynccontextmanager
    async def _answering(self, method: str, context: Context) -> AsyncIterator[None]:
        """Admit the call, answer whatever is raised within as a status, and count how it ended."""
        started = time.perf_counter()
        code = "OK"
        self._running += 1
        try:
            self._admit(method, context)
            yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = context.code().name
            raise
        except Exception as error:  # The wire ends here: what is raised is answered and logged, not lost.
            status = status_of(error)
            code = Code.Name(status.code)
            if not expected(error):
                log.exception("call failed", method=method)
            await _abort(context, status)
        finally:
            self._running -= 1
            _count(method, code, time.perf_counter() - started, self._running)

    def _admit(self, method: str, context: Context) -> None:
        """Know the caller, or refuse the call: before its request is even read."""
        if self._running > self._calls_max:
            message = f"{self._calls_max} calls are running already"
            raise Overloaded(message)
        metadata = dict(context.invocation_metadata() or ())
        credential = metadata.get(AUTHORIZATION_KEY, "")
        if not isinstance(credential, str) or not credential.startswith(_BEARER):
            message = "this call needs the metadata `authorization: Bearer <token>`"
            raise Unauthenticated(message)
        caller = self._verifier.verify(credential[len(_BEARER) :])
        if NOW_KEY in metadata:
            self._clock.advance_to(_instant(str(metadata[NOW_KEY])))
        brought = metadata.get(CORRELATION_KEY)
        _CALL.set(Call(method, caller, None if brought is None else _correlation(str(brought))))


def _read(read: Callable[[bytes], Message], raw: bytes) -> Message:
    """The request, or Incomplete for what it carries beyond the contract. Commands within are judged one by one."""
    request = read(raw)
    if _carries_commands(request):
        faults = own_unknown_faults(request)
    else:
        faults = unknown_faults(read(raw)) if has_unknown_fields(request) else []
    if faults:
        raise Incomplete(faults)
    return request


def _carries_commands(request: Message) -> bool:
    field = request.DESCRIPTOR.fields_by_name.get("commands")
    return field is not None and field.message_type is not None and "command" in field.message_type.oneofs_by_name


def _request(item: Any, call: Call) -> Request | Status:  # noqa: ANN401 - any service's item.
    faults = own_unknown_faults(item)
    name = item.WhichOneof("command")
    if name is None:
        faults.append(Fault("/command", "missing", "the item names no command"))
    if faults:
        return status_of(Incomplete(faults))
    return Request(getattr(item, name), item.given_id, call.caller, call.correlation_of(item.given_id))


async def _decided(executor: Executor, wanted: Sequence[Request]) -> Sequence[Answer | Exception]:
    """What became of each request. A single one, as an interactive call sends it, takes the shorter way."""
    if len(wanted) != 1:
        return await executor.execute_many(wanted)
    command, correlation = wanted[0].command.DESCRIPTOR.name, str(wanted[0].correlation_id)
    structlog.contextvars.bind_contextvars(command=command, correlation=correlation)
    try:
        return [await executor.execute(wanted[0])]
    except KernelError as error:
        return [error]


def _result(request: Request, outcome: Answer | Exception) -> Answer | Status:
    """The outcome as a caller reads it; counted, and in the log with command, correlation and stream."""
    command, correlation = request.command.DESCRIPTOR.name, str(request.correlation_id)
    if isinstance(outcome, Answer):
        kind = outcome.WhichOneof("outcome") or "none"
        COMMANDS.labels(command, kind).inc()
        log.info("command", command=command, correlation=correlation, stream=outcome.stream, outcome=kind)
        return outcome
    status = status_of(outcome)
    COMMANDS.labels(command, "failed").inc()
    write = log.warning if expected(outcome) else log.error
    trace = None if expected(outcome) else outcome
    write("command", command=command, correlation=correlation, outcome=Code.Name(status.code), exc_info=trace)
    return status


async def _abort(context: Context, status: Status) -> NoReturn:
    """End the call with a rich status, as grpc_status does for servers that are not asyncio."""
    details = status.SerializeToString()
    if len(details) > DETAILS_BYTES_MAX:
        details = Status(code=status.code, message=status.message).SerializeToString()
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    await context.abort(code, status.message[:TEXT_CHARACTERS_MAX], ((DETAILS_KEY, details),))
    raise AssertionError


def _count(method: str, code: str, seconds: float, running: int) -> None:
    CALLS.labels(method, code).inc()
    CALL_SECONDS.labels(method).observe(seconds)
    CALLS_RUNNING.set(running)
    log.debug("call", method=method, code=code, seconds=round(seconds, 6))


def _seconds_max(context: Context) -> float | None:
    """The deadline that the server sets itself; gRPC keeps the caller's, and cancels the method when it passes."""
    return CALL_SECONDS_MAX if context.time_remaining() is None else None


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"the metadata {NOW_KEY} is no ISO 8601 instant"
        raise ClockError(message) from None


def _correlation(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        message = f"the metadata {CORRELATION_KEY} is no UUID"
        raise Incomplete([Fault(f"/{CORRELATION_KEY}", "not_a_uuid", message)]) from None
