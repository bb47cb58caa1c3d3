"""One fact as audit's store holds it, and which facts an instant lets one see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

ACCOUNT, CLIENT, PERSON = "account-", "client-", "person-"
"""How the streams of accounts begin; the id follows."""


class Entry(NamedTuple):
    """A record as it was heard. The order of the fields is the order of the store's columns."""

    source: str
    log_id: UUID
    partition: int
    number: int
    chain: bytes
    tenant: UUID
    stream: str
    version: int
    event_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    command_id: UUID
    correlation_id: UUID
    accounts: tuple[UUID, ...]
    previous: bytes
    payload: bytes
    hash: bytes


def known_at(
    entries: Iterable[Entry], recorded_until: datetime | None = None, occurred_until: datetime | None = None
) -> list[Entry]:
    """The facts that were recorded and had happened by these instants, in the order given; None sets no bound."""
    return [
        entry
        for entry in entries
        if (recorded_until is None or entry.recorded_at <= recorded_until)
        and (occurred_until is None or entry.occurred_at <= occurred_until)
    ]
