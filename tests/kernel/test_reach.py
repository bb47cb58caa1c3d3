"""A wait for a version ends when it is reached, or with the reason why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from deploy.local.databases import Database
from kernel.errors import Behind
from kernel.reach import Heard, heard_reason, own_reason, reach
from tests.kernel.worlds import NORTH

HEARD = Heard("plans", "accounts", 3, NORTH, "account-1")


async def test_a_version_that_comes_in_time_ends_the_wait() -> None:
    versions = iter([1, 1, 2, 3])

    async def version() -> int:
        return next(versions)

    assert await reach(3, 5, version, own_reason) == 3


async def test_a_version_that_does_not_come_ends_the_wait_in_time_with_the_reason() -> None:
    async def version() -> int:
        return 4

    began = time.monotonic()
    with pytest.raises(Behind, match="version 9 is not there, only 4: the log holds no such version"):
        await reach(9, 0.3, version, own_reason)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ((), "plans has not heard accounts yet"),
        ((None, None), "plans is at number 7 of partition 3 of accounts, and lags"),
        ((None, "boom"), "account-1 is parked from number 5 on: boom"),
        (("fork: chains differ", "boom"), "plans halted at number 7 of partition 3 of accounts: fork: chains differ"),
    ],
)
async def test_the_reason_is_what_the_checkpoint_says(
    sample_database: Callable[..., Database], rows: tuple[str | None, ...], reason: str
) -> None:
    database = sample_database()
    with psycopg.connect(database.url) as connection:
        if rows:
            halted, error = rows
            connection.execute(
                "INSERT INTO log.checkpoints VALUES ('plans', 'accounts', 3, gen_random_uuid(), 7, %s, 0, %s)",
                [bytes(32), halted],
            )
            if error:
                connection.execute(
                    "INSERT INTO log.parked VALUES ('plans', 'accounts', 3, 5, %s, 'account-1', %s, '')", [NORTH, error]
                )
    async with await psycopg.AsyncConnection.connect(database.url) as reading:
        assert await heard_reason(reading, HEARD) == reason
