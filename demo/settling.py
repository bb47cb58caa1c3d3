"""Waits until everything that was recorded has been heard by everyone, and says at which instant that was so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import psycopg

from deploy.local.databases import Database

SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.1
LISTENERS: Final = ("accounts", "audit")
"""Who hears the log of accounts, each in its own database: accounts itself, for what a fact obliges it to do."""

_HEADS: Final = "SELECT partition, number, recorded_at FROM log.heads"
_CHECKPOINTS: Final = "SELECT partition, last, halted FROM log.checkpoints WHERE source = 'accounts'"
_PARKED: Final = "SELECT count(*) FROM log.parked"


class NotSettled(Exception):  # noqa: N818 - named for what is wrong.
    """Facts are on their way for longer than SECONDS_MAX, or a listener halted or parked one; the text says where."""


def settled_at(databases: Mapping[str, Database]) -> datetime:
    """The recorded instant of the last fact, once all have been heard and none followed from them.

    Nobody may send commands meanwhile.
    """
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        before = _heads(databases["accounts"])
        behind = _behind(databases, before)
        # A reaction is recorded in the transaction that moves its checkpoint, so heads that stand still while every
        # checkpoint equals them leave nothing to come.
        if not behind and _heads(databases["accounts"]) == before:
            return max(recorded_at for _, recorded_at in before.values())
        if time.monotonic() > deadline:
            message = f"after {SECONDS_MAX:.0f} seconds facts are still on their way: {'; '.join(behind)}"
            raise NotSettled(message)
        time.sleep(POLL_SECONDS)


def _heads(database: Database) -> dict[int, tuple[int, datetime]]:
    with psycopg.connect(database.reader_url) as connection:
        rows = connection.execute(_HEADS).fetchall()
    return {partition: (number, recorded_at) for partition, number, recorded_at in rows}


def _behind(databases: Mapping[str, Database], heads: Mapping[int, tuple[int, datetime]]) -> list[str]:
    found = []
    for service in LISTENERS:
        with psycopg.connect(databases[service].reader_url) as connection:
            rows = {partition: (last, halted) for partition, last, halted in connection.execute(_CHECKPOINTS)}
            ((parked,),) = connection.execute(_PARKED).fetchall()
        if parked:
            message = f"{service} has parked {parked} facts that it could not work off: `recoup parked list` shows them"
            raise NotSettled(message)
        for partition, (number, _) in heads.items():
            last, halted = rows.get(partition, (-1, None))
            if halted is not None:
                message = f"{service} has halted in partition {partition}: {halted}"
                raise NotSettled(message)
            if last < number:
                found.append(f"{service} has heard {last} of {number} in partition {partition}")
    return found
