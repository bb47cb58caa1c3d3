"""The vault: found again, versioned, committed to, erased; and nothing personal anywhere else."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from faker import Faker
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import (
    CourtFile,
    EmailAddress,
    Origination,
    PartyName,
    PartyRepresentative,
    PlacedParty,
    PostalAddress,
    Telephone,
)
from recoup.accounts.v1.terms_pb2 import Bankruptcy, Collateral, Debt, Debtor, DebtorFlags

from kernel.execute import Request
from kernel.record import record_hash
from kernel.store import PostgresStore
from services.accounts.vault import Unverified, Vault
from tests.accounts.examples import party, placement
from tests.accounts.world import NORTH, SOUTH, World, agency, client, metadata


def vault_of(world: World) -> Vault:
    return Vault(world.context.engine, b"v" * 40)


async def debtors_of(world: World, account_id: str) -> list[Debtor]:
    asked = messages.GetAccountRequest(account_id=account_id)
    return list((await world.stub.GetAccount(asked, metadata=metadata(agency()))).account.debtors)


async def placed(world: World, reference: str, *parties: PlacedParty) -> list[Debtor]:
    result = await world.one(client(), placement(*parties, client_reference=reference))
    assert result.answer.HasField("accepted"), result
    return await debtors_of(world, result.entity_id)


async def link(world: World, person_id: str, account_id: str) -> None:
    """What the worker does when it hears of a placement."""
    command = commands.LinkAccount(
        person_id=person_id,
        account_id=account_id,
        role=words.DEBTOR_ROLE_PRIMARY,
        kind=words.PARTY_KIND_PERSON,
    )
    await world.context.executor.execute(Request(command, str(uuid4()), agency(), uuid4()))


async def test_a_person_is_kept_and_verified_against_the_commitment_in_the_fact(world: World) -> None:
    await world.open_client()
    (debtor,) = await placed(world, "1")
    kept = await vault_of(world).read(agency(), UUID(debtor.person_id), debtor.vault_version)
    assert kept is not None
    assert (kept.name, kept.national_id, kept.addresses) == (party().name, "123456789", party().addresses)
    assert {point.kind for point in debtor.contact_points} == {
        words.CONTACT_POINT_KIND_ADDRESS,
        words.CONTACT_POINT_KIND_PHONE,
    }


async def test_the_same_national_id_is_the_same_person_whatever_else_is_said(world: World) -> None:
    await world.open_client()
    (first,) = await placed(world, "1")
    (second,) = await placed(world, "2", party(name=PartyName(first="Anna", last="Quimby-Jones")))
    assert second.person_id == first.person_id
    assert second.vault_version == 2
    assert second.vault_commitment != first.vault_commitment


async def test_the_same_words_make_no_further_version(world: World) -> None:
    await world.open_client()
    (first,) = await placed(world, "1")
    (second,) = await placed(world, "2")
    assert second == first


async def test_without_a_national_id_name_and_birth_date_are_the_person(world: World) -> None:
    await world.open_client()
    anonymous = party()
    anonymous.ClearField("national_id")
    (first,) = await placed(world, "1", anonymous)
    (second,) = await placed(world, "2", party())
    shouting = PlacedParty()
    shouting.CopyFrom(anonymous)
    shouting.name.first, shouting.name.last = "ANNABEL", "Quimby "
    (third,) = await placed(world, "3", shouting)
    assert {first.person_id, second.person_id, third.person_id} == {first.person_id}


async def test_two_national_ids_are_two_persons_also_of_one_name_and_birth_date(world: World) -> None:
    await world.open_client()
    (first,) = await placed(world, "1")
    (second,) = await placed(world, "2", party(national_id="987654321"))
    assert second.person_id != first.person_id


async def test_who_gives_neither_is_new_on_another_account(world: World) -> None:
    await world.open_client()
    vague = party()
    vague.ClearField("national_id")
    vague.ClearField("date_of_birth")
    (first,) = await placed(world, "1", vague)
    (second,) = await placed(world, "2", vague)
    assert second.person_id != first.person_id


async def test_another_agency_does_not_find_the_person(world: World) -> None:
    await world.open_client()
    await world.open_client(tenant=SOUTH)
    (ours,) = await placed(world, "1")
    result = await world.one(client(tenant=SOUTH), placement(client_reference="1"))
    asked = messages.GetAccountRequest(account_id=result.entity_id)
    theirs = (await world.stub.GetAccount(asked, metadata=metadata(agency(SOUTH)))).account.debtors[0]
    assert theirs.person_id != ours.person_id
    assert await vault_of(world).read(agency(SOUTH), UUID(ours.person_id)) is None


async def test_a_refused_placement_leaves_nothing_in_the_vault(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement(currency="CAD"))
    assert result.answer.refusal.rule == "CurrencyNotAgreed"
    with psycopg.connect(world.context.settings.database_url.get_secret_value()) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
        for table in ("persons", "versions", "matches", "placements"):
            assert connection.execute(f"SELECT count(*) FROM vault.{table}").fetchone() == (0,)


async def test_what_is_personal_beside_the_parties_is_kept_encrypted_too(world: World) -> None:
    await world.open_client()
    made = placement(debt=Debt(collateral=[Collateral(type="car", value_minor=1, lien="first", status="held")]))
    made.collateral_identifiers.append("VIN-1FTEX")
    made.origination.CopyFrom(Origination(ip="203.0.113.77", at="2025-01-01T00:00:00Z"))
    made.medical_guarantors.append("Gregor Samsa")
    result = await world.one(client(), made)
    assert result.answer.HasField("accepted"), result
    with psycopg.connect(world.context.settings.database_url.get_secret_value()) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
        ((fields,),) = connection.execute("SELECT fields FROM vault.placements").fetchall()
    assert '"collateral_identifiers"' in fields
    assert "VIN-1FTEX" not in fields


async def test_court_files_are_in_the_vault_alone_and_shown_with_a_reason(world: World) -> None:
    await world.open_client()
    person = party(
        flags=DebtorFlags(bankruptcy=Bankruptcy(chapter=7, filed_date="2025-11-03")),
        bankruptcy_file=CourtFile(court="D. Or.", case_number="25-31337-tmb7"),
    )
    made = placement(person, debt=Debt(judgment_date="2025-05-05"))
    made.judgment_file.CopyFrom(CourtFile(court="Lane County", case_number="25CV54321"))
    result = await world.one(client(), made)
    assert result.answer.HasField("accepted"), result
    (debtor,) = await debtors_of(world, result.entity_id)
    assert debtor.flags.bankruptcy == person.flags.bankruptcy
    for partition in range(world.context.store.partitions):
        async for page in world.context.store.read_log(partition):
            for said in (b"D. Or.", b"31337", b"Lane County", b"54321"):
                assert not any(said in record.payload for record in page)
    await link(world, debtor.person_id, result.entity_id)
    asked = messages.GetPersonRequest(person_id=debtor.person_id, account_id=result.entity_id, reason="to file a claim")
    shown = await world.stub.GetPerson(asked, metadata=metadata(agency()))
    assert shown.party.bankruptcy_file == person.bankruptcy_file
    assert shown.beside.judgment_file == made.judgment_file
    asked.ClearField("reason")
    unsaid = await world.stub.GetPerson(asked, metadata=metadata(agency()))
    assert (unsaid.HasField("party"), unsaid.HasField("beside")) == (False, False)
    other = await world.one(client(), placement(party(national_id="987654321"), client_reference="2"))
    asked.reason, asked.account_id = "to see", other.entity_id
    assert not (await world.stub.GetPerson(asked, metadata=metadata(agency()))).HasField("beside")


async def test_a_version_that_was_tampered_with_is_not_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.open_client()
    (debtor,) = await placed(world, "1")
    monkeypatch.setattr("services.accounts.vault._plain", lambda _party: b"something else")
    with pytest.raises(Unverified):
        await vault_of(world).read(agency(), UUID(debtor.person_id))


async def test_an_erased_person_is_unreadable_and_everything_still_verifies(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement())
    (debtor,) = await debtors_of(world, result.entity_id)
    await link(world, debtor.person_id, result.entity_id)
    erase = commands.ErasePerson(person_id=debtor.person_id, reason="asked for it")
    assert (await world.one(agency(), erase)).answer.HasField("accepted")
    assert await vault_of(world).read(agency(), UUID(debtor.person_id)) is None
    asked = messages.GetPersonRequest(person_id=debtor.person_id, reason="to see")
    response = await world.stub.GetPerson(asked, metadata=metadata(agency()))
    assert response.person.erased
    assert not response.HasField("party")
    await verify_log(world.context.store)
    assert (await debtors_of(world, result.entity_id)) == [debtor]


async def test_who_was_erased_and_is_placed_again_is_somebody_new(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement())
    (before,) = await debtors_of(world, result.entity_id)
    await link(world, before.person_id, result.entity_id)
    await world.one(agency(), commands.ErasePerson(person_id=before.person_id, reason="asked for it"))
    (again,) = await placed(world, "2")
    assert again.person_id != before.person_id
    assert await vault_of(world).read(agency(), UUID(before.person_id)) is None
    assert await vault_of(world).read(agency(), UUID(again.person_id)) is not None


async def test_a_trace_that_a_concurrent_placement_left_does_not_find_who_was_erased(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement())
    (before,) = await debtors_of(world, result.entity_id)
    await link(world, before.person_id, result.entity_id)
    with psycopg.connect(world.context.settings.database_url.get_secret_value()) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, false)", [f"{{{NORTH}}}"])
        traces = connection.execute("SELECT tenant, match, kind, person_id FROM vault.matches").fetchall()
        await world.one(agency(), commands.ErasePerson(person_id=before.person_id, reason="asked for it"))
        for trace in traces:
            connection.execute("INSERT INTO vault.matches VALUES (%s, %s, %s, %s)", trace)
    (again,) = await placed(world, "2")
    assert again.person_id != before.person_id
    assert (await placed(world, "3"))[0].person_id == again.person_id


async def verify_log(store: PostgresStore) -> None:
    """Every stream's hashes hang together."""
    previous: dict[tuple[UUID, str], bytes] = {}
    count = 0
    for partition in range(store.partitions):
        async for page in store.read_log(partition):
            for record in page:
                stream = (record.tenant, record.stream)
                assert record.previous == previous.get(stream, bytes(32))
                previous[stream] = record_hash(record)
                count += 1
    assert count > 0


