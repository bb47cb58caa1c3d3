"""The gateway as a process: what it does when others are away, when it is asked to end, and when it must not start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2
import psycopg
import pytest
from psycopg import errors

from deploy.local import ports
from deploy.local.places import ROOT
from deploy.local.programs import environment_of
from tests.gateway.world import PROGRAMS, World, keyed, placement, usd

GATEWAY = PROGRAMS[1]
STOP_SECONDS_MAX = 10.0
FORBIDDEN = (
    "DELETE FROM gateway.requests",
    "UPDATE gateway.requests SET reason = 'x'",
    "TRUNCATE gateway.api_keys",
)


@contextmanager
def process(world: World, **changes: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another gateway on the same databases, told something else."""
    port = ports.choose(["other"], world.surroundings.places.home / "other-ports.json")["other"]
    told = environment_of(GATEWAY, world.surroundings) | {"RECOUP_HTTP_PORT": str(port), **changes}
    command = [sys.executable, "-m", "services.gateway"]
    with subprocess.Popen(command, env=told, cwd=ROOT, stderr=subprocess.PIPE) as running:
        try:
            yield running, f"http://127.0.0.1:{port}"
        finally:
            running.kill()


def live(url: str) -> None:
    for _ in range(300):
        try:
            if httpx2.get(f"{url}/health/live", trust_env=False).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError(url)


def test_while_accounts_is_away_callers_are_told_to_come_back(world: World) -> None:
    body, headers = placement(), keyed()
    with world.http() as http:
        world.stop("accounts")
        try:
            for answer in (
                http.get("/v1/accounts"),
                http.post("/v1/placements", json=body, headers=headers),
                http.post("/v1/placements:validate", json=body),
                http.post(
                    "/v1/placement-batches",
                    content=json.dumps(body) + "\n",
                    headers=keyed(**{"Content-Type": "application/x-ndjson"}),
                ),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert answer.json()["retryable"] is True
                assert int(answer.headers["Retry-After"]) >= 1
            ready = http.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]["accounts"]["ok"]) == (503, False)
            assert http.get("/health/live").status_code == 200
        finally:
            world.start("accounts")
        again = _until_back(http, body, headers)
        assert (again.status_code, again.json()["status"]) == (201, "accepted")
        assert http.get("/health/ready").status_code == 200


def _until_back(http: httpx2.Client, body: Mapping[str, object], headers: dict[str, str]) -> httpx2.Response:
    for _ in range(50):
        answer = http.post("/v1/placements", json=body, headers=headers)
        if answer.status_code != 503:
            break
        time.sleep(0.2)
    return answer


def test_while_its_database_is_away_callers_are_told_to_come_back(world: World) -> None:
    database = world.surroundings.databases["gateway"]
    with world.http() as http, psycopg.connect(database.admin_url, autocommit=True, dbname="postgres") as admin:
        assert http.get("/v1/accounts").status_code == 200
        admin.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS false")
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
            body, headers = placement(), keyed()
            refused = http.post("/v1/placements", json=body, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert refused.headers["Retry-After"]
            assert http.get("/health/ready").json()["checks"]["database"]["ok"] is False
            with process(world) as (running, _url):
                _out, err = running.communicate(timeout=30)
                assert running.returncode == 2
                assert "cannot be reached" in err.decode()
        finally:
            admin.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS true")
        assert _until_back(http, body, headers).status_code == 201


def test_asked_to_end_it_finishes_what_it_does_and_tells_batches_to_come_back(world: World) -> None:
    key = world.key()
    rows = [json.dumps(placement()) + "\n" for _ in range(401)]
    with process(world) as (running, url):
        live(url)
        answers: list[httpx2.Response] = []
        sending = threading.Thread(target=lambda: answers.append(_send_slowly(url, key, rows)))
        sending.start()
        time.sleep(3)
        asked = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(STOP_SECONDS_MAX) == 0
        assert time.monotonic() - asked < STOP_SECONDS_MAX
        sending.join()
    assert answers[0].status_code == 503
    with world.http(key) as http:
        job = http.get("/v1/placement-batches", params={"idempotency_key": "ended"}).json()
        assert (job["state"], job["rows"]) == ("stopped", 200)
        kind = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "ended"}
        again = http.post("/v1/placement-batches", content="".join(rows), headers=kind)
        assert (again.json()["state"], again.json()["rows"]) == ("complete", 401)


def _send_slowly(url: str, key: str, rows: list[str]) -> httpx2.Response:
    def pieces() -> Iterator[bytes]:
        yield "".join(rows[:250]).encode()
        time.sleep(5)
        yield "".join(rows[250:]).encode()

    headers = {
        "Authorization": f"Bearer {key}",
        "Idempotency-Key": "ended",
        "Content-Type": "application/x-ndjson",
    }
    return httpx2.post(f"{url}/v1/placement-batches", content=pieces(), headers=headers, trust_env=False, timeout=30)


