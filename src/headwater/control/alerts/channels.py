"""Alert channels: e-mail addresses and Slack-compatible webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Engine, delete, insert, select, update

from headwater.alerts.channels import Channel, ChannelKind
from headwater.alerts.mail import ADDRESS
from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.alerts.tables import channels
from headwater.control.database import Row, changing
from headwater.control.destinations import check_url
from headwater.control.models import MASKED
from headwater.control.moments import text_of
from headwater.control.secrets import SecretBox
from headwater.delivery.address import Policy
from headwater.errors import InvalidRequestError

_CHANNELS_MAX: Final = 50  # ours, a workspace
_RECIPIENTS_MAX: Final = 50  # ours
_URL_CHARS_MAX: Final = 2_000


class AlertChannels:
    """The channels of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, box: SecretBox, clock: Clock, policy: Policy | None = None) -> None:
        self._engine, self._box, self._clock, self._policy = engine, box, clock, policy

    def all(self, workspace_id: str, *, reveal: bool = False) -> list[Channel]:
        """Return the channels of a workspace, oldest first; `reveal` opens their addresses, for sending."""
        which = select(channels).where(channels.c.workspace_id == workspace_id)
        with self._engine.connect() as connection:
            found = connection.execute(which.order_by(channels.c.created_at, channels.c.id))
            return [self._channel(row, reveal=reveal) for row in found]

    def get(self, workspace_id: str, channel_id: str, *, reveal: bool = False) -> Channel:
        """Return one channel.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            return self._channel(rows.one(connection, channels, workspace_id, channel_id), reveal=reveal)

    def create(
        self,
        workspace_id: str,
        kind: ChannelKind,
        name: str,
        *,
        recipients: Sequence[str] = (),
        url: str = "",
        enabled: bool = True,
    ) -> Channel:
        """Make a channel and return it.

        Raises:
            InvalidRequestError: name, recipients or address are wrong; `field` names it.
            ConflictError: the workspace has as many as it may have.
        """
        self._check(kind, recipients, url)
        channel_id = naming.new_id()
        row = {
            "id": channel_id,
            "workspace_id": workspace_id,
            "kind": str(kind),
            "name": naming.checked_name(name),
            "enabled": enabled,
            "recipients": msgspec.json.encode(recipients).decode(),
            "url": self._box.seal(channel_id, "url", url) if url else "",
            "created_at": text_of(self._clock()),
        }
        with changing(self._engine) as connection:
            rows.room_for_one_more(connection, channels, workspace_id, _CHANNELS_MAX)
            connection.execute(insert(channels).values(row))
        return self.get(workspace_id, channel_id)

    def update(self, workspace_id: str, channel_id: str, **change: Any) -> Channel:
        """Change `name`, `enabled`, `recipients` or `url` (masked: it stays) and return the channel.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        columns = dict(change)
        with changing(self._engine) as connection:
            was = self._channel(rows.one(connection, channels, workspace_id, channel_id), reveal=True)
            if columns.get("url") == MASKED:
                del columns["url"]
            self._check(was.kind, columns.get("recipients", was.recipients), columns.get("url", was.url))
            if "name" in columns:
                columns["name"] = naming.checked_name(columns["name"])
            if "recipients" in columns:
                columns["recipients"] = msgspec.json.encode(columns["recipients"]).decode()
            if "url" in columns:
                columns["url"] = self._box.seal(channel_id, "url", columns["url"])
            if columns:
                connection.execute(update(channels).where(channels.c.id == channel_id).values(columns))
        return self.get(workspace_id, channel_id)

    def delete(self, workspace_id: str, channel_id: str) -> None:
        """Delete a channel; messages that wait for it are dropped, rules that name it keep their others.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            rows.one(connection, channels, workspace_id, channel_id)
            connection.execute(delete(channels).where(channels.c.id == channel_id))

    def _check(self, kind: ChannelKind, recipients: Sequence[str], url: str) -> None:
        if kind is ChannelKind.EMAIL:
            if url:
                raise InvalidRequestError("a channel of e-mail has recipients, no url", field="url")
            if not 1 <= len(recipients) <= _RECIPIENTS_MAX:
                raise InvalidRequestError(f"recipients are 1 to {_RECIPIENTS_MAX} addresses", field="recipients")
            for each in recipients:
                if not ADDRESS.fullmatch(each):
                    raise InvalidRequestError(f"{each[:60]!r} is no e-mail address", field="recipients")
            return
        if recipients:
            raise InvalidRequestError("a webhook has a url, no recipients", field="recipients")
        if not url or len(url) > _URL_CHARS_MAX:
            raise InvalidRequestError("url is the address of an incoming webhook", field="url")
        check_url(url, self._policy, "url")

    def _channel(self, row: Row, *, reveal: bool) -> Channel:
        url = row.url
        if url:
            url = self._box.open(row.id, "url", url) if reveal else MASKED
        return Channel(
            id=row.id,
            workspace_id=row.workspace_id,
            kind=ChannelKind(row.kind),
            name=row.name,
            enabled=row.enabled,
            recipients=tuple(msgspec.json.decode(row.recipients, type=list[str])),
            url=url,
        )
