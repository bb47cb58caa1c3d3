"""What a service is made of: pure functions from commands to facts and from facts to state.

This is the only module of the kernel that a domain may import. It knows nothing of databases, brokers or clocks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from google.protobuf.message import Message

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one field: an RFC 6901 pointer, a stable code, and what is wrong and how to mend it."""

    pointer: str
    code: str
    message: str


class Refused(Exception):  # noqa: N818 - a refusal is a noun for what is wrong, and no error of the program.
    """A named rule refuses the command.

    Subclasses are named for what is wrong; the docstring states the rule in plain words, and `source` names the law,
    contract or specification that it comes from. Both reach the caller.
    """

    source: ClassVar[str] = "Recoup"

    def __init__(self, detail: str = "", faults: Sequence[Fault] = ()) -> None:
        """`detail` adds the facts of the case to the rule's own words; `faults` names every field at fault."""
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)

    @property
    def rule(self) -> str:
        """The rule's name."""
        return type(self).__name__

    @property
    def text(self) -> str:
        """The rule in plain words, then the facts of the case."""
        words = inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ")
        return f"{words} {self.detail}".strip()


@dataclass(frozen=True, slots=True)
class Decider(Generic[State]):
    """One aggregate: `decide` says what may happen, `evolve` what has happened.

    `category` names its streams (`<category>-<entity id>`); `commands` and `facts` are the message types it takes and
    records. `client` tells which client owns a state, so that another client's entity can answer as unknown; None
    means that no client does. `begins` are the commands that may begin a stream: on a stream without facts any other
    one answers as unknown too; empty means that every command may begin it.
    """

    category: str
    initial: State
    decide: Callable[[Message, State, datetime], Sequence[Message]]
    evolve: Callable[[State, Message], State]
    commands: tuple[type[Message], ...]
    facts: tuple[type[Message], ...]
    client: Callable[[State], str | None] = lambda _state: None
    begins: tuple[type[Message], ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact of the log as a policy or a view sees it: the decoded message, and the record's metadata beside it."""

    fact: Message
    tenant: str
    stream: str
    version: int
    event_id: str
    partition: int
    number: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    accounts: tuple[str, ...]
    correlation_id: str


React = Callable[[Heard], Sequence[Message]]
"""What a fact obliges us to do: commands for our own aggregates, none when nothing."""
