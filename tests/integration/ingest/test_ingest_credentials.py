"""Every path of the door against what is no key of a source that may send: refused, and nothing is stored."""

import json
from base64 import b64encode

import pytest
from door import DISABLED_KEY, FOREIGN_KEY, KEY, SECRET, TOKEN, open_door

from headwater.eventlog.contract import Topic
from headwater.ingest.internal import PATHS

WRONG = {
    "none": "",
    "blank": " ",
    "unknown": "u" * 32,
    "cut": KEY[:-1],
    "longer": KEY + "x",
    "in another case": KEY.upper(),
    "of a disabled source": DISABLED_KEY,
    "of a source that is not allowed in this region": FOREIGN_KEY,
    "a token of the API": "hwt_" + "x" * 43,
    "the internal token": TOKEN,
    "the secret of a webhook": SECRET,
}
EVENT = {"type": "track", "event": "Tried", "userId": "u", "messageId": "m"}


@pytest.fixture(scope="module")
def shared_door():
    with open_door() as running:
        yield running


def stored(door):
    return [door.log.end(topic) for topic in (Topic.EVENTS, Topic.INBOX)]


def test_no_path_of_the_tracking_api_takes_what_is_no_write_key(shared_door):
    """The paths come from the door itself; pixels and the beacon answer an image and 200 to everybody, as Segment's."""
    door = shared_door
    paths = sorted(door.collector._routes)
    assert len(paths) > 10
    tracking = [path for path in paths if "/pixel/" not in path and path != "/v1/m"]
    before = stored(door)
    for path in tracking:
        body = {"batch": [EVENT]} if path in {"/v1/batch", "/v1/import", "/v1/b"} else EVENT
        for kind, key in WRONG.items():
            basic = {"authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}
            bearer = {"authorization": f"Bearer {key}"}
            answers = [
                door.post(path, {**body, "writeKey": key}),
                door.post(path, body, basic),
                door.post(path, body, bearer),
                door.post(f"{path}?writeKey={KEY}", body),
            ]
            assert {each.status for each in answers} <= {401, 403}, (path, kind)
    for path in set(paths) - set(tracking):
        for key in WRONG.values():
            data = b64encode(json.dumps({**EVENT, "writeKey": key}).encode()).decode()
            assert door.ask("GET", f"{path}?data={data}").status < 500
    assert stored(door) == before
    assert door.post("/v1/track", {**EVENT, "writeKey": KEY}).status == 200
    assert stored(door) != before


def test_no_webhook_address_and_no_settings_are_found_by_guessing(shared_door):
    before = stored(shared_door)
    for key in (*WRONG.values(), KEY):
        if key.strip() and key != SECRET:
            assert shared_door.post(f"/webhooks/activecampaign/{key}", b"type=open").status == 403
    for kind, key in WRONG.items():
        if key.strip() and "source" not in kind:
            assert shared_door.ask("GET", f"/v1/projects/{key}/settings").status == 404
    assert stored(shared_door) == before


@pytest.mark.parametrize("path", sorted(PATHS))
def test_no_internal_address_of_the_door_answers_to_anything_but_the_internal_token(shared_door, path):
    before = stored(shared_door)
    wrong = [{}, *({"authorization": f"Bearer {key}"} for kind, key in WRONG.items() if kind != "the internal token")]
    for headers in (*wrong, {"authorization": TOKEN}, {"authorization": f"Basic {TOKEN}"}):
        assert shared_door.post(path, b"x", headers).status == 404
    assert shared_door.post(path, b"x", {"authorization": f"Bearer {TOKEN}"}).status == 400
    assert stored(shared_door) == before
