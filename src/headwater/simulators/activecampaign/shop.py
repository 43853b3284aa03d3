"""What people do after a click: they visit the shop, look, and some of them buy. Calls of the Tracking API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from headwater.simulators.activecampaign.campaigns import Link
from headwater.simulators.activecampaign.happenings import Happening

Call = dict[str, Any]

_URL_CHARS_MAX: Final = 2_000  # what a page's script would send; longer calls are refused by the Tracking API
_VISIT_SHARE: Final = 0.85
_VIEW_SHARE: Final = 0.8
_ADD_SHARE: Final = 0.45
_ORDER_SHARE: Final = 0.5
_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
)


def visit(seed: int, click: Happening, instant: datetime) -> list[Call]:
    """Return the calls that follow a click, in order; none where the person did not stay."""
    chance = Random(f"{seed}:visit:{click.number}")
    if click.by_machine or click.contact is None or click.link is None or not click.contact.email:
        return []
    if chance.random() >= _VISIT_SHARE:
        return []
    calls = []
    for step, (kind, members) in enumerate(_steps(chance, click)):
        happened = instant + timedelta(seconds=2 + step * chance.uniform(5, 40))
        calls.append(
            {
                "type": kind,
                "messageId": f"sim-{seed}-{click.campaign.id}-{click.number}-{step}",
                "userId": click.contact.user_id,
                "anonymousId": f"browser-{seed}-{click.contact.id}",
                "timestamp": happened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "context": _context(click),
                **members,
            }
        )
    return calls


def _steps(chance: Random, click: Happening) -> Iterator[tuple[str, Call]]:
    """Yield what the person does: identified, a page, then a product viewed, added, ordered, each by fewer people."""
    assert click.contact is not None  # noqa: S101 - `visit` has seen to it
    assert click.link is not None  # noqa: S101
    contact, (sku, name, price) = click.contact, click.link.product
    product = {"product_id": sku, "sku": sku, "name": name, "price": price, "currency": "USD"}
    names = {"firstName": contact.first_name, "lastName": contact.last_name}
    yield "identify", {"traits": {"email": contact.email, **{key: value for key, value in names.items() if value}}}
    yield "page", {"name": name, "properties": _page(click.link)}
    if chance.random() >= _VIEW_SHARE:
        return
    yield "track", {"event": "Product Viewed", "properties": product}
    if chance.random() >= _ADD_SHARE:
        return
    quantity = chance.choice((1, 1, 1, 2, 3))
    bought = {**product, "quantity": quantity}
    yield "track", {"event": "Product Added", "properties": bought}
    if chance.random() >= _ORDER_SHARE:
        return
    total = round(price * quantity, 2)
    order = {
        "order_id": f"order-{click.campaign.id}-{click.number}",
        "revenue": total,
        "total": total,
        "currency": "USD",
    }
    yield "track", {"event": "Order Completed", "properties": {**order, "products": [bought]}}


def _page(link: Link) -> dict[str, str]:
    url = link.url[:_URL_CHARS_MAX]
    return {"url": url, "path": urlsplit(url).path}


def _context(click: Happening) -> Call:
    assert click.link is not None  # noqa: S101 - `visit` has seen to it
    campaign = {"name": click.campaign.name, "source": "activecampaign", "medium": "email"}
    return {
        "campaign": campaign,
        "page": _page(click.link),
        "userAgent": _AGENT,
        "library": {"name": "headwater-simulator", "version": "1"},
    }
