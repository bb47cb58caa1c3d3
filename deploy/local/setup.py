"""Make a checkout ready: the environment in .venv with the command `recoup`, the generated contracts, Kafka's jars.

Run by the machine's own Python before anything is installed, so it imports the standard library alone. Each step leaves
a stamp of what it was made from and is passed over while that is unchanged: the second run takes a moment.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.local.child import PlatformError
from deploy.local.kafka import fetch_jars, find_java, find_maven, jars_are_there
from deploy.local.places import ROOT

VENV: Final = ROOT / ".venv"
PYTHON: Final = VENV / "bin" / "python"
REQUIREMENTS: Final = ROOT / "requirements" / "dev.txt"
GENERATED: Final = ROOT / "gen"
PROTO: Final = ROOT / "proto"
VENDORED_PROTO: Final = ROOT / "third_party" / "proto"
SAMPLE_PROTO: Final = ROOT / "tests" / "kernel" / "proto"
"""The contracts of the sample service that the kernel's tests and benchmarks run."""
CONTRACTS_STAMP: Final = GENERATED / "recoup.stamp"
PATHS_FILE: Final = "recoup-checkout.pth"
PATHS: Final = f"{ROOT}\n{GENERATED}\n"
PYTHON_VERSION_MIN: Final = (3, 11)
COMMAND: Final = """#!{python}
import sys

from cli.main import main

sys.exit(main())
"""


def set_up() -> None:
    """Do every step that is not done yet, saying how long it took; PlatformError names what the machine lacks."""
    _require_machine()
    stamp = VENV / "recoup.stamp"
    if not PYTHON.exists():  # the machine's Python may have gone since
        stamp.unlink(missing_ok=True)
    _step("environment in .venv", stamp, f"{_digest([REQUIREMENTS])} {ROOT}", _make_environment)
    make_contracts()
    if not jars_are_there():
        _timed("Apache Kafka, through Maven", fetch_jars)


def make_contracts() -> None:
    """Generate the Python of every contract in proto/ into gen/, when one has changed."""
    _step("contracts in gen", CONTRACTS_STAMP, _contracts_digest(), _generate)


def contracts_are_current() -> bool:
    """Whether gen/ was generated from proto/ as it is."""
    return CONTRACTS_STAMP.exists() and CONTRACTS_STAMP.read_text() == _contracts_digest()


def _contracts_digest() -> str:
    roots = (PROTO, SAMPLE_PROTO, VENDORED_PROTO)
    return _digest([*(file for root in roots for file in sorted(root.rglob("*.proto"))), REQUIREMENTS])


def _require_machine() -> None:
    """Everything that the machine must have, so that all of what it lacks is told at once."""
    lacks: list[str] = []
    if sys.version_info[:2] < PYTHON_VERSION_MIN:
        lacks.append(f"Python 3.11 or later is needed, and this is {sys.version.split()[0]}. Set PYTHON=… for make.")
    if not VENV.exists() and importlib.util.find_spec("ensurepip") is None:
        lacks.append("Python's venv is incomplete. Install it: `apt-get install python3-venv` (as root).")
    if not jars_are_there():
        for find in (find_java, find_maven):
            try:
                find()
            except PlatformError as error:
                lacks.append(str(error))
    if lacks:
        raise PlatformError("\n".join(lacks))


def _make_environment() -> None:
    if not (PYTHON.exists() and _was_made_here()):
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    _run([str(PYTHON), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(REQUIREMENTS)])
    (packages,) = VENV.glob("lib/python3.*/site-packages")
    (packages / PATHS_FILE).write_text(PATHS)
    command = VENV / "bin" / "recoup"
    command.write_text(COMMAND.format(python=PYTHON))
    command.chmod(0o755)


def _was_made_here() -> bool:
    """Whether .venv was not moved with its checkout: its programs name the place where it was made."""
    return all(file.read_text() == PATHS for file in VENV.glob(f"lib/python3.*/site-packages/{PATHS_FILE}"))


def _generate() -> None:
    GENERATED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GENERATED.parent, prefix=".gen-") as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
        files = [str(file) for root in (PROTO, SAMPLE_PROTO) for file in sorted(root.rglob("*.proto"))]
        roots = [f"-I{root}" for root in (PROTO, SAMPLE_PROTO, VENDORED_PROTO)]
        _run([str(PYTHON), "-m", "grpc_tools.protoc", *roots, *outputs, *files])
        made = Path(folder)
        for old in GENERATED.rglob("*_pb2*.py*"):
            if old.parent.name != "__pycache__" and not (made / old.relative_to(GENERATED)).exists():
                old.unlink()
        shutil.copytree(made, GENERATED, dirs_exist_ok=True)


def _step(what: str, stamp: Path, made_from: str, make: Callable[[], None]) -> None:
    if stamp.exists() and stamp.read_text() == made_from:
        return
    _timed(what, make)
    stamp.write_text(made_from)


def _timed(what: str, make: Callable[[], None]) -> None:
    print(f"setting up: {what} …", flush=True)  # noqa: T201 - this is a command's own output.
    began = time.monotonic()
    make()
    print(f"setting up: {what}: done in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


def _run(command: Sequence[str]) -> None:
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(  # noqa: S603 - the command is ours, and no shell reads it.
        command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"{' '.join(command[:6])} … failed:\n{done.stdout}{done.stderr}"
        raise PlatformError(message)


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def main() -> int:
    """`python3 -m deploy.local.setup [proto]`."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["all", "proto"], default="all")
    part = parser.parse_args().part
    try:
        set_up() if part == "all" else make_contracts()
    except PlatformError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
