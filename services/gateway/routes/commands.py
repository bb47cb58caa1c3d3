"""What a creditor says about an account that is placed: money, holds, disputes, documents and the end of the work."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from fastapi import APIRouter
from recoup.accounts.v1 import service_pb2 as contract
from starlette.requests import Request
from starlette.responses import Response

from kernel.decider import Fault
from services.gateway import commands, openapi
from services.gateway.accounts import command_of
from services.gateway.answers import command_response, decided
from services.gateway.asked import Commanded, Commanding, account_uuid, document
from services.gateway.problems import Code, EdgeFault, Problem
from services.gateway.shapes import Body, Shape, shaped
from services.gateway.strict_json import Document
from services.gateway.verdicts import Translate

router = APIRouter(tags=["commands"])

_WRONG: Final = "The request was understood, and some of it is wrong; `errors` names each place."


@router.post(
    "/v1/accounts/{account_id}/payments",
    status_code=201,
    responses=openapi.responses("CommandResult", 201, 200),
    openapi_extra=openapi.json_body(*commands.PAYMENT_TYPES.values()),
)
async def post_payment(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Post a payment, or say that one came back, was refunded, or was posted with a wrong amount (`type`)."""
    commanded.asked.principal.require("payments:write")
    account_uuid(account_id)
    sent = await document(request)
    body = _shaped(_payment_shape(sent), sent)
    return await _command(account_id, body, commanded, {}, 201)


