"""Building a service's read tables anew from its log, while it goes on recording.

The rows are made in memory from the whole log without any lock; then the heads are locked, the tail that was recorded
meanwhile is added, and the new rows take the place of the old ones in that same transaction. Whoever records waits for
the tail only, and no fact is left without its row. Rows outside the schema `views` are no projections and are not
touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from google.protobuf.message import Message
from psycopg.sql import SQL, Composed, Identifier

from kernel import sql
from kernel.append import heard_of
from kernel.decider import Decider
from kernel.project import Project, RowChange, Tables, statements, tables_of
from kernel.record import Record

LIVE: Final = "views"
NEXT: Final = "views_next"
OLD: Final = "views_old"
PAGE_RECORDS: Final = 2_000
TAIL_RECORDS_MAX: Final = 2_000
"""So many records may be left for when the heads are locked, unless writers are faster than CATCH_UPS_MAX rounds."""
CATCH_UPS_MAX: Final = 20
LOCK_MILLISECONDS_MAX: Final = 10_000
DROP_ATTEMPTS_MAX: Final = 10
ADVISORY_LOCK: Final = 7_265_636

Connection: TypeAlias = psycopg.Connection[Any]
Facts: TypeAlias = Mapping[str, type[Message]]


class RebuildRefused(Exception):  # noqa: N818 - named for what is wrong.
    """The read tables cannot be rebuilt; the text says why, and they stand as before."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did: records read, of those the ones folded under the locks, the tables, and the time."""

    records: int
    records_locked: int
    tables: Sequence[str]
    seconds: float


def rebuild(migrator_url: str, reader_url: str, deciders: Sequence[Decider[Any]], project: Project) -> Rebuilt:
    """Rebuild the read tables of the service whose database this is, as its migrator, who owns them."""
    began = time.monotonic()
    facts = {str(fact.DESCRIPTOR.full_name): fact for decider in deciders for fact in decider.facts}
    options = f"-c lock_timeout={LOCK_MILLISECONDS_MAX}"
    with (
        psycopg.connect(migrator_url, autocommit=True, options=options) as owner,
        psycopg.connect(reader_url, autocommit=True) as reader,
    ):
        _alone(owner)
        tables = _prepare(owner)
        fold = _Fold(owner, reader, project, facts, tables)
        for _ in range(CATCH_UPS_MAX):
            if fold.catch_up() <= TAIL_RECORDS_MAX:
                break
        for table in tables:
            owner.execute(SQL("ANALYZE {}").format(Identifier(NEXT, table.partition(".")[2])))
        before = fold.records
        _switch(owner, fold)
        _drop(owner, OLD)
    return Rebuilt(fold.records, fold.records - before, sorted(tables), time.monotonic() - began)


class _Fold:
    """The next generation while it is filled: how far each partition has been folded into it."""

    def __init__(self, owner: Connection, reader: Connection, project: Project, facts: Facts, tables: Tables) -> None:
        self._owner, self._reader = owner, reader
        self._project, self._facts, self._tables = project, facts, tables
        self._names = {table: f"{NEXT}.{table.partition('.')[2]}" for table in tables}
        ((self._log_id,),) = reader.execute("SELECT log_id FROM log.meta").fetchall()
        self._next: dict[int, int] = {}
        self.records = 0

    def catch_up(self) -> int:
        """Fold everything up to the heads as they are now; how many records that were."""
        before = self.records
        heads = self._reader.execute("SELECT partition, number FROM log.heads ORDER BY partition").fetchall()
        for partition, number in heads:
            for page in self._pages(partition, number):
                with self._owner.transaction():
                    self._apply(page)
        return self.records - before

    def _pages(self, partition: int, number: int) -> Iterator[Sequence[Record]]:
        cursor = self._reader.cursor(binary=True)
        start = self._next.get(partition, 0)
        while start <= number:
            until = min(start + PAGE_RECORDS - 1, number)
            rows = cursor.execute(sql.READ_PAGE, [partition, start, until]).fetchall()
            assert len(rows) == until - start + 1, f"partition {partition} has a gap between {start} and {until}"
            yield [sql.record_of(self._log_id, row) for row in rows]
            start = self._next[partition] = until + 1

    def _apply(self, page: Sequence[Record]) -> None:
        for statement in statements(self._changes(page), self._tables, self._names):
            self._owner.execute(statement.sql, statement.parameters)
        self.records += len(page)

    def _changes(self, page: Iterable[Record]) -> Iterator[RowChange]:
        for record in page:
            yield from self._project(heard_of(self._facts[record.type].FromString(record.payload), record))


def _alone(owner: Connection) -> None:
    (had,) = owner.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchall()[0]
    if not had:
        message = "another rebuild of this database is under way"
        raise RebuildRefused(message)


