"""The read tables of accounts: what each fact changes in them, and the questions they answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import state_pb2 as states
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kernel.decider import Heard
from kernel.project import Insert, Row, RowChange, Update
from kernel.reads import reading
from kernel.record import Record
from kernel.sql import RECORD_COLUMNS, record_of
from kernel.states import fold_facts
from kernel.tenancy import Caller
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.state import Account

_TYPES: Final = {str(fact.DESCRIPTOR.full_name): fact for fact in ACCOUNT.facts}

_PAGE: Final = (
    "SELECT account_id, placed_at FROM views.accounts WHERE tenant = :tenant AND {conditions}"
    " ORDER BY placed_at, account_id LIMIT :limit"
)
_CONDITIONS: Final = {
    "client": "client_id = :client",
    "batch": "batch_reference = :batch",
    "phase": "phase = :phase",
    "until": "placed_at <= :until",
    "placed_at": "(placed_at, account_id) > (:placed_at, :account)",
}
"""Only what is asked for is in the statement, or no index could serve it. The tenant is named for the same reason."""

_FACTS = text(
    "SELECT stream, type, payload FROM log.events WHERE stream = ANY(:streams)"
    " AND recorded_at <= coalesce(CAST(:until AS timestamptz), 'infinity') ORDER BY stream, version"
)
_OWNED = text(
    "SELECT FROM views.accounts WHERE account_id = :account"
    " AND placed_at <= coalesce(CAST(:until AS timestamptz), 'infinity')"
)
_CLIENTS = text("SELECT client_id FROM views.clients WHERE client_id > :after ORDER BY client_id LIMIT :limit")
_FEED = text(
    f"SELECT a.client_reference, {', '.join('e.' + column for column in RECORD_COLUMNS.split(', '))}"  # noqa: S608 - constants.
    " FROM (SELECT f.* FROM unnest(CAST(:numbers AS int8[]), CAST(:ends AS int8[])) WITH ORDINALITY"
    "         AS c(number, until, ordinal) CROSS JOIN LATERAL"
    "         (SELECT * FROM views.feed f WHERE f.tenant = :tenant AND f.client_id = :client"
    "          AND f.partition = c.ordinal - 1 AND f.number > c.number AND f.number <= c.until"
    "          ORDER BY f.number LIMIT :limit) f"
    "       ORDER BY recorded_at, partition, number LIMIT :limit) f"
    " JOIN log.events e ON e.partition = f.partition AND e.number = f.number"
    " JOIN views.accounts a ON a.tenant = f.tenant AND a.account_id = f.account_id"
    " ORDER BY f.recorded_at, f.partition, f.number"
)


def project(heard: Heard) -> Iterable[RowChange]:
    """The rows that a fact changes. Every fact of a row's stream moves its version."""
    category, _dash, entity = heard.stream.partition("-")
    if category == "account":
        return _project_account(heard, UUID(entity))
    return _project_client(heard, entity) if category == "client" else ()


def _project_account(heard: Heard, account_id: UUID) -> Iterator[RowChange]:
    fact: Any = heard.fact
    tenant = UUID(heard.tenant)
    phase = _PHASES.get(type(fact))
    if heard.version == 1:
        row: Row = {
            "tenant": tenant,
            "account_id": account_id,
            "client_id": fact.client_id,
            "client_reference": fact.terms.client_reference,
            "batch_reference": fact.terms.batch_reference,
            "phase": phase,
            "placed_at": heard.recorded_at,
            "version": heard.version,
        }
        yield Insert("views.accounts", row)
    else:
        changes: dict[str, str | int] = {"version": heard.version}
        if phase is not None:
            changes["phase"] = phase
        if isinstance(fact, events.PlacementCompleted):
            changes["batch_reference"] = fact.terms.batch_reference
        yield Update("views.accounts", {"tenant": tenant, "account_id": account_id}, changes)
    row = {
        "tenant": tenant,
        "client_id": fact.client_id,
        "partition": heard.partition,
        "number": heard.number,
        "recorded_at": heard.recorded_at,
        "account_id": account_id,
    }
    yield Insert("views.feed", row)


_PHASES: Final[Mapping[type[Message], int]] = {
    events.AccountPlaced: states.ACCOUNT_PHASE_OPEN,
    events.PlacementQuarantined: states.ACCOUNT_PHASE_QUARANTINED,
    events.PlacementCompleted: states.ACCOUNT_PHASE_OPEN,
    events.AccountClosed: states.ACCOUNT_PHASE_CLOSED,
}


