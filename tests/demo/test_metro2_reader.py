"""What becomes of the lines of a furnisher file: a tradeline, passed over, or refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from demo.metro2 import reader, writer
from demo.metro2.reader import FurnisherFile

REAL_FILE = Path(__file__).parents[2].parent / "shared/data/portfolios/cfpb_metro2_2k_deidentified.txt"


def read(*records: str) -> FurnisherFile:
    return reader.read(writer.file_of(writer.header(), *records))


def refusal(record: str) -> list[tuple[str, str]]:
    furnished = read(record)
    assert furnished.tradelines == []
    assert furnished.passed_over == []
    (refused,) = furnished.refused
    assert refused.line == 2
    return [(fault.field, fault.reason) for fault in refused.faults]


def test_the_real_file_adds_up_to_every_line() -> None:
    if not REAL_FILE.exists():
        pytest.skip("the real furnisher file is not on this machine")
    furnished = reader.read(REAL_FILE.read_bytes())
    assert furnished.lines == 1_998
    assert len(furnished.tradelines) == 1_274
    assert sum(tradeline.current_balance for tradeline in furnished.tradelines) == 8_471_277
    assert len(furnished.passed_over) == 722
    assert [(refused.line, refused.faults[0].field) for refused in furnished.refused] == [
        (2, "rdw"),
        (518, "amt_past_due"),
    ]
    assert furnished.activity_date == date(2019, 1, 31)
    totals = [warned.text for warned in furnished.warnings if warned.line == 2_000]
    assert len(totals) == 3


@pytest.mark.parametrize("status", ["71", "78", "80", "82", "83", "84", "93", "95", "96", "97"])
def test_a_collectible_status_with_a_balance_becomes_a_tradeline(status: str) -> None:
    (tradeline,) = read(writer.base("A1", acct_stat=status)).tradelines
    assert (tradeline.status, tradeline.current_balance) == (status, 1_200)


@pytest.mark.parametrize("status", ["05", "11", "13", "61", "62", "63", "64", "65", "88", "89", "94", "DA", "DF"])
def test_every_other_status_is_passed_over(status: str) -> None:
    furnished = read(writer.base("A1", acct_stat=status))
    assert (furnished.tradelines, len(furnished.passed_over), furnished.refused) == ([], 1, [])


def test_a_collectible_status_with_nothing_owed_is_passed_over() -> None:
    furnished = read(writer.base("A1", current_bal="000000000"))
    assert [passed.reason for passed in furnished.passed_over] == ["status 97 with nothing owed"]


def test_a_line_too_short_is_refused_by_its_length() -> None:
    assert refusal(writer.base("A1")[:425])[0][0] == "length"


def test_a_line_with_part_of_a_segment_behind_it_is_refused_by_its_length() -> None:
    assert refusal(writer.base("A1", behind=[writer.j1()])[:-1]) == [("length", "segment J1 has 99 of 100 characters")]


def test_a_line_with_an_unknown_segment_behind_it_is_refused_by_its_length() -> None:
    assert refusal(writer.base("A1") + "Q9") == [("length", "'Q9' at position 427 is no known segment")]


def test_a_wrong_length_word_over_whole_segments_is_a_warning() -> None:
    furnished = read(writer.base("A1", behind=[writer.j1()], rdw="0626"))
    assert len(furnished.tradelines) == 1
    assert [warned.text for warned in furnished.warnings] == ["the record says 0626 characters and has 526"]


def test_a_length_word_that_is_no_number_is_refused() -> None:
    assert refusal(writer.base("A1", rdw="UNPA"))[0][0] == "rdw"


def test_a_blank_account_number_is_refused() -> None:
    assert refusal(writer.base("")) == [("cons_acct_num", "the account number is blank")]


@pytest.mark.parametrize("status", ["99", "  ", "9x", "00"])
def test_an_unknown_status_is_refused(status: str) -> None:
    assert refusal(writer.base("A1", acct_stat=status)) == [("acct_stat", f"{status!r} is no account status")]


@pytest.mark.parametrize(
    "name", ["credit_limit", "hcola", "smpa", "actual_pmt_amt", "current_bal", "amt_past_due", "orig_chg_off_amt"]
)
@pytest.mark.parametrize("amount", ["-00000015", "         ", "00000001.", "1e5      ", "+00000015"])
def test_an_amount_that_is_not_nine_digits_is_refused(name: str, amount: str) -> None:
    assert refusal(writer.base("A1", **{name: amount})) == [(name, f"{amount!r} is not nine digits")]


@pytest.mark.parametrize("name", ["date_open", "doai", "dofd", "date_closed", "dolp", "dob"])
@pytest.mark.parametrize("day", ["02302017", "13012017", "2017-1-1", "0601201 ", "1       "])
def test_a_date_that_is_no_date_is_refused(name: str, day: str) -> None:
    ((field, _),) = refusal(writer.base("A1", **{name: day}))
    assert field == name


@pytest.mark.parametrize("nothing", ["00000000", "        "])
def test_zeros_and_blanks_are_no_date(nothing: str) -> None:
    (tradeline,) = read(writer.base("A1", dofd=nothing, dolp=nothing)).tradelines
    assert (tradeline.first_delinquency, tradeline.last_payment) == (None, None)


def test_a_birth_date_of_a_segment_behind_that_is_no_date_is_refused() -> None:
    ((field, _),) = refusal(writer.base("A1", behind=[writer.j1(birth="99999999")]))
    assert field == "dob_j1"


def test_every_fault_of_a_line_is_named() -> None:
    faults = refusal(writer.base("", acct_stat="99", hcola="x", dolp="x"))
    assert [field for field, _ in faults] == ["cons_acct_num", "acct_stat", "hcola", "dolp"]


def test_an_unreadable_line_is_refused_whatever_its_status() -> None:
    assert refusal(writer.base("A1", acct_stat="11", amt_past_due="x"))[0][0] == "amt_past_due"


def test_a_character_that_cannot_be_printed_is_refused() -> None:
    assert refusal(writer.base("A1", city="FRES\x07NO")) == [("encoding", "byte 398 is no printable ASCII character")]


def test_an_empty_line_between_others_is_refused_and_one_at_the_end_is_none() -> None:
    furnished = read(writer.base("A1"), "", writer.base("A2"), "")
    assert (furnished.lines, len(furnished.tradelines)) == (3, 2)
    assert [refused.line for refused in furnished.refused] == [3]


def test_windows_line_ends_change_nothing() -> None:
    content = writer.file_of(writer.header(), writer.base("A1")).replace(b"\n", b"\r\n")
    assert len(reader.read(content).tradelines) == 1


def test_the_reporter_is_named_by_the_header() -> None:
    (tradeline,) = read(writer.base("A1")).tradelines
    assert tradeline.reporter == "FIRST TEST BANK"


@pytest.mark.parametrize("name", ["", "0" * 40])
def test_without_a_name_the_reporter_is_the_identification_number(name: str) -> None:
    content = writer.file_of(writer.header(reporter=name), writer.base("A1"))
    (tradeline,) = reader.read(content).tradelines
    assert tradeline.reporter == "FURNISHER01"


def test_a_tradeline_of_a_nameless_reporter_is_refused() -> None:
    content = writer.file_of(writer.header(reporter=""), writer.base("A1", id_num="0" * 20))
    (refused,) = reader.read(content).refused
    assert refused.faults[0].field == "id_num"


def test_a_trailer_whose_totals_agree_is_no_line_and_no_warning() -> None:
    records = [writer.base("A1", behind=[writer.j1()]), writer.base("A2", behind=[writer.j2("RENO", "NV")])]
    furnished = read(*records, writer.trailer(2, 1, 1))
    assert (furnished.lines, furnished.warnings) == (2, [])


def test_a_trailer_whose_totals_differ_is_a_warning() -> None:
    furnished = read(writer.base("A1"), writer.trailer(9, 0, 0))
    assert [(warned.line, warned.text) for warned in furnished.warnings] == [
        (3, "the trailer says 000000009 base segments, the file has 1")
    ]


def test_a_first_delinquency_before_the_opening_is_a_warning() -> None:
    furnished = read(writer.base("A1", date_open="01152018", dofd="06012017"))
    assert len(furnished.tradelines) == 1
    assert "before the opening" in furnished.warnings[0].text


def test_segments_behind_are_read_in_order() -> None:
    (tradeline,) = read(
        writer.base("A1", behind=[writer.k1("OLD LENDER"), writer.j2("RENO", "NV", ecoa="5"), writer.j1(ecoa="3")])
    ).tradelines
    assert tradeline.original_creditor == "OLD LENDER"
    assert [(found.segment, found.ecoa, found.city) for found in tradeline.associates] == [
        ("J2", "5", "RENO"),
        ("J1", "3", "FRESNO"),
    ]


def test_a_file_without_a_header_is_known_by_its_length_word() -> None:
    assert reader.is_metro2(writer.base("A1", behind=[writer.j1()]))
    assert not reader.is_metro2("client_reference,portfolio_id")
