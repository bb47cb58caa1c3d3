"""A command's way from the caller to the log: complete, identified, decided on its stream, recorded with its answer.

The id of a command is judged by the log, under the lock of its head: whatever a repetition was decided to be here, the
log answers it with what it was decided to be the first time. So one id has one effect and one answer, for ever.
"""

from __future__ import annotations

import hmac
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

import psycopg
from google.protobuf.message import Message
from recoup.event.v1.answer_pb2 import Accepted, Already, Answer, Refusal
from recoup.event.v1.answer_pb2 import Fault as AnswerFault

from kernel.append import NO_HISTORY, Committed, Conflicted, Decided, Fact, Repeated, Result, Store
from kernel.causes import Cause, Causes, Request, types_of
from kernel.clock import Clock
from kernel.decider import Decider, Heard, Refused
from kernel.errors import (
    Behind,
    Busy,
    IdReused,
    Incomplete,
    KernelError,
    NotFinal,
    Overloaded,
    StartRefused,
    Unavailable,
    Unknown,
)
from kernel.identity import event_id
from kernel.project import Project
from kernel.roles import roles_of
from kernel.states import Known, States, fold

__all__ = [
    "Behind",
    "Busy",
    "Executor",
    "IdReused",
    "Incomplete",
    "KernelError",
    "NotFinal",
    "Overloaded",
    "Request",
    "StartRefused",
    "Unavailable",
    "Unknown",
]

ATTEMPTS_MAX: Final = 16
BATCH_COMMANDS_MAX: Final = 512


