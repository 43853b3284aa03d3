"""The Tracking API as Segment's SDKs and browsers use it."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import gzip
import json
import random
import socket
from typing import Any

import pytest
from door import KEY, SECRET, Door, open_door, track

from headwater.clock import now
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog

BASIC = base64.b64encode(f"{KEY}:".encode()).decode()
IDENTIFIED = {"userId": "u", "event": "E", "groupId": "g", "previousId": "p", "name": "n"}
ROUTES = {
    "track": ("track", "t"),
    "identify": ("identify", "i"),
    "page": ("page", "p"),
    "screen": ("screen", "s"),
    "group": ("group", "g"),
    "alias": ("alias", "a"),
}


@pytest.mark.parametrize(("call", "name"), [(call, name) for call, names in ROUTES.items() for name in names])
def test_each_route_stores_its_call(call: str, name: str, door: Door) -> None:
    assert door.post(f"/v1/{name}", {**IDENTIFIED, "writeKey": KEY}).body == b'{"success": true}'
    (event,) = door.events()
    assert (event["type"], event["userId"]) == (call, "u")


@pytest.mark.parametrize("name", ["batch", "b", "import"])
def test_each_batch_route_stores_its_items(name: str, door: Door) -> None:
    body = {
        "batch": [{"type": call, **IDENTIFIED} for call in ROUTES],
        "writeKey": KEY,
        "sentAt": "2026-01-01T00:00:00Z",
    }
    assert door.post(f"/v1/{name}", body).body == b'{"success": true}'
    events = door.events()
    assert [event["type"] for event in events] == list(ROUTES)
    assert {event["sentAt"] for event in events} == {"2026-01-01T00:00:00.000Z"}
    assert len({event["receivedAt"] for event in events}) == 1


@pytest.mark.parametrize(
    ("headers", "body_key"),
    [
        ({}, KEY),
        ({"Authorization": f"Basic {BASIC}"}, None),
        ({"Authorization": "basic " + base64.b64encode(KEY.encode()).decode()}, None),
        ({"Authorization": f"Basic {BASIC}"}, KEY),
        ({"Authorization": "Bearer an-oauth-token"}, KEY),
    ],
    ids=["body", "basic", "basic without colon", "both", "bearer"],
)
def test_a_key_is_taken_from_where_it_stands(headers: dict[str, str], body_key: str | None, door: Door) -> None:
    body = track() if body_key is None else {**track(), "writeKey": body_key}
    assert door.post("/v1/track", body, headers).status == 200
    assert len(door.events()) == 1


@pytest.mark.parametrize("authorization", ["Basic !!!", "Basic", "Digest x", "Bearer token", "Basic Og==", ""])
def test_a_header_that_names_no_key_is_unauthorized(authorization: str, door: Door) -> None:
    answered = door.post("/v1/track", track(), {"Authorization": authorization})
    assert (answered.status, answered.json["code"]) == (401, "invalid_write_key")


def test_a_stranger_is_refused_before_the_body_is_looked_at(door: Door) -> None:
    wrong = base64.b64encode(b"wrong:").decode()
    answered = door.post("/v1/batch", b"not json", {"Authorization": f"Basic {wrong}"})
    assert answered.status == 401


def test_no_answer_names_the_server_or_redirects(door: Door) -> None:
    for path in ("/v1/track", "/v1/track/", "/v1/nothing", "/elsewhere"):
        headers = door.post(path, {**track(), "writeKey": KEY}).headers
        assert not {"server", "date", "location"} & set(headers)


def test_a_bad_item_never_costs_a_good_one(door: Door) -> None:
    chance = random.Random(7)
    kinds: list[Any] = [
        5, None, [], {}, {"type": "track"}, track(userId=5), track(event=""), track(properties="x"), track(messageId=5),
        track(messageId="m" * 101), track(userId="u" * 513), {"type": "group", "userId": "u"}, track(type="delete"),
        track(properties={"p": "x" * 33_000}),
    ]  # fmt: skip
    for bad in (0, 1, 2, 13, 50, 99, 100):
        items = [track(n=n) for n in range(100)]
        places = sorted(chance.sample(range(100), bad))
        for place in places:
            items[place] = chance.choice(kinds[:-1]) if place % 50 else kinds[-1]
        before = len(door.events())
        answered = door.post("/v1/batch", {"batch": items, "writeKey": KEY})
        assert answered.status == 200
        assert [entry["index"] for entry in answered.json.get("rejected", [])] == places
        assert [event["n"] for event in door.events()[before:]] == [n for n in range(100) if n not in places]
    counts = door.collector.counts
    assert counts.received == counts.accepted + counts.rejected == 700
    assert sum(door.rejected().values()) == counts.rejected == 265


def test_every_rejection_is_kept_with_its_count_and_without_the_key(door: Door) -> None:
    for user in (1, 2, 3):
        door.post("/v1/track", {**track(userId=user, messageId="m"), "writeKey": KEY})
    door.post("/v1/track", b'{"userId":"u","writeKey":"%s",' % KEY.encode(), {"Authorization": f"Basic {BASIC}"})
    door.post("/v1/track", {**track(), "writeKey": "unknown", "secret": "s"})
    lines = {line["code"]: line for line in door.flush()}
    assert {code: line["count"] for code, line in lines.items()} == {
        "id_not_string": 3, "invalid_json": 1, "invalid_write_key": 1,
    }  # fmt: skip
    assert json.loads(lines["invalid_json"]["sample"].rstrip(",") + "}") == {"userId": "u", "writeKey": "***"}
    assert '"userId":1' in lines["id_not_string"]["sample"].replace(" ", "")
    assert "sample" not in lines["invalid_write_key"]
    assert KEY not in json.dumps(list(lines.values()))


def test_metrics_of_the_browser_library_are_answered_and_not_kept(door: Door) -> None:
    answered = door.post("/v1/m", b'{"series":[]}', {"Content-Type": "text/plain"})
    assert (answered.status, answered.body, door.events()) == (200, b'{"success": true}', [])
    assert door.collector.counts.beacons == 1


def test_a_pixel_stores_its_call_from_base64_and_from_dotted_names(door: Door) -> None:
    call = {"writeKey": KEY, "userId": "u", "event": "Opened", "properties": {"subject": "ü?>"}}
    data = base64.urlsafe_b64encode(json.dumps(call).encode()).decode().rstrip("=")
    for query in (f"data={data}", f"writeKey={KEY}&userId=u&event=Opened&properties.subject=%C3%BC%3F%3E"):
        answered = door.ask("GET", f"/v1/pixel/track?{query}")
        assert (answered.status, answered.headers["content-type"]) == (200, "image/gif")
    assert [(event["event"], event["properties"]) for event in door.events()] == [("Opened", {"subject": "ü?>"})] * 2
    assert KEY not in json.dumps(door.events())


def test_a_browser_gets_the_settings_of_its_key_and_nobody_else(door: Door) -> None:
    answered = door.ask("GET", f"/v1/projects/{KEY}/settings", headers={"Origin": "https://a.example"})
    assert answered.json == {"integrations": {"Segment.io": {"apiKey": KEY}}}
    assert answered.headers["access-control-allow-origin"] == "*"
    assert door.ask("GET", "/v1/projects/unknown/settings").status == 404
    assert door.ask("OPTIONS", f"/v1/projects/{KEY}/settings").status == 204
    assert door.post(f"/v1/projects/{KEY}/settings", b"").status == 405


def test_a_chunked_gzip_body_in_small_pieces_is_stored(door: Door) -> None:
    body = gzip.compress(json.dumps({"batch": [track(n=n) for n in range(50)], "writeKey": KEY}).encode())
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[i : i + 7] for i in range(0, len(body), 7))
    )
    head = b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
    head += b"Transfer-Encoding: chunked"
    assert b'{"success": true}' in door.raw(head + b"\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert len(door.events()) == 50


def test_pipelined_requests_are_answered_in_order(door: Door) -> None:
    requests = []
    for number in range(5):
        body = json.dumps({**track(n=number, userId="u" if number % 2 == 0 else 5), "writeKey": KEY}).encode()
        last = b"Connection: close\r\n" if number == 4 else b""
        requests.append(
            b"POST /v1/track HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s" % (last, len(body), body)
        )
    answered = door.raw(b"".join(requests))
    assert [part[:3] for part in answered.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200", b"400", b"200"]
    assert [event["n"] for event in door.events()] == [0, 2, 4]


def test_an_upgrade_is_answered_as_plain_http(door: Door) -> None:
    body = json.dumps({**track(), "writeKey": KEY}).encode()
    head = b"POST /v1/track HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n"
    assert b"HTTP/1.1 200 OK" in door.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert len(door.events()) == 1


def test_the_word_upgrade_in_an_address_or_a_body_stays_as_it_is(door: Door) -> None:
    query = f"/v1/pixel/track?writeKey={KEY}&userId=u&event=Upgrade:now"
    assert b"HTTP/1.1 200 OK" in door.raw(b"GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % query.encode())
    body = json.dumps({**track(), "event": "Upgrade:now", "writeKey": KEY}).encode()
    head = b"POST /v1/track HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r" % len(body)
    assert b"HTTP/1.1 200 OK" in door.raw(head, b"\n" + body)
    assert [event["event"] for event in door.events()] == ["Upgrade:now"] * 2


def test_expect_continue_is_granted_only_to_a_body_that_will_be_read(door: Door) -> None:
    with door.socket() as raw:
        raw.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 100 ")
    with door.socket() as raw:
        raw.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


class SlowLog(MemoryLog):
    """A log whose disk waits for a word."""

    def __init__(self) -> None:
        super().__init__()
        self.go: Any = None

    async def append(self, *args: Any, **options: Any) -> Any:
        if args[0] is Topic.EVENTS:
            self.go = self.go or asyncio.Event()
            await self.go.wait()
        return await super().append(*args, **options)


def test_a_request_under_way_is_finished_when_the_server_is_told_to_stop() -> None:
    log = SlowLog()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with open_door(log=log) as door:
            waiting = pool.submit(door.post, "/v1/track", {**track(), "writeKey": KEY})
            door.until(lambda: log.go is not None)
            door.loop.call_soon_threadsafe(door.loop.call_later, 0.3, log.go.set)
        assert waiting.result(20).status == 200
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", door.port)):
        pass


def test_received_at_is_the_servers_and_the_same_in_line_and_frame(door: Door) -> None:
    before = now()
    door.post("/v1/track", {**track(), "writeKey": KEY})
    door.post(f"/webhooks/activecampaign/{SECRET}", b"x")
    for topic in (Topic.EVENTS, Topic.INBOX):
        (frame,) = door.log.read(topic, 0).frames
        assert before <= frame.received_at <= now()
        (event,) = frame.events()
        assert event.body["receivedAt"] == frame.received_at.isoformat(timespec="milliseconds")[:23] + "Z"
