"""The checks of the parties of a placement, which only the edge can make: the log never sees what they check.

No message repeats what a field holds: messages are stored with the answer, and personal data are not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Final

from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import Shortcoming
from recoup.accounts.v1.placement_pb2 import PartyName, PartyRepresentative, PlacedParty, Placement, PostalAddress
from recoup.accounts.v1.terms_pb2 import DebtorFlags

from kernel.decider import Fault
from services.accounts.domain.fields import date_faults, date_of, instant_of, length_faults

PARTIES_MAX: Final = 20
POINTS_MAX: Final = 20
AGE_YEARS_MIN: Final = 18
CHAPTERS: Final = (7, 11, 12, 13)
CHAPTER_NOT_SAID: Final = 0

_NATIONAL_ID: Final = re.compile(r"\d{9}", re.ASCII)
_STATE: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_ZIP: Final = re.compile(r"\d{5}(-?\d{4})?", re.ASCII)
_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_PHONE_TYPES: Final = ("home", "work", "mobile", "fax", "business")
_REPRESENTATIVES: Final = ("attorney", "debt_settlement")


def party_faults(placement: Placement, today: date, time_zones: Collection[str]) -> Iterator[Fault]:
    """Everything about parties for which a placement is refused; `time_zones` are the names that IANA knows."""
    parties = placement.parties
    if not 1 <= len(parties) <= PARTIES_MAX:
        yield Fault("/parties", "out_of_range", f"must have 1 to {PARTIES_MAX} items, not {len(parties)}")
    primaries = sum(party.role == words.DEBTOR_ROLE_PRIMARY for party in parties)
    if primaries != 1:
        yield Fault("/parties", "one_primary", f"must have exactly one primary, not {primaries}")
    for index, party in enumerate(parties):
        at = f"/parties/{index}"
        yield from length_faults(party, at)
        yield from _identity_faults(party, at, today, time_zones)
        yield from _contact_faults(party, at, today)
        yield from _wish_faults(party, at, today)
        yield from _flag_faults(party.flags, f"{at}/flags", today)
    yield from _beside_faults(placement)


def party_shortcomings(placement: Placement) -> Sequence[Shortcoming]:
    """What a consumer's account lacks that the vault keeps."""
    debt = placement.terms.debt
    if not debt.consumer:
        return ()
    lacking = list(_judgment_shortcomings(placement))
    if debt.product_type == words.PRODUCT_TYPE_MEDICAL and not placement.medical_guarantors:
        text = "the guarantor of each line must be named for a medical debt"
        lacking.append(Shortcoming(pointer="/medical_guarantors", code="missing", message=text))
    return lacking


def _judgment_shortcomings(placement: Placement) -> Iterator[Shortcoming]:
    """A judgment is dated in the fact, and its court file is in the vault: only here both are seen."""
    file = placement.judgment_file
    said = {
        "/terms/debt/judgment_date": placement.terms.debt.judgment_date,
        "/judgment_file/court": file.court,
        "/judgment_file/case_number": file.case_number,
    }
    if any(said.values()):
        for pointer, value in said.items():
            if not value:
                yield Shortcoming(pointer=pointer, code="missing", message="must be given with every judgment")


def _identity_faults(party: PlacedParty, at: str, today: date, time_zones: Collection[str]) -> Iterator[Fault]:
    yield from _name_faults(party.name, party.kind, f"{at}/name")
    yield from _counted(f"{at}/aliases", len(party.aliases))
    for index, alias in enumerate(party.aliases):
        yield from _name_faults(alias, party.kind, f"{at}/aliases/{index}")
    if party.date_of_birth:
        yield from _birth_faults(party.date_of_birth, f"{at}/date_of_birth", today)
    if party.HasField("national_id") and not _NATIONAL_ID.fullmatch(party.national_id):
        yield Fault(f"{at}/national_id", "invalid_national_id", "must be nine digits")
    if party.language and not _LANGUAGE.fullmatch(party.language):
        yield Fault(f"{at}/language", "invalid_language", "must be a BCP 47 tag")
    if party.time_zone and party.time_zone not in time_zones:
        yield Fault(f"{at}/time_zone", "invalid_time_zone", "must be an IANA time zone")


def _name_faults(name: PartyName, kind: words.PartyKind, at: str) -> Iterator[Fault]:
    if kind == words.PARTY_KIND_ORGANISATION:
        if not name.business_name.strip():
            yield Fault(f"{at}/business_name", "missing", "must be given for an organisation")
        return
    if not name.last.strip():
        yield Fault(f"{at}/last", "missing", "must be given for a person")
    if name.business_name:
        yield Fault(f"{at}/business_name", "not_a_person", "must be absent for a person")


