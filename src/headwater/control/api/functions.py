"""`/functions`: Segment's operations on functions, and a run of one with one event."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import functions as models
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import choice
from headwater.control.api.shapes import Shape
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.models import FunctionEntry, FunctionKind, FunctionVersion, Role
from headwater.control.moments import text_of
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_RUN_AS: Final = {
    FunctionKind.SOURCE: "source",
    FunctionKind.DESTINATION: "destination",
    FunctionKind.INSERT_DESTINATION: "insert",
}
_NUMBER_MAX: Final = 10**9
_KIND: Final = choice("resourceType", "Only functions of this kind.", FunctionKind)


class Setting(msgspec.Struct, forbid_unknown_fields=True):
    """A setting that a function takes, as Segment spells it."""

    name: str
    label: str = ""
    description: str = ""
    type: Literal["STRING", "BOOLEAN", "ARRAY", "TEXT_MAP"] = "STRING"
    required: bool = False
    sensitive: bool = False


class CreateFunction(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /functions` takes."""

    code: str
    displayName: str  # noqa: N815 - Segment's spelling
    resourceType: FunctionKind  # noqa: N815
    settings: list[Setting] = []
    description: str = ""
    logoUrl: str = ""  # noqa: N815


class UpdateFunction(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /functions/{functionId}` takes; settings are given as a whole."""

    code: str | UnsetType = UNSET
    name: str | UnsetType = msgspec.field(name="displayName", default=UNSET)
    definitions: list[Setting] | UnsetType = msgspec.field(name="settings", default=UNSET)
    description: str | UnsetType = UNSET
    logo_url: str | UnsetType = msgspec.field(name="logoUrl", default=UNSET)


class RestoreVersion(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /functions/{functionId}/versions` takes: which one becomes the newest again."""

    versionId: str  # noqa: N815 - Segment's spelling


class TestFunction(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /functions/test` takes; for a source, the event is the request."""

    code: str
    resourceType: FunctionKind  # noqa: N815 - Segment's spelling
    event: dict[str, Any]
    settings: dict[str, Any] = {}


class FunctionOperations:
    """Everything under `/functions`."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/functions/{functionId}"
        return [
            Operation(
                "GET", "/functions", Role.READ_ONLY, self.list, answer=models.Functions, query=(_KIND,), paged=True
            ),
            Operation("POST", "/functions", Role.MEMBER, self.create, CreateFunction, answer=models.OneFunction),
            Operation(
                "POST", "/functions/test", Role.MEMBER, self.test, TestFunction, answer=models.FunctionRun, cost=TRIAL
            ),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneFunction),
            Operation("PATCH", one, Role.MEMBER, self.update, UpdateFunction, answer=models.OneFunction),
            Operation("DELETE", one, Role.MEMBER, self.delete, answer=Done),
            Operation("POST", f"{one}/deploy", Role.MEMBER, self.deploy, answer=models.Deployed),
            Operation("GET", f"{one}/versions", Role.READ_ONLY, self.versions, answer=models.Versions, paged=True),
            Operation("GET", f"{one}/versions/{{versionId}}", Role.READ_ONLY, self.version, answer=models.OneVersion),
            Operation("POST", f"{one}/versions", Role.MEMBER, self.restore, RestoreVersion, answer=models.OneVersion),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of functions, or of those of one `resourceType`, oldest first, without their code."""
        kind = asked.query.get("resourceType")
        if kind is not None and kind not in set(FunctionKind):
            raise InvalidRequestError(f"resourceType is one of {', '.join(FunctionKind)}", field="resourceType")
        found = self._control.functions.all(asked.caller.workspace_id, None if kind is None else FunctionKind(kind))
        page, pagination = self._pager.page(asked, f"functions/{kind or ''}", found, position)
        return {"functions": [_item(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Keep a new function; it runs nowhere until it is deployed."""
        wanted: CreateFunction = asked.body
        made = self._control.functions.create(
            asked.caller.workspace_id,
            wanted.resourceType,
            name=wanted.displayName,
            code=wanted.code,
            author=asked.caller.name,
            definitions=_plain(wanted.settings),
            description=wanted.description,
            logo_url=wanted.logoUrl,
        )
        return {"function": _shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one function with its newest code."""
        return {"function": _shape(self._control.functions.get(*_which(asked)))}

    def update(self, asked: Asked) -> Answer:
        """Change a function; new code runs after the next deployment."""
        wanted: UpdateFunction = asked.body
        refuse_empty(wanted)
        change = given(wanted)
        if not isinstance(wanted.definitions, UnsetType):
            change["definitions"] = _plain(wanted.definitions)
        changed = self._control.functions.update(*_which(asked), author=asked.caller.name, **change)
        return {"function": _shape(changed)}

    def delete(self, asked: Asked) -> Answer:
        """Delete a function that is used nowhere."""
        self._control.functions.delete(*_which(asked))
        return {"status": "SUCCESS"}

    def deploy(self, asked: Asked) -> Answer:
        """Put the newest code into use."""
        self._control.functions.deploy(*_which(asked))
        return {"functionDeployment": {"status": "SUCCESS"}}

    def versions(self, asked: Asked) -> Answer:
        """Return a page of the states of the code that are kept, newest first."""
        found = self._control.functions.versions(*_which(asked))
        page, pagination = self._pager.page(
            asked, f"functions/{asked.path['functionId']}/versions", found, lambda each: str(_NUMBER_MAX - each.number)
        )
        return {"versions": [_version(each) for each in page], "pagination": pagination}

    def version(self, asked: Asked) -> Answer:
        """Return one state of the code."""
        return {"version": _version(self._control.functions.version(*_which(asked), asked.path["versionId"]))}

    def restore(self, asked: Asked) -> Answer:
        """Make an earlier state of the code the newest one; it runs after the next deployment."""
        again = self._control.functions.restore(*_which(asked), asked.body.versionId, author=asked.caller.name)
        return {"version": _version(again)}

    async def test(self, asked: Asked) -> Answer:
        """Run code once with one event: how it ended, what it returned and what it wrote."""
        wanted: TestFunction = asked.body
        kind = _RUN_AS[wanted.resourceType]
        return await self._pipeline.run_function(kind, wanted.code, wanted.settings, wanted.event)


def _which(asked: Asked) -> tuple[str, str]:
    return asked.caller.workspace_id, asked.path["functionId"]


def _plain(settings: list[Setting]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.to_builtins(settings)
    return found


def _item(value: FunctionEntry) -> Shape:
    return {
        "id": value.id,
        "resourceType": value.kind,
        "createdAt": text_of(value.created_at),
        "createdBy": value.created_by,
        "displayName": value.name,
        "description": value.description,
        "logoUrl": value.logo_url,
        "deployedAt": None if value.deployed_at is None else text_of(value.deployed_at),
        "isLatestVersion": value.is_latest,
    }


def _shape(value: FunctionEntry) -> Shape:
    return {**_item(value), "code": value.code, "settings": list(value.definitions)}


def _version(value: FunctionVersion) -> Shape:
    shape: Shape = {
        "id": value.id,
        "number": value.number,
        "author": value.author,
        "code": value.code,
        "isDeployed": value.in_use,
        "createdAt": text_of(value.created_at),
        "updatedAt": text_of(value.created_at),
    }
    return shape if value.deployed_at is None else shape | {"deployedAt": text_of(value.deployed_at)}
