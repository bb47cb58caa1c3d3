"""The accounts service as the gateway uses it: commands under ids derived from the caller's keys, and questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from google.protobuf.message import Message
from recoup.accounts.v1 import service_pb2 as contract
from recoup.accounts.v1.placement_pb2 import Placement
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from kernel.dial import CallFailed, Peer
from kernel.tenancy import Caller
from services.gateway.principal import Principal
from services.gateway.verdicts import parameter_problem, problem_of

COMMANDS_MAX: Final = 500
BATCH_SECONDS: Final = 60.0
READ_SECONDS: Final = 10.0

_FIELDS: Final[dict[str, str]] = {
    field.message_type.full_name: field.name
    for field in contract.AccountsCommand.DESCRIPTOR.oneofs_by_name["command"].fields
    if field.message_type is not None and field.name not in ("place", "complete")
}
_IDS: Final = UUID("4b5c1f0a-6d0e-5f64-9a34-3c1d3c6a7a10")
"""The namespace of the ids that the gateway derives: of commands, of what they make, and of jobs."""


def derived_id(principal: Principal, purpose: str, key: str) -> str:
    """An id that the same client gets for the same key, and nobody else ever gets."""
    return str(uuid5(_IDS, f"{principal.key.tenant}|{principal.client}|{purpose}|{key}"))


def command_of(given_id: str, message: Message) -> contract.AccountsCommand:
    """The command as an item of a call; the field is the one that takes this type of message."""
    field = _FIELDS[message.DESCRIPTOR.full_name]
    command = contract.AccountsCommand(given_id=given_id)
    getattr(command, field).CopyFrom(message)
    return command


class Accounts:
    """One connection to the accounts service."""

    def __init__(self, peer: Peer) -> None:
        """`peer` is closed by whoever made it."""
        self._peer = peer
        self._stub = AccountsServiceStub(peer.channel)

    async def execute(
        self, caller: Caller, commands: Sequence[contract.AccountsCommand], correlation_id: UUID
    ) -> Sequence[contract.ExecuteResult]:
        """What became of each command, in order; a Problem when the call as a whole failed."""
        request = contract.ExecuteRequest(commands=commands)
        try:
            response: contract.ExecuteResponse = await self._peer.ask(
                self._stub.Execute, request, caller, seconds=BATCH_SECONDS, correlation_id=correlation_id
            )
        except CallFailed as failed:
            raise problem_of(failed) from failed
        assert len(response.results) == len(commands)
        return response.results

    async def validate(self, caller: Caller, placements: Sequence[Placement]) -> Sequence[contract.PlacementCheck]:
        """What the checks say of each placement, in order."""
        request = contract.ValidatePlacementsRequest(placements=placements)
        try:
            response: contract.ValidatePlacementsResponse = await self._peer.ask(
                self._stub.ValidatePlacements, request, caller, seconds=BATCH_SECONDS
            )
        except CallFailed as failed:
            raise problem_of(failed) from failed
        return response.checks

    async def account(self, caller: Caller, request: contract.GetAccountRequest) -> contract.GetAccountResponse:
        """One account."""
        try:
            return await self._peer.ask(self._stub.GetAccount, request, caller, seconds=READ_SECONDS)
        except CallFailed as failed:
            raise parameter_problem(failed) from failed

    async def accounts(self, caller: Caller, request: contract.ListAccountsRequest) -> contract.ListAccountsResponse:
        """A page of accounts."""
        try:
            return await self._peer.ask(self._stub.ListAccounts, request, caller, seconds=READ_SECONDS)
        except CallFailed as failed:
            raise parameter_problem(failed) from failed

    async def account_facts(
        self, caller: Caller, request: contract.ListAccountFactsRequest
    ) -> contract.ListAccountFactsResponse:
        """The facts of one account."""
        try:
            return await self._peer.ask(self._stub.ListAccountFacts, request, caller, seconds=READ_SECONDS)
        except CallFailed as failed:
            raise parameter_problem(failed) from failed

    async def client_facts(
        self, caller: Caller, request: contract.ListClientFactsRequest
    ) -> contract.ListClientFactsResponse:
        """A page of the client's feed."""
        try:
            return await self._peer.ask(self._stub.ListClientFacts, request, caller, seconds=READ_SECONDS)
        except CallFailed as failed:
            raise parameter_problem(failed) from failed
