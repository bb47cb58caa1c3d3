"""Only a simulated process takes an instant from a caller, and it never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kernel.clock import ClockError, RealClock, SimulatedClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_real_clock_takes_no_instant() -> None:
    with pytest.raises(ClockError, match="keeps real time"):
        RealClock().advance_to(NOON)


def test_a_simulated_clock_stands_until_it_is_moved() -> None:
    clock = SimulatedClock(NOON)
    assert clock.now() == clock.now() == NOON
    clock.advance_to(NOON + timedelta(days=1))
    assert clock.now() == NOON + timedelta(days=1)


def test_a_simulated_clock_never_goes_back() -> None:
    clock = SimulatedClock(NOON)
    clock.advance_to(NOON)
    with pytest.raises(ClockError, match="never goes back"):
        clock.advance_to(NOON - timedelta(microseconds=1))


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ClockError, match="no time zone"):
        SimulatedClock(NOON).advance_to(datetime(2026, 3, 3))  # noqa: DTZ001 - that is the fault.


def test_instants_are_kept_in_utc() -> None:
    clock = SimulatedClock(NOON.astimezone(timezone(timedelta(hours=5))))
    assert clock.now().tzinfo is UTC
