"""What DuckDB says of an attached database, as errors for people."""

from __future__ import annotations

import re
from typing import Final

import duckdb

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError

_PID: Final = re.compile(r"\(PID (\d+)\)")
_UNAUTHORIZED: Final = re.compile(
    r"\b(401|403)\b|unauthori[sz]ed|forbidden|jwt|token|access denied|password", re.IGNORECASE
)


_UNREACHED: Final = (duckdb.IOException, duckdb.HTTPException, duckdb.InvalidInputException, duckdb.ConnectionException)


def told(name: str, error: duckdb.Error) -> DeliveryError:
    """Return the error for people: what DuckDB says may hold paths, addresses and secrets, so only its kind is kept.

    Args:
        name: what the database is called, at the start of a sentence.
        error: as DuckDB raised it.
    """
    said = str(error)
    if (contended := _contended(error, said)) is not None:
        return RetryableError(f"{name} {contended}.")
    if "not a valid DuckDB database" in said or isinstance(error, duckdb.SerializationException):
        return DeliveryError(f"{name} is damaged or of a newer DuckDB; restore it, or name another one.")
    if isinstance(error, _UNREACHED) and _UNAUTHORIZED.search(said):
        return UnauthorizedError(f"{name} refused the credentials; correct them in the warehouse's settings.")
    if isinstance(error, _UNREACHED):
        return RetryableError(f"{name} cannot be reached or written ({type(error).__name__}); see its disk or network.")
    return DeliveryError(f"{name} failed with {type(error).__name__}; the log of the server has more.")


def _contended(error: duckdb.Error, said: str) -> str | None:
    """Return who is in the way, None when nobody is."""
    if "already attached by database" in said:
        return "is being read by a query of Headwater; it is tried again"
    if "Could not set lock" in said or "Conflicting lock" in said:
        pid = _PID.search(said)
        holder = f"another program (process {pid[1]})" if pid else "another program"
        return f"is held open by {holder}; close it there, also when it only reads"
    if isinstance(error, duckdb.TransactionException):
        return "was changed by another process meanwhile; it is tried again"
    return "needs more memory than it may take" if isinstance(error, duckdb.OutOfMemoryException) else None
