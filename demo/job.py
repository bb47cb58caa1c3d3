"""The job itself, stage by stage: register, place, play, remember the middle, play on, settle, check, tell."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final, cast
from uuid import UUID

from recoup.audit.v1 import service_pb2 as audit_pb2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo import checks, rebuilding
from demo.agency import Agency, agency_of, give_keys
from demo.checks import Totals
from demo.draft import Portfolio
from demo.placement_json import Json
from demo.play import Play, accounts_of
from demo.portfolio import DAYS_PLAYED
from demo.report import Report
from demo.rest import Api
from demo.sending import Outcome, Total, place
from demo.settling import settled_at
from deploy.local.platform import Platform

TENANT: Final = UUID("5eed0000-0000-5000-8000-000000000001")
"""The agency of the demo."""
ASKED_OF_AUDIT_MAX: Final = 400
"""So many accounts are asked of audit as of the middle, one call each, chosen by seed."""
PLACED_TYPE: Final = "recoup.accounts.v1.AccountPlaced"
QUARANTINED_TYPE: Final = "recoup.accounts.v1.PlacementQuarantined"


@dataclass(frozen=True, slots=True)
class Told:
    """One debt's story, as audit tells it."""

    account_id: str
    reference: str
    sentences: Sequence[audit_pb2.Sentence]


@dataclass(frozen=True, slots=True)
class _Middle:
    """What was true at an instant in the middle: the states of all accounts, as canonical JSON."""

    instant: datetime
    states: Mapping[str, bytes]


class Job:
    """One run on a platform that is up. The report is filled as far as the job comes."""

    def __init__(self, platform: Platform, portfolio: Portfolio, seed: int, today: date, console: Console) -> None:
        """`seed` chooses everything that is left to chance."""
        self._platform = platform
        self._portfolio = portfolio
        self._seed = seed
        self._today = today
        self._console = console
        self._play = Play(seed, today)
        self.outcomes: list[Outcome] = []
        self.report = Report(lines=portfolio.lines, passed_over=portfolio.passed_over, refused=len(portfolio.refused))

    async def run(self) -> Told:
        """Do everything, and return the story of one debt."""
        report = self.report
        async with AsyncExitStack() as stack:
            agency = await stack.enter_async_context(agency_of(self._platform, TENANT))
            with report.stage("register"):
                apis = await self._register(agency, stack)
            with report.stage("place"):
                await self._place(apis)
                await self._draw(apis)
            middle = self._today - timedelta(days=DAYS_PLAYED // 2)
            with report.stage("play"):
                await self._play_until("playing, first half", middle)
            with report.stage("remember"):
                remembered = await self._remember(agency)
            with report.stage("play"):
                await self._play_until("playing, second half", self._today)
            with report.stage("settle"):
                settled_at(self._platform.surroundings.databases)
            with report.stage("check"):
                accounts = [account async for _, account in accounts_of(apis.values())]
                await self._check(agency, accounts, remembered)
            with report.stage("tell"):
                return await self._tell(agency, accounts)

    async def _register(self, agency: Agency, stack: AsyncExitStack) -> Mapping[str, Api]:
        clients = self._portfolio.clients
        await agency.register(clients)
        creditors = give_keys(self._platform, TENANT, clients)
        base_url = self._platform.addresses.http
        return {each.client_id: await stack.enter_async_context(Api(base_url, each)) for each in creditors}

    async def _place(self, apis: Mapping[str, Api]) -> None:
        report = self.report
        with self._progress() as progress:
            for batch in self._portfolio.batches:
                task = progress.add_task(f"placing for {batch.client.client_id}", total=len(batch.lines))
                told = partial(_advance_to, progress, task)
                outcome = await place(apis[batch.client.client_id], batch, told)
                self.outcomes.append(outcome)
                progress.update(task, completed=len(batch.lines))
        totals = [outcome.totals for outcome in self.outcomes]
        report.placed, report.placed_minor = _summed(totals, "accepted")
        report.quarantined, report.quarantined_minor = _summed(totals, "quarantined")
        report.duplicates, _ = _summed(totals, "duplicate")
        report.refused += _summed(totals, "refused")[0]

    async def _draw(self, apis: Mapping[str, Api]) -> None:
        async for api, account in accounts_of(apis.values(), phase="open"):
            self._play.add(api, account)

    async def _play_until(self, title: str, last: date) -> None:
        due = self._play.due(last)
        with self._progress() as progress:
            task = progress.add_task(title, total=due)
            await self._play.until(last, lambda: progress.advance(task))

    async def _remember(self, agency: Agency) -> _Middle:
        instant = settled_at(self._platform.surroundings.databases)
        return _Middle(instant, await agency.states([client.client_id for client in self._portfolio.clients]))

    async def _check(self, agency: Agency, accounts: Sequence[Mapping[str, Json]], remembered: _Middle) -> None:
        report = self.report
        report.facts = await agency.count_facts()
        add = report.checks.append
        add(checks.every_line_has_a_fate(report))
        add(checks.control_totals_agree(self._totals(accounts)))
        add(checks.balances_equal_ledgers(accounts))
        add(checks.audit_equals_accounts(await agency.compare_all(), len(accounts)))
        rebuilt = rebuilding.rebuild_twice(self._platform)
        add(checks.rebuilds_agree("rows of accounts' read tables", rebuilt.dumps, rebuilt.rows))
        add(checks.chains_verify(await agency.verify(), sum(report.facts.values())))
        clients = [client.client_id for client in self._portfolio.clients]
        as_of = await agency.states(clients, remembered.instant)
        asked = random.Random(f"{self._seed}|middle").sample(  # noqa: S311 - a sample, not a secret.
            sorted(remembered.states), min(ASKED_OF_AUDIT_MAX, len(remembered.states))
        )
        audited = await agency.audited(asked, remembered.instant)
        add(checks.middle_is_as_it_was(remembered.states, as_of, audited, remembered.instant.isoformat()))

    def _totals(self, accounts: Sequence[Mapping[str, Json]]) -> list[Totals]:
        report, facts = self.report, self.report.facts
        rows = [outcome.rows for outcome in self.outcomes]
        return [
            Totals("batches", report.placed, report.quarantined, report.placed_minor, report.quarantined_minor),
            Totals("their rows", sum(r["accepted"] for r in rows), sum(r["quarantined"] for r in rows)),
            checks.totals_of_accounts("accounts", accounts),
            Totals("facts in audit", facts.get(PLACED_TYPE, 0), facts.get(QUARANTINED_TYPE, 0)),
        ]

    async def _tell(self, agency: Agency, accounts: Sequence[Mapping[str, Json]]) -> Told:
        eventful = max(accounts, key=_eventful)
        account_id = str(eventful["account_id"])
        reference = str(cast("Mapping[str, Json]", eventful["terms"])["client_reference"])
        return Told(account_id, reference, await agency.story(account_id))

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self._console)


def _advance_to(progress: Progress, task: TaskID, rows: int) -> None:
    progress.update(task, completed=rows)


def _summed(totals: Sequence[Mapping[str, Total]], status: str) -> tuple[int, int]:
    found = [each.get(status, Total()) for each in totals]
    return sum(total.count for total in found), sum(total.amount_minor for total in found)


def _eventful(account: Mapping[str, Json]) -> tuple[int, int]:
    """How much there is to tell: of how many kinds, then how often."""
    kinds = ("payments", "disputes", "documents", "holds", "shortcomings")
    told = sum(bool(account[kind]) for kind in kinds) + ("close_code" in account)
    return told, int(str(account["version"]))
