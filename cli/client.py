"""`recoup client register | portfolio | show`: the creditors that the agency works for, over gRPC as the operator."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2, service_pb2, words_pb2
from recoup.accounts.v1.service_pb2_grpc import AccountsServiceStub

from cli.session import AGENCY, Agency, Session, open_session
from deploy.local.child import PlatformError
from kernel.dial import CallFailed
from services.gateway.accounts import command_of
from services.gateway.shapes import words_of

app = typer.Typer(name="client", help="The creditors that the agency works for.", no_args_is_help=True)

KINDS = words_of(words_pb2.ClientKind.DESCRIPTOR)
POLICIES = words_of(words_pb2.AllocationPolicy.DESCRIPTOR)

ClientId = Annotated[str, typer.Argument(help="The client's id within the agency.")]


@app.command()
def register(  # noqa: PLR0913, PLR0917 - one option for each term of the contract.
    client_id: ClientId,
    legal_name: Annotated[str, typer.Option("--name", help="The legal name of the firm.")],
    kind: Annotated[str, typer.Option("--kind", help=" | ".join(KINDS))] = "creditor",
    policy: Annotated[str, typer.Option("--allocation", help=" | ".join(POLICIES))] = "costs_fees_interest_principal",
    rate: Annotated[
        int, typer.Option("--rate", min=0, max=10_000, help="The agency's share, in basis points.")
    ] = 2_500,
    currency: Annotated[list[str], typer.Option("--currency", help="A currency it may place in.")] = ["USD"],  # noqa: B006
    agency: Agency = AGENCY,
) -> None:
    """Register a client with its contract."""
    contract = commands_pb2.Contract(
        contingency_rate_basis_points=rate,
        allocation_policy=_name(words_pb2.AllocationPolicy.DESCRIPTOR, policy, "allocation"),
        free_demand_days=0,
        currencies=currency,
    )
    command = commands_pb2.RegisterClient(
        client_id=client_id,
        legal_name=legal_name,
        kind=_name(words_pb2.ClientKind.DESCRIPTOR, kind, "kind"),
        contract=contract,
    )
    asyncio.run(_execute(open_session(agency), command))
    typer.echo(f"{client_id} is registered.")


@app.command()
def portfolio(
    client_id: ClientId,
    portfolio_id: Annotated[str, typer.Argument(help="The portfolio's id within the client.")],
    name: Annotated[str | None, typer.Option("--name", help="Its name; its id when absent.")] = None,
    agency: Agency = AGENCY,
) -> None:
    """Open a portfolio, which accounts are placed into."""
    command = commands_pb2.OpenPortfolio(client_id=client_id, portfolio_id=portfolio_id, name=name or portfolio_id)
    asyncio.run(_execute(open_session(agency), command))
    typer.echo(f"{portfolio_id} of {client_id} is open.")


@app.command()
def show(client_id: ClientId, agency: Agency = AGENCY) -> None:
    """Show a client, its contract and its portfolios."""
    typer.echo(MessageToJson(asyncio.run(_client(open_session(agency), client_id)), preserving_proto_field_name=True))


async def _execute(session: Session, command: Message) -> None:
    request = service_pb2.ExecuteRequest(commands=[command_of(str(uuid4()), command)])
    async with session.peer("accounts") as peer:
        stub = AccountsServiceStub(peer.channel)
        try:
            response: service_pb2.ExecuteResponse = await peer.ask(stub.Execute, request, session.caller)
        except CallFailed as failed:
            raise PlatformError(str(failed)) from failed
    (result,) = response.results
    if result.HasField("error"):
        raise PlatformError(result.error.message)
    if result.answer.HasField("refusal"):
        refusal = result.answer.refusal
        faults = "; ".join(f"{fault.pointer} {fault.message}" for fault in refusal.faults)
        message = f"{refusal.rule}: {refusal.text} {faults}".rstrip()
        raise PlatformError(message)


async def _client(session: Session, client_id: str) -> Message:
    async with session.peer("accounts") as peer:
        stub = AccountsServiceStub(peer.channel)
        request = service_pb2.GetClientRequest(client_id=client_id)
        try:
            response: service_pb2.GetClientResponse = await peer.ask(stub.GetClient, request, session.caller)
        except CallFailed as failed:
            raise PlatformError(str(failed)) from failed
    return response.client


def _name(enum: EnumDescriptor, word: str, option: str) -> str:
    """The enum's own name of a word."""
    words = words_of(enum)
    if word not in words:
        message = f"--{option} takes one of: {', '.join(words)}"
        raise PlatformError(message)
    return str(enum.values_by_number[words[word]].name)
