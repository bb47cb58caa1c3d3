"""`recoup audit case | story | compare | verify`: what the auditor makes of the log, over gRPC as the operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar
from uuid import UUID

import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.accounts.v1.state_pb2 import AccountPhase, AccountState
from recoup.accounts.v1.terms_pb2 import Buckets
from recoup.audit.v1 import service_pb2 as messages
from recoup.audit.v1.service_pb2_grpc import AuditServiceStub
from rich.console import Console
from rich.table import Table

from cli.session import AGENCY, Agency, Session, open_session
from deploy.local.child import PlatformError
from kernel.dial import CallFailed, Peer
from services.audit.domain.amounts import money
from services.audit.domain.sentences import word

if TYPE_CHECKING:
    from recoup.audit.v1.service_pb2_grpc import AuditServiceAsyncStub

app = typer.Typer(name="audit", help="Rebuild, tell, compare and verify what was recorded.", no_args_is_help=True)

LONG_SECONDS: Final = 600.0
"""Comparing and verifying everything takes as long as there is to read."""
Answer = TypeVar("Answer")

AccountId = Annotated[str, typer.Argument(help="The account's id.")]
RecordedUntil = Annotated[
    str | None, typer.Option("--recorded-until", help="What was known by this instant, for example 2026-03-05T12:00Z.")
]
OccurredUntil = Annotated[
    str | None, typer.Option("--occurred-until", help="What had happened by this instant, whenever it was recorded.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command()
def case(
    account_id: AccountId,
    recorded_until: RecordedUntil = None,
    occurred_until: OccurredUntil = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag of the command line.
    agency: Agency = AGENCY,
) -> None:
    """Show a case as audit rebuilds it, as of an instant recorded and effective."""
    request = messages.GetCaseRequest(
        account_id=account_id,
        recorded_until=_instant("--recorded-until", recorded_until),
        occurred_until=_instant("--occurred-until", occurred_until),
    )
    answer: messages.GetCaseResponse = _ask(agency, lambda peer, stub, by: peer.ask(stub.GetCase, request, by.caller))
    if as_json:
        _print_json(answer)
        return
    _show_case(Console(), answer)


@app.command()
def story(
    account_id: AccountId,
    recorded_until: RecordedUntil = None,
    occurred_until: OccurredUntil = None,
    as_json: AsJson = False,  # noqa: FBT002
    agency: Agency = AGENCY,
) -> None:
    """Tell a case in plain sentences: who did what, why, and by which rule."""
    request = messages.TellStoryRequest(
        account_id=account_id,
        recorded_until=_instant("--recorded-until", recorded_until),
        occurred_until=_instant("--occurred-until", occurred_until),
    )
    answer: messages.TellStoryResponse = _ask(
        agency, lambda peer, stub, by: peer.ask(stub.TellStory, request, by.caller)
    )
    if as_json:
        _print_json(answer)
        return
    console = Console(highlight=False, markup=False)
    for sentence in answer.sentences:
        rule = f" [{sentence.rule}]" if sentence.rule else ""
        console.print(f"{_utc(sentence.recorded_at)}  {sentence.text}{rule}")
    _print_not_final(console, answer)


@app.command()
def compare(
    account_id: Annotated[str | None, typer.Argument(help="The account's id; every account when absent.")] = None,
    as_json: AsJson = False,  # noqa: FBT002
    agency: Agency = AGENCY,
) -> None:
    """Compare audit's accounts with their owner's, and name every field that differs; exit 1 when one does."""
    cases = _ask(agency, lambda peer, stub, by: _compared(peer, stub, by, account_id))
    if as_json:
        _print_json(messages.CompareAllResponse(cases=cases))
    else:
        _show_comparison(Console(), cases)
    if not all(case.equal and not case.findings for case in cases):
        raise typer.Exit(1)


@app.command()
def verify(
    as_json: AsJson = False,  # noqa: FBT002
    agency: Agency = AGENCY,
) -> None:
    """Compute every hash and chain of audit's store again, and name what does not fit; exit 1 when there is any."""
    request = messages.VerifyLogRequest()
    answer: messages.VerifyLogResponse = _ask(
        agency, lambda peer, stub, by: peer.ask(stub.VerifyLog, request, by.caller, seconds=LONG_SECONDS)
    )
    if as_json:
        _print_json(answer)
    else:
        _show_verification(Console(), answer)
    if answer.breaches:
        raise typer.Exit(1)


