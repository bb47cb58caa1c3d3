"""Accounts over real gRPC on a real database: commands and their answers."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import PartyName
from recoup.accounts.v1.terms_pb2 import Bankruptcy, DebtorFlags, PlacedDocument

from kernel.status import faults_of, reason_of
from kernel.tenancy import Caller
from tests.accounts.examples import CONTRACT, party, placement
from tests.accounts.world import EVERYTHING, NORTH, SOUTH, World, agency, client, metadata


def payment(account_id: str, reference: str = "T1", amount_minor: int = 2500) -> commands.PostPayment:
    return commands.PostPayment(
        account_id=account_id,
        payee=words.PAYEE_US,
        amount_minor=amount_minor,
        currency="USD",
        effective_date="2026-03-02",
        transaction_reference=reference,
        instrument=words.INSTRUMENT_ACH,
    )


def reasons(results: Any) -> list[str]:
    """The outcome of each result, or the reason why it has none."""
    return [
        result.answer.WhichOneof("outcome") if result.HasField("answer") else reason_of(result.error)
        for result in results
    ]


async def test_an_account_is_placed_and_a_payment_posted(world: World) -> None:
    await world.open_client()
    placed = await world.one(client(), placement())
    assert list(placed.answer.accepted.types) == ["recoup.accounts.v1.AccountPlaced"], placed
    posted = await world.one(client(), payment(placed.entity_id))
    assert posted.answer.version == 2, posted
    asked = messages.GetAccountRequest(client_reference="4711")
    account = (await world.stub.GetAccount(asked, metadata=metadata(client()))).account
    assert account.balance_total_minor == 9500
    assert [entry.type.rpartition(".")[2] for entry in account.ledger] == ["AccountPlaced", "PaymentPosted"]


async def test_the_same_call_again_gets_the_first_answer(world: World) -> None:
    await world.open_client()
    first = await world.one(client(), placement(), "call-1")
    again = await world.one(client(), placement(), "call-1")
    assert again.answer.replayed
    again.answer.replayed = False
    assert again.answer == first.answer


async def test_a_retry_is_known_by_what_was_sent_although_the_world_has_moved_on(world: World) -> None:
    await world.open_client()
    await world.one(client(), placement(), "call-1")
    contract = commands.Contract()
    contract.CopyFrom(CONTRACT)
    contract.contingency_rate_basis_points = 100
    await world.one(agency(), commands.AmendContract(client_id="first-bank", contract=contract))
    assert (await world.one(client(), placement(), "call-1")).answer.replayed


async def test_another_placement_under_the_same_id_is_refused(world: World) -> None:
    await world.open_client()
    await world.one(client(), placement(), "call-1")
    other = await world.one(client(), placement(brand="Other"), "call-1")
    assert (other.error.code, reason_of(other.error)) == (6, "ID_REUSED")


async def test_the_same_placement_under_another_id_is_already_so(world: World) -> None:
    await world.open_client()
    await world.one(client(), placement())
    assert reasons([await world.one(client(), placement())]) == ["already"]


async def test_other_content_under_the_same_reference_is_refused(world: World) -> None:
    await world.open_client()
    await world.one(client(), placement())
    other = await world.one(client(), placement(party(name=PartyName(first="Bea"))))
    assert other.answer.refusal.rule == "ClientReferenceTaken"
    assert [fault.pointer for fault in other.answer.refusal.faults] == ["/terms/client_reference"]


async def test_an_incomplete_placement_names_every_fault_of_every_kind(world: World) -> None:
    await world.open_client()
    wrong = placement(party(date_of_birth="2015-01-01"))
    wrong.terms.ClearField("currency")
    wrong.terms.debt.ClearField("product_type")
    wrong.terms.balance.total_minor = 5
    wrong.parties[0].name.ClearField("last")
    wrong.parties[0].addresses[0].ClearField("city")
    result = await world.one(client(), wrong)
    assert reason_of(result.error) == "INCOMPLETE"
    assert sorted(fault.pointer for fault in faults_of(result.error)) == [
        "/parties/0/addresses/0/city",
        "/parties/0/date_of_birth",
        "/parties/0/name/last",
        "/terms/balance/total_minor",
        "/terms/currency",
        "/terms/debt/product_type",
        "/terms/itemization/current_amount_minor",
    ]


async def test_a_minor_is_refused_by_a_rule_with_the_field_named(world: World) -> None:
    await world.open_client()
    result = await world.one(client(), placement(party(date_of_birth="2015-01-01")))
    assert result.answer.refusal.rule == "PlacementInvalid"
    assert [fault.pointer for fault in result.answer.refusal.faults] == ["/parties/0/date_of_birth"]


async def test_a_name_keeps_its_joiners_and_no_text_has_control_characters(world: World) -> None:
    await world.open_client()
    joined = party(name=PartyName(first="Zoya\u200dN"))
    assert reasons([await world.one(client(), placement(joined))]) == ["accepted"]
    result = await world.one(client(), placement(party(name=PartyName(first="A\u202eB")), client_reference="2"))
    assert [fault.pointer for fault in faults_of(result.error)] == ["/parties/0/name/first"]


async def test_a_quarantined_account_is_mended_by_a_later_call(world: World) -> None:
    await world.open_client()
    lacking = placement()
    lacking.terms.debt.ClearField("accrual_date")
    first = await world.one(client(), lacking)
    assert list(first.answer.accepted.types) == ["recoup.accounts.v1.PlacementQuarantined"]
    mended = await world.one(client(), placement(), completes=True)
    assert list(mended.answer.accepted.types) == ["recoup.accounts.v1.PlacementCompleted"]
    assert mended.entity_id == first.entity_id
    assert reasons([await world.one(client(), placement(), completes=True)]) == ["already"]


async def test_what_the_creditor_knows_holds_the_account_from_its_first_moment(world: World) -> None:
    await world.open_client()
    bankrupt = party(flags=DebtorFlags(bankruptcy=Bankruptcy(chapter=7)))
    placed = await world.one(client(), placement(bankrupt))
    asked = messages.GetStandingRequest(account_id=placed.entity_id)
    standing = await world.stub.GetStanding(asked, metadata=metadata(client()))
    assert not standing.workable
    assert [hold.reason for hold in standing.holds] == [words.HOLD_REASON_BANKRUPTCY]


async def test_a_wish_or_a_representative_holds_like_a_flag(world: World) -> None:
    await world.open_client()
    made = placement()
    made.parties[0].wishes.cease_date = "2026-01-01"
    made.parties[0].representative.kind, made.parties[0].representative.name = "attorney", "Lionel Hutz"
    placed = await world.one(client(), made)
    assert [name.rpartition(".")[2] for name in placed.answer.accepted.types] == [
        "AccountPlaced",
        "HoldPlaced",
        "HoldPlaced",
    ]


async def test_a_bulk_of_every_kind_answers_each_item_in_order(world: World) -> None:
    await world.open_client()
    lacking = placement(client_reference="lacking")
    lacking.terms.ClearField("itemization")
    wrong = placement(client_reference="wrong", currency="CAD")
    incomplete = placement(client_reference="incomplete")
    incomplete.ClearField("parties")
    results = await world.execute(
        client(), placement(), placement(), lacking, wrong, incomplete, placement(brand="other content")
    )
    assert reasons(results) == ["accepted", "already", "accepted", "refusal", "refusal", "refusal"]
    assert [result.answer.refusal.rule for result in results[3:]] == [
        "CurrencyNotAgreed",
        "PlacementInvalid",
        "ClientReferenceTaken",
    ]


async def test_five_hundred_placements_of_ten_persons_go_in_one_call(world: World) -> None:
    await world.open_client()
    persons = [party(national_id=f"90000000{number}") for number in range(10)]
    given = [placement(persons[number % 10], client_reference=f"r{number}") for number in range(500)]
    results = await world.execute(client(), *given)
    assert reasons(results) == ["accepted"] * 500
    asked = messages.ListAccountsRequest(limit=500)
    found = (await world.stub.ListAccounts(asked, metadata=metadata(client()))).accounts
    assert len({account.debtors[0].person_id for account in found}) == 10
    assert {account.debtors[0].vault_version for account in found} == {1}


async def test_a_placement_and_what_follows_it_may_go_in_one_call(world: World) -> None:
    await world.open_client()
    account_id = (await world.one(client(), placement(client_reference="other"))).entity_id
    results = await world.execute(client(), placement(), placement(), payment(account_id))
    assert reasons(results) == ["accepted", "already", "accepted"]
    lacking = placement(client_reference="mended")
    lacking.terms.debt.ClearField("accrual_date")
    first = await world.execute(client(), lacking)
    then = await world.execute(client(), placement(party(), client_reference="mended"), payment(first[0].entity_id))
    assert reasons(then) == ["refusal", "accepted"]


async def test_callers_who_place_the_same_new_person_at_once_agree_on_who_it_is(world: World) -> None:
    await world.open_client()
    calls = [world.one(client(), placement(client_reference=f"r{number}")) for number in range(12)]
    assert reasons(await asyncio.gather(*calls)) == ["accepted"] * 12
    found = (await world.stub.ListAccounts(messages.ListAccountsRequest(), metadata=metadata(client()))).accounts
    assert len({account.debtors[0].person_id for account in found}) == 1


async def test_the_same_placement_sent_at_once_is_placed_once(world: World) -> None:
    await world.open_client()
    calls = [world.one(client(), placement(), "call-1") for _ in range(8)]
    results = await asyncio.gather(*calls)
    assert reasons(results) == ["accepted"] * 8
    assert sum(not result.answer.replayed for result in results) == 1
    calls = [world.one(client(), placement()) for _ in range(8)]
    assert reasons(await asyncio.gather(*calls)) == ["already"] * 8


@pytest.mark.parametrize("count", [0, 501])
async def test_a_call_carries_one_to_five_hundred_commands(world: World, count: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.execute(client(), *[payment(str(uuid4()))] * count)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_another_clients_account_answers_exactly_as_one_that_does_not_exist(world: World) -> None:
    await world.open_client()
    await world.open_client("second-bank")
    theirs = (await world.one(client(), placement())).entity_id
    nobodys = str(uuid4())
    stranger = client("second-bank")
    asked = messages.GetAccountRequest, messages.GetStandingRequest, messages.ListAccountFactsRequest
    methods = world.stub.GetAccount, world.stub.GetStanding, world.stub.ListAccountFacts
    for request, method in zip(asked, methods, strict=True):
        said = []
        for account_id in (theirs, nobodys):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(request(account_id=account_id), metadata=metadata(stranger))
            said.append((caught.value.code(), str(caught.value.details()).replace(account_id, "…")))
        assert said[0] == said[1]
        assert said[0][0] == grpc.StatusCode.NOT_FOUND
    for command in (payment, _hold, _release, _close):
        answers = await world.execute(stranger, command(theirs), command(nobodys))
        shapes = [str(answer).replace(theirs, "…").replace(nobodys, "…") for answer in answers]
        assert reasons(answers) == ["UNKNOWN", "UNKNOWN"]
        assert shapes[0] == shapes[1]
    other = await world.one(stranger, placement())
    assert reason_of(other.error) == "FORBIDDEN"


def _hold(account_id: str) -> commands.PlaceHold:
    reason = words.HOLD_REASON_COMPLAINT
    return commands.PlaceHold(account_id=account_id, scope=words.HOLD_SCOPE_ACCOUNT, reason=reason, hold_id="H")


def _release(account_id: str) -> commands.ReleaseHold:
    return commands.ReleaseHold(account_id=account_id, hold_id="H", reason="over")


def _close(account_id: str) -> commands.CloseAccount:
    return commands.CloseAccount(account_id=account_id, code=words.CLOSE_CODE_UNECONOMIC, closed_date="2026-03-02")


async def test_an_id_that_is_no_id_names_nothing(world: World) -> None:
    await world.open_client()
    for wrong in ("4711", "", "X" * 36, str(uuid4()).upper()):
        result = await world.one(client(), payment(wrong))
        assert reasons([result]) == ["UNKNOWN"], wrong


async def test_each_command_needs_its_scope_and_the_agencys_are_for_the_agency(world: World) -> None:
    await world.open_client()
    account_id = (await world.one(client(), placement())).entity_id
    reader = Caller(NORTH, "first-bank", "reader", "reader", frozenset({"accounts:read"}))
    results = await world.execute(reader, placement(client_reference="2"), payment(account_id), _hold(account_id))
    assert reasons(results) == ["FORBIDDEN"] * 3
    register = commands.RegisterClient(client_id="third-bank")
    erase = commands.ErasePerson(person_id=str(uuid4()), reason="?")
    assert reasons(await world.execute(client(), register, erase)) == ["FORBIDDEN"] * 2
    writer = Caller(NORTH, None, "writer", "writer", EVERYTHING - {"accounts:read"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.ListAccounts(messages.ListAccountsRequest(), metadata=metadata(writer))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_nobody_approves_their_own_adjustment_whoever_they_say_they_are(world: World) -> None:
    await world.open_client()
    account_id = (await world.one(client(), placement())).entity_id
    adjust = commands.AdjustBalance(
        account_id=account_id,
        transaction_reference="A1",
        bucket=words.BUCKET_FEES,
        difference_minor=-100,
        currency="USD",
        reason=words.ADJUSTMENT_REASON_FEE_WAIVED,
        approver="clerk",
        effective_date="2026-03-02",
        requested_by="somebody else",
    )
    assert (await world.one(agency(), adjust)).answer.refusal.rule == "ApprovedByActor"
    adjust.approver = "supervisor"
    assert reasons([await world.one(agency(), adjust, "adjust-1")]) == ["accepted"]
    assert (await world.one(agency(), adjust, "adjust-1")).answer.replayed
    colleague = Caller(NORTH, None, "colleague", agency().credential, EVERYTHING)
    assert (await world.one(colleague, adjust, "adjust-1")).answer.replayed


async def test_ids_that_the_caller_leaves_open_are_made_the_same_for_a_retry(world: World) -> None:
    await world.open_client()
    made = placement(documents=[PlacedDocument(type=words.DOCUMENT_TYPE_CONTRACT, sha256="a" * 64)])
    account_id = (await world.one(client(), made)).entity_id
    hold = _hold(account_id)
    hold.ClearField("hold_id")
    first = await world.one(client(), hold, "hold-1")
    again = await world.one(client(), hold, "hold-1")
    assert reasons([first, again]) == ["accepted", "accepted"]
    assert again.answer.replayed
    asked = messages.GetAccountRequest(account_id=account_id)
    account = (await world.stub.GetAccount(asked, metadata=metadata(client()))).account
    assert len(account.holds) == len(account.documents) == 1
    assert account.documents[0].document_id


async def test_a_hold_that_reaches_a_person_is_released_by_the_agency_alone(world: World) -> None:
    await world.open_client()
    account_id = (await world.one(client(), placement(party(flags=DebtorFlags(deceased=True))))).entity_id
    asked = messages.GetAccountRequest(account_id=account_id)
    (hold,) = (await world.stub.GetAccount(asked, metadata=metadata(client()))).account.holds
    release = commands.ReleaseHold(account_id=account_id, hold_id=hold.hold_id, reason="alive after all")
    assert reasons([await world.one(client(), release)]) == ["FORBIDDEN"]
    assert reasons([await world.one(agency(), release)]) == ["accepted"]


async def test_checking_a_placement_says_what_placing_it_would_and_does_nothing(world: World) -> None:
    await world.open_client()
    await world.one(client(), placement())
    lacking = placement(client_reference="2")
    lacking.terms.debt.ClearField("accrual_date")
    lacking.terms.debt.account_open_date, lacking.terms.debt.date_of_first_delinquency = "2025-02-01", "2025-01-01"
    wrong = placement(client_reference="3", portfolio_id="none")
    wrong.terms.balance.total_minor = 1
    request = messages.ValidatePlacementsRequest(
        placements=[placement(), placement(brand="other"), lacking, wrong, placement(client_reference="4")]
    )
    checks = (await world.stub.ValidatePlacements(request, metadata=metadata(client()))).checks
    assert [[fault.pointer for fault in check.errors] for check in checks] == [
        [],
        ["/terms/client_reference"],
        [],
        ["/terms/balance/total_minor", "/terms/itemization/current_amount_minor", "/terms/portfolio_id"],
        [],
    ]
    assert [len(check.shortcomings) for check in checks] == [0, 0, 1, 0, 0]
    assert [[fault.pointer for fault in check.warnings] for check in checks] == [
        [],
        [],
        ["/terms/debt/date_of_first_delinquency"],
        [],
        [],
    ]
    found = (await world.stub.ListAccounts(messages.ListAccountsRequest(), metadata=metadata(client()))).accounts
    assert len(found) == 1


async def test_two_agencies_with_the_same_names_have_nothing_in_common(world: World) -> None:
    for tenant in (NORTH, SOUTH):
        await world.open_client(tenant=tenant)
        assert reasons([await world.one(client(tenant=tenant), placement(), "call-1")]) == ["accepted"]
    north = await world.stub.ListAccounts(messages.ListAccountsRequest(), metadata=metadata(agency()))
    south = await world.stub.ListAccounts(messages.ListAccountsRequest(), metadata=metadata(agency(SOUTH)))
    assert len(north.accounts) == len(south.accounts) == 1
    assert north.accounts[0].account_id != south.accounts[0].account_id
