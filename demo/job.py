"""The job itself, stage by stage: register, place, play, remember the middle, play on, settle, check, tell."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
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
from demo.checks import Later, Totals
from demo.draft import Portfolio
from demo.placement_json import Json
from demo.play import Play, accounts_of
from demo.portfolio import DAYS_PLAYED
from demo.report import Check, Report
from demo.rest import Api
from demo.sending import Outcome, Total, place
from demo.settling import settled_at
from deploy.local.platform import Platform

ASKED_OF_AUDIT_MAX: Final = 400
"""So many accounts are asked of audit as of the middle, one call each, chosen by seed."""
PLACED_TYPE: Final = "recoup.accounts.v1.AccountPlaced"
QUARANTINED_TYPE: Final = "recoup.accounts.v1.PlacementQuarantined"


class NothingPlaced(Exception):  # noqa: N818 - named for what happened.
    """Every row was refused, so there is nothing to play; the text says why the first one was."""


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
    shown: Mapping[str, bytes]
    """The same accounts as the public API shows them."""


class Job:
    """One run on a platform that is up. The report is filled as far as the job comes."""

    def __init__(  # noqa: PLR0913 - what a job is made of, each by its name.
        self,
        *,
        platform: Platform,
        tenant: UUID,
        portfolio: Portfolio,
        seed: int,
        today: date,
        console: Console,
        before_checks: Callable[[Platform], None],
    ) -> None:
        """`seed` chooses everything left to chance; `before_checks` is called when everything has been recorded."""
        self._platform = platform
        self._tenant = tenant
        self._portfolio = portfolio
        self._seed = seed
        self._today = today
        self._console = console
        self._before_checks = before_checks
        self._play = Play(seed, today)
        self.outcomes: list[Outcome] = []
        self.report = Report(lines=portfolio.lines, passed_over=portfolio.passed_over, refused=len(portfolio.refused))

    async def run(self) -> Told:
        """Do everything, and return the story of one debt."""
        report = self.report
        async with AsyncExitStack() as stack:
            agency = await stack.enter_async_context(agency_of(self._platform, self._tenant))
            with report.stage("register"):
                apis = await self._register(agency, stack)
            with report.stage("place"):
                await self._place(apis)
                await self._draw(apis)
            middle = self._today - timedelta(days=DAYS_PLAYED // 2)
            with report.stage("play"):
                await self._play_until("playing, first half", middle)
            with report.stage("remember"):
                remembered = await self._remember(agency, apis)
            with report.stage("play"):
                await self._play_until("playing, second half", self._today)
            with report.stage("settle"):
                settled_at(self._platform.surroundings.databases)
            self._before_checks(self._platform)
            accounts = await self._check(agency, apis, remembered)
            with report.stage("tell"):
                return await self._tell(agency, accounts)

    async def _register(self, agency: Agency, stack: AsyncExitStack) -> Mapping[str, Api]:
        clients = self._portfolio.clients
        await agency.register(clients)
        creditors = give_keys(self._platform, self._tenant, clients)
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
        if not report.placed + report.quarantined:
            first = min((note for outcome in self.outcomes for note in outcome.refused), key=lambda note: note.line)
            message = f"none of the {report.lines:,} lines was placed; line {first.line}: {first.text}"
            raise NothingPlaced(message)

    async def _draw(self, apis: Mapping[str, Api]) -> None:
        async for api, account in accounts_of(apis.values(), phase="open"):
            self._play.add(api, account)

    async def _play_until(self, title: str, last: date) -> None:
        due = self._play.due(last)
        with self._progress() as progress:
            task = progress.add_task(title, total=due)
            await self._play.until(last, lambda: progress.advance(task))

    async def _remember(self, agency: Agency, apis: Mapping[str, Api]) -> _Middle:
        instant = settled_at(self._platform.surroundings.databases)
        return _Middle(instant, await agency.states(apis), await _shown(apis))

    async def _check(
        self, agency: Agency, apis: Mapping[str, Api], remembered: _Middle
    ) -> Sequence[Mapping[str, Json]]:
        """Add every check to the report; returns the accounts as the API shows them."""
        report = self.report
        add = report.checks.append
        with report.stage("check balances"):
            accounts = [account async for _, account in accounts_of(apis.values())]
            report.facts = await agency.count_facts()
            add(checks.every_line_has_a_fate(report))
            add(checks.control_totals_agree(self._totals(accounts)))
            add(checks.balances_equal_ledgers(accounts))
        with report.stage("check audit"):
            add(checks.audit_equals_accounts(await agency.compare_all(), len(accounts)))
        with report.stage("check rebuilds"):
            grown, *rebuilt = [await self._taken_down(agency, apis, number) for number in range(3)]
            add(checks.rebuilds_agree(len(accounts), grown, rebuilt))
        with report.stage("check chains"):
            add(checks.chains_verify(await agency.verify(), sum(report.facts.values())))
        with report.stage("check the middle"):
            add(await self._check_middle(agency, apis, remembered))
        return accounts

    async def _taken_down(self, agency: Agency, apis: Mapping[str, Api], number: int) -> bytes:
        """The read tables and every state as accounts gives them, as they have grown, then after each rebuild."""
        if number > 0:
            await asyncio.to_thread(rebuilding.rebuild, self._platform)
        tables = rebuilding.taken_down(self._platform.surroundings.databases["accounts"])
        return tables + b"\n".join(state for _, state in sorted((await agency.states(apis)).items()))

    async def _check_middle(self, agency: Agency, apis: Mapping[str, Api], then: _Middle) -> Check:
        sample = random.Random(f"{self._seed}|middle").sample(  # noqa: S311 - a sample, not a secret.
            sorted(then.states), min(ASKED_OF_AUDIT_MAX, len(then.states))
        )
        answers = (
            Later("accounts", then.states, await agency.states(apis, then.instant)),
            Later("the public API", then.shown, await _shown(apis, as_of=then.instant.isoformat())),
            Later("audit", {each: then.states[each] for each in sample}, await agency.audited(sample, then.instant)),
        )
        return checks.middle_is_as_it_was(then.instant.isoformat(), answers)

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


async def _shown(apis: Mapping[str, Api], **query: str) -> dict[str, bytes]:
    """Every account as the public API shows it, members sorted: within one run equal JSON is equal bytes."""
    shown = accounts_of(apis.values(), **query)
    return {str(account["account_id"]): json.dumps(account, sort_keys=True).encode() async for _, account in shown}


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
