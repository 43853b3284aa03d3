"""What one request means to change, and whether it did: the transactions of `database.changing` tell.

A request may be meant for one state of the configuration (`If-Match`); when somebody else was faster, its transaction
is refused, and whoever asked looks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from headwater.errors import StaleError


@dataclass(slots=True)
class Intent:
    """One request's; shared with the threads that it starts.

    Attributes:
        version: of the configuration that it is meant for; None is any, and so is every one after its first change.
        changes: transactions that it has committed.
    """

    version: int | None = None
    changes: int = 0


_present: ContextVar[Intent | None] = ContextVar("intent", default=None)


@contextmanager
def meaning(intent: Intent) -> Iterator[None]:
    """Let what is changed now be meant so, in this task and the threads that it starts."""
    before = _present.set(intent)
    try:
        yield
    finally:
        _present.reset(before)


def is_particular() -> bool:
    """Return whether the present request is meant for one version."""
    intent = _present.get()
    return intent is not None and intent.version is not None


def check(version: int) -> None:
    """Return when a change may be made to this version.

    Raises:
        StaleError: it is meant for another.
    """
    intent = _present.get()
    if intent is not None and intent.version not in {None, version}:
        raise StaleError("Somebody else has changed the configuration meanwhile; read it again.")


def committed() -> None:
    """Note that a change was committed."""
    intent = _present.get()
    if intent is not None:
        intent.version = None
        intent.changes += 1
