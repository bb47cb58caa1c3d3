"""The audit service: it decides nothing and records no facts of its own; it hears, keeps, checks and answers."""

from __future__ import annotations

from functools import partial

from recoup.audit.v1.service_pb2_grpc import add_AuditServiceServicer_to_server

from kernel.main import Context, Register, Service, run
from kernel.reads import engine_of
from services.audit.api import AuditServicer
from services.audit.owner import Owners
from services.audit.views import Views
from services.audit.worker import HEARS, effects


def grpc(context: Context) -> list[Register]:
    """What this service answers, besides its log, health and reflection."""
    reader = engine_of(context.settings.reader_url.get_secret_value())
    servicer = AuditServicer(Views(context.engine, reader), Owners(context.peers))
    return [partial(add_AuditServiceServicer_to_server, servicer)]


SERVICE = Service("audit", deciders=(), project=lambda _heard: (), grpc=grpc, hears=HEARS, effects=effects)

if __name__ == "__main__":
    run(SERVICE)
