"""A creditor's side of the public API: one client, one key; what may be sent again is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx2

from demo.placement_json import Json

ATTEMPTS_MAX: Final = 8
PAUSE_SECONDS: Final = 0.25
PAUSE_SECONDS_MAX: Final = 5.0
TIMEOUT_SECONDS: Final = 60.0
CONNECTIONS_MAX: Final = 16
PAGE: Final = 500
ACTOR: Final = "demo clerk"
"""Who of the creditor's people acts."""
_AGAIN: Final = frozenset({409, 429, 503, 504})
"""Statuses that may pass: a conflict that the API calls retryable, a limit, a service that is away."""


class ApiFailed(Exception):  # noqa: N818 - named for what happened.
    """The API refused a call, or could not be reached; the text says which call, and everything that the API said."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` is that of the answer, if there was one."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Creditor:
    """A client and its API key."""

    client_id: str
    legal_name: str
    key: str


class Api:
    """The public API as one creditor sees it. Use it as an asynchronous context."""

    def __init__(self, base_url: str, creditor: Creditor) -> None:
        """Nothing is connected before the first call."""
        self.creditor = creditor
        limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {creditor.key}", "X-Actor": ACTOR},
            limits=limits,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def command(self, path: str, body: Mapping[str, Json], key: str) -> dict[str, Json]:
        """Send a command under an idempotency key, so that it has one effect however often it is sent."""
        return await self._answered("POST", path, json=dict(body), headers={"Idempotency-Key": key})

    async def read(self, path: str, **query: str | int) -> dict[str, Json]:
        """Ask a question."""
        return await self._answered("GET", path, params=query)

    async def send(
        self, path: str, content: bytes, content_type: str, key: str | None = None, **query: str
    ) -> dict[str, Json]:
        """Send a body as it is."""
        headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
        return await self._answered("POST", path, content=content, headers=headers, params=query)

    async def pages(self, path: str, items: str, **query: str | int) -> AsyncIterator[dict[str, Json]]:
        """Every item of a list, page by page."""
        asked: dict[str, str | int] = {"limit": PAGE, **query}
        while True:
            page = await self.read(path, **asked)
            found = page[items]
            assert isinstance(found, list)
            for item in found:
                assert isinstance(item, dict)
                yield item
            cursor = page.get("next_cursor")
            if not isinstance(cursor, str):
                return
            asked["cursor"] = cursor

    async def _answered(self, method: str, path: str, **request: object) -> dict[str, Json]:
        pause = PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                response = await self._http.request(method, path, **request)  # type: ignore[arg-type]
            except httpx2.TransportError as error:
                problem = f"{method} {path}: {type(error).__name__}: {error}"
            else:
                if response.is_success:
                    answer: dict[str, Json] = response.json()
                    return answer
                problem = f"{method} {path}: {_told(response)}"
                if not _may_pass(response):
                    raise ApiFailed(problem, response.status_code)
                pause = max(pause, _retry_after(response))
            if attempt < ATTEMPTS_MAX:
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
        message = f"{problem} (after {ATTEMPTS_MAX} attempts)"
        raise ApiFailed(message)


def _may_pass(response: httpx2.Response) -> bool:
    if response.status_code not in _AGAIN:
        return False
    return response.status_code != httpx2.codes.CONFLICT or bool(_problem(response).get("retryable"))


def _retry_after(response: httpx2.Response) -> float:
    said = response.headers.get("Retry-After", "")
    return min(float(said), PAUSE_SECONDS_MAX) if said.isdecimal() else 0.0


def _told(response: httpx2.Response) -> str:
    problem = _problem(response)
    detail = problem.get("detail") or problem.get("title") or response.text[:500]
    errors = problem.get("errors")
    faults = [f"{e.get('pointer')}: {e.get('message')}" for e in errors] if isinstance(errors, list) else []
    return "; ".join([f"{response.status_code} {detail}", *faults])


def _problem(response: httpx2.Response) -> dict[str, object]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
