"""Alerts from the figures to a real mail server and a real webhook, and the API about them."""

import asyncio
import contextlib
import ipaddress
import json
import socket
import ssl
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from aiosmtpd.controller import Controller
from plane import SECRET

from headwater.alerts.channels import ChannelKind, Messenger
from headwater.alerts.mail import Mailer, server
from headwater.app.alerting import Alerting
from headwater.clock import now
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.errors import ConfigError, DeliveryError, RetryableError

LOOPBACK = Policy((ipaddress.ip_network("127.0.0.0/8"),))


class Post:
    """Takes mail, or refuses it."""

    def __init__(self):
        self.taken, self.refusal = [], ""

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.refusal:
            return self.refusal
        self.taken.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def post():
    handler = Post()
    handler.port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port, ready_timeout=30)
    controller.start()
    yield handler
    controller.stop()


@contextlib.contextmanager
def hook():
    """A webhook that takes Slack's messages."""
    texts = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    taking = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=taking.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{taking.server_port}", texts
    finally:
        taking.shutdown()
        thread.join()
        taking.server_close()


def alerting(running, post, tmp_path):
    http = GuardedHttp(LOOPBACK)
    mailer = Mailer(server(f"smtp://127.0.0.1:{post.port}", "headwater@example.com"))
    messenger = Messenger(http, mailer, "https://hw.example")
    made = Alerting(running.control, running.volume, running.pipeline, running.alerts.book, messenger, tmp_path)
    return made, http


def look(running, post, tmp_path, times=2):
    async def done():
        made, http = alerting(running, post, tmp_path)
        for _ in range(times):
            await made.look()
        await made.send()
        await http.close()

    asyncio.run(done())


def test_a_failing_warehouse_is_told_by_mail_and_webhook_and_so_is_its_end(running, post, tmp_path):
    control, workspace = running.control, running.workspace
    with hook() as (url, texts):
        control.alert_channels.create(
            workspace.id, ChannelKind.EMAIL, "Ops", recipients=["a@example.com", "b@example.com"]
        )
        made = control.alert_channels.create(workspace.id, ChannelKind.SLACK, "Chat <!here>", url=f"{url}/secret-path")
        assert "secret-path" not in repr(made)
        warehouse = control.warehouses.all(workspace.id)[0]
        status = {"warehouseId": warehouse.id, "unaccounted": 0}
        running.pipeline.standings = [status | {"failures": 5, "lastError": "No <route> to @everyone."}]
        look(running, post, tmp_path)
        running.pipeline.standings = [status | {"failures": 0, "lastError": ""}]
        look(running, post, tmp_path)
    (recipients, first), (_, second) = post.taken
    assert recipients == ["a@example.com", "b@example.com"]
    assert "Subject: Alert: Embedded (Default)" in first
    assert f"https://hw.example/default/warehouse/{warehouse.id}" in first
    assert "Resolved" in second
    assert "No &lt;route&gt; to @\u200beveryone." in texts[0]
    assert "It is over" in texts[1]


def test_a_server_that_asks_to_come_later_gets_the_message_later(running, post, tmp_path):
    running.control.alert_channels.create(running.workspace.id, ChannelKind.EMAIL, "Ops", recipients=["a@example.com"])
    running.pipeline.is_down = True
    post.refusal = "451 later"
    look(running, post, tmp_path)
    (alert,) = running.alerts.book.open_ones(running.workspace.id)
    assert "451" in alert.error
    post.refusal = ""
    (message,) = running.alerts.book.due((now() + timedelta(hours=1)).timestamp())
    assert message.attempts == 1


def test_what_a_mail_server_says_is_told_apart(post):
    mailer = Mailer(server(f"smtp://127.0.0.1:{post.port}", "headwater@example.com"))
    for refusal, kind in (("451 later", RetryableError), ("554 never", DeliveryError)):
        post.refusal = refusal
        with pytest.raises(kind) as told:
            mailer.send(["a@example.com"], "Hello\r\nBcc: x@example.com", "text")
        assert type(told.value) is kind
    post.refusal = ""
    mailer.send(["a@example.com"], "Hello\r\nBcc: x@example.com", "text")
    assert post.taken[0][0] == ["a@example.com"]
    with pytest.raises(RetryableError):
        Mailer(server("smtp://127.0.0.1:1", "headwater@example.com")).send(["a@example.com"], "s", "t")


