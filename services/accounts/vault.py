"""The vault: the persons behind the ids, encrypted field by field under a key of their own, versioned, erasable.

What it writes travels as rows with the command that needs them and commits with it, or not at all. Each version
carries a salted commitment that facts repeat: what was known and used when can be proven while the person's key exists,
and afterwards every hash still verifies and nothing can be read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import Message
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import PartyName, PlacedParty, Placement
from recoup.accounts.v1.terms_pb2 import ContactPoint
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kernel.project import Delete, Insert, Row, RowChange, Update
from kernel.reads import reading
from kernel.tenancy import Caller

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
NATIONAL_ID: Final = "national_id"
NAME_AND_BIRTH: Final = "name_and_birth"
NAME_ON_ACCOUNT: Final = "name_on_account"

_POINTS: Final = UUID("e2d1c0bf-4a59-5e6d-8c7b-1a2b3c4d5e6f")
_OF_ACCOUNT: Final = ("role", "flags")
"""What belongs to the account and stands in facts, not in the vault."""
_BESIDE_PARTIES: Final = ("collateral_identifiers", "origination", "medical_guarantors", "judgment_file")
_SALT: Final = "salt"

_MATCHES = text("SELECT match, person_id FROM vault.matches WHERE match = ANY(:matches)")
_ENTRIES = text(
    "SELECT p.person_id, p.key, coalesce(v.version, 0), v.content, v.commitment,"
    " EXISTS (SELECT FROM vault.matches m WHERE m.tenant = p.tenant AND m.person_id = p.person_id"
    "         AND m.kind = 'national_id')"
    " FROM vault.persons p LEFT JOIN LATERAL (SELECT * FROM vault.versions v WHERE v.tenant = p.tenant"
    "  AND v.person_id = p.person_id ORDER BY v.version DESC LIMIT 1) v ON true WHERE p.person_id = ANY(:persons)"
)
_VERSION = text(
    "SELECT p.key, v.version, v.commitment, v.fields FROM vault.persons p JOIN vault.versions v"
    " USING (tenant, person_id) WHERE person_id = :person AND (:version = 0 OR v.version = :version)"
    " ORDER BY v.version DESC LIMIT 1"
)
_BESIDE = text(
    "SELECT p.key, b.fields FROM vault.placements b JOIN vault.persons p USING (tenant, person_id)"
    " WHERE b.account_id = :account AND b.digest = :digest AND person_id = :person"
)
_MATCHES_OF = text("SELECT match FROM vault.matches WHERE person_id = :person")


class Entry(NamedTuple):
    """What the vault holds of a person now. `key` None: erased."""

    person_id: UUID
    key: bytes | None
    version: int
    content: bytes
    commitment: bytes
    has_national_id: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What the vault says of everyone that some placements may be about."""

    matches: Mapping[bytes, UUID]
    entries: Mapping[UUID, Entry]


class Stored(NamedTuple):
    """A party as facts will name it, and what reading the vault told."""

    person_id: UUID
    version: int
    commitment: bytes
    contact_points: Sequence[ContactPoint]


class Unverified(Exception):  # noqa: N818 - named for what is wrong.
    """A version of a person does not fit the commitment that the log carries."""


@dataclass(slots=True)
class Writing:
    """The rows of one placement while they are made, and everybody whom they touch."""

    known: Known
    rows: list[RowChange] = field(default_factory=list)
    matches: dict[bytes, UUID] = field(default_factory=dict)
    entries: dict[UUID, Entry] = field(default_factory=dict)

    def person_of(self, match: bytes) -> UUID | None:
        """Who is found by a keyed hash, unless they were erased."""
        person_id = self.matches.get(match) or self.known.matches.get(match)
        if person_id is None:
            return None
        entry = self.entry(person_id)
        return None if entry is not None and entry.key is None else person_id

    def entry(self, person_id: UUID) -> Entry | None:
        """What the vault will hold of a person once the rows so far are written."""
        return self.entries.get(person_id) or self.known.entries.get(person_id)

    def touched(self) -> set[object]:
        """The persons and keyed hashes that the rows write: nobody else may write them in the same breath."""
        return {*self.matches, *self.entries}


