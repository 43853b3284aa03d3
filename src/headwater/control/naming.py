"""Ids, names and slugs: how they are made and which are refused."""

from __future__ import annotations

import re
import secrets
import string
import unicodedata
from typing import Final

from headwater.errors import InvalidRequestError
from headwater.limits import IDENTIFIER_BYTES_MAX
from headwater.spec import names

_ALPHABET: Final = string.ascii_letters + string.digits
_ID_CHARS: Final = 22  # 62 ** 22 is a little more than 128 bits; Segment's ids have this length too
_WRITE_KEY_CHARS: Final = 32
_NAME_CHARS_MAX: Final = 100
_SLUG: Final = re.compile(r"[a-z_][a-z0-9_-]*")
# Schemas that a database keeps for itself: PostgreSQL, DuckDB, and the standard; and what DuckDB calls the databases
# that it is connected to while our views are made (memory, made) and read (views).
_RESERVED: Final = frozenset(
    {"public", "information_schema", "main", "temp", "system", "default", "sys", "memory", "made", "views"}
)


def new_id() -> str:
    """Return an id that nobody can guess."""
    return _random(_ID_CHARS)


def new_write_key() -> str:
    """Return a write key: 32 characters, 190 bits."""
    return _random(_WRITE_KEY_CHARS)


def new_webhook_secret() -> str:
    """Return the last part of a webhook's address: 190 bits, letters and digits only, so that no client mangles it."""
    return _random(_WRITE_KEY_CHARS)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def checked_name(name: str, field: str = "name") -> str:
    """Return a display name without surrounding blanks.

    Raises:
        InvalidRequestError: it is blank, too long, or holds characters that cannot be seen or that reorder text.
    """
    stripped = name.strip()
    if not stripped:
        raise InvalidRequestError(f"{field} is required", field=field)
    if len(stripped) > _NAME_CHARS_MAX:
        raise InvalidRequestError(f"{field} is longer than {_NAME_CHARS_MAX} characters", field=field)
    # Cc control, Cf format (zero width, right-to-left override), Cs lone surrogate, Zl/Zp line breaks.
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in stripped):
        raise InvalidRequestError(f"{field} holds control or invisible characters", field=field)
    return stripped


def checked_slug(slug: str) -> str:
    """Return a slug that is a schema's name in a warehouse as well, `-` read as `_`.

    Raises:
        InvalidRequestError: other characters than a-z, 0-9, `_`, `-`, too long, or a name that databases reserve.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidRequestError(
            "a slug is lower-case letters, digits, _ and -, and starts with a letter or _, such as my_website",
            field="slug",
        )
    if len(slug) > IDENTIFIER_BYTES_MAX:
        raise InvalidRequestError(f"a slug has at most {IDENTIFIER_BYTES_MAX} characters", field="slug")
    if schema_name(slug) in _RESERVED or schema_name(slug).startswith(("pg_", "duckdb_")):
        raise InvalidRequestError(f"{slug} is a name that databases keep for themselves; choose another", field="slug")
    return slug


def schema_name(slug: str) -> str:
    """Return the warehouse schema of a slug."""
    return names.schema_name(slug)
