"""Sample events for trying a destination out: one of each call, as Segment's libraries and the email source send them.

Source: Segment spec, the six calls, e-commerce `Order Completed`; the address is of a domain that nobody owns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.spec.event import Body

_AT: Final = "2026-01-31T09:05:07.120Z"
_CONTEXT: Final[Mapping[str, Any]] = {
    "ip": "192.0.2.10",
    "locale": "en-GB",
    "timezone": "Europe/London",
    "library": {"name": "analytics.js", "version": "2.1.0"},
    "page": {"url": "https://shop.example.com/tents", "path": "/tents", "title": "Tents", "referrer": ""},
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "traits": {"email": "jane.doe@example.com"},
}


def _sample(call: str, **members: Any) -> Body:
    """Return a complete stored event; `messageId` tells it from anything real."""
    common = {"anonymousId": "anon-507f191e", "userId": "user-1", "context": dict(_CONTEXT), "integrations": {}}
    times = {"timestamp": _AT, "originalTimestamp": _AT, "sentAt": _AT, "receivedAt": _AT}
    return {"type": call, "messageId": f"headwater-sample-{call}", **common, **members, **times}


SAMPLES: Final[Mapping[str, Body]] = {
    "track": _sample(
        "track",
        event="Order Completed",
        properties={
            "order_id": "sample-1001",
            "revenue": 119.9,
            "tax": 20.0,
            "shipping": 5.0,
            "currency": "EUR",
            "products": [
                {"product_id": "p-7", "sku": "TENT-2", "name": "Two-person tent", "price": 119.9, "quantity": 1}
            ],
        },
    ),
    "email": _sample(
        "track",
        event="Email Opened",
        messageId="headwater-sample-email",
        properties={"campaign_id": "215", "campaign_name": "Spring Launch", "email_subject": "Spring is here"},
    ),
    "identify": _sample(
        "identify",
        traits={
            "email": "jane.doe@example.com",
            "firstName": "Jane",
            "lastName": "Doe",
            "phone": "+44 20 7946 0000",
            "plan": "pro",
        },
    ),
    "page": _sample("page", name="Tents", category="Shop", properties={**_CONTEXT["page"], "name": "Tents"}),
    "screen": _sample("screen", name="Basket", properties={"items": 2}),
    "group": _sample("group", groupId="acme", traits={"name": "Acme Ltd", "employees": 42, "plan": "business"}),
    "alias": _sample("alias", previousId="anon-507f191e"),
}
"""By name: the calls, and `email` for an event of the ActiveCampaign source."""
