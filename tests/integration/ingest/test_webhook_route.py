"""The rows W01 to W15 as far as the route answers them: what is stored is raw, what is answered is 200."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from door import FUNCTION_SECRET, KEY, OLD_SECRET, SECRET, Door, WeatherLog, open_door, track

from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Appended, Topic

ADDRESS = f"/webhooks/activecampaign/{SECRET}"
WRONG = "/webhooks/activecampaign/gone"
FORM = "application/x-www-form-urlencoded"
SCRIPT = urllib.parse.urlencode({"campaign[name]": "<script>alert(1)</script>\r\n=cmd|' /C calc'!A0"}).encode()

BODIES = [
    ("W02", "a usual one", b"type=open&contact%5Bemail%5D=a%40b.c", FORM),
    ("W02", "an empty one", b"", FORM),
    ("W02", "1 MB", b"x" * (1024 * 1024), FORM),
    ("W03", "an unknown type", b"type=nothing", FORM),
    ("W04", "broken percent encoding", b"a=%zz%&b=%", FORM),
    ("W04", "every byte", bytes(range(256)), FORM),
    ("W05", "200 levels", b"contact" + b"[a]" * 200 + b"=1&tags[999999999]=2&a=1&a[b]=2&__proto__[x]=1&a[=1", FORM),
    ("W06", "5,000 fields", b"&".join(b"f%d=1" % n for n in range(5_000)), FORM),
    ("W07", "JSON", b'{"type":"open"}', "application/json"),
    ("W07", "multipart", b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ("W07", "no Content-Type", b"type=open", None),
    ("W07", "a wrong Content-Type", b"type=open", "image/gif"),
    ("W08", "cut JSON", b'{"type":"op', "application/json"),
    ("W10", "a time that is none", b"type=open&date_time=never", FORM),
    ("W15", "a script in a campaign's name", SCRIPT, FORM),
]


@pytest.fixture(scope="module")
def shared():
    with open_door() as running:
        yield running


@pytest.mark.parametrize(("row", "what", "body", "kind"), BODIES, ids=[f"{row} {what}" for row, what, *_ in BODIES])
def test_whatever_comes_with_the_secret_is_stored_byte_for_byte(
    row: str, what: str, body: bytes, kind: str | None, shared: Door
) -> None:
    answered = shared.post(ADDRESS, body, [("Content-Type", kind)] if kind else [])
    assert (answered.status, answered.body) == (200, b'{"success": true}'), (row, what)
    stored = shared.events(Topic.INBOX)[-1]
    assert (stored["body"].encode("latin-1"), stored["contentType"]) == (body, kind or "")
    assert set(stored) == {"receivedAt", "contentType", "body"}
    assert shared.log.read(Topic.INBOX, 0).frames[-1].source_id == "src-ac"


def test_every_row_is_here() -> None:
    text = Path(__file__).read_text()
    assert [row for row in (f"W{n:02}" for n in range(1, 16)) if not re.search(rf'"{row}"|_{row.lower()}_', text)] == []


@pytest.mark.parametrize(
    "secret", ["", "wrong", SECRET[:-1], SECRET + "x", SECRET.lower(), SECRET + "/", SECRET + "%00"]
)
def test_w01_another_secret_is_forbidden_and_hears_nothing(secret: str, door: Door) -> None:
    for method in ("POST", "GET", "DELETE"):
        answered = door.ask(method, f"/webhooks/activecampaign/{secret}", b"type=open")
        assert (answered.status, SECRET.encode() in answered.body) == (403, False)
    assert door.events(Topic.INBOX) == []
    assert door.rejected() == {"wrong_webhook_secret": 3}
    assert all("sample" not in line for line in door.flush())


def test_w09_a_webhook_that_comes_twice_is_stored_twice_because_only_its_meaning_is_compared(door: Door) -> None:
    for _ in range(2):
        assert door.post(ADDRESS, b"type=open").status == 200
    assert len(door.events(Topic.INBOX)) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_w11_a_probe_is_told_that_all_is_ready(method: str, door: Door) -> None:
    answered = door.ask(method, ADDRESS)
    assert (answered.status, SECRET.encode() in answered.body) == (200, False)
    assert door.ask("DELETE", ADDRESS).status == 405
    assert door.events(Topic.INBOX) == []


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 1_500_000])
def test_w12_a_body_above_the_limit_is_refused_and_raises_the_alarm(size: int, door: Door) -> None:
    answered = door.post(ADDRESS, b"x" * size)
    assert (answered.status, answered.json["code"]) == (413, "webhook_too_large")
    (line,) = door.flush()
    assert (line["code"], line["count"]) == ("webhook_too_large", 1)
    assert "lost" in line["message"]


def test_w12_a_body_of_unknown_length_above_the_limit_is_refused_too(door: Door) -> None:
    head = f"POST {ADDRESS} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"%x\r\n" % 100_000 + b"x" * 100_000 + b"\r\n"
    assert door.raw(head, chunk * 11, b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert door.rejected() == {"webhook_too_large": 1}


def test_w13_a_webhook_may_use_the_space_that_is_kept_for_it(door: Door) -> None:
    door.log.reserved_only = True
    assert door.post("/v1/track", {**track(), "writeKey": KEY}).status == 503
    assert door.post(ADDRESS, b"type=open").status == 200


def test_w13_what_cannot_be_stored_is_503_and_counted(door: Door) -> None:
    door.log.error = LogUnavailableError("closing")
    answered = door.post(ADDRESS, b"type=open")
    assert (answered.status, int(answered.headers["retry-after"]) > 0) == (503, True)
    door.log.error = None
    assert [line["code"] for line in door.flush()] == ["webhook_not_stored"]


def test_w13_during_a_restart_a_webhook_waits_instead_of_failing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with open_door(sock=listener) as first:
            assert first.post(ADDRESS, b"n=1").status == 200
        with socket.create_connection(listener.getsockname(), timeout=20) as waiting:
            waiting.sendall(f"POST {ADDRESS} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nn=2".encode())
            with open_door(sock=listener) as second:
                assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
                assert [stored["body"] for stored in second.events(Topic.INBOX)] == ["n=2"]


def test_w14_a_flood_is_bounded_and_the_old_secret_works_while_it_is_rotated() -> None:
    with open_door(seconds=lambda: 0.0) as door:
        webhooks = door.collector._webhooks
        webhooks._rates._per_second = 2
        addresses = [ADDRESS, f"/webhooks/activecampaign/{OLD_SECRET}"] * 3
        answers = [door.post(address, b"type=open") for address in addresses]
        assert [answered.status for answered in answers] == [200] * 4 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert door.rejected() == {"rate_limited": 2}


def test_the_query_is_kept(door: Door) -> None:
    door.post(ADDRESS + "?token=1&a=%ff", b"type=open")
    assert door.events(Topic.INBOX)[0]["query"] == "token=1&a=%ff"


class SlowLog(WeatherLog):
    """A log whose disk answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    async def append(self, *arguments: Any, **named: Any) -> Appended:
        await asyncio.to_thread(self.written.wait, 20)
        return await super().append(*arguments, **named)


