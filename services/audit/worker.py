"""What audit hears: every service's whole log, from its beginning, kept and never reacted to."""

from __future__ import annotations

from typing import Final

from kernel.apply import Effects
from kernel.main import Context
from services.audit.recorder import Recorder

HEARS: Final = ("accounts",)
"""The services whose logs are kept; a new service is added here and to the domain's facts."""


def effects(_context: Context, source: str) -> Effects:
    """Keep what is heard of a source."""
    return Effects(project=Recorder(source))
