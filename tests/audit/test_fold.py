"""Audit's own reading of accounts, clients and persons, as of recorded and as of effective instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.state_pb2 import AccountPhase

from services.audit.domain.account import ACCOUNT_FACTS, fold_account
from services.audit.domain.book import UnknownFact
from services.audit.domain.entry import Entry, known_at
from services.audit.domain.others import CLIENT_FACTS, PERSON_FACTS, fold_client, fold_person
from services.audit.recorder import Recorder
from tests.audit import histories as h

ADJUSTED = h.adjustment(5_000, h.buckets(80_000, 20_000, 5_000), "2026-03-10")
PAID = h.payment(30_000, h.buckets(5_000, 20_000, 5_000), h.buckets(75_000, 0, 0), "2026-03-05")


def entries(log: h.Log) -> list[Entry]:
    return [Recorder("accounts")._entry(record) for record in log.records]


def read(entries: list[Entry], *, checking: bool) -> tuple[int, int]:
    book = fold_account(((e.version, e.type, e.payload) for e in entries), checking=checking)
    return sum(book.balance), len(book.findings)


def test_a_payment_recorded_after_an_adjustment_counts_from_when_it_took_effect() -> None:
    log = h.Log()
    for fact in (h.placed(), ADJUSTED, PAID):
        log.add(fact)
    heard = entries(log)
    placed_at, adjusted_at, paid_at = (record.recorded_at for record in log.records)

    # What was known, in the order of recording: each fact's balance after it holds.
    assert read(known_at(heard, placed_at), checking=True) == (100_000, 0)
    assert read(known_at(heard, adjusted_at), checking=True) == (105_000, 0)
    assert read(known_at(heard, paid_at), checking=True) == (75_000, 0)
    # What was so: the adjustment of the 10th was recorded first and took effect last.
    assert paid_at > adjusted_at
    day = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
    assert read(known_at(heard, None, day), checking=False) == (70_000, 0)
    assert read(known_at(heard, None, day - timedelta(microseconds=1)), checking=False) == (100_000, 0)
    assert read(known_at(heard, None, datetime(2026, 3, 10, tzinfo=UTC)), checking=False) == (75_000, 0)
    # Both at once: what one knew, before the payment was recorded, of the day on which it took effect.
    assert read(known_at(heard, adjusted_at, day), checking=False) == (100_000, 0)


def test_a_balance_that_the_ledger_does_not_bear_out_is_found_and_not_copied() -> None:
    wrong = h.adjustment(5_000, h.buckets(80_000, 20_000, 6_000), "2026-03-10")
    book = fold_account(h.stream([h.placed(), wrong]))
    assert book.state().balance == h.buckets(80_000, 20_000, 5_000)
    assert [(f.version, f.pointer, f.said, f.found) for f in book.findings] == [
        (2, "/balance_after/fees_minor", "6000", "5000")
    ]


def test_what_is_overpaid_is_summed_and_checked_too() -> None:
    paid = h.payment(100_700, h.buckets(80_000, 20_000), h.buckets(), "2026-03-05", overpaid=700)
    paid.overpaid_after_minor = 900
    book = fold_account(h.stream([h.placed(), paid]))
    assert book.state().overpaid_minor == 700
    assert [finding.pointer for finding in book.findings] == ["/overpaid_after_minor"]


def test_a_missing_version_is_found() -> None:
    (first, _second, third) = h.stream([h.placed(), ADJUSTED, PAID])
    assert "/version" in [finding.pointer for finding in fold_account([first, third]).findings]


def test_a_return_takes_back_what_the_payment_had_paid() -> None:
    returned = facts.PaymentReturned(
        account_id=h.ACCOUNT,
        payment_id=h.PAYMENT,
        amount_minor=30_000,
        effective_date="2026-03-12",
        transaction_reference="T-2",
        return_code="R01",
        restored=PAID.applied,
        balance_after=h.buckets(80_000, 20_000, 5_000),
    )
    book = fold_account(h.stream([h.placed(), ADJUSTED, PAID, returned]))
    state = book.state()
    assert (state.balance_total_minor, book.findings) == (105_000, [])
    assert [entry.reference for entry in state.ledger] == [f"R-{h.ACCOUNT[-4:]}", "A-1", "T-1", "T-2"]
    assert state.payments[0].applied == h.buckets()
    alone = fold_account(h.stream([h.placed(), returned]), checking=False).state()
    assert (alone.balance_total_minor, list(alone.payments)) == (130_000, []), "the payment lies outside the view"


def test_a_quarantined_account_is_opened_by_what_was_missing() -> None:
    completed = facts.PlacementCompleted(
        account_id=h.ACCOUNT, terms=h.terms(principal=81_000), debtors=h.debtors(), difference=h.buckets(1_000),
        balance_after=h.buckets(81_000, 20_000),
    )  # fmt: skip
    waiting = fold_account(h.stream([h.quarantined()])).state()
    assert waiting.phase == AccountPhase.ACCOUNT_PHASE_QUARANTINED
    assert len(waiting.shortcomings) == 1
    book = fold_account(h.stream([h.quarantined(), completed]))
    assert book.findings == []
    assert book.state().phase == AccountPhase.ACCOUNT_PHASE_OPEN
    assert not book.state().shortcomings
    assert book.state().balance_total_minor == 101_000


def test_what_is_owed_again_is_not_paid_in_full() -> None:
    paid = h.payment(100_000, h.buckets(80_000, 20_000), h.buckets(), "2026-03-05")
    full = facts.AccountPaidInFull(account_id=h.ACCOUNT, payment_id=h.PAYMENT, paid_date="2026-03-05")
    assert fold_account(h.stream([h.placed(), paid, full])).state().paid_in_full_date == "2026-03-05"
    more = h.adjustment(100, h.buckets(0, 0, 100), "2026-03-06")
    assert not fold_account(h.stream([h.placed(), paid, full, more])).state().HasField("paid_in_full_date")


def test_released_holds_are_gone_and_closed_disputes_stay() -> None:
    held = facts.HoldPlaced(account_id=h.ACCOUNT, hold_id="h-1", reason=words.HOLD_REASON_DISPUTE, dispute_id="x-1")
    opened = facts.DisputeOpened(account_id=h.ACCOUNT, dispute_id="x-1", person_id=h.PERSON, portion_minor=100)
    closed = facts.DisputeClosed(
        account_id=h.ACCOUNT, dispute_id="x-1", outcome=words.DISPUTE_OUTCOME_VERIFIED, closed_date="2026-03-20"
    )
    released = facts.HoldReleased(account_id=h.ACCOUNT, hold_id="h-1", reason="answered")
    state = fold_account(h.stream([h.placed(), opened, held])).state()
    assert [hold.dispute_id for hold in state.holds] == ["x-1"]
    state = fold_account(h.stream([h.placed(), opened, held, closed, released])).state()
    assert not state.holds
    assert [(d.portion_minor, d.closed_date) for d in state.disputes] == [(100, "2026-03-20")]


def test_a_client_and_a_person_are_read_too() -> None:
    registered = facts.ClientRegistered(client_id=h.CLIENT, legal_name="North Bank", contract=h.contract())
    opened = facts.PortfolioOpened(client_id=h.CLIENT, portfolio_id="cards", name="Cards")
    client = fold_client(h.stream([registered, opened]))
    assert (client.version, client.legal_name, client.portfolios[0].portfolio_id) == (2, "North Bank", "cards")

    hold = facts.PersonHold(hold_id="h-1", reason=words.HOLD_REASON_DECEASED)
    person = fold_person(
        h.stream(
            [
                facts.PersonRegistered(person_id=h.PERSON, kind=words.PARTY_KIND_PERSON),
                facts.AccountLinked(person_id=h.PERSON, account_id=h.ACCOUNT, role=words.DEBTOR_ROLE_PRIMARY),
                facts.PersonHoldPlaced(person_id=h.PERSON, hold=hold, account_ids=[h.ACCOUNT]),
                facts.PersonsLinked(person_id=h.PERSON, other_person_id="p-2", reason="same"),
                facts.PersonsUnlinked(person_id=h.PERSON, other_person_id="p-2", reason="not the same"),
                facts.PersonHoldReleased(person_id=h.PERSON, hold_id="h-1", reason="a mistake"),
                facts.PersonErased(person_id=h.PERSON, reason="asked for"),
            ]
        )
    )
    assert (person.version, person.erased, len(person.accounts)) == (7, True, 1)
    assert not person.holds
    assert not person.linked_person_ids


def test_every_fact_of_the_contract_is_read_by_exactly_one_fold() -> None:
    declared = {
        str(descriptor.full_name)
        for descriptor in facts.DESCRIPTOR.message_types_by_name.values()
        if any(field.name in ("account_id", "client_id", "person_id") for field in descriptor.fields)
    }
    assert declared == ACCOUNT_FACTS | CLIENT_FACTS | PERSON_FACTS
    assert len(ACCOUNT_FACTS) + len(CLIENT_FACTS) + len(PERSON_FACTS) == len(declared)


@pytest.mark.parametrize("fold", [fold_account, fold_client, fold_person])
def test_a_fact_of_newer_contracts_is_refused_and_not_passed_over(fold: object) -> None:
    with pytest.raises(UnknownFact, match="AccountBlessed"):
        fold([(1, "recoup.accounts.v9.AccountBlessed", b"")])  # type: ignore[operator]
