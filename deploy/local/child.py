"""Programs that we start in the background: each with a log file, a pid file, a readiness test and an orderly end.

A program is known by its pid *and* the moment it started, so a pid that was given to a stranger is never stopped. It
gets a session of its own (Ctrl-C reaches only us, and we stop it in order) and is told to end when the thread that
started it ends, so start programs from a thread that lives as long as they should.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from deploy.local.places import Places

STOP_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.05
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
TAIL_LINES: Final = 25
TAIL_BYTES_MAX: Final = 64 * 1024


class PlatformError(Exception):
    """The platform cannot do what was asked; the text says why and, where there is a way, how to mend it."""


@dataclass(frozen=True, slots=True)
class Child:
    """A program that was started, maybe by another run of ours; `started` is its start in clock ticks since boot."""

    name: str
    pid: int
    started: int
    stop_signal: int
    log: Path
    log_begin: int
    """Where in the log, in bytes, this run of the program begins."""
    pid_file: Path

    def alive(self) -> bool:
        """Whether exactly this program still runs."""
        _reap(self.pid)
        return _start_of(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.alive():
            os.kill(self.pid, number)

    def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """Ask it to end, kill it when it has not after `seconds_max`, and forget its pid file."""
        stop_together([self], seconds_max)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it has ended; its pid file stays, as it would then."""
        self.signal(signal.SIGKILL)
        _until(lambda: not self.alive(), STOP_SECONDS_MAX)

    def await_ready(self, ready: Callable[[], bool], seconds_max: float) -> None:
        """Return when `ready()`. One that ends first or takes too long is stopped: PlatformError with its log's end."""
        came_up = False
        try:
            came_up = _until(lambda: not self.alive() or ready(), seconds_max) and self.alive()
            problem = f"was not ready after {seconds_max:.0f} s" if self.alive() else "ended while it was starting"
        finally:
            if not came_up:
                self.stop()
        if not came_up:
            message = f"{self.name} {problem}. The end of {self.log}:\n{tail(self.log)}"
            raise PlatformError(message)


def start(
    name: str,
    command: Sequence[str],
    *,
    places: Places,
    environment: Mapping[str, str],
    user: Sequence[str] = (),
    stop_signal: int = signal.SIGTERM,
) -> Child:
    """Start a program in the background. `user` holds setpriv's options for another user, when it is not ours."""
    places.run.mkdir(parents=True, exist_ok=True)
    log = _log_of(name, places)
    log_begin = log.stat().st_size if log.exists() else 0
    launcher = ["setpriv", *user, "--pdeathsig", signal.Signals(stop_signal).name.removeprefix("SIG"), "--"]
    with log.open("ab") as output:
        opened = subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it.
            [*launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    # From here the pid file and /proc tell about it; without this, Python would warn of a program left running.
    opened.returncode = 0
    started = _start_of(opened.pid)
    child = Child(name, opened.pid, started or 0, stop_signal, log, log_begin, places.run / f"{name}.json")
    record = {field: value for field, value in asdict(child).items() if field not in ("name", "pid_file")}
    child.pid_file.write_text(json.dumps(record | {"log": str(log)}) + "\n")
    return child


def stop_together(children: Sequence[Child], seconds_max: float = STOP_SECONDS_MAX) -> None:
    """Ask all of them to end at once; each that has not after `seconds_max` is killed. Their pid files go."""
    for child in children:
        child.signal(child.stop_signal)
    _until(lambda: not any(child.alive() for child in children), seconds_max)
    for child in children:
        child.signal(signal.SIGKILL)
    _until(lambda: not any(child.alive() for child in children), seconds_max)
    for child in children:
        child.pid_file.unlink(missing_ok=True)


def recorded(places: Places) -> list[Child]:
    """The programs whose pid files are in `places`, running or not, the latest started first."""
    children = [_read(pid_file) for pid_file in places.run.glob("*.json")]
    return sorted(children, key=lambda child: child.started, reverse=True)


def tail(log: Path, lines_max: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    if not log.exists():
        return "    (no log was written)"
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL_BYTES_MAX))
        lines = stream.read().decode(errors="replace").splitlines()[-lines_max:]
    return "\n".join(f"    {line}" for line in lines)


def _log_of(name: str, places: Places) -> Path:
    """The log to append to; a long one is set aside first, and the one set aside before it is dropped."""
    places.logs.mkdir(parents=True, exist_ok=True)
    log = places.logs / f"{name}.log"
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    return log


def _read(pid_file: Path) -> Child:
    record = json.loads(pid_file.read_text())
    return Child(name=pid_file.stem, pid_file=pid_file, **(record | {"log": Path(record["log"])}))


def _start_of(pid: int) -> int | None:
    """When the program started, None when it has ended: fields 22 and 3 of /proc/PID/stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Z: ended, not yet waited for. A killed program's first thread may say so while others still hold its ports.
    ended = fields[0] in "ZX" and threads <= 1
    return None if ended else int(fields[19])


def _reap(pid: int) -> None:
    """Let the kernel forget an ended child of ours; one that another run started is not ours to wait for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _until(true: Callable[[], bool], seconds_max: float) -> bool:
    deadline = time.monotonic() + seconds_max
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
