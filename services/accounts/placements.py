"""A placement at the edge: checked as a whole, then split into a command that the log may keep and the vault's rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import available_timezones

from recoup.accounts.v1 import commands_pb2 as commands
from recoup.accounts.v1 import words_pb2 as words
from recoup.accounts.v1.placement_pb2 import PlacedParty, Placement
from recoup.accounts.v1.service_pb2 import PlacementCheck
from recoup.accounts.v1.terms_pb2 import Debtor, DebtorFlags
from recoup.event.v1.answer_pb2 import Fault as FaultMessage

from kernel.complete import faults_of
from kernel.decider import Fault
from kernel.execute import Incomplete, Request
from kernel.tenancy import Forbidden
from services.accounts.domain.client import Client
from services.accounts.domain.parties import party_faults, party_shortcomings
from services.accounts.domain.placement import term_faults, term_warnings
from services.accounts.domain.placing import client_faults
from services.accounts.domain.quarantine import shortcomings_of
from services.accounts.domain.state import Account
from services.accounts.vault import Known, Stored, Vault, Writing

_ACCOUNTS: Final = UUID("0f8e2a54-3d1c-5b9e-9a6d-4c7b2e1f8a10")
_PERSONS: Final = UUID("5a0c8f0e-2f3b-5d8c-a7a4-6d2b8e1f9c33")
_PARTS: Final = UUID("b7d1e9c2-6f4a-5c3d-8e2b-9a1f0d7c6b55")


@dataclass(frozen=True, slots=True)
class Sent:
    """A placement as it was sent, with its account and everything about persons for which it is refused.

    `shortcomings` are those about persons; those about the debt are for the decision to find.
    """

    request: Request
    placement: Placement
    account_id: str
    digest: bytes
    faults: Sequence[Fault]
    shortcomings: Sequence[commands.Shortcoming]
    completes: bool

    @property
    def stream(self) -> str:
        """The stream that it will be decided on."""
        return f"account-{self.account_id}"


def account_id_of(tenant: UUID, client_id: str, client_reference: str) -> str:
    """The account of a client's number: always the same, so that the natural key needs no index of its own."""
    return str(uuid5(_ACCOUNTS, f"{tenant}|{len(client_id)}|{client_id}|{client_reference}"))


def sent(request: Request, vault: Vault, today: date, *, completes: bool) -> Sent:
    """A placement that says all that it must, or Incomplete with every fault of it, also those of other kinds."""
    placement = named(request)
    tenant, terms = request.caller.tenant, placement.terms
    faults = faults_of(placement)
    about_parties = list(party_faults(placement, today, _time_zones()))
    if faults:
        raise Incomplete(_distinct([*faults, *about_parties, *term_faults(terms, today)]))
    account_id = account_id_of(tenant, terms.client_id, terms.client_reference)
    shortcomings = party_shortcomings(placement)
    digest = vault.digest(placement)
    return Sent(request, placement, account_id, digest, about_parties, shortcomings, completes)


def checked(request: Request, vault: Vault, client: Client, account: Account, today: date) -> PlacementCheck:
    """What placing this would say, without placing it; `account` is the one that the reference names."""
    placement = named(request)
    terms = placement.terms
    faults = [
        *faults_of(placement),
        *party_faults(placement, today, _time_zones()),
        *term_faults(terms, today),
        *client_faults(terms, client.standing(terms.portfolio_id)),
    ]
    if account.placed and vault.digest(placement).hex() not in account.digests:
        faults.append(Fault("/terms/client_reference", "taken", "was used for other content"))
    return PlacementCheck(
        errors=map(_fault, _distinct(faults)),
        shortcomings=[
            *shortcomings_of(terms, client.standing(terms.portfolio_id)),
            *party_shortcomings(placement),
        ],
        warnings=map(_fault, term_warnings(terms)),
    )


