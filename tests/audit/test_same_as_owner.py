"""Two readings of the same facts agree, byte for byte; and where one of them is wrong, the field is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1.state_pb2 import AccountState
from recoup.accounts.v1.terms_pb2 import Buckets

from kernel.canonical import canonical_json
from kernel.decider import Decider, Refused
from services.accounts.domain import state as owners_state
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.client import CLIENT
from services.accounts.domain.ledger import Amounts, amounts_of
from services.accounts.domain.person import PERSON
from services.accounts.states import account_message, client_message, person_message
from services.audit.domain import ledger
from services.audit.domain.account import ACCOUNT_FACTS, fold_account
from services.audit.domain.compare import differences
from services.audit.domain.entry import known_at
from services.audit.domain.others import CLIENT_FACTS, PERSON_FACTS, fold_client, fold_person
from services.audit.domain.story import tell
from services.audit.recorder import Recorder
from tests.accounts.examples import place
from tests.accounts.given import payment
from tests.audit import histories as h
from tests.audit.commands import account_commands, client_commands, person_commands, placements

NOW = datetime(2026, 3, 20, 15, 0, tzinfo=UTC)
LACK = commands.Shortcoming(pointer="/medical_guarantors", code="missing", message="must be named")
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lived(decider: Decider[Any], commands: Sequence[Message]) -> list[tuple[Message, Any]]:
    """The facts that these commands come to, each with the owner's state after it."""
    state = decider.initial
    history: list[tuple[Message, Any]] = []
    for command in commands:
        if not history and type(command) not in decider.begins:
            continue
        try:
            decided = decider.decide(command, state, NOW)
        except Refused:
            continue
        for fact in decided:
            state = decider.evolve(state, fact)
            history.append((fact, state))
    return history


def assert_same(
    history: Sequence[tuple[Message, Any]], public: Callable[[Any], Message], fold: Callable[..., Any]
) -> None:
    stream = list(h.stream(fact for fact, _state in history))
    for version, (_fact, state) in enumerate(history, 1):
        owner, ours = public(state), fold(stream[:version])
        assert canonical_json(owner) == canonical_json(ours), differences(owner, ours)


@MANY
@given(placements(), st.lists(account_commands(), min_size=4, max_size=25))
def test_accounts_are_read_alike_at_every_version(placement: Message, commands: Sequence[Message]) -> None:
    history = lived(ACCOUNT, [placement, *commands])
    assert_same(history, account_message, lambda stream: fold_account(stream).state())
    assert fold_account(h.stream(fact for fact, _state in history)).findings == []


def test_an_account_of_which_more_is_owed_once_it_is_completed_is_not_paid_in_full() -> None:
    paid = h.payment(100_000, h.buckets(80_000, 20_000), h.buckets(), "2026-03-05")
    full = facts.AccountPaidInFull(account_id=h.ACCOUNT, payment_id=h.PAYMENT, paid_date="2026-03-05")
    more = facts.PlacementCompleted(
        account_id=h.ACCOUNT, terms=h.terms(principal=90_000), debtors=h.debtors(), contract=h.contract_terms(),
        difference=h.buckets(10_000), balance_after=h.buckets(10_000),
    )  # fmt: skip
    owner, ours = both([h.quarantined(), paid, full, more])
    assert differences(owner, ours) == []


@MANY
@given(placements(), st.lists(account_commands(), min_size=4, max_size=15), st.integers(0, 12), st.integers(0, 30))
def test_as_of_two_instants_the_balance_is_the_sum_of_what_was_known_and_had_taken_effect(
    placement: Message, commands: Sequence[Message], day: int, minute: int
) -> None:
    log = h.Log()
    for fact, _state in lived(ACCOUNT, [placement, *commands]):
        log.add(fact)
    recorded, occurred = h.START + timedelta(minutes=minute), h.START.replace(hour=0) + timedelta(days=day)
    known = known_at([Recorder("accounts")._entry(record) for record in log.records], recorded, occurred)
    book = fold_account(((entry.version, entry.type, entry.payload) for entry in known), checking=False)
    whole = fold_account((record.version, record.type, record.payload) for record in log.records)
    at = {record.version: record for record in log.records}
    expected = [
        sum(posting.difference)
        for posting in whole.entries
        if at[posting.version].recorded_at <= recorded and at[posting.version].occurred_at <= occurred
    ]
    assert sum(book.balance) == sum(expected)
    assert book.findings == []


