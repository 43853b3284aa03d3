"""Which webhook at ActiveCampaign stays, what of it is changed, and which are one too many."""

import string

from hypothesis import given
from hypothesis import strategies as st

from headwater.sources.activecampaign.api.rows import WebhookRow
from headwater.sources.activecampaign.connection.registration import (
    ALL_LISTS,
    INITIATORS,
    NAME,
    Plan,
    Wanted,
    differences,
    owned,
    plan,
)

BASE = "https://events.example.com/webhooks/activecampaign/"
EVENTS = ("open", "click", "bounce", "unsubscribe", "sent")
WANTED = Wanted(BASE + "s3cret", EVENTS, (BASE + "f0rmer",))


def row(id_="1", url=WANTED.url, events=EVENTS, sources=INITIATORS, list_id="0", name=NAME):
    return WebhookRow(id_, name, url, tuple(events), tuple(sources), list_id)


def test_nothing_registered_means_create():
    assert plan([], WANTED) == Plan(None)
    assert plan([row(url="https://other.example.com/hook")], WANTED) == Plan(None)


def test_a_webhook_as_wanted_is_left_alone_whatever_the_order_of_its_members():
    right = row(events=reversed(EVENTS), sources=reversed(INITIATORS), list_id="", name="named by hand")
    assert plan([right], WANTED) == Plan(right)


def test_pitfall_39_a_webhook_that_hears_only_some_initiators_is_put_right():
    half = row(sources=("public",))
    assert plan([half], WANTED) == Plan(half, ("initiators",))
    assert set(INITIATORS) == {"public", "admin", "api", "system"}


def test_pitfall_40_a_webhook_for_one_list_is_put_right():
    one_list = row(list_id="3")
    assert plan([one_list], WANTED) == Plan(one_list, ("list",))
    assert ALL_LISTS == "0"


def test_changed_events_and_an_address_in_other_case_are_put_right():
    changed = row(url=WANTED.url.upper().replace("HTTPS", "https"), events=("open",))
    assert plan([changed], WANTED).differs == ("address", "events")


def test_a_host_in_other_case_or_with_its_default_port_is_the_same_address():
    assert differences(row(url="HTTPS://Events.Example.com:443/webhooks/activecampaign/s3cret"), WANTED) == ()


def test_of_doubled_webhooks_the_newest_right_one_stays():
    rows = [row("9", events=("open",)), row("8"), row("10")]
    assert plan(rows, WANTED) == Plan(rows[2], (), (rows[1], rows[0]))


def test_a_webhook_at_a_former_address_is_moved():
    former = row(url=BASE + "f0rmer")
    assert plan([former], WANTED) == Plan(former, ("address",))


def test_a_webhook_at_a_former_address_goes_once_the_new_one_is_there():
    rows = [row("1", url=BASE + "f0rmer"), row("2")]
    assert plan(rows, WANTED) == Plan(rows[1], (), (rows[0],))


def test_a_webhook_is_moved_when_the_public_address_changed():
    elsewhere = row(url="https://old.example.net/hw/webhooks/activecampaign/s3cret")
    assert plan([elsewhere], WANTED) == Plan(elsewhere, ("address",))


def test_a_webhook_with_a_forgotten_secret_is_known_by_its_id_unless_it_is_somebody_elses():
    wanted = Wanted(WANTED.url, EVENTS, (), "7")
    forgotten, foreign = row("7", url=BASE + "0lder"), row("7", url="https://other.example.com/hook")
    assert owned([forgotten], wanted) == (forgotten,)
    assert owned([foreign], wanted) == ()
    assert owned([row("8", url=BASE + "0lder")], wanted) == ()


URLS = st.sampled_from(
    [WANTED.url, WANTED.former_urls[0], BASE, BASE + "0ther", "https://x.example/h", "", "no url", "http://[", "/"]
) | st.text(string.printable, max_size=30)
ROWS = st.lists(
    st.builds(
        WebhookRow,
        id=st.sampled_from(["1", "2", "30", "x", ""]),
        name=st.just("n"),
        url=URLS,
        events=st.lists(st.sampled_from(EVENTS)).map(tuple),
        sources=st.lists(st.sampled_from(INITIATORS)).map(tuple),
        list_id=st.sampled_from(["0", "", "3"]),
    ),
    max_size=6,
)


@given(ROWS)
def test_whatever_is_registered_one_stays_and_no_others_are_touched(rows):
    found = plan(rows, WANTED)
    mine = owned(rows, WANTED)
    assert sorted([*([found.row] if found.row else []), *found.extra], key=repr) == sorted(mine, key=repr)
    assert all("s3cret" in each.url.lower() or "f0rmer" in each.url.lower() for each in mine)
    if found.row is not None and not found.differs:
        assert differences(found.row, WANTED) == ()
