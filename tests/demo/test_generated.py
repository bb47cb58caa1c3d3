"""The invented portfolio: the same for the same seed, with the flaws of real files."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from demo.generated import CREDITORS, invent

TODAY = date(2026, 11, 24)
PLACED = TODAY - timedelta(days=90)


def test_the_same_seed_gives_the_same_lines() -> None:
    assert invent(200, 7, PLACED, TODAY) == invent(200, 7, PLACED, TODAY)
    assert invent(200, 7, PLACED, TODAY) != invent(200, 8, PLACED, TODAY)


def test_there_are_as_many_lines_as_asked_of_three_creditors() -> None:
    lines = invent(2_000, 7, PLACED, TODAY)
    assert len(lines) == 2_000
    assert {line.client.client_id for line in lines} == {creditor.client.client_id for creditor in CREDITORS}


def test_some_lines_repeat_an_earlier_one() -> None:
    references = Counter(line.placement.terms.client_reference for line in invent(2_000, 7, PLACED, TODAY))
    assert 10 < sum(count - 1 for count in references.values()) < 60


def test_some_people_owe_more_than_one_account() -> None:
    debtors: dict[str, set[str]] = {}
    for line in invent(2_000, 7, PLACED, TODAY):
        name = line.placement.parties[0].SerializeToString(deterministic=True).hex()
        debtors.setdefault(name, set()).add(line.placement.terms.client_reference)
    assert sum(len(references) > 1 for references in debtors.values()) >= 10
