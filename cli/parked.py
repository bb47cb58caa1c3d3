"""`recoup parked list | show | retry`: heard facts whose effect does not work, and another attempt at them.

A parked fact is named by its place, SERVICE/SOURCE/PARTITION/NUMBER, as `recoup parked list` prints it: the service
that heard it, the one it was heard from, and its place in that one's log.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final, TypeVar

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from recoup.event.v1 import parked_service_pb2 as parked
from recoup.event.v1.parked_service_pb2_grpc import ParkedServiceStub
from rich.console import Console
from rich.table import Table

from cli.session import AGENCY, OPERATOR, open_session
from deploy.local.child import PlatformError
from kernel.dial import CallFailed, Peer
from kernel.tenancy import Caller, service_caller

SCOPE: Final = "parked:mend"
RETRY_SECONDS_MAX: Final = 60.0
WORK_LEFT: Final = 1
"""The exit code when something is still parked after a retry, or a partition is halted."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Only = Annotated[str, typer.Option("--service", help="Only what this service has heard.")]
At = Annotated[str, typer.Argument(help="SERVICE/SOURCE/PARTITION/NUMBER, as `recoup parked list` prints it.")]
Result = TypeVar("Result")

app = typer.Typer(
    name="parked", help="Facts whose effect does not work: see them, and try them again.", no_args_is_help=True
)


class _Service:
    """The parked facts of one service, over its gRPC."""

    def __init__(self, name: str, peer: Peer, caller: Caller) -> None:
        self.name, self._peer, self._caller = name, peer, caller
        self._stub = ParkedServiceStub(peer.channel)

    async def facts(self) -> tuple[list[parked.ParkedFact], list[parked.HaltedPartition]]:
        """All of them, page by page, and the halted partitions."""
        request = parked.ListParkedRequest()
        found: list[parked.ParkedFact] = []
        while True:
            page: parked.ListParkedResponse = await self._peer.ask(self._stub.ListParked, request, self._caller)
            found += page.facts
            if not page.HasField("next"):
                return found, list(page.halted)
            request.after.CopyFrom(page.next)

    async def show(self, place: parked.ParkedPlace) -> parked.ShowParkedResponse:
        """One of them."""
        return await self._peer.ask(self._stub.ShowParked, parked.ShowParkedRequest(place=place), self._caller)

    async def retry(self, fact: parked.ParkedFact) -> parked.RetryParkedResponse:
        """Another attempt at the stream of a fact."""
        request = parked.RetryParkedRequest(source=fact.place.source, tenant=fact.tenant, stream=fact.stream)
        return await self._peer.ask(self._stub.RetryParked, request, self._caller, seconds=RETRY_SECONDS_MAX)


@app.command("list")
def list_(service: Only = "", *, as_json: AsJson = False) -> None:
    """List what is parked, and the partitions that are halted."""
    found = _run(_listed(service))
    if as_json:
        _print_json([_listing(name, facts, halted) for name, facts, halted in found])
        return
    _print_table(found)


@app.command()
def show(place: At, *, as_json: AsJson = False) -> None:
    """Show one parked fact: why it is parked, and its record."""
    name, at = _place(place)
    shown = _run(_shown(name, at))
    described = MessageToDict(shown, preserving_proto_field_name=True)
    if as_json:
        _print_json(described)
        return
    console = Console()
    console.print(shown.fact.error or "queued behind an earlier fact of its stream", markup=False)
    for field, value in described["record"].items():
        console.print(f"  {field}: {value}", markup=False, highlight=False)


