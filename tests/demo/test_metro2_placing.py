"""What a tradeline becomes as a placement."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import NamedTuple

import pytest
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import Placement

from demo.draft import Draft, Note
from demo.metro2 import placing, reader, writer
from demo.people import People
from demo.placement_json import placement_json
from services.accounts.domain.parties import party_faults
from services.gateway import placing as edge
from services.gateway import strict_json

TODAY = date(2026, 11, 24)
PLACED = TODAY - timedelta(days=90)


class Made(NamedTuple):
    drafts: list[Draft]
    refused: list[Note]
    warnings: list[Note]
    shift_days: int


def portfolio(*records: str) -> Made:
    furnished = reader.read(writer.file_of(writer.header(), *records))
    calendar = placing.calendar_for(furnished.tradelines, PLACED, TODAY)
    return Made(*placing.drafts_of(furnished, calendar, People(7, TODAY)), calendar.shift_days)


def draft(behind: list[str] | None = None, **values: str) -> Draft:
    (made,) = portfolio(writer.base("ACC-1", behind or [], **values)).drafts
    return made


def moved(days: int, text: str) -> str:
    return (date.fromisoformat(text) + timedelta(days=days)).isoformat()


def test_whole_dollars_become_minor_units_of_principal() -> None:
    terms = draft(current_bal="000001234").placement.terms
    assert terms.balance.total_minor == terms.balance.buckets.principal_minor == 123_400
    assert terms.currency == "USD"


def test_every_date_moves_by_the_same_whole_number_of_days() -> None:
    made = portfolio(writer.base("ACC-1", date_open="01152014", dofd="06012017", doai="01312019", dolp="03102017"))
    terms = made.drafts[0].placement.terms
    days = made.shift_days
    assert days > 0
    assert terms.debt.account_open_date == moved(days, "2014-01-15")
    assert terms.debt.date_of_first_delinquency == terms.debt.accrual_date == moved(days, "2017-06-01")
    assert terms.debt.last_payment_date == moved(days, "2017-03-10")
    assert terms.debt.last_statement_date == terms.itemization.itemization_date == moved(days, "2019-01-31")


def test_the_latest_date_lies_on_the_day_before_the_placement() -> None:
    terms = draft(doai="01312019").placement.terms
    assert terms.debt.last_statement_date == (PLACED - timedelta(days=1)).isoformat()
    assert terms.placement_date == PLACED.isoformat()


def test_a_date_far_ahead_does_not_keep_the_others_in_the_past() -> None:
    made = portfolio(writer.base("ACC-1"), writer.base("ACC-2", dolp="01012172"))
    assert made.drafts[0].placement.terms.debt.last_statement_date == (PLACED - timedelta(days=1)).isoformat()


def test_a_date_that_would_leave_the_calendar_refuses_its_line() -> None:
    made = portfolio(writer.base("ACC-1"), writer.base("ACC-2", dolp="01019999"))
    assert [note.line for note in made.refused] == [3]
    assert len(made.drafts) == 1


def test_a_file_of_today_is_not_moved_back() -> None:
    made = portfolio(writer.base("ACC-1", doai=(TODAY - timedelta(days=3)).strftime("%m%d%Y")))
    assert made.shift_days == 0


def test_the_itemization_is_that_of_the_last_statement_with_nothing_since() -> None:
    itemization = draft().placement.terms.itemization
    assert itemization.itemization_date_type == words.ITEMIZATION_DATE_TYPE_LAST_STATEMENT
    assert itemization.amount_on_itemization_date_minor == itemization.current_amount_minor == 120_000
    for name in ("interest_since_minor", "fees_since_minor", "payments_since_minor", "credits_since_minor"):
        assert itemization.HasField(name)
        assert getattr(itemization, name) == 0


def test_the_charge_off_date_is_the_date_closed() -> None:
    made = portfolio(writer.base("ACC-1", date_closed="11152017"))
    terms = made.drafts[0].placement.terms
    assert terms.debt.charge_off_date == moved(made.shift_days, "2017-11-15")
    assert "charge_off_date" not in terms.metadata


def test_without_a_date_closed_the_charge_off_date_is_derived_and_marked() -> None:
    made = portfolio(writer.base("ACC-1", dofd="06012017"))
    terms = made.drafts[0].placement.terms
    assert terms.debt.charge_off_date == moved(made.shift_days + 120, "2017-06-01")
    assert terms.metadata["charge_off_date"].startswith("derived")


def test_an_account_that_is_past_due_has_no_charge_off_date() -> None:
    debt = draft(acct_stat="80", date_closed="11152017").placement.terms.debt
    assert not debt.HasField("charge_off_date")
    assert debt.cycles_delinquent == 3


def test_without_a_first_delinquency_limitation_and_charge_off_stay_open() -> None:
    debt = draft(dofd="00000000").placement.terms.debt
    assert not debt.HasField("accrual_date")
    assert not debt.HasField("charge_off_date")
    assert debt.contract_kind == words.CONTRACT_KIND_UNSPECIFIED


@pytest.mark.parametrize(
    ("code", "product", "kind"),
    [
        ("00", words.PRODUCT_TYPE_AUTO, words.CONTRACT_KIND_WRITTEN),
        ("18", words.PRODUCT_TYPE_CARD, words.CONTRACT_KIND_OPEN_ACCOUNT),
        ("12", words.PRODUCT_TYPE_STUDENT_LOAN, words.CONTRACT_KIND_PROMISSORY_NOTE),
        ("29", words.PRODUCT_TYPE_RENT, words.CONTRACT_KIND_LEASE),
        ("  ", words.PRODUCT_TYPE_OTHER, words.CONTRACT_KIND_WRITTEN),
    ],
)
def test_the_account_type_chooses_product_and_contract(code: str, product: int, kind: int) -> None:
    debt = draft(acct_type=code).placement.terms.debt
    assert (debt.product_type, debt.contract_kind) == (product, kind)


def test_an_auto_loan_is_secured_by_an_invented_vehicle() -> None:
    placement = draft().placement
    assert placement.terms.debt.debt_type == words.DEBT_TYPE_SECURED
    assert [held.type for held in placement.terms.debt.collateral] == ["vehicle"]
    assert len(placement.collateral_identifiers) == 1


def test_a_secured_debt_of_another_kind_gets_no_invented_collateral() -> None:
    debt = draft(acct_type="26").placement.terms.debt
    assert debt.debt_type == words.DEBT_TYPE_SECURED
    assert len(debt.collateral) == 0


@pytest.mark.parametrize(("indicator", "chapter"), [("A", 7), ("B", 11), ("C", 12), ("D", 13), ("Z", 0)])
def test_a_petition_is_a_bankruptcy_of_that_person(indicator: str, chapter: int) -> None:
    flags = draft(cons_info_ind=indicator).placement.parties[0].flags
    assert flags.HasField("bankruptcy")
    assert (flags.bankruptcy.chapter, flags.bankruptcy.discharged) == (chapter, False)


@pytest.mark.parametrize(("indicator", "chapter"), [("E", 7), ("F", 11), ("G", 12), ("H", 13)])
def test_a_discharge_is_marked(indicator: str, chapter: int) -> None:
    flags = draft(cons_info_ind=indicator).placement.parties[0].flags
    assert (flags.bankruptcy.chapter, flags.bankruptcy.discharged) == (chapter, True)


@pytest.mark.parametrize("indicator", ["I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", ""])
def test_other_indicators_have_no_effect(indicator: str) -> None:
    made = portfolio(writer.base("ACC-1", cons_info_ind=indicator))
    assert not made.drafts[0].placement.parties[0].HasField("flags")
    assert made.warnings == []


def test_an_unknown_indicator_is_a_warning() -> None:
    made = portfolio(writer.base("ACC-1", cons_info_ind="9"))
    assert "indicator '9'" in made.warnings[0].text


def test_a_petition_of_the_one_is_none_of_the_other() -> None:
    primary, other = draft([writer.j1(indicator="A")]).placement.parties
    assert not primary.HasField("flags")
    assert other.flags.bankruptcy.chapter == 7


@pytest.mark.parametrize("code", ["XB", "XD", "XF", "XJ"])
def test_a_dispute_that_is_open_has_no_outcome(code: str) -> None:
    (dispute,) = draft(compl_cond_cd=code).placement.terms.history.disputes
    assert dispute.outcome == words.DISPUTE_OUTCOME_UNSPECIFIED


@pytest.mark.parametrize("code", ["XC", "XE", "XG", "XH"])
def test_a_dispute_that_ended_is_history(code: str) -> None:
    (dispute,) = draft(compl_cond_cd=code).placement.terms.history.disputes
    assert dispute.outcome == words.DISPUTE_OUTCOME_VERIFIED


@pytest.mark.parametrize("code", ["XA", "XR", ""])
def test_other_compliance_codes_are_no_dispute(code: str) -> None:
    assert not draft(compl_cond_cd=code).placement.terms.HasField("history")


@pytest.mark.parametrize(
    ("ecoa", "role"),
    [
        ("2", words.DEBTOR_ROLE_CO_DEBTOR),
        ("5", words.DEBTOR_ROLE_GUARANTOR),
        ("3", words.DEBTOR_ROLE_AUTHORISED_USER),
        ("X", words.DEBTOR_ROLE_CO_DEBTOR),
    ],
)
def test_the_ecoa_code_of_a_segment_behind_chooses_the_role(ecoa: str, role: int) -> None:
    _, other = draft([writer.j1(ecoa=ecoa)]).placement.parties
    assert other.role == role
    assert other.flags.deceased == (ecoa == "X")


@pytest.mark.parametrize("ecoa", ["T", "Z"])
def test_those_who_left_the_account_are_left_out(ecoa: str) -> None:
    made = portfolio(writer.base("ACC-1", [writer.j1(ecoa=ecoa)]))
    assert len(made.drafts[0].placement.parties) == 1
    assert made.warnings == []


def test_a_base_whose_consumer_left_keeps_them_as_primary_with_a_warning() -> None:
    made = portfolio(writer.base("ACC-1", ecoa="T"))
    assert [party.role for party in made.drafts[0].placement.parties] == [words.DEBTOR_ROLE_PRIMARY]
    assert "'T'" in made.warnings[0].text


def test_people_live_in_the_city_and_state_of_the_file() -> None:
    primary, other = draft([writer.j2("RENO", "NV")], city="TULSA", state="OK").placement.parties
    assert (primary.addresses[0].city, primary.addresses[0].state) == ("TULSA", "OK")
    assert (other.addresses[0].city, other.addresses[0].state) == ("RENO", "NV")


def test_a_blank_place_is_chosen_by_seed() -> None:
    first, again = (draft(city="", state="").placement.parties[0].addresses[0] for _ in range(2))
    assert first == again
    assert first.city
    assert len(first.state) == 2


def test_the_same_account_with_the_same_content_is_the_same_placement() -> None:
    first, again = portfolio(writer.base("ACC-1", [writer.j1()]), writer.base("ACC-1", [writer.j1()])).drafts
    assert first.placement == again.placement


def test_the_client_is_the_reporter() -> None:
    terms = draft().placement.terms
    assert (terms.client_id, terms.creditors.current_creditor_legal_name) == ("first-test-bank", "FIRST TEST BANK")


@pytest.mark.parametrize("indicator", ["A", "B", "C", "D", "E", "F", "G", "H", "Z", "R", ""])
@pytest.mark.parametrize("compliance", ["", "XB", "XC"])
def test_the_public_api_takes_every_placement_and_understands_the_same(indicator: str, compliance: str) -> None:
    made = draft(
        [writer.j1(ecoa="X"), writer.j2("RENO", "NV", ecoa="W")], cons_info_ind=indicator, compl_cond_cd=compliance
    )
    sent = json.dumps(placement_json(made.placement)).encode()
    understood = edge.placement(strict_json.read(sent), made.placement.terms.client_id)
    assert isinstance(understood, Placement), understood
    understood.terms.debt.collateral[0].collateral_id = made.placement.terms.debt.collateral[0].collateral_id
    assert understood == made.placement
    assert list(party_faults(understood, TODAY, ())) == []
