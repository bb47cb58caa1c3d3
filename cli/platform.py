"""`recoup setup | up | down | reset | doctor`: the local platform of this checkout."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from deploy.local import setup as set_up_module
from deploy.local.child import PlatformError, recorded, stop_together, tail
from deploy.local.doctor import examine
from deploy.local.follow import follow
from deploy.local.places import HOME, HOME_VARIABLE, KAFKA_LIBS, Places
from deploy.local.platform import Platform, holder

DOWN_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.1

Home = Annotated[
    Path,
    typer.Option(
        "--home", envvar=HOME_VARIABLE, resolve_path=True, help="The folder of the platform's data, logs and pid files."
    ),
]


def setup() -> None:
    """Renew .venv, the generated contracts and Kafka's jars where they are not as they should be."""
    set_up_module.set_up()


def up(home: Home = HOME) -> None:
    """Run everything in the foreground with merged logs; Ctrl-C stops all of it."""
    signal.signal(signal.SIGTERM, _interrupt)
    ended: list[str] = []
    try:
        with Platform(Places(home), say=_say) as platform:
            _say(f"the REST interface is at {platform.addresses.http}; {platform.places.platform} says the rest")
            _say("Ctrl-C stops everything")
            follow(platform.children)
            ended = [
                f"{child.name} ended. The end of {child.log}:\n{tail(child.log)}"
                for child in platform.children
                if not child.alive()
            ]
            _say("stopping")
    except KeyboardInterrupt:
        _say("stopped while it was starting")
        raise typer.Exit(130) from None
    if ended:
        raise PlatformError("\n".join(ended))
    _say("stopped")


def down(home: Home = HOME) -> None:
    """Stop what `recoup up` of this folder started, and nothing else."""
    places = Places(home)
    running = holder(places)
    if running:
        os.kill(running, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_SECONDS_MAX
        while holder(places) == running and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if running and holder(places) == running:
        message = f"The command that runs it (pid {running}) has not ended after {DOWN_SECONDS_MAX:.0f} s."
        raise PlatformError(message)
    left = recorded(places)
    stop_together(left)
    _say("stopped" if running or left else "nothing was running")


def reset(home: Home = HOME) -> None:
    """Stop it and delete its databases, topics, logs, secrets and reports; Kafka's jars stay."""
    places = Places(home)
    if home.exists() and home != HOME and not places.ports.exists():
        message = f"{home} is not the folder of a platform; nothing was deleted."
        raise PlatformError(message)
    down(home)
    for each in home.iterdir() if home.exists() else ():
        if each == KAFKA_LIBS.parent:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
    _say(f"{home} is empty")


def doctor(home: Home = HOME) -> None:
    """Tell what is right and what is wrong, and for each thing that is wrong how to mend it."""
    console = Console()
    findings = examine(Places(home))
    for finding in findings:
        mark = {True: "[green]ok[/]   ", False: "[red]wrong[/]", None: "[yellow]?[/]    "}[finding.ok]
        console.print(f"{mark} {escape(finding.what)}", highlight=False, soft_wrap=True)
        if finding.ok is False:
            console.print(f"      → {escape(finding.mend)}", highlight=False, soft_wrap=True)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stdout.write(f"recoup: {line}\n")
    sys.stdout.flush()
