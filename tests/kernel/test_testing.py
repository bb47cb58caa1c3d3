"""The sentences that domain tests are made of fail when they are not true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from recoup.sample.v1.sample_pb2 import BookOpened, CloseBook, EntryPosted, OpenBook, PostEntry

from kernel.decider import Refused
from kernel.testing import Outcome, Scenario
from tests.kernel.sample import Book, BookNotOpen, BookOverdrawn
from tests.kernel.support import LEDGER

OPENED = BookOpened(book_id="b", client="c")
POSTED = EntryPosted(book_id="b", amount_minor=5, balance_after_minor=5)
OPEN = Scenario(LEDGER).given(OPENED)


def test_what_is_true_passes() -> None:
    state = OPEN.when(PostEntry(book_id="b", amount_minor=5)).then(POSTED)
    assert state.balance_minor == 5
    OPEN.when(OpenBook(book_id="b", client="c")).nothing()
    refusal = OPEN.when(PostEntry(book_id="b", amount_minor=-1)).refused(BookOverdrawn, "/amount_minor")
    assert "It would be -1." in refusal.text
    Scenario(LEDGER).when(CloseBook(book_id="b")).nothing()


@pytest.mark.parametrize(
    "untrue",
    [
        lambda outcome: outcome.then(),
        lambda outcome: outcome.nothing(),
        lambda outcome: outcome.then(OPENED),
        lambda outcome: outcome.then(POSTED, POSTED),
        lambda outcome: outcome.refused(BookNotOpen),
    ],
)
def test_what_is_untrue_of_facts_fails(untrue: Callable[[Outcome[Book]], object]) -> None:
    outcome = OPEN.when(PostEntry(book_id="b", amount_minor=5))
    with pytest.raises(AssertionError, match=r"recoup\.sample\.v1\.EntryPosted"):
        untrue(outcome)


@pytest.mark.parametrize(
    "untrue",
    [
        lambda outcome: outcome.then(POSTED),
        lambda outcome: outcome.nothing(),
        lambda outcome: outcome.refused(BookNotOpen),
        lambda outcome: outcome.refused(Refused),
        lambda outcome: outcome.refused(BookOverdrawn, "/memo"),
    ],
)
def test_what_is_untrue_of_a_refusal_fails(untrue: Callable[[Outcome[Book]], object]) -> None:
    outcome = OPEN.when(PostEntry(book_id="b", amount_minor=-5))
    with pytest.raises(AssertionError, match="BookOverdrawn"):
        untrue(outcome)


def test_a_message_that_is_no_fact_of_the_decider_is_refused() -> None:
    with pytest.raises(AssertionError, match="no fact of book"):
        Scenario(LEDGER).given(PostEntry(book_id="b")).state()
    with pytest.raises(AssertionError, match="no command of book"):
        OPEN.when(OPENED)
