"""What STYLE.md asks and a reader would count: lengths, names, swallowed exceptions, words of this machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("kernel", "services", "cli", "demo", "deploy")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
NAMES_TO_AVOID = {"utils", "util", "common", "base", "core", "helpers", "manager", "impl", "misc"}
SERVICES = ("accounts", "contacts", "plans", "legal", "audit", "gateway")


def tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def product_modules() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PRODUCT]


def test_modules_and_functions_can_be_held_in_the_head() -> None:
    long = []
    for path in product_modules():
        text = path.read_text()
        if text.count("\n") > MODULE_LINES_MAX:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")
    assert not long, "\n".join(long)


def test_no_room_has_a_name_that_says_nothing() -> None:
    assert not [
        path for path in product_modules() if NAMES_TO_AVOID & set(path.relative_to(ROOT).with_suffix("").parts)
    ]


def test_the_kernel_names_no_service() -> None:
    word = re.compile(rf"services\.({'|'.join(SERVICES)})|recoup\.({'|'.join(SERVICES)})\b")
    assert not [path for path in tracked("kernel/*.py", "kernel/*.sql") if word.search(path.read_text())]


def test_every_exception_is_caught_only_where_the_decision_says() -> None:
    broad = re.compile(r"except\s*(\(?\s*(Base)?Exception\b|:)|suppress\((Base)?Exception")
    decision = (ROOT / "docs" / "decisions" / "0006-where-every-exception-is-caught.md").read_text()
    allowed = set(re.findall(r"`([\w/]+\.py)`", decision))
    found = {path.relative_to(ROOT).as_posix() for path in product_modules() if broad.search(path.read_text())}
    assert found == allowed


def test_the_project_speaks_of_itself_alone() -> None:
    foreign = re.compile(
        r"(^|[^\w.])/(work|root|home/\w+)/|--(extra-)?index-url|//pypi\.|/simple/|maven2/|registry\.npmjs"
    )
    own = Path(__file__)
    texts = [path for path in tracked() if path != own and path.suffix not in {".binpb", ".woff2", ".png", ".map"}]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if foreign.search(line) and len(line) < 1000
    ]
    assert not found, "\n".join(found)
