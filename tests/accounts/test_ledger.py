"""The arithmetic of balances, against an independent second calculation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import PlacedBalance

from kernel.decider import Refused
from kernel.testing import NOW
from services.accounts.domain.account import decide, evolve
from services.accounts.domain.ledger import ORDERS, Amounts, allocate, restore
from services.accounts.domain.state import NO_ACCOUNT, Account
from tests.accounts.examples import ACCOUNT_ID, contract_terms, terms
from tests.accounts.given import payment, placed
from tests.accounts.test_payments import adjust, correct, refund, returned

POLICIES = [*ORDERS, words.ALLOCATION_POLICY_PROPORTIONAL]
balances = st.builds(Amounts, *[st.integers(0, 10**6)] * 5)


@pytest.mark.parametrize(
    ("policy", "applied"),
    [
        (words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL, Amounts(0, 250, 200, 100, 0)),
        (words.ALLOCATION_POLICY_INTEREST_PRINCIPAL_FEES_COSTS, Amounts(250, 300, 0, 0, 0)),
        (words.ALLOCATION_POLICY_PRINCIPAL_FIRST, Amounts(550, 0, 0, 0, 0)),
        (words.ALLOCATION_POLICY_PROPORTIONAL, Amounts(324, 97, 65, 32, 32)),
    ],
)
def test_each_policy_spreads_as_its_name_says(policy: words.AllocationPolicy, applied: Amounts) -> None:
    assert allocate(550, Amounts(1000, 300, 200, 100, 100), policy) == (applied, 0)


@given(st.integers(0, 10**7), balances, st.sampled_from(POLICIES))
def test_every_spread_is_exact_and_within_the_balance(
    amount: int, balance: Amounts, policy: words.AllocationPolicy
) -> None:
    applied, overpaid = allocate(amount, balance, policy)
    assert applied.total + overpaid == amount
    assert all(0 <= taken <= owed for taken, owed in zip(applied, balance, strict=True))
    assert overpaid == max(0, amount - balance.total)


@given(st.integers(0, 10**7), balances)
def test_a_proportional_spread_is_within_one_unit_of_the_exact_share(amount: int, balance: Amounts) -> None:
    applied, _overpaid = allocate(amount, balance, words.ALLOCATION_POLICY_PROPORTIONAL)
    for taken, owed in zip(applied, balance, strict=True):
        if balance.total:
            assert abs(taken - Fraction(applied.total * owed, balance.total)) < 1


@given(st.integers(0, 10**7), balances, st.sampled_from(POLICIES), st.data())
def test_restoring_is_exact_and_never_more_than_was_applied(
    amount: int, balance: Amounts, policy: words.AllocationPolicy, data: st.DataObject
) -> None:
    applied, _overpaid = allocate(amount, balance, policy)
    part = data.draw(st.integers(0, applied.total))
    restored = restore(part, applied, policy)
    assert restored.total == part
    assert all(0 <= back <= taken for back, taken in zip(restored, applied, strict=True))


REFERENCES = st.sampled_from(["T1", "T2", "T3", "T4", "X1", "X2", "X3", "X4", "X5"])
AMOUNTS = st.integers(1, 9000)


@st.composite
def commands_of_money(draw: st.DrawFn) -> Any:
    own, other = draw(REFERENCES), draw(REFERENCES)
    amount = draw(AMOUNTS)
    return draw(
        st.sampled_from(
            [
                payment(amount, own),
                returned(other, transaction_reference=own),
                refund(amount, own, refunded_reference=other),
                correct(amount, own, corrected_reference=other),
                adjust(draw(st.integers(-3000, 3000)) or 1, transaction_reference=own, bucket=draw(st.integers(1, 5))),
            ]
        )
    )


class Book:
    """A second calculation, which knows nothing of buckets: who paid what, what was given back, what was adjusted."""

    def __init__(self, owed: int) -> None:
        self.owed = owed
        self.paid: dict[str, int] = {}
        self.refunded: dict[str, int] = {}

    def note(self, command: Any) -> None:
        match command:
            case commands.PostPayment():
                self.paid[command.transaction_reference] = command.amount_minor
            case commands.ReturnPayment():
                del self.paid[command.returned_reference]
                self.refunded.pop(command.returned_reference, None)
            case commands.RefundPayment():
                before = self.refunded.get(command.refunded_reference, 0)
                self.refunded[command.refunded_reference] = before + command.amount_minor
            case commands.CorrectPayment():
                self.paid[command.corrected_reference] = command.amount_minor
            case commands.AdjustBalance():
                self.owed += command.difference_minor

    @property
    def net(self) -> int:
        return self.owed - sum(self.paid.values()) + sum(self.refunded.values())


def assert_sound(account: Account, book: Book) -> None:
    assert sum((entry.difference.total for entry in account.ledger), 0) == account.balance.total
    for place in range(5):
        assert sum(entry.difference[place] for entry in account.ledger) == account.balance[place] >= 0
    assert sum(entry.overpaid_difference for entry in account.ledger) == account.overpaid >= 0
    assert account.balance.total - account.overpaid == book.net
    for each in account.payments.values():
        if not each.returned:
            assert each.amount == each.applied.total + each.overpaid + each.refunded


@settings(max_examples=200, deadline=None)
@given(st.lists(commands_of_money(), max_size=25), st.sampled_from(POLICIES), balances.filter(lambda b: b.total > 0))
def test_at_every_version_the_balance_is_the_sum_of_its_ledger(
    given_commands: list[Any], policy: words.AllocationPolicy, balance: Amounts
) -> None:
    started = terms()
    started.balance.CopyFrom(PlacedBalance(total_minor=balance.total))
    for name, amount in balance._asdict().items():
        setattr(started.balance.buckets, f"{name}_minor", amount)
    account: Account = evolve(NO_ACCOUNT, placed(started, contract=contract_terms(policy)))
    book = Book(balance.total)
    for command in given_commands:
        assert command.account_id == ACCOUNT_ID
        try:
            facts = decide(command, account, NOW)
        except Refused:
            continue
        if facts:
            book.note(command)
        for fact in facts:
            account = evolve(account, fact)
        assert_sound(account, book)
