"""What happens to an account after its placement: simulated, seeded, at rates that a collection agency would recognise.

A fate is a generator: it yields the calls of the public API that it wants made, in the order of their days, and is sent
the answer of each, because a dispute can only be answered by the id that opening it gave.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias

from demo.placement_json import Json, money

Answer: TypeAlias = Mapping[str, Json]
Fate: TypeAlias = "Generator[Call, Answer, None]"

APPROVER: Final = "supervisor"
_PER_MILLE: Final = 1_000
_PAYEES: Final = (*("us",) * 17, *("client",) * 2, "other_agency")
_INSTRUMENTS: Final = ("ach", "ach", "card", "card", "check", "money_order")
_RETURN_CODES: Final = {"ach": ("R01", "R02", "R03", "R10", "R29"), "check": ("NSF",)}
_HOLD_DAYS: Final = 45


@dataclass(frozen=True, slots=True)
class Call:
    """One command on the account: what comes behind /v1/accounts/{id}, and the body. `day` is when it happens."""

    day: date
    path: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Case:
    """What a fate knows of its account."""

    reference: str
    currency: str
    balance_minor: int
    principal_minor: int
    fees_minor: int
    primary_person_id: str
    placed: date
    today: date
    chance: random.Random

    def some_days_after(self, day: date, most: int) -> date:
        """A day after `day`, but never one that lies ahead."""
        return min(day + timedelta(days=self.chance.randint(1, most)), self.today)

    def amount(self, amount_minor: int) -> dict[str, Json]:
        """An amount in the account's currency."""
        return money(amount_minor, self.currency)


def fate_of(case: Case) -> Fate:
    """The fate of an account, drawn by its own chance."""
    drawn = case.chance.randrange(_PER_MILLE)
    for per_mille, fate in FATES:
        drawn -= per_mille
        if drawn < 0:
            return fate(case)
    return _nothing(case)


def _nothing(_case: Case) -> Fate:
    yield from ()


