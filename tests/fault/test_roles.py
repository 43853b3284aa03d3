"""The roles live and die together, and one that fails comes back without a missed connection."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from program import Program


@pytest.fixture
def program(tmp_path):
    with Program(tmp_path / "data") as running:
        yield running


def roles(program):
    """Return {role: process id} of the program's children."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:  # ended meanwhile
            continue
        if "--role" in words and str(program.data_dir) in words:
            found[words[words.index("--role") + 1]] = int(path.parent.name)
    return found


def metrics(program):
    status, text = program.http("GET", "/metrics")
    assert status == 200
    return text.decode()


def until(condition):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not within 30 seconds")


@pytest.mark.parametrize("role", ["ingest", "pipeline", "web"])
def test_a_killed_role_comes_back_and_events_are_taken_again(program, role):
    key = program.source("website")["writeKeys"][0]
    before = roles(program)[role]
    os.kill(before, signal.SIGKILL)
    until(lambda: roles(program).get(role, before) != before)
    program.wait_until_ready()
    until(lambda: program.http("POST", "/v1/track", {"writeKey": key, "userId": "u", "event": "E"})[0] == 200)


def test_no_role_outlives_a_killed_supervisor(program):
    assert set(roles(program)) == {"ingest", "pipeline", "web"}
    program.kill()
    until(lambda: not roles(program))
    program.start()


def test_sigterm_ends_everything_cleanly(program):
    assert program.stop() == 0
    assert not roles(program)


def test_a_role_that_is_told_to_stop_finishes_what_it_has_in_hand(program):
    for role in ("pipeline", "web"):
        before = roles(program)[role]
        os.kill(before, signal.SIGTERM)
        until(lambda role=role, before=before: roles(program).get(role, before) != before)
    lines = (program.data_dir / "serve.log").read_text().splitlines()
    exits = [json.loads(line) for line in lines if "role.exited" in line]
    assert [(each["name"], each["code"]) for each in exits] == [("pipeline", 0), ("web", 0)]  # not killed by the signal


def test_metrics_are_there_while_a_warehouse_was_never_reached(program):
    made = program.api("POST", "/warehouses", {"metadataId": "embedded", "name": "Off", "enabled": False})
    until(lambda: f'headwater_warehouse_cursor{{warehouse="{made["warehouse"]["id"]}"}} 0' in metrics(program))


def test_a_second_program_on_the_same_directory_is_refused_with_the_first_ones_id(program):
    command = [sys.executable, "-m", "headwater", "serve", "--data-dir", str(program.data_dir), "--port", "0"]
    second = subprocess.run(command, env=program.environment, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert str(program.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_wrong_setting_stops_the_start_and_says_what_works(tmp_path):
    program = Program(tmp_path / "data", retention_days="soon", colour="blue")
    command = [sys.executable, "-m", "headwater", *program.command]
    done = subprocess.run(command, env=program.environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "RETENTION_DAYS" in done.stderr
    assert "COLOUR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_a_newer_release_is_refused_before_any_role_works_on_it(tmp_path):
    program = Program(tmp_path / "data")
    program.data_dir.mkdir()
    with contextlib.closing(sqlite3.connect(program.data_dir / "control.db")) as newer:
        newer.execute("create table alembic_version (version_num text)")
        newer.execute("insert into alembic_version values ('9999')")
        newer.commit()
    (program.data_dir / "secret.key").write_text("k" * 43)
    (program.data_dir / "secret.key").chmod(0o600)
    command = [sys.executable, "-m", "headwater", *program.command]
    done = subprocess.run(command, env=program.environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "written by a newer Headwater (schema 9999); install that version again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (program.data_dir / "log").exists()
