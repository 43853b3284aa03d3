"""The ActiveCampaign destination on a simulated account: what each call leaves there."""

import asyncio
import contextlib

import pytest

from headwater.delivery.connection import Connection
from headwater.delivery.engine import Delivery
from headwater.destinations.activecampaign import CARD
from headwater.destinations.contract import Delivered, Discarded, Retry, Skipped, Unauthorized
from headwater.errors import DeliveryError, UnauthorizedError, UnsupportedError
from headwater.eventlog.memory import MemoryLog
from headwater.privacy.person import Person
from headwater.spec.event import Call
from receiver import QUICK, append, body, settled
from written_account import events, identify, track, written_account

ANN = "ann@example.net"
NAMED = {"email": ANN, "firstName": "Ann"}


@pytest.fixture
async def account(tmp_path):
    async with written_account(tmp_path) as account:
        yield account


async def sent(account, *bodies, **changes):
    return await account.destination(**changes).send(events(*bodies))


async def test_t080_a_contact_is_created_with_a_name_and_not_without(account):
    with_name, without = {"email": "a@example.net", "firstName": "Ann"}, {"email": "b@example.net"}
    first, second = await sent(account, identify(with_name), identify(without))
    assert first == Delivered()
    assert isinstance(second, Skipped)
    assert (await account.contact("a@example.net"))["firstName"] == "Ann"
    assert await account.contact("b@example.net") is None


async def test_a_contact_is_created_without_a_name_where_that_is_wanted(account):
    assert await sent(account, identify({"email": ANN}), require_name=False) == [Delivered()]
    assert await account.contact(ANN)


async def test_t081_a_contact_that_exists_is_changed_without_a_name(account):
    await sent(account, identify(NAMED))
    assert await sent(account, identify({"email": ANN, "phone": "+49 1"})) == [Delivered()]
    contact = await account.contact(ANN)
    assert (contact["firstName"], contact["phone"]) == ("Ann", "+49 1")


async def test_t082_the_user_id_is_kept_in_the_field_of_the_settings(account):
    await sent(account, identify(NAMED, userId="u-77"), user_id_field="%CITY%")
    assert (await account.fields(ANN))["4"] == "u-77"


async def test_t082_without_such_a_field_no_user_id_is_written(account):
    await sent(account, identify({**NAMED, "plan": "pro"}, userId="u-77"))
    assert "u-77" not in (await account.fields(ANN)).values()


async def test_t083_tags_are_added_and_taken_away_first_on_request(account):
    await sent(account, identify({**NAMED, "tags": ["a", "b"]}))
    assert await account.tags(ANN) == {"a", "b"}
    await sent(account, identify({"email": ANN, "tags": ["c"]}))
    assert await account.tags(ANN) == {"a", "b", "c"}
    await sent(account, identify({"email": ANN, "tags": ["d"], "tagsReset": 1}))
    assert await account.tags(ANN) == {"d"}
    await sent(account, identify({"email": ANN, "tagsReset": 1}))
    assert await account.tags(ANN) == set()


async def test_t084_a_trait_fills_the_field_of_its_name_and_others_are_ignored(account):
    assert await sent(account, identify({**NAMED, "shirtSize": "medium", "unknown": 1})) == [Delivered()]
    assert (await account.fields(ANN))["1"] == "medium"


@pytest.mark.parametrize("spelling", ["SHIRT_SIZE", "shirt size", "Shirt-Size", "%SHIRT_SIZE%", "shirtsize"])
async def test_t084_a_field_is_found_in_any_spelling(account, spelling):
    await sent(account, identify({**NAMED, spelling: "L"}))
    assert (await account.fields(ANN))["1"] == "L"


async def test_t085_several_choices_are_written_as_such(account):
    await sent(account, identify({**NAMED, "interests": ["tea", "cups"]}))
    assert (await account.fields(ANN))["7"] == "||tea||cups||"


async def test_t086_a_field_called_like_a_reserved_trait_is_never_written(account):
    _, made = await account.call("POST", "/api/3/fields", {"field": {"title": "Phone", "type": "text"}})
    await sent(account, identify({**NAMED, "phone": "+49 1"}))
    assert made["field"]["id"] not in await account.fields(ANN)
    assert (await account.contact(ANN))["phone"] == "+49 1"


