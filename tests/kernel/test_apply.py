"""Effects and checkpoint in one transaction, and facts whose effect cannot work, on the real database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from deploy.local.databases import Database
from kernel import checkpoint
from kernel.apply import Effect, Effects, Retried, apply_run, is_transient, retry
from kernel.checkpoint import PARKED_MAX, Connection, Halted, Moved, Place
from kernel.execute import Busy, Incomplete, Unavailable
from kernel.judge import Position, after
from kernel.record import Record
from kernel.store import connect
from tests.kernel.ear import remember
from tests.kernel.hearing import make_ear_database
from tests.kernel.records import LOG, chained_onto, log_of, start_of

PLACE = Place("ear", "sample", 0)
START = start_of()
RECORDS = log_of(12, streams=3)
PROJECT = Effects(remember("project"))
TENANT = UUID(int=1)


@pytest.fixture
def ear(database: Callable[..., Database]) -> Database:
    made = make_ear_database(database)
    with connect(made.url) as connection:
        checkpoint.create(connection, PLACE, START, 0)
    return made


@pytest.fixture
def connection(ear: Database) -> Iterator[Connection]:
    with connect(ear.url) as connection:
        yield connection


def failing_at(*numbers: int, error: Exception | None = None) -> Effect:
    """The row per fact, unless the fact's number is among `numbers`."""
    write = remember("project")

    def effect(connection: Connection, records: Sequence[Record]) -> None:
        write(connection, records)
        for record in records:
            if record.number in numbers:
                raise error or ValueError(f"number {record.number} cannot be understood")

    return effect


def numbers(connection: Connection, kind: str = "project") -> list[int]:
    rows = connection.execute("SELECT number FROM ear.effect WHERE kind = %s ORDER BY seq", [kind])
    return [number for (number,) in rows]


def parked(connection: Connection) -> list[tuple[int, str | None]]:
    return connection.execute("SELECT number, error FROM log.parked ORDER BY number").fetchall()


def last(connection: Connection) -> int:
    found = checkpoint.read(connection, PLACE)
    assert found is not None
    return found.position.last


def test_many_facts_have_their_effect_in_one_transaction_with_the_checkpoint(connection: Connection) -> None:
    assert apply_run(connection, PLACE, PROJECT, START, RECORDS) == after(RECORDS[-1])
    assert numbers(connection) == list(range(12))
    found = checkpoint.read(connection, PLACE)
    assert found is not None
    assert found.position == after(RECORDS[-1])
    xids = connection.execute(
        "SELECT DISTINCT e.xmin::text, c.xmin::text FROM ear.effect e, log.checkpoints c"
    ).fetchall()
    assert len(xids) == 1
    assert xids[0][0] == xids[0][1]


def test_a_worker_that_comes_back_from_the_dead_applies_nothing(connection: Connection) -> None:
    apply_run(connection, PLACE, PROJECT, START, RECORDS[:5])
    with pytest.raises(Moved):
        apply_run(connection, PLACE, PROJECT, START, RECORDS[:3])
    assert numbers(connection) == list(range(5))
    assert last(connection) == 4


