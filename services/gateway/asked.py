"""What every route is given: who asks, for which client, under which ids, and the body, read within its limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Query
from google.protobuf.timestamp_pb2 import Timestamp
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from kernel.readiness import Readiness
from kernel.tenancy import Caller
from services.gateway.accounts import Accounts, derived_id
from services.gateway.principal import READ, Keys, Principal, bearer, principal_of
from services.gateway.problems import Code, EdgeFault, Problem
from services.gateway.rates import Rates
from services.gateway.requests import Requests
from services.gateway.settings import BODY_BYTES_MAX
from services.gateway.strict_json import Document, read
from services.gateway.verdicts import NOT_FOUND

KEY_CHARACTERS_MAX: Final = 255
PAGE_MAX: Final = 500
PAGE: Final = 100
SINGLE_HEADERS: Final = ("Idempotency-Key", "X-Actor", "X-Reason", "Content-Type", "Content-Encoding", "Request-Id")
JSON_TYPES: Final = ("application/json",)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the process answers with."""

    keys: Keys
    rates: Rates
    accounts: Accounts
    requests: Requests
    pool: AsyncConnectionPool
    stopping: Stopping
    readiness: Readiness


@dataclass(slots=True)
class Stopping:
    """Set once the process is to end: long requests then come to an orderly stop by themselves."""

    asked: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One authenticated request."""

    gateway: Gateway
    principal: Principal
    correlation_id: UUID

    @property
    def caller(self) -> Caller:
        """Who accounts is told is calling."""
        return self.principal.caller()

    @property
    def accounts(self) -> Accounts:
        """The accounts service."""
        return self.gateway.accounts


@dataclass(frozen=True, slots=True)
class Commanded:
    """One authenticated request that changes something, under the caller's own key for it."""

    asked: Asked
    key: str
    reason: str | None

    def given_id(self) -> str:
        """The id of the command: the same for the same client and key."""
        return derived_id(self.asked.principal, "command", self.key)

    async def claim(self, content: bytes) -> None:
        """Keep that the key is used for this; a Problem when it was used for anything else before."""
        asked = self.asked
        await asked.gateway.requests.claim(asked.principal, self.given_id(), content, asked.correlation_id, self.reason)

    def new_id(self, what: str) -> str:
        """The id of what the command makes: a repetition makes the same."""
        return derived_id(self.asked.principal, what, self.key)


ClientHeader = Annotated[
    str | None, Header(alias="X-Client-Id", max_length=64, description="The client, when the key serves several.")
]
ActorHeader = Annotated[
    str | None,
    Header(alias="X-Actor", max_length=64, description="Who of your people acts; recorded behind the key's id."),
]


async def authenticated(
    request: Request,
    x_client_id: ClientHeader = None,  # noqa: ARG001 - read from the request; here for the document.
    x_actor: ActorHeader = None,  # noqa: ARG001 - likewise.
) -> Asked:
    """The request with its credential known and counted, and its query free of unknown parameters."""
    gateway: Gateway = request.app.state.gateway
    address = request.client.host if request.client else ""
    gateway.rates.refuse_guessing(address)
    try:
        key = await gateway.keys.opened(bearer(request))
    except Problem as problem:
        if problem.code is Code.UNAUTHENTICATED:
            gateway.rates.failed(address)
        raise
    request.state.headers.update(gateway.rates.take(key.key_id))
    principal = principal_of(key, request)
    _refuse_unknown_parameters(request)
    _refuse_repeated_headers(request)
    return Asked(gateway, principal, request.state.correlation_id)


Authenticated = Annotated[Asked, Depends(authenticated)]
ReasonHeader = Annotated[
    str | None,
    Header(
        alias="X-Reason",
        max_length=200,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="Why, in words without personal data; the events that follow from the request tell it.",
    ),
]
KeyHeader = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_CHARACTERS_MAX,
        pattern=r"^[\x21-\x7e]+$",
        description="Your own id of this request: sent again with it, the request has one effect and the same answer.",
    ),
]


async def reading(asked: Authenticated) -> Asked:
    """A question: the scope accounts:read."""
    asked.principal.require(READ)
    return asked


async def commanding(asked: Authenticated, idempotency_key: KeyHeader, x_reason: ReasonHeader = None) -> Commanded:
    """A command; its scope is checked by the route."""
    return Commanded(asked, idempotency_key, x_reason)


async def checking(asked: Authenticated) -> Asked:
    """A check without effect; its scope is checked by the route."""
    return asked


Reading = Annotated[Asked, Depends(reading)]
Commanding = Annotated[Commanded, Depends(commanding)]
Checking = Annotated[Asked, Depends(checking)]

AsOf = Annotated[
    str | None,
    Query(
        alias="as_of",
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
        description="As of this instant (RFC 3339): what had been recorded by then.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="At most so many.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="The cursor that the page before gave.")]


def timestamp(as_of: str | None) -> Timestamp | None:
    """The instant of `as_of`; a Problem when there is no such instant."""
    if as_of is None:
        return None
    try:
        instant = datetime.fromisoformat(as_of)
        made = Timestamp()
        made.FromDatetime(instant)
    except (ValueError, OverflowError):
        fault = EdgeFault("parameter", "as_of", "invalid_instant", "This instant does not exist.")
        raise Problem(Code.INVALID_PARAMETER, "The parameter as_of is no instant.", faults=[fault]) from None
    return made


def account_uuid(text: str) -> str:
    """The id of an account as it is written; what has not the form of one is answered like one that does not exist."""
    try:
        made = str(UUID(text))
    except ValueError:
        made = ""
    if made != text:
        raise Problem(Code.NOT_FOUND, NOT_FOUND)
    return text


async def document(request: Request) -> Document:
    """The JSON object of the body."""
    require_media_type(request, JSON_TYPES)
    return read(await _body(request, BODY_BYTES_MAX))


def require_media_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The media type of the body, one of `allowed`, in UTF-8 and not compressed; a Problem otherwise."""
    media_type, *parameters = [part.strip().lower() for part in request.headers.get("content-type", "").split(";")]
    charset = next((p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    if media_type not in allowed or charset != "utf-8":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, f"Send {' or '.join(allowed)} in UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without a content encoding.")
    return media_type


async def _body(request: Request, most: int) -> bytes:
    too_large = Problem(Code.TOO_LARGE, f"The body may have at most {most} bytes.")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_large
    return bytes(body)


def _refuse_unknown_parameters(request: Request) -> None:
    dependant: Any = request.scope["route"].dependant
    known = {field.alias for field in _query_fields(dependant)}
    faults = [
        EdgeFault("parameter", name, "unknown_parameter", "There is no such parameter here.")
        for name in dict.fromkeys(request.query_params)
        if name not in known
    ]
    names = [name for name, _value in request.query_params.multi_items()]
    faults += [
        EdgeFault("parameter", name, "repeated_parameter", "Send this parameter once.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if faults:
        raise Problem(Code.INVALID_PARAMETER, "The query holds what this address does not take.", faults=faults)


def _refuse_repeated_headers(request: Request) -> None:
    faults = [
        EdgeFault("header", name, "repeated_header", "Send this header once.")
        for name in SINGLE_HEADERS
        if len(request.headers.getlist(name)) > 1
    ]
    if faults:
        raise Problem(Code.INVALID_PARAMETER, "A header stands in the request more than once.", faults=faults)


def _query_fields(dependant: Any) -> list[Any]:  # noqa: ANN401 - FastAPI's own, which has no public name.
    return [*dependant.query_params, *(field for inner in dependant.dependencies for field in _query_fields(inner))]
