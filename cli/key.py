"""`recoup key create | list | revoke`: the API keys of creditors, on this machine's platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from cli.session import AGENCY, Agency, open_session
from deploy.local.child import PlatformError
from services.gateway.keys import SCOPES, create_key, list_keys, revoke_key

app = typer.Typer(name="key", help="The API keys of creditors.", no_args_is_help=True)

Clients = Annotated[list[str], typer.Option("--client", help="A client that the key speaks for; may be repeated.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What the key may do; everything when absent.")]
Days = Annotated[int | None, typer.Option("--days", min=1, help="How long the key lives; for ever when absent.")]


@app.command()
def create(
    client: Clients,
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "key",
    scope: Scopes = None,
    days: Days = None,
    live: Annotated[bool, typer.Option("--live", help="A key for live data instead of test data.")] = False,  # noqa: FBT002
    agency: Agency = AGENCY,
) -> None:
    """Make a key and show it, this once."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    try:
        with psycopg.connect(open_session(agency).database_url("gateway")) as connection:
            text = create_key(
                connection,
                tenant=agency,
                environment="live" if live else "test",
                name=name,
                clients=client,
                scopes=scope or SCOPES,
                expires_at=expires_at,
            )
    except ValueError as error:
        message = f"{error}. Scopes are: {', '.join(SCOPES)}"
        raise PlatformError(message) from None
    typer.echo(text)


@app.command("list")
def list_(agency: Agency = AGENCY) -> None:
    """List the agency's keys, without their secrets."""
    with psycopg.connect(open_session(agency).database_url("gateway")) as connection:
        keys = list_keys(connection, agency)
    table = Table("id", "environment", "name", "clients", "scopes", "expires", "revoked")
    for key in keys:
        table.add_row(
            key.key_id,
            key.environment,
            key.name,
            ", ".join(key.clients),
            ", ".join(key.scopes),
            _day(key.expires_at),
            _day(key.revoked_at),
        )
    Console().print(table)


@app.command()
def revoke(key_id: str, agency: Agency = AGENCY) -> None:
    """Revoke a key by its id. The gateway forgets it within five seconds."""
    with psycopg.connect(open_session(agency).database_url("gateway")) as connection:
        if not revoke_key(connection, agency, key_id):
            message = f"The agency has no key {key_id} that is not revoked yet."
            raise PlatformError(message)
    typer.echo(f"{key_id} is revoked.")


def _day(instant: datetime | None) -> str:
    return "" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
