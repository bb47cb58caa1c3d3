"""A program that we start is known exactly, told to end in order, and never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.child import Child, PlatformError, recorded, start, stop_together
from deploy.local.places import Places

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def own(tmp_path: Path) -> Places:
    return Places(tmp_path)


def _started(source: str, own: Places, name: str = "program") -> Child:
    child = start(name, [sys.executable, "-c", source], places=own, environment=os.environ)
    child.await_ready(lambda: "up" in child.log.read_text(), 10)
    return child


def test_a_program_that_was_started_ends_when_asked_and_its_pid_file_goes(own: Places) -> None:
    child = _started(OBEDIENT, own)
    assert recorded(own) == [child]
    child.stop()
    assert not child.alive()
    assert recorded(own) == []


def test_one_that_ignores_the_signal_is_killed_after_the_time_it_had(own: Places) -> None:
    child = _started(STUBBORN, own)
    child.stop(seconds_max=0.3)
    assert not child.alive()


def test_a_pid_that_was_given_to_a_stranger_is_left_alone(own: Places) -> None:
    stranger = _started(OBEDIENT, own)
    mistaken = replace(stranger, started=stranger.started - 1)
    assert not mistaken.alive()
    mistaken.stop()
    assert stranger.alive()
    stranger.stop()


def test_several_end_at_the_same_time(own: Places) -> None:
    slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit()))\n"
    children = [_started(slow + OBEDIENT, own, f"program-{number}") for number in range(4)]
    began = time.monotonic()
    stop_together(children)
    assert time.monotonic() - began < 1.5
    assert not any(child.alive() for child in children)


def test_a_program_that_ends_while_starting_is_told_with_the_end_of_its_log(own: Places) -> None:
    child = start("broken", [sys.executable, "-c", "raise SystemExit('no such table')"], places=own, environment={})
    with pytest.raises(PlatformError, match=r"broken ended while it was starting(?s:.*)no such table"):
        child.await_ready(lambda: False, 10)


def test_a_program_that_is_never_ready_is_told_with_the_end_of_its_log(own: Places) -> None:
    child = _started("print('up, and waiting', flush=True); import time; time.sleep(60)", own, "slow")
    with pytest.raises(PlatformError, match=r"slow was not ready after 0 s(?s:.*)up, and waiting"):
        child.await_ready(lambda: False, 0.2)
    assert not child.alive()


def test_what_was_started_ends_when_whoever_started_it_is_killed(own: Places) -> None:
    starter = (
        "import os, sys, time; from pathlib import Path; from deploy.local.child import start; "
        "from deploy.local.places import Places; "
        f"command = [sys.executable, '-c', {OBEDIENT!r}]; "
        "start('orphan', command, places=Places(Path(sys.argv[1])), environment=os.environ); "
        "print('started', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", starter, str(own.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        (orphan,) = recorded(own)
        assert orphan.alive()
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while orphan.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not orphan.alive()


def test_a_long_log_is_set_aside_at_the_next_start(own: Places) -> None:
    own.logs.mkdir()
    log = own.logs / "program.log"
    log.write_bytes(b"x" * (16 * 1024 * 1024 + 1))
    child = _started(OBEDIENT, own)
    child.stop()
    assert log.read_text() == "up\n"
    assert log.with_suffix(".log.1").stat().st_size == 16 * 1024 * 1024 + 1
