"""Amounts in words: integers of minor units as a person reads them, never through a float."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.audit.domain.ledger import Amounts

_BUCKETS: Final = ("principal", "interest", "fees", "costs", "other")
_DIGITS_USUAL: Final = 2
_NO_DECIMALS: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
_DIGITS: Final = (
    dict.fromkeys(_NO_DECIMALS, 0)
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    | dict.fromkeys(("CLF", "UYW"), 4)
)
"""Decimal places of the currencies that do not have two, after ISO 4217."""


def money(amount_minor: int, currency: str) -> str:
    """For example 1,234.56 USD; a currency without minor units has no decimal point."""
    digits = _DIGITS.get(currency, _DIGITS_USUAL)
    whole, part = divmod(abs(amount_minor), 10**digits)
    sign = "-" if amount_minor < 0 else ""
    decimals = f".{part:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {currency}".rstrip()


def spread(parts: Amounts, currency: str) -> str:
    """The buckets that hold something, for example 10.00 USD principal and 2.50 USD fees; `nothing` when none does."""
    named = [f"{money(part, currency)} {name}" for part, name in zip(parts, _BUCKETS, strict=True) if part]
    return listed(named) or "nothing"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    if len(words) < 2:  # noqa: PLR2004 - one word needs no `and`.
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
