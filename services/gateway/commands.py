"""What creditors say about an account that is placed: one shape a command, and the message that it becomes."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from google.protobuf.message import Message
from pydantic import Field
from recoup.accounts.v1 import commands_pb2 as contract
from recoup.accounts.v1 import words_pb2 as words

from services.gateway.mapping import Pointers, Shapes, compiled, fill
from services.gateway.placement import DisputeEnd, Paper, WhyDisputed
from services.gateway.shapes import (
    Body,
    Date,
    Elsewhere,
    Instant,
    Money,
    PositiveMoney,
    Reference,
    Sha256,
    Short,
    SignedMoney,
    Text,
    Word,
    descriptor_of,
)

Payee = Annotated[str, Word(words.Payee)]
Instrument = Annotated[str, Word(words.Instrument)]
BucketName = Annotated[str, Word(words.Bucket)]
AdjustmentReason = Annotated[str, Word(words.AdjustmentReason)]
HoldScope = Annotated[str, Word(words.HoldScope)]
HoldReason = Annotated[str, Word(words.HoldReason)]
CloseCode = Annotated[str, Word(words.CloseCode)]
PersonId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class PaymentBody(Body):
    """Money that was received, by the agency, the client or another agency."""

    type: Annotated[Literal["payment"], Elsewhere(())] = "payment"
    payee: Payee
    amount: PositiveMoney
    effective_date: Date
    transaction_reference: Reference
    instrument: Instrument


class ReturnedBody(Body):
    """A payment whose money came back."""

    type: Annotated[Literal["returned"], Elsewhere(())]
    returned_reference: Reference
    transaction_reference: Reference
    return_code: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,10}$")]
    effective_date: Date


class RefundBody(Body):
    """Money that was given back on purpose."""

    type: Annotated[Literal["refund"], Elsewhere(())]
    refunded_reference: Reference
    amount: PositiveMoney
    transaction_reference: Reference
    effective_date: Date


class CorrectionBody(Body):
    """What the amount of a payment should have been; zero when there was none."""

    type: Annotated[Literal["correction"], Elsewhere(())]
    corrected_reference: Reference
    amount: Money
    transaction_reference: Reference
    effective_date: Date


class AdjustmentBody(Body):
    """A change of one bucket of the balance by a difference."""

    transaction_reference: Reference
    bucket: BucketName
    difference: SignedMoney
    reason: AdjustmentReason
    approver: Short
    effective_date: Date


class HoldBody(Body):
    """A stop of work."""

    scope: HoldScope
    person_id: PersonId | None = None
    reason: HoldReason
    text: Text | None = None
    expires_at: Instant | None = None
    document_id: Reference | None = None


class ReleaseBody(Body):
    """Why work may go on; the header X-Reason says it as well."""

    reason: Text


class DisputeBody(Body):
    """What a consumer contests."""

    person_id: PersonId
    reason: WhyDisputed
    received_date: Date
    in_writing: bool
    portion: PositiveMoney | None = None
    document_id: Reference | None = None


class VerificationBody(Body):
    """The answer to a dispute, as it was sent."""

    document_id: Reference
    sent_date: Date


class DisputeCloseBody(Body):
    """How a dispute ended."""

    outcome: DisputeEnd
    closed_date: Date


class DocumentBody(Body):
    """A document by its hash."""

    type: Paper
    sha256: Sha256


class CloseBody(Body):
    """Why the agency's work ends."""

    code: CloseCode
    closed_date: Date


PAYMENT_TYPES: Final[dict[str, type[Body]]] = {
    "payment": PaymentBody,
    "returned": ReturnedBody,
    "refund": RefundBody,
    "correction": CorrectionBody,
}

COMMANDS: Final[dict[type[Body], type[Message]]] = {
    PaymentBody: contract.PostPayment,
    ReturnedBody: contract.ReturnPayment,
    RefundBody: contract.RefundPayment,
    CorrectionBody: contract.CorrectPayment,
    AdjustmentBody: contract.AdjustBalance,
    HoldBody: contract.PlaceHold,
    ReleaseBody: contract.ReleaseHold,
    DisputeBody: contract.OpenDispute,
    VerificationBody: contract.SendVerification,
    DisputeCloseBody: contract.CloseDispute,
    DocumentBody: contract.AttachDocument,
    CloseBody: contract.CloseAccount,
}

SHAPES: Final[dict[type[Body], Shapes]] = {body: compiled(body, descriptor_of(made)) for body, made in COMMANDS.items()}
POINTERS: Final = {
    body: Pointers(shapes, {"currency": "amount.currency", "portion_minor": "portion.amount"})
    for body, shapes in SHAPES.items()
}


def message_of(body: Body, account_id: str, ids: dict[str, str]) -> Message:
    """The command on this account; `ids` are those that the address names or the call derives."""
    made = COMMANDS[type(body)]()
    fill(made, body.model_dump(by_alias=True), SHAPES[type(body)])
    for name, value in {"account_id": account_id, **ids}.items():
        setattr(made, name, value)
    for name in ("amount", "difference"):
        money = getattr(body, name, None)
        if money is not None:
            setattr(made, "currency", money.currency)  # noqa: B010 - the messages with an amount have a currency beside it.
    return made
