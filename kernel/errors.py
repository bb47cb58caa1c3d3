"""What keeps a command or a query from an answer, as one tree; a caller can do something about each of them.

KernelError
├── Incomplete    the command or its id has faults, each named with a pointer
├── IdReused      the id was used before, for another command
├── Unknown       there is no such entity, or it belongs to another client: the two are not told apart
├── Busy          the stream kept moving, or another caller changed the same rows; ask again
├── NotFinal      the instant asked about is not over
├── StartRefused  the process has the wrong role, or the log has other settings than it
├── Unavailable   the log cannot be reached, or a commit is in doubt; ask again under the same id
└── Overloaded    too many commands are waiting; ask again later
"""

from __future__ import annotations

from collections.abc import Sequence

from kernel.decider import Fault


class KernelError(Exception):
    """What keeps a command or a query from an answer, though no rule refuses it."""


class Incomplete(KernelError):  # noqa: N818 - these are named for what is wrong, as refusals are.
    """The command is not complete, or holds what it must not; every fault is named."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """`faults` has at least one."""
        super().__init__("; ".join(f"{fault.pointer} {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class IdReused(KernelError):  # noqa: N818
    """The id was used before for another command; a new command needs a new id."""


class Unknown(KernelError):  # noqa: N818
    """There is no such entity for this caller."""


class Busy(KernelError):  # noqa: N818
    """Others keep changing the same stream or rows; ask again under the same id."""


class NotFinal(KernelError):  # noqa: N818
    """The instant is not over: an earlier record may still arrive; ask again later."""


class Behind(KernelError):  # noqa: N818
    """The rows have not come to the version that was asked for, and the caller's patience is over."""


class StartRefused(KernelError):  # noqa: N818
    """The process must not serve with this role or on this log; the text says why."""


class Unavailable(KernelError):  # noqa: N818
    """The log cannot be reached, or a commit is in doubt; ask again under the same id, and learn what became of it."""


class Overloaded(KernelError):  # noqa: N818
    """Too many commands are waiting; ask again later under the same id."""
