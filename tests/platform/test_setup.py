"""A checkout is set up by the machine's own Python, in steps that are not repeated, from pinned requirements."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from deploy.local import setup
from deploy.local.child import PlatformError
from deploy.local.places import ROOT

REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def _setup_in(checkout: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up of a copy as `make setup` does, without any installed package and with only `path` to look in."""
    shutil.copytree(ROOT / "deploy", checkout / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-S", "-m", "deploy.local.setup"]
    return subprocess.run(command, cwd=checkout, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_a_machine_without_java_and_maven_is_told_both_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    done = _setup_in(tmp_path, "/nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.partition(" is needed")[0] for line in lines] == ["Java 17 or later", "Maven"]
    assert all("apt-get install openjdk-17-jre-headless maven" in line for line in lines)
    assert not (tmp_path / ".venv").exists()


def test_an_incomplete_python_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "VENV", tmp_path / "absent")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PlatformError, match="apt-get install python3-venv"):
        setup.set_up()


def test_a_step_is_repeated_only_when_what_it_was_made_from_has_changed(tmp_path: Path) -> None:
    made: list[str] = []
    for made_from in ("first", "first", "second", "second"):
        setup._step("thing", tmp_path / "stamp", made_from, partial(made.append, made_from))
    assert made == ["first", "second"]


def test_a_step_that_failed_is_tried_again(tmp_path: Path) -> None:
    def fail() -> None:
        message = "no such table"
        raise PlatformError(message)

    with pytest.raises(PlatformError):
        setup._step("thing", tmp_path / "stamp", "first", fail)
    assert not (tmp_path / "stamp").exists()


def test_a_program_of_the_set_up_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(PlatformError, match="no such table"):
        setup._run([sys.executable, "-c", "raise SystemExit('no such table')"])


def test_this_checkout_is_set_up() -> None:
    assert (ROOT / ".venv" / "bin" / "recoup").exists()
    assert setup.PYTHON.exists()


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_every_requirement_is_pinned_by_hash_and_no_registry_is_named(file: Path) -> None:
    text = file.read_text()
    pinned = re.findall(r"^[\w.\[\],-]+==\S+[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    named = re.findall(r"^[A-Za-z]", text, re.MULTILINE)
    assert len(pinned) == len(named) > 0
    assert not re.search(r"https?:|index-url|find-links", text)


@pytest.mark.parametrize(("file", "wanted"), [("run.txt", []), ("dev.txt", ["dev"])])
def test_every_dependency_is_among_the_requirements(file: str, wanted: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for extra in wanted for each in project["optional-dependencies"][extra]]
    pinned = set(re.findall(r"^([\w.-]+)", (ROOT / "requirements" / file).read_text(), re.MULTILINE))
    names = {re.split(r"[\[>=<]", each)[0].lower() for each in [*project["dependencies"], *extras]}
    assert names - pinned == set()


def test_an_environment_that_was_moved_with_its_checkout_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(setup, "VENV", tmp_path)
    (packages / setup.PATHS_FILE).write_text(setup.PATHS)
    assert setup._was_made_here()
    (packages / setup.PATHS_FILE).write_text("/elsewhere\n/elsewhere/gen\n")
    assert not setup._was_made_here()
