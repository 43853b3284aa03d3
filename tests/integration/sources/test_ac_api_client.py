"""The client of ActiveCampaign's API against answers of every kind: what it sends, repeats, believes and says."""

import asyncio
import logging
import traceback

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.activecampaign import patience
from headwater.activecampaign.client import RefusedError
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.sources.activecampaign.api.rows import OpenRow
from scripted import KEY, said, scripted

ME = {"user": {"username": "ada", "email": "ada@example.org", "firstName": "Ada", "lastName": "L", "id": "1"}}
HTML = "<!DOCTYPE html><title>Just a moment...</title>"
REPORT = {
    "0": {"subscriberid": "1", "email": "a@example.org", "tstamp": "2025-03-09 03:00:05", "times": "2"},
    "result_code": 1,
    "result_message": "Success: Something is returned",
    "result_output": "json",
}
NOTHING = {"result_code": 0, "result_message": "Failed: Nothing is returned", "result_output": "json"}
REFUSED = {"result_code": 0, "result_message": "You are not authorized to access this file"}


def told(error: BaseException) -> str:
    """Return all that a log could show of an error."""
    return "".join(traceback.format_exception(error))


async def test_the_key_is_in_a_header_and_the_answer_says_whose_it_is():
    async with scripted() as account:
        account.script.say(said(ME))
        assert await account.api.me() == "ada"
        (asked,) = account.script.asked
        assert (asked.method, asked.url, asked.headers["api-token"]) == ("GET", "/api/3/users/me", KEY)
        assert account.budget.use().total == account.api.calls == 1


@pytest.mark.parametrize(
    ("asked", "pauses"),
    [({"Retry-After": "7"}, [7.0]), ({"Retry-After": "0"}, [0.2]), ({}, [1.0]), ({"Retry-After": "soon"}, [1.0])],
)
async def test_pitfall_30_retry_after_pauses_everybody_who_calls_the_account(asked, pauses):
    async with scripted() as account:
        account.script.say(said(status=429, **asked), said(ME))
        await account.api.me()
        assert account.time.pauses == pauses
        assert account.budget.use().throttled == 1
        assert account.time.waits == []  # it is the account's bucket that waits, not this call


async def test_pitfall_30_a_date_in_retry_after_is_counted_by_the_services_own_clock():
    async with scripted() as account:
        date = {"Date": "Sun, 09 Mar 2025 08:00:00 GMT", "Retry-After": "Sun, 09 Mar 2025 08:00:09 GMT"}
        account.script.say(said(status=429, **date), said(ME))
        await account.api.me()
        assert account.time.pauses == [9.0]


async def test_pitfall_30_without_a_word_the_pauses_grow_and_the_call_ends_within_a_bound():
    async with scripted() as account:
        account.script.say(said(status=429))
        with pytest.raises(RetryableError) as caught:
            await account.api.me()
        assert account.time.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
        assert caught.value.after_s == 30.0
        assert account.budget.use().paused_s == 30.0  # the next caller waits as well


async def test_pitfall_30_a_pause_longer_than_a_call_may_last_is_kept_but_not_waited_for():
    async with scripted() as account:
        account.script.say(said(status=429, Retry_After="600"))
        with pytest.raises(RetryableError) as caught:
            await account.api.me()
        assert (account.time.pauses, caught.value.after_s) == ([], 600.0)
        assert account.budget.use().paused_s == 600.0


async def test_pitfall_31_a_passing_403_passes():
    async with scripted() as account:
        account.script.say(said({"message": "Forbidden"}, 403), said({"message": "Forbidden"}, 403), said(ME))
        assert await account.api.me() == "ada"
        assert account.time.waits == [0.5, 1.0]


@pytest.mark.parametrize("status", [401, 403])
async def test_pitfall_31_a_403_that_stays_is_the_key(status):
    async with scripted() as account:
        account.script.say(said({"message": "Forbidden"}, status))
        with pytest.raises(UnauthorizedError, match="copy it again from Settings, Developer"):
            await account.api.me()
        assert (account.time.waits, account.api.calls) == ([0.5, 1.0, 2.0], 4)


KINDS = {
    "ok": lambda: said(ME),
    "html": lambda: said(text=HTML),
    "empty": lambda: said(text=""),
    "refused": lambda: said({"message": "Forbidden"}, 403),
    "firewall": lambda: said(text=HTML, status=403),
    "throttled": lambda: said(status=429, Retry_After="1"),
    "silent": lambda: said(status=429),
    "down": lambda: said(status=503),
    "wrong": lambda: said({"errors": [{"title": "No"}]}, 422),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=24))
