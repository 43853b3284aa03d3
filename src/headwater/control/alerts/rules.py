"""Alert rules: a workspace has one of each kind from the start, and may have further ones about single things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from headwater.alerts.rules import CARDS, Kind, Rule, checked, default
from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.alerts.tables import channels, rules
from headwater.control.database import Row, changing, destinations, sources, warehouses
from headwater.control.moments import text_of
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

_RULES_MAX: Final = 500  # ours, a workspace
_ABOUT: Final[dict[str, Table]] = {"source": sources, "destination": destinations, "warehouse": warehouses}


class AlertRules:
    """The rules of all workspaces; each call names the workspace it acts in.

    The rule of a kind about everything has the kind as its id; it can be changed and switched off, never deleted.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str) -> list[Rule]:
        """Return the rules: by kind, the one about everything first."""
        with self._engine.connect() as connection:
            stored = [_rule(row) for row in connection.execute(_of(workspace_id))]
        general = {each.kind: each for each in stored if not each.subject_id}
        found = []
        for kind in Kind:
            found.append(general.get(kind) or default(workspace_id, kind))
            found += [each for each in stored if each.subject_id and each.kind is kind]
        return found

    def get(self, workspace_id: str, rule_id: str) -> Rule:
        """Return one rule.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        for rule in self.all(workspace_id):
            if rule.id == rule_id:
                return rule
        raise NotFoundError(f"There is no alert rule {rule_id[:60]!r}; GET /alerts/rules lists them.")

    def create(
        self,
        workspace_id: str,
        kind: Kind,
        subject_id: str,
        *,
        threshold: int | None = None,
        window_minutes: int | None = None,
        channel_ids: Sequence[str] = (),
        enabled: bool = True,
    ) -> Rule:
        """Make a rule about one source, destination or warehouse; the one about everything passes it over then.

        Raises:
            InvalidRequestError: the kind is about no single thing, or a number is outside its bounds.
            NotFoundError: the workspace has no such thing, or no such channel.
            ConflictError: there is such a rule, or there are too many.
        """
        about = CARDS[kind].about
        if not about:
            raise InvalidRequestError(f"a rule {kind} is about everything; change that one", field="kind")
        usual = default(workspace_id, kind)
        wanted = replace(
            usual,
            enabled=enabled,
            subject_id=subject_id,
            threshold=usual.threshold if threshold is None else threshold,
            window_minutes=usual.window_minutes if window_minutes is None else window_minutes,
            channel_ids=tuple(channel_ids),
        )
        checked(kind, wanted.threshold, wanted.window_minutes)
        row = self._stored(wanted)
        with changing(self._engine) as connection:
            rows.one(connection, _ABOUT[about], workspace_id, subject_id)
            _known(connection, workspace_id, channel_ids)
            present = [_rule(each) for each in connection.execute(_of(workspace_id))]
            if any(each.kind is kind and each.subject_id == subject_id for each in present):
                raise ConflictError("There is such a rule; change that one.")
            if len(present) >= _RULES_MAX:
                raise ConflictError(f"A workspace has at most {_RULES_MAX} alert rules; delete one first.")
            connection.execute(insert(rules).values(row))
        return self.get(workspace_id, str(row["id"]))

    def update(self, workspace_id: str, rule_id: str, **change: Any) -> Rule:
        """Change `enabled`, `threshold`, `window_minutes` or `channel_ids` and return the rule.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        rule = self.get(workspace_id, rule_id)
        columns = dict(change)
        checked(rule.kind, change.get("threshold", rule.threshold), change.get("window_minutes", rule.window_minutes))
        if "channel_ids" in change:
            columns["channel_ids"] = msgspec.json.encode(change["channel_ids"]).decode()
        with changing(self._engine) as connection:
            _known(connection, workspace_id, change.get("channel_ids", ()))
            about = rules.c.kind == rule.kind, rules.c.subject_id == rule.subject_id
            which = rules.c.workspace_id == workspace_id, *about
            if connection.execute(select(rules.c.id).where(*which)).first() is None:
                connection.execute(insert(rules).values(self._stored(rule) | columns))
            elif columns:
                connection.execute(update(rules).where(*which).values(columns))
        return self.get(workspace_id, rule_id)

    def delete(self, workspace_id: str, rule_id: str) -> None:
        """Delete a rule about a single thing; the one about everything applies to it again.

        Raises:
            NotFoundError: this workspace has none of this id.
            ConflictError: it is about everything.
        """
        rule = self.get(workspace_id, rule_id)
        if not rule.subject_id:
            raise ConflictError(f"The rule {rule.id} cannot be deleted; disable it.")
        with changing(self._engine) as connection:
            connection.execute(delete(rules).where(rules.c.id == rule.id, rules.c.workspace_id == workspace_id))

    def _stored(self, rule: Rule) -> dict[str, Any]:
        return {
            "id": naming.new_id(),
            "workspace_id": rule.workspace_id,
            "kind": str(rule.kind),
            "subject_id": rule.subject_id,
            "enabled": rule.enabled,
            "threshold": rule.threshold,
            "window_minutes": rule.window_minutes,
            "channel_ids": msgspec.json.encode(rule.channel_ids).decode(),
            "created_at": text_of(self._clock()),
        }


def _of(workspace_id: str) -> Any:
    return select(rules).where(rules.c.workspace_id == workspace_id).order_by(rules.c.created_at, rules.c.id)


def _known(connection: Connection, workspace_id: str, channel_ids: Sequence[str]) -> None:
    for each in channel_ids:
        rows.one(connection, channels, workspace_id, each)


def _rule(row: Row) -> Rule:
    return Rule(
        id=row.id if row.subject_id else row.kind,
        workspace_id=row.workspace_id,
        kind=Kind(row.kind),
        enabled=row.enabled,
        subject_id=row.subject_id,
        threshold=row.threshold,
        window_minutes=row.window_minutes,
        channel_ids=tuple(msgspec.json.decode(row.channel_ids, type=list[str])),
    )