def _pays(case: Case) -> Fate:
    """A few payments, each a part of the balance."""
    day = case.placed
    for ordinal in range(1, case.chance.randint(1, 4) + 1):
        day = case.some_days_after(day, 25)
        yield _payment(case, day, ordinal, max(case.balance_minor * case.chance.randint(2, 12) // 100, 1))


def _pays_in_full(case: Case) -> Fate:
    """Everything in one payment, and the account is closed as paid."""
    paid = case.some_days_after(case.placed, 60)
    yield _payment(case, paid, 1, case.balance_minor)
    yield _close(case.some_days_after(paid, 10), "paid_in_full")


def _pays_too_much(case: Case) -> Fate:
    """More than is owed; the difference is given back."""
    paid = case.some_days_after(case.placed, 60)
    surplus = case.chance.randint(100, 9_900)
    yield _payment(case, paid, 1, case.balance_minor + surplus)
    refunded = case.some_days_after(paid, 14)
    body: dict[str, Json] = {
        "type": "refund",
        "refunded_reference": _reference(case, 1),
        "amount": case.amount(surplus),
        "transaction_reference": f"{_reference(case, 1)}-refund",
        "effective_date": refunded.isoformat(),
    }
    yield Call(refunded, "payments", body)


def _bounces(case: Case) -> Fate:
    """A payment whose money comes back, and often another one that stays."""
    paid = case.some_days_after(case.placed, 40)
    instrument = case.chance.choice(sorted(_RETURN_CODES))
    amount = max(case.balance_minor * case.chance.randint(3, 20) // 100, 1)
    yield _payment(case, paid, 1, amount, instrument)
    returned = case.some_days_after(paid, 5)
    body: dict[str, Json] = {
        "type": "returned",
        "returned_reference": _reference(case, 1),
        "transaction_reference": f"{_reference(case, 1)}-return",
        "return_code": case.chance.choice(_RETURN_CODES[instrument]),
        "effective_date": returned.isoformat(),
    }
    yield Call(returned, "payments", body)
    if case.chance.randrange(_PER_MILLE) < _PER_MILLE // 2:
        yield _payment(case, case.some_days_after(returned, 20), 2, amount, "money_order")


def _corrected(case: Case) -> Fate:
    """A payment posted ten times too high, and set right."""
    paid = case.some_days_after(case.placed, 60)
    right = max(case.balance_minor * case.chance.randint(1, 6) // 100, 1)
    yield _payment(case, paid, 1, right * 10)
    corrected = case.some_days_after(paid, 6)
    body: dict[str, Json] = {
        "type": "correction",
        "corrected_reference": _reference(case, 1),
        "amount": case.amount(right),
        "transaction_reference": f"{_reference(case, 1)}-correction",
        "effective_date": corrected.isoformat(),
    }
    yield Call(corrected, "payments", body)


def _adjusted(case: Case) -> Fate:
    """A credit of the client's, or a fee taken off, and then a payment."""
    day = case.some_days_after(case.placed, 40)
    if case.fees_minor:
        yield _adjustment(case, day, "fees", -case.fees_minor, "fee_waived")
    else:
        yield _adjustment(case, day, "principal", -(case.principal_minor * 5 // 100 or 1), "client_credit")
    yield _payment(case, case.some_days_after(day, 20), 1, max(case.balance_minor * 4 // 100, 1))


def _disputes_and_is_answered(case: Case) -> Fate:
    """A dispute in writing, the contract attached, the verification sent, the dispute closed, a payment after all."""
    opened = case.some_days_after(case.placed, 30)
    answer = yield _dispute(case, opened, "verification_requested")
    dispute = str(answer["dispute_id"])
    verified = case.some_days_after(opened, 25)
    digest = hashlib.sha256(f"contract of {case.reference}".encode()).hexdigest()
    attached = yield Call(verified, "documents", {"type": "contract", "sha256": digest})
    document = str(attached["document_id"])
    yield Call(
        verified,
        f"disputes/{dispute}/verification",
        {"document_id": document, "sent_date": verified.isoformat()},
    )
    closed = case.some_days_after(verified, 10)
    yield Call(closed, f"disputes/{dispute}/close", {"outcome": "verified", "closed_date": closed.isoformat()})
    if case.chance.randrange(_PER_MILLE) < _PER_MILLE // 3:
        yield _payment(case, case.some_days_after(closed, 20), 1, max(case.balance_minor * 5 // 100, 1))


def _disputes_and_is_right(case: Case) -> Fate:
    """A dispute of part of the balance that is upheld: the part is taken off."""
    opened = case.some_days_after(case.placed, 40)
    portion = max(case.principal_minor * case.chance.randint(5, 25) // 100, 1)
    answer = yield _dispute(case, opened, "wrong_amount", portion)
    closed = case.some_days_after(opened, 25)
    yield Call(
        closed,
        f"disputes/{answer['dispute_id']}/close",
        {"outcome": "upheld_in_part", "closed_date": closed.isoformat()},
    )
    yield _adjustment(case, closed, "principal", -portion, "dispute_upheld")


def _disputes_still(case: Case) -> Fate:
    """A dispute that still waits for its answer, so the account is held."""
    yield _dispute(case, case.some_days_after(case.placed, 89), "not_mine")


def _hardship(case: Case) -> Fate:
    """A pause for a while; often it ends early."""
    day = case.some_days_after(case.placed, 60)
    ends = datetime.combine(case.today + timedelta(days=_HOLD_DAYS), time(), UTC)
    body: dict[str, Json] = {
        "scope": "account",
        "reason": "hardship_temporary",
        "expires_at": ends.isoformat().replace("+00:00", "Z"),
    }
    answer = yield Call(day, "holds", body)
    if case.chance.randrange(_PER_MILLE) < _PER_MILLE // 2:
        released = case.some_days_after(day, 20)
        yield Call(released, f"holds/{answer['hold_id']}/release", {"reason": "income has resumed"})
        yield _payment(case, case.some_days_after(released, 10), 1, max(case.balance_minor * 3 // 100, 1))


def _ceases(case: Case) -> Fate:
    """The wish that communication cease, which holds every account of the person."""
    body: dict[str, Json] = {
        "scope": "person",
        "person_id": case.primary_person_id,
        "reason": "cease_communication",
    }
    yield Call(case.some_days_after(case.placed, 80), "holds", body)


def _closes(case: Case) -> Fate:
    """The agency ends its work without having been paid."""
    code = case.chance.choice(("returned_uncollectible", "uneconomic", "untraceable", "recalled_by_client"))
    yield _close(case.some_days_after(case.placed, 89), code)


FATES: Final[Sequence[tuple[int, Callable[[Case], Fate]]]] = (
    (240, _pays),
    (35, _pays_in_full),
    (5, _pays_too_much),
    (30, _bounces),
    (6, _corrected),
    (35, _adjusted),
    (30, _disputes_and_is_answered),
    (15, _disputes_and_is_right),
    (15, _disputes_still),
    (35, _hardship),
    (15, _ceases),
    (40, _closes),
)
"""How many of a thousand accounts meet each fate; to the others nothing happens."""


def _reference(case: Case, ordinal: int) -> str:
    return f"{case.reference[-40:]}-p{ordinal}"


def _payment(case: Case, day: date, ordinal: int, amount_minor: int, instrument: str | None = None) -> Call:
    body: dict[str, Json] = {
        "type": "payment",
        "payee": case.chance.choice(_PAYEES),
        "amount": case.amount(amount_minor),
        "effective_date": day.isoformat(),
        "transaction_reference": _reference(case, ordinal),
        "instrument": instrument or case.chance.choice(_INSTRUMENTS),
    }
    return Call(day, "payments", body)


def _adjustment(case: Case, day: date, bucket: str, difference_minor: int, reason: str) -> Call:
    body: dict[str, Json] = {
        "transaction_reference": f"{case.reference[-40:]}-a1",
        "bucket": bucket,
        "difference": case.amount(difference_minor),
        "reason": reason,
        "approver": APPROVER,
        "effective_date": day.isoformat(),
    }
    return Call(day, "balance-adjustments", body)


def _dispute(case: Case, day: date, reason: str, portion_minor: int | None = None) -> Call:
    body: dict[str, Json] = {
        "person_id": case.primary_person_id,
        "reason": reason,
        "received_date": day.isoformat(),
        "in_writing": True,
    }
    if portion_minor is not None:
        body["portion"] = case.amount(portion_minor)
    return Call(day, "disputes", body)


def _close(day: date, code: str) -> Call:
    return Call(day, "close", {"code": code, "closed_date": day.isoformat()})
