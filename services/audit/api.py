"""The questions that audit answers over gRPC, each from its own store and with its own reading of the facts.

The credential says whose cases one sees: an agency's own people all of the agency's, a client those that it placed.
What concerns the whole log is for the agency alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from recoup.audit.v1 import service_pb2 as messages
from recoup.audit.v1 import service_pb2_grpc as grpc_service

from kernel.canonical import canonical_json
from kernel.decider import Fault
from kernel.execute import Incomplete, Unavailable, Unknown
from kernel.judge import Position as OwnerPosition
from kernel.rpc import current_call
from kernel.tenancy import Caller, Forbidden
from services.audit.comparison import compared_all, compared_case, may_see
from services.audit.domain.account import fold_account
from services.audit.domain.book import AccountBook
from services.audit.domain.entry import known_at
from services.audit.domain.story import tell
from services.audit.owner import PATIENCE_SECONDS, Owners
from services.audit.verification import verify
from services.audit.views import SOURCE_OF_ACCOUNTS, Case, Progress, Views

SCOPE: Final = "audit:read"
"""What a credential must carry to ask audit anything."""

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(grpc_service.AuditServiceServicer):
    """Answers AuditService."""

    def __init__(self, views: Views, owners: Owners) -> None:
        """`views` reads audit's store, `owners` asks the services that it hears."""
        self._views, self._owners = views, owners
        self._instants: dict[tuple[str, int], datetime] = {}

    async def GetCase(self, request: messages.GetCaseRequest, _context: Context) -> messages.GetCaseResponse:  # noqa: N802 - the contract's name, here and below.
        """One case as of an instant, recorded and effective."""
        caller, account_id = _caller(), _account_id(request)
        recorded, occurred = _instant(request, "recorded_until"), _instant(request, "occurred_until")
        case = await self._views.case(caller, account_id)
        book = _book(case, recorded, occurred)
        state = _visible(book, caller, account_id).state()
        heads = await self._heads(case.progress)
        own = [each for each in case.progress if _holds(each, case)]
        final = await self._is_final(caller, case, own, recorded)
        return messages.GetCaseResponse(
            account=state,
            canonical_json=canonical_json(state),
            positions=_positions(case.progress, heads),
            not_final=not final,
            findings=map(str, book.findings),
        )

    async def TellStory(self, request: messages.TellStoryRequest, _context: Context) -> messages.TellStoryResponse:  # noqa: N802
        """One case as sentences, with what stands on other streams, in whatever partition, and concerns it."""
        caller, account_id = _caller(), _account_id(request)
        recorded, occurred = _instant(request, "recorded_until"), _instant(request, "occurred_until")
        case = await self._views.case(caller, account_id)
        _visible(_book(case, recorded, occurred), caller, account_id)
        heard = {(each.source, each.partition): each.head.number for each in case.progress}
        mentioning = [
            entry
            for entry in await self._views.mentioning(caller, account_id)
            if entry.number <= heard.get((entry.source, entry.partition), -1)
        ]
        told = known_at([*case.entries, *mentioning], recorded, occurred)
        heads = await self._heads(case.progress)
        final = await self._is_final(caller, case, case.progress, recorded)
        return messages.TellStoryResponse(
            sentences=tell(told), positions=_positions(case.progress, heads), not_final=not final
        )

    async def CompareCase(  # noqa: N802
        self, request: messages.CompareCaseRequest, _context: Context
    ) -> messages.CompareCaseResponse:
        """Audit's account of a case against the owner's, at the version that audit has."""
        caller, account_id = _caller(), _account_id(request)
        case = await self._views.case(caller, account_id)
        book = _book(case, None, None)
        if book.placed:
            return await compared_case(self._owners, caller, str(account_id), _visible(book, caller, account_id))
        unheard = await compared_case(self._owners, caller, str(account_id), book)
        if not unheard.differences:
            raise _unknown(account_id)
        return unheard

    async def CompareAll(  # noqa: N802
        self, _request: messages.CompareAllRequest, _context: Context
    ) -> AsyncIterator[messages.CompareAllResponse]:
        """Every case that the caller may see and either side knows, page by page."""
        async for cases in compared_all(self._views, self._owners, _caller()):
            if cases:
                yield messages.CompareAllResponse(cases=cases)

    async def VerifyLog(  # noqa: N802
        self, _request: messages.VerifyLogRequest, _context: Context
    ) -> messages.VerifyLogResponse:
        """Every hash and chain computed again; Unavailable when an owner does not say where its log ends."""
        report = await verify(self._views, self._owners, _agency())
        return messages.VerifyLogResponse(
            records=report.records,
            partitions=report.partitions,
            streams=len(report.streams),
            breaches=[messages.Breach(**breach._asdict()) for breach in report.breaches],
        )

    async def GetProgress(  # noqa: N802
        self, _request: messages.GetProgressRequest, _context: Context
    ) -> messages.GetProgressResponse:
        """How far every partition was heard, and how far its owner is."""
        progress = await self._views.progress(_agency())
        return messages.GetProgressResponse(positions=_positions(progress, await self._heads(progress)))

    async def CountFacts(  # noqa: N802
        self, _request: messages.CountFactsRequest, _context: Context
    ) -> messages.CountFactsResponse:
        """How many facts of each type the agency has."""
        return messages.CountFactsResponse(counts=await self._views.counts(_agency()))

    async def _heads(self, progress: Sequence[Progress]) -> Mapping[str, Mapping[int, OwnerPosition]]:
        """The owners' heads; those of an owner that is away are missing, and audit answers without it."""
        return {source: await self._owners.heads_lately(source) for source in {each.source for each in progress}}

    async def _is_final(
        self, caller: Caller, case: Case, among: Sequence[Progress], recorded_until: datetime | None
    ) -> bool:
        """Whether nothing can arrive any more, in these partitions, that belongs into the answer.

        Within a partition no record is earlier than the one before it. So a later record that was heard proves it;
        else the owner is asked which number was the last by then, and whether audit has heard that one.
        """
        if recorded_until is None:
            return await self._are_level(among)
        open_ = [each for each in among if not await self._heard_after(caller, each, recorded_until)]
        if not open_:
            return True
        account_id = case.entries[0].stream.partition("-")[2]
        numbers = await self._owners.final_numbers(caller, account_id, recorded_until)
        return all(
            each.source == SOURCE_OF_ACCOUNTS
            and each.partition < len(numbers)
            and numbers[each.partition] <= each.head.number
            for each in open_
        )

    async def _are_level(self, among: Sequence[Progress]) -> bool:
        """Whether their owners have nothing more at this moment."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                heads = {source: await self._owners.heads(source) for source in {each.source for each in among}}
        except (Unavailable, TimeoutError):
            return False
        found = [(heads[each.source].get(each.partition), each) for each in among]
        return all(head is not None and head.last <= each.head.number for head, each in found)

    async def _heard_after(self, caller: Caller, mine: Progress, instant: datetime) -> bool:
        """Whether a record of the partition was heard that is later; what was once heard stays heard."""
        at = (mine.source, mine.partition)
        known = self._instants.get(at)
        if known is None or known <= instant:
            known = await self._views.last_instant(caller, mine)
            if known is not None:
                self._instants[at] = known
        return known is not None and known > instant


def _holds(progress: Progress, case: Case) -> bool:
    return progress.source == SOURCE_OF_ACCOUNTS and progress.partition == case.entries[0].partition


def _caller() -> Caller:
    caller = current_call().caller
    caller.require(SCOPE)
    return caller


def _agency() -> Caller:
    caller = _caller()
    if caller.client is not None:
        message = "what concerns the whole log is for the agency's own people, not for one client"
        raise Forbidden(message)
    return caller


def _account_id(
    request: messages.GetCaseRequest | messages.TellStoryRequest | messages.CompareCaseRequest,
) -> UUID:
    try:
        return UUID(request.account_id)
    except ValueError:
        fault = Fault("/account_id", "invalid_id", "must be the account's id, a UUID")
        raise Incomplete([fault]) from None


def _instant(request: messages.GetCaseRequest | messages.TellStoryRequest, name: str) -> datetime | None:
    if not request.HasField(name):
        return None
    timestamp: Timestamp = getattr(request, name)
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        fault = Fault(f"/{name}", "invalid_instant", "must be an instant from the year 1 to the year 9999")
        raise Incomplete([fault]) from None


def _book(case: Case, recorded_until: datetime | None, occurred_until: datetime | None) -> AccountBook:
    known = known_at(case.entries, recorded_until, occurred_until)
    facts = ((entry.version, entry.type, entry.payload) for entry in known)
    return fold_account(facts, checking=occurred_until is None)


def _visible(book: AccountBook, caller: Caller, account_id: UUID) -> AccountBook:
    """The book, if the caller may see it; another client's case is as unknown as one that does not exist."""
    if not may_see(caller, book):
        raise _unknown(account_id)
    return book


def _unknown(account_id: UUID) -> Unknown:
    return Unknown(f"audit has heard of no account {account_id}, as of the instants asked about")


def _positions(
    progress: Iterable[Progress], heads: Mapping[str, Mapping[int, OwnerPosition]]
) -> list[messages.Position]:
    return [
        messages.Position(
            source=each.source,
            partition=each.partition,
            number=each.head.number,
            owner_number=head.last if (head := heads[each.source].get(each.partition)) else -1,
            halted=each.halted,
        )
        for each in progress
    ]
