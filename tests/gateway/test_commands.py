"""What creditors say about accounts that are placed, and what they read of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.gateway.world import World, keyed, placement, usd


@pytest.fixture
def account(http: httpx2.Client) -> dict[str, Any]:
    """A fresh account of 100.00 principal and 20.00 fees."""
    made: dict[str, Any] = http.post("/v1/placements", json=placement(), headers=keyed()).json()["account"]
    return made


def payment(**changes: object) -> dict[str, Any]:
    return {
        "type": "payment",
        "payee": "us",
        "amount": usd(5_000),
        "effective_date": "2026-03-02",
        "transaction_reference": "t-1",
        "instrument": "ach",
        **changes,
    }


def post(
    http: httpx2.Client, account: dict[str, Any], path: str, body: dict[str, Any], **headers: str
) -> httpx2.Response:
    return http.post(f"/v1/accounts/{account['account_id']}/{path}", json=body, headers=keyed(**headers))


def test_money_in_money_back_and_money_amended(http: httpx2.Client, account: dict[str, Any]) -> None:
    paid = post(http, account, "payments", payment())
    assert paid.status_code == 201, paid.text
    assert paid.json()["account"]["balance_total"] == usd(7_000)
    assert [fact["type"] for fact in paid.json()["facts"]] == ["recoup.accounts.v1.PaymentPosted"]
    correction = {
        "type": "correction",
        "corrected_reference": "t-1",
        "amount": usd(4_000),
        "transaction_reference": "t-2",
        "effective_date": "2026-03-03",
    }
    assert post(http, account, "payments", correction).json()["account"]["balance_total"] == usd(8_000)
    refund = {
        "type": "refund",
        "refunded_reference": "t-1",
        "amount": usd(1_000),
        "transaction_reference": "t-3",
        "effective_date": "2026-03-04",
    }
    assert post(http, account, "payments", refund).json()["account"]["balance_total"] == usd(9_000)
    second = post(http, account, "payments", payment(transaction_reference="t-4", amount=usd(9_000)))
    assert second.json()["account"]["balance_total"] == usd(0)
    returned = {
        "type": "returned",
        "returned_reference": "t-4",
        "transaction_reference": "t-5",
        "return_code": "R01",
        "effective_date": "2026-03-06",
    }
    assert post(http, account, "payments", returned).json()["account"]["balance_total"] == usd(9_000)


def test_a_transaction_reference_names_one_payment(http: httpx2.Client, account: dict[str, Any]) -> None:
    assert post(http, account, "payments", payment()).status_code == 201
    again = post(http, account, "payments", payment())
    assert (again.status_code, again.json()["status"]) == (200, "already")
    other = post(http, account, "payments", payment(amount=usd(1)))
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.json()["errors"][0]["pointer"] == "/transaction_reference"


def test_one_key_posts_one_payment_whatever_kind_it_was_used_for_before(
    http: httpx2.Client, account: dict[str, Any]
) -> None:
    headers = keyed()
    path = f"/v1/accounts/{account['account_id']}/payments"
    assert http.post(path, json=payment(), headers=headers).status_code == 201
    assert http.post(path, json=payment(amount=usd(1)), headers=headers).json()["code"] == "idempotency_conflict"
    returned = {
        "type": "returned",
        "returned_reference": "t-1",
        "transaction_reference": "t-5",
        "return_code": "R01",
        "effective_date": "2026-03-06",
    }
    assert http.post(path, json=returned, headers=headers).json()["code"] == "idempotency_conflict"
    hold = {"scope": "account", "reason": "attorney_review"}
    elsewhere = http.post(f"/v1/accounts/{account['account_id']}/holds", json=hold, headers=headers)
    assert elsewhere.json()["code"] == "idempotency_conflict"


def test_faults_of_a_payment_are_all_named(http: httpx2.Client, account: dict[str, Any]) -> None:
    wrong = payment(payee="them", amount=usd(0), effective_date="2026-02-30", instrument=7, more=1)
    refused = post(http, account, "payments", wrong)
    assert sorted((e["pointer"], e["code"]) for e in refused.json()["errors"]) == [
        ("/amount/amount", "out_of_range"),
        ("/effective_date", "invalid_date"),
        ("/instrument", "unknown_word"),
        ("/more", "unknown_field"),
        ("/payee", "unknown_word"),
    ]
    ruled = post(
        http, account, "payments", payment(amount={"amount": 5, "currency": "EUR"}, effective_date="2035-01-01")
    )
    assert ruled.status_code == 422
    assert {"/amount/currency"} <= {e["pointer"] for e in ruled.json()["errors"]} or {"/effective_date"} <= {
        e["pointer"] for e in ruled.json()["errors"]
    }
    unknown = post(http, account, "payments", payment(type="gift"))
    assert unknown.json()["errors"] == [
        {"pointer": "/type", "code": "unknown_word", "message": unknown.json()["errors"][0]["message"]}
    ]


def test_a_balance_is_adjusted_by_a_difference(http: httpx2.Client, account: dict[str, Any]) -> None:
    body = {
        "transaction_reference": "adj-1",
        "bucket": "fees",
        "difference": usd(-2_000),
        "reason": "fee_waived",
        "approver": "manager",
        "effective_date": "2026-03-05",
    }
    clerk, manager = {"X-Actor": "clerk"}, {"X-Actor": "Manager"}
    nobody = post(http, account, "balance-adjustments", body)
    assert (nobody.status_code, nobody.json()["errors"][0]["code"]) == (422, "required")
    own = post(http, account, "balance-adjustments", body, **manager)
    assert own.json()["errors"][0]["code"] == "approved_by_actor"
    made = post(http, account, "balance-adjustments", body, **clerk)
    assert made.status_code == 201, made.text
    assert made.json()["account"]["balance"]["fees"] == usd(0)
    below = post(http, account, "balance-adjustments", {**body, "transaction_reference": "adj-2"}, **clerk)
    assert (below.status_code, below.json()["errors"][0]["pointer"]) == (422, "/difference/amount")
    assert below.json()["rule"]["name"] == "BalanceBelowZero"


def test_a_hold_is_placed_and_released(http: httpx2.Client, account: dict[str, Any]) -> None:
    expiry = (datetime.now(UTC) + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"scope": "account", "reason": "mailed_in_payment", "expires_at": expiry}
    held = post(http, account, "holds", body)
    assert held.status_code == 201, held.text
    hold_id = held.json()["hold_id"]
    assert [hold["hold_id"] for hold in held.json()["account"]["holds"]] == [hold_id]
    forbidden = post(http, account, "holds", {"scope": "account", "reason": "bankruptcy", "expires_at": expiry})
    assert forbidden.json()["errors"][0]["pointer"] == "/expires_at"
    released = post(http, account, f"holds/{hold_id}/release", {"reason": "it came"})
    assert (released.status_code, released.json()["account"]["holds"]) == (200, [])
    absent = post(http, account, "holds/00000000-0000-4000-8000-000000000000/release", {"reason": "it came"})
    assert absent.status_code == 404


def test_a_dispute_is_opened_answered_and_closed(http: httpx2.Client, account: dict[str, Any]) -> None:
    person = account["debtors"][0]["person_id"]
    body = {"person_id": person, "reason": "wrong_amount", "received_date": "2026-03-03", "in_writing": True}
    other_currency = post(http, account, "disputes", {**body, "portion": {"amount": 5, "currency": "EUR"}})
    assert other_currency.json()["errors"][0]["pointer"] == "/portion/currency"
    opened = post(http, account, "disputes", {**body, "portion": usd(500)})
    assert opened.status_code == 201, opened.text
    dispute_id = opened.json()["dispute_id"]
    assert opened.json()["account"]["disputes"][0]["portion"] == usd(500)
    paper = post(http, account, "documents", {"type": "statement", "sha256": "ab" * 32})
    assert paper.status_code == 201, paper.text
    sent = {"document_id": paper.json()["document_id"], "sent_date": "2026-03-05"}
    verified = post(http, account, f"disputes/{dispute_id}/verification", sent)
    assert verified.status_code == 200, verified.text
    closed = post(http, account, f"disputes/{dispute_id}/close", {"outcome": "verified", "closed_date": "2026-03-06"})
    assert closed.status_code == 200, closed.text
    assert closed.json()["account"]["disputes"][0]["outcome"] == "verified"


def test_an_account_is_closed(http: httpx2.Client, account: dict[str, Any]) -> None:
    today = datetime.now(UTC).date().isoformat()
    closed = post(http, account, "close", {"code": "uneconomic", "closed_date": today})
    assert closed.status_code == 200, closed.text
    assert closed.json()["account"]["phase"] == "closed"
    again = post(http, account, "close", {"code": "uneconomic", "closed_date": today})
    assert (again.status_code, again.json()["status"]) == (200, "already")
    unknown = post(http, account, "close", {"code": "bored", "closed_date": today})
    assert unknown.json()["errors"][0]["pointer"] == "/code"


def test_an_account_is_read_as_of_an_instant(http: httpx2.Client, account: dict[str, Any]) -> None:
    path = f"/v1/accounts/{account['account_id']}"
    before = http.get(f"{path}/events").json()["events"][-1]["recorded_at"]
    time.sleep(0.01)
    post(http, account, "payments", payment())
    assert http.get(path).json()["account"]["version"] > account["version"]
    then = http.get(path, params={"as_of": before})
    assert then.status_code == 200, then.text
    assert then.json()["account"] == account
    assert len(then.json()["read_at"]["numbers"]) == 8
    assert http.get(path).json()["read_at"] is None
    for events, count in ((f"{path}/events", account["version"]), ("/v1/events", None)):
        told = http.get(events, params={"as_of": before}).json()
        assert told["read_at"] == then.json()["read_at"]
        assert count in (None, len(told["events"]))
        assert http.get(events).json()["read_at"] is None
    for question in (path, f"{path}/events"):
        early = http.get(question, params={"as_of": "2020-01-01T00:00:00Z"})
        assert early.status_code == 404
    for parameter in ("2035-01-01T00:00:00Z",):
        future = http.get(path, params={"as_of": parameter})
        assert (future.status_code, future.json()["code"], future.json()["retryable"]) == (409, "not_final", True)
        assert future.headers["Retry-After"]
    for wrong in ("yesterday", "2026-02-30T00:00:00Z", "2026-02-01", "2026-02-01T00:00:00"):
        refused = http.get(path, params={"as_of": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, "as_of"), wrong


def test_accounts_are_listed_page_by_page(world: World) -> None:
    with world.http() as http:
        for _ in range(3):
            http.post("/v1/placements", json=placement(batch_reference="paged"), headers=keyed())
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = http.get("/v1/accounts", params={"batch_reference": "paged", "limit": 2, **cursor}).json()
            found += [each["account_id"] for each in page["accounts"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(found) == len(set(found)) == 3
        assert http.get("/v1/accounts", params={"phase": "closed", "batch_reference": "paged"}).json()["accounts"] == []
        wrong = http.get("/v1/accounts", params={"cursor": "nonsense"})
        assert (wrong.status_code, wrong.json()["errors"][0]["parameter"]) == (400, "cursor")
        for limit in ("0", "501", "x"):
            assert http.get("/v1/accounts", params={"limit": limit}).status_code == 400


def test_an_account_is_found_by_its_reference(http: httpx2.Client, account: dict[str, Any]) -> None:
    reference = account["terms"]["client_reference"]
    found = http.get("/v1/accounts", params={"client_reference": reference}).json()["accounts"]
    assert found == [account]
    together = http.get("/v1/accounts", params={"client_reference": reference, "phase": "open"})
    assert together.status_code == 400
    assert http.get("/v1/accounts", params={"client_reference": "none such"}).json()["accounts"] == []


def test_the_feed_of_a_client_is_complete_and_goes_on(world: World) -> None:
    with world.http(world.key("second-bank")) as http:
        cursor: dict[str, str] = {}
        while True:
            page = http.get(
                "/v1/events", params={"limit": 500, **({"after": cursor["after"]} if cursor else {})}
            ).json()
            cursor = {"after": page["next_cursor"]}
            if not page["more"]:
                break
        bodies = [placement() for _ in range(3)]
        for body in bodies:
            http.post("/v1/placements", json=body, headers=keyed())
        told: list[dict[str, Any]] = []
        while True:
            page = http.get("/v1/events", params={"limit": 2, **cursor}).json()
            told += page["events"]
            cursor = {"after": page["next_cursor"]}
            if not page["more"]:
                break
        assert sorted(event["client_reference"] for event in told) == sorted(
            body["client_reference"] for body in bodies
        )
        assert {event["type"] for event in told} == {"account.placed"}
        assert all(event["data"]["balance_after"]["principal_minor"] == 10_000 for event in told)
        assert "Smith" not in str(told)
        assert http.get("/v1/events", params=cursor).json()["events"] == []
        assert http.get("/v1/events", params={"after": "x"}).status_code == 400
