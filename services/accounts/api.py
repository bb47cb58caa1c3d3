"""The gRPC face of accounts: commands many to a call, and questions.

A caller who speaks for a client sees that client alone: another client's account answers exactly as one that does not
exist. Personal data leave by GetPerson only, to the agency's own people, with a reason that is logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1.placement_pb2 import Placement
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceServicer
from recoup.accounts.v1.state_pb2 import AccountPhase

from kernel.clock import Clock
from kernel.execute import Executor, Request, Unknown
from kernel.reach import own_reason, reach
from kernel.rpc import CALL_SECONDS_MAX, Context, current_call, fill
from kernel.store import PostgresStore
from kernel.tenancy import Caller
from kernel.wire import to_message
from services.accounts import asked
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.client import CLIENT, Client
from services.accounts.domain.holds import holds_in_force
from services.accounts.domain.person import PERSON
from services.accounts.domain.state import Account, Hold
from services.accounts.edge import Edge, entity_of, require
from services.accounts.placements import account_id_of
from services.accounts.states import account_message, client_message, hold_message, person_hold_message, person_message
from services.accounts.vault import Vault
from services.accounts.views import Placed, Views, Wanted, folded_account

REASON_CHARACTERS_MAX: Final = 500
FOLDED_MAX: Final = 500
"""How many accounts one page of a list folds at least before it ends with what it has found."""

log = structlog.get_logger("accounts")


class AccountsApi(AccountsServiceServicer):
    """Answers AccountsService."""

    def __init__(self, executor: Executor, store: PostgresStore, views: Views, vault: Vault, clock: Clock) -> None:
        """`executor` decides, `store` and `views` are read, `vault` keeps the persons."""
        self._executor, self._store, self._views, self._vault, self._clock = executor, store, views, vault, clock
        self._edge = Edge(executor, vault, clock)

    async def Execute(self, request: messages.ExecuteRequest, _context: Context) -> messages.ExecuteResponse:  # noqa: N802 - the contract's name, here and below.
        """Decide the commands, each for itself."""
        response = messages.ExecuteResponse()
        fill(response.results, await self._edge.execute(request.commands))
        return response

    async def ValidatePlacements(  # noqa: N802
        self, request: messages.ValidatePlacementsRequest, _context: Context
    ) -> messages.ValidatePlacementsResponse:
        """What placing each would say, without any effect."""
        caller = _caller("placements:write")
        if not 1 <= len(request.placements) <= asked.LIMIT_MAX:
            asked.refuse("/placements", "count", f"must have 1 to {asked.LIMIT_MAX} items")
        call = current_call()
        wanted = [Request(placement, "validate", caller, call.correlation_of("")) for placement in request.placements]
        return messages.ValidatePlacementsResponse(checks=await self._edge.check(wanted, self._views))

    async def GetAccount(self, request: messages.GetAccountRequest, context: Context) -> messages.GetAccountResponse:  # noqa: N802
        """One account now, as of an instant, or at a version."""
        caller, as_of = _caller("accounts:read"), asked.instant_in(request, "as_of")
        account_id = _account_id(request, caller)
        cut = await self._cut(as_of)
        account = await self._account(caller, account_id, as_of)
        if request.HasField("min_version") and account.version < request.min_version:
            if as_of is not None:
                asked.refuse("/min_version", "too_high", f"had reached version {account.version} at that instant")

            async def version() -> int:
                return (await self._account(caller, account_id, None)).version

            await reach(request.min_version, context.time_remaining() or CALL_SECONDS_MAX, version, own_reason)
            account = await self._account(caller, account_id, None)
        if request.HasField("at_version"):
            account = await self._at_version(caller, account, request.at_version)
        return messages.GetAccountResponse(account=account_message(account), cut=cut)

    async def ListAccounts(  # noqa: N802
        self, request: messages.ListAccountsRequest, _context: Context
    ) -> messages.ListAccountsResponse:
        """A page of the accounts that the caller may see."""
        caller, limit = _caller("accounts:read"), asked.limit_of(request)
        wanted, after = _wanted(request, caller), asked.list_position(request)
        cut = await self._cut(wanted.until)
        accounts, behind = await self._listed(caller, wanted, after, limit)
        response = messages.ListAccountsResponse(accounts=map(account_message, accounts), cut=cut)
        if behind is not None:
            response.next_cursor = asked.list_cursor(behind)
        return response

    async def _listed(
        self, caller: Caller, wanted: Wanted, after: Placed | None, limit: int
    ) -> tuple[Sequence[Account], Placed | None]:
        """The accounts of a page and the place behind it, None at the end; FOLDED_MAX ends a page that finds little."""
        found: list[tuple[Placed, Account]] = []
        folded = 0
        while len(found) <= limit and folded < FOLDED_MAX:
            page = await self._views.accounts(caller, wanted, after, limit + 1)
            found += [one for one in page if wanted.has(one[1])]
            folded += len(page)
            after = page[-1][0] if len(page) > limit else None
            if after is None:
                break
        if len(found) > limit:
            after = found[limit - 1][0]
        return [account for _place, account in found[:limit]], after

    async def ListAccountFacts(  # noqa: N802
        self, request: messages.ListAccountFactsRequest, _context: Context
    ) -> messages.ListAccountFactsResponse:
        """The facts of one account behind a version."""
        caller, limit, as_of = _caller("accounts:read"), asked.limit_of(request), asked.instant_in(request, "as_of")
        if request.after_version < 0:
            asked.refuse("/after_version", "out_of_range", "must not be below zero")
        account_id = entity_of("account", request.account_id)
        cut = await self._cut(as_of)
        if not await self._views.has_account(caller, UUID(account_id), as_of):
            raise _unknown(account_id)
        stream = f"account-{account_id}"
        records = await self._store.read_stream(caller.tenant, stream, request.after_version, as_of, limit + 1)
        facts = [to_message(record) for record in records[:limit]]
        return messages.ListAccountFactsResponse(facts=facts, more=len(records) > limit, cut=cut)

    async def ListClientFacts(  # noqa: N802
        self, request: messages.ListClientFactsRequest, _context: Context
    ) -> messages.ListClientFactsResponse:
        """A client's feed behind a cursor; each partition is read in number order, so no late commit is missed."""
        caller, limit, as_of = _caller("accounts:read"), asked.limit_of(request), asked.instant_in(request, "as_of")
        client_id = _client_id(request, caller)
        numbers = list(asked.feed_position(request, self._store.log_id, self._store.partitions))
        cut = await self._cut(as_of)
        ends = list(cut.numbers) if cut else [asked.NUMBER_MAX] * self._store.partitions
        found = await self._views.feed(caller, client_id, numbers, ends, limit + 1)
        for fact in found[:limit]:
            numbers[fact.record.partition] = fact.record.number
        return messages.ListClientFactsResponse(
            facts=[
                messages.ClientFact(record=to_message(fact.record), client_reference=fact.client_reference)
                for fact in found[:limit]
            ],
            next_cursor=asked.feed_cursor(self._store.log_id, numbers),
            more=len(found) > limit,
            cut=cut,
        )

    async def GetStanding(  # noqa: N802
        self, request: messages.GetStandingRequest, _context: Context
    ) -> messages.GetStandingResponse:
        """What an account allows at this instant; holds on its debtors count at once, before they have reached it."""
        caller = _caller("accounts:read")
        account = await self._account(caller, entity_of("account", request.account_id), None)
        now = self._clock.now()
        holds = {placed.hold_id: hold_message(Hold(placed)) for placed in holds_in_force(account, now)}
        for debtor in account.debtors:
            person, _version = await self._executor.load(caller.tenant, PERSON, debtor.person_id)
            for hold in person.holds_in_force(now):
                holds.setdefault(hold.hold_id, person_hold_message(hold, debtor.person_id))
        return messages.GetStandingResponse(
            account_id=account.account_id,
            version=account.version,
            phase=account.phase,
            workable=account.workable and not holds,
            holds=holds.values(),
            open_dispute_ids=[dispute.dispute_id for dispute in account.disputes.values() if dispute.is_open],
            balance_total_minor=account.balance.total,
            at=asked.timestamp_of(now),
        )

    async def GetClient(self, request: messages.GetClientRequest, _context: Context) -> messages.GetClientResponse:  # noqa: N802
        """One client, its own one for a caller who speaks for a client."""
        caller, as_of = _caller("accounts:read"), asked.instant_in(request, "as_of")
        cut = await self._cut(as_of)
        client = await self._client(caller, asked.reference_in(request, "client_id"), as_of)
        return messages.GetClientResponse(client=client_message(client), cut=cut)

    async def ListClients(  # noqa: N802
        self, request: messages.ListClientsRequest, _context: Context
    ) -> messages.ListClientsResponse:
        """A page of the clients that the caller may see, by id."""
        caller, limit = _caller("accounts:read"), asked.limit_of(request)
        ids = await self._views.clients(caller, asked.client_position(request), limit + 1)
        clients = [await self._client(caller, client_id, None) for client_id in ids[:limit]]
        response = messages.ListClientsResponse(clients=map(client_message, clients))
        if len(ids) > limit:
            response.next_cursor = asked.client_cursor(ids[limit - 1])
        return response

    async def GetPerson(self, request: messages.GetPersonRequest, _context: Context) -> messages.GetPersonResponse:  # noqa: N802
        """One person; with a reason, which is logged, what the vault holds of them too."""
        caller, as_of = _caller("persons:read"), asked.instant_in(request, "as_of")
        person_id = entity_of("person", request.person_id)
        _refuse_bad_reason(request)
        cut = await self._cut(as_of)
        person, version = await self._executor.load(caller.tenant, PERSON, person_id, recorded_until=as_of)
        if version == 0:
            message = f"there is no person-{person_id}"
            raise Unknown(message)
        response = messages.GetPersonResponse(person=person_message(person), cut=cut)
        if request.HasField("reason"):
            log.info(
                "personal data read",
                person=person_id,
                tenant=str(caller.tenant),
                actor=caller.actor,
                reason=request.reason,
            )
            party = await self._vault.read(caller, UUID(person_id), request.vault_version)
            if party is not None:
                response.party.CopyFrom(party)
            beside = await self._beside(caller, request, as_of)
            if beside is not None:
                response.beside.CopyFrom(beside)
        return response

    async def _beside(
        self, caller: Caller, request: messages.GetPersonRequest, as_of: datetime | None
    ) -> Placement | None:
        """What the account's last placement holds beside its parties, when an account was named."""
        if not request.HasField("account_id"):
            return None
        account_id = entity_of("account", request.account_id)
        account = await self._account(caller, account_id, as_of)
        digest = bytes.fromhex(account.digests[-1])
        return await self._vault.read_beside(caller, UUID(request.person_id), UUID(account_id), digest)

    async def _cut(self, as_of: datetime | None) -> messages.LogCut | None:
        """The positions that an as-of answer is read at; NotFinal while an earlier record can still arrive."""
        if as_of is None:
            return None
        numbers = asked.cut_numbers(await self._store.cut(as_of))
        return messages.LogCut(log_id=str(self._store.log_id), numbers=numbers)

    async def _account(self, caller: Caller, account_id: str, as_of: datetime | None) -> Account:
        account: Account
        account, version = await self._executor.load(caller.tenant, ACCOUNT, account_id, recorded_until=as_of)
        if version == 0 or caller.client not in (None, account.client_id):
            raise _unknown(account_id)
        return account

    async def _at_version(self, caller: Caller, account: Account, version: int) -> Account:
        if not 1 <= version <= account.version:
            asked.refuse("/at_version", "out_of_range", f"must be 1 to {account.version}, the account's version")
        if version == account.version:
            return account
        history = await self._store.history(caller.tenant, f"account-{account.account_id}")
        return folded_account(history.facts[:version])

    async def _client(self, caller: Caller, client_id: str, as_of: datetime | None) -> Client:
        client: Client
        client, version = await self._executor.load(caller.tenant, CLIENT, client_id, recorded_until=as_of)
        if version == 0 or caller.client not in (None, client_id):
            message = f"there is no client-{client_id}"
            raise Unknown(message)
        return client


