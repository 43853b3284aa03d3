"""Who a contact is: asked in batches, remembered, learnt from identify calls, and never waited for for long."""

import asyncio
import json

import pytest
import pytest_asyncio

from addressbook import START, Clock, address_book, until
from headwater.errors import DeliveryError, RetryableError
from headwater.sources.activecampaign.mapping import drafts
from headwater.sources.activecampaign.people.identities import NOBODY_FRESH_S, USER_FRESH_S, Identities
from headwater.sources.activecampaign.records import Person
from headwater.sources.contract import Webhook

LONG_S = 60.0  # a wait that a test would not survive: whoever answers meanwhile did not wait


@pytest_asyncio.fixture
async def desk():
    async with address_book() as found:
        yield found


@pytest.fixture
def clock():
    return Clock()


@pytest_asyncio.fixture
async def identities(tmp_path, clock):
    found = Identities(tmp_path / "identities.sqlite", clock, wait_s=LONG_S)
    yield found
    await found.stop()
    found.close()


def hurried(tmp_path, clock) -> Identities:
    return Identities(tmp_path / "identities.sqlite", clock, wait_s=0.05)


def identify(email: str, user_id: str, at: str = "2026-03-01T12:00:00.000Z", **members) -> bytes:
    call = {"type": "identify", "userId": user_id, "traits": {"email": email}, "timestamp": at, **members}
    return json.dumps(call).encode()


def is_answered(identities: Identities, contacts: dict[str, str], person: Person):
    """Return a look whether all of the contacts are that person by now."""

    async def look() -> bool:
        return await identities.who("src", contacts) == dict.fromkeys(contacts, person)

    return look


async def test_the_accounts_own_user_id_comes_first_and_is_asked_for_once(desk, identities):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    identities.learn("ws", [identify("ada@example.org", "another")])

    first = await identities.who("src", {"1": "ada@example.org"})
    second = await identities.who("src", {"1": "ada@example.org"})

    assert first == second == {"1": Person("user-1", "account")}
    assert desk.book.lookups() == [["1"]]


async def test_a_contact_without_user_id_is_whom_identify_calls_say(desk, identities):
    desk.book.add(1, "Ada@Example.org")
    desk.book.add(2)
    identities.use({"src": desk.connected()})
    identities.learn("ws", [identify("ada@example.org", "user-1")])
    identities.learn("elsewhere", [identify("c2@example.org", "user-2")])

    found = await identities.who("src", {"1": "ADA@example.org", "2": "c2@example.org", "x@example.org": ""})

    assert found == {"1": Person("user-1", "identify"), "2": Person(), "x@example.org": Person()}


async def test_the_source_may_refuse_what_identify_calls_say(desk, identities):
    desk.book.add(1, "ada@example.org")
    identities.use({"src": desk.connected(identify_feed=False)})
    identities.learn("ws", [identify("ada@example.org", "user-1")])

    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person()}


async def test_a_contact_without_id_is_known_by_address_alone_and_never_asked_for(desk, identities):
    identities.use({"src": desk.connected()})
    identities.learn("ws", [identify("ada@example.org", "user-1")])

    found = await identities.who("src", {"Ada@example.org": "Ada@example.org", "1,2": "eve@example.org"})

    assert found == {"Ada@example.org": Person("user-1", "identify"), "1,2": Person()}
    assert desk.book.asked == []


async def test_a_source_without_account_answers_at_once(identities):
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person()}
    assert identities.counts("src")["fallbacks"] == 0


async def test_pitfall_28_contacts_of_many_events_share_a_request(desk, identities):
    for id_ in range(1, 251):
        desk.book.add(id_, user_id=f"user-{id_}")
    identities.use({"src": desk.connected()})
    groups = [{str(id_): f"c{id_}@example.org"} for id_ in range(1, 251)]

    found = await asyncio.gather(*(identities.who("src", group) for group in groups))

    assert found == [{id_: Person(f"user-{id_}", "account")} for group in groups for id_ in group]
    asked = [id_ for ids in desk.book.lookups() for id_ in ids]
    assert sorted(asked, key=int) == [str(id_) for id_ in range(1, 251)]
    assert len(desk.book.lookups()) <= 4  # the first that came went alone, at once


async def test_pitfall_28_an_answer_that_is_late_serves_the_next_event(desk, tmp_path, clock):
    desk.book.add(1, "ada@example.org", "user-1")
    desk.book.open.clear()
    identities = hurried(tmp_path, clock)
    identities.use({"src": desk.connected()})

    in_time = await identities.who("src", {"1": "ada@example.org"})
    desk.book.open.set()

    await until(is_answered(identities, {"1": "ada@example.org"}, Person("user-1", "account")))
    assert in_time == {}
    assert desk.book.lookups() == [["1"]]
    assert identities.counts("src")["fallbacks"] >= 1
    await identities.stop()
    identities.close()


