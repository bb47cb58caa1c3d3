"""The result of a run: counts, facts, checks and seconds, as JSON for machines and as tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.table import Table

FILE_NAME: Final = "report.json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold; `detail` says it in numbers."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Report:
    """What a run found. `lines` is the sum of placed, quarantined, passed_over, refused and duplicates."""

    lines: int = 0
    placed: int = 0
    placed_minor: int = 0
    quarantined: int = 0
    quarantined_minor: int = 0
    passed_over: int = 0
    refused: int = 0
    duplicates: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every check holds, and there was one."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage, also one that fails."""
        began = monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + monotonic() - began, 2)

    def write(self, folder: Path) -> Path:
        """Write the report for machines; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / FILE_NAME
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        return file


def show(report: Report, console: Console) -> None:
    """Print the report for people."""
    console.print(_counts(report))
    console.print(_facts(report))
    console.print(_checks(report.checks))
    console.print(_seconds(report))


def major(amount_minor: int) -> str:
    """An amount in minor units as people read it: 123456 is 1,234.56."""
    sign = "-" if amount_minor < 0 else ""
    whole, rest = divmod(abs(amount_minor), 100)
    return f"{sign}{whole:,}.{rest:02}"


def _counts(report: Report) -> Table:
    table = Table(title="What became of the lines", title_justify="left")
    table.add_column("fate")
    table.add_column("lines", justify="right")
    table.add_column("amount", justify="right")
    table.add_row("placed", f"{report.placed:,}", major(report.placed_minor))
    table.add_row("quarantined", f"{report.quarantined:,}", major(report.quarantined_minor))
    for fate, count in (
        ("passed over", report.passed_over),
        ("refused", report.refused),
        ("duplicates", report.duplicates),
    ):
        table.add_row(fate, f"{count:,}", "")
    table.add_section()
    table.add_row("all", f"{report.lines:,}", major(report.placed_minor + report.quarantined_minor))
    return table


def _facts(report: Report) -> Table:
    table = Table(title="Facts", title_justify="left")
    table.add_column("type")
    table.add_column("count", justify="right")
    for name, count in sorted(report.facts.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{sum(report.facts.values()):,}")
    return table


def _checks(checks: Sequence[Check]) -> Table:
    table = Table(title="Checks", title_justify="left")
    table.add_column("")
    table.add_column("check")
    table.add_column("detail", overflow="fold")
    for check in checks:
        table.add_row("[green]ok[/]" if check.ok else "[red]FAILED[/]", check.name, check.detail)
    return table


def _seconds(report: Report) -> Table:
    table = Table(title="Seconds", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for stage, seconds in report.seconds.items():
        table.add_row(stage, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(report.seconds.values()):.1f}")
    return table
