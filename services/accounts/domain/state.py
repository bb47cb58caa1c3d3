"""What the facts of an account come to: frozen values that evolve replaces and nobody changes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import Shortcoming
from recoup.accounts.v1.events_pb2 import HoldPlaced
from recoup.accounts.v1.terms_pb2 import AccountTerms, Buckets, ContractTerms, Debtor, PlacedDocument

from services.accounts.domain.ledger import Amounts, amounts_of
from services.accounts.domain.postings import Entry, Payment, Posting, ledger_of, payments_of


class Hold(NamedTuple):
    """A hold as its fact says it. A released one is remembered, so that the same hold is never placed twice."""

    placed: HoldPlaced
    released: bool = False


class Dispute(NamedTuple):
    """A dispute and what became of it."""

    dispute_id: str
    person_id: str
    reason: words.DisputeReason
    received_date: str
    in_writing: bool
    portion: int | None
    document_id: str
    verification_document_id: str = ""
    verification_sent_date: str = ""
    outcome: words.DisputeOutcome = words.DISPUTE_OUTCOME_UNSPECIFIED
    closed_date: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.outcome == words.DISPUTE_OUTCOME_UNSPECIFIED


class Account(NamedTuple):
    """An account. The messages inside are shared with the facts and must not be changed.

    A named tuple, because one is made for every fact that is folded and a dataclass of so many fields costs four times
    as much to make.
    """

    account_id: str = ""
    version: int = 0
    phase: states.AccountPhase = states.ACCOUNT_PHASE_UNSPECIFIED
    terms: AccountTerms = AccountTerms()
    debtors: tuple[Debtor, ...] = ()
    contract: ContractTerms = ContractTerms()
    digests: tuple[str, ...] = ()
    shortcomings: tuple[Shortcoming, ...] = ()
    owed: Buckets = Buckets()
    overpaid: int = 0
    postings: tuple[Posting, ...] = ()
    holds: Mapping[str, Hold] = MappingProxyType({})
    disputes: Mapping[str, Dispute] = MappingProxyType({})
    documents: tuple[PlacedDocument, ...] = ()
    paid_in_full_date: str = ""
    close_code: words.CloseCode = words.CLOSE_CODE_UNSPECIFIED
    closed_date: str = ""

    @property
    def balance(self) -> Amounts:
        """What is owed, by bucket."""
        return amounts_of(self.owed)

    @property
    def ledger(self) -> tuple[Entry, ...]:
        """Every posting, in order; worked out anew each time."""
        return ledger_of(self.postings)

    @property
    def payments(self) -> Mapping[str, Payment]:
        """Every payment by id, in order; worked out anew each time."""
        return payments_of(self.postings)

    @property
    def placed(self) -> bool:
        """Whether the account exists."""
        return self.phase != states.ACCOUNT_PHASE_UNSPECIFIED

    @property
    def closed(self) -> bool:
        """Whether the agency's work has ended."""
        return self.phase == states.ACCOUNT_PHASE_CLOSED

    @property
    def workable(self) -> bool:
        """Whether outbound work is allowed as far as phase and balance go; holds are another question."""
        return self.phase == states.ACCOUNT_PHASE_OPEN and self.balance.total > 0

    @property
    def client_id(self) -> str:
        """The client that placed it."""
        return self.terms.client_id

    def owes(self, person_id: str) -> bool:
        """Whether the person is one of its debtors."""
        return any(debtor.person_id == person_id for debtor in self.debtors)

    def has_document(self, document_id: str) -> bool:
        """Whether a document is attached under this id."""
        return any(document.document_id == document_id for document in self.documents)


NO_ACCOUNT: Final = Account()
