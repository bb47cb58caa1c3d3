"""Relays, a topic, workers and retries in random interleavings, crashing at every step; and what each rule is for.

Each actor is a generator that yields wherever another process may come between; what it does without yielding is one
transaction. The judging of records is the kernel's own; database and topic are lists.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from kernel.judge import Position, after, chained, plan
from kernel.record import Record
from tests.kernel.records import log_of, start_of

FACTS = 24
STREAMS = 3
INTERLEAVINGS = 150
STEPS = 400


@dataclass
class World:
    """What is durable: the log, the topic, the relay's row, the checkpoint with its effects and what is parked."""

    chance: random.Random
    off: str = ""
    log: list[Record] = field(default_factory=list)
    topic: list[Record] = field(default_factory=list)
    sent: int = -1
    epoch: int = 0
    checkpoint: Position = field(default_factory=start_of)
    effects: list[Record] = field(default_factory=list)
    parked: list[Record] = field(default_factory=list)
    poison: set[int] = field(default_factory=set)

    def apply(self, believed: Position, run: list[Record]) -> None:
        """A worker's transaction: the checkpoint's row is locked, compared, and moved with the effects."""
        if not run or (self.off != "compare-and-set" and self.checkpoint != believed):
            return
        for record in run:
            behind = any(record.stream == waiting.stream for waiting in self.parked)
            if record.number in self.poison or (behind and self.off != "queue behind"):
                self.parked.append(record)
            else:
                self.effects.append(record)
        self.checkpoint = after(run[-1])


def owner(world: World) -> Iterator[None]:
    """Commits facts one by one."""
    for record in log_of(FACTS, streams=STREAMS):
        world.log.append(record)
        yield


def relay(world: World) -> Iterator[None]:
    """Takes the partition, compares, sends what is above `sent`, and moves `sent` behind it."""
    world.epoch += 1
    epoch = world.epoch
    # Without a look at the offsets nobody would take a new look at a topic that a relay already has.
    if world.off != "compare with the topic" and not (world.off == "watch the offsets" and epoch > 1):
        numbers = [record.number for record in world.topic]
        present = numbers[-1] if numbers and len(numbers) > numbers[-1] else -1
        world.sent = min(world.sent, present)
    while True:
        yield
        if epoch != world.epoch:
            return
        window = world.log[world.sent + 1 : world.sent + 4]
        acknowledged = world.sent
        for record in window:
            yield
            world.topic.append(record)
            # An offset below the number shows a topic that was made anew.
            acknowledged = record.number if len(world.topic) > record.number else -1
            if acknowledged < 0 and world.off != "watch the offsets":
                break
            acknowledged = record.number
        yield
        if epoch == world.epoch:
            world.sent = acknowledged


def worker(world: World) -> Iterator[None]:
    """Reads the topic through a network that loses, repeats, reorders and forges; now and then asks the owner."""
    known: dict[int, bytes] = {}
    while True:
        believed = world.checkpoint
        yield
        planned = plan(believed, 0, known, heard(world))
        yield
        run = list(planned.run)
        world.apply(believed, run)
        if run and world.checkpoint == after(run[-1]):
            believed = world.checkpoint
            known |= {record.number: record.chain for record in run}
        if planned.ask_to is not None or world.chance.random() < 0.1:
            yield
            yield from ask(world, believed)


def ask(world: World, believed: Position) -> Iterator[None]:
    """The owner's records after the checkpoint, in pages, never past its head."""
    missing = chained(believed, 0, world.log[believed.last + 1 :])
    for start in range(0, len(missing), 4):
        yield
        page = list(missing[start : start + 4])
        world.apply(believed, page)
        believed = after(page[-1])


def heard(world: World) -> list[Record]:
    if not world.topic:
        return []
    batch = [world.chance.choice(world.topic) for _ in range(2)]
    start = world.chance.randrange(len(world.topic))
    batch += world.topic[start : start + world.chance.randrange(5)]
    if world.chance.random() < 0.2:
        batch.append(replace(batch[0], payload=b"forged", number=world.chance.choice((batch[0].number, 10**9))))
    world.chance.shuffle(batch)
    return batch


def retrier(world: World) -> Iterator[None]:
    """A person who mends the cause and retries; a retry drains a stream in order, in one transaction."""
    while True:
        yield
        if not world.parked:
            continue
        stream = world.parked[0].stream
        waiting = [record for record in world.parked if record.stream == stream]
        if world.off == "retry under the lock":
            yield
        world.poison -= {record.number for record in waiting}
        world.effects += waiting
        world.parked = [record for record in world.parked if record not in waiting]


def accident(world: World) -> Iterator[None]:
    """The topic is deleted and made anew, once or twice."""
    for _ in range(2):
        for _ in range(world.chance.randrange(20, 60)):
            yield
        world.topic.clear()


ACTORS: tuple[Callable[[World], Iterator[None]], ...] = (relay, relay, worker, worker, retrier, retrier)


def play(seed: int, off: str = "") -> World:
    """One interleaving to its end: everything published, heard and retried, unless a rule that is off prevented it."""
    chance = random.Random(seed)  # noqa: S311 - an interleaving, not a secret.
    world = World(chance, off, poison=set(chance.sample(range(FACTS), 4)))
    running = [(actor, actor(world)) for actor in (*ACTORS, owner, accident)]
    for _ in range(STEPS):
        index = chance.randrange(len(running))
        actor, steps = running[index]
        ended = next(steps, "ended") is not None
        crashed = chance.random() < 0.03 and actor not in (owner, accident)
        if (ended and actor not in (owner, accident)) or crashed:
            running[index] = (actor, actor(world))
    world.log = log_of(FACTS, streams=STREAMS)
    finish(world)
    return world


def finish(world: World) -> None:
    """What a quiet hour brings: one relay publishes the rest, the timer asks the owner, everything is retried."""
    steps = relay(world)
    for _ in range(20 * FACTS):
        next(steps, None)
    for _ in ask(world, world.checkpoint):
        pass
    mending = retrier(world)
    while world.parked:
        next(mending)


def wrongs(world: World) -> list[str]:
    """Whatever contradicts the promises."""
    found = []
    by_number = {record.number: record for record in world.log}
    if {record.number for record in world.topic} != set(by_number):
        found.append("a fact is not in the topic")
    if any(record != by_number[record.number] for record in world.topic):
        found.append("the topic holds what is not in the log")
    if max(Counter(record.number for record in world.effects).values(), default=0) > 1:
        found.append("an effect happened twice")
    if {record.number for record in world.effects} != set(by_number):
        found.append("an effect is missing")
    if any(effect != by_number[effect.number] for effect in world.effects):
        found.append("a forged fact had an effect")
    for stream in {record.stream for record in world.log}:
        versions = [effect.version for effect in world.effects if effect.stream == stream]
        if versions != sorted(versions):
            found.append("a stream is out of order")
    return found


def test_whatever_comes_between_every_effect_is_single_and_in_order() -> None:
    for seed in range(INTERLEAVINGS):
        assert not wrongs(play(seed)), f"seed {seed}"


@pytest.mark.parametrize(
    ("off", "wrong"),
    [
        ("compare-and-set", "an effect happened twice"),
        ("queue behind", "a stream is out of order"),
        ("retry under the lock", "an effect happened twice"),
        ("compare with the topic", "a fact is not in the topic"),
        ("watch the offsets", "a fact is not in the topic"),
    ],
)
def test_without_the_rule_it_goes_wrong(off: str, wrong: str) -> None:
    assert any(wrong in wrongs(play(seed, off)) for seed in range(INTERLEAVINGS))