class Vault:
    """Encrypts, finds, reads and erases. Holds no personal data between calls."""

    def __init__(self, engine: AsyncEngine, secret: bytes) -> None:
        """`secret` is the platform's vault key; every key in use is derived from it by HKDF."""
        self._engine = engine
        self._wrapping = AESGCM(_derived(secret, b"wrapping"))
        self._matching = _derived(secret, b"matching")
        self._digesting = _derived(secret, b"digesting")

    def digest(self, placement: Placement) -> bytes:
        """The keyed digest of everything a creditor sent: equal content, equal digest."""
        return hmac.digest(self._digesting, placement.SerializeToString(deterministic=True), "sha256")

    def matches_of(self, tenant: UUID, account_id: str, party: PlacedParty) -> Mapping[str, bytes]:
        """The keyed hashes by which a party is found again, the strongest first.

        Who gives neither national id nor birth date is found again on the same account only.
        """
        found = {}
        name = _normalised(party.name)
        if party.national_id:
            found[NATIONAL_ID] = self._match(tenant, NATIONAL_ID, party.kind, party.national_id)
        if party.date_of_birth and party.kind == words.PARTY_KIND_PERSON:
            found[NAME_AND_BIRTH] = self._match(tenant, NAME_AND_BIRTH, party.kind, f"{name}|{party.date_of_birth}")
        if not found:
            found[NAME_ON_ACCOUNT] = self._match(tenant, NAME_ON_ACCOUNT, party.kind, f"{account_id}|{name}")
        return found

    async def known(self, caller: Caller, placements: Iterable[tuple[str, Placement]]) -> Known:
        """Everything that the vault knows of the parties of some placements, with two questions for all of them."""
        wanted = {
            match
            for account_id, placement in placements
            for party in placement.parties
            for match in self.matches_of(caller.tenant, account_id, party).values()
        }
        async with reading(self._engine, caller) as connection:
            rows = await connection.execute(_MATCHES, {"matches": list(wanted)})
            matches = {bytes(match): person_id for match, person_id in rows}
            entries = await self._entries(connection, set(matches.values()))
        return Known(matches, entries)

    async def _entries(self, connection: AsyncConnection, persons: set[UUID]) -> Mapping[UUID, Entry]:
        rows = await connection.execute(_ENTRIES, {"persons": list(persons)})
        return {row[0]: Entry(row[0], row[1], row[2], row[3] or b"", row[4] or b"", row[5]) for row in rows}

    def store(self, tenant: UUID, account_id: str, new_id: UUID, party: PlacedParty, writing: Writing) -> Stored:
        """Find the party or make an entry under `new_id`, and a new version where the last one says something else."""
        matches = self.matches_of(tenant, account_id, party)
        person_id = self._found(matches, writing) or self._made(tenant, new_id, writing)
        entry = writing.entry(person_id)
        assert entry is not None
        key = self._unwrapped(tenant, entry)
        self._add_matches(tenant, person_id, matches, writing)
        plain = _plain(party)
        content = hmac.digest(key, b"content" + plain, "sha256")
        if entry.version == 0 or not hmac.compare_digest(content, entry.content):
            entry = self._add_version(tenant, entry, (key, content, plain), party, writing)
        return Stored(person_id, entry.version, entry.commitment, list(_points(key, party)))

    def store_beside(
        self, tenant: UUID, account_id: str, person_id: UUID, digest: bytes, placement: Placement, writing: Writing
    ) -> None:
        """Keep what is personal in a placement beside its parties, under the primary debtor's key."""
        beside = Placement()
        for name in _BESIDE_PARTIES:
            if any(field.name == name for field, _value in placement.ListFields()):
                _copy(placement, beside, name)
        if beside == Placement():
            return
        entry = writing.entry(person_id)
        assert entry is not None
        where = _beside_place(tenant, UUID(account_id), digest)
        fields = _encrypted(AESGCM(self._unwrapped(tenant, entry)), where, _fields(beside))
        key: Row = {"tenant": tenant, "account_id": UUID(account_id), "digest": digest}
        writing.rows.append(Insert("vault.placements", {**key, "person_id": person_id, "fields": fields}))

    async def read(self, caller: Caller, person_id: UUID, version: int = 0) -> PlacedParty | None:
        """A person as of a version, the latest for 0; None when erased or unknown. Verified as it is read."""
        async with reading(self._engine, caller) as connection:
            row = (await connection.execute(_VERSION, {"person": person_id, "version": version})).first()
        if row is None or row[0] is None:
            return None
        wrapped, found, commitment, fields = row
        key = self._unwrapped(caller.tenant, Entry(person_id, wrapped, 0, b"", b"", has_national_id=False))
        values = _decrypted(AESGCM(key), _place(caller.tenant, person_id, found), fields)
        party = PlacedParty()
        for name, value in values.items():
            if name != _SALT:
                party.MergeFromString(value)
        if _commitment(values[_SALT], _plain(party)) != commitment:
            message = f"version {found} of person {person_id} does not fit its commitment"
            raise Unverified(message)
        return party

    async def read_beside(self, caller: Caller, person_id: UUID, account_id: UUID, digest: bytes) -> Placement | None:
        """What a placement holds beside its parties; None when nothing, for another than its primary, or erased."""
        asked = {"person": person_id, "account": account_id, "digest": digest}
        async with reading(self._engine, caller) as connection:
            row = (await connection.execute(_BESIDE, asked)).first()
        if row is None or row[0] is None:
            return None
        key = self._unwrapped(caller.tenant, Entry(person_id, row[0], 0, b"", b"", has_national_id=False))
        beside = Placement()
        where = _beside_place(caller.tenant, account_id, digest)
        for value in _decrypted(AESGCM(key), where, row[1]).values():
            beside.MergeFromString(value)
        return beside

    async def erasing(self, caller: Caller, person_id: UUID) -> tuple[RowChange, ...]:
        """The rows that erase a person: the key goes, and everything by which the person could be found again."""
        async with reading(self._engine, caller) as connection:
            entries = await self._entries(connection, {person_id})
            matches = [row[0] for row in await connection.execute(_MATCHES_OF, {"person": person_id})]
        if person_id not in entries:
            return ()
        key: Row = {"tenant": caller.tenant, "person_id": person_id}
        forgotten = [Delete("vault.matches", {"tenant": caller.tenant, "match": match}) for match in matches]
        return (Update("vault.persons", key, {"key": None}), *forgotten)

    def _match(self, tenant: UUID, kind: str, party: words.PartyKind, value: str) -> bytes:
        return hmac.digest(self._matching, f"{tenant}|{kind}|{party}|{value}".encode(), "sha256")

    def _found(self, matches: Mapping[str, bytes], writing: Writing) -> UUID | None:
        """The person whom the strongest hash finds, unless a national id tells them apart from the one it finds."""
        for kind, match in matches.items():
            found = writing.person_of(match)
            if found is None:
                continue
            entry = writing.entry(found)
            if kind == NATIONAL_ID or NATIONAL_ID not in matches or entry is None or not entry.has_national_id:
                return found
        return None

    def _made(self, tenant: UUID, person_id: UUID, writing: Writing) -> UUID:
        key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, key, _place(tenant, person_id, 0).encode())
        writing.entries[person_id] = Entry(person_id, wrapped, 0, b"", b"", has_national_id=False)
        row: Row = {"tenant": tenant, "person_id": person_id, "key": wrapped}
        writing.rows.append(Insert("vault.persons", row))
        return person_id

    def _add_matches(self, tenant: UUID, person_id: UUID, matches: Mapping[str, bytes], writing: Writing) -> None:
        for kind, match in matches.items():
            if writing.person_of(match) is not None:
                continue
            if match in writing.known.matches:
                key: Row = {"tenant": tenant, "match": match}
                writing.rows.append(Update("vault.matches", key, {"person_id": person_id}))
            else:
                row: Row = {"tenant": tenant, "match": match, "kind": kind, "person_id": person_id}
                writing.rows.append(Insert("vault.matches", row))
            writing.matches[match] = person_id
            entry = writing.entry(person_id)
            if kind == NATIONAL_ID and entry is not None:
                writing.entries[person_id] = entry._replace(has_national_id=True)

    def _add_version(
        self, tenant: UUID, entry: Entry, sealed: tuple[bytes, bytes, bytes], party: PlacedParty, writing: Writing
    ) -> Entry:
        key, content, plain = sealed
        salt, version = os.urandom(KEY_BYTES), entry.version + 1
        commitment = _commitment(salt, plain)
        where = _place(tenant, entry.person_id, version)
        row: Row = {
            "tenant": tenant,
            "person_id": entry.person_id,
            "version": version,
            "content": content,
            "commitment": commitment,
            "fields": _encrypted(AESGCM(key), where, {_SALT: salt, **_fields(_kept(party))}),
        }
        writing.rows.append(Insert("vault.versions", row))
        current = writing.entry(entry.person_id)
        assert current is not None
        renewed = current._replace(version=version, content=content, commitment=commitment)
        writing.entries[entry.person_id] = renewed
        return renewed

    def _unwrapped(self, tenant: UUID, entry: Entry) -> bytes:
        assert entry.key is not None, f"person {entry.person_id} was erased"
        nonce, sealed = entry.key[:NONCE_BYTES], entry.key[NONCE_BYTES:]
        return self._wrapping.decrypt(nonce, sealed, _place(tenant, entry.person_id, 0).encode())


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"recoup vault " + purpose).derive(secret)