async def test_pitfall_28_identify_calls_answer_while_the_account_does_not(desk, tmp_path, clock):
    desk.book.open.clear()
    identities = hurried(tmp_path, clock)
    identities.use({"src": desk.connected()})
    identities.learn("ws", [identify("ada@example.org", "user-1")])

    found = await identities.who("src", {"1": "ada@example.org", "2": "bob@example.org"})

    assert found == {"1": Person("user-1", "identify")}
    assert identities.counts("src") == {"known": 0, "withUserId": 0, "fallbacks": 1}
    await identities.stop()
    identities.close()


async def test_pitfall_28_after_a_wait_in_vain_the_next_events_do_not_wait(desk, tmp_path, clock):
    desk.book.open.clear()
    identities = hurried(tmp_path, clock)
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})
    identities._wait_s = LONG_S

    async with asyncio.timeout(10):
        assert await identities.who("src", {"2": "bob@example.org"}) == {}
    await identities.stop()
    identities.close()


async def test_after_a_refusal_nobody_asks_for_a_while(desk, identities):
    desk.book.status, desk.book.status_after = 422, 0
    identities.use({"src": desk.connected()})

    await identities.who("src", {"1": "ada@example.org"})
    asked = len(desk.book.asked)
    async with asyncio.timeout(10):
        for id_ in range(2, 20):
            assert await identities.who("src", {str(id_): f"c{id_}@example.org"}) == {}

    assert len(desk.book.asked) == asked == 1
    assert identities.counts("src")["fallbacks"] == 19


async def test_pitfall_27_a_deleted_contact_is_nobodys_user_and_not_asked_for_again(desk, identities, clock):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person("user-1", "account")}
    del desk.book.contacts["1"]

    clock.pass_(seconds=USER_FRESH_S + 1)
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person("user-1", "account")}
    await until(is_answered(identities, {"1": "ada@example.org"}, Person()))
    assert len(desk.book.asked) == 2


async def test_pitfall_27_a_contact_whose_address_changed_keeps_its_user_and_is_looked_at_again(
    desk, identities, clock
):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})
    desk.book.add(1, "countess@example.org", "user-7")

    clock.pass_(seconds=61)
    assert await identities.who("src", {"1": "countess@example.org"}) == {"1": Person("user-1", "account")}
    await until(is_answered(identities, {"1": "countess@example.org"}, Person("user-7", "account")))
    assert len(desk.book.asked) == 2


async def test_pitfall_27_of_two_contacts_merged_the_one_that_is_left_has_the_user(desk, identities):
    desk.book.add(2, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})

    found = await identities.who("src", {"1": "old@example.org", "2": "ada@example.org"})

    assert found == {"1": Person(), "2": Person("user-1", "account")}


async def test_pitfall_29_a_user_id_that_is_known_later_changes_no_message_id(desk, tmp_path, clock):
    desk.book.add(17, "ada@example.org", "user-1")
    body = (
        b"type=open&date_time=2026-03-01T06%3A00%3A05-06%3A00&contact%5Bid%5D=17"
        b"&contact%5Bemail%5D=ada%40example.org&campaign%5Bid%5D=8&campaign%5Bmessage%5D%5Bid%5D=12"
    )
    draft = drafts.read(Webhook(0, "src", START, "application/x-www-form-urlencoded", body), {}).drafts[0]
    identities = hurried(tmp_path, clock)
    identities.use({"src": desk.connected()})
    desk.book.open.clear()

    early = drafts.identified(draft.body, (await identities.who("src", {"17": draft.email})).get("17"))
    desk.book.open.set()
    people, _ = await identities.people("src", {"17": draft.email})
    late = drafts.identified(draft.body, people["17"])

    assert early["anonymousId"] == "ada@example.org"
    assert early["context"]["integration"]["identity"] == "fallback"
    assert late["userId"] == "user-1"
    assert early["messageId"] == late["messageId"] == draft.message_id
    await identities.stop()
    identities.close()


async def test_that_there_is_no_user_id_is_believed_for_ten_minutes(desk, identities, clock):
    desk.book.add(1, "ada@example.org")
    identities.use({"src": desk.connected()})
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person()}
    desk.book.add(1, "ada@example.org", "user-1")

    clock.pass_(seconds=NOBODY_FRESH_S)
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person()}
    assert len(desk.book.asked) == 1
    clock.pass_(seconds=1)
    assert await identities.who("src", {"1": "ada@example.org"}) == {"1": Person()}
    await until(is_answered(identities, {"1": "ada@example.org"}, Person("user-1", "account")))
    assert len(desk.book.asked) == 2