def test_pitfall_01_a_webhook_is_answered_only_once_it_is_stored_raw() -> None:
    log = SlowLog()
    with open_door(log=log) as door, door.socket() as raw:
        raw.sendall(f"POST {ADDRESS} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\ntype=%zz%&".encode())
        raw.settimeout(0.3)
        with pytest.raises(TimeoutError):  # nobody hears of a success that the disk has not confirmed
            raw.recv(1)
        assert door.events(Topic.INBOX) == []
        log.written.set()
        raw.settimeout(20)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert [stored["body"] for stored in door.events(Topic.INBOX)] == [
            "type=%zz%&"
        ]  # as it came, not as it is read


def test_pitfall_02_410_is_never_an_answer_whatever_goes_wrong(door: Door) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    answers = {(method, door.ask(method, address).status) for method in methods for address in (ADDRESS, WRONG)}
    answers |= {
        ("POST", door.post(ADDRESS, body).status) for body in (b"type=no%20such", b"", b"x" * (1024 * 1024 + 1))
    }
    door.log.error = LogUnavailableError("closing")
    answers.add(("POST", door.post(ADDRESS, b"type=open").status))
    assert {status for _, status in answers} == {200, 403, 405, 413, 503}
    assert ("POST", 403) in answers


def test_a_webhook_whose_sender_goes_away_is_not_stored(door: Door) -> None:
    with door.socket() as raw:
        raw.sendall(f"POST {ADDRESS} HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\ntype=open".encode())

    door.until(lambda: door.collector.counts.disconnected == 1)
    assert door.events(Topic.INBOX) == []
    assert json.dumps(door.rejected()) == "{}"


def test_a_source_that_keeps_headers_gets_all_but_secrets_at_its_own_address(door: Door) -> None:
    body, secrets = b'{"a":1}', [("Authorization", "Bearer x"), ("Cookie", "a=b"), ("Proxy-Authorization", "c")]
    headers = [("Content-Type", "application/json"), ("X-Topic", "Paid"), *secrets]
    assert door.post(f"/webhooks/function/{FUNCTION_SECRET}?a=1", body, headers).status == 200
    stored = door.events(Topic.INBOX)[-1]
    assert (stored["body"], stored["query"], stored["headers"]["x-topic"]) == ('{"a":1}', "a=1", "Paid")
    assert not {"authorization", "cookie", "proxy-authorization"} & set(stored["headers"])
    assert door.post(f"/webhooks/function/{FUNCTION_SECRET}", b"x" * (512 * 1024 + 1), headers).status == 413


def test_an_address_of_another_source_type_is_unknown(door: Door) -> None:
    assert door.post(f"/webhooks/activecampaign/{FUNCTION_SECRET}", b"{}").status == 403
    assert door.post(f"/webhooks/function/{SECRET}", b"{}").status == 403
    assert door.post(f"/webhooks/{SECRET}", b"{}").status == 404
    assert door.events(Topic.INBOX) == []
