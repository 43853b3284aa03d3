"""How a name that users chose becomes an identifier: Segment's snake case, made safe for every engine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from headwater.limits import IDENTIFIER_BYTES_MAX

_WORD: Final = re.compile(r"[A-Z0-9]+[a-z0-9]*|[a-z0-9]+")
_HASH_CHARS: Final = 8

# What PostgreSQL 18 or DuckDB 2.0 refuse as a bare column or table name.
_RESERVED: Final = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc describe distinct do else end except false
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join
    lambda lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order
    outer overlaps pivot pivot_longer pivot_wider placing primary qualify references returning right select
    session_user show similar some summarize symmetric system_user table tablesample then to trailing true union
    unique unpivot user using variadic verbose when where window with
    """.split()  # noqa: SIM905 - a hundred quoted words are harder to read and to check
)


def snake_case(name: str) -> str:
    """Return the words of a name in lower case, joined by `_`; "" when it has no ASCII letter or digit.

    A word is a run of capitals and digits followed by a run of small letters and digits; everything else separates.

    Source: Segment, warehouse schemas (go-snakecase).
    """
    return "_".join(_WORD.findall(name)).lower()


def table_name(event: str) -> str:
    """Return the table of a track event: snake case, `_` before a digit or a reserved word, never longer than allowed.

    A name without any ASCII letter or digit becomes `event_` and a hash of it; a name that is too long is cut and ends
    in its hash.
    """
    return _identifier(snake_case(event) or f"event_{_hash(event)}", event)


def column_name(*path: str) -> str:
    """Return the column of a property, by the same rules as `table_name`.

    Args:
        path: the keys from the outside in: a nested object is flattened, its keys joined by `_`. A key without any
            ASCII letter or digit becomes a hash of it.
    """
    parts = [snake_case(key) or _hash(key) for key in path]
    name = f"property_{parts[0]}" if len(parts) == 1 and not snake_case(path[0]) else "_".join(parts)
    return _identifier(name, "\0".join(path))


def schema_name(slug: str) -> str:
    """Return the schema of a source from its slug."""
    return _identifier(snake_case(slug) or f"source_{_hash(slug)}", slug)


def quote_ident(identifier: str) -> str:
    """Return an identifier as SQL text.

    Raises:
        ValueError: it holds a NUL, which no engine can keep.
    """
    if "\0" in identifier:
        raise ValueError("an identifier cannot hold a NUL")
    return '"' + identifier.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a string as an SQL literal; a NUL is spelled `chr(0)`, since SQL text ends at one."""
    quoted = "'" + text.replace("'", "''") + "'"
    return quoted if "\0" not in text else "(" + quoted.replace("\0", "' || chr(0) || '") + ")"


def pointer(path: Sequence[str]) -> str:
    """Return the JSON pointer to a nested key.

    Source: RFC 6901.
    """
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def _identifier(name: str, original: str) -> str:
    """Return a slug that no engine misreads: not digit-first, not reserved, not too long."""
    if name[0].isdigit() or name in _RESERVED:
        name = f"_{name}"
    if len(name) <= IDENTIFIER_BYTES_MAX:
        return name
    return f"{name[: IDENTIFIER_BYTES_MAX - _HASH_CHARS - 1]}_{_hash(original)}"


def _hash(text: str) -> str:
    """Return what tells two names apart whose letters do not: 8 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
