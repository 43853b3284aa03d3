"""DuckDB's extensions: loaded when they are there, never downloaded."""

from __future__ import annotations

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError


def load(connection: DuckDBPyConnection, *names: str) -> None:
    """Load extensions into a connection.

    Raises:
        DeliveryError: one is not installed on this machine for this version of DuckDB.
    """
    for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"set {name} = false")
    for name in names:
        try:
            connection.execute(f"load {name}")
        except duckdb.Error as error:
            raise DeliveryError(
                f"DuckDB {duckdb.__version__} has no extension {name} on this machine, and Headwater downloads "
                f"nothing. Install it once, as the user who runs Headwater: "
                f"python -c \"import duckdb; duckdb.execute('install {name}')\""
            ) from error
