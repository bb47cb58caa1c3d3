"""Everything that goes wrong, as the caller reads it: RFC 9457 problems, whose codes never change their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.responses import JSONResponse

from kernel.decider import Fault

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:recoup:problem:"
"""Problem types are names, not pages: the reference page describes every code."""
RETRY_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status, its title, and whether the same request may succeed later."""

    status: int
    title: str
    retryable: bool = False


class Code(StrEnum):
    """What is wrong, for programs."""

    MALFORMED = "malformed"
    BYTE_ORDER_MARK = "byte_order_mark"
    ENCODING = "encoding"
    INVALID_PARAMETER = "invalid_parameter"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    CLIENT_REQUIRED = "client_required"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    BUSY = "busy"
    NOT_FINAL = "not_final"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID = "invalid"
    REFUSED = "refused"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    EMPTY_FILE = "empty_file"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


KINDS: Final[Mapping[Code, Kind]] = {
    Code.MALFORMED: Kind(400, "The request cannot be read."),
    Code.BYTE_ORDER_MARK: Kind(400, "The body begins with a byte-order mark."),
    Code.ENCODING: Kind(400, "The body is not UTF-8."),
    Code.INVALID_PARAMETER: Kind(400, "A parameter or header of the request is wrong."),
    Code.IDEMPOTENCY_KEY_REQUIRED: Kind(400, "A command needs an Idempotency-Key."),
    Code.CLIENT_REQUIRED: Kind(400, "The key serves several clients: say which in X-Client-Id."),
    Code.UNAUTHENTICATED: Kind(401, "The request carries no valid API key."),
    Code.FORBIDDEN: Kind(403, "The API key does not allow this."),
    Code.NOT_FOUND: Kind(404, "There is no such thing here."),
    Code.METHOD_NOT_ALLOWED: Kind(405, "This address does not take this method."),
    Code.CONFLICT: Kind(409, "What was sent conflicts with what is recorded."),
    Code.BUSY: Kind(409, "The same is being done at this moment.", retryable=True),
    Code.NOT_FINAL: Kind(409, "The answer as of this instant is not final yet.", retryable=True),
    Code.TOO_LARGE: Kind(413, "The body is too large."),
    Code.UNSUPPORTED_MEDIA_TYPE: Kind(415, "The body's media type is not one that this address takes."),
    Code.INVALID: Kind(422, "The request was understood, and some of it is wrong."),
    Code.REFUSED: Kind(422, "A rule refuses it."),
    Code.IDEMPOTENCY_CONFLICT: Kind(422, "The Idempotency-Key was used for another request."),
    Code.EMPTY_FILE: Kind(422, "The file holds no rows."),
    Code.RATE_LIMITED: Kind(429, "Too many requests.", retryable=True),
    Code.INTERNAL: Kind(500, "An error of the platform, not of the request."),
    Code.UNAVAILABLE: Kind(503, "A part of the platform cannot be reached.", retryable=True),
}
"""Every code, in the order of its status."""


@dataclass(frozen=True, slots=True)
class EdgeFault:
    """A fault of a query parameter or a header, which no JSON pointer can name."""

    where: str
    name: str
    code: str
    message: str


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so.
    """One problem on its way to the caller. `faults` names everything that is wrong, each by its JSON pointer."""

    def __init__(  # noqa: PLR0913 - the members of a problem, each by its name.
        self,
        code: Code,
        detail: str,
        *,
        faults: Sequence[Fault | EdgeFault] = (),
        rule: str | None = None,
        source: str | None = None,
        retry_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`rule` and `source` are given when a rule refused: its name, and the law or contract that it cites."""
        super().__init__(detail)
        self.kind = KINDS[code]
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)
        self.rule = rule
        self.source = source
        self.headers = dict(headers or {})
        if self.kind.retryable:
            self.headers["Retry-After"] = str(RETRY_SECONDS if retry_seconds is None else retry_seconds)

    def body(self, instance: str) -> dict[str, object]:
        """The members of the problem; `instance` is the path that was asked for."""
        body: dict[str, object] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "errors": [error_of(fault) for fault in self.faults],
            "retryable": self.kind.retryable,
        }
        if self.rule is not None:
            body["rule"] = {"name": self.rule, "source": self.source or ""}
        return body

    def response(self, instance: str) -> JSONResponse:
        """The problem as a response."""
        return JSONResponse(self.body(instance), self.kind.status, self.headers, MEDIA_TYPE)


def error_of(fault: Fault | EdgeFault) -> dict[str, str]:
    """One member of `errors`."""
    if isinstance(fault, EdgeFault):
        return {fault.where: fault.name, "code": fault.code, "message": fault.message}
    return {"pointer": fault.pointer, "code": fault.code, "message": fault.message}
