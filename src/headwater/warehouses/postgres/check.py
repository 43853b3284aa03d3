"""Whether loading would work, and what to do when not; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.warehouses.postgres.catalog import SCHEMA
from headwater.warehouses.postgres.connection import connect, within
from headwater.warehouses.postgres.settings import Settings

_VERSION_MIN: Final = 140_000
_QUESTION_S: Final = 10.0
_ASK: Final = f"""
    select current_setting('server_version_num')::int, current_setting('server_encoding'),
        pg_is_in_recovery() or current_setting('transaction_read_only') = 'on',
        has_database_privilege(current_database(), 'create'),
        has_database_privilege(current_database(), 'temporary'),
        coalesce((select has_schema_privilege(oid, 'create') from pg_namespace where nspname = '{SCHEMA}'), true)"""


def run(settings: Settings, home: Path) -> None:
    """Return when the user, and the reader if there is one, can do their work.

    Raises:
        UnauthorizedError, RetryableError, DeliveryError: why not, with the next step.
    """
    connection = connect(settings, home, settings.user, settings.password)
    with connection, within(connection, _QUESTION_S, _QUESTION_S):
        row = connection.execute(_ASK).fetchone()
    version, encoding, is_read_only, may_create, may_be_temporary, may_keep = row
    if version < _VERSION_MIN:
        raise DeliveryError("The server is older than PostgreSQL 14; upgrade it.")
    if encoding != "UTF8":
        raise DeliveryError(f"The database is in {encoding} and cannot hold every text; make one in UTF8.")
    if is_read_only:
        raise RetryableError("The server or the user is in read-only mode; give the address of the primary server.")
    if not (may_create and may_be_temporary):
        raise UnauthorizedError(
            "The user may not make schemas or temporary tables: GRANT CREATE, TEMPORARY ON DATABASE … TO the user."
        )
    if not may_keep:
        raise UnauthorizedError(
            f"The schema {SCHEMA} belongs to another user: GRANT ALL ON SCHEMA {SCHEMA} to this one."
        )
    if settings.reader_user:
        try:
            connect(settings, home, settings.reader_user, settings.reader_password).close()
        except DeliveryError as error:
            raise type(error)(f"The reader cannot log in. {error}") from error
