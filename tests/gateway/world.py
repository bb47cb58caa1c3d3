"""The gateway over real HTTP, in front of the real accounts service, both as processes on one PostgreSQL server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final
from uuid import UUID

import httpx2
import psycopg
from recoup.accounts.v1 import commands_pb2, words_pb2
from recoup.accounts.v1.service_pb2 import ExecuteRequest, ExecuteResponse
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from deploy.local import ports
from deploy.local.child import Child
from deploy.local.databases import Database
from deploy.local.places import Places
from deploy.local.programs import Program, Surroundings, is_ready, start_program
from deploy.local.secrets import Secrets
from kernel.dial import Peer, Tokens
from kernel.tenancy import Caller
from services.gateway.keys import SCOPES, create_key

NORTH, SOUTH = UUID(int=0xA), UUID(int=0xB)
CLIENTS: Final = (("first-bank", NORTH), ("second-bank", NORTH), ("first-bank", SOUTH))
PROGRAMS: Final = (
    Program("accounts", ["services.accounts", "api"], ["grpc", "metrics"], "metrics", holds_people=True),
    Program("gateway", ["services.gateway"], ["http"], "http"),
)
READY_SECONDS: Final = 60.0

_numbers = count(1)


@dataclass(slots=True)
class World:
    """Running processes, and how to ask them."""

    surroundings: Surroundings
    children: dict[str, Child]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.surroundings.ports['gateway.http']}"

    def key(self, *clients: str, tenant: UUID = NORTH, scopes: Sequence[str] = SCOPES, **more: Any) -> str:
        """A new API key."""
        with psycopg.connect(self.surroundings.databases["gateway"].url) as connection:
            made = {"environment": "test", "name": "test", **more}
            return create_key(connection, tenant=tenant, clients=clients or ["first-bank"], scopes=scopes, **made)

    def http(self, key: str | None = None, **headers: str) -> httpx2.Client:
        """A caller with a key; with a new one of first-bank when none is given."""
        told = {"Authorization": f"Bearer {key or self.key()}", **headers}
        return httpx2.Client(base_url=self.url, headers=told, timeout=30, trust_env=False)

    def stop(self, service: str) -> None:
        self.children[service].stop()

    def start(self, service: str) -> None:
        program = next(program for program in PROGRAMS if program.service == service)
        child = start_program(program, self.surroundings)
        child.await_ready(lambda: is_ready(program, self.surroundings), READY_SECONDS)
        self.children[service] = child

    def register(self) -> None:
        """Every client, with a portfolio."""
        asyncio.run(self._register())

    async def _register(self) -> None:
        tokens = Tokens(self.surroundings.secrets.token_secret.encode())
        peer = Peer(f"127.0.0.1:{self.surroundings.ports['accounts.grpc']}", tokens)
        stub = AccountsServiceStub(peer.channel)
        for client_id, tenant in CLIENTS:
            request = ExecuteRequest()
            request.commands.add(given_id=f"register-{client_id}", register_client=_registration(client_id))
            portfolio = commands_pb2.OpenPortfolio(client_id=client_id, portfolio_id="cards", name="cards")
            request.commands.add(given_id=f"open-{client_id}", open_portfolio=portfolio)
            caller = Caller(tenant, None, "operator", "operator", frozenset({"clients:write"}))
            response: ExecuteResponse = await peer.ask(stub.Execute, request, caller)
            assert all(result.answer.HasField("accepted") for result in response.results), response
        await peer.close()


def _registration(client_id: str) -> commands_pb2.RegisterClient:
    contract = commands_pb2.Contract(
        contingency_rate_basis_points=2500,
        allocation_policy=words_pb2.ALLOCATION_POLICY_COSTS_FEES_INTEREST_PRINCIPAL,
        currencies=["USD"],
    )
    kind = words_pb2.CLIENT_KIND_CREDITOR
    return commands_pb2.RegisterClient(client_id=client_id, legal_name=client_id, kind=kind, contract=contract)


@contextlib.contextmanager
def world_of(new_database: Callable[..., Database], places: Places, secrets: Secrets) -> Iterator[World]:
    """The two processes on fresh databases."""
    names = [name for program in PROGRAMS for name in program.port_names()]
    home = replace(places, home=places.home / f"gateway-{next(_numbers)}")
    home.home.mkdir()
    databases = {program.service: new_database(program.service) for program in PROGRAMS}
    around = Surroundings(home, secrets, "real", "127.0.0.1:9", databases, ports.choose(names, home.ports))
    world = World(around, {})
    try:
        for program in PROGRAMS:
            world.start(program.service)
        world.register()
        yield world
    finally:
        for child in reversed(world.children.values()):
            child.stop()


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


PLACEMENT: Final[Mapping[str, Any]] = {
    "client_reference": "A-1",
    "portfolio_id": "cards",
    "batch_reference": "batch-1",
    "placement_date": "2026-03-01",
    "creditors": {
        "current_creditor_legal_name": "First Bank",
        "original_creditor_name": "First Bank",
        "itemization_date_creditor": "First Bank",
    },
    "debt": {
        "product_type": "card",
        "description": "a credit card",
        "consumer": True,
        "debt_type": "unsecured",
        "last_statement_date": "2025-12-31",
        "accrual_date": "2025-06-01",
        "contract_kind": "open_account",
    },
    "balance": {
        "principal": usd(10_000),
        "interest": usd(0),
        "fees": usd(2_000),
        "costs": usd(0),
        "total": usd(12_000),
        "currency": "USD",
    },
    "itemization": {
        "itemization_date_type": "last_statement",
        "itemization_date": "2025-12-31",
        "amount_on_itemization_date": usd(12_000),
        "interest_since": usd(0),
        "fees_since": usd(0),
        "payments_since": usd(0),
        "credits_since": usd(0),
        "current_amount": usd(12_000),
        "account_number_display": "ending in 4711",
    },
    "debtors": [
        {
            "role": "primary",
            "kind": "person",
            "name": {"first": "Ann", "last": "Smith"},
            "date_of_birth": "1980-02-03",
            "addresses": [{"type": "home", "street": "1 Elm Street", "city": "Albany", "state": "NY", "zip": "12207"}],
            "phones": [{"number": "+15185550143", "type": "mobile"}],
        }
    ],
}


def placement(**changes: object) -> dict[str, Any]:
    """A complete placement, of an account and a person of its own; `changes` replace members, a dot leads deeper."""
    number = next(_numbers)
    made = deepcopy(dict(PLACEMENT))
    made["client_reference"] = f"A-{number}"
    made["debtors"][0]["name"]["last"] = f"Smith-{number}"
    for path, value in changes.items():
        target: Any = made
        *way, last = path.split("__")
        for token in way:
            target = target[int(token) if token.isdigit() else token]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return made


def keyed(**headers: str) -> dict[str, str]:
    """Headers with an Idempotency-Key of their own."""
    return {"Idempotency-Key": f"key-{next(_numbers)}", **headers}
