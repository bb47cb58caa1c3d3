"""From the JSON that callers send to the messages of the contract, and from a message's fields back to the JSON.

A field stands in the message under its own name, under its name with the unit that the contract adds (`_minor`,
`_basis_points`), or where its metadata says. The table is made once, at import: a field that stands nowhere is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kernel.decider import Fault
from services.gateway.shapes import MONEY, At, Body, Elsewhere, Word
from services.gateway.strict_json import escaped

UNITS: Final = ("", "_minor", "_basis_points")
STAR: Final = "*"
"""Stands in a path for the position in a list."""
ROOT: Final = "^"
"""Begins a path that starts at the outermost message instead of at the field's own."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one field: `path` leads to its place, from the message or, if `rooted`, from the outermost."""

    label: str
    path: tuple[str, ...]
    rooted: bool
    words: Mapping[str, int] | None
    money: bool
    many: bool
    within: Shapes | None


@dataclass(frozen=True, slots=True)
class Shapes:
    """The steps of one shape, in its own order."""

    steps: tuple[Step, ...]
    elsewhere: Mapping[str, tuple[str, ...]]


def compiled(shape: type[Body], message: Descriptor, root: Descriptor | None = None) -> Shapes:
    """The table from `shape` to `message`."""
    root = message if root is None else root
    steps: list[Step] = []
    elsewhere: dict[str, tuple[str, ...]] = {}
    for name, info in shape.model_fields.items():
        kind, extra = unwrapped(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)
        label = info.alias or name
        by_hand = next((found for found in extra if isinstance(found, Elsewhere)), None)
        if by_hand is not None:
            elsewhere[label] = by_hand.paths
        else:
            at = next((found.path for found in extra if isinstance(found, At)), None)
            steps.append(_step(name, label, kind, extra, at, message, root))
    return Shapes(tuple(steps), elsewhere)


def fill(message: Message, sent: Mapping[str, Any], shapes: Shapes, root: Message | None = None) -> None:
    """Put every field that was sent, in the JSON form of its shape, into `message`."""
    root = message if root is None else root
    for step in shapes.steps:
        value = sent.get(step.label)
        if value is None:
            continue
        target: Any = root if step.rooted else message
        if not step.path:
            assert step.within is not None
            fill(target, value, step.within, root)
            continue
        for token in step.path[:-1]:
            target = getattr(target, token)
        _put(target, step.path[-1], value, step, root)


def _put(target: Any, name: str, value: Any, step: Step, root: Message) -> None:  # noqa: ANN401 - any field's value.
    if step.within is not None:
        held = getattr(target, name)
        if not step.many:
            held.SetInParent()
        for item in value if step.many else (value,):
            fill(held.add() if step.many else held, item, step.within, root)
    elif step.money:
        setattr(target, name, value.get("amount", 0))
    elif step.words is not None:
        setattr(target, name, step.words[value])
    elif step.many:
        getattr(target, name).MergeFrom(value) if isinstance(value, list) else getattr(target, name).update(value)
    else:
        setattr(target, name, value)


def _step(  # noqa: PLR0913, PLR0917 - what is known of one field.
    name: str,
    label: str,
    kind: Any,  # noqa: ANN401 - the type of any field.
    extra: Sequence[object],
    at: str | None,
    message: Descriptor,
    root: Descriptor,
) -> Step:
    many = get_origin(kind) in (list, dict)
    item, item_extra = unwrapped(get_args(kind)[0]) if get_origin(kind) is list else (kind, [])
    word = next((found for found in (*extra, *item_extra) if isinstance(found, Word)), None)
    rooted = at is not None and at.startswith(ROOT)
    path = _path(name, at, message)
    money = item in MONEY
    inner = isinstance(item, type) and issubclass(item, Body) and not money
    place = _found(root if rooted else message, path, f"{message.full_name}.{name}")
    within = compiled(item, place, root) if inner else None
    return Step(label, path, rooted, word.numbers() if word else None, money, many, within)


def _path(name: str, at: str | None, message: Descriptor) -> tuple[str, ...]:
    if at is not None:
        return tuple(token for token in at.removeprefix(ROOT).split(".") if token)
    found = next((name + unit for unit in UNITS if name + unit in message.fields_by_name), name)
    return (found,)


def _found(message: Descriptor, path: Sequence[str], what: str) -> Descriptor:
    """The message at the end of the path, or the one that holds the field at its end."""
    for token in path:
        field = message.fields_by_name.get(token)
        assert field is not None, f"{what} stands nowhere in {message.full_name}"
        if field.message_type is None:
            return message
        message = field.message_type
    return message


def unwrapped(annotation: Any) -> tuple[Any, list[object]]:  # noqa: ANN401 - any type may be annotated.
    """The type beneath `Annotated` and `| None`, and the metadata met on the way."""
    extra: list[object] = []
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *found = get_args(annotation)
            extra.extend(found)
        elif origin in (Union, UnionType):
            annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
        else:
            return annotation, extra


class Pointers:
    """Where in the JSON the fields of a message come from."""

    def __init__(self, shapes: Shapes, aliases: Mapping[str, str] | None = None) -> None:
        """`aliases` gives further paths of messages, as the JSON path that they belong to."""
        self._paths: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._learn(shapes, (), ())
        for path, label in (aliases or {}).items():
            self._paths[tuple(path.split("."))] = tuple(token for token in label.split(".") if token)

    def _learn(self, shapes: Shapes, path: tuple[str, ...], label: tuple[str, ...]) -> None:
        for step in shapes.steps:
            here = (*(() if step.rooted else path), *step.path)
            there = (*label, step.label)
            if step.path:
                self._paths[here] = (*there, "amount") if step.money else there
            if step.within is not None:
                star = (STAR,) if step.many else ()
                self._learn(step.within, (*here, *star), (*there, *star))
        for name, paths in shapes.elsewhere.items():
            for found in paths:
                self._paths[tuple(found.split("."))] = (*label, name)

    def paths(self) -> Iterable[tuple[str, ...]]:
        """Every path of the message that the JSON can set, `*` for a position."""
        return self._paths.keys()

    def translated(self, fault: Fault) -> Fault:
        """The same fault, pointing into the JSON. What stands nowhere in the JSON points at the whole of it."""
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in fault.pointer.split("/")[1:]]
        for length in range(len(tokens), 0, -1):
            starred = tuple(STAR if token.isdigit() else token for token in tokens[:length])
            found = self._paths.get(starred) or (self._paths.get(starred[:-1]) if starred[-1] == STAR else None)
            if found is not None:
                return Fault(_filled(found, starred, tokens, tokens[length:]), fault.code, fault.message)
        return Fault("", fault.code, fault.message)


def _filled(found: Sequence[str], starred: Sequence[str], tokens: Sequence[str], rest: Sequence[str]) -> str:
    indices = [token for token, star in zip(tokens, starred, strict=False) if star == STAR]
    filled = [indices.pop(0) if part == STAR and indices else part for part in found]
    return "".join(f"/{escaped(token)}" for token in (*filled, *indices, *rest))
