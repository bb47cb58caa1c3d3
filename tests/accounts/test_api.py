"""Accounts over real gRPC on a real database."""

from __future__ import annotations

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import service_pb2 as messages
from recoup.accounts.v1 import words_pb2 as words

from tests.accounts.examples import placement
from tests.accounts.world import World, client, metadata


async def test_an_account_is_placed_and_a_payment_posted(world: World) -> None:
    await world.open_client()
    placed = await world.one(client(), placement())
    assert list(placed.answer.accepted.types) == ["recoup.accounts.v1.AccountPlaced"], placed
    payment = commands.PostPayment(
        account_id=placed.entity_id,
        payee=words.PAYEE_US,
        amount_minor=2500,
        currency="USD",
        effective_date="2026-03-02",
        transaction_reference="T1",
        instrument=words.INSTRUMENT_ACH,
    )
    posted = await world.one(client(), payment)
    assert posted.answer.version == 2, posted
    asked = messages.GetAccountRequest(client_reference="4711")
    account = (await world.stub.GetAccount(asked, metadata=metadata(client()))).account
    assert account.balance_total_minor == 9500
    assert [entry.type.rpartition(".")[2] for entry in account.ledger] == ["AccountPlaced", "PaymentPosted"]
