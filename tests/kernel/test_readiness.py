"""What a process lacks is said by name; a check that breaks or hangs is a finding like any other."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest
from prometheus_client import REGISTRY

from deploy.local.kafka import Broker
from deploy.local.topics import create_topics, delete_topics, read_topics
from kernel import readiness, topics
from kernel.checks import part_check, topics_check
from kernel.readiness import Check, Endpoint, Finding, Readiness


async def fine() -> str | None:
    return None


async def broken() -> str | None:
    message = "the password is hunter2"
    raise ValueError(message)


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_every_check_is_reported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS_MAX", 0.05)
    faulty = part_check(lambda: ["this is wrong", "and that"])
    found = await Readiness({"fine": fine, "broken": broken, "hanging": hanging, "faulty": faulty}).findings()
    assert found == {
        "fine": Finding(ok=True, detail=""),
        "broken": Finding(ok=False, detail="ValueError: the check could not be made"),
        "hanging": Finding(ok=False, detail="no answer within 0.05 seconds"),
        "faulty": Finding(ok=False, detail="this is wrong; and that"),
    }
    assert REGISTRY.get_sample_value("recoup_ready_state", {"check": "broken"}) == 0
    assert REGISTRY.get_sample_value("recoup_ready_state", {"check": "fine"}) == 1


@pytest.mark.parametrize(
    ("checks", "status"), [({"fine": fine}, 200), ({"fine": fine, "broken": broken}, 503), ({}, 200)]
)
async def test_the_endpoint_says_ready_only_when_all_is_well(checks: Mapping[str, Check], status: int) -> None:
    endpoint = Endpoint(Readiness(checks))
    port = await endpoint.start("127.0.0.1", 0)
    try:
        ready = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/health/ready")
        live = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/health/live")
        metrics = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/metrics")
    finally:
        await endpoint.stop()
    assert ready[0] == status
    assert json.loads(ready[1])["checks"].keys() == checks.keys()
    assert (live[0], metrics[0]) == (200, 200)
    assert b"recoup_calls_total" in metrics[1]


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - ours.
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def test_a_topic_that_is_not_as_it_must_be_is_named(kafka: Broker) -> None:
    (right, *_) = read_topics()
    forgetful = dict(right.settings) | {"retention.ms": "1000"}
    wrong = type(right)("forgetful.events", 3, forgetful)
    create_topics(kafka.address, [right.named("right.events"), wrong])
    try:
        found = await asyncio.to_thread(topics.faults, kafka.address, ["right.events"], right.partitions)
        check = topics_check(kafka.address, ["forgetful.events", "absent.events"], right.partitions)
        problem = await check()
    finally:
        delete_topics(kafka.address, ["right.events", "forgetful.events"])
    assert found == []
    assert problem == (
        "the topic forgetful.events has 3 partitions, and the log has 8; "
        "the topic forgetful.events has retention.ms=1000, and must have -1; "
        "the topic absent.events does not exist: create it from topics.yaml"
    )


async def test_a_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "BOOTSTRAP_MILLISECONDS_MAX", 200)
    problem = await topics_check("127.0.0.1:9", ["accounts.events"], 8)()
    assert problem is not None
    assert problem.startswith("the broker at 127.0.0.1:9 does not answer")
