"""`headwater activecampaign` as its users run it: connect, look, read back, compare; a real process, a real server."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from test_cli_of_control import runner

from headwater import cli, config

API_KEY = "0123456789abcdef" * 4
URL = "https://acme.api-us1.com"
# a program that was started in the background ignores Ctrl-C, and so do those that it starts
HEARING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from headwater.cli import main
main()
"""
KEY_VARIABLE = "HEADWATER_ACTIVECAMPAIGN_API_KEY"


@pytest.fixture
def run(running, tmp_path):
    started = runner(running, tmp_path)
    return lambda *arguments, **environment: started("activecampaign", *arguments, **environment)


@pytest.fixture
def email(running):
    return running.control.sources.create(running.workspace.id, "email", "activecampaign")


@pytest.fixture
def connected(run, email):
    arguments = ("--account-url", URL, "--write-key", email.write_keys[0], "--json")
    status, out, err = run("connect", *arguments, **{KEY_VARIABLE: API_KEY})
    assert (status, err) == (0, "")
    return json.loads(out)


def test_an_account_is_connected_shown_switched_and_disconnected(running, run, connected):
    assert (connected["account"], connected["enabled"], connected["source"]["slug"]) == ("acme", True, "email")
    assert json.loads(run("status", "--json")[1]) == connected
    assert [each["id"] for each in json.loads(run("list", "--json")[1])] == [connected["id"]]
    assert run("list")[1].splitlines()[0].split()[:5] == ["id", "account", "source", "switch", "state"]
    assert "OFF" in run("disable")[1].splitlines()[0]
    assert running.control.snapshot().accounts[0].enabled is False
    for name in ("acme", URL, "acme.api-us1.com", "email", connected["id"]):
        assert "ON" in run("enable", name)[1].splitlines()[0]
    assert run("disconnect")[:2] == (0, "Disconnected.\n")
    assert running.control.snapshot().accounts == ()


@pytest.mark.usefixtures("connected")
def test_a_status_for_people_tells_state_next_step_and_every_figure(running, run):
    running.pipeline.run = {
        "id": "r1",
        "since": None,
        "kind": "backfill",
        "state": "running",
        "campaigns": {"total": 4, "done": 1},
        "rows": 1_234,
        "filled": 5,
        "calls": 77,
        "etaS": 600,
        "message": "",
    }
    status, out, err = run("status")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["acme", "ON", "waiting"]
    assert lines[1] == "Ready, waiting for the first event."
    told = {line.split("  ")[0].strip(): line for line in lines[2:]}
    assert "email (activecampaign), schema email" in told["source"]
    assert "ok, https://host/webhooks/activecampaign/••••" in told["webhook"]
    assert "nothing waits" in told["lag"]
    assert "3 calls in the last minute of 300, 40 in all, 1 answered" in told["budget"]
    assert "9 known, 4 with a user id; 5 by e-mail" in told["contacts"]
    assert "running, 1 of 4 campaigns, 1,234 rows read, 5 filled in, 77 calls, about 10 min left" in told["back-fill"]
    assert lines[-1] == "! Open tracking is off."


@pytest.mark.usefixtures("connected")
def test_a_pipeline_role_that_is_away_is_told_and_no_failure(running, run):
    running.pipeline.is_down = True
    status, out, _ = run("status")
    assert (status, out.splitlines()[0].split()) == (0, ["acme", "ON", "unknown"])
    assert "try again" in out.splitlines()[1]


def test_the_api_key_comes_from_the_environment_or_standard_input_and_is_never_shown(running, run, email, tmp_path):
    arguments = ["connect", "--account-url", URL, "--write-key", email.write_keys[0], "--api-key", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "headwater", "activecampaign", *arguments],
        env={
            **os.environ,
            "HEADWATER_URL": running.url.removesuffix("/api"),
            "HEADWATER_TOKEN": running.tokens["owner"],
        },
        input=f"{API_KEY}\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert API_KEY not in done.stdout
    assert running.control.snapshot().accounts[0].api_key == API_KEY
    changed = run(
        "update", "--set", "unsubscribed_too=yes", "--set", "merge_unsubscribes_s=0", **{KEY_VARIABLE: API_KEY}
    )
    assert changed[0] == 0
    assert running.control.snapshot().accounts[0].settings == {"unsubscribed_too": True, "merge_unsubscribes_s": 0}


