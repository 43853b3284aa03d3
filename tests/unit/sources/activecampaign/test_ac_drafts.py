"""Drafts of webhooks, events of other types, and what finishes an event: no id ever changes, no argument either."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headwater.sources.activecampaign import events
from headwater.sources.activecampaign.mapping import drafts
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import CampaignNote, Person
from headwater.sources.contract import Mapped, Origin, Webhook
from headwater.spec.event import Body

ARRIVAL = datetime(2025, 3, 9, 8, 0, 6, tzinfo=UTC)
EPOCH = int(datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC).timestamp())
HOUR_S = 3_600
CLICK = {
    "type": "click",
    "date_time": "2025-03-09T03:00:05-05:00",
    "initiated_from": "public",
    "list[0][id]": "3",
    "contact[id]": "17",
    "contact[email]": "Ada@example.org",
    "campaign[id]": "8",
    "campaign[message][id]": "12",
    "link[id]": "44",
    "link[url]": "https://x.org",
}
LEFT = CLICK | {"type": "unsubscribe"}
TAGGED = {
    "type": "contact_tag_added",
    "date_time": "2025-03-09T03:00:05-05:00",
    "contact[id]": "17",
    "contact[email]": "ada@example.org",
    "tag": "vip, gold",
}


def read(members: dict[str, str], **settings: Any) -> tuple[Draft, ...]:
    return drafts.read(Webhook(0, "src1", ARRIVAL, "", urlencode(members).encode()), settings).drafts


def body_of(members: dict[str, str], **settings: Any) -> Body:
    return read(members, **settings)[0].body


def test_a_draft_tells_all_that_the_memory_compares() -> None:
    clicked, delivered = read(CLICK)
    assert dataclasses.replace(clicked, body={}, identity=delivered.identity, body_hash="") == Draft(
        kind=Kind.CLICK,
        campaign_id="8",
        email_message_id="12",
        contact_id="17",
        email="Ada@example.org",
        person="17",
        link="44",
        at_s=EPOCH,
        slack_s=5,
        origin=Origin.WEBHOOK,
        times=1,
        message_id=clicked.body["messageId"],
        identity=delivered.identity,
        body={},
        list_ids=("3",),
    )
    assert (delivered.kind, delivered.link, delivered.message_id) == (Kind.DELIVERED, "", delivered.body["messageId"])
    assert clicked.body_hash == delivered.body_hash != read(CLICK | {"x": "1"})[0].body_hash


def test_a_click_without_link_id_is_known_by_its_address_and_a_contact_without_id_by_the_email() -> None:
    clicked = read(CLICK | {"link[id]": "0", "contact[id]": ""})[0]
    assert (clicked.link, clicked.person) == ("https://x.org", "ada@example.org")


@pytest.mark.parametrize(
    ("date_time", "at_s", "slack_s"),
    [
        ("2025-03-09T03:00:05-05:00", EPOCH, 5),
        ("2024-11-03 01:30:00", int(datetime(2024, 11, 3, 6, 30, tzinfo=UTC).timestamp()), 5 + HOUR_S),
        ("", None, 5),
    ],
)
def test_how_far_another_telling_may_lie_off(date_time: str, at_s: int | None, slack_s: int) -> None:
    draft = read(CLICK | {"date_time": date_time})[0]
    assert (draft.at_s, draft.slack_s) == (at_s, slack_s)


def test_both_webhooks_of_an_unsubscribe_have_one_unsubscribe_id_and_the_first_can_be_completed() -> None:
    first = read(LEFT)[0]
    second = read(LEFT | {"unsubscribe[reason]": "Too many", "date_time": "2025-03-09T03:00:45-05:00"})[0]
    assert (first.reason, second.reason) == ("", "Too many")
    assert first.unsubscribe_id == second.unsubscribe_id != ""
    whole = drafts.completed(first.body, second.body)
    assert whole == first.body | {"properties": first.body["properties"] | {"unsubscribe_reason": "Too many"}}


def test_what_an_unsubscribe_said_first_stays() -> None:
    first = body_of(LEFT | {"campaign[name]": "Spring"})
    second = body_of(LEFT | {"campaign[name]": "Renamed", "unsubscribe[reason]": "Too many"})
    assert drafts.completed(first, second)["properties"]["campaign_name"] == "Spring"


def test_the_agent_of_a_click_is_kept_and_changes_no_id() -> None:
    plain, by_program = read(CLICK)[0], read(CLICK | {"User-Agent": "Chrome/126"})[0]
    assert by_program.body["context"]["userAgent"] == "Chrome/126"
    assert by_program.message_id == plain.message_id


def test_segments_own_name_goes_beside_an_unsubscribe_where_it_is_wanted() -> None:
    left = read(LEFT, unsubscribed_too=True)[0]
    assert [beside.body["event"] for beside in left.companions] == ["Unsubscribed"]
    assert left.companions[0].body["properties"] == left.body["properties"]
    assert left.companions[0].message_id not in {left.message_id, ""}
    assert [found["event"] for found in mapped(LEFT, unsubscribed_too=True).events] == [
        "Email Unsubscribed",
        "Unsubscribed",
    ]
    assert read(CLICK, unsubscribed_too=True)[0].companions == ()


def mapped(members: dict[str, str], **settings: Any) -> Mapped:
    return events(Webhook(0, "src1", ARRIVAL, "", urlencode(members).encode()), settings)


def test_a_complaint_is_once_for_an_email_and_says_what_it_is_derived_from() -> None:
    spam = read(LEFT | {"unsubscribe[reason]": "Abuse Reported.", "initiated_from": "system"})[1]
    later = read(
        LEFT
        | {
            "unsubscribe[reason]": "Abuse Reported.",
            "initiated_from": "api",
            "date_time": "2025-03-10T03:00:05-05:00",
        }
    )[1]
    assert (spam.kind, spam.body["event"], spam.message_id) == (Kind.SPAM, "Email Marked as Spam", later.message_id)
    found = spam.body["properties"]
    assert (found["derived"], found["derived_from"]) == (True, "unsubscribe_reason")


@pytest.mark.parametrize(
    ("field", "members", "user_id"),
    [
        ("12", {"contact[fields][12]": " u-9 "}, "u-9"),
        ("%User_Id%", {"contact[fields][user_id]": "u-9"}, "u-9"),
        ("12", {"contact[fields][12]": "||a||b||"}, ""),
        ("12", {"contact[fields][12]": "x" * 600}, ""),
        ("12", {"contact[fields][13]": "u-9"}, ""),
        ("", {"contact[fields][]": "u-9"}, ""),
    ],
)
def test_the_user_id_in_a_custom_field_is_read(field: str, members: dict[str, str], user_id: str) -> None:
    assert read(CLICK | members, user_id_field=field)[0].field_user_id == user_id


# -- other types ----------------------------------------------------------------------------------------------------


def test_other_types_are_events_only_where_they_are_wanted() -> None:
    assert mapped(TAGGED) == Mapped(ignored="type contact_tag_added")
    assert mapped(TAGGED | {"type": "teleported"}, extra_events=True) == Mapped(ignored="type teleported")
    (tagged,) = read(TAGGED, extra_events=True)
    assert tagged.kind is Kind.OTHER
    assert tagged.body["event"] == "ActiveCampaign Contact Tag Added"
    assert tagged.body["properties"] == {"tag": "vip, gold", "contact_id": "17"}
    assert tagged.body["anonymousId"] == "ada@example.org"


def test_a_deal_is_flat_and_what_is_counted_a_list() -> None:
    deal = {
        "type": "deal_update",
        "date_time": "2025-03-09T03:00:05-05:00",
        "deal[id]": "5",
        "deal[value_raw]": "1200.5",
        "deal[fields][0][id]": "1",
        "deal[fields][0][value]": "x",
        "updated_fields[0]": "value",
        "orgname": "Engine",
        "deal[empty]": "",
    }
    assert body_of(deal, extra_events=True)["properties"] == {
        "deal_id": "5",
        "deal_value_raw": "1200.5",
        "deal_fields": [{"id": "1", "value": "x"}],
        "updated_fields": ["value"],
        "organization": "Engine",
    }


@pytest.mark.parametrize("member", ["contact[tags]", "contact[fields][4]", "contact[ip]", "contact[phone]"])
def test_volatile_data_changes_no_id_of_another_type(member: str) -> None:
    first, second = read(TAGGED, extra_events=True), read(TAGGED | {member: "new"}, extra_events=True)
    assert first[0].message_id == second[0].message_id
    in_utc = read(TAGGED | {"date_time": "2025-03-09T08:00:05Z"}, extra_events=True)
    assert first[0].message_id == in_utc[0].message_id


@pytest.mark.parametrize(
    "change", [{"tag": "other"}, {"contact[id]": "18"}, {"type": "contact_tag_removed"}, {"date_time": "2025-03-09"}]
)
def test_another_happening_of_another_type_has_another_id(change: dict[str, str]) -> None:
    assert read(TAGGED, extra_events=True)[0].message_id != read(TAGGED | change, extra_events=True)[0].message_id


# -- finishing ------------------------------------------------------------------------------------------------------


def test_a_person_with_a_user_id_is_the_user_and_no_other_is_invented() -> None:
    body = body_of(CLICK)
    known = drafts.identified(body, Person("user-9", "account"))
    assert (known["userId"], "anonymousId" in known) == ("user-9", False)
    assert known["context"]["integration"]["identity"] == "account"
    assert drafts.identified(body, Person()) == body
    assert drafts.identified(body, Person("x" * 600, "account")) == body
    unanswered = drafts.identified(body, None)
    assert (unanswered["anonymousId"], unanswered["context"]["integration"]["identity"]) == (
        "Ada@example.org",
        "fallback",
    )


def test_what_is_about_nobody_has_no_identity_to_fall_back_to() -> None:
    sent = body_of({"type": "sent", "campaign[id]": "8"}, extra_events=True)
    assert drafts.identified(sent, None) == sent


def test_a_campaign_is_described_where_the_webhook_was_silent_and_never_overwritten() -> None:
    note = CampaignNote("8", "Spring", "single", "5", "12", "Hi")
    bare = body_of(CLICK)
    whole = drafts.described(bare, note)
    assert whole["properties"] == bare["properties"] | {
        "email_subject": "Hi",
        "campaign_name": "Spring",
        "campaign_type": "single",
    }
    assert whole["context"]["campaign"] == {"name": "Spring", "medium": "email", "source": "activecampaign"}
    told = body_of(CLICK | {"campaign[name]": "Mine", "campaign[message][subject]": "My", "campaign[type]": "split"})
    assert drafts.described(told, note) == told
    assert drafts.described(bare, msgspec.structs.replace(note, id="9")) == bare
    without_email_id = body_of({name: text for name, text in CLICK.items() if "message" not in name})
    assert drafts.described(without_email_id, note)["properties"]["email_subject"] == "Hi"


FINISHING: list[Callable[[Body], Body]] = [
    lambda body: drafts.identified(body, Person("user-9", "account")),
    lambda body: drafts.identified(body, None),
    lambda body: drafts.described(body, CampaignNote("8", "Spring", message_id="12", subject="Hi")),
    lambda body: drafts.completed(body, {"properties": {"unsubscribe_reason": "x"}}),
    drafts.scanned,
    drafts.contradicting,
]


@pytest.mark.parametrize("finish", FINISHING)
def test_finishing_changes_no_id_and_not_what_it_was_given(finish: Callable[[Body], Body]) -> None:
    body = body_of(CLICK)
    before = copy.deepcopy(body)
    finished = finish(body)
    assert body == before
    assert finished != before
    assert finished["messageId"] == before["messageId"]
    assert list(finished) in [list(before), [name.replace("anonymousId", "userId") for name in before]]


# -- rules for any webhook ------------------------------------------------------------------------------------------

TYPES = st.sampled_from(["open", "click", "unsubscribe", "bounce", "contact_tag_added", "deal_add"])
TEXT = st.text(max_size=8)
VOLATILE = st.fixed_dictionaries(
    {},
    optional={
        "contact[tags]": TEXT,
        "contact[ip]": TEXT,
        "contact[phone]": TEXT,
        "contact[first_name]": TEXT,
        "contact[fields][3]": TEXT,
    },
)
HAPPENING = st.fixed_dictionaries(
    {
        "type": TYPES,
        "contact[id]": st.integers(1, 3).map(str),
        "campaign[id]": st.integers(1, 3).map(str),
        "campaign[message][id]": st.integers(1, 3).map(str),
        "at": st.integers(0, 10**9),
    }
)


def sent(happening: dict[str, Any], volatile: dict[str, str], ahead_h: int, arrival: datetime) -> Webhook:
    when = datetime.fromtimestamp(1_000_000_000 + happening["at"], timezone(timedelta(hours=ahead_h)))
    members = {name: value for name, value in happening.items() if name != "at"}
    body = urlencode(members | {"date_time": when.isoformat()} | volatile).encode()
    return Webhook(0, "src1", arrival, "", body)


def own_id(webhook: Webhook) -> str:
    return drafts.read(webhook, {"extra_events": True}).drafts[0].message_id


@given(HAPPENING, VOLATILE, VOLATILE, st.integers(-12, 12), st.integers(0, 10**6))
def test_a_repeated_delivery_has_the_same_id_whatever_else_changed(
    happening: dict[str, Any], first: dict[str, str], second: dict[str, str], ahead_h: int, later_s: int
) -> None:
    again = sent(happening, second, ahead_h, ARRIVAL + timedelta(seconds=later_s))
    assert own_id(sent(happening, first, -6, ARRIVAL)) == own_id(again)


@given(HAPPENING, HAPPENING, VOLATILE)
def test_different_happenings_have_different_ids(
    first: dict[str, Any], second: dict[str, Any], volatile: dict[str, str]
) -> None:
    assume(first != second)
    assert own_id(sent(first, volatile, -6, ARRIVAL)) != own_id(sent(second, volatile, -6, ARRIVAL))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_a_reading_twice_the_same(noise: bytes, extra: bool) -> None:  # noqa: FBT001 - hypothesis hands it over
    webhook = Webhook(0, "src1", ARRIVAL, "", b"type=deal_add&contact[id]=1&" + noise)
    result = drafts.read(webhook, {"extra_events": extra})
    assert result == drafts.read(webhook, {"extra_events": extra})
    assert bool(result.drafts) + bool(result.ignored) + bool(result.quarantined) == 1
    for draft in result.drafts:
        assert b"\n" not in msgspec.json.encode(draft.body)
