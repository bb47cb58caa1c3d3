"""Audit's answers over gRPC, from its own PostgreSQL, beside an owner that may be away or say something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.state_pb2 import AccountState

from deploy.local.databases import Database, drop_database
from kernel.canonical import canonical_json
from kernel.dial import CallFailed
from tests.audit import histories as h
from tests.audit.served import ANN, BEN, NORTH, SOUTH, accounts_of, auditing, hear, owner_of, owning

NOBODY = "127.0.0.1:9"
SECOND = str(accounts_of(2))


def history() -> h.Log:
    """Two agencies; the first has two clients, and a person on the first account."""
    log = h.Log()
    log.add(h.placed())
    log.add(h.adjustment(5_000, h.buckets(80_000, 20_000, 5_000), "2026-03-10"))
    log.add(h.payment(30_000, h.buckets(5_000, 20_000, 5_000), h.buckets(75_000), "2026-03-05"))
    log.add(h.placed(SECOND, "southbank"))
    log.add(facts.PersonRegistered(person_id=h.PERSON, kind=words.PARTY_KIND_PERSON))
    log.add(facts.AccountLinked(person_id=h.PERSON, account_id=h.ACCOUNT, role=words.DEBTOR_ROLE_PRIMARY))
    log.add(h.placed(), h.OTHER_AGENCY)
    return log


@pytest.fixture(scope="module")
def heard(new_database: Callable[..., Database]) -> Iterator[Database]:
    """A database that has heard the history; nothing can change it."""
    made = new_database("audit")
    hear(made, history())
    yield made
    drop_database(made)


def stamp(instant: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(instant)
    return timestamp


async def failing(call: object) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        await call  # type: ignore[misc]
    return raised.value


async def test_a_case_is_rebuilt_as_of_now_as_of_then_and_as_of_when_it_took_effect(heard: Database) -> None:
    log = history()
    adjusted_at = log.records[1].recorded_at
    async with owning(owner_of(log)) as address, auditing(heard, address) as audit:
        now = await audit.case()
        assert now.account.balance == h.buckets(75_000)
        assert now.canonical_json == canonical_json(now.account)
        assert (list(now.findings), now.not_final) == ([], False)
        then = await audit.case(recorded_until=stamp(adjusted_at))
        assert (then.account.version, then.account.balance_total_minor) == (2, 105_000)
        effective = await audit.case(occurred_until=stamp(datetime(2026, 3, 5, tzinfo=UTC)))
        assert effective.account.balance_total_minor == 70_000
        both = await audit.case(
            recorded_until=stamp(adjusted_at), occurred_until=stamp(datetime(2026, 3, 10, tzinfo=UTC))
        )
        assert both.account.balance_total_minor == 105_000
        before = await failing(audit.case(recorded_until=stamp(h.START - timedelta(days=1))))
        assert before.code is grpc.StatusCode.NOT_FOUND


async def test_positions_say_how_far_was_heard_and_how_far_the_owner_is(heard: Database) -> None:
    log = history()
    log.add(facts.AccountClosed(account_id=SECOND, client_id="southbank", closed_date="2026-03-20"))
    partition = log.records[-1].partition
    async with owning(owner_of(log)) as address, auditing(heard, address) as audit:
        positions = (await audit.progress()).positions
        assert [position.partition for position in positions] == list(range(8))
        behind = {p.partition: p.owner_number - p.number for p in positions if p.owner_number != p.number}
        assert behind == {partition: 1}
        assert (await audit.case(SECOND)).not_final
    async with auditing(heard, NOBODY) as audit:
        assert {position.owner_number for position in (await audit.progress()).positions} == {-1}
        assert (await audit.case()).not_final, "an owner that is away may know more"


async def test_an_instant_is_final_when_nothing_earlier_can_still_arrive(heard: Database) -> None:
    log = history()
    paid_at = log.records[2].recorded_at
    # A later record of the partition was heard: the owner need not be asked, and may be away.
    async with auditing(heard, NOBODY) as audit:
        assert not (await audit.case(recorded_until=stamp(paid_at - timedelta(seconds=1)))).not_final
        assert (await audit.case(recorded_until=stamp(log.records[-1].recorded_at + timedelta(hours=1)))).not_final
    # None was heard: the owner says whether the instant is over, and how far its log went by then.
    later = stamp(log.records[-1].recorded_at + timedelta(hours=1))
    owner = owner_of(log)
    async with owning(owner) as address, auditing(heard, address) as audit:
        assert not (await audit.case(recorded_until=later)).not_final
        owner.over = False
        assert (await audit.case(recorded_until=later)).not_final
        owner.over = True
        log.add(facts.AccountClosed(account_id=h.ACCOUNT, client_id=h.CLIENT, closed_date="2026-03-20"))
        assert (await audit.case(recorded_until=later)).not_final, "recorded by then, and not heard yet"


async def test_a_story_tells_the_accounts_own_facts_and_those_that_concern_it(heard: Database) -> None:
    async with auditing(heard, NOBODY) as audit:
        told = (await audit.story()).sentences
        assert [sentence.type.rpartition(".")[2] for sentence in told] == [
            "AccountPlaced",
            "BalanceAdjusted",
            "PaymentPosted",
            "AccountLinked",
        ]
        assert "300.00 USD" in told[2].text
        until = stamp(history().records[1].recorded_at)
        assert len((await audit.story(recorded_until=until)).sentences) == 2


async def test_a_story_names_the_positions_it_was_told_from_and_is_final_when_nothing_can_still_belong_into_it(
    heard: Database,
) -> None:
    log = history()
    later = stamp(log.records[-1].recorded_at + timedelta(hours=1))
    async with owning(owner_of(log)) as address, auditing(heard, address) as audit:
        for told in (await audit.story(), await audit.story(recorded_until=later)):
            assert (list(told.positions), told.not_final) == (list((await audit.progress()).positions), False)
        held = facts.PersonHoldPlaced(person_id=h.PERSON, account_ids=[h.ACCOUNT])
        held.hold.CopyFrom(facts.PersonHold(hold_id="h-1", reason=words.HOLD_REASON_DECEASED))
        assert log.add(held).partition != log.records[0].partition
        assert (await audit.story()).not_final, "it stands on the person's stream, and was not heard yet"
        assert (await audit.story(recorded_until=later)).not_final
        assert not (await audit.case()).not_final, "the case's own partition has nothing more"


async def test_audit_and_owner_agree_or_the_field_that_differs_is_named(heard: Database) -> None:
    def spoil(state: AccountState) -> None:
        if state.account_id == h.ACCOUNT:
            state.balance.principal_minor += 1
            state.payments[0].transaction_reference = "T-9"

    owner = owner_of(history())
    async with owning(owner) as address, auditing(heard, address) as audit:
        agreed = await audit.compare()
        assert (agreed.equal, list(agreed.differences), agreed.version) == (True, [], 3)
        assert owner.asked[-1].at_version == 3
        owner.spoil = spoil
        differs = await audit.compare()
        assert not differs.equal
        assert [(d.pointer, d.owner, d.audit) for d in differs.differences] == [
            ("/balance/principal_minor", '"75001"', '"75000"'),
            ("/payments/0/transaction_reference", '"T-9"', '"T-1"'),
        ]
        every = await audit.compare_all()
        assert [(case.account_id, case.equal) for case in every] == [(h.ACCOUNT, False), (SECOND, True)]


async def test_an_account_that_one_side_does_not_know_differs_as_a_whole(heard: Database) -> None:
    log = history()
    third = str(accounts_of(3))
    log.add(h.placed(third))
    async with owning(owner_of(log)) as address, auditing(heard, address) as audit:
        unheard = await audit.compare(third)
        assert (unheard.equal, unheard.version) == (False, 0)
        assert {difference.audit for difference in unheard.differences} == {""}
    async with owning(owner_of(h.Log())) as address, auditing(heard, address) as audit:
        unowned = await audit.compare()
        assert not unowned.equal
        assert {difference.owner for difference in unowned.differences} == {""}


async def test_comparing_all_finds_what_only_one_side_knows_and_does_not_mistake_the_newest_for_it(
    heard: Database,
) -> None:
    log = history()
    third = str(accounts_of(3))
    log.records = [record for record in log.records if not record.stream.endswith(SECOND)]
    log.add(h.placed(third))
    log.add(facts.AccountClosed(account_id=h.ACCOUNT, client_id=h.CLIENT, closed_date="2026-03-20"))
    async with owning(owner_of(log)) as address, auditing(heard, address) as audit:
        every = {case.account_id: case for case in await audit.compare_all()}
        assert every.keys() == {h.ACCOUNT, SECOND, third}
        assert (every[h.ACCOUNT].equal, every[h.ACCOUNT].version) == (True, 3), "the owner's fourth is not heard yet"
        assert {difference.audit for difference in every[third].differences} == {""}
        assert {difference.owner for difference in every[SECOND].differences} == {""}


async def test_without_the_owner_a_comparison_is_a_clear_error(heard: Database) -> None:
    async with auditing(heard, NOBODY) as audit:
        for call in (audit.compare, audit.compare_all, audit.verify):
            failed = await failing(call())
            assert failed.code is grpc.StatusCode.UNAVAILABLE
            assert "accounts, which audit compares with, cannot be reached" in str(failed)


async def test_an_agency_sees_its_own_cases_and_a_client_those_it_placed(heard: Database) -> None:
    async with owning(owner_of(history())) as address, auditing(heard, address) as audit:
        assert (await audit.case(caller=BEN)).account.version == 1
        assert (await audit.case(caller=ANN)).account.version == 3
        assert (await audit.case(caller=NORTH)).account.version == 3
        for call in (
            audit.case(SECOND, BEN),
            audit.case(SECOND, NORTH),
            audit.story(SECOND, NORTH),
            audit.compare(SECOND, NORTH),
            audit.case(str(accounts_of(99)), NORTH),
        ):
            failed = await failing(call)
            assert failed.code is grpc.StatusCode.NOT_FOUND
            assert "audit has heard of no account" in str(failed) or "compare" in str(failed)
        assert [case.account_id for case in await audit.compare_all(NORTH)] == [h.ACCOUNT]
        assert [case.account_id for case in await audit.compare_all(SOUTH)] == [SECOND]
        for ask in (audit.verify, audit.progress, audit.counts):
            assert (await failing(ask(NORTH))).code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_credential_that_may_not_read_audit_is_refused(heard: Database) -> None:
    nosy = replace(ANN, scopes=frozenset({"accounts:read"}))
    async with auditing(heard, NOBODY) as audit:
        for ask in (audit.verify, audit.progress, audit.counts, audit.compare_all):
            assert (await failing(ask(nosy))).code is grpc.StatusCode.PERMISSION_DENIED
        for ask_about in (audit.case, audit.story, audit.compare):
            assert (await failing(ask_about(h.ACCOUNT, nosy))).code is grpc.StatusCode.PERMISSION_DENIED


async def test_facts_are_counted_by_type_for_the_agency_alone(heard: Database) -> None:
    async with auditing(heard, NOBODY) as audit:
        assert (await audit.counts(BEN)) == {"recoup.accounts.v1.AccountPlaced": 1}
        assert sum((await audit.counts(ANN)).values()) == 6


async def test_a_malformed_id_is_a_fault_of_its_field(heard: Database) -> None:
    async with auditing(heard, NOBODY) as audit:
        failed = await failing(audit.case("no-uuid"))
        assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [fault.pointer for fault in failed.faults] == ["/account_id"]
        failed = await failing(audit.case(recorded_until=Timestamp(seconds=10**12)))
        assert [fault.pointer for fault in failed.faults] == ["/recorded_until"]


async def test_a_log_that_was_heard_in_full_verifies(heard: Database) -> None:
    async with owning(owner_of(history())) as address, auditing(heard, address) as audit:
        verified = await audit.verify()
        assert (verified.records, verified.partitions, verified.streams) == (6, 8, 3)
        assert list(verified.breaches) == []


def test_nothing_that_a_service_or_an_operator_uses_can_change_a_record(heard: Database) -> None:
    for url in (heard.url, heard.reader_url, heard.migrator_url):
        for statement in (
            "UPDATE audit.records SET actor = 'eve'",
            "DELETE FROM audit.records",
            "TRUNCATE audit.records",
            "DELETE FROM audit.mentions",
        ):
            with psycopg.connect(url) as connection:
                connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{h.AGENCY}}}"])
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_a_read_that_names_no_agency_fails_and_one_of_another_agency_sees_nothing(heard: Database) -> None:
    with psycopg.connect(heard.url) as connection, pytest.raises(psycopg.errors.UndefinedObject):
        connection.execute("SELECT * FROM audit.records")
    with psycopg.connect(heard.url) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", ["{33333333-3333-4333-8333-333333333333}"])
        assert connection.execute("SELECT count(*) FROM audit.records").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM audit.mentions").fetchone() == (0,)
