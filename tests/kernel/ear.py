"""A listening service for tests: its one effect is a row per fact, in a table that would take a repeated one too."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from recoup.sample.v1.sample_pb2 import EntryPosted

from kernel.apply import Effects
from kernel.checkpoint import Connection
from kernel.dial import Peer, Tokens
from kernel.listen import Listener, Source
from kernel.log_client import LogClient
from kernel.log_service import SCOPE
from kernel.record import Record
from kernel.tenancy import service_caller

SECRET: Final = b"0123456789abcdef0123456789abcdef"
SOURCE: Final = "sample"
POISON: Final = "poison"
TABLES: Final = """
CREATE SCHEMA ear AUTHORIZATION recoup_ear_migrator;
CREATE TABLE ear.effect (
    seq bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL, partition smallint NOT NULL, number bigint NOT NULL,
    tenant uuid NOT NULL, stream text NOT NULL, version bigint NOT NULL, payload bytea NOT NULL
);
CREATE TABLE ear.mended (only_row boolean PRIMARY KEY DEFAULT true);
GRANT USAGE ON SCHEMA ear TO recoup_ear;
GRANT SELECT, INSERT ON ear.effect, ear.mended TO recoup_ear;
"""


def remember(kind: str) -> Any:
    """The effect that writes a row per fact, and cannot for an entry with the memo POISON unless it was mended."""

    def effect(connection: Connection, records: Sequence[Record]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ear.effect (kind, partition, number, tenant, stream, version, payload)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [(kind, r.partition, r.number, r.tenant, r.stream, r.version, r.payload) for r in records],
            )
        mended = connection.execute("SELECT 1 FROM ear.mended").fetchone()
        for record in records:
            if (
                record.type.endswith("EntryPosted")
                and EntryPosted.FromString(record.payload).memo == POISON
                and not mended
            ):
                message = "this entry cannot be understood"
                raise ValueError(message)

    return effect


def listener_of(settings: dict[str, str], owner: Any = None) -> Listener:
    """The listener of these settings: consumer, database, broker, topic, owner (host:port), data."""
    client = owner or LogClient(Peer(settings["owner"], Tokens(SECRET)), service_caller("ear", SCOPE))
    source = Source(SOURCE, settings["topic"], client, Effects(remember("project"), remember("react")), "start")
    return Listener(
        settings["consumer"],
        [source],
        database_url=settings["database"],
        broker=settings["broker"],
        data=Path(settings["data"]),
    )


def listen(settings: dict[str, str], output: str) -> None:
    """What a worker process does until SIGTERM; it prints into the file `output`."""
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    asyncio.run(_listen(settings))


async def _listen(settings: dict[str, str]) -> None:
    running = asyncio.ensure_future(listener_of(settings).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
