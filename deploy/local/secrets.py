"""Random secrets of one platform, made at its first start and kept in a file that only its owner can read."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Secrets:
    """Each a random text of 64 hexadecimal digits."""

    token_secret: str
    input_key: str
    vault_key: str
    database_key: str

    def password(self, role: str) -> str:
        """The password of a database role, derived, so that there is one secret for all of them."""
        return hmac.new(self.database_key.encode(), role.encode(), hashlib.sha256).hexdigest()


def random_secrets() -> Secrets:
    """New ones."""
    return Secrets(*(secrets.token_hex(SECRET_BYTES) for _ in range(4)))


def kept_secrets(file: Path) -> Secrets:
    """Those in the file, which is made with new ones when it does not exist."""
    if file.exists():
        return Secrets(**json.loads(file.read_text()))
    made = random_secrets()
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(asdict(made), stream, indent=2)
        stream.write("\n")
    return made
