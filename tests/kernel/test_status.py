"""Every exception that a caller can do something about has its code and reason; any other says nothing of itself."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy.exc
from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import PreconditionFailure, RetryInfo
from recoup.event.v1.answer_pb2 import Fault as AnswerFault
from recoup.event.v1.answer_pb2 import Refusal

from kernel.clock import ClockError
from kernel.decider import Fault, Refused
from kernel.errors import (
    Busy,
    IdReused,
    Incomplete,
    KernelError,
    NotFinal,
    Overloaded,
    StartRefused,
    Unavailable,
    Unknown,
)
from kernel.status import expected, faults_of, reason_of, refusal_status, status_of
from kernel.tenancy import Forbidden, Unauthenticated

FAULTS = [Fault("/a", "missing", "must be given"), Fault("/b/0", "blank", "must not be blank")]


class TooLate(Refused):
    """The day has passed."""

    source = "the calendar"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Incomplete(FAULTS), "INVALID_ARGUMENT", "INCOMPLETE"),
        (DecodeError("x"), "INVALID_ARGUMENT", "UNREADABLE"),
        (TooLate("It was Monday."), "FAILED_PRECONDITION", "REFUSED"),
        (ClockError("x"), "FAILED_PRECONDITION", "CLOCK"),
        (IdReused("x"), "ALREADY_EXISTS", "ID_REUSED"),
        (Unknown("x"), "NOT_FOUND", "UNKNOWN"),
        (NotFinal("x"), "OUT_OF_RANGE", "NOT_FINAL"),
        (Busy("x"), "ABORTED", "BUSY"),
        (Unavailable("x"), "UNAVAILABLE", "UNAVAILABLE"),
        (ConnectionRefusedError("x"), "UNAVAILABLE", "UNAVAILABLE"),
        (psycopg.OperationalError("x"), "UNAVAILABLE", "UNAVAILABLE"),
        (sqlalchemy.exc.OperationalError("x", None, Exception("y")), "UNAVAILABLE", "UNAVAILABLE"),
        (Overloaded("x"), "RESOURCE_EXHAUSTED", "OVERLOADED"),
        (sqlalchemy.exc.TimeoutError("x"), "RESOURCE_EXHAUSTED", "OVERLOADED"),
        (Unauthenticated("x"), "UNAUTHENTICATED", "UNAUTHENTICATED"),
        (Forbidden("x"), "PERMISSION_DENIED", "FORBIDDEN"),
        (TimeoutError(), "DEADLINE_EXCEEDED", "DEADLINE"),
    ],
)
def test_each_error_has_its_code_and_reason(error: Exception, code: str, reason: str) -> None:
    status = status_of(error)
    assert (Code.Name(status.code), reason_of(status)) == (code, reason)
    assert status.message
    assert expected(error)


def test_no_error_of_the_kernel_is_forgotten() -> None:
    calls = [kind for kind in KernelError.__subclasses__() if kind is not StartRefused]
    assert all(expected(kind([] if kind is Incomplete else "x")) for kind in calls)


def test_an_unexpected_error_says_nothing_of_itself() -> None:
    status = status_of(ZeroDivisionError("the vault key is hunter2"))
    assert (Code.Name(status.code), reason_of(status)) == ("INTERNAL", "INTERNAL")
    assert "hunter2" not in str(status)


def test_what_the_database_says_is_not_passed_on() -> None:
    assert "hunter2" not in str(status_of(psycopg.OperationalError("password of hunter2 is wrong")))


def test_every_fault_travels() -> None:
    assert list(faults_of(status_of(Incomplete(FAULTS)))) == FAULTS


def test_a_refusal_names_its_rule_and_source() -> None:
    refusal = Refusal(
        rule="TooLate",
        text="The day has passed. It was Monday.",
        source="the calendar",
        faults=[AnswerFault(pointer=fault.pointer, code=fault.code, message=fault.message) for fault in FAULTS],
    )
    for status in (refusal_status(refusal), status_of(TooLate("It was Monday.", FAULTS))):
        failure = PreconditionFailure()
        assert any(detail.Unpack(failure) for detail in status.details)
        (violation,) = failure.violations
        assert (violation.type, violation.subject) == ("TooLate", "the calendar")
        assert violation.description == status.message == "The day has passed. It was Monday."
        assert list(faults_of(status)) == FAULTS


@pytest.mark.parametrize(("error", "seconds"), [(Busy("x"), 0), (Overloaded("x"), 1), (Unavailable("x"), 1)])
def test_what_a_repetition_may_mend_says_when(error: Exception, seconds: int) -> None:
    retry = RetryInfo()
    assert any(detail.Unpack(retry) for detail in status_of(error).details)
    assert retry.retry_delay.seconds == seconds
