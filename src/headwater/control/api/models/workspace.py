"""The workspace of a token, and whether one gets through."""

from __future__ import annotations

import msgspec

from headwater.control.api.models import Pagination


class Workspace(msgspec.Struct, rename="camel"):
    """Holds everything else; its region is fixed."""

    id: str
    slug: str
    name: str
    region: str


class OneWorkspace(msgspec.Struct, rename="camel"):
    """One workspace."""

    workspace: Workspace


class WorkspaceOfSeveral(Workspace, rename="camel"):
    """A workspace as it is listed beside others."""

    created_at: str


class OneWorkspaceOfSeveral(msgspec.Struct, rename="camel"):
    """One workspace of several."""

    workspace: WorkspaceOfSeveral


class Workspaces(msgspec.Struct, rename="camel"):
    """A page of workspaces."""

    workspaces: list[WorkspaceOfSeveral]
    pagination: Pagination


class Echo(msgspec.Struct, rename="camel"):
    """The message and the harmless headers of the request."""

    method: str
    message: str
    headers: dict[str, str]
