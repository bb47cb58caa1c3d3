"""Which characters a text may hold: what cannot be seen, or turns the reading direction, is refused."""

from __future__ import annotations

import re
from typing import Final

FORBIDDEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls, tabs and line ends among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # invisible spaces, separators and annotations
    "\ud800-\udfff\ufffe\uffff"  # lone surrogates and what is no character
    "\U000e0000-\U000e007f"  # invisible tags
    "]"
)
"""Refused in every text. The joiners U+200C and U+200D are not among them: names of some scripts need them."""

JOINERS: Final = re.compile("[\u200c\u200d]")
"""Refused in references: two that look the same must be the same."""


def forbidden_in(text: str) -> str | None:
    """The first character of `text` that no text may hold, as U+XXXX; None when there is none."""
    found = FORBIDDEN.search(text)
    return None if found is None else f"U+{ord(found.group()):04X}"