@settings(deadline=None, max_examples=60)
async def test_whatever_comes_a_call_ends_with_the_answer_or_one_of_three_errors(kinds):
    async with scripted() as account:
        account.script.say(*(KINDS[kind]() for kind in kinds))
        (outcome,) = await asyncio.gather(account.api.me(), return_exceptions=True)
        assert outcome == "ada" or isinstance(outcome, RetryableError | UnauthorizedError | DeliveryError)
        assert KEY not in (told(outcome) if isinstance(outcome, BaseException) else "")
        used = [kinds[min(place, len(kinds) - 1)] for place in range(account.api.calls)]
        assert "ok" not in used[:-1]
        assert "wrong" not in used[:-1]
        assert sum(kind == "refused" for kind in used) <= patience.REFUSALS_MAX + 1
        assert sum(kind in {"html", "empty", "firewall", "down"} for kind in used) <= patience.FAILURES_MAX + 1
        assert sum(account.time.pauses) <= patience.PAUSED_S_MAX


async def test_pitfall_31_a_firewalls_403_does_not_speak_of_the_key():
    async with scripted() as account:
        account.script.say(said(text=HTML, status=403))
        with pytest.raises(RetryableError, match="something in front of ActiveCampaign"):
            await account.api.me()
        assert account.api.calls == 4


@pytest.mark.parametrize("key", ["", "   ", "two words", "k\u00e9y", "line\nbreak"])
async def test_a_key_that_can_be_none_is_refused_without_a_request(key):
    async with scripted(key=key) as account:
        account.script.say(said(ME))
        with pytest.raises(UnauthorizedError):
            await account.api.me()
        assert account.script.asked == []


async def test_spaces_around_a_pasted_key_are_none_of_it():
    async with scripted(key=f" {KEY}\n") as account:
        account.script.say(said(ME))
        await account.api.me()
        assert account.script.asked[0].headers["api-token"] == KEY


@pytest.mark.parametrize(
    "useless",
    [
        said(text=HTML), said(text=""), said(text="  "), said([1, 2]), said(text="null"), said(text='{"user": '),
        said(text="[" * 60_000), said({"message": "Something"}), said(text="", status=204), said(status=500),
        said(text=HTML, status=502), said(status=408),
    ],
)  # fmt: skip
async def test_pitfall_31_what_is_no_json_object_is_no_answer(useless):
    async with scripted() as account:
        account.script.say(useless, useless, useless, said({"contacts": []}))
        assert await account.api.contacts_after("0") == []
        assert account.time.waits == [0.5, 1.0, 2.0]  # the bounds: chance makes them shorter
        account.script.say(useless)
        with pytest.raises(RetryableError):
            await account.api.contacts_after("0")
        assert account.api.calls == 8


async def test_a_service_that_asks_for_time_gets_it_unless_it_asks_for_too_much():
    async with scripted() as account:
        account.script.say(said(status=503, Retry_After="5"), said(ME))
        await account.api.me()
        assert account.time.waits == [5.0]
        account.script.say(said(status=503, Retry_After="900"))
        with pytest.raises(RetryableError) as caught:
            await account.api.me()
        assert caught.value.after_s == 900.0


async def test_an_answer_that_does_not_become_whole_is_asked_for_again():
    async with scripted(deadline_s=0.5) as account:

        def reply(_) -> web.Response:
            if len(account.script.asked) == 1:
                return web.Response(body=b"{", headers={"Content-Length": "1000"})
            return said(ME)

        account.script.reply = reply
        assert await account.api.me() == "ada"


@pytest.mark.parametrize("status", [301, 302, 304])
async def test_an_address_that_leads_elsewhere_is_not_followed(status):
    async with scripted() as account:
        account.script.say(said(status=status, Location="https://elsewhere.example"))
        with pytest.raises(DeliveryError, match="check the account URL"):
            await account.api.me()
        assert account.api.calls == 1


async def test_an_address_without_the_api_is_named():
    async with scripted() as account:
        account.script.say(said({"message": "Not here"}, 404))
        with pytest.raises(DeliveryError, match="no ActiveCampaign API at this address"):
            await account.api.me()


async def test_a_refusal_is_told_without_what_it_quotes():
    async with scripted() as account:
        errors = [{"title": f"The key {KEY} may not write to ada@example.org", "code": "field_invalid"}]
        account.script.say(said({"errors": errors}, 422))
        with pytest.raises(DeliveryError) as caught:
            await account.api.me()
        assert str(caught.value) == "ActiveCampaign refused the request (422). The key *** may not write to ***"
        assert (type(caught.value), account.api.calls) == (RefusedError, 1)
        account.script.say(said({}, 400))
        with pytest.raises(DeliveryError, match=r"\(400\)\.$"):
            await account.api.me()


