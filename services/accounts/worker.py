"""What accounts hears: its own facts, because a hold on one account reaches a person's others by way of the person."""

from __future__ import annotations

from typing import Final

HEARS: Final = ("accounts",)
