"""Writes docs/events.md from the contracts, so that the catalogue of facts can never differ from them.

Run `python -m docs.generate` to write it; a test compares the file with what this would write.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "docs" / "events.md"
_MESSAGE, _FIELD = 4, 2  # Field numbers of message_type and field, as source locations name them.
_SCALARS = {
    "TYPE_STRING": "string",
    "TYPE_BOOL": "bool",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_BYTES": "bytes",
}


def descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Every file of the contracts, with the comments in them."""
    files = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        arguments = [
            "protoc",
            f"-I{ROOT / 'proto'}",
            f"-I{ROOT / 'third_party' / 'proto'}",
            f"-I{well_known}",
            "--include_source_info",
            f"--descriptor_set_out={out.name}",
            *files,
        ]
        if protoc.main(arguments) != 0:
            message = "the contracts do not compile: run `buf lint`"
            raise SystemExit(message)
        found = descriptor_pb2.FileDescriptorSet()
        found.ParseFromString(Path(out.name).read_bytes())
        return found


def catalogue() -> str:
    """The whole of docs/events.md."""
    files = [file for file in descriptors().file if file.name.endswith("/events.proto")]
    lines = [
        "# Facts",
        "",
        "Generated from the contracts by `python -m docs.generate`; change `proto/`, not this page. Every fact travels",
        "as [record.md](record.md) says. *stream* marks the field that names the entity, *occurred* the one that says",
        "when it happened, *account* those that name the accounts it concerns.",
    ]
    for file in files:
        lines += ["", f"## {file.package}", ""]
        lines += _table_of_contents(file)
        for index, message in enumerate(file.message_type):
            lines += ["", *_message(file, index, message)]
    return "\n".join(lines) + "\n"


def _table_of_contents(file: descriptor_pb2.FileDescriptorProto) -> list[str]:
    comments = _comments(file)
    rows = [
        f"| [{message.name}](#{message.name.lower()}) | {comments[(_MESSAGE, index)]} |"
        for index, message in enumerate(file.message_type)
    ]
    return ["| fact | says |", "|---|---|", *rows]


def _message(
    file: descriptor_pb2.FileDescriptorProto, index: int, message: descriptor_pb2.DescriptorProto
) -> list[str]:
    comments = _comments(file)
    rows = [
        f"| {field.number} | `{field.name}` | {_type(field)} | {comments[(_MESSAGE, index, _FIELD, place)]} |"
        for place, field in enumerate(message.field)
    ]
    return [
        f"### {message.name}",
        "",
        comments[(_MESSAGE, index)],
        "",
        "| # | field | type | says |",
        "|---|---|---|---|",
        *rows,
    ]


def _type(field: descriptor_pb2.FieldDescriptorProto) -> str:
    kind = descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
    name = field.type_name.rsplit(".", 1)[-1] or _SCALARS[kind]
    repeated = "repeated " if field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED else ""
    optional = "optional " if field.proto3_optional else ""
    return f"{repeated}{optional}{name}" + "".join(f", *{role}*" for role in _roles(field))


def _roles(field: descriptor_pb2.FieldDescriptorProto) -> Iterator[str]:
    from recoup.event.v1 import options_pb2  # noqa: PLC0415 - generated code, absent until `make proto`.

    options = field.options.__class__.FromString(field.options.SerializeToString())
    for name in ("stream", "occurred", "account"):
        if options.Extensions[getattr(options_pb2, name)]:
            yield name


def _comments(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {tuple(place.path): " ".join(place.leading_comments.split()) for place in file.source_code_info.location}


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue())
