"""`headwater setup-link` and `headwater set-password`, on an installation's own files."""

import json
import re
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from headwater import config
from headwater.app import start
from headwater.cli import root
from headwater.control import local_token
from headwater.control.audit.trail import Wanted
from headwater.control.keyring import ring_of
from headwater.control.service import open_control
from headwater.errors import ForbiddenError

TYPED = "another good one\nanother good one\n"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A data directory as a start leaves it behind; nobody has set it up."""
    directory = tmp_path_factory.mktemp("installation") / "data"
    settings = config.read({"data_dir": directory}, {})
    config.secret_key(settings)
    opened(settings).close()
    return settings


def opened(settings):
    return open_control(settings.control_url, ring_of(settings))


def headwater(settings, *arguments, said=""):
    """Return (exit code, stdout, stderr) of a command; its one sentence of an error is written as `main` does it."""
    told = CliRunner().invoke(root, [*arguments, f"--data-dir={settings.data_dir}"], input=said)
    return told.exit_code, told.stdout, told.stderr + (str(told.exception) if told.exception else "")


def test_the_way_in_before_anybody_has_an_account_and_after(installation):
    told = headwater(installation, "setup-link", "--json")
    found = json.loads(told[1])
    assert found["lastsS"] == 3600
    assert not start.is_set_up(installation)
    token = re.fullmatch(r"http://localhost:8080/set-up\?token=(hws_\S+)", found["link"])[1]
    control = opened(installation)
    workspace = control.workspaces.get()
    control.credentials.set_up(token, workspace.id, "ann@example.com", "Ann", "correct horse battery")
    secret, _ = control.sessions.open(control.users.by_email("ann@example.com").id, "", "")
    assert start.is_set_up(installation)

    code, out, err = headwater(installation, "setup-link")
    assert (code, out) == (1, "")
    assert "An owner can invite you" in err

    code, _, err = headwater(installation, "set-password", "ann@example.com", said="12345678\n12345678\n")
    assert (code, "most common" in err) == (1, True)
    code, _, err = headwater(installation, "set-password", "bo@example.com", said=TYPED)
    assert (code, "Nobody here has the address" in err) == (1, True)
    assert control.sessions.find(secret)

    code, out, err = headwater(installation, "set-password", "Ann@example.com", said=TYPED)
    assert code == 0
    assert "another good one" not in out + err
    assert control.sessions.find(secret) is None
    assert control.credentials.by_password("ann@example.com", "another good one", "").name == "Ann"
    with pytest.raises(ForbiddenError):
        control.credentials.by_password("ann@example.com", "correct horse battery", "")
    newest = control.audit.page(Wanted(workspace.id, with_installation=True), 1)
    assert [(each.actor_kind, each.resource_type.lower()) for each in newest] == [("command line", "user")]
    control.close()


def test_the_greeting_shows_a_set_up_link_and_later_a_signed_in_one(tmp_path, capsys):
    settings = config.read({"data_dir": tmp_path}, {})
    key = config.secret_key(settings)
    start._greet("http://127.0.0.1:1", settings)
    assert _opens(key, capsys.readouterr().err, "set-up", local_token.SET_UP)
    control = opened(settings)
    link = local_token.make(key, datetime.now(UTC), local_token.SET_UP)
    control.credentials.set_up(link, control.workspaces.get().id, "ann@example.com", "Ann", "correct horse battery")
    control.close()
    start._greet("http://127.0.0.1:1", settings)
    assert _opens(key, capsys.readouterr().err, "sign-in", local_token.COMMAND)


def _opens(key, greeting, page, purpose):
    token = re.search(rf"http://127\.0\.0\.1:1/{page}\?token=(\S+)", greeting)[1]
    return local_token.verify(key, token, datetime.now(UTC), purpose)


@pytest.mark.parametrize("words", ["setup-link", "audit verify", "secrets status", "secrets rotate", "token list"])
def test_no_installation_begins_by_being_asked_about(tmp_path, words):
    settings = config.read({"data_dir": tmp_path / "none"}, {})
    code, out, err = headwater(settings, *words.split())
    assert (code, out) == (1, "")
    assert "headwater serve --data-dir" in err
    assert not settings.data_dir.exists()
