"""The generated pages are what the contracts generate now."""

from __future__ import annotations

from docs.generate import CATALOGUE, catalogue


def test_the_catalogue_of_facts_is_up_to_date() -> None:
    assert CATALOGUE.read_text() == catalogue(), "run `make docs`"
