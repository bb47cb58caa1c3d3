"""Who the person at this machine is to the running platform: its operator, by the secrets of this checkout."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import typer

from deploy.local.databases import roles_of
from deploy.local.places import HOME, HOME_VARIABLE, Places
from deploy.local.platform import Addresses, read_addresses
from deploy.local.secrets import Secrets, kept_secrets
from kernel.dial import Peer, Tokens
from kernel.tenancy import Caller

AGENCY: Final = UUID("5b7c1f52-92f4-5c1e-8d57-0f6f1f6a9a01")
"""The one agency of a local platform, unless another is named."""
OPERATOR: Final = "operator"
SCOPES: Final = frozenset({"clients:write", "accounts:read", "persons:read", "persons:write", "audit:read"})

Agency = Annotated[UUID, typer.Option("--agency", envvar="RECOUP_AGENCY", help="The agency's id.")]
"""An option of every command that concerns one agency."""


@dataclass(frozen=True, slots=True)
class Session:
    """The running platform, and the operator's credential for it."""

    addresses: Addresses
    secrets: Secrets
    caller: Caller

    @asynccontextmanager
    async def peer(self, service: str) -> AsyncIterator[Peer]:
        """A service of the platform, for as long as the context lasts."""
        peer = Peer(self.addresses.grpc(service), Tokens(self.secrets.token_secret.encode()))
        try:
            yield peer
        finally:
            await peer.close()

    def database_url(self, service: str) -> str:
        """The service's database, as its processes reach it."""
        _migrator, role, _reader = roles_of(service)
        parts = urlsplit(self.addresses.postgres)
        host = parts.netloc.rpartition("@")[2]
        location = f"{quote(role)}:{self.secrets.password(role)}@{host}"
        return urlunsplit(parts._replace(netloc=location, path=f"/recoup_{service}"))


def open_session(agency: UUID) -> Session:
    """The session of this checkout's operator; PlatformError when no platform runs here."""
    places = Places(Path(os.environ.get(HOME_VARIABLE, HOME)).resolve())
    addresses = read_addresses(places)
    caller = Caller(agency, None, OPERATOR, f"operator:{OPERATOR}", SCOPES)
    return Session(addresses, kept_secrets(places.secrets), caller)
