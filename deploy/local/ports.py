"""Free ports on the loopback address, remembered so that a restart is found where it was.

They lie below the range from which the system takes the near ends of connections. Within it, a server that is away for
a moment may find its port taken by a connection, even by one that a waiting client made to itself.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
PORT_MIN: Final = 10_240
EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


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
        with socket.create_connection((host, port), timeout=1) as connection:
            # A connection that reached itself has met nobody.
            return bool(connection.getsockname() != connection.getpeername())
    except OSError:
        return False


def _free(taken: Iterable[int]) -> int:
    candidates = range(PORT_MIN, int(EPHEMERAL.read_text().split()[0]))
    return next(port for port in random.sample(candidates, len(candidates)) if port not in taken and is_free(port))
