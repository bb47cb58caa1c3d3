"""The states that a process remembers. They may be old: the append checks the version, whoever else has written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from google.protobuf.message import Message

from kernel.append import NO_HISTORY, History
from kernel.decider import Decider, State

STATES_MAX: Final = 20_000


class Known(NamedTuple):
    """A stream's state, and the version and record hash at which it was so."""

    state: Any
    version: int
    hash: bytes


class States:
    """Bounded; the stream that was used longest ago goes first."""

    def __init__(self, states_max: int = STATES_MAX) -> None:
        """`states_max` is the number of streams remembered."""
        self._states_max = states_max
        self._known: OrderedDict[tuple[UUID, str], Known] = OrderedDict()

    def get(self, tenant: UUID, stream: str) -> Known | None:
        """What is remembered of a stream."""
        known = self._known.get((tenant, stream))
        if known is not None:
            self._known.move_to_end((tenant, stream))
        return known

    def put(self, tenant: UUID, stream: str, known: Known) -> None:
        """Remember a stream, unless something newer is remembered already."""
        before = self._known.get((tenant, stream))
        if known.version == 0 or (before is not None and before.version > known.version):
            return
        self._known[tenant, stream] = known
        if len(self._known) > self._states_max:
            self._known.popitem(last=False)

    def forget(self, tenant: UUID, stream: str) -> None:
        """Load this stream anew next time."""
        self._known.pop((tenant, stream), None)


class UnknownFact(Exception):  # noqa: N818 - named for what is wrong.
    """The log holds a fact of a type that this aggregate does not know: the program is older than its log."""


def fold(decider: Decider[Any], types: Mapping[str, type[Message]], history: History) -> Known:
    """The state that a history comes to."""
    if not history.version:
        return Known(decider.initial, NO_HISTORY.version, NO_HISTORY.hash)
    return Known(fold_facts(decider, types, history.facts), history.version, history.hash)


def fold_facts(
    decider: Decider[State], types: Mapping[str, type[Message]], facts: Sequence[tuple[str, bytes]]
) -> State:
    """The state after facts given as type names and payloads."""
    state, evolve = decider.initial, decider.evolve
    for type_, payload in facts:
        message = types.get(type_)
        if message is None:
            text = f"{decider.category} does not know facts of type {type_}"
            raise UnknownFact(text)
        state = evolve(state, message.FromString(payload))
    return state
