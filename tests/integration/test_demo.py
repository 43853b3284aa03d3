"""The demo is the newcomer's first minute: email events arrive, land in tables and reach a destination."""

import json
import time

import pytest

from program import Program

EMAIL_EVENTS = {"email_delivered", "email_opened", "email_link_clicked", "email_bounced", "email_unsubscribed"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("demo") / "data", command="demo", arguments=("--speed", "5"))
    with program:
        yield program


def within_a_minute(look):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError("not within a minute")


def test_email_events_of_all_kinds_reach_the_warehouse_within_a_minute(demo):
    def all_kinds():
        rows = json.loads(demo.cli("query", QUERY, "--format", "json", check=False) or "[]")
        return (
            {row["event"]: row["n"] for row in rows if row["n"]}
            if {row["event"] for row in rows} == EMAIL_EVENTS
            else {}
        )

    assert within_a_minute(all_kinds)


FUNNEL = """
select sum(delivered) as delivered, sum(clicked) as clicked, max(revenue) as revenue from headwater.campaigns
"""
QUERY = "select event, count(*) as n from activecampaign.tracks group by 1"


def test_clicks_lead_to_orders(demo):
    def orders():
        return json.loads(
            demo.cli("query", "select count(*) as n from website.order_completed", "--format", "json", check=False)
            or "[]"
        )

    assert within_a_minute(lambda: orders() and orders()[0]["n"] > 0)


def test_the_models_tell_who_clicked_and_ordered(demo):
    def funnel():
        [found] = json.loads(demo.cli("query", FUNNEL, "--format", "json", check=False) or "[{}]")
        return found if found.get("revenue") else {}

    found = within_a_minute(funnel)
    assert found["delivered"] > found["clicked"] > 0


def test_the_destination_receives_signed_events(demo):
    def delivered():
        connections = json.loads(demo.cli("destinations", "list", "--json"))
        return connections and demo.metric("headwater_delivery_events_total", outcome="delivered_first_try")

    assert within_a_minute(delivered) > 0


def test_what_people_do_in_the_shop_goes_to_the_account(demo):
    def account():
        known = json.loads(demo.cli("destinations", "list", "--json"))
        return [each["id"] for each in known if each["metadata"]["slug"] == "activecampaign"]

    [destination] = within_a_minute(account)
    labels = {"destination": destination, "outcome": "delivered_first_try"}
    assert within_a_minute(lambda: demo.metric("headwater_delivery_events_total", **labels)) > 0
    assert demo.metric("headwater_delivery_dead_letters", destination=destination) == 0


def test_the_pages_are_open_to_everybody_on_this_machine(demo):
    status, page = demo.http("GET", "/default/sources")
    assert status == 200
    assert b"ActiveCampaign" in page


def test_tail_shows_email_events_as_they_arrive(demo):
    line = demo.first_line("tail", "--source", "activecampaign", "--json")
    assert json.loads(line)["event"]["event"].startswith("Email ")
