"""A placement as the JSON of the public API: what the contract keeps flat, creditors send in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from recoup.accounts.v1 import placement_pb2, terms_pb2

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool"

_MINOR: Final = "_minor"
_BASIS_POINTS: Final = "_basis_points"
_SET_BY_THE_EDGE: Final = frozenset({"client_id", "collateral_id", "currency"})
_RENAMED: Final = {"from_owner": "from", "to_owner": "to", "parties": "debtors"}


def placement_json(placement: placement_pb2.Placement) -> dict[str, Json]:
    """The body of POST /v1/placements for a placement."""
    terms = placement.terms
    body = _fields(terms, terms.currency)
    body["debtors"] = [_fields(party, terms.currency) for party in placement.parties]
    body["balance"] = _balance(terms.balance, terms.currency)
    debt = body["debt"]
    assert isinstance(debt, dict)
    _put_identifiers(debt, placement)
    _group_medical(debt, placement)
    history = body.get("history")
    if isinstance(history, dict):
        _group_notice(history)
    if placement.HasField("origination"):
        body["origination"] = _fields(placement.origination, terms.currency)
    return body


def money(amount_minor: int, currency: str) -> dict[str, Json]:
    """An amount as the API takes it."""
    return {"amount": amount_minor, "currency": currency}


def word(field: FieldDescriptor, number: int) -> str:
    """An enum's value as the API takes it: lower case, without the enum's own name."""
    assert field.enum_type is not None
    values = field.enum_type.values_by_number
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    return str(values[number].name).removeprefix(prefix).lower()


def _fields(message: Message, currency: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for field, value in message.ListFields():
        if field.name in _SET_BY_THE_EDGE:
            continue
        name = field.name.removesuffix(_MINOR).removesuffix(_BASIS_POINTS)
        found[_RENAMED.get(name, name)] = _value(field, value, currency)
    # A plain bool that is false is no field to protobuf, but is an answer to the API.
    for declared in message.DESCRIPTOR.fields:
        if declared.type == FieldDescriptor.TYPE_BOOL and not declared.has_presence:
            found.setdefault(declared.name, False)
    return found


def _value(field: FieldDescriptor, value: object, currency: str) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        assert isinstance(value, Mapping)
        return dict(sorted(value.items()))
    if field.is_repeated:
        return [_single(field, item, currency) for item in cast("Sequence[object]", value)]
    return _single(field, value, currency)


def _single(field: FieldDescriptor, value: object, currency: str) -> Json:
    if isinstance(value, Message):
        return _fields(value, currency)
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert isinstance(value, int)
        return word(field, value)
    if field.name.endswith(_MINOR):
        assert isinstance(value, int)
        return money(value, currency)
    assert isinstance(value, str | int | bool)
    return value


def _balance(balance: terms_pb2.PlacedBalance, currency: str) -> dict[str, Json]:
    buckets = balance.buckets
    found: dict[str, Json] = {
        "principal": money(buckets.principal_minor, currency),
        "interest": money(buckets.interest_minor, currency),
        "fees": money(buckets.fees_minor, currency),
        "costs": money(buckets.costs_minor, currency),
        "total": money(balance.total_minor, currency),
        "currency": currency,
    }
    if balance.other:
        found["other"] = [{"label": item.label, "amount": money(item.amount_minor, currency)} for item in balance.other]
    return found


def _put_identifiers(debt: dict[str, Json], placement: placement_pb2.Placement) -> None:
    collateral = debt.get("collateral", [])
    assert isinstance(collateral, list)
    for held, identifier in zip(collateral, placement.collateral_identifiers, strict=True):
        assert isinstance(held, dict)
        held["identifier"] = identifier


def _group_medical(debt: dict[str, Json], placement: placement_pb2.Placement) -> None:
    medical: dict[str, Json] = {name: debt.pop(name) for name in ("service_date", "insurance_payments") if name in debt}
    if placement.medical_guarantors:
        medical["guarantors"] = list(placement.medical_guarantors)
    if medical:
        debt["medical"] = medical


def _group_notice(history: dict[str, Json]) -> None:
    if "negative_notice_sent" in history:
        notice: dict[str, Json] = {"sent": history.pop("negative_notice_sent")}
        if "negative_notice_date" in history:
            notice["date"] = history.pop("negative_notice_date")
        history["negative_notice"] = notice
