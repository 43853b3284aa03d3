"""The memory with real drafts and a real ledger: what becomes an event, and what was told before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from headwater.sources.activecampaign.memory.ledger import Count, Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.sources.contract import Mapped, Origin, Webhook

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
QUIET = {"delivered": "off"}
SPRING = CampaignNote("8", "Spring", "single", "5", "12", "Hi", "2026-07-01T11:00:00+00:00")


class Book:
    """Knows some contacts and campaigns, and what it was asked."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.campaigns: dict[str, CampaignNote] = {}
        self.asked: list[dict[str, str]] = []

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:  # noqa: ARG002 - the account is the same
        self.asked.append(dict(contacts))
        return {key: self.people[key] for key in contacts if key in self.people}

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:  # noqa: ARG002
        return {id_: self.campaigns[id_] for id_ in campaign_ids if id_ in self.campaigns}


class Line:
    """The way from records to events: take, append (the log drops ids that it has), keep."""

    def __init__(self, path: Path, book: Book) -> None:
        self.path, self.book, self.seq = path, book, 0
        self.log: dict[str, dict[str, Any]] = {}
        self.ledger = Ledger(path)
        self.memory = OccurrenceMemory(self.ledger, book, book)

    async def carry(
        self,
        *records: tuple[bytes, Origin],
        at: datetime = NOON,
        settings: Mapping[str, Any] = QUIET,
        keep: bool = True,
    ) -> list[str]:
        """Return the names of the events that are new to the log."""
        webhooks = []
        for body, origin in records:
            webhooks.append(Webhook(self.seq, "s1", at, "", body, origin))
            self.seq += 1
        taken = await self.memory.take("s1", webhooks, settings)
        new = self.append(taken.mapped)
        if keep:
            await self.memory.keep("s1", taken)
        return new

    async def wait_until(self, until: datetime) -> list[str]:
        taken = await self.memory.overdue("s1", QUIET, until)
        new = self.append(taken.mapped)
        await self.memory.keep("s1", taken)
        return new

    def append(self, mapped: Sequence[Mapped]) -> list[str]:
        new = []
        for body in (body for each in mapped for body in each.events):
            if body["messageId"] not in self.log:
                self.log[body["messageId"]] = body
                new.append(body["event"])
        return new

    def events(self, name: str) -> list[dict[str, Any]]:
        return [body for body in self.log.values() if body["event"] == name]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def line(tmp_path: Path, book: Book) -> Iterator[Line]:
    opened = Line(tmp_path / "ledger.sqlite", book)
    yield opened
    opened.ledger.close()


def hook(kind: str, at: datetime = NOON, **more: str) -> tuple[bytes, Origin]:
    fields = {
        "type": kind,
        "date_time": at.isoformat(),
        "contact[id]": "17",
        "contact[email]": "ada@example.org",
        "campaign[id]": "8",
        "campaign[name]": "Spring",
        "campaign[message][id]": "12",
    }
    fields |= {name.replace("__", "[").replace("_end", "]"): value for name, value in more.items()}
    return urlencode(fields).encode(), Origin.WEBHOOK


def click(link: str, at: datetime = NOON) -> tuple[bytes, Origin]:
    return hook("click", at, link__id_end=link, link__url_end=f"https://example.org/{link}")


def left(at: datetime = NOON, reason: str = "", lists: str = "3") -> tuple[bytes, Origin]:
    why = {"unsubscribe__reason_end": reason} if reason else {}
    return hook("unsubscribe", at, list__0_end__id_end=lists, **why)


def rows(report: Report, *found: Row, **more: Any) -> tuple[bytes, Origin]:
    return encode(ReportRecord(report, SPRING, found, **more)), Origin.REPORT


def row(at: datetime | None = NOON, **more: Any) -> Row:
    text = "" if at is None else at.isoformat()
    return Row(contact_id="17", email="ada@example.org", at=text, message_id="12", **more)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def test_pitfall_03_a_webhook_delivered_again_hours_later_is_no_second_event(line: Line) -> None:
    assert await line.carry(hook("open"), hook("open")) == ["Email Opened"]
    assert await line.carry(hook("open"), at=later(6 * 3600)) == []
    changed = hook("open", contact__tags_end="a, b")  # what the contact is tagged with changed meanwhile
    assert await line.carry(changed, at=later(7 * 3600)) == []
    assert line.ledger.counts("s1") == {"8": {Kind.OPEN: Count(1, 1, 1)}}


async def test_pitfall_05_two_opens_in_one_second_are_one_or_two_as_it_is_set(tmp_path: Path, book: Book) -> None:
    first, second = hook("open"), hook("open", contact__ip_end="10.0.0.1")
    for same_second, count in (("collapse", 1), ("count", 2)):
        line = Line(tmp_path / f"{same_second}.sqlite", book)
        settings = QUIET | {"same_second": same_second}
        for stretch in ([first], [second], [first, second], [second, first]):
            await line.carry(*stretch, settings=settings)
        assert len(line.events("Email Opened")) == count
        assert line.ledger.counts("s1")["8"][Kind.OPEN].total == count
        line.ledger.close()


