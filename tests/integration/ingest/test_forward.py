"""What is not the door's goes to the web process and back, as it flows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest
import uvloop
from aiohttp import web
from door import Door, open_door

from headwater.ingest.forward import Forward


class Upstream:
    """A web process that tells what it saw."""

    def __init__(self) -> None:
        self.port = 0
        self.opened = threading.Event()
        self.cancelled = threading.Event()
        self.go_on: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self._thread.join(20)

    async def _run(self) -> None:
        self.loop, self.stop, self.go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        app = web.Application(client_max_size=0)
        app.router.add_get("/stream", self.stream)
        app.router.add_get("/break", self.break_off)
        app.router.add_route("*", "/{path:.*}", self.echo)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self.stop.wait()
        await runner.cleanup()

    async def echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        seen = {
            "method": request.method,
            "target": request.raw_path,
            "size": len(body),
            "headers": dict(request.headers),
        }
        answer = web.json_response(seen, status=int(request.headers.get("X-Status", "200")))
        answer.headers.extend([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Location", "/there")])
        return answer

    async def stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        self.opened.set()
        try:
            await self.go_on.wait()
            await answer.write(b"data: 2\n\n")
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return answer

    async def break_off(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def front(upstream: Upstream) -> Iterator[Door]:
    with open_door(fallback=Forward(f"http://127.0.0.1:{upstream.port}")) as running:
        yield running


def test_a_request_reaches_the_web_process_as_it_was_sent(front: Door) -> None:
    target = "/a%2Fb/%C3%BC?q=%20x&q=+"
    headers = [("X-A", "1"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Forwarded-For", "1.2.3.4"), ("Cookie", "c=1")]
    seen = front.ask("PUT", target, b"x" * 300_000, headers).json
    seen["headers"] = {name.title(): value for name, value in seen["headers"].items()}
    assert (seen["method"], seen["target"], seen["size"]) == ("PUT", target, 300_000)
    assert seen["headers"]["Host"] == seen["headers"]["X-Forwarded-Host"] == f"127.0.0.1:{front.port}"
    assert (seen["headers"]["X-Forwarded-For"], seen["headers"]["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert (seen["headers"]["X-A"], seen["headers"]["Cookie"]) == ("1", "c=1")
    assert not {"X-Hop", "Accept-Encoding", "User-Agent"} & set(seen["headers"])


def test_an_answer_comes_back_with_its_status_cookies_and_redirect(front: Door) -> None:
    answered = front.ask("GET", "/x", headers={"X-Status": "302"})
    assert (answered.status, answered.headers["location"]) == (302, "/there")
    raw = front.raw(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").lower()
    assert raw.count(b"set-cookie: ") == 2
    assert b"server:" not in raw
    assert front.ask("HEAD", "/x").status == 200


def test_server_sent_events_flow_at_once(front: Door, upstream: Upstream) -> None:
    with front.socket() as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        received = b""
        while b"data: 1" not in received:
            received += raw.recv(65536)
        upstream.loop.call_soon_threadsafe(upstream.go_on.set)
        while b"data: 2" not in received:
            received += raw.recv(65536)


def test_a_reader_that_leaves_ends_the_request_to_the_web_process(front: Door, upstream: Upstream) -> None:
    with front.socket() as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        assert upstream.opened.wait(20)
    assert upstream.cancelled.wait(20)


def test_a_web_process_that_breaks_off_is_a_bad_gateway(front: Door) -> None:
    answered = front.ask("GET", "/break")
    assert (answered.status, answered.json["code"]) == (502, "bad_gateway")


def test_a_web_process_that_is_down_is_said_so_to_people_and_programs() -> None:
    with open_door(fallback=Forward("http://127.0.0.1:1")) as door:
        program: Any = door.ask("GET", "/api/sources")
        assert (program.status, program.json["code"]) == (503, "web_unavailable")
        person = door.ask("GET", "/", headers={"Accept": "text/html"})
        assert (person.status, person.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert int(person.headers["retry-after"]) > 0


def test_a_stopping_server_does_not_wait_for_streams(upstream: Upstream) -> None:
    with open_door(fallback=Forward(f"http://127.0.0.1:{upstream.port}")) as door, door.socket() as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        assert upstream.opened.wait(20)
    assert upstream.cancelled.wait(20)
