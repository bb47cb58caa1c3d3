"""What a process says about itself: structured log lines and Prometheus metrics, free of personal data and secrets.

Every log line carries the service, the verb and whatever is bound: command, correlation, stream. Whatever a caller of
a logger passes by mistake, the last steps before the line is written withhold it: fields named like secrets or
personal data, protobuf messages, and, inside any text, tokens, keys, passwords, addresses of mail and national ids.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal

import structlog
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram
from pydantic import SecretStr

WITHHELD: Final = "[withheld]"
LINE_CHARACTERS_MAX: Final = 8_192
"""A text inside a log line is cut here: nobody reads more, and a payload is never written whole."""

CALLS = Counter("recoup_calls_total", "Calls answered, by method and status code.", ["method", "code"])
CALL_SECONDS = Histogram(
    "recoup_call_seconds",
    "Seconds from a call's arrival to its answer.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
CALLS_RUNNING = Gauge("recoup_calls_running_count", "Calls that are being answered now.")
COMMANDS = Counter("recoup_commands_total", "Commands decided, by type and outcome.", ["command", "outcome"])
LAG_FACTS = Gauge("recoup_lag_facts", "Facts not yet sent (relay) or not yet applied (listener).", ["part", "source"])
SENT = Counter("recoup_sent_facts_total", "Facts acknowledged by the broker, repeats included.", ["source"])
HEARD = Counter(
    "recoup_heard_records_total",
    "What became of heard records: applied, duplicate, odd, unreadable, dropped.",
    ["consumer", "source", "kind"],
)
REACTIONS = Counter("recoup_reactions_total", "Commands that facts obliged us to.", ["consumer", "command", "outcome"])
PARKED = Gauge("recoup_parked_facts", "Facts that wait for a person.", ["consumer", "source"])
HALTED = Gauge("recoup_halted_state", "1 when nothing moves until a person mends it.", ["part", "source", "partition"])
RESTARTS = Counter("recoup_part_restarts_total", "Times that a part of a process was begun anew.", ["part"])
READY = Gauge("recoup_ready_state", "1 when a readiness check passes, else 0.", ["check"])

_PRIVATE_NAMES: Final = re.compile(
    r"(^|_)(token|secret|password|passwd|authorization|credential|cookie|key|ssn|national_id|tax_id|"
    r"given_name|family_name|full_name|first_name|last_name|birth_date|address|street|email|phone|payload|dsn)(_|$)",
    re.IGNORECASE,
)
_OWN_NAMES: Final = frozenset(
    ("at", "level", "service", "verb", "method", "code", "command", "correlation", "stream", "outcome")
)
"""What the kernel itself writes on every line: ids and names of types, which are not searched again."""
_PRIVATE_TEXT: Final = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|\bck_\w+"  # an API key
    r"|(?<=://)[^\s:/@]+:[^\s@]+(?=@)"  # the user and password of a URL
    r"|(?<=password=)\S+"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # an address of mail
    r"|\b\d{3}-\d{2}-\d{4}\b"  # a social security number
    r"|(?<=DETAIL:)[^\n]*"  # PostgreSQL repeats the row here
    r"|(?<!\w)\+?\d{10,11}(?!\w)"  # a telephone number
)

Event = MutableMapping[str, Any]


def configure(service: str, verb: str, style: Literal["json", "text"] | None, level: str = "info") -> None:
    """Set up logging for this process, the standard library's loggers included. Without a style, text on a terminal."""
    style = style or ("text" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        _named(service, verb),
        withhold,
    ]
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if style == "text":
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    # A broker that is away is said once per attempt by whoever needs it; the client says it at every reconnection too.
    logging.getLogger("kafka.net").setLevel(logging.CRITICAL)
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Replace in a log line whatever must not be written. The last step before the line is rendered."""
    for name, value in event.items():
        if not (name in _OWN_NAMES and isinstance(value, str)):
            event[name] = WITHHELD if _PRIVATE_NAMES.search(name) else _harmless(value)
    return event


def _named(service: str, verb: str) -> structlog.typing.Processor:
    def name(_logger: object, _method: str, event: Event) -> Event:
        event["service"], event["verb"] = service, verb
        return event

    return name


def _harmless(value: object) -> object:
    match value:
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(n): WITHHELD if _PRIVATE_NAMES.search(str(n)) else _harmless(v) for n, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_harmless(item) for item in value]
    return _PRIVATE_TEXT.sub(WITHHELD, _text(value)[:LINE_CHARACTERS_MAX])


def _text(value: object) -> str:
    """What is written of a value: of a message its type alone, and of bytes nothing."""
    if isinstance(value, Message):
        return f"<{value.DESCRIPTOR.full_name}>"
    return WITHHELD if isinstance(value, (SecretStr, bytes)) else str(value)