@pytest.mark.parametrize("gap_s", [0, 20, 59])
async def test_pitfall_06_an_unsubscribe_told_twice_is_one_event_with_the_reason(line: Line, gap_s: int) -> None:
    assert await line.carry(left()) == []
    assert await line.carry(left(later(gap_s), reason="too many"), at=later(gap_s)) == ["Email Unsubscribed"]
    (event,) = line.events("Email Unsubscribed")
    assert event["properties"]["unsubscribe_reason"] == "too many"
    assert event["timestamp"] == "2026-07-01T12:00:00.000Z"
    assert await line.wait_until(later(10_000)) == []
    for again in (left(), left(later(gap_s), reason="too many")):
        assert await line.carry(again, at=later(9_000)) == []
    assert line.ledger.counts("s1")["8"][Kind.UNSUBSCRIBE].persons == 1


async def test_an_unsubscribe_without_a_reason_comes_when_its_wait_is_over(line: Line) -> None:
    assert await line.carry(left()) == []
    assert await line.wait_until(later(60)) == []
    assert await line.wait_until(later(61)) == ["Email Unsubscribed"]
    assert await line.wait_until(later(62)) == []
    assert await line.carry(left(), at=later(9_000)) == []


async def test_a_reason_that_comes_too_late_is_an_event_of_its_own_with_the_same_unsubscribe_id(line: Line) -> None:
    await line.carry(left())
    # nobody asked for what is overdue in between: the arrivals decide
    assert await line.carry(left(later(300), reason="why"), at=later(300)) == ["Email Unsubscribed"] * 2
    bare, reasoned = line.events("Email Unsubscribed")
    assert bare["properties"]["unsubscribe_id"] == reasoned["properties"]["unsubscribe_id"]
    assert "unsubscribe_reason" not in bare["properties"]
    assert await line.carry(left(later(300), reason="why"), left(), at=later(9_000)) == []


async def test_a_reason_that_comes_first_leaves_nothing_for_the_one_without(line: Line) -> None:
    assert await line.carry(left(later(120), reason="why")) == ["Email Unsubscribed"]
    assert await line.carry(left(), at=later(1)) == []
    assert await line.wait_until(later(10_000)) == []


async def test_whoever_leaves_the_list_again_later_has_left_twice(line: Line) -> None:
    await line.carry(left(reason="a"))
    assert await line.carry(left(later(7_200), reason="b"), at=later(7_200)) == ["Email Unsubscribed"]
    assert await line.carry(left(later(90_000)), at=later(90_000)) == []
    assert await line.wait_until(later(100_000)) == ["Email Unsubscribed"]


async def test_an_unsubscribe_does_not_wait_where_waiting_is_switched_off(line: Line) -> None:
    assert await line.carry(left(), settings=QUIET | {"merge_unsubscribes_s": 0}) == ["Email Unsubscribed"]


async def test_segments_own_name_waits_and_is_completed_with_the_unsubscribe(line: Line) -> None:
    settings = QUIET | {"unsubscribed_too": True}
    await line.carry(left(), settings=settings)
    await line.carry(left(later(9), reason="why"), settings=settings, at=later(9))
    assert [body["properties"]["unsubscribe_reason"] for body in line.log.values()] == ["why", "why"]
    assert {body["event"] for body in line.log.values()} == {"Email Unsubscribed", "Unsubscribed"}


async def test_a_complaint_is_told_at_once_and_once(line: Line) -> None:
    complaint = hook("unsubscribe", initiated_from="system", unsubscribe__reason_end="Abuse Reported.")
    assert await line.carry(complaint, complaint) == ["Email Unsubscribed", "Email Marked as Spam"]
    imported = rows(Report.COMPLAINTS, row())
    assert await line.carry(imported, at=later(9_000)) == []


async def test_a_crash_while_an_unsubscribe_waits_loses_and_doubles_nothing(line: Line, book: Book) -> None:
    await line.carry(left())
    line.ledger.close()
    line.ledger = Ledger(line.path)
    line.memory = OccurrenceMemory(line.ledger, book, book)
    taken = await line.memory.overdue("s1", QUIET, later(61))
    line.append(taken.mapped)  # and killed before `keep`
    assert await line.wait_until(later(70)) == []
    assert len(line.events("Email Unsubscribed")) == 1
    assert await line.wait_until(later(80)) == []


