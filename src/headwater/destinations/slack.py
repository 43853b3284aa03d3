"""Slack: one message for each event to an incoming webhook, of Slack or of anything that speaks the same.

Mattermost, Rocket.Chat and Discord (with `/slack` at the end of its address) take the same request.

Source: Slack API, Sending messages using incoming webhooks (request, errors), Rate limits (one message a second),
Formatting message text (what is escaped, length).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from headwater.destinations.contract import (
    Answer,
    Card,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Skipped,
    Unauthorized,
    outcome_of,
    setting,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event
from headwater.spec.template import rendered

CARD = Card(
    name="Slack",
    description="Posts a message to a channel for each event, from a template of yours.",
    categories=("Messaging", "Alerts"),
    ordered=True,
    concurrency=1,
    rate_per_s=1.0,
    api="https://api.slack.com/messaging/webhooks",
    mapping=(
        Rule(
            "all calls",
            "any value, by the template",
            "text",
            "`&`, `<` and `>` are escaped, `@channel` and the like get an invisible space: no value links or mentions",
        ),
        Rule("all calls", "", "channel", "where set; Slack's own newer webhooks have one channel and ignore it"),
        Rule("all calls", "", "username", "where set; ignored likewise"),
    ),
    notes=(
        (
            "A template is text with places: `{{ event }} by {{ traits.email | userId }}`. A place names dotted paths "
            "into the event, the first that holds something is written; nothing is written where none does."
        ),
        "An event for which the template comes to nothing but space is counted as filtered.",
        "Choose what is posted with destination filters: a channel that gets every event is read by nobody.",
        "Slack takes one message a second and answers 429 to more; the connection keeps to that rate.",
        "An incoming webhook recognises no repeats: where an answer gets lost, a message can appear twice.",
        (
            "A webhook that was removed, or whose channel is archived, pauses the connection: enter a new address, "
            "then its events follow."
        ),
    ),
)

TEXT_CHARS_MAX: Final = 4_000  # Slack's advice for one message; it cuts at 40,000
_TEMPLATE: Final = "*{{ event | name | type }}* {{ traits.email | context.traits.email | userId | anonymousId }}"
_TEMPLATE_CHARS_MAX: Final = 4_000  # ours
_ESCAPED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Mattermost, Rocket.Chat and Discord mention everybody for these words; a zero-width space keeps them from it.
_CALLING: Final = re.compile(r"@(?=(?:all|channel|here|everyone|group)\b)", re.IGNORECASE)
_ERROR: Final = re.compile(rb"[a-z_]{1,60}")
# about the webhook and not the message: invalid_token, action_prohibited; no_service, channel_not_found; archived
_PAUSES: Final = frozenset({401, 403, 404, 410})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    url: str = field(
        repr=False,
        metadata=setting(
            "Webhook URL", "Of an incoming webhook, such as https://hooks.slack.com/services/….", secret=True
        ),
    )
    template: str = field(
        default=_TEMPLATE,
        metadata=setting(
            "Message",
            "Text with values of the event, such as `{{ event }}: {{ properties.plan }}`.",
            required=False,
        ),
    )
    channel: str = field(
        default="", metadata=setting("Channel", "Instead of the webhook's own, where it allows that.", required=False)
    )
    username: str = field(
        default="", metadata=setting("User name", "Instead of the webhook's own, where it allows that.", required=False)
    )


class Destination:
    """Posts messages one by one."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.template.strip() or len(settings.template) > _TEMPLATE_CHARS_MAX:
            raise ConfigError(f"The message is a text of 1 to {_TEMPLATE_CHARS_MAX} characters.")
        self._settings, self._http = settings, room.http

    async def check(self) -> None:
        """Post an empty message: Slack refuses it as `no_text` after it has recognised the webhook.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: there is no such webhook, or it does not answer.
        """
        answer = await self._post("")
        match meaning(answer):
            case Unauthorized(reason):
                raise UnauthorizedError(f"The webhook is refused ({reason}); make a new one and enter its address.")
            case Retry(reason):
                raise RetryableError(f"The webhook does not answer at the moment ({reason}); try again later.")
            case Discarded(reason, status) if status != 400:  # noqa: PLR2004 - no_text: exactly what was sent
                raise DeliveryError(f"No incoming webhook answers at this address ({reason}); compare it.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Post one message for each event."""
        return [await self._message(event) for event in events]

    async def _message(self, event: Event) -> Outcome:
        text = rendered(self._settings.template, event.body, escaped)
        if not text.strip():
            return Skipped("The template comes to no text for this event.")
        return meaning(await self._post(shortened(text)))

    async def _post(self, text: str) -> Answer:
        chosen = {"channel": self._settings.channel, "username": self._settings.username}
        message: dict[str, Any] = {"text": text, **{name: each for name, each in chosen.items() if each}}
        return await self._http.request(
            "POST",
            self._settings.url,
            body=msgspec.json.encode(message),
            headers={"content-type": "application/json"},
        )


def escaped(text: str) -> str:
    """Return a value so that Slack shows it as it is and makes no link or mention of it."""
    return _CALLING.sub("@\u200b", "".join(_ESCAPED.get(each, each) for each in text))


def shortened(text: str) -> str:
    """Return what fits into a message; an ellipsis stands for the rest, and no escape is cut in two."""
    if len(text) <= TEXT_CHARS_MAX:
        return text
    return re.sub(r"&[a-z]{0,3}$", "", text[: TEXT_CHARS_MAX - 1]) + "…"


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means: those about the webhook itself pause the connection, as no event will pass."""
    said = _ERROR.fullmatch(answer.body.strip())
    reason = f"HTTP {answer.status}" + (f": {said[0].decode()}" if said and answer.body.strip() != b"ok" else "")
    match outcome_of(answer):
        case Retry(after_s=after_s, answer=text):
            return Retry(reason, answer.status, after_s, text)
        case Unauthorized(answer=text) | Discarded(answer=text) if answer.status in _PAUSES:
            return Unauthorized(reason, answer.status, text)
        case Discarded(answer=text):
            return Discarded(reason, answer.status, text)
        case outcome:
            return outcome
