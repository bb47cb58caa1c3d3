"""The logs of everything that runs, merged on the terminal, each line with its program's name."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence

from honcho.manager import Manager
from honcho.printer import Message, Printer

from deploy.local.child import Child


class _Lines(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints what the programs say, and not what honcho says of the `tail`s that read it."""

    def write(self, message: Message) -> None:
        if message.name != "system":
            super().write(message)


def follow(children: Sequence[Child]) -> None:
    """Print what the programs log, from their start on, until one of them ends or we are asked to (Ctrl-C, SIGTERM).

    Afterwards SIGINT and SIGTERM stay answered and do nothing: whoever called stops everything in order.
    """
    # A program that has ended is not gone for `tail` before it was waited for; `alive` does that.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: _wait_for_ended(children))
    _wait_for_ended(children)
    merged = Manager(_Lines(sys.stdout))
    for child in children:
        begin = str(child.log_begin + 1)
        command = ["tail", "-c", f"+{begin}", "-F", f"--pid={child.pid}", str(child.log)]
        merged.add_process(child.name, shlex.join(command) + " 2>/dev/null")
    merged.loop()


def _wait_for_ended(children: Sequence[Child]) -> None:
    for child in children:
        child.alive()
