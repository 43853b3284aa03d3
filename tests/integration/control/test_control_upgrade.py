"""An upgrade keeps everything: a database of the first release, with data in it, is brought to the present."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from headwater.control import database
from headwater.control.accounts import Place
from headwater.control.secrets import SecretBox
from headwater.control.selection import Override
from headwater.control.service import open_control
from headwater.delivery.connection import Tuning
from headwater.loading.rules import Rules
from headwater.loading.schedule import Schedule
from headwater.models import Models

KEY = b"k" * 32
AT = "2026-01-31T08:00:00.000000Z"


@pytest.fixture
def url(tmp_path):
    """Return the address of a database as the first release left it."""
    url = f"sqlite:///{tmp_path}/control.db"
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = database.open_engine(url)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        box = SecretBox(KEY)
        values = {
            "at": AT,
            "secret": box.seal("s1", "webhook_secret", "W" * 32),
            "hook": '{"url": "https://example.com/hook"}',
            "zone": '{"time_zone": "Europe/Berlin"}',
        }
        for statement in (
            "insert into workspaces values ('w1', 'default', 'Default', 'us', :at)",
            "insert into sources values ('s1', 'w1', 'email', 'email', 'E', 'activecampaign', 1, :zone, :secret, :at)",
            "insert into sources values ('s2', 'w1', 'site', 'site', 'Site', 'http-api', 1, '{}', '', :at)",
            "insert into write_keys values ('key1', 's1', :at), ('key2', 's2', :at)",
            "insert into destinations values ('d1', 'w1', 's2', 'webhook', 'Hook', 1, :hook, :at)",
            "insert into warehouses values ('embedded', 'w1', 'embedded', 'Embedded', 1, '{}', :at)",
            "insert into warehouse_sources values ('embedded', 's1'), ('embedded', 's2')",
        ):
            connection.execute(text(statement), values)
    return url


def test_everything_is_there_after_the_upgrade_and_accounts_can_be_connected(url):
    control = open_control(url, KEY)
    snapshot = control.snapshot()
    email, site = snapshot.sources
    assert (email.id, email.webhook_secret, email.settings) == ("s1", "W" * 32, {"time_zone": "Europe/Berlin"})
    assert (email.former_webhook_secret, email.former_until, email.write_keys) == ("", None, ("key1",))
    assert (site.webhook_secret, site.write_keys) == ("", ("key2",))
    assert [(each.id, each.tuning, each.first_seq) for each in snapshot.destinations] == [("d1", Tuning(), None)]
    assert (snapshot.filters, snapshot.subscriptions, snapshot.functions, snapshot.inserts) == ((), (), (), ())
    assert control.filters.create("w1", "d1", title="A", condition="all", actions=[{"type": "DROP"}]).enabled
    (warehouse,) = snapshot.warehouses
    assert (warehouse.rules, warehouse.schedule, warehouse.models) == (Rules(), Schedule(), Models())
    assert (warehouse.keep_days, warehouse.excluded) == (None, frozenset())
    assert control.warehouses.select("w1", warehouse.id, [Override("site", "a", "", enabled=False)])
    assert snapshot.schemas(warehouse) == {"s1": "email", "s2": "site"}
    assert snapshot.accounts == ()
    made = control.accounts.connect(
        "w1", Place("https://acme.api-us1.com", "acme"), api_key="a" * 64, source_id="s1", settings={"delivered": "off"}
    )
    assert made.settings == {"time_zone": "Europe/Berlin", "delivered": "off"}
    assert control.accounts.rotate_secret("w1", made.id).active
    assert control.snapshot().sources[0].former_webhook_secret == "W" * 32


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE accounts",
        "ALTER TABLE sources ADD COLUMN former_until",
        "CREATE TABLE insert_functions",
        "CREATE TABLE warehouse_exclusions",
    ],
)
def test_a_kill_in_the_middle_of_the_upgrade_leaves_the_former_release_whole(url, statement):
    script = f"""
import os
from sqlalchemy import event
from headwater.control import database
engine = database.open_engine({url!r})
@event.listens_for(engine, "after_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if {statement!r} in statement:
        os.kill(os.getpid(), 9)
database.migrate(engine)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ, capture_output=True)
    assert done.returncode == -9, done.stderr
    tables = inspect(database.open_engine(url)).get_table_names()
    assert ("accounts" in tables, "sources" in tables) == (False, True)
    assert len(open_control(url, KEY).snapshot().sources) == 2
