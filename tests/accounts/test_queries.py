"""What accounts answers: as of an instant, page by page, and to those alone who may know."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1 import state_pb2 as states
from recoup.accounts.v1 import words_pb2 as words

from kernel.canonical import canonical_json
from tests.accounts.examples import party, placement
from tests.accounts.test_api import _close, _hold, payment
from tests.accounts.test_vault import link
from tests.accounts.world import SOUTH, World, agency, client, metadata


async def opened(world: World, count: int) -> list[str]:
    """So many accounts of one client."""
    await world.open_client()
    given = [placement(client_reference=f"r{number:03}") for number in range(count)]
    return [result.entity_id for result in await world.execute(client(), *given)]


def now() -> Timestamp:
    timestamp = Timestamp()
    timestamp.GetCurrentTime()
    return timestamp


async def account(world: World, account_id: str, **more: Any) -> states.AccountState:
    asked = messages.GetAccountRequest(account_id=account_id, **more)
    response: messages.GetAccountResponse = await world.stub.GetAccount(asked, metadata=metadata(client()))
    return response.account


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_an_account_as_of_an_instant_is_what_it_was_then(world: World) -> None:
    (account_id,) = await opened(world, 1)
    before = await account(world, account_id)
    between = now()
    await asyncio.sleep(0.002)
    await world.one(client(), payment(account_id))
    asked = messages.GetAccountRequest(account_id=account_id, as_of=between)
    response = await world.stub.GetAccount(asked, metadata=metadata(client()))
    assert canonical_json(response.account) == canonical_json(before)
    assert len(response.cut.numbers) == 8
    assert sum(number + 1 for number in response.cut.numbers) == 3
    assert (await account(world, account_id)).version == 2


async def test_an_instant_that_is_not_over_has_no_answer_yet(world: World) -> None:
    (account_id,) = await opened(world, 1)
    ahead = now()
    ahead.seconds += 60
    asked = messages.GetAccountRequest(account_id=account_id, as_of=ahead)
    assert await code_of(world.stub.GetAccount(asked, metadata=metadata(client()))) == grpc.StatusCode.OUT_OF_RANGE


async def test_before_it_was_placed_there_was_no_account(world: World) -> None:
    before = now()
    (account_id,) = await opened(world, 1)
    asked = messages.GetAccountRequest(account_id=account_id, as_of=before)
    assert await code_of(world.stub.GetAccount(asked, metadata=metadata(client()))) == grpc.StatusCode.NOT_FOUND


async def test_an_account_at_every_version_is_the_sum_of_its_ledger(world: World) -> None:
    (account_id,) = await opened(world, 1)
    for number in range(5):
        await world.one(client(), payment(account_id, f"T{number}", 1000 + number))
    for version in range(1, 7):
        state = await account(world, account_id, at_version=version)
        assert state.version == version
        assert state.balance_total_minor == sum(
            entry.difference.principal_minor + entry.difference.fees_minor for entry in state.ledger
        )
    for wrong in (0, 7):
        asked = messages.GetAccountRequest(account_id=account_id, at_version=wrong)
        refused = await code_of(world.stub.GetAccount(asked, metadata=metadata(client())))
        assert refused == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_reader_may_wait_for_a_version(world: World) -> None:
    (account_id,) = await opened(world, 1)
    waiting = asyncio.create_task(account(world, account_id, min_version=2))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await world.one(client(), payment(account_id))
    assert (await waiting).version == 2
    asked = messages.GetAccountRequest(account_id=account_id, min_version=3)
    waited = code_of(world.stub.GetAccount(asked, metadata=metadata(client()), timeout=0.3))
    assert await waited == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_list_has_every_account_once_whatever_the_page(world: World) -> None:
    ids = await opened(world, 23)
    for limit in (1, 7, 22, 23, 500):
        found, cursor = [], None
        while True:
            asked = messages.ListAccountsRequest(limit=limit, cursor=cursor)
            page = await world.stub.ListAccounts(asked, metadata=metadata(client()))
            assert len(page.accounts) <= limit
            found += [each.account_id for each in page.accounts]
            if not page.HasField("next_cursor"):
                break
            cursor = page.next_cursor
        assert len(found) == len(set(found)) == 23
        assert set(found) == set(ids)


async def test_a_list_can_be_of_one_batch_or_one_phase_also_as_of_an_instant(world: World) -> None:
    ids = await opened(world, 6)
    await world.one(client(), placement(client_reference="x", batch_reference="batch-2"))
    before = now()
    await asyncio.sleep(0.002)
    await world.one(client(), _close(ids[0]))

    async def listed(**wanted: Any) -> int:
        asked = messages.ListAccountsRequest(**wanted)
        return len((await world.stub.ListAccounts(asked, metadata=metadata(client()))).accounts)

    assert await listed(batch_reference="batch-2") == 1
    assert await listed(phase=states.ACCOUNT_PHASE_CLOSED) == 1
    assert await listed(phase=states.ACCOUNT_PHASE_OPEN) == 6
    assert await listed(phase=states.ACCOUNT_PHASE_OPEN, as_of=before) == 7
    assert await listed(phase=states.ACCOUNT_PHASE_CLOSED, as_of=before) == 0
    assert await listed(phase=states.ACCOUNT_PHASE_OPEN, as_of=before, limit=1) == 1


async def test_a_list_of_a_batch_as_of_an_instant_is_of_those_that_were_in_it_then(world: World) -> None:
    await world.open_client()
    lacking = placement(client_reference="q")
    lacking.terms.debt.ClearField("accrual_date")
    account_id = (await world.one(client(), lacking)).entity_id
    before = now()
    await asyncio.sleep(0.002)
    whole = placement(client_reference="q", batch_reference="batch-2")
    assert (await world.one(client(), whole, completes=True)).answer.HasField("accepted")

    async def listed(**wanted: Any) -> list[str]:
        asked = messages.ListAccountsRequest(**wanted)
        page = await world.stub.ListAccounts(asked, metadata=metadata(client()))
        return [each.account_id for each in page.accounts]

    assert await listed(batch_reference="batch-1", as_of=before) == [account_id]
    assert await listed(batch_reference="batch-2", as_of=before) == []
    assert (await listed(batch_reference="batch-2"), await listed(batch_reference="batch-1")) == ([account_id], [])


async def test_a_list_that_finds_little_goes_on_behind_its_cursor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.accounts.api.FOLDED_MAX", 4)
    ids = await opened(world, 9)
    await world.one(client(), _close(ids[0]))
    as_of = now()
    await asyncio.sleep(0.002)
    pages: list[list[str]] = []
    asked = messages.ListAccountsRequest(phase=states.ACCOUNT_PHASE_CLOSED, as_of=as_of, limit=2)
    while len(pages) < 9:
        page = await world.stub.ListAccounts(asked, metadata=metadata(client()))
        pages.append([each.account_id for each in page.accounts])
        if not page.HasField("next_cursor"):
            break
        asked.cursor = page.next_cursor
    assert len(pages) == 2
    assert [account_id for page in pages for account_id in page] == [ids[0]]


async def test_answers_as_of_an_instant_name_the_positions_they_were_read_at(world: World) -> None:
    (account_id,) = await opened(world, 1)
    (debtor,) = (await account(world, account_id)).debtors
    await link(world, debtor.person_id, account_id)
    as_of = now()
    await asyncio.sleep(0.002)
    questions: list[tuple[str, Any]] = [
        ("GetAccount", messages.GetAccountRequest(account_id=account_id)),
        ("ListAccounts", messages.ListAccountsRequest()),
        ("ListAccountFacts", messages.ListAccountFactsRequest(account_id=account_id)),
        ("ListClientFacts", messages.ListClientFactsRequest(client_id="first-bank")),
        ("GetClient", messages.GetClientRequest(client_id="first-bank")),
        ("GetPerson", messages.GetPersonRequest(person_id=debtor.person_id)),
    ]
    for method, question in questions:
        assert not (await getattr(world.stub, method)(question, metadata=metadata(agency()))).HasField("cut"), method
        question.as_of.CopyFrom(as_of)
        cut = (await getattr(world.stub, method)(question, metadata=metadata(agency()))).cut
        assert cut.log_id == str(world.context.store.log_id), method
        assert sum(number + 1 for number in cut.numbers) == 5, method


async def test_before_it_was_placed_an_account_had_no_facts(world: World) -> None:
    before = now()
    await asyncio.sleep(0.002)
    (account_id,) = await opened(world, 1)
    asked = messages.ListAccountFactsRequest(account_id=account_id, as_of=before)
    assert await code_of(world.stub.ListAccountFacts(asked, metadata=metadata(client()))) == grpc.StatusCode.NOT_FOUND


async def test_the_facts_of_an_account_come_in_order_page_by_page(world: World) -> None:
    (account_id,) = await opened(world, 1)
    for number in range(4):
        await world.one(client(), payment(account_id, f"T{number}", 10))
    found: list[int] = []
    more = True
    while more:
        asked = messages.ListAccountFactsRequest(account_id=account_id, after_version=len(found), limit=2)
        page = await world.stub.ListAccountFacts(asked, metadata=metadata(client()))
        found += [fact.version for fact in page.facts]
        more = page.more
    assert found == [1, 2, 3, 4, 5]


async def feed(world: World, limit: int, cursor: str | None = None) -> tuple[list[Any], str]:
    """The rest of the client's feed, and the cursor behind it."""
    found: list[Any] = []
    while True:
        asked = messages.ListClientFactsRequest(cursor=cursor, limit=limit)
        page = await world.stub.ListClientFacts(asked, metadata=metadata(client()))
        found += page.facts
        cursor = page.next_cursor
        if not page.more:
            return found, cursor


