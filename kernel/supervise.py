"""Keeping the long-running parts of a process running: what breaks is logged and begun again, ever more patiently."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from kernel.telemetry import RESTARTS

PAUSE_SECONDS_MIN: Final = 0.2
PAUSE_SECONDS_MAX: Final = 15.0
STEADY_SECONDS: Final = 60.0
"""A part that ran for so long had recovered: its next pause is short again."""

Part: TypeAlias = Callable[[], Awaitable[None]]
"""Runs until cancelled. It cleans up after itself, whatever ends it, and can be begun again."""

log = structlog.get_logger("supervise")


async def supervise(name: str, part: Part) -> None:
    """Run `part` until cancelled; whatever it raises, it is begun anew after a pause."""
    loop = asyncio.get_running_loop()
    pause = PAUSE_SECONDS_MIN
    while True:
        began = loop.time()
        try:
            await part()
            log.error("a part of the process ended by itself", part=name)
        except Exception:  # It may fail for any reason and must not take the process down; it is logged and begun anew.
            log.exception("a part of the process failed", part=name, pause_seconds=round(pause, 1))
        RESTARTS.labels(name).inc()
        if loop.time() - began > STEADY_SECONDS:
            pause = PAUSE_SECONDS_MIN
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - to spread restarts, no secret.
        pause = min(pause * 2, PAUSE_SECONDS_MAX)


async def stop_within(seconds: float, *tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks and wait for them; what has not ended then is left behind, and the log says so."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    _done, pending = await asyncio.wait(tasks, timeout=seconds)
    for task in pending:
        log.error("a part of the process did not stop in time", part=task.get_name(), seconds=seconds)
