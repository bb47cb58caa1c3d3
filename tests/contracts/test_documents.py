"""Every command in the pages is one that exists, every link leads somewhere, and generated pages are up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import CATALOGUE, catalogue

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md", "demo/*.md", "kernel/*.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), block)
        for page in PAGES
        for language, block in FENCE.findall(page.read_text())
        if language == kind
    ]


COMMANDS = sorted(
    {
        (page, line.split("#")[0].strip())
        for page, block in blocks("sh")
        for line in block.splitlines()
        if line.split("#")[0].strip()
    }
)


def test_the_catalogue_of_facts_is_up_to_date() -> None:
    assert CATALOGUE.read_text() == catalogue(), "run `make docs`"


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_a_command_of_a_page_exists(page: str, command: str) -> None:
    words = command.split()
    if words[0] == "make":
        assert words[1] in TARGETS, f"{page}: the Makefile has no target {words[1]}"
    elif words[0].endswith("recoup"):
        subcommands = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)][:2]
        help_of = [sys.executable, "-c", "from cli.main import main; main()", *subcommands, "--help"]
        done = subprocess.run(help_of, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{page}: {done.stderr}"
    else:
        assert words[0] in {"export", "curl", "git", "python", "cd"}, f"{page}: nobody checks `{command}`"


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {language for page in PAGES for language, _ in FENCE.findall(page.read_text())}
    assert kinds <= {"sh", "text"}, kinds


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)
