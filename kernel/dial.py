"""Calling another service: a channel that retries what is safe to retry, a token, a deadline, and errors in full.

Every command carries its caller's id and every other call only reads, so a call that ends UNAVAILABLE may be sent
again: it has one effect. Nothing else is retried here, least of all a deadline, which is the caller's own.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar
from uuid import UUID

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from kernel.rpc import AUTHORIZATION_KEY, CORRELATION_KEY, MESSAGE_OPTIONS, NOW_KEY
from kernel.status import DETAILS_KEY, faults_of, reason_of
from kernel.tenancy import Caller, sign

Answer = TypeVar("Answer", bound=Message)

DEADLINE_SECONDS: Final = 10.0
ATTEMPTS_MAX: Final = 5
"""The most that gRPC takes; with the pauses between them they bridge a restart of about two seconds."""
TOKEN_SECONDS: Final = 3_600
TOKEN_SECONDS_LEFT_MIN: Final = 300
TOKENS_MAX: Final = 4_096

_RETRY: Final = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": ATTEMPTS_MAX,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: Final = (
    *MESSAGE_OPTIONS,
    ("grpc.service_config", json.dumps(_RETRY)),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class CallFailed(Exception):  # noqa: N818 - named for what happened.
    """A call that ended with a status other than OK; `reason` and `faults` are its details, unpacked."""

    def __init__(self, status: Status) -> None:
        """`status` as the service sent it, or made from the code and text when it sent no details."""
        super().__init__(f"{grpc_code(status).name}: {status.message}")
        self.status = status
        self.code = grpc_code(status)
        self.reason = reason_of(status)
        self.faults = faults_of(status)


def grpc_code(status: Status) -> grpc.StatusCode:
    """The gRPC code of a status."""
    return next((code for code in grpc.StatusCode if code.value[0] == status.code), grpc.StatusCode.UNKNOWN)


class Tokens:
    """Tokens for callers, each signed once and used until it is about to expire."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is the platform's token secret."""
        self._secret = secret
        self._signed: OrderedDict[Caller, tuple[str, float]] = OrderedDict()

    def token_of(self, caller: Caller) -> str:
        """A token that speaks for `caller` for at least TOKEN_SECONDS_LEFT_MIN from now."""
        known = self._signed.get(caller)
        if known is not None and known[1] - time.time() > TOKEN_SECONDS_LEFT_MIN:
            return known[0]
        token = sign(caller, self._secret, TOKEN_SECONDS)
        self._signed[caller] = (token, time.time() + TOKEN_SECONDS)
        self._signed.move_to_end(caller)
        if len(self._signed) > TOKENS_MAX:
            self._signed.popitem(last=False)
        return token


class Peer:
    """Another service at its address. Use the stubs of its contract on `channel`, and call them through `ask`."""

    def __init__(self, address: str, tokens: Tokens) -> None:
        """`address` is host:port; nothing connects before the first call."""
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._tokens = tokens

    async def ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Any, Answer],
        request: Message,
        caller: Caller,
        *,
        seconds: float = DEADLINE_SECONDS,
        correlation_id: UUID | None = None,
        now: str | None = None,
    ) -> Answer:
        """The answer within `seconds`, or CallFailed. `now` moves the clock of a simulated service, and no other."""
        metadata = self._metadata(caller, correlation_id, now)
        try:
            return await method(request, timeout=seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(status_from(error)) from error

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Any, Answer],
        request: Message,
        caller: Caller,
        *,
        seconds: float,
    ) -> AsyncIterator[Answer]:
        """The answers of a streaming method, all within `seconds`, or CallFailed."""
        try:
            async for answer in method(request, timeout=seconds, metadata=self._metadata(caller, None, None)):
                yield answer
        except grpc.aio.AioRpcError as error:
            raise CallFailed(status_from(error)) from error

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.close()

    def _metadata(self, caller: Caller, correlation_id: UUID | None, now: str | None) -> grpc.aio.Metadata:
        metadata = grpc.aio.Metadata((AUTHORIZATION_KEY, f"Bearer {self._tokens.token_of(caller)}"))
        if correlation_id is not None:
            metadata.add(CORRELATION_KEY, str(correlation_id))
        if now is not None:
            metadata.add(NOW_KEY, now)
        return metadata


def status_from(error: grpc.aio.AioRpcError) -> Status:
    """The rich status of a failed call, or one made from its code and text when it carries none."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            return Status.FromString(value)
    return Status(code=error.code().value[0], message=error.details() or "")
