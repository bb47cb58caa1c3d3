"""A running accounts service for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.local.databases import Database
from tests.accounts.world import World, world_of


@pytest.fixture
async def world(database: Callable[..., Database], tmp_path: Path) -> AsyncIterator[World]:
    """The api over gRPC on a fresh database."""
    async with world_of(database("accounts"), tmp_path) as running:
        yield running
