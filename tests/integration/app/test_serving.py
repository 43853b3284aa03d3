"""The server behind the door ends well: streams at once, other answers when they are finished."""

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from headwater.app.serving import Server


async def _endless(_):
    async def frames():
        yield b": connected\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(frames(), media_type="text/event-stream")


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def _asked(listener, path):
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return reader, writer


async def test_an_open_stream_ends_properly_and_at_once_when_the_server_stops(listener, caplog):
    server = Server(Starlette(routes=[Route("/stream", _endless)]))
    serving = asyncio.create_task(server.serve(listener))
    reader, writer = await _asked(listener, "/stream")
    await reader.readuntil(b": connected\n\n")
    server.stop()
    rest = await asyncio.wait_for(reader.read(), timeout=5)  # a fraction of the 10 seconds other answers have
    assert rest.endswith(b"0\r\n\r\n")
    await asyncio.wait_for(serving, timeout=5)
    assert caplog.records == []
    writer.close()


async def test_an_answer_under_way_is_finished_when_the_server_stops(listener):
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_):
        asked.set()
        await may_answer.wait()
        return PlainTextResponse("finished")

    server = Server(Starlette(routes=[Route("/slow", slow)]))
    serving = asyncio.create_task(server.serve(listener))
    reader, writer = await _asked(listener, "/slow")
    await asked.wait()
    server.stop()
    may_answer.set()
    assert (await reader.read()).endswith(b"finished")
    await serving
    writer.close()
