"""`/sources/{sourceId}/schema/blocked` and `/planned`, `/schema-controls`: what is decided of names, seen or not.

Ours alone: a configuration that is kept as a file needs every decision, also about names that never came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import protocols as models
from headwater.control.api.paging import Pager
from headwater.control.api.sources import position
from headwater.control.models import Role, Source
from headwater.control.protocols import settings
from headwater.control.service import Control
from headwater.protocols.rules import Name


class SchemaDecisionOperations:
    """What is decided of names, of one source and of all."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        of_source, read = "/sources/{sourceId}/schema", Role.READ_ONLY
        names = models.DecidedNames
        return [
            Operation("GET", f"{of_source}/blocked", read, self.blocked, answer=names, paged=True),
            Operation("GET", f"{of_source}/planned", read, self.planned, answer=names, paged=True),
            Operation("GET", "/schema-controls", read, self.controls, answer=models.AllSchemaControls, paged=True),
        ]

    def blocked(self, asked: Asked) -> Answer:
        """Return a page of the names that are blocked one by one, also those that never came."""
        source = self._source(asked)
        found = self._control.schema_controls.blocked(source.workspace_id, source.id)
        return self._names(asked, f"schema/{source.id}/blocked", found)

    def planned(self, asked: Asked) -> Answer:
        """Return a page of the names that go through while new ones are blocked and no plan decides."""
        source = self._source(asked)
        found = self._control.schema_controls.known(source.workspace_id, source.id)
        return self._names(asked, f"schema/{source.id}/planned", found or ())

    def controls(self, asked: Asked) -> Answer:
        """Return a page of the sources of which anything is decided: settings, and how many names."""
        workspace_id = asked.caller.workspace_id
        decided = self._control.schema_controls.decided(workspace_id)
        sources = [each for each in self._control.sources.all(workspace_id) if each.id in decided]
        page, pagination = self._pager.page(asked, "schema-controls", sources, position)
        told = []
        for source in page:
            controls, blocked, planned = decided[source.id]
            counts = {"blocked": len(blocked), "planned": len(planned or ())}
            told.append({"sourceId": source.id, "settings": settings.shape(controls), **counts})
        return {"controls": told, "pagination": pagination}

    def _names(self, asked: Asked, listed: str, found: Iterable[Name]) -> Answer:
        page, pagination = self._pager.page(asked, listed, sorted(found, key=_place), _place)
        return {"names": [_shape(each) for each in page], "pagination": pagination}

    def _source(self, asked: Asked) -> Source:
        return self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])


def _shape(name: Name) -> dict[str, Any]:
    return {"type": str(name.kind), "name": name.name, "property": name.field}


def _place(name: Name) -> str:
    return f"{name.kind}\0{name.name}\0{name.field}"
