"""A role and the sources that it is narrowed to: what members, invitations and tokens hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from headwater.control import rows
from headwater.control.models import Role
from headwater.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do in a workspace.

    Attributes:
        source_ids: the sources of a source admin; None is every source, those to come included.
    """

    role: Role
    source_ids: frozenset[str] | None = None

    def within(self, other: Grant) -> Grant:
        """Return what both allow."""
        role = self.role if other.role.includes(self.role) else other.role
        lists = [each.source_ids for each in (self, other) if each.source_ids is not None]
        if role is not Role.SOURCE_ADMIN or not lists:
            return Grant(role)
        return Grant(role, frozenset.intersection(*lists))

    def beside(self, other: Grant) -> Grant:
        """Return what either allows."""
        if self.role is not other.role:
            return self if self.role.includes(other.role) else other
        if self.source_ids is None or other.source_ids is None:
            return Grant(self.role)
        return Grant(self.role, self.source_ids | other.source_ids)


def checked(connection: Connection, workspace_id: str, role: str, source_ids: Iterable[str] | None) -> Grant:
    """Return what is to be granted, sources by their ids.

    Args:
        connection: of the transaction that will store it.
        workspace_id: where.
        role: one of `Role`.
        source_ids: ids or slugs; None is every source.

    Raises:
        InvalidRequestError: the role is unknown, or sources stand beside a role that is not narrowed by them.
        NotFoundError: the workspace has no such source.
    """
    if role not in set(Role):
        raise InvalidRequestError(f"role is one of {', '.join(Role)}", field="role")
    if source_ids is None:
        return Grant(Role(role))
    wanted = list(source_ids)
    if Role(role) is not Role.SOURCE_ADMIN or not wanted:
        message = "sources narrow the role source-admin, and are at least one; leave them out for all of the workspace"
        raise InvalidRequestError(message, field="sourceIds")
    return Grant(Role.SOURCE_ADMIN, frozenset(rows.source_id(connection, workspace_id, each) for each in wanted))


def stored(source_ids: frozenset[str] | None) -> str | None:
    """Return the sources as a column has them."""
    return None if source_ids is None else json.dumps(sorted(source_ids))


def read(text: str | None) -> frozenset[str] | None:
    """Return the sources that a column has."""
    return None if text is None else frozenset(json.loads(text))
