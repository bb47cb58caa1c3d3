"""The one clock of a process: real, or simulated and moved by callers only. Leases use the database's clock instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, Final

SIMULATION_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where a simulated clock stands before anybody has moved it and while the log is empty."""


class ClockError(ValueError):
    """An instant that this clock cannot take; the text says why."""


class RealClock:
    """The machine's clock. It takes an instant from nobody."""

    simulated: ClassVar[bool] = False

    def now(self) -> datetime:
        """The present instant, in UTC."""
        return datetime.now(UTC)

    def advance_to(self, instant: datetime) -> None:
        """Always refused: only a process started as simulated may be told what time it is."""
        message = f"this process keeps real time and does not take the instant {instant.isoformat()} from a caller"
        raise ClockError(message)


class SimulatedClock:
    """One instant, which stands still until it is moved, and never moves back."""

    simulated: ClassVar[bool] = True

    def __init__(self, instant: datetime = SIMULATION_START) -> None:
        """`instant` is where the simulation stands: after a restart, the last recorded instant of the log."""
        self._instant = _utc(instant)

    def now(self) -> datetime:
        """The simulated instant, in UTC."""
        return self._instant

    def advance_to(self, instant: datetime) -> None:
        """Move to `instant`; the present instant again is accepted, an earlier one is a ClockError."""
        target = _utc(instant)
        if target < self._instant:
            stands, wanted = self._instant.isoformat(), target.isoformat()
            message = f"the simulated clock stands at {stands} and never goes back to {wanted}"
            raise ClockError(message)
        self._instant = target


Clock = RealClock | SimulatedClock


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        message = f"the instant {instant.isoformat()} names no time zone"
        raise ClockError(message)
    return instant.astimezone(UTC)
