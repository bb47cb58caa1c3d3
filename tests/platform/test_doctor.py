"""Each thing that is wrong is one line with a way to mend it, and what is right is told as right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from deploy.local import doctor, setup
from deploy.local import kafka as kafka_module
from deploy.local.databases import Database
from deploy.local.doctor import Finding, examine
from deploy.local.places import Places
from deploy.local.platform import Platform
from deploy.local.topics import read_topics


def _wrong(places: Places) -> list[Finding]:
    return [finding for finding in examine(places) if finding.ok is False]


def _only(places: Places) -> Finding:
    wrong = _wrong(places)
    assert len(wrong) == 1, wrong
    assert wrong[0].mend
    return wrong[0]


@pytest.fixture(autouse=True)
def generated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts count as generated, so that each test sees only what is its own matter."""
    monkeypatch.setattr(setup, "contracts_are_current", lambda: True)


def test_nothing_is_wrong_with_a_platform_that_runs(bare: Platform) -> None:
    findings = examine(bare.places)
    assert [finding for finding in findings if finding.ok is not True] == []
    told = "\n".join(finding.what for finding in findings)
    parts = ("Python 3", "Java 17", "Maven", "Kafka 4.3", "packages", "clock", "GiB", "PostgreSQL 18", "topics.yaml")
    assert [part for part in parts if part not in told] == []


def test_what_only_a_running_platform_shows_is_left_open_while_none_runs(tmp_path: Path) -> None:
    assert [finding.ok for finding in examine(Places(tmp_path)) if "does not run" in finding.what] == [None]
    assert _wrong(Places(tmp_path)) == []


def test_a_missing_java_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    wrong = _only(Places(tmp_path))
    assert "Java 17" in wrong.what
    assert "apt-get install" in wrong.mend


def test_a_missing_maven_is_wrong_only_while_it_has_work_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kafka_module, "jars_are_there", lambda: False)
    java = Path(kafka_module.find_java())
    monkeypatch.setenv("PATH", str(java.parent) if not (java.parent / "mvn").exists() else "/nowhere")
    monkeypatch.setenv("JAVA_HOME", str(java.resolve().parent.parent))
    assert [finding.mend for finding in _wrong(Places(tmp_path))] == [kafka_module.INSTALL, "Run `make setup`."]


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DISK_GIBIBYTES_MIN", 1_000_000)
    assert "GiB are free" in _only(Places(tmp_path)).what


def test_a_clock_in_the_past_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MADE_IN", datetime.max.replace(tzinfo=UTC))
    assert "the clock shows" in _only(Places(tmp_path)).what


def test_packages_other_than_pinned_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pins = tmp_path / "dev.txt"
    pins.write_text("alembic==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n")
    monkeypatch.setattr(setup, "REQUIREMENTS", pins)
    what = _only(Places(tmp_path / "home")).what
    assert "not 0.0.1" in what
    assert "no-such-package absent, not 1.0" in what


def test_contracts_that_were_not_generated_anew_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "contracts_are_current", lambda: False)
    assert "make proto" in _only(Places(tmp_path / "home")).mend


def test_secrets_that_others_can_read_are_told(bare: Platform) -> None:
    bare.places.secrets.chmod(0o644)
    assert "chmod 600" in _only(bare.places).mend


def test_topics_that_differ_are_told(bare: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [topic.named("test.absent") for topic in read_topics()]
    monkeypatch.setattr(doctor, "read_topics", lambda: wanted)
    assert _only(bare.places).what == "topic test.absent does not exist"


def test_a_broker_that_went_away_is_one_line(bare: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(bare.addresses, kafka="127.0.0.1:1")
    monkeypatch.setattr(doctor, "read_addresses", lambda _places: gone)
    assert _only(bare.places).what == "Kafka does not answer at 127.0.0.1:1"


def test_a_database_that_was_never_migrated_is_told(database: Callable[..., Database]) -> None:
    finding = doctor._migrations(database("audit", migrated=False))
    assert finding.ok is False
    assert "lacks" in finding.what


def test_a_service_role_that_owns_a_table_is_told(database: Callable[..., Database]) -> None:
    made = database("audit", migrated=False)
    assert doctor._ownership(made).ok
    with psycopg.connect(made.admin_url) as connection:
        connection.execute("CREATE TABLE taken (number int)")
        connection.execute("ALTER TABLE taken OWNER TO recoup_audit")
    assert doctor._ownership(made).what == "recoup_audit owns tables or is a superuser"


def test_a_server_that_went_away_is_one_line(bare: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(bare.addresses, postgres="postgresql://postgres@127.0.0.1:1/postgres")
    monkeypatch.setattr(doctor, "read_addresses", lambda _places: gone)
    assert "connection" in _only(bare.places).what
