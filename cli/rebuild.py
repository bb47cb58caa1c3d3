"""`recoup rebuild`: a service's read tables made anew from its log, while it goes on answering."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from cli.platform import Home
from deploy.local.child import PlatformError
from deploy.local.databases import create_database
from deploy.local.places import HOME, Places
from deploy.local.platform import read_addresses
from deploy.local.programs import PROGRAMS, Surroundings, environment_of
from deploy.local.secrets import kept_secrets


def rebuild(
    service: Annotated[str, typer.Argument(help="The service whose tables are made anew, for example accounts.")],
    home: Home = HOME,
) -> None:
    """Make a service's read tables anew from its log; the running platform goes on meanwhile."""
    programs = {program.service: program for program in PROGRAMS}
    if service not in programs:
        message = f"There is no service {service}; there are {', '.join(programs)}."
        raise PlatformError(message)
    places = Places(home)
    addresses, secrets = read_addresses(places), kept_secrets(places.secrets)
    database = create_database(addresses.postgres, service, secrets)
    ports = {f"{name}.{kind}": port for name, kinds in addresses.services.items() for kind, port in kinds.items()}
    around = Surroundings(places, secrets, "real", addresses.kafka, {service: database}, ports)
    told = environment_of(programs[service], around) | {"RECOUP_MIGRATOR_URL": database.migrator_url}
    command = [sys.executable, "-P", "-m", f"services.{service}", "rebuild"]
    raise typer.Exit(subprocess.run(command, env=told, check=False).returncode)  # noqa: S603 - ours, without a shell.
