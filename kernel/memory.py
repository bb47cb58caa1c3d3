"""The log in memory, for tests of services: the same promises as PostgreSQL, kept within one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from kernel import sql
from kernel.append import NO_HISTORY, PAGE_RECORDS_MAX, Decided, Head, History, Place, Placed, Repeated, Result
from kernel.clock import Clock
from kernel.errors import Busy, NotFinal
from kernel.project import Key, Row, RowExists, Tables, apply_in_memory
from kernel.record import Record, chain_start, record_hash

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryStore:
    """One log and its read rows. What is appended within a transaction stands at once: nothing is rolled back."""

    alive = True

    def __init__(self, clock: Clock, tables: Tables, partitions: int = 8) -> None:
        """`tables` are those that the service's changes name."""
        self.log_id, self.partitions, self.tables = uuid4(), partitions, tables
        self.rows: dict[str, MutableMapping[Key, Row]] = {}
        self._clock = clock
        self._log: list[list[Record]] = [[] for _ in range(partitions)]
        self._streams: dict[tuple[UUID, str], list[Record]] = {}
        self._commands: dict[tuple[UUID, UUID], Repeated] = {}
        self._heads = [Head(p, -1, chain_start(self.log_id, p), _BEGINNING) for p in range(partitions)]

    async def close(self) -> None:
        """Nothing is held."""

    async def append(self, decided: Sequence[Decided]) -> list[Result]:
        """Record commands; each has its own result."""
        return [self._append(one) for one in decided]

    def append_within(self, _connection: object, decided: Sequence[Decided]) -> list[Result]:
        """The same as `append`, where one stream may occur several times, each continuing the one before."""
        return [self._append(one._replace(previous=self._end(one.tenant, one.stream).hash)) for one in decided]

    def lock_within(self, _connection: object, tenants: Iterable[UUID], partitions: Iterable[int]) -> None:
        """Nobody else is here."""

    def find_within(self, _connection: object, tenant: UUID, command_ids: Sequence[UUID]) -> Mapping[UUID, Repeated]:
        """The stored answers among these commands."""
        return {id_: self._commands[tenant, id_] for id_ in command_ids if (tenant, id_) in self._commands}

    def histories_within(self, _connection: object, tenant: UUID, streams: Sequence[str]) -> Mapping[str, History]:
        """Whole streams; a stream without facts is absent."""
        return {stream: self._end(tenant, stream) for stream in streams if (tenant, stream) in self._streams}

    async def histories(self, tenant: UUID, streams: Sequence[str]) -> Mapping[str, History]:
        """Whole streams; a stream without facts is absent."""
        return self.histories_within(None, tenant, streams)

    async def history(self, tenant: UUID, stream: str, recorded_until: datetime | None = None) -> History:
        """A stream, as far as it was recorded at `recorded_until`."""
        return _history(await self.read_stream(tenant, stream, recorded_until=recorded_until))

    async def read_stream(
        self,
        tenant: UUID,
        stream: str,
        after_version: int = 0,
        recorded_until: datetime | None = None,
        limit: int | None = None,
    ) -> Sequence[Record]:
        """A stream's records above a version, the first `limit` of them."""
        found = [
            record
            for record in self._streams.get((tenant, stream), ())
            if record.version > after_version and (recorded_until is None or record.recorded_at <= recorded_until)
        ]
        return found[:limit]

    async def read_log(
        self, partition: int, from_number: int = 0, to_number: int | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """A partition in number order, page by page."""
        end = len(self._log[partition]) if to_number is None else to_number + 1
        records = self._log[partition][from_number:end]
        for start in range(0, len(records), PAGE_RECORDS_MAX):
            yield records[start : start + PAGE_RECORDS_MAX]

    async def heads(self) -> Sequence[Head]:
        """Where every partition ends."""
        return list(self._heads)

    async def cut(self, recorded_until: datetime) -> Mapping[int, int]:
        """Per partition the last number recorded by then."""
        if recorded_until >= self._clock.now():
            message = f"{recorded_until.isoformat()} is not over; ask again later"
            raise NotFinal(message)
        return {
            partition: sum(record.recorded_at <= recorded_until for record in records) - 1
            for partition, records in enumerate(self._log)
        }

    def _append(self, decided: Decided) -> Result:
        end = self._end(decided.tenant, decided.stream)
        versions = {(decided.tenant, decided.stream): end.version}
        result = sql.judged(decided, self._commands, versions)
        if result is not None:
            return result
        head = self._heads[decided.partition]
        at = Place(self.log_id, head, head.recorded_at if self._clock.simulated else self._clock.now())
        try:
            (placed,) = sql.place_all([decided], {decided.partition: at})
            apply_in_memory(placed.rows, self.tables, self.rows)
        except RowExists as error:
            return Busy(str(error))
        except (LookupError, ValueError) as error:
            return error
        self._record(placed, at)
        return placed.committed

    def _record(self, placed: Placed, at: Place) -> None:
        decided = placed.decided
        for record, chain in zip(placed.records, placed.chains, strict=True):
            chained = replace(record, chain=chain)
            self._log[decided.partition].append(chained)
            self._streams.setdefault((decided.tenant, decided.stream), []).append(chained)
        if placed.records:
            self._heads[at.partition] = Head(at.partition, at.number, at.chain, at.recorded_at)
        self._commands[decided.tenant, decided.command_id] = Repeated(decided.input, decided.outcome)

    def _end(self, tenant: UUID, stream: str) -> History:
        return _history(self._streams.get((tenant, stream), ()))


def _history(records: Sequence[Record]) -> History:
    if not records:
        return NO_HISTORY
    last = records[-1]
    return History([(record.type, record.payload) for record in records], last.version, record_hash(last))
