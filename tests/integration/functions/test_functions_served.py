"""The whole line in the real program: a request becomes an event by one function and reaches a receiver by another."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from headwater import config
from headwater.control.models import FunctionKind
from headwater.control.service import open_control
from program import Program

RECEIVE = """async function onRequest(request, settings) {
  Segment.track({event: settings.prefix + request.json().what, userId: 'u1', messageId: 'm-' + request.json().id})
}"""
PASS_ON = """async function onTrack(event, settings) {
  await fetch(settings.url, {method: 'POST', body: JSON.stringify([event.event, event.messageId])})
}"""
DEADLINE_S = 30.0


@pytest.fixture
def shop():
    """Return a receiver on loopback, and what it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", got
        server.shutdown()


def test_a_request_becomes_an_event_and_reaches_a_receiver(tmp_path, shop):
    url, got = shop
    with Program(tmp_path / "data", allow_networks="127.0.0.0/8") as program:
        settings = config.read({"data_dir": str(program.data_dir)})
        control = open_control(settings.control_url, config.secret_key(settings))
        workspace = control.workspaces.get().id

        def deployed(kind, code):
            made = control.functions.create(workspace, kind, name=kind.value, code=code, author="test")
            return control.functions.deploy(workspace, made.id).id

        of_source = {"function": deployed(FunctionKind.SOURCE, RECEIVE), "settings": {"prefix": "Order "}}
        source = control.sources.create(workspace, "shop", "function", settings=of_source)
        program.destination(
            {"id": source.id},
            "function",
            {"function": deployed(FunctionKind.DESTINATION, PASS_ON), "settings": {"url": url}},
        )
        status, _ = program.http("POST", f"/webhooks/function/{source.webhook_secret}", {"what": "Paid", "id": 7})
        assert status == 200
        deadline = time.monotonic() + DEADLINE_S
        while not got and time.monotonic() < deadline:
            time.sleep(0.05)
    assert got == [["Order Paid", "m-7"]]
