"""PostgreSQL that restarts, is cut off, hangs or is full amid a batch: each row is there once in the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from contract.warehouse_under_test import load, staged
from headwater.errors import DeliveryError, RetryableError
from headwater.warehouses import postgres
from headwater.warehouses.contract import ColumnType, Load, Table
from headwater.warehouses.postgres import connection as session
from headwater.warehouses.postgres.copying import Copying
from postgres_server import server

TRACKS, IDENTIFIES = Table("site", "tracks"), Table("site", "identifies")
TEXT, TIME = ColumnType.VARCHAR, ColumnType.TIMESTAMP
COLUMNS = {"id": TEXT, "received_at": TIME, "user_id": TEXT, "plan": TEXT}
AT = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - a warehouse's timestamp has no zone and is UTC


@pytest.fixture
def settings():
    return server().settings(server().database())


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def warehouse(settings, tmp_path):
    made = postgres.Warehouse(settings, tmp_path / "home")
    yield made
    made.close()


def batch(warehouse, staging, first: int, next_: int, size: int = 10) -> None:
    rows = {seq: {"received_at": AT, "user_id": f"u{seq % 3}", "plan": f"{seq:0{size}}"} for seq in range(first, next_)}
    load(warehouse, staging, (first, next_), (TRACKS, COLUMNS, rows), (IDENTIFIES, COLUMNS, rows))


def again_until_it_works(warehouse, staging, first: int, next_: int) -> None:
    """Do as the engine does: open anew, ask for the cursor, load what is missing; a few times."""
    for _ in range(50):
        with suppress(RetryableError):
            warehouse.close()
            warehouse.open()
            if warehouse.cursor() < next_:
                batch(warehouse, staging, first, next_)
            return
    pytest.fail("it never works again")


def assert_all_once(rows: int) -> None:
    with server().connect("warehouse") as connection:
        for table in ("tracks", "identifies"):
            found = connection.execute(f"select count(*), count(distinct id) from site.{table}").fetchone()
            assert found == (rows, rows), table
        plans = connection.execute("select id, plan::int from site.users order by id").fetchall()
        assert plans == [(f"u{n}", max(seq for seq in range(rows) if seq % 3 == n)) for n in range(3)]


@contextmanager
def amid_copy(monkeypatch, act):
    """Do something once while the second table's rows are on their way."""
    files, original = [], Copying._blocks

    def blocks(self, table):
        files.append(table)
        for block in original(self, table):
            yield block[: len(block) // 2]
            if len(files) == 2:
                act()
            yield block[len(block) // 2 :]

    with monkeypatch.context() as patch:
        patch.setattr(Copying, "_blocks", blocks)
        yield


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_in_mid_copy_costs_one_try(warehouse, staging, monkeypatch, mode):
    batch(warehouse, staging, 0, 10)
    with (
        amid_copy(monkeypatch, lambda: server().control("restart", "-m", mode)),
        pytest.raises(RetryableError, match=r"SQLSTATE 57P01|connection"),
    ):
        batch(warehouse, staging, 10, 20)
    again_until_it_works(warehouse, staging, 10, 20)
    assert_all_once(20)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_between_batches_costs_one_try(warehouse, staging, mode):
    batch(warehouse, staging, 0, 10)
    server().control("restart", "-m", mode)
    with pytest.raises(RetryableError):
        batch(warehouse, staging, 10, 20)
    again_until_it_works(warehouse, staging, 10, 20)
    assert_all_once(20)


def test_a_server_that_is_down_is_waited_for(warehouse, staging):
    batch(warehouse, staging, 0, 10)
    server().control("stop", "-m", "fast")
    try:
        for _ in range(3):
            with pytest.raises(RetryableError):
                warehouse.open()
    finally:
        server().control("start")
    again_until_it_works(warehouse, staging, 10, 20)
    assert_all_once(20)


class Proxy:
    """Passes everything on to the server until a COMMIT: its answer is kept back and the connection cut."""

    def __init__(self, *, delivers: bool) -> None:
        """Take whether the COMMIT still reaches the server."""
        self.delivers = delivers
        self.armed = threading.Event()
        self.cut = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                above = socket.create_connection(("127.0.0.1", server().port))
                threading.Thread(target=self._down, args=(above, client), daemon=True).start()
                threading.Thread(target=self._up, args=(client, above), daemon=True).start()

    def _up(self, client: socket.socket, above: socket.socket) -> None:
        with suppress(OSError), client, above:
            while sent := client.recv(65_536):
                if self.armed.is_set() and b"COMMIT" in sent:
                    self.cut.set()
                    if self.delivers:
                        above.sendall(sent)
                        above.shutdown(socket.SHUT_WR)
                        while above.recv(65_536):
                            pass
                    for each in (client, above):
                        each.shutdown(socket.SHUT_RDWR)
                    return
                above.sendall(sent)
            above.shutdown(socket.SHUT_WR)

    def _down(self, above: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while not self.cut.is_set() and (came := above.recv(65_536)):
                if not self.cut.is_set():
                    client.sendall(came)


@pytest.mark.parametrize("delivers", [True, False])
def test_a_commit_without_an_answer_is_looked_up(settings, staging, tmp_path, delivers):
    proxy = Proxy(delivers=delivers)
    through = postgres.Warehouse(server().settings(settings.database, port=proxy.port), tmp_path / "home")
    batch(through, staging, 0, 10)
    rows = {seq: {"user_id": f"u{seq % 3}", "plan": str(seq)} for seq in range(10, 20)}
    parts = Load(10, 20, tuple(staged(staging, table, COLUMNS, rows) for table in (TRACKS, IDENTIFIES)))
    proxy.armed.set()
    with pytest.raises(RetryableError):
        through.load(staging, parts)
    assert proxy.cut.is_set()
    through.close()
    direct = postgres.Warehouse(settings, tmp_path / "home")
    direct.open()
    assert direct.cursor() == (20 if delivers else 10)
    direct.load(staging, parts)
    direct.close()
    proxy.close()
    assert_all_once(20)


def test_a_server_that_hangs_is_hung_up_on(warehouse, staging, monkeypatch):
    batch(warehouse, staging, 0, 10)
    monkeypatch.setattr(session, "_GRACE_S", 0.1)
    for name in ("_LOAD_S", "_DDL_S"):
        monkeypatch.setattr(postgres, name, 0.2)
    pid = warehouse._connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(RetryableError, match="connection"):
            batch(warehouse, staging, 10, 20)
    finally:
        os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
    again_until_it_works(warehouse, staging, 10, 20)
    assert_all_once(20)


def test_a_statement_that_takes_too_long_is_tried_again(warehouse, staging, monkeypatch):
    batch(warehouse, staging, 0, 10)
    with server().connect("warehouse") as admin:
        admin.execute(
            "create function public.slow() returns trigger language plpgsql as "
            "$$ begin perform pg_sleep(5); return new; end $$"
        )
        admin.execute("create trigger slow before insert on site.tracks execute function public.slow()")
        with monkeypatch.context() as patch:
            patch.setattr(postgres, "_LOAD_S", 0.3)
            with pytest.raises(RetryableError, match="took too long"):
                batch(warehouse, staging, 10, 20)
        admin.execute("drop trigger slow on site.tracks")
    batch(warehouse, staging, 10, 20)
    assert_all_once(20)


@pytest.fixture
def small_disk():
    """A disk of 24 MiB that PostgreSQL may write to."""
    place = Path(server().directory.parent, "small")
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=False).returncode
    ):
        place.rmdir()
        pytest.skip("only who may mount can fill a disk")
    data = place / "data"
    data.mkdir()
    shutil.chown(data, server().handle.system_user)
    yield data
    subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()


def test_a_full_disk_is_waited_out(warehouse, staging, settings, small_disk):
    with server().connect() as admin:
        admin.execute(f"create tablespace small location '{small_disk}'")
        admin.execute(f"alter database {settings.database} set default_tablespace = small")
        admin.execute("grant create on tablespace small to public")
    try:
        batch(warehouse, staging, 0, 10)
        stone = small_disk.parent / "stone"
        with stone.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(1024 * 1024))
                file.flush()
        with pytest.raises(RetryableError, match="disk of the server is full"):
            batch(warehouse, staging, 10, 400, 2_000)
        stone.unlink()
        again_until_it_works(warehouse, staging, 10, 400)
        assert_all_once(400)
    finally:
        warehouse.close()
        with server().connect() as admin:
            admin.execute(f"alter database {settings.database} reset default_tablespace")
            server().database()
            admin.execute("drop tablespace small")


def test_without_a_place_for_the_batch_nothing_is_lost(settings, staging, tmp_path):
    (tmp_path / "home").write_text("a file where the directory should be")
    made = postgres.Warehouse(settings, tmp_path / "home")
    with pytest.raises(DeliveryError, match="written aside"):
        batch(made, staging, 0, 10)
    (tmp_path / "home").unlink()
    batch(made, staging, 0, 10)
    made.close()
    assert_all_once(10)
