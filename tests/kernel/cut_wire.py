"""A wire to PostgreSQL that is cut around a COMMIT: before it arrives, after it has, or while it is held up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Cut = Literal["before", "after", "late"]

HELD_SECONDS = 0.7


class Wire:
    """Listens on a port of its own and passes bytes on, until it is told to cut at the next COMMIT."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port is not None
        self._server = ("127.0.0.1", parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = urlunsplit(
            parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{self._listener.getsockname()[1]}")
        )
        self.cut: Cut | None = None
        self.cuts = 0
        self.refusing = False
        self._swallowing = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                if self.refusing:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for source, target, look in ((client, server, self._upward), (server, client, self._downward)):
                    threading.Thread(target=self._pass, args=(source, target, look), daemon=True).start()

    def _pass(
        self, source: socket.socket, target: socket.socket, look: Callable[[bytes, socket.socket, socket.socket], bool]
    ) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if look(chunk, source, target):
                    return
                target.sendall(chunk)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _downward(self, _chunk: bytes, _server: socket.socket, _client: socket.socket) -> bool:
        """Whether the reply is lost."""
        return self._swallowing

    def _upward(self, chunk: bytes, client: socket.socket, server: socket.socket) -> bool:
        """Whether this chunk ended the connection."""
        if self.cut is None or b"COMMIT" not in chunk:
            return False
        cut, self.cut = self.cut, None
        self.cuts += 1
        chunk += _rest(client)
        if cut == "after":
            self._swallowing = True
            server.sendall(chunk)
            time.sleep(HELD_SECONDS)
            self._swallowing = False
        client.shutdown(socket.SHUT_RDWR)
        if cut == "late":
            time.sleep(HELD_SECONDS)
            server.sendall(chunk)
            time.sleep(HELD_SECONDS)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        return True


def _rest(client: socket.socket) -> bytes:
    """What the client still sends with its COMMIT."""
    client.settimeout(0.1)
    rest = b""
    with suppress(TimeoutError):
        while more := client.recv(65536):
            rest += more
    return rest


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    made = Wire(url)
    yield made
    made.close()