def _caller(scope: str) -> Caller:
    caller = current_call().caller
    require(caller, scope)
    return caller


def _account_id(request: messages.GetAccountRequest, caller: Caller) -> str:
    match request.WhichOneof("name"):
        case "account_id":
            return entity_of("account", request.account_id)
        case "client_reference":
            return account_id_of(
                caller.tenant, _client_id(request, caller), asked.reference_in(request, "client_reference")
            )
    return asked.refuse("/name", "missing", "one of account_id, client_reference must be given")


def _client_id(request: Any, caller: Caller) -> str:  # noqa: ANN401 - any question that may name a client.
    client_id = asked.reference_in(request, "client_id") or caller.client or ""
    if not client_id:
        asked.refuse("/client_id", "missing", "must be given by a caller who speaks for no client")
    if caller.client not in (None, client_id):
        message = f"there is no client-{client_id}"
        raise Unknown(message)
    return client_id


def _wanted(request: messages.ListAccountsRequest, caller: Caller) -> Wanted:
    if request.phase not in AccountPhase.values():
        asked.refuse("/phase", "unknown_value", "must be a phase of the contract")
    client_id = _client_id(request, caller) if request.HasField("client_id") else caller.client
    batch = asked.reference_in(request, "batch_reference") if request.HasField("batch_reference") else None
    return Wanted(client_id, batch, request.phase, asked.instant_in(request, "as_of"))


def _refuse_bad_reason(request: messages.GetPersonRequest) -> None:
    """The vault knows versions and not instants: the facts of an account name the version that it was placed with."""
    if request.HasField("as_of") and request.HasField("reason") and not request.HasField("vault_version"):
        asked.refuse("/vault_version", "missing", "must be given with as_of: an account's debtor names it")
    if request.HasField("vault_version") and request.vault_version < 1:
        asked.refuse("/vault_version", "out_of_range", "must be at least 1")
    if not request.HasField("reason"):
        return
    if not request.reason.strip() or not request.reason.isprintable() or len(request.reason) > REASON_CHARACTERS_MAX:
        asked.refuse("/reason", "invalid_reason", f"must have 1 to {REASON_CHARACTERS_MAX} printable characters")


def _unknown(account_id: str) -> Unknown:
    return Unknown(f"there is no account-{account_id}")