def test_mail_over_tls_is_verified():
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    handler = Post()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    port = free_port()
    way = {"port": port, "ready_timeout": 30, "tls_context": served, "require_starttls": True}
    controller = Controller(handler, hostname="127.0.0.1", **way)
    controller.start()
    try:
        at = server(f"smtp://127.0.0.1:{port}", "headwater@example.com")
        Mailer(at, trusted).send(["a@example.com"], "s", "t")
        with pytest.raises(RetryableError):
            Mailer(at).send(["a@example.com"], "s", "t")  # this certificate is nobody's
    finally:
        controller.stop()
    assert len(handler.taken) == 1


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:port", "smtp://h/x"]
)
def test_an_address_of_no_mail_server_is_refused_with_an_example(url):
    with pytest.raises(ConfigError, match="SMTP_URL is an address such as"):
        server(url)


def test_the_api_shows_changes_and_tests(running):
    status, answer, _ = running.http("POST", "/alerts/channels", {"kind": "email", "name": "Ops", "recipients": ["x"]})
    assert (status, answer["errors"][0]["field"]) == (422, "recipients")
    status, answer, _ = running.http("POST", "/alerts/channels", {"kind": "slack", "name": "S", "url": "ftp://x/"})
    assert (status, answer["errors"][0]["type"]) == (422, "forbidden_url")
    wanted = {"kind": "email", "name": "Ops", "recipients": ["a@b.example"]}
    _, answer, _ = running.http("POST", "/alerts/channels", wanted)
    channel = answer["data"]["channel"]["id"]
    _, answer, _ = running.http("POST", f"/alerts/channels/{channel}/test", {})
    assert answer["data"] == {"ok": False, "message": answer["data"]["message"]}
    assert "HEADWATER_SMTP_URL" in answer["data"]["message"]
    _, answer, _ = running.http("PATCH", "/alerts/rules/delivery-rate", {"threshold": 95, "channelIds": [channel]})
    assert answer["data"]["rule"]["threshold"] == 95
    status, _, _ = running.http("PATCH", "/alerts/rules/delivery-rate", {"threshold": 101})
    assert status == 422
    status, _, _ = running.http("PATCH", "/alerts/rules/disk-low", {"channelIds": ["nobody"]})
    assert status == 404
    status, _, _ = running.http("DELETE", "/alerts/rules/disk-low")
    assert status == 409
    source = running.control.sources.create(running.workspace.id, "shop", "http-api")
    wanted = {"kind": "source-silent", "subjectId": source.id, "windowMinutes": 60}
    _, answer, _ = running.http("POST", "/alerts/rules", wanted)
    status, _, _ = running.http("POST", "/alerts/rules", wanted)
    assert status == 409
    status, _, _ = running.http("DELETE", f"/alerts/rules/{answer['data']['rule']['id']}")
    assert status == 200
    status, _, _ = running.http("POST", "/alerts/rules", {"kind": "source-silent", "subjectId": "nobody"})
    assert status == 404
    _, answer, _ = running.http("GET", "/alerts/rules")
    assert len(answer["data"]["rules"]) == 7
    _, answer, _ = running.http("GET", "/alerts")
    assert answer["data"]["open"] == 0
    assert SECRET not in str(answer).encode()
    told = [asyncio.run(running.alerts.test(running.workspace.id, channel))["message"] for _ in range(20)]
    assert ("HEADWATER_SMTP_URL" in told[18], "At most 20 tests" in told[19]) == (True, True)  # one came by the API


def test_the_page_says_what_is_wrong_and_takes_a_channel(running, page, post, tmp_path):
    running.pipeline.is_down = True
    look(running, post, tmp_path)
    assert "nothing is delivered or loaded" in page("/alerts")
    csrf = page("/alerts").split('name="csrf" value="')[1].split('"')[0]
    shown = page("/alerts/channels", csrf=csrf, name="Ops", kind="email", to="a@example.com, b@example.com")
    assert "a@example.com, b@example.com" in shown
    shown = page("/alerts/rules/disk-low", csrf=csrf, threshold="4096", enabled="on")
    assert 'value="4096"' in shown
