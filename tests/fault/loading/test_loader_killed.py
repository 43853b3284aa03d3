from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import loader_child
import msgspec
import pytest

CHILD = Path(loader_child.__file__)
NAMES = ("Email Opened", "Email Link Clicked", "Order Completed")
FRAMES, FRAME_EVENTS = 10, 10
POINTS = 20
AT = "2026-11-23T12:00:00.000Z"


def write_log(file: Path) -> None:
    """Store frames of two sources; each brings new properties, so that columns and tables appear all along."""
    frames = []
    for frame in range(FRAMES):
        events = []
        for number in range(frame * FRAME_EVENTS, (frame + 1) * FRAME_EVENTS):
            event = {"type": "track", "event": NAMES[number % 3], "messageId": f"m{number}", "anonymousId": "a"}
            event |= {"receivedAt": AT, "timestamp": AT, "properties": {"n": number, f"new {frame // 4}": True}}
            if number % 5 == 0:
                event |= {"type": "identify", "userId": f"u{number % 4}", "traits": {"plan": f"p{frame}"}}
            events.append(event)
        frames.append((("s1", "s2")[frame // 2 % 2], events))
    file.write_bytes(msgspec.json.encode(frames))


@pytest.fixture
def log(tmp_path):
    write_log(tmp_path / "log.json")
    return tmp_path / "log.json"


def child(log: Path, state: Path, kill_at: int, *prefix: str, keep: bool = False) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, str(CHILD), str(log), str(state), str(kill_at)]
    command += [loader_child.KEEP] * keep
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ids(state: Path) -> dict[str, list[str]]:
    """Return the ids of each table as a reader sees them now."""
    views = state / "warehouse" / "views.duckdb"
    if not views.exists():
        return {}
    with duckdb.connect(str(views), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables order by all"
        ).fetchall()
        return {
            name: [row[0] for row in connection.execute(f"select id from {name} order by id").fetchall()]
            for (name,) in tables
        }


def assert_each_id_once(found: dict[str, list[str]]) -> None:
    for table, listed in found.items():
        assert len(listed) == len(set(listed)), table


def assert_whole_batches(found: dict[str, list[str]]) -> None:
    for schema in ("site", "shop"):
        events = [
            each
            for table, listed in found.items()
            if table.startswith(f"{schema}.") and not table.endswith((".tracks", ".users", ".identifies"))
            for each in listed
        ]
        assert sorted(events) == found.get(f"{schema}.tracks", [])


def test_a_killed_loader_loses_and_doubles_nothing(log, tmp_path, monkeypatch):
    whole = child(log, tmp_path / "whole", 0)
    changes, expected = int(whole.stdout), ids(tmp_path / "whole")
    assert (
        sum(len(listed) for table, listed in expected.items() if table.endswith((".tracks", ".identifies")))
        == FRAMES * FRAME_EVENTS
    )
    for module, name in ((loader_child.loader, "EVENTS_MAX"), (loader_child.compaction, "BATCHES_MAX")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(loader_child.compaction, "GRACE", loader_child.compaction.GRACE)
    loader_child.make_batches_small()
    seed = random.randrange(10_000)
    print(f"seed {seed}, {changes} changes")
    for kill_at in sorted(random.Random(seed).sample(range(1, changes + 1), POINTS)):
        state = tmp_path / f"killed-{kill_at}"
        killed = child(log, state, kill_at)
        assert killed.returncode == -signal.SIGKILL, (kill_at, killed.stderr[-2000:])
        left = ids(state)
        assert_each_id_once({table: listed for table, listed in left.items() if not table.endswith(".users")})
        assert_whole_batches(left)
        loader_child.load(log, state)
        assert ids(state) == expected, kill_at
        shutil.rmtree(state)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; it kills inside DuckDB's writes")
def test_a_loader_killed_inside_a_write_loses_and_doubles_nothing(log, tmp_path):
    child(log, tmp_path / "whole", 0)
    expected = ids(tmp_path / "whole")
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    calls = "pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink"
    for number in random.Random(seed).sample(range(5, 250), 3):
        state = tmp_path / f"killed-{number}"
        inject = f"inject={calls}:signal=KILL:when={number}"
        child(log, state, 0, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject)
        child(log, state, 0)
        assert ids(state) == expected, number


def test_a_process_that_reads_all_the_while_sees_no_error_and_no_partial_batch(log, tmp_path):
    state = tmp_path / "state"
    command = [sys.executable, str(Path(__file__).with_name("reader_child.py")), str(state / "warehouse")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reading:
        writing = child(log, state, 0, keep=True)
        assert writing.returncode == 0, writing.stderr[-2000:]
        out, _ = reading.communicate("stop\n")
    seen = msgspec.json.decode(out)
    assert seen["errors"] == []
    assert seen["reads"] > 0
    assert seen["counts"] == sorted(seen["counts"])
    assert seen["counts"][-1] == len(ids(state)["site.tracks"])