async def test_t087_lists_are_joined_and_left_and_a_wrong_status_is_shown(account):
    lists = [{"id": 1, "status": "active"}, {"id": 3, "status": "unsubscribed"}]
    assert await sent(account, identify({**NAMED, "lists": lists})) == [Delivered()]
    assert await account.lists(ANN) == {"1": "1", "3": "2"}
    wrong = [{"id": 3, "status": "x"}, {"id": 99, "status": "active"}, {"id": 1, "status": "unsubscribed"}]
    (end,) = await sent(account, identify({**NAMED, "lists": wrong, "tags": ["t"]}))
    assert isinstance(end, Discarded)
    assert "list 3" in end.reason
    assert "list 99" in end.reason
    assert await account.tags(ANN) == {"t"}
    assert await account.lists(ANN) == {"1": "2", "3": "2"}


async def test_who_left_a_list_is_put_back_only_on_purpose(account):
    active = {"email": ANN, "lists": [{"id": 1, "status": "active"}]}
    await sent(account, identify({**NAMED, "lists": [{"id": 1, "status": "unsubscribed"}]}))
    (end,) = await sent(account, identify(active))
    assert isinstance(end, Skipped)
    assert (await account.lists(ANN))["1"] == "2"
    assert await sent(account, identify(active), resubscribe=True) == [Delivered()]
    assert (await account.lists(ANN))["1"] == "1"


async def test_t088_an_event_is_tracked_with_its_value(account):
    await sent(account, identify(NAMED))
    clicked = track("Clicked a button", {"acValue": "v", "email": ANN})
    assert await sent(account, clicked) == [Delivered()]
    assert await account.tracked(ANN) == [("Clicked a button", "v")]


async def test_t088_tracking_that_is_off_is_told(account):
    await account.call("PUT", "/api/3/eventTracking", {"eventTracking": {"enabled": False}})
    (end,) = await sent(account, track("A", {"email": ANN}))
    assert isinstance(end, Discarded)
    assert "Event tracking is off" in end.reason
    with pytest.raises(DeliveryError, match="Event tracking is off"):
        await account.destination().check()


async def test_an_event_name_is_looked_up_once(account):
    await sent(account, identify(NAMED))
    destination = account.destination()
    await destination.send(events(track("Seen", {"email": ANN})))
    before = await account.calls()
    await destination.send(events(*(track("Seen", {"email": ANN}) for _ in range(5))))
    after = await account.calls()
    assert (after["calls"] - before["calls"], after["tracked"] - before["tracked"]) == (0, 5)


async def test_an_unknown_event_name_is_told_where_none_may_be_made(account):
    (end,) = await sent(account, track("Never seen", {"email": ANN}), create_events=False)
    assert isinstance(end, Discarded)


async def test_t089_a_page_is_a_visit_of_its_contact(account):
    await sent(account, identify(NAMED))
    page = {"type": "page", "properties": {"url": "https://shop.example/a?b=1", "referrer": "https://x.example/"}}
    assert await sent(account, {**page, "context": {"traits": {"email": ANN}}}) == [Delivered()]
    assert await account.tracked(ANN) == [("__pagevisit", "https://shop.example/a?b=1")]


def test_t090_screen_calls_are_not_taken_and_group_and_alias_are():
    assert CARD.id == "55d66bb5ebe537b09c977fa3"
    assert set(Call) - CARD.calls == {Call.SCREEN}


async def test_t092_an_event_without_an_address_is_discarded_with_the_reason(account):
    (end,) = await sent(account, track("A"))
    assert isinstance(end, Discarded)
    assert "e-mail" in end.reason
    assert (await account.calls())["tracked"] == 0


async def test_an_address_is_remembered_from_an_identify_call(account):
    destination = account.destination()
    await destination.send(events(identify(NAMED, userId="u1", anonymousId="x")))
    ends = await destination.send(events(track("A", userId="u1"), track("B", userId=None, anonymousId="x")))
    assert ends == [Delivered(), Delivered()]
    assert await account.tracked(ANN) == [("A", ""), ("B", "")]


async def test_an_address_is_found_by_the_field_that_keeps_user_ids(account):
    await sent(account, identify(NAMED, userId="u-9"), user_id_field="4")
    assert await sent(account, track("A", userId="u-9"), user_id_field="4") == [Delivered()]
    assert await account.tracked(ANN) == [("A", "")]


async def test_t093_a_429_is_tried_again_and_nothing_is_done_twice(account):
    await account.switch(throttles=1.0)
    (end,) = await sent(account, identify(NAMED))
    assert isinstance(end, Retry)
    assert end.after_s
    await account.switch(throttles=0.0)
    assert await sent(account, identify(NAMED)) == [Delivered()]


