"""The answers of ActiveCampaign's API, with the member names it uses and invented values, become rows."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.activecampaign import values
from headwater.sources.activecampaign.api import reports, resources
from headwater.sources.activecampaign.api.rows import (
    BounceRow,
    Campaign,
    ClickRow,
    ContactRow,
    Link,
    Message,
    OpenRow,
    UnopenRow,
    UnsubscribeRow,
    WebhookRow,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("1"), inner, max_size=4),
    max_leaves=12,
)

CAMPAIGN = r"""{
  "type": "single", "userid": "1", "segmentid": "0", "seriesid": "0", "name": "Spring \u2600 sale",
  "cdate": "2025-03-01T09:00:00-06:00", "mdate": "2025-03-01T09:05:00-06:00", "sdate": "2025-03-09T01:30:00-06:00",
  "ldate": "2025-03-09T04:00:00-05:00", "send_amt": "1200", "total_amt": "1210", "opens": "700",
  "uniqueopens": "410", "linkclicks": "95", "uniquelinkclicks": "81", "subscriberclicks": "70", "hardbounces": "6",
  "softbounces": "4", "unsubscribes": "3", "status": "5", "tracklinks": "all", "trackreads": "1",
  "links": {"campaignMessages": "https:\/\/acme.api-us1.com\/api\/3\/campaigns\/8\/campaignMessages"},
  "id": "8", "queryLog": [["select", 1]]}"""


def test_a_campaign_has_counters_instants_and_what_it_tracks():
    assert resources.campaign(json.loads(CAMPAIGN)) == Campaign(
        id="8",
        name="Spring ☀ sale",
        type="single",
        status="5",
        sent_at=datetime(2025, 3, 9, 7, 30, tzinfo=UTC),
        last_sent_at=datetime(2025, 3, 9, 9, tzinfo=UTC),
        recipients=1200,
        opens=700,
        unique_opens=410,
        clicks=95,
        unique_clicks=81,
        clickers=70,
        hard_bounces=6,
        soft_bounces=4,
        unsubscribes=3,
    )


@pytest.mark.parametrize(
    ("members", "tracked"),
    [
        ({}, (True, True)),
        ({"trackreads": "1", "tracklinks": "all"}, (True, True)),
        ({"trackreads": 1, "tracklinks": "mime"}, (True, True)),
        ({"trackreads": "0", "tracklinks": "none"}, (False, False)),
        ({"trackreads": 0, "tracklinks": "0"}, (False, False)),
    ],
)
def test_a_campaign_says_what_it_measures(members, tracked):
    found = resources.campaign({"id": "1", **members})
    assert (found.tracks_opens, found.tracks_links) == tracked


def test_the_subject_is_filled_in_only_where_every_recipient_got_the_same():
    one = resources.campaign({"id": "8"}, [Message("12", "Hi %FIRSTNAME%")])
    two = resources.campaign({"id": "8"}, [Message("12", "Hi"), Message("13", "Hello")])
    assert (one.message_ids, one.subject) == (("12",), "Hi %FIRSTNAME%")
    assert (two.message_ids, two.subject) == (("12", "13"), "")


def test_a_campaigns_emails_are_named_by_its_row_or_by_the_rows_beside_it():
    assert resources.message_ids({"message_id": 12}) == ("12",)
    assert resources.message_ids({"relmessages": ["12", 13, "12", None, "0"], "message_id": "12"}) == ("12", "13")
    assert resources.message_ids({"message_id": "0"}) == ()
    assert resources.messages_of([{"messageid": "12"}, {"message": 13}, {"messageid": "0"}]) == ("12", "13")


def test_a_contact_is_who_it_is():
    row = {"id": 17, "email": " ada+x@example.org ", "segmentio_id": "u-1", "udate": "2025-03-09T03:00:05-05:00"}
    assert resources.contact({**row, "mpp_tracking": "1"}) == ContactRow(
        "17", "ada+x@example.org", "u-1", datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC), privacy=True
    )
    assert resources.contact({"id": "18", "email": None, "segmentio_id": None, "mpp_tracking": "0"}) == (
        ContactRow("18", "")
    )


def test_pitfall_18_what_is_named_utc_is_not_and_is_not_read():
    # in recorded rows this member is the same US Central wall time as the one with an offset
    row = {"id": "17", "udate": "2025-03-09T03:00:05-05:00", "updated_utc_timestamp": "2025-03-09 03:00:05"}
    assert resources.contact(row).updated_at == datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC)
    assert resources.contact({**row, "udate": None}).updated_at is None
    # and of two members with the same meaning, the one that says its offset is taken
    told = {"0": {"subscriberid": "1", "tstamp": "2025-11-02 01:30:00", "tstamp_iso": "2025-11-02T01:30:00-06:00"}}
    assert reports.opens(told) == [OpenRow("1", "", "2025-11-02T01:30:00-06:00")]
    zone = {"0": {"subscriberid": "1", "a_unsub_date": "2019-03-10", "a_unsub_time": "08:57:46", "udate": ""}}
    assert reports.unsubscribes(zone, "8")[0].at == ""


@pytest.mark.parametrize("nothing", ["0000-00-00", "0000-00-00 00:00:00", None, "", " "])
def test_pitfall_33_four_ways_to_say_no_date(nothing):
    assert values.instant(nothing) is None
    assert values.date({"tstamp": nothing}, "tstamp") == ""
    assert values.date({"tstamp_iso": nothing, "tstamp": "2025-03-09"}, "tstamp_iso", "tstamp") == "2025-03-09"
    assert resources.campaign({"id": "1", "sdate": nothing}).sent_at is None


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2025-03-09T03:00:05-05:00", datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC)),
        ("2025-07-01 12:00:00", datetime(2025, 7, 1, 17, tzinfo=UTC)),  # US Central
        ("2025-01-01", datetime(2025, 1, 1, 6, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("soon", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_pitfall_33_a_date_is_an_instant_or_none(written, at):
    assert values.instant(written) == at


@pytest.mark.parametrize(("given", "text"), [("17", "17"), (17, "17"), (17.0, "17"), (0, ""), ("0", ""), (None, "")])
def test_pitfall_33_ids_come_as_text_or_numbers(given, text):
    assert values.id_of(given) == text


@pytest.mark.parametrize(
    ("given", "number"), [("12", 12), (12, 12), ("", 0), (None, 0), ("1,204", 1204), ("-3", 0), ("x", 0), (False, 0)]
)
def test_counters_come_as_text_or_numbers(given, number):
    assert values.count(given) == number


@pytest.mark.parametrize(
    ("meta", "total"), [({"total": "250"}, 250), ({"total": 250}, 250), ({"total": ""}, None), ({}, None), ([], None)]
)
def test_pitfall_32_the_total_comes_as_text_or_number_or_not_at_all(meta, total):
    assert values.total({"meta": meta}) == total


def test_since_when_is_told_so_that_a_reader_who_ignores_the_offset_is_right_too():
    assert values.central(datetime(2025, 7, 1, 17, 0, 5, 900, tzinfo=UTC)) == "2025-07-01T12:00:05-05:00"
    assert values.central(datetime(2025, 1, 1, 6, tzinfo=UTC)) == "2025-01-01T00:00:00-06:00"


def test_pitfall_34_the_rows_of_a_report_stand_under_decimal_keys_in_numeric_order():
    answer = {
        "10": {"subscriberid": "3", "email": "c@example.org", "tstamp": "2025-03-09 03:00:07", "times": "2"},
        "2": {"subscriberid": 2, "email": "b@example.org", "tstamp": "2025-03-09 03:00:06", "times": 1},
        "0": {"subscriberid": "1", "email": "a@example.org", "tstamp": "2025-03-09 03:00:05"},
        "result_code": 1,
        "result_message": "Success: Something is returned",
        "result_output": "json",
    }
    assert reports.opens(answer) == [
        OpenRow("1", "a@example.org", "2025-03-09 03:00:05", 1),
        OpenRow("2", "b@example.org", "2025-03-09 03:00:06", 1),
        OpenRow("3", "c@example.org", "2025-03-09 03:00:07", 2),
    ]
    assert reports.unopens(answer)[2] == UnopenRow("3", "c@example.org")


LINKS = {
    "0": {"id": "40", "name": "Read Tracker", "link": "open", "a_unique": "2", "a_total": "3", "info": [
        {"subscriberid": "1", "email": "a@example.org", "tstamp": "2025-03-09 03:00:05", "times": "2"}]},
    "1": {"id": "44", "name": "", "link": "https://example.org/?a=1&b=%2F", "tracked": "1", "a_unique": "1", "info": {
        "0": {"subscriberid": "1", "email": "a@example.org", "tstamp_iso": "2025-03-09T03:00:09-05:00", "times": "3"}}},
    "2": {"id": "45", "name": "Shop", "link": "https://example.org/shop", "a_unique": "0", "info": []},
    "result_code": 1,
}  # fmt: skip


def test_pitfall_36_the_pixel_in_the_list_of_links_is_no_click():
    page = reports.clicks(LINKS)
    link = Link("44", "https://example.org/?a=1&b=%2F")
    assert page == [ClickRow(link, "1", "a@example.org", "2025-03-09T03:00:09-05:00", 3)]
    assert len(page.entries) == 3


def test_a_bounce_has_a_date_and_a_reason():
    row = {"id": "5", "email": "a@example.org", "subscriberid": "1", "listid": "3", "campaignid": "8"}
    told = {**row, "messageid": "12", "tstamp": "2025-03-09", "type": "Hard", "code": "5.1.1", "descript": "no mailbox"}
    assert reports.bounces({"0": told}) == [
        BounceRow("1", "a@example.org", "2025-03-09", "hard", "5.1.1", "no mailbox", "12")
    ]


def test_an_unsubscribe_of_a_report_belongs_to_its_campaign():
    row = {"subscriberid": "1", "email": "a@example.org", "tstamp": "2025-03-09 03:00:05", "unsubreason": "too many"}
    assert reports.unsubscribes({"0": {**row, "listid": "3"}}, "8") == [
        UnsubscribeRow("1", "a@example.org", "2025-03-09 03:00:05", "too many", "3", "8")
    ]


def test_who_left_a_list_is_told_beside_the_contacts():
    answer = {
        "contactLists": [
            {"contact": "1", "list": "3", "status": "2", "udate": "2025-03-09T03:00:05-05:00", "unsubreason": "bored",
             "campaign": "8", "message": "12"},
            {"contact": "1", "list": "4", "status": "1", "udate": "2025-03-09T03:00:05-05:00"},
            {"contact": "2", "list": 3, "status": 2, "udate": "2019-01-01T03:00:05-05:00", "unsubreason": None},
            {"contact": "2", "list": 5, "status": 2, "udate": None, "campaign": None, "message": "0"},
            {"contact": "99", "list": "3", "status": "2", "udate": "2025-03-09T03:00:05-05:00"},
        ],
        "contacts": [{"id": "1", "email": "a@example.org"}, {"id": 2, "email": "b@example.org"}],
    }  # fmt: skip
    left = UnsubscribeRow("1", "a@example.org", "2025-03-09T03:00:05-05:00", "bored", "3", "8", "12")
    old = UnsubscribeRow("2", "b@example.org", "2019-01-01T03:00:05-05:00", "", "3")
    timeless = UnsubscribeRow("2", "b@example.org", "", "", "5")
    assert resources.unsubscribes(answer, None) == [left, old, timeless]
    assert resources.unsubscribes(answer, datetime(2025, 3, 1, tzinfo=UTC)) == [left, timeless]


def test_a_webhook_is_what_was_registered():
    row = {"cdate": "x", "listid": "0", "name": "Headwater", "url": "https://h.example/w", "events": ["open", "click"],
           "sources": {"0": "public", "1": "admin"}, "links": [], "id": "1"}  # fmt: skip
    assert resources.webhook(row) == WebhookRow(
        "1", "Headwater", "https://h.example/w", ("open", "click"), ("public", "admin"), "0"
    )


@given(st.dictionaries(st.sampled_from(
    ["0", "1", "id", "contacts", "contactLists", "link", "info", "email", "subscriberid", "contact", "status", "udate",
     "events", "meta", "tstamp", "times", "relmessages", "trackreads"]), JSON, max_size=6))  # fmt: skip
def test_no_answer_raises(answer):
    for read in (reports.opens, reports.unopens, reports.bounces, reports.clicks):
        read(answer)
    for read in (resources.campaign, resources.contact, resources.webhook, resources.message, values.total):
        read(answer)
    reports.unsubscribes(answer, "8")
    resources.unsubscribes(answer, datetime(2025, 3, 1, tzinfo=UTC))
