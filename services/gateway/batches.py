"""Takes a batch as it streams in: rows are placed many to a call, and each has its own result at once.

No body is kept, so the rows are placed while they arrive. A row's command id is derived from the job and the row's
place and reference, and an account's id from its client reference: the same batch sent again, from the beginning, gives
every known row its first answer, and goes on behind them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import grpc
from pydantic import ValidationError
from recoup.accounts.v1 import service_pb2 as contract
from recoup.accounts.v1.placement_pb2 import Placement as PlacementMessage
from starlette.requests import ClientDisconnect

from kernel.decider import Fault
from kernel.dial import CallFailed
from services.gateway.accounts import COMMANDS_MAX, derived_id
from services.gateway.answers import every_fault, placed_status, refused_faults
from services.gateway.asked import Commanded
from services.gateway.batch_rows import Row, Rows, Stopped
from services.gateway.batch_store import BatchStore, RowResult, State
from services.gateway.placing import json_faults, placement
from services.gateway.problems import Code, Problem, error_of
from services.gateway.shapes import REFERENCE_CHARACTERS_MAX, Money
from services.gateway.strict_json import Json
from services.gateway.verdicts import decider_faults, problem_of

CALLS_AT_ONCE: Final = 2
"""While accounts decides on some rows, the next are read: more would only wait there."""
ROWS_A_CALL: Final = 200
ATTEMPTS_MAX: Final = 5
PAUSE_SECONDS: Final = 0.2
AGAIN: Final = "Send the same batch again with the same Idempotency-Key: what was taken is known, the rest follows."

_PASSING: Final = (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row whose shape is right, ready to be placed."""

    row: Row
    message: PlacementMessage


class Batch:
    """One batch on its way in."""

    def __init__(self, commanded: Commanded, job_id: str, store: BatchStore) -> None:
        """`store` keeps the results."""
        self._commanded = commanded
        self._asked = commanded.asked
        self._job_id = job_id
        self._store = store
        self._calls: deque[asyncio.Task[None]] = deque()
        self.rows = 0

    async def take(self, chunks: AsyncIterator[bytes], rows: Rows) -> None:
        """Place every row, and say in the end how the job stands. What stops it is raised once all calls are over."""
        state: State = "complete"
        reason: Mapping[str, str] | None = None
        try:
            await self._place_all(rows(chunks))
        except Stopped as stopped:
            state, reason = "stopped", error_of(stopped.fault)
        except ClientDisconnect:
            state, reason = "interrupted", {"pointer": "", "code": "connection_cut", "message": AGAIN}
            raise
        except Problem as problem:
            state, reason = "stopped", {"pointer": "", "code": problem.code, "message": problem.detail}
            raise
        except BaseException:
            state, reason = "interrupted", {"pointer": "", "code": "internal", "message": AGAIN}
            raise
        finally:
            await asyncio.gather(*self._calls, return_exceptions=True)
            await self._store.end(self._job_id, state, reason)

    async def _place_all(self, rows: AsyncIterator[Row]) -> None:
        """Place every row; when the file cannot be read further, those before it are placed all the same."""
        waiting: list[Row] = []
        stopped: Stopped | None = None
        try:
            async for row in rows:
                self.rows += 1
                waiting.append(row)
                if len(waiting) == ROWS_A_CALL:
                    await self._call(waiting)
                    waiting = []
        except Stopped as error:
            stopped = error
        if waiting:
            await self._call(waiting)
        while self._calls:
            await self._calls.popleft()
        if stopped is not None:
            raise stopped
        if self.rows == 0:
            raise Problem(Code.EMPTY_FILE, "The batch holds no rows.")

    async def _call(self, rows: Sequence[Row]) -> None:
        if self._asked.gateway.stopping.asked:
            raise Problem(Code.UNAVAILABLE, f"The gateway is about to stop. {AGAIN}")
        while len(self._calls) >= CALLS_AT_ONCE:
            await self._calls.popleft()
        self._calls.append(asyncio.create_task(self._placed(rows)))

    async def _placed(self, rows: Sequence[Row]) -> None:
        """Place these rows in one call and keep their results."""
        assert len(rows) <= COMMANDS_MAX
        ready: list[_Placed] = []
        wrong: list[tuple[Row, Sequence[Fault]]] = []
        for row in rows:
            made = self._message(row)
            if isinstance(made, PlacementMessage):
                ready.append(_Placed(row, made))
            else:
                wrong.append((row, made))
        results = [*await self._refused(wrong), *await self._decided(ready)]
        await self._store.add(self._job_id, sorted(results, key=lambda result: result.row))

    def _message(self, row: Row) -> PlacementMessage | Sequence[Fault]:
        if row.document is None:
            return row.faults
        return placement(row.document, self._asked.principal.client, currencies=row.has_currencies)

    async def _refused(self, wrong: Sequence[tuple[Row, Sequence[Fault]]]) -> list[RowResult]:
        """Rows that never become commands, each with every fault of it that can be found."""
        readable = [(row.document, faults) for row, faults in wrong if row.document is not None]
        found = iter(await every_fault(self._asked, readable) if readable else ())
        return [_refused(row, faults if row.document is None else next(found)) for row, faults in wrong]

    async def _decided(self, ready: Sequence[_Placed]) -> list[RowResult]:
        outcomes = await self._outcomes(ready) if ready else []
        results = [_result(placed, outcome) for placed, outcome in zip(ready, outcomes, strict=True)]
        quarantined = [index for index, result in enumerate(results) if result.status == "quarantined"]
        if quarantined:
            checks = await self._asked.accounts.validate(self._asked.caller, [ready[i].message for i in quarantined])
            for index, check in zip(quarantined, checks, strict=True):
                results[index] = _warned(results[index], ready[index].row, check)
        return results

    async def _outcomes(self, ready: Sequence[_Placed]) -> list[contract.ExecuteResult]:
        """What became of each row. Those that something passing hindered are sent again, under the same ids."""
        outcomes: dict[int, contract.ExecuteResult] = {}
        for attempt in range(ATTEMPTS_MAX):
            left = [index for index in range(len(ready)) if index not in outcomes]
            commands = [self._command(ready[index]) for index in left]
            answered = await self._asked.accounts.execute(self._asked.caller, commands, self._asked.correlation_id)
            outcomes |= {i: found for i, found in zip(left, answered, strict=True) if not _passes(found)}
            if len(outcomes) == len(ready):
                return [outcomes[index] for index in range(len(ready))]
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        raise Problem(Code.UNAVAILABLE, f"Some rows could not be decided. {AGAIN}")

    def _command(self, placed: _Placed) -> contract.AccountsCommand:
        key = f"{self._job_id}|{placed.row.number}|{placed.message.terms.client_reference}"
        return contract.AccountsCommand(given_id=derived_id(self._asked.principal, "row", key), place=placed.message)