def _place(tenant: UUID, person_id: UUID, version: int) -> str:
    """Where a ciphertext belongs; it opens nowhere else."""
    return f"{tenant}|{person_id}|{version}"


def _beside_place(tenant: UUID, account_id: UUID, digest: bytes) -> str:
    return f"{tenant}|{account_id}|{digest.hex()}"


def _normalised(name: PartyName) -> str:
    parts = (name.first, name.middle, name.last, name.suffix)
    return "|".join(" ".join(unicodedata.normalize("NFKC", part).casefold().split()) for part in parts)


def _kept(party: PlacedParty) -> PlacedParty:
    kept = PlacedParty()
    kept.CopyFrom(party)
    for name in _OF_ACCOUNT:
        kept.ClearField(name)
    return kept


def _plain(party: PlacedParty) -> bytes:
    return _kept(party).SerializeToString(deterministic=True)


def _commitment(salt: bytes, plain: bytes) -> bytes:
    return hashlib.sha256(salt + plain).digest()


def _fields(message: Message) -> Mapping[str, bytes]:
    """Each field by itself, as a message that holds nothing else."""
    found = {}
    for descriptor, _value in message.ListFields():
        alone = type(message)()
        _copy(message, alone, descriptor.name)
        found[descriptor.name] = alone.SerializeToString(deterministic=True)
    return found


