"""What a question may ask: limits, instants, cursors and ids, each refused with its pointer when it is not one."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.complete import faults_of
from kernel.decider import Fault
from kernel.execute import Incomplete
from kernel.record import instant_of, microseconds
from services.accounts.domain.fields import reference_faults
from services.accounts.views import Placed

LIMIT_MAX: Final = 500
LIMIT: Final = 100
CURSOR_CHARACTERS_MAX: Final = 2_000
NUMBER_MAX: Final = 2**63 - 1


def limit_of(request: Any) -> int:  # noqa: ANN401 - any question with a limit.
    """The page's size: 100 when nothing is said, else 1 to 500."""
    if not request.HasField("limit"):
        return LIMIT
    if not 1 <= request.limit <= LIMIT_MAX:
        refuse("/limit", "out_of_range", f"must be 1 to {LIMIT_MAX}")
    return int(request.limit)


def instant_in(request: Any, name: str) -> datetime | None:  # noqa: ANN401 - any question with an instant.
    """The instant of a field, None when it is absent."""
    if not request.HasField(name):
        return None
    timestamp: Timestamp = getattr(request, name)
    if faults_of(timestamp):
        refuse(f"/{name}", "out_of_range", "must be an instant of the years 1 to 9999")
    return instant_of(timestamp.seconds * 1_000_000 + timestamp.nanos // 1_000)


def reference_in(request: Any, name: str) -> str:  # noqa: ANN401 - any question with a reference.
    """The reference in a field, blank when it is absent."""
    text: str = getattr(request, name)
    faults = list(reference_faults(f"/{name}", text))
    if faults:
        raise Incomplete(faults)
    return text


def list_cursor(placed: Placed) -> str:
    """The cursor behind an account of a list."""
    return _encoded([microseconds(placed.placed_at), str(placed.account_id)])


def list_position(request: Any) -> Placed | None:  # noqa: ANN401 - a question for a list.
    """The account that a list's cursor stands behind, None for the first page."""
    if not request.HasField("cursor"):
        return None
    match _decoded(request.cursor):
        case [int(placed_at), str(account_id)]:
            try:
                return Placed(instant_of(placed_at), UUID(account_id))
            except (ValueError, OverflowError):
                pass
    return _refuse_cursor()


def client_cursor(client_id: str) -> str:
    """The cursor behind a client of a list."""
    return _encoded([client_id])


def client_position(request: Any) -> str:  # noqa: ANN401 - a question for a list of clients.
    """The client that a list's cursor stands behind, blank for the first page."""
    if not request.HasField("cursor"):
        return ""
    match _decoded(request.cursor):
        case [str(client_id)] if not list(reference_faults("/cursor", client_id)):
            return client_id
    return _refuse_cursor()


def feed_cursor(log_id: UUID, numbers: Sequence[int]) -> str:
    """The cursor behind a number in each partition."""
    return _encoded([str(log_id), *numbers])


def feed_position(request: Any, log_id: UUID, partitions: int) -> Sequence[int]:  # noqa: ANN401 - a question for a feed.
    """The numbers that a feed's cursor stands behind; -1 everywhere for the beginning."""
    if not request.HasField("cursor"):
        return [-1] * partitions
    match _decoded(request.cursor):
        case [str(log), *found] if log == str(log_id) and len(found) == partitions:
            numbers = [number for number in found if type(number) is int and -1 <= number <= NUMBER_MAX]
            if len(numbers) == partitions:
                return numbers
    return _refuse_cursor()


def cut_numbers(cut: Mapping[int, int]) -> list[int]:
    """The last number used of each partition, in the order of partitions."""
    return [number for _partition, number in sorted(cut.items())]


def timestamp_of(instant: datetime) -> Timestamp:
    """The contract's form of an instant."""
    timestamp = Timestamp()
    timestamp.FromDatetime(instant.astimezone(UTC))
    return timestamp


def refuse(pointer: str, code: str, message: str) -> NoReturn:
    """Answer that a field of the question is at fault."""
    raise Incomplete([Fault(pointer, code, message)])


def _refuse_cursor() -> NoReturn:
    refuse("/cursor", "invalid_cursor", "must be a cursor that this service gave, unchanged")


def _encoded(parts: Sequence[object]) -> str:
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()


def _decoded(cursor: str) -> object:
    if len(cursor) > CURSOR_CHARACTERS_MAX:
        _refuse_cursor()
    try:
        return json.loads(urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, UnicodeError, RecursionError):
        _refuse_cursor()
