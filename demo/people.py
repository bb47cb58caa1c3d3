"""Invents people: a person is a pure function of the seed and a key, so the same account always has the same debtors.

Nobody real can be meant: the national ids are of numbers that were never issued (9xx-00 to 9xx-49), the telephones of
the exchange 555-01xx, and the emails of domains reserved for examples.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Final

from faker import Faker
from recoup.accounts.v1 import placement_pb2, words_pb2

from demo.places import settle

_NATIONAL_ID_SHARE: Final = 0.8
_PHONE_SHARE: Final = 0.85
_EMAIL_SHARE: Final = 0.6
_MIDDLE_NAME_SHARE: Final = 0.5
_SPANISH_SHARE: Final = 0.12
_AGE_YEARS_MIN: Final = 21
_AGE_YEARS_MAX: Final = 84
_AREA_CODES: Final = ("202", "212", "305", "312", "404", "415", "512", "602", "617", "702", "713", "803", "919")


class People:
    """One inventor. `today` bounds the ages."""

    def __init__(self, seed: int, today: date) -> None:
        """Opens the book of names."""
        self._seed = seed
        self._today = today
        self._faker = Faker("en_US")

    def person(self, key: str, city: str, state: str) -> placement_pb2.PlacedParty:
        """A natural person who lives in that city and state; blank ones are chosen. Role and flags are the caller's."""
        chance = random.Random(f"{self._seed}|{key}")  # noqa: S311 - people are invented, nothing is secret.
        self._faker.seed_instance(f"{self._seed}|{key}")
        party = placement_pb2.PlacedParty(kind=words_pb2.PARTY_KIND_PERSON)
        party.name.first, party.name.last = self._faker.first_name(), self._faker.last_name()
        if chance.random() < _MIDDLE_NAME_SHARE:
            party.name.middle = self._faker.first_name()
        age_days = chance.randint(_AGE_YEARS_MIN * 365, _AGE_YEARS_MAX * 365)
        party.date_of_birth = (self._today - timedelta(days=age_days)).isoformat()
        if chance.random() < _NATIONAL_ID_SHARE:
            party.national_id = f"9{chance.randint(0, 99):02}{chance.randint(0, 49):02}{chance.randint(1, 9999):04}"
        party.language = "es" if chance.random() < _SPANISH_SHARE else "en"
        self._add_contact_points(party, chance, city, state)
        return party

    def organisation(self, key: str, city: str, state: str) -> placement_pb2.PlacedParty:
        """A firm of that city and state."""
        chance = random.Random(f"{self._seed}|{key}")  # noqa: S311
        self._faker.seed_instance(f"{self._seed}|{key}")
        party = placement_pb2.PlacedParty(kind=words_pb2.PARTY_KIND_ORGANISATION)
        party.name.business_name = self._faker.company()
        self._add_address(party, chance, city, state)
        return party

    def vehicle(self, key: str) -> str:
        """An identification number of a vehicle that was never built: 17 signs without I, O and Q, starting with 0."""
        chance = random.Random(f"{self._seed}|vehicle|{key}")  # noqa: S311
        return "0" + "".join(chance.choices("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", k=16))

    def _add_contact_points(
        self, party: placement_pb2.PlacedParty, chance: random.Random, city: str, state: str
    ) -> None:
        self._add_address(party, chance, city, state)
        if chance.random() < _PHONE_SHARE:
            number = f"+1{chance.choice(_AREA_CODES)}555{chance.randint(100, 199):04}"
            kind = chance.choice(("mobile", "mobile", "mobile", "home", "work"))
            party.phones.add(number=number, type=kind, consent=chance.random() < _EMAIL_SHARE)
        if chance.random() < _EMAIL_SHARE:
            name = f"{party.name.first}.{party.name.last}{chance.randint(1, 999)}".lower()
            host = chance.choice(("example.com", "example.org", "example.net"))
            party.emails.add(address=f"{name}@{host}", type="personal", obtained="creditor", consent=True)

    def _add_address(self, party: placement_pb2.PlacedParty, chance: random.Random, city: str, state: str) -> None:
        city, state = settle(city, state, chance)
        street = self._faker.street_address().replace("\n", ", ")
        code = self._faker.zipcode_in_state(state)
        party.addresses.add(type="home", street=street, city=city, state=state, zip=code, country="US", verified="N")
