"""Interleaved measurement: each round measures ours and the peer's, so that both meet the same machine."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROUNDS_MIN = 5
Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is so taken that more is better if `at_least`, else less is better."""

    work: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    bar: str
    met: bool
    unit: str


def interleave(contenders: Mapping[str, Measure], rounds: int = ROUNDS_MIN) -> dict[str, float]:
    """The median of each contender over the rounds, after one round to warm up; the order turns every round."""
    names = list(contenders)
    seen: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            value = contenders[name]()
            if turn:
                seen[name].append(value)
    return {name: statistics.median(values) for name, values in seen.items()}


def at_least(work: str, unit: str, ours: float, peer: float, peer_name: str, bar: float) -> Row:
    """A row where ours over the peer's is to reach the bar; both are rates."""
    ratio = ours / peer
    return Row(work, ours, peer, peer_name, ratio, f">= {bar:g}", ratio >= bar, unit)


def at_most(work: str, unit: str, ours: float, peer: float, peer_name: str, bar: float) -> Row:
    """A row where ours over the peer's may not pass the bar; both are costs."""
    ratio = ours / peer
    return Row(work, ours, peer, peer_name, ratio, f"<= {bar:g}", ratio <= bar, unit)


def write(rows: list[Row], path: Path) -> None:
    """The machine-readable table."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
