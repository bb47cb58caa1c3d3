"""Balances as audit knows them: nothing but the sum of ledger entries, bucket by bucket."""

from __future__ import annotations

from typing import Final, TypeAlias

from recoup.accounts.v1.terms_pb2 import Buckets
from recoup.accounts.v1.words_pb2 import Bucket

Amounts: TypeAlias = tuple[int, int, int, int, int]
"""Minor units of principal, interest, fees, costs and other, in this order."""

NOTHING: Final[Amounts] = (0, 0, 0, 0, 0)
FIELDS: Final = ("principal_minor", "interest_minor", "fees_minor", "costs_minor", "other_minor")
_PLACES: Final = {
    Bucket.BUCKET_PRINCIPAL: 0,
    Bucket.BUCKET_INTEREST: 1,
    Bucket.BUCKET_FEES: 2,
    Bucket.BUCKET_COSTS: 3,
    Bucket.BUCKET_OTHER: 4,
}


def amounts(buckets: Buckets) -> Amounts:
    """What a message of buckets says."""
    return (
        buckets.principal_minor,
        buckets.interest_minor,
        buckets.fees_minor,
        buckets.costs_minor,
        buckets.other_minor,
    )


def single(bucket: Bucket, amount_minor: int) -> Amounts:
    """An amount in one bucket and nothing in the others; a bucket that is not said is a KeyError."""
    place = _PLACES[bucket]
    return (
        amount_minor if place == 0 else 0,
        amount_minor if place == 1 else 0,
        amount_minor if place == 2 else 0,  # noqa: PLR2004 - the places of the buckets, as the type says.
        amount_minor if place == 3 else 0,  # noqa: PLR2004
        amount_minor if place == 4 else 0,  # noqa: PLR2004
    )


def added(one: Amounts, other: Amounts) -> Amounts:
    """The sum, bucket by bucket."""
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3], one[4] + other[4])


def negated(one: Amounts) -> Amounts:
    """The same with every sign turned."""
    return (-one[0], -one[1], -one[2], -one[3], -one[4])


def message(one: Amounts) -> Buckets:
    """The public form."""
    return Buckets(
        principal_minor=one[0], interest_minor=one[1], fees_minor=one[2], costs_minor=one[3], other_minor=one[4]
    )
