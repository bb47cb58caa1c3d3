"""Random commands for accounts, clients and persons; the owner's rules say which of them come to something."""

from __future__ import annotations

from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from hypothesis import strategies as st
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Bankruptcy, Debtor, DebtorFlags, PlacedBalance, PriorDispute

from tests.audit import histories as h

OTHER_PERSON = "bbbbbbbb-0000-4000-8000-000000000002"
PEOPLE = st.sampled_from([h.PERSON, OTHER_PERSON])
AMOUNTS = st.one_of(st.integers(1, 30_000), st.sampled_from([50_000, 100_000, 123_456]))
REFERENCES = st.sampled_from([f"T-{number}" for number in range(6)])
DATES = st.sampled_from(["2026-03-01", "2026-03-02", "2026-03-05", "2026-03-10"])
IDS = st.sampled_from(["i-1", "i-2", "i-3"])
DOCUMENTS = st.sampled_from(["d-1", "d-2", "d-3"])
EXPIRY = "2026-05-01T00:00:00Z"


def known(kind: EnumTypeWrapper) -> st.SearchStrategy[Any]:
    """Any word of a closed list but the one for not said."""
    return st.sampled_from([value for value in kind.values() if value])


@st.composite
def debtor_flags(draw: st.DrawFn) -> DebtorFlags:
    flags = DebtorFlags(deceased=draw(st.booleans()), military=draw(st.booleans()), represented=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        chapter = draw(st.sampled_from([7, 13]))
        flags.bankruptcy.CopyFrom(Bankruptcy(chapter=chapter, discharged=draw(st.booleans())))
    return flags


@st.composite
def placements(draw: st.DrawFn, kind: type[Message] = commands.PlaceAccount) -> Message:
    terms = h.terms()
    amounts = draw(st.lists(st.integers(0, 60_000), min_size=5, max_size=5).filter(any))
    balance = PlacedBalance(total_minor=sum(amounts))
    for name, amount in zip(("principal", "interest", "fees", "costs", "other"), amounts, strict=True):
        setattr(balance.buckets, f"{name}_minor", amount)
    if amounts[4]:
        balance.other.add(label="a service charge", amount_minor=amounts[4])
    terms.balance.CopyFrom(balance)
    for reason in draw(st.lists(known(words.DisputeReason), max_size=2)):
        terms.history.disputes.append(PriorDispute(date="2026-02-01", reason=reason))
    person = Debtor(person_id=h.PERSON, role=words.DEBTOR_ROLE_PRIMARY, kind=words.PARTY_KIND_PERSON, vault_version=1)
    other = Debtor(person_id=OTHER_PERSON, role=words.DEBTOR_ROLE_CO_DEBTOR, kind=words.PARTY_KIND_PERSON)
    for debtor in (person, other):
        debtor.flags.CopyFrom(draw(debtor_flags()))
    contract = h.contract_terms()
    contract.allocation_policy = draw(known(words.AllocationPolicy))
    return kind(
        account_id=h.ACCOUNT,
        terms=terms,
        debtors=[person, other],
        contract=contract,
        content_digest=draw(st.sampled_from(["1" * 64, "2" * 64])),
        shortcomings=draw(shortcomings()) if kind is commands.PlaceAccount else [],
        client=commands.ClientStanding(registered=True, portfolio_open=True, currencies=["USD"]),
    )


@st.composite
def shortcomings(draw: st.DrawFn) -> list[commands.Shortcoming]:
    missing = commands.Shortcoming(pointer="/medical_guarantors", code="missing", message="must be named")
    return [missing] if draw(st.booleans()) else []


def account_commands() -> st.SearchStrategy[Message]:
    """Anything that may be asked of the account after its placement."""
    a, usd = st.just(h.ACCOUNT), st.just("USD")
    money = {"account_id": a, "transaction_reference": REFERENCES, "effective_date": DATES}
    return st.one_of(
        placements(commands.CompletePlacement),
        st.builds(
            commands.PostPayment, **money, amount_minor=AMOUNTS, currency=usd,
            payee=known(words.Payee), instrument=known(words.Instrument),
        ),
        st.builds(
            commands.PostPayment, **money, amount_minor=AMOUNTS, currency=usd,
            payee=st.just(words.PAYEE_US), instrument=st.just(words.INSTRUMENT_CARD),
        ),
        st.builds(commands.ReturnPayment, **money, returned_reference=REFERENCES, return_code=st.just("R01")),
        st.builds(commands.RefundPayment, **money, refunded_reference=REFERENCES, amount_minor=AMOUNTS, currency=usd),
        st.builds(commands.CorrectPayment, **money, corrected_reference=REFERENCES, amount_minor=AMOUNTS, currency=usd),
        st.builds(
            commands.AdjustBalance, **money, bucket=known(words.Bucket), difference_minor=st.integers(-9_000, 9_000),
            currency=usd, reason=known(words.AdjustmentReason), approver=st.just("user:approver"),
            requested_by=st.just("user:ann"),
        ),
        st.builds(
            commands.OpenDispute, account_id=a, dispute_id=IDS, person_id=PEOPLE, reason=known(words.DisputeReason),
            received_date=DATES, in_writing=st.booleans(), portion_minor=st.one_of(st.none(), AMOUNTS),
        ),
        st.builds(commands.SendVerification, account_id=a, dispute_id=IDS, document_id=DOCUMENTS, sent_date=DATES),
        st.builds(
            commands.CloseDispute, account_id=a, dispute_id=IDS, outcome=known(words.DisputeOutcome), closed_date=DATES
        ),
        st.builds(
            commands.PlaceHold, account_id=a, hold_id=IDS, scope=known(words.HoldScope), person_id=PEOPLE,
            reason=known(words.HoldReason), text=st.one_of(st.none(), st.just("a reason")),
            expires_at=st.one_of(st.none(), st.just(EXPIRY)),
        ),
        st.builds(commands.ReleaseHold, account_id=a, hold_id=IDS, reason=st.just("it is over")),
        st.builds(
            commands.AttachDocument, account_id=a, document_id=DOCUMENTS, type=known(words.DocumentType),
            sha256=st.just("cd" * 32),
        ),
        st.builds(commands.CloseAccount, account_id=a, code=known(words.CloseCode), closed_date=DATES),
    )  # fmt: skip


def person_commands() -> st.SearchStrategy[Message]:
    """Anything that may be asked of a person."""
    p, why = st.just(h.PERSON), st.just("a reason")
    return st.one_of(
        st.builds(
            commands.LinkAccount, person_id=p, account_id=IDS, role=known(words.DebtorRole),
            kind=known(words.PartyKind),
        ),
        st.builds(
            commands.PlacePersonHold, person_id=p, hold_id=IDS, reason=known(words.HoldReason),
            expires_at=st.one_of(st.none(), st.just(EXPIRY)),
        ),
        st.builds(commands.ReleasePersonHold, person_id=p, hold_id=IDS, reason=why),
        st.builds(commands.LinkPersons, person_id=p, other_person_id=IDS, reason=why),
        st.builds(commands.UnlinkPersons, person_id=p, other_person_id=IDS, reason=why),
        st.builds(commands.ErasePerson, person_id=p, reason=why),
    )  # fmt: skip


def client_commands() -> st.SearchStrategy[Message]:
    """Anything that may be asked of a client."""
    c = st.just(h.CLIENT)
    contracts = st.builds(
        commands.Contract, contingency_rate_basis_points=st.integers(0, 5_000),
        allocation_policy=known(words.AllocationPolicy), currencies=st.just(["USD"]),
    )  # fmt: skip
    return st.one_of(
        st.builds(
            commands.RegisterClient, client_id=c, legal_name=st.sampled_from(["North Bank", "South Bank"]),
            kind=known(words.ClientKind), contract=contracts,
        ),
        st.builds(commands.AmendContract, client_id=c, contract=contracts),
        st.builds(commands.OpenPortfolio, client_id=c, portfolio_id=IDS, name=st.sampled_from(["Cards", "Loans"])),
    )  # fmt: skip
