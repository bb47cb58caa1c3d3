"""What is right and what is wrong with the machine and the platform, and how each wrong thing is mended."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psycopg
from kafka.errors import KafkaError

from deploy.local import kafka, ports, setup
from deploy.local.child import PlatformError, recorded
from deploy.local.databases import DATABASE_SERVICES, Database, create_database, roles_of
from deploy.local.migrate import missing_revisions
from deploy.local.places import KAFKA_LIBS, Places
from deploy.local.platform import Addresses, holder, read_addresses
from deploy.local.secrets import kept_secrets
from deploy.local.topics import faults, read_topics

DISK_GIBIBYTES_MIN: Final = 2
MEMORY_GIBIBYTES_MIN: Final = 2
CLOCK_SECONDS_MAX: Final = 1.0
MADE_IN: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows an earlier instant than that of this source."""
OWNER_ONLY: Final = 0o600
GIBIBYTE: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: right, wrong, or (None) not to be told while nothing runs. `mend` says what to do when it is wrong."""

    what: str
    ok: bool | None
    mend: str = ""


def examine(places: Places) -> list[Finding]:
    """Every finding, the machine's first; a check that cannot be made is wrong, and says why."""
    machine = [_python, _java, _maven, _jars, _requirements, _contracts, _clock]
    found = [finding for check in machine for finding in _findings(check)]
    for look in (_disk, _memory, _private, _programs, _ports):
        found += _findings(look, places)
    if holder(places) is None or not places.platform.exists():
        return [*found, Finding("migrations, roles and topics: the platform does not run, start it to see them", None)]
    addresses = read_addresses(places)
    for ask in (_database_server, _databases, _topics):
        found += _findings(ask, places, addresses)
    return found


def _findings(check: Callable[..., Iterator[Finding]], *subjects: object) -> list[Finding]:
    try:
        return list(check(*subjects))
    except (PlatformError, OSError, KafkaError, psycopg.Error) as error:
        name = check.__name__.strip("_").replace("_", " ")
        return [Finding(f"{name}: {error}", ok=False, mend="Mend what it says, then ask again.")]


def _python() -> Iterator[Finding]:
    right = sys.version_info[:2] >= setup.PYTHON_VERSION_MIN
    yield Finding(f"Python {sys.version.split()[0]}", right, "Install Python 3.11 or later, then `make setup`.")


def _java() -> Iterator[Finding]:
    try:
        yield Finding(f"Java {kafka.JAVA_VERSION_MIN} or later at {kafka.find_java()}", ok=True)
    except PlatformError as error:
        yield Finding(str(error).partition(". ")[0], ok=False, mend=kafka.INSTALL)


def _maven() -> Iterator[Finding]:
    try:
        yield Finding(f"Maven at {kafka.find_maven()}", ok=True)
    except PlatformError as error:
        needed = not kafka.jars_are_there()
        what = str(error).partition(". ")[0]
        yield Finding(what if needed else f"{what} (it has done its work)", ok=not needed, mend=kafka.INSTALL)


def _jars() -> Iterator[Finding]:
    yield Finding(f"Apache Kafka {kafka.VERSION} in {KAFKA_LIBS}", kafka.jars_are_there(), "Run `make setup`.")


def _requirements() -> Iterator[Finding]:
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", setup.REQUIREMENTS.read_text(), re.MULTILINE)
    wrong = [f"{name} {has or 'absent'}, not {wanted}" for name, wanted in pinned if (has := _version(name)) != wanted]
    what = f"{len(pinned)} packages as {setup.REQUIREMENTS.name} pins them"
    yield Finding(f"{what}: {', '.join(wrong)}" if wrong else what, not wrong, "Delete .venv and run `make setup`.")


def _contracts() -> Iterator[Finding]:
    yield Finding("the contracts in gen are those of proto", setup.contracts_are_current(), "Run `make proto`.")


def _clock() -> Iterator[Finding]:
    now = datetime.now(UTC)
    yield Finding(f"the clock shows {now:%Y-%m-%d %H:%M:%S} UTC", now > MADE_IN, "Set the clock, and let NTP keep it.")


def _disk(places: Places) -> Iterator[Finding]:
    folder = next(each for each in (places.home, *places.home.parents) if each.exists())
    free = shutil.disk_usage(folder).free / GIBIBYTE
    mend = f"Free at least {DISK_GIBIBYTES_MIN} GiB; `make reset` deletes the platform's own data."
    yield Finding(f"{free:.1f} GiB are free at {folder}", free >= DISK_GIBIBYTES_MIN, mend)


