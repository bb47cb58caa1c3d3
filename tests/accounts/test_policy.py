"""What our own facts oblige us to do, in the policy's own words, and that it comes to rest."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Bankruptcy, Debtor

from kernel.decider import Decider, Heard, Refused
from kernel.testing import NOW
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.holds import holds_in_force
from services.accounts.domain.person import PERSON
from services.accounts.domain.policy import react
from tests.accounts.examples import ANN, BOB, debtor, place, terms

FIRST, SECOND = str(UUID(int=201)), str(UUID(int=202))
STEPS_MAX = 500


class Agency:
    """Streams of accounts and persons in memory, whose facts are heard until nothing is owed any more."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.heard: deque[Any] = deque()
        self.facts: list[Any] = []
        self.refusals: list[Refused] = []

    def give(self, *given: Any) -> Agency:
        """Decide commands and hear what follows, to the end."""
        for command in given:
            self._decide(command)
            self._rest()
        return self

    def held(self, account_id: str) -> list[tuple[str, int]]:
        """The holds in force on an account."""
        state = self.states[f"account-{account_id}"]
        return [(hold.hold_id, hold.reason) for hold in holds_in_force(state, NOW)]

    def _rest(self) -> None:
        steps = 0
        while self.heard:
            for command in react(_heard(self.heard.popleft())):
                self._decide(command)
            steps += 1
            assert steps < STEPS_MAX, "the reactions do not come to rest"

    def _decide(self, command: Any) -> None:
        decider: Decider[Any] = ACCOUNT if type(command) in ACCOUNT.commands else PERSON
        entity = command.account_id if decider is ACCOUNT else command.person_id
        state = self.states.get(f"{decider.category}-{entity}", decider.initial)
        try:
            facts = decider.decide(command, state, NOW)
        except Refused as refusal:
            self.refusals.append(refusal)
            return
        for fact in facts:
            state = decider.evolve(state, fact)
        self.states[f"{decider.category}-{entity}"] = state
        self.heard.extend(facts)
        self.facts.extend(facts)


def _heard(fact: Any) -> Heard:
    return Heard(fact, "", "", 1, "", 0, 0, NOW, NOW, "", (), "")


def placing(account_id: str, *debtors: Debtor) -> commands.PlaceAccount:
    command = place(terms(client_reference=account_id), *debtors, digest=account_id)
    command.account_id = account_id
    return command


def hold(account_id: str, hold_id: str = "H1", person_id: str = ANN) -> commands.PlaceHold:
    return commands.PlaceHold(
        account_id=account_id,
        hold_id=hold_id,
        scope=words.HOLD_SCOPE_PERSON,
        person_id=person_id,
        reason=words.HOLD_REASON_DECEASED,
    )


def release(account_id: str, hold_id: str = "H1") -> commands.ReleaseHold:
    return commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="it is over")


DEAD = ("H1", words.HOLD_REASON_DECEASED)


def test_when_an_account_is_placed_it_is_linked_to_each_of_its_debtors() -> None:
    agency = Agency().give(placing(FIRST, debtor(), debtor(BOB, words.DEBTOR_ROLE_CO_DEBTOR)))
    assert list(agency.states[f"person-{ANN}"].accounts) == [FIRST]
    assert list(agency.states[f"person-{BOB}"].accounts) == [FIRST]


def test_when_a_quarantined_account_is_placed_it_is_linked_too() -> None:
    lacking = placing(FIRST)
    lacking.terms.ClearField("itemization")
    assert list(Agency().give(lacking).states[f"person-{ANN}"].accounts) == [FIRST]


def test_when_a_hold_that_reaches_a_person_is_placed_on_an_account_each_of_their_accounts_is_held() -> None:
    agency = Agency().give(placing(FIRST), placing(SECOND), hold(FIRST))
    assert agency.held(FIRST) == agency.held(SECOND) == [DEAD]
    assert [held.hold_id for held in agency.states[f"person-{ANN}"].standing_holds()] == ["H1"]


def test_a_hold_says_nothing_of_the_other_accounts_that_it_reached() -> None:
    other = hold(FIRST)
    other.reason, other.text, other.expires_at = (
        words.HOLD_REASON_OTHER,
        "told on the phone",
        (NOW + timedelta(days=3)).isoformat(),
    )
    agency = Agency().give(placing(FIRST), placing(SECOND), other)
    (reached,) = agency.states[f"account-{SECOND}"].holds.values()
    assert reached.placed.text == "for a reason that concerns the person"


