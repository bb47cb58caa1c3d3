"""Refusals that several rules share."""

from __future__ import annotations

from collections.abc import Iterable

from kernel.decider import Fault, Refused


class InvalidFields(Refused):
    """Fields of the command hold what they must not."""

    source = "Recoup: what a field may hold"


class AlreadyClosed(Refused):
    """The agency's work on this account has ended: it takes money, disputes, holds and documents, and nothing else."""

    source = "Recoup: close and return"


class NotADebtor(Refused):
    """The person is not one of the account's debtors."""


class DocumentUnknown(Refused):
    """The account has no document under this id: attach it first."""


def refuse_faults(faults: Iterable[Fault]) -> None:
    """Refuse when there is any fault, naming all of them."""
    found = tuple(faults)
    if found:
        raise InvalidFields(faults=found)
