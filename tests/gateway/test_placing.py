"""Placing one account over HTTP: made, existing, in conflict, quarantined and completed, checked without effect."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.gateway.world import World, keyed, placement, usd


def errors_of(response: httpx2.Response) -> list[tuple[str, str]]:
    return sorted((error["pointer"], error["code"]) for error in response.json()["errors"])


def test_a_complete_placement_makes_an_account(http: httpx2.Client) -> None:
    body = placement()
    made = http.post("/v1/placements", json=body, headers=keyed())
    assert made.status_code == 201, made.text
    told = made.json()
    assert told["status"] == "accepted"
    assert told["client_reference"] == body["client_reference"]
    assert told["account"]["phase"] == "open"
    assert told["account"]["balance"]["principal"] == usd(10_000)
    assert made.headers["Location"] == f"/v1/accounts/{told['account_id']}"
    read = http.get(made.headers["Location"])
    assert read.json()["account"] == told["account"]


def test_the_same_request_again_gets_the_same_answer(http: httpx2.Client) -> None:
    body, headers = placement(), keyed()
    first = http.post("/v1/placements", json=body, headers=headers)
    again = http.post("/v1/placements", json=body, headers=headers)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())


def test_the_answer_to_a_repetition_does_not_change_when_the_account_does(http: httpx2.Client) -> None:
    body, headers = placement(), keyed()
    first = http.post("/v1/placements", json=body, headers=headers)
    payment = {
        "payee": "us",
        "amount": usd(500),
        "effective_date": "2026-03-02",
        "transaction_reference": "t-1",
        "instrument": "ach",
    }
    account_id = first.json()["account_id"]
    assert http.post(f"/v1/accounts/{account_id}/payments", json=payment, headers=keyed()).status_code == 201
    assert http.post("/v1/placements", json=body, headers=headers).json() == first.json()


def test_another_body_under_the_same_key_is_refused(http: httpx2.Client) -> None:
    headers = keyed()
    assert http.post("/v1/placements", json=placement(), headers=headers).status_code == 201
    other = http.post("/v1/placements", json=placement(), headers=headers)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_conflict"


def test_a_key_belongs_to_the_client_and_survives_its_api_key(world: World) -> None:
    body, headers = placement(), keyed()
    with world.http() as one, world.http() as other, world.http(world.key("second-bank")) as stranger:
        assert one.post("/v1/placements", json=body, headers=headers).status_code == 201
        assert other.post("/v1/placements", json=body, headers=headers).headers["Idempotency-Replayed"] == "true"
        assert stranger.post("/v1/placements", json=body, headers=headers).status_code == 201


def test_equal_content_under_another_key_is_the_existing_account(http: httpx2.Client) -> None:
    body = placement()
    first = http.post("/v1/placements", json=body, headers=keyed())
    second = http.post("/v1/placements", json=body, headers=keyed())
    assert second.status_code == 200
    assert second.json()["status"] == "duplicate"
    assert second.json()["account_id"] == first.json()["account_id"]


def test_at_the_same_time_one_request_has_one_effect(world: World) -> None:
    body, headers = placement(), keyed()

    def send(given: dict[str, str]) -> httpx2.Response:
        with world.http(key) as http:
            return http.post("/v1/placements", json=body, headers=given)

    key = world.key()
    with ThreadPoolExecutor(8) as pool:
        same = list(pool.map(send, [headers] * 8))
        others = list(pool.map(send, [keyed() for _ in range(8)]))
    assert {answer.status_code for answer in same} == {201}
    assert [answer.headers.get("Idempotency-Replayed") for answer in same].count(None) == 1
    assert len({answer.text for answer in same}) == 1
    assert {(answer.status_code, answer.json()["account_id"]) for answer in others} == {
        (200, same[0].json()["account_id"])
    }
    with world.http(key) as http:
        events = http.get(f"{same[0].headers['Location']}/events").json()["events"]
    assert [event["type"] for event in events] == ["account.placed"]


def test_other_content_under_the_same_reference_is_a_conflict(http: httpx2.Client) -> None:
    body = placement()
    http.post("/v1/placements", json=body, headers=keyed())
    other = http.post("/v1/placements", json={**body, "batch_reference": "batch-2"}, headers=keyed())
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"
    assert other.json()["rule"]["name"] == "ClientReferenceTaken"
    assert errors_of(other) == [("/client_reference", "taken")]
    assert not other.json()["retryable"]


def test_a_placement_that_lacks_something_is_quarantined_and_can_be_completed(http: httpx2.Client) -> None:
    whole = placement()
    lacking = {**whole, "itemization": None}
    made = http.post("/v1/placements", json=lacking, headers=keyed())
    assert (made.status_code, made.json()["status"]) == (201, "quarantined"), made.text
    assert "/itemization" in {
        warning["pointer"].rpartition("/")[0] or warning["pointer"] for warning in made.json()["warnings"]
    }
    account_id = made.json()["account_id"]
    still = http.post(f"/v1/accounts/{account_id}/completion", json=lacking, headers=keyed())
    assert still.status_code == 422
    assert still.json()["rule"]["name"] == "StillIncomplete"
    completed = http.post(f"/v1/accounts/{account_id}/completion", json=whole, headers=keyed())
    assert (completed.status_code, completed.json()["status"]) == (200, "accepted"), completed.text
    assert completed.json()["account"]["phase"] == "open"


def test_completing_under_another_reference_is_a_conflict(http: httpx2.Client) -> None:
    made = http.post("/v1/placements", json=placement(itemization=None), headers=keyed())
    wrong = http.post(f"/v1/accounts/{made.json()['account_id']}/completion", json=placement(), headers=keyed())
    assert (wrong.status_code, errors_of(wrong)) == (409, [("/client_reference", "conflict")])


def test_faults_of_the_rules_point_into_the_body(http: httpx2.Client) -> None:
    wrong = placement(
        balance__total=usd(11_999),
        debt__last_statement_date="2035-01-01",
        debtors__0__national_id="123456789",
        debtors__0__date_of_birth="2020-01-01",
        portfolio_id="cards",
    )
    refused = http.post("/v1/placements", json=wrong, headers=keyed())
    assert refused.status_code == 422, refused.text
    pointers = {pointer for pointer, _code in errors_of(refused)}
    assert {"/balance/total/amount", "/debt/last_statement_date", "/debtors/0/date_of_birth"} <= pointers, pointers
    assert refused.json()["rule"]["name"] == "PlacementInvalid"


def test_every_fault_of_the_shape_is_named_at_once(http: httpx2.Client) -> None:
    wrong = placement(
        placement_date=None,
        unknown_field=1,
        debt__consumer="yes",
        debt__product_type="boat",
        debt__charge_off_date="2026-02-30",
        balance__principal={"amount": True, "currency": "USD"},
        balance__fees={"amount": 1.5, "currency": "USD"},
        balance__interest={"amount": 0, "currency": "EUR"},
        balance__total=usd(10**12 + 1),
        itemization__interest_since=usd(-1),
        debtors__0__addresses=[],
        debtors__0__name__first="An\u202en",
        client_reference="A\u200d1",
        batch_reference=" b",
    )
    refused = http.post("/v1/placements", json=wrong, headers=keyed())
    assert refused.status_code == 422
    assert errors_of(refused) == [
        ("/balance/fees/amount", "fractional"),
        ("/balance/interest/currency", "mixed_currency"),
        ("/balance/principal/amount", "wrong_type"),
        ("/balance/total/amount", "out_of_range"),
        ("/batch_reference", "blank_around"),
        ("/client_reference", "forbidden_character"),
        ("/debt/charge_off_date", "invalid_date"),
        ("/debt/consumer", "wrong_type"),
        ("/debt/product_type", "unknown_word"),
        ("/debtors/0/addresses", "too_few"),
        ("/debtors/0/name/first", "forbidden_character"),
        ("/itemization/interest_since/amount", "out_of_range"),
        ("/placement_date", "missing"),
        ("/unknown_field", "unknown_field"),
    ]


def test_faults_of_shape_and_of_rules_are_named_together(http: httpx2.Client) -> None:
    wrong = placement(
        more=1,
        batch_reference=7,
        balance__total=usd(11_999),
        debtors__0__date_of_birth="2020-01-01",
        debtors__0__name__middle="\u202e",
        portfolio_id="none such",
    )
    expected = [
        ("/balance/total/amount", "sum"),
        ("/batch_reference", "wrong_type"),
        ("/debtors/0/date_of_birth", "under_age"),
        ("/debtors/0/name/middle", "forbidden_character"),
        ("/itemization/current_amount/amount", "sum"),
        ("/more", "unknown_field"),
        ("/portfolio_id", "unknown"),
    ]
    for answer in (
        http.post("/v1/placements", json=wrong, headers=keyed()),
        http.post("/v1/placements:validate", json=wrong),
    ):
        assert errors_of(answer) == expected
    doubtful = placement(balance__fees={"amount": "2000", "currency": "USD"}, debtors__0__date_of_birth="2020-01-01")
    assert errors_of(http.post("/v1/placements:validate", json=doubtful)) == [
        ("/balance/fees/amount", "wrong_type"),
        ("/debtors/0/date_of_birth", "under_age"),
    ]


def test_a_name_keeps_its_joiners(http: httpx2.Client) -> None:
    made = http.post(
        "/v1/placements", json=placement(debtors__0__name__first="\u0646\u06cc\u200c\u0627"), headers=keyed()
    )
    assert made.status_code == 201, made.text


@pytest.mark.parametrize(
    ("body", "code", "errors"),
    [
        (b'{"a": 1, "a": 2}', "malformed", [("/a", "duplicate_key")]),
        (
            b'{"a": [NaN, 1e400, {"b": -Infinity}]}',
            "malformed",
            [("/a/0", "not_a_number"), ("/a/1", "out_of_range"), ("/a/2/b", "not_a_number")],
        ),
        (b'{"a": ' + b"9" * 5000 + b"}", "malformed", [("/a", "out_of_range")]),
        (b'{"a": ' * 30 + b"1" + b"}" * 30, "malformed", [("/a" * 16, "too_deep")]),
        (b"[" * 200_000, "malformed", []),
        (b"[1]", "malformed", [("", "wrong_type")]),
        (b"", "malformed", []),
        (b'{"a"', "malformed", []),
        (b"\xef\xbb\xbf{}", "byte_order_mark", []),
        ('{"a": "ü"}'.encode("latin-1"), "encoding", []),
        ('{"a": "ü"}'.encode("utf-16"), "byte_order_mark", []),
    ],
)
def test_what_is_not_unambiguous_json_is_refused(
    http: httpx2.Client, body: bytes, code: str, errors: list[tuple[str, str]]
) -> None:
    refused = http.post("/v1/placements", content=body, headers=keyed(**{"Content-Type": "application/json"}))
    assert refused.status_code == 400
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (refused.json()["code"], errors_of(refused)) == (code, errors)


def test_other_media_types_and_large_bodies_are_refused(http: httpx2.Client) -> None:
    whole = json.dumps(placement()).encode()
    for content_type in ("text/plain", "application/json; charset=latin-1", ""):
        refused = http.post("/v1/placements", content=whole, headers=keyed(**{"Content-Type": content_type}))
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type"), content_type
    squeezed = keyed(**{"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert http.post("/v1/placements", content=whole, headers=squeezed).status_code == 415
    large = b'{"a": "' + b"x" * 1024 * 1024 + b'"}'
    typed = {"Content-Type": "application/json"}
    assert http.post("/v1/placements", content=large, headers=keyed(**typed)).status_code == 413
    streamed = http.post("/v1/placements", content=iter([large[:1000], large[1000:]]), headers=keyed(**typed))
    assert (streamed.status_code, streamed.json()["code"]) == (413, "too_large")


def test_validating_has_no_effect_and_says_what_placing_would(http: httpx2.Client) -> None:
    body = placement(itemization=None)
    checked = http.post("/v1/placements:validate", json=body)
    assert checked.status_code == 200, checked.text
    assert checked.json()["errors"] == []
    assert checked.json()["warnings"]
    wrong = http.post("/v1/placements:validate", json={**body, "balance": {**body["balance"], "total": usd(1)}})
    assert "/balance/total/amount" in {error["pointer"] for error in wrong.json()["errors"]}
    assert http.post("/v1/placements:validate", json={"x": 1}).json()["errors"]
    listed = http.get("/v1/accounts", params={"client_reference": body["client_reference"]})
    assert listed.json()["accounts"] == []
