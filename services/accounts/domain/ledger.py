"""The arithmetic of balances: five buckets, and the named policies that spread a payment over them."""

from __future__ import annotations

from typing import Final, NamedTuple

from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Buckets


class Amounts(NamedTuple):
    """A balance, or a change of one, in minor units."""

    principal: int = 0
    interest: int = 0
    fees: int = 0
    costs: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """The sum of all buckets."""
        return sum(self)

    def plus(self, more: Amounts) -> Amounts:
        """The sum, bucket by bucket."""
        return Amounts(self[0] + more[0], self[1] + more[1], self[2] + more[2], self[3] + more[3], self[4] + more[4])

    def minus(self, less: Amounts) -> Amounts:
        """The difference, bucket by bucket."""
        return Amounts(self[0] - less[0], self[1] - less[1], self[2] - less[2], self[3] - less[3], self[4] - less[4])

    def negated(self) -> Amounts:
        """The opposite, bucket by bucket."""
        return Amounts(-self[0], -self[1], -self[2], -self[3], -self[4])


NOTHING: Final = Amounts()

_PRINCIPAL, _INTEREST, _FEES, _COSTS, _OTHER = range(5)

ORDERS: Final = {
    words.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL: (_COSTS, _FEES, _INTEREST, _OTHER, _PRINCIPAL),
    words.ALLOCATION_POLICY_INTEREST_PRINCIPAL_FEES_COSTS: (_INTEREST, _PRINCIPAL, _FEES, _COSTS, _OTHER),
    words.ALLOCATION_POLICY_PRINCIPAL_FIRST: (_PRINCIPAL, _INTEREST, _FEES, _COSTS, _OTHER),
}
"""The order in which each named policy satisfies the buckets; the proportional policy has none."""

_PLACES: Final = {
    words.BUCKET_PRINCIPAL: _PRINCIPAL,
    words.BUCKET_INTEREST: _INTEREST,
    words.BUCKET_FEES: _FEES,
    words.BUCKET_COSTS: _COSTS,
    words.BUCKET_OTHER: _OTHER,
}


def allocate(amount_minor: int, balance: Amounts, policy: words.AllocationPolicy) -> tuple[Amounts, int]:
    """What a payment takes off each bucket, and what of it exceeds the balance. Both sum to the payment exactly."""
    spread = min(amount_minor, balance.total)
    order = ORDERS.get(policy)
    applied = _in_order(spread, balance, order) if order else _in_proportion(spread, balance)
    return applied, amount_minor - spread


def restore(amount_minor: int, applied: Amounts, policy: words.AllocationPolicy) -> Amounts:
    """What is owed again when a part of a payment is given back: what was satisfied last is owed again first."""
    order = ORDERS.get(policy)
    if order is None:
        return _in_proportion(amount_minor, applied)
    return _in_order(amount_minor, applied, tuple(reversed(order)))


def in_bucket(bucket: words.Bucket, amount_minor: int) -> Amounts:
    """The amount in one bucket, nothing in the others."""
    amounts = [0] * len(NOTHING)
    amounts[_PLACES[bucket]] = amount_minor
    return Amounts(*amounts)


def amounts_of(buckets: Buckets) -> Amounts:
    """The amounts of a contract's message."""
    return Amounts(
        buckets.principal_minor,
        buckets.interest_minor,
        buckets.fees_minor,
        buckets.costs_minor,
        buckets.other_minor,
    )


def buckets_of(amounts: Amounts) -> Buckets:
    """The contract's message of amounts."""
    return Buckets(
        principal_minor=amounts.principal,
        interest_minor=amounts.interest,
        fees_minor=amounts.fees,
        costs_minor=amounts.costs,
        other_minor=amounts.other,
    )


def _in_order(amount_minor: int, limits: Amounts, order: tuple[int, ...]) -> Amounts:
    taken = [0] * len(limits)
    for place in order:
        taken[place] = min(amount_minor, limits[place])
        amount_minor -= taken[place]
    return Amounts(*taken)


def _in_proportion(amount_minor: int, limits: Amounts) -> Amounts:
    """Shares by largest remainder; of equal remainders the earlier bucket's is served first."""
    total = limits.total
    if total == 0:
        return NOTHING
    shares = [divmod(amount_minor * limit, total) for limit in limits]
    taken = [share for share, _remainder in shares]
    by_remainder = sorted(range(len(limits)), key=lambda place: (-shares[place][1], place))
    for place in by_remainder[: amount_minor - sum(taken)]:
        taken[place] += 1
    return Amounts(*taken)
