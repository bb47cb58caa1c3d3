"""The values that bodies are made of: strict, nothing coerced, each with the rule that makes it readable."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, LiteralString, NoReturn, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from kernel.characters import JOINERS
from kernel.decider import Fault
from services.gateway.strict_json import Json, pointer

AMOUNT_MAX: Final = 10**12
REFERENCE_CHARACTERS_MAX: Final = 64
TEXT_CHARACTERS_MAX: Final = 500
ITEMS_MAX: Final = 100
BASIS_POINTS_MAX: Final = 10_000


class Body(BaseModel):
    """What a caller sends: unknown fields are refused, and no value is turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Shape = TypeVar("Shape", bound=Body)


@dataclass(frozen=True, slots=True)
class Word:
    """Metadata of a field that takes the words of a protobuf enum, in lower case without the enum's own name."""

    enum: EnumTypeWrapper

    def numbers(self) -> dict[str, int]:
        """Every word that may be sent, with its number in the enum."""
        return words_of(self.enum.DESCRIPTOR)

    def __get_pydantic_core_schema__(self, _source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """The words, as a closed list."""
        return core_schema.literal_schema(list(self.numbers()))


@dataclass(frozen=True, slots=True)
class At:
    """Metadata of a field: where it stands in the protobuf message, dotted; empty when its own fields stand there."""

    path: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Metadata of a field that is put into the message by hand, with the paths that faults of it may name."""

    paths: tuple[str, ...]


def descriptor_of(message: type[Message]) -> Descriptor:
    """The descriptor of a message type."""
    return cast("Descriptor", message.DESCRIPTOR)


def words_of(enum: Any) -> dict[str, int]:  # noqa: ANN401 - a descriptor of either implementation of protobuf.
    """The words of an enum's descriptor, the unspecified one left out, in the order of their numbers."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", str(enum.name)).upper() + "_"
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def _refuse(code: LiteralString, message: LiteralString) -> NoReturn:
    raise PydanticCustomError(code, message)


def _real_date(text: str) -> str:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        _refuse("invalid_date", "This date does not exist.")
    return text


def _real_instant(text: str) -> str:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        _refuse("invalid_instant", "This instant does not exist.")
    return text


def _no_joiners(text: str) -> str:
    if JOINERS.search(text):
        _refuse("forbidden_character", "A reference holds no joiners: two that look alike would differ.")
    if text != text.strip():
        _refuse("blank_around", "A reference neither begins nor ends with a blank.")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        _refuse("blank", "This text is blank.")
    return text


Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX), AfterValidator(_not_blank)]
Short = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_not_blank)]
Reference = Annotated[
    str,
    Field(min_length=1, max_length=REFERENCE_CHARACTERS_MAX),
    AfterValidator(_not_blank),
    AfterValidator(_no_joiners),
]
Date = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d{2}-\d{2}$", json_schema_extra={"format": "date"}),
    AfterValidator(_real_date),
]
Instant = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_real_instant),
]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="An ISO 4217 code.")]
BasisPoints = Annotated[int, Field(ge=0, le=BASIS_POINTS_MAX, description="Basis points: 100 are one percent.")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Money(Body):
    """An amount that may be zero, in minor units."""

    amount: Annotated[int, Field(ge=0, le=AMOUNT_MAX)]
    currency: Currency


class PositiveMoney(Body):
    """An amount of at least one minor unit."""

    amount: Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
    currency: Currency


class SignedMoney(Body):
    """A difference in minor units: negative lowers."""

    amount: Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
    currency: Currency


MONEY: Final = (Money, PositiveMoney, SignedMoney)

_CODES: Final = {
    "missing": ("missing", "This field must be given."),
    "extra_forbidden": ("unknown_field", "There is no such field."),
    "int_from_float": ("fractional", "A whole number is wanted here."),
    "int_type": ("wrong_type", "A whole number is wanted here."),
    "string_type": ("wrong_type", "A text is wanted here."),
    "bool_type": ("wrong_type", "true or false is wanted here."),
    "list_type": ("wrong_type", "A list is wanted here."),
    "dict_type": ("wrong_type", "An object is wanted here."),
    "model_type": ("wrong_type", "An object is wanted here."),
    "model_attributes_type": ("wrong_type", "An object is wanted here."),
    "string_too_short": ("blank", "This text is blank."),
    "string_pattern_mismatch": ("wrong_form", ""),
    "string_too_long": ("too_long", ""),
    "too_long": ("too_many", ""),
    "too_short": ("too_few", ""),
    "greater_than_equal": ("out_of_range", ""),
    "less_than_equal": ("out_of_range", ""),
    "literal_error": ("unknown_word", ""),
}


def faults_of(error: ValidationError, root: Sequence[object] = ()) -> list[Fault]:
    """Every fault that pydantic found, in the words of this API; never the value that was sent."""
    return [_fault(found, root) for found in error.errors(include_url=False)]


def _fault(found: ErrorDetails, root: Sequence[object]) -> Fault:
    kind = "int_from_float" if found["type"] == "int_type" and isinstance(found["input"], float) else found["type"]
    code, message = _CODES.get(kind, (kind, ""))
    return Fault(pointer((*root, *found["loc"])), code, message or _sentence(found["msg"]))


def _sentence(message: str) -> str:
    return message if message.endswith(".") else f"{message}."


def shaped(shape: type[Shape], value: dict[str, Json], faults: Sequence[Fault]) -> tuple[Shape | None, list[Fault]]:
    """The value as `shape`, and every fault: those given, and those found now. The shape is None when any was found."""
    found = list(faults)
    try:
        made = shape.model_validate(value)
    except ValidationError as error:
        return None, found + faults_of(error)
    return (None if found else made), found
