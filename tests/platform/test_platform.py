"""The platform starts in order, tells why it cannot, and stops what it started and nothing else."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import platform as platform_module
from deploy.local.child import PlatformError, recorded
from deploy.local.databases import Database
from deploy.local.kafka import Broker
from deploy.local.places import Places
from deploy.local.platform import Addresses, Platform, holder, read_addresses
from deploy.local.postgres import Server
from deploy.local.programs import Program, environment_of
from deploy.local.topics import faults, read_topics

ABSENT = Program("gateway", ["services.there_is_no_such_service"], ["http"], "http")


def test_servers_that_are_given_are_used_and_left_running(
    given: None, postgres: Server, kafka: Broker, tmp_path: Path
) -> None:
    with Platform(Places(tmp_path), programs=()) as platform:
        assert platform.addresses.postgres == postgres.url
        assert platform.addresses.kafka == kafka.address
        assert platform.children == []
        assert faults(kafka.address, read_topics()) == []
    assert postgres.child is not None
    assert postgres.child.alive()
    assert kafka.child is not None
    assert kafka.child.alive()


def test_while_it_runs_a_private_file_says_where_everything_is(bare: Platform) -> None:
    assert read_addresses(bare.places) == bare.addresses
    assert stat.S_IMODE(bare.places.platform.stat().st_mode) == 0o600
    assert stat.S_IMODE(bare.places.secrets.stat().st_mode) == 0o600


def test_afterwards_the_file_is_gone_and_nobody_holds_the_folder(given: None, tmp_path: Path) -> None:
    places = Places(tmp_path)
    with Platform(places, programs=()):
        assert holder(places) is not None
    assert holder(places) is None
    with pytest.raises(PlatformError, match="make up"):
        read_addresses(places)


def test_a_second_one_in_the_same_folder_is_refused(bare: Platform) -> None:
    with pytest.raises(PlatformError, match=r"already running.*make down"), Platform(bare.places, programs=()):
        pass


def test_two_folders_run_side_by_side_with_ports_and_secrets_of_their_own(bare: Platform, tmp_path: Path) -> None:
    with Platform(Places(tmp_path / "other"), programs=()) as other:
        assert other.surroundings.secrets != bare.surroundings.secrets
        assert not set(other.surroundings.ports.values()) & set(bare.surroundings.ports.values())


def test_a_service_that_does_not_come_up_is_told_with_its_log_and_all_is_stopped(given: None, tmp_path: Path) -> None:
    places = Places(tmp_path)
    with (
        pytest.raises(PlatformError, match=r"gateway ended while it was starting(?s:.*)there_is_no_such_service"),
        Platform(places, programs=[ABSENT]),
    ):
        pass
    assert recorded(places) == []
    assert holder(places) is None
    assert not places.platform.exists()


def test_secrets_stay_the_same_from_start_to_start(given: None, tmp_path: Path) -> None:
    with Platform(Places(tmp_path), programs=()) as first:
        before = first.surroundings.secrets
    with Platform(Places(tmp_path), programs=()) as second:
        assert second.surroundings.secrets == before


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "127.0.0.1:http"])
def test_a_broker_that_is_given_and_does_not_answer_is_named(
    given: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setenv("RECOUP_KAFKA", address)
    with pytest.raises(PlatformError, match=f"does not answer at {address}"), Platform(Places(tmp_path), programs=()):
        pass


def test_a_database_server_that_is_given_and_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECOUP_POSTGRES_URL", "postgresql://someone:swordfish@127.0.0.1:1/postgres")
    with (
        pytest.raises(PlatformError, match="RECOUP_POSTGRES_URL") as raised,
        Platform(Places(tmp_path), programs=()),
    ):
        pass
    assert "swordfish" not in str(raised.value)


def test_an_old_database_server_is_refused(given: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform_module, "POSTGRES_VERSION_MIN", 990000)
    with pytest.raises(PlatformError, match="PostgreSQL 99 or later"), Platform(Places(tmp_path), programs=()):
        pass


def test_only_the_keeper_of_the_vault_is_told_its_key(bare: Platform) -> None:
    keeper = Program("accounts", ["services.accounts"], [], "", holds_people=True)
    stranger = Program("audit", ["services.audit"], [], "")
    databases = {service: Database(service, service, "", "", "", "") for service in ("accounts", "audit")}
    around = replace(bare.surroundings, databases=databases)
    told = {program.service: environment_of(program, around) for program in (keeper, stranger)}
    assert told["accounts"]["RECOUP_VAULT_KEY"] == around.secrets.vault_key
    assert "RECOUP_VAULT_KEY" not in told["audit"]
    assert around.secrets.vault_key not in json.dumps(told["audit"])
    assert around.secrets.database_key not in json.dumps(told)


def test_addresses_name_the_rest_interface_and_each_services_grpc() -> None:
    ports = {"accounts": {"grpc": 7, "metrics": 8}, "gateway": {"http": 9}}
    addresses = Addresses("postgresql://", "127.0.0.1:1", ports, "secrets.json")
    assert addresses.http == "http://127.0.0.1:9"
    assert addresses.grpc("accounts") == "127.0.0.1:7"