def test_workers_that_believe_the_same_apply_once(ear: Database) -> None:
    outcomes: list[str] = []

    def work() -> None:
        with connect(ear.url) as own:
            try:
                apply_run(own, PLACE, PROJECT, START, RECORDS)
                outcomes.append("applied")
            except Moved:
                outcomes.append("moved")

    workers = [threading.Thread(target=work) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(outcomes) == ["applied", *["moved"] * 4]
    with connect(ear.url) as connection:
        assert numbers(connection) == list(range(12))


@pytest.mark.parametrize(
    "believed",
    [replace(START, last=0), replace(START, chain=bytes(32)), replace(START, log_id=UUID(int=78))],
)
def test_the_checkpoint_moves_from_where_it_is_only(connection: Connection, believed: Position) -> None:
    with pytest.raises(Moved):
        checkpoint.move(connection, PLACE, believed, after(RECORDS[3]))
    assert last(connection) == -1


def test_an_effect_that_fails_for_now_is_raised_and_nothing_has_happened(connection: Connection) -> None:
    for error in (Busy("moving"), Unavailable("away"), psycopg.errors.DeadlockDetected("dead"), TimeoutError("late")):
        with pytest.raises(type(error)):
            apply_run(connection, PLACE, Effects(failing_at(3, error=error)), START, RECORDS)
        assert (numbers(connection), parked(connection), last(connection)) == ([], [], -1)


def test_a_connection_that_breaks_parks_nothing(connection: Connection, ear: Database) -> None:
    def breaking(own: Connection, _records: Sequence[Record]) -> None:
        with psycopg.connect(ear.admin_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [own.info.backend_pid])
        own.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        apply_run(connection, PLACE, Effects(breaking), START, RECORDS)
    with connect(ear.url) as again:
        assert (numbers(again), parked(again), last(again)) == ([], [], -1)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.errors.SerializationFailure(), True),
        (psycopg.errors.LockNotAvailable(), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.QueryCanceled(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.OperationalError("server closed the connection"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (ConnectionResetError(), True),
        (Moved(), True),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.ProgramLimitExceeded(), False),
        (psycopg.errors.InvalidTextRepresentation(), False),
        (psycopg.DataError("a NUL byte"), False),
        (Incomplete([]), False),
        (ValueError(), False),
        (AssertionError(), False),
    ],
)
def test_what_may_work_later_is_told_from_what_never_will(error: Exception, transient: bool) -> None:  # noqa: FBT001
    assert is_transient(error) is transient


def test_a_poisonous_fact_is_parked_with_its_stream_and_the_others_go_on(connection: Connection) -> None:
    effects = Effects(failing_at(4))
    assert apply_run(connection, PLACE, effects, START, RECORDS) == after(RECORDS[-1])
    assert numbers(connection) == [n for n in range(12) if n not in (4, 7, 10)]
    assert parked(connection) == [(4, "ValueError: number 4 cannot be understood"), (7, None), (10, None)]
    assert last(connection) == 11


def test_facts_that_come_later_queue_behind_the_parked_one(connection: Connection) -> None:
    effects = Effects(failing_at(4))
    apply_run(connection, PLACE, effects, START, RECORDS[:6])
    apply_run(connection, PLACE, effects, after(RECORDS[5]), RECORDS[6:])
    assert [number for number, _error in parked(connection)] == [4, 7, 10]
    assert 7 not in numbers(connection)


def test_another_tenants_stream_of_the_same_name_does_not_queue(connection: Connection) -> None:
    stranger = chained_onto(after(RECORDS[4]), replace(RECORDS[7], number=5, tenant=UUID(int=2)))
    apply_run(connection, PLACE, Effects(failing_at(4)), START, [*RECORDS[:5], stranger])
    assert numbers(connection)[-1] == 5


def test_a_retry_drains_a_stream_in_order_with_the_very_bytes(connection: Connection) -> None:
    apply_run(connection, PLACE, Effects(failing_at(4)), START, RECORDS)
    assert retry(connection, PLACE, PROJECT, TENANT, "book-1") == Retried(3, 0, None)
    assert numbers(connection)[-3:] == [4, 7, 10]
    assert parked(connection) == []
    rows = connection.execute("SELECT number, payload FROM ear.effect").fetchall()
    assert dict(rows) == {record.number: record.payload for record in RECORDS}


def test_a_retry_that_fails_again_keeps_the_order_and_says_why(connection: Connection) -> None:
    apply_run(connection, PLACE, Effects(failing_at(4)), START, RECORDS)
    effects = Effects(failing_at(7))
    assert retry(connection, PLACE, effects, TENANT, "book-1") == Retried(
        1, 2, "ValueError: number 7 cannot be understood"
    )
    assert parked(connection) == [(7, "ValueError: number 7 cannot be understood"), (10, None)]
    assert numbers(connection)[-1] == 4


