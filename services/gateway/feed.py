"""A fact as a client reads it: when, what, about which account of theirs, and the payload, which has no persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from recoup.accounts.v1 import events_pb2
from recoup.event.v1.record_pb2 import Record

from services.gateway.asked import Asked
from services.gateway.principal import Principal
from services.gateway.rendering import fact, instant

NAMES: Final = {
    "AccountPlaced": "account.placed",
    "PlacementQuarantined": "account.quarantined",
    "PlacementCompleted": "account.completed",
    "PaymentPosted": "payment.received",
    "PaymentReturned": "payment.returned",
    "PaymentRefunded": "payment.refunded",
    "PaymentCorrected": "payment.corrected",
    "BalanceAdjusted": "balance.adjusted",
    "AccountPaidInFull": "account.paid_in_full",
    "DisputeOpened": "dispute.opened",
    "VerificationSent": "dispute.verification_sent",
    "DisputeClosed": "dispute.closed",
    "HoldPlaced": "hold.placed",
    "HoldReleased": "hold.released",
    "DocumentAttached": "document.attached",
    "AccountClosed": "account.closed",
}
"""The API's name of every fact about an account; it stays when the contract's own name gets a new version."""

_PREFIX: Final = events_pb2.DESCRIPTOR.package + "."
_TYPES: Final[dict[str, type[Message]]] = {
    _PREFIX + name: GetMessageClass(events_pb2.DESCRIPTOR.message_types_by_name[name]) for name in NAMES
}


async def events_json(asked: Asked, facts: Sequence[tuple[Record, str]]) -> list[dict[str, object]]:
    """Facts, each with the client's reference of its account, as events; those that came with a reason tell it."""
    reasons = await asked.gateway.requests.reasons(asked.principal, (record.correlation_id for record, _ref in facts))
    return [_event(record, reference, asked.principal, reasons) for record, reference in facts]


def _event(
    record: Record, client_reference: str, principal: Principal, reasons: Mapping[str, str]
) -> dict[str, object]:
    """One event. A type that this version of the API does not know keeps the contract's name and shows no data."""
    known = _TYPES.get(record.type)
    return {
        "id": record.event_id,
        "type": NAMES[record.type.removeprefix(_PREFIX)] if known else record.type,
        "fact": record.type,
        "sequence": record.version,
        "occurred_at": instant(record.occurred_at),
        "recorded_at": instant(record.recorded_at),
        "account_id": record.stream.partition("-")[2],
        "client_reference": client_reference,
        "actor": record.actor,
        "reason": reasons.get(record.correlation_id),
        "request_id": record.correlation_id,
        "test": principal.key.environment == "test",
        "data": fact(known.FromString(record.payload)) if known else {},
    }
