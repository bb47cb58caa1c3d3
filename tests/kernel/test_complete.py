"""A command is complete, or every one of its faults is named."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.sample.v1.sample_pb2 import COLOUR_RED, Everything, OpenBook, Part, PostEntry

from kernel.complete import faults_of

COMPLETE = Everything(
    thing_id="thing",
    text="text",
    digest=b"\x01",
    colour=COLOUR_RED,
    part=Part(name="part"),
    choice_text="this",
    at=Timestamp(seconds=1),
)


def changed(**changes: Any) -> Everything:
    """The complete message with some fields changed."""
    message = Everything()
    message.CopyFrom(COMPLETE)
    message.MergeFrom(Everything(**changes))
    return message


def found(message: Message) -> set[tuple[str, str]]:
    """Pointers and codes."""
    return {(fault.pointer, fault.code) for fault in faults_of(message)}


def test_a_complete_message_has_no_faults() -> None:
    assert faults_of(COMPLETE) == []


def test_every_fault_is_named_at_once() -> None:
    assert found(Everything()) == {
        ("/thing_id", "blank"),
        ("/text", "blank"),
        ("/digest", "blank"),
        ("/colour", "missing"),
        ("/part", "missing"),
        ("/choice", "missing"),
        ("/at", "missing"),
    }


def test_what_may_be_left_out_is_no_fault_and_what_is_there_is_looked_at() -> None:
    assert found(changed(text_left_out="", text_optional=" ")) == set()
    assert found(changed(text_left_out="a\u202eb")) == {("/text_left_out", "forbidden_character")}
    assert found(changed(part_optional=Part())) == {("/part_optional/name", "blank")}


def test_faults_are_found_however_deep() -> None:
    message = changed(parts=[Part(name="a"), Part()], words=["a", " "], parts_by_name={"a/b~": Part()})
    message.choice_part.SetInParent()
    assert found(message) == {
        ("/parts/1/name", "blank"),
        ("/words/1", "blank"),
        ("/parts_by_name/a~1b~0/name", "blank"),
        ("/choice_part/name", "blank"),
    }


def test_an_enum_is_one_that_is_known() -> None:
    assert found(changed(colour=7)) == {("/colour", "unknown_value")}
    assert found(changed(colours=[COLOUR_RED, 0])) == {("/colours/1", "missing")}


@pytest.mark.parametrize("character", ["\x00", "\n", "\x7f", "\x85", "\u202e", "\u2066", "\u200f", "\u061c"])
def test_control_and_bidirectional_characters_are_refused(character: str) -> None:
    (fault,) = faults_of(PostEntry(book_id=f"b{character}1"))
    assert (fault.pointer, fault.code) == ("/book_id", "forbidden_character")
    assert "position 1" in fault.message


@pytest.mark.parametrize("text", ["\u0646\u0627\u0645\u0647\u200c\u0647\u0627", "José", "李", "👩\u200d👧"])
def test_names_keep_their_joiners(text: str) -> None:
    assert faults_of(PostEntry(book_id=text)) == []


def test_an_instant_is_one_of_the_calendar() -> None:
    assert found(changed(at=Timestamp(seconds=253402300800))) == {("/at", "out_of_range")}
    assert found(changed(at=Timestamp(nanos=-1))) == {("/at", "out_of_range")}


def test_unknown_fields_are_refused_at_every_depth() -> None:
    assert found(OpenBook.FromString(b"\x0a\x01a\x12\x01b\x98\x06\x01")) == {("/99", "unknown_field")}
    nested = changed(part=Part.FromString(b"\x0a\x01a\x98\x06\x01"))
    assert found(nested) == {("/part/99", "unknown_field")}


def test_a_wrong_wire_type_is_an_unknown_field_and_not_a_zero() -> None:
    amount_as_text = b"\x0a\x01a\x12\x01b"
    assert ("/2", "unknown_field") in found(PostEntry.FromString(amount_as_text))
