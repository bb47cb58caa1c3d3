"""The HTTP application: its routes, and what every request goes through before and after them."""

from __future__ import annotations

import re
from timeit import default_timer
from typing import Final
from uuid import UUID, uuid4, uuid5

import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import openapi
from services.gateway.asked import Gateway
from services.gateway.problems import Code, EdgeFault, Problem
from services.gateway.routes import accounts, batches, commands, pages, placements
from services.gateway.verdicts import AWAY, NOT_FOUND

REQUESTS: Final = Counter("recoup_http_requests_total", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS: Final = Histogram("recoup_http_request_seconds", "Seconds from a request to its answer.", ["route"])

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_REQUESTS_IDS: Final = UUID("0f1bb6cf-6e2b-5f6e-8a39-0d3a44b83c55")
_STATUS_CODES: Final = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
}

log = structlog.get_logger("gateway")


def create_app(gateway: Gateway) -> FastAPI:
    """The application; `gateway` is opened and closed by the caller."""
    app = FastAPI(title=openapi.TITLE, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.gateway = gateway
    for module in (placements, accounts, commands, batches, pages):
        app.include_router(module.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(psycopg.OperationalError, _database_problem)
    app.add_exception_handler(RequestValidationError, _parameter_problem)
    app.add_middleware(Edge)
    app.state.openapi = openapi.made(app)
    return app


class Edge:
    """Gives every request its id, every answer its headers, and every error of ours the form of a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is what stands behind."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {}).update(headers={}, correlation_id=_correlation(request_id))
        sent = _Sent(send, request_id, scope["state"]["headers"])
        started = default_timer()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sent)
            except ClientDisconnect:
                log.info("the caller went away", path=scope["path"])
            except Exception:  # the wire ends here: what is raised is logged and answered, not lost.
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not sent.begun:
                    problem = Problem(Code.INTERNAL, "An error of the platform, not of the request; it is logged.")
                    await problem.response(scope["path"])(scope, receive, sent)
        route = getattr(scope.get("route"), "path", "none")
        REQUESTS.labels(scope["method"], route, sent.status).inc()
        REQUEST_SECONDS.labels(route).observe(default_timer() - started)


class _Sent:
    """Adds the headers of every answer as it begins, and remembers its status."""

    def __init__(self, send: Send, request_id: str, headers: dict[str, str]) -> None:
        self._send = send
        self._request_id = request_id
        self._headers = headers
        self.status = 0

    @property
    def begun(self) -> bool:
        return self.status != 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["Request-Id"] = self._request_id
            headers["Cache-Control"] = "no-store"
            headers["X-Content-Type-Options"] = "nosniff"
            for name, value in self._headers.items():
                headers[name] = value
        await self._send(message)


def _correlation(request_id: str) -> UUID:
    try:
        return UUID(request_id)
    except ValueError:
        return uuid5(_REQUESTS_IDS, request_id)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path)


async def _http_problem(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such address, no such method."""
    assert isinstance(error, HTTPException)
    code = _STATUS_CODES.get(error.status_code, Code.MALFORMED)
    detail = NOT_FOUND if code is Code.NOT_FOUND else str(error.detail)
    return Problem(code, detail, headers=error.headers).response(request.url.path)


async def _database_problem(request: Request, error: Exception) -> Response:
    """The gateway's own database is away, or too busy to give a connection in time."""
    log.error("the database cannot be reached", error=type(error).__name__)
    return Problem(Code.UNAVAILABLE, AWAY).response(request.url.path)


async def _parameter_problem(request: Request, error: Exception) -> Response:
    """Parameters and headers that FastAPI found wrong, every one of them."""
    assert isinstance(error, RequestValidationError)
    faults = [_edge_fault(found) for found in error.errors()]
    missing = any(f.name.lower() == "idempotency-key" and f.code == "missing" for f in faults)
    code = Code.IDEMPOTENCY_KEY_REQUIRED if missing else Code.INVALID_PARAMETER
    detail = "Parameters or headers of the request are missing or wrong; `errors` names each."
    return Problem(code, detail, faults=faults).response(request.url.path)


def _edge_fault(found: dict[str, object]) -> EdgeFault:
    location = found["loc"]
    assert isinstance(location, tuple)
    where = "header" if location[0] == "header" else "parameter"
    code = "missing" if found["type"] == "missing" else "wrong_form"
    return EdgeFault(where, str(location[-1]), code, f"{found['msg']}.")
