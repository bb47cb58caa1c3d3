"""What every kind of portfolio file becomes before it is sent: batches for clients, and the fate of all other lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from recoup.accounts.v1 import placement_pb2

PORTFOLIO_ID: Final = "demo"
CLIENT_ID_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Draft:
    """One placement to be sent, with the line of the file that it stems from."""

    line: int
    placement: placement_pb2.Placement


@dataclass(frozen=True, slots=True)
class Client:
    """A creditor whose accounts are placed."""

    client_id: str
    legal_name: str
    portfolios: tuple[str, ...] = (PORTFOLIO_ID,)
    currencies: tuple[str, ...] = ("USD",)


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be told about one line of the file: why it is refused, or what looks odd."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A body of one client's placements; `lines` are the lines of the file that its rows stem from, in order."""

    client: Client
    content_type: str
    content: bytes
    lines: Sequence[int]


@dataclass(slots=True)
class Portfolio:
    """A file made ready: what is to be placed for whom, and the fate of every other line."""

    source: str
    lines: int
    batches: Sequence[Batch]
    passed_over: int = 0
    refused: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    shift_days: int | None = None
    """By how many days the file's dates were moved; None where none are."""

    @property
    def clients(self) -> Sequence[Client]:
        """The clients, each once."""
        return list(dict.fromkeys(batch.client for batch in self.batches))


def client_id_of(name: str) -> str:
    """A client's id from its name: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:CLIENT_ID_CHARACTERS_MAX] or "client"
