"""The book of one account: what has been entered so far, and the ledger whose running sum is the balance.

In the order of recording each fact also says what the balance was after it; that is compared with the sum and never
copied, and what differs is kept as a Finding. As of an effective instant some facts are left out, so what the others
say of the balance after them means nothing and is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1.commands_pb2 import Shortcoming
from recoup.accounts.v1.state_pb2 import (
    ACCOUNT_PHASE_UNSPECIFIED,
    AccountPhase,
    AccountState,
    Dispute,
    Hold,
    LedgerEntry,
    Payment,
)
from recoup.accounts.v1.terms_pb2 import Buckets, PlacedDocument

from services.audit.domain import ledger

Placement: TypeAlias = facts.AccountPlaced | facts.PlacementQuarantined | facts.PlacementCompleted
Dated: TypeAlias = (
    facts.PaymentPosted | facts.PaymentReturned | facts.PaymentRefunded | facts.PaymentCorrected | facts.BalanceAdjusted
)
Entered = TypeVar("Entered")


class UnknownFact(Exception):  # noqa: N818 - named for what is wrong.
    """A stream holds a type that this reading does not know; it was written for newer contracts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact says one thing and the facts before it say another."""

    version: int
    type: str
    pointer: str
    said: str
    found: str

    def __str__(self) -> str:
        """One line for a person to read."""
        return f"version {self.version} ({self.type}) says {self.pointer} is {self.said}, but it is {self.found}"


class Posting(NamedTuple):
    """One entry of the ledger, as LedgerEntry says it."""

    version: int
    type: str
    effective_date: str
    difference: ledger.Amounts
    overpaid_difference_minor: int
    reference: str

    def message(self) -> LedgerEntry:
        """The public form."""
        return LedgerEntry(
            version=self.version,
            type=self.type,
            effective_date=self.effective_date,
            difference=ledger.message(self.difference),
            overpaid_difference_minor=self.overpaid_difference_minor,
            reference=self.reference,
        )


@dataclass(slots=True)
class AccountBook:
    """Filled in place, fact by fact; `version` and `type` are of the fact that is being entered, or was last.

    `checking` is off as of an effective instant.
    """

    checking: bool = True
    version: int = 0
    type: str = ""
    phase: AccountPhase = ACCOUNT_PHASE_UNSPECIFIED
    placement: Placement | None = None
    shortcomings: list[Shortcoming] = field(default_factory=list)
    balance: ledger.Amounts = ledger.NOTHING
    overpaid: int = 0
    entries: list[Posting] = field(default_factory=list)
    payments: dict[str, Payment] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    attached: list[PlacedDocument] = field(default_factory=list)
    paid_in_full_date: str | None = None
    closing: facts.AccountClosed | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def placed(self) -> bool:
        """Whether there is an account: before its placement there is none."""
        return self.placement is not None

    def state(self) -> AccountState:
        """The public form; an account that was not placed has none."""
        placement = self.placement
        assert placement is not None, "an account that was not placed has no state"
        state = AccountState(
            account_id=placement.account_id,
            version=self.version,
            phase=self.phase,
            terms=placement.terms,
            debtors=placement.debtors,
            contract=placement.contract,
            shortcomings=self.shortcomings,
            balance=ledger.message(self.balance),
            balance_total_minor=sum(self.balance),
            overpaid_minor=self.overpaid,
            ledger=[posting.message() for posting in self.entries],
            payments=self.payments.values(),
            holds=self.holds.values(),
            disputes=self.disputes.values(),
            documents=[*placement.terms.documents, *self.attached],
        )
        if self.paid_in_full_date is not None:
            state.paid_in_full_date = self.paid_in_full_date
        if self.closing is not None:
            state.close_code = self.closing.code
            state.closed_date = self.closing.closed_date
        return state

    def post_placement(self, fact: Placement, difference: ledger.Amounts) -> None:
        """Enter what a placement adds to the balance, and look at what it says of the balance after it."""
        terms = fact.terms
        self._post(difference, 0, terms.placement_date, terms.client_reference)
        if self.checking:
            self.expect_balance(fact.balance_after)

    def post(self, fact: Dated, difference: ledger.Amounts, overpaid_minor: int) -> None:
        """Enter one movement, and look at what it says of the balance and of what is overpaid after it."""
        self._post(difference, overpaid_minor, fact.effective_date, fact.transaction_reference)
        if self.checking:
            self.expect_balance(fact.balance_after)
            if not isinstance(fact, facts.BalanceAdjusted):
                self.expect("/overpaid_after_minor", fact.overpaid_after_minor, self.overpaid)

    def _post(self, difference: ledger.Amounts, overpaid_minor: int, date: str, reference: str) -> None:
        self.balance = balance = ledger.added(self.balance, difference)
        self.overpaid += overpaid_minor
        if self.paid_in_full_date is not None and sum(balance) != 0:
            self.paid_in_full_date = None
        self.entries.append(Posting(self.version, self.type, date, difference, overpaid_minor, reference))

    def expect_balance(self, said: Buckets) -> None:
        """Keep a Finding for every bucket in which a fact's balance is not the sum of the ledger."""
        amounts = ledger.amounts(said)
        if amounts != self.balance:
            for name, amount, found in zip(ledger.FIELDS, amounts, self.balance, strict=True):
                self.expect(f"/balance_after/{name}", amount, found)

    def expect(self, pointer: str, said: int, found: int) -> None:
        """Keep a Finding when the fact that is being entered says another number than the book holds."""
        if said != found and self.checking:
            self.findings.append(Finding(self.version, self.type, pointer, str(said), str(found)))

    def known(self, entered: Mapping[str, Entered], pointer: str, id_: str) -> Entered | None:
        """What was entered under an id; None when that lies outside the view, as only an effective instant allows."""
        found = entered.get(id_)
        if found is None and self.checking:
            self.findings.append(Finding(self.version, self.type, pointer, id_, "unknown"))
        return found
