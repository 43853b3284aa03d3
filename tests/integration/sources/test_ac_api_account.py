"""The calls of an account's API: how its lists are paged, its contacts found, its webhooks kept single."""

import asyncio
from datetime import UTC, datetime

import pytest

from headwater.budget import Priority
from headwater.errors import DeliveryError, RetryableError
from headwater.sources.activecampaign.api.rows import UnsubscribeRow, WebhookRow
from scripted import KEY, Asked, said, scripted

URL = "https://headwater.example/webhooks/activecampaign/secret"
SOURCES = ("public", "admin", "api", "system")


class Table:
    """Rows of API v3, paged as the service does it: by offset, never more than `most` a page, totals as text."""

    def __init__(self, name: str, count: int, most: int = 100, *, total: bool = True):
        self.name, self.most, self.total = name, most, total
        self.rows = [{"id": str(number), "name": f"row {number}"} for number in range(1, count + 1)]

    def __call__(self, asked: Asked):
        limit = min(int(asked.query["limit"]), self.most)
        offset = int(asked.query["offset"])
        meta = {"total": str(len(self.rows))} if self.total else {}
        return said({self.name: self.rows[offset : offset + limit], "meta": meta})


@pytest.mark.parametrize(
    ("count", "most", "total", "calls"),
    [(0, 100, True, 1), (99, 100, True, 1), (100, 100, True, 2), (250, 100, True, 3), (250, 100, False, 3),
     (45, 20, True, 3)],
)  # fmt: skip
async def test_pitfall_32_every_page_is_read_whatever_the_service_makes_of_the_limit(count, most, total, calls):
    async with scripted() as account:
        account.script.reply = Table("campaigns", count, most, total=total)
        found = await account.api.campaigns()
        assert [campaign.id for campaign in found] == [str(number) for number in range(1, count + 1)]
        assert account.api.calls == calls
        assert account.script.asked[0].query == {"orders[id]": "ASC", "limit": "100", "offset": "0"}


async def test_pitfall_32_campaigns_that_are_added_meanwhile_shift_nothing():
    async with scripted() as account:
        table = Table("campaigns", 250)

        def reply(asked: Asked):
            answer = table(asked)
            table.rows.append({"id": str(len(table.rows) + 1), "name": "new"})  # by id, the new come last
            return answer

        account.script.reply = reply
        found = await account.api.campaigns()
        assert [campaign.id for campaign in found][:250] == [str(number) for number in range(1, 251)]


async def test_pitfall_32_rows_that_slip_into_the_next_page_are_one():
    async with scripted() as account:
        table = Table("campaigns", 150)
        table.rows.reverse()  # a service that ignores the order

        def reply(asked: Asked):
            answer = table(asked)
            table.rows.insert(0, {"id": str(len(table.rows) + 1)})
            return answer

        account.script.reply = reply
        ids = [campaign.id for campaign in await account.api.campaigns()]
        assert ids == [str(number) for number in range(1, 151)]


async def test_a_list_that_ignores_the_offset_comes_to_an_end():
    async with scripted() as account:
        rows = [{"id": str(number), "name": "n"} for number in range(1, 101)]
        account.script.say(said({"lists": rows, "meta": {"total": "500"}}))
        assert len(await account.api.lists()) == 100
        assert account.api.calls == 2


async def test_a_list_that_is_not_in_the_answer_is_not_taken_for_an_empty_one():
    async with scripted() as account:
        account.script.say(said({"message": "Please try later"}))
        with pytest.raises(RetryableError):
            await account.api.webhooks()
        account.script.say(said(status=404))
        with pytest.raises(DeliveryError, match="no list of contacts"):
            await account.api.contacts_after("0")
        with pytest.raises(DeliveryError, match="no list of campaigns"):
            await account.api.campaigns()


def campaign_routes(row: dict, related: list | None = None):
    def reply(asked: Asked):
        match asked.path.removeprefix("/api/3/").split("/"):
            case ["campaigns", "8"]:
                return said({"campaign": {"id": "8", "name": "Spring", **row}})
            case ["campaigns", "8", "campaignMessages"]:
                return said({"campaignMessages": related or []})
            case ["messages", id_]:
                return said({"message": {"id": id_, "subject": f"Subject {id_}"}})
        return said({"message": "No Result found for Campaign with id 9"}, 404)

    return reply


@pytest.mark.parametrize(
    ("row", "related", "ids", "subject", "calls"),
    [
        ({"message_id": "12"}, None, ("12",), "Subject 12", 2),
        ({}, [{"messageid": "12"}], ("12",), "Subject 12", 3),
        ({}, [{"messageid": "12"}, {"messageid": "13"}], ("12", "13"), "", 2),
        ({}, [], (), "", 2),
    ],
)
async def test_a_campaign_comes_with_its_emails(row, related, ids, subject, calls):
    async with scripted() as account:
        account.script.reply = campaign_routes(row, related)
        found = await account.api.campaign("8")
        assert (found.id, found.message_ids, found.subject, account.api.calls) == ("8", ids, subject, calls)


