"""Every row I01 to I52. One table, in bad_input.py; here what a table cannot say."""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from bad_input import TABLE, Row
from door import KEY, OTHER_KEY, SUPPRESSED_USER, Door, milliseconds, open_door, read_all, track

from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.ingest.protocol import Bounds


@pytest.fixture(scope="module")
def shared():
    with open_door() as running:
        yield running


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_each_bad_input_is_answered_as_the_table_says(row: Row, shared: Door) -> None:
    before, refused = shared.events(), shared.rejected()
    credentials = base64.b64encode(f"{KEY}:".encode()).decode()
    authorization = [("Authorization", f"Basic {credentials}")] if row.authorized else []

    answered = shared.ask(row.method, row.path, row.body, [*authorization, *row.headers])

    stored = shared.events()[len(before) :]
    assert (answered.status, row.stored if row.stored is None else len(stored)) == (row.status, row.stored)
    if answered.status >= 300:
        assert answered.json["code"] == row.code
        assert answered.json["success"] is False
        assert set(answered.json) == {"success", "code", "message"}
        assert answered.headers["content-type"] == "application/json; charset=utf-8"
    elif answered.status == 200:
        listed = [(entry["index"], entry["code"]) for entry in answered.json.get("rejected", [])]
        assert (answered.json["success"], listed) == (True, row.rejected)
    if row.code and answered.status not in {404, 405}:
        assert shared.rejected().get(row.code, 0) == refused.get(row.code, 0) + 1
    for _, code in row.rejected:
        assert shared.rejected()[code] == refused.get(code, 0) + 1
    for member, value in row.event.items():
        assert stored[0].get(member) == value
    if row.warnings is not None:
        assert stored[0].get("_metadata", {}).get("warnings", []) == row.warnings
    assert KEY not in json.dumps(stored)


def test_every_row_is_here() -> None:
    text = "".join(Path(__file__).with_name(name).read_text() for name in ("bad_input.py", Path(__file__).name))
    assert [row for row in (f"I{n:02}" for n in range(1, 53)) if not re.search(rf'"{row}"|_{row.lower()}_', text)] == []


def test_i01_an_unknown_key_can_be_answered_as_segment_does() -> None:
    with open_door(unknown_write_key="accept") as door:
        answered = door.post("/v1/track", {**track(), "writeKey": "x" * 32})
        assert (answered.status, answered.body, door.events()) == (200, b'{"success": true}', [])
        assert door.rejected() == {"invalid_write_key": 1}


def test_i05_names_the_methods_that_work(door: Door) -> None:
    assert door.ask("GET", "/v1/track").headers["allow"] == "POST, OPTIONS"


def test_i06_an_unknown_path_is_not_repeated_in_the_answer(door: Door) -> None:
    assert b"no-such-thing" not in door.post("/v1/no-such-thing", {}).body


def test_i08_a_page_of_any_origin_may_send_but_never_with_credentials(door: Door) -> None:
    headers = door.ask("OPTIONS", "/v1/t", headers={"Origin": "https://a.example"}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


def test_i12_names_the_byte_that_is_wrong(door: Door) -> None:
    assert "at byte 8" in door.post("/v1/track", b'{"\xc3\xa4":1,}').json["message"]


def test_i20_ids_that_differ_only_in_a_lone_surrogate_stay_different(door: Door) -> None:
    for escape in (r"\ud800", r"\ud801", r"\ud800"):
        body = '{"writeKey":"%s","userId":"u","event":"E","messageId":"m%s"}' % (KEY, escape)  # noqa: UP031 - braces
        assert door.post("/v1/track", body.encode()).status == 200
    ids = [event["messageId"] for event in door.events()]
    assert len(ids) == len(set(ids)) == 2
    assert all(message_id.startswith("m\ufffd") for message_id in ids)


def test_i36_the_server_makes_an_id_where_there_is_none(door: Door) -> None:
    items = [track(writeKey=None), track(messageId=""), track(messageId=None)]
    assert door.post("/v1/batch", {"batch": items, "writeKey": KEY}).json == {"success": True}
    ids = {event["messageId"] for event in door.events()}
    assert len(ids) == 3
    assert all(0 < len(message_id) <= 100 for message_id in ids)


def test_i37_one_id_is_one_event_however_it_comes(door: Door) -> None:
    body = {"batch": [track(messageId="m"), track(messageId="m", event="Other"), track(messageId="n")], "writeKey": KEY}
    assert door.post("/v1/batch", body).json == {"success": True, "duplicates": 1}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.post("/v1/track", {**track(messageId="p"), "writeKey": KEY}), range(32)))
    assert {answered.body for answered in answers} == {b'{"success": true}'}
    assert [event["messageId"] for event in door.events()] == ["m", "n", "p"]
    other = door.post("/v1/track", {**track(messageId="p"), "writeKey": OTHER_KEY})
    assert (other.status, len(door.events())) == (200, 4)
    assert door.collector.counts.duplicates == 32


