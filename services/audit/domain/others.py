"""Clients and persons, folded from their facts: small states, built in place from the first fact on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.accounts.v1.state_pb2 import ClientState, PersonAccount, PersonState, Portfolio

from services.audit.domain.account import FactBytes
from services.audit.domain.book import UnknownFact

_CLIENT_TYPES: Final = (facts.ClientRegistered, facts.ContractAmended, facts.PortfolioOpened)
_PERSON_TYPES: Final = (
    facts.PersonRegistered,
    facts.AccountLinked,
    facts.PersonHoldPlaced,
    facts.PersonHoldReleased,
    facts.PersonsLinked,
    facts.PersonsUnlinked,
    facts.PersonErased,
)
_DECODE: Final = {kind.DESCRIPTOR.full_name: kind.FromString for kind in (*_CLIENT_TYPES, *_PERSON_TYPES)}
CLIENT_FACTS: Final = frozenset(kind.DESCRIPTOR.full_name for kind in _CLIENT_TYPES)
PERSON_FACTS: Final = frozenset(kind.DESCRIPTOR.full_name for kind in _PERSON_TYPES)


def fold_client(stream: Iterable[FactBytes]) -> ClientState:
    """The state of a client after these facts of its stream."""
    state = ClientState()
    for version, type_, payload in stream:
        _enter_client(state, _decoded(type_, payload))
        state.version = version
    return state


def fold_person(stream: Iterable[FactBytes]) -> PersonState:
    """The state of a person after these facts of their stream."""
    state = PersonState()
    for version, type_, payload in stream:
        _enter_person(state, _decoded(type_, payload))
        state.version = version
    return state


def _decoded(type_: str, payload: bytes) -> Message:
    decode = _DECODE.get(type_)
    if decode is None:
        raise UnknownFact(type_)
    return decode(payload)


def _enter_client(state: ClientState, fact: Message) -> None:
    match fact:
        case facts.ClientRegistered():
            state.client_id, state.legal_name, state.kind = fact.client_id, fact.legal_name, fact.kind
            state.contract.CopyFrom(fact.contract)
        case facts.ContractAmended():
            state.contract.CopyFrom(fact.contract)
        case facts.PortfolioOpened():
            state.portfolios.append(Portfolio(portfolio_id=fact.portfolio_id, name=fact.name))
        case _:
            raise UnknownFact(fact.DESCRIPTOR.full_name)


def _enter_person(state: PersonState, fact: Message) -> None:
    match fact:
        case facts.PersonRegistered():
            state.person_id, state.kind = fact.person_id, fact.kind
        case facts.AccountLinked():
            state.accounts.append(PersonAccount(account_id=fact.account_id, role=fact.role))
        case facts.PersonHoldPlaced():
            state.holds.append(fact.hold)
        case facts.PersonHoldReleased():
            kept = [hold for hold in state.holds if hold.hold_id != fact.hold_id]
            del state.holds[:]
            state.holds.extend(kept)
        case facts.PersonsLinked():
            state.linked_person_ids.append(fact.other_person_id)
        case facts.PersonsUnlinked():
            state.linked_person_ids.remove(fact.other_person_id)
        case facts.PersonErased():
            state.erased = True
        case _:
            raise UnknownFact(fact.DESCRIPTOR.full_name)
