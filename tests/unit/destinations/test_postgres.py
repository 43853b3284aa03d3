"""PostgreSQL table: what a row holds, and settings that could mean something else are refused."""

import json

import psycopg
import pytest

from headwater.destinations.contract import Discarded, Retry, Unauthorized
from headwater.destinations.postgres import Destination, Settings, meaning, row
from headwater.errors import ConfigError, DeliveryError
from headwater.spec.event import Event
from rooms import Example, room

EXAMPLE = Example({"host": "db.example.com", "database": "events", "user": "headwater"}, accepted=None)


def event(**members) -> Event:
    body = {"type": "track", "event": "A", "messageId": "m1", **members}
    return Event(3, "s1", json.dumps(body).encode(), body)


def test_a_row_holds_the_event_and_what_is_asked_for_most():
    times = {"timestamp": "2026-05-04T12:00:00.000Z", "receivedAt": "2026-05-04T12:00:01.5Z"}
    found = row(event(userId="u1", **times))
    body = json.loads(found.pop("body"))
    assert found == {
        "source_id": "s1", "message_id": "m1", "type": "track", "event": "A", "user_id": "u1", "anonymous_id": None,
        "received_at": "2026-05-04T12:00:01.500000+00:00", "timestamp": "2026-05-04T12:00:00+00:00",
    }  # fmt: skip
    assert body == {"type": "track", "event": "A", "messageId": "m1", "userId": "u1", **times}


def test_nul_becomes_visible_everywhere_and_nothing_else_changes():
    found = row(event(event="a\0b", properties={"x\0": ["\0", 1, None, True], "y": "\\u0000"}))
    assert found["event"] == "a\ufffdb"
    assert json.loads(found["body"])["properties"] == {"x\ufffd": ["\ufffd", 1, None, True], "y": "\\u0000"}


@pytest.mark.parametrize(("given", "text"), [(7, "7"), ({"a": 1}, None), (True, None), (None, None)])
def test_an_odd_user_id_is_text_or_nothing(given, text):
    assert row(event(userId=given))["user_id"] == text


def test_a_time_that_is_none_is_left_empty():
    assert row(event(timestamp="yesterday"))["timestamp"] is None


@pytest.mark.parametrize(
    "wrong",
    [{"host": ""}, {"database": ""}, {"user": "\0"}, {"table": ""}, {"table": "t" * 64}, {"port": 0}, {"port": 65_536}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError):
        Destination(Settings(**{**EXAMPLE.settings, **wrong}), room(None))


async def test_a_host_that_may_not_be_reached_is_not_dialled():
    with pytest.raises(DeliveryError):
        await Destination(Settings(**EXAMPLE.settings), room(None)).check()


@pytest.mark.parametrize(
    ("code", "kind"),
    [("22003", Discarded), ("23514", Discarded), ("54000", Discarded), ("28P01", Unauthorized), ("42501", Unauthorized),
     ("42P01", Retry), ("40001", Retry), ("53100", Retry), ("57014", Retry)],
)  # fmt: skip
def test_only_what_an_event_holds_makes_it_a_dead_letter(code, kind):
    error = psycopg.errors.lookup(code)("details of a row")
    assert isinstance(meaning(error), kind)
    assert "details" not in meaning(error).reason


def test_the_password_is_not_shown():
    assert "canary" not in repr(Settings("h", "d", "u", "canary"))
