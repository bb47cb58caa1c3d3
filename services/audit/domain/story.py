"""A case as a person would tell it. Facts hold ids and no personal data, so a story holds none either.

A fact that has no sentence fails here and is never passed over: a story with a hole in it would be worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message
from recoup.accounts.v1 import events_pb2 as facts
from recoup.audit.v1.service_pb2 import Sentence

from services.audit.domain.book import UnknownFact
from services.audit.domain.entry import Entry
from services.audit.domain.sentences import FACTS, telling


def tell(entries: Iterable[Entry]) -> list[Sentence]:
    """The sentences of one case, in the order of recording. Amounts are in the currency of the placement."""
    sentences = []
    currency = ""
    for entry in sorted(entries, key=_recorded):
        fact = decoded(entry)
        currency = currency or _currency(fact)
        text, rule = telling(fact, entry.actor, currency)
        sentence = Sentence(actor=entry.actor, text=text, rule=rule, event_id=str(entry.event_id), type=entry.type)
        sentence.occurred_at.FromDatetime(entry.occurred_at)
        sentence.recorded_at.FromDatetime(entry.recorded_at)
        sentences.append(sentence)
    return sentences


def decoded(entry: Entry) -> Message:
    """The fact of a record; UnknownFact when its type is none that this reading knows."""
    kind = FACTS.get(entry.type)
    if kind is None:
        raise UnknownFact(entry.type)
    return kind.FromString(entry.payload)


def _recorded(entry: Entry) -> tuple[object, ...]:
    # A case's own facts come first among those of one instant: what follows from them stands on other streams.
    return (entry.recorded_at, not entry.stream.startswith("account-"), entry.stream, entry.version)


def _currency(fact: Message) -> str:
    match fact:
        case facts.AccountPlaced() | facts.PlacementQuarantined():
            return fact.terms.currency
    return ""
