"""What a process is told by its environment. Whatever is missing or wrong is named, all of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "RECOUP_"
SECRET_CHARACTERS_MIN: Final = 32
MENDING: Final = "Start it with `recoup up`, which sets all of them, or set what is named above."


class SettingsError(Exception):
    """The environment does not say what the process needs; the text names every variable and how to mend it."""


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < SECRET_CHARACTERS_MIN:
        message = f"needs at least {SECRET_CHARACTERS_MIN} characters"
        raise ValueError(message)
    return secret


Port = Annotated[int, Field(ge=0, le=65535)]
Secret = Annotated[SecretStr, AfterValidator(_long_enough)]


class Settings(BaseSettings):
    """Every setting of a service's process, each read from RECOUP_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    database_url: SecretStr = Field(description="the service's own database, as the role that may only add to the log")
    reader_url: SecretStr = Field(description="the same database, as the role that reads all tenants for the relay")
    migrator_url: SecretStr | None = Field(
        default=None, description="the same database, as its owner; for rebuild only"
    )
    kafka: str = Field(description="the broker, as host:port", pattern=r"^[^\s:]+:\d+$")
    token_secret: Secret = Field(description="what callers' tokens are signed with")
    input_key: Secret = Field(description="what the inputs of commands are authenticated with")
    vault_key: Secret | None = Field(default=None, description="what the keys of persons are wrapped with")
    grpc_host: str = Field(default="127.0.0.1", description="the address that gRPC listens on")
    grpc_port: Port = Field(default=0, description="the port that gRPC listens on; 0 takes a free one")
    metrics_port: Port = Field(default=0, description="the port of /metrics and /health; 0 takes a free one")
    owners: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="where other services' gRPC is, as service=host:port,service=host:port"
    )
    clock: Literal["real", "simulated"] = Field(default="real", description="whether callers may set the time")
    data: Path = Field(default=Path(".recoup/data"), description="the folder for what the process keeps on disk")
    log: Literal["json", "text"] | None = Field(default=None, description="how log lines look; text on a terminal")
    lag_facts_max: int = Field(default=10_000, ge=1, description="facts behind which the process is no longer ready")

    @field_validator("owners", mode="before")
    @classmethod
    def _owners(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
        wrong = [name for name, equals, address in pairs if not (name and equals and ":" in address)]
        if wrong:
            message = f"is not service=host:port for {', '.join(wrong)}"
            raise ValueError(message)
        return {name: address for name, _equals, address in pairs}


def load() -> Settings:
    """The settings of this process, or a SettingsError that names every variable that is missing or wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_explanation(error)) from None


def _explanation(error: ValidationError) -> str:
    lines = ["The process cannot start with this environment:"]
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0])
        purpose = Settings.model_fields[name].description if name in Settings.model_fields else ""
        problem = "is not set" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        lines.append(f"  {PREFIX}{name.upper()} {problem} ({purpose})")
    return "\n".join([*lines, MENDING])
