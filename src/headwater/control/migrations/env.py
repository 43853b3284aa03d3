"""Alembic's entry: run the steps on the connection, and in the transaction, that `migrate` has opened."""

from __future__ import annotations

from alembic import context

from headwater.control.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