def test_when_a_person_is_held_each_of_their_accounts_is_held() -> None:
    command = commands.PlacePersonHold(person_id=ANN, hold_id="H1", reason=words.HOLD_REASON_DECEASED)
    agency = Agency().give(placing(FIRST), placing(SECOND), command)
    assert agency.held(FIRST) == agency.held(SECOND) == [DEAD]


def test_when_an_account_is_linked_to_a_person_who_is_held_the_account_is_held_too() -> None:
    agency = Agency().give(placing(FIRST), hold(FIRST), placing(SECOND))
    assert agency.held(SECOND) == [DEAD]


def test_when_a_hold_that_reaches_a_person_is_released_it_is_released_on_each_of_their_accounts() -> None:
    agency = Agency().give(placing(FIRST), placing(SECOND), hold(FIRST), release(SECOND))
    assert agency.held(FIRST) == agency.held(SECOND) == []
    assert agency.states[f"person-{ANN}"].standing_holds() == []


def test_when_a_persons_hold_is_released_it_is_released_on_each_of_their_accounts() -> None:
    command = commands.ReleasePersonHold(person_id=ANN, hold_id="H1", reason="it is over")
    agency = Agency().give(placing(FIRST), placing(SECOND), hold(FIRST), command)
    assert agency.held(FIRST) == agency.held(SECOND) == []


def test_a_hold_on_one_account_alone_stays_there() -> None:
    alone = hold(FIRST)
    alone.scope = words.HOLD_SCOPE_ACCOUNT
    agency = Agency().give(placing(FIRST), placing(SECOND), alone)
    assert (agency.held(FIRST), agency.held(SECOND)) == ([DEAD], [])


def test_what_is_known_of_a_person_when_one_account_is_placed_holds_their_other_accounts() -> None:
    bankrupt = debtor(bankruptcy=Bankruptcy(chapter=7))
    agency = Agency().give(placing(FIRST), placing(SECOND, bankrupt))
    assert [reason for _hold_id, reason in agency.held(FIRST)] == [words.HOLD_REASON_BANKRUPTCY]


def test_a_hold_with_words_and_an_expiry_reaches_the_other_accounts() -> None:
    until = (NOW + timedelta(days=9)).isoformat()
    other = hold(FIRST)
    other.reason, other.text, other.expires_at = words.HOLD_REASON_OTHER, "a flood", until
    agency = Agency().give(placing(FIRST), placing(SECOND), other)
    assert agency.held(FIRST) == agency.held(SECOND) == [("H1", words.HOLD_REASON_OTHER)]
    assert agency.refusals == []


ACCOUNTS = [FIRST, SECOND, str(UUID(int=203))]
HOLDS = [("H1", ANN), ("H2", ANN), ("H3", BOB)]
"""A hold's id is made for it, and so names one hold of one person."""
moves = st.one_of(
    st.sampled_from([placing(each, debtor(), debtor(BOB, words.DEBTOR_ROLE_CO_DEBTOR)) for each in ACCOUNTS]),
    st.builds(lambda each, named: hold(each, *named), st.sampled_from(ACCOUNTS), st.sampled_from(HOLDS)),
    st.builds(lambda each, named: release(each, named[0]), st.sampled_from(ACCOUNTS), st.sampled_from(HOLDS)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=12))
def test_whatever_is_placed_held_and_released_comes_to_rest_with_every_account_of_a_person_alike(
    given_moves: list[Any],
) -> None:
    agency = Agency()
    for move in given_moves:
        if isinstance(move, commands.PlaceAccount) or f"account-{move.account_id}" in agency.states:
            agency.give(move)
    for person_id in (ANN, BOB):
        person = agency.states.get(f"person-{person_id}", PERSON.initial)
        for account_id in person.accounts:
            state = agency.states[f"account-{account_id}"]
            ours = [held.hold_id for held in holds_in_force(state, NOW) if held.person_id == person_id]
            assert sorted(ours) == sorted(held.hold_id for held in person.standing_holds())
