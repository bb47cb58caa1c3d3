"""What only the edge can check: the parties of a placement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import (
    CourtFile,
    EmailAddress,
    Origination,
    PartyName,
    PartyRepresentative,
    PartyWishes,
    PlacedParty,
    Placement,
    PostalAddress,
    Telephone,
)
from recoup.accounts.v1.terms_pb2 import Bankruptcy, DebtorFlags

from kernel.testing import NOW
from services.accounts.domain.parties import party_faults, party_shortcomings
from tests.accounts.examples import party, placement

ZONES = ("America/Chicago",)
Change = Callable[[PlacedParty], Any]


def faults(made: Placement) -> list[str]:
    return [fault.pointer for fault in party_faults(made, NOW.date(), ZONES)]


def test_a_complete_party_has_no_fault() -> None:
    complete = party(
        aliases=[PartyName(last="Quimby-Jones")],
        language="es-MX",
        time_zone="America/Chicago",
        emails=[EmailAddress(address="ann@example.org", type="personal")],
        wishes=PartyWishes(cease_date="2026-03-02"),
        representative=PartyRepresentative(kind="attorney", name="Lionel Hutz", phone="+15415550199"),
        flags=DebtorFlags(bankruptcy=Bankruptcy(chapter=7, filed_date="2026-03-02")),
    )
    assert faults(placement(complete)) == []


def test_an_organisation_has_a_business_name() -> None:
    firm = party(kind=words.PARTY_KIND_ORGANISATION)
    assert faults(placement(firm)) == ["/parties/0/name/business_name"]
    firm.name.CopyFrom(PartyName(business_name="Quimby Inc."))
    assert faults(placement(firm)) == []


def test_who_turns_eighteen_today_is_old_enough() -> None:
    assert faults(placement(party(date_of_birth="2008-03-02"))) == []
    assert faults(placement(party(date_of_birth="2008-03-03"))) == ["/parties/0/date_of_birth"]


def test_who_was_born_on_a_leap_day_comes_of_age_in_march() -> None:
    made = placement(party(date_of_birth="2008-02-29"))
    assert [f.pointer for f in party_faults(made, NOW.date().replace(day=1), ZONES)] == []
    february = NOW.date().replace(month=2, day=28)
    assert [f.pointer for f in party_faults(made, february, ZONES)] == ["/parties/0/date_of_birth"]


def _address(**changes: str) -> Change:
    def change(made: PlacedParty) -> None:
        for name, value in changes.items():
            setattr(made.addresses[0], name, value)

    return change


WRONG: dict[str, tuple[Change, str]] = {
    "a person without a last name": (lambda p: p.name.ClearField("last"), "name/last"),
    "a person with a business name": (lambda p: setattr(p.name, "business_name", "Inc."), "name/business_name"),
    "an alias without a name": (lambda p: p.aliases.append(PartyName(first="Ann")), "aliases/0/last"),
    "a birth on no date": (lambda p: setattr(p, "date_of_birth", "1980-02-30"), "date_of_birth"),
    "a birth ahead": (lambda p: setattr(p, "date_of_birth", "2027-01-01"), "date_of_birth"),
    "a national id of eight digits": (lambda p: setattr(p, "national_id", "12345678"), "national_id"),
    "a national id with dashes": (lambda p: setattr(p, "national_id", "123-45-6789"), "national_id"),
    "a national id in other digits": (lambda p: setattr(p, "national_id", "١٢٣٤٥٦٧٨٩"), "national_id"),
    "an empty national id": (lambda p: setattr(p, "national_id", ""), "national_id"),
    "no address": (lambda p: p.ClearField("addresses"), "addresses"),
    "a state in words": (_address(state="Oregon"), "addresses/0/state"),
    "a zip of four digits": (_address(zip="9747"), "addresses/0/zip"),
    "a country in words": (_address(country="Mexico"), "addresses/0/country"),
    "an unknown verification": (_address(verified="X"), "addresses/0/verified"),
    "an address obtained tomorrow": (_address(obtained_date="2026-03-03"), "addresses/0/obtained_date"),
    "a number without a country": (lambda p: setattr(p.phones[0], "number", "5415550123"), "phones/0/number"),
    "an unknown kind of number": (lambda p: setattr(p.phones[0], "type", "pigeon"), "phones/0/type"),
    "a number verified tomorrow": (
        lambda p: setattr(p.phones[0], "last_verified", "2026-03-03"),
        "phones/0/last_verified",
    ),
    "an address of no mail": (
        lambda p: p.emails.append(EmailAddress(address="ann at example", type="personal")),
        "emails/0/address",
    ),
    "no language": (lambda p: setattr(p, "language", "Spanish, please"), "language"),
    "no time zone": (lambda p: setattr(p, "time_zone", "Springfield"), "time_zone"),
    "a cease tomorrow": (lambda p: setattr(p.wishes, "cease_date", "2026-03-03"), "wishes/cease_date"),
    "a representative of no kind": (
        lambda p: p.representative.CopyFrom(PartyRepresentative(kind="uncle", name="Bob")),
        "representative/kind",
    ),
    "a representative's number": (
        lambda p: p.representative.CopyFrom(PartyRepresentative(kind="attorney", name="Bob", phone="1")),
        "representative/phone",
    ),
    "an unknown chapter": (
        lambda p: p.flags.CopyFrom(DebtorFlags(bankruptcy=Bankruptcy(chapter=9))),
        "flags/bankruptcy/chapter",
    ),
    "a bankruptcy filed tomorrow": (
        lambda p: p.flags.CopyFrom(DebtorFlags(bankruptcy=Bankruptcy(chapter=7, filed_date="2026-03-03"))),
        "flags/bankruptcy/filed_date",
    ),
    "a cease flagged on no date": (lambda p: p.flags.CopyFrom(DebtorFlags(cease_date="now")), "flags/cease_date"),
    "a name without end": (lambda p: setattr(p.name, "first", "A" * 501), "name/first"),
    "numbers without end": (lambda p: p.phones.extend([Telephone(number="+15415550123", type="home")] * 20), "phones"),
    "wishes without end": (lambda p: p.wishes.opt_outs.extend(["x"] * 21), "wishes/opt_outs"),
}


@pytest.mark.parametrize(("change", "pointer"), WRONG.values(), ids=WRONG.keys())
def test_a_fault_of_a_party_is_named(change: Change, pointer: str) -> None:
    made = party()
    change(made)
    assert faults(placement(made)) == [f"/parties/0/{pointer}"]


def test_no_message_repeats_what_a_field_holds() -> None:
    for change, _pointer in WRONG.values():
        made = party()
        change(made)
        said = " ".join(fault.message for fault in party_faults(placement(made), NOW.date(), ZONES))
        for held in (
            made.name.last,
            made.national_id,
            made.date_of_birth,
            made.addresses[:1] and made.addresses[0].street,
        ):
            assert not held or str(held) not in said


def test_an_address_abroad_has_its_own_form() -> None:
    abroad = party()
    abroad.addresses[0].CopyFrom(
        PostalAddress(type="home", street="Calle 1", city="Oaxaca", state="Oaxaca", zip="68000-1", country="MX")
    )
    assert faults(placement(abroad)) == []


@pytest.mark.parametrize("roles", [[], [words.DEBTOR_ROLE_CO_DEBTOR], [words.DEBTOR_ROLE_PRIMARY] * 2])
def test_there_is_exactly_one_primary(roles: list[words.DebtorRole]) -> None:
    made = placement()
    del made.parties[:]
    made.parties.extend(party(role=role, national_id=f"12345678{n}") for n, role in enumerate(roles))
    assert "/parties" in faults(made)


def test_no_account_has_more_parties_than_twenty() -> None:
    many = [party(role=words.DEBTOR_ROLE_CO_DEBTOR if n else words.DEBTOR_ROLE_PRIMARY) for n in range(21)]
    assert faults(placement(*many)) == ["/parties"]


def test_what_stands_beside_the_parties_is_checked_too() -> None:
    made = placement()
    made.collateral_identifiers.append("VIN")
    made.origination.CopyFrom(Origination(ip="203.0.113.7", at="2026-03-02"))
    made.medical_guarantors.extend(["A"] * 21)
    assert faults(made) == ["/collateral_identifiers", "/origination/at", "/medical_guarantors"]


def test_a_medical_debt_of_a_consumer_names_its_guarantors() -> None:
    made = placement()
    assert list(party_shortcomings(made)) == []
    made.terms.debt.product_type = words.PRODUCT_TYPE_MEDICAL
    assert [each.pointer for each in party_shortcomings(made)] == ["/medical_guarantors"]
    made.medical_guarantors.append("Gregor Samsa")
    assert list(party_shortcomings(made)) == []


@pytest.mark.parametrize(
    ("date", "file", "lacking"),
    [
        ("", CourtFile(), []),
        ("2025-01-01", CourtFile(court="a court", case_number="1:25"), []),
        ("2025-01-01", CourtFile(), ["/judgment_file/court", "/judgment_file/case_number"]),
        ("", CourtFile(court="a court"), ["/terms/debt/judgment_date", "/judgment_file/case_number"]),
    ],
)
def test_a_judgment_of_a_consumer_comes_with_its_court_file(date: str, file: CourtFile, lacking: list[str]) -> None:
    made = placement()
    made.terms.debt.judgment_date = date
    made.judgment_file.CopyFrom(file)
    assert [each.pointer for each in party_shortcomings(made)] == lacking
    made.terms.debt.consumer = False
    assert not party_shortcomings(made)


def test_a_court_file_has_no_endless_texts() -> None:
    made = placement(party(bankruptcy_file=CourtFile(court="x" * 501)))
    made.judgment_file.case_number = "x" * 501
    assert set(faults(made)) == {"/parties/0/bankruptcy_file/court", "/judgment_file/case_number"}
