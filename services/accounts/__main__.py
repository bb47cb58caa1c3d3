"""The accounts service: clients, accounts and persons, decided by their rules and kept in the log."""

from __future__ import annotations

from functools import partial

from recoup.accounts.v1.service_pb2_grpc import add_AccountsServiceServicer_to_server

from kernel.main import Context, Register, Service, run
from kernel.settings import SettingsError
from services.accounts.api import AccountsApi
from services.accounts.domain.account import ACCOUNT
from services.accounts.domain.client import CLIENT
from services.accounts.domain.person import PERSON
from services.accounts.domain.policy import react
from services.accounts.vault import Vault
from services.accounts.views import Views, project
from services.accounts.worker import HEARS

DECIDERS = (CLIENT, ACCOUNT, PERSON)


def grpc(context: Context) -> list[Register]:
    """What this service answers, besides its log, health and reflection."""
    if context.settings.vault_key is None:
        message = "RECOUP_VAULT_KEY is not set: without it no person can be kept. Start it with `recoup up`."
        raise SettingsError(message)
    vault = Vault(context.engine, context.settings.vault_key.get_secret_value().encode())
    views = Views(context.engine, context.store.log_id)
    api = AccountsApi(context.executor, context.store, views, vault, context.clock)
    return [partial(add_AccountsServiceServicer_to_server, api)]


FACTS = tuple(fact for decider in DECIDERS for fact in decider.facts)
SERVICE = Service("accounts", DECIDERS, project, grpc, hears=HEARS, react=react, facts=FACTS)

if __name__ == "__main__":
    run(SERVICE)