def test_a_retry_that_meets_a_broken_world_changes_nothing(connection: Connection) -> None:
    apply_run(connection, PLACE, Effects(failing_at(4)), START, RECORDS)
    with pytest.raises(Busy):
        retry(connection, PLACE, Effects(failing_at(7, error=Busy("moving"))), TENANT, "book-1")
    assert [number for number, _error in parked(connection)] == [4, 7, 10]
    assert 4 not in numbers(connection)


def test_retries_and_new_facts_at_the_same_time_stay_single_and_in_order(ear: Database) -> None:
    records = log_of(300, streams=3)
    with connect(ear.url) as own:
        apply_run(own, PLACE, Effects(failing_at(4)), START, records[:100])

    def arrive() -> None:
        with connect(ear.url) as own:
            for start in range(100, 300, 5):
                apply_run(own, PLACE, PROJECT, after(records[start - 1]), records[start : start + 5])

    def mend() -> None:
        with connect(ear.url) as own:
            for _ in range(20):
                retry(own, PLACE, PROJECT, TENANT, "book-1")

    threads = [threading.Thread(target=work) for work in (arrive, mend, mend)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connect(ear.url) as own:
        retry(own, PLACE, PROJECT, TENANT, "book-1")
        rows = own.execute("SELECT stream, version FROM ear.effect ORDER BY seq").fetchall()
    for stream in ("book-0", "book-1", "book-2"):
        assert [version for name, version in rows if name == stream] == list(range(1, 101))


def test_over_the_limit_the_partition_halts_and_a_retry_lets_it_go_on(connection: Connection) -> None:
    records = log_of(PARKED_MAX + 3, streams=1)
    effects = Effects(failing_at(0))
    position = START
    for record in records[: PARKED_MAX + 1]:
        position = apply_run(connection, PLACE, effects, position, [record])
    with pytest.raises(Halted, match="parked"):
        apply_run(connection, PLACE, effects, position, records[PARKED_MAX + 1 :])
    assert last(connection) == PARKED_MAX
    assert retry(connection, PLACE, PROJECT, TENANT, "book-0").left == 0
    apply_run(connection, PLACE, PROJECT, after(records[PARKED_MAX]), records[PARKED_MAX + 1 :])
    assert numbers(connection) == list(range(PARKED_MAX + 3))


def test_a_fork_stays_halted_whatever_is_retried(connection: Connection) -> None:
    apply_run(connection, PLACE, Effects(failing_at(4)), START, RECORDS)
    checkpoint.halt(connection, PLACE, "fork: two histories")
    retry(connection, PLACE, PROJECT, TENANT, "book-1")
    found = checkpoint.read(connection, PLACE)
    assert found is not None
    assert found.halted == "fork: two histories"


def test_below_react_from_facts_are_projected_and_never_reacted_to(connection: Connection) -> None:
    place = Place("newcomer", "sample", 0)
    checkpoint.create(connection, place, START, 7)
    apply_run(connection, place, Effects(remember("project"), remember("react")), START, RECORDS)
    assert numbers(connection) == list(range(12))
    assert numbers(connection, "react") == list(range(7, 12))


def test_an_effect_sees_the_tenants_of_its_facts_and_no_others(connection: Connection) -> None:
    seen: list[str] = []

    def look(own: Connection, _records: Sequence[Record]) -> None:
        seen.append(own.execute("SELECT current_setting('recoup.tenants')").fetchall()[0][0])

    apply_run(connection, PLACE, Effects(look), START, RECORDS[:3])
    assert seen == [f"{{{TENANT}}}"]


def test_words_that_a_database_cannot_store_do_not_keep_a_fact_from_being_parked(connection: Connection) -> None:
    effects = Effects(failing_at(0, error=ValueError("a NUL \x00 byte " + "x" * 10_000)))
    apply_run(connection, PLACE, effects, START, RECORDS[:1])
    ((number, error),) = parked(connection)
    assert number == 0
    assert error is not None
    assert len(error) <= 2_000


def test_a_log_id_is_part_of_the_position(connection: Connection) -> None:
    found: Any = checkpoint.read(connection, PLACE)
    assert found.position.log_id == LOG
