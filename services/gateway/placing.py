"""Turns a placement's JSON into the contract's Placement, and the contract's faults into faults of the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

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


SUMS: Final = ("balance", "itemization", "debt")
"""Groups that rules compare with each other: when one is at fault, nothing that a rule says of them is certain."""


def placement(document: Document, client: str, *, currencies: bool = True) -> placement_pb2.Placement | list[Fault]:
    """What the client places, or every fault of the document's shape. `currencies`: each amount names its own."""
    mixed = currency_faults(document.value) if currencies else ()
    body, faults = shaped(Placement, document.value, [*document.faults, *mixed])
    return faults if body is None else message_of(document.value, client)


def message_of(sent: Mapping[str, Json], client: str) -> placement_pb2.Placement:
    """The contract's message: the same content gives the same bytes, whatever way it came."""
    made = placement_pb2.Placement()
    fill(made, sent, SHAPES)
    made.terms.client_id = client
    made.terms.balance.buckets.other_minor = sum(item.amount_minor for item in made.terms.balance.other)
    for number, held in enumerate(made.terms.debt.collateral, 1):
        held.collateral_id = f"collateral-{number}"
    made.collateral_identifiers.extend(_identifiers(sent))
    _fill_bankruptcy_files(made, sent)
    for number, document in enumerate(made.terms.documents, 1):
        document.document_id = document.document_id or f"document-{number}"
    return made


def _identifiers(sent: Mapping[str, Any]) -> Iterator[str]:
    """Those of the collateral, in its order; the vault keeps them, so they stand apart in the message."""
    for held in (sent.get("debt") or {}).get("collateral") or ():
        yield held.get("identifier", "")


def _fill_bankruptcy_files(made: placement_pb2.Placement, sent: Mapping[str, Any]) -> None:
    """The court file of each debtor's bankruptcy; the vault keeps it, so it stands apart from the flags."""
    for party, debtor in zip(made.parties, sent.get("debtors") or (), strict=True):
        bankruptcy = (debtor.get("flags") or {}).get("bankruptcy") or {}
        for name in ("court", "case_number"):
            if bankruptcy.get(name) is not None:
                setattr(party.bankruptcy_file, name, bankruptcy[name])


def sound_part(document: Document, faults: Iterable[Fault], client: str) -> placement_pb2.Placement:
    """The message of what is not at fault: so that the rules can judge the rest of a document whose shape is wrong."""
    value = deepcopy(document.value)
    for fault in faults:
        _remove(value, [token.replace("~1", "/").replace("~0", "~") for token in fault.pointer.split("/")[1:]])
    return message_of(value, client)


def joined(faults: Sequence[Fault], found: Iterable[Fault]) -> list[Fault]:
    """The faults of the shape, and those that rules found in the sound part and that do not follow from them."""
    doubtful = {_group(fault) for fault in faults if fault.code not in ("unknown_field", "mixed_currency")}
    sums_doubtful = not doubtful.isdisjoint(SUMS)
    certain = [
        fault
        for fault in found
        if fault.pointer
        and not (sums_doubtful and _group(fault) in SUMS)
        and not any(_within(fault.pointer, known.pointer) for known in faults)
    ]
    return [*faults, *certain]


def _remove(value: Json, path: list[str]) -> None:
    """Remove what stands at the path; with an item of a list the whole list, so that no other item moves."""
    holder, last = value, ""
    for token, following in zip(path, [*path[1:], ""], strict=True):
        if isinstance(value, dict):
            holder, last = value, token
            value = value.get(token)
        elif isinstance(value, list) and following and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            break
    if isinstance(holder, dict):
        holder.pop(last, None)


def _group(fault: Fault) -> str:
    return fault.pointer.split("/")[1] if fault.pointer else ""


def _within(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


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
