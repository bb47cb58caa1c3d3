"""Audit's reading of the same facts, byte for byte the owner's, whatever happens to an account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import AccountTerms, Bankruptcy, PlacedDocument, PriorDispute, PriorHistory

from kernel.canonical import canonical_json
from kernel.decider import Refused
from kernel.testing import NOW
from services.accounts.domain.account import decide, evolve
from services.accounts.domain.state import NO_ACCOUNT
from services.accounts.states import account_message
from services.audit.domain.account import fold_account
from tests.accounts.examples import ANN, BOB, debtor, place, terms
from tests.accounts.given import close, dispute, document, hold, payment
from tests.accounts.test_disputes import end, verify
from tests.accounts.test_holds import release
from tests.accounts.test_ledger import commands_of_money
from tests.accounts.test_placing import complete

SOON = (NOW + timedelta(days=9)).isoformat()
DEBTORS = [debtor(deceased=True, bankruptcy=Bankruptcy(chapter=13)), debtor(BOB, words.DEBTOR_ROLE_CO_DEBTOR)]


@st.composite
def placements(draw: st.DrawFn) -> Any:
    made = terms(metadata={"b": "2", "a": "1"}, documents=[PlacedDocument(document_id="first", sha256="a" * 64)])
    if draw(st.booleans()):
        made.debt.ClearField("accrual_date")
    if draw(st.booleans()):
        made.history.CopyFrom(
            PriorHistory(disputes=[PriorDispute(date="2026-01-01", reason=words.DISPUTE_REASON_PAID)])
        )
    return place(made, *(DEBTORS if draw(st.booleans()) else [debtor()]))


def larger() -> AccountTerms:
    """The terms with another 5.00 of principal."""
    made = terms(brand="mended")
    for amount, name in (
        (made.balance.buckets, "principal_minor"),
        (made.balance, "total_minor"),
        (made.itemization, "amount_on_itemization_date_minor"),
        (made.itemization, "current_amount_minor"),
    ):
        setattr(amount, name, getattr(amount, name) + 500)
    return made


def moves() -> st.SearchStrategy[Any]:
    """Everything that can happen to an account after its placement."""
    others = [
        complete(terms(brand="mended")),
        complete(larger()),
        payment(12000, "T5"),
        dispute(),
        dispute("D2", ANN, portion_minor=5),
        document(),
        verify(),
        end(),
        end(words.DISPUTE_OUTCOME_VERIFIED, dispute_id="D2"),
        hold(words.HOLD_REASON_OTHER, text="a flood", expires_at=SOON),
        hold(words.HOLD_REASON_SCRA, "H2", scope=words.HOLD_SCOPE_PERSON, person_id=ANN),
        release(),
        release("H2"),
        close(words.CLOSE_CODE_UNECONOMIC),
        close(words.CLOSE_CODE_PAID_IN_FULL),
    ]
    return st.one_of(commands_of_money(), st.sampled_from(others))


@settings(max_examples=150, deadline=None)
@given(placements(), st.lists(moves(), max_size=20))
def test_two_independent_readings_of_the_same_facts_agree_at_every_version(
    placing: Any, given_moves: list[Any]
) -> None:
    account = NO_ACCOUNT
    facts: list[tuple[int, str, bytes]] = []
    for command in [placing, *given_moves]:
        try:
            decided = decide(command, account, NOW)
        except Refused:
            continue
        for fact in decided:
            account = evolve(account, fact)
            facts.append((account.version, str(fact.DESCRIPTOR.full_name), fact.SerializeToString()))
            book = fold_account(facts)
            assert canonical_json(book.state()) == canonical_json(account_message(account))
            assert not book.findings