class Executor:
    """Executes a service's commands; one a process, used from one event loop, and by `react_within` from threads."""

    def __init__(
        self,
        service: str,
        deciders: Sequence[Decider[Any]],
        store: Store,
        clock: Clock,
        project: Project,
        input_key: bytes,
    ) -> None:
        """`input_key` keys the MAC by which a repeated command is known to be the same."""
        self._service, self._store, self._clock, self._project = service, store, clock, project
        self._causes = Causes(deciders, store.partitions, input_key, simulated=clock.simulated)
        self._states = States()

    async def execute(self, request: Request) -> Answer:
        """The answer to a command: accepted, already so or refused, now or, for a repeated id, the first time."""
        cause = self._causes.of(request)
        for _ in range(ATTEMPTS_MAX):
            known = self._states.get(cause.tenant, cause.stream) or await self._load(cause)
            decided, answer = self._decide(cause, known)
            (result,) = await self._store.append([decided])
            settled = self._settle(cause, known, decided, answer, result)
            if isinstance(settled, Exception):
                raise settled
            if settled is not None:
                return settled
        raise _busy(cause)

    async def execute_many(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        """Each request's own answer or error, in order; those of one stream are executed in their order."""
        outcomes: list[Answer | Exception | None] = [None] * len(requests)
        streams: dict[tuple[UUID, str], deque[tuple[int, Cause]]] = {}
        for index, request in enumerate(requests):
            try:
                cause = self._causes.of(request)
            except KernelError as error:
                outcomes[index] = error
                continue
            streams.setdefault((cause.tenant, cause.stream), deque()).append((index, cause))
        attempts = Counter[int]()
        while streams:
            wave = [queue[0] for queue in islice(streams.values(), BATCH_COMMANDS_MAX)]
            for (index, cause), settled in zip(wave, await self._settle_wave(wave), strict=True):
                attempts[index] += 1
                outcome = settled if settled is not None or attempts[index] < ATTEMPTS_MAX else _busy(cause)
                if outcome is not None:
                    outcomes[index] = outcome
                    _advance(streams, cause)
        return [outcome for outcome in outcomes if outcome is not None]

    async def load(
        self, tenant: UUID, decider: Decider[Any], entity_id: str, *, recorded_until: datetime | None = None
    ) -> tuple[Any, int]:
        """An entity's state and version, as far as it was recorded at `recorded_until`."""
        stream = f"{decider.category}-{entity_id}"
        history = await self._store.history(tenant, stream, recorded_until)
        known = fold(decider, types_of(decider), history)
        if recorded_until is None:
            self._states.put(tenant, stream, known)
        return known.state, known.version

    def react_within(
        self,
        connection: psycopg.Connection[Any],
        consumer: str,
        source: str,
        owed: Sequence[tuple[Heard, Sequence[Message]]],
    ) -> list[Answer]:
        """Execute what heard facts oblige us to, in order, in the transaction of the caller, who commits or rolls back.

        Each command belongs to its fact's tenant. One that was executed before is answered as then. The heads are
        locked here, in partition order, before anything is read: whatever the caller locks comes before them.
        """
        causes = [
            self._causes.owed(consumer, source, heard, command, ordinal)
            for heard, commands in owed
            for ordinal, command in enumerate(commands)
        ]
        self._store.lock_within(connection, {cause.tenant for cause in causes}, {cause.partition for cause in causes})
        stored, known = self._remembered_within(connection, causes)
        decided: list[Decided] = []
        answers: list[Answer] = []
        for cause in causes:
            repeated = stored.get((cause.tenant, cause.command_id))
            if repeated is not None:
                answers.append(_repeated(cause, repeated))
                continue
            before = known[cause.tenant, cause.stream]
            one, answer = self._decide(cause, before)
            decided.append(one)
            answers.append(answer)
            stored[cause.tenant, cause.command_id] = Repeated(one.input, one.outcome)
            known[cause.tenant, cause.stream] = _moved(cause, before, one, answer.version, before.hash)
        for result in self._store.append_within(connection, decided):
            if isinstance(result, Exception):
                raise result
            assert isinstance(result, Committed), "what was judged under the lock of its head stands"
        return answers

    def _remembered_within(
        self, connection: psycopg.Connection[Any], causes: Sequence[Cause]
    ) -> tuple[dict[tuple[UUID, UUID], Repeated], dict[tuple[UUID, str], Known]]:
        """Under the locks: the answers given before, and the states of the streams, one question a tenant."""
        stored: dict[tuple[UUID, UUID], Repeated] = {}
        known: dict[tuple[UUID, str], Known] = {}
        for tenant in {cause.tenant for cause in causes}:
            own = [cause for cause in causes if cause.tenant == tenant]
            found = self._store.find_within(connection, tenant, [cause.command_id for cause in own])
            stored.update({(tenant, id_): repeated for id_, repeated in found.items()})
            routes = {cause.stream: cause.route for cause in own}
            histories = self._store.histories_within(connection, tenant, list(routes))
            for stream, route in routes.items():
                known[tenant, stream] = fold(route.decider, route.types, histories.get(stream, NO_HISTORY))
        return stored, known

    async def _load(self, cause: Cause) -> Known:
        history = await self._store.history(cause.tenant, cause.stream)
        return fold(cause.route.decider, cause.route.types, history)

    async def _load_wave(self, causes: Iterable[Cause]) -> None:
        """Remember the states of a wave's streams, as many as are not remembered yet, one question a tenant."""
        missing: dict[UUID, dict[str, Cause]] = {}
        for cause in causes:
            if self._states.get(cause.tenant, cause.stream) is None:
                missing.setdefault(cause.tenant, {})[cause.stream] = cause
        for tenant, by_stream in missing.items():
            histories = await self._store.histories(tenant, list(by_stream))
            for stream, history in histories.items():
                route = by_stream[stream].route
                self._states.put(tenant, stream, fold(route.decider, route.types, history))

    async def _settle_wave(self, wave: Sequence[tuple[int, Cause]]) -> list[Answer | Exception | None]:
        """What became of a wave of commands of different streams; None where the stream moved."""
        causes = [cause for _index, cause in wave]
        await self._load_wave(causes)
        settled: dict[int, Answer | Exception | None] = {}
        decided: list[tuple[int, Cause, Known, Decided, Answer]] = []
        for index, cause in wave:
            known = self._states.get(cause.tenant, cause.stream) or _nothing_known(cause)
            try:
                decided.append((index, cause, known, *self._decide(cause, known)))
            except KernelError as error:
                settled[index] = error
        results = await self._store.append([one for _index, _cause, _known, one, _answer in decided])
        for (index, cause, known, one, answer), result in zip(decided, results, strict=True):
            try:
                settled[index] = self._settle(cause, known, one, answer, result)
            except KernelError as error:
                settled[index] = error
        return [settled[index] for index, _cause in wave]

    def _settle(
        self, cause: Cause, known: Known, decided: Decided, answer: Answer, result: Result
    ) -> Answer | Exception | None:
        if isinstance(result, Committed):
            self._states.put(cause.tenant, cause.stream, _moved(cause, known, decided, result.version, result.hash))
            return answer
        if isinstance(result, Conflicted):
            self._states.forget(cause.tenant, cause.stream)
            return None
        return _repeated(cause, result) if isinstance(result, Repeated) else result

    def _decide(self, cause: Cause, known: Known) -> tuple[Decided, Answer]:
        decider = cause.route.decider
        _check_known(cause, known)
        now = cause.now or self._clock.now()
        facts: list[Fact] = []
        answer = Answer(stream=cause.stream, version=known.version)
        try:
            messages = decider.decide(cause.command, known.state, now)
        except Refused as refused:
            answer.refusal.CopyFrom(_refusal(refused))
        else:
            facts = [self._fact(cause, message, ordinal, now) for ordinal, message in enumerate(messages)]
            answer.version += len(facts)
            if facts:
                answer.accepted.CopyFrom(_accepted(facts))
            else:
                answer.already.CopyFrom(Already())
        return self._decided(cause, known, facts, answer, now), answer

    def _decided(self, cause: Cause, known: Known, facts: list[Fact], answer: Answer, now: datetime) -> Decided:
        return Decided(
            cause.tenant,
            cause.stream,
            cause.partition,
            known.version,
            known.hash,
            cause.command_id,
            cause.input,
            answer.SerializeToString(),
            facts,
            cause.actor,
            cause.correlation_id,
            now if self._clock.simulated else None,
            cause.rows if facts else (),
            self._project,
        )

    def _fact(self, cause: Cause, message: Message, ordinal: int, now: datetime) -> Fact:
        roles = roles_of(message.DESCRIPTOR)
        assert type(message) in cause.route.decider.facts, f"{roles.type} is no fact of {cause.route.decider.category}"
        return Fact(
            message,
            roles.type,
            message.SerializeToString(),
            event_id(self._service, cause.tenant, cause.stream, cause.command_id, ordinal),
            roles.occurred(message, now),
            roles.accounts(message),
        )


def _busy(cause: Cause) -> Busy:
    return Busy(f"{cause.stream} moved {ATTEMPTS_MAX} times while the command was being decided")


def _check_known(cause: Cause, known: Known) -> None:
    """Another client's entity, and one that nothing began, answer alike."""
    decider = cause.route.decider
    owner = decider.client(known.state)
    foreign = cause.client is not None and owner is not None and owner != cause.client
    absent = known.version == 0 and bool(decider.begins) and type(cause.command) not in decider.begins
    if foreign or absent:
        message = f"there is no {cause.stream}"
        raise Unknown(message)


def _nothing_known(cause: Cause) -> Known:
    return fold(cause.route.decider, cause.route.types, NO_HISTORY)


def _advance(streams: dict[tuple[UUID, str], deque[tuple[int, Cause]]], cause: Cause) -> None:
    queue = streams[cause.tenant, cause.stream]
    queue.popleft()
    if not queue:
        del streams[cause.tenant, cause.stream]


def _moved(cause: Cause, known: Known, decided: Decided, version: int, hash_: bytes) -> Known:
    state, evolve = known.state, cause.route.decider.evolve
    for fact in decided.facts:
        state = evolve(state, fact.message)
    return Known(state, version, hash_)


def _repeated(cause: Cause, repeated: Repeated) -> Answer:
    if not hmac.compare_digest(repeated.input, cause.input):
        message = f"the id was used before for another {cause.route.name}; a new command needs a new id"
        raise IdReused(message)
    answer = Answer.FromString(repeated.outcome)
    answer.replayed = True
    return answer


def _accepted(facts: Iterable[Fact]) -> Accepted:
    return Accepted(fact_ids=[str(fact.event_id) for fact in facts], types=[fact.type for fact in facts])


def _refusal(refused: Refused) -> Refusal:
    faults = [AnswerFault(pointer=f.pointer, code=f.code, message=f.message) for f in refused.faults]
    return Refusal(rule=refused.rule, text=refused.text, source=refused.source, faults=faults)
