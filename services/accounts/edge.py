"""The edge of the commands: who may give which, what the service adds to them, and placements with their vault rows.

A call's placements share their questions to the vault. Two of them that would write the same person, or an account's
placement and what follows it in the same call, go in separate waves, in the order of the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from google.rpc.status_pb2 import Status
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import Placement
from recoup.accounts.v1.service_pb2 import AccountsCommand, PlacementCheck
from recoup.event.v1.answer_pb2 import Answer

from kernel.clock import Clock
from kernel.execute import ATTEMPTS_MAX, Executor, KernelError, Request, Unknown
from kernel.rpc import current_call, execute_requests, requests_of
from kernel.status import reason_of, status_of
from kernel.tenancy import Caller, Forbidden
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.client import CLIENT, Client
from services.accounts.domain.state import NO_ACCOUNT
from services.accounts.placements import Sent, account_id_of, checked, named, sent, split
from services.accounts.vault import Known, Vault
from services.accounts.views import Views

SCOPES: Final[Mapping[str, str]] = {
    "place": "placements:write",
    "complete": "placements:write",
    "post_payment": "payments:write",
    "return_payment": "payments:write",
    "refund_payment": "payments:write",
    "correct_payment": "payments:write",
    "adjust_balance": "balances:write",
    "open_dispute": "disputes:write",
    "send_verification": "disputes:write",
    "close_dispute": "disputes:write",
    "place_hold": "holds:write",
    "release_hold": "holds:write",
    "attach_document": "documents:write",
    "close_account": "accounts:close",
    "register_client": "clients:write",
    "amend_contract": "clients:write",
    "open_portfolio": "clients:write",
    "place_person_hold": "persons:write",
    "release_person_hold": "persons:write",
    "link_persons": "persons:write",
    "unlink_persons": "persons:write",
    "erase_person": "persons:write",
}
"""The scope that each command needs."""

AGENCY_SCOPES: Final = ("clients:write", "persons:write", "persons:read")
"""Scopes that only the agency's own credentials can use, which speak for no client."""

_OURS: Final = UUID("9d3c7b1e-5f2a-5e8d-b4c6-1a0f9e8d7c62")
_MADE_IDS: Final = {
    commands.OpenDispute: "dispute_id",
    commands.PlaceHold: "hold_id",
    commands.PlacePersonHold: "hold_id",
    commands.AttachDocument: "document_id",
}