_BESIDES = """
SELECT 'the ' || CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'relation ' END || relname
FROM pg_class c WHERE c.relnamespace = %(views)s::regnamespace AND c.relkind NOT IN ('r', 'i', 't')
UNION ALL SELECT 'the function ' || proname FROM pg_proc WHERE pronamespace = %(views)s::regnamespace
UNION ALL SELECT 'the foreign key ' || conname FROM pg_constraint k WHERE contype = 'f'
    AND EXISTS (SELECT FROM pg_class c WHERE c.oid IN (k.conrelid, k.confrelid)
                AND c.relnamespace = %(views)s::regnamespace)
UNION ALL SELECT 'the trigger ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT tgisinternal AND c.relnamespace = %(views)s::regnamespace
UNION ALL SELECT 'the privilege on column ' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE attacl IS NOT NULL AND c.relnamespace = %(views)s::regnamespace
ORDER BY 1
"""


def _prepare(owner: Connection) -> Tables:
    """Empty tables like the live ones, which nobody else can reach yet."""
    besides = [what for (what,) in owner.execute(_BESIDES, {"views": LIVE})]
    if besides:
        message = f"the schema {LIVE} holds more than tables, which a rebuild would lose: {', '.join(besides)}"
        raise RebuildRefused(message)
    tables = {name: table for name, table in tables_of(owner).items() if name.startswith(f"{LIVE}.")}
    _drop(owner, NEXT)
    _drop(owner, OLD)
    with owner.transaction():
        owner.execute(SQL("CREATE SCHEMA {}").format(Identifier(NEXT)))
        for name in tables:
            table = name.partition(".")[2]
            like = SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
            owner.execute(like.format(Identifier(NEXT, table), Identifier(LIVE, table)))
    return tables


def _switch(owner: Connection, fold: _Fold) -> None:
    """Under the locks of all heads: the tail, who may do what, and the names."""
    with owner.transaction():
        owner.execute("SELECT FROM log.heads ORDER BY partition FOR UPDATE")
        fold.catch_up()
        for statement in (*_security(owner), *_privileges(owner)):
            owner.execute(statement)
        for before, after in ((LIVE, OLD), (NEXT, LIVE)):
            owner.execute(SQL("ALTER SCHEMA {} RENAME TO {}").format(Identifier(before), Identifier(after)))


def _security(owner: Connection) -> Iterator[Composed]:
    forced = "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relnamespace = %s::regnamespace"
    for table, enabled, force in owner.execute(f"{forced} AND relkind = 'r'", [LIVE]):
        if enabled:
            yield SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(Identifier(NEXT, table))
        if force:
            yield SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(Identifier(NEXT, table))
    policies = (
        "SELECT tablename, policyname, permissive, cmd, roles, qual, with_check FROM pg_policies WHERE schemaname = %s"
    )
    for table, name, kind, command, roles, using, check in owner.execute(policies, [LIVE]):
        # PostgreSQL wrote these words itself: kind, command and both conditions come from its catalogue.
        words = SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}").format(
            Identifier(name), Identifier(NEXT, table), SQL(kind), SQL(command), SQL(", ").join(map(_role, roles))
        )
        yield words + SQL(f" USING ({using})" if using else "") + SQL(f" WITH CHECK ({check})" if check else "")


def _privileges(owner: Connection) -> Iterator[Composed]:
    granted = (
        "SELECT c.relname, a.privilege_type, a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.grantee <> c.relowner"
    )
    for table, privilege, role in owner.execute(granted, [LIVE]):
        grant = SQL("GRANT {} ON {} TO {}")
        yield grant.format(SQL(privilege), Identifier(NEXT, table), _role(role))
    granted = (
        "SELECT a.privilege_type, a.grantee::regrole::text FROM pg_namespace n, aclexplode(n.nspacl) a"
        " WHERE n.nspname = %s AND a.grantee <> n.nspowner"
    )
    for privilege, role in owner.execute(granted, [LIVE]):
        yield SQL("GRANT {} ON SCHEMA {} TO {}").format(SQL(privilege), Identifier(NEXT), _role(role))


def _role(name: str) -> SQL | Identifier:
    return SQL("PUBLIC") if name in ("public", "-") else Identifier(name.strip('"'))


def _drop(owner: Connection, schema: str) -> None:
    """Readers may still be in the old tables: they are waited for, a little at a time, so that none waits for us."""
    for attempt in range(DROP_ATTEMPTS_MAX):
        try:
            owner.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))
        except psycopg.errors.LockNotAvailable:
            time.sleep(attempt)
        else:
            return
    message = f"the schema {schema} is in use; the next rebuild will drop it"
    raise RebuildRefused(message)
