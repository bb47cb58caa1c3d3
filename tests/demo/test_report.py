"""The report of a run."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from demo.report import Check, Report, major, show


def test_a_report_without_checks_is_not_ok() -> None:
    assert not Report().ok


def test_one_failed_check_makes_the_report_fail() -> None:
    assert Report(checks=[Check("a", ok=True, detail="1")]).ok
    assert not Report(checks=[Check("a", ok=True, detail="1"), Check("b", ok=False, detail="2")]).ok


def test_the_file_has_every_key(tmp_path: Path) -> None:
    report = Report(lines=3, placed=2, placed_minor=500, refused=1, checks=[Check("a", ok=True, detail="1")])
    with report.stage("play"):
        pass
    written = json.loads(report.write(tmp_path / "demo").read_text())
    assert list(written) == [
        "lines",
        "placed",
        "placed_minor",
        "quarantined",
        "quarantined_minor",
        "passed_over",
        "refused",
        "duplicates",
        "facts",
        "checks",
        "seconds",
    ]
    assert written["checks"] == [{"name": "a", "ok": True, "detail": "1"}]
    assert written["seconds"].keys() == {"play"}


def test_the_printed_report_names_what_failed() -> None:
    console = Console(file=io.StringIO(), width=100)
    show(Report(checks=[Check("all chains verify", ok=False, detail="1 breach")]), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "FAILED" in printed
    assert "1 breach" in printed


def test_amounts_are_written_for_people() -> None:
    assert [major(amount) for amount in (847_127_700, 5, -123_456)] == ["8,471,277.00", "0.05", "-1,234.56"]
