"""The effect of a fact on a service that reacts: its policy's commands, executed where the checkpoint moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog
from google.protobuf.message import Message

from kernel.append import heard_of
from kernel.apply import Effect
from kernel.checkpoint import Connection
from kernel.decider import Heard, React
from kernel.execute import Executor
from kernel.record import Record
from kernel.telemetry import REACTIONS

log = structlog.get_logger("reactions")


def reactions(executor: Executor, consumer: str, source: str, react: React, facts: Sequence[type[Message]]) -> Effect:
    """The effect that executes what `react` says. Facts of types that are not among `facts` oblige us to nothing."""
    types = {str(fact.DESCRIPTOR.full_name): fact for fact in facts}

    def effect(connection: Connection, records: Sequence[Record]) -> None:
        owed = [(heard, commands) for heard in _heard(records, types) if (commands := react(heard))]
        if not owed:
            return
        answers = iter(executor.react_within(connection, consumer, source, owed))
        for heard, commands in owed:
            for command in commands:
                outcome = next(answers)
                kind = outcome.WhichOneof("outcome") or "none"
                REACTIONS.labels(consumer, command.DESCRIPTOR.name, kind).inc()
                # A refusal is an answer, recorded with its rule; it is said here because nobody waits for it.
                if kind == "refusal":
                    log.warning(
                        "reaction refused",
                        command=command.DESCRIPTOR.name,
                        stream=outcome.stream,
                        rule=outcome.refusal.rule,
                        correlation=heard.correlation_id,
                    )

    return effect


def _heard(records: Sequence[Record], types: Mapping[str, type[Message]]) -> Iterator[Heard]:
    for record in records:
        fact = types.get(record.type)
        if fact is not None:
            yield heard_of(fact.FromString(record.payload), record)
