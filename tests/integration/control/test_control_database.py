"""The control database: brought up to date in one transaction, whatever interrupts it; never taken back."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from headwater.control import database
from headwater.control.service import open_control
from headwater.errors import ConfigError

KEY = b"k" * 32


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/deep/down/control.db"


def opened(url):
    engine = database.open_engine(url)
    database.migrate(engine)
    return engine


def test_the_steps_lead_to_the_tables_that_the_code_uses(url):
    engine = opened(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), database.metadata) == []
    assert database.version(engine) == 1


def test_a_second_run_changes_nothing(url):
    control = open_control(url, KEY)
    before = control.snapshot()
    assert open_control(url, KEY).snapshot() == before


def test_programs_that_start_at_once_make_one_workspace(url):
    with ThreadPoolExecutor(4) as pool:
        controls = list(pool.map(lambda _: open_control(url, KEY), range(4)))
    assert len({control.workspaces.get().id for control in controls}) == 1
    assert len(controls[0].snapshot().warehouses) == 1


def test_a_newer_database_is_refused_with_the_next_step(url):
    engine = opened(url)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer Headwater"):
        open_control(url, KEY)


@pytest.mark.parametrize("table", ["workspaces", "sources", "destinations", "tokens", "meta"])
def test_a_kill_in_the_middle_leaves_no_half_of_it(url, table):
    script = f"""
import os, sys
from sqlalchemy import event
from headwater.control import database
engine = database.open_engine({url!r})
@event.listens_for(engine, "after_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if "CREATE TABLE {table} " in statement:
        os.kill(os.getpid(), 9)
database.migrate(engine)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert inspect(database.open_engine(url)).get_table_names() == []
    assert open_control(url, KEY).workspaces.get().slug == "default"


def test_a_change_that_fails_leaves_nothing_not_even_a_new_version(url):
    control = open_control(url, KEY)
    engine = database.open_engine(url)
    before = control.version()
    workspace = control.workspaces.get()

    def half():
        with database.changing(engine) as connection:
            connection.execute(database.workspaces.update().values(name="Half"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert control.version() == before
    assert control.workspaces.get() == workspace


@pytest.mark.parametrize("url", ["postgresql://x/y", "sqlite://", "mysql:///x"])
def test_another_database_is_refused_with_an_address_that_works(url):
    with pytest.raises(ConfigError, match="sqlite:////"):
        database.open_engine(url)


def test_a_start_takes_the_newest_migration_for_the_schema():
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == database.SCHEMA


def test_a_start_with_nothing_to_migrate_does_without_alembic(tmp_path):
    url = f"sqlite:///{tmp_path}/control.db"
    database.migrate(database.open_engine(url))
    program = (
        "import sys; from headwater.control import database;"
        f"database.migrate(database.open_engine({url!r})); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
