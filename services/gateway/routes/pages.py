"""The OpenAPI document, the reference page made of it, and whether the process is alive and ready."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from services.gateway.reference import page

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(request.app.state.openapi)


@router.get("/docs")
async def reference_page(request: Request) -> Response:
    """The reference page."""
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(page(request.app.state.openapi), headers=policy)


@router.get("/health/live")
async def live() -> Response:
    """The process answers."""
    return JSONResponse({"ok": True})


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether everything that requests need can be reached."""
    findings = await request.app.state.gateway.readiness.findings()
    ok = all(finding.ok for finding in findings.values())
    checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
    return JSONResponse({"ok": ok, "checks": checks}, 200 if ok else 503)
