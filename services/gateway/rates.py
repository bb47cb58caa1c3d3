"""How many requests a key may make, and how many wrong keys an address may try."""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from services.gateway.problems import Code, Problem

WINDOW_SECONDS: Final = 10


class Rates:
    """Counts in windows of WINDOW_SECONDS, in the memory of this process."""

    def __init__(self, requests_per_second: int, failures_per_minute: int) -> None:
        """The limits, of one key and of one address."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._requests: RateLimitItem = RateLimitItemPerSecond(requests_per_second * WINDOW_SECONDS, WINDOW_SECONDS)
        self._failures: RateLimitItem = RateLimitItemPerMinute(failures_per_minute)

    def take(self, key_id: str) -> dict[str, str]:
        """Count one request of the key: the RateLimit headers of its response, or a Problem."""
        allowed = self._limiter.hit(self._requests, "key", key_id)
        stats = self._limiter.get_window_stats(self._requests, "key", key_id)
        seconds = _seconds_until(stats.reset_time)
        headers = {
            "RateLimit-Policy": f'"key";q={self._requests.amount};w={WINDOW_SECONDS}',
            "RateLimit": f'"key";r={stats.remaining};t={seconds}',
        }
        if not allowed:
            detail = f"The API key may make {self._requests.amount} requests in {WINDOW_SECONDS} seconds."
            raise Problem(Code.RATE_LIMITED, detail, retry_seconds=seconds, headers=headers)
        return headers

    def refuse_guessing(self, address: str) -> None:
        """A Problem when too many wrong keys came from this address within the minute."""
        if not self._limiter.test(self._failures, "failures", address):
            reset = self._limiter.get_window_stats(self._failures, "failures", address).reset_time
            detail = "Too many wrong API keys came from this address."
            raise Problem(Code.RATE_LIMITED, detail, retry_seconds=_seconds_until(reset))

    def failed(self, address: str) -> None:
        """Count one wrong key."""
        self._limiter.hit(self._failures, "failures", address)


def _seconds_until(reset: float) -> int:
    return max(1, math.ceil(reset - time.time()))
