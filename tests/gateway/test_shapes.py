"""The table between JSON, CSV and the contract, without a server."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import event, given, settings
from hypothesis import strategies as st
from recoup.accounts.v1 import placement_pb2
from recoup.accounts.v1.state_pb2 import AccountState

from kernel.decider import Fault
from services.gateway import commands
from services.gateway.batch_rows import Row, Stopped, csv_rows, ndjson_rows
from services.gateway.openapi import ANSWERS
from services.gateway.placement_csv import flattened, read_header, read_row, write_rows
from services.gateway.placing import POINTERS
from services.gateway.placing import placement as placed
from services.gateway.problems import Problem
from services.gateway.rendering import state, state_schema
from services.gateway.shapes import descriptor_of
from services.gateway.strict_json import Document, read
from tests.gateway.world import placement, usd

RICH: dict[str, Any] = placement(
    placement_sequence=2,
    metadata={"desk": "7", "a.b": "dotted"},
    creditors__chain_of_title=[{"from": "A", "to": "B", "date": "2025-01-01", "document_id": "d-1"}],
    debt__collateral=[{"type": "vehicle", "identifier": "VIN", "value": usd(5), "lien": "first", "status": "held"}],
    debt__medical={
        "guarantors": ["Ann"],
        "service_date": "2025-01-01",
        "insurance_payments": [{"insurer": "I", "date": "2025-02-01", "amount": usd(1)}],
    },
    debt__interest_terms={"rate": 500, "accrues_from": "2025-01-01", "method": "simple_365"},
    balance__other=[{"label": "tow", "amount": usd(3)}, {"label": "key", "amount": usd(4)}],
    history={
        "payments": [{"date": "2025-01-01", "total": usd(5), "principal": usd(5)}],
        "contacts": [{"at": "2025-01-01T10:00:00Z", "channel": "phone", "outcome": "none"}],
        "disputes": [{"date": "2025-01-01", "reason": "paid"}],
        "negative_notice": {"sent": True, "date": "2025-01-01"},
    },
    documents=[{"document_id": "d-1", "type": "assignment", "sha256": "ab" * 32}],
    origination={"ip": "2001:db8::1", "at": "2020-01-01T00:00:00Z"},
    debtors__0__flags={"bankruptcy": {"chapter": 7, "discharged": True}, "military": True},
    debtors__0__wishes={"opt_outs": ["+15185550143"], "media_refused": ["email"]},
    debtors__0__representative={"kind": "attorney", "name": "Lex"},
)


def made_of(body: dict[str, Any]) -> placement_pb2.Placement:
    made = placed(read(json.dumps(body).encode()), "first-bank")
    assert not isinstance(made, list), made
    return made


def test_every_field_of_the_contract_can_be_sent() -> None:
    known = {path for path in POINTERS.paths() if path[0] != "debtors"}
    by_the_edge = {
        ("terms", "client_id"),
        ("terms", "debt", "collateral", "*", "collateral_id"),
    }
    assert set(_leaves(descriptor_of(placement_pb2.Placement), ())) - known == by_the_edge


def _leaves(descriptor: Descriptor, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for field in descriptor.fields:
        here = (*path, field.name)
        inner = field.message_type
        if inner is None or inner.GetOptions().map_entry:
            star = field.is_repeated and inner is None and field.name == "collateral_identifiers"
            found.append((*here, "*") if star else here)
        else:
            found += _leaves(inner, (*here, "*") if field.is_repeated else here)
    return found


@pytest.mark.parametrize(
    ("of_the_contract", "of_the_json"),
    [
        ("/terms/balance/buckets/principal_minor", "/balance/principal/amount"),
        ("/terms/balance/buckets/other_minor", "/balance/other"),
        ("/terms/balance/total_minor", "/balance/total/amount"),
        ("/terms/contingency_rate_basis_points", "/contingency_rate"),
        ("/terms/currency", "/balance/currency"),
        ("/parties/1/addresses/0/zip", "/debtors/1/addresses/0/zip"),
        ("/parties", "/debtors"),
        ("/debtors/1/flags/bankruptcy/chapter", "/debtors/1/flags/bankruptcy/chapter"),
        ("/collateral_identifiers/2", "/debt/collateral/2/identifier"),
        ("/terms/debt/collateral/2/value_minor", "/debt/collateral/2/value/amount"),
        ("/medical_guarantors/0", "/debt/medical/guarantors/0"),
        ("/judgment_file/court", "/debt/court"),
        ("/parties/1/bankruptcy_file/case_number", "/debtors/1/flags/bankruptcy/case_number"),
        ("/terms/debt/service_date", "/debt/medical/service_date"),
        ("/terms/creditors/chain_of_title/0/from_owner", "/creditors/chain_of_title/0/from"),
        ("/terms/history/negative_notice_date", "/history/negative_notice/date"),
        ("/terms/metadata/a~1b", "/metadata/a~1b"),
        ("/something/else", ""),
    ],
)
def test_faults_of_the_contract_point_into_the_json(of_the_contract: str, of_the_json: str) -> None:
    assert POINTERS.translated(Fault(of_the_contract, "code", "text")) == Fault(of_the_json, "code", "text")


def test_a_rich_placement_is_the_same_by_json_and_by_csv() -> None:
    stream = io.StringIO()
    write_rows(stream, [RICH])
    rows = collected(csv_rows, stream.getvalue().encode(), 5)
    assert rows[0].document is not None
    by_csv = placed(rows[0].document, "first-bank", currencies=False)
    assert rows[0].document.value == RICH
    assert by_csv == made_of(RICH)


def test_court_files_are_set_apart_for_the_vault() -> None:
    body = placement(debt__judgment_date="2025-05-05", debt__court="Lane County", debt__case_number="25CV1")
    body["debtors"][0]["flags"] = {"bankruptcy": {"chapter": 7, "court": "D. Or.", "case_number": "25-1"}}
    made = made_of(body)
    assert (made.judgment_file.court, made.judgment_file.case_number) == ("Lane County", "25CV1")
    file = made.parties[0].bankruptcy_file
    assert (file.court, file.case_number) == ("D. Or.", "25-1")
    assert made.parties[0].flags.bankruptcy.chapter == 7


def test_what_is_not_sent_is_not_in_the_message() -> None:
    made = made_of(placement())
    assert not made.HasField("origination")
    assert not made.HasField("judgment_file")
    assert not made.parties[0].HasField("bankruptcy_file")
    assert not made.terms.HasField("history")
    assert not made.parties[0].HasField("flags")
    assert made.terms.itemization.HasField("interest_since_minor")
    assert not made.terms.itemization.HasField("debits_since_minor")


def collected(reader: Any, body: bytes, size: int) -> list[Row]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read_all() -> list[Row]:
        return [row async for row in reader(chunks())]

    return asyncio.run(read_all())


cells = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)


@given(st.lists(cells, min_size=1, max_size=4), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_csv_keeps_any_text_however_it_is_cut(texts: list[str], size: int) -> None:
    bodies = [placement(debt__description=text) for text in texts]
    stream = io.StringIO()
    write_rows(stream, bodies)
    rows = collected(csv_rows, stream.getvalue().encode(), size)
    assert [row.document.value for row in rows if row.document] == bodies


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_the_readers(body: bytes) -> None:
    for reader in (ndjson_rows, csv_rows):
        try:
            collected(reader, body, 7)
        except (Problem, Stopped):
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.sampled_from([b" ", b"\n", b""]))
@settings(max_examples=200, deadline=None)
def test_json_that_is_unambiguous_is_read_as_it_is(value: dict[str, Any], space: bytes) -> None:
    try:
        document = read(space + json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + space)
    except Problem as problem:
        event(problem.code)
    else:
        assert document.value == value


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_no_json_breaks_the_shapes(value: Any) -> None:
    for path in ("debt", "debtors", "balance", "metadata", "history", "documents", "client_reference"):
        found = placed(Document({**RICH, path: value}, ()), "c")
        if isinstance(found, list):
            assert all(fault.pointer.startswith(f"/{path}") for fault in found if fault.code != "mixed_currency")


def test_headers_name_columns_and_nothing_else() -> None:
    for name in ("", ".", "debtor", "debtor.1", "debtor.01.role", "debtor.101.role", "balance", "balance.other.1"):
        found = read_header([name])
        assert isinstance(found[0], Fault), name
        assert found[0].code == "unknown_column"
    columns = read_header(list(flattened(RICH)))
    assert not isinstance(columns[0], Fault)


def test_gaps_between_items_of_a_row_keep_their_columns() -> None:
    names = [*flattened(placement()), "debtor.1.phone.2.number", "debtor.1.phone.4.number", "debtor.1.phone.4.type"]
    columns = [column for column in read_header(names) if not isinstance(column, Fault)]
    row = read_row(columns, [*flattened(placement()).values(), "", "12", "mobile"])
    assert row.fault(Fault("/debtors/0/phones/1/number", "wrong_form", "")).pointer == "/debtor.1.phone.4.number"


def test_states_are_written_as_their_schema_says() -> None:
    account = AccountState(account_id="a", version=2, phase="ACCOUNT_PHASE_OPEN")
    account.contract.contingency_rate_basis_points = 250
    account.balance.fees_minor = 7
    told = state(account, "USD")
    assert told["balance"]["fees"] == usd(7)  # type: ignore[index]
    assert told["contract"]["contingency_rate"] == 250  # type: ignore[index]
    assert told["phase"] == "open"
    assert "close_code" not in told
    schema = state_schema(descriptor_of(AccountState))
    assert set(told) <= set(schema["properties"])  # type: ignore[call-overload]
    assert set(schema["required"]) <= set(told)  # type: ignore[call-overload]
    assert ANSWERS["Problem"]["additionalProperties"] is False


def test_every_command_of_an_account_has_a_shape() -> None:
    for body, message in commands.COMMANDS.items():
        assert commands.SHAPES[body].steps, message