def test_i41_nothing_is_moved_behind_its_arrival(door: Door) -> None:
    late = track(timestamp="2026-01-01T12:00:00Z", sentAt="2026-01-01T11:00:00Z")
    rubbish = track(timestamp="2126-01-01T12:00:00Z", sentAt="rubbish")
    past = track(timestamp="2025-01-01T12:00:00Z", sentAt="rubbish")
    assert door.post("/v1/batch", {"batch": [late, rubbish, past], "writeKey": KEY}).json == {"success": True}
    events = door.events()
    assert [event["timestamp"] for event in events[:2]] == [event["receivedAt"] for event in events[:2]]
    assert events[2]["timestamp"] == "2025-01-01T12:00:00.000Z"
    assert [event.get("_metadata", {}).get("warnings", []) for event in events] == [
        [], ["sent_at_unreadable"], ["sent_at_unreadable"],
    ]  # fmt: skip


def test_i42_the_server_says_when_it_received(door: Door) -> None:
    door.post("/v1/track", {**track(receivedAt="2001-01-01T00:00:00Z"), "writeKey": KEY})
    (event,) = door.events()
    assert abs(milliseconds(event["receivedAt"]) - door.log.read("events", 0).frames[0].received_at) < timedelta(
        milliseconds=1
    )


HEADER = b"POST /v1/track HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    "block",
    [
        b"".join(b"X-%d: 1\r\n" % n for n in range(200)),
        b"X-Large: " + b"x" * 17_000 + b"\r\n",
        b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)),
        b"X-Endless: " + b"x" * 1_000_000,
    ],
    ids=["200 headers", "17 kB in one", "10,000 headers", "a header without end"],
)
def test_i46_too_many_or_too_large_headers_are_refused(block: bytes, door: Door) -> None:
    answered = door.raw(HEADER, block, b"\r\n")
    assert answered.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answered
    assert door.collector.counts.requests == 0


def test_i46_a_path_without_end_is_refused(door: Door) -> None:
    assert door.raw(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n").startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEADER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEADER + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEADER + b"Content-Length: 5, 5\r\n\r\nabcde",
        HEADER + b"Content-Length: -1\r\n\r\n",
        HEADER + b"Content-Length: 1e3\r\n\r\n",
        HEADER + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        HEADER + b"X-Folded: a\r\n b\r\n\r\n",
        HEADER + b"Host: other\r\n\r\n",
        HEADER + b"Bad Name: a\r\n\r\n",
        HEADER + b"X: a\0b\r\n\r\n",
        b"GET /v1/\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
    ids=repr,
)
def test_i47_a_request_that_can_be_read_in_two_ways_ends_the_connection(request_bytes: bytes, door: Door) -> None:
    answered = door.raw(request_bytes)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answered
    assert answered.count(b"HTTP/1.1 ") == 1
    assert door.events() == []


QUICK = Bounds(idle_s=0.4, header_s=0.4, body_s=1.5, body_grace_s=0.4, sweep_s=0.05)


