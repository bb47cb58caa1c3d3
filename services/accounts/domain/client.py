"""The client: who places accounts, under which contract, into which portfolios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.commands_pb2 import ClientStanding, Contract
from recoup.accounts.v1.terms_pb2 import ContractTerms

from kernel.decider import Decider, Fault, Refused
from services.accounts.domain.fields import currency_faults, length_faults, rate_faults, reference_faults
from services.accounts.domain.refusals import refuse_faults

CURRENCIES_MAX: Final = 20
FREE_DEMAND_DAYS_MAX: Final = 366


class ClientIdTaken(Refused):
    """A client's id names one firm, which was registered with other content."""


class PortfolioIdTaken(Refused):
    """A portfolio's id names one portfolio of its client, which was opened under another name."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client. The messages inside are shared with the facts and must not be changed."""

    client_id: str = ""
    version: int = 0
    legal_name: str = ""
    kind: words.ClientKind = words.CLIENT_KIND_UNSPECIFIED
    contract: Contract = field(default_factory=Contract)
    registered_with: Contract = field(default_factory=Contract)
    portfolios: Mapping[str, str] = field(default_factory=dict)

    def standing(self, portfolio_id: str) -> ClientStanding:
        """What a placement's decision must know of the client."""
        return ClientStanding(
            registered=self.version > 0,
            portfolio_open=portfolio_id in self.portfolios,
            currencies=self.contract.currencies,
            kind=self.kind,
        )

    def terms(self) -> ContractTerms:
        """The contract as an account works under it."""
        return ContractTerms(
            client_version=self.version,
            allocation_policy=self.contract.allocation_policy,
            contingency_rate_basis_points=self.contract.contingency_rate_basis_points,
        )


def decide(command: Message, client: Client, now: datetime) -> Sequence[Message]:
    """The facts that the command brings about, none when it is so already, or a refusal."""
    return _DECISIONS[type(command)](command, client, now)


def evolve(client: Client, fact: Message) -> Client:
    """The client after one more fact."""
    return _EVOLUTIONS[type(fact)](client, fact, client.version + 1)


def _register(command: commands.RegisterClient, client: Client, _now: datetime) -> Sequence[Message]:
    if client.version:
        same = (client.legal_name, client.kind, client.registered_with) == (
            command.legal_name,
            command.kind,
            command.contract,
        )
        if not same:
            raise ClientIdTaken
        return ()
    refuse_faults((*reference_faults("/client_id", command.client_id), *_contract_faults(command)))
    fact = events.ClientRegistered(
        client_id=command.client_id,
        legal_name=command.legal_name,
        kind=command.kind,
        contract=command.contract,
    )
    return (fact,)


def _amend(command: commands.AmendContract, client: Client, _now: datetime) -> Sequence[Message]:
    refuse_faults(_contract_faults(command))
    if command.contract == client.contract:
        return ()
    return (events.ContractAmended(client_id=client.client_id, contract=command.contract),)


def _open_portfolio(command: commands.OpenPortfolio, client: Client, _now: datetime) -> Sequence[Message]:
    refuse_faults((*reference_faults("/portfolio_id", command.portfolio_id), *length_faults(command)))
    name = client.portfolios.get(command.portfolio_id)
    if name is not None:
        if name != command.name:
            raise PortfolioIdTaken
        return ()
    fact = events.PortfolioOpened(client_id=client.client_id, portfolio_id=command.portfolio_id, name=command.name)
    return (fact,)


def _contract_faults(command: commands.RegisterClient | commands.AmendContract) -> Iterator[Fault]:
    contract, at = command.contract, "/contract"
    yield from length_faults(command)
    yield from rate_faults(f"{at}/contingency_rate_basis_points", contract.contingency_rate_basis_points)
    if not 0 <= contract.free_demand_days <= FREE_DEMAND_DAYS_MAX:
        yield Fault(f"{at}/free_demand_days", "out_of_range", f"must be 0 to {FREE_DEMAND_DAYS_MAX} days")
    if not 1 <= len(contract.currencies) <= CURRENCIES_MAX:
        yield Fault(f"{at}/currencies", "out_of_range", f"must have 1 to {CURRENCIES_MAX} items")
    for index, currency in enumerate(contract.currencies):
        yield from currency_faults(f"{at}/currencies/{index}", currency)


def _registered(_client: Client, fact: events.ClientRegistered, version: int) -> Client:
    return Client(fact.client_id, version, fact.legal_name, fact.kind, fact.contract, fact.contract)


def _amended(client: Client, fact: events.ContractAmended, version: int) -> Client:
    return replace(client, version=version, contract=fact.contract)


def _portfolio_opened(client: Client, fact: events.PortfolioOpened, version: int) -> Client:
    return replace(client, version=version, portfolios={**client.portfolios, fact.portfolio_id: fact.name})


_DECISIONS: Final[Mapping[type[Message], Callable[[Any, Client, datetime], Sequence[Message]]]] = {
    commands.RegisterClient: _register,
    commands.AmendContract: _amend,
    commands.OpenPortfolio: _open_portfolio,
}
_EVOLUTIONS: Final[Mapping[type[Message], Callable[[Client, Any, int], Client]]] = {
    events.ClientRegistered: _registered,
    events.ContractAmended: _amended,
    events.PortfolioOpened: _portfolio_opened,
}

CLIENT: Final = Decider(
    category="client",
    initial=Client(),
    decide=decide,
    evolve=evolve,
    commands=tuple(_DECISIONS),
    facts=tuple(_EVOLUTIONS),
    client=lambda client: client.client_id or None,
    begins=(commands.RegisterClient,),
)
