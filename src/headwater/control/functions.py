"""Functions: a user's JavaScript, with every state of its code that is kept; one of them is in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import (
    Row,
    changing,
    destinations,
    function_versions,
    functions,
    insert_functions,
    sources,
)
from headwater.control.models import FunctionEntry, FunctionKind, FunctionVersion
from headwater.control.moments import moment, text_of
from headwater.errors import ConflictError, InvalidRequestError
from headwater.limits import KIB

FUNCTIONS_MAX: Final = 100  # ours, a workspace (Segment: 25)
CODE_BYTES_MAX: Final = 100 * KIB  # ours
VERSIONS_MAX: Final = 50  # ours, a function: older ones go, never the one in use
_SETTINGS_MAX: Final = 50  # ours
_SETTING_TYPES: Final = ("STRING", "BOOLEAN", "ARRAY", "TEXT_MAP")  # Segment's FunctionSettingV1
_DESCRIPTION_CHARS_MAX: Final = 1_000  # ours


class Functions:
    """The functions of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str, kind: FunctionKind | None = None) -> list[FunctionEntry]:
        """Return the functions of a workspace, or those of one kind, oldest first, with their newest code."""
        with self._engine.connect() as connection:
            found = read_functions(connection, workspace_id=workspace_id)
        return [each for each in found if kind in {None, each.kind}]

    def get(self, workspace_id: str, function_id: str) -> FunctionEntry:
        """Return one function with its newest code.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            row = rows.one(connection, functions, workspace_id, function_id)
            return _function(row, _versions(connection, function_id))

    def create(  # noqa: PLR0913 - the members of Segment's function
        self,
        workspace_id: str,
        kind: FunctionKind,
        *,
        name: str,
        code: str,
        author: str,
        definitions: Sequence[Mapping[str, Any]] = (),
        description: str = "",
        logo_url: str = "",
    ) -> FunctionEntry:
        """Keep a new function and return it; it runs nowhere until `deploy`.

        Raises:
            InvalidRequestError: a member is wrong; `field` names it.
            ConflictError: the workspace has as many as it may have.
        """
        function_id, at = naming.new_id(), text_of(self._clock())
        row = {
            "id": function_id,
            "workspace_id": workspace_id,
            "kind": str(kind),
            **_columns(name=name, description=description, logo_url=logo_url, definitions=definitions),
            "created_at": at,
            "created_by": author,
        }
        _check_code(code)
        with changing(self._engine) as connection:
            rows.room_for_one_more(connection, functions, workspace_id, FUNCTIONS_MAX)
            connection.execute(insert(functions).values(row))
            _add_version(connection, row, code, author, at)
        return self.get(workspace_id, function_id)

    def update(self, workspace_id: str, function_id: str, *, author: str, **change: Any) -> FunctionEntry:
        """Change `name`, `description`, `logo_url`, `definitions` or `code`; new code runs only after `deploy`.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        code = change.pop("code", None)
        columns = _columns(**change)
        if code is not None:
            _check_code(code)
        with changing(self._engine) as connection:
            row = rows.one(connection, functions, workspace_id, function_id)
            if columns:
                connection.execute(update(functions).where(functions.c.id == function_id).values(columns))
            if code is not None and code != _versions(connection, function_id)[0].code:
                parents = {"id": row.id, "workspace_id": workspace_id}
                _add_version(connection, parents, code, author, text_of(self._clock()))
        return self.get(workspace_id, function_id)

    def deploy(self, workspace_id: str, function_id: str) -> FunctionEntry:
        """Put the newest code into use, wherever the function is used, and return the function.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            rows.one(connection, functions, workspace_id, function_id)
            newest = _versions(connection, function_id)[0]
            mine = function_versions.c.function_id == function_id
            connection.execute(update(function_versions).where(mine).values(in_use=False))
            used = {"in_use": True, "deployed_at": text_of(self._clock())}
            connection.execute(update(function_versions).where(function_versions.c.id == newest.id).values(used))
        return self.get(workspace_id, function_id)

    def versions(self, workspace_id: str, function_id: str) -> list[FunctionVersion]:
        """Return every state of the code that is kept, newest first.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            rows.one(connection, functions, workspace_id, function_id)
            return _versions(connection, function_id)

    def version(self, workspace_id: str, function_id: str, version_id: str) -> FunctionVersion:
        """Return one state of the code.

        Raises:
            NotFoundError: this function has none of this id.
        """
        with self._engine.connect() as connection:
            return _version(_version_row(connection, workspace_id, function_id, version_id))

    def restore(self, workspace_id: str, function_id: str, version_id: str, *, author: str) -> FunctionVersion:
        """Make an earlier state the newest one and return it; it runs after `deploy`.

        Raises:
            NotFoundError: this function has none of this id.
        """
        former = self.version(workspace_id, function_id, version_id)
        self.update(workspace_id, function_id, author=author, code=former.code)
        return self.versions(workspace_id, function_id)[0]

    def delete(self, workspace_id: str, function_id: str) -> None:
        """Delete a function that is used nowhere.

        Raises:
            NotFoundError: this workspace has none of this id.
            ConflictError: a source or a destination runs it, or it stands before one.
        """
        with changing(self._engine) as connection:
            rows.one(connection, functions, workspace_id, function_id)
            for table in (destinations, sources):
                theirs = select(table.c.name, table.c.settings).where(table.c.workspace_id == workspace_id)
                for name, settings in connection.execute(theirs):
                    if function_id in msgspec.json.decode(settings, type=dict[str, Any]).values():
                        raise ConflictError(f"The {table.name[:-1]} {name!r} runs this function; delete that first.")
            before = select(insert_functions.c.name).where(insert_functions.c.function_id == function_id)
            if (name := connection.execute(before.limit(1)).scalar()) is not None:
                raise ConflictError(f"The function stands before a destination as {name!r}; detach it first.")
            connection.execute(delete(functions).where(functions.c.id == function_id))


