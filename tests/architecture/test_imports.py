"""The import contracts hold, and each is proven by a deliberate breach in a copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("kernel", "services", "cli", "demo")
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

BREACHES = [
    ("kernel/record.py", "import services.accounts.views", "The kernel knows no service"),
    ("services/audit/api.py", "import services.accounts.views", "Services know each other only by their contracts"),
    ("services/accounts/views.py", "import cli.main", "Services know neither the command line nor the demo"),
    ("demo/report.py", "import services.accounts.views", "The demo speaks to services over the network only"),
    ("services/accounts/api.py", "import faust", "Faust appears only where facts are heard"),
    ("kernel/store.py", "import kafka", "kafka-python appears only where the log is published"),
    ("kernel/execute.py", "import sqlalchemy", "SQLAlchemy appears only where read tables are read"),
    ("services/accounts/views.py", "import grpc", "Deciding and recording know no network"),
]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), str(ROOT / "gen")))}
    command = [sys.executable, "-c", LINT, "--config", str(ROOT / ".importlinter"), "--no-cache"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "line", "contract"), BREACHES, ids=[contract for _, _, contract in BREACHES])
def test_a_breach_is_seen(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / module
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(copy)
    assert done.returncode != 0, done.stdout
    broken = [text for text in done.stdout.splitlines() if "BROKEN" in text]
    assert any(contract in text for text in broken), done.stdout
