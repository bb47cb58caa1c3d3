"""A process that knows nothing answers every repetition from the log, however many there are in a row."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1.sample_pb2 import OpenBook, PostEntry

from deploy.local.databases import Database
from kernel.clock import RealClock
from kernel.execute import Executor, Request
from kernel.store import PostgresStore
from kernel.tenancy import Caller
from tests.kernel.sample import project
from tests.kernel.support import INPUT_KEY, LEDGER

ANN = Caller(UUID(int=1), None, "ann", "credential-1", frozenset())
BOOKS = [str(UUID(int=number)) for number in range(8)]


def posted(book_id: str, number: int) -> Request:
    command = PostEntry(book_id=book_id, amount_minor=1)
    return Request(command, f"{number} of {book_id}", ANN, uuid4())


async def test_repetitions_in_a_row_are_all_answered_from_the_log(
    sample_database: Callable[..., Database],
) -> None:
    database = sample_database()
    first = await PostgresStore.open(database.url, database.reader_url, RealClock())
    try:
        executor = Executor("sample", [LEDGER], first, RealClock(), project, INPUT_KEY)
        await executor.execute_many(
            [Request(OpenBook(book_id=book_id, client="c"), f"open {book_id}", ANN, uuid4()) for book_id in BOOKS]
        )
        answers = await executor.execute_many([posted(book_id, number) for number in range(5) for book_id in BOOKS])
    finally:
        await first.close()
    second = await PostgresStore.open(database.url, database.reader_url, RealClock())
    try:
        executor = Executor("sample", [LEDGER], second, RealClock(), project, INPUT_KEY)
        repeated = [
            (await executor.execute_many([posted(book_id, number)]))[0] for number in range(5) for book_id in BOOKS
        ]
        (fresh,) = await executor.execute_many([posted(BOOKS[0], 99)])
    finally:
        await second.close()
    assert all(_answer(outcome).replayed for outcome in repeated)
    assert [_answer(outcome).accepted for outcome in repeated] == [_answer(outcome).accepted for outcome in answers]
    assert (_answer(fresh).replayed, _answer(fresh).version) == (False, 7)


def _answer(outcome: Answer | Exception) -> Answer:
    assert isinstance(outcome, Answer), outcome
    return outcome