def test_i48_slow_headers_bodies_and_silence_are_ended() -> None:
    with open_door(bounds=QUICK) as door:
        assert door.raw(HEADER + b"X: ").startswith(b"HTTP/1.1 408 ")
        assert door.raw(HEADER + b"Content-Length: 9000\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
        assert door.raw() == b""
        with door.socket() as raw:
            raw.sendall(b"GET /v1/projects/x/settings HTTP/1.1\r\nHost: h\r\n\r\n")
            assert read_all(raw).startswith(b"HTTP/1.1 404 ")  # and then the idle connection is closed


def test_i48_a_body_that_drips_is_ended_though_it_never_stops() -> None:
    with open_door(bounds=QUICK) as door, door.socket() as raw:
        raw.sendall(HEADER + b"Content-Length: 9000\r\n\r\n")
        raw.settimeout(0.02)
        answered = b""
        while not answered:
            try:
                raw.sendall(b" ")
                answered = raw.recv(65536)
            except TimeoutError:
                continue
        assert answered.startswith(b"HTTP/1.1 408 ")


def test_i49_a_source_that_is_too_fast_is_told_when_to_come_back() -> None:
    with open_door(rate_per_s=1, seconds=lambda: 0.0) as door:
        answers = [door.post("/v1/track", {**track(), "writeKey": KEY}) for _ in range(4)]
        assert [answered.status for answered in answers] == [200, 200, 429, 429]
        assert (answers[-1].headers["retry-after"], answers[-1].headers["x-ratelimit-reset"]) == ("1", "1")
        assert door.post("/v1/track", {**track(), "writeKey": OTHER_KEY}).status == 200
        assert (len(door.events()), door.rejected()) == (3, {"rate_limited": 2})


def test_i49_a_full_queue_is_429(door: Door) -> None:
    door.log.error = LogOverloadedError("full")
    for path, body in (("/v1/track", track()), ("/v1/batch", {"batch": [track()]})):
        answered = door.post(path, {**body, "writeKey": KEY})
        assert (answered.status, answered.json["code"]) == (429, "overloaded")
        assert int(answered.headers["retry-after"]) == int(answered.headers["x-ratelimit-reset"]) > 0


def test_i50_a_full_disk_is_503_and_nothing_is_lost_once_it_is_free_again(door: Door) -> None:
    door.log.error = LogUnavailableError("the disk is full")
    refused = door.post("/v1/track", {**track(messageId="m"), "writeKey": KEY})
    assert (refused.status, refused.json["code"], int(refused.headers["retry-after"]) > 0) == (503, "unavailable", True)
    door.post("/v1/track", {**track(userId=5), "writeKey": KEY})
    assert door.flush() == []
    door.log.error = None
    assert door.post("/v1/track", {**track(messageId="m"), "writeKey": KEY}).status == 200
    assert [event["messageId"] for event in door.events()] == ["m"]
    assert [line["count"] for line in door.flush()] == [1]


def test_i51_a_suppressed_person_is_counted_without_a_payload(door: Door) -> None:
    answered = door.post("/v1/track", {**track(userId=SUPPRESSED_USER), "writeKey": KEY})
    assert (answered.body, door.events(), door.rejected()) == (b'{"success": true}', [], {"suppressed": 1})
    assert SUPPRESSED_USER not in json.dumps(door.flush())


@pytest.mark.parametrize(
    "query",
    [
        "", "?", "?data=", "?data=%%%", "?data=e30", "?data=bm90IGpzb24=", "?writeKey=" + "x" * 32,
        "?a.b.c=1&a=2&a.b=3",
        "?data=" + "A" * 15_000, "?" + "a." * 4_000 + "=1", f"?writeKey={KEY}&userId=u", "?data=W10=", "?%00=%ff",
    ],
)  # fmt: skip
def test_i52_a_pixel_is_an_image_whatever_it_says(query: str, door: Door) -> None:
    answered = door.ask("GET", "/v1/pixel/track" + query)
    assert (answered.status, answered.headers["content-type"], answered.body[:6]) == (200, "image/gif", b"GIF89a")
    assert answered.headers["cache-control"] == "no-store"
    assert door.events() == []
    assert sum(door.rejected().values()) == 1


def test_i52_a_pixel_is_an_image_though_nothing_can_be_stored(door: Door) -> None:
    door.log.error = LogUnavailableError("the disk is full")
    answered = door.ask("GET", f"/v1/pixel/track?writeKey={KEY}&userId=u&event=E")
    assert (answered.status, door.rejected()) == (200, {"pixel_not_stored": 1})


def test_a_connection_survives_every_refusal_of_a_body(door: Door) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    for body in (b"{", b"[]", b'{"writeKey":"x"}', b"\xff"):
        assert door.post("/v1/track", body, connection=connection).status in {400, 401}
    assert door.post("/v1/track", {**track(), "writeKey": KEY}, connection=connection).status == 200
    connection.close()
