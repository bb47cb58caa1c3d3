"""Portfolio files: what is read of them, and the one clear error of those that cannot be read."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path

import pytest

from demo import csv_file, portfolio
from demo.draft import Portfolio
from demo.metro2 import writer
from demo.unreadable import UnreadableFile

TODAY = date(2026, 11, 24)


def load(tmp_path: Path, content: bytes) -> Portfolio:
    file = tmp_path / "portfolio"
    file.write_bytes(content)
    return portfolio.load(file, 7, TODAY)


def complaint(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(UnreadableFile) as told:
        load(tmp_path, content)
    return str(told.value)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("generated")
    portfolio.generate(60, 7, TODAY, folder)
    return (folder / portfolio.GENERATED_FILE).read_bytes()


def test_a_generated_portfolio_has_as_many_rows_as_asked(tmp_path: Path) -> None:
    made = portfolio.generate(60, 7, TODAY, tmp_path)
    assert made.lines == 60
    assert sum(len(batch.lines) for batch in made.batches) == 60
    assert len(made.clients) == 3


def test_each_client_gets_its_own_rows_without_the_column_that_tells_them_apart(
    tmp_path: Path, generated: bytes
) -> None:
    made = load(tmp_path, generated)
    for batch in made.batches:
        rows = list(csv.DictReader(io.StringIO(batch.content.decode(), newline="")))
        assert "client_id" not in rows[0]
        assert {row["creditors.current_creditor_legal_name"] for row in rows} == {batch.client.legal_name}
        assert len(rows) == len(batch.lines)


def test_without_a_column_for_the_client_the_creditor_is_the_client(tmp_path: Path, generated: bytes) -> None:
    rows = list(csv.reader(io.StringIO(generated.decode(), newline="")))
    made = io.StringIO(newline="")
    csv.writer(made).writerows(row[1:] for row in rows)
    assert {client.client_id for client in load(tmp_path, made.getvalue().encode()).clients} == {
        "cascade-auto-finance-llc",
        "harbor-point-bank-n-a",
        "prairie-health-and-utilities-cooperative",
    }


def test_a_row_of_another_width_is_sent_as_it_is(tmp_path: Path, generated: bytes) -> None:
    made = load(tmp_path, generated + b"harbor-point-bank,too,few\r\n")
    assert made.lines == 61
    assert sum(batch.content.count(b"too,few\r\n") for batch in made.batches) == 1


def test_a_byte_order_mark_before_csv_is_no_fault(tmp_path: Path, generated: bytes) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + generated).lines == 60


def test_the_line_of_a_row_counts_line_ends_within_quotes(tmp_path: Path, generated: bytes) -> None:
    header, first, second = generated.split(b"\r\n")[:3]
    quoted = first.replace(b"account, past due", b"account,\n past due", 1) if b"past due" in first else first
    made = load(tmp_path, b"\r\n".join([header, quoted, second, b""]))
    lines = sorted(line for batch in made.batches for line in batch.lines)
    assert lines == [2, 4] if quoted != first else [2, 3]


def test_a_metro2_file_becomes_json_lines_for_its_reporter(tmp_path: Path) -> None:
    content = writer.file_of(writer.header(), writer.base("A1"), writer.base("A2", acct_stat="11"), writer.base(""))
    made = load(tmp_path, content)
    (batch,) = made.batches
    assert (made.lines, made.passed_over, [note.line for note in made.refused]) == (3, 1, [4])
    assert (batch.client.client_id, batch.client.legal_name) == ("first-test-bank", "FIRST TEST BANK")
    assert json.loads(batch.content)["client_reference"] == "A1"
    assert batch.lines == [2]


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        portfolio.load(tmp_path / "absent.csv", 7, TODAY)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="Is a directory"):
        portfolio.load(tmp_path, 7, TODAY)


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n\r\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    assert "the file is empty" in complaint(tmp_path, content)


@pytest.mark.parametrize("content", [b"hello\nworld\n", b"name,amount\nx,1\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"])
def test_a_file_that_is_neither(tmp_path: Path, content: bytes) -> None:
    assert "neither a Metro 2 file nor placement CSV" in complaint(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_a_metro2_file_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    content = writer.file_of(writer.header(), writer.base("A1")).decode().encode(encoding)
    told = complaint(tmp_path, content)
    assert "UTF-16" in told or "EBCDIC" in told


def test_csv_that_is_not_utf8(tmp_path: Path, generated: bytes) -> None:
    told = complaint(tmp_path, generated + "é".encode("latin-1"))
    assert "line 62" in told
    assert "not UTF-8" in told


def test_csv_with_a_quote_that_never_ends(tmp_path: Path, generated: bytes) -> None:
    assert "line 62" in complaint(tmp_path, generated + b'"never\r\nends')


def test_csv_with_an_unknown_column(tmp_path: Path, generated: bytes) -> None:
    assert "no column 'colour'" in complaint(tmp_path, generated.replace(b"client_id,", b"colour,client_id,", 1))


def test_csv_with_a_header_only(tmp_path: Path, generated: bytes) -> None:
    assert "no rows" in complaint(tmp_path, generated.split(b"\r\n")[0] + b"\r\n")


def test_a_metro2_file_with_a_header_only(tmp_path: Path) -> None:
    assert "no tradelines" in complaint(tmp_path, writer.file_of(writer.header()))


def test_a_metro2_file_of_which_nothing_can_be_placed(tmp_path: Path) -> None:
    told = complaint(tmp_path, writer.file_of(writer.header(), writer.base("A1", acct_stat="11"), writer.base("")))
    assert "1 are passed over, 1 are refused, the first at line 3: cons_acct_num" in told


def test_csv_starts_with_its_columns() -> None:
    assert csv_file.is_placement_csv("client_id,client_reference,portfolio_id")
    assert csv_file.is_placement_csv('"client_reference","portfolio_id"')
    assert not csv_file.is_placement_csv("reference;portfolio")


def test_a_client_is_registered_for_what_its_rows_say_and_can_be_said(tmp_path: Path, generated: bytes) -> None:
    rows = list(csv.reader(io.StringIO(generated.decode(), newline="")))
    header, first = rows[0], rows[1]
    odd = {"client_id": first[0].upper(), "balance.currency": "EUR", "portfolio_id": "other"}
    wrong = {"balance.currency": "dollars", "portfolio_id": "\u202e"}
    made = io.StringIO(newline="")
    csv.writer(made).writerows(
        [header, first, *([given.get(n, c) for n, c in zip(header, first, strict=True)] for given in (odd, wrong))]
    )
    (batch,) = load(tmp_path, made.getvalue().encode()).batches
    assert (batch.client.client_id, len(batch.lines)) == (first[0], 3)
    assert batch.client.currencies == ("USD", "EUR")
    assert batch.client.portfolios == ("demo", "other")
