"""Webhook: signed so that the public Standard Webhooks library accepts it, with one id for all attempts."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from headwater.destinations.contract import Answer, Delivered, Discarded, Retry, Unauthorized
from headwater.destinations.webhook import Destination, Settings, webhook_id
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event
from rooms import Example, room

EXAMPLE = Example({"url": "https://hook.example/a", "secret": "whsec_" + "QUJD" * 10})
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = {"type": "track", "event": "Email Opened", "messageId": "m1", "properties": {"\u00fc": [1, None]}}
EVENT = Event(7, "s1", json.dumps(BODY).encode(), BODY)


class Wire:
    """The outside of the client: keeps what was sent, answers what it is told."""

    def __init__(self, *answers: Answer):
        self.answers, self.sent = list(answers), []

    async def request(self, method, url, *, body=b"", headers=None):
        self.sent.append((method, url, body, headers))
        return self.answers.pop(0) if self.answers else Answer(200, {}, b"")


async def sent(settings: Settings, event: Event = EVENT):
    wire = Wire()
    await Destination(settings, room(wire)).send([event])
    return wire.sent[0]


async def test_the_body_is_the_complete_event_as_it_is_stored():
    method, url, body, headers = await sent(Settings("https://example.com/hook"))
    assert (method, url, body) == ("POST", "https://example.com/hook", EVENT.line)
    assert headers["content-type"] == "application/json"
    assert "webhook-signature" not in headers


async def test_the_public_library_verifies_the_signature():
    _, _, body, headers = await sent(Settings("https://example.com", SECRET))
    assert Webhook(SECRET).verify(body.decode(), headers) == BODY


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_any_change_on_the_way_is_noticed(part):
    _, _, body, headers = await sent(Settings("https://example.com", SECRET))
    if part == "body":
        body = body.replace(b"Opened", b"opened")
    else:
        # not its last character: in base64 some of that one's bits mean nothing
        changed = "1" if headers[part][-5] != "1" else "2"
        headers[part] = headers[part][:-5] + changed + headers[part][-4:]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.decode(), headers)


async def test_the_timestamp_is_that_of_the_attempt():
    wire = Wire()
    at = datetime(2026, 5, 4, 12, 0, 0, 999999, tzinfo=UTC)
    await Destination(Settings("https://example.com"), room(wire, clock=lambda: at)).send([EVENT])
    assert wire.sent[0][3]["webhook-timestamp"] == str(int(at.timestamp()))


def test_the_id_names_source_and_message_and_nothing_else():
    same = Event(99, "s1", b"other bytes", {"messageId": "m1"})
    assert webhook_id(same) == webhook_id(EVENT)
    assert webhook_id(Event(7, "s2", b"", {"messageId": "m1"})) != webhook_id(EVENT)
    assert webhook_id(Event(7, "s1", b"", {"messageId": "m2"})) != webhook_id(EVENT)
    assert webhook_id(EVENT).startswith("msg_")


async def test_segments_signature_is_hex_hmac_sha1_of_the_body():
    _, _, body, headers = await sent(Settings("https://example.com", SECRET, segment_signature=True))
    assert headers["x-signature"] == hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()


@pytest.mark.parametrize("secret", ["plain", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_that_no_receiver_could_use_is_refused(secret):
    with pytest.raises(ConfigError, match="whsec_"):
        Destination(Settings("https://example.com", secret), room(Wire()))


def test_segments_signature_needs_a_secret():
    with pytest.raises(ConfigError):
        Destination(Settings("https://example.com", segment_signature=True), room(Wire()))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Delivered), (202, Delivered), (204, Delivered), (401, Unauthorized), (403, Unauthorized), (408, Retry),
     (425, Retry), (429, Retry), (500, Retry), (502, Retry), (503, Retry), (504, Retry), (301, Discarded),
     (304, Discarded), (307, Discarded), (400, Discarded), (404, Discarded), (410, Discarded), (413, Discarded),
     (422, Discarded), (600, Discarded), (999, Discarded)],
)  # fmt: skip
async def test_each_status_has_its_outcome(status, kind):
    wire = Wire(Answer(status, {}, b"said"))
    (outcome,) = await Destination(Settings("https://example.com"), room(wire)).send([EVENT])
    assert (type(outcome), outcome.status) == (kind, status)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), ("0", 0.0), ("-5", None), ("1000000000", 1e9), ("soon", None), ("", None), ("inf", None),
     ("nan", None), ("Mon, 04 May 2026 12:00:30 GMT", 30.0),
     ("Mon, 04 May 2026 11:00:00 GMT", 0.0), ("Mon, 99 May 2026", None),
     ("Mon, 04 May 99999999 12:00:30 GMT", None)],
)  # fmt: skip
async def test_each_form_of_retry_after_is_understood(header, seconds):
    headers = {"retry-after": header, "date": "Mon, 04 May 2026 12:00:00 GMT"}
    wire = Wire(Answer(429, headers, b""))
    (outcome,) = await Destination(Settings("https://example.com"), room(wire)).send([EVENT])
    assert outcome.after_s == seconds


async def test_a_check_is_signed_and_changes_nothing():
    wire = Wire()
    await Destination(Settings("https://example.com", SECRET), room(wire)).check()
    _, _, body, headers = wire.sent[0]
    assert Webhook(SECRET).verify(body.decode(), headers) == {"type": "check"}


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorizedError), (503, RetryableError), (404, DeliveryError), (301, DeliveryError)]
)
async def test_a_check_says_why_it_failed(status, error):
    with pytest.raises(error, match=f"HTTP {status}"):
        await Destination(Settings("https://example.com"), room(Wire(Answer(status, {}, b"")))).check()


def test_the_secret_is_not_shown():
    assert SECRET not in repr(Settings("https://example.com", SECRET))


def numbered(*numbers: int) -> list[Event]:
    bodies = [{"type": "track", "messageId": f"m{number}"} for number in numbers]
    return [Event(n, "s1", json.dumps(body).encode(), body) for n, body in zip(numbers, bodies, strict=True)]


class Judge(Wire):
    """Refuses every request that holds the event m5."""

    def __init__(self, status: int):
        super().__init__()
        self.status = status

    async def request(self, method, url, *, body=b"", headers=None):
        await super().request(method, url, body=body, headers=headers)
        return Answer(self.status if b'"m5"' in body else 200, {}, b"")


async def test_a_batch_is_an_array_under_one_signature_and_an_id_of_its_content():
    wire = Wire()
    destination = Destination(Settings("https://example.com", SECRET, batch_size=100), room(wire))
    for numbers in ((1, 2, 3), (1, 2, 3), (1, 2, 4), (1,)):
        assert await destination.send(numbered(*numbers)) == [Delivered(200)] * len(numbers)
    verified = [Webhook(SECRET).verify(body.decode(), headers) for _, _, body, headers in wire.sent]
    assert [[each["messageId"] for each in batch] for batch in verified] == [
        ["m1", "m2", "m3"], ["m1", "m2", "m3"], ["m1", "m2", "m4"], ["m1"],
    ]  # fmt: skip
    first, again, other, single = (headers["webhook-id"] for *_, headers in wire.sent)
    assert first == again
    assert len({first, other, single}) == 3
    assert single == webhook_id(numbered(1)[0])


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_bad_event_does_not_cost_its_batch(status):
    wire = Judge(status)
    outcomes = await Destination(Settings("https://example.com", batch_size=16), room(wire)).send(numbered(*range(16)))
    assert [n for n, outcome in enumerate(outcomes) if outcome != Delivered(200)] == [5]
    assert len(wire.sent) == 9


@pytest.mark.parametrize("status", [404, 410, 500])
async def test_an_answer_about_the_address_is_not_asked_for_again(status):
    wire = Wire(Answer(status, {}, b""))
    outcomes = await Destination(Settings("https://example.com", batch_size=16), room(wire)).send(numbered(*range(16)))
    assert ({each.status for each in outcomes}, len(wire.sent)) == ({status}, 1)


async def test_a_batch_that_is_too_large_goes_in_several_requests():
    large = [Event(n, "s1", b'"%s"' % (b"x" * 32_000), {"messageId": f"m{n}"}) for n in range(300)]
    wire = Wire()
    await Destination(Settings("https://example.com", batch_size=300), room(wire)).send(large)
    assert [len(json.loads(body)) for _, _, body, _ in wire.sent] == [131, 131, 38]


async def test_while_secrets_rotate_either_verifies():
    old, new = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    _, _, body, headers = await sent(Settings("https://example.com", new, previous_secret=old))
    assert Webhook(old).verify(body.decode(), headers) == Webhook(new).verify(body.decode(), headers) == BODY
    assert len(headers["webhook-signature"].split(" ")) == 2


async def test_method_and_headers_are_the_users():
    settings = Settings("https://example.com", method="PATCH", headers={"Authorization": "Bearer t", "X-Team": "a b"})
    method, _, _, headers = await sent(settings)
    assert method == "PATCH"
    assert headers["authorization"] == "Bearer t"
    assert headers["x-team"] == "a b"
    assert "Bearer" not in repr(settings)


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "1\r\nX-B: 2"}, {"X-A": "1\n"}, {"X A": "1"}, {"": "1"}, {"X-A:": "1"}, {"X-A": "\u00fc"}, {"X-A": "\x00"},
     {"Host": "a"}, {"content-LENGTH": "1"}, {"Webhook-Id": "1"}, {"X-Signature": "1"},
     {"Transfer-Encoding": "chunked"}, {"X-A": "1", "x-a": "2"}, {"X-A": "1" * 4096},
     {f"X-{n}": "1" for n in range(51)}],
)  # fmt: skip
def test_a_header_that_could_change_the_request_is_refused(headers):
    with pytest.raises(ConfigError):
        Destination(Settings("https://example.com", headers=headers), room(Wire()))


@pytest.mark.parametrize("size", [0, -1, 4001])
def test_a_batch_has_a_size(size):
    with pytest.raises(ConfigError):
        Destination(Settings("https://example.com", batch_size=size), room(Wire()))


def test_a_previous_secret_needs_a_present_one():
    with pytest.raises(ConfigError):
        Destination(Settings("https://example.com", previous_secret=SECRET), room(Wire()))
