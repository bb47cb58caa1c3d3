"""A run: the portfolio is made ready, the platform started in a folder of its own, the job done, the result printed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

from rich.console import Console
from rich.markup import escape

from cli.session import AGENCY
from demo import portfolio as portfolios
from demo.draft import Note, Portfolio
from demo.job import Job, Told
from demo.report import FILE_NAME, show
from demo.sending import Outcome
from deploy.local.child import PlatformError, recorded, stop_together
from deploy.local.places import HOME_VARIABLE, ROOT, Places
from deploy.local.platform import POSTGRES_GIVEN, Platform, holder

NOTES_MAX: Final = 8
"""So many lines of a kind are named on the screen; the rest is counted."""
NOTE_CHARACTERS_MAX: Final = 160
LINES_FILE_NAME: Final = "lines.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is told. Without a file, `accounts` accounts are generated. Everything is kept under `home`."""

    home: Path
    seed: int
    today: date
    accounts: int
    file: Path | None


def run(settings: Settings, console: Console, before_checks: Callable[[Platform], None] = lambda _: None) -> int:
    """Do everything; returns 0 when every check holds, else 1. UnreadableFile when there is nothing to place.

    `before_checks` is called between the play and the checks: whoever doubts them tampers there.
    """
    portfolio = _made_ready(settings)
    _introduce(portfolio, console)
    places = Places(settings.home)
    # A server that was given keeps what earlier runs recorded: each run is then an agency of its own.
    tenant = uuid4() if os.environ.get(POSTGRES_GIVEN) else AGENCY
    _begin_anew(places)
    began = monotonic()
    with Platform(places, say=lambda line: console.print(f"[dim]{escape(line)}[/]")) as platform:
        job = Job(
            platform=platform,
            tenant=tenant,
            portfolio=portfolio,
            seed=settings.seed,
            today=settings.today,
            console=console,
            before_checks=before_checks,
        )
        job.report.seconds["start"] = round(monotonic() - began, 2)
        try:
            told = asyncio.run(job.run())
        finally:
            file = job.report.write(settings.home)
    lines = _lines(portfolio, job.outcomes)
    _list(console, "lines refused", lines["refused"])
    _list(console, "lines quarantined", lines["quarantined"])
    console.print(f"every one of them, and every warning, is in {_write_lines(settings.home, lines)}", soft_wrap=True)
    _tell(console, told)
    show(job.report, console)
    _look_around(console, settings.home, file, tenant, told)
    return 0 if job.report.ok else 1


def _made_ready(settings: Settings) -> Portfolio:
    if settings.file is None:
        return portfolios.generate(settings.accounts, settings.seed, settings.today, settings.home)
    return portfolios.load(settings.file, settings.seed, settings.today)


def _introduce(portfolio: Portfolio, console: Console) -> None:
    rows = sum(len(batch.lines) for batch in portfolio.batches)
    console.print(
        f"[bold]{escape(portfolio.source)}[/]: {portfolio.lines:,} lines, {rows:,} to be placed", soft_wrap=True
    )
    console.print("people are invented, and what happens after the placement is simulated, all by one seed")
    if portfolio.shift_days is not None:
        console.print(f"every date of the file moves forward by {portfolio.shift_days:,} days")
    _list(console, "warnings", sorted(portfolio.warnings, key=lambda note: note.line))


def _begin_anew(places: Places) -> None:
    """Forget an earlier run of ours: its data and its report, never those of a platform that is running there."""
    running = holder(places)
    if running is not None:
        message = f"The platform of {places.home} is running (process {running}). Stop it first, then start the demo."
        raise PlatformError(message)
    stop_together(recorded(places))
    for folder in (places.home / "data", places.logs, places.run):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (FILE_NAME, LINES_FILE_NAME):
        (places.home / file).unlink(missing_ok=True)


def _lines(portfolio: Portfolio, outcomes: Sequence[Outcome]) -> dict[str, list[Note]]:
    """What is to be told about single lines, by kind, in the order of the lines."""
    found = {
        "refused": [*portfolio.refused, *(note for outcome in outcomes for note in outcome.refused)],
        "quarantined": [note for outcome in outcomes for note in outcome.quarantined],
        "warnings": list(portfolio.warnings),
    }
    return {kind: sorted(notes, key=lambda note: note.line) for kind, notes in found.items()}


def _write_lines(home: Path, lines: Mapping[str, Sequence[Note]]) -> Path:
    file = home / LINES_FILE_NAME
    told = {kind: [asdict(note) for note in notes] for kind, notes in lines.items()}
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return file


def _list(console: Console, what: str, notes: Sequence[Note]) -> None:
    if not notes:
        return
    console.print(f"\n{what} ({len(notes):,}):")
    for note in notes[:NOTES_MAX]:
        console.print(f"  line {note.line:,}: {escape(shorten(note.text, NOTE_CHARACTERS_MAX))}", soft_wrap=True)
    if len(notes) > NOTES_MAX:
        console.print(f"  and {len(notes) - NOTES_MAX:,} more")


def _tell(console: Console, told: Told) -> None:
    console.print(f"\n[bold]The story of {escape(told.reference)}[/], as audit tells it; each day is when it happened")
    for sentence in told.sentences:
        day = sentence.occurred_at.ToDatetime().date()
        rule = f" [dim]({escape(sentence.rule)})[/]" if sentence.rule else ""
        console.print(f"  {day}  {escape(sentence.text)}{rule}", soft_wrap=True)
    console.print()


def _look_around(console: Console, home: Path, file: Path, tenant: UUID, told: Told) -> None:
    shown = home.relative_to(ROOT) if home.is_relative_to(ROOT) else home
    lines = [
        f"The report is in {file}. What was recorded is kept in {home}. To look around:",
        f"  export {HOME_VARIABLE}={shown}",
        "  make up                                  # in one terminal; Ctrl-C stops it",
        f"  .venv/bin/recoup audit story {told.account_id}",
        "  .venv/bin/recoup audit verify",
    ]
    if tenant != AGENCY:
        lines.insert(2, f"  export RECOUP_AGENCY={tenant}")
    for line in lines:
        console.print(escape(line), soft_wrap=True)
