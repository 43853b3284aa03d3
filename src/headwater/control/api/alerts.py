"""`/alerts`: what is wrong and was, what is told of, and where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.alerts.book import Alert
from headwater.alerts.channels import Channel, ChannelKind
from headwater.alerts.rules import Kind, Number, Rule
from headwater.control.alerting import Alerts
from headwater.control.api.door import TRIAL, Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import alerts as models
from headwater.control.api.paging import Pager
from headwater.control.api.sources import given, refuse_empty
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_LISTED_MAX: Final = 1_000  # ours: the newest; older ones are in the audit of nobody
_OPEN: Final = Query("open", "`true`: only what lasts.", {"type": "string", "enum": ["true", "false"]})


class CreateRule(msgspec.Struct, forbid_unknown_fields=True):
    """A rule about one source, destination or warehouse."""

    kind: Kind
    subjectId: str  # noqa: N815 - the API's spelling
    threshold: int | UnsetType = UNSET
    windowMinutes: int | UnsetType = UNSET  # noqa: N815
    channelIds: list[str] | UnsetType = UNSET  # noqa: N815
    enabled: bool = True


class UpdateRule(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of a rule."""

    threshold: int | UnsetType = UNSET
    windowMinutes: int | UnsetType = UNSET  # noqa: N815
    channelIds: list[str] | UnsetType = UNSET  # noqa: N815
    enabled: bool | UnsetType = UNSET


class CreateChannel(msgspec.Struct, forbid_unknown_fields=True):
    """A channel: `recipients` of e-mail, or the `url` of a webhook that takes Slack's messages."""

    kind: ChannelKind
    name: str
    recipients: list[str] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    enabled: bool = True


