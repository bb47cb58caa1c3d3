"""`python -m services.gateway`: the HTTP edge, from its settings to a clean end."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, NoReturn

from kernel import settings as settings_module
from kernel import telemetry
from kernel.execute import StartRefused
from kernel.settings import SettingsError
from services.gateway.serving import serve
from services.gateway.settings import load_edge

START_REFUSED: Final = 2


def main() -> NoReturn:
    """Serve until SIGTERM or SIGINT; exit 0 after a clean end, START_REFUSED with the reason before."""
    try:
        settings, edge = settings_module.load(), load_edge()
        telemetry.configure("gateway", "api", settings.log)
        asyncio.run(serve(settings, edge))
    except (SettingsError, StartRefused) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(START_REFUSED)
    sys.exit(0)


main()
