"""A creditor's side of the API: what may pass is sent again under the same key, what may not is told in full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from demo import rest, sending
from demo.draft import Batch, Client
from demo.rest import Api, ApiFailed, Creditor

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CREDITOR = Creditor("client", "Client", "ck_test_key")


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(rest, "PAUSE_SECONDS_MAX", 0.02)


@asynccontextmanager
async def api_answering(handler: Handler) -> AsyncIterator[Api]:
    """An API over a real server that answers every request by `handler`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with Api(f"http://127.0.0.1:{port}", CREDITOR) as api:
        yield api
    await runner.cleanup()


async def test_what_may_pass_is_sent_again_under_the_same_key() -> None:
    keys = []

    async def answer(request: web.Request) -> web.Response:
        keys.append((request.headers["Idempotency-Key"], request.headers["Authorization"]))
        if len(keys) < 3:
            return web.json_response({"title": "away"}, status=503, headers={"Retry-After": "1"})
        return web.json_response({"status": "recorded"})

    async with api_answering(answer) as api:
        assert await api.command("/v1/x", {"a": 1}, "key-1") == {"status": "recorded"}
    assert keys == [("key-1", "Bearer ck_test_key")] * 3


async def test_a_conflict_is_sent_again_only_when_the_api_says_so() -> None:
    sent = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.path)
        return web.json_response({"detail": "conflict", "retryable": request.path == "/busy"}, status=409)

    async with api_answering(answer) as api:
        with pytest.raises(ApiFailed, match="after 8 attempts"):
            await api.command("/busy", {}, "key-1")
        with pytest.raises(ApiFailed, match="409 conflict"):
            await api.command("/taken", {}, "key-2")
    assert (sent.count("/busy"), sent.count("/taken")) == (rest.ATTEMPTS_MAX, 1)


async def test_a_refusal_is_told_with_every_fault() -> None:
    async def answer(_request: web.Request) -> web.Response:
        errors = [{"pointer": "/amount", "message": "too much"}, {"pointer": "/payee", "message": "unknown"}]
        return web.json_response({"detail": "Some of it is wrong.", "errors": errors}, status=422)

    async with api_answering(answer) as api:
        with pytest.raises(ApiFailed) as failed:
            await api.command("/v1/x", {}, "key-1")
    assert failed.value.status == 422
    assert str(failed.value) == "POST /v1/x: 422 Some of it is wrong.; /amount: too much; /payee: unknown"


async def test_an_api_that_cannot_be_reached_is_told_with_its_address() -> None:
    async with Api("http://127.0.0.1:9", CREDITOR) as api:
        with pytest.raises(ApiFailed, match="GET /v1/accounts: ConnectError"):
            await api.read("/v1/accounts")


async def test_every_page_is_read() -> None:
    async def answer(request: web.Request) -> web.Response:
        cursor = int(request.query.get("cursor", "0"))
        following = str(cursor + 1) if cursor < 2 else None
        return web.json_response({"items": [{"number": cursor}], "next_cursor": following})

    async with api_answering(answer) as api:
        assert [item["number"] async for item in api.pages("/v1/items", "items")] == [0, 1, 2]


async def test_a_batch_that_stopped_is_told_with_its_reason() -> None:
    async def answer(_request: web.Request) -> web.Response:
        reason = {"pointer": "", "code": "too_many_rows", "message": "A batch has at most 5 rows."}
        return web.json_response({"state": "stopped", "rows": 5, "totals": [], "reason": reason}, status=202)

    batch = Batch(Client("client", "Client"), "text/csv", b"a\r\n", [2])
    async with api_answering(answer) as api:
        with pytest.raises(ApiFailed, match=r"the batch of client is stopped.*at most 5 rows"):
            await sending.place(api, batch, lambda _rows: None)
