"""What is said of a portfolio file that cannot be read at all."""

from __future__ import annotations


class UnreadableFile(Exception):  # noqa: N818 - named for what is wrong.
    """The file cannot be read; the text names the file, the place where that is known, and what is wrong."""
