"""The one place where what accounts answers becomes what the caller reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import grpc
import structlog
from google.rpc.error_details_pb2 import PreconditionFailure
from google.rpc.status_pb2 import Status
from recoup.accounts.v1.commands_pb2 import Shortcoming
from recoup.event.v1.answer_pb2 import Fault as FaultMessage
from recoup.event.v1.answer_pb2 import Refusal

from kernel.decider import Fault
from kernel.dial import CallFailed
from services.gateway.problems import Code, EdgeFault, Problem

Translate = Callable[[Iterable[Fault]], list[Fault]]

CONFLICTS: Final = ("Taken", "ClosedAlready", "AnsweredOtherwise", "ImmutableChanged")
"""How the names of rules end that find other content under a natural key or an id: 409 instead of 422."""
MISSING: Final = ("HoldUnknown", "DisputeUnknown")
"""Rules that find nothing under an id of the address: 404."""
NOT_FOUND: Final = "There is nothing under this name that belongs to this client."
AWAY: Final = "A part of the platform cannot be reached. Send the same again, with the same Idempotency-Key."

_CODES: Final = {
    grpc.StatusCode.NOT_FOUND: Code.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: Code.INVALID,
    grpc.StatusCode.FAILED_PRECONDITION: Code.REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: Code.IDEMPOTENCY_CONFLICT,
    grpc.StatusCode.ABORTED: Code.BUSY,
    grpc.StatusCode.UNAVAILABLE: Code.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.UNAVAILABLE,
    grpc.StatusCode.PERMISSION_DENIED: Code.FORBIDDEN,
}
_DETAILS: Final = {
    Code.NOT_FOUND: NOT_FOUND,
    Code.UNAVAILABLE: AWAY,
    Code.INVALID: "The request was understood, and some of it is wrong; `errors` names each place.",
    Code.IDEMPOTENCY_CONFLICT: "This Idempotency-Key was used for another request. Use a new key for a new request.",
    Code.BUSY: "The same account is being changed at this moment. Send the same again, with the same Idempotency-Key.",
    Code.FORBIDDEN: "The API key does not allow this.",
}

log = structlog.get_logger("gateway")


def untranslated(faults: Iterable[Fault]) -> list[Fault]:
    """The faults as they are."""
    return list(faults)


def problem_of(failed: CallFailed, translate: Translate = untranslated) -> Problem:
    """The problem that a failed call or a failed command is."""
    if failed.reason == "NOT_FINAL":
        return Problem(Code.NOT_FINAL, failed.status.message)
    code = _CODES.get(failed.code)
    if code is None:
        log.error("accounts failed", code=failed.code.name, reason=failed.reason)
        return Problem(Code.INTERNAL, "An error of the platform, not of the request; it is logged.")
    rule, source = _rule_of(failed.status)
    detail = _DETAILS.get(code, failed.status.message)
    return Problem(code, detail, faults=translate(failed.faults), rule=rule, source=source)


def parameter_problem(failed: CallFailed) -> Problem:
    """The same for a question, whose fields came as parameters."""
    if failed.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return problem_of(failed)
    faults = [EdgeFault("parameter", f.pointer.strip("/") or "query", f.code, f.message) for f in failed.faults]
    return Problem(Code.INVALID_PARAMETER, failed.status.message, faults=faults)


def refusal_problem(refusal: Refusal, translate: Translate = untranslated) -> Problem:
    """The problem that a refusal is: its rule, its source, and every field at fault."""
    faults = translate(decider_faults(refusal.faults))
    code = Code.REFUSED
    if refusal.rule.endswith(CONFLICTS):
        code = Code.CONFLICT
    elif refusal.rule in MISSING:
        code = Code.NOT_FOUND
    return Problem(code, refusal.text, faults=faults, rule=refusal.rule, source=refusal.source)


def decider_faults(found: Iterable[FaultMessage] | Iterable[Shortcoming]) -> list[Fault]:
    """Faults or shortcomings of the contract, as faults."""
    return [Fault(fault.pointer, fault.code, fault.message) for fault in found]


def _rule_of(status: Status) -> tuple[str | None, str | None]:
    for detail in status.details:
        failure = PreconditionFailure()
        if detail.Unpack(failure) and failure.violations:
            return failure.violations[0].type, failure.violations[0].subject
    return None, None