async def test_a_feed_misses_nothing_while_others_write(world: World) -> None:
    ids = await opened(world, 8)

    async def write(account_id: str) -> None:
        for number in range(12):
            await world.one(client(), payment(account_id, f"T{number}", 10))

    writing = [asyncio.create_task(write(account_id)) for account_id in ids]
    found: list[Any] = []
    cursor: str | None = None
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done = all(task.done() for task in writing)
        more, cursor = await feed(world, 7, cursor)
        found += more
        if done:
            break
    await asyncio.gather(*writing)
    assert len(found) == len({fact.record.event_id for fact in found}) == 8 * 13
    for account_id in ids:
        versions = [fact.record.version for fact in found if fact.record.stream == f"account-{account_id}"]
        assert versions == list(range(1, 14))
    assert (await feed(world, 7, cursor))[0] == []
    assert {fact.client_reference for fact in found} == {f"r{number:03}" for number in range(8)}


async def test_a_feed_is_of_one_client_alone(world: World) -> None:
    await opened(world, 3)
    await world.open_client("second-bank")
    await world.one(client("second-bank"), placement(client_id="second-bank"))
    assert len((await feed(world, 100))[0]) == 3
    asked = messages.ListClientFactsRequest(client_id="second-bank")
    assert await code_of(world.stub.ListClientFacts(asked, metadata=metadata(client()))) == grpc.StatusCode.NOT_FOUND
    assert len((await world.stub.ListClientFacts(asked, metadata=metadata(agency()))).facts) == 1


