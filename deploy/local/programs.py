"""The services' processes of the local platform: how each is started, and when it is ready."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.local.child import Child, start
from deploy.local.databases import Database
from deploy.local.migrate import Clock
from deploy.local.places import Places
from deploy.local.ports import LOOPBACK
from deploy.local.secrets import Secrets

READY_SECONDS_MAX: Final = 60.0
"""What a service may take from its start to being ready, on a busy machine."""
QUESTION_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A service's process. `ports` are what it listens on; `ready_port` names the one that answers /health/ready."""

    service: str
    arguments: Sequence[str]
    ports: Sequence[str]
    ready_port: str
    holds_people: bool = False
    """Whether it is given the key of the vault."""

    def port_names(self) -> list[str]:
        """Its ports under the names that are unique on the platform."""
        return [f"{self.service}.{port}" for port in self.ports]


PROGRAMS: Final = (
    Program("accounts", ["services.accounts", "all"], ["grpc", "metrics"], "metrics", holds_people=True),
    Program("audit", ["services.audit", "all"], ["grpc", "metrics"], "metrics"),
    Program("gateway", ["services.gateway"], ["http"], "http"),
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a platform is told."""

    places: Places
    secrets: Secrets
    clock: Clock
    kafka: str
    databases: Mapping[str, Database]
    ports: Mapping[str, int]


def start_program(program: Program, around: Surroundings) -> Child:
    """Start a service's process; it is not ready when this returns."""
    # With -P the working folder, which is the root, is not where modules are looked for.
    command = [sys.executable, "-P", "-m", *program.arguments]
    return start(program.service, command, places=around.places, environment=environment_of(program, around))


def is_ready(program: Program, around: Surroundings) -> bool:
    """Whether the process says that it lacks nothing."""
    port = around.ports[f"{program.service}.{program.ready_port}"]
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health/ready", timeout=QUESTION_SECONDS_MAX):
            return True
    except (urllib.error.URLError, OSError):
        return False


def environment_of(program: Program, around: Surroundings) -> dict[str, str]:
    """All that the process is told; nothing of our own environment but where programs and temporary files are."""
    database, secrets = around.databases[program.service], around.secrets
    ports = {f"RECOUP_{port.upper()}_PORT": str(around.ports[f"{program.service}.{port}"]) for port in program.ports}
    told = {
        "RECOUP_DATABASE_URL": database.url,
        "RECOUP_READER_URL": database.reader_url,
        "RECOUP_KAFKA": around.kafka,
        "RECOUP_OWNERS": _owners(around.ports),
        "RECOUP_CLOCK": around.clock,
        "RECOUP_DATA": str(around.places.home / "data" / program.service),
        "RECOUP_TOKEN_SECRET": secrets.token_secret,
        "RECOUP_INPUT_KEY": secrets.input_key,
        "RECOUP_LOG": "text",
    }
    vault = {"RECOUP_VAULT_KEY": secrets.vault_key} if program.holds_people else {}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONUNBUFFERED": "1"} | told | vault | ports


def _owners(ports: Mapping[str, int]) -> str:
    grpc = {name.removesuffix(".grpc"): port for name, port in ports.items() if name.endswith(".grpc")}
    return ",".join(f"{service}={LOOPBACK}:{port}" for service, port in grpc.items())
