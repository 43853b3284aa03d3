"""SECRET_KEY is changed while the service runs; killed at any point, nothing is lost and the next run finishes it."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import select, update

from headwater import config
from headwater.clock import now
from headwater.config import Secret, Settings
from headwater.control import database, local_token, stable_keys
from headwater.control.keyring import fixed, ring_of
from headwater.control.secrets import SEALED, key_id_of
from headwater.control.service import open_control
from headwater.control.tokens import LOCAL
from headwater.errors import ConfigError

HEADERS = {"X-Api-Key": "canary-6b1f0c"}
KEY = "first key of sixteen"


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


@pytest.fixture
def control(settings):
    """A control plane that was opened before the rotation, as the roles of a running program are."""
    control = open_control(settings.control_url, ring_of(settings))
    workspace = control.workspaces.get()
    control.sources.create(workspace.id, "email", "activecampaign")
    control.destinations.create(
        workspace.id, "email", "webhook", settings={"url": "https://example.com/hook", "headers": HEADERS}
    )
    control.stable_key("suppression")
    control.alert_channels.create(workspace.id, "slack", "Ops", url="https://hooks.slack.com/services/T0/B0/canary")
    control.regulations.create(workspace.id, "DELETE_ONLY", "USER_ID", ["u1"])
    yield control
    control.close()


def opened(settings):
    control = open_control(settings.control_url, ring_of(settings))
    found = control.snapshot(), control.stable_key("suppression")
    control.close()
    return found


def keys_in_use(control):
    return set(control.rotation.survey().counts)


def test_everything_is_sealed_anew_and_nothing_of_it_changes(control, settings):
    before, former = opened(settings), config.secret_key(settings)
    entries = control.audit.verify().entries
    done = control.rotation.rotate()
    present = config.secret_keys(settings)
    assert present[0] != former
    assert len(present) == 1
    assert (done.former, done.key_id) == ((key_id_of(former),), key_id_of(present[0]))
    assert keys_in_use(control) == {done.key_id}
    assert opened(settings) == before
    assert control.audit.verify().entries == entries + 1  # the rotation; not each row that it touched
    assert control.version() == before[0].version


def test_who_came_in_with_the_former_key_is_signed_out_and_nobody_else(control):
    workspace = control.workspaces.get()
    _, token = control.tokens.create(workspace.id, "script")
    by_key, by_token = (
        control.sessions.open_for_token(each, workspace.id, "192.0.2.1", "")[0] for each in (LOCAL, token.id)
    )
    control.rotation.rotate()
    assert (control.sessions.find(by_key), control.sessions.find(by_token) is None) == (None, False)


def test_a_process_that_runs_opens_and_seals_with_the_new_key_at_once(control, settings):
    running = open_control(settings.control_url, ring_of(settings))
    token = local_token.make(config.secret_key(settings), now())
    assert running.authenticate(token) is not None
    done = control.rotation.rotate()
    assert running.snapshot().destinations[0].settings["headers"] == HEADERS
    workspace = running.workspaces.get()
    running.destinations.create(
        workspace.id, "email", "webhook", settings={"url": "https://example.com/2", "headers": HEADERS}
    )
    assert keys_in_use(control) == {done.key_id}
    assert running.authenticate(local_token.make(config.secret_key(settings), now())) is not None
    running.close()


STEPS = ("key file", "seal", "former leaves")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_is_finished_by_the_next_run(control, settings, step):
    before, former = opened(settings), key_id_of(config.secret_key(settings))
    script = f"""
import os
from headwater import config
from headwater.clock import now
from headwater.config import Settings
from headwater.control import rotation
from headwater.control.keyring import ring_of
from headwater.control.service import open_control
from pathlib import Path
settings = Settings(data_dir=Path({str(settings.data_dir)!r}))
control = open_control(settings.control_url, ring_of(settings))
write, written = config.write_keys, []
def writing(path, keys):
    if {step!r} == "former leaves" and len(keys) == 1:
        os.kill(os.getpid(), 9)
    write(path, keys)
    if {step!r} == "key file":
        os.kill(os.getpid(), 9)
