"""MotherDuck: a DuckDB database in the cloud, loaded by the same lane as a DuckDB file.

Source: MotherDuck documentation, ATTACH, attach modes, access tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses._lanes.attached import Catalog, Lane, erased, extensions
from headwater.warehouses._lanes.attached.reading import AttachedReading
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses.contract import Card

NAME: Final = "MotherDuck"
_DATABASE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")  # ours: nothing that is another part of `md:`

CARD: Final = Card(
    name="MotherDuck",
    description="A DuckDB database at MotherDuck, with a table for each event.",
    notes=(
        (
            "It needs DuckDB's extension motherduck on Headwater's machine, for the DuckDB that Headwater uses. "
            "Headwater never downloads it; testing the connection says how to install it."
        ),
        "Make the database first: CREATE DATABASE events. The token needs to read and write.",
        (
            "Deleted rows stay in MotherDuck's history as long as its retention says; removing a person from there is "
            "MotherDuck's part."
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Which database, and who asks."""

    database: str = field(metadata=setting("Database", "Its name at MotherDuck, such as events.", required=True))
    token: str = field(
        repr=False,
        metadata=setting("Access token", "Of a user or service account; read/write.", secret=True, required=True),
    )


class Warehouse(Lane):
    """Loads into one database; everything but how it is attached is the lane's."""

    def __init__(self, settings: Settings, home: Path) -> None:
        del home
        super().__init__(
            Catalog(
                NAME,
                target=lambda: target(settings),
                prepare=lambda connection: prepare(connection, settings),
                erase=lambda connection: erased(connection, quote_ident(settings.database)),
                alias=quote_ident(settings.database),
                stays=True,
            )
        )


class Reading(AttachedReading):
    """Asks the database; a connection of its own, which is locked down before anybody's SQL runs."""

    def __init__(self, settings: Settings, home: Path) -> None:
        del home
        super().__init__(
            NAME,
            lambda: f"{target(settings)} (read_only)",
            lambda connection: prepare(connection, settings),
            alias=quote_ident(settings.database),
        )


def target(settings: Settings) -> str:
    """Return the database as ATTACH takes it; it keeps its own name, MotherDuck gives no alias.

    Raises:
        DeliveryError: that is no name of a database.
    """
    if not _DATABASE.fullmatch(settings.database):
        raise DeliveryError(
            "Name the MotherDuck database by letters, digits and _, as in events, without md: before it."
        )
    return quote_text(f"md:{settings.database}")


def prepare(connection: DuckDBPyConnection, settings: Settings) -> None:
    """Load the extension and give it the token."""
    target(settings)
    extensions.load(connection, "motherduck")
    connection.execute(f"set motherduck_token = {quote_text(settings.token)}")
