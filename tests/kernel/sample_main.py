"""The sample service as a program, as every service's `__main__` is one."""

from __future__ import annotations

from kernel.main import Service, run
from tests.kernel.sample import project
from tests.kernel.sample_service import register
from tests.kernel.support import LEDGER

if __name__ == "__main__":
    run(Service("sample", [LEDGER], project, lambda context: [register(context.executor)]))