def require(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the caller may use the scope."""
    caller.require(scope)
    if scope in AGENCY_SCOPES and caller.client is not None:
        message = f"the scope {scope!r} is for the agency's own credentials, and this one speaks for a client"
        raise Forbidden(message)


def entity_of(kind: str, text: str) -> str:
    """The id of an account or a person, or Unknown when it has not the form of one: there can be none such."""
    try:
        if str(UUID(text)) == text:
            return text
    except ValueError:
        pass
    message = f"there is no {kind}-{text}"
    raise Unknown(message)


class _Item(NamedTuple):
    """A command on its way, with its place in the call."""

    position: int
    what: Request | Sent
    attempts: int = 0

    @property
    def stream(self) -> str:
        """The stream that it will be decided on, as far as the call's order is concerned."""
        if isinstance(self.what, Sent):
            return self.what.stream
        command: Any = self.what.command
        return f"account-{command.account_id}" if hasattr(command, "account_id") else ""


@dataclass(slots=True)
class _Wave:
    """Commands that can be decided together, and what has to wait for them."""

    items: list[_Item]
    requests: list[Request]
    streams: set[str]
    touched: set[object]


class Edge:
    """Turns the commands of a call into requests, and has them decided."""

    def __init__(self, executor: Executor, vault: Vault, clock: Clock) -> None:
        """`vault` keeps the persons of placements."""
        self._executor, self._vault, self._clock = executor, vault, clock

    async def execute(self, items: Sequence[AccountsCommand]) -> list[Answer | Status]:
        """What became of each command, in order."""
        asked = [await self._asked(item, one) for item, one in zip(items, requests_of(items), strict=True)]
        plain = [one for one in asked if not isinstance(one, Sent)]
        if len(plain) == len(asked):
            return await execute_requests(self._executor, plain)
        outcomes: list[Answer | Status | None] = [one if isinstance(one, Status) else None for one in asked]
        waiting = deque(_Item(place, one) for place, one in enumerate(asked) if not isinstance(one, Status))
        clients = await self._clients([item.what for item in waiting if isinstance(item.what, Sent)])
        while waiting:
            waiting = await self._wave(waiting, clients, outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    async def check(self, requests: Sequence[Request], views: Views) -> list[PlacementCheck]:
        """What placing each would say; nothing is written."""
        today, caller = self._clock.now().date(), current_call().caller
        terms = [named(request).terms for request in requests]
        ids = [account_id_of(caller.tenant, each.client_id, each.client_reference) for each in terms]
        accounts = await views.folded(caller, ids)
        clients = await self._loaded({each.client_id for each in terms})
        return [
            checked(request, self._vault, clients[each.client_id], accounts.get(account_id, NO_ACCOUNT), today)
            for request, each, account_id in zip(requests, terms, ids, strict=True)
        ]

    async def _asked(self, item: AccountsCommand, request: Request | Status) -> Request | Sent | Status:
        """What is to be decided, or the status of a command that makes no request."""
        if isinstance(request, Status):
            return request
        try:
            return await self._prepared(item, request)
        except (KernelError, Forbidden) as error:
            return status_of(error)

    async def _prepared(self, item: AccountsCommand, request: Request) -> Request | Sent:
        name = item.WhichOneof("command")
        assert name is not None
        require(request.caller, SCOPES[name])
        if isinstance(request.command, Placement):
            today = self._clock.now().date()
            return sent(request, self._vault, today, completes=name == "complete")
        return await self._completed(request)

    async def _completed(self, request: Request) -> Request:
        """The command with what only the service can add: ids, who asks, and the rows of an erasure."""
        command: Any = request.command
        caller = request.caller
        for kind in ("account", "person"):
            if hasattr(command, f"{kind}_id"):
                entity_of(kind, getattr(command, f"{kind}_id"))
                break
        if isinstance(command, commands.ReleaseHold) and caller.client is not None:
            await self._refuse_releasing_person(command, caller)
        if isinstance(command, commands.ErasePerson):
            return replace(request, rows=await self._vault.erasing(caller, UUID(command.person_id)))
        return _with_ours(request)

    async def _refuse_releasing_person(self, command: commands.ReleaseHold, caller: Caller) -> None:
        """A hold that reaches a person's accounts of other clients is not one client's to release."""
        account, _version = await self._executor.load(caller.tenant, ACCOUNT, command.account_id)
        hold = account.holds.get(command.hold_id)
        if account.client_id == caller.client and hold and hold.placed.scope == words.HOLD_SCOPE_PERSON:
            message = "a hold that reaches all accounts of a person is released by the agency"
            raise Forbidden(message)

    async def _clients(self, placements: Iterable[Sent]) -> Mapping[str, Client]:
        return await self._loaded({each.placement.terms.client_id for each in placements})

    async def _loaded(self, client_ids: Iterable[str]) -> Mapping[str, Client]:
        tenant = current_call().caller.tenant
        return {client_id: (await self._executor.load(tenant, CLIENT, client_id))[0] for client_id in client_ids}

    async def _wave(
        self,
        waiting: Sequence[_Item],
        clients: Mapping[str, Client],
        outcomes: list[Answer | Status | None],
    ) -> deque[_Item]:
        """Decide as many as can be decided together; the rest, in order."""
        wave = _Wave([], [], set(), set())
        known = await self._known([item.what for item in waiting if isinstance(item.what, Sent)])
        later: deque[_Item] = deque(item for item in waiting if not self._joins(item, wave, known, clients))
        again: list[_Item] = []
        for item, outcome in zip(wave.items, await execute_requests(self._executor, wave.requests), strict=True):
            busy = isinstance(outcome, Status) and reason_of(outcome) == "BUSY" and isinstance(item.what, Sent)
            if busy and item.attempts < ATTEMPTS_MAX:
                again.append(item._replace(attempts=item.attempts + 1))
            else:
                outcomes[item.position] = outcome
        later.extendleft(reversed(again))
        return later

    async def _known(self, placements: Sequence[Sent]) -> Known:
        if not placements:
            return Known({}, {})
        caller = placements[0].request.caller
        return await self._vault.known(caller, [(one.account_id, one.placement) for one in placements])

    def _joins(self, item: _Item, wave: _Wave, known: Known, clients: Mapping[str, Client]) -> bool:
        """Whether the command goes with this wave; then it has been added to it."""
        if item.stream in wave.streams:
            return False
        if isinstance(item.what, Request):
            wave.items.append(item)
            wave.requests.append(item.what)
            return True
        wave.streams.add(item.stream)
        client = clients[item.what.placement.terms.client_id]
        request, writing = split(item.what, client, known, self._vault)
        touched = writing.touched()
        if not touched.isdisjoint(wave.touched):
            return False
        wave.touched |= touched
        wave.items.append(item)
        wave.requests.append(request)
        return True


def _with_ours(request: Request) -> Request:
    command: Any = request.command
    name = _MADE_IDS.get(type(command))
    adjusts = isinstance(command, commands.AdjustBalance)
    if not adjusts and (name is None or getattr(command, name)):
        return request
    ours = type(command)()
    ours.CopyFrom(command)
    if name is not None:
        caller = request.caller
        made = uuid5(_OURS, f"{caller.tenant}|{caller.credential}|{request.given_id}|{name}")
        setattr(ours, name, str(made))
    if adjusts:
        ours.requested_by = request.caller.actor
    return replace(request, command=ours, input=command.SerializeToString(deterministic=True))
