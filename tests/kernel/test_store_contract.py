"""What every log promises, in PostgreSQL and in memory alike, with two agencies of two clients each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from recoup.event.v1.answer_pb2 import Answer
from recoup.sample.v1.sample_pb2 import BookOpened, CloseBook, OpenBook, PostEntry

from deploy.local.databases import Database
from kernel.clock import RealClock, SimulatedClock
from kernel.decider import Heard
from kernel.execute import Busy, IdReused, Incomplete, NotFinal, Unknown
from kernel.project import Insert, Row
from kernel.record import ZERO_HASH, chain_next, chain_start, record_hash
from tests.kernel.sample import BOOK
from tests.kernel.worlds import (
    ALPHA,
    BETA,
    CALLERS,
    NORTH,
    SOUTH,
    SOUTH_ALPHA,
    World,
    book_id,
    memory_world,
    postgres_world,
    request,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
A, B, C = book_id(1), book_id(2), book_id(3)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield memory_world(RealClock())
        return
    make: Callable[..., Database] = request.getfixturevalue("sample_database")
    made = await postgres_world(make(), RealClock())
    yield made
    await made.store.close()


@pytest.fixture(params=["memory", "postgres"])
async def simulated(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    clock = SimulatedClock(NOON)
    if request.param == "memory":
        yield memory_world(clock)
        return
    make: Callable[..., Database] = request.getfixturevalue("sample_database")
    made = await postgres_world(make(clock="simulated"), clock)
    yield made
    await made.store.close()


async def opened(world: World, book: str = A, amount_minor: int = 0) -> None:
    """A book of alpha in the north, with an entry when an amount is given."""
    await world.executor.execute(request(OpenBook(book_id=book, client="alpha")))
    if amount_minor:
        await world.executor.execute(request(PostEntry(book_id=book, amount_minor=amount_minor)))


async def test_an_accepted_command_leaves_facts_a_chain_and_a_row(world: World) -> None:
    answer = await world.executor.execute(request(OpenBook(book_id=A, client="alpha")))
    answer_two = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=7)))
    assert (answer.version, list(answer.accepted.types)) == (1, ["recoup.sample.v1.BookOpened"])
    first, second = await world.store.read_stream(NORTH, f"book-{A}")
    assert [str(first.event_id), str(second.event_id)] == [*answer.accepted.fact_ids, *answer_two.accepted.fact_ids]
    assert (first.previous, second.previous) == (ZERO_HASH, record_hash(first))
    assert first.chain == chain_next(chain_start(world.store.log_id, first.partition), record_hash(first))
    assert second.chain == chain_next(first.chain, record_hash(second))
    assert (first.number, second.number, first.accounts, second.actor) == (0, 1, (first.accounts[0],), "actor of alpha")
    row = world.rows(NORTH)[A]
    assert (row["balance_minor"], row["version"], row["number"], row["client"]) == (7, 2, 1, "alpha")
    assert (await world.store.heads())[first.partition][1:3] == (1, second.chain)


async def test_a_refusal_names_rule_source_and_fields_and_leaves_no_fact(world: World) -> None:
    await opened(world)
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=-1)))
    assert answer.refusal.rule == "BookOverdrawn"
    assert answer.refusal.source == "the sample's own rule"
    assert answer.refusal.faults[0].pointer == "/amount_minor"
    assert len(await world.store.read_stream(NORTH, f"book-{A}")) == 1


@pytest.mark.parametrize("outcome", ["accepted", "already", "refusal"])
async def test_a_repeated_id_gets_the_first_answer_whatever_has_become_of_the_stream(
    world: World, outcome: str
) -> None:
    await opened(world, amount_minor=5)
    command = {
        "accepted": PostEntry(book_id=A, amount_minor=1),
        "already": OpenBook(book_id=A, client="alpha"),
        "refusal": PostEntry(book_id=A, amount_minor=-100),
    }[outcome]
    first = await world.executor.execute(request(command, given_id="one"))
    assert (first.WhichOneof("outcome"), first.replayed) == (outcome, False)
    await world.executor.execute(request(PostEntry(book_id=A, amount_minor=100)))
    await world.executor.execute(request(CloseBook(book_id=A)))
    facts = len(await world.store.read_stream(NORTH, f"book-{A}"))
    for executor in (world.executor, world.another()):
        again = await executor.execute(request(command, given_id="one"))
        assert again.replayed
        again.replayed = False
        assert again == first
    assert len(await world.store.read_stream(NORTH, f"book-{A}")) == facts


async def test_the_same_command_twenty_times_at_once_has_one_effect(world: World) -> None:
    await opened(world)
    command = PostEntry(book_id=A, amount_minor=1)
    executors = [world.another() for _ in range(4)]
    calls = [executors[n % 4].execute(request(command, given_id="one")) for n in range(20)]
    answers: list[Answer] = await asyncio.gather(*calls)
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({tuple(answer.accepted.fact_ids) for answer in answers}) == 1
    assert world.rows(NORTH)[A]["balance_minor"] == 1


async def test_another_input_under_a_used_id_is_refused(world: World) -> None:
    await opened(world)
    await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1), given_id="one"))
    with pytest.raises(IdReused):
        await world.executor.execute(request(PostEntry(book_id=A, amount_minor=2), given_id="one"))


async def test_one_given_id_is_another_command_for_every_caller_and_type(world: World) -> None:
    for (tenant, client), caller in CALLERS.items():
        answer = (
            await world.executor.execute(
                request(OpenBook(book_id=book_id(tenant.int), client=client), caller=caller, given_id="one")
            )
            if client == "alpha"
            else None
        )
        assert answer is None or not answer.replayed
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1), given_id="one"))
    assert not answer.replayed


async def test_an_agency_never_sees_anothers_stream_rows_or_answers(world: World) -> None:
    await opened(world, amount_minor=3)
    await world.executor.execute(request(OpenBook(book_id=A, client="alpha"), caller=SOUTH_ALPHA))
    assert world.rows(NORTH)[A]["balance_minor"] == 3
    assert world.rows(SOUTH)[A]["balance_minor"] == 0
    assert len(await world.store.read_stream(SOUTH, f"book-{A}")) == 1
    assert (await world.store.history(SOUTH, f"book-{A}")).version == 1
    assert await world.store.histories(SOUTH, [f"book-{B}"]) == {}


async def test_another_clients_entity_is_unknown(world: World) -> None:
    await opened(world)
    for executor in (world.executor, world.another()):
        with pytest.raises(Unknown):
            await executor.execute(request(PostEntry(book_id=A, amount_minor=1), caller=BETA))
    assert world.rows(NORTH)[A]["version"] == 1


async def test_an_incomplete_command_names_every_fault_and_is_not_decided(world: World) -> None:
    with pytest.raises(Incomplete) as caught:
        await world.executor.execute(request(OpenBook(), given_id=" "))
    assert [fault.pointer for fault in caught.value.faults] == ["/given_id", "/book_id", "/client"]


async def test_a_stale_state_is_decided_again(world: World) -> None:
    await opened(world, amount_minor=10)
    other = world.another()
    await other.execute(request(PostEntry(book_id=A, amount_minor=-10)))
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=-10)))
    assert answer.refusal.rule == "BookOverdrawn"
    await other.execute(request(PostEntry(book_id=A, amount_minor=10)))
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=-10)))
    assert answer.version == 5


async def test_a_refusal_or_already_of_a_stale_state_is_decided_again(world: World) -> None:
    await opened(world)
    other = world.another()
    await other.execute(request(PostEntry(book_id=A, amount_minor=5)))
    answer = await world.executor.execute(request(PostEntry(book_id=A, amount_minor=-5)))
    assert answer.WhichOneof("outcome") == "accepted"


async def test_many_commands_keep_their_order_within_a_stream_and_each_has_its_own_result(world: World) -> None:
    requests = [
        request(OpenBook(book_id=A, client="alpha")),
        request(PostEntry(book_id=A, amount_minor=-1)),
        request(OpenBook(book_id=B, client="alpha")),
        request(PostEntry(book_id=A, amount_minor=4)),
        request(PostEntry()),
        request(PostEntry(book_id=A, amount_minor=-4)),
        request(PostEntry(book_id=B, amount_minor=2), caller=BETA),
    ]
    results = await world.executor.execute_many(requests)
    found = [type(r).__name__ if isinstance(r, Exception) else r.WhichOneof("outcome") for r in results]
    assert found == ["accepted", "refusal", "accepted", "accepted", "Incomplete", "accepted", "Unknown"]
    again = await world.executor.execute_many(requests)
    assert [r.replayed for r in again if isinstance(r, Answer)] == [True] * 5


async def test_rows_of_a_request_commit_with_it_only_when_it_is_accepted(world: World) -> None:
    row: Row = {"client": "x", "balance_minor": 0, "version": 1, "partition": 0, "number": 0, "recorded_at": NOON}
    extra = Insert("views.book", {"tenant": NORTH, "book_id": "beside", **row})
    await world.executor.execute(request(PostEntry(book_id=A, amount_minor=1), rows=[extra]))
    assert "beside" not in world.rows(NORTH)
    await world.executor.execute(request(OpenBook(book_id=A, client="alpha"), rows=[extra]))
    assert "beside" in world.rows(NORTH)


async def test_a_row_that_another_has_just_written_makes_the_command_busy_and_leaves_nothing(world: World) -> None:
    row: Row = {"client": "x", "balance_minor": 0, "version": 1, "partition": 0, "number": 0, "recorded_at": NOON}
    extra = Insert("views.book", {"tenant": NORTH, "book_id": "beside", **row})
    await world.executor.execute(request(OpenBook(book_id=A, client="alpha"), rows=[extra]))
    with pytest.raises(Busy):
        await world.executor.execute(request(OpenBook(book_id=B, client="alpha"), rows=[extra]))
    assert await world.store.read_stream(NORTH, f"book-{B}") == []
    assert set(world.rows(NORTH)) == {A, "beside"}


async def test_numbers_are_dense_and_the_log_reads_back_in_pages(world: World) -> None:
    await world.executor.execute_many([request(OpenBook(book_id=book_id(n), client="alpha")) for n in range(10, 1210)])
    total = 0
    for head in await world.store.heads():
        pages = [page async for page in world.store.read_log(head.partition)]
        records = [record for page in pages for record in page]
        assert all(len(page) <= 500 for page in pages)
        assert [record.number for record in records] == list(range(head.number + 1))
        chain = chain_start(world.store.log_id, head.partition)
        for record in records:
            chain = chain_next(chain, record_hash(record))
            assert record.chain == chain
        assert chain == head.chain
        total += len(records)
        some = [page async for page in world.store.read_log(head.partition, 3, 5)]
        assert [record.number for page in some for record in page] == [3, 4, 5]
    assert total == 1200


async def test_a_simulated_log_takes_the_instant_of_its_clock(simulated: World) -> None:
    await opened(simulated)
    simulated.clock.advance_to(NOON + timedelta(days=1))
    await simulated.executor.execute(request(PostEntry(book_id=A, amount_minor=1)))
    records = await simulated.store.read_stream(NORTH, f"book-{A}")
    assert [record.recorded_at for record in records] == [NOON, NOON + timedelta(days=1)]
    assert [record.occurred_at for record in records] == [NOON, NOON + timedelta(days=1)]
    await simulated.executor.execute(request(CloseBook(book_id=A)))
    (closed,) = await simulated.store.read_stream(NORTH, f"book-{A}", after_version=2)
    assert closed.occurred_at == datetime(2026, 3, 3, tzinfo=UTC)


async def test_a_stream_is_read_from_a_version_on_and_no_further_than_asked(world: World) -> None:
    await opened(world)
    for amount_minor in (1, 2, 3):
        await world.executor.execute(request(PostEntry(book_id=A, amount_minor=amount_minor)))
    for after, limit, versions in ((0, None, [1, 2, 3, 4]), (1, 2, [2, 3]), (3, 2, [4]), (4, 2, [])):
        records = await world.store.read_stream(NORTH, f"book-{A}", after, limit=limit)
        assert [record.version for record in records] == versions


async def test_as_of_names_its_cut_and_is_not_final_before_its_instant_is_over(simulated: World) -> None:
    await opened(simulated, amount_minor=1)
    simulated.clock.advance_to(NOON + timedelta(hours=1))
    await simulated.executor.execute(request(PostEntry(book_id=A, amount_minor=1)))
    (record, *_) = await simulated.store.read_stream(NORTH, f"book-{A}")
    with pytest.raises(NotFinal):
        await simulated.store.cut(NOON + timedelta(hours=1))
    cut = await simulated.store.cut(NOON)
    assert cut == {p: 1 if p == record.partition else -1 for p in range(simulated.store.partitions)}
    assert await simulated.store.cut(NOON - timedelta(seconds=1)) == dict.fromkeys(range(8), -1)
    state, version = await simulated.executor.load(NORTH, BOOK, A, recorded_until=NOON)
    assert (state.balance_minor, version) == (1, 2)
    state, version = await simulated.executor.load(NORTH, BOOK, A)
    assert (state.balance_minor, version) == (2, 3)


def heard(tenant: object = NORTH, fact_id: str = "fact", recorded_at: datetime = NOON) -> Heard:
    """A fact of another service."""
    fact = BookOpened(book_id=C, client="alpha")
    return Heard(fact, str(tenant), f"other-{C}", 1, fact_id, 0, 0, NOON, recorded_at, "anna", (), str(uuid4()))


async def test_a_reaction_runs_once_for_a_fact_with_several_commands_on_one_stream(simulated: World) -> None:
    await opened(simulated)
    simulated.clock.advance_to(NOON + timedelta(days=9))
    owed: list[tuple[Heard, list[Message]]] = [
        (heard(), [PostEntry(book_id=A, amount_minor=5), PostEntry(book_id=A, amount_minor=-2)]),
        (heard(fact_id="next"), [OpenBook(book_id=B, client="alpha"), PostEntry(book_id=A, amount_minor=-50)]),
        (heard(SOUTH), [OpenBook(book_id=A, client="alpha")]),
    ]
    for replayed in (False, True):
        with simulated.within() as connection:
            answers = simulated.executor.react_within(connection, "sample", "other", owed)
        outcomes = [(answer.WhichOneof("outcome"), answer.replayed) for answer in answers]
        assert outcomes == [(kind, replayed) for kind in ("accepted", "accepted", "accepted", "refusal", "accepted")]
    assert simulated.rows(NORTH)[A]["balance_minor"] == 3
    assert simulated.rows(SOUTH)[A]["version"] == 1
    _opened, first, second = await simulated.store.read_stream(NORTH, f"book-{A}")
    assert second.previous == record_hash(first)
    assert (first.recorded_at, first.actor, first.correlation_id) == (NOON, "service:sample", second.correlation_id)


async def test_a_reaction_of_another_consumer_or_source_is_another(world: World) -> None:
    await opened(world)
    for consumer, source in (("one", "x"), ("two", "x"), ("one", "y"), ("one", "x")):
        with world.within() as connection:
            world.executor.react_within(
                connection, consumer, source, [(heard(), [PostEntry(book_id=A, amount_minor=1)])]
            )
    assert world.rows(NORTH)[A]["balance_minor"] == 3


async def test_a_client_and_a_reaction_may_alternate_on_one_stream(world: World) -> None:
    await opened(world)
    for n in range(3):
        with world.within() as connection:
            world.executor.react_within(
                connection, "sample", "other", [(heard(fact_id=str(n)), [PostEntry(book_id=A, amount_minor=1)])]
            )
        await world.executor.execute(request(PostEntry(book_id=A, amount_minor=-1), caller=ALPHA))
    assert world.rows(NORTH)[A]["version"] == 7
