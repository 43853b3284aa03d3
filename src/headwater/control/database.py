"""The control database: its tables, how it is opened, brought up to date and changed.

Every change bumps one integer in the same transaction; other processes poll it and load a new snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url

from headwater import sqlite
from headwater.control import intent
from headwater.control.audit.entry import refuse_changes, write_down
from headwater.control.audit.images import Recorder, recording, watch
from headwater.control.revision import SCHEMA, newer
from headwater.control.schema import ID, UNAUDITED, metadata, parent
from headwater.errors import ConfigError

__all__ = [
    "ID",
    "SCHEMA",
    "Row",
    "accounts",
    "changing",
    "destinations",
    "filters",
    "function_versions",
    "functions",
    "insert_functions",
    "meta",
    "metadata",
    "migrate",
    "noting",
    "open_engine",
    "parent",
    "sources",
    "subscriptions",
    "tokens",
    "version",
    "warehouse_exclusions",
    "warehouse_sources",
    "warehouses",
    "workspaces",
    "write_keys",
]

meta = Table(
    "meta",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    info=UNAUDITED,
)
workspaces = Table(
    "workspaces",
    metadata,
    Column("id", ID, primary_key=True),
    Column("slug", String(63), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("region", String(8), nullable=False),
    Column("created_at", String(40), nullable=False),
)
sources = Table(
    "sources",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("slug", String(63), nullable=False),
    Column("schema_name", String(63), nullable=False),
    Column("name", String(200), nullable=False),
    Column("type", String(63), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", Text, nullable=False),
    Column("webhook_secret", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("former_webhook_secret", Text, nullable=False, server_default=""),
    Column("former_until", String(40)),
    Column("retention_days", Integer),
    Column("retention_bytes", BigInteger),
    UniqueConstraint("workspace_id", "slug"),
    UniqueConstraint("workspace_id", "schema_name"),
)
write_keys = Table(
    "write_keys",
    metadata,
    Column("write_key", String(64), primary_key=True),
    parent("sources"),
    Column("created_at", String(40), nullable=False),
)
accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), nullable=False),
    Column("account_url", String(300), nullable=False),
    Column("name", String(200), nullable=False),
    Column("api_key", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    UniqueConstraint("source_id"),
    UniqueConstraint("workspace_id", "account_url"),
)
destinations = Table(
    "destinations",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("sources"),
    Column("type", String(63), nullable=False),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("tuning", Text, nullable=False, server_default="{}"),
    Column("first_seq", BigInteger),
)
filters = Table(
    "destination_filters",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("destinations"),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    info={"noun": "filter", "listed": "/destination/{destinationId}/filters"},
)
subscriptions = Table(
    "destination_subscriptions",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("destinations"),
    Column("name", String(200), nullable=False),
    Column("condition", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", String(40), nullable=False),
    info={"noun": "subscription", "listed": "/destinations/{destinationId}/subscriptions"},
)
functions = Table(
    "functions",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("kind", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("created_by", String(200), nullable=False),
)
function_versions = Table(
    "function_versions",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("functions"),
    Column("number", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("deployed_at", String(40)),
    Column("in_use", Boolean, nullable=False),
    UniqueConstraint("function_id", "number"),
    info={"noun": "version", "listed": "/functions/{functionId}/versions"},
)
insert_functions = Table(
    "insert_functions",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("functions"),
    parent("destinations"),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    info={"noun": "insert function instance", "listed": "/insert-function-instances"},
)
warehouses = Table(
    "warehouses",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("type", String(63), nullable=False),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("rules", Text, nullable=False, server_default="{}"),
    Column("schedule", Text, nullable=False, server_default="{}"),
    Column("models", Text, nullable=False, server_default="{}"),
    Column("keep_days", Integer),
)
warehouse_sources = Table(
    "warehouse_sources",
    metadata,
    Column("warehouse_id", ID, ForeignKey("warehouses.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True, index=True),
)
warehouse_exclusions = Table(
    "warehouse_exclusions",
    metadata,
    Column("warehouse_id", ID, ForeignKey("warehouses.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("collection", String(63), primary_key=True),
    Column("property", String(63), primary_key=True),
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("created_at", String(40), nullable=False),
    Column("last_used_at", String(40), info=UNAUDITED),
    Column("revoked_at", String(40)),
    Column("scopes", Text, nullable=False, server_default="[]"),
    Column("source_ids", Text),
    Column("expires_at", String(40)),
    Column("created_by", String(200), nullable=False, server_default=""),
    Column("user_id", ID),
)


def open_engine(url: str) -> Engine:
    """Return an engine on the control database; a SQLite file is made when it is missing.

    Args:
        url: `sqlite:///relative`, `sqlite:////absolute`.

    Raises:
        ConfigError: the address is no SQLite file, or this SQLite is too old to be trusted.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        raise ConfigError("DATABASE_URL is no file; use sqlite:////path/control.db or leave it out.")
    path = Path(address.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, module=dbapi2, creator=lambda: sqlite.connect(path))
    # The driver is in autocommit mode, so that DDL is part of a transaction too: we begin it ourselves.
    event.listen(engine, "begin", _begin)
    watch(engine)
    return engine


def _begin(connection: Connection) -> None:
    # A transaction that will write takes the lock at once: a later upgrade could fail half-way through.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("begin immediate" if writes else "begin")


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that changes the configuration: all of it or nothing, and the version grows by one.

    What it changed stands in the audit trail, as one entry of the same transaction, by whoever acts now.

    Raises:
        StaleError: the request is meant for a version that is past.
    """
    recorder = Recorder()
    options = {"writes": True, **recording(recorder)}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if intent.is_particular():
            intent.check(connection.execute(select(meta.c.version)).scalar_one())
        yield connection
        write_down(connection, recorder)
        connection.execute(update(meta).values(version=meta.c.version + 1))
    intent.committed()


@contextmanager
def noting(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes what nobody has to reload for, such as when a token was last used.

    It may touch only what `schema.UNAUDITED` marks: tables that are no configuration, and such columns of others.
    """
    recorder = Recorder()
    options = {"writes": True, **recording(recorder)}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection
        refuse_changes(connection, recorder)


def version(engine: Engine) -> int:
    """Return the number of the present configuration; it grows with every change."""
    with engine.connect() as connection:
        return int(connection.execute(select(meta.c.version)).scalar_one())


def migrate(engine: Engine) -> None:
    """Bring the database to this program's schema, in one transaction; safe to kill and to run twice at once.

    Raises:
        ConfigError: a newer Headwater has written this database.
    """
    if _schema(engine) == SCHEMA:
        return
    # Alembic costs 0.2 s and 11 MB to import; a start that has nothing to migrate does without it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        found = MigrationContext.configure(connection).get_current_heads()
        if unknown := set(found) - known:
            raise ConfigError(newer(", ".join(unknown)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _schema(engine: Engine) -> str | None:
    """Return the revision the database is at, None for a new one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("select version_num from alembic_version")).scalar()
    return None if found is None else str(found)


Row = Any
"""A row of one of the tables above; SQLAlchemy types its columns as Any."""
