"""A relay in a process of its own that dies, as by a power cut, at a named step. The product knows of no steps."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer

from kernel import relay as relay_module
from kernel.broker import Topic
from kernel.relay import Relay

DIED = 9


def die_after(owner: type, method: str, calls: int = 1) -> Callable[[], None]:
    """Let the method be called so often, and end the process when it has returned something for the last time."""
    original = getattr(owner, method)
    left = calls

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        result = original(*arguments, **named)
        left -= result is None or bool(result)
        if left <= 0:
            os._exit(DIED)
        return result

    return lambda: setattr(owner, method, dying)


def die_before(owner: type, method: str) -> Callable[[], None]:
    """End the process when the method is called."""

    def dying(*_arguments: Any, **_named: Any) -> Any:
        os._exit(DIED)

    return lambda: setattr(owner, method, dying)


STEPS: dict[str, Callable[[], None]] = {
    "connected": die_after(Topic, "__init__"),
    "leases taken": die_after(Topic, "ends"),
    "one partition compared": die_after(Relay, "_compare"),
    "all compared": die_after(Relay, "_renew"),
    "facts read": die_after(Relay, "_unsent"),
    "first handed to the producer": die_after(KafkaProducer, "send"),
    "half handed to the producer": die_after(KafkaProducer, "send", 150),
    "all handed to the producer": die_before(KafkaProducer, "flush"),
    "acknowledged": die_after(Topic, "send"),
    "before sent moves": die_before(Relay, "_move"),
    "sent moved": die_after(Relay, "_move"),
    "one window published": die_after(Relay, "_publish"),
    "stopping": die_before(Topic, "close"),
}


def main(settings: dict[str, str]) -> None:
    """Publish until the step."""
    relay_module.LEASE_SECONDS, relay_module.RENEW_SECONDS = 0.5, 0.2  # type: ignore[misc]
    relay_module.WINDOW_RECORDS_MAX = 30  # type: ignore[misc]
    if settings["step"]:
        STEPS[settings["step"]]()
    relay = Relay("sample", settings["topic"], reader_url=settings["reader_url"], broker=settings["broker"])
    relay.start()
    if settings["step"] == "stopping":
        time.sleep(1)
        relay.stop()
    threading.Event().wait()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
