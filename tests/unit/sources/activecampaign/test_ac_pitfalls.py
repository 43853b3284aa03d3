"""Every trap that ActiveCampaign's webhooks set for a parser or a mapping, one row each, by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

import pytest

from headwater.sources.activecampaign import events
from headwater.sources.contract import Mapped, Webhook

ARRIVAL = datetime(2025, 3, 9, 8, 0, 6, tzinfo=UTC)
ENVELOPE = {"type": "open", "date_time": "2025-03-09T03:00:05-05:00"}
PERSON = {"contact[id]": "17", "contact[email]": "ada@example.org"}
CAMPAIGN = {"campaign[id]": "8", "campaign[message][id]": "12"}
OPEN = urlencode(ENVELOPE | PERSON | CAMPAIGN)
FULL = {"include_contact": "full"}
WILD_URL = "https://x.org/a?b=1&c=%41&d[]=é&e=%25%zz#f=[g]+" + "h" * 50_000


def mapped(body: str | bytes, settings: dict[str, Any] | None = None) -> Mapped:
    raw = body.encode() if isinstance(body, str) else body
    return events(Webhook(0, "src1", ARRIVAL, "application/x-www-form-urlencoded", raw), settings or {})


def ids(*bodies: str, settings: dict[str, Any] | None = None) -> list[str]:
    return [mapped(body, settings).events[0]["messageId"] for body in bodies]


def as_type(kind: str) -> str:
    return OPEN.replace("type=open", f"type={kind}")


class Trap(NamedTuple):
    """A body and the properties that must come of it."""

    name: str
    body: str | bytes
    properties: dict[str, Any]


TRAPS = [
    Trap("list: a scalar", as_type("unsubscribe") + "&list=3", {"list_id": "3", "list_ids": ["3"]}),
    Trap("list: zero means none", as_type("unsubscribe") + "&list=0", {"list_id": None, "list_ids": None}),
    Trap(
        "list: indexed objects",
        as_type("unsubscribe") + "&list[0][id]=3&list[0][name]=News",
        {"list_id": "3", "list_name": "News", "list_ids": ["3"], "list_names": ["News"]},
    ),
    Trap("list: one object", as_type("unsubscribe") + "&list[id]=3&list[name]=N", {"list_id": "3", "list_name": "N"}),
    Trap(
        "list: repeated keys, where last-wins parsers lose all but one",
        as_type("unsubscribe") + "&list[][id]=3&list[][id]=5&list[][id]=4",
        {"list_ids": ["3", "5", "4"]},
    ),
    Trap(
        "numeric field keys are ids, not positions",
        OPEN + "&contact[fields][31]=a&contact[fields][7]=b",
        {"custom_fields": {"31": "a", "7": "b"}},
    ),
    Trap(
        "field keys may be personalisation tags",
        OPEN + "&contact[fields][shirt-size]=M",
        {"custom_fields": {"shirt-size": "M"}},
    ),
    Trap(
        "multi-choice values stay as sent",
        OPEN + "&contact[fields][7]=||a,b||c||",
        {"custom_fields": {"7": "||a,b||c||"}},
    ),
    Trap(
        "tags are not split: names hold commas",
        OPEN + "&contact[tags]=vip%2C+gold%2C+x",
        {"contact_tags": "vip, gold, x"},
    ),
    Trap(
        "blank is not absent for the parser and left out of the event", OPEN + "&contact[tags]=", {"contact_tags": None}
    ),
    Trap("a link is decoded once", as_type("click") + "&link[url]=" + quote_plus(WILD_URL), {"link_url": WILD_URL}),
    Trap("the contact's address is not the opener's", OPEN + "&contact[ip]=127.0.0.1", {"contact_ip": "127.0.0.1"}),
    Trap("invalid UTF-8 is kept readable", OPEN.encode() + b"&contact[tags]=caf\xe9", {"contact_tags": "café"}),
    Trap(
        "soft bounce",
        as_type("bounce") + "&bounce[type]=Soft&bounce[code]=4.2.2",
        {"bounce_type": "soft", "bounce_code": "4.2.2"},
    ),
    Trap(
        "a bounce without code and description",
        as_type("bounce") + "&bounce[type]=hard&bounce[code]=&bounce[description]=",
        {"bounce_type": "hard", "bounce_code": None, "bounce_reason": None},
    ),
    Trap("Apple's proxy is flagged, not dropped", OPEN + "&User-Agent=Mozilla%2F5.0", {"is_machine_open": True}),
    Trap(
        "a subject may hold personalisation tags",
        OPEN + "&campaign[message][subject]=Hi+%25FIRSTNAME%25",
        {"email_subject": "Hi %FIRSTNAME%"},
    ),
    Trap(
        "a reason that people type is no complaint",
        as_type("unsubscribe") + "&initiated_from=public&unsubscribe[reason]=Abuse+Reported.",
        {"unsubscribe_reason": "Abuse Reported.", "derived": None},
    ),
    Trap(
        "created_utc_timestamp is not UTC and not used", OPEN + "&created_utc_timestamp=2001-01-01", {"derived": None}
    ),
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_the_trap_is_known(trap: Trap) -> None:
    event = mapped(trap.body, FULL).events[0]
    assert {name: event["properties"].get(name) for name in trap.properties} == trap.properties
    assert event["timestamp"] == "2025-03-09T08:00:05.000Z"
    assert "ip" not in event["context"]


@pytest.mark.parametrize(
    ("name", "body", "ignored"),
    [
        ("sent is about a campaign, not a person", "type=sent&campaign[id]=8&campaign[recipients]=4000", "type sent"),
        ("the test button", OPEN + "&url=&date_time=2013-01-01+12%3A00%3A00", "test"),
        (
            "an automation has no type",
            "contact[id]=1&contact[email]=a@b.org&contact[ip4]=0.0.0.0&seriesid=3",
            "automation",
        ),
        ("the open tracker is no click", as_type("click") + "&link[url]=open", "open_tracker"),
    ],
)
def test_what_only_looks_like_an_email_event_is_kept_out(name: str, body: str, ignored: str) -> None:
    assert mapped(body) == Mapped(ignored=ignored), name


def test_duplicates_hours_apart_are_one_by_content() -> None:
    assert len(set(ids(OPEN, OPEN + "&contact[tags]=new", OPEN.replace("-05%3A00", "-05%3A00")))) == 1


def test_two_opens_in_one_second_by_different_programs_are_two() -> None:
    assert len(set(ids(OPEN + "&User-Agent=a", OPEN + "&User-Agent=b"))) == 2


def test_the_second_unsubscribe_webhook_is_an_event_of_its_own_with_the_same_unsubscribe_id() -> None:
    first, second = as_type("unsubscribe"), as_type("unsubscribe") + "&unsubscribe[reason]=x"
    assert len(set(ids(first, second))) == 2
    assert len({mapped(body).events[0]["properties"]["unsubscribe_id"] for body in (first, second)}) == 1


def test_plus_addresses_and_phone_numbers_survive() -> None:
    body = OPEN.replace("ada%40", "ada%2Bnews%40") + "&contact[phone]=%2B1+555+0100"
    event = mapped(body).events[0]
    assert event["anonymousId"] == "ada+news@example.org"
    assert event["context"]["traits"] == {"email": "ada+news@example.org", "phone": "+1 555 0100"}


def test_a_contact_without_or_with_another_email_is_the_same_person_for_the_id() -> None:
    assert len(set(ids(OPEN, OPEN.replace("ada%40", "new%40"), OPEN.replace("ada%40example.org", "")))) == 1


def test_the_id_does_not_depend_on_settings_or_identity() -> None:
    settings = {"account": "acme", "include_contact": "none", "time_zone": "Europe/Berlin", "delivered": "off"}
    assert ids(OPEN) == ids(OPEN, settings=settings)


def test_the_messages_of_a_split_test_are_delivered_apart() -> None:
    delivered = [mapped(OPEN.replace("id%5D=12", f"id%5D={split}")).events[1]["messageId"] for split in (12, 13)]
    assert len(set(delivered)) == 2


def test_bracket_bombs_and_huge_bodies_cost_their_rubbish_only() -> None:
    bomb = OPEN + "&" + "&".join(f"contact{'[a]' * depth}=x" for depth in range(0, 400, 20)) + "&a[]=1" * 10_000
    event = mapped(bomb).events[0]
    assert event["messageId"] == ids(OPEN)[0]
    assert event["context"]["integration"]["truncated"] is True