def _copy(source: Any, target: Any, name: str) -> None:  # noqa: ANN401 - any message.
    descriptor = source.DESCRIPTOR.fields_by_name[name]
    if descriptor.is_repeated:
        getattr(target, name).extend(getattr(source, name))
    elif descriptor.message_type is not None:
        getattr(target, name).CopyFrom(getattr(source, name))
    else:
        setattr(target, name, getattr(source, name))


def _encrypted(key: AESGCM, where: str, values: Mapping[str, bytes]) -> str:
    sealed = {}
    for name, value in values.items():
        nonce = os.urandom(NONCE_BYTES)
        sealed[name] = b64encode(nonce + key.encrypt(nonce, value, f"{where}|{name}".encode())).decode()
    return json.dumps(sealed)


def _decrypted(key: AESGCM, where: str, fields: str) -> Mapping[str, bytes]:
    opened = {}
    for name, sealed in json.loads(fields).items():
        raw = b64decode(sealed, validate=True)
        opened[name] = key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], f"{where}|{name}".encode())
    return opened


def _points(key: bytes, party: PlacedParty) -> Iterator[ContactPoint]:
    """Ids that stay the same while the point does, and that nobody can tell from the point without the key."""
    groups = (
        (words.CONTACT_POINT_KIND_ADDRESS, [_address(address) for address in party.addresses]),
        (words.CONTACT_POINT_KIND_PHONE, [phone.number for phone in party.phones]),
        (words.CONTACT_POINT_KIND_EMAIL, [email.address.casefold() for email in party.emails]),
    )
    for kind, values in groups:
        for value in dict.fromkeys(values):
            keyed = hmac.digest(key, f"point|{kind}|{value}".encode(), "sha256")
            yield ContactPoint(contact_point_id=str(uuid5(_POINTS, keyed.hex())), kind=kind)


def _address(address: Any) -> str:  # noqa: ANN401 - a PostalAddress.
    parts = (address.street, address.city, address.state, address.zip, address.country or "US")
    return "|".join(" ".join(part.casefold().split()) for part in parts)
