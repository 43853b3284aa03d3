"""Which rows of a table a removal takes, as SQL that every engine reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from headwater.privacy.person import Person
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import Columns, ColumnType, Expired, Removal

Matches = Callable[[str, str], str]
"""Gives the condition that a whole text matches a regular expression: (column as SQL, expression)."""

_OF_USERS: Final = ("user_id", "previous_id")
_OF_ANYBODY: Final = ("anonymous_id", "previous_id")

# What may stand beside an address in a text, so that ann@x.org is found and neither joann@x.org nor ann@x.org.uk.
# A letter before it belongs to it unless it ends an escape of a URL (%3D) or of JSON (\n, \u0026).
_BEFORE: Final = r"(.*([^a-z0-9._%+-]|%[0-9a-f]{2}|\\[nrtbf]|\\u[0-9a-f]{4}))?"
_AFTER: Final = r"([^a-z0-9.-].*|[.-]([^a-z0-9].*)?)?"


def tilde(column: str, pattern: str) -> str:
    """Return the condition in DuckDB, whose `~` means the whole text, and in PostgreSQL, where it means a part."""
    return f"{column} ~ {quote_text(f'^{pattern}$')}"


def condition(
    removal: Removal, columns: Columns, quote: Callable[[str], str] = quote_ident, matches: Matches = tilde
) -> str | None:
    """Return the condition of the rows that go, None when no row of such a table can be meant.

    An e-mail address is looked for in every text, whatever its case: it stands in traits, in context, in addresses of
    pages (where `@` may be `%40`, `+` `%2B`) and in `_overflow`. It must be the whole address.

    Args:
        removal: whose rows, or from when.
        columns: of the table.
        quote: gives an identifier as SQL.
        matches: asks a column in lower case and without line breaks.
    """
    if isinstance(removal, Expired):
        if "received_at" not in columns:
            return None
        return f"{quote('received_at')} < timestamp '{removal.before:%Y-%m-%d %H:%M:%S.%f}'"
    parts = [*_ids(_OF_USERS, removal.user_ids, columns, quote)]
    parts += _ids(_OF_ANYBODY, removal.anonymous_ids, columns, quote)
    parts += _emails(removal, columns, quote, matches)
    return " or ".join(parts) or None


def address(email: str) -> str:
    """Return the regular expression of a text in lower case that has this address in it."""
    spelled = re.escape(email.lower()).replace("@", "(@|%40)").replace(r"\+", r"(\+|%2b)")
    return f"{_BEFORE}{spelled}{_AFTER}"


def _ids(names: Iterable[str], wanted: frozenset[str], columns: Columns, quote: Callable[[str], str]) -> Iterable[str]:
    """Yield a condition for each column of ids that is there."""
    listed = ", ".join(quote_text(each) for each in sorted(wanted))
    for name in names:
        if listed and name in columns:
            yield f"{quote(name)} in ({listed})"


def _emails(removal: Person, columns: Columns, quote: Callable[[str], str], matches: Matches) -> Iterable[str]:
    """Yield a condition for each text column and address; what cannot hold it is passed over without the expression."""
    texts = [name for name, kind in columns.items() if kind is ColumnType.VARCHAR]
    for email in sorted(removal.emails):
        local, _, domain = email.lower().partition("@")
        for name in texts:
            text = f"lower({quote(name)})"
            flat = f"replace(replace({text}, chr(10), ' '), chr(13), ' ')"
            held = " and ".join(f"{text} like {quote_text(f'%{_plain(part)}%')}" for part in (local, domain) if part)
            yield f"({held} and {matches(flat, address(email))})"


def _plain(text: str) -> str:
    """Return a pattern for LIKE in which nothing has to be escaped: what would is any one character, `+` is any."""
    return re.sub(r"[%_\\]", "_", text).replace("+", "%")