def _project_client(heard: Heard, client_id: str) -> Iterator[RowChange]:
    key: Row = {"tenant": UUID(heard.tenant), "client_id": client_id}
    if heard.version == 1:
        yield Insert("views.clients", {**key, "version": heard.version})
    else:
        yield Update("views.clients", key, {"version": heard.version})


class Placed(NamedTuple):
    """An account's place in every list."""

    placed_at: datetime
    account_id: UUID


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accounts a list is of."""

    client_id: str | None = None
    batch_reference: str | None = None
    phase: int = states.ACCOUNT_PHASE_UNSPECIFIED
    until: datetime | None = None

    def has(self, account: Account) -> bool:
        """Whether the list is of this account, in the state that it had by `until`."""
        return self.phase in (states.ACCOUNT_PHASE_UNSPECIFIED, account.phase) and self.batch_reference in (
            None,
            account.terms.batch_reference,
        )


class FeedFact(NamedTuple):
    """A fact of a client's feed."""

    record: Record
    client_reference: str


def folded_account(facts: Sequence[tuple[str, bytes]]) -> Account:
    """The account after some of its facts, given as type names and payloads."""
    account: Account = fold_facts(ACCOUNT, _TYPES, facts)
    return account


async def _folded(
    connection: AsyncConnection, account_ids: Sequence[str], until: datetime | None
) -> Mapping[str, Account]:
    facts: dict[str, list[tuple[str, bytes]]] = {}
    asked = {"streams": [f"account-{account_id}" for account_id in account_ids], "until": until}
    for stream, type_, payload in await connection.execute(_FACTS, asked):
        facts.setdefault(stream.removeprefix("account-"), []).append((type_, payload))
    return {account_id: folded_account(found) for account_id, found in facts.items()}


class Views:
    """Asks the read tables and the log, as one caller and nobody else."""

    def __init__(self, engine: AsyncEngine, log_id: UUID) -> None:
        """`engine` reads as the service's role."""
        self._engine = engine
        self._log_id = log_id

    async def accounts(
        self, caller: Caller, wanted: Wanted, after: Placed | None, limit: int
    ) -> Sequence[tuple[Placed, Account]]:
        """Accounts in their order after a place, folded as far as `wanted.until`.

        The tables know batch and phase as they are now: as of an instant only `wanted.has` can tell.
        """
        asked = {
            "client": caller.client or wanted.client_id,
            "batch": wanted.batch_reference if wanted.until is None else None,
            "phase": wanted.phase if wanted.until is None and wanted.phase else None,
            "until": wanted.until,
            "placed_at": after.placed_at if after else None,
        }
        conditions = [_CONDITIONS[name] for name, value in asked.items() if value is not None]
        page = text(_PAGE.format(conditions=" AND ".join(["true", *conditions])))
        account_id = after.account_id if after else None
        parameters = {**asked, "tenant": caller.tenant, "account": account_id, "limit": limit}
        async with reading(self._engine, caller) as connection:
            rows = [Placed(row[1], row[0]) for row in await connection.execute(page, parameters)]
            folded = await _folded(connection, [str(row.account_id) for row in rows], wanted.until)
        return [(row, folded[str(row.account_id)]) for row in rows]

    async def folded(self, caller: Caller, account_ids: Sequence[str]) -> Mapping[str, Account]:
        """The present states of accounts by id, with one question for all of them; absent where there is no account."""
        async with reading(self._engine, caller) as connection:
            return await _folded(connection, account_ids, None)

    async def has_account(self, caller: Caller, account_id: UUID, until: datetime | None) -> bool:
        """Whether there is an account that the caller may see, or was by an instant."""
        async with reading(self._engine, caller) as connection:
            found = await connection.execute(_OWNED, {"account": account_id, "until": until})
            return found.first() is not None

    async def clients(self, caller: Caller, after: str, limit: int) -> Sequence[str]:
        """The clients that the caller may see, by id, behind one."""
        async with reading(self._engine, caller) as connection:
            found = await connection.execute(_CLIENTS, {"after": after, "limit": limit})
            return [client_id for (client_id,) in found]

    async def feed(
        self, caller: Caller, client_id: str, numbers: Sequence[int], ends: Sequence[int], limit: int
    ) -> Sequence[FeedFact]:
        """A client's facts after a number in each partition and up to another, in the order of recording."""
        parameters = {
            "tenant": caller.tenant,
            "client": client_id,
            "numbers": list(numbers),
            "ends": list(ends),
            "limit": limit,
        }
        async with reading(self._engine, caller) as connection:
            rows = await connection.execute(_FEED, parameters)
            return [FeedFact(record_of(self._log_id, row[1:]), row[0]) for row in rows]
