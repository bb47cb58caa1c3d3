"""The person: ids of accounts and holds that reach all of them. Not one personal datum is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.events_pb2 import PersonHold

from kernel.decider import Decider, Fault, Refused
from services.accounts.domain.holds import (
    DischargeStands,
    DisputeHoldsItself,
    HoldIdTaken,
    HoldUnknown,
    expired,
    refuse_expiry,
)


class SamePerson(Refused):
    """A person cannot be linked to themselves."""


class NotLinked(Refused):
    """The two entries are not linked."""


class HeldHold(NamedTuple):
    """A hold on the person. A released one is remembered, so that the same hold is never placed twice."""

    hold: PersonHold
    released: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A person. The messages inside are shared with the facts and must not be changed."""

    person_id: str = ""
    version: int = 0
    kind: words.PartyKind = words.PARTY_KIND_UNSPECIFIED
    accounts: Mapping[str, words.DebtorRole] = field(default_factory=dict)
    holds: Mapping[str, HeldHold] = field(default_factory=dict)
    linked: tuple[str, ...] = ()
    erased: bool = False

    def holds_in_force(self, now: datetime) -> Sequence[PersonHold]:
        """The holds that were neither released nor have expired at an instant."""
        return [hold for hold in self.standing_holds() if not expired(hold.expires_at, now)]

    def standing_holds(self) -> Sequence[PersonHold]:
        """The holds that were not released."""
        return [held.hold for held in self.holds.values() if not held.released]


def decide(command: Message, person: Person, now: datetime) -> Sequence[Message]:
    """The facts that the command brings about, none when it is so already, or a refusal."""
    return _DECISIONS[type(command)](command, person, now)


def evolve(person: Person, fact: Message) -> Person:
    """The person after one more fact."""
    return _EVOLUTIONS[type(fact)](person, fact, person.version + 1)


def _link_account(command: commands.LinkAccount, person: Person, _now: datetime) -> Sequence[Message]:
    if command.account_id in person.accounts:
        return ()
    linked = events.AccountLinked(
        person_id=command.person_id,
        account_id=command.account_id,
        role=command.role,
        holds=person.standing_holds(),
    )
    if person.version:
        return (linked,)
    return (events.PersonRegistered(person_id=command.person_id, kind=command.kind), linked)


def _place_hold(command: commands.PlacePersonHold, person: Person, now: datetime) -> Sequence[Message]:
    hold = PersonHold(hold_id=command.hold_id, reason=command.reason)
    if command.HasField("expires_at"):
        hold.expires_at = command.expires_at
    known = person.holds.get(command.hold_id)
    if known is not None:
        if known.hold != hold:
            raise HoldIdTaken
        return ()
    if command.reason == words.HOLD_REASON_DISPUTE:
        raise DisputeHoldsItself
    refuse_expiry(command.reason, command.expires_at, now)
    return (events.PersonHoldPlaced(person_id=person.person_id, hold=hold, account_ids=list(person.accounts)),)


def _release_hold(command: commands.ReleasePersonHold, person: Person, _now: datetime) -> Sequence[Message]:
    known = person.holds.get(command.hold_id)
    if known is None:
        raise HoldUnknown
    if known.released:
        return ()
    if known.hold.reason == words.HOLD_REASON_DISCHARGED:
        raise DischargeStands
    fact = events.PersonHoldReleased(
        person_id=person.person_id,
        hold_id=command.hold_id,
        reason=command.reason,
        account_ids=list(person.accounts),
    )
    return (fact,)


def _link_persons(command: commands.LinkPersons, person: Person, _now: datetime) -> Sequence[Message]:
    if command.other_person_id == command.person_id:
        raise SamePerson(faults=[Fault("/other_person_id", "same", "must be another person")])
    if command.other_person_id in person.linked:
        return ()
    fact = events.PersonsLinked(
        person_id=person.person_id, other_person_id=command.other_person_id, reason=command.reason
    )
    return (fact,)


def _unlink_persons(command: commands.UnlinkPersons, person: Person, _now: datetime) -> Sequence[Message]:
    if command.other_person_id not in person.linked:
        raise NotLinked
    fact = events.PersonsUnlinked(
        person_id=person.person_id, other_person_id=command.other_person_id, reason=command.reason
    )
    return (fact,)


def _erase(command: commands.ErasePerson, person: Person, _now: datetime) -> Sequence[Message]:
    if person.erased:
        return ()
    return (events.PersonErased(person_id=person.person_id, reason=command.reason),)


def _registered(person: Person, fact: events.PersonRegistered, version: int) -> Person:
    return replace(person, person_id=fact.person_id, version=version, kind=fact.kind)


def _linked(person: Person, fact: events.AccountLinked, version: int) -> Person:
    return replace(person, version=version, accounts={**person.accounts, fact.account_id: fact.role})


def _hold_placed(person: Person, fact: events.PersonHoldPlaced, version: int) -> Person:
    return replace(person, version=version, holds={**person.holds, fact.hold.hold_id: HeldHold(fact.hold)})


def _hold_released(person: Person, fact: events.PersonHoldReleased, version: int) -> Person:
    held = person.holds[fact.hold_id]._replace(released=True)
    return replace(person, version=version, holds={**person.holds, fact.hold_id: held})


def _persons_linked(person: Person, fact: events.PersonsLinked, version: int) -> Person:
    return replace(person, version=version, linked=(*person.linked, fact.other_person_id))


def _persons_unlinked(person: Person, fact: events.PersonsUnlinked, version: int) -> Person:
    linked = tuple(other for other in person.linked if other != fact.other_person_id)
    return replace(person, version=version, linked=linked)


def _erased(person: Person, _fact: events.PersonErased, version: int) -> Person:
    return replace(person, version=version, erased=True)


_DECISIONS: Final[Mapping[type[Message], Callable[[Any, Person, datetime], Sequence[Message]]]] = {
    commands.LinkAccount: _link_account,
    commands.PlacePersonHold: _place_hold,
    commands.ReleasePersonHold: _release_hold,
    commands.LinkPersons: _link_persons,
    commands.UnlinkPersons: _unlink_persons,
    commands.ErasePerson: _erase,
}
_EVOLUTIONS: Final[Mapping[type[Message], Callable[[Person, Any, int], Person]]] = {
    events.PersonRegistered: _registered,
    events.AccountLinked: _linked,
    events.PersonHoldPlaced: _hold_placed,
    events.PersonHoldReleased: _hold_released,
    events.PersonsLinked: _persons_linked,
    events.PersonsUnlinked: _persons_unlinked,
    events.PersonErased: _erased,
}

PERSON: Final = Decider(
    category="person",
    initial=Person(),
    decide=decide,
    evolve=evolve,
    commands=tuple(_DECISIONS),
    facts=tuple(_EVOLUTIONS),
    begins=(commands.LinkAccount,),
)