async def test_pitfall_22_a_bounce_and_a_derived_delivery_do_not_contradict_each_other(line: Line) -> None:
    both = {"delivered": "both"}
    bounce = hook("bounce", bounce__type_end="soft", bounce__code_end="4.2.2")
    await line.carry(bounce, settings=both)
    assert await line.carry(rows(Report.RECIPIENTS, row(None)), settings=both) == []
    other = Row(contact_id="18", email="b@example.org", message_id="12")
    assert await line.carry(rows(Report.RECIPIENTS, other), settings=both) == ["Email Delivered"]
    late = hook("bounce", contact__id_end="18", contact__email_end="b@example.org", bounce__type_end="hard")
    assert await line.carry(late, settings=both, at=later(86_400)) == ["Email Bounced"]
    first, second = line.events("Email Bounced")
    assert "delivery_was_derived" not in first["properties"]
    assert second["properties"]["delivery_was_derived"] is True


async def test_a_delivery_is_derived_once_whoever_tells_it(line: Line) -> None:
    both = {"delivered": "both"}
    assert await line.carry(hook("open"), click("1"), settings=both) == [
        "Email Opened",
        "Email Delivered",
        "Email Link Clicked",
    ]
    other_id = rows(Report.RECIPIENTS, Row(contact_id="17", email="ada@example.org", message_id="13"))
    assert await line.carry(other_id, settings=both) == []


async def test_pitfall_25_whoever_follows_several_links_at_once_is_marked_and_never_dropped(line: Line) -> None:
    await line.carry(click("1"), click("2", later(60)))
    await line.carry(click("3", later(900)), click("4", later(901)), click("5", later(903)))
    await line.carry(click("6", later(904)), at=later(904))
    clicks = line.events("Email Link Clicked")
    marked = [body["properties"]["link_id"] for body in clicks if body["properties"].get("is_machine_open")]
    assert [body["properties"]["link_id"] for body in clicks] == ["1", "2", "3", "4", "5", "6"]
    assert marked == ["3", "4", "5", "6"]
    assert clicks[-1]["properties"]["machine_reason"] == "link_scanner"


async def test_pitfall_37_repeats_of_a_report_are_marked_or_left_out(tmp_path: Path, book: Book) -> None:
    for wanted, count in ((False, 1), (True, 3)):
        line = Line(tmp_path / f"{wanted}.sqlite", book)
        settings = QUIET | {"backfill_repeats": wanted}
        await line.carry(rows(Report.OPENS, row(times=3)), settings=settings)
        opens = line.events("Email Opened")
        assert [body["properties"].get("approximate_timestamp", False) for body in opens] == [False, True, True][:count]
        assert opens[0]["properties"]["occurrences"] == 3
        assert await line.carry(rows(Report.OPENS, row(times=3)), settings=settings, at=later(600)) == []
        more = rows(Report.OPENS, row(times=4))
        assert len(await line.carry(more, settings=settings, at=later(900))) == int(wanted)
        line.ledger.close()


async def test_pitfall_41_what_no_webhook_told_comes_from_the_report(line: Line) -> None:
    found = [Row(contact_id=str(number), email=f"{number}@example.org", at=NOON.isoformat()) for number in range(200)]
    record = rows(Report.OPENS, *found, people={"3": Person("u3", "contact")})
    assert len(await line.carry(record)) == 200
    assert await line.carry(record) == []
    assert line.ledger.counts("s1")["8"][Kind.OPEN] == Count(200, 200, 200)
    assert line.ledger.arrived("s1") == 0


@pytest.mark.parametrize("gap_s", [-5, 0, 4])
async def test_a_webhook_and_a_report_of_one_open_are_one_event_in_either_order(
    tmp_path: Path, book: Book, gap_s: int
) -> None:
    for number, order in enumerate(((0, 1), (1, 0))):
        line = Line(tmp_path / f"{number}.sqlite", book)
        tellings = (hook("open", later(gap_s)), rows(Report.OPENS, row()))
        new = [await line.carry(tellings[place]) for place in order]
        assert new == [["Email Opened"], []]
        # another open within the same seconds is new: the report's row is taken
        assert await line.carry(hook("open", later(gap_s + 1))) == ["Email Opened"]
        line.ledger.close()


async def test_the_first_open_is_found_although_a_later_one_is_known(line: Line) -> None:
    await line.carry(hook("open", later(900)))
    assert await line.carry(rows(Report.OPENS, row(times=2))) == ["Email Opened"]
    assert await line.carry(rows(Report.OPENS, row(times=2))) == []


