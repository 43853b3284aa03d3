"""What a function is, and what runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from headwater.outgoing import Http

Kind = Literal["sent", "dropped", "unsupported", "retry", "failed"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function as a user wrote it.

    Attributes:
        id: of the function, or of the place where it is inserted.
        code: JavaScript with Segment's handlers, such as `async function onTrack(event, settings)`.
        settings: what the code gets as its second argument; may hold secrets.
        secrets: the names of those that may be shown nowhere; None is all of them.
    """

    id: str
    name: str
    code: str = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run for one event ended.

    Attributes:
        kind: `sent`: it returned; `dropped`: `DropEvent`; `unsupported`: no handler, or `EventNotSupported`; `retry`:
            `RetryError`, or its time was up; `failed`: any other error.
        value: what it returned, JSON; what it emitted, for a source.
        message: the error as a sentence, cut; "" without one.
        log: what it wrote to the console, newest last, cut.
    """

    kind: Kind
    value: Any = None
    message: str = ""
    log: Sequence[str] = ()


class Runtime(Protocol):
    """Runs functions; nothing of the caller can be reached by them but `fetch`, which is the guarded client."""

    async def run(self, function: Function, handler: str, arguments: Sequence[Any], http: Http) -> list[Ended]:
        """Call a handler once for each argument, in order, and return how each ended.

        Args:
            function: whose code; contexts are kept between calls and never shared between functions.
            handler: such as `onTrack`, `onRequest`; `onEvent` calls the handler of each event's own type.
            arguments: JSON values, the handler's first argument each.
            http: what `fetch` goes through.

        Raises:
            ConfigError: the code cannot be read; the message has the line.
            RetryableError: no process can be had now.
        """
        ...

    async def handlers(self, function: Function) -> frozenset[str]:
        """Return which handlers the code has, such as `onTrack`.

        Raises:
            ConfigError, RetryableError: as in `run`.
        """
        ...