def read_functions(
    connection: Connection, *, workspace_id: str | None = None, in_use: bool = False
) -> list[FunctionEntry]:
    """Return the functions of one workspace, or of all, oldest first.

    Args:
        connection: to the control database.
        workspace_id: None for all.
        in_use: with the code that is in use, and only those that have such; else with the newest.
    """
    found = select(functions).order_by(functions.c.created_at, functions.c.id)
    if workspace_id is not None:
        found = found.where(functions.c.workspace_id == workspace_id)
    kept = select(function_versions).order_by(function_versions.c.number.desc())
    by_function: dict[str, list[FunctionVersion]] = {}
    for row in connection.execute(kept.where(function_versions.c.in_use) if in_use else kept):
        by_function.setdefault(row.function_id, []).append(_version(row))
    return [_function(row, by_function[row.id]) for row in connection.execute(found) if row.id in by_function]


def _columns(**change: Any) -> dict[str, Any]:
    """Return the columns of what is named, checked."""
    columns: dict[str, Any] = {}
    if "name" in change:
        columns["name"] = naming.checked_name(change["name"], "displayName")
    for member, field in (("description", "description"), ("logo_url", "logoUrl")):
        if member in change:
            if len(change[member]) > _DESCRIPTION_CHARS_MAX:
                raise InvalidRequestError(f"{field} has at most {_DESCRIPTION_CHARS_MAX} characters.", field=field)
            columns[member] = change[member]
    if "definitions" in change:
        _check_definitions(change["definitions"])
        columns["settings"] = msgspec.json.encode(change["definitions"]).decode()
    return columns


def _check_code(code: str) -> None:
    if not code.strip() or len(code.encode()) > CODE_BYTES_MAX:
        raise InvalidRequestError(f"A function has code, at most {CODE_BYTES_MAX // KIB} KB.", field="code")


def _check_definitions(definitions: Sequence[Mapping[str, Any]]) -> None:
    names = [str(each["name"]) for each in definitions]
    if len(names) > _SETTINGS_MAX:
        raise InvalidRequestError(f"A function takes at most {_SETTINGS_MAX} settings.", field="settings")
    for at, each in enumerate(definitions):
        naming.checked_name(names[at], f"settings.{at}.name")
        if names.index(names[at]) != at:
            raise InvalidRequestError(f"The setting {names[at]!r} is there twice.", field=f"settings.{at}.name")
        if each["type"] not in _SETTING_TYPES:
            raise InvalidRequestError(f"A type is one of {', '.join(_SETTING_TYPES)}.", field=f"settings.{at}.type")


def _add_version(connection: Connection, function: Mapping[str, Any], code: str, author: str, at: str) -> None:
    mine = function_versions.c.function_id == function["id"]
    last = connection.execute(select(func.max(function_versions.c.number)).where(mine)).scalar() or 0
    row = {
        "id": naming.new_id(),
        "workspace_id": function["workspace_id"],
        "function_id": function["id"],
        "number": last + 1,
        "code": code,
        "author": author,
        "created_at": at,
        "in_use": False,
    }
    connection.execute(insert(function_versions).values(row))
    old = mine & (function_versions.c.number <= last + 1 - VERSIONS_MAX) & ~function_versions.c.in_use
    connection.execute(delete(function_versions).where(old))


def _versions(connection: Connection, function_id: str) -> list[FunctionVersion]:
    found = select(function_versions).where(function_versions.c.function_id == function_id)
    return [_version(row) for row in connection.execute(found.order_by(function_versions.c.number.desc()))]


def _version_row(connection: Connection, workspace_id: str, function_id: str, version_id: str) -> Row:
    rows.one(connection, functions, workspace_id, function_id)
    mine = function_versions.c.function_id == function_id
    return rows.one_of(connection, function_versions, workspace_id, version_id, mine)


def _version(row: Row) -> FunctionVersion:
    return FunctionVersion(
        id=row.id,
        function_id=row.function_id,
        number=row.number,
        author=row.author,
        created_at=moment(row.created_at),
        in_use=row.in_use,
        code=row.code,
        deployed_at=None if row.deployed_at is None else moment(row.deployed_at),
    )


def _function(row: Row, versions: Sequence[FunctionVersion]) -> FunctionEntry:
    used = next((each for each in versions if each.in_use), None)
    return FunctionEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        kind=FunctionKind(row.kind),
        name=row.name,
        description=row.description,
        logo_url=row.logo_url,
        created_at=moment(row.created_at),
        created_by=row.created_by,
        code=versions[0].code,
        definitions=tuple(msgspec.json.decode(row.settings, type=list[dict[str, Any]])),
        deployed_at=used.deployed_at if used else None,
        is_latest=used is versions[0],
    )