def _cursor(*parts: object) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode()


WRONG: list[tuple[str, Any]] = [
    ("ListAccounts", messages.ListAccountsRequest(limit=0)),
    ("ListAccounts", messages.ListAccountsRequest(limit=501)),
    ("ListAccounts", messages.ListAccountsRequest(cursor="")),
    ("ListAccounts", messages.ListAccountsRequest(cursor="ä")),
    ("ListAccounts", messages.ListAccountsRequest(cursor="x" * 3000)),
    ("ListAccounts", messages.ListAccountsRequest(cursor=_cursor(1, "x"))),
    ("ListAccounts", messages.ListAccountsRequest(cursor=_cursor(10**30, str(uuid4())))),
    ("ListAccounts", messages.ListAccountsRequest.FromString(bytes([0x18, 9]))),
    ("ListAccounts", messages.ListAccountsRequest(batch_reference="a\x00b")),
    ("GetClient", messages.GetClientRequest(client_id="a\x00b")),
    ("GetAccount", messages.GetAccountRequest(client_reference="a\x00b")),
    ("ListClientFacts", messages.ListClientFactsRequest(client_id="a\x00b")),
    ("ListClientFacts", messages.ListClientFactsRequest(limit=-1)),
    ("ListClients", messages.ListClientsRequest(limit=501)),
    ("ListClients", messages.ListClientsRequest(cursor=_cursor(1))),
    ("ListClientFacts", messages.ListClientFactsRequest(cursor=_cursor(str(uuid4()), *[0] * 8))),
    ("ListClientFacts", messages.ListClientFactsRequest(cursor=_cursor("{}", *[0] * 8))),
    ("ListAccountFacts", messages.ListAccountFactsRequest(account_id=str(uuid4()), after_version=-1)),
    ("GetAccount", messages.GetAccountRequest()),
    ("GetAccount", messages.GetAccountRequest(account_id=str(uuid4()), as_of=Timestamp(seconds=10**14))),
    ("ValidatePlacements", messages.ValidatePlacementsRequest()),
]


async def test_a_question_that_makes_no_sense_is_told_so(world: World) -> None:
    for method, request in WRONG:
        call = getattr(world.stub, method)(request, metadata=metadata(client()))
        assert await code_of(call) == grpc.StatusCode.INVALID_ARGUMENT, (method, request)


