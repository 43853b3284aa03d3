"""What campaigns are called: asked once, remembered, never waited for for long."""

import asyncio

import pytest
import pytest_asyncio

from addressbook import Clock, address_book, until
from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.people.notes import FRESH_S, CampaignNotes, note_of
from headwater.sources.activecampaign.records import CampaignNote

LONG_S = 60.0


@pytest_asyncio.fixture
async def desk():
    async with address_book() as found:
        found.book.campaigns["8"] = {"id": "8", "name": "Spring", "type": "single", "status": "5", "messages": ["12"]}
        yield found


@pytest.fixture
def clock():
    return Clock()


@pytest_asyncio.fixture
async def notes(tmp_path, clock):
    found = CampaignNotes(tmp_path / "notes.sqlite", clock, wait_s=LONG_S)
    yield found
    await found.stop()
    found.close()


SPRING = CampaignNote(id="8", name="Spring", type="single", status="5", message_id="12", subject="Subject 12")


async def test_a_campaign_is_asked_for_once_however_many_events_want_it(desk, notes):
    notes.use({"src": desk.connected()})

    found = await asyncio.gather(*(notes.notes("src", {"8"}) for _ in range(20)))
    asked = len(desk.book.asked)
    again = await notes.notes("src", ["8"])

    assert [*found, again] == [{"8": SPRING}] * 21
    assert [each for each in desk.book.asked if each.get("campaign") == "8"] == [{"campaign": "8"}]
    assert len(desk.book.asked) == asked


def test_a_split_test_has_no_one_subject():
    campaign = Campaign("8", "Spring", message_ids=("12", "13"), subject="One of them")
    assert note_of(campaign) == CampaignNote(id="8", name="Spring")


async def test_a_deleted_campaign_is_not_asked_for_again_within_the_hour(desk, notes):
    notes.use({"src": desk.connected()})

    assert await notes.notes("src", ["9"]) == {}
    assert await notes.notes("src", ["9"]) == {}

    assert desk.book.asked == [{"campaign": "9"}]


async def test_after_an_hour_the_old_name_answers_and_the_new_one_follows(desk, notes, clock):
    notes.use({"src": desk.connected()})
    await notes.notes("src", ["8"])
    desk.book.campaigns["8"]["name"] = "Summer"
    desk.book.open.clear()

    clock.pass_(seconds=FRESH_S + 1)
    async with asyncio.timeout(10):
        assert (await notes.notes("src", ["8"]))["8"].name == "Spring"
    desk.book.open.set()

    async def is_renamed() -> bool:
        return (await notes.notes("src", ["8"]))["8"].name == "Summer"

    await until(is_renamed)


async def test_an_account_that_does_not_answer_costs_one_wait(desk, tmp_path, clock):
    desk.book.open.clear()
    notes = CampaignNotes(tmp_path / "notes.sqlite", clock, wait_s=0.05)
    notes.use({"src": desk.connected()})
    assert await notes.notes("src", ["8"]) == {}
    notes._wait_s = LONG_S

    async with asyncio.timeout(10):
        assert await notes.notes("src", ["8", "9"]) == {}
    await notes.stop()
    notes.close()


async def test_after_a_refusal_nobody_asks_for_a_while(desk, notes):
    desk.book.status, desk.book.status_after = 422, 0
    notes.use({"src": desk.connected()})

    assert await notes.notes("src", ["8"]) == {}
    assert await notes.notes("src", ["8", "9"]) == {}

    assert desk.book.asked == [{"campaign": "8"}]


async def test_names_survive_a_restart(desk, tmp_path, clock):
    first = CampaignNotes(tmp_path / "notes.sqlite", clock, wait_s=LONG_S)
    first.use({"src": desk.connected()})
    await first.notes("src", ["8", "9"])
    await first.stop()
    first.close()
    desk.book.asked.clear()

    second = CampaignNotes(tmp_path / "notes.sqlite", clock, wait_s=LONG_S)
    second.use({"src": desk.connected()})
    found = await second.notes("src", ["8", "9"])
    await second.stop()
    second.close()

    assert found == {"8": SPRING}
    assert desk.book.asked == []


@pytest.mark.parametrize("enabled", [True, False])
async def test_only_what_a_connected_account_can_have_is_asked_for(desk, notes, enabled):
    notes.use({"src": desk.connected(enabled=enabled)})

    assert await notes.notes("other", ["8"]) == {}
    assert await notes.notes("src", ["", "0", "../contacts", "٣"]) == {}

    assert desk.book.asked == []


async def test_nothing_is_left_under_way_for_an_account_that_is_gone(desk, notes):
    desk.book.open.clear()
    notes._wait_s = 0.01
    notes.use({"src": desk.connected()})
    await notes.notes("src", ["8"])

    notes.use({})
    await notes.stop()

    assert [task for task in asyncio.all_tasks() if "CampaignNotes" in repr(task)] == []
