"""Audit's own states against their owner's: one account at a version, or every account that either of them knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from recoup.accounts.v1.state_pb2 import AccountState
from recoup.audit.v1.service_pb2 import CompareCaseResponse, Difference

from kernel.canonical import canonical_json
from kernel.tenancy import Caller
from services.audit.domain.account import fold_account
from services.audit.domain.book import AccountBook
from services.audit.domain.compare import differences
from services.audit.owner import Owners
from services.audit.views import CASES_PAGE, SOURCE_OF_ACCOUNTS, Views

CATCH_UP_SECONDS_MAX: Final = 5.0
_PAUSE_SECONDS: Final = 0.1
_AT_ONCE: Final = 32


def may_see(caller: Caller, book: AccountBook) -> bool:
    """Whether there is such an account, and the caller speaks for the agency or for the client that placed it."""
    return book.placement is not None and caller.client in (None, book.placement.client_id)


async def compared_case(owners: Owners, caller: Caller, account_id: str, book: AccountBook) -> CompareCaseResponse:
    """One account at the version that audit has; the newest that the owner has when audit has none."""
    owner = await owners.account(caller, account_id, book.version or None)
    return _compared(account_id, owner, book)


async def compared_all(views: Views, owners: Owners, caller: Caller) -> AsyncIterator[Sequence[CompareCaseResponse]]:
    """Every account that the owner lists, page by page, then those that only audit knows."""
    seen: set[str] = set()
    moved: list[str] = []
    async for states in owners.accounts(caller):
        seen.update(state.account_id for state in states)
        books = await _books(views, caller, [state.account_id for state in states])
        level = [state for state in states if books[state.account_id].version == state.version]
        moved += [state.account_id for state in states if books[state.account_id].version != state.version]
        yield [_compared(state.account_id, state, books[state.account_id]) for state in level]
    if moved:
        # What one of the two has not read yet is no difference: audit is given the time to hear of it.
        await _caught_up(views, owners, caller)
    unlisted = [account_id for account_id in await views.account_ids(caller) if account_id not in seen]
    for rest in (moved, unlisted):
        for first in range(0, len(rest), CASES_PAGE):
            yield await _one_by_one(views, owners, caller, rest[first : first + CASES_PAGE], listed=rest is moved)


async def _one_by_one(
    views: Views, owners: Owners, caller: Caller, account_ids: Sequence[str], *, listed: bool
) -> list[CompareCaseResponse]:
    books = await _books(views, caller, account_ids)
    visible = [(account_id, book) for account_id, book in books.items() if listed or may_see(caller, book)]
    compared: list[CompareCaseResponse] = []
    for first in range(0, len(visible), _AT_ONCE):
        some = visible[first : first + _AT_ONCE]
        compared += await asyncio.gather(*(compared_case(owners, caller, *each) for each in some))
    return compared


async def _books(views: Views, caller: Caller, account_ids: Sequence[str]) -> dict[str, AccountBook]:
    facts = await views.cases(caller, account_ids)
    return {account_id: fold_account(facts.get(account_id, ())) for account_id in account_ids}


async def _caught_up(views: Views, owners: Owners, caller: Caller) -> None:
    heads = await owners.heads(SOURCE_OF_ACCOUNTS)
    for _ in range(int(CATCH_UP_SECONDS_MAX / _PAUSE_SECONDS)):
        heard = {each.partition: each.head.number for each in await views.progress(caller)}
        if all(heard.get(partition, -1) >= head.last for partition, head in heads.items()):
            return
        await asyncio.sleep(_PAUSE_SECONDS)


def _compared(account_id: str, owner: AccountState | None, book: AccountBook) -> CompareCaseResponse:
    ours = book.state() if book.placed else None
    same = owner is not None and ours is not None and canonical_json(owner) == canonical_json(ours)
    found = [] if same else differences(owner or AccountState(), ours or AccountState())
    return CompareCaseResponse(
        account_id=account_id,
        equal=same,
        differences=[Difference(**difference._asdict()) for difference in found],
        version=book.version,
        findings=map(str, book.findings),
    )
