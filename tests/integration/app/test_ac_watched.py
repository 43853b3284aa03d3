"""An operator's view of a connected account: /metrics and `headwater doctor` say how it does, and what to do."""

import json
import re

import pytest

from account import SimulatedAccount, connect, within
from program import Program

QUIET = ("--contacts", "50", "--history-campaigns", "1", "--history", "past", "--live-campaigns", "0", "--seed", "5")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched")
    with Program(directory, allow_networks="127.0.0.0/8") as program, SimulatedAccount(*QUIET) as account:
        yield program, account, connect(program, account, program.source("email", "activecampaign"))


def findings(program):
    return {each["name"]: each for each in json.loads(program.cli("doctor", "--json", check=False))["findings"]}


def labels(program, name):
    text = program.http("GET", "/metrics")[1].decode()
    return re.findall(rf'^{name}{{account="([^"]+)",state="([^"]+)"}} 1.0$', text, re.MULTILINE)


def test_metrics_tell_the_state_of_a_connection_its_calls_and_what_came_of_the_inbox(watched):
    program, _, connection = watched
    assert labels(program, "headwater_account_state") == [(connection["id"], "waiting")]
    assert program.metric("headwater_account_api_calls_total", account=connection["id"]) > 0
    before = program.metric("headwater_inbox_records_total", outcome="mapped")
    program.cli("activecampaign", "backfill", "--since", "2020-01-01")
    program.cli("sync", "--wait")
    assert program.metric("headwater_inbox_records_total", outcome="mapped") > before
    assert program.metric("headwater_inbox_events_total", outcome="new") == len(program.ids("email.tracks"))
    assert program.metric("headwater_account_run_rows", kind="backfill") > 0
    assert program.metric("headwater_account_run_active", kind="backfill") == 0


def test_doctor_says_what_to_do_when_the_account_refuses_the_key(watched):
    program, account, _ = watched
    name = "ActiveCampaign 127.0.0.1"
    assert findings(program)[name]["advice"] == ""
    account.send("PUT", "/switches", {"refusals": 1.0})
    try:
        program.cli("activecampaign", "verify", check=False)
        found = within(60, lambda: findings(program)[name]["advice"], "doctor has nothing to say")
        assert "key" in found
    finally:
        account.send("PUT", "/switches", {"refusals": 0.0})
