"""Persons: their accounts, the holds that reach all of them, links, erasure."""

from __future__ import annotations

from uuid import UUID

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words

from kernel.testing import Scenario
from services.accounts.domain import person as rules
from services.accounts.domain.holds import (
    DischargeStands,
    DisputeHoldsItself,
    ExpiryForbidden,
    HoldIdTaken,
    HoldUnknown,
)
from services.accounts.domain.person import PERSON, Person
from tests.accounts.examples import ANN, BOB

FIRST, SECOND = str(UUID(int=101)), str(UUID(int=102))
NOTHING: Scenario[Person] = Scenario(PERSON)
REGISTERED = events.PersonRegistered(person_id=ANN, kind=words.PARTY_KIND_PERSON)
HOLD = events.PersonHold(hold_id="H1", reason=words.HOLD_REASON_DECEASED)
HELD = events.PersonHoldPlaced(person_id=ANN, hold=HOLD, account_ids=[FIRST])


def link(account_id: str) -> commands.LinkAccount:
    return commands.LinkAccount(
        person_id=ANN, account_id=account_id, role=words.DEBTOR_ROLE_PRIMARY, kind=words.PARTY_KIND_PERSON
    )


def linked(account_id: str, *holds: events.PersonHold) -> events.AccountLinked:
    return events.AccountLinked(person_id=ANN, account_id=account_id, role=words.DEBTOR_ROLE_PRIMARY, holds=holds)


def hold(reason: words.HoldReason = words.HOLD_REASON_DECEASED) -> commands.PlacePersonHold:
    return commands.PlacePersonHold(person_id=ANN, hold_id="H1", reason=reason)


RELEASE = commands.ReleasePersonHold(person_id=ANN, hold_id="H1", reason="it is over")
RELEASED = events.PersonHoldReleased(person_id=ANN, hold_id="H1", reason="it is over", account_ids=[FIRST])
ONE = NOTHING.given(REGISTERED, linked(FIRST))


def test_the_first_account_registers_the_person() -> None:
    NOTHING.when(link(FIRST)).then(REGISTERED, linked(FIRST))


def test_a_further_account_is_linked_and_the_same_one_is_already_so() -> None:
    ONE.when(link(SECOND)).then(linked(SECOND))
    ONE.when(link(FIRST)).nothing()


def test_a_hold_reaches_every_account_of_the_person() -> None:
    ONE.when(hold()).then(HELD)


def test_a_discharge_is_not_released_on_the_person_either() -> None:
    discharged = events.PersonHold(hold_id="H1", reason=words.HOLD_REASON_DISCHARGED)
    ONE.given(events.PersonHoldPlaced(person_id=ANN, hold=discharged)).when(RELEASE).refused(DischargeStands)


def test_an_account_that_is_linked_later_is_told_of_the_holds_that_stand() -> None:
    ONE.given(HELD).when(link(SECOND)).then(linked(SECOND, HOLD))
    ONE.given(HELD, RELEASED).when(link(SECOND)).then(linked(SECOND))


def test_the_same_hold_again_is_already_so_also_after_its_release() -> None:
    ONE.given(HELD).when(hold()).nothing()
    ONE.given(HELD, RELEASED).when(hold()).nothing()


def test_a_persons_hold_follows_the_rules_of_every_hold() -> None:
    ONE.given(HELD).when(hold(words.HOLD_REASON_COMPLAINT)).refused(HoldIdTaken)
    ONE.when(hold(words.HOLD_REASON_DISPUTE)).refused(DisputeHoldsItself)
    ending = hold()
    ending.expires_at = "2026-04-01T00:00:00Z"
    ONE.when(ending).refused(ExpiryForbidden)


def test_a_hold_is_released_once() -> None:
    ONE.given(HELD).when(RELEASE).then(RELEASED)
    ONE.given(HELD, RELEASED).when(RELEASE).nothing()
    ONE.when(RELEASE).refused(HoldUnknown)


def test_two_entries_are_linked_and_unlinked() -> None:
    both = commands.LinkPersons(person_id=ANN, other_person_id=BOB, reason="the same person")
    apart = commands.UnlinkPersons(person_id=ANN, other_person_id=BOB, reason="a mistake")
    fact = events.PersonsLinked(person_id=ANN, other_person_id=BOB, reason="the same person")
    state = ONE.when(both).then(fact)
    assert state.linked == (BOB,)
    ONE.given(fact).when(both).nothing()
    undone = events.PersonsUnlinked(person_id=ANN, other_person_id=BOB, reason="a mistake")
    assert ONE.given(fact).when(apart).then(undone).linked == ()
    ONE.when(apart).refused(rules.NotLinked)


def test_nobody_is_linked_to_themselves() -> None:
    alone = commands.LinkPersons(person_id=ANN, other_person_id=ANN, reason="?")
    ONE.when(alone).refused(rules.SamePerson, "/other_person_id")


def test_a_person_is_erased_once() -> None:
    erase = commands.ErasePerson(person_id=ANN, reason="asked for it")
    fact = events.PersonErased(person_id=ANN, reason="asked for it")
    assert ONE.when(erase).then(fact).erased
    ONE.given(fact).when(erase).nothing()
