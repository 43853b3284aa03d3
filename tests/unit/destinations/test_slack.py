"""Slack: a message from a template, in which no value can pass for more than text."""

import json

import pytest

from headwater.destinations.contract import Answer, Delivered, Discarded, Retry, Skipped, Unauthorized
from headwater.destinations.slack import TEXT_CHARS_MAX, Destination, Settings, escaped
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event
from rooms import Example, room

URL = "https://hooks.slack.example/services/T1/B2/secret-part"
OK = Answer(200, {}, b"ok")
EXAMPLE = Example({"url": URL}, OK, means={404: Unauthorized})


class Channel:
    """Slack's side of the wire: keeps what was posted, answers always the same."""

    def __init__(self, answer=OK):
        self.answer, self.posted = answer, []

    async def request(self, method, url, *, body=b"", headers=None):
        assert headers == {"content-type": "application/json"}
        self.posted.append((method, url, json.loads(body)))
        return self.answer


def event(**members) -> Event:
    body = {"type": "track", "event": "Signed Up", "messageId": "m1", "userId": "u1", **members}
    return Event(1, "s1", json.dumps(body).encode(), body)


async def said(template: str, **members) -> str:
    channel = Channel()
    await Destination(Settings(URL, template), room(channel)).send([event(**members)])
    return channel.posted[0][2]["text"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{event}} now", "Signed Up now"),
        ("{{ traits.email | userId }}", "u1"),
        ("{{ properties.plan }}{{properties.price}}", "<Pro>12.5"),
        ("{{properties.on}} {{properties.list}}", 'true ["a", "ü"]'),
        ("<{{nothing}}> {not} {{}}", "<> {not} "),
    ],
)
async def test_a_place_holds_the_first_value_that_is_there(template, text):
    properties = {"plan": "<Pro>", "price": 12.5, "on": True, "list": ["a", "ü"]}
    expected = text.replace("<Pro>", "&lt;Pro&gt;")
    assert await said(template, properties=properties) == expected


async def test_a_value_makes_neither_link_nor_mention():
    text = await said("<https://example.com|{{event}}>", event="<!channel> & <http://evil|ours>")
    assert text == "<https://example.com|&lt;!channel&gt; &amp; &lt;http://evil|ours&gt;>"


async def test_a_value_that_looks_like_a_place_is_not_filled():
    assert await said("{{event}}", event="{{ userId }}") == "{{ userId }}"


async def test_a_long_text_is_cut_between_characters_and_escapes():
    text = await said("{{event}}", event="x" * (TEXT_CHARS_MAX - 3) + "<&")
    assert text == "x" * (TEXT_CHARS_MAX - 3) + "…"


async def test_channel_and_name_go_along_only_where_set():
    channel = Channel()
    await Destination(Settings(URL, "a", "#sales", "Headwater"), room(channel)).send([event()])
    await Destination(Settings(URL, "a"), room(channel)).send([event()])
    assert channel.posted == [
        ("POST", URL, {"text": "a", "channel": "#sales", "username": "Headwater"}),
        ("POST", URL, {"text": "a"}),
    ]


async def test_an_event_that_makes_no_text_is_passed_over():
    channel = Channel()
    (outcome,) = await Destination(Settings(URL, " {{properties.note}} "), room(channel)).send([event()])
    assert (type(outcome), channel.posted) == (Skipped, [])


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer(400, {}, b"invalid_payload"), Discarded, "HTTP 400: invalid_payload"),
        (Answer(403, {}, b"action_prohibited"), Unauthorized, "HTTP 403: action_prohibited"),
        (Answer(404, {}, b"no_service"), Unauthorized, "HTTP 404: no_service"),
        (Answer(410, {}, b"channel_is_archived"), Unauthorized, "HTTP 410: channel_is_archived"),
        (Answer(500, {}, b"rollup_error"), Retry, "HTTP 500: rollup_error"),
        (Answer(400, {}, b"<html>no</html>"), Discarded, "HTTP 400"),
    ],
)
async def test_each_answer_of_slack_has_its_outcome(answer, kind, reason):
    (outcome,) = await Destination(Settings(URL, "a"), room(Channel(answer))).send([event()])
    assert (type(outcome), outcome.reason) == (kind, reason)


async def test_the_wait_that_slack_asks_for_is_kept():
    channel = Channel(Answer(429, {"retry-after": "30"}, b""))
    (outcome,) = await Destination(Settings(URL, "a"), room(channel)).send([event()])
    assert outcome.after_s == 30


async def test_a_check_posts_nothing_that_people_see():
    channel = Channel(Answer(400, {}, b"no_text"))
    await Destination(Settings(URL, "a"), room(channel)).check()
    assert channel.posted[0][2]["text"] == ""


@pytest.mark.parametrize(("status", "error"), [(404, UnauthorizedError), (503, RetryableError), (302, DeliveryError)])
async def test_a_check_says_what_is_wrong_and_not_where(status, error):
    with pytest.raises(error) as raised:
        await Destination(Settings(URL, "a"), room(Channel(Answer(status, {}, b"")))).check()
    assert "secret-part" not in str(raised.value)


def test_an_empty_template_is_refused_and_the_address_not_shown():
    with pytest.raises(ConfigError):
        Destination(Settings(URL, " "), room(Channel()))
    assert "secret-part" not in repr(Settings(URL))


async def test_what_is_taken_is_delivered():
    assert await Destination(Settings(URL), room(Channel())).send([event()]) == [Delivered(200)]


@pytest.mark.parametrize("word", ["channel", "here", "all", "everyone", "HERE"])
def test_no_value_calls_everybody_where_plain_words_do(word):
    assert f"@{word}" not in escaped(f"hello @{word}!")
    assert escaped(f"ann@{word}body.example") == f"ann@{word}body.example"
