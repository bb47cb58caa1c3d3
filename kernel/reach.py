"""Waiting until a read row has come to a version: to the end of the caller's patience, and then saying why it has not.

A service's own rows are committed with their facts, so they are there at once. Rows made of what was heard come later:
the listener may lag, may have parked the stream, or may have halted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from kernel.errors import Behind

POLL_SECONDS: Final = 0.02
MARGIN_SECONDS: Final = 0.05
"""Kept back from the caller's patience, so that the reason still reaches it."""


class Heard(NamedTuple):
    """What a row is made of: a stream of a source, as a consumer hears it in a partition."""

    consumer: str
    source: str
    partition: int
    tenant: UUID
    stream: str


async def reach(
    minimum: int, seconds: float, version: Callable[[], Awaitable[int]], reason: Callable[[], Awaitable[str]]
) -> int:
    """The row's version once it is at least `minimum`; Behind, with the reason, when `seconds` are over before."""
    end = time.monotonic() + seconds - MARGIN_SECONDS
    while (reached := await version()) < minimum:
        if time.monotonic() >= end:
            message = f"version {minimum} is not there, only {reached}: {await reason()}"
            raise Behind(message)
        await asyncio.sleep(POLL_SECONDS)
    return reached


async def own_reason() -> str:
    """Why a row of the service's own facts is not there: nothing was recorded that it could come from."""
    return "the log holds no such version"


async def heard_reason(connection: psycopg.AsyncConnection[Any], heard: Heard) -> str:
    """Why a row of heard facts is not there: halted, parked, or lagging, as the checkpoint says."""
    at = (heard.consumer, heard.source, heard.partition)
    key = "WHERE (consumer, source, partition) = (%s, %s, %s)"
    checkpoint = await (await connection.execute(f"SELECT last, halted FROM log.checkpoints {key}", at)).fetchone()  # noqa: S608
    if checkpoint is None:
        return f"{heard.consumer} has not heard {heard.source} yet"
    last, halted = checkpoint
    if halted is not None:
        return f"{heard.consumer} halted at number {last} of partition {heard.partition} of {heard.source}: {halted}"
    parked = await connection.execute(
        f"SELECT number, error FROM log.parked {key} AND tenant = %s AND stream = %s ORDER BY number LIMIT 1",  # noqa: S608
        (*at, heard.tenant, heard.stream),
    )
    first = await parked.fetchone()
    if first is not None:
        return f"{heard.stream} is parked from number {first[0]} on: {first[1]}"
    return f"{heard.consumer} is at number {last} of partition {heard.partition} of {heard.source}, and lags"
