"""Who is acting: set where a request comes in, read where a change is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What acts."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    COMMAND = "command line"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, as the audit trail tells it.

    Attributes:
        id: of the user or token; "" for the command line and Headwater itself.
        name: of the user or token.
        address: where the request came from; "" where there was none.
        workspace_id: in which they act; "" where they act on the whole installation.
    """

    kind: Kind
    id: str = ""
    name: str = ""
    email: str = ""
    address: str = ""
    workspace_id: str = ""


SYSTEM: Final = Actor(Kind.SYSTEM, name="Headwater")
_present: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def present() -> Actor:
    """Return who is acting now; Headwater itself where nobody asked."""
    return _present.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let `actor` be the one who acts, in this task and the threads that it starts."""
    before = _present.set(actor)
    try:
        yield
    finally:
        _present.reset(before)
