"""Placement batches: each row has its own result, and a cut connection loses nothing."""

from __future__ import annotations

import csv
import io
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from services.gateway.placement_csv import write_rows
from tests.gateway.world import World, keyed, placement, usd

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}


def lines(rows: Iterable[Any]) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    write_rows(stream, rows)
    return stream.getvalue()


def send(
    http: httpx2.Client, content: bytes | str | Iterator[bytes], kind: dict[str, str], key: str | None = None
) -> httpx2.Response:
    headers = keyed(**kind)
    if key is not None:
        headers["Idempotency-Key"] = key
    return http.post("/v1/placement-batches", content=content, headers=headers)


def results(http: httpx2.Client, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/placement-batches/{job['job_id']}/results", headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in answer.text.splitlines()]


def totals(job: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {total["status"]: (total["count"], total["amount"]) for total in job["totals"]}


def test_each_row_has_its_own_result(http: httpx2.Client) -> None:
    good, lacking, wrong = placement(), placement(itemization=None), placement(balance__total=usd(1), extra=1)
    ruled = placement(balance__total=usd(11_000))
    clash = {**good, "batch_reference": "other"}
    rows = [good, lacking, wrong, ruled, good, clash, b"{", b'{"a": 1, "a": 2}', b"\xff", placement()]
    taken = send(http, lines(rows), NDJSON)
    assert taken.status_code == 202, taken.text
    job = taken.json()
    assert (job["state"], job["rows"]) == ("complete", 10)
    told = results(http, job)
    assert [row["row"] for row in told] == list(range(1, 11))
    assert [row["status"] for row in told] == [
        "accepted",
        "quarantined",
        *["refused"] * 2,
        "duplicate",
        *["refused"] * 4,
        "accepted",
    ]
    assert told[1]["warnings"]
    assert {error["pointer"] for error in told[2]["errors"]} == {
        "/extra",
        "/balance/total/amount",
        "/itemization/current_amount/amount",
    }
    assert "/balance/total/amount" in {error["pointer"] for error in told[3]["errors"]}
    assert told[4]["account_id"] == told[0]["account_id"]
    assert told[5]["errors"][0]["pointer"] == "/client_reference"
    assert [row["errors"][0]["code"] for row in told[6:9]] == ["malformed", "duplicate_key", "encoding"]
    assert totals(job)["accepted"] == (2, 24_000)
    assert totals(job)["quarantined"] == (1, 12_000)
    assert totals(job)["duplicate"] == (1, 12_000)
    assert sum(total["count"] for total in job["totals"]) == 10
    page = http.get(f"/v1/placement-batches/{job['job_id']}/results", params={"limit": 4, "after": 4}).json()
    assert [row["row"] for row in page["rows"]] == [5, 6, 7, 8]
    assert page["next_after"] == 8
    assert http.get(f"/v1/placement-batches/{job['job_id']}").json() == job
    accepted = http.get(f"/v1/accounts/{told[0]['account_id']}").json()["account"]
    assert accepted["terms"]["client_reference"] == good["client_reference"]


def test_the_same_batch_again_has_no_further_effect(http: httpx2.Client) -> None:
    rows = [placement(), placement(itemization=None), placement(balance__total=usd(5))]
    first = send(http, lines(rows), NDJSON, "same-batch")
    known = results(http, first.json())
    again = send(http, lines(rows), NDJSON, "same-batch")
    assert again.json()["job_id"] == first.json()["job_id"]
    assert results(http, again.json()) == known
    events = http.get(f"/v1/accounts/{known[0]['account_id']}/events").json()["events"]
    assert [event["type"] for event in events] == ["account.placed"]
    other = send(http, lines(rows), NDJSON)
    assert [row["status"] for row in results(http, other.json())] == ["duplicate", "duplicate", "refused"]
    assert http.get("/v1/placement-batches", params={"idempotency_key": "same-batch"}).json() == again.json()
    as_csv = send(http, table(rows), CSV, "same-batch")
    assert (as_csv.status_code, as_csv.json()["code"]) == (422, "idempotency_conflict")


def test_csv_places_what_json_places(http: httpx2.Client) -> None:
    rich = placement(
        metadata={"desk": "a.7", "note": 'said "no"; yes, really'},
        documents=[{"type": "contract", "sha256": "ab" * 32}],
        debt__collateral=[
            {"type": "vehicle", "identifier": "VIN 1", "value": usd(0), "lien": "first", "status": "held"}
        ],
    )
    rows = [rich, placement(), placement(debtors__0__phones=[])]
    taken = send(http, table(rows), CSV)
    assert taken.status_code == 202, taken.text
    told = results(http, taken.json())
    assert [row["status"] for row in told] == ["accepted"] * 3, told
    again = http.post("/v1/placements", json=rich, headers=keyed())
    assert (again.status_code, again.json()["account_id"]) == (200, told[0]["account_id"])


def test_faults_of_csv_name_the_column(http: httpx2.Client) -> None:
    bad = placement(debtors__0__name__first="An\u202en", balance__fees=usd(-1), debt__charge_off_date="2026-02-30")
    ruled = placement(balance__total=usd(11_000))
    header, *rows = csv.reader(io.StringIO(table([bad, ruled, placement(), placement(), placement()])))
    rows[2][header.index("balance.principal")] = "100.50"
    rows[3][header.index("debt.consumer")] = "TRUE"
    rows[4][header.index("balance.currency")] = "usd"
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    told = results(http, send(http, stream.getvalue().encode(), CSV).json())
    assert [sorted((e["pointer"], e["code"]) for e in row["errors"]) for row in told if row["row"] != 2] == [
        [
            ("/balance.fees", "out_of_range"),
            ("/debt.charge_off_date", "invalid_date"),
            ("/debtor.1.name.first", "forbidden_character"),
        ],
        [("/balance.principal", "fractional")],
        [("/debt.consumer", "wrong_type")],
        [("/balance.currency", "wrong_form")],
    ]
    assert "/balance.total" in {error["pointer"] for error in told[1]["errors"]}


def test_rows_of_csv_that_cannot_be_read_are_refused_alone(http: httpx2.Client) -> None:
    text = table([placement(), placement(), placement(), placement()])
    header, first, second, third, fourth = text.split("\r\n")[:5]
    broken = [first, second + ",more", third.rpartition(",")[0], fourth.replace("a credit card", 'a "credit" card')]
    latin = fourth.replace("a credit card", "à crédit").encode("latin-1")
    body = "\r\n".join([header, *broken]).encode() + b"\r\n" + latin + b"\r\n\r\n"
    told = results(http, send(http, body, CSV).json())
    assert [(row["row"], row["status"], row["errors"][0]["code"] if row["errors"] else "") for row in told] == [
        (1, "accepted", ""),
        (2, "refused", "too_many_columns"),
        (3, "refused", "too_few_columns"),
        (4, "accepted", ""),
        (5, "refused", "encoding"),
    ]


def test_an_unterminated_quote_stops_where_it_opens(http: httpx2.Client) -> None:
    text = table([placement(), placement(debt__description='said "no"'), placement(), placement()])
    broken = text.replace('""no"""', '""no""', 1)
    assert broken != text
    job = send(http, broken, CSV).json()
    assert job["state"] == "stopped"
    assert job["reason"]["code"] == "unterminated_quote"
    assert [row["status"] for row in results(http, job)] == ["accepted"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", NDJSON, 422, "empty_file"),
        (b"\n\n", NDJSON, 422, "empty_file"),
        (b"", CSV, 422, "empty_file"),
        (b"client_reference,nothing,client_reference\r\n", CSV, 422, "invalid"),
        (b"\xef\xbb\xbfclient_reference\r\n", CSV, 400, "byte_order_mark"),
        (b"\xef\xbb\xbf{}\n", NDJSON, 400, "byte_order_mark"),
        ("client_reference\r\n".encode("utf-16"), CSV, 400, "byte_order_mark"),
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
    ],
)
def test_files_that_are_wrong_as_a_whole_are_refused(
    http: httpx2.Client, body: bytes, kind: dict[str, str], status: int, code: str
) -> None:
    refused = send(http, body, kind)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_a_header_of_csv_has_all_its_faults_named(http: httpx2.Client) -> None:
    refused = send(http, b"client_reference,nothing,client_reference,debtor.0.role\r\n", CSV)
    codes = [error["code"] for error in refused.json()["errors"]]
    assert codes[:3] == ["unknown_column", "duplicate_column", "unknown_column"]
    assert codes.count("missing_column") == 22
    only_header = table([placement()]).split("\r\n")[0] + "\r\n"
    assert send(http, only_header, CSV).json()["code"] == "empty_file"


def test_a_row_without_an_end_is_refused(http: httpx2.Client) -> None:
    job = send(http, lines([placement()]) + b'{"a": "' + b"x" * 300_000, NDJSON).json()
    assert (job["state"], job["reason"]["code"]) == ("stopped", "row_too_long")
    assert [row["status"] for row in results(http, job)] == ["accepted"]


def test_a_cut_connection_keeps_what_was_taken_and_the_rest_can_be_sent(world: World) -> None:
    rows = [placement() for _ in range(450)]
    whole = lines(rows)
    key = world.key()
    with world.http(key) as http:
        _cut(world, key, whole, upto=len(whole) * 9 // 10)
        job = _settled(http, "cut-batch")
        assert job["state"] == "interrupted"
        assert job["reason"]["code"] == "connection_cut"
        known = results(http, job)
        assert 200 <= len(known) < 450
        again = send(http, whole, NDJSON, "cut-batch")
        assert (again.json()["state"], again.json()["job_id"]) == ("complete", job["job_id"])
        told = results(http, again.json())
        assert told[: len(known)] == known
        assert [row["status"] for row in told] == ["accepted"] * 450
        listed = http.get("/v1/accounts", params={"batch_reference": "batch-1", "limit": 500}).json()
        references = {row["client_reference"] for row in rows}
        assert len({a["terms"]["client_reference"] for a in listed["accounts"]} & references) <= 450
        for row in (told[0], told[-1]):
            events = http.get(f"/v1/accounts/{row['account_id']}/events").json()["events"]
            assert [event["type"] for event in events] == ["account.placed"]


def _cut(world: World, key: str, whole: bytes, upto: int) -> None:
    """Begin to send a batch, and hang up in the middle of a row."""
    address = urlsplit(world.url)
    head = (
        f"POST /v1/placement-batches HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Idempotency-Key: cut-batch\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(whole)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + whole[:upto])
        time.sleep(1)


def _settled(http: httpx2.Client, key: str) -> dict[str, Any]:
    for _ in range(100):
        answer = http.get("/v1/placement-batches", params={"idempotency_key": key})
        if answer.status_code == 200 and answer.json()["state"] != "receiving":
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(0.1)
    raise AssertionError(answer.text)


def test_another_client_does_not_see_the_batch(world: World) -> None:
    with world.http() as http, world.http(world.key("second-bank")) as other:
        job = send(http, lines([placement()]), NDJSON, "mine").json()
        for path in (f"/v1/placement-batches/{job['job_id']}", f"/v1/placement-batches/{job['job_id']}/results"):
            assert http.get(path).status_code == 200
            assert other.get(path).status_code == 404
        assert other.get("/v1/placement-batches", params={"idempotency_key": "mine"}).status_code == 404
        assert other.get("/v1/placement-batches/nonsense").status_code == 404
        theirs = send(other, lines([placement()]), NDJSON, "mine").json()
        assert theirs["job_id"] != job["job_id"]
        assert [row["status"] for row in results(other, theirs)] == ["accepted"]


def test_a_batch_is_placed_while_it_arrives(world: World) -> None:
    def slowly() -> Iterator[bytes]:
        yield lines([placement() for _ in range(250)])
        for _ in range(50):
            told = other.get("/v1/placement-batches", params={"idempotency_key": "slow"})
            if told.status_code == 200 and told.json()["rows"]:
                break
            time.sleep(0.1)
        seen.append(told.json())
        refused.append(send(other, lines([placement()]), NDJSON, "slow"))
        yield lines([placement()])

    seen: list[dict[str, Any]] = []
    refused: list[httpx2.Response] = []
    with world.http() as http, world.http() as other:
        job = send(http, slowly(), NDJSON, "slow").json()
    assert (seen[0]["state"], seen[0]["rows"]) == ("receiving", 200)
    assert (refused[0].status_code, refused[0].json()["retryable"]) == (409, True)
    assert (job["state"], job["rows"]) == ("complete", 251)
