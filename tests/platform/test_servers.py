"""PostgreSQL and Kafka survive what a machine does to them, and belong to no root process."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from deploy.local import kafka as kafka_module
from deploy.local import ports
from deploy.local.child import PlatformError
from deploy.local.kafka import find_java, find_maven, start_kafka
from deploy.local.places import Places
from deploy.local.postgres import USER, Server, start_postgres
from deploy.local.topics import Topic, create_topics


@pytest.fixture
def own(tmp_path: Path) -> Places:
    """A folder for servers that no other test uses, since they are killed."""
    return Places(tmp_path / "own")


def test_a_broker_that_was_killed_comes_back_with_what_it_had(own: Places) -> None:
    chosen = ports.choose(["kafka", "controller"], own.ports)
    broker = start_kafka(own, chosen["kafka"], chosen["controller"])
    try:
        create_topics(broker.address, [Topic("facts", 1)])
        producer = KafkaProducer(bootstrap_servers=broker.address, acks="all")
        producer.send("facts", b"before", partition=0).get(timeout=10)
        producer.close()
        broker.kill()
        assert not ports.answers(chosen["kafka"])
        broker.start()
        reading = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 10_000}
        consumer = KafkaConsumer(bootstrap_servers=broker.address, **reading)
        consumer.assign([TopicPartition("facts", 0)])
        assert next(consumer).value == b"before"
        consumer.close()
    finally:
        broker.stop()


def test_a_database_server_that_was_killed_comes_back_with_what_was_committed(own: Places) -> None:
    server = start_postgres(own, ports.choose(["postgres"], own.ports)["postgres"], "its password")
    try:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        server.kill()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
    finally:
        server.stop()


def test_the_database_server_never_runs_as_root_and_nobody_else_reads_its_folder(
    postgres: Server, places: Places
) -> None:
    assert postgres.child is not None
    owner = Path(f"/proc/{postgres.child.pid}").stat().st_uid
    assert owner != 0
    assert places.postgres.stat().st_uid == owner
    assert stat.S_IMODE(places.postgres.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert Path(f"/proc/{postgres.child.pid}").owner() == USER


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has the server run as another user")
def test_a_private_folder_stays_private_and_the_server_runs_in_it(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    own = Places(private / "home")
    server = start_postgres(own, ports.choose(["postgres"], own.ports)["postgres"], "a password")
    try:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
    finally:
        server.stop()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_the_database_server_asks_for_a_password(postgres: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url, password="guessed")


def test_a_missing_java_is_one_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(PlatformError, match=r"Java 17 or later is needed.*apt-get install openjdk-17-jre-headless"):
        find_java()


def test_an_old_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _pretend(tmp_path / "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(PlatformError, match=r"Java 17 or later is needed.*11\.0\.2"):
        find_java()


def test_a_missing_maven_is_one_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match=r"Maven is needed.*apt-get install .*maven"):
        find_maven()


def test_jars_that_cannot_be_fetched_leave_nothing_half_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _pretend(tmp_path / "mvn", "echo 'Could not transfer artifact' ; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(kafka_module, "KAFKA_LIBS", tmp_path / "libs")
    with pytest.raises(PlatformError, match=r"Maven could not fetch(?s:.*)Could not transfer artifact"):
        kafka_module.fetch_jars()
    assert not kafka_module.jars_are_there()
    with pytest.raises(PlatformError, match="make setup"):
        kafka_module.require_jars()


def test_ports_of_the_last_start_are_taken_again_while_they_are_free(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = ports.choose(["one", "two"], memory)
    assert ports.choose(["one", "two"], memory) == first
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, first["one"]))
        other.listen()
        second = ports.choose(["one", "two"], memory)
    assert second["two"] == first["two"]
    assert second["one"] not in first.values()


def _pretend(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
