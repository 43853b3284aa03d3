"""ActiveCampaign: what the contract suite needs to know of it; its rules are in test_ac_destination_*.py."""

import json

from headwater.destinations.contract import Answer
from rooms import Example

EVERYTHING = {
    "user": {"id": "1"},
    "eventTracking": {"enabled": True},
    "eventTrackingEvents": [{"name": "A"}],
    "meta": {"total": "1"},
    "success": 1,
}
EXAMPLE = Example(
    {"api_url": "https://acme.api-us1.com", "api_key": "k", "event_key": "e", "actid": "1"},
    accepted=Answer(200, {}, json.dumps(EVERYTHING).encode()),
)


def test_it_takes_what_somebody_pastes_as_the_url():
    from headwater.destinations.activecampaign import Destination, Settings
    from rooms import room

    for pasted in ("acme.api-us1.com", "https://acme.api-us1.com/api/3/", " https://acme.activehosted.com "):
        Destination(Settings(pasted, "k"), room(None))
