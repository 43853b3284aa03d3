"""Workspaces: the first start makes one; its region is fixed from then on."""

from __future__ import annotations

import contextlib
from typing import Final

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from headwater.clock import Clock
from headwater.control import naming
from headwater.control.database import Row, changing, warehouses, workspaces
from headwater.control.models import Workspace
from headwater.control.moments import moment, text_of
from headwater.errors import NotFoundError

DEFAULT_SLUG: Final = "default"
EMBEDDED: Final = "embedded"  # the warehouse that needs no server and nothing to set
FIRST_WAREHOUSE: Final = "embedded"  # its id, so that people find its files at a place that docs can name


class Workspaces:
    """The workspaces of this installation."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def first_start(self, region: str) -> Workspace:
        """Return the workspace `default`, made with an embedded warehouse when it is missing.

        Args:
            region: of a new workspace; an existing one keeps its own.
        """
        try:
            return self.get(DEFAULT_SLUG)
        except NotFoundError:
            with contextlib.suppress(IntegrityError):  # another process made it at the same moment
                self._make_default(region)
        return self.get(DEFAULT_SLUG)

    def _make_default(self, region: str) -> None:
        with changing(self._engine) as connection:
            created_at = text_of(self._clock())
            workspace = {
                "id": naming.new_id(),
                "slug": DEFAULT_SLUG,
                "name": "Default",
                "region": region,
                "created_at": created_at,
            }
            warehouse = {
                "id": FIRST_WAREHOUSE,
                "workspace_id": workspace["id"],
                "type": EMBEDDED,
                "name": "Embedded",
                "enabled": True,
                "settings": "{}",
                "created_at": created_at,
            }
            connection.execute(insert(workspaces).values(workspace))
            connection.execute(insert(warehouses).values(warehouse))

    def all(self) -> list[Workspace]:
        """Return all workspaces, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(workspaces).order_by(workspaces.c.created_at, workspaces.c.id))
            return [_workspace(row) for row in rows]

    def get(self, key: str = DEFAULT_SLUG) -> Workspace:
        """Return a workspace by its slug or id.

        Raises:
            NotFoundError: there is none.
        """
        for workspace in self.all():
            if key in {workspace.slug, workspace.id}:
                return workspace
        raise NotFoundError(f"There is no workspace {key[:60]!r}.")


def _workspace(row: Row) -> Workspace:
    return Workspace(row.id, row.slug, row.name, row.region, moment(row.created_at))
