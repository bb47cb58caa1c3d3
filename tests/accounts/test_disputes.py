"""Disputes and their answers."""

from __future__ import annotations

from typing import Any

import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words

from kernel.testing import NOW
from services.accounts.domain import disputes as rules
from services.accounts.domain.holds import holds_in_force
from services.accounts.domain.refusals import DocumentUnknown, InvalidFields, NotADebtor
from tests.accounts.examples import ACCOUNT_ID, BOB
from tests.accounts.given import account, after, close, dispute, document, types


def verify(**changes: Any) -> commands.SendVerification:
    return commands.SendVerification(
        account_id=ACCOUNT_ID,
        dispute_id=changes.pop("dispute_id", "D1"),
        document_id=changes.pop("document_id", "DOC1"),
        sent_date=changes.pop("sent_date", "2026-03-02"),
    )


def end(outcome: words.DisputeOutcome = words.DISPUTE_OUTCOME_UPHELD, **changes: Any) -> commands.CloseDispute:
    return commands.CloseDispute(
        account_id=ACCOUNT_ID,
        dispute_id=changes.pop("dispute_id", "D1"),
        outcome=outcome,
        closed_date=changes.pop("closed_date", "2026-03-02"),
    )


def test_a_dispute_holds_the_account() -> None:
    outcome = account().when(dispute())
    assert types(outcome.facts) == ["DisputeOpened", "HoldPlaced"]
    (held,) = holds_in_force(outcome.state, NOW)
    assert (held.reason, held.dispute_id, held.source) == (words.HOLD_REASON_DISPUTE, "D1", "15 USC 1692g(b)")


def test_the_same_dispute_again_is_already_so() -> None:
    after(account(), dispute()).when(dispute()).nothing()


def test_a_disputes_id_names_one_dispute() -> None:
    after(account(), dispute()).when(dispute(received_date="2026-03-01")).refused(rules.DisputeIdTaken)


def test_only_a_debtor_disputes() -> None:
    account().when(dispute(person_id=BOB)).refused(NotADebtor)


@pytest.mark.parametrize("portion_minor", [0, -1, 12001])
def test_the_disputed_part_is_a_part_of_the_balance(portion_minor: int) -> None:
    account().when(dispute(portion_minor=portion_minor)).refused(InvalidFields, "/portion_minor")


def test_a_dispute_is_not_received_tomorrow() -> None:
    account().when(dispute(received_date="2026-03-03")).refused(InvalidFields, "/received_date")


def test_the_document_of_a_dispute_is_attached_first() -> None:
    account().when(dispute(document_id="DOC1")).refused(DocumentUnknown)


def test_a_closed_account_can_be_disputed() -> None:
    scenario = after(account(), close(words.CLOSE_CODE_UNECONOMIC))
    assert types(scenario.when(dispute()).facts) == ["DisputeOpened", "HoldPlaced"]


def test_the_answer_releases_the_hold() -> None:
    outcome = after(account(), dispute(), document()).when(verify())
    assert types(outcome.facts) == ["VerificationSent", "HoldReleased"]
    assert holds_in_force(outcome.state, NOW) == []


def test_the_same_answer_again_is_already_so_and_another_one_is_refused() -> None:
    scenario = after(account(), dispute(received_date="2026-03-01"), document(), verify())
    scenario.when(verify()).nothing()
    scenario.when(verify(sent_date="2026-03-01")).refused(rules.AnsweredOtherwise)


def test_the_answer_is_a_document_of_the_account() -> None:
    after(account(), dispute()).when(verify()).refused(DocumentUnknown)


def test_no_answer_precedes_its_dispute() -> None:
    scenario = after(account(), dispute(), document())
    scenario.when(verify(sent_date="2026-03-01")).refused(InvalidFields, "/sent_date")


def test_closing_a_dispute_releases_its_hold() -> None:
    outcome = after(account(), dispute()).when(end())
    assert types(outcome.facts) == ["DisputeClosed", "HoldReleased"]
    assert holds_in_force(outcome.state, NOW) == []


def test_closing_an_answered_dispute_releases_nothing_more() -> None:
    outcome = after(account(), dispute(), document(), verify()).when(end(words.DISPUTE_OUTCOME_VERIFIED))
    assert types(outcome.facts) == ["DisputeClosed"]


def test_a_dispute_does_not_end_as_verified_before_the_verification_was_sent() -> None:
    refusal = after(account(), dispute()).when(end(words.DISPUTE_OUTCOME_VERIFIED)).refused(rules.VerificationNotSent)
    assert refusal.source == "15 USC 1692g(b)"


def test_the_same_end_again_is_already_so_and_another_one_is_refused() -> None:
    scenario = after(account(), dispute(), end())
    scenario.when(end()).nothing()
    scenario.when(end(words.DISPUTE_OUTCOME_WITHDRAWN)).refused(rules.DisputeClosedAlready)
    after(scenario, document()).when(verify()).refused(rules.DisputeClosedAlready)


def test_an_unknown_dispute_is_neither_answered_nor_ended() -> None:
    account().when(verify()).refused(rules.DisputeUnknown)
    account().when(end()).refused(rules.DisputeUnknown)


def test_one_dispute_does_not_release_the_hold_of_another() -> None:
    scenario = after(account(), dispute(), dispute("D2"), end())
    assert [each.dispute_id for each in holds_in_force(scenario.state(), NOW)] == ["D2"]
