"""Group commit: one thread and one connection record what many callers have decided, a transaction a batch.

A batch takes two round trips: name the tenants and lock the heads; then write everything and commit. While one batch
commits, the next gathers. A caller gets its own result, and no caller's fault is another's: when a batch fails, each of
its commands is judged under the lock and those that stand are written; if that fails too, each is tried alone.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors

from kernel import sql
from kernel.append import Decided, Place, Placed, Repeated, Result
from kernel.clock import Clock
from kernel.errors import Busy, Overloaded, Unavailable
from kernel.project import Statement, Tables

BATCH_COMMANDS_MAX: Final = 512
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
HAND_OVER_COMMANDS: Final = 64
"""So many decided commands go to the writer without waiting for the end of the loop's turn."""
QUEUE_COMMANDS_MAX: Final = 8192
RECONNECTS_MAX: Final = 5
RECONNECT_SECONDS: Final = 0.2
DRAIN_SECONDS_MAX: Final = 8.0
SWITCH_SECONDS: Final = 0.0005


class _Waiting(NamedTuple):
    """A decided command and the future of the caller who waits for it."""

    decided: Decided
    future: asyncio.Future[Result]


class Writer:
    """The one thread of a process that appends. Callers submit from their event loops and never cancel it."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], log_id: UUID, tables: Tables, clock: Clock
    ) -> None:
        """`connect` opens an autocommitting connection of the service's role."""
        self._connect, self._log_id, self._tables, self._clock = connect, log_id, tables, clock
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._held: deque[_Waiting] = deque()
        self._gathered: list[_Waiting] = []
        self._lock = threading.Lock()
        self._alive = True
        self._draining = False
        self._closing = False
        self._batch: list[_Waiting] = []
        self._connection: psycopg.Connection[Any] = connect()
        # The loop's thread keeps the interpreter for 5 ms by default, longer than a commit takes.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether commands can still be recorded."""
        return self._alive

    def submit(self, decided: Sequence[Decided]) -> list[asyncio.Future[Result]]:
        """Futures of the results; a future never fails, its result may be an exception."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(one, loop.create_future()) for one in decided]
        with self._lock:
            if not self._alive or self._draining:
                message = "the writer of the log has stopped"
                raise Unavailable(message)
            held = len(self._gathered) + self._queue.qsize() + len(self._held)
            if held + len(waiting) > QUEUE_COMMANDS_MAX:
                message = f"{QUEUE_COMMANDS_MAX} commands are waiting for the log"
                raise Overloaded(message)
            if not self._gathered:
                loop.call_soon(self._hand_over)
            self._gathered += waiting
            if len(self._gathered) >= HAND_OVER_COMMANDS:
                self._hand_over_gathered()
        return [one.future for one in waiting]

    def _hand_over(self) -> None:
        """What one turn of the loop decided goes to the writer at once, or it would begin with the first alone."""
        with self._lock:
            self._hand_over_gathered()

    def _hand_over_gathered(self) -> None:
        for one in self._gathered:
            self._queue.put(one)
        self._gathered = []

    def close(self) -> None:
        """Record what is waiting, then end. Blocks; at most DRAIN_SECONDS_MAX."""
        with self._lock:
            self._draining = True
            self._hand_over_gathered()
            self._queue.put(None)
        self._thread.join(DRAIN_SECONDS_MAX)

    def _run(self) -> None:
        try:
            while self._gather():
                results = self._commit([one.decided for one in self._batch])
                self._answer(self._batch, results)
        finally:
            self._die()

    def _die(self) -> None:
        """Nobody waits for a writer that is gone: all that it held or would have taken is unavailable, or in doubt."""
        with self._lock:
            self._alive = False
            waiting = [*self._batch, *self._held, *self._gathered]
            self._gathered = []
            while True:
                try:
                    one = self._queue.get_nowait()
                except Empty:
                    break
                if one is not None:
                    waiting.append(one)
        gone = Unavailable("the writer of the log has stopped; ask again under the same id")
        self._answer(waiting, [gone] * len(waiting))
        self._connection.close()

    def _gather(self) -> bool:
        """Fill the batch with at most one command a stream, waiting for the first; False when nothing is left to do."""
        self._batch = []
        streams: set[tuple[UUID, str]] = set()
        held, self._held = self._held, deque()
        size = 0
        while len(self._batch) < BATCH_COMMANDS_MAX and size < BATCH_BYTES_MAX:
            one = held.popleft() if held else self._next(block=not self._batch)
            if one is None:
                break
            stream = (one.decided.tenant, one.decided.stream)
            if stream in streams:
                self._held.append(one)
                continue
            streams.add(stream)
            self._batch.append(one)
            size += sum(len(fact.payload) for fact in one.decided.facts)
        self._held.extend(held)
        return bool(self._batch)

    def _next(self, *, block: bool) -> _Waiting | None:
        try:
            one = self._queue.get(block=block and not self._closing)
        except Empty:
            return None
        # The mark of the end may come behind commands that still fill a batch: it must not be forgotten with them.
        self._closing = self._closing or one is None
        return one

    def _answer(self, waiting: Sequence[_Waiting], results: Sequence[Result]) -> None:
        """One wake-up a loop. A loop that has closed has no callers left to answer."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Result], Result]]] = {}
        for one, result in zip(waiting, results, strict=True):
            by_loop.setdefault(one.future.get_loop(), []).append((one.future, result))
        self._batch = []
        for loop, answers in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, answers)

    def _commit(self, batch: Sequence[Decided]) -> list[Result]:
        for _ in range(RECONNECTS_MAX):
            try:
                return self._commit_once(batch)
            except psycopg.OperationalError as error:
                last = error
            # Where the connection stands, the server has said no, and nothing was committed. Where it does not, the
            # commit may be in doubt: the same batch goes through the same inserts again, which wait for the old backend
            # and then meet its marks. A SELECT instead could say "never happened" too early.
            if self._stands() or not self._reconnect():
                break
        return [_unavailable(last)] * len(batch)

    def _stands(self) -> bool:
        """Whether the connection is still there, with nothing under way."""
        try:
            self._rollback()
        except psycopg.Error:
            return False
        return not self._connection.closed

    def _commit_once(self, batch: Sequence[Decided]) -> list[Result]:
        try:
            return self._attempt(batch, judging=False)
        except (psycopg.OperationalError, errors.QueryCanceled):
            raise
        except Exception:  # noqa: BLE001 - whoever's fault it is will get it, below, alone.
            self._rollback()
        try:
            return self._attempt(batch, judging=True)
        except psycopg.OperationalError:
            raise
        except Exception:  # noqa: BLE001 - as above.
            self._rollback()
        return [self._alone(one) for one in batch]

    def _alone(self, decided: Decided) -> Result:
        try:
            (result,) = self._attempt([decided], judging=True)
        except psycopg.OperationalError:
            raise
        except errors.UniqueViolation as error:
            self._rollback()
            return Busy(f"another caller has just written the same row: {error.diag.constraint_name}")
        except Exception as error:  # noqa: BLE001 - it is this caller's own, and it gets it.
            self._rollback()
            return error
        return result

    def _attempt(self, batch: Sequence[Decided], *, judging: bool) -> list[Result]:
        """One transaction. Unjudged, only for commands without facts is the version asked: the others' inserts tell."""
        doubtful = list(batch) if judging else [one for one in batch if not one.facts]
        at, commands, versions = self._begin(batch, batch if judging else (), doubtful)
        results = sql.judged_all(batch, commands, versions)
        standing = [one for one, result in zip(batch, results, strict=True) if result is None]
        placed = sql.place_all(standing, at)
        self._finish(placed, at)
        committed = iter(placed)
        return [next(committed).committed if result is None else result for result in results]

    def _begin(
        self, batch: Sequence[Decided], ids_of: Sequence[Decided], versions_of: Sequence[Decided]
    ) -> tuple[dict[int, Place], dict[tuple[UUID, UUID], Repeated], dict[tuple[UUID, str], int]]:
        """First round trip: the tenants, the locks, the clock under the locks, and what is to be judged."""
        tenants = sql.tenants_text(one.tenant for one in batch)
        begin = Statement(sql.BEGIN_BATCH, [tenants, sorted({one.partition for one in batch})])
        asked = [Statement("BEGIN", ()), begin]
        if ids_of:
            asked.append(Statement(sql.FIND_COMMANDS, sql.pairs(ids_of)))
        if versions_of:
            asked.append(Statement(sql.FIND_VERSIONS, sql.streams(versions_of)))
        _began, heads, *answers = _pipelined(self._connection, asked)
        at = sql.places(self._log_id, heads, simulated=self._clock.simulated)
        commands = sql.stored(answers.pop(0)) if ids_of else {}
        versions = {(tenant, stream): version for tenant, stream, version in answers.pop(0)} if versions_of else {}
        return at, commands, versions

    def _finish(self, placed: Sequence[Placed], at: dict[int, Place]) -> None:
        """Second round trip: everything that is written, and the commit."""
        written = sql.insertions(placed, at, self._tables) if placed else []
        _pipelined(self._connection, [*written, Statement("COMMIT", ())])

    def _rollback(self) -> None:
        if not self._connection.closed:
            # Not `execute("ROLLBACK")`: psycopg takes what a failed pipeline skipped for prepared, until rollback().
            self._connection.rollback()

    def _reconnect(self) -> bool:
        """A new connection, if the server gives one soon."""
        self._connection.close()
        for attempt in range(RECONNECTS_MAX):
            try:
                self._connection = self._connect()
            except psycopg.OperationalError:
                time.sleep(RECONNECT_SECONDS * attempt)
            else:
                return True
        return False


def _pipelined(connection: psycopg.Connection[Any], asked: Sequence[Statement]) -> list[psycopg.Cursor[Any]]:
    """Statements in one round trip. The first error is raised; those that follow from it only repeat it."""
    cursors: list[psycopg.Cursor[Any]] = []
    failure: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                cursors.extend(connection.execute(one.sql, one.parameters, binary=True) for one in asked)
            except psycopg.Error as error:
                failure = error
    except psycopg.Error as error:
        failure = failure or error
    if failure is not None:
        raise failure
    return cursors


def _resolve(answers: Sequence[tuple[asyncio.Future[Result], Result]]) -> None:
    """A caller may have given up; its command stands all the same, and its retry finds it."""
    for future, result in answers:
        if not future.done():
            future.set_result(result)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"the log cannot be reached, ask again under the same id: {str(error).strip()}")
