"""kill -9, an account that does not answer, a log that refuses: the tables equal what happened, each occurrence once.

The whole program against a simulated account over HTTP. What the account told while nobody listened is lost to
Headwater, as with the real service; the reports bring it.
"""

import contextlib
import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest

from account import SimulatedAccount, connect, run_to_its_end, status, within
from program import Program
from truth import differences, expected, stored

SCHEMA = "mail"
SETTINGS = {
    "account": "acme",
    "delivered_hold_h": 0,
    "backfill_repeats": True,
    "merge_unsubscribes_s": 3,
    "match_tolerance_s": 0,  # time runs so fast here that repeats follow within seconds
}
BAD_DAY = ("--repeats", "every", "--duplicates", "0.05", "--reorders", "0.3")
PATIENCE_S = 240.0


def seed():
    return int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def program_at(tmp_path, **settings):
    """Return a program that has the same address after every start, so that the account's webhook still reaches it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Program(tmp_path / "data", arguments=("--port", str(port)), allow_networks="127.0.0.0/8", **settings)


def connected(program, account):
    connection = connect(program, account, program.source(SCHEMA, "activecampaign"), SETTINGS)
    within(60, lambda: status(program, connection)["state"] == "waiting", "not ready for the first event")
    return connection


def wrong(program, account):
    """Return what is wrong in the tables; a webhook counts as told only where somebody took it."""
    program.api("POST", "/warehouses/embedded/sync", {"wait": True})
    told = ({**each, "webhooks": each["arrived"]} for each in account.truth())
    return differences(expected(told, account="acme"), stored(program.data_dir, SCHEMA), repeats=True)


def reconciled(program, account, connection):
    """Return what is wrong once nothing is left for the reconciliation to find."""
    left = [""]
    for _ in range(4):  # a pass may leave to the next what moved while it was read
        if not left:
            break
        run_to_its_end(program, connection, "reconcile", patience_s=PATIENCE_S)
        left = wrong(program, account)
    return left


def happened(account, count):
    within(PATIENCE_S, lambda: account.get("/progress")["happenings"] >= count, f"not {count} happenings in time")


def pipeline_of(program):
    """Return the process id of the pipeline role, 0 while there is none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            words = path.read_text().split("\0")
            if "--role" in words and words[words.index("--role") + 1] == "pipeline" and str(program.data_dir) in words:
                return int(path.parent.name)
    return 0


def kill_pipeline(program):
    pid = within(60, lambda: pipeline_of(program), "no pipeline role runs")
    os.kill(pid, signal.SIGKILL)
    within(60, lambda: pipeline_of(program) not in {0, pid}, "the pipeline role did not come back")


def backfill_of(program, connection):
    """Return the newest back-fill, {} while nobody answers."""
    with contextlib.suppress(AssertionError, OSError, KeyError):
        runs = program.api("GET", f"/activecampaign/connections/{connection['id']}/runs")["runs"]
        return next((run for run in runs if run["kind"] == "backfill"), {})
    return {}


def begin_backfill(program, connection):
    return program.api("POST", f"/activecampaign/connections/{connection['id']}/backfill", {})["run"]


def read_by(program, connection, rows):
    """Wait until so many rows were read."""
    within(60, lambda: backfill_of(program, connection).get("rows", 0) >= rows, f"not {rows} rows in time")


def done_backfill(program, connection):
    """Wait until the newest back-fill has ended by itself, and return it."""

    def ended():
        run = backfill_of(program, connection)
        return run if run.get("state") not in {None, "waiting", "running"} else None

    run = within(PATIENCE_S, ended, "the back-fill did not end")
    assert run["state"] == "done", run
    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [pytest.param(number, marks=pytest.mark.torture) for number in range(1, 6)] + [0])
def test_the_tables_equal_the_truth_after_headwater_was_down_for_the_middle_third(tmp_path, number):
    plan = ("--seed", str(6 + number), "--history-campaigns", "0", "--live-campaigns", "2", "--paused")
    people = ("--contacts", "400", "--recipients", "300", "--speed", "60")
    with SimulatedAccount(*plan, *people, *BAD_DAY) as account, program_at(tmp_path) as program:
        connection = connected(program, account)
        account.begin()
        happened(account, 120)  # of about 400
        program.kill()
        happened(account, 270)
        program.start()
        account.wait_until_played(PATIENCE_S)
        unheard = sum(bool(each["webhooks"]) and not each["arrived"] for each in account.truth())
        assert unheard > 100
        assert reconciled(program, account, connection) == []


