"""Every error of Headwater, grouped by what the catcher does next.

A message says what happened and the next step; it never holds a payload, an address or a secret.
"""

from __future__ import annotations


class HeadwaterError(Exception):
    """The root: `except HeadwaterError` catches what we raise on purpose and nothing else."""


class ConfigError(HeadwaterError):
    """Refuse to start. The message names the setting and a value that works."""


class InvalidEventError(HeadwaterError):
    """Refuse the event, naming the field; it is counted under `code` and shown.

    Attributes:
        code: a discard code, as Segment's delivery overview spells it where it has one.
        field: the member of the event that is wrong, "" when it is the whole event.
    """

    def __init__(self, code: str, message: str, *, field: str = "") -> None:
        """Name the discard code, the sentence for people and the member that is wrong."""
        super().__init__(message)
        self.code = code
        self.field = field


class RequestError(HeadwaterError):
    """Refuse the whole HTTP request with `status`; the answer's body names `code`."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        """Take the HTTP status, the machine's code, the sentence for people and the wait before a retry."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class LogUnavailableError(HeadwaterError):
    """Nothing was stored: the log cannot be written now (disk full, shutting down). Answer 503, try later."""


class LogOverloadedError(HeadwaterError):
    """Nothing was stored: the queue in front of the log is full. Answer 429, try later."""


class CorruptLogError(HeadwaterError):
    """Stop; never guess. The message names file, offset and the sequences that are affected."""


class DeliveryError(HeadwaterError):
    """Raised by destinations and warehouses for a whole batch; the engine decides what follows."""


class RetryableError(DeliveryError):
    """The same batch, later; nothing of it was taken over.

    Attributes:
        after_s: seconds that the service asked for, None when it did not say.
        for_s: seconds after which it is not worth another try, None for the usual time.
    """

    def __init__(self, message: str, *, after_s: float | None = None, for_s: float | None = None) -> None:
        """Take the reason, the wait that the service asked for, and for how long to try."""
        super().__init__(message)
        self.after_s = after_s
        self.for_s = for_s


class UnsupportedError(DeliveryError):
    """Not tried again: the service offers it not, or not with these settings; the sentence says what to do instead."""


class UnauthorizedError(DeliveryError):
    """Pause the connection, keep its events and tell the user: the credentials were refused."""


class RefusedTableError(DeliveryError):
    """A warehouse could not take one table of a batch; the others may be taken without it.

    Attributes:
        table: `schema.table`.
    """

    def __init__(self, message: str, *, table: str) -> None:
        """Take the reason and the table."""
        super().__init__(message)
        self.table = table


class ForbiddenAddressError(UnauthorizedError):
    """As refused credentials, but by us: the operator does not allow calls to this address (any more)."""


class NotFoundError(HeadwaterError):
    """What was asked for does not exist, or not for the one who asks."""


class ConflictError(HeadwaterError):
    """The change contradicts what is stored, such as a slug that is taken."""


class StaleError(ConflictError):
    """The change was meant for a state that is past; nothing was changed."""


class InvalidRequestError(HeadwaterError):
    """A control-plane request is wrong; `field` names the member."""

    def __init__(self, message: str, *, field: str = "") -> None:
        """Take the sentence for people and the member that is wrong."""
        super().__init__(message)
        self.field = field


class ForbiddenUrlError(InvalidRequestError):
    """An address that outgoing calls may not have; refused when it is saved, not at the first delivery."""


class ForbiddenError(HeadwaterError):
    """The caller is known and may not do this."""


class QueryError(HeadwaterError):
    """The SQL is refused or failed; the message is the engine's own, without file paths."""


class BenchError(HeadwaterError):
    """A measurement could not be taken, or what it measured was wrong: an event got lost. No figure stands then."""
