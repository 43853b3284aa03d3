"""Functions that stand before a destination: each event goes through them, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import Row, changing, destinations, function_versions, functions, insert_functions
from headwater.control.models import MASKED, FunctionKind, InsertEntry
from headwater.control.moments import moment, text_of
from headwater.control.secrets import SecretBox
from headwater.errors import ConflictError, InvalidRequestError

_INSERTS_MAX: Final = 10  # ours, a destination
_POSITION_MAX: Final = 1_000_000  # ours
_TYPES: Final[Mapping[str, Any]] = {"STRING": str, "BOOLEAN": bool, "ARRAY": list[str], "TEXT_MAP": dict[str, str]}


class InsertFunctions:
    """The instances of insert functions in all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, box: SecretBox, clock: Clock) -> None:
        self._engine, self._box, self._clock = engine, box, clock

    def all(self, workspace_id: str, function_id: str | None = None) -> list[InsertEntry]:
        """Return the instances of a workspace, or of one function, in the order in which they run."""
        with self._engine.connect() as connection:
            found = read_inserts(connection, self._box)
        return [each for each in found if each.workspace_id == workspace_id and function_id in {None, each.function_id}]

    def get(self, workspace_id: str, instance_id: str) -> InsertEntry:
        """Return one instance.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            row = rows.one(connection, insert_functions, workspace_id, instance_id)
            definitions = rows.one(connection, functions, workspace_id, row.function_id).settings
            return _insert(row, _sensitive(definitions), self._box, reveal=False)

    def create(
        self,
        workspace_id: str,
        function_id: str,
        destination_id: str,
        *,
        name: str,
        settings: Mapping[str, Any],
        enabled: bool = False,
    ) -> InsertEntry:
        """Put a function before a destination, behind those that stand there, and return the instance.

        Raises:
            InvalidRequestError: name or settings are wrong, or the function is of another kind.
            NotFoundError: this workspace has no such function or destination.
            ConflictError: as many stand there as may, or the function has never been deployed.
        """
        instance_id, at = naming.new_id(), text_of(self._clock())
        with changing(self._engine) as connection:
            function = rows.one(connection, functions, workspace_id, function_id)
            if function.kind != FunctionKind.INSERT_DESTINATION:
                raise InvalidRequestError(
                    f"Only a function of the kind {FunctionKind.INSERT_DESTINATION} stands before a destination.",
                    field="functionId",
                )
            in_use = (function_versions.c.function_id == function_id) & function_versions.c.in_use
            if connection.execute(select(function_versions.c.id).where(in_use)).first() is None:
                raise ConflictError("The function has no code in use yet; deploy it first.")
            rows.one(connection, destinations, workspace_id, destination_id)
            beside = insert_functions.c.destination_id == destination_id
            rows.room_beside(connection, insert_functions, beside, _INSERTS_MAX)
            last = connection.execute(select(func.max(insert_functions.c.position)).where(beside)).scalar()
            row = {
                "id": instance_id,
                "workspace_id": workspace_id,
                "function_id": function_id,
                "destination_id": destination_id,
                "name": naming.checked_name(name),
                "enabled": enabled,
                "position": 0 if last is None else last + 1,
                "settings": self._sealed(instance_id, function.settings, _checked(function.settings, settings, {})),
                "created_at": at,
                "updated_at": at,
            }
            connection.execute(insert(insert_functions).values(row))
        return self.get(workspace_id, instance_id)

    def update(self, workspace_id: str, instance_id: str, **change: Any) -> InsertEntry:
        """Change `name`, `enabled`, `position` or `settings` and return the instance; other settings stay.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        with changing(self._engine) as connection:
            row = rows.one(connection, insert_functions, workspace_id, instance_id)
            definitions = rows.one(connection, functions, workspace_id, row.function_id).settings
            columns = {"updated_at": text_of(self._clock())} | {
                member: change[member] for member in ("enabled", "position") if member in change
            }
            if not 0 <= columns.get("position", 0) <= _POSITION_MAX:
                raise InvalidRequestError(f"position is from 0 to {_POSITION_MAX:,}.", field="position")
            if "name" in change:
                columns["name"] = naming.checked_name(change["name"])
            if "settings" in change:
                stored = _insert(row, _sensitive(definitions), self._box, reveal=True).settings
                columns["settings"] = self._sealed(
                    row.id, definitions, _checked(definitions, change["settings"], stored)
                )
            connection.execute(update(insert_functions).where(insert_functions.c.id == row.id).values(columns))
        return self.get(workspace_id, instance_id)

    def delete(self, workspace_id: str, instance_id: str) -> None:
        """Take a function away from before its destination.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            rows.one(connection, insert_functions, workspace_id, instance_id)
            connection.execute(delete(insert_functions).where(insert_functions.c.id == instance_id))

    def _sealed(self, instance_id: str, definitions: str, settings: Mapping[str, Any]) -> str:
        secret = _sensitive(definitions)
        row = {
            name: self._box.seal(instance_id, name, msgspec.json.encode(value).decode()) if name in secret else value
            for name, value in settings.items()
        }
        return msgspec.json.encode({"values": row, "sealed": sorted(secret & row.keys())}).decode()


def read_inserts(connection: Connection, box: SecretBox, *, reveal: bool = False) -> list[InsertEntry]:
    """Return the instances of all workspaces in the order in which they run; settings open or masked."""
    found = (
        select(insert_functions, functions.c.settings.label("definitions"))
        .join(functions, functions.c.id == insert_functions.c.function_id)
        .order_by(insert_functions.c.position, insert_functions.c.created_at, insert_functions.c.id)
    )
    return [_insert(row, _sensitive(row.definitions), box, reveal=reveal) for row in connection.execute(found)]


def _sensitive(definitions: str) -> set[str]:
    return {each["name"] for each in _decoded(definitions) if each["sensitive"]}


def _decoded(definitions: str) -> list[dict[str, Any]]:
    return msgspec.json.decode(definitions, type=list[dict[str, Any]])


def _checked(definitions: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole settings: what is given over what is stored, each of the type that the function names."""
    known = {each["name"]: each for each in _decoded(definitions)}
    values = {name: value for name, value in stored.items() if name in known}
    for name, value in given.items():
        field = f"settings.{name[:60]}"
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidRequestError(f"unknown setting {name[:60]!r}; known are: {names}", field=field)
        if value == MASKED and known[name]["sensitive"]:
            continue
        try:
            values[name] = msgspec.convert(value, _TYPES[known[name]["type"]])
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"{known[name]['label'] or name}: {error}", field=field) from None
    for name, each in known.items():
        if each["required"] and values.get(name) in (None, "", [], {}):
            raise InvalidRequestError(f"{each['label'] or name} is required", field=f"settings.{name}")
    return values


def _insert(row: Row, sensitive: set[str], box: SecretBox, *, reveal: bool) -> InsertEntry:
    """Return an instance; what was sealed is hidden, and so is what became sensitive after it was stored."""
    kept: dict[str, Any] = msgspec.json.decode(row.settings, type=dict[str, Any])
    values, sealed = kept["values"], set(kept["sealed"])
    secret = (sealed | sensitive) & values.keys()
    if reveal:
        opened = {name: msgspec.json.decode(box.open(row.id, name, values[name])) for name in sealed}
        settings = values | opened
    else:
        settings = {name: MASKED if name in secret else value for name, value in values.items()}
    return InsertEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        function_id=row.function_id,
        destination_id=row.destination_id,
        name=row.name,
        enabled=row.enabled,
        position=row.position,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        settings=settings,
        secrets=frozenset(secret),
    )