def _birth_faults(text: str, pointer: str, today: date) -> Iterator[Fault]:
    yield from date_faults(pointer, text, today)
    born = date_of(text)
    if born is not None and born <= today and _age(born, today) < AGE_YEARS_MIN:
        yield Fault(pointer, "under_age", f"must be at least {AGE_YEARS_MIN} years ago")


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _contact_faults(party: PlacedParty, at: str, today: date) -> Iterator[Fault]:
    if not 1 <= len(party.addresses) <= POINTS_MAX:
        yield Fault(f"{at}/addresses", "out_of_range", f"must have 1 to {POINTS_MAX} items")
    for index, address in enumerate(party.addresses):
        yield from _address_faults(address, f"{at}/addresses/{index}", today)
    yield from _counted(f"{at}/phones", len(party.phones))
    for index, phone in enumerate(party.phones):
        here = f"{at}/phones/{index}"
        yield from _phone_faults(phone.number, f"{here}/number")
        if phone.type not in _PHONE_TYPES:
            yield Fault(f"{here}/type", "unknown_value", f"must be one of {', '.join(_PHONE_TYPES)}")
        if phone.last_verified:
            yield from date_faults(f"{here}/last_verified", phone.last_verified, today)
    yield from _counted(f"{at}/emails", len(party.emails))
    for index, email in enumerate(party.emails):
        if not _EMAIL.fullmatch(email.address):
            yield Fault(f"{at}/emails/{index}/address", "invalid_email", "must be an email address")


def _address_faults(address: PostalAddress, at: str, today: date) -> Iterator[Fault]:
    if address.country and not _STATE.fullmatch(address.country):
        yield Fault(f"{at}/country", "invalid_country", "must be two capital letters of ISO 3166")
    if address.country in ("", "US"):
        if not _STATE.fullmatch(address.state):
            yield Fault(f"{at}/state", "invalid_state", "must be two capital letters")
        if not _ZIP.fullmatch(address.zip):
            yield Fault(f"{at}/zip", "invalid_zip", "must be five or nine digits")
    if address.verified and address.verified not in ("V", "N", "B"):
        yield Fault(f"{at}/verified", "unknown_value", "must be one of V, N, B")
    if address.obtained_date:
        yield from date_faults(f"{at}/obtained_date", address.obtained_date, today)


def _phone_faults(number: str, pointer: str) -> Iterator[Fault]:
    if not _E164.fullmatch(number):
        yield Fault(pointer, "invalid_phone", "must be an E.164 number: a plus sign and 7 to 15 digits")


def _wish_faults(party: PlacedParty, at: str, today: date) -> Iterator[Fault]:
    for name in ("opt_outs", "inconvenient", "media_refused"):
        yield from _counted(f"{at}/wishes/{name}", len(getattr(party.wishes, name)))
    if party.wishes.cease_date:
        yield from date_faults(f"{at}/wishes/cease_date", party.wishes.cease_date, today)
    if party.HasField("representative"):
        yield from _representative_faults(party.representative, f"{at}/representative")


def _representative_faults(representative: PartyRepresentative, at: str) -> Iterator[Fault]:
    if representative.kind not in _REPRESENTATIVES:
        yield Fault(f"{at}/kind", "unknown_value", f"must be one of {', '.join(_REPRESENTATIVES)}")
    if representative.phone:
        yield from _phone_faults(representative.phone, f"{at}/phone")


def _flag_faults(flags: DebtorFlags, at: str, today: date) -> Iterator[Fault]:
    if flags.cease_date:
        yield from date_faults(f"{at}/cease_date", flags.cease_date, today)
    if flags.HasField("bankruptcy"):
        if flags.bankruptcy.chapter not in (CHAPTER_NOT_SAID, *CHAPTERS):
            text = "must be one of 7, 11, 12, 13, or absent where it is not known"
            yield Fault(f"{at}/bankruptcy/chapter", "unknown_value", text)
        if flags.bankruptcy.filed_date:
            yield from date_faults(f"{at}/bankruptcy/filed_date", flags.bankruptcy.filed_date, today)


def _beside_faults(placement: Placement) -> Iterator[Fault]:
    """What stands beside the parties: collateral identifiers, a court file and the origin of an online credit."""
    identifiers, collateral = len(placement.collateral_identifiers), len(placement.terms.debt.collateral)
    if identifiers != collateral:
        yield Fault("/collateral_identifiers", "count", f"must have one item for each collateral, {collateral}")
    if placement.HasField("origination") and instant_of(placement.origination.at) is None:
        yield Fault("/origination/at", "invalid_instant", "must be an RFC 3339 instant with its offset")
    yield from length_faults(placement.judgment_file, "/judgment_file")
    yield from _counted("/medical_guarantors", len(placement.medical_guarantors))


def _counted(pointer: str, count: int) -> Iterator[Fault]:
    if count > POINTS_MAX:
        yield Fault(pointer, "too_many", f"must have at most {POINTS_MAX} items, not {count}")
