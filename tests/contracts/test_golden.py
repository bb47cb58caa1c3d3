"""What was published once is read for ever: the bytes of every fact type, as they were, still mean the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from recoup.accounts.v1 import events_pb2 as accounts_events

from tests.contracts.samples import facts_of, filled

GOLDEN = Path(__file__).parent / "golden.json"
FACTS = {descriptor.full_name: descriptor for descriptor in facts_of(accounts_events.DESCRIPTOR)}


def test_every_fact_type_has_golden_bytes() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(FACTS)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_golden_bytes_still_mean_the_same(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    message = GetMessageClass(Default().FindMessageTypeByName(name))()
    message.ParseFromString(bytes.fromhex(golden["bytes"]))
    assert MessageToDict(message, preserving_proto_field_name=True) == golden["means"]
    assert len(UnknownFieldSet(message)) == 0


def make_golden() -> dict[str, dict[str, object]]:
    """The corpus as of now; entries that were published are never made anew."""
    corpus = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name, descriptor in FACTS.items():
        if name not in corpus:
            message = filled(descriptor)
            corpus[name] = {
                "bytes": message.SerializeToString(deterministic=True).hex(),
                "means": MessageToDict(message, preserving_proto_field_name=True),
            }
    return corpus


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_golden(), indent=1, sort_keys=True) + "\n")
