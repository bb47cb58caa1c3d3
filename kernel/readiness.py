"""Whether a process is alive and ready, and its metrics, over a small HTTP endpoint of its own.

Ready is not the same as answering: a service whose broker is away goes on taking commands, and says here what it lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from kernel.telemetry import READY

CHECK_SECONDS_MAX: Final = 5.0

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""None when all is well, else what is wrong and how to mend it. What it raises is a failure too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    ok: bool
    detail: str


class Readiness:
    """The checks of a process, run when asked, each within its time."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        """`checks` by the name under which they are reported."""
        self._checks = dict(checks)

    async def findings(self) -> Mapping[str, Finding]:
        """What every check says now."""
        found = await asyncio.gather(*(self._finding(check) for check in self._checks.values()))
        findings = dict(zip(self._checks, found, strict=True))
        for name, finding in findings.items():
            READY.labels(name).set(finding.ok)
        return findings

    async def _finding(self, check: Check) -> Finding:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                problem = await check()
        except TimeoutError:
            problem = f"no answer within {CHECK_SECONDS_MAX} seconds"
        except Exception as error:  # noqa: BLE001 - a check that cannot be made is a finding, and is reported as one.
            problem = f"{type(error).__name__}: the check could not be made"
        return Finding(problem is None, problem or "")


class Endpoint:
    """The HTTP endpoint: /health/live, /health/ready and /metrics."""

    def __init__(self, readiness: Readiness) -> None:
        """`readiness` answers /health/ready."""
        self._readiness = readiness
        application = web.Application()
        application.add_routes(
            [
                web.get("/health/live", self._live),
                web.get("/health/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, chosen when it was 0."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        findings = await self._readiness.findings()
        ok = all(finding.ok for finding in findings.values())
        checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
        return web.json_response({"ok": ok, "checks": checks}, status=200 if ok else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
