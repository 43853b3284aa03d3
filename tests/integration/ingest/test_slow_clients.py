"""A hostile client costs itself: good ones go on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket

from door import KEY, Door, open_door, read_all, track

from headwater.ingest.protocol import Bounds

HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: h\r\n"


def test_200_slow_connections_do_not_stop_good_clients(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(door.socket()) for _ in range(200)]
        for number, raw in enumerate(slow):
            raw.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 100000\r\n\r\n{")
        for number in range(100):
            assert door.post("/v1/track", {**track(n=number), "writeKey": KEY}).status == 200
    assert [event["n"] for event in door.events()] == list(range(100))


def test_bombs_and_towers_between_good_requests_change_nothing(door: Door) -> None:
    bomb = gzip.compress(b" " * (30 * 1024 * 1024))
    tower = b'{"writeKey":"%s","userId":"u","event":"E","a":%s}' % (KEY.encode(), b"[" * 120_000 + b"]" * 120_000)
    for number in range(5):
        assert door.post("/v1/batch", bomb, {"Content-Encoding": "gzip"}).status == 413
        assert door.post("/v1/batch", tower).status == 400
        assert door.post("/v1/track", {**track(n=number), "writeKey": KEY}).status == 200
    assert len(door.events()) == 5


def test_a_connection_too_many_is_told_to_come_back() -> None:
    with open_door(bounds=Bounds(connections_max=3)) as door, contextlib.ExitStack() as stack:
        for _ in range(3):
            held = stack.enter_context(door.socket())
            held.sendall(b"GET /v1/projects/x/settings HTTP/1.1\r\nHost: h\r\n\r\n")
            assert held.recv(65536).startswith(b"HTTP/1.1 404 ")
        with door.socket() as raw:
            answered = read_all(raw)
            assert answered.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5" in answered
        held.close()
        door.until(lambda: len(door.connections()) < 3)
        assert door.post("/v1/track", {**track(), "writeKey": KEY}).status == 200


def test_a_peer_that_never_reads_its_answer_is_dropped() -> None:
    async def endless(_scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)

    with open_door(fallback=endless, bounds=Bounds(read_s=0.3, sweep_s=0.05)) as door, door.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.sendall(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        door.until(lambda: len(door.connections()) == 1)
        door.until(lambda: not door.connections())