async def test_t093_a_refused_key_pauses_the_connection(account):
    assert [type(end) for end in await sent(account, identify(NAMED), api_key="wrong")] == [Unauthorized]
    with pytest.raises(UnauthorizedError):
        await account.destination(api_key="wrong").check()


async def test_t094_events_of_the_accounts_own_source_are_not_sent_back(account):
    host = account.url.partition("://")[2].partition(":")[0]
    opened = track("Email Opened", {"email": ANN})
    loops = [{"name": "ActiveCampaign"}, {"name": "ActiveCampaign", "account": host.upper()}]
    before = await account.calls()
    ends = await sent(account, *({**opened, "context": {"integration": each}} for each in loops))
    assert [type(end) for end in ends] == [Skipped, Skipped]
    assert await account.calls() == before
    await sent(account, identify(NAMED))
    other = {**opened, "context": {"integration": {"name": "ActiveCampaign", "account": "other"}}}
    assert await sent(account, other) == [Delivered()]


async def test_a_group_is_an_account_of_exactly_this_name(account):
    await account.call("POST", "/api/3/accounts", {"account": {"name": "Acme Ltd"}})
    await sent(account, identify(NAMED))
    group = {"type": "group", "groupId": "g1", "traits": {"name": "Acme", "industry": "Tea"}}
    for _ in range(2):
        assert await sent(account, {**group, "context": {"traits": {"email": ANN}}}) == [Delivered()]
    rows = (await account.get("/api/3/accounts"))["accounts"]
    assert sorted(row["name"] for row in rows) == ["Acme", "Acme Ltd"]
    acme = next(row["id"] for row in rows if row["name"] == "Acme")
    assert [row["account"] for row in await account.part(ANN, "accountContacts")] == [acme]
    data = (await account.get(f"/api/3/accounts/{acme}/accountCustomFieldData"))["customerAccountCustomFieldData"]
    assert [(row["customFieldId"], row["fieldValue"]) for row in data] == [(1, "Tea")]


@pytest.mark.parametrize(("rule", "kind", "stays"), [("keep", Skipped, True), ("move", Delivered, False)])
async def test_a_contact_with_a_company_stays_or_moves(account, rule, kind, stays):
    await sent(account, identify(NAMED))
    groups = [{"type": "group", "traits": {"name": name}, "context": {"traits": {"email": ANN}}} for name in "AB"]
    await sent(account, groups[0])
    (before,) = await account.part(ANN, "accountContacts")
    (end,) = await sent(account, groups[1], group_conflict=rule)
    (after,) = await account.part(ANN, "accountContacts")
    assert isinstance(end, kind)
    assert (after["account"] == before["account"]) is stays


async def test_an_alias_changes_the_address_unless_it_is_taken(account):
    await sent(account, identify(NAMED), identify({"email": "bob@example.net", "firstName": "Bob"}))
    alias = {"type": "alias", "previousId": ANN, "userId": "new@example.net"}
    id_ = (await account.contact(ANN))["id"]
    assert await sent(account, alias) == [Delivered()]
    assert (await account.contact("new@example.net"))["id"] == id_
    assert isinstance((await sent(account, alias))[0], Skipped)
    (end,) = await sent(account, {"type": "alias", "previousId": "new@example.net", "userId": "bob@example.net"})
    assert isinstance(end, Discarded)


async def test_a_contact_that_was_deleted_meanwhile_is_looked_up_anew(account):
    destination = account.destination()
    tagged = events(identify({"email": ANN, "tags": ["t"]}, userId="ann"))
    await destination.send(events(identify(NAMED, userId="ann")))
    await account.call("DELETE", f"/api/3/contacts/{(await account.contact(ANN))['id']}")
    assert [type(end) for end in await destination.send(tagged)] == [Retry]
    assert [type(end) for end in await destination.send(tagged)] == [Skipped]


