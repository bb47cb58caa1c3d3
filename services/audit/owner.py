"""What audit asks of the services it hears: where their logs end, how an account stands with them, when it is final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import grpc
from recoup.accounts.v1.service_pb2 import GetAccountRequest, ListAccountsRequest
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub
from recoup.accounts.v1.state_pb2 import AccountState

from kernel.dial import CallFailed, Peer
from kernel.execute import StartRefused, Unavailable
from kernel.judge import Position
from kernel.log_client import LogClient
from kernel.log_service import SCOPE as LOG_SCOPE
from kernel.tenancy import Caller, service_caller

ACCOUNT_SECONDS_MAX: Final = 2.0
ACCOUNTS_PAGE: Final = 250
PAGE_SECONDS_MAX: Final = 15.0
PATIENCE_SECONDS: Final = 1.0
"""How long an answer that can do without its owner waits for it."""
LATELY_SECONDS: Final = 1.0
"""How old the owners' heads may be that an answer only mentions."""
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Owners:
    """The services that own what audit keeps copies of."""

    def __init__(self, peers: Mapping[str, Peer]) -> None:
        """`peers` by service; accounts is one of them."""
        if "accounts" not in peers:
            message = "audit compares with accounts: RECOUP_OWNERS must say where it is, as accounts=host:port"
            raise StartRefused(message)
        caller = service_caller("audit", LOG_SCOPE)
        self._logs = {name: LogClient(peer, caller) for name, peer in peers.items()}
        self._lately: dict[str, tuple[float, Mapping[int, Position]]] = {}
        self._accounts = peers["accounts"]
        self._stub = AccountsServiceStub(self._accounts.channel)

    async def heads(self, source: str) -> Mapping[int, Position]:
        """Where a source's partitions end now; Unavailable when it does not say so."""
        if source not in self._logs:
            message = f"the address of {source} is not known: RECOUP_OWNERS does not name it"
            raise Unavailable(message)
        try:
            return await self._logs[source].read_heads()
        except CallFailed as failed:
            raise _unavailable(failed, source) from failed

    async def heads_lately(self, source: str) -> Mapping[int, Position]:
        """The same, or what was said within the last LATELY_SECONDS; empty when the source does not answer soon."""
        asked_at, heads = self._lately.get(source, (-LATELY_SECONDS, {}))
        if time.monotonic() - asked_at < LATELY_SECONDS:
            return heads
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                heads = await self.heads(source)
        except (Unavailable, TimeoutError):
            heads = {}
        self._lately[source] = (time.monotonic(), heads)
        return heads

    async def account(self, caller: Caller, account_id: str, version: int | None) -> AccountState | None:
        """The owner's state at a version, the newest for None; None where the owner knows no such account."""
        request = GetAccountRequest(account_id=account_id)
        if version is not None:
            request.at_version = version
        try:
            answer = await self._accounts.ask(self._stub.GetAccount, request, caller, seconds=ACCOUNT_SECONDS_MAX)
        except CallFailed as failed:
            if failed.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise _unavailable(failed, "accounts") from failed
        return answer.account

    async def accounts(self, caller: Caller) -> AsyncIterator[Sequence[AccountState]]:
        """Every account that the owner lists for the caller, in pages; Unavailable when it does not answer."""
        request = ListAccountsRequest(limit=ACCOUNTS_PAGE)
        while True:
            try:
                page = await self._accounts.ask(self._stub.ListAccounts, request, caller, seconds=PAGE_SECONDS_MAX)
            except CallFailed as failed:
                raise _unavailable(failed, "accounts") from failed
            yield page.accounts
            if not page.HasField("next_cursor"):
                return
            request.cursor = page.next_cursor

    async def final_numbers(self, caller: Caller, account_id: str, instant: datetime) -> Sequence[int]:
        """The last number of each partition recorded by an instant; none while an earlier record can still come.

        The owner answers a question as of an instant only once that instant is over for every writer.
        """
        request = GetAccountRequest(account_id=account_id)
        request.as_of.FromDatetime(instant)
        try:
            answer = await self._accounts.ask(self._stub.GetAccount, request, caller, seconds=PATIENCE_SECONDS)
        except CallFailed:
            return ()
        return answer.cut.numbers


def _unavailable(failed: CallFailed, source: str) -> Exception:
    """A service that is away is Unavailable; one that refuses says something that we must not hide."""
    if failed.code not in _AWAY:
        return failed
    message = f"{source}, which audit compares with, cannot be reached: {failed}"
    return Unavailable(message)
