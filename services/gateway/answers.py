"""The answer to a command, rebuilt from its outcome: so a repetition gets the same one, and no body is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from recoup.accounts.v1 import service_pb2 as contract
from recoup.accounts.v1.state_pb2 import AccountState
from recoup.event.v1.answer_pb2 import Answer
from starlette.responses import JSONResponse

from kernel.decider import Fault
from kernel.dial import CallFailed
from services.gateway.asked import Asked, Commanded
from services.gateway.batch_store import Status
from services.gateway.placing import joined, json_faults, sound_part
from services.gateway.problems import error_of
from services.gateway.rendering import state
from services.gateway.strict_json import Document
from services.gateway.verdicts import Translate, decider_faults, problem_of, refusal_problem

REPLAYED: Final = {"Idempotency-Replayed": "true"}
QUARANTINED: Final = "recoup.accounts.v1.PlacementQuarantined"


async def decided(
    commanded: Commanded, command: contract.AccountsCommand, translate: Translate
) -> tuple[Answer, AccountState]:
    """The answer to one command and the account as it stood after it; a Problem when it was refused or failed."""
    asked = commanded.asked
    await commanded.claim(_content(command))
    (result,) = await asked.accounts.execute(asked.caller, [command], asked.correlation_id)
    if result.HasField("error"):
        raise problem_of(CallFailed(result.error), translate)
    answer = result.answer
    if answer.HasField("refusal"):
        problem = refusal_problem(answer.refusal, translate)
        if answer.replayed:
            problem.headers.update(REPLAYED)
        raise problem
    return answer, await account_at(asked, result.entity_id, answer.version)


def _content(command: contract.AccountsCommand) -> bytes:
    """What the command asks for, and as which kind: the same for the same request."""
    kind = command.WhichOneof("command")
    assert kind is not None
    return b"|".join((kind.encode(), command.SerializeToString(deterministic=True)))


async def account_at(asked: Asked, account_id: str, version: int) -> AccountState:
    """The account at this version of it."""
    request = contract.GetAccountRequest(account_id=account_id, at_version=version)
    return (await asked.accounts.account(asked.caller, request)).account


def account_json(account: AccountState) -> dict[str, object]:
    """An account as callers read it; what it lacks is pointed out in the JSON that was sent."""
    made = state(account, account.terms.currency)
    made["shortcomings"] = shortcomings_of(account)
    return made


def shortcomings_of(account: AccountState) -> list[dict[str, str]]:
    """What a quarantined account lacks."""
    return [error_of(fault) for fault in json_faults(decider_faults(account.shortcomings))]


async def every_fault(asked: Asked, sent: Sequence[tuple[Document, Sequence[Fault]]]) -> list[list[Fault]]:
    """For documents whose shape is wrong: their faults, and those that the rules find in what is sound of each."""
    sound = [sound_part(document, faults, asked.principal.client) for document, faults in sent]
    checks = await asked.accounts.validate(asked.caller, sound)
    return [
        joined(faults, json_faults(decider_faults(check.errors)))
        for (_document, faults), check in zip(sent, checks, strict=True)
    ]


def placed_status(answer: Answer) -> Status:
    """accepted, quarantined, duplicate or refused."""
    match answer.WhichOneof("outcome"):
        case "accepted":
            return "quarantined" if QUARANTINED in answer.accepted.types else "accepted"
        case "already":
            return "duplicate"
        case "refusal":
            return "refused"
    raise AssertionError(answer.stream)


def placed_response(answer: Answer, account: AccountState) -> JSONResponse:
    """The answer to a placement: 201 when the account was made, 200 when it existed."""
    body = {
        "status": placed_status(answer),
        "account_id": account.account_id,
        "client_reference": account.terms.client_reference,
        "version": answer.version,
        "facts": facts_of(answer),
        "errors": [],
        "warnings": shortcomings_of(account),
        "account": account_json(account),
    }
    return _response(answer, body, 201, account.account_id)


def command_response(
    answer: Answer, account: AccountState, ids: Mapping[str, str], recorded_status: int
) -> JSONResponse:
    """The answer to any other command: `recorded_status` when facts were recorded, 200 when it was so already."""
    body = {
        "status": "recorded" if answer.HasField("accepted") else "already",
        "account_id": account.account_id,
        "client_reference": account.terms.client_reference,
        **ids,
        "version": answer.version,
        "facts": facts_of(answer),
        "account": account_json(account),
    }
    return _response(answer, body, recorded_status, account.account_id)


def facts_of(answer: Answer) -> list[dict[str, str]]:
    """The facts that were recorded, in order."""
    pairs = zip(answer.accepted.fact_ids, answer.accepted.types, strict=True)
    return [{"id": fact_id, "type": name} for fact_id, name in pairs]


def refused_faults(answer: Answer) -> list[Fault]:
    """What a refusal finds wrong with a placement; the rule itself when it names no field."""
    return json_faults(decider_faults(answer.refusal.faults)) or [Fault("", answer.refusal.rule, answer.refusal.text)]


def _response(answer: Answer, body: Mapping[str, object], recorded_status: int, account_id: str) -> JSONResponse:
    headers = dict(REPLAYED) if answer.replayed else {}
    headers["Location"] = f"/v1/accounts/{account_id}"
    return JSONResponse(body, recorded_status if answer.HasField("accepted") else 200, headers)
