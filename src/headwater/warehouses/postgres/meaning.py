"""What an error of PostgreSQL means for loading: who acts next, in a sentence without values, addresses or secrets.

Source: PostgreSQL documentation, appendix A, PostgreSQL error codes.
"""

from __future__ import annotations

from typing import Final

from headwater.errors import DeliveryError, RefusedTableError, RetryableError, UnauthorizedError
from headwater.warehouses.contract import Table

UNIQUE_VIOLATION: Final = "23505"
TOO_LARGE: Final = "54000"
GONE: Final = ("42P01", "42703", "3F000")  # no such table, column, schema: somebody dropped or renamed it
WITHOUT_RIGHTS: Final = "42501"

# Of one table: its data, its constraints and triggers, rights on it, its shape, its size, locks that others hold on it.
_OF_A_TABLE: Final = ("22", "23", "42", "44", "54", "0A", "09", "27", "2B", "38", "39", "P0", "55")
_REASONS: Final = {
    "22": "a value does not fit the type of its column; change the column's type back, or drop the column",
    "23": "a constraint that Headwater has not made refuses its rows; drop that constraint",
    "42P07": "a table of this name is there that Headwater has not made; rename it",
    "42501": "the user has no rights on it (any more); make the user its owner",
    "42": "it is not what Headwater has made: a table, column or index of it was changed; rename it or change it back",
    "54": "it has more columns, or a larger row, than PostgreSQL can store; keep the bounds of columns switched on",
    "55P03": "another session holds a lock on it; end that session, or wait",
    "P0": "a trigger on it refuses its rows; drop that trigger",
}
_WAITING: Final = {
    "25006": "The server or the user is in read-only mode; loading goes on once it may write again.",
    "40001": "The server cancelled the transaction for another one; it is tried again.",
    "40P01": "Two transactions waited for each other; it is tried again.",
    "53100": "The disk of the server is full; make room there.",
    "53200": "The server is out of memory; it is tried again.",
    "53300": "The server has no connection left; raise max_connections or end other sessions.",
    "55P03": "Another session holds a lock that loading needs; end that session, or wait.",
    "57014": "The server ended a statement that took too long; it is tried again.",
    "57P01": "The server shuts down or restarts; it is tried again.",
    "57P03": "The server starts up or shuts down; it is tried again.",
}
_REFUSED: Final = {
    "28P01": "PostgreSQL refuses the user or the password; enter the present password.",
    "28000": "PostgreSQL does not let this user in from here; add a line for it to pg_hba.conf.",
    "3D000": "There is no database of this name; compare its spelling, or create it.",
    "42501": "The user lacks a right; let it CREATE and use TEMPORARY tables in the database.",
}
# A refusal to connect comes without a code in libpq, only with words.
_WORDS: Final = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("pg_hba.conf", "28000"),
    ("is not permitted to log in", "28000"),
    ("permission denied for database", "42501"),
    ("too many connections", "53300"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("is starting up", "57P03"),
    ("is shutting down", "57P03"),
    ("in recovery mode", "57P03"),
    ("not yet accepting connections", "57P03"),
)
_UNREACHED: Final = (
    (
        "certificate",
        "The server's certificate cannot be verified; enter its CA's certificate and the name that it is made out to.",
    ),
    ("does not support SSL", "The server offers no TLS; switch it on there (ssl = on), or set TLS to disable."),
    ("SSL", "TLS with the server failed; compare its versions and certificates with the setting TLS."),
    ("refused", "Nothing answers at this host and port; compare both, listen_addresses and the firewall."),
    ("timeout", "The server does not answer in time; compare host and port, and look at the firewall."),
    ("closed the connection", "The server ended the connection; it is tried again."),
    ("unreachable", "There is no way to this host; compare it, and look at the network."),
)


def code_of(error: Exception) -> str:
    """Return the SQLSTATE of an error, "" where it has none and its words are none that we know."""
    code = str(getattr(error, "sqlstate", None) or "")
    if code:
        return code
    words = str(error)
    if 'database "' in words and "does not exist" in words:
        return "3D000"
    return next((known for part, known in _WORDS if part in words), "")


def raised(error: Exception) -> DeliveryError:
    """Return what to raise when all of the loading is concerned."""
    code = code_of(error)
    if code in _REFUSED:
        return UnauthorizedError(f"{_REFUSED[code]}{_coded(code)}")
    if code in _WAITING:
        return RetryableError(f"{_WAITING[code]}{_coded(code)}")
    if code:
        return RetryableError(f"PostgreSQL does not take rows now; its log says more.{_coded(code)}")
    words = str(error)
    found = (sentence for part, sentence in _UNREACHED if part in words)
    return RetryableError(next(found, "The connection to PostgreSQL failed; it is tried again."))


def refused(error: Exception, table: Table) -> DeliveryError:
    """Return what to raise when an error came up at one table: `RefusedTableError` where the others could go on."""
    code = code_of(error)
    if not code.startswith(_OF_A_TABLE):
        return raised(error)
    named = f"{table.schema}.{table.name}"
    reason = _REASONS.get(code) or _REASONS.get(code[:2]) or "PostgreSQL refuses its rows; its log says more"
    column = str(getattr(getattr(error, "diag", None), "column_name", None) or "")
    where = f" (column {column})" if column else ""
    return RefusedTableError(f"The table {named} is left out: {reason}{where}.{_coded(code)}", table=named)


def _coded(code: str) -> str:
    return f" [SQLSTATE {code}]"