def _memory(_places: Places) -> Iterator[Finding]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    free = kibibytes / 1024**2
    mend = f"End other programs: broker, database and services want {MEMORY_GIBIBYTES_MIN} GiB."
    yield Finding(f"{free:.1f} GiB of memory are available", free >= MEMORY_GIBIBYTES_MIN, mend)


def _private(places: Places) -> Iterator[Finding]:
    for file in (places.secrets, places.platform):
        if file.exists():
            mode = stat.S_IMODE(file.stat().st_mode)
            yield Finding(f"{file} may be read by its owner only", mode == OWNER_ONLY, f"Run `chmod 600 {file}`.")


def _programs(places: Places) -> Iterator[Finding]:
    for child in recorded(places):
        mend = f"See {child.log}, then `make down` and `make up`."
        yield Finding(f"{child.name} runs (pid {child.pid})", child.alive(), mend)


def _ports(places: Places) -> Iterator[Finding]:
    if holder(places) is None:
        for name, port in ports.remembered(places.ports).items():
            taken = "" if ports.is_free(port) else " is taken by another program: the next start chooses another one"
            yield Finding(f"port {port} of {name}{taken or ' is free'}", ok=True)
    elif places.platform.exists():
        for name, services in read_addresses(places).services.items():
            for kind, port in services.items():
                mend = f"See {places.logs / name}.log, then `make down` and `make up`."
                yield Finding(f"{name} answers on port {port} ({kind})", ports.answers(port), mend)


def _database_server(_places: Places, addresses: Addresses) -> Iterator[Finding]:
    with psycopg.connect(addresses.postgres, connect_timeout=5) as connection:
        yield Finding(f"PostgreSQL {connection.info.server_version // 10000}", ok=True)
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        apart = abs(row[0] - datetime.now(UTC).timestamp())
        mend = "Set both machines' clocks, and let NTP keep them."
        yield Finding(f"its clock and ours are {apart:.3f} s apart", apart < CLOCK_SECONDS_MAX, mend)
        durable = connection.execute("SHOW fsync").fetchone() == ("on",)
        yield Finding("it writes to disk what it commits", durable, "Set fsync = on in its configuration.")


def _databases(places: Places, addresses: Addresses) -> Iterator[Finding]:
    secrets = kept_secrets(places.secrets)
    for service in DATABASE_SERVICES:
        if service in addresses.services:
            database = create_database(addresses.postgres, service, secrets)
            yield _migrations(database)
            yield _ownership(database)


def _migrations(database: Database) -> Finding:
    missing = missing_revisions(database)
    what = f"{database.name} lacks {', '.join(missing)}" if missing else f"{database.name} has every migration"
    return Finding(what, not missing, "`make down`, then `make up`: starting applies them.")


def _ownership(database: Database) -> Finding:
    _migrator, *served = roles_of(database.service)
    with psycopg.connect(database.admin_url, connect_timeout=5) as connection:
        owned = connection.execute(
            "SELECT DISTINCT r.rolname FROM pg_roles r LEFT JOIN pg_class c ON c.relowner = r.oid"
            " WHERE r.rolname = ANY(%s) AND (r.rolsuper OR r.rolbypassrls OR c.oid IS NOT NULL)",
            [served],
        ).fetchall()
    wrong = ", ".join(role for (role,) in owned)
    what = f"the roles of {database.service} own nothing" if not wrong else f"{wrong} owns tables or is a superuser"
    mend = f"Give its tables to {_migrator} (REASSIGN OWNED BY) and ALTER ROLE … NOSUPERUSER NOBYPASSRLS."
    return Finding(what, not wrong, mend)


def _topics(places: Places, addresses: Addresses) -> Iterator[Finding]:
    host, _colon, port = addresses.kafka.rpartition(":")
    if not ports.answers(int(port), host):
        mend = f"See {places.logs / 'kafka.log'}, then `make down` and `make up`."
        yield Finding(f"Kafka does not answer at {addresses.kafka}", ok=False, mend=mend)
        return
    topics = read_topics()
    wrong = faults(addresses.kafka, topics)
    mend = "`make down`, then `make up` creates what is missing; mend settings with Kafka's own tools."
    yield from (Finding(fault, ok=False, mend=mend) for fault in wrong)
    if not wrong:
        yield Finding(f"{', '.join(topic.name for topic in topics)}: as topics.yaml says", ok=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
