"""The command `recoup`. Every group of commands is one module of this folder, named in the list below."""

from __future__ import annotations

import sys

import typer

from cli import audit, client, key, parked, platform
from cli.rebuild import rebuild
from deploy.local.child import PlatformError

app = typer.Typer(
    name="recoup",
    help="Run the local platform, and look at what the services recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

for command in (platform.setup, platform.up, platform.down, platform.reset, platform.doctor, rebuild):
    app.command()(command)
for group in (audit.app, client.app, key.app, parked.app):
    app.add_typer(group)


def main() -> int:
    """Run the command line; what is wrong with the platform is told in a sentence, without a trace."""
    try:
        app()
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