async def test_a_webhook_that_is_late_takes_the_place_of_a_repeat_that_was_counted(line: Line) -> None:
    settings = QUIET | {"backfill_repeats": True}
    await line.carry(rows(Report.OPENS, row(times=2)), settings=settings, at=later(600))
    assert await line.carry(hook("open"), settings=settings, at=later(601)) == []
    # by its own clock just after the report was read that counted it
    assert await line.carry(hook("open", later(604)), settings=settings, at=later(602)) == []
    assert await line.carry(hook("open", later(900)), settings=settings, at=later(900)) == ["Email Opened"]
    assert await line.carry(rows(Report.OPENS, row(times=3)), settings=settings, at=later(1_000)) == []


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_a_bounce_of_a_report_is_matched_by_its_date(line: Line, *, webhook_first: bool) -> None:
    bounce = hook("bounce", later(3_600 * 9), bounce__type_end="hard", bounce__code_end="5.1.1")
    dated = rows(Report.BOUNCES, Row(contact_id="17", at="2026-07-01", kind="hard", code="5.1.1"))
    order = (bounce, dated) if webhook_first else (dated, bounce)
    assert [await line.carry(each) for each in order] == [["Email Bounced"], []]


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_an_unsubscribe_of_a_report_is_the_one_of_the_webhook(line: Line, *, webhook_first: bool) -> None:
    order = [left(reason="why"), rows(Report.UNSUBSCRIBES, row(later(90), reason="why"))]
    new = [await line.carry(each) for each in (order if webhook_first else reversed(order))]
    assert new == [["Email Unsubscribed"], []]


async def test_a_reason_that_follows_a_report_without_one_keeps_its_unsubscribe_id(line: Line) -> None:
    await line.carry(rows(Report.UNSUBSCRIBES, row()))
    assert await line.carry(left(), at=later(1)) == []
    assert await line.carry(left(later(30), reason="why"), at=later(600)) == ["Email Unsubscribed"]
    assert await line.carry(left(later(31), reason="why"), at=later(700)) == []
    assert len({body["properties"]["unsubscribe_id"] for body in line.log.values()}) == 1


async def test_who_is_asked_only_about_new_events_and_a_report_brings_its_people(line: Line, book: Book) -> None:
    book.people = {"17": Person("u17", "contact"), "18": Person("", "contact")}
    await line.carry(hook("open"), hook("open"))
    await line.carry(hook("open"))
    await line.carry(rows(Report.CLICKS, row(link_id="4", link_url="https://x"), people={"17": Person("then", "feed")}))
    assert book.asked == [{"17": "ada@example.org"}]
    assert [body["userId"] for body in line.log.values()] == ["u17", "then"]


async def test_a_custom_field_names_the_person_where_the_account_does_not(line: Line, book: Book) -> None:
    book.people = {"18": Person("u18", "account"), "19": Person("u19", "identify")}
    settings = QUIET | {"user_id_field": "7"}
    opened = [hook("open", contact__id_end=id_, contact__fields_end__7_end="f-1") for id_ in ("17", "18", "19")]
    await line.carry(*opened, settings=settings)
    assert [body["userId"] for body in line.log.values()] == ["f-1", "u18", "f-1"]


async def test_an_answer_that_does_not_come_leaves_the_address_and_the_id_as_they_are(line: Line) -> None:
    await line.carry(hook("open"))
    (body,) = line.log.values()
    assert body["anonymousId"] == "ada@example.org"
    assert body["context"]["integration"]["identity"] == "fallback"


async def test_a_campaign_is_called_what_the_account_calls_it(line: Line, book: Book) -> None:
    book.campaigns = {"8": CampaignNote("8", "Spring", "split", "5", "12", "Hello")}
    await line.carry(hook("bounce", campaign__name_end=""))
    (body,) = line.log.values()
    properties = body["properties"]
    assert (properties["campaign_name"], properties["email_subject"]) == ("Spring", "Hello")


async def test_an_event_too_large_to_carry_is_quarantined_and_its_neighbours_are_not(line: Line) -> None:
    long = row(link_id="4", link_url="https://example.org/" + "x" * 300_000)
    record = rows(Report.CLICKS, row(link_id="3", link_url="https://x"), long)
    taken = await line.memory.take("s1", [Webhook(0, "s1", NOON, "", *record)], QUIET)
    assert [len(each.events) for each in taken.mapped] == [1]
    assert taken.mapped[0].quarantined == "the event is too large"


async def test_arrivals_count_every_webhook_once_also_after_a_crash(line: Line) -> None:
    await line.carry(hook("open"), hook("sent"))
    line.seq = 0  # read again
    await line.carry(hook("open"), hook("sent"), click("1"))
    assert line.ledger.arrived("s1") == 3
    assert line.ledger.arrived("s2") == 0


async def test_the_last_event_is_the_newest_by_when_it_happened(line: Line) -> None:
    assert line.ledger.last("s1") is None
    await line.carry(hook("open"), click("1", later(50)), settings={})
    await line.carry(rows(Report.OPENS, Row(contact_id="9", at=later(-99_999).isoformat())), at=later(60))
    last = line.ledger.last("s1")
    assert last is not None
    assert (last.event, last.at, last.origin) == ("Email Link Clicked", later(50), Origin.WEBHOOK)
