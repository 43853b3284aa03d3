"""Workspaces: the first start makes one, operators make more; slug and region are fixed from then on."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headwater.clock import Clock
from headwater.control import naming
from headwater.control.database import Row, changing, sources, warehouses, workspaces
from headwater.control.models import Caller, Role, Workspace
from headwater.control.moments import moment, text_of
from headwater.control.people.tables import memberships, users
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

DEFAULT_SLUG: Final = "default"
EMBEDDED: Final = "embedded"  # the warehouse that needs no server and nothing to set
FIRST_WAREHOUSE: Final = "embedded"  # its id, so that people find its files at a place that docs can name
REGIONS: Final = ("us", "eu")
RESERVED: Final = frozenset(
    {"api", "health", "internal", "invitation", "metrics", "set-up", "sign-in", "sign-out", "static", "v1", "webhooks"}
)
"""First parts of addresses that are Headwater's own; a test holds them against the routes."""

_WORKSPACES_MAX: Final = 1_000  # ours
_SLUG: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Workspaces:
    """The workspaces of this installation."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def first_start(self, region: str) -> Workspace:
        """Return the oldest workspace; where there is none, `default` is made with an embedded warehouse.

        Args:
            region: of a new workspace; an existing one keeps its own.
        """
        try:
            return self.get()
        except NotFoundError:
            with contextlib.suppress(IntegrityError), changing(self._engine) as connection:  # another process was first
                self._make(connection, DEFAULT_SLUG, "Default", region, FIRST_WAREHOUSE)
        return self.get()

    def create(self, name: str, slug: str, region: str, owner_id: str = "") -> Workspace:
        """Make a workspace with an embedded warehouse of its own and return it.

        Args:
            name: what people see.
            slug: first part of its pages' addresses; fixed.
            region: "us" or "eu"; fixed: it decides which source types can be connected.
            owner_id: a user who becomes its owner; "" where a command makes it, which invites one afterwards.

        Raises:
            InvalidRequestError: name, slug or region is wrong.
            ConflictError: the slug is taken, or there are as many workspaces as there may be.
        """
        name, slug = naming.checked_name(name), _checked_slug(slug)
        if region not in REGIONS:
            raise InvalidRequestError(f"region is {' or '.join(REGIONS)}", field="region")
        with changing(self._engine) as connection:
            count = connection.execute(select(func.count()).select_from(workspaces)).scalar_one()
            if count >= _WORKSPACES_MAX:
                raise ConflictError(f"An installation has at most {_WORKSPACES_MAX:,} workspaces; delete one first.")
            if connection.execute(select(workspaces.c.id).where(workspaces.c.slug == slug)).scalar():
                raise ConflictError(f"There is a workspace {slug!r} already; choose another slug.")
            made = self._make(connection, slug, name, region, naming.new_id())
            if owner_id:
                place = {"id": naming.new_id(), "workspace_id": made, "user_id": owner_id, "role": str(Role.OWNER)}
                connection.execute(insert(memberships).values({**place, "created_at": text_of(self._clock())}))
        return self.get(made)

    def rename(self, workspace_id: str, name: str) -> Workspace:
        """Change what people see; slug and region stay.

        Raises:
            InvalidRequestError: the name is wrong.
            NotFoundError: there is no such workspace.
        """
        wanted, found = naming.checked_name(name), self.get(workspace_id)
        with changing(self._engine) as connection:
            connection.execute(update(workspaces).where(workspaces.c.id == found.id).values(name=wanted))
        return self.get(found.id)

    def delete(self, workspace_id: str, confirm: str = "") -> None:
        """Delete a workspace with all that is configured in it: keys and tokens are worth nothing from now on.

        Its events leave the log as they get old; the tables of its warehouses stay where they are. Who was a member of
        this one alone, and did not set Headwater up, is forgotten.

        Args:
            workspace_id: which.
            confirm: its slug, where it has sources.

        Raises:
            NotFoundError: there is no such workspace.
            InvalidRequestError: it has sources, and `confirm` is not its slug.
            ConflictError: it is the only one.
        """
        found = self.get(workspace_id)
        with changing(self._engine) as connection:
            count = connection.execute(select(func.count()).select_from(workspaces)).scalar_one()
            if count == 1:
                raise ConflictError("This is the only workspace; make another one first.")
            held = select(sources.c.id).where(sources.c.workspace_id == found.id).limit(1)
            if confirm != found.slug and connection.execute(held).scalar() is not None:
                told = f"It has sources, which go with it: confirm with its slug, {found.slug}"
                raise InvalidRequestError(told, field="confirm")
            members = select(memberships.c.user_id).where(memberships.c.workspace_id == found.id)
            theirs = list(connection.execute(members).scalars())
            connection.execute(delete(workspaces).where(workspaces.c.id == found.id))
            elsewhere = select(memberships.c.user_id)
            nobody = users.c.id.in_(theirs) & users.c.id.not_in(elsewhere) & users.c.is_operator.is_(False)
            connection.execute(delete(users).where(nobody))

    def all(self) -> list[Workspace]:
        """Return all workspaces, oldest first: for the machine itself, never for who asks from outside."""
        return self._found()

    def of(self, caller: Caller) -> list[Workspace]:
        """Return the workspaces that a caller may see, oldest first; those of others are as if they did not exist."""
        if caller.is_operator and not caller.user_id:  # the machine itself, or a demo
            return self._found()
        if caller.user_id:
            theirs = select(memberships.c.workspace_id).where(memberships.c.user_id == caller.user_id)
            return self._found(workspaces.c.id.in_(theirs))
        return self._found(workspaces.c.id == caller.workspace_id)

    def seen(self, caller: Caller, key: str) -> Workspace:
        """Return a workspace that a caller may see, by slug or id.

        Raises:
            NotFoundError: there is none, or not for this caller.
        """
        for workspace in self.of(caller):
            if key in {workspace.slug, workspace.id}:
                return workspace
        raise NotFoundError(f"There is no workspace {key[:60]!r}; GET /workspaces lists yours.")

    def get(self, key: str = "") -> Workspace:
        """Return a workspace by its slug or id; the oldest one where no key is given.

        Raises:
            NotFoundError: there is none.
        """
        which = ((workspaces.c.slug == key) | (workspaces.c.id == key),) if key else ()
        for workspace in self._found(*which):
            return workspace
        raise NotFoundError(f"There is no workspace {key[:60]!r}.")

    def _found(self, *which: Any) -> list[Workspace]:
        wanted = select(workspaces).where(*which).order_by(workspaces.c.created_at, workspaces.c.id)
        with self._engine.connect() as connection:
            return [_workspace(row) for row in connection.execute(wanted)]

    def _make(self, connection: Connection, slug: str, name: str, region: str, warehouse_id: str) -> str:
        """Store a workspace with its embedded warehouse, whose id is the name of its directory; return its id."""
        created_at, workspace_id = text_of(self._clock()), naming.new_id()
        workspace = {"id": workspace_id, "slug": slug, "name": name, "region": region, "created_at": created_at}
        warehouse = {
            "id": warehouse_id,
            "workspace_id": workspace_id,
            "type": EMBEDDED,
            "name": "Embedded",
            "enabled": True,
            "settings": "{}",
            "created_at": created_at,
        }
        connection.execute(insert(workspaces).values(workspace))
        connection.execute(insert(warehouses).values(warehouse))
        return workspace_id


def _checked_slug(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        told = "a slug is 1 to 63 lower-case letters, digits, _ and -, and starts with a letter, such as my-shop"
        raise InvalidRequestError(told, field="slug")
    if slug in RESERVED:
        raise InvalidRequestError(f"{slug} is part of an address of Headwater's own; choose another", field="slug")
    return slug


def _workspace(row: Row) -> Workspace:
    return Workspace(row.id, row.slug, row.name, row.region, moment(row.created_at))
