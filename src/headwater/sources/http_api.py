"""HTTP API: a website, an app or a server that calls the Tracking API with a write key."""

from __future__ import annotations

from typing import Final

from headwater.sources.contract import Card

CARD: Final = Card(
    id="iUM16Md8P2",
    slug="http-api",
    name="HTTP API",
    description="Events from your website, app or server, sent with any Segment library or a plain HTTP call.",
    schema_name="http_api",
    categories=("Server", "Website", "Custom"),
)
