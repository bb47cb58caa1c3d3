"""The whole of audit's store checked: every hash, chain, version and number, and the ends against the owners' heads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kernel.judge import Position
from kernel.tenancy import Caller
from services.audit.domain.entry import Entry
from services.audit.domain.verify import Breach, Head, Inspector
from services.audit.owner import Owners
from services.audit.views import Progress, Views

BREACHES_MAX: Final = 1_000
"""More are not listed: whoever finds a thousand does not read on."""
CATCH_UP_SECONDS_MAX: Final = 5.0
_PAUSE_SECONDS: Final = 0.1


@dataclass(slots=True)
class Report:
    """What was found. Records and streams are the asking agency's; partitions and breaches are of the whole log."""

    records: int = 0
    partitions: int = 0
    streams: set[tuple[str, str]] = field(default_factory=set)
    breaches: list[Breach] = field(default_factory=list)

    def add(self, breaches: Sequence[Breach]) -> None:
        """Keep what was found, up to BREACHES_MAX."""
        self.breaches.extend(breaches[: BREACHES_MAX - len(self.breaches)])


async def verify(views: Views, owners: Owners, caller: Caller) -> Report:
    """Read everything there is; Unavailable when an owner does not say where its log ends."""
    report = Report()
    sources = {each.source for each in await views.progress(caller)}
    ends = {source: await owners.heads(source) for source in sources}
    for progress in await _caught_up(views, caller, ends):
        report.partitions += 1
        await _verify_partition(views, caller, progress, ends[progress.source].get(progress.partition), report)
    return report


async def _caught_up(views: Views, caller: Caller, ends: Mapping[str, Mapping[int, Position]]) -> Sequence[Progress]:
    """Where audit stands once it has heard what its owners had when they were asked, or when the wait is over.

    Without the wait a fact that is on its way would look like one that is missing.
    """
    for _ in range(int(CATCH_UP_SECONDS_MAX / _PAUSE_SECONDS)):
        progress = await views.progress(caller)
        if all(each.halted or each.head.number >= _number(ends, each) for each in progress):
            return progress
        await asyncio.sleep(_PAUSE_SECONDS)
    return await views.progress(caller)


def _number(ends: Mapping[str, Mapping[int, Position]], progress: Progress) -> int:
    end = ends[progress.source].get(progress.partition)
    return -1 if end is None else end.last


async def _verify_partition(
    views: Views, caller: Caller, progress: Progress, owner: Position | None, report: Report
) -> None:
    inspector = Inspector(progress.source, progress.log_id, progress.partition)
    met: Head | None = inspector.head if owner is not None and owner.last == inspector.head.number else None
    async for page in views.partition(caller, progress):
        # What is heard while this runs is looked at the next time.
        known = [entry for entry in page if entry.number <= progress.head.number]
        report.add(await asyncio.to_thread(_inspect, inspector, known))
        own = [entry for entry in known if entry.tenant == caller.tenant]
        report.records += len(own)
        report.streams.update((entry.source, entry.stream) for entry in own)
        if owner is not None:
            met = next((Head(entry.number, entry.chain) for entry in known if entry.number == owner.last), met)
    report.add(inspector.end(progress.head, "what was heard"))
    report.add(_against_owner(progress, inspector.head, met, owner))
    parked = await views.parked(caller, progress)
    report.add(
        [
            Breach(progress.source, progress.partition, number, f"it was heard and could not be kept: {error}")
            for number, error in sorted(parked.items())
            if error is not None
        ]
    )


def _inspect(inspector: Inspector, entries: Sequence[Entry]) -> list[Breach]:
    return [breach for entry in entries for breach in inspector.read(entry)]


def _against_owner(progress: Progress, end: Head, met: Head | None, owner: Position | None) -> list[Breach]:
    """The owner's head, as it was before we read, must stand in our copy with the same chain."""
    at = (progress.source, progress.partition)
    if owner is None:
        return [Breach(*at, end.number, f"{progress.source} has no such partition")]
    if owner.log_id != progress.log_id:
        text = f"{progress.source} now keeps the log {owner.log_id}, and what was heard is of the log {progress.log_id}"
        return [Breach(*at, end.number, text)]
    if met is None and end.number < owner.last:
        text = f"the records end at {end.number}, and {progress.source} at {owner.last}: the last are missing"
        return [Breach(*at, end.number, text)]
    if met is not None and met.chain != owner.chain:
        text = f"the chain at {met.number} is not the one of {progress.source}: the histories are not the same"
        return [Breach(*at, met.number, text)]
    return []
