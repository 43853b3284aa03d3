"""What the commands of delivery ask the control plane, what they print and how they end: real processes, real HTTP."""

import json
import os
import re
import subprocess
import sys

import pytest

from headwater.control.models import MASKED

HOOK = {"url": "https://example.com/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
CODE = "async function onTrack(event, settings) {\n\treturn event\n}\n"


def runner(running, tmp_path):
    """Return a function that runs a command and returns (exit status, stdout, stderr)."""

    def started(*arguments, said="", token="owner", **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        address = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": running.tokens[token]}
        done = subprocess.run(
            [sys.executable, "-m", "headwater", *arguments],
            env={**clean, **address, **environment},
            cwd=tmp_path,
            input=said,
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


@pytest.fixture
def destination(running):
    running.control.sources.create(running.workspace.id, "website", "http-api")
    return running.control.destinations.create(running.workspace.id, "website", "webhook", name="Hook", settings=HOOK)


@pytest.fixture(scope="module")
def unchanged(shared):
    """One control plane with a destination, for the tests that change nothing."""
    shared.control.sources.create(shared.workspace.id, "website", "http-api")
    shared.control.destinations.create(shared.workspace.id, "website", "webhook", name="Hook", settings=HOOK)
    return shared


def write(tmp_path, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    return name


def only_filter(running, destination):
    (found,) = running.control.filters.all(running.workspace.id, destination.id)
    return found


def only_mapping(running, destination):
    (found,) = running.control.subscriptions.all(running.workspace.id, destination.id)
    return found


def letter(number, destination, event="Bought"):
    return {
        "id": str(number),
        "destinationId": destination.id,
        "reason": "HTTP 400",
        "type": "track",
        "event": event,
        "attempts": 1,
        "diedAt": "2026-01-01T00:00:00+00:00",
    }


def test_a_filter_lives_from_the_shell(running, run, destination, tmp_path):
    what = ("--if", 'event = "Test"', "--sample", "10%", "--by", "userId", "--drop-fields", "properties.a,context.ip")
    status, out, err = run("filters", "create", "Hook", *what, "--allow-fields", "traits.email", "--json")
    assert (status, err) == (0, "")
    made = json.loads(out)
    assert (made["title"], made["if"], made["enabled"]) == ('event = "Test"', 'event = "Test"', True)
    assert made["actions"] == [
        {"type": "SAMPLE", "percent": 0.1, "path": "userId"},
        {"type": "DROP_PROPERTIES", "fields": {"properties": ["a"], "context": ["ip"]}},
        {"type": "ALLOW_PROPERTIES", "fields": {"traits": ["email"]}},
    ]
    listed = run("filters", "list", "Hook")[1]
    assert "sample 10% by userId; drop properties.a, context.ip; allow …" in listed
    assert run("filters", "disable", "Hook", made["id"])[1] == 'Disabled filter event = "Test".\n'
    assert only_filter(running, destination).enabled is False
    changed = run("filters", "update", "Hook", made["title"], "--title", "No tests", "--drop")
    assert (changed[0], "does     drop\n" in changed[1]) == (0, True)
    assert only_filter(running, destination).actions == ({"type": "DROP"},)
    shown = run("filters", "show", "Hook", "No tests", "--json")[1]
    write(tmp_path, "filter.json", {**json.loads(shown), "if": "all", "description": "why"})
    assert run("filters", "update", "Hook", "No tests", "--file", "filter.json")[0] == 0
    assert (only_filter(running, destination).condition, only_filter(running, destination).description) == (
        "all",
        "why",
    )
    assert run("filters", "enable", "Hook", "No tests", "--json")[0] == 0
    assert only_filter(running, destination).enabled is True
    assert run("filters", "delete", "Hook", "No tests")[:2] == (0, "Deleted filter No tests.\n")
    assert run("filters", "list", "Hook") == (0, "", "This destination has no filters; `create` makes one.\n")


def test_a_filter_is_tried_before_it_counts(running, run, destination, tmp_path):
    event = {"type": "track", "event": "Bought", "properties": {"a": 1, "b": 2}}
    write(tmp_path, "event.json", event)
    new = ("filters", "preview", "Hook", "--if", "all")
    status, out, _ = run(*new, "--drop-fields", "properties.a", "--event", "event.json")
    assert (status, json.loads(out)) == (0, {**event, "properties": {"b": 2}})
    assert run(*new, "--drop", "--event", "-", said=json.dumps(event)) == (0, "", "The event would not be sent.\n")
    assert json.loads(run(*new, "--sample", "1", "--json")[1])["result"]["event"] == "Order Completed"
    running.control.filters.create(
        running.workspace.id, destination.id, title="Kept", condition="all", actions=[{"type": "DROP"}]
    )
    assert run("filters", "preview", "Hook", "Kept")[1] == ""
    assert json.loads(run("filters", "preview", "Hook", "Kept", "--if", 'event = "x"')[1])["type"] == "track"


def test_a_mapping_lives_from_the_shell(running, run, destination, tmp_path):
    fields = ("--set", 'properties.who={"@path": "$.userId"}', "--set", 'properties.from="web"')
    status, out, err = run("mappings", "create", "Hook", "--trigger", 'type = "track"', *fields)
    assert (status, err) == (0, "")
    assert 'set properties.who   {"@path": "$.userId"}' in out
    made = only_mapping(running, destination)
    assert (made.name, made.fields) == (
        'type = "track"',
        {"properties.who": {"@path": "$.userId"}, "properties.from": "web"},
    )
    change = ("--name", "Orders", "--set", "properties.from=1", "--unset", "properties.who")
    assert run("mappings", "update", "Hook", made.id, *change)[0] == 0
    made = only_mapping(running, destination)
    assert (made.name, made.trigger, made.fields) == ("Orders", 'type = "track"', {"properties.from": 1})
    shown = json.loads(run("mappings", "show", "Hook", "Orders", "--json")[1])
    write(tmp_path, "mapping.json", {**shown, "name": "Again", "enabled": False})
    assert json.loads(run("mappings", "create", "Hook", "--file", "mapping.json", "--json")[1])["enabled"] is False
    listed = [line.split()[1:3] for line in run("mappings", "list", "Hook")[1].splitlines()[1:]]
    assert listed == [["Orders", "yes"], ["Again", "no"]]
    assert run("mappings", "disable", "Hook", "Orders")[1] == "Disabled mapping Orders.\n"
    assert run("mappings", "delete", "Hook", "Again")[1] == "Deleted mapping Again.\n"
    assert only_mapping(running, destination).enabled is False


def test_a_mapping_is_tried_before_it_counts(running, run, destination):
    running.control.subscriptions.create(
        running.workspace.id, destination.id, name="M", trigger='type = "track"', fields={"event": "E"}
    )
    found = json.loads(run("mappings", "preview", "Hook", "M", "--set", 'properties.p={"@path": "$.userId"}')[1])
    assert (found["event"], found["properties"]["p"]) == ("E", "user-1")
    away = run("mappings", "preview", "Hook", "M", "--event", "page")
    assert away == (0, "", "The mapping does not apply to this event.\n")
    assert only_mapping(running, destination).fields == {"event": "E"}


@pytest.mark.usefixtures("destination")
def test_a_function_lives_from_the_shell(running, run, tmp_path):
    write(tmp_path, "clean.js", CODE)
    settings = ("--setting", "token,required,secret", "--setting", "limits,array")
    create = ("functions", "create", "Clean", "--type", "insert", "--file", "clean.js", *settings)
    status, out, err = run(*create, "--deploy")
    assert (status, err, "takes    token (secret), limits\n" in out, "in use   newest\n" in out) == (0, "", True, True)
    attach = ("functions", "attach", "Clean", "Hook", "--set-env", "token=TOKEN", "--set", 'limits=["a"]')
    status, out, err = run(*attach, TOKEN="tok-1")
    assert (status, out) == (0, "Clean stands before Hook now.\n"), err
    (instance,) = running.control.insert_functions.all(running.workspace.id)
    assert (instance.enabled, instance.settings) == (True, {"token": MASKED, "limits": ["a"]})
    assert running.control.snapshot().inserts[0].settings["token"] == "tok-1"
    status, out, _ = run("functions", "show", "Clean")
    assert (status, "stands before  Hook\n" in out, "\n    return event\n" in out) == (0, True, True)
    assert "tok-1" not in run("functions", "show", "Clean", "--json")[1]
    write(tmp_path, "clean.js", CODE + "// 2\n")
    assert "in use   earlier code\n" in run("functions", "update", "Clean", "--file", "clean.js")[1]
    assert "in use   newest\n" in run("functions", "deploy", "Clean")[1]
    states = [line.split() for line in run("functions", "versions", "Clean")[1].splitlines()[1:]]
    assert [(each[0], each[-1]) for each in states] == [("2", "yes"), ("1", "no")]
    restored = json.loads(run("functions", "restore", "Clean", "1", "--deploy", "--json")[1])
    assert (restored["code"], restored["isLatestVersion"]) == (CODE, True)
    assert run("functions", "restore", "Clean", "9")[0] == 1
    assert "stands before a destination" in run("functions", "delete", "Clean")[2]
    detached = run("functions", "detach", "Clean", "Hook")
    assert detached[:2] == (0, "Clean no longer stands before Hook.\n")
    assert run("functions", "detach", "Clean", "Hook")[0] == 1
    assert run("functions", "list", "--type", "source")[1] == ""
    assert len(run("functions", "list", "--type", "insert")[1].splitlines()) == 2
    assert run("functions", "delete", "Clean")[:2] == (0, "Deleted function Clean.\n")


def test_one_of_several_places_is_named(running, run, destination):
    workspace = running.workspace.id
    function = running.control.functions.create(workspace, "INSERT_DESTINATION", name="Clean", code=CODE, author="a")
    running.control.functions.deploy(workspace, function.id)
    for name in ("First", "Second"):
        running.control.insert_functions.create(workspace, function.id, destination.id, name=name, settings={})
    status, _, err = run("functions", "detach", "Clean", "Hook")
    assert (status, "--name: First (" in err) == (1, True)
    assert run("functions", "detach", "Clean", "Hook", "--name", "First")[0] == 0
    assert [each.name for each in running.control.insert_functions.all(workspace)] == ["Second"]


def test_a_function_is_run_with_an_event(running, run, tmp_path):
    write(tmp_path, "clean.js", CODE)
    running.control.functions.create(running.workspace.id, "SOURCE", name="Orders", code=CODE, author="a")
    arguments = ("functions", "test", "--type", "insert", "--file", "clean.js", "--set", "token=abc")
    status, out, err = run(*arguments, "--event", "track")
    assert (status, err, out.splitlines()[:2]) == (0, "", ["console: hello", "Sent."])
    asked = running.pipeline.asked[-1][1]
    assert (asked["kind"], asked["code"], asked["settings"]) == ("insert", CODE, {"token": "abc"})
    assert asked["event"]["event"] == "Order Completed"
    request = write(tmp_path, "request.json", {"url": "https://localhost/", "headers": {}, "body": "{}"})
    assert json.loads(run("functions", "test", "Orders", "--event", request, "--json")[1])["kind"] == "sent"
    assert running.pipeline.asked[-1][1]["kind"] == "source"
    status, _, err = run("functions", "test", "Orders")
    assert (status, "gets a request" in err) == (2, True)
    assert run("functions", "test")[0] == 2


@pytest.mark.parametrize(
    ("outcome", "status", "sentence"),
    [
        ("delivered", 0, "Delivered."),
        ("filtered", 0, "Not sent: it is filtered before it gets there."),
        ("discarded", 1, "Not delivered; it would become a dead letter."),
    ],
)
def test_a_destination_is_tried_with_an_event(running, run, destination, outcome, status, sentence):
    running.pipeline.outcome = outcome
    found = run("destinations", "test", "Hook", "--sample", "identify")
    lines = found[1].splitlines()
    assert (found[0], lines[0], lines[1], lines[2]) == (
        status,
        "POST https://example.com/",
        "  {}",
        "HTTP 200 after 5 ms",
    )
    assert (lines[3], lines[5]) == ("  ok", sentence)
    asked = running.pipeline.asked[-1][1]
    assert (asked["event"]["type"], asked["as_is"], asked["destination_id"]) == ("identify", False, destination.id)


@pytest.mark.usefixtures("destination")
def test_an_event_of_ones_own_is_tried_as_it_is(running, run):
    event = {"type": "track", "event": "Mine", "userId": "u"}
    status, out, _ = run("destinations", "test", "Hook", "--event", "-", "--as-is", "--json", said=json.dumps(event))
    assert (status, json.loads(out)["sent"]) == (0, event)
    assert running.pipeline.asked[-1][1]["as_is"] is True
    assert run("destinations", "test", "Hook")[:2] == (0, "The destination answered.\n")
    assert running.pipeline.asked[-1][0] == "test"


@pytest.mark.usefixtures("destination")
def test_a_destinations_figures_are_a_table_and_a_line(running, run):
    status, out, err = run("destinations", "metrics", "Hook", "--granularity", "minute", "--since", "30m")
    assert (status, err) == (0, "")
    head, row, totals = out.splitlines()
    counts = ["received", "filtered", "first try", "on retry", "retried", "failed", "discarded"]
    assert re.split("  +", head) == ["at", *counts, "p50 s", "p95 s", "p99 s"]
    assert row.split()[2:] == ["9", "2", "4", "1", "3", "1", "0", "0.1", "0.2", "0.3"]
    assert totals == (
        "9 received, 2 filtered (FILTERED_BY_RULES 2), 4 first try, 1 on retry, 3 retried, 1 failed, 0 discarded. "
        "p50 0.1 s, p95 0.2 s, p99 0.3 s from receipt to delivery."
    )
    assert running.pipeline.asked[-1][1]["granularity"] == "minute"
    assert json.loads(run("destinations", "metrics", "Hook", "--json")[1])["totals"]["received"] == 9
    status, _, err = run("destinations", "metrics", "Hook", "--granularity", "minute", "--since", "3d")
    assert (status, "coarser" in err) == (1, True)


@pytest.mark.usefixtures("destination")
def test_pace_and_patience_are_set_from_the_shell(run):
    hook = ("--source", "website", "--type", "webhook", "--name", "Slow", "--set", f"url={HOOK['url']}")
    status, out, _ = run("destinations", "create", *hook, "--concurrency", "2", "--rate", "0.5", "--json")
    assert (status, json.loads(out)["delivery"]) == (
        0,
        {"concurrency": 2, "ratePerSecond": 0.5, "retryForHours": None},
    )
    status, out, _ = run("destinations", "update", "Slow", "--retry-for", "12", "--rate", "default")
    assert (status, "retry for hours  12" in out, "events a second" in out) == (0, True, False)
    assert json.loads(run("destinations", "disable", "Slow", "--json")[1])["enabled"] is False
    assert json.loads(run("destinations", "resume", "Slow", "--json")[1]) == {"resumed": True}
    assert json.loads(run("destinations", "delete", "Hook", "--json")[1])["name"] == "Hook"
    status, _, err = run("destinations", "update", "Slow", "--concurrency", "65")
    assert (status, "from 1 to 64" in err) == (1, True)


@pytest.mark.usefixtures("destination")
def test_a_replay_is_started_followed_and_ended(running, run):
    chosen = ("--user", "u1", "--rate", "5", "--from", "2026-01-01T00:00:00Z", "--source", "website")
    status, out, err = run("replay", "--destination", "Hook", *chosen, "--dry-run")
    assert (status, out, err) == (0, "At least 3 events would be delivered again.\n", "")
    asked = running.pipeline.asked[-1][1]
    assert (asked["user_id"], asked["rate_per_s"], asked["dry_run"]) == ("u1", 5, True)
    status, out, err = run("replay", "--destination", "Hook", *chosen, "--wait")
    bar = "[#########...............]  4/10 records  3 chosen  2 delivered  1 retrying  6 s left\n"
    assert (status, err.startswith(bar)) == (0, True)
    assert out == "[########################]  10/10 records  3 chosen  2 delivered  1 retrying  done\n"
    assert run("replays", "list", "--destination", "Hook")[1].splitlines()[1].split()[:5] == [
        "1",
        "Hook",
        "done",
        "100",
        "%",
    ]
    assert run("replay", "--destination", "Hook")[:2] == (
        0,
        "3 events are being delivered again.\n`headwater replays show 1` shows how far it is.\n",
    )
    status, out, _ = run("replays", "show", "1")
    assert (status, out.splitlines()[0].split()) == (0, ["id", "1"])
    assert "cancelled" in run("replays", "cancel", "1")[1]
    assert json.loads(run("replays", "show", "1", "--json")[1])["state"] == "cancelled"
    assert run("replays", "show", "2")[0] == 1
    assert run("replay", "--destination", "Hook", "--wait", "--dry-run")[0] == 2


def test_dead_letters_are_listed_by_what_they_have_in_common(running, run, destination):
    running.pipeline.letters = {str(number): letter(number, destination) for number in range(3)}
    chosen = ("--destination", "Hook", "--source", "website", "--event", "Bought", "--type", "track", "--since", "2d")
    status, out, _ = run("dead-letters", "list", *chosen, "--reason", "HTTP 400", "--message-id", "m", "--count", "2")
    assert (status, out.splitlines()[1].split()) == (
        0,
        ["0", "Bought", "Hook", "2026-01-01T00:00:00", "1", "HTTP", "400"],
    )
    asked = running.pipeline.asked[-1][1]
    assert (asked["destination_id"], asked["count"]) == (destination.id, 2)
    since = asked["chosen"].pop("since")
    assert since.endswith("+00:00")
    assert asked["chosen"] == {
        "sourceId": destination.source_id,
        "event": "Bought",
        "type": "track",
        "reason": "HTTP 400",
        "messageId": "m",
    }


def test_all_that_match_are_counted_and_asked_for(running, run, destination):
    running.pipeline.letters = {str(number): letter(number, destination) for number in range(3)}
    discard = ("dead-letters", "discard", "--destination", "Hook", "--reason", "HTTP 400")
    counted = {"ids": None, "destination_id": destination.id, "chosen": {"reason": "HTTP 400"}, "dry_run": True}
    status, out, err = run(*discard, said="n\n")
    assert (status, out, "Discard 3 dead letters? [y/N]" in err) == (1, "", True)
    status, _, err = run(*discard)
    assert (status, "--yes" in err) == (1, True)
    assert running.pipeline.asked == [("discard", counted)] * 2
    assert run(*discard, said="y\n")[:2] == (0, "3 are discarded.\n")
    assert running.pipeline.asked[-2:] == [("discard", counted), ("discard", {**counted, "dry_run": False})]
    assert run("dead-letters", "retry", "--all", "--yes", "--json")[:2] == (0, '{\n  "count": 3\n}\n')
    assert running.pipeline.asked[-1] == (
        "retry",
        {
            "ids": None,
            "destination_id": None,
            "chosen": {"destinationIds": [destination.id]},
            "dry_run": False,
        },
    )
    assert run("dead-letters", "retry", "1", "2")[:2] == (0, "2 are tried again.\n")
    running.pipeline.letters = {}
    assert run(*discard) == (0, "", "There are no such dead letters.\n")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("filters", "create", "Hook", "--drop"), 2, "--if"),
        (("filters", "create", "Hook", "--if", "all"), 2, "--drop-fields"),
        (("filters", "create", "Hook", "--if", "event =", "--drop"), 1, "if"),
        (("filters", "create", "Hook", "--if", "all", "--sample", "ten"), 2, "10%"),
        (("filters", "create", "Hook", "--if", "all", "--drop", "--by", "userId"), 2, "--sample"),
        (("filters", "create", "Hook", "--if", "all", "--drop-fields", "ip"), 2, "properties.ip"),
        (("filters", "create", "Hook", "--file", "nothing.json"), 2, "cannot be read"),
        (("filters", "create", "Hook", "--file", "broken.json"), 2, "line 1"),
        (("filters", "create", "Hook", "--file", "odd.json"), 2, "unknown member 'colour'"),
        (("filters", "create", "nothing", "--if", "all", "--drop"), 1, "destinations list"),
        (("filters", "show", "Hook", "nothing"), 1, "filters list"),
        (("filters", "preview", "Hook", "--if", "all", "--drop", "--event", "list.json"), 2, "no object"),
        (("mappings", "create", "Hook"), 2, "--trigger"),
        (("mappings", "create", "Hook", "--trigger", "all", "--set", "event=web"), 2, "'event=\"web\"'"),
        (("mappings", "create", "Hook", "--trigger", "all", "--set", 'event={"@no": 1}'), 1, "@no"),
        (("mappings", "update", "Hook", "nothing"), 2, "Nothing to change"),
        (("functions", "show", "nothing"), 1, "functions list"),
        (("functions", "create", "F", "--type", "insert", "--file", "odd.json", "--setting", "a,b"), 2, "NAME"),
        (("functions", "create", "F", "--type", "other", "--file", "odd.json"), 2, "insert"),
        (("destinations", "test", "Hook", "--as-is"), 2, "--sample"),
        (("destinations", "test", "Hook", "--sample", "track", "--event", "odd.json"), 2, "either"),
        (("destinations", "update", "Hook", "--rate", "fast"), 2, "default"),
        (("destinations", "metrics", "Hook", "--since", "lately"), 2, "2h"),
        (("dead-letters", "retry", "7", "--event", "x"), 2, "by id"),
        (("dead-letters", "list", "--unmapped", "--event", "x"), 2, "--unmapped"),
        (("replays", "cancel", "9"), 1, "no replay"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_the_next_step(unchanged, tmp_path, arguments, status, told):
    write(tmp_path, "broken.json", "{")
    write(tmp_path, "odd.json", {"if": "all", "colour": "red"})
    write(tmp_path, "list.json", [])
    found = runner(unchanged, tmp_path)(*arguments)
    assert (found[0], found[1]) == (status, "")
    assert told in found[2]


def test_who_may_only_read_sees_and_changes_nothing(running, run, destination):
    assert run("filters", "list", "Hook", token="read-only")[0] == 0
    status, _, err = run("filters", "create", "Hook", "--if", "all", "--drop", token="read-only")
    assert (status, "needs the role source-admin" in err) == (1, True)
    assert running.control.filters.all(running.workspace.id, destination.id) == []
