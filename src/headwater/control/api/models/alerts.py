"""Alerts, their rules and channels."""

from __future__ import annotations

import msgspec

from headwater.control.api.models import Pagination


class Alert(msgspec.Struct, rename="camel"):
    """Something that is or was wrong; `endedAt` is null while it lasts, `unsent` counts messages still to be sent."""

    id: str
    kind: str
    title: str
    rule_id: str
    subject_id: str
    subject: str
    text: str
    step: int
    began_at: str
    ended_at: str | None
    unsent: int
    error: str


class Alerts(msgspec.Struct, rename="camel"):
    """A page of alerts, the newest first; `open` is how many last."""

    alerts: list[Alert]
    open: int
    pagination: Pagination


class Number(msgspec.Struct, rename="camel"):
    """The bounds of a rule's number."""

    default: int
    least: int
    most: int
    unit: str


class Rule(msgspec.Struct, rename="camel"):
    """What is told of; `channelIds` empty is every channel, `subjectId` empty is everything."""

    id: str
    kind: str
    title: str
    description: str
    about: str
    subject_id: str
    enabled: bool
    threshold: int
    threshold_bounds: Number | None
    window_minutes: int
    window_bounds: Number | None
    channel_ids: list[str]


class Rules(msgspec.Struct, rename="camel"):
    """All rules of the workspace."""

    rules: list[Rule]


class OneRule(msgspec.Struct, rename="camel"):
    """One rule."""

    rule: Rule


class Channel(msgspec.Struct, rename="camel"):
    """Where messages go; `url` is masked."""

    id: str
    kind: str
    name: str
    enabled: bool
    recipients: list[str]
    url: str


class Channels(msgspec.Struct, rename="camel"):
    """All channels of the workspace; `mail` tells whether the operator has set a mail server."""

    channels: list[Channel]
    mail: bool


class OneChannel(msgspec.Struct, rename="camel"):
    """One channel."""

    channel: Channel


class Tested(msgspec.Struct, rename="camel"):
    """How a test message ended."""

    ok: bool
    message: str
