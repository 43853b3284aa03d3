"""Where messages go: e-mail, a Slack-compatible webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from headwater.alerts.book import BEGAN, ENDED, WORSE, Message
from headwater.errors import ConfigError, DeliveryError, RetryableError
from headwater.outgoing import Http

_TEXT_CHARS_MAX: Final = 3_000
_OK: Final = range(200, 300)
_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_WORDS: Final = {BEGAN: "Alert", WORSE: "Alert, graver", ENDED: "Resolved"}
_MARKS: Final = {BEGAN: ":rotating_light:", WORSE: ":rotating_light:", ENDED: ":white_check_mark:"}


class ChannelKind(StrEnum):
    """How a channel is reached."""

    EMAIL = "email"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a workspace is told of alerts.

    Attributes:
        recipients: of e-mail.
        url: of a webhook that takes Slack's `{"text": …}`; a secret, masked where it is shown.
    """

    id: str
    workspace_id: str
    kind: ChannelKind
    name: str
    enabled: bool
    recipients: tuple[str, ...] = ()
    url: str = field(default="", repr=False)


class Mail(Protocol):
    """Hands in e-mail; blocks."""

    def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Send plain text; raises RetryableError or DeliveryError."""
        ...


class Messenger:
    """Sends messages by every kind of channel.

    Args:
        http: the guarded client.
        mail: None where the operator has set no mail server.
        public_url: what links begin with.
    """

    def __init__(self, http: Http, mail: Mail | None, public_url: str) -> None:
        self._http, self._mail, self._public_url = http, mail, public_url

    @property
    def has_mail(self) -> bool:
        """Whether e-mail can be sent."""
        return self._mail is not None

    async def tell(self, channel: Channel, message: Message, workspace: str, path: str) -> None:
        """Send one message.

        Args:
            channel: with its secret open.
            message: what is wrong, or is over.
            workspace: its name.
            path: of the page to look at.

        Raises:
            RetryableError, DeliveryError: it was not taken.
        """
        alert = message.alert
        title = f"{_WORDS[message.deed]}: {alert.subject} ({workspace})"
        text = f"It is over: {message.text}" if message.deed == ENDED else message.text
        await self.send(channel, title, text, f"{self._public_url}{path}", mark=_MARKS[message.deed])

    async def send(self, channel: Channel, title: str, text: str, link: str, *, mark: str = "") -> None:
        """Send a text to a channel; raises as `tell`."""
        if channel.kind is ChannelKind.EMAIL:
            await asyncio.to_thread(self._by_mail, channel, title, text, link)
        else:
            await self._by_webhook(channel, title, text, link, mark)

    def _by_mail(self, channel: Channel, title: str, text: str, link: str) -> None:
        if self._mail is None:
            raise ConfigError("No mail server is set; the operator sets HEADWATER_SMTP_URL and starts Headwater again.")
        self._mail.send(
            channel.recipients,
            title,
            f"{text}\n\n{link}\n\n-- \nHeadwater tells you, because you are asked to be told.\n",
        )

    async def _by_webhook(self, channel: Channel, title: str, text: str, link: str, mark: str) -> None:
        body = {"text": f"{mark} *{_safe(title)}*\n{_safe(text)}\n<{link}>".strip()}
        headers = {"content-type": "application/json"}
        answer = await self._http.request("POST", channel.url, body=msgspec.json.encode(body), headers=headers)
        if answer.status in _OK:
            return
        told = f"{channel.name} answered {answer.status}."
        if answer.status in _LATER or answer.status >= _SERVER_ERROR:
            raise RetryableError(told)
        raise DeliveryError(f"{told} Check its address.")


def _safe(text: str) -> str:
    """Return a text in which nothing links or mentions (Slack API, Formatting message text)."""
    for special, written in _ESCAPES.items():
        text = text.replace(special, written)
    return text[:_TEXT_CHARS_MAX]


_ESCAPES: Final[Mapping[str, str]] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}