async def test_the_agency_must_say_whose_reference_it_means(world: World) -> None:
    await opened(world, 1)
    asked = messages.GetAccountRequest(client_reference="r000")
    assert await code_of(world.stub.GetAccount(asked, metadata=metadata(agency()))) == grpc.StatusCode.INVALID_ARGUMENT
    asked.client_id = "first-bank"
    assert (await world.stub.GetAccount(asked, metadata=metadata(agency()))).account.version == 1


async def test_clients_are_listed_for_the_agency_and_each_client_sees_itself(world: World) -> None:
    await world.open_client()
    await world.open_client("second-bank")
    await world.open_client("third-bank", SOUTH)
    everyone = await world.stub.ListClients(messages.ListClientsRequest(), metadata=metadata(agency()))
    assert [each.client_id for each in everyone.clients] == ["first-bank", "second-bank"]
    own = await world.stub.ListClients(messages.ListClientsRequest(), metadata=metadata(client()))
    assert [each.client_id for each in own.clients] == ["first-bank"]
    asked = messages.GetClientRequest(client_id="second-bank")
    assert (await world.stub.GetClient(asked, metadata=metadata(agency()))).client.portfolios[0].portfolio_id == "cards"
    assert await code_of(world.stub.GetClient(asked, metadata=metadata(client()))) == grpc.StatusCode.NOT_FOUND


async def test_clients_come_page_by_page(world: World) -> None:
    for client_id in ("c-bank", "a-bank", "b-bank"):
        await world.open_client(client_id)
    found: list[list[str]] = []
    asked = messages.ListClientsRequest(limit=2)
    while len(found) < 9:
        page = await world.stub.ListClients(asked, metadata=metadata(agency()))
        found.append([each.client_id for each in page.clients])
        if not page.HasField("next_cursor"):
            break
        asked.cursor = page.next_cursor
    assert found == [["a-bank", "b-bank"], ["c-bank"]]


async def test_personal_data_are_shown_to_the_agency_with_a_reason_that_is_logged(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    (account_id,) = await opened(world, 1)
    (debtor,) = (await account(world, account_id)).debtors
    await link(world, debtor.person_id, account_id)
    asked = messages.GetPersonRequest(person_id=debtor.person_id)
    without = await world.stub.GetPerson(asked, metadata=metadata(agency()))
    assert (without.person.accounts[0].account_id, without.HasField("party")) == (account_id, False)
    asked.reason = "the consumer called"
    shown = await world.stub.GetPerson(asked, metadata=metadata(agency()))
    assert shown.party.name == party().name
    said = "".join(capfd.readouterr())
    assert "personal data read" in said
    assert "the consumer called" in said
    assert "Quimby" not in said
    assert await code_of(world.stub.GetPerson(asked, metadata=metadata(client()))) == grpc.StatusCode.PERMISSION_DENIED
    asked.as_of.GetCurrentTime()
    assert await code_of(world.stub.GetPerson(asked, metadata=metadata(agency()))) == grpc.StatusCode.INVALID_ARGUMENT
    asked.vault_version = debtor.vault_version
    await asyncio.sleep(0.002)
    assert (await world.stub.GetPerson(asked, metadata=metadata(agency()))).party == shown.party
    asked.reason = " "
    assert await code_of(world.stub.GetPerson(asked, metadata=metadata(agency()))) == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_hold_on_a_person_counts_at_once_on_every_account(world: World) -> None:
    ids = await opened(world, 2)
    (debtor,) = (await account(world, ids[0])).debtors
    await link(world, debtor.person_id, ids[0])
    hold = commands.PlacePersonHold(person_id=debtor.person_id, reason=words.HOLD_REASON_DECEASED)
    assert (await world.one(agency(), hold)).answer.HasField("accepted")
    for account_id in ids:
        asked = messages.GetStandingRequest(account_id=account_id)
        standing = await world.stub.GetStanding(asked, metadata=metadata(client()))
        assert not standing.workable
        assert [each.scope for each in standing.holds] == [words.HOLD_SCOPE_PERSON]


async def test_standing_follows_holds_and_phase(world: World) -> None:
    (account_id,) = await opened(world, 1)
    asked = messages.GetStandingRequest(account_id=account_id)

    async def workable() -> bool:
        return bool((await world.stub.GetStanding(asked, metadata=metadata(client()))).workable)

    assert await workable()
    await world.one(client(), _hold(account_id))
    assert not await workable()
    await world.one(client(), commands.ReleaseHold(account_id=account_id, hold_id="H", reason="over"))
    assert await workable()
    await world.one(client(), _close(account_id))
    assert not await workable()
