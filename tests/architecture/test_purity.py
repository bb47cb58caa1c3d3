"""A domain is pure: it imports the contracts and the decider, and reads neither clock, chance, files nor floats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOMAINS = sorted((ROOT / "services").glob("*/domain/*.py"))

ALLOWED_STDLIB = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "operator",
    "re",
    "struct",
    "types",
    "typing",
    "unicodedata",
    "uuid",
}
FORBIDDEN_CALLS = {
    "now",
    "utcnow",
    "today",
    "time",
    "monotonic",
    "uuid1",
    "uuid4",
    "random",
    "float",
    "open",
    "print",
    "input",
}


def breaches(source: str, *, allow_decider: bool, own: str) -> Iterator[str]:
    """What is impure in a module's source, in words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                f"imports {alias.name}"
                for alias in node.names
                if not _allowed(alias.name, own, allow_decider=allow_decider)
            )
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level or not _allowed(module, own, allow_decider=allow_decider):
                yield f"imports from {'.' * node.level}{module}"
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in FORBIDDEN_CALLS:
                yield f"calls {name}() on line {node.lineno}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"has the float {node.value} on line {node.lineno}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"divides into a float on line {node.lineno}"


def _allowed(module: str, own: str, *, allow_decider: bool) -> bool:
    top = module.split(".", 1)[0]
    if top in ALLOWED_STDLIB or top == "recoup" or module.startswith(("google.protobuf", own)):
        return True
    return allow_decider and module == "kernel.decider"


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_domain_module_is_pure(path: Path) -> None:
    service = path.parents[1].name
    found = list(breaches(path.read_text(), allow_decider=service != "audit", own=f"services.{service}.domain"))
    assert not found, f"{path.relative_to(ROOT)} {'; '.join(found)}"


def test_there_are_domains_to_check() -> None:
    assert {path.parents[1].name for path in DOMAINS} >= {"accounts", "audit"}


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "import sqlalchemy",
        "from kernel.execute import Executor",
        "from services.audit.domain import story",
        "from .account import decide",
        "from datetime import datetime\nx = datetime.now()",
        "from uuid import uuid4\nx = uuid4()",
        "x = float('1')",
        "x = 0.5",
        "x = 1 / 2",
        "x = 1\nx /= 2",
        "x = open('x')",
    ],
)
def test_each_impurity_is_seen(line: str) -> None:
    assert list(breaches(line, allow_decider=True, own="services.accounts.domain"))


def test_audit_may_not_even_import_the_decider() -> None:
    line = "from kernel.decider import Refused"
    assert not list(breaches(line, allow_decider=True, own="services.accounts.domain"))
    assert list(breaches(line, allow_decider=False, own="services.audit.domain"))
