"""The book of one account: what has been entered so far, and the ledger whose running sum is the balance.

In the order of recording each fact also says what the balance was after it; that is compared with the sum and never
copied, and what differs is kept as a Finding. As of an effective instant some facts are left out, so what the others
say of the balance after them means nothing and is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from google.protobuf.message import Message

from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1.commands_pb2 import Shortcoming
from recoup.accounts.v1.state_pb2 import AccountPhase, AccountState, Dispute, Hold, LedgerEntry, Payment
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


@dataclass(slots=True)
class AccountBook:
    """Filled in place, fact by fact. `checking` is off as of an effective instant."""

    checking: bool = True
    version: int = 0
    phase: AccountPhase = AccountPhase.ACCOUNT_PHASE_UNSPECIFIED
    placement: Placement | None = None
    shortcomings: list[Shortcoming] = field(default_factory=list)
    balance: ledger.Amounts = ledger.NOTHING
    overpaid: int = 0
    entries: list[LedgerEntry] = field(default_factory=list)
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
            ledger=self.entries,
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
        self._post(fact, difference, 0, fact.terms.placement_date, fact.terms.client_reference)
        self.expect_balance(fact, fact.balance_after)

    def post(self, fact: Dated, difference: ledger.Amounts, overpaid_minor: int) -> None:
        """Enter one movement, and look at what it says of the balance and of what is overpaid after it."""
        self._post(fact, difference, overpaid_minor, fact.effective_date, fact.transaction_reference)
        self.expect_balance(fact, fact.balance_after)
        if not isinstance(fact, facts.BalanceAdjusted):
            self.expect(fact, "/overpaid_after_minor", fact.overpaid_after_minor, self.overpaid)

    def _post(self, fact: Message, difference: ledger.Amounts, overpaid_minor: int, date: str, reference: str) -> None:
        self.balance = ledger.added(self.balance, difference)
        self.overpaid += overpaid_minor
        if sum(self.balance):
            self.paid_in_full_date = None
        entry = LedgerEntry(
            version=self.version,
            type=fact.DESCRIPTOR.full_name,
            effective_date=date,
            difference=ledger.message(difference),
            overpaid_difference_minor=overpaid_minor,
            reference=reference,
        )
        self.entries.append(entry)

    def expect_balance(self, fact: Message, said: Buckets) -> None:
        """Keep a Finding for every bucket in which a fact's balance is not the sum of the ledger."""
        if self.checking and ledger.amounts(said) != self.balance:
            for name, amount in zip(ledger.FIELDS, self.balance, strict=True):
                self.expect(fact, f"/balance_after/{name}", getattr(said, name), amount)

    def expect(self, fact: Message, pointer: str, said: int, found: int) -> None:
        """Keep a Finding when a fact says another number than the book holds."""
        if self.checking and said != found:
            self.findings.append(Finding(self.version, fact.DESCRIPTOR.full_name, pointer, str(said), str(found)))

    def known(self, fact: Message, entered: Mapping[str, Entered], pointer: str, id_: str) -> Entered | None:
        """What was entered under an id; None when that lies outside the view, as only an effective instant allows."""
        found = entered.get(id_)
        if found is None and self.checking:
            self.findings.append(Finding(self.version, fact.DESCRIPTOR.full_name, pointer, id_, "unknown"))
        return found
