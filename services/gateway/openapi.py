"""The OpenAPI 3.1 document: bodies from the shapes, answers from the contract's messages, the rest from the routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from recoup.accounts.v1.state_pb2 import AccountState

from services.gateway import commands
from services.gateway.placement import Placement
from services.gateway.problems import KINDS, MEDIA_TYPE
from services.gateway.rendering import state_schema
from services.gateway.shapes import Body, descriptor_of

Schema = dict[str, Any]

TITLE: Final = "Recoup"
VERSION: Final = "1.0.0"
DESCRIPTION: Final = """\
Creditors place accounts with an agency, and follow what becomes of them.

**Authentication.** `Authorization: Bearer ck_…`, never in the body or the query. `X-Client-Id` when a key serves
several clients. `X-Actor` says who of your people acts and is recorded behind the key's id (an adjustment needs it);
`X-Reason` says why.

**Values.** Money is `{amount, currency}` in integer minor units; dates are ISO 8601, instants RFC 3339; rates are basis
points. In events, amounts are the recorded `…_minor` integers in the currency of the account.

**Idempotency.** Every command needs an `Idempotency-Key`. The key belongs to your client and to one request.
Sent again with the same body, it has no further effect and gets the same answer with `Idempotency-Replayed: true`; with
another body, 422 `idempotency_conflict`. It is kept for ever. Natural keys stand behind it: the `client_reference` of a
placement, the `transaction_reference` of money: equal content answers 200, other content 409 `conflict`.

**Errors** are problems (RFC 9457) whose `errors` name every fault at once, by JSON `pointer`, `parameter` or `header`.
`retryable` says whether the same request may succeed later; then send it with the same Idempotency-Key.

