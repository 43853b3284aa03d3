"""How a connection does, in the words that a marketer reads. Pure: facts in, state and sentence out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

_PRIVATE_ENDINGS: Final = (".local", ".localhost", ".internal", ".lan", ".home", ".home.arpa", ".test")
_HTTPS_PORT: Final = 443


class State(StrEnum):
    """The toggle and the box beside it."""

    OFF = "off"
    CONNECTING = "connecting"
    WAITING = "waiting"
    SENDING = "sending"
    ATTENTION = "attention"


class WebhookState(StrEnum):
    """What is known of the webhook at ActiveCampaign.

    `UNREACHABLE`: it is registered for an address that ActiveCampaign cannot post to. `UNKNOWN`: nobody could look.
    """

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the state follows from.

    Attributes:
        webhook: as found and, where possible, put right; `OK` even if what it leads to is in doubt.
        complaint: what ActiveCampaign answered when the webhook could not be put right, "" otherwise.
        refused: the key was refused.
        unreachable: why ActiveCampaign cannot post to our address, "" where nothing speaks against it.
        silent: the webhook stays silent although campaigns move, also after it was made anew.
        heard: some webhook arrived.
        last_event, last_at: of the newest event of an email, "" and None before the first.
    """

    enabled: bool
    webhook: WebhookState = WebhookState.UNKNOWN
    complaint: str = ""
    refused: bool = False
    unreachable: str = ""
    silent: bool = False
    heard: bool = False
    last_event: str = ""
    last_at: datetime | None = None


def state(facts: Facts) -> tuple[State, str]:
    """Return the state and the sentence beside it; where something is wrong it ends with the next step."""
    if not facts.enabled:
        return State.OFF, _off(facts)
    if problem := _problem(facts):
        return State.ATTENTION, problem
    if facts.heard and facts.last_at is not None:
        at = facts.last_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        return State.SENDING, f"Currently sending. Last event: {facts.last_event}, {at} UTC."
    if facts.webhook is WebhookState.UNKNOWN:
        return State.CONNECTING, facts.complaint or "Registering the webhook at ActiveCampaign."
    return State.WAITING, "Ready, waiting for the first event. Send a campaign to yourself, open it and click a link."


def webhook_state(facts: Facts) -> WebhookState:
    """Return what is shown of the webhook: one that is registered and leads nowhere is not well."""
    if not facts.enabled:
        return WebhookState.OFF
    if facts.webhook is not WebhookState.OK:
        return facts.webhook
    if facts.silent:
        return WebhookState.SILENT
    return WebhookState.UNREACHABLE if facts.unreachable and not facts.heard else WebhookState.OK


def _off(facts: Facts) -> str:
    if facts.complaint:
        return f"Off. Its webhook could not be taken away at ActiveCampaign yet. {facts.complaint}"
    return "Off. Switch it on to receive events."


def _problem(facts: Facts) -> str:
    if facts.refused:
        return (
            "ActiveCampaign refuses the API key. Copy it once more from Settings, Developer in ActiveCampaign, and "
            "enter it on the account's page, or with `headwater activecampaign update`."
        )
    if facts.webhook in {WebhookState.MISSING, WebhookState.CHANGED}:
        return f"The webhook could not be registered at ActiveCampaign. {facts.complaint}".rstrip()
    if facts.unreachable and not facts.heard:
        return facts.unreachable
    return SILENT if facts.silent else ""


SILENT: Final = (
    "Campaigns are opened and clicked, but no webhook arrives, although it was registered anew. Check that this "
    "server can be reached from the internet over HTTPS on port 443 with a valid certificate, and that no firewall or "
    "bot protection in front of it refuses posts. What is missed meanwhile, reconciliation fills in from the reports."
)
"""What to do when deleting and creating the webhook did not help."""


def unreachable(webhook_url: str, account_url: str) -> str:
    """Return why ActiveCampaign cannot post to this address and what to set, "" where nothing speaks against it.

    It posts over HTTPS on port 443 to hosts on the internet. An account that is itself on this machine is a simulator,
    which reaches everything.
    """
    if is_loopback(account_url):
        return ""
    parts = urlsplit(webhook_url)
    reason = _why(parts.scheme.lower(), (parts.hostname or "").lower().rstrip("."), _port(parts.netloc, webhook_url))
    if not reason:
        return ""
    return (
        f"ActiveCampaign cannot reach this server: {reason} Set HEADWATER_PUBLIC_URL to an address such as "
        "https://events.example.com that leads here from the internet."
    )


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _why(scheme: str, host: str, port: int) -> str:
    if not host:
        return "its public address is not set."
    if _is_private(host):
        return f"{host} is a name or number that is known only here."
    if scheme != "https":
        return "its public address is not HTTPS."
    return f"its public address is on port {port}, and only 443 is served." if port != _HTTPS_PORT else ""


def _is_private(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return not address.is_global
    return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _port(netloc: str, url: str) -> int:
    try:
        return urlsplit(url).port or _HTTPS_PORT
    except ValueError:
        return 0 if netloc else _HTTPS_PORT
