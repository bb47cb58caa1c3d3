"""`recoup key` and `recoup client`, on a running platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

from cli import session
from cli.main import app
from deploy.local.child import PlatformError
from deploy.local.places import HOME_VARIABLE
from deploy.local.platform import Addresses
from tests.gateway.world import NORTH, World, keyed, placement


@pytest.fixture
def recoup(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """The command on the platform of these tests: its addresses and secrets, its databases under their own names."""
    around = world.surroundings
    services = {"accounts": {"grpc": around.ports["accounts.grpc"]}, "gateway": {"http": around.ports["gateway.http"]}}
    addresses = Addresses(around.databases["gateway"].admin_url, "", services, str(around.places.secrets))
    around.places.secrets.write_text(json.dumps(asdict(around.secrets)))
    around.places.platform.write_text(json.dumps(asdict(replace(addresses))))
    monkeypatch.setenv(HOME_VARIABLE, str(around.places.home))
    monkeypatch.setattr(session.Session, "database_url", lambda _self, service: around.databases[service].url)
    monkeypatch.setenv("RECOUP_AGENCY", str(NORTH))
    yield CliRunner()
    around.places.platform.unlink()


def told(recoup: CliRunner, *words: str) -> str:
    result = recoup.invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_client_is_registered_and_gets_a_key_that_works(recoup: CliRunner, world: World) -> None:
    told(recoup, "client", "register", "third-bank", "--name", "Third Bank", "--allocation", "proportional")
    told(recoup, "client", "portfolio", "third-bank", "cards")
    shown = json.loads(told(recoup, "client", "show", "third-bank"))
    assert shown["portfolios"] == [{"portfolio_id": "cards", "name": "cards"}]
    assert shown["contract"]["allocation_policy"] == "ALLOCATION_POLICY_PROPORTIONAL"
    key = told(recoup, "key", "create", "--client", "third-bank", "--name", "nightly").strip()
    with world.http(key) as http:
        assert http.post("/v1/placements", json=placement(), headers=keyed()).status_code == 201
    key_id = key.split("_")[2]
    listed = told(recoup, "key", "list")
    assert key_id[:8] in listed.replace("\n", "")
    assert key.rpartition("_")[2] not in listed
    assert "is revoked" in told(recoup, "key", "revoke", key_id)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["key", "create", "--client", "a", "--scope", "everything"], "everything"),
        (["key", "revoke", "abcdefghijkl"], "abcdefghijkl"),
        (["client", "register", "x", "--name", "X", "--kind", "friend"], "debt_buyer"),
        (["client", "register", "first-bank", "--name", "X"], "registered"),
        (["client", "portfolio", "nobody", "cards"], ""),
        (["client", "show", "nobody"], ""),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(recoup: CliRunner, words: list[str], named: str) -> None:
    result = recoup.invoke(app, words)
    assert isinstance(result.exception, PlatformError), result.output
    assert named in str(result.exception)
    assert "\n" not in str(result.exception)
