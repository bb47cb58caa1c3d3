"""Free ports on the loopback address, remembered so that a restart is found where it was."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"


def choose(names: Iterable[str], memory: Path) -> dict[str, int]:
    """A free port for each name: the one of the last start when it is still free, else a new one."""
    before = remembered(memory)
    chosen: dict[str, int] = {}
    for name in names:
        port = before.get(name)
        chosen[name] = port if port and is_free(port) and port not in chosen.values() else _free(chosen.values())
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(before | chosen, indent=2) + "\n")
    return chosen


def remembered(memory: Path) -> dict[str, int]:
    """The ports of the last start by name."""
    return dict(json.loads(memory.read_text())) if memory.exists() else {}


def is_free(port: int) -> bool:
    """Whether we could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody listens on the port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _free(taken: Iterable[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
