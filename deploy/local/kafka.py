"""Apache Kafka 4.3 in KRaft mode: one broker that is its own controller, run by the machine's Java.

The jars come through Maven (`fetch_jars`), once. Settings are in `SETTINGS`, each that differs from Kafka's own default
for a reason: one broker cannot replicate, topics are only ever created from topics.yaml, and a broker that was killed
is back after four seconds rather than twelve.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.child import Child, PlatformError, start
from deploy.local.places import KAFKA_LIBS, ROOT, Places
from deploy.local.ports import LOOPBACK, answers

VERSION: Final = "4.3.1"
POM: Final = ROOT / "deploy" / "local" / "kafka-pom.xml"
JAVA_VERSION_MIN: Final = 17
START_SECONDS_MAX: Final = 60.0
HEAP: Final = "-Xmx512m"
INSTALL: Final = "Install what is missing: `apt-get install openjdk-17-jre-headless maven` (as root)."
SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "5",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "5",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
}


@dataclass(slots=True)
class Broker:
    """A Kafka broker at `address` (host:port). Without `child` and `places` somebody else runs it."""

    address: str
    child: Child | None = None
    places: Places | None = None

    def start(self) -> None:
        """Start it, again after `stop` or `kill`; it answers when this returns."""
        assert self.places is not None, "a broker that somebody else runs is not started by us"
        require_jars()
        settings = self.places.kafka / "server.properties"
        command = [*_java(find_java()), "kafka.Kafka", str(settings)]
        self.child = start("kafka", command, places=self.places, environment=_environment())
        port = int(self.address.rpartition(":")[2])
        self.child.await_ready(lambda: answers(port), START_SECONDS_MAX)

    def stop(self) -> None:
        """End it in order when it is ours."""
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None, "a broker that somebody else runs is not killed by us"
        self.child.kill()


def start_kafka(places: Places, port: int, controller_port: int) -> Broker:
    """Start a broker, with a new log folder when there is none; it answers when this returns."""
    require_jars()
    settings = places.kafka / "server.properties"
    places.kafka.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        "".join(f"{name}={value}\n" for name, value in _settings(places, port, controller_port).items())
    )
    if not (places.kafka / "log" / "meta.properties").exists():
        _format(find_java(), settings)
    broker = Broker(f"{LOOPBACK}:{port}", places=places)
    broker.start()
    return broker


def find_java() -> str:
    """The machine's `java`, PlatformError when there is none or it is too old."""
    java = shutil.which("java", path=_java_home_first())
    if java is None:
        message = f"Java {JAVA_VERSION_MIN} or later is needed to run Apache Kafka, and no `java` was found. {INSTALL}"
        raise PlatformError(message)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603 - java itself.
    version = re.search(r'version "(\d+)', told.stderr)
    if version is None or int(version[1]) < JAVA_VERSION_MIN:
        found = told.stderr.strip().splitlines()[:1] or ["it did not tell its version"]
        message = f"Java {JAVA_VERSION_MIN} or later is needed to run Apache Kafka; {java} is: {found[0]}. {INSTALL}"
        raise PlatformError(message)
    return java


def find_maven() -> str:
    """The machine's `mvn`, PlatformError when there is none."""
    maven = shutil.which("mvn")
    if maven is None:
        message = f"Maven is needed to fetch Apache Kafka, and no `mvn` was found. {INSTALL}"
        raise PlatformError(message)
    return maven


def jars_are_there() -> bool:
    """Whether Maven has copied this version's jars."""
    return (KAFKA_LIBS / f"kafka_2.13-{VERSION}.jar").exists() and (KAFKA_LIBS / "complete").exists()


def require_jars() -> None:
    """PlatformError when the jars are missing."""
    if not jars_are_there():
        message = f"Apache Kafka {VERSION} is not in {KAFKA_LIBS}. Fetch it with `make setup`."
        raise PlatformError(message)


def fetch_jars() -> None:
    """Let Maven copy Kafka and what it needs into one folder; nothing is done when they are there."""
    if jars_are_there():
        return
    find_java()
    maven = find_maven()
    shutil.rmtree(KAFKA_LIBS, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={KAFKA_LIBS}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Maven itself.
    if done.returncode:
        message = f"Maven could not fetch Apache Kafka {VERSION}:\n{done.stdout}{done.stderr}"
        raise PlatformError(message)
    (KAFKA_LIBS / "complete").touch()


def _settings(places: Places, port: int, controller_port: int) -> dict[str, str]:
    return SETTINGS | {
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "log.dirs": str(places.kafka / "log"),
    }


def _format(java: str, settings: Path) -> None:
    shutil.rmtree(settings.parent / "log", ignore_errors=True)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # An id that starts with a dash would be read as an option.
    command = ["kafka.tools.StorageTool", "format", "-t", cluster.replace("-", "_"), "-c", str(settings)]
    done = subprocess.run([*_java(java), *command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        message = f"Kafka could not format {settings.parent}:\n{done.stdout}{done.stderr}"
        raise PlatformError(message)


def _java(java: str) -> list[str]:
    logging = [
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
        "-Dorg.slf4j.simpleLogger.showThreadName=false",
    ]
    # The first compiler alone halves the seconds of CPU that a start takes, and a laptop's broker needs no more.
    tuning = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
    return [java, HEAP, *tuning, *logging, "-cp", f"{KAFKA_LIBS}/*"]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _java_home_first() -> str:
    home = os.environ.get("JAVA_HOME")
    path = os.environ.get("PATH", os.defpath)
    return f"{home}/bin{os.pathsep}{path}" if home else path
