"""Which schema this program's control database has; small, so that the supervisor can ask before anything starts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from headwater import sqlite
from headwater.errors import ConfigError

SCHEMA: Final = "0011"
"""The newest revision in `migrations`; every one has four digits."""


def refuse_newer(path: Path) -> None:
    """Return unless another program than this one, a newer one, has written the database at `path`.

    Asked before any role starts: those that only read would work on what they do not understand, and deliver events
    that a newer program keeps back.

    Raises:
        ConfigError: a newer Headwater has written it.
    """
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite.connect(path, read_only=True)) as connection:
            found = connection.execute("select version_num from alembic_version").fetchone()
    except sqlite.Error:  # the roles are about to make the tables, or to say what is wrong
        return
    if found is not None and found[0] > SCHEMA:
        raise ConfigError(newer(found[0]))


def newer(found: str) -> str:
    """Return what people are told about a database of a newer schema."""
    return (
        f"The control database was written by a newer Headwater (schema {found}); "
        "install that version again or restore the backup made before the upgrade."
    )
