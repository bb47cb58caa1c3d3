"""Who may ask, and what everyone else is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest

from services.gateway.keys import SCOPES, revoke_key
from tests.gateway.world import NORTH, SOUTH, World, keyed, placement


def test_a_request_without_a_valid_key_is_not_known(world: World) -> None:
    good = world.key()
    late = world.key(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        f"Basic {good}",
        f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
        f"Bearer {world.key(environment='live')}",
        f"Bearer {late}",
    ):
        headers = {} if authorization is None else {"Authorization": authorization}
        refused = httpx2.get(f"{world.url}/v1/accounts", headers=headers, trust_env=False)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated"), authorization
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_in_the_query_or_the_body_is_not_taken(world: World) -> None:
    key = world.key()
    assert httpx2.get(f"{world.url}/v1/accounts", params={"api_key": key}, trust_env=False).status_code == 401
    with world.http(key) as http:
        assert http.get("/v1/accounts", params={"api_key": key}).json()["code"] == "invalid_parameter"
        refused = http.post("/v1/placements", json=placement(api_key=key), headers=keyed())
        assert refused.status_code == 422
        assert key not in refused.text


def test_a_revoked_key_stops_opening_within_seconds(world: World) -> None:
    key = world.key()
    with world.http(key) as http:
        assert http.get("/v1/accounts").status_code == 200
        with psycopg.connect(world.surroundings.databases["gateway"].url) as connection:
            assert revoke_key(connection, NORTH, key.split("_")[2])
            assert not revoke_key(connection, NORTH, key.split("_")[2])
        time.sleep(5.5)
        assert http.get("/v1/accounts").status_code == 401


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_does_what_its_scopes_allow_and_nothing_else(world: World, scope: str) -> None:
    account_id = "00000000-0000-4000-8000-000000000000"
    calls = {
        "placements:write": ("POST", "/v1/placements"),
        "accounts:read": ("GET", "/v1/accounts"),
        "payments:write": ("POST", f"/v1/accounts/{account_id}/payments"),
        "balances:write": ("POST", f"/v1/accounts/{account_id}/balance-adjustments"),
        "holds:write": ("POST", f"/v1/accounts/{account_id}/holds"),
        "disputes:write": ("POST", f"/v1/accounts/{account_id}/disputes"),
        "documents:write": ("POST", f"/v1/accounts/{account_id}/documents"),
        "accounts:close": ("POST", f"/v1/accounts/{account_id}/close"),
    }
    with world.http(world.key(scopes=[scope])) as http:
        for needed, (method, path) in calls.items():
            answer = http.request(method, path, headers=keyed() if method == "POST" else {})
            assert (answer.status_code == 403) == (needed != scope), (needed, answer.text)


def test_a_key_that_may_only_place_gets_its_answer_and_reads_nothing(world: World) -> None:
    with world.http(world.key(scopes=["placements:write"])) as http:
        made = http.post("/v1/placements", json=placement(), headers=keyed())
        assert made.status_code == 201, made.text
        assert http.post("/v1/placements:validate", json=placement()).status_code == 200
        for path in (made.headers["Location"], "/v1/events", "/v1/placement-batches?idempotency_key=k"):
            assert http.get(path).status_code == 403


def test_a_key_of_several_clients_names_one(world: World) -> None:
    key = world.key("first-bank", "second-bank")
    with world.http(key) as http:
        assert http.get("/v1/accounts").json()["code"] == "client_required"
        assert http.get("/v1/accounts", headers={"X-Client-Id": "third-bank"}).status_code == 403
        body = placement()
        made = http.post("/v1/placements", json=body, headers=keyed(**{"X-Client-Id": "second-bank"}))
        assert made.json()["account"]["terms"]["client_id"] == "second-bank"
        path = made.headers["Location"]
        assert http.get(path, headers={"X-Client-Id": "second-bank"}).status_code == 200
        assert http.get(path, headers={"X-Client-Id": "first-bank"}).status_code == 404


def test_another_clients_account_answers_exactly_as_one_that_does_not_exist(world: World) -> None:
    with world.http(world.key("second-bank")) as owner:
        account_id = owner.post("/v1/placements", json=placement(), headers=keyed()).json()["account_id"]
    absent = "0f0e0d0c-0b0a-4a0b-8c0d-0e0f00010203"
    payment = {
        "payee": "us",
        "amount": {"amount": 1, "currency": "USD"},
        "effective_date": "2026-03-02",
        "transaction_reference": "t",
        "instrument": "ach",
    }
    close = {"code": "uneconomic", "closed_date": "2026-03-02"}
    release = {"reason": "over"}
    for stranger in (world.http(), world.http(world.key(tenant=SOUTH))):
        with stranger as http:
            for method, path, body in (
                ("GET", "/v1/accounts/{}", None),
                ("GET", "/v1/accounts/{}?as_of=2026-11-01T00:00:00Z", None),
                ("GET", "/v1/accounts/{}/events", None),
                ("POST", "/v1/accounts/{}/payments", payment),
                ("POST", "/v1/accounts/{}/close", close),
                ("POST", "/v1/accounts/{}/holds/0f0e0d0c-0b0a-4a0b-8c0d-0e0f00019999/release", release),
                ("POST", "/v1/accounts/{}/completion", placement()),
            ):
                answers = []
                for asked in (account_id, absent, "nonsense"):
                    headers = keyed() if method == "POST" else {}
                    answer = http.request(method, path.format(asked), json=body, headers=headers)
                    told = {n: v for n, v in answer.headers.items() if n not in ("request-id", "date", "ratelimit")}
                    length = told.pop("content-length")
                    answers.append((answer.status_code, answer.text.replace(asked, "ID"), told))
                    assert int(length) == len(answer.content)
                assert answers[0][0] == 404, answers[0]
                assert answers[0] == answers[1] == answers[2]


def test_too_many_requests_are_told_to_wait(world: World) -> None:
    with world.http() as http:
        answer = http.get("/v1/accounts")
        assert answer.headers["RateLimit-Policy"] == '"key";q=5000;w=10'
        assert answer.headers["RateLimit"].startswith('"key";r=49')


def test_the_actor_and_the_request_are_recorded(world: World) -> None:
    with world.http() as http:
        request_id = "0190a1b2-c3d4-7e5f-8a6b-0c1d2e3f4a5b"
        headers = keyed(**{"X-Actor": "clerk.7", "X-Reason": "as agreed", "Request-Id": request_id})
        made = http.post("/v1/placements", json=placement(), headers=headers)
        assert made.headers["Request-Id"] == request_id
        (event, *_) = http.get(f"{made.headers['Location']}/events").json()["events"]
        assert event["actor"].endswith("/clerk.7")
        assert event["request_id"] == request_id
        assert event["reason"] == "as agreed"
        assert event["type"] == "account.placed"
        assert event["test"] is True
        bad = http.post("/v1/placements", json=placement(), headers=keyed(**{"X-Actor": "a;b"}))
        assert bad.status_code == 400
        assert bad.json()["errors"][0]["header"] == "X-Actor"


def test_a_command_needs_an_idempotency_key(http: httpx2.Client) -> None:
    refused = http.post("/v1/placements", json=placement())
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_required")
    assert refused.json()["errors"][0]["header"].lower() == "idempotency-key"
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("X-Actor", "c"), ("X-Actor", "c")]
    repeated = http.post("/v1/placements", json=placement(), headers=twice)
    assert repeated.status_code == 400
    assert [(e["header"], e["code"]) for e in repeated.json()["errors"]] == [
        ("Idempotency-Key", "repeated_header"),
        ("X-Actor", "repeated_header"),
    ]
    long = http.post("/v1/placements", json=placement(), headers={"Idempotency-Key": "k" * 256})
    assert (long.status_code, long.json()["code"]) == (400, "invalid_parameter")


def test_what_the_framework_refuses_is_a_problem_too(http: httpx2.Client) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/accounts", 405),
        ("PUT", "/v1/placements", 405),
    ):
        refused = http.request(method, path)
        assert refused.status_code == status
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["status"] == status
        assert refused.headers["Request-Id"]
    wrong = http.get("/v1/accounts", params={"limit": "0", "phase": "x", "nothing": "1"})
    assert wrong.status_code == 400
    assert wrong.json()["errors"]
