"""`python -m demo [PORTFOLIO]`: the main job, from a platform that starts to a report; what it started it stops.

Ends with 0 when every check holds, 1 when one fails or the run breaks, 2 when the portfolio cannot be read, 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from demo.agency import SetUpFailed
from demo.generated import ACCOUNTS_DEFAULT
from demo.job import NothingPlaced
from demo.rebuilding import RebuildFailed
from demo.rest import ApiFailed
from demo.run import Settings, run
from demo.settling import NotSettled
from demo.unreadable import UnreadableFile
from deploy.local.child import PlatformError
from deploy.local.places import HOME
from kernel.dial import CallFailed

SEED: Final = 20_261_124
ACCOUNTS_MAX: Final = 100_000
BROKEN: Final = 1
UNREADABLE: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the job; returns the exit status."""
    given = _parser().parse_args(arguments)
    settings = Settings(
        home=given.home.resolve(),
        seed=given.seed,
        today=datetime.now(UTC).date(),
        accounts=given.accounts,
        file=given.portfolio,
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(settings, Console(highlight=False))
    except UnreadableFile as unreadable:
        return _ended(str(unreadable), UNREADABLE)
    except ExceptionGroup as group:
        return _ended("; ".join(dict.fromkeys(_told(group))), BROKEN)
    except (PlatformError, SetUpFailed, NothingPlaced, ApiFailed, CallFailed, NotSettled, RebuildFailed) as error:
        return _ended(str(error), BROKEN)
    except KeyboardInterrupt:
        return _ended("interrupted; everything that was started is stopped", INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Play a portfolio from placement to audit on a platform of its own, and check the result.",
    )
    parser.add_argument(
        "portfolio",
        nargs="?",
        type=Path,
        help="placement CSV or a Metro 2 furnisher file; without one a portfolio is generated",
    )
    parser.add_argument("--accounts", type=_count, default=ACCOUNTS_DEFAULT, help="how many lines to generate")
    parser.add_argument("--seed", type=int, default=SEED, help="chooses everything that is left to chance")
    parser.add_argument("--home", type=Path, default=HOME / "demo", help="the folder of data, logs and report")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ACCOUNTS_MAX:
        message = f"must be 1 to {ACCOUNTS_MAX}, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _told(group: ExceptionGroup[Exception]) -> list[str]:
    """What the known errors of a group say; any other one is a defect, and is raised with all it carries."""
    known, unknown = group.split((ApiFailed, CallFailed))
    if unknown is not None:
        raise unknown
    assert known is not None
    return [str(error) for error in _leaves(known)]


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    return found


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ended(message: str, status: int) -> int:
    sys.stderr.write(f"{message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