async def _compared(
    peer: Peer, stub: AuditServiceAsyncStub, by: Session, account_id: str | None
) -> Sequence[messages.CompareCaseResponse]:
    if account_id is not None:
        return [await peer.ask(stub.CompareCase, messages.CompareCaseRequest(account_id=account_id), by.caller)]
    pages: AsyncIterator[messages.CompareAllResponse] = peer.stream(
        stub.CompareAll, messages.CompareAllRequest(), by.caller, seconds=LONG_SECONDS
    )
    return [case async for page in pages for case in page.cases]


def _instant(option: str, text: str | None) -> Timestamp | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        message = f"{option} takes an instant such as 2026-03-05T12:00Z, not {text!r}"
        raise PlatformError(message) from None
    timestamp = Timestamp()
    timestamp.FromDatetime(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    return timestamp


def _ask(agency: UUID, question: Callable[[Peer, AuditServiceAsyncStub, Session], Awaitable[Answer]]) -> Answer:
    """The answer of the running platform's audit service; PlatformError in a sentence when there is none."""
    session = open_session(agency)

    async def asked() -> Answer:
        async with session.peer("audit") as peer:
            return await question(peer, AuditServiceStub(peer.channel), session)

    try:
        return asyncio.run(asked())
    except CallFailed as failed:
        message = f"Audit does not answer this: {failed.status.message}"
        raise PlatformError(message) from failed


def _print_json(answer: Message) -> None:
    typer.echo(MessageToJson(answer, preserving_proto_field_name=True, ensure_ascii=False))


def _show_case(console: Console, answer: messages.GetCaseResponse) -> None:
    account = answer.account
    currency = account.terms.currency
    console.print(f"Account {account.account_id}", highlight=False)
    table = Table(show_header=False, box=None)
    for name, text in _lines(account):
        table.add_row(name, text)
    console.print(table)
    ledger = Table("version", "effective", "what", "reference", "change", title="Ledger", title_justify="left")
    for entry in account.ledger:
        change = money(_total(entry.difference), currency)
        ledger.add_row(str(entry.version), entry.effective_date, _last(entry.type), entry.reference, change)
    console.print(ledger)
    for finding in answer.findings:
        console.print(f"Does not add up: {finding}", style="red", markup=False)
    _print_not_final(console, answer)


def _print_not_final(console: Console, answer: messages.GetCaseResponse | messages.TellStoryResponse) -> None:
    if answer.not_final:
        console.print(
            "This may still change: a fact recorded by that instant may not have been heard yet.", style="yellow"
        )


def _lines(account: AccountState) -> list[tuple[str, str]]:
    terms, currency = account.terms, account.terms.currency
    lines = [
        ("client", f"{terms.client_id}, reference {terms.client_reference}"),
        ("phase", f"{word(AccountPhase, account.phase)}, at version {account.version}"),
        ("balance", money(account.balance_total_minor, currency)),
        ("payments", str(len(account.payments))),
        ("holds", str(len(account.holds))),
        ("open disputes", str(sum(not dispute.outcome for dispute in account.disputes))),
    ]
    if account.overpaid_minor:
        lines.append(("overpaid", money(account.overpaid_minor, currency)))
    lines += [("missing", f"{lack.pointer} {lack.message}") for lack in account.shortcomings]
    return lines


def _show_comparison(console: Console, cases: Sequence[messages.CompareCaseResponse]) -> None:
    equal = sum(case.equal for case in cases)
    console.print(f"{equal:,} of {len(cases):,} accounts are the same in audit and with their owner.", highlight=False)
    if equal < len(cases):
        table = Table("account", "field", "owner", "audit")
        for case in cases:
            for difference in case.differences:
                table.add_row(case.account_id, difference.pointer, difference.owner, difference.audit)
        console.print(table)
    for case in cases:
        for finding in case.findings:
            console.print(f"{case.account_id} does not add up: {finding}", style="red", markup=False)


def _show_verification(console: Console, answer: messages.VerifyLogResponse) -> None:
    console.print(
        f"{answer.records:,} records of {answer.streams:,} streams in {answer.partitions} partitions were read.",
        highlight=False,
    )
    if not answer.breaches:
        console.print("Every hash and every chain holds, and each log ends where its owner says.", style="green")
        return
    table = Table("log", "partition", "number", "what does not fit")
    for breach in answer.breaches:
        table.add_row(breach.source, str(breach.partition), str(breach.number), breach.text)
    console.print(table)


def _utc(timestamp: Timestamp) -> str:
    return timestamp.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S")


def _total(buckets: Buckets) -> int:
    return sum(int(amount) for _field, amount in buckets.ListFields())


def _last(type_: str) -> str:
    return type_.rpartition(".")[2]
