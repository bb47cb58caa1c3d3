"""Ids are uuid5 of their causes, and no two lists of parts are written alike."""

from __future__ import annotations

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.identity import CLIENT_NAMESPACE, command_id, derived, uuid_of

PARTS = st.lists(st.text(max_size=20), min_size=1, max_size=5)


@given(PARTS)
def test_an_id_is_the_uuid5_of_its_parts_with_their_lengths(parts: list[str]) -> None:
    name = "".join(f"{len(part.encode())}:{part}" for part in parts)
    made = derived(CLIENT_NAMESPACE, *parts)
    assert made == uuid5(CLIENT_NAMESPACE, name)
    assert (made.version, hash(made), str(made)) == (5, hash(UUID(str(made))), str(UUID(int=made.int)))


@given(PARTS, PARTS)
def test_other_parts_are_another_id(one: list[str], other: list[str]) -> None:
    assert (derived(CLIENT_NAMESPACE, *one) == derived(CLIENT_NAMESPACE, *other)) is (one == other)


def test_a_separator_within_a_part_moves_nothing_from_one_part_to_the_next() -> None:
    tenant = UUID(int=1)
    assert command_id(tenant, "a|b", "T", "x") != command_id(tenant, "a", "b|T", "x")
    assert command_id(tenant, "a", "1:T", "x") != command_id(tenant, "a1:", "T", "x")


@given(st.uuids())
def test_a_uuid_is_read_from_its_text(uuid: UUID) -> None:
    assert uuid_of(str(uuid)) == uuid
    assert uuid_of(uuid.hex.upper()) == uuid


@pytest.mark.parametrize(
    "text", ["", "x", "0" * 31, "g" * 32, "0_" * 16, " " + "0" * 31, "\u0661" * 32, "+" + "0" * 31]
)
def test_another_text_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a UUID|invalid literal"):
        uuid_of(text)
