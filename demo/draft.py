"""What every kind of portfolio file becomes before it is sent: drafts of placements, and what became of other lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be told about one line of the file: why it is refused, or what looks odd."""

    line: int
    text: str


@dataclass(slots=True)
class Portfolio:
    """A file made ready: what is to be placed for whom, and the fate of every other line."""

    source: str
    lines: int
    clients: Sequence[Client]
    drafts: Sequence[Draft] = ()
    passed_over: int = 0
    refused: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    shift_days: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)


def client_id_of(name: str) -> str:
    """A client's id from its name: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:CLIENT_ID_CHARACTERS_MAX] or "client"