@app.command()
def retry(
    place: Annotated[str, typer.Argument(help="The fact whose stream is tried again; without it, every stream.")] = "",
    service: Only = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Try parked facts again, each stream in its order, after their cause was mended."""
    outcomes = _run(_retried(place, service))
    if as_json:
        _print_json([{"stream": f"{name}: {stream}", **_outcome(done)} for name, stream, done in outcomes])
    else:
        for name, stream, done in outcomes:
            rest = f", {done.left} left: {done.error}" if done.left else ""
            Console().print(f"{name}: {stream}: {done.applied} had their effect{rest}", markup=False, highlight=False)
        if not outcomes:
            Console().print("nothing is parked")
    if any(done.left for _name, _stream, done in outcomes):
        raise typer.Exit(WORK_LEFT)


async def _listed(only: str) -> list[tuple[str, list[parked.ParkedFact], list[parked.HaltedPartition]]]:
    async with _services(only) as services:
        return [(service.name, *await service.facts()) for service in services]


async def _shown(name: str, place: parked.ParkedPlace) -> parked.ShowParkedResponse:
    async with _services(name) as (service,):
        return await service.show(place)


async def _retried(place: str, only: str) -> list[tuple[str, str, parked.RetryParkedResponse]]:
    name, at = _place(place) if place else (only, None)
    outcomes = []
    async with _services(name) as services:
        for service in services:
            facts = [(await service.show(at)).fact] if at is not None else (await service.facts())[0]
            streams = {(fact.place.source, fact.tenant, fact.stream): fact for fact in facts}
            outcomes += [(service.name, fact.stream, await service.retry(fact)) for fact in streams.values()]
    return outcomes


@asynccontextmanager
async def _services(only: str) -> AsyncIterator[Sequence[_Service]]:
    """The services of the running platform that hear others, or the one that is wanted."""
    session = open_session(AGENCY)
    caller = service_caller(OPERATOR, SCOPE)
    names = [name for name, ports in session.addresses.services.items() if "grpc" in ports and only in ("", name)]
    if not names:
        message = f"No service {only!r} runs here."
        raise PlatformError(message)
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(session.peer(name)) for name in names]
        yield [_Service(name, peer, caller) for name, peer in zip(names, peers, strict=True)]


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except CallFailed as failed:
        if failed.code is grpc.StatusCode.UNIMPLEMENTED:
            message = "That service hears no other."
            raise PlatformError(message) from None
        message = f"The service answers: {failed.status.message}"
        raise PlatformError(message) from None


def _place(text: str) -> tuple[str, parked.ParkedPlace]:
    try:
        name, source, partition, number = text.split("/")
        return name, parked.ParkedPlace(source=source, partition=int(partition), number=int(number))
    except ValueError:
        message = f"{text!r} is no place of a parked fact; `recoup parked list` prints them, as SERVICE/SOURCE/3/17."
        raise PlatformError(message) from None


def _name(service: str, place: parked.ParkedPlace) -> str:
    return f"{service}/{place.source}/{place.partition}/{place.number}"


def _listing(name: str, facts: Sequence[parked.ParkedFact], halted: Sequence[parked.HaltedPartition]) -> dict[str, Any]:
    plain: Callable[[Any], dict[str, Any]] = lambda message: MessageToDict(message, preserving_proto_field_name=True)  # noqa: E731
    listed = [{"at": _name(name, fact.place), **plain(fact)} for fact in facts]
    return {"service": name, "facts": listed, "halted": [plain(one) for one in halted]}


def _outcome(done: parked.RetryParkedResponse) -> dict[str, Any]:
    return {"applied": done.applied, "left": done.left, "error": done.error}


def _print_table(found: Sequence[tuple[str, Sequence[parked.ParkedFact], Sequence[parked.HaltedPartition]]]) -> None:
    console = Console()
    table = Table("place", "type", "stream", "version", "why")
    for name, facts, _halted in found:
        for fact in facts:
            why = fact.error if fact.HasField("error") else "queued behind an earlier fact of its stream"
            kind = fact.type.rpartition(".")[2]
            table.add_row(_name(name, fact.place), kind, fact.stream, str(fact.version), why)
    console.print(table if table.row_count else "nothing is parked")
    for name, _facts, halted in found:
        for one in halted:
            console.print(f"{name} is halted at {one.source}/{one.partition}: {one.reason}", style="bold", markup=False)


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")
