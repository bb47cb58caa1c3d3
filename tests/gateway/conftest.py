"""One gateway and one accounts service for all tests of this folder; tests tell accounts apart by their references."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from deploy.local.databases import Database
from deploy.local.places import Places
from deploy.local.secrets import Secrets
from tests.gateway.world import World, world_of


@pytest.fixture(scope="session")
def world(new_database: Callable[..., Database], places: Places, secrets: Secrets) -> Iterator[World]:
    """Both processes, with clients registered."""
    with world_of(new_database, places, secrets) as running:
        yield running


@pytest.fixture(scope="session")
def http(world: World) -> Iterator[httpx2.Client]:
    """A caller with a key of first-bank that may do everything."""
    with world.http() as client:
        yield client
