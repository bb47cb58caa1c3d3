"""Turns a placement's JSON into the contract's Placement, and the contract's faults into faults of the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from recoup.accounts.v1 import placement_pb2

from kernel.decider import Fault
from services.gateway.mapping import Pointers, compiled, fill
from services.gateway.placement import Placement
from services.gateway.shapes import descriptor_of, shaped
from services.gateway.strict_json import Document, Json, pointer

SHAPES: Final = compiled(Placement, descriptor_of(placement_pb2.Placement))
POINTERS: Final = Pointers(
    SHAPES,
    {
        "debtors": "debtors",
        "debtors.*": "debtors.*",
        "debtors.*.flags": "debtors.*.flags",
        "parties.*": "debtors.*",
        "terms": "",
        "terms.balance.buckets": "balance",
        "terms.balance.buckets.other_minor": "balance.other",
        "terms.debt.collateral.*": "debt.collateral.*",
    },
)


def placement(document: Document, client: str, *, currencies: bool = True) -> placement_pb2.Placement | list[Fault]:
    """What the client places, or every fault of the document. `currencies`: each amount names its own."""
    mixed = currency_faults(document.value) if currencies else ()
    body, faults = shaped(Placement, document.value, [*document.faults, *mixed])
    return faults if body is None else message_of(body, client)


def message_of(body: Placement, client: str) -> placement_pb2.Placement:
    """The contract's message: the same content gives the same bytes, whatever way it came."""
    made = placement_pb2.Placement()
    fill(made, body, SHAPES)
    made.terms.client_id = client
    made.terms.balance.buckets.other_minor = sum(item.amount.amount for item in body.balance.other)
    for number, (collateral, sent) in enumerate(zip(made.terms.debt.collateral, body.debt.collateral, strict=True), 1):
        collateral.collateral_id = f"collateral-{number}"
        made.collateral_identifiers.append(sent.identifier)
    for number, document in enumerate(made.terms.documents, 1):
        document.document_id = document.document_id or f"document-{number}"
    return made


def json_faults(faults: Iterable[Fault]) -> list[Fault]:
    """Faults of the contract's Placement, or of the command made of it, as faults of the JSON; each once."""
    return list(dict.fromkeys(POINTERS.translated(fault) for fault in faults))


def currency_faults(value: dict[str, Json]) -> Iterator[Fault]:
    """Every amount in another currency than the balance's."""
    balance = value.get("balance")
    currency = balance.get("currency") if isinstance(balance, dict) else None
    if isinstance(currency, str):
        yield from _other_currencies(value, (), currency)


def _other_currencies(value: Json, path: tuple[object, ...], currency: str) -> Iterator[Fault]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _other_currencies(item, (*path, index), currency)
    elif isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        if isinstance(value["currency"], str) and value["currency"] != currency:
            message = "Every amount of a placement is in the currency of its balance."
            yield Fault(pointer((*path, "currency")), "mixed_currency", message)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _other_currencies(item, (*path, name), currency)
