"""What every source on the shelf promises."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from headwater import shelf
from headwater.sources.contract import Card, Mapped, Webhook

SHELF = "headwater.sources"
NAMES = shelf.names(SHELF)
PURE = [name for name in NAMES if hasattr(shelf.take(SHELF, name), "events")]
BODIES = [b"", b"\x00\xff", b"{", b"type=open", b"[]", b"a" * 100_000, b"&=&=%", b"--x\r\n\r\n--x--"]


def test_the_sources_are_found_without_a_list() -> None:
    assert {"activecampaign", "function", "http_api"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_presents_itself(name: str) -> None:
    card = shelf.take(SHELF, name).CARD
    assert isinstance(card, Card)
    assert card.slug == name.replace("_", "-")
    assert card.id
    assert card.name
    assert card.description.endswith(".")
    assert re.fullmatch(r"[a-z][a-z0-9_]*", card.schema_name)
    assert set(card.regions) <= {"us", "eu"}
    maps = {way for way in ("events", "mapper") if hasattr(shelf.take(SHELF, name), way)}
    assert len(maps) == card.webhooks, "a source with webhooks has `events` or `mapper`, and only such a source"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", PURE)
def test_no_body_is_an_error_and_the_same_body_means_the_same(name: str, body: bytes) -> None:
    webhook = Webhook(0, "s", datetime(2025, 1, 1, tzinfo=UTC), "", body)
    events = shelf.take(SHELF, name).events
    assert isinstance(events(webhook, {}), Mapped)
    assert events(webhook, {}) == events(webhook, {})
