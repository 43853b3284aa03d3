"""What the commands of warehouses ask, print and end with: real processes, real HTTP."""

import json
import os
import subprocess
import sys

import pytest
from warehouse_desk import load

from headwater.cli.warehouse_family import PRESETS
from headwater.control.loads import PRESETS as KNOWN
from headwater.loading.rules import SEGMENT, Conflicts
from headwater.loading.schedule import Mode, Schedule
from headwater.loading.selection import Excluded
from headwater.models import Models


@pytest.fixture
def run(running, tmp_path):
    """Return a function that runs `headwater warehouses ...` and returns (exit status, stdout, stderr)."""

    def started(*arguments, token="owner", said="", **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        address = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": running.tokens[token]}
        done = subprocess.run(
            [sys.executable, "-m", "headwater", "warehouses", *arguments],
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
def source(running):
    return running.control.sources.create(running.workspace.id, "site", "http-api")


def state(running):
    return running.control.warehouses.all(running.workspace.id)[0]


def last(running, name):
    return [how for asked, how in running.pipeline.asked if asked == name][-1]


def test_the_names_of_the_sets_of_rules_are_the_ones_there_are():
    assert set(PRESETS) == set(KNOWN)


def test_a_connection_is_tried_and_a_failure_is_the_exit_status(running, run):
    assert run("test", "Embedded") == (0, "The warehouse answered.\n", "")
    running.pipeline.is_reachable = False
    code, out, error = run("test", "--type", "embedded", "--set", "directory=/tmp/x")
    assert (code, out) == (1, "")
    assert error == "Error: The warehouse refuses the password; enter it again.\n"
    code, out, _ = run("test", "Embedded", "--json")
    assert (code, json.loads(out)["status"]) == (1, "FAILED")
    assert run("test")[0] == 2


def test_rules_are_shown_and_changed(running, run):
    code, out, _ = run(
        "rules", "Embedded", "--preset", "segment", "--conflicts", "overflow", "--string-chars-max", "whole"
    )
    assert code == 0
    rules = state(running).rules
    assert (rules.conflicts, rules.string_chars_max, rules.arrays) == (Conflicts.OVERFLOW, None, SEGMENT.arrays)
    heads, *lines = out.splitlines()
    assert heads.split()[:4] == ["rule", "here", "headwater", "segment"]
    assert lines[1].split()[:4] == ["stringCharsMax", "whole", "whole", "512"]
    assert json.loads(run("rules", "Embedded", "--json")[1])["conflicts"] == "overflow"
    assert run("rules", "Embedded", "--string-chars-max", "many")[0] == 2
    code, _, error = run("rules", "Embedded", "--string-chars-max", "3")
    assert (code, "16 to 1,000,000" in error) == (1, True)
    assert run("rules", "Embedded", "--no-caps", token="read-only")[0] == 1


def test_a_schedule_is_shown_and_changed(running, run):
    assert run("schedule", "Embedded")[1] == "Embedded is loaded all the time.\n"
    code, out, _ = run("schedule", "Embedded", "--at", "18:30", "--at", "06:00", "--zone", "Europe/Berlin")
    assert (code, out) == (0, "Embedded is loaded at 06:00, 18:30 (Europe/Berlin).\n")
    assert state(running).schedule == Schedule(Mode.TIMES, 60, ("06:00", "18:30"), "Europe/Berlin")
    assert run("schedule", "Embedded", "--every", "15")[1] == "Embedded is loaded every 15 minutes.\n"
    assert run("schedule", "Embedded", "--manual")[1] == "Embedded is loaded only when asked.\n"
    assert run("schedule", "Embedded", "--manual", "--every", "5")[0] == 2
    code, _, error = run("schedule", "Embedded", "--at", "25:00")
    assert (code, "from 00:00 to 23:59" in error) == (1, True)


def test_models_and_days_are_set(running, run):
    code, out, _ = run("models", "Embedded", "--conversion", "Trial Started", "--window-days", "14")
    assert (code, "trial_started" in out) == (0, True)
    assert state(running).models == Models(conversions=("trial_started",), window_days=14)
    code, out, _ = run("update", "Embedded", "--keep-days", "30", "--rules", "segment")
    assert (code, "30 days" in out, state(running).rules) == (0, True, SEGMENT)
    assert run("update", "Embedded", "--keep-days", "forever")[0] == 0
    assert state(running).keep_days is None
    assert run("update", "Embedded", "--keep-days", "some")[0] == 2
    assert run("update", "Embedded")[0] == 2
    code, out, _ = run("create", "--type", "embedded", "--name", "Two", "--keep-days", "7", "--json")
    assert json.loads(out)["keepDays"] == 7


def test_collections_and_properties_are_left_out_and_taken_in_again(running, run, source):
    both = ("--collection", "identifies", "--property", "email", "--property", "phone")
    code, out, error = run("exclude", "Embedded", "--source", "site", *both)
    assert (code, out) == (
        0,
        "site, identifies: email, phone is not loaded any more into Embedded; rows that are there stay.\n",
    )
    assert "no collection identifies yet" in error
    assert state(running).excluded == {
        Excluded(source.id, "identifies", "email"),
        Excluded(source.id, "identifies", "phone"),
    }
    assert run("exclude", "Embedded", "--source", "site", *both)[1] == "It is so already.\n"
    assert run("include", "Embedded", "--source", "site", "--collection", "identifies", "--property", "phone")[0] == 0
    code, out, _ = run("selection", "Embedded")
    assert [line.split() for line in out.splitlines()] == [
        ["source", "collection", "loaded", "properties"],
        ["site", "identifies", "yes", "1,", "without", "email"],
        ["site", "tracks", "yes", "1"],
    ]
    out = run("selection", "Embedded", "--collection", "tracks")[1]
    assert out.splitlines()[1].split() == ["site", "id", "yes", "always"]
    left = json.loads(run("selection", "Embedded", "--source", "site", "--left-out", "--json")[1])
    assert [each["collection"] for each in left] == ["identifies"]
    assert run("exclude", "Embedded", "--source", "site")[0] == 0
    assert state(running).source_ids == ()


def test_t154_what_cannot_be_left_out_is_said_before_anything_changes(running, run, source):
    code, out, error = run(
        "exclude", "Embedded", "--source", "site", "--collection", "tracks", "--property", "received_at"
    )
    assert (code, out, state(running).source_ids) == (1, "", (source.id,))
    assert "received_at of tracks cannot be left out" in error
    assert run("exclude", "Embedded", "--source", "site", "--property", "email")[0] == 2
    assert run("exclude", "Embedded", "--source", "nobody")[0] == 1


def test_a_reload_is_started_followed_and_ended(running, run, source):
    code, out, _ = run(
        "reload", "Embedded", "--source", "site", "--collection", "Signed Up", "--from", "2026-01-31T00:00:00Z"
    )
    assert (code, out.splitlines()[0]) == (0, "Started reload 1.")
    asked = last(running, "reload")
    assert (asked["source_ids"], asked["collections"], asked["since"]) == (
        [source.id],
        ["signed_up"],
        "2026-01-31T00:00:00+00:00",
    )
    code, out, error = run("reload", "Embedded", "--wait")
    assert (code, out) == (0, "[########################]  100/100 of the log  70 events  140 rows  done\n")
    assert "40/100 of the log" in error
    heads, second, first = run("reloads", "Embedded")[1].splitlines()
    assert heads.split()[:3] == ["id", "why", "state"]
    assert second.split()[:5] == ["2", "asked", "done", "100", "%"]
    assert "signed_up" in first
    assert run("cancel-reload", "Embedded", "2")[1].split()[-1] == "cancelled"
    code, _, error = run("cancel-reload", "Embedded", "9")
    assert (code, "no reload '9'" in error) == (1, True)


def test_trends_and_misfits_are_tables(run):
    day, empty = run("trends", "Embedded")[1].splitlines()[1:]
    assert day.split() == ["2026-11-22", "20", "30", "0", "#" * 30]
    assert empty.split() == ["2026-11-23", "0", "0", "2"]
    tables = [line.split() for line in run("trends", "Embedded", "--by-table")[1].splitlines()[1:]]
    assert tables == [["site.tracks", "20"], ["site.signed_up", "10"]]
    assert run("misfits", "Embedded")[1].splitlines()[1].split() == [
        *("site.signed_up", "age", "bigint", "properties.age", "3", "2026-11-23T08:00:00", "yes")
    ]
    assert json.loads(run("trends", "Embedded", "--days", "2", "--json")[1])[0]["rows"] == 30


def test_t160_a_person_is_removed_after_a_question(running, run):
    code, out, error = run("erase", "Embedded", "--user", "ann", "--email", "ann@example.com", said="n\n")
    assert (code, out, "Embedded for good?" in error) == (1, "", True)
    assert all(name != "remove_person" for name, _ in running.pipeline.asked)
    code, out, _ = run("erase", "--all", "--user", "ann", "--email", "ann@example.com", "--yes")
    assert (code, out.splitlines()[1].split()) == (0, ["Embedded", "site.tracks", "2"])
    assert last(running, "remove_person")["ids"] == {
        "userIds": ["ann"],
        "anonymousIds": [],
        "emails": ["ann@example.com"],
    }
    running.pipeline.erasing_fails = "The warehouse does not answer."
    code, _, error = run("erase", "Embedded", "--user", "ann", "--yes")
    assert (code, "Embedded: The warehouse does not answer." in error) == (1, True)
    assert run("erase", "Embedded", "--yes")[0] == 2
    assert run("erase", "--user", "ann")[0] == 2


def test_how_warehouses_do_and_what_they_loaded_is_told(running, run, source):
    warehouse = state(running)
    running.pipeline.standings = [
        {
            "warehouseId": warehouse.id,
            "type": "embedded",
            "state": "failing",
            "cursor": 10,
            "lag": 5,
            "totals": {"events": 7, "rows": 20, "filtered": 0, "suppressed": 2, "missed": 1},
            "lastSync": "2026-11-23T08:00:00+00:00",
            "lastError": "The disk is full.",
            "failures": 3,
            "nextSync": None,
            "reloads": 1,
            "notices": ["A value did not fit."],
            "unaccounted": 2,
        }
    ]
    again = {**load(2, warehouse.id, rows={"site.tracks": 1}), "reload": "r1"}
    first = load(1, warehouse.id, rows={"site.tracks": 4}, notices=["A value did not fit."])
    running.pipeline.loads = [again, first]
    lines = run("status")[1].splitlines()
    assert lines[1].split()[:7] == ["Embedded", "embedded", "failing", "20", "7", "5", "1"]
    assert lines[2:] == [
        "Embedded: The disk is full. (3 times in a row)",
        "Embedded: 2 events are in no count, or in two; run `headwater doctor`.",
        "Embedded: of the events it has passed 2 suppressed, 1 missed.",
        "Embedded: A value did not fit.",
    ]
    lines = run("syncs", "Embedded", "--source", "site")[1].splitlines()
    assert lines[1].split()[:4] == ["2", source.id, "success", "(reload)"]
    assert lines[2].split() == ["1", source.id, "success", "2026-11-23", "08:00:00", "UTC", "1.5", "s", "4"]
    assert lines[3] == "1: A value did not fit."


def test_the_catalog_tells_what_to_know_before(run):
    code, out, _ = run("catalog", "embedded")
    assert (code, out.split()[:2]) == (0, ["type", "embedded"])
