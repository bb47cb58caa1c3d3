"""Plays what happens to accounts over the public API, day by day; every command has a key of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, cast

from demo.fates import Answer, Call, Case, Fate, fate_of
from demo.placement_json import Json
from demo.rest import Api

AT_ONCE: Final = 16
"""Accounts that are played at the same time: two cores have no use for more."""


@dataclass(slots=True)
class Played:
    """One account's fate on its way: the call that comes next, if one does."""

    account_id: str
    reference: str
    api: Api
    fate: Fate
    pending: Call | None
    calls: int = 0


@dataclass(slots=True)
class Play:
    """Every account's fate."""

    seed: int
    today: date
    accounts: list[Played] = field(default_factory=list)

    def add(self, api: Api, account: Mapping[str, Json]) -> None:
        """Draw the fate of an account, from its state as the API gave it."""
        case = _case(account, self.seed, self.today)
        fate = fate_of(case)
        self.accounts.append(Played(str(account["account_id"]), case.reference, api, fate, next(fate, None)))

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return sum(account.calls for account in self.accounts)

    def due(self, last: date) -> int:
        """How many accounts have a call up to and with a day."""
        return sum(account.pending is not None and account.pending.day <= last for account in self.accounts)

    async def until(self, last: date, told: Callable[[], None]) -> None:
        """Make every call up to and with a day, in the order of days; `told` hears of each account that is through."""
        waiting = [account for account in self.accounts if account.pending is not None and account.pending.day <= last]
        await _at_once(AT_ONCE, (self._until(account, last, told) for account in waiting))

    async def _until(self, played: Played, last: date, told: Callable[[], None]) -> None:
        while played.pending is not None and played.pending.day <= last:
            call = played.pending
            played.calls += 1
            path = f"/v1/accounts/{played.account_id}/{call.path}"
            key = f"{self.seed}:{played.account_id}:{played.calls}"
            answer = await played.api.command(path, call.body, key)
            played.pending = _next(played.fate, answer)
        told()


async def accounts_of(apis: Iterable[Api], **query: str) -> AsyncIterator[tuple[Api, dict[str, Json]]]:
    """Every account of every creditor, as the API shows it."""
    for api in apis:
        async for account in api.pages("/v1/accounts", "accounts", **query):
            yield api, account


async def _at_once(most: int, jobs: Iterable[Awaitable[None]]) -> None:
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job

    async with asyncio.TaskGroup() as group:
        for _ in range(most):
            group.create_task(work())


def _next(fate: Fate, answer: Answer) -> Call | None:
    try:
        return fate.send(answer)
    except StopIteration:
        return None


def _case(account: Mapping[str, Json], seed: int, today: date) -> Case:
    terms = cast("Mapping[str, Json]", account["terms"])
    balance = cast("Mapping[str, Mapping[str, int]]", account["balance"])
    debtors = cast("Sequence[Mapping[str, str]]", account["debtors"])
    reference = str(terms["client_reference"])
    return Case(
        reference=reference,
        currency=str(terms["currency"]),
        balance_minor=sum(bucket["amount"] for bucket in balance.values()),
        principal_minor=balance["principal"]["amount"],
        fees_minor=balance["fees"]["amount"],
        primary_person_id=next(debtor["person_id"] for debtor in debtors if debtor["role"] == "primary"),
        placed=date.fromisoformat(str(terms["placement_date"])),
        today=today,
        chance=random.Random(f"{seed}|{reference}"),  # noqa: S311 - what happens is simulated, nothing is secret.
    )
