"""Whoever changes audit's store as its server's administrator, with the triggers off, is found by VerifyLog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from recoup.accounts.v1 import events_pb2 as facts
from recoup.audit.v1 import service_pb2 as audit_messages

from deploy.local.databases import Database, drop_database
from kernel import checkpoint
from kernel.checkpoint import Place
from kernel.record import Record, chain_next, record_hash
from tests.audit import histories as h
from tests.audit.served import BEN, Owner, auditing, hear, owner_of, owning

CHANGED = "its payload or its metadata were changed"
CHAIN = "the chain does not hold here"
MISSING = "missing before it"
PREVIOUS = "the hash of that record is another one"


def history() -> h.Log:
    """One partition of nine facts: the third is of another agency, the last closes the account."""
    log = h.Log(partitions=1)
    log.add(h.placed())
    log.add(h.adjustment(1_000, h.buckets(80_000, 20_000, 1_000), "2026-03-02"))
    log.add(h.placed(), h.OTHER_AGENCY)
    for step in range(2, 7):
        log.add(h.adjustment(1_000, h.buckets(80_000, 20_000, step * 1_000), "2026-03-03", f"A-{step}"))
    log.add(facts.AccountClosed(account_id=h.ACCOUNT, client_id=h.CLIENT, closed_date="2026-03-09"))
    return log


@pytest.fixture
def heard(new_database: Callable[..., Database]) -> Iterator[Database]:
    made = new_database("audit")
    hear(made, history())
    yield made
    drop_database(made)


def tamper(database: Database, *statements: str) -> None:
    """What only an administrator can do: neither triggers nor policies are in the way."""
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement).rowcount == 1


async def verified(database: Database, owner: Owner | None = None) -> audit_messages.VerifyLogResponse:
    async with owning(owner or owner_of(history())) as address, auditing(database, address) as audit:
        return await audit.verify()


async def breaches(database: Database) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for breach in (await verified(database)).breaches:
        assert (breach.source, breach.partition) == ("accounts", 0)
        found.setdefault(breach.number, []).append(breach.text)
    return found


async def test_an_untouched_store_has_no_breach(heard: Database) -> None:
    assert await breaches(heard) == {}


@pytest.mark.parametrize(
    "column",
    [
        "payload = set_byte(payload, length(payload) - 1, get_byte(payload, length(payload) - 1) # 1)",
        "actor = 'user:eve'",
        "occurred_at = occurred_at - interval '1 microsecond'",
        "type = 'recoup.accounts.v1.PaymentPosted'",
        "accounts = '{}'",
        "event_id = gen_random_uuid()",
        "command_id = gen_random_uuid()",
        "correlation_id = gen_random_uuid()",
    ],
    ids=lambda column: column.partition(" ")[0],
)
async def test_a_change_of_payload_or_metadata_is_named_where_it_is(heard: Database, column: str) -> None:
    tamper(heard, f"UPDATE audit.records SET {column} WHERE number = 4")
    found = await breaches(heard)
    assert list(found) == [4]
    assert CHANGED in found[4][0]


async def test_a_change_that_computes_the_kept_hash_anew_breaks_the_chain(heard: Database) -> None:
    """The administrator changes the actor and keeps the right hash of the changed record."""
    forged = replace(history().records[4], actor="user:eve")
    statement = f"UPDATE audit.records SET actor = 'user:eve', hash = '\\x{_hash(forged).hex()}' WHERE number = 4"
    tamper(heard, statement)
    found = await breaches(heard)
    assert CHAIN in found[4][0]
    assert PREVIOUS in found[5][0]


async def test_a_removed_record_leaves_a_gap(heard: Database) -> None:
    tamper(heard, "DELETE FROM audit.records WHERE number = 4")
    found = await breaches(heard)
    assert list(found) == [5]
    assert "1 records are missing before it: 4 should come next" in found[5][0]


async def test_records_that_changed_places_are_named(heard: Database) -> None:
    tamper(
        heard,
        "UPDATE audit.records SET number = 100 WHERE number = 4",
        "UPDATE audit.records SET number = 4 WHERE number = 5",
        "UPDATE audit.records SET number = 5 WHERE number = 100",
    )
    found = await breaches(heard)
    assert CHAIN in found[4][0]
    assert any(CHAIN in text for text in found[5])


async def test_a_removed_last_record_is_found_by_what_was_heard_and_at_the_owners_head(heard: Database) -> None:
    tamper(heard, "DELETE FROM audit.records WHERE number = 8")
    found = await breaches(heard)
    assert list(found) == [7]
    assert "what was heard at 8: 1 are missing at the end" in found[7][0]
    assert "the records end at 7, and accounts at 8: the last are missing" in found[7][1]


async def test_whoever_moves_the_checkpoint_back_too_is_found_at_the_owners_head(heard: Database) -> None:
    chain = history().records[7].chain.hex()
    tamper(
        heard,
        "DELETE FROM audit.records WHERE number = 8",
        f"UPDATE log.checkpoints SET last = 7, chain = '\\x{chain}' WHERE partition = 0",
    )
    found = await breaches(heard)
    assert "the records end at 7, and accounts at 8: the last are missing" in found[7][0]


async def test_a_record_of_another_agency_is_verified_too_and_not_told(heard: Database) -> None:
    tamper(heard, "UPDATE audit.records SET actor = 'user:eve' WHERE number = 2")
    async with owning(owner_of(history())) as address, auditing(heard, address) as audit:
        seen = await audit.verify()
        assert [breach.number for breach in seen.breaches] == [2]
        assert (seen.records, seen.streams) == (8, 1)
        assert ((await audit.verify(BEN)).records, h.ACCOUNT in seen.breaches[0].text) == (1, False)


async def test_an_owner_with_another_history_is_found(heard: Database) -> None:
    forged = h.Log(partitions=1)
    for record in history().records:
        forged.add(facts.PersonRegistered(person_id=f"p-{record.number}"))
    (breach,) = (await verified(heard, owner_of(forged))).breaches
    assert "the chain at 8 is not the one of accounts" in breach.text
    (breach,) = (await verified(heard, owner_of(h.Log(log_id=h.OTHER_AGENCY, partitions=1)))).breaches
    assert "now keeps the log" in breach.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: replace(record, chain=bytes(32)), "its chain is not the one"),
        (lambda record: replace(record, actor="user:eve"), "its chain is not the one"),
        (lambda record: replace(record, previous=bytes(32), chain=_chained(replace(record, previous=bytes(32)))),
         "does not follow version 5 of its stream"),
        (lambda record: replace(record, version=9, chain=_chained(replace(record, version=9))),
         "does not follow version 5 of its stream"),
    ],
    ids=["chain", "metadata", "previous", "version"],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_parked_with_the_reason_and_not_kept(
    database: Callable[..., Database], change: Callable[[Record], Record], reason: str
) -> None:
    made, log = database("audit"), history()
    hear(made, log, log.records[:6])
    hear(made, log, [change(log.records[6])])
    with psycopg.connect(made.admin_url) as connection:
        ((error,),) = connection.execute("SELECT error FROM log.parked").fetchall()
        assert reason in error
        assert connection.execute("SELECT max(number) FROM audit.records").fetchone() == (5,)
        found = checkpoint.read(connection, Place("audit", "accounts", 0))
        assert found is not None
        assert found.position.last == 6


async def test_what_is_parked_is_said_by_verification(database: Callable[..., Database]) -> None:
    made, log = database("audit"), history()
    hear(made, log, log.records[:6])
    hear(made, log, [replace(log.records[6], actor="user:eve")])
    async with owning(owner_of(log)) as address, auditing(made, address) as audit:
        texts = [breach.text for breach in (await audit.verify()).breaches if breach.number == 6]
    assert any("could not be kept: BrokenChain" in text for text in texts)


def _hash(record: Record) -> bytes:
    return record_hash(record)


def _chained(record: Record) -> bytes:
    return chain_next(history().records[5].chain, _hash(record))
