"""All contacts of an account are read once, then those that changed; what is cut is carried on."""

import asyncio

import pytest
import pytest_asyncio

from addressbook import Clock, address_book, until
from headwater.errors import DeliveryError
from headwater.sources.activecampaign.people.identities import NOBODY_FRESH_S, Identities
from headwater.sources.activecampaign.records import Person


@pytest_asyncio.fixture
async def desk():
    async with address_book() as found:
        yield found


@pytest.fixture
def clock():
    return Clock()


@pytest_asyncio.fixture
async def identities(tmp_path, clock):
    found = Identities(tmp_path / "identities.sqlite", clock)
    yield found
    await found.stop()
    found.close()


async def test_after_a_pass_live_events_ask_nobody(desk, identities):
    for id_ in range(1, 251):
        desk.book.add(id_, user_id=f"user-{id_}")
    identities.use({"src": desk.connected()})

    await identities.prime("src")
    passes = len(desk.book.asked)
    found = await identities.who("src", {str(id_): f"c{id_}@example.org" for id_ in range(1, 251)})

    assert found == {str(id_): Person(f"user-{id_}", "account") for id_ in range(1, 251)}
    assert [query["id_greater"] for query in desk.book.passes()] == ["0", "100", "200", "250"]
    assert len(desk.book.asked) == passes
    assert identities.counts("src") == {"known": 250, "withUserId": 250, "fallbacks": 0}


async def test_the_next_pass_reads_what_changed_and_corrects_what_is_held(desk, identities, clock):
    desk.book.add(1, user_id="user-1", udate="2026-02-01")
    desk.book.add(2, user_id="user-2", udate="2026-02-01")
    identities.use({"src": desk.connected()})
    await identities.prime("src")
    await identities.who("src", {"1": "c1@example.org", "2": "c2@example.org"})
    desk.book.add(1, user_id="", udate="2026-03-02")
    desk.book.add(2, user_id="unseen", udate="2026-02-01")

    clock.pass_(hours=1)
    await identities.prime("src")

    found = await identities.who("src", {"1": "c1@example.org", "2": "c2@example.org"})
    assert found == {"1": Person(), "2": Person("user-2", "account")}
    assert identities.counts("src")["withUserId"] == 1


async def test_a_pass_that_was_cut_goes_on_where_it_was_also_after_a_restart(desk, tmp_path, clock):
    for id_ in range(1, 251):
        desk.book.add(id_)
    desk.book.status, desk.book.status_after = 422, 2
    first = Identities(tmp_path / "identities.sqlite", clock)
    first.use({"src": desk.connected()})
    with pytest.raises(DeliveryError):
        await first.prime("src")
    await first.stop()
    first.close()

    desk.book.status = None
    desk.book.asked.clear()
    second = Identities(tmp_path / "identities.sqlite", clock)
    second.use({"src": desk.connected()})
    await second.prime("src")

    assert [query["id_greater"] for query in desk.book.passes()] == ["200", "250"]
    assert second.counts("src")["known"] == 250
    await second.stop()
    second.close()


async def test_what_a_later_pass_did_not_see_change_is_not_asked_for_again(desk, identities, clock):
    desk.book.add(1)
    identities.use({"src": desk.connected()})
    await identities.prime("src")
    clock.pass_(seconds=NOBODY_FRESH_S + 1)
    await identities.prime("src")
    asked = len(desk.book.asked)

    await identities.who("src", {"1": "c1@example.org"})
    await identities.stop()

    assert len(desk.book.asked) == asked


async def test_passes_run_by_themselves_and_end_with_the_account(desk, identities):
    desk.book.add(1, user_id="user-1")
    running = asyncio.create_task(identities.run())
    identities.use({"src": desk.connected()})
    await until(lambda: identities._primings["src"].primed_at > 0)
    assert len(desk.book.passes()) == 2
    assert identities.counts("src") == {"known": 1, "withUserId": 1, "fallbacks": 0}

    identities.use({})
    await until(lambda: not identities._leaving)
    identities.use({"src": desk.connected()})
    await until(lambda: len(desk.book.passes()) == 3)
    await identities.stop()
    await running

    assert "filters[updated_after]" in desk.book.passes()[2]
    assert [task for task in asyncio.all_tasks() if "Priming" in repr(task)] == []
