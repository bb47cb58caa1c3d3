"""`recoup audit …` against a running audit service: words for a person, JSON for a program, and exit codes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import structlog
from recoup.accounts.v1.state_pb2 import AccountState
from typer.testing import CliRunner, Result

from cli import audit as command_line
from cli.session import Session
from deploy.local.child import PlatformError
from deploy.local.databases import Database, drop_database
from deploy.local.platform import Addresses
from deploy.local.secrets import Secrets
from tests.audit import histories as h
from tests.audit.served import ANN, SECRET, Owner, auditing, hear, owner_of, owning


def history() -> h.Log:
    log = h.Log()
    log.add(h.placed())
    log.add(h.payment(30_000, h.buckets(10_000, 20_000), h.buckets(70_000), "2026-03-05"))
    return log


@pytest.fixture(scope="module")
def heard(new_database: Callable[..., Database]) -> Iterator[Database]:
    made = new_database("audit")
    hear(made, history())
    yield made
    drop_database(made)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The services run in this process: what they log must not stand in what the command prints."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@asynccontextmanager
async def running(
    database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """A platform of the two services, and its command line."""
    async with owning(owner) as owner_address, auditing(database, owner_address) as audit:
        ports = {"audit": {"grpc": int(audit.address.rpartition(":")[2])}}
        secrets = Secrets(SECRET.decode(), "", "", "")
        session = Session(Addresses("", "", ports, ""), secrets, ANN)
        monkeypatch.setattr(command_line, "open_session", lambda _agency: session)

        async def recoup(*arguments: str) -> Result:
            runner = CliRunner(env={"COLUMNS": "200"})
            return await asyncio.to_thread(lambda: runner.invoke(command_line.app, list(arguments)))

        yield recoup


async def test_a_case_is_shown_and_printed_as_json(heard: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(heard, owner_of(history()), monkeypatch) as recoup:
        shown = (await recoup("case", h.ACCOUNT)).output
        assert "700.00 USD" in shown
        assert "PaymentPosted" in shown
        printed = json.loads(
            (await recoup("case", h.ACCOUNT, "--json", "--recorded-until", "2026-03-01T12:00Z")).output
        )
        assert printed["account"]["balance_total_minor"] == "100000"
        assert "-300.00 USD" in shown
        assert "may still change" not in shown


async def test_a_story_is_told_with_its_rules(heard: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(heard, owner_of(history()), monkeypatch) as recoup:
        told = (await recoup("story", h.ACCOUNT)).output.replace("\n", " ")
        assert "user:ann placed account R-0001" in told
        assert "[the client's contract: portfolio cards]" in told
        assert len(json.loads((await recoup("story", h.ACCOUNT, "--json")).output)["sentences"]) == 2


async def test_a_comparison_names_the_field_and_exits_1(heard: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(state: AccountState) -> None:
        state.balance.principal_minor += 1

    owner = owner_of(history())
    async with running(heard, owner, monkeypatch) as recoup:
        agreed = await recoup("compare")
        assert (agreed.exit_code, "1 of 1 accounts are the same" in agreed.output) == (0, True)
        owner.spoil = spoil
        for arguments in (("compare",), ("compare", h.ACCOUNT)):
            differs = await recoup(*arguments)
            assert (differs.exit_code, "/balance/principal" in differs.output) == (1, True)
        case = json.loads((await recoup("compare", "--json")).output)["cases"][0]
        assert case["differences"][0]["pointer"] == "/balance/principal_minor"


async def test_verification_says_that_everything_holds_or_exits_1(
    heard: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(heard, owner_of(history()), monkeypatch) as recoup:
        verified = await recoup("verify")
        assert (verified.exit_code, "Every hash and every chain holds" in verified.output) == (0, True)
    forged = h.Log()
    for record in history().records:
        forged.add(h.placed(), UUID(int=record.number + 5))
    async with running(heard, owner_of(forged), monkeypatch) as recoup:
        verified = await recoup("verify")
        assert (verified.exit_code, "the histories are" in verified.output) == (1, True)
        assert json.loads((await recoup("verify", "--json")).output)["breaches"]


async def test_what_is_wrong_is_said_in_a_sentence(heard: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(heard, owner_of(history()), monkeypatch) as recoup:
        for arguments, sentence in (
            (("case", "aaaaaaaa-0000-4000-8000-000000000099"), "audit has heard of no account"),
            (("case", "no-uuid"), "/account_id must be the account's id, a UUID"),
            (("case", h.ACCOUNT, "--recorded-until", "yesterday"), "--recorded-until takes an instant such as"),
        ):
            failed = (await recoup(*arguments)).exception
            assert isinstance(failed, PlatformError)
            assert sentence in str(failed)