def killed_while_webhooks_and_reports_come(tmp_path, number, kills, *, recipients):
    """Kill the pipeline role at random moments; return what is wrong in the end."""
    chance = random.Random(number)
    plan = ("--seed", str(number % 1000), "--history-campaigns", "3", "--live-campaigns", "0", "--history-rate", "150")
    people = ("--contacts", str(recipients * 5 // 4), "--recipients", str(recipients), "--paused")
    with SimulatedAccount(*plan, *people, *BAD_DAY, "--losses", "0.02") as account, program_at(tmp_path) as program:
        connection = connected(program, account)
        account.begin()
        happened(account, recipients // 4)
        begin_backfill(program, connection)
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 4.0))
            kill_pipeline(program)
        account.wait_until_played(PATIENCE_S)
        done_backfill(program, connection)
        run_to_its_end(program, connection, "backfill", patience_s=PATIENCE_S)  # what happened behind the first one
        return wrong(program, account)


@pytest.mark.timeout(600)
def test_a_pipeline_killed_again_and_again_between_webhooks_and_reports_loses_and_doubles_nothing(tmp_path):
    number = seed()
    print(f"seed {number}")
    assert killed_while_webhooks_and_reports_come(tmp_path, number, 4, recipients=300) == []


@pytest.mark.torture
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("_", range(10))
def test_many_kills_between_webhooks_and_reports_lose_and_double_nothing(tmp_path, _):
    number = seed()
    print(f"seed {number}")
    assert killed_while_webhooks_and_reports_come(tmp_path, number, 10, recipients=1_500) == []


PAST = ("--seed", "9", "--history", "past", "--history-campaigns", "3", "--live-campaigns", "0", "--paused")


@pytest.mark.timeout(600)
def test_a_killed_backfill_goes_on_by_itself_and_reads_little_twice(tmp_path):
    people = ("--contacts", "300", "--recipients", "250")
    calls = []
    for place, kill_at in enumerate(((), (20, 300, 700))):
        with SimulatedAccount(*PAST, *people) as account, program_at(tmp_path / str(place)) as program:
            connection = connected(program, account)
            begin_backfill(program, connection)
            for rows in kill_at:
                read_by(program, connection, rows)
                program.kill()
                program.start()
            done_backfill(program, connection)
            assert wrong(program, account) == []
            calls.append(account.get("/progress")["api"]["calls"])
    print(f"{calls[0]} calls, {calls[1]} with three kills")
    assert calls[1] < 2 * calls[0]


@pytest.mark.timeout(600)
def test_a_backfill_waits_while_the_log_refuses_and_goes_on(tmp_path):
    """A disk without room: the door answers 503, and what was read is neither lost nor marked as taken."""
    people = ("--contacts", "300", "--recipients", "250")
    with SimulatedAccount(*PAST, *people) as account, program_at(tmp_path) as program:
        connection = connected(program, account)
        begin_backfill(program, connection)
        read_by(program, connection, 20)
        program.stop()
        program.environment["HEADWATER_DISK_FREE_MB"] = "1000000"  # more than there is
        program.start()
        key = program.api("GET", "/sources")["sources"][0]["writeKeys"][0]
        assert program.http("POST", "/v1/track", {"writeKey": key, "userId": "u", "event": "E"})[0] == 503
        before = account.get("/progress")["api"]["calls"]
        within(60, lambda: account.get("/progress")["api"]["calls"] > before + 10, "the back-fill did not try to go on")
        assert backfill_of(program, connection)["state"] in {"waiting", "running"}
        program.stop()
        program.environment["HEADWATER_DISK_FREE_MB"] = "64"
        program.start()
        done_backfill(program, connection)
        assert wrong(program, account) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "trouble", ["server_errors", pytest.param("html_answers", marks=pytest.mark.torture), "refusals"]
)
def test_an_account_that_answers_nothing_useful_for_a_while_is_read_to_the_end_afterwards(tmp_path, trouble):
    """And 429 all the time: the account allows fewer requests than Headwater would make."""
    people = ("--contacts", "250", "--recipients", "200", "--api-rate", "3")
    with SimulatedAccount(*PAST, *people) as account, program_at(tmp_path) as program:
        connection = connected(program, account)
        begin_backfill(program, connection)
        read_by(program, connection, 20)
        account.send("PUT", "/switches", {trouble: 1.0})
        time.sleep(20.0)
        assert backfill_of(program, connection)["state"] in {"waiting", "running"}
        account.send("PUT", "/switches", {trouble: 0.0})
        done_backfill(program, connection)
        assert account.get("/progress")["api"]["throttled"] > 0
        assert wrong(program, account) == []
