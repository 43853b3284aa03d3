"""The simulated account's API over real HTTP: the shapes and manners that are known of the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from headwater.simulators.activecampaign.server import Program, serve
from headwater.simulators.activecampaign.settings import Settings, Switches

PRESENT = datetime(2025, 7, 1, 12, tzinfo=UTC)
PAST = Settings(
    present=PRESENT, contacts=400, history_campaigns=3, history="past", live_campaigns=0, api_per_s=0, history_per_s=1e6
)
KEY = PAST.api_key


@dataclass
class Account:
    """A client of a running simulator."""

    url: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None, key: str = KEY) -> tuple[int, str]:
        async with self.http.request(method, self.url + path, json=body, headers={"Api-Token": key}) as answer:
            return answer.status, await answer.text()

    async def get(self, path: str) -> Any:
        status, text = await self.call("GET", path)
        assert status == 200, text
        return json.loads(text)

    async def report(self, action: str, **query: Any) -> Any:
        asked = {"api_key": KEY, "api_action": f"campaign_report_{action}", "api_output": "json", **query}
        async with self.http.get(f"{self.url}/admin/api.php", params=asked) as answer:
            return json.loads(await answer.text())

    async def truth(self, *kinds: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.url}/truth", params={"kind": ",".join(kinds)}) as answer:
            return [json.loads(line) for line in (await answer.text()).splitlines()]

    async def until_done(self) -> dict[str, Any]:
        while True:
            progress: dict[str, Any] = await self.get("/progress")
            if progress["done"]:
                return progress
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: Settings = PAST) -> AsyncIterator[Account]:
    """Run the program and give a client."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(Program(settings), address.set_result))
    async with aiohttp.ClientSession() as http:
        try:
            yield Account(await address, http)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def receiver(status: int = 200) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a receiver of webhooks."""
    got: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", got
    finally:
        await runner.cleanup()


def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a report: they are keyed by their number."""
    return [report[name] for name in sorted((name for name in report if name.isdecimal()), key=int)]


def switched(**switches: Any) -> Settings:
    return replace(PAST, switches=Switches(**switches))


async def test_a_wrong_key_is_forbidden_and_what_is_not_there_is_named_as_inside() -> None:
    async with running() as account:
        assert await account.call("GET", "/api/3/users/me", key="wrong") == (403, '{"message":"Forbidden"}')
        for path, model in (("contacts", "Subscriber"), ("campaigns", "Campaign"), ("messages", "Message")):
            status, text = await account.call("GET", f"/api/3/{path}/999999")
            assert (status, json.loads(text)["message"]) == (404, f"No Result found for {model} with id 999999")
        assert (await account.call("DELETE", "/api/3/fieldOptions/1")) == (200, "")
        refused = await account.report("open_list", campaignid=1, api_key="wrong")
        assert (refused["result_code"], rows(refused)) == (0, [])


async def test_json_is_written_as_the_service_writes_it() -> None:
    async with running() as account:
        _, text = await account.call("GET", "/api/3/campaigns/1")
        assert text.isascii()
        assert "\\/" in text
        campaign = json.loads(text)["campaign"]
        assert isinstance(campaign["id"], str)
        assert isinstance(campaign["opens"], str)
        page = await account.get("/api/3/contacts?limit=500")
        assert (len(page["contacts"]), page["meta"]["total"]) == (100, str(len(await everybody(account))))
        assert len((await account.get("/api/3/contacts"))["contacts"]) == 20


async def everybody(account: Account) -> list[str]:
    """Walk through all contacts by id."""
    ids: list[str] = []
    while True:
        query = f"orders[id]=ASC&limit=100&id_greater={ids[-1] if ids else 0}"
        found = (await account.get(f"/api/3/contacts?{query}"))["contacts"]
        if not found:
            return ids
        ids += [contact["id"] for contact in found]


