"""What went wrong, as google.rpc.Status: the one place where exceptions become what a caller reads, and back.

Codes by cause: a fault of the request INVALID_ARGUMENT, a rule FAILED_PRECONDITION, another input under a used id
ALREADY_EXISTS, an entity that is not there or not yours NOT_FOUND, an instant that is not over OUT_OF_RANGE, and what a
repetition may mend ABORTED, UNAVAILABLE or RESOURCE_EXHAUSTED. A caller matches on the ErrorInfo's reason, never on
the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar, cast

import psycopg
import sqlalchemy.exc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from recoup.event.v1.answer_pb2 import Refusal

from kernel.clock import ClockError
from kernel.decider import Fault, Refused
from kernel.execute import Behind, Busy, IdReused, Incomplete, NotFinal, Overloaded, Unavailable, Unknown
from kernel.tenancy import Forbidden, Unauthenticated

Detail = TypeVar("Detail", bound=Message)

DOMAIN: Final = "recoup"
_AWAY: Final = (ConnectionError, psycopg.OperationalError, sqlalchemy.exc.OperationalError)
_FULL: Final = (Overloaded, sqlalchemy.exc.TimeoutError)

RETRY_SECONDS: Final = {Busy: 0, NotFinal: 1} | dict.fromkeys((*_FULL, Unavailable, *_AWAY), 1)
"""How long a caller should wait before the same call again, under the same id."""

_CODES: Final[tuple[tuple[type[Exception], Code.ValueType, str], ...]] = (
    (Incomplete, Code.INVALID_ARGUMENT, "INCOMPLETE"),
    (DecodeError, Code.INVALID_ARGUMENT, "UNREADABLE"),
    (Refused, Code.FAILED_PRECONDITION, "REFUSED"),
    (ClockError, Code.FAILED_PRECONDITION, "CLOCK"),
    (IdReused, Code.ALREADY_EXISTS, "ID_REUSED"),
    (Unknown, Code.NOT_FOUND, "UNKNOWN"),
    (NotFinal, Code.OUT_OF_RANGE, "NOT_FINAL"),
    (Busy, Code.ABORTED, "BUSY"),
    (Behind, Code.DEADLINE_EXCEEDED, "BEHIND"),
    (Unavailable, Code.UNAVAILABLE, "UNAVAILABLE"),
    *((kind, Code.UNAVAILABLE, "UNAVAILABLE") for kind in _AWAY),
    *((kind, Code.RESOURCE_EXHAUSTED, "OVERLOADED") for kind in _FULL),
    (Unauthenticated, Code.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (Forbidden, Code.PERMISSION_DENIED, "FORBIDDEN"),
    (TimeoutError, Code.DEADLINE_EXCEEDED, "DEADLINE"),
)
DETAILS_KEY: Final = "grpc-status-details-bin"
DETAILS_BYTES_MAX: Final = 64 * 1024
"""More than this does not travel in the headers of a response; results of items travel in its body, without limit."""
TEXT_CHARACTERS_MAX: Final = 1_000


def expected(error: Exception) -> bool:
    """Whether the caller can do something about it; anything else is a bug of ours."""
    return any(isinstance(error, kind) for kind, _code, _reason in _CODES)


def status_of(error: Exception) -> Status:
    """The status that a caller reads. Of an unexpected error it reads nothing but that there was one: see the log."""
    for kind, code, reason in _CODES:
        if isinstance(error, kind):
            details = [ErrorInfo(reason=reason, domain=DOMAIN), *_details(error)]
            return _status(code, _text(error)[:TEXT_CHARACTERS_MAX], details)
    text = "an error of this service, not of the request; it is in the service's log"
    return _status(Code.INTERNAL, text, [ErrorInfo(reason="INTERNAL", domain=DOMAIN)])


def refusal_status(refusal: Refusal) -> Status:
    """A refusal, where a single call has no Answer to carry it: the rule, its source, and every field at fault."""
    faults = [Fault(fault.pointer, fault.code, fault.message) for fault in refusal.faults]
    details = [ErrorInfo(reason="REFUSED", domain=DOMAIN), _precondition(refusal.rule, refusal.source, refusal.text)]
    return _status(Code.FAILED_PRECONDITION, refusal.text, [*details, *_bad_request(faults)])


def faults_of(status: Status) -> tuple[Fault, ...]:
    """Every fault that a status carries."""
    return tuple(
        Fault(violation.field, violation.reason, violation.description)
        for found in _unpacked(status, BadRequest)
        for violation in found.field_violations
    )


def reason_of(status: Status) -> str:
    """The stable reason of a status, empty when it carries none."""
    return next((found.reason for found in _unpacked(status, ErrorInfo)), "")


def _status(code: Code.ValueType, text: str, details: Iterable[Message]) -> Status:
    status = Status(code=code, message=text)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _text(error: Exception) -> str:
    match error:
        case Refused():
            return error.text
        case Incomplete():
            return "the request is not complete: " + "; ".join(f"{f.pointer} {f.message}" for f in error.faults)
        case DecodeError():
            return "the request's bytes are not the protobuf message that this method takes"
        case TimeoutError():
            return "the deadline passed; a command may still be recorded: ask again under the same id"
        case ConnectionError() | psycopg.OperationalError() | sqlalchemy.exc.SQLAlchemyError():
            return "a service or database that this call needs cannot be reached"
    return str(error) or type(error).__name__


def _details(error: Exception) -> list[Message]:
    match error:
        case Incomplete():
            return _bad_request(error.faults)
        case Refused():
            return [_precondition(error.rule, error.source, error.text), *_bad_request(error.faults)]
    seconds = next((seconds for kind, seconds in RETRY_SECONDS.items() if isinstance(error, kind)), None)
    return [] if seconds is None else [RetryInfo(retry_delay=Duration(seconds=seconds))]


def _precondition(rule: str, source: str, text: str) -> Message:
    failure = PreconditionFailure()
    failure.violations.add(type=rule, subject=source, description=text)
    return cast("Message", failure)


def _bad_request(faults: Iterable[Fault]) -> list[Message]:
    violations = [BadRequest.FieldViolation(field=f.pointer, reason=f.code, description=f.message) for f in faults]
    return [BadRequest(field_violations=violations)] if violations else []


def _unpacked(status: Status, kind: type[Detail]) -> Iterable[Detail]:
    for detail in status.details:
        found = kind()
        if detail.Unpack(found):
            yield found
