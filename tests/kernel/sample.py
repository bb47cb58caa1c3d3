"""The kernel's own sample of a service: a book whose balance is the sum of its entries, with one read table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final

from google.protobuf.message import Message
from recoup.sample.v1.sample_pb2 import BookClosed, BookOpened, CloseBook, EntryPosted, OpenBook, PostEntry

from kernel.decider import Decider, Fault, Heard, Refused
from kernel.project import Insert, Row, RowChange, Update

TABLES: Final = """
CREATE SCHEMA views AUTHORIZATION "recoup_sample_migrator";
CREATE TABLE views.book (
    tenant uuid NOT NULL, book_id text NOT NULL, client text NOT NULL, balance_minor bigint NOT NULL,
    version bigint NOT NULL, partition smallint NOT NULL, number bigint NOT NULL, recorded_at timestamptz NOT NULL,
    closed boolean NOT NULL DEFAULT false, memos text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant, book_id)
);
CREATE INDEX book_client ON views.book (tenant, client);
ALTER TABLE views.book ENABLE ROW LEVEL SECURITY;
ALTER TABLE views.book FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON views.book TO "recoup_sample", "recoup_sample_migrator"
    USING (tenant = ANY (ARRAY(SELECT unnest(current_setting('recoup.tenants')::uuid[]))));
CREATE POLICY all_tenants ON views.book FOR SELECT TO "recoup_sample_reader" USING (true);
GRANT USAGE ON SCHEMA views TO "recoup_sample", "recoup_sample_reader";
GRANT SELECT, INSERT, UPDATE, DELETE ON views.book TO "recoup_sample";
GRANT SELECT ON views.book TO "recoup_sample_reader";
"""


class BookNotOpen(Refused):
    """Entries go to an open book only."""


class BookOverdrawn(Refused):
    """A book's balance never falls below zero."""

    source: ClassVar[str] = "the sample's own rule"


@dataclass(frozen=True, slots=True)
class Book:
    """What is known of a book."""

    client: str | None = None
    balance_minor: int = 0
    is_open: bool = False


def decide(command: Message, book: Book, now: datetime) -> Sequence[Message]:
    """Open, post, close."""
    match command:
        case OpenBook():
            return [] if book.is_open else [BookOpened(book_id=command.book_id, client=command.client)]
        case PostEntry():
            return [_posted(command, book)]
        case CloseBook():
            if not book.is_open:
                return []
            return [BookClosed(book_id=command.book_id, closed_on=now.date().isoformat())]
    raise AssertionError(command)


def _posted(command: PostEntry, book: Book) -> Message:
    if not book.is_open:
        raise BookNotOpen
    balance = book.balance_minor + command.amount_minor
    if balance < 0:
        fault = Fault("/amount_minor", "overdrawn", f"leaves {balance}")
        raise BookOverdrawn(f"It would be {balance}.", [fault])  # noqa: TRY003, EM102 - the facts of the case.
    return EntryPosted(
        book_id=command.book_id, amount_minor=command.amount_minor, balance_after_minor=balance, memo=command.memo
    )


def evolve(book: Book, fact: Message) -> Book:
    """Copy what the fact says."""
    match fact:
        case EntryPosted():
            return Book(book.client, fact.balance_after_minor, book.is_open)
        case BookOpened():
            return Book(fact.client, 0, is_open=True)
        case BookClosed():
            return replace(book, is_open=False)
    raise AssertionError(fact)


BOOK: Final = Decider(
    "book",
    Book(),
    decide,
    evolve,
    (OpenBook, PostEntry, CloseBook),
    (BookOpened, EntryPosted, BookClosed),
    lambda book: book.client,
)


def project(heard: Heard) -> Iterable[RowChange]:
    """One row a book."""
    fact = heard.fact
    assert isinstance(fact, BookOpened | EntryPosted | BookClosed)
    at: Row = {"version": heard.version, "number": heard.number, "recorded_at": heard.recorded_at}
    key: Row = {"tenant": heard.tenant, "book_id": fact.book_id}
    match fact:
        case BookOpened():
            row: Row = {"tenant": heard.tenant, "book_id": fact.book_id, "client": fact.client, "balance_minor": 0}
            yield Insert("views.book", {**row, **at, "partition": heard.partition})
        case EntryPosted():
            yield Update("views.book", key, {**at, "balance_minor": fact.balance_after_minor})
        case BookClosed():
            yield Update("views.book", key, {**at, "closed": True, "memos": ["closed", 'with "quotes", \\ and {}']})
