"""A part that breaks is begun again; one that is stopped stays stopped, and does not hold the process."""

from __future__ import annotations

import asyncio

import pytest

from kernel import supervise as module
from kernel.supervise import stop_within, supervise


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS_MIN", 0.001)


async def test_a_part_that_breaks_or_ends_is_begun_again() -> None:
    begun = 0
    third = asyncio.Event()

    async def part() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            message = "broken"
            raise ValueError(message)
        if begun == 3:
            third.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(supervise("part", part))
    await asyncio.wait_for(third.wait(), 5)
    await stop_within(5, task)
    assert begun == 3
    assert task.cancelled()


async def test_a_part_cleans_up_when_it_is_stopped() -> None:
    cleaned = False

    async def part() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    task = asyncio.create_task(supervise("part", part))
    await asyncio.sleep(0.01)
    await stop_within(5, task)
    assert cleaned


async def test_a_part_that_will_not_stop_is_left_behind() -> None:
    release = asyncio.Event()

    async def part() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(supervise("part", part))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await stop_within(0.05, task)
    assert not task.done()
    release.set()
    await asyncio.sleep(0.01)
    await stop_within(5, task)
    assert task.done()