def test_the_variable_of_the_key_does_not_stop_a_server(tmp_path):
    found = config.read({"data_dir": str(tmp_path)}, {KEY_VARIABLE: API_KEY})
    assert API_KEY not in repr(found)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("connect", "--account-url", URL, "--write-key", "x", "--api-key", "a" * 64), 1, "No source"),
        (("connect", "--account-url", URL, "--write-key", "x"), 2, KEY_VARIABLE),
        (("connect", "--api-key", API_KEY, "--write-key", "x"), 2, "--account-url"),
        (("status",), 1, "headwater activecampaign connect"),
        (("backfill",), 2, "--since"),
        (("backfill", "--since", "yesterday"), 1, "connect"),
        (("import-complaints", "nowhere.csv"), 2, "nowhere.csv"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_the_next_step(run, arguments, status, told):
    found = run(*arguments)
    assert (found[0], found[1]) == (status, "")
    assert told in found[2]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("status", "nothing"), 1, "headwater activecampaign list"),
        (("update",), 2, "--write-key"),
        (("update", "--api-key", "a" * 64), 1, "refuses this API key"),
        (("update", "--set", "nothing=1"), 2, "time_zone"),
        (("backfill", "--since", "yesterday"), 2, "2026-01-31"),
        (("backfill", "--since", "2999-01-01"), 1, "future"),
        (("backfill", "--since", "2026-01-01", "--campaign", "spring"), 1, "campaigns"),
        (("cancel", "r9"), 1, "no such run"),
        (("runs", "--count", "0"), 2, "--count"),
    ],
)
@pytest.mark.usefixtures("connected")
def test_what_is_wrong_with_a_connected_account_is_told_likewise(run, arguments, status, told):
    found = run(*arguments)
    assert (found[0], found[1]) == (status, "")
    assert told in found[2]


def test_several_accounts_must_be_named(running, run, connected):
    website = running.control.sources.create(running.workspace.id, "website", "http-api")
    other = ("--account-url", "https://other.api-us1.com", "--write-key", website.write_keys[0], "--api-key", API_KEY)
    assert run("connect", *other, "--set", "time_zone=Asia/Tokyo")[0] == 0
    assert running.control.snapshot().accounts[1].settings["time_zone"] == "Asia/Tokyo"
    status, _, err = run("status")
    assert (status, "acme, other" in err) == (1, True)
    assert json.loads(run("status", "acme", "--json")[1])["id"] == connected["id"]


def test_a_backfill_is_followed_to_its_end(running, run, connected):
    status, out, err = run("backfill", "--since", "2026-01-31T00:00:00Z", "--campaign", "7", "--campaign", "8")
    assert (status, out) == (0, "done, 2 of 2 campaigns, 1,000 rows read, 0 filled in, 3 calls\n")
    assert err.startswith("[############............]  1/2 campaigns  500 rows  3 calls  90 s left")
    asked = next(how for name, how in running.pipeline.asked if name == "backfill")
    assert asked == {
        "connection_id": connected["id"],
        "since": "2026-01-31T00:00:00.000000Z",
        "campaigns": ["7", "8"],
        "dry_run": False,
    }
    (listed,) = json.loads(run("runs", "--json")[1])
    assert (listed["state"], listed["rows"]) == ("done", 1_000)
    assert run("runs")[1].splitlines()[1].split()[:3] == ["r1", "backfill", "done"]


