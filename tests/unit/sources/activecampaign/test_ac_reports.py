"""Rows of reports to drafts: what they say, when it was, and what is left out."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.limits import MESSAGE_ID_CHARS_MAX
from headwater.sources.activecampaign.mapping import drafts
from headwater.sources.activecampaign.mapping.draft import Draft, Read
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.sources.contract import Origin, Webhook

READ_AT = datetime(2025, 4, 1, 12, tzinfo=UTC)
CAMPAIGN = CampaignNote("8", "Spring", "single", "5", "12", "Hi", "2025-03-09T07:55:00Z")
ADA = Row("17", "ada@example.org", "2025-03-09 03:00:05")
EPOCH = int(datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC).timestamp())
TOLERANCE_S = 5
HOUR_S = 3_600


def read(record: ReportRecord | bytes, settings: dict[str, Any] | None = None) -> Read:
    body = record if isinstance(record, bytes) else encode(record)
    return drafts.read(Webhook(0, "src1", READ_AT, "", body, Origin.REPORT), settings or {})


def told(
    report: Report, *rows: Row, campaign: CampaignNote = CAMPAIGN, since: str = "", **settings: Any
) -> tuple[Draft, ...]:
    return read(ReportRecord(report, campaign, rows, since=since), settings).drafts


def row(**members: Any) -> Row:
    return msgspec.structs.replace(ADA, **members)


def canonical_id(*members: object) -> str:
    text = json.dumps(["v1", *members], ensure_ascii=False, separators=(",", ":"))
    return "ac-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def test_a_row_of_opens_is_the_first_open_with_its_count_and_proves_the_delivery() -> None:
    opened, delivered = told(Report.OPENS, row(times=3))
    email = {
        "email_id": "12",
        "email_subject": "Hi",
        "campaign_id": "8",
        "campaign_name": "Spring",
        "campaign_type": "single",
        "campaign_status": "5",
        "contact_id": "17",
    }
    assert opened.body["properties"] == email | {"occurrences": 3}
    assert opened.body["event"] == "Email Opened"
    assert (opened.body["timestamp"], opened.body["receivedAt"]) == (
        "2025-03-09T08:00:05.000Z",
        "2025-04-01T12:00:00.000Z",
    )
    assert opened.message_id == opened.body["messageId"]
    assert opened.message_id == canonical_id("src1", "open", "8", "12", "17", "", EPOCH, "")
    assert (opened.at_s, opened.slack_s, opened.times, opened.origin) == (EPOCH, TOLERANCE_S, 3, Origin.REPORT)
    assert delivered.body["properties"] == email | {"derived": True, "derived_from": "engagement"}
    assert delivered.message_id == canonical_id("src1", "delivered", "8", "12", "17", "delivered", 0, "")
    assert (delivered.kind, delivered.times) == (Kind.DELIVERED, 1)


def test_a_report_and_a_webhook_of_the_same_second_have_the_same_id_where_no_agent_was_sent() -> None:
    webhook = Webhook(
        0,
        "src1",
        READ_AT,
        "",
        b"type=click&date_time=2025-03-09T03:00:05-05:00&contact[id]=17&contact[email]=ada@example.org"
        b"&campaign[id]=8&campaign[message][id]=12&link[id]=44&link[url]=https://x.org/?a=1",
    )
    by_webhook = [draft.message_id for draft in drafts.read(webhook, {}).drafts]
    by_report = [draft.message_id for draft in told(Report.CLICKS, row(link_id="44", link_url="https://x.org/?a=1"))]
    assert by_webhook == by_report


def test_a_click_names_its_link() -> None:
    clicked = told(Report.CLICKS, row(link_id="44", link_url="https://x.org"), row(link_url="https://y.org"))
    links = [draft.link for draft in clicked if draft.kind is Kind.CLICK]
    assert links == ["44", "https://y.org"]
    assert clicked[0].body["properties"]["link_url"] == "https://x.org"


def test_a_bounce_of_a_day_is_approximate_and_never_before_the_email() -> None:
    hard = row(at="2025-03-09", kind="Hard", code="5.1.1", reason="No such user", message_id="13")
    bounced = told(Report.BOUNCES, hard)[0]
    assert bounced.body["timestamp"] == "2025-03-09T17:00:00.000Z"  # noon, US Central
    assert bounced.slack_s == TOLERANCE_S + 36 * HOUR_S
    found = bounced.body["properties"]
    assert {name: found[name] for name in ("bounce_type", "bounce_code", "bounce_reason", "approximate_timestamp")} == {
        "bounce_type": "hard",
        "bounce_code": "5.1.1",
        "bounce_reason": "No such user",
        "approximate_timestamp": True,
    }
    assert (found["email_id"], found.get("email_subject")) == ("13", None)
    late = msgspec.structs.replace(CAMPAIGN, sent_at="2025-03-09T20:00:00Z")
    assert told(Report.BOUNCES, hard, campaign=late)[0].body["timestamp"] == "2025-03-09T20:00:00.000Z"
    assert told(Report.BOUNCES, hard, campaign=late)[0].message_id == bounced.message_id


def test_todays_bounce_is_not_in_the_future() -> None:
    assert told(Report.BOUNCES, row(at="2025-04-01"))[0].body["timestamp"] == "2025-04-01T12:00:00.000Z"


def test_recipients_were_delivered_at_about_the_time_of_the_campaign() -> None:
    delivered = told(Report.RECIPIENTS, Row("17", "ada@example.org"))
    assert [draft.body["timestamp"] for draft in delivered] == ["2025-03-09T07:55:00.000Z"]
    found = delivered[0].body["properties"]
    assert (found["derived_from"], found["approximate_timestamp"]) == ("report", True)
    assert delivered[0].message_id == told(Report.OPENS, ADA)[1].message_id


@pytest.mark.parametrize(
    ("delivered", "of_opens", "of_recipients"),
    [("both", "engagement", 1), ("engagement", "engagement", 0), ("report", "report", 1), ("off", None, 0)],
)
def test_what_deliveries_are_derived_from_is_a_setting(
    delivered: str, of_opens: str | None, of_recipients: int
) -> None:
    opened = [draft for draft in told(Report.OPENS, ADA, delivered=delivered) if draft.kind is Kind.DELIVERED]
    assert [draft.body["properties"]["derived_from"] for draft in opened] == ([of_opens] if of_opens else [])
    when = {"engagement": "2025-03-09T08:00:05.000Z", "report": "2025-03-09T07:55:00.000Z"}
    assert [draft.body["timestamp"] for draft in opened] == ([when[of_opens]] if of_opens else [])
    record = ReportRecord(Report.RECIPIENTS, CAMPAIGN, (ADA,))
    result = read(record, {"delivered": delivered})
    assert len(result.drafts) == of_recipients
    assert bool(result.ignored) is not bool(result.drafts)


def test_an_unsubscribe_names_list_and_reason() -> None:
    left = told(Report.UNSUBSCRIBES, row(list_id="3", reason="Too many"))[0]
    found = left.body["properties"]
    assert (found["list_id"], found["list_ids"], found["unsubscribe_reason"]) == ("3", ["3"], "Too many")
    assert (left.list_ids, left.reason, left.unsubscribe_id) == (("3",), "Too many", found["unsubscribe_id"])
    assert [draft.kind for draft in told(Report.UNSUBSCRIBES, row(list_id="0"))] == [Kind.UNSUBSCRIBE]


def test_the_reason_of_a_complaint_is_one_and_an_imported_complaint_is_always_one() -> None:
    left, spam = told(Report.UNSUBSCRIBES, row(reason="Abuse Reported."))
    imported = told(Report.COMPLAINTS, row(reason=""))
    assert [left.kind, spam.kind, *(draft.kind for draft in imported)] == [Kind.UNSUBSCRIBE, Kind.SPAM, Kind.SPAM]
    assert spam.message_id == imported[0].message_id
    assert [draft.body["properties"]["derived_from"] for draft in (spam, *imported)] == [
        "unsubscribe_reason",
        "import",
    ]
    assert spam.body["event"] == "Email Marked as Spam"


def test_segments_own_name_goes_beside_an_unsubscribe_where_it_is_wanted() -> None:
    assert told(Report.UNSUBSCRIBES, ADA)[0].companions == ()
    left = told(Report.UNSUBSCRIBES, ADA, unsubscribed_too=True)[0]
    assert [beside.body["event"] for beside in left.companions] == ["Unsubscribed"]
    assert left.companions[0].message_id != left.message_id
    assert left.companions[0].body["properties"] == left.body["properties"]


def test_rows_from_before_what_is_wanted_are_left_out_but_not_a_day_that_may_reach_into_it() -> None:
    rows = (row(at="2025-03-08 03:00:05"), row(contact_id="18"))
    wanted = told(Report.OPENS, *rows, since="2025-03-09T00:00:00Z", delivered="off")
    assert [draft.contact_id for draft in wanted] == ["18"]
    ends = ("2025-03-09T05:59:59Z", "2025-03-09T06:00:00Z")  # the last second of the 8th, US Central, and the next
    assert [len(told(Report.BOUNCES, row(at="2025-03-08"), since=since)) for since in ends] == [1, 0]
    assert told(Report.RECIPIENTS, ADA, since="2025-03-10T00:00:00Z") == ()
    one_by_one = msgspec.structs.replace(CAMPAIGN, type="automation")
    assert len(told(Report.RECIPIENTS, ADA, since="2025-03-10T00:00:00Z", campaign=one_by_one)) == 1


@pytest.mark.parametrize("at", ["", "0000-00-00", "0000-00-00 00:00:00", "rubbish"])
def test_a_row_without_a_time_is_approximate_and_has_the_same_id_each_time(at: str) -> None:
    opened = told(Report.OPENS, row(at=at))[0]
    assert (opened.at_s, opened.body["properties"]["approximate_timestamp"]) == (None, True)
    assert opened.message_id == canonical_id("src1", "open", "8", "12", "17", "", 0, "")


def test_in_the_hour_that_autumn_has_twice_the_true_time_may_lie_an_hour_off() -> None:
    assert told(Report.OPENS, row(at="2024-11-03 01:30:00"))[0].slack_s == TOLERANCE_S + HOUR_S
    assert told(Report.OPENS, row(at="2024-11-03 01:30:00"), match_tolerance_s=60)[0].slack_s == 60 + HOUR_S


def test_an_email_that_is_none_counts_for_nothing_beside_a_contact_id() -> None:
    opened = told(Report.OPENS, row(email="nobody"), row(contact_id="", email="B@x.org"), delivered="off")
    assert [draft.body["anonymousId"] for draft in opened] == ["activecampaign:src1:17", "B@x.org"]
    assert [draft.person for draft in opened] == ["17", "b@x.org"]
    assert opened[0].body["context"]["traits"] == {}


def test_rows_that_name_nobody_are_left_out_and_a_record_of_nothing_else_is_quarantined() -> None:
    assert len(told(Report.OPENS, Row(), ADA, delivered="off")) == 1
    record = ReportRecord(Report.OPENS, CAMPAIGN, (Row(at="2025-03-09 03:00:05"),))
    assert read(record).quarantined == "no row of the report names a contact"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"report":"unheard"}', b"type=open", b"\xff", b"[1]"])
def test_what_is_no_record_is_quarantined(body: bytes) -> None:
    assert read(body) == Read(quarantined="the stored report is not readable")


def test_who_the_contacts_were_comes_with_the_record() -> None:
    people = {"17": Person("user-9", "account")}
    assert read(ReportRecord(Report.OPENS, CAMPAIGN, (ADA,), people=people)).people == people


ROWS = st.lists(
    st.builds(
        Row,
        contact_id=st.sampled_from(["", "0", "17", "18"]) | st.text(max_size=9),
        email=st.sampled_from(["", "ada@example.org"]) | st.text(max_size=20),
        at=st.sampled_from(["", "2025-03-09", "2025-03-09 03:00:05", "2024-11-03 01:30:00"]) | st.text(max_size=20),
        times=st.integers(-1, 9),
        link_id=st.sampled_from(["", "0", "44"]),
        link_url=st.sampled_from(["", "open"]) | st.text(max_size=20),
        reason=st.sampled_from(["", "Abuse Reported."]) | st.text(max_size=9),
    ),
    max_size=9,
)


@given(st.sampled_from(Report), ROWS, st.text(max_size=25))
def test_any_rows_give_sound_drafts_twice_the_same(report: Report, rows: list[Row], sent_at: str) -> None:
    record = ReportRecord(report, msgspec.structs.replace(CAMPAIGN, sent_at=sent_at), tuple(rows))
    found = read(record, {"unsubscribed_too": True})
    assert bool(found.drafts) + bool(found.ignored) + bool(found.quarantined) == 1
    assert found == read(record, {"unsubscribed_too": True})
    for draft in (each for own in found.drafts for each in (own, *own.companions)):
        assert draft.message_id == draft.body["messageId"] == draft.identity.message_id()
        assert len(draft.message_id) <= MESSAGE_ID_CHARS_MAX
        assert draft.person
        assert draft.body["anonymousId"]
        assert draft.times >= 1
        assert b"\n" not in msgspec.json.encode(draft.body)


@given(st.binary())
def test_any_bytes_of_a_record_give_a_result(body: bytes) -> None:
    assert read(body).quarantined
