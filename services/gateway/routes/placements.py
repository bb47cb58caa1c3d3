"""Placing accounts: one at a time, checked without effect, and completed when something was missing."""

from __future__ import annotations

from fastapi import APIRouter
from recoup.accounts.v1 import placement_pb2
from recoup.accounts.v1 import service_pb2 as contract
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kernel.decider import Fault
from services.gateway import openapi
from services.gateway.answers import decided, every_fault, placed_response
from services.gateway.asked import Asked, Checking, Commanding, account_uuid, document
from services.gateway.placement import Placement
from services.gateway.placing import json_faults, placement
from services.gateway.problems import Code, Problem, error_of
from services.gateway.strict_json import Document
from services.gateway.verdicts import NOT_FOUND, decider_faults

SCOPE = "placements:write"

router = APIRouter(tags=["placements"])


@router.post(
    "/v1/placements",
    status_code=201,
    responses=openapi.responses("PlacementResult", 201, 200),
    openapi_extra=openapi.json_body(Placement),
)
async def place(request: Request, commanded: Commanding) -> Response:
    """Place one account. 201 when it was made, also when it was quarantined; 200 when it existed with equal content."""
    commanded.asked.principal.require(SCOPE)
    made = await _placed(await document(request), commanded.asked)
    command = contract.AccountsCommand(given_id=commanded.given_id(), place=made)
    return placed_response(*await decided(commanded, command, json_faults))


@router.post(
    "/v1/placements:validate",
    responses=openapi.responses("Check", 200),
    openapi_extra=openapi.json_body(Placement),
)
async def validate(request: Request, asked: Checking) -> Response:
    """Check a placement exactly as placing it would, without any effect. Shortcomings that quarantine are warnings."""
    asked.principal.require(SCOPE)
    sent = await document(request)
    made = placement(sent, asked.principal.client)
    if isinstance(made, list):
        (faults,) = await every_fault(asked, [(sent, made)])
        return JSONResponse({"errors": [error_of(fault) for fault in faults], "warnings": []})
    (check,) = await asked.accounts.validate(asked.caller, [made])
    errors = decider_faults(check.errors)
    warnings = [*decider_faults(check.shortcomings), *decider_faults(check.warnings)]
    return JSONResponse(
        {
            "errors": [error_of(fault) for fault in json_faults(errors)],
            "warnings": [error_of(fault) for fault in json_faults(warnings)],
        }
    )


@router.post(
    "/v1/accounts/{account_id}/completion",
    status_code=200,
    responses=openapi.responses("PlacementResult", 200),
    openapi_extra=openapi.json_body(Placement),
)
async def complete(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Supply what a quarantined account lacked: the whole placement again, under the same client_reference."""
    commanded.asked.principal.require(SCOPE)
    account_uuid(account_id)
    made = await _placed(await document(request), commanded.asked)
    await _refuse_other_account(account_id, made, commanded.asked)
    command = contract.AccountsCommand(given_id=commanded.given_id(), complete=made)
    answer, account = await decided(commanded, command, json_faults)
    response = placed_response(answer, account)
    response.status_code = 200
    return response


async def _refuse_other_account(account_id: str, made: placement_pb2.Placement, asked: Asked) -> None:
    """The account's id follows from the client reference: the one in the address and the one in the body must agree."""
    found = (await asked.accounts.account(asked.caller, contract.GetAccountRequest(account_id=account_id))).account
    if not found.account_id:
        raise Problem(Code.NOT_FOUND, NOT_FOUND)
    if found.terms.client_reference != made.terms.client_reference:
        message = "The account of this address was placed under another client_reference."
        raise Problem(Code.CONFLICT, message, faults=[Fault("/client_reference", "conflict", message)])


async def _placed(sent: Document, asked: Asked) -> placement_pb2.Placement:
    made = placement(sent, asked.principal.client)
    if isinstance(made, list):
        (faults,) = await every_fault(asked, [(sent, made)])
        detail = "The placement was understood, and some of it is wrong; `errors` names each place."
        raise Problem(Code.INVALID, detail, faults=faults)
    return made
