"""Read what a record of the inbox tells as drafts, and finish their events. Pure: no memory, no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.sources.activecampaign.mapping.draft import Draft, Read
from headwater.sources.activecampaign.mapping.finishing import (
    completed,
    contradicting,
    described,
    identified,
    repeated,
    scanned,
)
from headwater.sources.activecampaign.mapping.reports import read_report
from headwater.sources.activecampaign.mapping.webhooks import read_webhook
from headwater.sources.activecampaign.settings import read as read_settings
from headwater.sources.contract import Origin, Webhook

__all__ = [
    "Draft",
    "Read",
    "completed",
    "contradicting",
    "described",
    "identified",
    "read",
    "repeated",
    "scanned",
]


def read(webhook: Webhook, settings: Mapping[str, Any]) -> Read:
    """Return what a record of either origin tells; never raises for bad input."""
    known = read_settings(settings)
    return read_report(webhook, known) if webhook.origin is Origin.REPORT else read_webhook(webhook, known)
