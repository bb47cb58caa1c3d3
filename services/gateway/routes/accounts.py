"""Reading accounts and what happened to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import APIRouter, Query
from recoup.accounts.v1 import service_pb2 as contract
from recoup.accounts.v1.state_pb2 import AccountPhase, AccountState
from starlette.responses import JSONResponse, Response

from services.gateway import openapi
from services.gateway.answers import account_json
from services.gateway.asked import PAGE, Asked, AsOf, Cursor, Limit, Reading, account_uuid, timestamp
from services.gateway.feed import events_json
from services.gateway.problems import Code, EdgeFault, Problem
from services.gateway.shapes import REFERENCE_CHARACTERS_MAX, words_of

PHASES: Final = words_of(AccountPhase.DESCRIPTOR)

router = APIRouter(tags=["accounts"])

ClientReference = Annotated[
    str | None,
    Query(min_length=1, max_length=REFERENCE_CHARACTERS_MAX, description="Only the account of this reference."),
]
BatchReference = Annotated[
    str | None, Query(min_length=1, max_length=REFERENCE_CHARACTERS_MAX, description="Only accounts of this batch.")
]
Phase = Annotated[str | None, Query(pattern=f"^({'|'.join(PHASES)})$", description="Only accounts in this phase.")]


@router.get("/v1/accounts", responses=openapi.responses("AccountPage", 200))
async def list_accounts(  # noqa: PLR0913, PLR0917 - one argument for each parameter of the query.
    asked: Reading,
    client_reference: ClientReference = None,
    batch_reference: BatchReference = None,
    phase: Phase = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
    as_of: AsOf = None,
) -> Response:
    """The client's accounts by placement date and id; with client_reference, the one account that bears it, or none."""
    if client_reference is not None:
        _refuse_together(batch_reference=batch_reference, phase=phase, cursor=cursor)
        return await _one(asked, client_reference, as_of)
    request = contract.ListAccountsRequest(
        client_id=asked.principal.client,
        batch_reference=batch_reference,
        phase=f"ACCOUNT_PHASE_{phase.upper()}" if phase else None,
        as_of=timestamp(as_of),
        limit=limit,
        cursor=cursor,
    )
    page = await asked.accounts.accounts(asked.caller, request)
    return _page(page.accounts, page.next_cursor or None, page.cut)


@router.get("/v1/accounts/{account_id}", responses=openapi.responses("AccountAnswer", 200))
async def get_account(account_id: str, asked: Reading, as_of: AsOf = None) -> Response:
    """One account, with its balance, ledger, payments, holds, disputes and documents."""
    request = contract.GetAccountRequest(account_id=account_uuid(account_id), as_of=timestamp(as_of))
    found = await asked.accounts.account(asked.caller, request)
    return JSONResponse({"account": account_json(found.account), "read_at": cut_json(found.cut)})


@router.get("/v1/accounts/{account_id}/events", responses=openapi.responses("AccountEvents", 200))
async def account_events(
    account_id: str,
    asked: Reading,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only facts after this version of the account.")] = 0,
    limit: Limit = PAGE,
    as_of: AsOf = None,
) -> Response:
    """What happened to one account, in order. `next_after` is where the next page begins."""
    request = contract.ListAccountFactsRequest(
        account_id=account_uuid(account_id), after_version=after, as_of=timestamp(as_of), limit=limit
    )
    named = contract.GetAccountRequest(account_id=account_id, as_of=timestamp(as_of))
    account = (await asked.accounts.account(asked.caller, named)).account
    page = await asked.accounts.account_facts(asked.caller, request)
    events = await events_json(asked, [(record, account.terms.client_reference) for record in page.facts])
    last = page.facts[-1].version if page.facts else after
    answer = {"events": events, "next_after": last, "more": page.more, "read_at": cut_json(page.cut)}
    return JSONResponse(answer)


@router.get("/v1/events", responses=openapi.responses("Events", 200))
async def client_events(
    asked: Reading,
    after: Annotated[str | None, Query(max_length=1000, description="The cursor of the page before.")] = None,
    limit: Limit = PAGE,
    as_of: AsOf = None,
) -> Response:
    """The client's whole feed. Keep `next_cursor`: asked for again with it, the feed goes on where it stopped."""
    request = contract.ListClientFactsRequest(
        client_id=asked.principal.client, cursor=after, limit=limit, as_of=timestamp(as_of)
    )
    page = await asked.accounts.client_facts(asked.caller, request)
    events = await events_json(asked, [(fact.record, fact.client_reference) for fact in page.facts])
    answer = {"events": events, "next_cursor": page.next_cursor, "more": page.more, "read_at": cut_json(page.cut)}
    return JSONResponse(answer)


def cut_json(cut: contract.LogCut) -> dict[str, object] | None:
    """The positions of the log that an answer as of an instant was read at; None for one as of now."""
    return {"log_id": cut.log_id, "numbers": list(cut.numbers)} if cut.log_id else None


async def _one(asked: Asked, client_reference: str, as_of: str | None) -> Response:
    request = contract.GetAccountRequest(
        client_reference=client_reference, client_id=asked.principal.client, as_of=timestamp(as_of)
    )
    try:
        found = await asked.accounts.account(asked.caller, request)
    except Problem as problem:
        if problem.code is not Code.NOT_FOUND:
            raise
        return _page([], None, contract.LogCut())
    return _page([found.account], None, found.cut)


def _page(accounts: Iterable[AccountState], cursor: str | None, cut: contract.LogCut) -> Response:
    return JSONResponse(
        {"accounts": [account_json(each) for each in accounts], "next_cursor": cursor, "read_at": cut_json(cut)}
    )


def _refuse_together(**others: str | None) -> None:
    faults = [
        EdgeFault("parameter", name, "not_together", "This cannot be asked together with client_reference.")
        for name, value in others.items()
        if value is not None
    ]
    if faults:
        raise Problem(Code.INVALID_PARAMETER, "client_reference names one account, and stands alone.", faults=faults)
