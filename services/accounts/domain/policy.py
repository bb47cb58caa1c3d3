"""What our own facts oblige us to do. As sentences.

- When an account is placed, quarantined or completed, it is linked to each of its debtors.
- When a hold that reaches a person is placed on an account, the person is held.
- When a person is held, each of their accounts is held.
- When an account is linked to a person who is held, the account is held too.
- When a hold that reaches a person is released on an account, the person's hold is released.
- When a person's hold is released, it is released on each of their accounts.

A hold keeps its id wherever it goes, and placing or releasing it once more is "already so": so this comes to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import events_pb2 as events
from recoup.accounts.v1 import words_pb2 as words

from kernel.decider import Heard


def react(heard: Heard) -> Sequence[Message]:
    """The commands that a fact obliges us to give, in order; none for most facts."""
    reaction = _REACTIONS.get(type(heard.fact))
    return reaction(heard.fact) if reaction is not None else ()


def _link(
    placed: events.AccountPlaced | events.PlacementQuarantined | events.PlacementCompleted,
) -> Sequence[Message]:
    return [
        commands.LinkAccount(
            person_id=debtor.person_id, account_id=placed.account_id, role=debtor.role, kind=debtor.kind
        )
        for debtor in placed.debtors
    ]


def _hold_person(placed: events.HoldPlaced) -> Sequence[Message]:
    if placed.scope != words.HOLD_SCOPE_PERSON:
        return ()
    hold = commands.PlacePersonHold(person_id=placed.person_id, hold_id=placed.hold_id, reason=placed.reason)
    if placed.HasField("expires_at"):
        hold.expires_at = placed.expires_at
    return (hold,)


def _release_person(released: events.HoldReleased) -> Sequence[Message]:
    if released.scope != words.HOLD_SCOPE_PERSON:
        return ()
    person_id, hold_id, reason = released.person_id, released.hold_id, released.reason
    return (commands.ReleasePersonHold(person_id=person_id, hold_id=hold_id, reason=reason),)


def _hold_accounts(held: events.PersonHoldPlaced) -> Sequence[Message]:
    return [_hold_account(account_id, held.person_id, held.hold) for account_id in held.account_ids]


def _hold_linked(linked: events.AccountLinked) -> Sequence[Message]:
    return [_hold_account(linked.account_id, linked.person_id, hold) for hold in linked.holds]


def _release_accounts(released: events.PersonHoldReleased) -> Sequence[Message]:
    return [
        commands.ReleaseHold(account_id=account_id, hold_id=released.hold_id, reason=released.reason)
        for account_id in released.account_ids
    ]


def _hold_account(account_id: str, person_id: str, hold: events.PersonHold) -> commands.PlaceHold:
    command = commands.PlaceHold(
        account_id=account_id,
        hold_id=hold.hold_id,
        scope=words.HOLD_SCOPE_PERSON,
        person_id=person_id,
        reason=hold.reason,
    )
    if hold.HasField("expires_at"):
        command.expires_at = hold.expires_at
    if hold.reason == words.HOLD_REASON_OTHER:
        command.text = "for a reason that concerns the person"
    return command


_REACTIONS: Final[Mapping[type[Message], Callable[[Any], Sequence[Message]]]] = {
    events.AccountPlaced: _link,
    events.PlacementQuarantined: _link,
    events.PlacementCompleted: _link,
    events.HoldPlaced: _hold_person,
    events.HoldReleased: _release_person,
    events.PersonHoldPlaced: _hold_accounts,
    events.AccountLinked: _hold_linked,
    events.PersonHoldReleased: _release_accounts,
}
