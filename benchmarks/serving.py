"""What a call costs the service, and what sending many placements at once saves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import grpc
import psutil
from recoup.accounts.v1 import service_pb2
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from benchmarks.idle import METHOD
from benchmarks.measuring import Row, at_least, at_most, interleave
from benchmarks.ours import AGENCY, CALLER, payment
from demo.agency import agency_of, give_keys
from demo.draft import Client
from demo.generated import CREDITORS, invent
from demo.placement_json import placement_json
from demo.portfolio import NDJSON
from demo.rest import Api, ApiFailed
from demo.sending import BATCHES
from deploy.local import ports
from deploy.local.platform import Platform
from deploy.local.programs import Program
from kernel.dial import Peer, Tokens

CALLERS: Final = 32
CALLS_EACH: Final = 25
INVENTED_A_ROUND: Final = 1_500
"""A third of them are the one creditor's whose placements are measured."""
SEED: Final = 1
REFUSED: Final = frozenset({409, 422})
API_ONLY: Final = Program("accounts", ["services.accounts", "api"], ["grpc", "metrics"], "metrics", holds_people=True)
"""Only what answers calls, so that neither the relay nor the listener is counted as the cost of one."""

Call = Callable[[int], Awaitable[object]]


def unary_rows(loop: asyncio.AbstractEventLoop, platform: Platform, accounts: list[str]) -> Iterator[Row]:
    """The CPU of one command against a handler that does nothing; `accounts` has one for each caller."""
    ours = Peer(platform.addresses.grpc("accounts"), Tokens(platform.surroundings.secrets.token_secret.encode()))
    execute = AccountsServiceStub(ours.channel).Execute

    async def command(caller: int) -> None:
        one = service_pb2.AccountsCommand(given_id=str(uuid4()), post_payment=payment(accounts[caller]))
        response: Any = await ours.ask(execute, service_pb2.ExecuteRequest(commands=[one]), CALLER)
        assert response.results[0].answer.HasField("accepted"), response

    with _idle() as (address, idle_pid):
        channel = grpc.aio.insecure_channel(address)
        nothing: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        pid = next(child.pid for child in platform.children if child.name == "accounts")
        seen = interleave(
            {
                "ours": lambda: _cpu(loop, pid, command),
                "idle": lambda: _cpu(loop, idle_pid, lambda _caller: nothing(b"")),
            }
        )
        loop.run_until_complete(channel.close())
        loop.run_until_complete(ours.close())
    yield at_most("service CPU of one unary command", "µs", seen["ours"], seen["idle"], "idle grpc.aio handler", 4.0)


def _cpu(loop: asyncio.AbstractEventLoop, pid: int, call: Call) -> float:
    """Microseconds of a process's CPU for one call, over 32 callers that each call one after the other."""

    async def caller(number: int) -> None:
        for _ in range(CALLS_EACH):
            await call(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))

    process = psutil.Process(pid)
    before = process.cpu_times()
    loop.run_until_complete(all_of_them())
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return float(spent) / (CALLERS * CALLS_EACH) * 1_000_000


@contextmanager
def _idle() -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        port = ports.choose(["idle"], Path(folder) / "ports.json")["idle"]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.idle", str(port)])  # noqa: S603 - our own module.
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


class Placing:
    """Placing the same kind of accounts through the gateway, one call each or one batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform) -> None:
        """One of the generator's creditors is registered and given a key."""
        self._loop = loop
        self._client = CREDITORS[0].client
        loop.run_until_complete(_register(platform, [self._client]))
        (creditor,) = give_keys(platform, AGENCY, [self._client])
        self._api = Api(platform.addresses.http, creditor)

    def rows(self) -> Iterator[Row]:
        """The row of the table."""
        seen = interleave({"batch": self._batch, "single": self._one_by_one})
        work, peer = "placing accounts by batch", "the same, one REST call each, 32 at a time"
        yield at_least(work, "accounts/s", seen["batch"], seen["single"], peer, 6.0)
        self._loop.run_until_complete(self._api.__aexit__(None, None, None))

    def _lines(self) -> Sequence[bytes]:
        """The same placements each time, as a creditor would write them, under new references."""
        today = datetime.now(UTC).date()
        lines = []
        for invented in invent(INVENTED_A_ROUND, SEED, today - timedelta(days=90), today):
            if invented.client == self._client:
                invented.placement.terms.client_reference = str(uuid4())
                lines.append(json.dumps(placement_json(invented.placement)).encode())
        return lines

    def _one_by_one(self) -> float:
        lines = self._lines()
        waiting = iter(lines)

        async def caller() -> None:
            for body in waiting:
                await _placed(self._api, body)

        async def all_of_them() -> None:
            await asyncio.gather(*(caller() for _ in range(CALLERS)))

        began = time.perf_counter()
        self._loop.run_until_complete(all_of_them())
        return len(lines) / (time.perf_counter() - began)

    def _batch(self) -> float:
        lines = self._lines()
        body = b"\n".join(lines) + b"\n"
        began = time.perf_counter()
        sent = self._api.send(BATCHES, body, NDJSON, f"benchmark:{uuid4()}")
        job = self._loop.run_until_complete(sent)
        assert job["rows"] == len(lines), job
        return len(lines) / (time.perf_counter() - began)


async def _placed(api: Api, body: bytes) -> None:
    """Place one account. Some of what the generator makes is refused, by this way as by the other."""
    try:
        await api.command("/v1/placements", json.loads(body), str(uuid4()))
    except ApiFailed as failed:
        if failed.status not in REFUSED:
            raise


async def _register(platform: Platform, clients: Sequence[Client]) -> None:
    async with agency_of(platform, AGENCY) as agency:
        await agency.register(clients)
