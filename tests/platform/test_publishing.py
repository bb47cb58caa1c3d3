"""Published contracts are binding: they grow, and what would break a reader of the log is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.places import ROOT

TERMS = Path("proto/recoup/accounts/v1/terms.proto")
MORE = "\n// An example that is added.\nmessage More {\n  // Its only field.\n  string text = 1;\n}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the contracts and the Makefile, with the contracts published as they are."""
    for part in ("proto", "third_party"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for part in ("Makefile", "buf.yaml"):
        shutil.copy(ROOT / part, tmp_path)
    (tmp_path / "proto" / "published.binpb").unlink(missing_ok=True)
    assert _publish(tmp_path).returncode == 0
    return tmp_path


def _publish(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "-o", "setup", f"BIN={ROOT / '.venv' / 'bin'}", "publish-contracts"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_contracts_that_grew_are_published(checkout: Path) -> None:
    published = (checkout / "proto" / "published.binpb").read_bytes()
    (checkout / TERMS).write_text((checkout / TERMS).read_text() + MORE)
    assert _publish(checkout).returncode == 0
    assert (checkout / "proto" / "published.binpb").read_bytes() != published


def test_a_field_with_another_number_is_refused_and_nothing_is_published(checkout: Path) -> None:
    published = (checkout / "proto" / "published.binpb").read_bytes()
    (checkout / TERMS).write_text((checkout / TERMS).read_text().replace("= 1;", "= 91;", 1))
    done = _publish(checkout)
    assert done.returncode != 0
    assert 'Previously present field "1"' in done.stdout + done.stderr
    assert (checkout / "proto" / "published.binpb").read_bytes() == published


def test_contracts_without_comments_are_found(checkout: Path) -> None:
    (checkout / TERMS).write_text((checkout / TERMS).read_text() + MORE.replace("// An example that is added.\n", ""))
    lint = subprocess.run([ROOT / ".venv/bin/buf", "lint"], cwd=checkout, capture_output=True, text=True, check=False)
    assert "should have a non-empty comment" in lint.stdout
