"""Webhook to events: every rule of the mapping, and every body that must not become an event."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import __version__
from headwater.limits import MESSAGE_ID_CHARS_MAX
from headwater.sources import http_api
from headwater.sources.activecampaign import CARD, events
from headwater.sources.contract import Card, Mapped, Webhook

ARRIVAL = datetime(2025, 3, 9, 8, 0, 6, 123_000, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded; charset=UTF-8"

CLICK = {
    "type": "click",
    "date_time": "2025-03-09T03:00:05-05:00",
    "initiated_from": "public",
    "initiated_by": "public",
    "list[0][id]": "3",
    "list[0][name]": "News",
    "contact[id]": "17",
    "contact[email]": "ada+x@example.org",
    "campaign[id]": "8",
    "campaign[name]": "Spring",
    "campaign[message][id]": "12",
    "campaign[message][subject]": "Hi",
    "link[id]": "44",
    "link[url]": "https://example.org/?a=1&b=2",
}
OPEN = {key: value for key, value in CLICK.items() if not key.startswith("link")} | {"type": "open"}
UNSUBSCRIBE = {key: value for key, value in OPEN.items() if not key.startswith("list")} | {"type": "unsubscribe"}
BOUNCE = OPEN | {
    "type": "bounce",
    "initiated_from": "system",
    "bounce[type]": "hard",
    "bounce[code]": "5.1.1",
    "bounce[description]": "No such user",
}


def webhook(body: bytes, *, source_id: str = "src1", received_at: datetime = ARRIVAL) -> Webhook:
    return Webhook(0, source_id, received_at, FORM, body)


def mapped(members: dict[str, str], settings: dict[str, Any] | None = None, **where: Any) -> Mapped:
    return events(webhook(urlencode(members).encode(), **where), settings or {})


def event(members: dict[str, str], settings: dict[str, Any] | None = None, **where: Any) -> dict[str, Any]:
    return mapped(members, settings, **where).events[0]


def without(members: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: value for key, value in members.items() if key not in keys}


def canonical_id(*members: object) -> str:
    text = json.dumps(["v1", *members], ensure_ascii=False, separators=(",", ":"))
    return "ac-" + hashlib.sha256(text.encode()).hexdigest()[:32]


EPOCH = int(datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC).timestamp())


def test_the_catalog_shows_segments_own_identity_of_the_source() -> None:
    assert (CARD.id, CARD.slug, CARD.webhooks, CARD.cloud, CARD.regions) == (
        "XE0vf1bTDh",
        "activecampaign",
        True,
        True,
        ("us",),
    )
    assert isinstance(http_api.CARD, Card)
    assert (http_api.CARD.slug, http_api.CARD.name, http_api.CARD.webhooks) == ("http-api", "HTTP API", False)


def test_a_click_becomes_the_whole_event_and_proves_the_delivery() -> None:
    context = {
        "active": False,
        "library": {"name": "headwater", "version": __version__},
        "integration": {"name": "ActiveCampaign", "version": __version__},
        "traits": {"email": "ada+x@example.org"},
        "externalIds": [
            {"id": "17", "type": "activecampaign_contact_id", "collection": "users", "encoding": "none"},
        ],
        "campaign": {"name": "Spring", "medium": "email", "source": "activecampaign"},
    }
    email = {"email_id": "12", "email_subject": "Hi", "campaign_id": "8", "campaign_name": "Spring"}
    times = {
        "timestamp": "2025-03-09T08:00:05.000Z",
        "originalTimestamp": "2025-03-09T08:00:05.000Z",
        "sentAt": "2025-03-09T08:00:06.123Z",
        "receivedAt": "2025-03-09T08:00:06.123Z",
    }
    click = {
        "type": "track",
        "event": "Email Link Clicked",
        "messageId": canonical_id("src1", "click", "8", "12", "17", "44\nhttps://example.org/?a=1&b=2", EPOCH, ""),
        "anonymousId": "ada+x@example.org",
        **times,
        "properties": {
            **email,
            "link_id": "44",
            "link_url": "https://example.org/?a=1&b=2",
            "list_ids": ["3"],
            "list_names": ["News"],
            "contact_id": "17",
            "initiated_from": "public",
            "initiated_by": "public",
        },
        "context": context,
    }
    delivered = {
        "type": "track",
        "event": "Email Delivered",
        "messageId": canonical_id("src1", "delivered", "8", "12", "17", "delivered", 0, ""),
        "anonymousId": "ada+x@example.org",
        **times,
        "properties": {
            **email,
            "list_ids": ["3"],
            "list_names": ["News"],
            "contact_id": "17",
            "derived": True,
            "derived_from": "engagement",
        },
        "context": context,
    }
    assert mapped(CLICK) == Mapped(events=(click, delivered))


def test_an_open_keeps_the_openers_agent_and_the_id_depends_on_it() -> None:
    opened = event(OPEN | {"User-Agent": "Mozilla/5.0 (Macintosh) Chrome/126"})
    assert opened["event"] == "Email Opened"
    assert opened["context"]["userAgent"] == "Mozilla/5.0 (Macintosh) Chrome/126"
    assert opened["messageId"] == canonical_id(
        "src1", "open", "8", "12", "17", "", EPOCH, "Mozilla/5.0 (Macintosh) Chrome/126"
    )
    assert opened["properties"]["is_machine_open"] is False
    assert "link_url" not in opened["properties"]


def test_an_unsubscribe_names_lists_reason_and_the_id_that_both_its_webhooks_share() -> None:
    body = urlencode(
        [
            *UNSUBSCRIBE.items(),
            ("list[][id]", "9"),
            ("list[][id]", "3"),
            ("form[id]", "6"),
            ("active_subscriptions[0]", "4"),
            ("active_subscriptions[1]", "5"),
        ]
    ).encode()
    first = events(webhook(body), {}).events
    second = events(webhook(body + b"&unsubscribe[reason]=Too+many"), {}).events
    assert [found["event"] for found in (*first, *second)] == ["Email Unsubscribed"] * 2
    properties = second[0]["properties"]
    assert {name: properties[name] for name in ("list_id", "list_ids", "form_id", "active_subscriptions")} == {
        "list_id": "9",
        "list_ids": ["9", "3"],
        "form_id": "6",
        "active_subscriptions": ["4", "5"],
    }
    assert properties["unsubscribe_reason"] == "Too many"
    assert "unsubscribe_reason" not in first[0]["properties"]
    assert properties["unsubscribe_id"] == first[0]["properties"]["unsubscribe_id"]
    assert [first[0]["messageId"], second[0]["messageId"]] == [
        canonical_id("src1", "unsubscribe", "8", "12", "17", "3,9\n", EPOCH, ""),
        canonical_id("src1", "unsubscribe", "8", "12", "17", "3,9\nr", EPOCH, ""),
    ]


def test_an_unsubscribe_from_everything_has_no_list_and_is_still_an_event() -> None:
    properties = event(UNSUBSCRIBE | {"list": "0"})["properties"]
    assert {"list_id", "list_name", "list_ids", "list_names"}.isdisjoint(properties)


def test_a_bounce_names_type_code_and_reason_and_proves_no_delivery() -> None:
    result = mapped(BOUNCE)
    assert [found["event"] for found in result.events] == ["Email Bounced"]
    bounced = result.events[0]
    assert bounced["messageId"] == canonical_id("src1", "bounce", "8", "12", "17", "hard\n5.1.1", EPOCH, "")
    assert bounced["properties"] == {
        "email_id": "12",
        "email_subject": "Hi",
        "campaign_id": "8",
        "campaign_name": "Spring",
        "bounce_type": "hard",
        "bounce_code": "5.1.1",
        "bounce_reason": "No such user",
        "list_ids": ["3"],
        "list_names": ["News"],
        "contact_id": "17",
        "initiated_from": "system",
        "initiated_by": "public",
    }


def test_a_bounce_without_code_and_description_is_still_an_event() -> None:
    properties = event(without(BOUNCE, "bounce[code]", "bounce[description]"))["properties"]
    assert properties["bounce_type"] == "hard"
    assert {"bounce_code", "bounce_reason"}.isdisjoint(properties)


# -- what is left out, and what stands in for it --------------------------------------------------------------------


def test_the_campaign_stands_in_for_a_missing_message_id() -> None:
    properties = event(without(OPEN, "campaign[message][id]", "campaign[message][subject]"))["properties"]
    assert (properties["email_id"], properties["campaign_id"]) == ("8", "8")
    assert "email_subject" not in properties


@pytest.mark.parametrize("campaign_id", ["0", ""])
def test_a_mail_without_campaign_is_an_event_but_proves_no_delivery_of_one(campaign_id: str) -> None:
    members = without(OPEN, "campaign[message][id]", "campaign[name]") | {"campaign[id]": campaign_id}
    result = mapped(members)
    assert [found["event"] for found in result.events] == ["Email Opened"]
    assert {"campaign_id", "email_id"}.isdisjoint(result.events[0]["properties"])
    assert "campaign" not in result.events[0]["context"]


def test_the_whole_campaign_block_is_kept_as_text() -> None:
    block = {"campaign[type]": "single", "campaign[status]": "5", "campaign[webcopy_url]": "https://x.org/w"}
    properties = event(OPEN | block)["properties"]
    assert [properties[name] for name in ("campaign_type", "campaign_status", "web_copy_url")] == [
        "single",
        "5",
        "https://x.org/w",
    ]


CONTACT = {
    "contact[first_name]": "Ada",
    "contact[last_name]": "Løvelace",
    "contact[phone]": "+1 555 0100",
    "contact[ip]": "10.0.0.1",
    "contact[tags]": "a, b [c], d/e",
    "contact[orgname]": "Engine",
    "contact[fields][31]": "||x||y||",
    "contact[fields][7]": "",
    "customer_acct_name": "Babbage",
}


def test_the_contacts_names_are_traits_and_its_stored_address_is_never_the_openers() -> None:
    opened = event(OPEN | CONTACT)
    assert opened["context"]["traits"] == {
        "email": "ada+x@example.org",
        "firstName": "Ada",
        "lastName": "Løvelace",
        "phone": "+1 555 0100",
    }
    assert "ip" not in opened["context"]
    assert opened["properties"]["contact_ip"] == "10.0.0.1"


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("none", set()),
        ("basic", {"contact_id", "contact_ip", "contact_tags", "organization", "customer_account"}),
        ("full", {"contact_id", "contact_ip", "contact_tags", "organization", "customer_account", "custom_fields"}),
        ("rubbish", {"contact_id", "contact_ip", "contact_tags", "organization", "customer_account"}),
    ],
)
def test_how_much_of_the_contact_becomes_properties_is_a_setting(include: str, expected: set[str]) -> None:
    properties = event(OPEN | CONTACT, {"include_contact": include})["properties"]
    about_contact = {"contact_id", "contact_ip", "contact_tags", "organization", "customer_account", "custom_fields"}
    assert about_contact & set(properties) == expected
    if "custom_fields" in expected:
        assert properties["custom_fields"] == {"31": "||x||y||"}
        assert properties["contact_tags"] == "a, b [c], d/e"


@pytest.mark.parametrize(("delivered", "count"), [("both", 2), ("engagement", 2), ("report", 1), ("off", 1), (7, 2)])
def test_deriving_deliveries_is_a_setting(delivered: object, count: int) -> None:
    assert len(mapped(OPEN, {"delivered": delivered}).events) == count


# -- identity -------------------------------------------------------------------------------------------------------


def test_a_contact_without_email_is_known_by_account_and_contact_id() -> None:
    for members in (without(OPEN, "contact[email]"), OPEN | {"contact[email]": "  "}):
        assert event(members)["anonymousId"] == "activecampaign:src1:17"
        assert event(members, {"account": "acme"})["anonymousId"] == "activecampaign:acme:17"
        assert event(members)["context"]["traits"] == {}


def test_the_email_is_the_anonymous_id_as_sent_but_trimmed_and_no_user_id_is_invented() -> None:
    opened = event(OPEN | {"contact[email]": " Ada+X@Example.org "})
    assert opened["anonymousId"] == "Ada+X@Example.org"
    assert "userId" not in opened


def test_without_contact_id_the_email_in_lower_case_is_the_person_of_the_id() -> None:
    members = OPEN | {"contact[id]": "0", "contact[email]": "Ada@Example.org"}
    opened = event(members)
    assert opened["messageId"] == canonical_id("src1", "open", "8", "12", "ada@example.org", "", EPOCH, "")
    assert "externalIds" not in opened["context"]
    assert "contact_id" not in opened["properties"]


# -- one and the same occurrence is one and the same id -------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"contact[tags]": "new"},
        {"contact[email]": "new@example.org"},
        {"contact[fields][1]": "x"},
        {"contact[first_name]": "New"},
        {"contact[ip]": "1.2.3.4"},
        {"campaign[name]": "Renamed"},
        {"date_time": "2025-03-09T08:00:05Z"},
        {"date_time": "2025-03-09 03:00:05"},
        {"initiated_by": "system"},
    ],
)
def test_what_changed_between_two_deliveries_does_not_change_the_id(change: dict[str, str]) -> None:
    first, second = mapped(CLICK).events, mapped(CLICK | change).events
    assert [found["messageId"] for found in first] == [found["messageId"] for found in second]


@pytest.mark.parametrize(
    "change",
    [
        {"date_time": "2025-03-09T03:00:06-05:00"},
        {"link[id]": "45"},
        {"link[url]": "https://example.org/?a=1&b=3"},
        {"contact[id]": "18"},
        {"campaign[id]": "9"},
        {"campaign[message][id]": "13"},
        {"type": "open"},
    ],
)
def test_another_occurrence_has_another_id(change: dict[str, str]) -> None:
    assert event(CLICK)["messageId"] != event(CLICK | change)["messageId"]


def test_two_sources_never_share_an_id() -> None:
    assert event(CLICK)["messageId"] != event(CLICK, source_id="src2")["messageId"]


def test_the_arrival_changes_no_id() -> None:
    later = datetime(2025, 3, 9, 20, tzinfo=UTC)
    assert event(CLICK)["messageId"] == event(CLICK, received_at=later)["messageId"]


def test_every_open_and_click_of_one_email_proves_the_same_delivery() -> None:
    others = [OPEN, CLICK, OPEN | {"date_time": "2025-03-10T03:00:05-05:00", "User-Agent": "x"}]
    assert len({mapped(members).events[1]["messageId"] for members in others}) == 1


# -- bad input: the rows of the catalogue of the webhook route, as far as mapping goes -------------------------------


@pytest.mark.parametrize(
    ("row", "members", "result"),
    [
        ("W03 unknown type", OPEN | {"type": "teleported"}, Mapped(ignored="type teleported")),
        ("W03 type of odd spelling", OPEN | {"type": "a@b.org <x>"}, Mapped(ignored="type of unknown spelling")),
        ("W03 no type", without(OPEN, "type"), Mapped(quarantined="the webhook has no type")),
        ("W03 blank type", OPEN | {"type": " "}, Mapped(quarantined="the webhook has no type")),
        (
            "W03 no contact",
            without(OPEN, "contact[id]", "contact[email]"),
            Mapped(quarantined="the webhook has no contact"),
        ),
        (
            "W03 bad e-mail",
            OPEN | {"contact[email]": "nobody"},
            Mapped(quarantined="the contact's e-mail is no address"),
        ),
        (
            "W03 e-mail with a line break",
            OPEN | {"contact[email]": "a@b.org\r\nBcc: c@d.org"},
            Mapped(quarantined="the contact's e-mail is no address"),
        ),
        (
            "W03 endless e-mail",
            OPEN | {"contact[email]": "a" * 600 + "@b.org"},
            Mapped(quarantined="the contact's e-mail is no address"),
        ),
    ],
)
def test_what_cannot_be_mapped_says_why(row: str, members: dict[str, str], result: Mapped) -> None:
    assert mapped(members) == result, row


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ("W04 broken percent encoding", b"%&%zz=%4&=&a=%"),
        ("W05 brackets 200 deep", b"contact" + b"[a]" * 200 + b"=x"),
        ("W05 huge index", b"tags[999999999]=x"),
        ("W05 prototype", b"__proto__[type]=open&constructor[prototype][x]=1"),
        ("W05 unclosed bracket", b"contact[id=1&contact[=2&]contact=3"),
        ("W06 too many members", b"&".join(b"f%d=x" % number for number in range(6000))),
    ],
)
def test_rubbish_beside_the_members_we_need_costs_nothing(row: str, body: bytes) -> None:
    clean = urlencode(OPEN).encode()
    assert [found["messageId"] for found in events(webhook(clean + b"&" + body), {}).events] == [
        found["messageId"] for found in mapped(OPEN).events
    ], row


def test_w04_latin1_and_nul_are_kept_as_text_and_flagged() -> None:
    body = urlencode(OPEN).replace("Spring", "Caf%E9").encode() + b"&contact[first_name]=A%00b"
    opened = events(webhook(body), {}).events[0]
    assert opened["properties"]["campaign_name"] == "Café"
    assert opened["context"]["integration"]["encoding"] == "cp1252"
    assert opened["context"]["traits"]["firstName"] == "A\x00b"


def test_w05_a_scalar_beside_its_own_members_hides_none_of_them() -> None:
    assert event({"contact": "x", "campaign": "y"} | OPEN)["properties"]["campaign_id"] == "8"


def test_w06_a_body_cut_at_the_bound_is_flagged() -> None:
    body = urlencode(OPEN).encode() + b"&x=1" * 6000
    assert events(webhook(body), {}).events[0]["context"]["integration"]["truncated"] is True


@pytest.mark.parametrize("content_type", ["application/json", "", FORM, "text/plain", "image/png"])
def test_w07_json_is_recognised_by_its_bytes_whatever_the_header_says(content_type: str) -> None:
    body = json.dumps(
        {
            "type": "open",
            "date_time": "2025-03-09T03:00:05-05:00",
            "contact": {"id": 17, "email": "ada+x@example.org"},
            "campaign": {"id": 8, "message": {"id": 12}},
        }
    ).encode()
    opened = events(Webhook(0, "src1", ARRIVAL, content_type, body), {}).events[0]
    assert opened["messageId"] == event(OPEN)["messageId"]


def test_w07_multipart_is_recognised_by_its_bytes() -> None:
    parts = "".join(f'--b0\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{OPEN[key]}\r\n' for key in OPEN)
    assert events(webhook(f"{parts}--b0--\r\n".encode()), {}).events == mapped(OPEN).events


def test_w08_truncated_json_is_quarantined() -> None:
    assert events(webhook(b'{"type":"open","contact":{"id"'), {}) == Mapped(quarantined="the body is not valid JSON")


def test_w09_reordered_members_are_the_same_occurrence() -> None:
    assert mapped(dict(reversed(CLICK.items()))).events[0]["messageId"] == event(CLICK)["messageId"]


@pytest.mark.parametrize(
    ("date_time", "received_at", "timestamp", "flag"),
    [
        (None, ARRIVAL, "2025-03-09T08:00:06.123Z", "missing"),
        ("rubbish", ARRIVAL, "2025-03-09T08:00:06.123Z", "unreadable"),
        ("1969-07-20T20:17:40Z", ARRIVAL, "2025-03-09T08:00:06.123Z", "implausible"),
        ("2031-01-01T00:00:00Z", ARRIVAL, "2025-03-09T08:00:06.123Z", "future"),
        ("2025-03-09 03:00:05", ARRIVAL, "2025-03-09T08:00:05.000Z", "assumed_zone"),
        (
            "2024-11-03 01:30:00",
            datetime(2024, 11, 3, 7, 30, 2, tzinfo=UTC),
            "2024-11-03T07:30:00.000Z",
            "ambiguous_hour",
        ),
    ],
)
def test_w10_a_time_that_cannot_be_trusted_is_flagged(
    date_time: str | None, received_at: datetime, timestamp: str, flag: str
) -> None:
    members = without(OPEN, "date_time") | ({"date_time": date_time} if date_time else {})
    opened = event(members, received_at=received_at)
    assert (opened["timestamp"], opened["originalTimestamp"]) == (timestamp, timestamp)
    assert opened["context"]["integration"]["time"] == flag


def test_without_a_time_the_raw_body_is_what_makes_the_id() -> None:
    members = without(OPEN, "date_time")
    digest = hashlib.sha256(urlencode(members).encode()).hexdigest()
    assert event(members)["messageId"] == canonical_id("src1", "open", "8", "12", "17", "", digest, "")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\r\nSet-Cookie: x", "=cmd|' /C calc'!A0", "'; drop--"])
def test_w15_script_line_breaks_and_formulas_are_stored_as_they_are(name: str) -> None:
    assert event(OPEN | {"campaign[name]": name})["properties"]["campaign_name"] == name


# -- what is known and no email event -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (OPEN | {"url": "", "date_time": "2013-01-01 12:00:00"}, "test"),
        (OPEN | {"date_time": "2013-01-01 12:00:00"}, "test"),
        ({"contact[id]": "5", "contact[email]": "a@b.org", "contact[ip4]": "0.0.0.0", "seriesid": "4"}, "automation"),  # noqa: S104 - a value that ActiveCampaign sends
        ({"contact[id]": "5", "contact[fields][shirt-size]": "M", "seriesid": "4"}, "automation"),
        (CLICK | {"link[url]": "open"}, "open_tracker"),
        ({"type": "sent", "campaign[id]": "8", "campaign[recipients]": "4000"}, "type sent"),
        (OPEN | {"type": "subscribe"}, "type subscribe"),
        (OPEN | {"type": "contact_tag_added", "tag": "x"}, "type contact_tag_added"),
        ({"type": "deal_note_add", "note[id]": "1"}, "type deal_note_add"),
    ],
)
def test_bodies_that_are_no_email_event_are_recognised_and_counted_by_name(
    members: dict[str, str], reason: str
) -> None:
    assert mapped(members) == Mapped(ignored=reason)


# -- machines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("Mozilla/5.0", "apple_mail_privacy"),
        ("Mozilla/5.0 (compatible; Barracuda Sentinel)", "security_scanner"),
        ("Microsoft Office Existence Discovery", "security_scanner"),
        ("python-requests/2.32", "automated_client"),
        ("curl/8.5.0", "automated_client"),
        ("Mozilla/5.0 (X11) HeadlessChrome/126", "automated_client"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "automated_client"),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", ""),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15", ""),
        ("Mozilla/5.0 (Linux; Android 10; CUBOT X30) Chrome/126", ""),
    ],
)
@pytest.mark.parametrize("members", [OPEN, CLICK])
def test_machines_are_flagged_and_never_dropped(members: dict[str, str], agent: str, reason: str) -> None:
    properties = event(members | {"User-Agent": agent})["properties"]
    assert (properties["is_machine_open"], properties.get("machine_reason", "")) == (bool(reason), reason)


# -- for any bytes --------------------------------------------------------------------------------------------------

KEYS = [*CLICK, *BOUNCE, "list[][id]", "url", "seriesid", "User-Agent", "contact", "contact[fields][x]", "x[", "%"]
MEMBERS = st.lists(st.tuples(st.sampled_from(KEYS), st.one_of(st.sampled_from([*CLICK.values(), "0"]), st.binary())))


def assert_sound(result: Mapped) -> None:
    assert bool(result.events) + bool(result.ignored) + bool(result.quarantined) == 1
    for found in result.events:
        assert found["type"] == "track"
        assert found["anonymousId"]
        assert len(found["messageId"]) <= MESSAGE_ID_CHARS_MAX
        assert b"\n" not in msgspec.json.encode(found)


@given(st.binary(), st.dictionaries(st.sampled_from(["time_zone", "delivered", "account"]), st.none() | st.integers()))
def test_any_bytes_and_any_settings_give_a_result(body: bytes, settings: dict[str, Any]) -> None:
    assert_sound(events(webhook(body), settings))


@given(MEMBERS)
def test_any_mixture_of_real_members_and_rubbish_gives_a_result_twice_the_same(
    members: list[tuple[str, str | bytes]],
) -> None:
    body = b"type=click&contact[id]=1&" + urlencode(members).encode()
    assert_sound(events(webhook(body), {}))
    assert events(webhook(body), {}) == events(webhook(body), {})


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_json_gives_a_result(value: Any) -> None:
    assert_sound(events(webhook(json.dumps({"type": "open", "contact": value, "campaign": value}).encode()), {}))
