"""How long after its commit a fact has its effect elsewhere, against one message through the bare broker."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import psycopg
from kafka import KafkaConsumer, KafkaProducer
from recoup.accounts.v1 import service_pb2
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from benchmarks.measuring import Row, at_most, interleave
from benchmarks.ours import CALLER, payment
from deploy.local.platform import Platform
from deploy.local.topics import create_topics, read_topics
from kernel.dial import Peer, Tokens

COMMANDS_A_SECOND: Final = 50
SECONDS_A_ROUND: Final = 3
COUNT: Final = COMMANDS_A_SECOND * SECONDS_A_ROUND
LOOK_SECONDS: Final = 0.0005
WAIT_SECONDS_MAX: Final = 30.0
TOPIC: Final = "benchmark.bare"


def rows(loop: asyncio.AbstractEventLoop, platform: Platform, accounts: list[str]) -> Iterator[Row]:
    """The row of the table; payments go to these accounts in turn."""
    heard, bare = _Heard(loop, platform, accounts), _Bare(platform.addresses.kafka)
    seen = interleave({"ours": heard.latency, "bare": bare.latency})
    heard.close()
    bare.close()
    work = f"commit to effect committed in audit, p50 at {COMMANDS_A_SECOND} commands/s"
    yield at_most(work, "ms", seen["ours"] * 1000, seen["bare"] * 1000, "kafka-python, produce to consume", 8.0)


class _Heard:
    """Commands at a steady pace; audit's own store is watched for each fact."""

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform, accounts: list[str]) -> None:
        self._loop, self._accounts = loop, accounts
        self._peer = Peer(
            platform.addresses.grpc("accounts"), Tokens(platform.surroundings.secrets.token_secret.encode())
        )
        self._execute = AccountsServiceStub(self._peer.channel).Execute
        self._reader_url = platform.surroundings.databases["audit"].reader_url
        self._sent: set[str] = set()
        self._seen: dict[str, float] = {}

    def latency(self) -> float:
        """The median of seconds from a fact's recording, just before its commit, to where audit is seen to have it."""
        self._sent.clear()
        self._seen.clear()
        ready = threading.Event()
        watching = threading.Thread(target=self._watch, args=(ready,))
        watching.start()
        ready.wait(WAIT_SECONDS_MAX)
        self._loop.run_until_complete(self._send())
        watching.join()
        assert len(self._seen) == COUNT, f"{COUNT - len(self._seen)} facts were not heard"
        return statistics.median(self._seen[fact] for fact in self._sent)

    async def _send(self) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(COUNT):
                await asyncio.sleep(max(0.0, began + number / COMMANDS_A_SECOND - time.perf_counter()))
                group.create_task(self._command(self._accounts[number % len(self._accounts)]))

    async def _command(self, account_id: str) -> None:
        one = service_pb2.AccountsCommand(given_id=str(uuid4()), post_payment=payment(account_id))
        response: Any = await self._peer.ask(self._execute, service_pb2.ExecuteRequest(commands=[one]), CALLER)
        (fact_id,) = response.results[0].answer.accepted.fact_ids
        self._sent.add(fact_id)

    def _watch(self, ready: threading.Event) -> None:
        with psycopg.connect(self._reader_url, autocommit=True) as connection:
            heads = self._heads(connection)
            ready.set()
            until = time.perf_counter() + WAIT_SECONDS_MAX
            while len(self._seen) < COUNT and time.perf_counter() < until:
                for partition, last in heads.items():
                    found = connection.execute(
                        "SELECT number, event_id, type, extract(epoch FROM recorded_at)::float8 FROM audit.records"
                        " WHERE source = 'accounts' AND partition = %s AND number > %s ORDER BY number",
                        [partition, last],
                    ).fetchall()
                    now = time.time()
                    for number, event_id, type_, recorded_at in found:
                        heads[partition] = number
                        if type_ == "recoup.accounts.v1.PaymentPosted":
                            self._seen[str(event_id)] = now - recorded_at
                time.sleep(LOOK_SECONDS)

    def _heads(self, connection: psycopg.Connection[Any]) -> dict[int, int]:
        found = connection.execute(
            "SELECT partition, last FROM log.checkpoints WHERE consumer = 'audit' AND source = 'accounts'"
        )
        return dict(found.fetchall())

    def close(self) -> None:
        self._loop.run_until_complete(self._peer.close())


class _Bare:
    """The same pace of messages through the broker alone, each awaited as the relay awaits it."""

    def __init__(self, kafka: str) -> None:
        create_topics(kafka, [topic.named(TOPIC) for topic in read_topics()][:1])
        self._producer = KafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True)
        self._consumer = KafkaConsumer(TOPIC, bootstrap_servers=kafka, auto_offset_reset="latest", fetch_max_wait_ms=50)
        self._consumer.poll(timeout_ms=2000)

    def latency(self) -> float:
        """The median of seconds from send to having it."""
        sent: dict[bytes, float] = {}
        had: dict[bytes, float] = {}
        sending = threading.Thread(target=self._send, args=(sent,))
        sending.start()
        until = time.perf_counter() + WAIT_SECONDS_MAX
        while len(had) < COUNT and time.perf_counter() < until:
            for records in self._consumer.poll(timeout_ms=100).values():
                now = time.perf_counter()
                had.update((record.value, now) for record in records)
        sending.join()
        assert len(had) == COUNT, f"{COUNT - len(had)} messages were not consumed"
        return statistics.median(had[value] - sent[value] for value in sent)

    def _send(self, sent: dict[bytes, float]) -> None:
        began = time.perf_counter()
        for number in range(COUNT):
            time.sleep(max(0.0, began + number / COMMANDS_A_SECOND - time.perf_counter()))
            value = uuid4().bytes
            sent[value] = time.perf_counter()
            self._producer.send(TOPIC, value)
            self._producer.flush()

    def close(self) -> None:
        self._producer.close()
        self._consumer.close()
