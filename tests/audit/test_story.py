"""Every fact is told as a sentence of who, what and why, with the rule behind it, and nothing about persons."""

from __future__ import annotations

import re

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Buckets

from services.audit.domain.amounts import money, spread
from services.audit.domain.book import UnknownFact
from services.audit.domain.sentences import FACTS, telling, word
from services.audit.domain.story import tell
from services.audit.recorder import Recorder
from tests.audit import histories as h
from tests.contracts.samples import filled

DECLARED = [
    descriptor
    for name, descriptor in facts.DESCRIPTOR.message_types_by_name.items()
    if name != "PersonHold"  # a part of other facts, and none itself
]


@pytest.mark.parametrize("descriptor", DECLARED, ids=[descriptor.name for descriptor in DECLARED])
def test_every_fact_of_the_contract_has_a_sentence(descriptor: Descriptor) -> None:
    text, _rule = telling(filled(descriptor), "user:ann", "USD")
    assert text.endswith(".")
    assert text.startswith("user:ann ") or descriptor.name == "AccountPaidInFull"
    assert not re.search(r"[A-Z]_[A-Z]|unspecified|  |\.\.", text), text


def test_no_sentence_is_for_anything_else() -> None:
    assert set(FACTS) == {str(descriptor.full_name) for descriptor in DECLARED}


def test_a_message_that_is_no_fact_is_refused_and_not_passed_over() -> None:
    with pytest.raises(UnknownFact, match="Buckets"):
        telling(Buckets(), "user:ann", "USD")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (123_456, "USD", "1,234.56 USD"),
        (5, "USD", "0.05 USD"),
        (-5, "EUR", "-0.05 EUR"),
        (-123_456, "USD", "-1,234.56 USD"),
        (1_234, "JPY", "1,234 JPY"),
        (1_234_567, "KWD", "1,234.567 KWD"),
        (10**12, "USD", "10,000,000,000.00 USD"),
        (0, "USD", "0.00 USD"),
    ],
)
def test_amounts_are_told_exactly(amount_minor: int, currency: str, expected: str) -> None:
    assert money(amount_minor, currency) == expected


def test_buckets_are_told_by_name_and_empty_ones_left_out() -> None:
    assert spread((1_000, 0, 250, 0, 5), "USD") == "10.00 USD principal, 2.50 USD fees and 0.05 USD other"
    assert spread((0, 0, 0, 0, 0), "USD") == "nothing"


def test_words_are_told_as_one_says_them() -> None:
    assert word(words.HoldReason, words.HOLD_REASON_DISASTER_AREA) == "disaster area"
    assert word(words.Payee, words.PAYEE_US) == "the agency"
    assert word(words.CloseCode, words.CLOSE_CODE_BANKRUPTCY_CH13) == "bankruptcy chapter 13"


NAMED = "Named on it: person bbbbbbbb as primary"
WHY = "because of wrong amount"
OWED = "on 2026-03-01: 1,000.00 USD owed to North Bank (800.00 USD principal and 200.00 USD interest)"
SPREAD = "(reference T-1). It paid 100.00 USD principal and 200.00 USD interest; 700.00 USD is owed"


def told(*messages: Message) -> list[tuple[str, str]]:
    log = h.Log()
    for message in messages:
        log.add(message)
    return [(s.text, s.rule) for s in tell(Recorder("accounts")._entry(record) for record in log.records)]


def test_a_debt_is_told_from_its_placement_on() -> None:
    until = "2026-04-01T00:00:00Z"
    held = facts.HoldPlaced(account_id=h.ACCOUNT, reason=words.HOLD_REASON_DISASTER_AREA, expires_at=until)
    story = told(
        h.placed(),
        h.payment(30_000, h.buckets(10_000, 20_000), h.buckets(70_000), "2026-03-05"),
        facts.DisputeOpened(
            account_id=h.ACCOUNT, dispute_id="dispute-1", person_id=h.PERSON, received_date="2026-03-06",
            in_writing=True, reason=words.DISPUTE_REASON_WRONG_AMOUNT, portion_minor=2_550,
        ),
        held,
        facts.AccountClosed(account_id=h.ACCOUNT, code=words.CLOSE_CODE_OUT_OF_STATUTE, closed_date="2026-03-09"),
    )  # fmt: skip
    assert [text for text, _rule in story] == [
        f"user:ann placed account R-0001 of client northbank {OWED}. {NAMED}.",
        f"user:ann posted a payment of 300.00 USD to the agency by ACH, effective 2026-03-05 {SPREAD}.",
        f"user:ann recorded that person bbbbbbbb disputed 25.50 USD of the debt in writing on 2026-03-06, {WHY}.",
        "user:ann held the account because of disaster area, until 2026-04-01T00:00:00Z.",
        "user:ann closed the account on 2026-03-09, because of out of statute.",
    ]  # fmt: skip
    assert [rule for _text, rule in story] == [
        "the client's contract: portfolio cards",
        "the client's contract: payments are spread by costs fees interest principal",
        "12 CFR 1006.38(d)(2)(i); 15 USC 1692g(b)",
        "",
        "12 CFR 1006.26(b)",
    ]


def test_what_a_fact_names_as_its_source_is_the_rule_that_is_told() -> None:
    source, reason = "11 USC 1301(a)", words.HOLD_REASON_BANKRUPTCY
    held = facts.HoldPlaced(account_id=h.ACCOUNT, reason=reason, source=source, person_id=h.PERSON)
    held.scope = words.HOLD_SCOPE_ACCOUNT
    ((text, rule),) = told(held)
    assert text == "user:ann held the account because of bankruptcy of person bbbbbbbb, until it is released."
    assert rule == source
    held.scope = words.HOLD_SCOPE_PERSON
    ((text, _rule),) = told(held)
    assert text == "user:ann held every account of person bbbbbbbb because of bankruptcy, until it is released."


def test_a_story_says_who_when_and_which_fact() -> None:
    log = h.Log()
    record = log.add(h.placed(), actor="client:northbank")
    (sentence,) = tell([Recorder("accounts")._entry(record)])
    assert (sentence.actor, sentence.event_id, sentence.type) == ("client:northbank", str(record.event_id), record.type)
    assert sentence.recorded_at.ToDatetime(tzinfo=record.recorded_at.tzinfo) == record.recorded_at
