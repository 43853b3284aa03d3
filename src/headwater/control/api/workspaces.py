"""`/workspaces`: those that one may see, made by operators, named and deleted by their owners. Ours alone."""

from __future__ import annotations

import msgspec

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import workspace as models
from headwater.control.api.paging import Pager
from headwater.control.models import Role, Workspace
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.errors import ForbiddenError

_CONFIRM = Query("confirm", "The workspace's slug; needed where it has sources.")


class CreateWorkspace(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /workspaces` takes; slug and region are fixed from then on."""

    name: str
    slug: str
    region: str


class RenameWorkspace(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /workspaces/{workspaceId}` takes."""

    name: str


class WorkspacesOperations:
    """Everything under `/workspaces`."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/workspaces/{workspaceId}"
        return [
            Operation("GET", "/workspaces", Role.READ_ONLY, self.all, answer=models.Workspaces, paged=True),
            Operation(
                "POST", "/workspaces", Role.OWNER, self.create, CreateWorkspace, answer=models.OneWorkspaceOfSeveral
            ),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneWorkspaceOfSeveral),
            Operation("PATCH", one, Role.OWNER, self.rename, RenameWorkspace, answer=models.OneWorkspaceOfSeveral),
            Operation("DELETE", one, Role.OWNER, self.delete, answer=Done, query=(_CONFIRM,)),
        ]

    def all(self, asked: Asked) -> Answer:
        """Return a page of the workspaces that the token may see, oldest first."""
        found = self._control.workspaces.of(asked.caller)
        page, pagination = self._pager.page(asked, "workspaces", found, _position)
        return {"workspaces": [_shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Make a workspace; only operators of the installation may."""
        _admit_operator(asked)
        wanted: CreateWorkspace = asked.body
        made = self._control.workspaces.create(wanted.name, wanted.slug, wanted.region, asked.caller.user_id)
        return {"workspace": _shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one workspace, by id or slug."""
        return {"workspace": _shape(self._named(asked))}

    def rename(self, asked: Asked) -> Answer:
        """Change a workspace's name; slug and region stay."""
        return {"workspace": _shape(self._control.workspaces.rename(self._named(asked).id, asked.body.name))}

    def delete(self, asked: Asked) -> Answer:
        """Delete a workspace with everything that is configured in it; only operators of the installation may."""
        found = self._named(asked)
        _admit_operator(asked)
        self._control.workspaces.delete(found.id, asked.query.get("confirm", ""))
        return {"status": "SUCCESS"}

    def _named(self, asked: Asked) -> Workspace:
        return self._control.workspaces.seen(asked.caller, asked.path["workspaceId"])


def _admit_operator(asked: Asked) -> None:
    if not asked.caller.is_operator:
        told = "Only operators make and delete workspaces: who set Headwater up, or the command line on its machine."
        raise ForbiddenError(told)


def _position(workspace: Workspace) -> str:
    return f"{text_of(workspace.created_at)} {workspace.id}"


def _shape(value: Workspace) -> Answer:
    return {**shapes.workspace(value), "createdAt": text_of(value.created_at)}