async def test_contacts_are_found_by_ids_by_address_and_by_walking() -> None:
    async with running() as account:
        ids = await everybody(account)
        assert ids == sorted(set(ids), key=int)
        found = (await account.get("/api/3/contacts?ids=3,1,999999"))["contacts"]
        assert [contact["id"] for contact in found] == ["1", "3"]
        email = found[1]["email"]
        async with account.http.get(
            f"{account.url}/api/3/contacts", params={"email": email}, headers={"Api-Token": KEY}
        ) as answer:
            assert [contact["id"] for contact in (await answer.json())["contacts"]] == ["3"]
        users = {line["contact_id"]: line["user_id"] for line in await account.truth("delivered")}
        known = (await account.get("/api/3/contacts?limit=100"))["contacts"]
        assert all(users.get(int(each["id"]), each["segmentio_id"]) == each["segmentio_id"] for each in known)


async def test_the_reports_are_the_truth_with_first_times_and_counts() -> None:
    async with running() as account:
        opens = await account.truth("open")
        for campaign in (1, 2, 3):
            counted: dict[str, int] = {}
            page = 1
            while found := rows(await account.report("open_list", campaignid=campaign, page=page)):
                assert len(found) <= 20
                counted |= {row["subscriberid"]: int(row["times"]) for row in found}
                page += 1
            mine = [str(line["contact_id"]) for line in opens if line["campaign_id"] == campaign]
            assert counted == {id_: mine.count(id_) for id_ in mine}


async def test_a_report_is_in_us_central_time_and_a_bounce_has_a_date_alone() -> None:
    async with running(switched(report_page=0)) as account:
        row = rows(await account.report("open_list", campaignid=1))[0]
        assert row["tstamp_iso"] == row["tstamp"].replace(" ", "T") + "-05:00"
        bounces = rows(await account.report("bounce_list", campaignid=1))
        truth = [line for line in await account.truth("bounce") if line["campaign_id"] == 1]
        assert [row["subscriberid"] for row in bounces] == [str(line["contact_id"]) for line in truth]
        assert {len(row["tstamp"]) for row in bounces} == {10}


async def test_a_report_without_pages_gives_everything_whatever_page_is_asked_for() -> None:
    async with running(switched(report_page=0)) as account:
        first, second = [await account.report("unopen_list", campaignid=1, page=page) for page in (1, 2)]
        assert first == second
        opened = {line["contact_id"] for line in await account.truth("open") if line["campaign_id"] == 1}
        got = {line["contact_id"] for line in await account.truth("delivered") if line["campaign_id"] == 1}
        assert {int(row["subscriberid"]) for row in rows(first)} == got - opened
        beyond = await account.report("open_list", campaignid=99)
        assert (beyond["result_code"], bool(beyond["result_message"])) == (0, True)


async def test_the_pixel_is_among_the_links_with_rows_of_its_own() -> None:
    async with running(switched(report_page=100)) as account:
        links = rows(await account.report("link_list", campaignid=1))
        assert (links[0]["link"], bool(links[0]["info"])) == ("open", True)
        truth = {
            (line["contact_id"], line["link_id"]) for line in await account.truth("click") if line["campaign_id"] == 1
        }
        assert {(int(row["subscriberid"]), int(link["id"])) for link in links[1:] for row in link["info"]} == truth
        shown = (await account.get("/api/3/campaigns/1/links"))["links"]
        assert [link["messageid"] for link in shown if link["link"] == "open"] == ["0", "1000"]


async def test_a_registered_webhook_hears_of_its_events_and_sources_and_of_nothing_else() -> None:
    settings = replace(PAST, history="posted", paused=True)
    async with receiver() as (everything, got), receiver() as (some, few), running(settings) as account:
        for url, events, sources in (
            (everything, ["open", "click", "bounce", "unsubscribe"], ["public", "admin", "api", "system"]),
            (some, ["bounce", "unsubscribe"], ["public"]),
        ):
            given = {"name": "Test", "url": url, "events": events, "sources": sources}
            status, text = await account.call("POST", "/api/3/webhooks", {"webhook": given})
            assert (status, json.loads(text)["webhook"]["listid"]) == (201, "0")
        assert (await account.get("/progress"))["happenings"] == 0
        await account.call("POST", "/play", {"pause": False})
        await account.until_done()
        truth = await account.truth("open", "click", "bounce", "unsubscribe")
    assert len(got) == sum(line["webhooks"] for line in truth) == sum(line["due"] for line in truth)
    assert all(b"type=unsubscribe" in body and b"initiated_by=public" in body for body in few)
    assert len(few) == sum(line["kind"] == "unsubscribe" and line["initiated_by"] == "public" for line in truth)


