"""What went wrong in dlt or an engine, as one of our errors: a reason for people, never the engine's own words.

Those words may hold a value of an event, an address or a secret; they decide which of our sentences is told.
"""

from __future__ import annotations

import re
from typing import Final

from headwater.errors import ConfigError, DeliveryError, RefusedTableError, RetryableError, UnauthorizedError
from headwater.warehouses.contract import Table

_INNER: Final = ("exception", "client_exception", "dbapi_exception", "inner_exc", "__cause__")
_DEPTH_MAX: Final = 12  # of causes; a chain that is longer goes in circles
_CODE: Final = re.compile(
    r"\b(?:sqlstate|errno|error code|code)\W{1,4}([0-9A-Z]{2,10})\b|\(([0-9A-Z]{5})\)", re.IGNORECASE
)

_AWAY: Final = (
    (
        r"could not translate host|name or service not known|getaddrinfo|nodename nor|temporary failure in name",
        "its name is not known to this machine's name server; check the host name",
    ),
    (r"connection refused|actively refused", "nothing listens at that address; check host and port"),
    (
        r"certificate|\btls\b|\bssl\b",
        "the encrypted connection could not be made; check the certificate and the TLS setting",
    ),
    (
        r"deadlock|\block|serializ|concurrent|conflict|could not obtain",
        "somebody else holds the table; it is tried again",
    ),
    (
        r"timed? ?out|timeout|canceling statement",
        "it did not answer in time; try again, or look whether it is busy or paused",
    ),
    (
        r"no space left|disk full|quota|out of memory|too many (clients|connections)",
        "it has no room left; free space or connections there",
    ),
    (
        r"could not connect|connection (to server|reset|closed|aborted)|network|unreachable|server closed|broken pipe",
        "it cannot be reached; check host, port and firewall",
    ),
)
_FORBIDDEN: Final = (
    r"permission denied|insufficient privilege|access denied|not authorized|forbidden|\b403\b"
    r"|must be owner|read.?only"
)
_REFUSED: Final = (
    (
        (
            r"password authentication failed|incorrect username or password|login failed|authentication failed"
            r"|invalid.{0,20}(token|credential|client|grant|jwt)|jwt token|unauthori[sz]ed|\b401\b"
        ),
        "it refused the login; check user and secret",
    ),
    (
        r"(database|catalog) .{0,80}(does not exist|not found)|unknown database|cannot open database",
        "there is no such database for this user; check its name and the user's rights",
    ),
    (
        _FORBIDDEN,
        "the user may not do that; see the rights in this warehouse's documentation",
    ),
)
_ABSENT: Final = ("MissingDependencyException", "SystemConfigurationException", "ImportError")


def told(name: str, error: BaseException, table: Table | None = None) -> DeliveryError:
    """Return what to raise for an error.

    Args:
        name: what people call the engine.
        error: as dlt or a driver raised it.
        table: whose rows were on their way, None when it was none's in particular.
    """
    ours = next((each for each in _chain(error) if isinstance(each, DeliveryError | ConfigError)), None)
    if ours is not None:
        return ours if isinstance(ours, DeliveryError) else DeliveryError(str(ours))
    said = " ".join(str(each).lower() for each in _chain(error))
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    if kinds & {*_ABSENT}:
        return DeliveryError(
            f"{name} needs a driver that is not installed; see this warehouse's documentation for what to install."
        )
    place = f"{table.schema}.{table.name}" if table is not None else ""
    if place and re.search(_FORBIDDEN, said):  # of this table; the others may be taken
        return RefusedTableError(
            f"{name}: the user may not write to {place}; give the rights back, or rename the table.", table=place
        )
    for kind, reasons in ((UnauthorizedError, _REFUSED), (RetryableError, _AWAY)):
        for pattern, reason in reasons:
            if re.search(pattern, said):
                return kind(f"{name}: {reason}.")
    if place and "DestinationTerminalException" in kinds and "DestinationUndefinedEntity" not in kinds:
        return RefusedTableError(
            f"{name} refused rows of {place}{_code(said)}; look at the table's columns there, and whether somebody "
            "changed their types.",
            table=place,
        )
    return RetryableError(f"{name} failed{_code(said)}; nothing of the batch counts as loaded, it is tried again.")


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what caused it, as dlt wraps them."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < _DEPTH_MAX:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or each in found:
            continue
        found.append(each)
        waiting += [getattr(each, name, None) for name in _INNER]
    return found


def _code(said: str) -> str:
    """Return the engine's own number of an error, for those who look it up."""
    found = _CODE.search(said)
    code = (found.group(1) or found.group(2)).upper() if found else ""
    return f" (code {code})" if code else ""