@pytest.mark.parametrize("lacks", [[], [LACK]], ids=["accepted", "completed"])
def test_a_case_is_known_from_its_placement_date_though_it_was_recorded_later(
    lacks: Sequence[commands.Shortcoming],
) -> None:
    again = place()
    completes = commands.CompletePlacement(
        account_id=again.account_id, terms=again.terms, debtors=again.debtors, contract=again.contract,
        content_digest="other", client=again.client,
    )  # fmt: skip
    placed_at, paid = datetime(2026, 3, 1, tzinfo=UTC), payment(2_000, effective_date="2026-03-01")
    log = h.Log()
    for fact, _state in lived(ACCOUNT, [place(shortcomings=lacks), completes, paid]):
        log.add(fact)
    entries = [Recorder("accounts")._entry(record) for record in log.records]
    assert min(entry.recorded_at for entry in entries) > placed_at
    assert [sentence.occurred_at.ToDatetime(tzinfo=UTC) for sentence in tell(entries)] == [placed_at] * len(entries)
    known = known_at(entries, None, placed_at)
    book = fold_account(((entry.version, entry.type, entry.payload) for entry in known), checking=False)
    assert (book.placed, sum(book.balance)) == (True, 10_000)
    assert known_at(entries, None, placed_at - timedelta(microseconds=1)) == []


@MANY
@given(st.lists(person_commands(), max_size=25))
def test_persons_are_read_alike_at_every_version(commands: Sequence[Message]) -> None:
    assert_same(lived(PERSON, commands), person_message, fold_person)


@MANY
@given(st.lists(client_commands(), max_size=15))
def test_clients_are_read_alike_at_every_version(commands: Sequence[Message]) -> None:
    assert_same(lived(CLIENT, commands), client_message, fold_client)


def test_the_random_histories_hold_every_fact() -> None:
    """The properties above would prove nothing of facts that never occur in them."""
    seen: set[str] = set()
    for decider, strategy in (
        (ACCOUNT, st.tuples(placements(), st.lists(account_commands(), min_size=15, max_size=40))),
        (PERSON, st.tuples(st.lists(person_commands(), min_size=5, max_size=25))),
        (CLIENT, st.tuples(st.lists(client_commands(), min_size=3, max_size=15))),
    ):
        seen |= _seen(decider, strategy)
    assert seen == ACCOUNT_FACTS | PERSON_FACTS | CLIENT_FACTS


def _seen(decider: Decider[Any], strategy: st.SearchStrategy[Any]) -> set[str]:
    seen: set[str] = set()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def look(drawn: tuple[Any, ...]) -> None:
        commands = [drawn[0], *drawn[1]] if len(drawn) > 1 else drawn[0]
        seen.update(str(fact.DESCRIPTOR.full_name) for fact, _state in lived(decider, commands))

    look()
    return seen


def both(history: Sequence[Message]) -> tuple[AccountState, AccountState]:
    state = ACCOUNT.initial
    for fact in history:
        state = ACCOUNT.evolve(state, fact)
    return account_message(state), fold_account(h.stream(history)).state()


FACTS = (
    h.placed(),
    h.adjustment(5_000, h.buckets(80_000, 20_000, 5_000), "2026-03-10"),
    h.payment(30_000, h.buckets(5_000, 20_000, 5_000), h.buckets(75_000), "2026-03-05"),
)


def test_a_wrong_rule_of_audit_is_named_by_the_field_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, ours = both(FACTS)
    assert differences(owner, ours) == []
    monkeypatch.setattr(ledger, "negated", lambda amounts: amounts)
    owner, ours = both(FACTS)
    assert {
        "/balance/principal_minor",
        "/balance/interest_minor",
        "/balance/fees_minor",
        "/balance_total_minor",
        "/ledger/2/difference/principal_minor",
        "/ledger/2/difference/interest_minor",
        "/ledger/2/difference/fees_minor",
    } == {difference.pointer for difference in differences(owner, ours)}


def test_a_wrong_rule_of_the_owner_is_named_by_the_field_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(buckets: Buckets) -> Amounts:
        return amounts_of(buckets)._replace(fees=0)

    monkeypatch.setattr(owners_state, "amounts_of", wrong)
    owner, ours = both(FACTS[:2])
    assert [tuple(difference) for difference in differences(owner, ours)] == [
        ("/balance/fees_minor", "", '"5000"'),
        ("/balance_total_minor", '"100000"', '"105000"'),
    ]


def test_a_wrong_consequence_in_a_fact_is_copied_by_the_owner_and_found_by_audit() -> None:
    wrong = h.adjustment(5_000, h.buckets(80_000, 20_000, 4_000), "2026-03-10")
    owner, ours = both([h.placed(), wrong])
    assert [difference.pointer for difference in differences(owner, ours)] == [
        "/balance/fees_minor",
        "/balance_total_minor",
    ]
    assert len(fold_account(h.stream([h.placed(), wrong])).findings) == 1