def named(request: Request) -> Placement:
    """The placement with its client and with ids where the caller left them to us."""
    assert isinstance(request.command, Placement)
    placement, caller = Placement(), request.caller
    placement.CopyFrom(request.command)
    terms = placement.terms
    if caller.client is not None:
        terms.client_id = terms.client_id or caller.client
        if terms.client_id != caller.client:
            message = "the credential speaks for another client than the placement"
            raise Forbidden(message)
    account_id = account_id_of(caller.tenant, terms.client_id, terms.client_reference)
    for document in terms.documents:
        document.document_id = document.document_id or str(uuid5(_PARTS, f"{account_id}|{document.sha256}"))
    for ordinal, collateral in enumerate(terms.debt.collateral):
        collateral.collateral_id = collateral.collateral_id or str(uuid5(_PARTS, f"{account_id}|{ordinal}"))
    return placement


def split(placement: Sent, client: Client, known: Known, vault: Vault) -> tuple[Request, Writing]:
    """The request that the log may keep, with the vault's rows, and whom those rows touch."""
    writing, caller = Writing(known), placement.request.caller
    debtors: list[Debtor] = []
    if not placement.faults:
        stored = [_stored(placement, ordinal, vault, writing) for ordinal in range(len(placement.placement.parties))]
        debtors = [_debtor(party, one) for party, one in zip(placement.placement.parties, stored, strict=True)]
        primary = _primary(debtors)
        vault.store_beside(caller.tenant, placement.account_id, primary, placement.digest, placement.placement, writing)
    request = placement.request
    split_request = Request(
        _command(placement, client, debtors),
        request.given_id,
        caller,
        request.correlation_id,
        tuple(writing.rows),
        request.command.SerializeToString(deterministic=True),
    )
    return split_request, writing


def _stored(placement: Sent, ordinal: int, vault: Vault, writing: Writing) -> Stored:
    caller, party = placement.request.caller, placement.placement.parties[ordinal]
    cause = f"{caller.tenant}|{placement.account_id}|{ordinal}|{caller.credential}|{placement.request.given_id}"
    return vault.store(caller.tenant, placement.account_id, uuid5(_PERSONS, cause), party, writing)


def _primary(debtors: Iterable[Debtor]) -> UUID:
    return next(UUID(debtor.person_id) for debtor in debtors if debtor.role == words.DEBTOR_ROLE_PRIMARY)


def _command(
    placement: Sent, client: Client, debtors: Sequence[Debtor]
) -> commands.PlaceAccount | commands.CompletePlacement:
    kind = commands.CompletePlacement if placement.completes else commands.PlaceAccount
    terms = placement.placement.terms
    command = kind(
        account_id=placement.account_id,
        terms=terms,
        debtors=debtors,
        content_digest=placement.digest.hex(),
        shortcomings=placement.shortcomings,
        client=client.standing(terms.portfolio_id),
        faults=[
            commands.Shortcoming(pointer=fault.pointer, code=fault.code, message=fault.message)
            for fault in placement.faults
        ],
    )
    if client.version:
        command.contract.CopyFrom(client.terms())
    return command


def _debtor(party: PlacedParty, stored: Stored) -> Debtor:
    return Debtor(
        person_id=str(stored.person_id),
        role=party.role,
        kind=party.kind,
        vault_version=stored.version,
        vault_commitment=stored.commitment.hex(),
        contact_points=stored.contact_points,
        flags=_flags(party),
    )


def _flags(party: PlacedParty) -> DebtorFlags:
    """What stops work, also where the creditor says it as a wish or by naming a representative."""
    flags = DebtorFlags()
    flags.CopyFrom(party.flags)
    if party.HasField("representative"):
        flags.represented = True
    if party.wishes.cease_date and not flags.cease_date:
        flags.cease_date = party.wishes.cease_date
    return flags


def _distinct(faults: Iterable[Fault]) -> Sequence[Fault]:
    """One fault a field: a blank date needs not be told that it is no date."""
    found: dict[str, Fault] = {}
    for fault in faults:
        found.setdefault(fault.pointer, fault)
    return list(found.values())


def _fault(fault: Fault) -> FaultMessage:
    return FaultMessage(pointer=fault.pointer, code=fault.code, message=fault.message)


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
