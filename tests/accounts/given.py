"""Facts that scenarios begin with."""

from __future__ import annotations

from typing import Any

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import AccountTerms, Buckets, Debtor

from kernel.testing import Scenario
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.state import Account
from tests.accounts.examples import ACCOUNT_ID, ANN, contract_terms, debtor, terms

CLIENT_ID = "first-bank"


def buckets(principal: int = 0, interest: int = 0, fees: int = 0, costs: int = 0, other: int = 0) -> Buckets:
    """Amounts by bucket."""
    return Buckets(
        principal_minor=principal, interest_minor=interest, fees_minor=fees, costs_minor=costs, other_minor=other
    )


def placed(
    placed_terms: AccountTerms | None = None, *debtors: Debtor, digest: str = "digest-1", **more: Any
) -> events.AccountPlaced:
    """The account was placed: 100.00 principal and 20.00 fees unless the terms say otherwise."""
    found = placed_terms or terms()
    return events.AccountPlaced(
        account_id=ACCOUNT_ID,
        client_id=CLIENT_ID,
        terms=found,
        debtors=debtors or (debtor(),),
        contract=more.pop("contract", contract_terms()),
        content_digest=digest,
        balance_after=found.balance.buckets,
        placed_date=found.placement_date,
    )


def account(*facts: Any) -> Scenario[Account]:
    """An account with these facts behind it; placed when none are given."""
    return Scenario(ACCOUNT, facts or (placed(),))


def after(scenario: Scenario[Account], *given: Any) -> Scenario[Account]:
    """The scenario after these commands, all of which must be accepted."""
    for command in given:
        outcome = scenario.when(command)
        assert outcome.refusal is None, outcome.refusal.text
        scenario = scenario.given(*outcome.facts)
    return scenario


def payment(amount_minor: int, reference: str = "T1", **changes: Any) -> commands.PostPayment:
    """A payment to the agency by wire."""
    command = commands.PostPayment(
        account_id=ACCOUNT_ID,
        payee=words.PAYEE_US,
        amount_minor=amount_minor,
        currency="USD",
        effective_date="2026-03-02",
        transaction_reference=reference,
        instrument=words.INSTRUMENT_WIRE,
    )
    command.MergeFrom(commands.PostPayment(**changes))
    return command


def dispute(dispute_id: str = "D1", person_id: str = ANN, **changes: Any) -> commands.OpenDispute:
    """A dispute of the amount, in writing."""
    return commands.OpenDispute(
        account_id=ACCOUNT_ID,
        dispute_id=dispute_id,
        person_id=person_id,
        reason=words.DISPUTE_REASON_WRONG_AMOUNT,
        received_date=changes.pop("received_date", "2026-03-02"),
        in_writing=True,
        **changes,
    )


def hold(reason: words.HoldReason, hold_id: str = "H1", **changes: Any) -> commands.PlaceHold:
    """A hold on the account."""
    scope = changes.pop("scope", words.HOLD_SCOPE_ACCOUNT)
    return commands.PlaceHold(account_id=ACCOUNT_ID, hold_id=hold_id, scope=scope, reason=reason, **changes)


def document(document_id: str = "DOC1") -> commands.AttachDocument:
    """A contract, by its hash."""
    return commands.AttachDocument(
        account_id=ACCOUNT_ID, document_id=document_id, type=words.DOCUMENT_TYPE_CONTRACT, sha256="a" * 64
    )


def close(code: words.CloseCode, date: str = "2026-03-02") -> commands.CloseAccount:
    """The end of work."""
    return commands.CloseAccount(account_id=ACCOUNT_ID, code=code, closed_date=date)


def types(facts: Any) -> list[str]:
    """The names of facts, in order."""
    return [fact.DESCRIPTOR.name for fact in facts]
