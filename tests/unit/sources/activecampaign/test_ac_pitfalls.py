"""Every trap that ActiveCampaign's webhooks and reports set for a parser or a mapping, by its number and name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from headwater.sources.activecampaign import events
from headwater.sources.activecampaign.mapping import bodies, drafts
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.records import CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.sources.contract import Mapped, Origin, Webhook

ARRIVAL = datetime(2025, 3, 9, 8, 0, 6, tzinfo=UTC)
ENVELOPE = {"type": "open", "date_time": "2025-03-09T03:00:05-05:00"}
PERSON = {"contact[id]": "17", "contact[email]": "ada@example.org"}
CAMPAIGN = {"campaign[id]": "8", "campaign[message][id]": "12"}
OPEN = urlencode(ENVELOPE | PERSON | CAMPAIGN)
FULL = {"include_contact": "full"}
EXTRA = {"extra_events": True}
WILD_URL = "https://x.org/a?b=1&c=%41&d[]=é&e=%25%zz#f=[g]+" + "h" * 50_000


def mapped(body: str | bytes, settings: dict[str, Any] | None = None, received_at: datetime = ARRIVAL) -> Mapped:
    raw = body.encode() if isinstance(body, str) else body
    return events(Webhook(0, "src1", received_at, "application/x-www-form-urlencoded", raw), settings or {})


def event(body: str | bytes, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    return mapped(body, settings).events[0]


def properties(body: str | bytes, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    found = event(body, settings)["properties"]
    assert isinstance(found, dict)
    return found


def ids(*many: str, settings: dict[str, Any] | None = None) -> list[str]:
    return [event(body, settings)["messageId"] for body in many]


def names(body: str, settings: dict[str, Any] | None = None) -> list[str]:
    return [found["event"] for found in mapped(body, settings).events]


def as_type(kind: str) -> str:
    return OPEN.replace("type=open", f"type={kind}")


def reported(report: Report, *rows: Row, machine: tuple[str, ...] = (), **settings: Any) -> tuple[Draft, ...]:
    record = ReportRecord(report, CampaignNote("8", "Spring", message_id="12"), rows, machine=machine)
    return drafts.read(Webhook(0, "src1", ARRIVAL, "", encode(record), Origin.REPORT), settings).drafts


def test_pitfall_04_identity_is_computed_from_what_happened() -> None:
    changed = OPEN.replace("ada%40", "new%40") + "&contact[tags]=new&contact[first_name]=N&campaign[name]=Renamed"
    assert ids(OPEN) == ids(changed)
    other = [OPEN.replace("D=17", "D=18"), OPEN.replace("D=8", "D=9"), OPEN.replace("00%3A05-", "00%3A06-")]
    assert len(set(ids(OPEN, as_type("click"), *other))) == 5


def test_pitfall_05_two_opens_in_one_second_by_different_programs_are_two() -> None:
    assert len(set(ids(OPEN + "&User-Agent=a", OPEN + "&User-Agent=b"))) == 2


def test_pitfall_05_a_second_open_in_one_second_can_be_counted_by_an_ordinal() -> None:
    raw = Webhook(0, "src1", ARRIVAL, "", OPEN.encode())
    draft = drafts.read(raw, {}).drafts[0]
    second, third = drafts.repeated(draft, 2), drafts.repeated(draft, 3)
    assert len({draft.message_id, second.message_id, third.message_id}) == 3
    assert second.body == draft.body | {"messageId": second.message_id}
    assert drafts.repeated(draft, 2) == second


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("list=3", {"list_id": "3", "list_ids": ["3"]}),
        ("list=0", {}),
        ("list=", {}),
        (
            "list[0][id]=3&list[0][name]=News",
            {"list_id": "3", "list_name": "News", "list_ids": ["3"], "list_names": ["News"]},
        ),
        ("list[][id]=3", {"list_id": "3", "list_ids": ["3"]}),
        ("list[id]=3&list[name]=N&list[userid]=1", {"list_id": "3", "list_name": "N", "list_names": ["N"]}),
    ],
)
def test_pitfall_07_list_comes_in_four_shapes_and_zero_is_none(shape: str, expected: dict[str, Any]) -> None:
    found = properties(f"{as_type('unsubscribe')}&{shape}")
    about_lists = {name: value for name, value in found.items() if name.startswith("list")}
    assert about_lists == {"list_ids": ["3"], **expected} if expected else not about_lists


def test_pitfall_08_numeric_keys_of_contact_fields_are_ids_and_of_account_fields_positions() -> None:
    fields = OPEN + "&contact[fields][31]=a&contact[fields][7]=b"
    assert properties(fields, FULL)["custom_fields"] == {"31": "a", "7": "b"}
    saved = (
        "type=account_update&date_time=2025-03-09T03:00:05-05:00&account[id]=4&account[name]=Acme"
        "&account[fields][1][id]=9&account[fields][1][value]=b&account[fields][0][id]=5&account[fields][0][value]=a"
        "&updated_fields[0]=name&updated_fields[1]=phone"
    )
    found = properties(saved, EXTRA)
    assert found["account_fields"] == [{"id": "9", "value": "b"}, {"id": "5", "value": "a"}]
    assert (found["account_id"], found["account_name"]) == ("4", "Acme")
    assert found["updated_fields"] == ["name", "phone"]


def test_pitfall_09_fields_are_keyed_by_id_or_by_personalisation_tag() -> None:
    by_tag, by_id = OPEN + "&contact[fields][user-id]=u-9", OPEN + "&contact[fields][12]=u-9"
    assert properties(by_tag, FULL)["custom_fields"] == {"user-id": "u-9"}

    def user_id(body: str, field: str) -> str:
        raw = Webhook(0, "src1", ARRIVAL, "", body.encode())
        return drafts.read(raw, {"user_id_field": field}).drafts[0].field_user_id

    assert [user_id(by_tag, "%USER-ID%"), user_id(by_id, "12"), user_id(by_id, "%USER-ID%")] == ["u-9", "u-9", ""]


def test_pitfall_10_tags_are_not_split_because_their_names_hold_commas() -> None:
    assert properties(OPEN + "&contact[tags]=vip%2C+gold%2C+x")["contact_tags"] == "vip, gold, x"


def test_pitfall_11_repeated_list_keys_are_all_kept_in_order() -> None:
    body = as_type("unsubscribe") + "&list[][id]=3&list[][id]=5&list[][id]=4&list[][id]=5"
    assert properties(body)["list_ids"] == ["3", "5", "4"]


def test_pitfall_12_a_blank_value_is_not_an_absent_one() -> None:
    form = bodies.read(b"a=&b=1")
    assert (form.has("a"), form.has("c"), form.text("a")) == (True, False, "")
    tagged = OPEN.replace("type=open", "type=contact_tag_added")
    assert len(set(ids(tagged, tagged + "&tag=", tagged + "&tag=x", settings=EXTRA))) == 3
    assert "contact_tags" not in properties(OPEN + "&contact[tags]=")


def test_pitfall_13_plus_addresses_and_phone_numbers_are_decoded_once() -> None:
    body = OPEN.replace("ada%40", "ada%2Bnews%40") + "&contact[phone]=%2B1+555+0100"
    found = event(body)
    assert found["anonymousId"] == "ada+news@example.org"
    assert found["context"]["traits"] == {"email": "ada+news@example.org", "phone": "+1 555 0100"}
    twice = as_type("click") + "&link[url]=https%3A%2F%2Fx.org%2F%3Fq%3Da%252Bb%2Bc"
    assert properties(twice)["link_url"] == "https://x.org/?q=a%2Bb+c"


def test_pitfall_14_a_wild_link_survives_as_it_was_sent() -> None:
    assert properties(as_type("click") + "&link[url]=" + quote_plus(WILD_URL))["link_url"] == WILD_URL


def test_pitfall_15_invalid_utf8_is_kept_readable_and_flagged() -> None:
    found = event(OPEN.encode() + b"&contact[tags]=caf\xe9&contact[first_name]=\x81%ff", FULL)
    assert found["properties"]["contact_tags"] == "café"
    assert found["context"]["traits"]["firstName"] == "\ufffdÿ"
    assert found["context"]["integration"]["encoding"] == "cp1252"


def test_pitfall_16_bracket_bombs_and_huge_bodies_cost_their_rubbish_only() -> None:
    bomb = OPEN + "&" + "&".join(f"contact{'[a]' * depth}=x" for depth in range(0, 400, 20)) + "&a[]=1" * 10_000
    found = event(bomb)
    assert found["messageId"] == ids(OPEN)[0]
    assert found["context"]["integration"]["truncated"] is True
    wide = "type=deal_add&deal[id]=1&" + "&".join(f"deal[x{number}]=1" for number in range(4_000))
    assert len(properties(wide, EXTRA)) == 100


@pytest.mark.parametrize(
    ("date_time", "arrival", "timestamp", "flag"),
    [
        ("2025-07-09T03:00:05-05:00", (2025, 7, 9, 8), "2025-07-09T08:00:05.000Z", None),
        ("2025-01-09T03:00:05-06:00", (2025, 1, 9, 9), "2025-01-09T09:00:05.000Z", None),
        ("2025-07-09 03:00:05", (2025, 7, 9, 8), "2025-07-09T08:00:05.000Z", "assumed_zone"),
        ("2024-11-03 01:30:00", (2024, 11, 3, 6, 30), "2024-11-03T06:30:00.000Z", "ambiguous_hour"),
        ("2024-11-03 01:30:00", (2024, 11, 3, 7, 30), "2024-11-03T07:30:00.000Z", "ambiguous_hour"),
        ("2024-11-03T01:30:00-06:00", (2024, 11, 3, 7, 30), "2024-11-03T07:30:00.000Z", None),
    ],
)
def test_pitfall_17_a_time_has_an_offset_or_is_us_central_and_autumn_has_an_hour_twice(
    date_time: str, arrival: tuple[int, ...], timestamp: str, flag: str | None
) -> None:
    body = urlencode(ENVELOPE | PERSON | CAMPAIGN | {"date_time": date_time})
    found = mapped(body, received_at=datetime(*arrival, tzinfo=UTC)).events[0]  # type: ignore[arg-type,misc]
    assert (found["timestamp"], found["context"]["integration"].get("time")) == (timestamp, flag)


def test_pitfall_17_the_zone_of_times_without_offset_can_be_set() -> None:
    body = urlencode(ENVELOPE | PERSON | CAMPAIGN | {"date_time": "2025-03-09 09:00:05"})
    assert event(body, {"time_zone": "Europe/Berlin"})["timestamp"] == "2025-03-09T08:00:05.000Z"


def test_pitfall_18_created_utc_timestamp_is_not_utc_and_not_used() -> None:
    assert event(OPEN + "&created_utc_timestamp=2001-01-01+00%3A00%3A00") == event(OPEN)


@pytest.mark.parametrize("settings", [{}, EXTRA])
@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        (OPEN + "&url=&date_time=2013-01-01+12%3A00%3A00", "test"),
        (as_type("deal_add") + "&url=&date_time=2013-01-01+12%3A00%3A00", "test"),
        ("contact[id]=1&contact[email]=a@b.org&contact[ip4]=0.0.0.0&seriesid=3", "automation"),
        ("contact[id]=1&contact[fields][shirt-size]=M&seriesid=3", "automation"),
    ],
)
def test_pitfall_19_the_test_button_and_automations_are_kept_out(
    body: str, ignored: str, settings: dict[str, Any]
) -> None:
    assert mapped(body, settings) == Mapped(ignored=ignored)


def test_pitfall_20_sent_is_about_a_campaign_and_never_a_delivery() -> None:
    body = "type=sent&date_time=2025-03-09T03:00:05-05:00&campaign[id]=8&campaign[recipients]=4000&list[0][id]=3"
    assert mapped(body) == Mapped(ignored="type sent")
    sent = event(body, EXTRA | {"account": "acme"})
    assert (sent["event"], sent["anonymousId"]) == ("ActiveCampaign Campaign Sent", "activecampaign:acme")
    assert sent["context"]["traits"] == {}


def test_pitfall_21_a_reason_that_people_type_is_no_complaint() -> None:
    left = as_type("unsubscribe") + "&list=3"
    reason = "&unsubscribe[reason]=Abuse+Reported."
    both = ["Email Unsubscribed", "Email Marked as Spam"]
    assert names(f"{left}{reason}&initiated_from=system") == both
    assert names(f"{left}{reason}&initiated_from=public") == both[:1]
    assert names(f"{left}&unsubscribe[reason]=I+report+abuse.&initiated_from=system") == both[:1]
    assert names(f"{left}&unsubscribe[reason]=abuse+reported.&initiated_from=system") == both[:1]
    spanish = f"{left}&unsubscribe[reason]=Abuso&initiated_from=system"
    assert [names(spanish), names(spanish, {"complaint_reason": "Abuso"})] == [both[:1], both]
    assert names(f"{left}{reason}&initiated_from=system", {"complaint_reason": "-"}) == both[:1]


def test_pitfall_22_a_bounce_says_that_it_contradicts_a_derived_delivery() -> None:
    bounced = event(as_type("bounce") + "&bounce[type]=hard")
    assert drafts.contradicting(bounced)["properties"] == bounced["properties"] | {"delivery_was_derived": True}
    assert "delivery_was_derived" not in bounced["properties"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("bounce[type]=Soft&bounce[code]=4.2.2", {"bounce_type": "soft", "bounce_code": "4.2.2"}),
        ("bounce[type]=hard&bounce[code]=&bounce[description]=", {"bounce_type": "hard"}),
        ("bounce[code]=9.9.9", {"bounce_code": "9.9.9"}),
        ("x=1", {}),
    ],
)
def test_pitfall_23_a_bounce_may_lack_type_code_or_description(block: str, expected: dict[str, str]) -> None:
    found = properties(f"{as_type('bounce')}&{block}")
    assert {name: value for name, value in found.items() if name.startswith("bounce")} == expected


def test_pitfall_24_machine_opens_are_flagged_and_kept() -> None:
    apple = event(OPEN + "&User-Agent=Mozilla%2F5.0")
    assert apple["context"]["userAgent"] == "Mozilla/5.0"
    assert apple["properties"]["is_machine_open"] is True
    assert apple["properties"]["machine_reason"] == "apple_mail_privacy"
    assert "is_machine_open" not in properties(OPEN)
    of_report = reported(Report.OPENS, Row("17", "a@b.org"), Row("18", "c@d.org"), machine=("17",), delivered="off")
    assert [draft.body["properties"].get("is_machine_open") for draft in of_report] == [True, None]


def test_pitfall_25_scanners_that_click_every_link_are_flagged_and_kept() -> None:
    by_agent = as_type("click") + "&link[url]=https://x.org&User-Agent=Barracuda+Sentinel"
    assert properties(by_agent)["machine_reason"] == "security_scanner"
    by_pace = drafts.scanned(event(as_type("click") + "&link[url]=https://x.org"))["properties"]
    assert (by_pace["is_machine_open"], by_pace["machine_reason"]) == (True, "link_scanner")
    assert drafts.scanned(event(by_agent))["properties"]["machine_reason"] == "security_scanner"


def test_pitfall_26_the_contacts_address_is_not_the_openers() -> None:
    found = event(OPEN + "&contact[ip]=127.0.0.1")
    assert found["properties"]["contact_ip"] == "127.0.0.1"
    assert "ip" not in found["context"]


def test_pitfall_27_without_or_with_another_email_it_is_the_same_person_for_the_id() -> None:
    changed, gone = OPEN.replace("ada%40", "new%40"), OPEN.replace("ada%40example.org", "")
    assert len(set(ids(OPEN, changed, gone))) == 1
    assert event(gone)["anonymousId"] == "activecampaign:src1:17"
    assert event(OPEN.replace("D=17", "D="))["anonymousId"] == "ada@example.org"


def test_pitfall_29_who_it_was_and_what_is_set_change_no_id() -> None:
    settings = {"account": "acme", "include_contact": "none", "time_zone": "Europe/Berlin", "delivered": "off"}
    assert ids(OPEN) == ids(OPEN, settings=settings)
    before = event(OPEN)
    known = drafts.identified(before, Person("user-9", "account"))
    assert (known["userId"], "anonymousId" in known) == ("user-9", False)
    assert known["context"]["integration"]["identity"] == "account"
    assert [each["messageId"] for each in (known, drafts.identified(before, None))] == [before["messageId"]] * 2


def test_pitfall_36_the_pseudo_link_of_the_open_tracker_is_no_click() -> None:
    assert mapped(as_type("click") + "&link[id]=1&link[url]=open") == Mapped(ignored="open_tracker")
    rows = (Row("17", "a@b.org", link_id="1", link_url="open"), Row("17", "a@b.org", link_id="2", link_url="https://x"))
    assert [draft.link for draft in reported(Report.CLICKS, *rows, delivered="off")] == ["2"]


def test_pitfall_37_a_reports_repeats_have_a_count_and_no_invented_times() -> None:
    row = Row("17", "ada@example.org", "2025-03-09 03:00:05", times=3)
    first = reported(Report.OPENS, row, delivered="off")[0]
    assert first.body["timestamp"] == "2025-03-09T08:00:05.000Z"
    assert (first.times, first.body["properties"]["occurrences"]) == (3, 3)
    assert "approximate_timestamp" not in first.body["properties"]
    second = drafts.repeated(first, 2)
    assert second.body["timestamp"] == first.body["timestamp"]
    assert second.body["properties"]["approximate_timestamp"] is True
    assert "occurrences" not in second.body["properties"]


def test_pitfall_50_the_emails_of_a_split_test_have_their_own_subjects_and_deliveries() -> None:
    tagged = OPEN + "&campaign[message][subject]=Hi+%25FIRSTNAME%25"
    assert properties(tagged)["email_subject"] == "Hi %FIRSTNAME%"
    delivered = [mapped(OPEN.replace("id%5D=12", f"id%5D={split}")).events[1]["messageId"] for split in (12, 13)]
    assert len(set(delivered)) == 2
    note = CampaignNote("8", "Spring", message_id="12", subject="Hi")
    subjects = [
        drafts.described(event(OPEN.replace("id%5D=12", f"id%5D={split}")), note)["properties"].get("email_subject")
        for split in (12, 13)
    ]
    assert subjects == ["Hi", None]
    assert drafts.described(event(tagged), note)["properties"]["email_subject"] == "Hi %FIRSTNAME%"
