"""Recording one event for many callers, against the peer's default and best forms and against bare inserts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from eventsourcing.application import Application

from benchmarks.measuring import Row, at_least, interleave
from benchmarks.ours import Ours, payment, request
from benchmarks.peers import DefaultAccount, TunedAccount, place_default, place_tuned
from kernel.execute import Request

PEER: Final = "eventsourcing 9.5"
EVENTS: Final = {1: 150, 32: 1600, 256: 5120}
RAW_ROWS_A_STATEMENT: Final = 100
RAW_STATEMENTS: Final = 60


class OurAppends:
    """Callers that each post payments to an account of their own, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ours: Ours) -> None:
        """Every round has accounts of its own, so that no side drags a longer history than the other."""
        self._loop, self._ours = loop, ours

    def rate(self, callers: int) -> float:
        """Events a second, each decided, numbered, chained and committed with its answer and its read rows."""
        each = EVENTS[callers] // callers
        ids = self._loop.run_until_complete(self._ours.place(callers))

        async def caller(requests: Sequence[Request]) -> None:
            for one in requests:
                answer = await self._ours.executor.execute(one)
                assert answer.HasField("accepted"), answer

        # Making ids asks the system for chance, which costs more than a commit's share and is no part of it.
        given = [[request(payment(account_id)) for _ in range(each)] for account_id in ids]

        async def all_of_them() -> None:
            await asyncio.gather(*(caller(requests) for requests in given))

        began = time.perf_counter()
        self._loop.run_until_complete(all_of_them())
        return each * callers / (time.perf_counter() - began)


class PeerAppends:
    """The same callers as threads, as the library is used."""

    def __init__(self, app: Application[UUID], *, tuned: bool) -> None:
        """Every round has accounts of its own."""
        self._app, self._tuned = app, tuned

    def rate(self, callers: int) -> float:
        """Events a second."""
        each = EVENTS[callers] // callers
        post = self._post_tuned if self._tuned else self._post_default
        place: Callable[[Application[UUID]], Any] = place_tuned if self._tuned else place_default
        given = [(place(self._app), [str(uuid4()) for _ in range(each)]) for _ in range(callers)]
        with ThreadPoolExecutor(callers) as threads:
            began = time.perf_counter()
            for done in [threads.submit(post, account, references) for account, references in given]:
                done.result()
            return each * callers / (time.perf_counter() - began)

    def _post_default(self, account: DefaultAccount, references: Iterable[str]) -> None:
        for reference in references:
            account.post_payment(reference, 100)
            self._app.save(account)

    def _post_tuned(self, account: TunedAccount, references: Iterable[str]) -> None:
        for reference in references:
            fact = account.post_payment(reference, 100)
            self._app.save(fact)
            account.fold([fact])


def raw_rate(url: str) -> float:
    """Rows a second of bare `unnest` inserts of 100 rows a statement, each statement committed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS raw (id uuid PRIMARY KEY, type text, payload bytea)")
        connection.execute("TRUNCATE raw")
        statement = "INSERT INTO raw SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[])"
        began = time.perf_counter()
        for _ in range(RAW_STATEMENTS):
            ids = [uuid4() for _ in range(RAW_ROWS_A_STATEMENT)]
            types = ["recoup.accounts.v1.PaymentPosted"] * RAW_ROWS_A_STATEMENT
            connection.execute(statement, [ids, types, [bytes(180)] * RAW_ROWS_A_STATEMENT])
        return RAW_STATEMENTS * RAW_ROWS_A_STATEMENT / (time.perf_counter() - began)


def rows(ours: OurAppends, default: PeerAppends, best: PeerAppends, raw: Callable[[], float]) -> Iterator[Row]:
    """The rows of the table; 1 caller is shown without a bar of its own."""
    for callers, bars in ((1, (1.0, 0.5)), (32, (12.0, 4.0)), (256, (20.0, 7.0))):
        seen = interleave(
            {
                "ours": lambda callers=callers: ours.rate(callers),  # type: ignore[misc]
                "default": lambda callers=callers: default.rate(callers),  # type: ignore[misc]
                "best": lambda callers=callers: best.rate(callers),  # type: ignore[misc]
            }
        )
        work = f"append one event, {callers} caller{'s' * (callers > 1)}"
        for form, bar in zip(("default", "best"), bars, strict=True):
            yield at_least(work, "events/s", seen["ours"], seen[form], f"{PEER}, {form}", bar)
    seen = interleave({"ours": lambda: ours.rate(32), "raw": raw})
    yield at_least("append one event, 32 callers", "events/s", seen["ours"], seen["raw"], "raw unnest, 100 rows", 0.2)
