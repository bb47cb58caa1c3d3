"""Tests of a domain as sentences: given facts, when a command, then facts, a refusal or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.text_format import MessageToString

from kernel.decider import Decider, Refused

State = TypeVar("State")

NOW: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""The instant of a scenario that names none."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[State]):
    """What became of one command: facts and the state after them, or the refusal."""

    facts: tuple[Message, ...]
    state: State
    refusal: Refused | None

    def then(self, *expected: Message) -> State:
        """Exactly these facts were decided, in this order; the state after them, for a closer look."""
        assert self.refusal is None, f"refused by {_refusal(self.refusal)}"
        assert list(self.facts) == list(expected), _difference(expected, self.facts)
        return self.state

    def nothing(self) -> State:
        """It was so already: no fact and no refusal."""
        return self.then()

    def refused(self, rule: type[Refused], *pointers: str) -> Refused:
        """This very rule refused it; `pointers`, if given, are exactly the fields it faults, in any order."""
        assert self.refusal is not None, _difference((), self.facts)
        assert type(self.refusal) is rule, f"refused by {_refusal(self.refusal)}"
        if pointers:
            assert sorted(fault.pointer for fault in self.refusal.faults) == sorted(pointers), _refusal(self.refusal)
        return self.refusal


@dataclass(frozen=True, slots=True)
class Scenario(Generic[State]):
    """A decider, the facts that stand before the command, and the instant at which it is decided."""

    decider: Decider[State]
    facts: tuple[Message, ...] = ()
    now: datetime = NOW

    def given(self, *facts: Message) -> Scenario[State]:
        """These facts, after those given before."""
        return replace(self, facts=(*self.facts, *facts))

    def at(self, now: datetime) -> Scenario[State]:
        """The command is decided at this instant."""
        return replace(self, now=now)

    def state(self) -> State:
        """The fold of the given facts."""
        return self._fold(self.decider.initial, self.facts)

    def when(self, command: Message) -> Outcome[State]:
        """Decide the command on the fold of the given facts, then fold what was decided."""
        assert type(command) in self.decider.commands, f"{_name(command)} is no command of {self.decider.category}"
        state = self.state()
        try:
            decided = tuple(self.decider.decide(command, state, self.now))
        except Refused as refusal:
            return Outcome((), state, refusal)
        return Outcome(decided, self._fold(state, decided), None)

    def _fold(self, state: State, facts: Sequence[Message]) -> State:
        for fact in facts:
            assert type(fact) in self.decider.facts, f"{_name(fact)} is no fact of {self.decider.category}"
            state = self.decider.evolve(state, fact)
        return state


def _name(message: Message) -> str:
    return str(message.DESCRIPTOR.full_name)


def _refusal(refusal: Refused) -> str:
    return f"{refusal.rule}: {refusal.text} {[(fault.pointer, fault.code) for fault in refusal.faults]}"


def _difference(expected: Sequence[Message], actual: Sequence[Message]) -> str:
    return f"expected\n{_listing(expected)}\nbut decided\n{_listing(actual)}"


def _listing(messages: Sequence[Message]) -> str:
    return "\n".join(f"  {_name(m)} {{ {MessageToString(m, as_one_line=True)} }}" for m in messages) or "  nothing"