config.write_keys = writing
if {step!r} == "seal":
    rotation.append = lambda *_: os.kill(os.getpid(), 9)  # after the rows, before the commit
control.rotation.rotate()
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert len(config.secret_keys(settings)) == 2
    assert opened(settings) == before
    finished = control.rotation.rotate()
    assert (finished.was_unfinished, finished.former) == (True, (former,))
    assert len(config.secret_keys(settings)) == 1
    assert keys_in_use(control) == {finished.key_id}
    assert opened(settings) == before


def test_a_key_file_that_cannot_be_written_changes_nothing(control, settings):
    path = config.key_path(settings)
    content, before = path.read_bytes(), opened(settings)
    control.rotation._keys.path = settings.data_dir / "control.db" / "secret.key"
    with pytest.raises(ConfigError, match="stays as it is"):
        control.rotation.rotate()
    assert (path.read_bytes(), opened(settings)) == (content, before)


def test_a_key_in_the_environment_is_changed_there(tmp_path):
    url = f"sqlite:///{tmp_path}/control.db"
    first = open_control(url, fixed(KEY.encode()))
    key = first.stable_key("suppression")
    with pytest.raises(ConfigError, match="SECRET_KEY_FORMER"):
        first.rotation.rotate()
    settings = Settings(data_dir=tmp_path, secret_key=Secret("second key of sixteen"), secret_key_former=Secret(KEY))
    second = open_control(url, ring_of(settings))
    assert second.stable_key("suppression") == key
    done = second.rotation.rotate()
    assert (done.sealed_anew, second.rotation.where) == (1, "SECRET_KEY")
    alone = open_control(url, fixed(b"second key of sixteen"))
    assert alone.stable_key("suppression") == key


def test_what_no_key_opens_is_named_and_nothing_is_lost(control):
    with control._engine.begin() as connection:
        table = stable_keys.stable_keys
        mine = table.c.id == "suppression"
        sealed = connection.execute(select(table.c.sealed).where(mine)).scalar_one()
        connection.execute(update(table).where(mine).values(sealed=SEALED.sub("v1:00000000:" + "A" * 60, sealed)))
    found = control.rotation.survey()
    assert [(each.table, each.row_id, each.key_id) for each in found.unknown] == [
        ("stable_keys", "suppression", "00000000")
    ]
    assert control.rotation.rotate().sealed_anew >= 2  # nobody can open it: it does not keep the others from a new key
    assert "00000000" in control.rotation.survey().counts
    assert control.snapshot().destinations[0].settings["headers"] == HEADERS


def test_every_column_that_may_hold_a_secret_is_looked_at(control):
    """A table that seals into a place that `replaced` does not know would be lost by a rotation."""
    survey = control.rotation.survey()
    with control._engine.connect() as connection:
        kept = "".join(str(connection.execute(select(table)).all()) for table in database.metadata.sorted_tables)
    assert len(SEALED.findall(kept)) == survey.counts.total() >= 4
    assert (survey.unknown, survey.altered) == ((), ())


def test_the_key_may_lie_apart_from_the_data_and_is_never_made_beside_a_database(tmp_path):
    apart = tmp_path / "keys" / "headwater.key"
    settings = Settings(data_dir=tmp_path / "data", secret_key_file=apart)
    control = open_control(settings.control_url, ring_of(settings))
    key = control.stable_key("x")
    assert apart.stat().st_mode & 0o777 == 0o600
    assert not (settings.data_dir / "secret.key").exists()
    control.rotation.rotate()
    assert open_control(settings.control_url, ring_of(settings)).stable_key("x") == key
    apart.rename(apart.with_suffix(".away"))
    assert control.stable_key("x") == key  # it runs on with the key that it has
    with pytest.raises(ConfigError, match="SECRET_KEY_FILE"):
        ring_of(settings)
    with pytest.raises(ConfigError, match="both set"):
        ring_of(Settings(data_dir=tmp_path, secret_key=Secret(KEY), secret_key_file=apart))