async def test_a_webhook_for_one_list_hides_the_campaigns_to_others() -> None:
    settings = replace(PAST, history="posted", paused=True)
    async with receiver() as (url, got), running(settings) as account:
        given = {"name": "T", "url": url, "events": ["open"], "sources": ["public"], "listid": "3"}
        await account.call("POST", "/api/3/webhooks", {"webhook": given})
        await account.call("POST", "/play", {"pause": False})
        await account.until_done()
        truth = await account.truth("open")
    assert {line["campaign_id"] for line in truth} == {1, 2, 3}
    assert {line["campaign_id"] for line in truth if line["webhooks"]} == {2}
    assert got


async def test_a_webhook_that_answered_410_is_still_listed_and_only_a_new_one_works() -> None:
    settings = replace(PAST, history="posted", paused=True)
    async with receiver(410) as (url, got), running(settings) as account:
        given = {"name": "T", "url": url, "events": ["open"], "sources": ["public"]}
        await account.call("POST", "/api/3/webhooks", {"webhook": given})
        before = await account.get("/api/3/webhooks")
        for _ in range(2):
            await account.call("POST", "/test-button")
        await account.call("PUT", "/api/3/webhooks/1", {"webhook": given})
        await account.call("POST", "/test-button")
        assert (len(got), await account.get("/api/3/webhooks")) == (1, before)
        assert await account.call("DELETE", "/api/3/webhooks/1") == (200, "{}")
        assert (await account.call("DELETE", "/api/3/webhooks/1"))[0] == 404
        await account.call("POST", "/api/3/webhooks", {"webhook": given})
        await account.call("POST", "/test-button")
        assert len(got) == 2


async def test_more_than_the_accounts_rate_waits_and_bad_days_can_be_had() -> None:
    async with running(replace(PAST, api_per_s=5.0)) as account:
        answers = []
        for _ in range(8):
            async with account.http.get(f"{account.url}/api/3/users/me", headers={"Api-Token": KEY}) as answer:
                answers.append((answer.status, answer.headers.get("Retry-After")))
        assert answers[0] == (200, None)
        assert (429, "1") in answers
    for switch, status, beginning in (
        ("html_answers", 200, "<!DOC"),
        ("refusals", 403, "{"),
        ("server_errors", 500, "<"),
    ):
        async with running(switched(**{switch: 1.0})) as account:
            got = await account.call("GET", "/api/3/users/me")
            assert (got[0], got[1].startswith(beginning)) == (status, True)
            assert (await account.call("PUT", "/switches", {switch: 0}))[0] == 200
            assert (await account.call("GET", "/api/3/users/me"))[0] == 200


async def test_a_switch_that_does_not_exist_is_refused_in_a_sentence() -> None:
    async with running() as account:
        for wrong in ({"loses": 1}, {"losses": 2}, {"repeats": "often"}, []):
            status, text = await account.call("PUT", "/switches", wrong)
            assert (status, bool(json.loads(text)["error"])) == (400, True)


async def test_who_left_says_when_why_and_over_which_campaign() -> None:
    async with running(replace(PAST, contacts=3_000)) as account:
        page = await account.get("/api/3/contacts?status=2&include=contactLists&limit=100")
        left = {row["contact"]: row for row in page["contactLists"]}
        reasons: dict[str, tuple[str, str]] = {}
        for line in await account.truth("unsubscribe"):
            id_ = str(line["contact_id"])
            reasons[id_] = str(line["campaign_id"]), line["reason"] or reasons.get(id_, ("", ""))[1]
        assert {id_: (row["campaign"], row["unsubreason"]) for id_, row in left.items()} == reasons
        assert {row["status"] for row in left.values()} == {"2"}


async def test_user_ids_that_come_later_change_the_contacts() -> None:
    async with running(switched(user_ids="later")) as account:
        before = (await account.get("/api/3/contacts?limit=100"))["contacts"]
        assert {contact["segmentio_id"] for contact in before} == {""}
        await account.call("PUT", "/switches", {"user_ids": "set"})
        changed = await account.get("/api/3/contacts?limit=100&filters[updated_after]=2025-07-02T00:00:00-05:00")
        assert changed["contacts"]
        assert all(contact["segmentio_id"] for contact in changed["contacts"])


