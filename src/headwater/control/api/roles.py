"""`/roles`, and permissions: what somebody may do, in Segment's words.

Segment grants several permissions to a person, each a role for some resources. Here a person has one role in a
workspace, and a source admin has sources: permissions are read as the one grant that allows what they allow together.

Source: Segment Public API, IAM Roles and IAM Users; Segment documentation, Roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import people as models
from headwater.control.api.paging import Pager
from headwater.control.grants import Grant
from headwater.control.models import Role
from headwater.errors import InvalidRequestError, NotFoundError

_RESOURCES_MAX: Final = 1_000  # ours: as many sources as a workspace has
_WORKSPACE, _SOURCE = "WORKSPACE", "SOURCE"


class Known(NamedTuple):
    """A role as people and scripts know it."""

    role: Role
    id: str
    name: str
    description: str


ROLES: Final = (
    Known(
        Role.OWNER,
        "1WDUuRLxv84rrfCNUwvkrRtkxnS",  # as Segment's documentation of the API has it, so that scripts work unchanged
        "Workspace Owner",
        "Everything: members, tokens, secrets, deletion, and all that the other roles may do.",
    ),
    Known(
        Role.MEMBER,
        "member",
        "Workspace Member",
        "Makes, connects and changes sources, destinations, functions and loads; no members, no secrets, no deletion.",
    ),
    Known(
        Role.SOURCE_ADMIN,
        "source-admin",
        "Source Admin",
        "Changes the sources that are named, or all of them, and the destinations connected to them; sees their write "
        "keys; reads everything else.",
    ),
    Known(Role.READ_ONLY, "read-only", "Source Read-only", "Sees everything except write keys, and changes nothing."),
)


class Resource(msgspec.Struct, forbid_unknown_fields=True):
    """What a role is granted for: the workspace, or a source by id or slug."""

    id: str
    type: str
    labels: list[dict[str, str]] = []


class PermissionInput(msgspec.Struct, forbid_unknown_fields=True):
    """A role and what it is granted for; a role of the whole workspace needs no resource."""

    roleId: str  # noqa: N815 - Segment's spelling
    resources: list[Resource] = []
    labels: list[dict[str, str]] = []


class RoleOperations:
    """Everything under `/roles`."""

    def __init__(self, pager: Pager) -> None:
        self._pager = pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [Operation("GET", "/roles", Role.READ_ONLY, self.list, answer=models.Roles, paged=True)]

    def list(self, asked: Asked) -> Answer:
        """Return a page of the roles there are, the one that may most first."""
        page, pagination = self._pager.page(asked, "roles", ROLES, lambda each: str(ROLES.index(each)))
        told = [{"id": each.id, "name": each.name, "description": each.description} for each in page]
        return {"roles": told, "pagination": pagination}


def permissions(grant: Grant, workspace_id: str) -> list[shapes.Shape]:
    """Return a grant as a list of one permission."""
    known = next(each for each in ROLES if each.role is grant.role)
    resources = [{"id": workspace_id, "type": _WORKSPACE, "labels": []}]
    if grant.source_ids is not None:
        resources = [{"id": each, "type": _SOURCE, "labels": []} for each in sorted(grant.source_ids)]
    return [{"roleId": known.id, "roleName": known.name, "resources": resources}]


def granted(wanted: Sequence[PermissionInput], workspace_id: str) -> Grant:
    """Return the grant that allows what all permissions allow together; sources are as they are given.

    Raises:
        InvalidRequestError: there is none, a role is unknown, or it cannot be granted for this resource.
        NotFoundError: a workspace is another than the caller's.
    """
    if not wanted:
        raise InvalidRequestError("permissions are at least one; remove the person instead", field="permissions")
    found = _granted(wanted[0], workspace_id)
    for each in wanted[1:]:
        found = found.beside(_granted(each, workspace_id))
    return found


def _granted(permission: PermissionInput, workspace_id: str) -> Grant:
    role = next((each.role for each in ROLES if permission.roleId in {each.id, str(each.role)}), None)
    if role is None:
        raise InvalidRequestError(f"{permission.roleId[:60]!r} is no role; GET /roles lists them", field="roleId")
    if permission.labels or any(each.labels for each in permission.resources):
        raise InvalidRequestError("permissions are not narrowed by labels here; name sources", field="labels")
    if len(permission.resources) > _RESOURCES_MAX:
        raise InvalidRequestError(f"resources are at most {_RESOURCES_MAX}", field="resources")
    kinds = {each.type for each in permission.resources}
    if not kinds <= {_WORKSPACE, _SOURCE} or (_SOURCE in kinds and role is not Role.SOURCE_ADMIN):
        message = "a role is granted for the WORKSPACE; a source admin's also for each SOURCE"
        raise InvalidRequestError(message, field="resources")
    for each in permission.resources:
        if each.type == _WORKSPACE and each.id != workspace_id:
            raise NotFoundError(f"There is no workspace {each.id[:60]!r}.")
    if kinds != {_SOURCE}:
        return Grant(role)
    return Grant(role, frozenset(each.id for each in permission.resources))
