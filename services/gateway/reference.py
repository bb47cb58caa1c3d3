"""The reference page, made from the OpenAPI document: plain HTML, its own style, no script, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

from services.gateway.problems import KINDS

_STYLE: Final = Path(__file__).with_name("assets") / "reference.css"

Schema = Mapping[str, Any]


def page(document: Schema) -> str:
    """The page of a document."""
    operations = list(_operations(document))
    schemas = document["components"]["schemas"]
    parts = [
        f"<h1>{escape(document['info']['title'])} API {escape(document['info']['version'])}</h1>",
        _prose(document["info"]["description"]),
        '<p>Machine-readable: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
        f"<nav><h2>Operations</h2><ul>{''.join(_link(*operation) for operation in operations)}</ul></nav>",
        *(_operation(*operation) for operation in operations),
        _problems(),
        "<h2>Bodies</h2>",
        *(_schema(name, schemas[name]) for name in sorted(schemas)),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_style()}</style>'
    head = f'<!doctype html><html lang="en"><head><title>Recoup API</title>{head}</head>'
    return f"{head}<body>{''.join(parts)}</body></html>"


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")


def _link(method: str, path: str, _operation: Schema) -> str:
    return f'<li><a href="#{_anchor(method, path)}"><code>{method.upper()} {escape(path)}</code></a></li>'


def _operation(method: str, path: str, operation: Schema) -> str:
    parts = [
        f'<section id="{_anchor(method, path)}"><h3><span class="method {method}">{method.upper()}</span> ',
        f"<code>{escape(path)}</code></h3>{_prose(operation.get('description', ''))}",
    ]
    parameters = operation.get("parameters", ())
    if parameters:
        rows = "".join(_parameter(parameter) for parameter in parameters)
        parts.append(f"<table><tr><th>Parameter</th><th>In</th><th>What it is</th></tr>{rows}</table>")
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{escape(media_type)}</code>: {_kind(body['schema'])}</p>")
    parts.extend(
        f"<p><strong>{escape(status)}</strong>: {escape(answer['description'])} "
        + ", ".join(_kind(content["schema"]) for content in answer.get("content", {}).values())
        + "</p>"
        for status, answer in operation["responses"].items()
    )
    return "".join([*parts, "</section>"])


def _parameter(parameter: Schema) -> str:
    need = " (required)" if parameter.get("required") else ""
    name = f"<code>{escape(parameter['name'])}</code>{need}"
    return f"<tr><td>{name}</td><td>{parameter['in']}</td><td>{escape(parameter.get('description', ''))}</td></tr>"


def _problems() -> str:
    rows = "".join(
        f"<tr><td><code>{code}</code></td><td>{kind.status}</td><td>{escape(kind.title)}</td>"
        f"<td>{'yes' if kind.retryable else 'no'}</td></tr>"
        for code, kind in KINDS.items()
    )
    return (
        f"<h2>Problems</h2><table><tr><th>Code</th><th>Status</th><th>Title</th><th>Retryable</th></tr>{rows}</table>"
    )


def _schema(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' (required)' if field in required else ''}</td>"
        f"<td>{_kind(inner)}</td><td>{escape(inner.get('description', ''))}</td></tr>"
        for field, inner in schema.get("properties", {}).items()
    )
    about = _prose(schema.get("description", ""))
    table = f"<table><tr><th>Field</th><th>Type</th><th>What it is</th></tr>{rows}</table>" if rows else _kind(schema)
    return f'<section id="{escape(name)}"><h3><code>{escape(name)}</code></h3>{about}{table}</section>'


def _kind(schema: Schema) -> str:
    """A schema in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    for joint in ("anyOf", "oneOf"):
        if joint in schema:
            return " or ".join(_kind(inner) for inner in schema[joint] if inner.get("type") != "null")
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if words:
        return " | ".join(f"<code>{escape(str(word))}</code>" for word in words)
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("type") == "object" and "properties" in schema:
        return "{" + ", ".join(f"{escape(name)}: {_kind(inner)}" for name, inner in schema["properties"].items()) + "}"
    kinds = schema.get("type", "any")
    told = kinds if isinstance(kinds, str) else " | ".join(kinds)
    return escape(told) + (f" ({escape(schema['format'])})" if "format" in schema else "")


def _prose(text: str) -> str:
    """Paragraphs of the little Markdown that the document uses: bold and code."""
    told = escape(text)
    told = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", told)
    told = re.sub(r"`(.+?)`", r"<code>\1</code>", told)
    return "".join(f"<p>{paragraph}</p>" for paragraph in told.split("\n\n") if paragraph.strip())


@cache
def _style() -> str:
    return _STYLE.read_text()
