"""Holds: which reasons need an expiry, which stand until released, and what a placement already tells us to hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.terms_pb2 import Bankruptcy, PriorDispute, PriorHistory

from kernel.testing import NOW, Scenario
from services.accounts.domain import holds as rules
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.refusals import DocumentUnknown, InvalidFields, NotADebtor
from tests.accounts.examples import ACCOUNT_ID, ANN, BOB, debtor, place, terms
from tests.accounts.given import account, after, close, dispute, hold, placed, types

SOON = (NOW + timedelta(days=30)).isoformat()
STANDING = [
    reason
    for reason in words.HoldReason.values()
    if reason not in (*rules.NEEDS_EXPIRY, words.HOLD_REASON_UNSPECIFIED, words.HOLD_REASON_DISPUTE)
]


def release(hold_id: str = "H1") -> commands.ReleaseHold:
    return commands.ReleaseHold(account_id=ACCOUNT_ID, hold_id=hold_id, reason="it is over")


@pytest.mark.parametrize("reason", sorted(rules.NEEDS_EXPIRY))
def test_a_reason_that_holds_for_days_needs_an_expiry(reason: words.HoldReason) -> None:
    account().when(hold(reason, text="why")).refused(rules.ExpiryNeeded, "/expires_at")
    assert types(account().when(hold(reason, text="why", expires_at=SOON)).facts) == ["HoldPlaced"]


@pytest.mark.parametrize("reason", STANDING)
def test_any_other_reason_takes_no_expiry(reason: words.HoldReason) -> None:
    account().when(hold(reason, expires_at=SOON)).refused(rules.ExpiryForbidden, "/expires_at")
    assert types(account().when(hold(reason)).facts) == ["HoldPlaced"]


@pytest.mark.parametrize(
    "expires_at", [NOW.isoformat(), (NOW + timedelta(days=367)).isoformat(), "tomorrow", "2026-04-01"]
)
def test_an_expiry_lies_ahead_and_within_a_year(expires_at: str) -> None:
    account().when(hold(words.HOLD_REASON_DISASTER_AREA, expires_at=expires_at)).refused(rules.ExpiryNeeded)


def test_a_hold_for_another_reason_says_why() -> None:
    account().when(hold(words.HOLD_REASON_OTHER, expires_at=SOON)).refused(InvalidFields, "/text")


def test_the_hold_of_a_dispute_is_not_placed_by_hand() -> None:
    account().when(hold(words.HOLD_REASON_DISPUTE)).refused(rules.DisputeHoldsItself)


def test_a_hold_that_reaches_a_person_names_a_debtor() -> None:
    person = words.HOLD_SCOPE_PERSON
    account().when(hold(words.HOLD_REASON_DECEASED, scope=person)).refused(InvalidFields, "/person_id")
    account().when(hold(words.HOLD_REASON_DECEASED, scope=person, person_id=BOB)).refused(NotADebtor)


def test_the_document_of_a_hold_is_attached_first() -> None:
    account().when(hold(words.HOLD_REASON_DECEASED, document_id="X")).refused(DocumentUnknown)


def test_the_same_hold_again_is_already_so_also_after_its_release() -> None:
    command = hold(words.HOLD_REASON_COMPLAINT)
    after(account(), command).when(command).nothing()
    after(account(), command, release()).when(command).nothing()


def test_a_holds_id_names_one_hold() -> None:
    scenario = after(account(), hold(words.HOLD_REASON_COMPLAINT))
    scenario.when(hold(words.HOLD_REASON_DECEASED)).refused(rules.HoldIdTaken)


def test_a_hold_is_released_once() -> None:
    scenario = after(account(), hold(words.HOLD_REASON_COMPLAINT))
    assert types(scenario.when(release()).facts) == ["HoldReleased"]
    after(scenario, release()).when(release()).nothing()
    account().when(release()).refused(rules.HoldUnknown)


def test_a_closed_account_can_be_held() -> None:
    scenario = after(account(), close(words.CLOSE_CODE_UNECONOMIC))
    assert types(scenario.when(hold(words.HOLD_REASON_DECEASED)).facts) == ["HoldPlaced"]


def test_an_expired_hold_holds_no_more() -> None:
    state = after(account(), hold(words.HOLD_REASON_DISASTER_AREA, expires_at=SOON)).state()
    assert [each.hold_id for each in rules.holds_in_force(state, NOW + timedelta(days=29))] == ["H1"]
    assert rules.holds_in_force(state, NOW + timedelta(days=30)) == []


def test_the_hold_of_an_open_dispute_is_not_released_by_hand() -> None:
    scenario = after(account(), dispute())
    (hold_id,) = scenario.state().holds
    scenario.when(release(hold_id)).refused(rules.DisputeStillOpen)


KNOWN: list[tuple[dict[str, Any], words.HoldReason, words.HoldScope, str]] = [
    ({"deceased": True}, words.HOLD_REASON_DECEASED, words.HOLD_SCOPE_PERSON, "12 CFR 1006.6(a)(4)"),
    ({"military": True}, words.HOLD_REASON_SCRA, words.HOLD_SCOPE_PERSON, "50 USC 3911"),
    ({"identity_theft": True}, words.HOLD_REASON_IDENTITY_THEFT, words.HOLD_SCOPE_ACCOUNT, "15 USC 1681m(f)"),
    ({"represented": True}, words.HOLD_REASON_REPRESENTED, words.HOLD_SCOPE_ACCOUNT, "12 CFR 1006.6(b)(2)"),
    ({"cease_date": "2026-01-01"}, words.HOLD_REASON_CEASE_COMMUNICATION, words.HOLD_SCOPE_ACCOUNT, "12 CFR 1006.6(c)"),
    ({"bankruptcy": Bankruptcy(chapter=7)}, words.HOLD_REASON_BANKRUPTCY, words.HOLD_SCOPE_PERSON, "11 USC 362(a)(6)"),
    (
        {"bankruptcy": Bankruptcy(chapter=13, discharged=True)},
        words.HOLD_REASON_DISCHARGED,
        words.HOLD_SCOPE_ACCOUNT,
        "11 USC 524(a)(2)",
    ),
]


@pytest.mark.parametrize(("flags", "reason", "scope", "source"), KNOWN)
def test_what_is_known_at_placement_holds_in_the_same_decision(
    flags: dict[str, Any], reason: words.HoldReason, scope: words.HoldScope, source: str
) -> None:
    outcome = Scenario(ACCOUNT).when(place(None, debtor(**flags)))
    assert types(outcome.facts) == ["AccountPlaced", "HoldPlaced"]
    (known,) = rules.holds_in_force(outcome.state, NOW)
    assert (known.reason, known.scope, known.person_id, known.source) == (reason, scope, ANN, source)
    assert not known.expires_at


def test_other_flags_hold_nothing() -> None:
    outcome = Scenario(ACCOUNT).when(place(None, debtor(litigious=True, incarcerated=True)))
    assert types(outcome.facts) == ["AccountPlaced"]


def test_chapter_13_holds_for_co_debtors_too() -> None:
    debtors = (debtor(bankruptcy=Bankruptcy(chapter=13)), debtor(BOB, words.DEBTOR_ROLE_CO_DEBTOR))
    outcome = Scenario(ACCOUNT).when(place(None, *debtors))
    found = [(each.person_id, each.scope, each.source) for each in rules.holds_in_force(outcome.state, NOW)]
    assert found == [
        (ANN, words.HOLD_SCOPE_PERSON, "11 USC 362(a)(6)"),
        (BOB, words.HOLD_SCOPE_ACCOUNT, "11 USC 1301"),
    ]


def test_other_chapters_and_authorised_users_are_not_covered_by_the_co_debtor_stay() -> None:
    for bankrupt, other in (
        (Bankruptcy(chapter=7), words.DEBTOR_ROLE_CO_DEBTOR),
        (Bankruptcy(chapter=13), words.DEBTOR_ROLE_AUTHORISED_USER),
    ):
        outcome = Scenario(ACCOUNT).when(place(None, debtor(bankruptcy=bankrupt), debtor(BOB, other)))
        assert [each.person_id for each in rules.holds_in_force(outcome.state, NOW)] == [ANN]


def test_a_discharged_debt_is_never_worked_again() -> None:
    scenario = after(Scenario(ACCOUNT), place(None, debtor(bankruptcy=Bankruptcy(chapter=7, discharged=True))))
    (hold_id,) = scenario.state().holds
    refusal = scenario.when(release(hold_id)).refused(rules.DischargeStands)
    assert refusal.source == "11 USC 524(a)(2)"


def test_a_quarantined_account_is_held_as_well() -> None:
    lacking = terms()
    lacking.ClearField("itemization")
    outcome = Scenario(ACCOUNT).when(place(lacking, debtor(deceased=True)))
    assert types(outcome.facts) == ["PlacementQuarantined", "HoldPlaced"]


def test_a_dispute_that_was_open_before_holds_and_an_ended_one_does_not() -> None:
    history = PriorHistory(
        disputes=[
            PriorDispute(date="2026-02-01", reason=words.DISPUTE_REASON_PAID),
            PriorDispute(date="2026-01-01", reason=words.DISPUTE_REASON_PAID, outcome=words.DISPUTE_OUTCOME_VERIFIED),
        ]
    )
    outcome = Scenario(ACCOUNT).when(place(terms(history=history)))
    assert types(outcome.facts) == ["AccountPlaced", "DisputeOpened", "HoldPlaced"]
    assert [each.reason for each in rules.holds_in_force(outcome.state, NOW)] == [words.HOLD_REASON_DISPUTE]


def test_placing_twice_gives_the_same_holds() -> None:
    command = place(None, debtor(deceased=True))
    first, second = Scenario(ACCOUNT).when(command), Scenario(ACCOUNT).when(command)
    assert first.facts == second.facts
    assert placed() != first.facts[0]
