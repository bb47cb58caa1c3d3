"""A platform without services on the run's own servers, given to it as an operator would give them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import Broker
from deploy.local.places import Places
from deploy.local.platform import Platform
from deploy.local.postgres import Server


@pytest.fixture
def given(postgres: Server, kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that makes a platform use the run's servers."""
    monkeypatch.setenv("RECOUP_POSTGRES_URL", postgres.url)
    monkeypatch.setenv("RECOUP_KAFKA", kafka.address)


@pytest.fixture
def bare(given: None, tmp_path: Path) -> Iterator[Platform]:
    """A running platform without services."""
    with Platform(Places(tmp_path / "home"), programs=()) as platform:
        yield platform
