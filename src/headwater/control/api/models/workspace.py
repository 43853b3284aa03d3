"""The workspace of a token, and whether one gets through."""

from __future__ import annotations

import msgspec


class Workspace(msgspec.Struct, rename="camel"):
    """Holds everything else; its region is fixed."""

    id: str
    slug: str
    name: str
    region: str


class OneWorkspace(msgspec.Struct, rename="camel"):
    """One workspace."""

    workspace: Workspace


class Echo(msgspec.Struct, rename="camel"):
    """The message and the harmless headers of the request."""

    method: str
    message: str
    headers: dict[str, str]
