"""Waiting until everything was heard: it ends when it is so, and says who halted or parked a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
import pytest

from demo import settling
from demo.settling import NotSettled, settled_at
from deploy.local.databases import Database


@pytest.fixture
def databases(database: Callable[..., Database]) -> Mapping[str, Database]:
    return {service: database(service) for service in settling.LISTENERS}


def put(database: Database, *, last: int, halted: str | None) -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("DELETE FROM log.checkpoints")
        connection.execute(
            "INSERT INTO log.checkpoints (consumer, source, partition, log_id, last, chain, halted)"
            " SELECT 'audit', 'accounts', 0, log_id, %s, sha256(''), %s FROM log.meta",
            [last, halted],
        )


def test_a_log_without_facts_is_settled(databases: Mapping[str, Database]) -> None:
    assert settled_at(databases).year == 1970


def test_a_listener_that_is_behind_is_waited_for_and_then_named(
    databases: Mapping[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SECONDS_MAX", 0.2)
    with psycopg.connect(databases["accounts"].admin_url) as connection:
        connection.execute("UPDATE log.heads SET number = 4 WHERE partition = 3")
    try:
        with pytest.raises(NotSettled, match="accounts has heard -1 of 4 in partition 3; audit has heard -1 of 4"):
            settled_at(databases)
    finally:
        with psycopg.connect(databases["accounts"].admin_url) as connection:
            connection.execute("UPDATE log.heads SET number = -1 WHERE partition = 3")


def test_a_listener_that_has_halted_is_named_at_once(databases: Mapping[str, Database]) -> None:
    put(databases["audit"], last=-1, halted="fork: the owner says otherwise")
    with pytest.raises(NotSettled, match="audit has halted in partition 0: fork"):
        settled_at(databases)


def test_a_parked_fact_is_told_with_the_way_to_see_it(databases: Mapping[str, Database]) -> None:
    put(databases["audit"], last=-1, halted=None)
    with psycopg.connect(databases["audit"].admin_url) as connection:
        connection.execute(
            "INSERT INTO log.parked (consumer, source, partition, number, tenant, stream, error, record)"
            " VALUES ('audit', 'accounts', 0, 0, gen_random_uuid(), 'account-1', 'no effect', '')"
        )
    with pytest.raises(NotSettled, match=r"audit has parked 1 facts .*recoup parked list"):
        settled_at(databases)