def people(seed: int, count: int) -> Iterator[PlacedParty]:
    fake = Faker("en_US")
    fake.seed_instance(seed)
    for number in range(count):
        yield PlacedParty(
            role=words.DEBTOR_ROLE_PRIMARY,
            kind=words.PARTY_KIND_PERSON,
            name=PartyName(
                first=fake.first_name() + "xq", middle=fake.first_name() + "xq", last=fake.last_name() + "xq"
            ),
            aliases=[PartyName(last=fake.last_name() + "xq")],
            date_of_birth=fake.date_of_birth(minimum_age=25, maximum_age=90).isoformat(),
            national_id=f"{900000000 + fake.random_int(0, 99999999)}",
            addresses=[
                PostalAddress(
                    type="home", street=fake.street_address(), city=fake.city() + "xq", state="OR", zip="97477"
                )
            ],
            phones=[Telephone(number=f"+1541555{number:04}", type="mobile")],
            emails=[EmailAddress(address=fake.email(), type="personal")],
            employer=fake.company() + "xq",
            county=fake.last_name() + "xq County",
            representative=PartyRepresentative(kind="attorney", name=fake.name() + "xq", phone="+15415559999"),
        )


def words_of(person: PlacedParty) -> set[str]:
    """Everything that would give the person away."""
    name, address, representative = person.name, person.addresses[0], person.representative
    found = {name.first, name.middle, name.last, person.aliases[0].last, person.date_of_birth, person.national_id}
    found |= {address.street, address.city, person.phones[0].number, person.emails[0].address, person.employer}
    return found | {person.county, representative.name, representative.phone}


