"""What several tests of the kernel begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from recoup.sample.v1.sample_pb2 import OpenBook

from kernel.clock import Clock
from kernel.execute import Executor
from kernel.memory import MemoryStore
from kernel.project import Table
from tests.kernel.sample import BOOK, project

INPUT_KEY = b"the input key of tests, thirty-two or more bytes"
LEDGER: Final = replace(BOOK, begins=(OpenBook,))
"""Books that must be opened first: of one that was not, as of another client's, nothing is known."""


def memory_executor(clock: Clock) -> Executor:
    """An executor of the sample service over a log in memory."""
    store = MemoryStore(clock, {"views.book": Table(("tenant", "book_id"), {})})
    return Executor("sample", [LEDGER], store, clock, project, INPUT_KEY)
