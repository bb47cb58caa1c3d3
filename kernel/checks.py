"""What makes a process of a service ready: its database, the topics it uses, and how far it is behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from kernel import topics
from kernel.readiness import Check
from kernel.store import PostgresStore
from kernel.telemetry import LAG_FACTS

TOPICS_SECONDS_KEPT: Final = 10.0
"""Topics hardly ever change, and asking the broker costs a connection: the last finding stands for so long."""

_UNSENT: Final = "SELECT sum(h.number - r.sent)::bigint FROM log.heads h JOIN log.relays r USING (partition)"


def database_check(store: PostgresStore) -> Check:
    """The database answers, and commands can be recorded."""

    async def check() -> str | None:
        if not store.alive:
            return "the writer of the log has stopped: restart the process"
        await store.heads()
        return None

    return check


def topics_check(address: str, names: Sequence[str], partitions: int) -> Check:
    """The topics exist with the settings that a public log must have."""
    asked_at, found = -TOPICS_SECONDS_KEPT, ""

    async def check() -> str | None:
        nonlocal asked_at, found
        if time.monotonic() - asked_at >= TOPICS_SECONDS_KEPT:
            found = "; ".join(await asyncio.to_thread(topics.faults, address, names, partitions))
            asked_at = time.monotonic() - (TOPICS_SECONDS_KEPT - 2 if found else 0)
        return found or None

    return check


def relay_lag_check(reader_url: str, service: str, lag_facts_max: int) -> Check:
    """Few of the service's facts wait to be published."""

    async def check() -> str | None:
        unsent = await asyncio.to_thread(_unsent, reader_url)
        LAG_FACTS.labels("relay", service).set(unsent)
        if unsent > lag_facts_max:
            return f"{unsent} facts are not yet published, more than {lag_facts_max}: is the broker up, and a relay?"
        return None

    return check


def part_check(faults: Callable[[], Sequence[str]]) -> Check:
    """A part of the process, such as its relay or what hears others, finds no fault in itself."""

    async def check() -> str | None:
        return "; ".join(faults()) or None

    return check


def _unsent(reader_url: str) -> int:
    with psycopg.connect(reader_url, connect_timeout=3) as connection:
        row = connection.execute(_UNSENT).fetchone()
    return int(row[0] or 0) if row else 0
