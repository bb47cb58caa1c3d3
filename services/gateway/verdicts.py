"""The one place where what accounts answers becomes what the caller reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import grpc
import structlog
from google.rpc.error_details_pb2 import PreconditionFailure
from google.rpc.status_pb2 import Status
from recoup.event.v1.answer_pb2 import Refusal

from kernel.decider import Fault
from kernel.dial import CallFailed
from services.gateway.problems import EdgeFault, Problem

Translate = Callable[[Iterable[Fault]], list[Fault]]

CONFLICTS: Final = ("Taken", "ClosedAlready", "AnsweredOtherwise", "ImmutableChanged")
"""How the names of rules end that find other content under a natural key or an id: 409 instead of 422."""
MISSING: Final = ("HoldUnknown", "DisputeUnknown")
"""Rules that find nothing under an id of the address: 404."""
NOT_FOUND: Final = "There is nothing under this name that belongs to this client."
AWAY: Final = "A part of the platform cannot be reached. Send the same again, with the same Idempotency-Key."

_CODES: Final = {
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.INVALID_ARGUMENT: "invalid",
    grpc.StatusCode.FAILED_PRECONDITION: "refused",
    grpc.StatusCode.ALREADY_EXISTS: "idempotency_conflict",
    grpc.StatusCode.ABORTED: "busy",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unavailable",
    grpc.StatusCode.PERMISSION_DENIED: "forbidden",
}
_DETAILS: Final = {
    "not_found": NOT_FOUND,
    "unavailable": AWAY,
    "invalid": "The request was understood, and some of it is wrong; `errors` names each place.",
    "idempotency_conflict": "This Idempotency-Key was used for another request. Use a new key for a new request.",
    "busy": "The same account is being changed at this moment. Send the same again, with the same Idempotency-Key.",
    "forbidden": "The API key does not allow this.",
}

log = structlog.get_logger("gateway")


def untranslated(faults: Iterable[Fault]) -> list[Fault]:
    """The faults as they are."""
    return list(faults)


def problem_of(failed: CallFailed, translate: Translate = untranslated) -> Problem:
    """The problem that a failed call or a failed command is."""
    if failed.reason == "NOT_FINAL":
        return Problem("not_final", failed.status.message)
    code = _CODES.get(failed.code)
    if code is None:
        log.error("accounts failed", code=failed.code.name, reason=failed.reason)
        return Problem("internal", "An error of the platform, not of the request; it is logged.")
    rule, source = _rule_of(failed.status)
    detail = _DETAILS.get(code, failed.status.message)
    return Problem(code, detail, faults=translate(failed.faults), rule=rule, source=source)


def parameter_problem(failed: CallFailed) -> Problem:
    """The same for a question, whose fields came as parameters."""
    if failed.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return problem_of(failed)
    faults = [EdgeFault("parameter", f.pointer.strip("/") or "query", f.code, f.message) for f in failed.faults]
    return Problem("invalid_parameter", failed.status.message, faults=faults)


def refusal_problem(refusal: Refusal, translate: Translate = untranslated) -> Problem:
    """The problem that a refusal is: its rule, its source, and every field at fault."""
    faults = translate(faults_of(refusal))
    code = "conflict" if refusal.rule.endswith(CONFLICTS) else "not_found" if refusal.rule in MISSING else "refused"
    return Problem(code, refusal.text, faults=faults, rule=refusal.rule, source=refusal.source)


def faults_of(refusal: Refusal) -> list[Fault]:
    """Every fault that a refusal names."""
    return [Fault(fault.pointer, fault.code, fault.message) for fault in refusal.faults]


def _rule_of(status: Status) -> tuple[str | None, str | None]:
    for detail in status.details:
        failure = PreconditionFailure()
        if detail.Unpack(failure) and failure.violations:
            return failure.violations[0].type, failure.violations[0].subject
    return None, None
