"""The canonical form is RFC 8785's, whichever way it is made."""

from __future__ import annotations

from typing import Any

import rfc8785
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1.terms_pb2 import AccountTerms

from kernel.canonical import canonical_json
from tests.contracts.samples import filled

PUBLIC: list[Any] = [states.AccountState, states.ClientState, states.PersonState]


def expected(message: Message) -> bytes:
    return rfc8785.dumps(MessageToDict(message, preserving_proto_field_name=True))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=6), st.text(max_size=20))
def test_any_text_is_written_as_the_standard_says(metadata: dict[str, str], brand: str) -> None:
    terms = AccountTerms(metadata=metadata, brand=brand, placement_sequence=7)
    assert canonical_json(terms) == expected(terms)


@given(st.dictionaries(st.text('\x00\x1f"\\/\x7f ~a', max_size=4), st.text("\b\t\n\f\r\x01é", max_size=4), max_size=6))
def test_what_must_be_escaped_is_escaped_as_the_standard_says(metadata: dict[str, str]) -> None:
    terms = AccountTerms(metadata=metadata)
    assert canonical_json(terms) == expected(terms)


def test_names_beyond_the_basic_plane_are_sorted_as_the_standard_says() -> None:
    terms = AccountTerms(metadata={"\U0001f600": "", "\uff5e": "", "a": ""})
    assert canonical_json(terms).decode() == '{"metadata":{"a":"","\U0001f600":"","\uff5e":""}}'


def test_every_public_state_is_written_as_the_standard_says() -> None:
    for state in PUBLIC:
        message = filled(state.DESCRIPTOR)
        assert canonical_json(message) == expected(message)
        assert b'"version":"1002"' in canonical_json(message), "64-bit integers are strings"


def test_no_public_state_holds_a_floating_point_number() -> None:
    for state in PUBLIC:
        assert not floating(state.DESCRIPTOR, set())


def floating(descriptor: Descriptor, seen: set[str]) -> list[str]:
    """The fields of floating-point numbers in a message and all that it holds."""
    if descriptor.full_name in seen:
        return []
    seen.add(descriptor.full_name)
    found = []
    for field in descriptor.fields:
        if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
            found.append(field.full_name)
        if field.message_type is not None:
            found += floating(field.message_type, seen)
    return found