class UpdateChannel(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of a channel."""

    name: str | UnsetType = UNSET
    recipients: list[str] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


_MEMBERS: Final = {"windowMinutes": "window_minutes", "channelIds": "channel_ids", "subjectId": "subject_id"}


class AlertOperations:
    """Everything under `/alerts`."""

    def __init__(self, control: Control, pager: Pager, alerts: Alerts) -> None:
        self._control, self._pager, self._alerts = control, pager, alerts

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        rule, channel = "/alerts/rules/{ruleId}", "/alerts/channels/{channelId}"
        return [
            Operation("GET", "/alerts", Role.READ_ONLY, self.list, answer=models.Alerts, query=(_OPEN,), paged=True),
            Operation("GET", "/alerts/rules", Role.READ_ONLY, self.rules, answer=models.Rules),
            Operation("POST", "/alerts/rules", Role.MEMBER, self.create_rule, CreateRule, answer=models.OneRule),
            Operation("GET", rule, Role.READ_ONLY, self.rule, answer=models.OneRule),
            Operation("PATCH", rule, Role.MEMBER, self.update_rule, UpdateRule, answer=models.OneRule),
            Operation("DELETE", rule, Role.MEMBER, self.delete_rule, answer=Done),
            Operation("GET", "/alerts/channels", Role.READ_ONLY, self.channels, answer=models.Channels),
            Operation(
                "POST", "/alerts/channels", Role.MEMBER, self.create_channel, CreateChannel, answer=models.OneChannel
            ),
            Operation("GET", channel, Role.READ_ONLY, self.channel, answer=models.OneChannel),
            Operation("PATCH", channel, Role.MEMBER, self.update_channel, UpdateChannel, answer=models.OneChannel),
            Operation("DELETE", channel, Role.MEMBER, self.delete_channel, answer=Done),
            Operation("POST", f"{channel}/test", Role.MEMBER, self.test_channel, answer=models.Tested, cost=TRIAL),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of alerts, the newest first."""
        workspace_id = asked.caller.workspace_id
        wanted = asked.query.get("open", "false")
        if wanted not in {"true", "false"}:
            raise InvalidRequestError("open is true or false", field="open")
        lasting = self._alerts.book.open_ones(workspace_id)
        found = lasting if wanted == "true" else self._alerts.book.page(workspace_id, count=_LISTED_MAX)
        page, pagination = self._pager.page(asked, "alerts", found, _position)
        return {"alerts": [alert_shape(each) for each in page], "open": len(lasting), "pagination": pagination}

    def rules(self, asked: Asked) -> Answer:
        """Return the rules: one of each kind about everything, then those about single things."""
        return {"rules": [rule_shape(each) for each in self._control.alert_rules.all(asked.caller.workspace_id)]}

    def rule(self, asked: Asked) -> Answer:
        """Return one rule; the one about everything has its kind as its id."""
        return {"rule": rule_shape(self._control.alert_rules.get(asked.caller.workspace_id, asked.path["ruleId"]))}

    def create_rule(self, asked: Asked) -> Answer:
        """Make a rule about one source, destination or warehouse."""
        made = self._control.alert_rules.create(asked.caller.workspace_id, **_named(asked.body))
        return {"rule": rule_shape(made)}

    def update_rule(self, asked: Asked) -> Answer:
        """Change a rule, or switch it off."""
        refuse_empty(asked.body)
        changed = self._control.alert_rules.update(
            asked.caller.workspace_id, asked.path["ruleId"], **_named(asked.body)
        )
        return {"rule": rule_shape(changed)}

    def delete_rule(self, asked: Asked) -> Answer:
        """Delete a rule about a single thing."""
        self._control.alert_rules.delete(asked.caller.workspace_id, asked.path["ruleId"])
        return {"status": "SUCCESS"}

    def channels(self, asked: Asked) -> Answer:
        """Return the channels."""
        found = self._control.alert_channels.all(asked.caller.workspace_id)
        return {"channels": [channel_shape(each) for each in found], "mail": self._alerts.has_mail}

    def channel(self, asked: Asked) -> Answer:
        """Return one channel."""
        return {"channel": channel_shape(self._channel(asked))}

    def create_channel(self, asked: Asked) -> Answer:
        """Make a channel."""
        made = self._control.alert_channels.create(asked.caller.workspace_id, **given(asked.body))
        return {"channel": channel_shape(made)}

    def update_channel(self, asked: Asked) -> Answer:
        """Change a channel, or switch it off."""
        refuse_empty(asked.body)
        path = asked.path["channelId"]
        changed = self._control.alert_channels.update(asked.caller.workspace_id, path, **given(asked.body))
        return {"channel": channel_shape(changed)}

    def delete_channel(self, asked: Asked) -> Answer:
        """Delete a channel."""
        self._control.alert_channels.delete(asked.caller.workspace_id, asked.path["channelId"])
        return {"status": "SUCCESS"}

    async def test_channel(self, asked: Asked) -> Answer:
        """Send a test message."""
        workspace_id, channel_id = asked.caller.workspace_id, asked.path["channelId"]
        return {**await self._alerts.test(workspace_id, channel_id)}

    def _channel(self, asked: Asked) -> Channel:
        return self._control.alert_channels.get(asked.caller.workspace_id, asked.path["channelId"])


def _named(wanted: msgspec.Struct) -> dict[str, Any]:
    return {_MEMBERS.get(name, name): value for name, value in given(wanted).items()}


def _position(alert: Alert) -> str:
    return f"{2**62 - alert.id:020d}"  # the newest first


def alert_shape(alert: Alert) -> dict[str, Any]:
    """Return an alert as the API shows it."""
    return {
        "id": str(alert.id),
        "kind": str(alert.kind),
        "title": alert.title,
        "ruleId": alert.rule_id,
        "subjectId": alert.subject_id,
        "subject": alert.subject,
        "text": alert.text,
        "step": alert.step,
        "beganAt": _instant(alert.began_at),
        "endedAt": None if alert.ended_at is None else _instant(alert.ended_at),
        "unsent": alert.unsent,
        "error": alert.error,
    }


def rule_shape(rule: Rule) -> dict[str, Any]:
    """Return a rule as the API shows it."""
    card = rule.card
    return {
        "id": rule.id,
        "kind": str(rule.kind),
        "title": card.title,
        "description": card.description,
        "about": card.about,
        "subjectId": rule.subject_id,
        "enabled": rule.enabled,
        "threshold": rule.threshold,
        "thresholdBounds": _bounds(card.threshold),
        "windowMinutes": rule.window_minutes,
        "windowBounds": _bounds(card.window),
        "channelIds": [*rule.channel_ids],
    }


def channel_shape(channel: Channel) -> dict[str, Any]:
    """Return a channel as the API shows it, its address masked."""
    return {
        "id": channel.id,
        "kind": str(channel.kind),
        "name": channel.name,
        "enabled": channel.enabled,
        "recipients": [*channel.recipients],
        "url": channel.url,
    }


def _bounds(number: Number | None) -> dict[str, Any] | None:
    return None if number is None else msgspec.to_builtins(number)


def _instant(seconds: float) -> str:
    return text_of(datetime.fromtimestamp(seconds, UTC))
