"""Which rows of a table a removal takes, as SQL that every engine reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import Columns, ColumnType, Expired, Person, Removal

_OF_USERS: Final = ("user_id", "previous_id")
_OF_ANYBODY: Final = ("anonymous_id", "previous_id")


def condition(removal: Removal, columns: Columns, quote: Callable[[str], str] = quote_ident) -> str | None:
    """Return the condition of the rows that go, None when no row of such a table can be meant.

    An e-mail address is looked for in every text, whatever its case: it stands in traits, in context, in addresses of
    pages and in `_overflow`.

    Args:
        removal: whose rows, or from when.
        columns: of the table.
        quote: gives an identifier as SQL.
    """
    if isinstance(removal, Expired):
        return f"{quote('received_at')} < timestamp '{removal.before:%Y-%m-%d %H:%M:%S}'"
    parts = [*_ids(_OF_USERS, removal.user_ids, columns, quote)]
    parts += _ids(_OF_ANYBODY, removal.anonymous_ids, columns, quote)
    parts += _emails(removal, columns, quote)
    return " or ".join(parts) or None


def _ids(names: Iterable[str], wanted: frozenset[str], columns: Columns, quote: Callable[[str], str]) -> Iterable[str]:
    """Yield a condition for each column of ids that is there."""
    listed = ", ".join(quote_text(each) for each in sorted(wanted))
    for name in names:
        if listed and name in columns:
            yield f"{quote(name)} in ({listed})"


def _emails(removal: Person, columns: Columns, quote: Callable[[str], str]) -> Iterable[str]:
    """Yield a condition for each text column and address."""
    texts = [name for name, kind in columns.items() if kind is ColumnType.VARCHAR]
    for email in sorted(removal.emails):
        pattern = email.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        for name in texts:
            yield f"lower({quote(name)}) like {quote_text(f'%{pattern}%')} escape '\\'"