async def test_a_destination_can_write_contacts_tags_fields_and_companies() -> None:
    async with running() as account:

        async def write(path: str, body: Any, status: int = 201, method: str = "POST") -> Any:
            got, text = await account.call(method, f"/api/3/{path}", body)
            assert got == status, text
            return json.loads(text)

        contact = {
            "contact": {
                "email": "new+1@example.com",
                "firstName": "Zoë",
                "fieldValues": [{"field": "4", "value": "Oslo"}],
            }
        }
        id_ = (await write("contact/sync", contact))["contact"]["id"]
        assert (await write("contact/sync", contact, 200))["contact"]["id"] == id_
        assert (await write("contacts", contact, 422))["errors"][0]["code"] == "duplicate"
        tag = (await write("tags", {"tag": {"tag": "a, b", "tagType": "contact"}}))["tag"]["id"]
        row = (await write("contactTags", {"contactTag": {"contact": id_, "tag": tag}}))["contactTag"]["id"]
        assert (await account.get(f"/api/3/contacts/{id_}/contactTags"))["contactTags"][0]["tag"] == tag
        await write(f"contactTags/{row}", None, 200, "DELETE")
        await write(f"contactTags/{row}", None, 404, "DELETE")
        await write("contactLists", {"contactList": {"contact": id_, "list": "3", "status": "1"}}, 200)
        company = (await write("accounts", {"account": {"name": "Tea & Co"}}))["account"]["id"]
        await write("accounts", {"account": {"name": "Tea & Co"}}, 422)
        joined = {"accountContact": {"account": company, "contact": id_}}
        await write("accountContacts", joined)
        await write("accountContacts", joined, 422)
        seen = await account.get(f"/api/3/contacts/{id_}")
        assert [row["list"] for row in seen["contactLists"]] == ["3"]
        assert [row["value"] for row in seen["fieldValues"]] == ["Oslo"]
        assert [row["account"] for row in seen["accountContacts"]] == [company]
        await write(f"contacts/{id_}", None, 200, "DELETE")
        await write(f"contacts/{id_}", None, 404, "DELETE")


async def test_one_bad_contact_refuses_an_import_and_an_import_brings_nobody_back() -> None:
    async with running() as account:
        left = (await account.get("/api/3/contacts?status=2"))["contacts"][0]
        good = {"email": left["email"], "subscribe": [{"listid": 1}]}
        assert (await account.call("POST", "/api/3/import/bulk_import", {"contacts": [good, {"email": ""}]}))[0] == 400
        status, text = await account.call("POST", "/api/3/import/bulk_import", {"contacts": [good]})
        assert (status, json.loads(text)["Success"]) == (200, 1)
        info = await account.get(f"/api/3/import/info?batchId={json.loads(text)['batchId']}")
        assert info["success"] == [left["id"]]
        lists = (await account.get(f"/api/3/contacts/{left['id']}"))["contactLists"]
        assert {row["status"] for row in lists} == {"2"}


async def test_an_event_is_tracked_when_its_name_is_known_and_short() -> None:
    async with running() as account:
        email = (await account.get("/api/3/contacts?ids=1"))["contacts"][0]["email"]
        state = (await account.get("/api/3/eventTracking"))["eventTracking"]

        async def track(name: str) -> int:
            form = {"actid": state["actid"], "key": state["eventkey"], "event": name, "eventdata": "v"}
            form["visit"] = json.dumps({"email": email})
            async with account.http.post(f"{account.url}/event", data=form) as answer:
                assert answer.status == 200
                return int(json.loads(await answer.text())["success"])

        long = "x" * 33
        for name in ("Bought", long):
            await account.call("POST", "/api/3/eventTrackingEvents", {"eventTrackingEvent": {"name": name}})
        assert [await track(name) for name in ("Bought", "Unknown", long)] == [1, 0, 0]
        await account.call("PUT", "/switches", {"trackcmp": "accept"})
        assert await track("Unknown") == 1
        await account.call("PUT", "/api/3/eventTracking", {"eventTracking": {"enabled": False}})
        assert await track("Bought") == 0
        logs = (await account.get("/api/3/contacts/1/trackingLogs"))["trackingLogs"]
        assert [(row["type"], row["value"]) for row in logs] == [("Bought", "v"), ("Unknown", "v")]