@router.post(
    "/v1/accounts/{account_id}/balance-adjustments",
    status_code=201,
    responses=openapi.responses("CommandResult", 201, 200),
    openapi_extra=openapi.json_body(commands.AdjustmentBody),
)
async def adjust_balance(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Change one bucket of the balance by a difference, with a reason and an approver."""
    commanded.asked.principal.require("balances:write")
    account_uuid(account_id)
    body = _shaped(commands.AdjustmentBody, await document(request))
    if commanded.asked.principal.person is None:
        message = "Say who acts: the approver must be another person."
        raise Problem(Code.INVALID, _WRONG, faults=[EdgeFault("header", "X-Actor", "required", message)])
    return await _command(account_id, body, commanded, {}, 201)


@router.post(
    "/v1/accounts/{account_id}/holds",
    status_code=201,
    responses=openapi.responses("CommandResult", 201, 200),
    openapi_extra=openapi.json_body(commands.HoldBody),
)
async def place_hold(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Stop work on the account, or on every account of a person. Payments still come in."""
    commanded.asked.principal.require("holds:write")
    account_uuid(account_id)
    body = _shaped(commands.HoldBody, await document(request))
    return await _command(account_id, body, commanded, {"hold_id": commanded.new_id("hold")}, 201)


@router.post(
    "/v1/accounts/{account_id}/holds/{hold_id}/release",
    responses=openapi.responses("CommandResult", 200),
    openapi_extra=openapi.json_body(commands.ReleaseBody),
)
async def release_hold(account_id: str, hold_id: str, request: Request, commanded: Commanding) -> Response:
    """Let work go on."""
    commanded.asked.principal.require("holds:write")
    account_uuid(account_id)
    body = _shaped(commands.ReleaseBody, await document(request))
    return await _command(account_id, body, commanded, {"hold_id": account_uuid(hold_id)}, 200)


@router.post(
    "/v1/accounts/{account_id}/disputes",
    status_code=201,
    responses=openapi.responses("CommandResult", 201, 200),
    openapi_extra=openapi.json_body(commands.DisputeBody),
)
async def open_dispute(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Record that a consumer contests the debt; the account is held until the answer."""
    commanded.asked.principal.require("disputes:write")
    account_uuid(account_id)
    body = _shaped(commands.DisputeBody, await document(request))
    if body.portion is not None:
        await _refuse_other_currency(account_id, body.portion.currency, commanded)
    return await _command(account_id, body, commanded, {"dispute_id": commanded.new_id("dispute")}, 201)


@router.post(
    "/v1/accounts/{account_id}/disputes/{dispute_id}/verification",
    responses=openapi.responses("CommandResult", 200),
    openapi_extra=openapi.json_body(commands.VerificationBody),
)
async def send_verification(account_id: str, dispute_id: str, request: Request, commanded: Commanding) -> Response:
    """Record that the answer to a dispute was sent."""
    commanded.asked.principal.require("disputes:write")
    account_uuid(account_id)
    body = _shaped(commands.VerificationBody, await document(request))
    return await _command(account_id, body, commanded, {"dispute_id": account_uuid(dispute_id)}, 200)


@router.post(
    "/v1/accounts/{account_id}/disputes/{dispute_id}/close",
    responses=openapi.responses("CommandResult", 200),
    openapi_extra=openapi.json_body(commands.DisputeCloseBody),
)
async def close_dispute(account_id: str, dispute_id: str, request: Request, commanded: Commanding) -> Response:
    """Say how a dispute ended; its hold is released."""
    commanded.asked.principal.require("disputes:write")
    account_uuid(account_id)
    body = _shaped(commands.DisputeCloseBody, await document(request))
    return await _command(account_id, body, commanded, {"dispute_id": account_uuid(dispute_id)}, 200)


@router.post(
    "/v1/accounts/{account_id}/documents",
    status_code=201,
    responses=openapi.responses("CommandResult", 201, 200),
    openapi_extra=openapi.json_body(commands.DocumentBody),
)
async def attach_document(account_id: str, request: Request, commanded: Commanding) -> Response:
    """Attach a document by the SHA-256 of its bytes."""
    commanded.asked.principal.require("documents:write")
    account_uuid(account_id)
    body = _shaped(commands.DocumentBody, await document(request))
    return await _command(account_id, body, commanded, {"document_id": commanded.new_id("document")}, 201)


@router.post(
    "/v1/accounts/{account_id}/close",
    responses=openapi.responses("CommandResult", 200),
    openapi_extra=openapi.json_body(commands.CloseBody),
)
async def close_account(account_id: str, request: Request, commanded: Commanding) -> Response:
    """End the agency's work on the account, with a close code."""
    commanded.asked.principal.require("accounts:close")
    account_uuid(account_id)
    body = _shaped(commands.CloseBody, await document(request))
    return await _command(account_id, body, commanded, {}, 200)


async def _command(
    account_id: str, body: Body, commanded: Commanded, ids: Mapping[str, str], recorded_status: int
) -> Response:
    message = commands.message_of(body, account_id, dict(ids))
    translate: Translate = partial(_json_faults, type(body))
    answer, account = await decided(commanded, command_of(commanded.given_id(), message), translate)
    return command_response(answer, account, ids, recorded_status)


def _json_faults(shape: type[Body], faults: list[Fault]) -> list[Fault]:
    return list(dict.fromkeys(commands.POINTERS[shape].translated(fault) for fault in faults))


def _shaped(shape: type[Shape], sent: Document) -> Shape:
    made, faults = shaped(shape, sent.value, sent.faults)
    if made is None:
        raise Problem(Code.INVALID, _WRONG, faults=faults)
    return made


def _payment_shape(sent: Document) -> type[Body]:
    """The shape that `type` names. An unknown word is a fault of the shape of payments, beside its other faults."""
    named = sent.value.get("type", "payment")
    return commands.PAYMENT_TYPES.get(named, commands.PaymentBody) if isinstance(named, str) else commands.PaymentBody


async def _refuse_other_currency(account_id: str, currency: str, commanded: Commanded) -> None:
    """The contract's portion has no currency of its own: it is the account's, and no other."""
    asked = commanded.asked
    request = contract.GetAccountRequest(account_id=account_id)
    account = (await asked.accounts.account(asked.caller, request)).account
    if currency != account.terms.currency:
        message = f"The account's amounts are in {account.terms.currency}."
        raise Problem(Code.INVALID, _WRONG, faults=[Fault("/portion/currency", "wrong_currency", message)])
