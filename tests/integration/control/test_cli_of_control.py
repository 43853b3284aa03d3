"""The commands as their users run them: real processes against a real server."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from headwater import cli

HOOK = "https://example.com/hook"


def runner(running, tmp_path):
    """Return a function that runs a command and returns (exit status, stdout, stderr)."""

    def started(*arguments, token="owner", **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        address = {
            "HEADWATER_URL": running.url.removesuffix("/api"),
            "HEADWATER_TOKEN": running.tokens.get(token, token),
        }
        done = subprocess.run(
            [sys.executable, "-m", "headwater", *arguments],
            env={**clean, **address, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return started


@pytest.fixture
def run(running, tmp_path):
    return runner(running, tmp_path)


def test_a_source_and_a_destination_are_managed_from_the_shell(running, run):
    status, out, _ = run("sources", "create", "website", "--type", "http-api", "--name", "Our website", "--json")
    source = json.loads(out)
    assert (status, source["slug"], source["name"]) == (0, "website", "Our website")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    arguments = ("--type", "webhook", "--name", "Hook", "--set", f"url={HOOK}", "--set-env", "secret=HOOK_SECRET")
    status, out, err = run("destinations", "create", "--source", "website", *arguments, HOOK_SECRET=secret)
    assert (status, err) == (0, "")
    assert HOOK in out
    assert secret not in out
    assert running.control.snapshot().destinations[0].settings["secret"] == secret
    assert run("destinations", "update", "Hook", "--set", "segment_signature=yes")[0] == 0
    assert running.control.snapshot().destinations[0].settings["segment_signature"] is True
    assert run("sources", "disable", "website")[:2] == (0, "Disabled source Our website.\n")
    status, out, _ = run("sources", "list")
    assert out.splitlines()[0].split() == ["id", "slug", "name", "type", "enabled"]
    assert out.splitlines()[1].split()[1:] == ["website", "Our", "website", "http-api", "no"]
    assert run("destinations", "delete", "Hook")[0] == 0
    assert running.control.snapshot().destinations == ()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("sources", "create", "Bad Slug", "--type", "http-api"), 1, "lower-case"),
        (("sources", "create", "site", "--type", "nothing"), 1, "catalog"),
        (("sources", "show", "nothing"), 1, "headwater sources list"),
        (("sources", "create", "site"), 2, "--type"),
        (("sources", "update", "site"), 1, "no source"),
        (("destinations", "create", "--source", "x", "--type", "webhook", "--set", "url"), 2, "NAME=VALUE"),
        (("destinations", "create", "--source", "x", "--type", "webhook", "--set", "nope=1"), 2, "nope"),
        (("destinations", "create", "--source", "x", "--type", "webhook", "--set-env", "url=NOT_SET"), 2, "NOT_SET"),
        (("query", "select 1", "--format", "parquet"), 2, "--output"),
        (("query", "select 1", "--warehouse", "nothing"), 1, "no warehouse"),
        (("replay", "--destination", "nothing"), 1, "no destination"),
        (("dead-letters", "retry"), 2, "--destination"),
        (("tail", "--source", "nothing"), 1, "no source"),
        (("token", "revoke", "nothing"), 1, "headwater serve --data-dir"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_the_next_step(shared, tmp_path, arguments, status, told):
    found = runner(shared, tmp_path)(*arguments)
    assert (found[0], found[1]) == (status, "")
    assert told in found[2]


def test_an_unreachable_server_and_a_refused_token_say_what_to_do(run):
    status, _, err = run("sources", "list", HEADWATER_URL="http://127.0.0.1:9")
    assert (status, "headwater serve" in err) == (1, True)
    status, _, err = run("sources", "list", token="hwt_wrong")
    assert (status, "headwater token create" in err) == (1, True)
    status, _, err = run("sources", "list", HEADWATER_URL="localhost:8080")
    assert (status, "--url" in err) == (2, True)


def test_a_read_only_token_changes_nothing(running, run):
    status, _, err = run("sources", "create", "site", "--type", "http-api", token="read-only")
    assert status == 1
    assert "source-admin" in err
    assert running.control.sources.all(running.workspace.id) == []


def test_query_prints_a_table_and_writes_every_format(running, run, tmp_path):
    assert run("query", "select 1")[1].split() == ["n", "big", "1", str(2**70)]
    assert run("query", "select 1", "--format", "csv", "--timeout", "5")[1] == "n\n1\n"
    for format_ in ("csv", "json", "parquet"):
        assert run("query", "select 1", "--format", format_, "--output", f"out.{format_}")[0] == 0
        assert (tmp_path / f"out.{format_}").read_text() == "n\n1\n"
    formats = [(asked[2], asked[3]["timeout_s"]) for asked in running.asking.asked]
    assert formats == [(10_000, 30.0), ("csv", 5.0), ("csv", 300.0), ("json", 300.0), ("parquet", 300.0)]


def test_a_query_that_fails_leaves_no_file(run, tmp_path):
    status, _, err = run("query", "wrong", "--format", "csv", "--output", "out.csv")
    assert (status, "wrong" in err, list(tmp_path.glob("*out*"))) == (1, True, [])


def test_query_shows_the_tables_and_their_columns(run):
    assert run("query", "--tables")[1].split() == [
        *("table", "column", "type"),
        *("site.tracks", "id", "VARCHAR"),
        *("site.users", "id", "VARCHAR"),
    ]
    assert json.loads(run("query", "--tables", "--format", "json")[1])["schemas"][0]["name"] == "site"
    assert run("query")[0] == 2


def test_sync_passes_on_whether_to_wait(running, run):
    assert run("sync", "--wait")[0] == 0
    assert run("sync", "Embedded")[0] == 0
    embedded = running.control.warehouses.get(running.workspace.id, "Embedded")
    waited = ("sync", {"warehouse_id": None, "wait": True})
    assert running.pipeline.asked == [waited, ("sync", {"warehouse_id": embedded.id, "wait": False})]


def test_tail_shows_the_newest_and_nothing_of_an_event_reaches_the_terminal_as_a_command(running, run):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    events = [
        {"type": "track", "event": f"E{number}\x1b[2J", "messageId": str(number), "receivedAt": "2026-01-01T00:00:00Z"}
        for number in range(3)
    ]
    asyncio.run(running.append(source.id, *events))
    status, out, _ = run("tail", "--last", "2", "--no-follow")
    assert status == 0
    assert [line.split()[2] for line in out.splitlines()] == ["E1\\x1b[2J", "E2\\x1b[2J"]
    assert json.loads(run("tail", "--last", "1", "--no-follow", "--json")[1])["event"] == events[-1]


def test_a_token_is_made_without_a_server_and_works_once_there_is_one(run, tmp_path):
    status, out, err = run("token", "create", "--name", "ci", "--data-dir", "made-here")
    assert (status, out.startswith("hwt_"), "not shown again" in err) == (0, True, True)
    assert (tmp_path / "made-here" / "secret.key").stat().st_mode & 0o077 == 0
    stored = (tmp_path / "made-here" / "control.db").read_bytes()
    assert out.strip().encode() not in stored
    listed = run("token", "list", "--data-dir", "made-here", "--json")[1]
    assert [(each["name"], each["role"]) for each in json.loads(listed)] == [("ci", "owner")]
    assert run("token", "revoke", "ci", "--data-dir", "made-here")[0] == 0
    assert json.loads(run("token", "list", "--data-dir", "made-here", "--json")[1]) == []


def test_on_the_servers_machine_the_data_directory_is_enough(running, run, tmp_path):
    directory = tmp_path / "there"
    (directory / "run").mkdir(parents=True)
    (directory / "run" / "server.json").write_text(json.dumps({"url": running.url.removesuffix("/api")}))
    (directory / "secret.key").write_bytes(b"k" * 32)
    (directory / "secret.key").chmod(0o600)
    nothing = {"HEADWATER_URL": "", "HEADWATER_TOKEN": ""}
    assert run("sources", "create", "site", "--type", "http-api", "--data-dir", "there", **nothing)[0] == 0
    (directory / "secret.key").write_bytes(b"another secret of another server")
    assert run("sources", "list", "--data-dir", "there", **nothing)[0] == 1


GROUPS = ("sources", "destinations", "warehouses", "token", "dead-letters", "rejections")


@pytest.mark.parametrize("name", [*GROUPS, "sync", "query", "tail", "replay"])
def test_every_command_shows_an_example(name):
    command = cli.root.get_command(None, name)
    for each in (command, *getattr(command, "commands", {}).values()):
        assert "Example" in each.help, (name, each.name)