async def test_what_is_not_there_is_none():
    async with scripted() as account:
        account.script.reply = campaign_routes({})
        assert await account.api.campaign("9") is None
        assert await account.api.campaign("../9?x=1") is None
        assert account.script.asked[-1].url == "/api/3/campaigns/..%2F9%3Fx%3D1"
        account.script.say(said(status=404))
        account.script.reply = None
        assert await account.api.message("9") is None
        assert await account.api.contacts(["9"]) == []


class Contacts:
    """Contacts that understand `ids` in one way; the others they ignore, refuse, or read the first id of."""

    def __init__(self, existing: set[int], way: str, otherwise: str = "ignore"):
        self.existing, self.way, self.otherwise = existing, way, otherwise

    def row(self, number: int) -> dict:
        return {"id": str(number), "email": f"{number}@example.org", "segmentio_id": f"u{number}"}

    def __call__(self, asked: Asked):
        if asked.path != "/api/3/contacts":
            number = int(asked.path.rsplit("/", 1)[1])
            return said({"contact": self.row(number)}) if number in self.existing else said({"message": "No"}, 404)
        comma = asked.query.get("ids", "")
        listed = [value for name, value in asked.query.items() if name.startswith("ids[")]
        wanted = {"comma": comma.split(",") if comma else None, "list": listed or None}.get(self.way)
        if wanted is None:
            if self.otherwise == "refuse":
                return said({}, 400)
            if self.otherwise == "first" and comma:
                wanted = [comma.split(",")[0]]
            else:
                first = [self.row(number) for number in sorted(self.existing)][:20]
                return said({"contacts": first, "meta": {"total": str(len(self.existing))}})
        found = [self.row(int(number)) for number in wanted if int(number) in self.existing]
        return said({"contacts": found, "meta": {"total": str(len(found))}})


async def test_contacts_are_asked_for_a_hundred_at_a_time():
    async with scripted() as account:
        account.script.reply = Contacts(set(range(1, 251)), "comma")
        found = await account.api.contacts([str(number) for number in range(1, 251)] + ["7", "ada@example.org", ""])
        assert [row.id for row in found] == [str(number) for number in range(1, 251)]
        assert found[0].user_id == "u1"
        assert account.api.calls == 3
        assert account.script.asked[0].query["limit"] == "100"


@pytest.mark.parametrize("otherwise", ["ignore", "refuse", "first"])
@pytest.mark.parametrize(("way", "more"), [("comma", 1), ("list", 1), ("none", 50)])
async def test_whatever_way_several_ids_are_told_the_contacts_are_found(way, more, otherwise):
    async with scripted() as account:
        account.script.reply = Contacts(set(range(1, 1001)), way, otherwise)
        wanted = [str(number) for number in range(501, 601)]
        assert sorted(row.id for row in await account.api.contacts(wanted)) == wanted
        before = account.api.calls
        assert sorted(row.id for row in await account.api.contacts(wanted[:50])) == wanted[:50]
        assert account.api.calls - before == more  # the way is known by now


@pytest.mark.parametrize("wanted", [range(1, 101), range(15, 115)])
async def test_a_service_that_ignores_the_question_is_not_believed_by_chance(wanted):
    async with scripted() as account:
        account.script.reply = Contacts(set(range(1, 1001)), "none")
        ids = [str(number) for number in wanted]
        assert sorted(row.id for row in await account.api.contacts(ids)) == sorted(ids)


async def test_contacts_that_are_gone_do_not_cost_a_request_each():
    async with scripted() as account:
        account.script.reply = Contacts({1}, "comma")
        assert [row.id for row in await account.api.contacts([str(number) for number in range(1, 101)])] == ["1"]
        assert account.api.calls <= 5
        assert len(await account.api.contacts(["1"])) == 1


async def test_contacts_are_read_by_ascending_id():
    async with scripted() as account:
        account.script.say(said({"contacts": [{"id": "12"}, {"id": "9"}, {"id": "3"}]}), said({"contacts": []}))
        since = datetime(2025, 7, 1, 17, tzinfo=UTC)
        assert [row.id for row in await account.api.contacts_after("8", updated_after=since)] == ["9", "12"]
        assert account.script.asked[0].query == {
            "status": "-1", "orders[id]": "ASC", "id_greater": "8", "limit": "100",
            "filters[updated_after]": "2025-07-01T12:00:00-05:00",
        }  # fmt: skip
        assert await account.api.contacts_after("12") == []


async def test_a_service_that_does_not_page_by_id_is_not_read_for_ever():
    async with scripted() as account:
        account.script.say(said({"contacts": [{"id": "1"}, {"id": "2"}]}))
        with pytest.raises(DeliveryError, match="page its contacts"):
            await account.api.contacts_after("2")


