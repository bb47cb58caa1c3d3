"""What the gateway is told beside what every process is told."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernel.settings import MENDING, PREFIX, Port, SettingsError

BODY_BYTES_MAX: Final = 1024 * 1024
BATCH_BYTES_MAX: Final = 1024 * 1024 * 1024


class EdgeSettings(BaseSettings):
    """Settings of the HTTP edge, each read from RECOUP_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    http_host: str = Field(default="127.0.0.1", description="the address that HTTP listens on")
    http_port: Port = Field(default=0, description="the port that HTTP listens on; 0 takes a free one")
    environment: Literal["live", "test"] = Field(default="test", description="which API keys are taken")
    requests_per_second: int = Field(default=500, ge=1, description="requests a second that each API key may make")
    failures_per_minute: int = Field(default=120, ge=1, description="failed authentications a minute and address")


def load_edge() -> EdgeSettings:
    """The settings of the edge, or a SettingsError that names every variable that is wrong."""
    try:
        return EdgeSettings()
    except ValidationError as error:
        wrong = [
            f"  {PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(["The gateway cannot start with this environment:", *wrong, MENDING])) from None
