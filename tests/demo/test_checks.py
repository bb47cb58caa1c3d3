"""The checks of a run can fail, and say in numbers what is wrong."""

from __future__ import annotations

from recoup.audit.v1 import service_pb2 as audit_pb2

from demo import checks
from demo.checks import BUCKETS, Later, Totals
from demo.placement_json import Json
from demo.report import Report


def amounts(principal: int) -> dict[str, Json]:
    return {bucket: {"amount": principal if bucket == "principal" else 0, "currency": "USD"} for bucket in BUCKETS}


def account(balance: int, *differences: int) -> dict[str, Json]:
    return {
        "account_id": "account-1",
        "balance": amounts(balance),
        "balance_total": {"amount": balance, "currency": "USD"},
        "ledger": [{"difference": amounts(difference)} for difference in differences],
    }


def compared(*, equal: bool) -> audit_pb2.CompareCaseResponse:
    case = audit_pb2.CompareCaseResponse(account_id="account-1", equal=equal)
    if not equal:
        case.differences.add(pointer="/balance_total_minor", owner='"5"', audit='"6"')
    return case


def test_totals_agree_when_they_are_the_same_everywhere() -> None:
    assert checks.control_totals_agree([Totals("here", 2, 1, 300, 5), Totals("there", 2, 1, 300, 5)]).ok
    assert checks.control_totals_agree([Totals("here", 2, 1, 300, 5), Totals("counted", 2, 1)]).ok


def test_totals_that_differ_in_one_place_are_said() -> None:
    check = checks.control_totals_agree([Totals("here", 2, 1, 300, 5), Totals("there", 2, 1, 301, 5)])
    assert not check.ok
    assert "there: 2 placed with 3.01, 1 quarantined with 0.05" in check.detail
    assert not checks.control_totals_agree([Totals("here", 2, 1, 300, 5), Totals("counted", 2, 2)]).ok


def test_a_lost_line_fails() -> None:
    assert checks.every_line_has_a_fate(Report(lines=3, placed=2, refused=1)).ok
    assert not checks.every_line_has_a_fate(Report(lines=4, placed=2, refused=1)).ok


def test_a_balance_is_the_sum_of_its_ledger() -> None:
    assert checks.balances_equal_ledgers([account(70, 100, -30)]).ok


def test_a_balance_that_is_another_than_its_ledger_fails_and_is_named() -> None:
    check = checks.balances_equal_ledgers([account(70, 100, -30), account(71, 100, -30)])
    assert not check.ok
    assert "1 of 2 balances" in check.detail
    assert "account-1" in check.detail


def test_no_account_at_all_is_no_success() -> None:
    assert not checks.balances_equal_ledgers([]).ok
    assert not checks.audit_equals_accounts([], 0).ok


def test_a_case_that_differs_fails_with_the_field() -> None:
    check = checks.audit_equals_accounts([compared(equal=True), compared(equal=False)], 2)
    assert not check.ok
    assert "/balance_total_minor" in check.detail


def test_a_case_that_audit_does_not_have_fails() -> None:
    assert not checks.audit_equals_accounts([compared(equal=True)], 2).ok
    assert checks.audit_equals_accounts([compared(equal=True)], 1).ok


def test_a_finding_of_audit_fails_though_the_states_are_equal() -> None:
    case = compared(equal=True)
    case.findings.append("version 3 does not add up")
    assert not checks.audit_equals_accounts([case], 1).ok


def test_rebuilds_of_other_bytes_fail() -> None:
    assert checks.rebuilds_agree(1, b"a", [b"a", b"a"]).ok
    assert not checks.rebuilds_agree(1, b"a", [b"a", b"b"]).ok
    assert not checks.rebuilds_agree(1, b"a", [b"b", b"b"]).ok
    assert not checks.rebuilds_agree(1, b"a", [b"a"]).ok
    assert not checks.rebuilds_agree(0, b"", [b"", b""]).ok


def test_a_breach_or_a_missing_record_fails() -> None:
    assert checks.chains_verify(audit_pb2.VerifyLogResponse(records=5), 5).ok
    assert not checks.chains_verify(audit_pb2.VerifyLogResponse(records=4), 5).ok
    breached = audit_pb2.VerifyLogResponse(records=5, breaches=[audit_pb2.Breach(source="accounts", text="no fit")])
    assert not checks.chains_verify(breached, 5).ok


def test_the_middle_must_be_the_same_for_everyone_who_is_asked() -> None:
    then = {"a": b"1", "b": b"2"}
    same = Later("accounts", then, then)
    assert checks.middle_is_as_it_was("noon", [same, Later("audit", then, then)]).ok
    for later in ({"a": b"1", "b": b"3"}, {"a": b"1"}, {**then, "c": b"4"}, {}):
        assert not checks.middle_is_as_it_was("noon", [same, Later("audit", then, later)]).ok
    assert not checks.middle_is_as_it_was("noon", [same, Later("audit", {}, {})]).ok
    assert not checks.middle_is_as_it_was("noon", []).ok
