"""Placing one account over HTTP."""

from __future__ import annotations

import httpx2

from tests.gateway.world import World, keyed, placement, usd


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
