"""All figures in one run: `python -m benchmarks` prints the table and writes benchmarks/latest.json.

Everything runs on this machine: our platform in a folder of its own, the peer's databases on the same PostgreSQL
server. A row that falls short is shown as it is.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import appending, hearing, peers, reading, serving
from benchmarks.measuring import Row, write
from benchmarks.ours import Ours, opened
from deploy.local.databases import create_database
from deploy.local.migrate import migrate
from deploy.local.places import Places
from deploy.local.platform import Platform
from deploy.local.programs import PROGRAMS, Program

LATEST: Final = Path(__file__).parent / "latest.json"
HEARD_ACCOUNTS: Final = 64
WHOLE_FROM: Final = 100
"""From here on a figure is shown without decimals."""


def measure(loop: asyncio.AbstractEventLoop, say: Console) -> Iterator[Row]:
    """Every row of the table, as it is measured."""
    with _platform([serving.API_ONLY], say) as platform:
        yield from _log_rows(loop, platform)
        with _ours(loop, platform) as ours:
            accounts = loop.run_until_complete(ours.place(serving.CALLERS))
        yield from serving.unary_rows(loop, platform, accounts)
    with _platform(PROGRAMS, say) as platform:
        yield from serving.Placing(loop, platform).rows()
        with _ours(loop, platform) as ours:
            accounts = loop.run_until_complete(ours.place(HEARD_ACCOUNTS))
        yield from hearing.rows(loop, platform, accounts)


def _log_rows(loop: asyncio.AbstractEventLoop, platform: Platform) -> Iterator[Row]:
    server, secrets = platform.addresses.postgres, platform.surroundings.secrets
    database = create_database(server, "accounts", secrets, "bench_accounts")
    audit = create_database(server, "audit", secrets, "bench_audit")
    for each in (database, audit):
        migrate(each)
    default, best = (peers.application(server, f"bench_peer_{tuned}", tuned=tuned) for tuned in (False, True))
    context = opened(database)
    ours = loop.run_until_complete(context.__aenter__())
    try:
        yield from reading.rows(
            reading.OurReads(loop, ours, audit),
            reading.PeerReads(default, tuned=False),
            reading.PeerReads(best, tuned=True),
        )
        yield from appending.rows(
            appending.OurAppends(loop, ours),
            appending.PeerAppends(default, tuned=False),
            appending.PeerAppends(best, tuned=True),
            partial(appending.raw_rate, server),
        )
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        default.close()
        best.close()


@contextmanager
def _ours(loop: asyncio.AbstractEventLoop, platform: Platform) -> Iterator[Ours]:
    context = opened(platform.surroundings.databases["accounts"])
    ours = loop.run_until_complete(context.__aenter__())
    try:
        yield ours
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))


@contextmanager
def _platform(programs: Sequence[Program], say: Console) -> Iterator[Platform]:
    home = Path(tempfile.mkdtemp(prefix="recoup-bench-"))
    home.chmod(0o711)
    try:
        with Platform(Places(home), programs=programs, say=say.print) as platform:
            yield platform
    finally:
        shutil.rmtree(home, ignore_errors=True)


def table(rows: list[Row]) -> Table:
    """The rows as a person reads them."""
    made = Table("work", "ours", "peer", "", "against", "ratio", "bar", "met")
    for row in rows:
        figures = (
            (f"{row.ours:,.0f}", f"{row.peer:,.0f}")
            if row.ours >= WHOLE_FROM
            else (f"{row.ours:.2f}", f"{row.peer:.2f}")
        )
        made.add_row(
            row.work, *figures, row.unit, row.peer_name, f"{row.ratio:.2f}", row.bar, "yes" if row.met else "no"
        )
    return made


def main() -> int:
    """Measure everything; the exit code is 0 also when a row falls short, since nothing is hidden."""
    say = Console()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Channels are made outside of it, and take the loop that is set.
    rows = []
    for row in measure(loop, say):
        rows.append(row)
        say.print(f"{row.work} / {row.peer_name}: {row.ratio:.2f} ({row.bar}{'' if row.met else ', falls short'})")
        write(rows, LATEST)
    loop.close()
    say.print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