async def test_who_left_a_list_is_read_page_by_page():
    async with scripted() as account:

        def left(contact: str) -> dict:
            return {"contact": contact, "list": "3", "status": "2", "udate": "2025-03-09T03:00:05-05:00"}

        account.script.say(
            said({"contacts": [{"id": "1", "email": "a@example.org"}, {"id": "2"}], "contactLists": [left("1")]}),
            said({"contacts": [{"id": "5", "email": "e@example.org"}], "contactLists": []}),
            said({"contacts": []}),
        )
        found = [rows async for rows in account.api.unsubscribed_contacts()]
        assert found == [[UnsubscribeRow("1", "a@example.org", "2025-03-09T03:00:05-05:00", "", "3")]]
        assert [asked.query["id_greater"] for asked in account.script.asked] == ["0", "2", "5"]
        assert account.script.asked[0].query["include"] == "contactLists"
        assert account.script.asked[0].query["status"] == "2"


class Webhooks:
    """The account's webhooks; `trouble` spoils the answers of the first requests, before or after they were done."""

    def __init__(self, *trouble: str):
        self.rows: list[dict] = [{"id": "1", "name": "Other", "url": "https://other.example/", "events": ["open"]}]
        self.trouble = list(trouble)

    def __call__(self, asked: Asked):
        if asked.method == "GET":
            return said({"webhooks": self.rows, "meta": {"total": str(len(self.rows))}})
        if asked.method == "DELETE":
            before, self.rows = len(self.rows), [row for row in self.rows if row["id"] != asked.path.rsplit("/", 1)[1]]
            return said({}) if len(self.rows) < before else said({"message": "No Result found"}, 404)
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "before":
            return said(status=502)
        row = {**asked.json["webhook"], "cdate": "2025-03-09T03:00:05-05:00", "links": []}
        if asked.method == "PUT":
            row["id"] = asked.path.rsplit("/", 1)[1]
            if row["id"] not in [known["id"] for known in self.rows]:
                return said({"message": "No Result found"}, 404)
            self.rows = [row if known["id"] == row["id"] else known for known in self.rows]
        else:
            row["id"] = str(len(self.rows) + 1)
            self.rows.append(row)
        return said(status=502) if trouble == "after" else said({"webhook": row}, 201)


@pytest.mark.parametrize("trouble", [(), ("before",), ("after",), ("before", "after"), ("before", "before")])
async def test_a_webhook_is_registered_once_whatever_becomes_of_the_answers(trouble):
    async with scripted() as account:
        account.script.reply = table = Webhooks(*trouble)
        made = await account.api.create_webhook("Headwater", URL, ["open", "click"], SOURCES)
        assert made == WebhookRow("2", "Headwater", URL, ("open", "click"), SOURCES, "0")
        assert [row["url"] for row in table.rows] == ["https://other.example/", URL]
        assert await account.api.webhooks(URL) == [made]
        assert len(await account.api.webhooks()) == 2


async def test_a_webhook_that_cannot_be_registered_is_given_up():
    async with scripted() as account:
        account.script.reply = table = Webhooks(*["before"] * 9)
        with pytest.raises(RetryableError):
            await account.api.create_webhook("Headwater", URL, ["open"], SOURCES)
        assert len(table.rows) == 1
        assert [asked.method for asked in account.script.asked].count("POST") == 3


async def test_a_webhook_is_changed_and_removed_and_gone_is_fine():
    async with scripted() as account:
        account.script.reply = table = Webhooks()
        made = await account.api.create_webhook("Headwater", URL, ["open"], ["public"])
        table.trouble = ["after"]
        changed = await account.api.change_webhook(
            made.id, name="Headwater", url=URL, events=["bounce"], sources=SOURCES
        )
        assert changed == WebhookRow(made.id, "Headwater", URL, ("bounce",), SOURCES, "0")
        assert await account.api.webhooks(URL) == [changed]
        await account.api.delete_webhook(made.id)
        await account.api.delete_webhook(made.id)
        assert await account.api.webhooks(URL) == []
        with pytest.raises(DeliveryError, match="does not know this webhook"):
            await account.api.change_webhook(made.id, name="Headwater", url=URL, events=["open"], sources=SOURCES)


async def test_an_empty_answer_to_a_removal_is_looked_at_again():
    async with scripted() as account:
        account.script.say(said(text="", X_Ac_Error="Code 9001"), said({"message": "No Result found"}, 404))
        await account.api.delete_webhook("5")
        assert account.api.calls == 2


async def test_live_calls_go_before_the_back_fill_that_waits():
    async with scripted() as account:
        account.script.reply = lambda asked: said({"message": {"id": asked.path.rsplit("/", 1)[1], "subject": "s"}})
        account.budget.pause(1.0)
        background = [account.api.message(f"b{number}", priority=Priority.BACKGROUND) for number in range(3)]
        order = []

        async def noted(call) -> None:
            order.append((await call).id)

        await asyncio.gather(*map(noted, background), noted(account.api.message("live", priority=Priority.LIVE)))
        assert account.script.asked[0].path.endswith("/live")
        assert sorted(order) == ["b0", "b1", "b2", "live"]


async def test_no_secret_is_in_what_a_debugger_prints_of_an_account():
    async with scripted() as account:
        assert KEY not in repr(account.api)
        assert KEY not in str(account.api)
