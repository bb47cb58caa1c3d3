"""What one field may hold, where placements and holds do not show it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.accounts.domain.fields import instant_of

INSTANT = datetime(2026, 3, 2, 15, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-02T15:04:05Z", INSTANT),
        ("2026-03-02t15:04:05z", INSTANT),
        ("2026-03-02T16:04:05+01:00", INSTANT),
        ("2026-03-02T10:04:05.5-05:00", INSTANT.replace(microsecond=500_000)),
        ("2026-03-02T15:04:05.123456789Z", INSTANT.replace(microsecond=123_456)),
    ],
)
def test_an_instant_is_read_as_rfc_3339_says(text: str, instant: datetime) -> None:
    assert instant_of(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-W10-1T15:04:05Z",
        "20260302T150405Z",
        "2026-03-02T15:04Z",
        "2026-03-02T15Z",
        "2026-03-02 15:04:05Z",
        "2026-03-02T15:04:05,5Z",
        "2026-03-02T15:04:05+0100",
        "2026-03-02T15:04:05+01",
        "2026-03-02T15:04:05+01:00:30",
        "2026-03-02T15:04:05",
        "2026-03-02",
        "2026-02-30T15:04:05Z",
        "2026-03-02T24:04:05Z",
        "2026-03-02T15:04:05+24:00",
        "\u0662026-03-02T15:04:05Z",
        "",
    ],
)
def test_any_other_form_is_no_instant(text: str) -> None:
    assert instant_of(text) is None
