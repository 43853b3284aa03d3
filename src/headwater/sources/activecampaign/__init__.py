"""ActiveCampaign: every email open, click, bounce and unsubscribe becomes a track call, in Segment's names."""

from __future__ import annotations

from typing import Final

from headwater.sources.activecampaign.mapping.webhooks import events
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.worker import open  # noqa: A004 - the name that the contract gives it
from headwater.sources.contract import Card

__all__ = ["CARD", "Settings", "events", "open"]

CARD: Final = Card(
    id="XE0vf1bTDh",
    slug="activecampaign",
    name="ActiveCampaign",
    description=(
        "Email events of an ActiveCampaign account: delivered, opened, clicked, bounced, unsubscribed, marked as spam."
    ),
    schema_name="activecampaign",
    webhooks=True,
    cloud=True,
    regions=("us",),
    categories=("Email Marketing",),
)
