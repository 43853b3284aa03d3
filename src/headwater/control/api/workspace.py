"""`/`, `/echo` and `/catalog`: who one is, whether one gets through, and what can be added."""

from __future__ import annotations

from functools import partial
from typing import Final

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import catalog as listed
from headwater.control.api.models import workspace as models
from headwater.control.api.paging import Pager
from headwater.control.catalog import Entry, Kind
from headwater.control.models import Role, Workspace
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_ECHO_CHARS_MAX: Final = 1_000
_MESSAGE: Final = Query("message", "What is sent back.", {"type": "string", "maxLength": _ECHO_CHARS_MAX})
_LISTED: Final = {
    Kind.SOURCE: listed.SourcesCatalog,
    Kind.DESTINATION: listed.DestinationsCatalog,
    Kind.WAREHOUSE: listed.WarehousesCatalog,
}
_ONE: Final = {
    Kind.SOURCE: listed.SourceType,
    Kind.DESTINATION: listed.DestinationType,
    Kind.WAREHOUSE: listed.WarehouseType,
}
_ECHOED: Final = ("accept", "content-type", "host", "user-agent")  # never the token


class WorkspaceOperations:
    """The workspace of the token and the catalog as it looks from there."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        catalog = [
            operation
            for kind, many in ((kind, f"/catalog/{kind}s") for kind in Kind)
            for operation in (
                Operation("GET", many, Role.READ_ONLY, partial(self.catalog, kind), answer=_LISTED[kind], paged=True),
                Operation(
                    "GET", f"{many}/{{metadataId}}", Role.READ_ONLY, partial(self.entry, kind), answer=_ONE[kind]
                ),
            )
        ]
        return [
            Operation("GET", "/", Role.READ_ONLY, self.workspace, answer=models.OneWorkspace),
            Operation("GET", "/echo", Role.READ_ONLY, self.echo, answer=models.Echo, query=(_MESSAGE,)),
            *catalog,
        ]

    def workspace(self, asked: Asked) -> Answer:
        """Return the workspace."""
        return {"workspace": shapes.workspace(self._workspace(asked))}

    def echo(self, asked: Asked) -> Answer:
        """Return the message and the harmless headers of the request."""
        message = asked.query.get("message", "")
        if len(message) > _ECHO_CHARS_MAX:
            raise InvalidRequestError(f"message has at most {_ECHO_CHARS_MAX} characters", field="message")
        headers = {name: asked.headers[name] for name in _ECHOED if name in asked.headers}
        return {"method": asked.method.lower(), "message": message, "headers": headers}

    def catalog(self, kind: Kind, asked: Asked) -> Answer:
        """Return a page of what can be added, by name."""
        page, pagination = self._pager.page(asked, f"catalog/{kind}", self._control.catalog.entries(kind), _position)
        region = self._workspace(asked).region
        return {f"{kind}sCatalog": [shapes.entry(each, region) for each in page], "pagination": pagination}

    def entry(self, kind: Kind, asked: Asked) -> Answer:
        """Return one type, by id or slug."""
        entry = self._control.catalog.find(kind, asked.path["metadataId"])
        return {f"{kind}Metadata": shapes.entry(entry, self._workspace(asked).region)}

    def _workspace(self, asked: Asked) -> Workspace:
        return self._control.workspaces.get(asked.caller.workspace_id)


def _position(entry: Entry) -> str:
    return f"{entry.name.lower()} {entry.slug}"