@pytest.mark.usefixtures("connected")
def test_a_backfill_that_fails_fails_the_command_and_a_dry_run_reads_nothing(running, run):
    running.pipeline.ending = "failed"
    status, out, _ = run("backfill", "--since", "2026-01-31", "--json")
    assert (status, json.loads(out)["state"]) == (1, "failed")
    status, out, err = run("backfill", "--since", "2026-01-31", "--dry-run")
    assert (status, out, err) == (0, "It would read about 900 rows.\nIt would take about 6 s.\n", "")
    assert json.loads(run("backfill", "--since", "2026-01-31", "--dry-run", "--json")[1])["rows"] == 900
    status, out, err = run("backfill", "--since", "2026-01-31", "--no-wait")
    assert (status, out.startswith("running"), err) == (0, True, "")
    assert run("cancel", "r1")[1].startswith("cancelled")


@pytest.mark.usefixtures("connected")
def test_leaving_a_backfill_with_ctrl_c_leaves_it_running_and_says_how_to_find_it(running, tmp_path):
    running.pipeline.is_slow = True
    server = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": running.tokens["owner"]}
    with subprocess.Popen(
        [sys.executable, "-c", HEARING, "activecampaign", "backfill", "--since", "2026-01-31"],
        env={**os.environ, **server},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while "runs" not in [name for name, _ in running.pipeline.asked] and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "It goes on in the server." in err
    assert "headwater activecampaign cancel r1" in err
    assert "Traceback" not in err
    assert running.pipeline.run["state"] == "running"


LOOKED = {"sentAt": None, "checkedAt": "2026-01-02T00:00:00Z", "readAt": None}
CAMPAIGNS = [
    {
        **LOOKED,
        "id": "7",
        "name": "Spring",
        "equal": False,
        "counts": {
            "opens": {"activeCampaign": 1_200, "headwater": 1_198, "filled": 3, "why": "2 are missing."},
            "delivered": {"activeCampaign": 5, "headwater": 5, "filled": 0, "why": ""},
        },
        "why": ["opens: 2 are missing."],
    },
    {**LOOKED, "id": "8", "name": "Summer", "equal": True, "counts": {}, "why": []},
]


@pytest.mark.usefixtures("connected")
def test_a_reconciliation_shows_both_counts_and_why_they_differ(running, run):
    running.pipeline.differences = CAMPAIGNS
    status, out, _ = run("reconcile")
    lines = out.splitlines()
    assert (status, lines[0]) == (0, "1 of 2 campaigns count the same on both sides (--all shows them).")
    assert lines[2].split() == ["campaign", "name", "opens", "clicks", "bounces", "unsubscribes", "delivered"]
    assert lines[3].split() == ["7", "Spring", "1,198/1,200", "5/5"]
    assert lines[4] == "7  opens: 2 are missing."
    assert lines[5:] == ["done, 2 of 2 campaigns, 1,000 rows read, 0 filled in, 3 calls"]
    assert "Summer" in run("reconcile", "--all")[1]
    told = json.loads(run("reconcile", "--campaign", "8", "--json")[1])
    assert (told["run"]["state"], told["campaigns"]) == ("done", CAMPAIGNS[1:])
    running.pipeline.ending = "failed"
    assert run("reconcile")[0] == 1


@pytest.mark.usefixtures("connected")
def test_a_secret_is_rotated_and_a_webhook_verified(running, run):
    before = running.control.snapshot().sources[0].webhook_secret
    status, out, _ = run("rotate-secret")
    source = running.control.snapshot().sources[0]
    assert (status, source.former_webhook_secret) == (0, before)
    assert "the former one works for 24 hours more" in out
    assert source.webhook_secret not in out
    assert "refused from now on" in run("rotate-secret", "--now")[1]
    assert running.control.snapshot().sources[0].former_webhook_secret == ""
    assert run("verify")[0] == 0
    assert running.pipeline.asked[-1][0] == "settle"


@pytest.mark.usefixtures("connected")
def test_complaints_are_imported_in_pieces_that_fit_a_request(running, run, tmp_path):
    rows = "\n".join(f"person{number}@example.org;{number}" for number in range(900))
    (tmp_path / "all.csv").write_text(f"\ufeffE-Mail;Campaign ID\n{rows}\n", encoding="utf-8")
    assert run("import-complaints", "all.csv")[:2] == (0, "Complaints taken: 900.\n")
    sent = [how["rows"] for name, how in running.pipeline.asked if name == "complaints"]
    assert [len(piece) for piece in sent] == [400, 400, 100]
    assert sent[2][-1] == {"email": "person899@example.org", "contactId": "", "campaignId": "899", "at": ""}
    (tmp_path / "bad.csv").write_text("email\nada@example.org\nnobody\n")
    status, out, err = run("import-complaints", "bad.csv", "--connection", "acme")
    assert (status, out) == (1, "")
    assert "line 3" in err
    assert len([name for name, _ in running.pipeline.asked if name == "complaints"]) == 3


@pytest.mark.usefixtures("connected")
def test_an_import_that_breaks_off_says_how_far_it_came(running, run, tmp_path):
    rows = "\n".join(f"person{number}@example.org" for number in range(500))
    (tmp_path / "all.csv").write_text(f"email\n{rows}\n")
    running.pipeline.complaints_max = 1
    status, _, err = run("import-complaints", "all.csv")
    assert status == 1
    assert "lines 402 to 501" in err
    assert "400 before them were taken" in err


def test_a_new_webhook_address_of_a_source_overlaps_unless_told(running, tmp_path, email):
    run = runner(running, tmp_path)
    status, out, _ = run("sources", "new-webhook-address", "email")
    source = running.control.snapshot().sources[0]
    assert (status, out) == (0, f"/webhooks/activecampaign/{source.webhook_secret}\n")
    assert source.former_webhook_secret == email.webhook_secret
    assert run("sources", "new-webhook-address", "email", "--now")[0] == 0
    assert running.control.snapshot().sources[0].former_webhook_secret == ""


def test_unmapped_webhooks_are_listed_and_mapped_again(running, tmp_path, email):
    run = runner(running, tmp_path)
    assert run("dead-letters", "list", "--unmapped")[1].splitlines()[1].split()[:2] == ["3", "s"]
    assert json.loads(run("dead-letters", "list", "--unmapped", "--source", "email", "--json")[1])[0]["inboxSeq"] == 3
    assert running.pipeline.asked[-1] == ("unmapped", {"source_id": email.id, "count": 50})
    assert json.loads(run("dead-letters", "show", "--unmapped", "3")[1])["body"] == "a=b"
    assert run("dead-letters", "retry", "--unmapped")[1] == "1 are mapped now, 2 still cannot be.\n"
    for wrong in (
        ("list", "--unmapped", "--event", "x"),
        ("retry", "7", "--unmapped"),
        ("retry", "--source", "email", "7"),
    ):
        assert run("dead-letters", *wrong)[0] == 2


def test_every_command_prints_json_when_asked():
    group = cli.root.get_command(None, "activecampaign")
    for each in group.commands.values():
        assert "--json" in [name for parameter in each.params for name in parameter.opts], each.name


@pytest.mark.usefixtures("connected")
def test_the_toggle_a_run_and_the_end_are_told_as_json(run):
    assert json.loads(run("disable", "--json")[1])["enabled"] is False
    assert json.loads(run("enable", "--json")[1])["enabled"] is True
    run("backfill", "--since", "2026-01-31", "--no-wait")
    assert json.loads(run("cancel", "r1", "--json")[1])["state"] == "cancelled"
    assert json.loads(run("disconnect", "--json")[1])["message"] == "Disconnected."


def test_every_command_shows_an_example():
    group = cli.root.get_command(None, "activecampaign")
    for each in (group, *group.commands.values()):
        assert "Example" in each.help, each.name
    assert set(group.commands) >= {"connect", "disconnect", "status", "backfill", "reconcile"}
