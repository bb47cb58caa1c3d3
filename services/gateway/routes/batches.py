"""Placing many accounts in one stream, and reading what became of each row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.gateway import openapi
from services.gateway.accounts import derived_id
from services.gateway.asked import PAGE, PAGE_MAX, Asked, Commanding, Limit, Reading, account_uuid, require_media_type
from services.gateway.batch_rows import READERS
from services.gateway.batch_store import BatchStore, Job, RowResult
from services.gateway.batches import Batch
from services.gateway.problems import Code, Problem
from services.gateway.settings import BATCH_BYTES_MAX
from services.gateway.verdicts import NOT_FOUND

NDJSON: Final = "application/x-ndjson"

router = APIRouter(tags=["placement batches"])

_running: Final[set[str]] = set()
"""The jobs whose bodies this process is taking at this moment."""


@router.post(
    "/v1/placement-batches",
    status_code=202,
    responses=openapi.responses("Job", 202),
    openapi_extra=openapi.stream_body(*READERS),
)
async def place_batch(request: Request, commanded: Commanding) -> Response:
    """Place a stream of accounts, as NDJSON (a placement a line) or CSV. Each row has its own result.

    A connection that was cut: send the same batch again under the same Idempotency-Key. Rows that were taken keep their
    results, and the rest follows.
    """
    asked = commanded.asked
    asked.principal.require("placements:write")
    format_, rows = READERS[require_media_type(request, tuple(READERS))]
    job_id = derived_id(asked.principal, "batch", commanded.key)
    await commanded.claim(b"batch|" + format_.encode())
    store = BatchStore(asked.gateway.pool, asked.principal)
    if job_id in _running:
        raise Problem(Code.BUSY, "This batch is being taken at this moment, over another connection.")
    _running.add(job_id)
    try:
        if await store.open(job_id, format_) is None:
            raise Problem(Code.IDEMPOTENCY_CONFLICT, "This Idempotency-Key was used for a batch of another format.")
        await Batch(commanded, job_id, store).take(_chunks(request), rows)
    finally:
        _running.discard(job_id)
    location = {"Location": f"/v1/placement-batches/{job_id}"}
    return JSONResponse(await _job_json(store, job_id), 202, location)


@router.get("/v1/placement-batches/{job_id}", responses=openapi.responses("Job", 200))
async def get_batch(job_id: str, asked: Reading) -> Response:
    """How a batch stands: totals by status and currency, in rows and in money."""
    return JSONResponse(await _job_json(_store(asked), account_uuid(job_id)))


@router.get("/v1/placement-batches", responses=openapi.responses("Job", 200))
async def find_batch(
    asked: Reading,
    idempotency_key: Annotated[str, Query(min_length=1, max_length=255, description="The key it was sent under.")],
) -> Response:
    """The batch that was sent under an Idempotency-Key: for callers whose connection was cut before the answer."""
    return JSONResponse(await _job_json(_store(asked), derived_id(asked.principal, "batch", idempotency_key)))


@router.get("/v1/placement-batches/{job_id}/results", responses=openapi.row_responses())
async def get_results(
    job_id: str,
    request: Request,
    asked: Reading,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only rows after this one.")] = 0,
    limit: Limit = PAGE,
) -> Response:
    """What became of each row: a page, or, with `Accept: application/x-ndjson`, every row after `after` as a stream."""
    store = _store(asked)
    await _found(store, account_uuid(job_id))
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(store, job_id, after), media_type=NDJSON)
    rows = await store.rows(job_id, after, limit)
    following = rows[-1].row if len(rows) == limit else None
    return JSONResponse({"rows": [_row_json(row) for row in rows], "next_after": following})


async def _lines(store: BatchStore, job_id: str, after: int) -> AsyncIterator[bytes]:
    while rows := await store.rows(job_id, after, PAGE_MAX):
        yield b"".join(json.dumps(_row_json(row), ensure_ascii=False).encode() + b"\n" for row in rows)
        after = rows[-1].row


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > BATCH_BYTES_MAX:
            raise Problem(
                Code.TOO_LARGE, f"A batch may have at most {BATCH_BYTES_MAX} bytes; send the rest as another."
            )
        yield chunk


def _store(asked: Asked) -> BatchStore:
    return BatchStore(asked.gateway.pool, asked.principal)


async def _found(store: BatchStore, job_id: str) -> Job:
    job = await store.find(job_id)
    if job is None:
        raise Problem(Code.NOT_FOUND, NOT_FOUND)
    return job


async def _job_json(store: BatchStore, job_id: str) -> dict[str, Any]:
    job = await _found(store, job_id)
    totals = await store.totals(job_id)
    return {
        "job_id": str(job.job_id),
        "state": job.state,
        "format": job.format,
        "rows": sum(total["count"] for total in totals),
        "totals": [dict(total) for total in totals],
        "reason": job.reason,
        "created_at": job.created_at.isoformat(),
        "updated_at": job.updated_at.isoformat(),
    }


def _row_json(row: RowResult) -> dict[str, object]:
    return {
        "row": row.row,
        "client_reference": row.client_reference,
        "status": row.status,
        "account_id": None if row.account_id is None else str(row.account_id),
        "errors": list(row.errors),
        "warnings": list(row.warnings),
    }
