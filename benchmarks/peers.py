"""The peer: the leading event-sourcing library for Python, in its default form and at its best tuning.

Both hold the same account with the same payments as ours. The default form is the library's own aggregate and JSON; the
best is plain functions over msgspec structs, its stored functions, and connections for every caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.utils import get_topic, resolve_topic

CALLERS_MAX = 256


class DefaultAccount(Aggregate):
    """An account as the library's tutorial would write it."""

    @event("Placed")
    def __init__(self, client_reference: str, principal_minor: int) -> None:
        """Places the account."""
        self.client_reference = client_reference
        self.principal_minor = principal_minor
        self.payments: list[str] = []

    def post_payment(self, transaction_reference: str, amount_minor: int) -> None:
        """Decides a payment and records its consequence."""
        if transaction_reference in self.payments or amount_minor > self.principal_minor:
            message = "the payment does not fit"
            raise ValueError(message)
        self._posted(
            transaction_reference=transaction_reference,
            amount_minor=amount_minor,
            effective_date="2026-11-24",
            principal_after_minor=self.principal_minor - amount_minor,
        )

    @event("PaymentPosted")
    def _posted(  # The library keeps every argument as a field of the event.
        self,
        transaction_reference: str,
        amount_minor: int,  # noqa: ARG002
        effective_date: str,  # noqa: ARG002
        principal_after_minor: int,
    ) -> None:
        self.payments.append(transaction_reference)
        self.principal_minor = principal_after_minor


class Fact(msgspec.Struct, frozen=True):
    """What every fact of the tuned form carries."""

    originator_id: UUID
    originator_version: int
    timestamp: datetime


class Placed(Fact, frozen=True):
    """The account was placed."""

    client_reference: str
    principal_minor: int


class PaymentPosted(Fact, frozen=True):
    """A payment was posted."""

    transaction_reference: str
    amount_minor: int
    effective_date: str
    principal_after_minor: int


class TunedAccount:
    """The fold of the tuned form: slots and a plain function."""

    __slots__ = ("client_reference", "id", "payments", "principal_minor", "version")

    def __init__(self) -> None:
        """An account of which nothing is known."""
        self.payments: list[str] = []
        self.version = 0
        self.principal_minor = 0

    def fold(self, facts: Iterable[Any]) -> TunedAccount:
        """The account after these facts."""
        for fact in facts:
            if type(fact) is PaymentPosted:
                self.payments.append(fact.transaction_reference)
                self.principal_minor = fact.principal_after_minor
            else:
                self.id = fact.originator_id
                self.client_reference = fact.client_reference
                self.principal_minor = fact.principal_minor
            self.version = fact.originator_version
        return self

    def post_payment(self, transaction_reference: str, amount_minor: int) -> PaymentPosted:
        """Decides a payment."""
        if transaction_reference in self.payments or amount_minor > self.principal_minor:
            message = "the payment does not fit"
            raise ValueError(message)
        return PaymentPosted(
            self.id,
            self.version + 1,
            datetime.now(UTC),
            transaction_reference,
            amount_minor,
            "2026-11-24",
            self.principal_minor - amount_minor,
        )


class MsgspecMapper(Mapper[UUID]):
    """Facts to stored events and back, by msgspec."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:  # noqa: ANN401 - the library's own signature.
        """The stored form of a fact."""
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=msgspec.msgpack.encode(domain_event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:  # noqa: ANN401 - the library's own signature.
        """The fact of a stored event."""
        return msgspec.msgpack.decode(stored_event.state, type=resolve_topic(stored_event.topic))


def application(server_url: str, database: str, *, tuned: bool) -> Application[UUID]:
    """The library's application over a database of its own on our server."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{database}"')
        place = connection.info
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": database,
            "POSTGRES_HOST": place.host,
            "POSTGRES_PORT": str(place.port),
            "POSTGRES_USER": place.user,
            "POSTGRES_PASSWORD": place.password or "none",
        }
    if tuned:
        environment |= {
            "POSTGRES_ENABLE_DB_FUNCTIONS": "yes",
            "POSTGRES_POOL_SIZE": "32",
            "POSTGRES_MAX_OVERFLOW": "32",
            "MAPPER_TOPIC": get_topic(MsgspecMapper),
        }
    environment |= {"POSTGRES_MAX_WAITING": str(CALLERS_MAX), "POSTGRES_CONNECT_TIMEOUT": "60"}
    return Application(environment)


def place_default(app: Application[UUID]) -> DefaultAccount:
    """A new account of the default form, saved."""
    account = DefaultAccount(client_reference=str(uuid4()), principal_minor=10**9)
    app.save(account)
    return account


def place_tuned(app: Application[UUID]) -> TunedAccount:
    """A new account of the tuned form, saved."""
    placed = Placed(uuid4(), 1, datetime.now(UTC), str(uuid4()), 10**9)
    app.save(placed)
    return TunedAccount().fold([placed])