async def test_what_is_known_survives_a_restart(desk, tmp_path, clock):
    desk.book.add(1, "ada@example.org", "user-1")
    first = hurried(tmp_path, clock)
    first.use({"src": desk.connected()})
    await first.people("src", {"1": "ada@example.org"})
    first.learn("ws", [identify("bob@example.org", "user-2")])
    await first.stop()
    first.close()

    second = hurried(tmp_path, clock)
    found = await second.who("src", {"1": "ada@example.org", "bob@example.org": "bob@example.org"})
    second.close()

    assert found == {"1": Person("user-1", "account"), "bob@example.org": Person("user-2", "identify")}
    assert second.counts("src") == {"known": 1, "withUserId": 1, "fallbacks": 0}


async def test_contacts_of_another_account_are_other_people(desk, identities):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})

    async with address_book() as other:
        other.book.add(1, "bob@example.org", "user-2")
        identities.use({"src": other.connected()})
        found = await identities.who("src", {"1": "bob@example.org"})
        await identities.stop()

    assert found == {"1": Person("user-2", "account")}


@pytest.mark.parametrize("leave", ["switched off", "gone"])
async def test_an_account_that_is_not_connected_is_not_asked_and_what_it_told_stays(desk, identities, leave):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})

    identities.use({"src": desk.connected(enabled=False)} if leave == "switched off" else {})

    found = await identities.who("src", {"1": "ada@example.org", "2": "bob@example.org"})
    assert found == {"1": Person("user-1", "account"), "2": Person()}
    assert len(desk.book.asked) == 1
    with pytest.raises(DeliveryError, match="not connected any more"):
        await identities.people("src", {"2": "bob@example.org"})


async def test_history_asks_for_everybody_in_full_batches_and_says_whose_opens_are_a_proxys(desk, identities):
    for id_ in range(1, 151):
        desk.book.add(id_, user_id=f"user-{id_}" if id_ % 2 else "", mpp_tracking="1" if id_ == 7 else "0")
    identities.use({"src": desk.connected()})
    contacts = {str(id_): f"c{id_}@example.org" for id_ in range(1, 152)}

    people, private = await identities.people("src", contacts)
    again, _ = await identities.people("src", contacts)

    expected = {id_: Person(f"user-{id_}", "account") if int(id_) % 2 else Person() for id_ in contacts}
    assert people == again == expected | {"151": Person()}
    assert private == {"7"}
    assert [len(ids) for ids in desk.book.lookups()] == [100, 51]
    assert identities.counts("src") == {"known": 151, "withUserId": 75, "fallbacks": 0}


async def test_history_is_told_that_the_account_fails(desk, identities):
    desk.book.status, desk.book.status_after = 422, 0
    identities.use({"src": desk.connected()})

    with pytest.raises(DeliveryError) as failed:
        await identities.people("src", {"1": "ada@example.org"})
    assert not isinstance(failed.value, RetryableError)


async def test_a_person_can_be_forgotten_and_no_address_is_in_the_file(desk, identities, tmp_path):
    desk.book.add(1, "ada@example.org", "user-1")
    desk.book.add(2, "bob@example.org", "user-2")
    identities.use({"src": desk.connected()})
    await identities.people("src", {"1": "ada@example.org", "2": "bob@example.org"})
    identities.learn("ws", [identify("ada@example.org", "user-1")])

    assert identities.forget("elsewhere", "ada@example.org") == 0
    assert identities.forget("ws", "ADA@example.org") == 2

    identities.use({})
    found = await identities.who("src", {"1": "ada@example.org", "2": "bob@example.org"})
    assert found == {"1": Person(), "2": Person("user-2", "account")}
    held = b"".join(each.read_bytes() for each in tmp_path.glob("identities.sqlite*"))
    assert (b"example.org" in held, b"user-1" in held, b"user-2" in held) == (False, False, True)


async def test_a_broken_disk_delays_no_event(desk, identities):
    desk.book.add(1, "ada@example.org", "user-1")
    identities.use({"src": desk.connected()})
    identities._book._connection.execute("drop table contacts")

    found = await identities.who("src", {"1": "ada@example.org"})

    assert found == {"1": Person("user-1", "account")}


async def test_after_the_stop_what_is_known_answers_and_a_run_that_ends_later_may_ask(desk, identities):
    desk.book.add(1, "ada@example.org", "user-1")
    desk.book.add(2, "bob@example.org", "user-2")
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})

    await identities.stop()

    found = await identities.who("src", {"1": "ada@example.org", "2": "bob@example.org"})
    assert found == {"1": Person("user-1", "account")}
    people, _ = await identities.people("src", {"2": "bob@example.org"})
    assert people == {"2": Person("user-2", "account")}


async def test_nothing_is_left_under_way_after_the_stop(desk, tmp_path, clock):
    desk.book.open.clear()
    identities = hurried(tmp_path, clock)
    running = asyncio.create_task(identities.run())
    identities.use({"src": desk.connected()})
    await identities.who("src", {"1": "ada@example.org"})
    await until(lambda: len(desk.book.asked) == 2)

    await identities.stop()
    await running
    identities.close()

    left = [task for task in asyncio.all_tasks() if "/headwater/sources/" in repr(task)]
    assert left == []
