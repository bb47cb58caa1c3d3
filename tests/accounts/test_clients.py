"""Clients, their contracts and their portfolios."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import Contract

from kernel.testing import Scenario
from services.accounts.domain import client as rules
from services.accounts.domain.client import CLIENT, Client
from services.accounts.domain.refusals import InvalidFields
from tests.accounts.examples import CONTRACT

NOTHING: Scenario[Client] = Scenario(CLIENT)


def register(**changes: object) -> commands.RegisterClient:
    command = commands.RegisterClient(
        client_id="first-bank", legal_name="First Bank", kind=words.CLIENT_KIND_CREDITOR, contract=CONTRACT
    )
    command.MergeFrom(commands.RegisterClient(**changes))  # type: ignore[arg-type]
    return command


def amend(rate: int = 3000) -> commands.AmendContract:
    contract = Contract()
    contract.CopyFrom(CONTRACT)
    contract.contingency_rate_basis_points = rate
    return commands.AmendContract(client_id="first-bank", contract=contract)


REGISTERED = events.ClientRegistered(
    client_id="first-bank", legal_name="First Bank", kind=words.CLIENT_KIND_CREDITOR, contract=CONTRACT
)
OPENED = events.PortfolioOpened(client_id="first-bank", portfolio_id="cards", name="Cards")
OPEN = commands.OpenPortfolio(client_id="first-bank", portfolio_id="cards", name="Cards")


def test_a_client_is_registered_with_its_contract() -> None:
    NOTHING.when(register()).then(REGISTERED)


def test_registering_again_is_already_so_also_after_the_contract_was_amended() -> None:
    NOTHING.given(REGISTERED).when(register()).nothing()
    amended = events.ContractAmended(client_id="first-bank", contract=amend().contract)
    NOTHING.given(REGISTERED, amended).when(register()).nothing()


def test_a_clients_id_names_one_firm() -> None:
    NOTHING.given(REGISTERED).when(register(legal_name="Other Bank")).refused(rules.ClientIdTaken)


WRONG: list[tuple[Callable[[Contract], object], str]] = [
    (lambda c: setattr(c, "contingency_rate_basis_points", 10001), "/contract/contingency_rate_basis_points"),
    (lambda c: setattr(c, "contingency_rate_basis_points", -1), "/contract/contingency_rate_basis_points"),
    (lambda c: setattr(c, "free_demand_days", 367), "/contract/free_demand_days"),
    (lambda c: c.ClearField("currencies"), "/contract/currencies"),
    (lambda c: c.currencies.append("usd"), "/contract/currencies/1"),
    (lambda c: c.currencies.extend(["USD"] * 20), "/contract/currencies"),
]


@pytest.mark.parametrize(("change", "pointer"), WRONG)
def test_a_contract_keeps_within_bounds(change: Callable[[Contract], object], pointer: str) -> None:
    command = register()
    change(command.contract)
    NOTHING.when(command).refused(InvalidFields, pointer)


def test_a_reference_of_a_client_looks_as_it_is() -> None:
    NOTHING.when(register(client_id="first\u200dbank")).refused(InvalidFields, "/client_id")


def test_a_contract_is_amended_and_the_same_contract_is_already_so() -> None:
    state = (
        NOTHING.given(REGISTERED)
        .when(amend())
        .then(events.ContractAmended(client_id="first-bank", contract=amend().contract))
    )
    assert state.terms().contingency_rate_basis_points == 3000
    assert state.terms().client_version == 2
    NOTHING.given(REGISTERED).when(amend(2500)).nothing()


def test_a_portfolio_is_opened_once() -> None:
    state = NOTHING.given(REGISTERED).when(OPEN).then(OPENED)
    assert state.standing("cards").portfolio_open
    assert not state.standing("loans").portfolio_open
    NOTHING.given(REGISTERED, OPENED).when(OPEN).nothing()


def test_a_portfolios_id_names_one_portfolio() -> None:
    other = commands.OpenPortfolio(client_id="first-bank", portfolio_id="cards", name="Other")
    NOTHING.given(REGISTERED, OPENED).when(other).refused(rules.PortfolioIdTaken)
