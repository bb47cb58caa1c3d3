"""The one form in which two states are the same, byte for byte: RFC 8785 JSON of their public messages.

Names are the contract's own (snake_case), 64-bit integers are strings and enums their names, as protobuf's JSON has
them; a field without presence that holds its default is absent.
"""

from __future__ import annotations

import rfc8785
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def canonical_json(message: Message) -> bytes:
    """The RFC 8785 form of a message, in UTF-8."""
    return rfc8785.dumps(MessageToDict(message, preserving_proto_field_name=True))
