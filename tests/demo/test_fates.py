"""What happens to accounts: seeded, in the order of days, and nothing that lies ahead."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from demo.fates import FATES, Call, Case, Fate, fate_of

TODAY = date(2026, 11, 24)


def case(seed: object = 1) -> Case:
    chance = random.Random(str(seed))  # noqa: S311 - chance, not a secret.
    return Case("REF-1", "USD", 123_456, 100_000, 2_500, "person", TODAY - timedelta(days=90), TODAY, chance)


def calls_of(fate: Fate) -> list[Call]:
    made = []
    try:
        call = next(fate)
        while True:
            made.append(call)
            call = fate.send({"dispute_id": "dispute-1", "hold_id": "hold-1", "document_id": "document-1"})
    except StopIteration:
        return made


@pytest.mark.parametrize("fate", [fate for _, fate in FATES])
@pytest.mark.parametrize("seed", range(20))
def test_days_go_forward_between_placement_and_today(fate: Callable[[Case], Fate], seed: int) -> None:
    days = [call.day for call in calls_of(fate(case(seed)))]
    assert days == sorted(days)
    assert all(TODAY - timedelta(days=90) < day <= TODAY for day in days)


def test_the_same_seed_gives_the_same_calls() -> None:
    first, again = (calls_of(fate_of(case("x"))) for _ in range(2))
    assert first == again


def test_rates_are_those_of_the_table() -> None:
    fates = Counter(len(calls_of(fate_of(case(seed)))) > 0 for seed in range(4_000))
    share = sum(per_mille for per_mille, _ in FATES) * 4
    assert abs(fates[True] - share) < 150


def test_no_transaction_reference_is_used_twice_on_an_account() -> None:
    for _, fate in FATES:
        made = calls_of(fate(case()))
        references = [str(call.body["transaction_reference"]) for call in made if "transaction_reference" in call.body]
        assert len(references) == len(set(references))
        assert all(len(reference) <= 64 for reference in references)