async def test_an_answer_beyond_the_bound_says_so():
    async with scripted(answer_bytes_max=1000) as account:
        account.script.say(said({"contacts": ["x" * 2000]}))
        with pytest.raises(DeliveryError, match="more than the 1000 bytes"):
            await account.api.contacts_after("0")
        assert account.api.calls == 1


async def test_an_answer_of_exactly_the_bound_is_whole():
    async with scripted(answer_bytes_max=16) as account:
        account.script.say(said(text='{"contacts": []}'))
        assert await account.api.contacts_after("0") == []


async def test_pitfall_35_the_key_of_a_report_is_in_no_address_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    async with scripted() as account:
        account.script.say(said(REPORT))
        assert await account.api.opens("8", 3) == [OpenRow("1", "a@example.org", "2025-03-09 03:00:05", 2)]
        (asked,) = account.script.asked
        assert asked.method == "POST"
        assert asked.query == {
            "api_action": "campaign_report_open_list", "api_output": "json", "campaignid": "8", "page": "3"
        }  # fmt: skip
        assert asked.body == f"api_key={KEY}".encode()
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert KEY not in asked.url
        assert KEY not in caplog.text


async def test_pitfall_35_an_account_that_wants_the_key_in_the_query_gets_it_and_no_error_shows_it(caplog):
    caplog.set_level(logging.DEBUG)
    async with scripted() as account:
        account.script.reply = lambda asked: said(REPORT if "api_key" in asked.query else REFUSED)
        assert len(await account.api.opens("8", 1)) == 1
        before = len(account.script.asked)
        assert len(await account.api.opens("8", 2)) == 1
        assert [asked.method for asked in account.script.asked[before:]] == ["GET"]
        failing = [said(text="", status=500), said(text=HTML), said(status=422), said(status=301), said(status=404)]
        for answer in failing:
            account.script.reply = None
            account.script.say(answer)
            with pytest.raises(DeliveryError) as caught:
                await account.api.opens("8", 3)
            assert KEY not in told(caught.value)
        assert KEY not in caplog.text


async def test_pitfall_35_a_line_that_is_cut_tells_neither_the_key_nor_the_address():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with scripted() as account:
        account.script.reply = lambda asked: said(REPORT if "api_key" in asked.query else REFUSED)
        await account.api.opens("8", 1)  # from now on with the key in the query
        port = server.sockets[0].getsockname()[1]
        account.api._client._base = f"http://127.0.0.1:{port}"
        with pytest.raises(RetryableError) as caught:
            await account.api.opens("8", 2)
        assert KEY not in told(caught.value)
        assert str(port) not in str(caught.value)
    server.close()


async def test_pitfall_35_an_account_that_took_the_key_in_the_body_never_gets_it_in_the_query():
    async with scripted() as account:
        account.script.say(said(REPORT), said({"message": "Forbidden"}, 403))
        await account.api.opens("8", 1)
        with pytest.raises(UnauthorizedError):
            await account.api.opens("8", 2)
        assert {asked.method for asked in account.script.asked} == {"POST"}


async def test_pitfall_34_nothing_to_report_is_no_error():
    async with scripted() as account:
        account.script.say(said(NOTHING))
        assert await account.api.opens("8", 1) == []
        assert await account.api.clicks("8", 1) == []
        account.script.say(said({"result_code": 1, "result_message": "Success"}))
        assert await account.api.bounces("8", 1) == []


@pytest.mark.parametrize("message", ["No campaign found", "Campaign does not exist", "No rows", ""])
async def test_pitfall_34_a_campaign_that_is_gone_has_nothing_to_report(message):
    async with scripted() as account:
        account.script.say(said({"result_code": "0", "result_message": message}))
        assert await account.api.unopens("8", 1) == []


async def test_pitfall_34_other_failures_of_a_report_are_failures():
    async with scripted() as account:
        account.script.say(said({"result_code": 0, "result_message": "Database trouble with a@example.org"}))
        with pytest.raises(DeliveryError, match=r"refused the report: Database trouble with \*\*\*"):
            await account.api.opens("8", 1)
        assert [asked.method for asked in account.script.asked] == ["POST"]  # the key was taken: no other way is tried
        account.script.say(said(REFUSED))
        with pytest.raises(UnauthorizedError):
            await account.api.opens("8", 1)
        account.script.say(said({"message": "Something else"}))
        with pytest.raises(RetryableError):
            await account.api.opens("8", 1)