**Reading** takes `as_of` for what had been recorded by an instant. An instant that is not over answers 409 `not_final`.
"""

_REF: Final = "#/components/schemas/{model}"
_FAULT: Final[Schema] = {
    "type": "object",
    "properties": {
        "pointer": {"type": "string", "description": "RFC 6901, into the JSON body; empty for the whole of it."},
        "parameter": {"type": "string", "description": "A parameter of the query or the path."},
        "header": {"type": "string", "description": "A header."},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["code", "message"],
    "additionalProperties": False,
}
_CUT: Final[Schema] = {
    "type": "object",
    "description": "The positions of the log that an answer as of an instant was read at.",
    "properties": {"log_id": {"type": "string"}, "numbers": {"type": "array", "items": {"type": "integer"}}},
    "required": ["log_id", "numbers"],
}
_READ_AT: Final[Schema] = {"anyOf": [_CUT, {"type": "null"}]}
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer"}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(model=name)}


def _words(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


_PROBLEM: Final = _object(
    {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": _NUMBER,
        "detail": _TEXT,
        "instance": _TEXT,
        "code": _words(*KINDS),
        "errors": _list(_ref("Fault")),
        "retryable": {"type": "boolean"},
    },
    {"rule": _object({"name": _TEXT, "source": _TEXT})},
)
_FACT: Final = _object({"id": _TEXT, "type": _TEXT})
_RESULT: Final[Mapping[str, Schema]] = {
    "account_id": _TEXT,
    "client_reference": _TEXT,
    "version": _NUMBER,
    "facts": _list(_FACT),
    "account": _ref("Account"),
}
_EVENT: Final = _object(
    {
        "id": _TEXT,
        "type": _TEXT,
        "fact": {"type": "string", "description": "The contract's full type name."},
        "sequence": {"type": "integer", "description": "The version of the account."},
        "occurred_at": {"type": "string", "format": "date-time"},
        "recorded_at": {"type": "string", "format": "date-time"},
        "account_id": _TEXT,
        "client_reference": _TEXT,
        "actor": _TEXT,
        "reason": {"type": ["string", "null"]},
        "request_id": _TEXT,
        "test": {"type": "boolean"},
        "data": {"type": "object"},
    }
)
ROW_STATUSES: Final = ("accepted", "quarantined", "duplicate", "refused")
_TOTALS: Final = _list(
    _object(
        {"status": _words(*ROW_STATUSES), "currency": {"type": ["string", "null"]}, "count": _NUMBER, "amount": _NUMBER}
    )
)
_ROW: Final = _object(
    {
        "row": _NUMBER,
        "client_reference": {"type": ["string", "null"]},
        "status": _words(*ROW_STATUSES),
        "account_id": {"type": ["string", "null"]},
        "errors": _list(_ref("Fault")),
        "warnings": _list(_ref("Fault")),
    }
)
_JOB: Final = _object(
    {
        "job_id": _TEXT,
        "state": _words("receiving", "complete", "interrupted", "stopped"),
        "format": _words("ndjson", "csv"),
        "rows": _NUMBER,
        "totals": _TOTALS,
        "reason": {"anyOf": [_ref("Fault"), {"type": "null"}]},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    }
)

ANSWERS: Final[Mapping[str, Schema]] = {
    "Fault": _FAULT,
    "Problem": _PROBLEM,
    "PlacementResult": _object(
        {
            "status": _words("accepted", "quarantined", "duplicate"),
            **_RESULT,
            "errors": _list(_ref("Fault")),
            "warnings": _list(_ref("Fault")),
        }
    ),
    "CommandResult": _object(
        {"status": _words("recorded", "already"), **_RESULT},
        {"hold_id": _TEXT, "dispute_id": _TEXT, "document_id": _TEXT},
    ),
    "Check": _object({"errors": _list(_ref("Fault")), "warnings": _list(_ref("Fault"))}),
    "AccountAnswer": _object({"account": _ref("Account"), "read_at": _READ_AT}),
    "AccountPage": _object(
        {
            "accounts": _list(_ref("Account")),
            "next_cursor": {"type": ["string", "null"]},
            "read_at": _READ_AT,
        }
    ),
    "Event": _EVENT,
    "AccountEvents": _object(
        {"events": _list(_ref("Event")), "next_after": _NUMBER, "more": {"type": "boolean"}, "read_at": _READ_AT}
    ),
    "Events": _object(
        {"events": _list(_ref("Event")), "next_cursor": _TEXT, "more": {"type": "boolean"}, "read_at": _READ_AT}
    ),
    "Job": _JOB,
    "Row": _ROW,
    "RowPage": _object({"rows": _list(_ref("Row")), "next_after": {"type": ["integer", "null"]}}),
}


def responses(name: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation answers: `name` with these statuses, a problem with any other."""
    bad = {"description": "A problem.", "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
    meanings = {200: "Done, or so already.", 201: "Made.", 202: "Taken."}
    return {
        **{s: {"description": meanings[s], "content": {"application/json": {"schema": _ref(name)}}} for s in statuses},
        422: bad,
        "default": bad,
    }


def json_body(*shapes: type[Body]) -> dict[str, Any]:
    """What an operation takes: one of these shapes, as JSON."""
    refs = [_ref(shape.__name__) for shape in shapes]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def stream_body(*media_types: str) -> dict[str, Any]:
    """What an operation takes: a stream of one of these types."""
    content = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


def row_responses() -> dict[int | str, dict[str, Any]]:
    """A page of rows as JSON, or all of them as NDJSON."""
    found = responses("RowPage", 200)
    found[200]["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    return found


def made(app: FastAPI) -> Schema:
    """The document of the whole application."""
    schema = get_openapi(
        title=TITLE, version=VERSION, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
    )
    components = schema.setdefault("components", {})
    components["schemas"] = {**_body_schemas(), "Account": _account_schema(), **ANSWERS}
    components["securitySchemes"] = {
        "api_key": {"type": "http", "scheme": "bearer", "description": "An API key, `ck_<environment>_<id>_<secret>`."}
    }
    schema["security"] = [{"api_key": []}]
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"] = _without_empty(operation["responses"])
    return schema


def _account_schema() -> Schema:
    schema = state_schema(descriptor_of(AccountState))
    schema["properties"]["shortcomings"] = _list(_ref("Fault"))  # type: ignore[index]
    return schema


def _body_schemas() -> Schema:
    shapes: Sequence[type[Body]] = (Placement, *commands.COMMANDS)
    _definitions, schema = models_json_schema([(shape, "validation") for shape in shapes], ref_template=_REF)
    found: Schema = schema["$defs"]
    return found


def _without_empty(found: Mapping[str, Schema]) -> Schema:
    """FastAPI adds an empty success beside those that are declared; it is left out."""
    return {
        status: answer
        for status, answer in found.items()
        if answer.get("content") != {"application/json": {"schema": {}}}
    }
