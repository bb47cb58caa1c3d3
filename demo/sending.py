"""Places a batch over the public API: one stream, a result for each row, and where it stands while it runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from demo.draft import Batch, Note
from demo.placement_json import Json
from demo.rest import PAGE, Api, ApiFailed

BATCHES: Final = "/v1/placement-batches"
LOOK_SECONDS: Final = 0.5
STATUSES: Final = ("accepted", "quarantined", "duplicate", "refused")
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Total:
    """Rows of one status, and the sum of their totals."""

    count: int = 0
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: the API's own totals by status, and the rows that were not accepted, by their lines."""

    totals: Mapping[str, Total]
    rows: Mapping[str, int]
    """Rows by status, counted from the single results."""
    refused: Sequence[Note]
    quarantined: Sequence[Note]


async def place(api: Api, batch: Batch, told: Callable[[int], None]) -> Outcome:
    """Send a batch and read what became of each row; `told` hears how many rows have a result so far.

    The key is that of the content: whoever sends the same batch again goes on where it stopped.
    """
    key = f"batch:{hashlib.sha256(batch.content).hexdigest()}"
    sending = asyncio.create_task(api.send(BATCHES, batch.content, batch.content_type, key))
    try:
        while not sending.done():
            await asyncio.wait([sending], timeout=LOOK_SECONDS)
            if not sending.done():
                told(await _rows_so_far(api, key))
        job = await sending
    finally:
        sending.cancel()
    if job["state"] != "complete":
        message = f"the batch of {batch.client.client_id} is {job['state']}: {job.get('reason')}"
        raise ApiFailed(message)
    told(int(str(job["rows"])))
    return await _outcome(api, batch, job)


async def _rows_so_far(api: Api, key: str) -> int:
    """The rows that have a result; none before the job is known."""
    try:
        return int(str((await api.read(BATCHES, idempotency_key=key))["rows"]))
    except ApiFailed as failed:
        if failed.status == _NOT_FOUND:
            return 0
        raise


async def _outcome(api: Api, batch: Batch, job: Mapping[str, Json]) -> Outcome:
    totals: dict[str, Total] = {}
    for total in cast("Sequence[Mapping[str, int | str]]", job["totals"]):
        known = totals.get(str(total["status"]), Total())
        totals[str(total["status"])] = Total(
            known.count + int(total["count"]), known.amount_minor + int(total["amount"])
        )
    rows = dict.fromkeys(STATUSES, 0)
    refused, quarantined = [], []
    for row in await _results(api, str(job["job_id"])):
        status = str(row["status"])
        rows[status] += 1
        line = batch.lines[int(str(row["row"])) - 1]
        if status == "refused":
            refused.append(Note(line, _faults(row, "errors")))
        elif status == "quarantined":
            quarantined.append(Note(line, _faults(row, "warnings")))
    return Outcome(totals, rows, refused, quarantined)


async def _results(api: Api, job_id: str) -> list[Mapping[str, Json]]:
    found: list[Mapping[str, Json]] = []
    after: Json = 0
    while isinstance(after, int):
        page = await api.read(f"{BATCHES}/{job_id}/results", after=after, limit=PAGE)
        found += cast("list[Mapping[str, Json]]", page["rows"])
        after = page["next_after"]
    return found


def _faults(row: Mapping[str, Json], name: str) -> str:
    faults = cast("Sequence[Mapping[str, str]]", row[name])
    told = [": ".join(filter(None, (fault["pointer"].removeprefix("/"), fault["message"]))) for fault in faults]
    return "; ".join(told)
