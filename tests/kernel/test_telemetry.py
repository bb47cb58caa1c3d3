"""Log lines carry what is bound, as JSON, and never personal data or secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

PREAMBLE = """
import logging, structlog
from kernel import telemetry
from kernel.tenancy import Caller, sign
telemetry.configure("accounts", "api", "{style}")
log = structlog.get_logger("test")
structlog.contextvars.bind_contextvars(command="PostEntry", correlation="c-1", stream="book-1")
"""


def written(code: str, style: str = "json") -> str:
    """What a process writes to its log; a process, because logging is set up once in each."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE.format(style=style) + code], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def line(code: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(written(code))
    return found


def test_a_line_is_json_with_what_is_bound() -> None:
    found = line("log.info('recorded', version=3)")
    assert found["at"].endswith("Z")
    assert {name: found[name] for name in found if name != "at"} == {
        "event": "recorded",
        "level": "info",
        "service": "accounts",
        "verb": "api",
        "command": "PostEntry",
        "correlation": "c-1",
        "stream": "book-1",
        "version": 3,
    }


def test_the_standard_library_logs_the_same_way() -> None:
    found = line("logging.getLogger('faust').warning('lost %s', 'the broker')")
    assert (found["event"], found["logger"], found["correlation"]) == ("lost the broker", "faust", "c-1")


def test_a_traceback_is_one_line_of_json() -> None:
    found = line("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')")
    assert "ZeroDivisionError: division by zero" in found["exception"]


def test_on_a_terminal_a_line_is_for_people() -> None:
    assert "recorded" in written("log.info('recorded', version=3)", "text")


PRIVATE = [
    ("log.info('x', token='abc123')", "abc123"),
    ("log.info('x', given_name='Rosalind')", "Rosalind"),
    ("log.info('x', person={'birth_date': '1970-01-01', 'id': 7})", "1970-01-01"),
    ("log.info('x', people=[{'email': 'rosalind'}])", "rosalind"),
    ("log.info('wrote to rosalind.franklin@example.org')", "rosalind"),
    ("log.info('x', text='her number is 078-05-1120')", "078-05-1120"),
    ("log.info('x', text='called 12025550123')", "12025550123"),
    ("log.info('x', url='postgresql://accounts:hunter2@127.0.0.1/recoup')", "hunter2"),
    ("log.info('x', url='host=127.0.0.1 password=hunter2')", "hunter2"),
    ("log.info('x', text='used ck_live_7_s3cr3tv4lue')", "s3cr3tv4lue"),
    ("import uuid; log.info(sign(Caller(uuid.uuid4(), None, 'a', 'b', frozenset()), b'k' * 32, 60))", "eyJ"),
    ("from pydantic import SecretStr; log.info('x', settings=SecretStr('hunter2'))", "hunter2"),
    ("log.info('x', row=b'Rosalind')", "Rosalind"),
    ("raw = ValueError('x\\nDETAIL:  Failing row contains (Rosalind)'); log.error('x', exc_info=raw)", "Rosalind"),
    ("from recoup.event.v1.answer_pb2 import Fault; log.info('x', it=Fault(message='Rosalind'))", "Rosalind"),
    ("from recoup.event.v1.answer_pb2 import Fault; log.info('x', command=Fault(message='Rosalind'))", "Rosalind"),
    ("logging.getLogger('x').error('token %s', 'eyJh.eyJ0.c2ln')", "eyJ0"),
]
"""What a careless programmer might log, and what must not be seen of it."""


@pytest.fixture(scope="module", params=["json", "text"])
def careless_lines(request: pytest.FixtureRequest) -> str:
    marked = (f"log.info('case {number}')\n{code}" for number, (code, _private) in enumerate(PRIVATE))
    return written("\n".join([*marked, f"log.info('case {len(PRIVATE)}')"]), request.param)


@pytest.mark.parametrize("number", range(len(PRIVATE)))
def test_nothing_private_is_written(careless_lines: str, number: int) -> None:
    _before, _case, after = careless_lines.partition(f"case {number}")
    found, case, _after = after.partition(f"case {number + 1}")
    assert case, "the line was written"
    assert found.count("\n") > 1
    assert PRIVATE[number][1] not in found
