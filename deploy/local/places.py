"""Where this checkout keeps what it runs: one folder, so that two checkouts never meet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout."""
HOME: Final = ROOT / ".recoup"
HOME_VARIABLE: Final = "RECOUP_HOME"
"""Names another folder for the command `recoup`, for example that of the demo."""
KAFKA_LIBS: Final = HOME / "kafka" / "libs"
"""Kafka's jars, as Maven copied them. They are tools, not data: a reset keeps them."""
TOPICS: Final = ROOT / "deploy" / "topics.yaml"


@dataclass(frozen=True, slots=True)
class Places:
    """The files and folders of one running platform."""

    home: Path = HOME

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data folder; its owner is the user that the server runs as."""
        return self.home / "data" / "postgres"

    @property
    def kafka(self) -> Path:
        """The broker's log folder and settings."""
        return self.home / "data" / "kafka"

    @property
    def logs(self) -> Path:
        """One text file for each process."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """One pid file for each process."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        """Random secrets of this platform, readable by its owner only."""
        return self.home / "secrets.json"

    @property
    def ports(self) -> Path:
        """The ports that were free at the first start; they are taken again while they are still free."""
        return self.home / "ports.json"

    @property
    def platform(self) -> Path:
        """Where everything listens, for whoever wants to talk to the running platform."""
        return self.home / "platform.json"

    @property
    def lock(self) -> Path:
        """Held by the one command that runs this platform."""
        return self.home / "lock"
