"""The main job from end to end on real parts: it ends well, it finds what was tampered with, and it stops when told."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from recoup.accounts.v1 import events_pb2
from rich.console import Console

from cli.session import AGENCY
from demo.metro2 import writer
from demo.run import Settings, run
from deploy.local.child import recorded
from deploy.local.places import ROOT, Places
from deploy.local.platform import Platform

SECONDS_MAX = 240
LINES = 60


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One folder for all runs of this file: each begins anew in it. PostgreSQL's user must be able to enter it."""
    folder = Path(tempfile.mkdtemp(prefix="recoup-demo-"))
    folder.chmod(0o711)
    yield folder / "demo"
    shutil.rmtree(folder)


def demo(home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demo", "--home", str(home), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_report(home: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((home / "report.json").read_text())
    return report


def assert_every_line_has_one_fate(report: dict[str, Any]) -> None:
    fates = ("placed", "quarantined", "passed_over", "refused", "duplicates")
    assert report["lines"] == sum(report[fate] for fate in fates)


def assert_nothing_is_left_running(home: Path) -> None:
    assert [child.name for child in recorded(Places(home)) if child.alive()] == []
    assert not (home / "platform.json").exists()


def test_a_generated_portfolio_is_placed_played_and_every_check_holds(home: Path) -> None:
    with demo(home, "--accounts", str(LINES)) as running:
        printed, _ = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 0, printed
    report = read_report(home)
    assert report["lines"] == LINES
    assert_every_line_has_one_fate(report)
    assert report["placed"] > LINES // 2
    assert report["placed_minor"] > 0
    assert report["facts"]["recoup.accounts.v1.AccountPlaced"] == report["placed"]
    assert report["facts"]["recoup.accounts.v1.PaymentPosted"] > 0
    assert len(report["checks"]) == 7
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert all(any(sign.isdigit() for sign in check["detail"]) for check in report["checks"])
    assert report["seconds"].keys() >= {"place", "play", "settle", "tell"}
    assert "The story of" in printed
    assert "recoup audit story" in printed
    assert_nothing_is_left_running(home)


def test_a_log_that_was_tampered_with_makes_checks_fail_and_the_run_with_them(home: Path, tmp_path: Path) -> None:
    records = [
        writer.base(f"ACC-{number}", [writer.j1()], cons_info_ind="D" if number == 1 else "", current_bal=f"{900:09}")
        for number in range(1, 41)
    ]
    records += [records[2], writer.base("OPEN-1", acct_stat="11"), writer.base("ACC-X", acct_stat="99")]
    file = tmp_path / "furnished.txt"
    file.write_bytes(writer.file_of(writer.header(), *records, writer.trailer(43, 40, 0)))
    console = Console(file=io.StringIO(), width=120)
    settings = Settings(home=home, seed=11, today=datetime.now(UTC).date(), accounts=0, file=file)
    assert run(settings, console, before_checks=_tamper) == 1
    report = read_report(home)
    assert_every_line_has_one_fate(report)
    counts = ("placed", "placed_minor", "quarantined", "passed_over", "refused", "duplicates")
    assert [report[name] for name in counts] == [40, 40 * 90_000, 0, 1, 1, 1]
    lines = json.loads((home / "lines.json").read_text())
    assert [(note["line"], note["text"]) for note in lines["refused"]] == [(44, "acct_stat: '99' is no account status")]
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {
        "audit's rebuilt state equals accounts'",
        "two rebuilds agree byte for byte",
        "all chains verify",
        "as of an instant in the middle equals what was true then",
    }
    assert isinstance(console.file, io.StringIO)
    assert "FAILED" in console.file.getvalue()
    assert_nothing_is_left_running(home)


def _tamper(platform: Platform) -> None:
    """As somebody with the owner's password would: a payment in audit's copy of the log, a row that readers see."""
    databases = platform.surroundings.databases
    with psycopg.connect(databases["audit"].migrator_url) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{AGENCY}}}"])
        connection.execute("ALTER TABLE audit.records DISABLE TRIGGER append_only")
        row = connection.execute(
            "SELECT partition, number, payload FROM audit.records WHERE type = %s ORDER BY recorded_at LIMIT 1",
            [events_pb2.PaymentPosted.DESCRIPTOR.full_name],
        ).fetchone()
        assert row is not None, "somebody must have paid"
        paid = events_pb2.PaymentPosted.FromString(row[2])
        paid.amount_minor += 1
        changed = "UPDATE audit.records SET payload = %s WHERE partition = %s AND number = %s"
        connection.execute(changed, [paid.SerializeToString(), row[0], row[1]])
        connection.execute("ALTER TABLE audit.records ENABLE TRIGGER append_only")
    with psycopg.connect(databases["accounts"].migrator_url) as connection:
        connection.execute("UPDATE views.accounts SET batch_reference = 'other' WHERE client_reference = 'ACC-7'")


def test_a_run_that_is_interrupted_stops_everything_it_started(home: Path) -> None:
    with demo(home, "--accounts", "2000") as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("audit is ready"):
                break
        time.sleep(1)
        os.kill(running.pid, signal.SIGINT)
        printed, _ = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 130, printed
    assert "interrupted" in printed
    assert "Traceback" not in printed
    assert_nothing_is_left_running(home)