async def test_no_personal_data_leave_the_vault(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.open_client()
    everyone = list(people(7, 40))
    wrong = list(people(8, 5))
    for each in wrong:
        each.phones[0].type = "carrier pigeon"
    given = [placement(each, client_reference=f"r{number}") for number, each in enumerate([*everyone, *wrong])]
    results = await world.execute(client(), *given)
    assert [result.answer.WhichOneof("outcome") for result in results] == ["accepted"] * 40 + ["refusal"] * 5
    secrets = set().union(*map(words_of, [*everyone, *wrong]))
    written = bytearray()
    admin = world.context.settings.database_url.get_secret_value()
    with psycopg.connect(admin) as connection:
        connection.execute("SELECT set_config('recoup.tenants', %s, true)", [f"{{{NORTH}}}"])
        for (payload,) in connection.execute("SELECT payload FROM log.events"):
            written += payload
        for (outcome,) in connection.execute("SELECT outcome FROM log.commands"):
            written += outcome
        for table in ("views.accounts", "views.feed", "vault.persons", "vault.versions", "vault.matches"):
            for row in connection.execute(f"SELECT t::text FROM {table} t"):
                written += row[0].encode()
    said = capfd.readouterr()
    text = bytes(written).decode("utf-8", "replace") + said.out + said.err + caplog.text
    assert len(written) > 40 * 300
    assert [secret for secret in secrets if secret in text] == []


async def test_the_placed_fact_carries_the_commitment_to_what_was_known(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement())
    records = await world.context.store.read_stream(NORTH, f"account-{result.entity_id}")
    fact = events.AccountPlaced.FromString(records[0].payload)
    assert len(bytes.fromhex(fact.debtors[0].vault_commitment)) == hashlib.sha256().digest_size