def _passes(outcome: contract.ExecuteResult) -> bool:
    """Whether what hindered the command may pass by itself."""
    return outcome.HasField("error") and CallFailed(outcome.error).code in _PASSING


def _refused(row: Row, faults: Sequence[Fault]) -> RowResult:
    """A row that never became a command. Its reference and total are told as far as they can be read."""
    value = row.document.value if row.document is not None else {}
    balance = value.get("balance")
    total = _money(balance.get("total")) if isinstance(balance, dict) else None
    amount, currency = (total.amount, total.currency) if total is not None else (None, None)
    errors = [error_of(row.pointing(fault)) for fault in faults]
    return RowResult(row.number, _shown(value.get("client_reference")), "refused", None, amount, currency, errors)


def _money(sent: Json) -> Money | None:
    try:
        return Money.model_validate(sent)
    except ValidationError:
        return None


def _shown(reference: Json) -> str | None:
    """The reference, if it is one that can be kept."""
    if (
        not isinstance(reference, str)
        or not 0 < len(reference) <= REFERENCE_CHARACTERS_MAX
        or not reference.isprintable()
    ):
        return None
    return reference


def _result(placed: _Placed, outcome: contract.ExecuteResult) -> RowResult:
    terms = placed.message.terms
    total = terms.balance.total_minor
    if outcome.HasField("error"):
        problem = problem_of(CallFailed(outcome.error), json_faults)
        faults = [fault for fault in problem.faults if isinstance(fault, Fault)]
        errors = [error_of(placed.row.pointing(fault)) for fault in faults or [Fault("", problem.code, problem.detail)]]
        return RowResult(placed.row.number, terms.client_reference, "refused", None, total, terms.currency, errors)
    status = placed_status(outcome.answer)
    if status == "refused":
        errors = [error_of(placed.row.pointing(fault)) for fault in refused_faults(outcome.answer)]
        return RowResult(placed.row.number, terms.client_reference, "refused", None, total, terms.currency, errors)
    account_id = UUID(outcome.entity_id)
    return RowResult(placed.row.number, terms.client_reference, status, account_id, total, terms.currency)


def _warned(result: RowResult, row: Row, check: contract.PlacementCheck) -> RowResult:
    faults = json_faults([*decider_faults(check.shortcomings), *decider_faults(check.warnings)])
    warnings = [error_of(row.pointing(fault)) for fault in faults]
    return RowResult(
        result.row,
        result.client_reference,
        result.status,
        result.account_id,
        result.amount_minor,
        result.currency,
        warnings=warnings,
    )