async def test_a_person_is_deleted_only_where_that_is_switched_on_and_forgotten_here_in_any_case(account):
    whom, bob = Person(user_ids=frozenset({"ann"})), {"email": "bob@example.net", "firstName": "Bob"}
    for is_on in (False, True):
        destination = account.destination(delete_contacts=is_on)
        await destination.send(events(identify(NAMED, userId="ann"), identify(bob, userId="bob")))
        if is_on:
            await destination.erase(whom)
            await destination.erase(Person(emails=frozenset({ANN})))  # whom it does not know is no error
        else:
            with pytest.raises(UnsupportedError):
                await destination.erase(whom)
        assert destination._people.meet([track("x", userId="ann")]) == ({}, {})
        assert (await account.contact(ANN) is None) is is_on
        assert await account.contact(bob["email"])


async def test_many_contacts_are_one_import(account):
    people = [identify({"email": f"p{n}@example.net", "firstName": f"P{n}", "tags": ["x"]}) for n in range(60)]
    people[7]["traits"]["shirtSize"] = "L"
    assert await sent(account, *people) == [Delivered()] * 60
    assert (await account.calls())["calls"] == 2  # the custom fields, and the import
    assert (await account.contact("p59@example.net"))["firstName"] == "P59"
    assert (await account.fields("p7@example.net"))["1"] == "L"
    assert await account.tags("p0@example.net") == {"x"}


async def test_a_contact_that_spoils_an_import_spoils_no_other(account, monkeypatch):
    people = [identify({"email": f"p{n}@example.net", "firstName": "P"}) for n in range(20)]
    real = account.outside.http.request

    async def choosy(method, url, *, body=b"", headers=None):
        if url.endswith("bulk_import") and b"p3@" in body:
            return type(await real("GET", account.url + "/progress"))(
                400, {}, b'{"success":0,"failureReasons":[{"contact":3,"failureReason":"no"}]}'
            )
        return await real(method, url, body=body, headers=headers)

    monkeypatch.setattr(account.outside.http, "request", choosy)
    assert await sent(account, *people) == [Delivered()] * 20
    assert await account.contact("p3@example.net")
    assert await account.contact("p19@example.net")


async def test_one_persons_calls_stay_in_order_and_out_of_the_import(account):
    many = [identify({"email": f"p{n}@example.net", "firstName": "P"}) for n in range(20)]
    calls = [
        identify(NAMED, userId="ann"),
        track("A", userId="ann"),
        identify({"email": ANN, "phone": "1"}, userId="ann"),
    ]
    assert await sent(account, *many, *calls) == [Delivered()] * 23
    assert await account.tracked(ANN) == [("A", "")]
    assert (await account.contact(ANN))["phone"] == "1"


@contextlib.asynccontextmanager
async def engine(account, log, home):
    delivery = Delivery(log, home, account.outside, rules=QUICK)
    settings = account.settings()
    delivery.apply([Connection("d1", "s1", "activecampaign", "AC", enabled=True, settings=settings)])
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        await delivery.stop()
        await task


async def test_a_storm_of_429s_and_a_restart_lose_nobody(tmp_path):
    people = [f"p{n}@example.net" for n in range(25)]
    log = MemoryLog()
    async with written_account(tmp_path, throttles=0.1) as account:
        async with engine(account, log, tmp_path) as delivery:
            named = [identify({"email": email, "firstName": "P"}, userId=email[:3]) for email in people]
            await append(log, *(body(f"i{n}", **each) for n, each in enumerate(named)))
            await settled(delivery, read=25, behind=0, retrying=0, dead=0)
        async with engine(account, log, tmp_path) as delivery:
            bought = [track("Bought", {"acValue": str(n)}, userId=email[:3]) for n, email in enumerate(people)]
            await append(log, *(body(f"t{n}", **each) for n, each in enumerate(bought)))
            await settled(delivery, read=50, behind=0, retrying=0, dead=0)
        await account.switch(throttles=0.0)
        for n, email in enumerate(people):
            assert await account.tracked(email) == [("Bought", str(n))]
        assert (await account.calls())["throttled"] > 0


async def test_t091_the_integrations_object_is_heeded_in_its_very_spelling(tmp_path):
    log = MemoryLog()
    async with written_account(tmp_path) as account, engine(account, log, tmp_path) as delivery:
        off, other = {"ActiveCampaign": False}, {"activecampaign": False}
        await append(log, body("m1", **identify(NAMED, integrations=off)))
        bob = identify({"email": "bob@example.net", "firstName": "Bob"}, integrations=other)
        await append(log, body("m2", **bob), body("m3", type="screen", name="Home"))
        await settled(delivery, read=3, behind=0, retrying=0, dead=0, delivered_first_try=1)
        assert await account.contact(ANN) is None
        assert await account.contact("bob@example.net")