def test_a_key_that_asks_too_often_is_told_when_to_come_back(world: World) -> None:
    key = world.key()
    with process(world, RECOUP_REQUESTS_PER_SECOND="1", RECOUP_FAILURES_PER_MINUTE="3") as (_running, url):
        live(url)
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as http:
            statuses = [http.get("/v1/accounts").status_code for _ in range(25)]
            assert statuses.count(200) >= 10
            assert statuses[-1] == 429
            refused = http.get("/v1/accounts")
            assert refused.json()["code"] == "rate_limited"
            assert refused.json()["retryable"] is True
            assert 1 <= int(refused.headers["Retry-After"]) <= 10
            assert refused.headers["RateLimit"].startswith('"key";r=0;t=')
        wrong = [httpx2.get(f"{url}/v1/accounts", trust_env=False).status_code for _ in range(4)]
        assert wrong == [401, 401, 401, 429]


def test_requests_are_counted_by_route_and_status(world: World) -> None:
    port = ports.choose(["metrics"], world.surroundings.places.home / "metrics-port.json")["metrics"]
    with process(world, RECOUP_METRICS_PORT=str(port)) as (_running, url):
        live(url)
        httpx2.get(f"{url}/v1/accounts/1", trust_env=False)
        httpx2.get(f"{url}/nothing", trust_env=False)
        told = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert 'recoup_http_requests_total{method="GET",route="/v1/accounts/{account_id}",status="401"} 1.0' in told
        assert 'recoup_http_requests_total{method="GET",route="none",status="404"} 1.0' in told
        assert httpx2.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RECOUP_OWNERS": ""}, "RECOUP_OWNERS"),
        ({"RECOUP_HTTP_PORT": "many"}, "RECOUP_HTTP_PORT"),
        ({"RECOUP_TOKEN_SECRET": "short"}, "RECOUP_TOKEN_SECRET"),
    ],
)
def test_with_wrong_settings_it_does_not_start(world: World, changes: dict[str, str], named: str) -> None:
    with process(world, **changes) as (running, _url):
        _out, err = running.communicate(timeout=30)
        assert running.returncode == 2
        assert named in err.decode()
        assert "Traceback" not in err.decode()


def test_as_an_owner_or_a_superuser_it_does_not_start(world: World) -> None:
    database = world.surroundings.databases["gateway"]
    for url in (database.admin_url, database.migrator_url):
        with process(world, RECOUP_DATABASE_URL=url) as (running, _url):
            _out, err = running.communicate(timeout=30)
            assert running.returncode == 2
            assert "superuser" in err.decode()


def test_row_level_security_shows_a_client_its_own_rows_only(world: World) -> None:
    with world.http() as http:
        http.post("/v1/placements", json=placement(), headers=keyed())
    with psycopg.connect(world.surroundings.databases["gateway"].url) as connection:
        for table in ("requests", "batches", "batch_rows", "api_keys"):
            with pytest.raises(errors.UndefinedObject), connection.transaction():
                connection.execute(f"SELECT * FROM gateway.{table}")
        with connection.transaction():
            _set(connection, "{00000000-0000-0000-0000-00000000000a}", "second-bank")
            seen = connection.execute("SELECT count(*) FROM gateway.requests WHERE client = 'first-bank'").fetchone()
            assert seen == (0,)
            _set(connection, "{00000000-0000-0000-0000-00000000000a}", "first-bank")
            seen = connection.execute("SELECT count(*) > 0 FROM gateway.requests").fetchone()
            assert seen == (True,)
        for verb in FORBIDDEN:
            connection.rollback()
            _set(connection, "{}", "first-bank")
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(verb)


def _set(connection: psycopg.Connection, tenants: str, client: str) -> None:
    connection.execute(
        "SELECT set_config('recoup.tenants', %s, true), set_config('recoup.client', %s, true)", [tenants, client]
    )


def test_nothing_of_a_body_and_no_secret_is_kept_or_logged(world: World) -> None:
    key = world.key()
    marked = placement(debtors__0__name__first="Zebedee", debt__description="a debt of zanzibar")
    wrong = {**marked, "debtors": [{"name": {"first": "Zebedee", "surname": "Zebedee"}}], "balance": usd(1)}
    with world.http(key) as http:
        http.post("/v1/placements", json=marked, headers=keyed())
        refused = http.post("/v1/placements", json=wrong, headers=keyed())
        assert "Zebedee" not in refused.text
        row = json.dumps(marked) + "\n" + json.dumps(wrong) + "\n"
        http.post("/v1/placement-batches", content=row, headers=keyed(**{"Content-Type": "application/x-ndjson"}))
    with psycopg.connect(world.surroundings.databases["gateway"].admin_url) as connection:
        for table in ("api_keys", "requests", "batches", "batch_rows"):
            text = str(connection.execute(f"SELECT * FROM gateway.{table}").fetchall())
            assert "Zebedee" not in text
            assert "zanzibar" not in text
            assert key.rpartition("_")[2] not in text
    for log in (world.surroundings.places.home / "logs").iterdir():
        assert key.rpartition("_")[2] not in log.read_text()
        assert "Zebedee" not in log.read_text()
